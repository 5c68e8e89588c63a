"""All findings of one page, out of what it holds and, where a browser looked, of what it did."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tools.doctor import addresses, code, events, policy
from tools.doctor.code import Call, Script, Unknown
from tools.doctor.findings import SDK, Finding
from tools.doctor.page import Element, Page, Place

RELAY_CLICK: Final = re.compile(r"relay-click(?:\.min)?\.js(?:$|[?#])")
COLLECT: Final = "https://bzr.openai.com/v1/sdk/events"
CONFIG: Final = "https://bzrcdn.openai.com/pixel-config/v1/"
MOST_OF_A_KIND: Final = 20
"""Findings of one kind in a report: a page with a thousand wrong links is as wrong as one with twenty."""

_SERVER_API: Final = re.compile(r"bzr\.openai\.com/v1/events\b")
_MANAGER: Final = re.compile(
    r"cookielaw\.org|otSDKStub|consent\.cookiebot|usercentrics|didomi|consentmanager\.net|sourcepoint|__tcfapi"
    r"|termly\.io|iubenda|osano\.com|customerPrivacy|klaro|cookieyes|borlabs"
    r"|['\"]consent['\"]\s*,\s*['\"]default['\"][^)]*denied",
    re.IGNORECASE,
)
"""Consent managers, by their scripts and functions; Google's consent mode where its default is to deny."""
_LATER: Final = re.compile(
    r"googletagmanager\.com/gtm\.js|[?&]id=GTM-|gtm\.start|/_next/static/|/_nuxt/|cdn\.segment\.com|tags\.tiqcdn\.com"
    r"|assets\.adobedtm\.com|web-pixels-manager",
    re.IGNORECASE,
)
"""What may bring the pixel along later, where only a browser can see it."""
_PIXEL_NAME: Final = re.compile(r"(?:^|/)oaiq[\w.-]*\.js(?:$|[?#])")
_PIXEL_ID: Final = re.compile(r"[A-Za-z0-9]{10,64}")


@dataclass(frozen=True)
class Load:
    """Where the page asks for the pixel's script. ``element``: the script tag, None when a script asks for it."""

    address: str
    place: Place | None
    in_head: bool = True
    element: Element | None = None


@dataclass
class Visit:
    """What a browser saw: once with a click, and once more without."""

    url: str
    calls: list[Call] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    """Addresses of all script elements of the finished page."""
    links: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """Addresses asked for at OpenAI's hosts, "METHOD address"."""
    cookies: set[str] = field(default_factory=set)
    key: bool = False
    relay_click: bool = False
    relay_click_waits: bool = False
    relay_click_error: str = ""
    violations: list[dict[str, Any]] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    """Console errors: text and address."""
    again: list[Call] = field(default_factory=list)
    """Calls of the second load."""
    notes: list[str] = field(default_factory=list)


@dataclass
class Examination:
    """What was found, and what could not be looked at."""

    findings: list[Finding]
    notes: list[str]


def examine(page: Page, visit: Visit | None = None, *, pixel_id: str = "", relay_click: bool = True) -> Examination:
    """Look at a page by all rules.

    ``pixel_id``: the one that it should have, "" for any; ``relay_click``: whether relay-click.js is expected.
    """
    return _Examiner(page, visit, pixel_id, relay_click).all()


class _Examiner:
    def __init__(self, page: Page, visit: Visit | None, pixel_id: str, relay_click: bool) -> None:
        self.page = page
        self.visit = visit
        self.pixel_id = pixel_id
        self.relay_click = relay_click
        self.notes: list[str] = list(visit.notes) if visit else []
        if page.readable is not page.text:
            self.notes.append("The page nests deeper than any page should; what comes after that was not read.")
        scripts = code.read(page)
        self.scripts: list[Script] = [script for script, _ in scripts]
        self.loads = list(_loads(page, scripts))
        self.read_calls = sorted((call for script in self.scripts for call in script.calls), key=_order)
        self.seen_calls = _placed(visit.calls, self.read_calls) if visit else []
        self.written = "\n".join([each.text + " " + each.get("src") for each in page.scripts])
        if visit and not self.loads:
            self.loads = [Load(each, None) for each in visit.scripts if _is_pixel_script(each)]

    def all(self) -> Examination:
        found: dict[tuple[str, object], Finding] = {}
        counts: dict[str, int] = {}
        rules: tuple[Callable[[], Iterator[Finding]], ...] = (
            self.pixel,
            self.setting_up,
            self.measured,
            self.image_tags,
            self.consent,
            self.security_policy,
            self.server_api,
            self.click,
            self.in_addresses,
            self.errors,
        )
        for rule in rules:
            for each in rule():
                single = each.code in _ONCE
                key = (each.code, None if single else each.place or (each.where, each.said))
                counts[each.code] = counts.get(each.code, 0) + (key not in found)
                if counts[each.code] <= MOST_OF_A_KIND:
                    found.setdefault(key, each)
        made_anew = {each.place for each in found.values() if each.code == "event_id_changes"}
        findings = [
            each
            for each in found.values()
            if not (_CAUSED_BY.get(each.code, _NONE) & counts.keys())
            and not (each.code == "event_id_form" and each.place in made_anew)
        ]
        findings.sort(key=lambda each: (each.severity != "error", each.place is None, each.place or Place(0, 0)))
        return Examination(findings, list(dict.fromkeys(self.notes)))

    # The pixel itself ------------------------------------------------------------------------------------------------

    def pixel(self) -> Iterator[Finding]:
        official = [each for each in self.loads if each.address == SDK]
        for each in self.loads:
            if each.address != SDK:
                yield Finding("script_address", addresses.shown(each.address), "", each.place)
        if not self.loads and not any(events.is_image(url) for url, _, _ in self._images()):
            if self.visit is None and _LATER.search(self.written):
                self.notes.append(
                    "No pixel is written in the page. A tag manager or bundle may bring it: only Chromium can see."
                )
            else:
                yield Finding("pixel_missing", f"nothing loads {SDK}", "<head>")
        if official and not official[0].in_head:
            yield Finding(
                "pixel_in_body", "the first script that loads the pixel is in the body", "", official[0].place
            )
        loaded = sum(each == SDK for each in self.visit.scripts) if self.visit else len(official)
        if loaded > 1:
            second = official[1].place if len(official) > 1 else None
            yield Finding("pixel_twice", f"{loaded} times", "" if second else "the finished page", second)
        for script in self.scripts:
            holds = script.calls or any(_is_pixel_script(each.value) for each in script.texts)
            if script.broken and holds:
                yield Finding("script_broken", "a syntax error", "", script.broken)

    def setting_up(self) -> Iterator[Finding]:
        for calls in (self.read_calls, self.seen_calls):
            yield from self._inits(calls)
        inits = [each for each in self._both() if each.command == "init"]
        if self.loads and not inits and not self._unsure():
            yield Finding("init_missing", 'no oaiq("init", …)', "", self.loads[0].place)

    def _inits(self, calls: list[Call]) -> Iterator[Finding]:
        known: list[str] = []
        early = [each for each in calls if not each.deferred]
        for call in early:
            if call.command in ("measure", "measureSingle") and any(each.command == "init" for each in early):
                if not any(each.command == "init" for each in early[: early.index(call)]):
                    yield Finding("init_late", f"{_event(call)!s} comes before init", call.where, call.place)
                break
        for call in calls:
            if call.command != "init":
                continue
            options = call.arguments[1] if len(call.arguments) > 1 else None
            if isinstance(options, Unknown):
                known.append("?")
                continue
            held = options if isinstance(options, dict) else {}
            given = held.get("pixelId")
            yield from (
                Finding(code_, said, call.where, call.place) for code_, said in events.user_faults(held.get("user"))
            )
            if given is None and "..." not in held:
                if not known or "user" not in held:
                    said = f"its second argument is {type(options).__name__}" if options and not held else "pixelId"
                    said = "pixelId is missing" if said == "pixelId" else "the id is given as text, not in an object"
                    yield Finding("init_without_pixel_id", said, call.where, call.place)
                known.append("?")
                continue
            if isinstance(given, Unknown) or given is None:
                known.append("?")
                continue
            if not isinstance(given, str) or not given.strip():
                yield Finding("init_without_pixel_id", "pixelId is blank or no text", call.where, call.place)
                continue
            if self.pixel_id and given != self.pixel_id:
                yield Finding("pixel_id_wrong", f"{given[:40]}, not {self.pixel_id}", call.where, call.place)
            elif not _PIXEL_ID.fullmatch(given):
                yield Finding("pixel_id_wrong", f"{given[:12]}… has not the form of a Pixel ID", call.where, call.place)
            if given in known and "user" not in held and not call.deferred:
                yield Finding("init_twice", f"a second init of {given[:40]}", call.where, call.place)
            known.append(given)

    # Events ----------------------------------------------------------------------------------------------------------

    def measured(self) -> Iterator[Finding]:
        for call in self._both():
            if call.command not in ("measure", "measureSingle"):
                continue
            given = list(call.arguments[(1 if call.command == "measure" else 2) :])
            name, data, options = (*given, None, None, None)[:3]
            for found, said in (
                *events.name_faults(name, options),
                *events.id_faults(name, options),
                *events.data_faults(name, data),
                *events.raw_faults(data),
            ):
                yield Finding(found, said, call.where, call.place)
        if self.visit:
            yield from self._changed_ids(self.visit)

    def _changed_ids(self, visit: Visit) -> Iterator[Finding]:
        """An id that the second load makes anew. It is compared event by event, in their order."""
        before, after = _ids(self.seen_calls), _ids(visit.again)
        for name, first in before.items():
            for (call, one), (_, other) in zip(first, after.get(name, []), strict=False):
                if one != other:
                    yield Finding(
                        "event_id_changes", f"{name} has another event_id on a reload", call.where, call.place
                    )

    def image_tags(self) -> Iterator[Finding]:
        for url, place, where in self._images():
            if events.is_image(url):
                for found, said in events.image_faults(url):
                    yield Finding(found, said, where, place)
                personal = addresses.personal_data_in(url)
                if personal:
                    yield Finding("personal_data_in_url", personal, where, place)

    # Consent ---------------------------------------------------------------------------------------------------------

    def consent(self) -> Iterator[Finding]:
        late = False
        for calls in (self.read_calls, self.seen_calls):
            begun = withheld = False
            for call in calls:
                if call.deferred:
                    continue
                if call.command == "init":
                    begun = True
                elif call.command == "consent":
                    refused = len(call.arguments) > 1 and call.arguments[1] is False
                    if refused and begun and not withheld:
                        late = True
                        yield Finding("consent_late", "after init", call.where, call.place)
                    withheld = withheld or not (len(call.arguments) > 1 and call.arguments[1] is True)
        if late:
            return
        manager = _MANAGER.search(self.written)
        if self.visit is None and manager:
            asked = False
            for call in self.read_calls:
                if call.deferred:
                    continue
                asked = asked or call.command == "consent"
                if call.command in ("init", "measure", "measureSingle") and not asked:
                    said = f"{call.command} without waiting for {manager.group(0)[:40]}"
                    yield Finding("events_before_consent", said, call.where, call.place)
        withheld = False
        for call in self.seen_calls:
            if call.command == "consent":
                withheld = len(call.arguments) > 1 and call.arguments[1] is False
            elif call.command in ("init", "measure", "measureSingle") and not withheld and call.is_unanswered:
                said = f"{call.command} ran before {call.consent['manager']} had an answer"
                yield Finding("events_before_consent", said, call.where, call.place)

    # Content-Security-Policy -----------------------------------------------------------------------------------------

    def security_policy(self) -> Iterator[Finding]:
        url = self.page.url or addresses.PAGE
        images = any(events.is_image(image) for image, _, _ in self._images())
        relay = next((each for each in self.page.scripts if RELAY_CLICK.search(each.get("src"))), None)
        for each in policy.policies(self.page):
            place = each.element.place if each.element else None
            official = [load for load in self.loads if load.address == SDK]
            if official and not any(each.allows("script-src-elem", SDK, url, load.element) for load in official):
                yield Finding("csp_script", _said(each, "script-src-elem"), each.where, place)
            for element in self.page.scripts:
                if (
                    element.text
                    and element.is_code
                    and _is_about_pixel(element.text)
                    and not each.allows_inline(element)
                ):
                    yield Finding("csp_inline", _said(each, "script-src-elem"), each.where, element.place)
                    break
            if self.loads and not each.allows("connect-src", COLLECT, url):
                yield Finding("csp_connect", _said(each, "connect-src"), each.where, place)
            elif self.loads and not each.allows("connect-src", CONFIG, url):
                yield Finding("csp_config", _said(each, "connect-src"), each.where, place)
            if images and not each.allows("img-src", COLLECT, url):
                yield Finding("csp_image", _said(each, "img-src"), each.where, place)
            if relay:
                source = addresses.absolute(relay.get("src"), url)
                endpoint = addresses.absolute(relay.get("data-endpoint") or addresses.origin(source) + "/", url)
                for directive, target, tag in (("script-src-elem", source, relay), ("connect-src", endpoint, None)):
                    if not each.allows(directive, target, url, tag):
                        yield Finding("csp_relay_click", _said(each, directive), each.where, place)
        for violation in self.visit.violations if self.visit else ():
            found = _violated(violation, self.page)
            if found:
                yield found

    def server_api(self) -> Iterator[Finding]:
        for script in self.scripts:
            for each in script.texts:
                if _SERVER_API.search(each.value):
                    yield Finding("server_api_in_page", "bzr.openai.com/v1/events in a script", "", each.place)
        for request in self.visit.requests if self.visit else ():
            if _SERVER_API.search(request):
                yield Finding("server_api_in_page", "the page asked for bzr.openai.com/v1/events", "a request")

    # The click -------------------------------------------------------------------------------------------------------

    def click(self) -> Iterator[Finding]:
        visit = self.visit
        present = any(RELAY_CLICK.search(each.get("src")) for each in self.page.scripts) or bool(
            visit and any(RELAY_CLICK.search(each) for each in visit.scripts)
        )
        if self.relay_click and not present:
            if visit is None and _LATER.search(self.written):
                self.notes.append("relay-click.js is not written in the page; a tag manager may bring it along.")
            else:
                yield Finding("relay_click_missing", "no script tag with relay-click.js", "<head>")
        if visit is None:
            return
        if present and not visit.key:
            if not self.page.url:
                self.notes.append("A file has no origin, so whether relay-click.js keeps its key was not looked at.")
            elif visit.relay_click and visit.relay_click_waits:
                self.notes.append("relay-click.js waits for consent, so it kept no key.")
            else:
                said = visit.relay_click_error or (
                    "it ran, and localStorage has no key" if visit.relay_click else "it did not run"
                )
                yield Finding("relay_click_failed", said, "relay-click.js")
        if any(call.is_unanswered for call in self.seen_calls) or any(
            call.command == "consent" and call.arguments[1:2] == (False,) for call in self.seen_calls
        ):
            self.notes.append("The pixel waits for consent, so the cookies after a click could not be looked at.")
            return
        missing = [name for name in ("__oppref", "__obref") if name not in visit.cookies]
        if missing and any(call.command == "init" for call in self.seen_calls):
            said = " and ".join(missing) + " not set after a visit with oppref"
            if "oppref=" not in visit.url:
                said += "; oppref is gone from the address"
            yield Finding("click_cookies", said, "cookies")

    # Addresses -------------------------------------------------------------------------------------------------------

    def in_addresses(self) -> Iterator[Finding]:
        page_url = self.page.url
        if page_url:
            yield from _address_findings(page_url, "the page's address", None, landing=True)
        read = set()
        for element in self.page.elements:
            target = element.get("href") if element.tag == "a" else element.get("action")
            if element.tag not in ("a", "form") or not target:
                continue
            read.add(addresses.absolute(target, page_url))
            yield from _address_findings(target, f"<{element.tag}>", element.place, landing=False)
        for url in self.visit.links if self.visit else ():
            if url not in read and not _is_decorated(url):
                yield from _address_findings(url, f"link {addresses.shown(url)}", None, landing=False)
        get = False
        for element in self.page.elements:
            if element.tag == "form":
                get = element.get("method").lower() == "get"
            elif element.tag == "input" and get:
                kind = element.get("type").lower()
                if kind in ("email", "tel"):
                    yield Finding(
                        "personal_data_in_url",
                        f"a form with method=get has a field of type {kind}",
                        "<input>",
                        element.place,
                    )
                name = element.get("name")
                if kind != "hidden" and addresses.reserved_in(f"?{name}=1", landing=False):
                    yield Finding("reserved_parameter", name, "<input>", element.place)

    def errors(self) -> Iterator[Finding]:
        for text, url in self.visit.errors if self.visit else ():
            about = re.search(r"\boaiq\b|bzrcdn\.openai\.com|bzr\.openai\.com", f"{text} {url}")
            if about and "Content Security Policy" not in text and "ERR_BLOCKED_BY_CSP" not in text:
                yield Finding("pixel_error", text[:200], addresses.shown(url) if url else "")

    # -----------------------------------------------------------------------------------------------------------------

    def _both(self) -> list[Call]:
        return [*self.read_calls, *self.seen_calls]

    def _unsure(self) -> bool:
        """Whether a script that was not read may hold what is missed."""
        return self.visit is None and any(
            each.get("src") and not _is_pixel_script(each.get("src")) and not RELAY_CLICK.search(each.get("src"))
            for each in self.page.scripts
        )

    def _images(self) -> Iterator[tuple[str, Place | None, str]]:
        read = set()
        for element in self.page.elements:
            if element.tag == "img" and element.get("src"):
                read.add(element.get("src"))
                yield element.get("src"), element.place, "<img>"
        for script in self.scripts:
            for each in script.texts:
                if events.is_image(each.value) and "event=" in each.value and "${" not in each.value:
                    read.add(each.value)
                    yield each.value, each.place, "a script"
        for url in self.visit.images if self.visit else ():
            if url not in read:
                yield url, None, "an image tag of the finished page"


_NONE: Final[frozenset[str]] = frozenset()
_ONCE: Final = frozenset(
    ("pixel_twice", "csp_script", "csp_inline", "csp_connect", "csp_config", "csp_image", "csp_relay_click")
) | frozenset(
    ("events_before_consent", "server_api_in_page", "click_cookies", "init_missing", "consent_late", "pixel_missing")
)
"""What a page has or has not, in however many places it shows."""
_NO_PIXEL: Final = frozenset(
    ("pixel_missing", "script_address", "init_missing", "init_without_pixel_id", "csp_script", "csp_inline")
) | {"script_broken", "pixel_error"}
_CAUSED_BY: Final[dict[str, frozenset[str]]] = {
    "click_cookies": _NO_PIXEL,
    "pixel_error": frozenset(("script_broken", "csp_script", "csp_inline", "script_address", "server_api_in_page")),
    "init_missing": frozenset(("script_broken", "csp_inline", "script_address")),
    "init_twice": frozenset(("pixel_twice",)),
    "events_before_consent": frozenset(("consent_late",)),
    "relay_click_failed": frozenset(("csp_relay_click", "click_cookies")),
    "csp_config": frozenset(("csp_connect",)),
    "pixel_missing": frozenset(("script_broken",)),
    "data_field": frozenset(("personal_data_in_event",)),
}
"""Findings that are left out where another one explains them."""


def _order(call: Call) -> tuple[int, int]:
    return (call.place.line, call.place.column) if call.place else (0, 0)


def _is_pixel_script(address: str) -> bool:
    if not re.fullmatch(r"(?:https?:)?[/\w.-][^\s'\"<>]{0,500}", address) or not address.partition("?")[0].endswith(
        ".js"
    ):
        return False
    parts = addresses.split(address)
    host = parts.hostname or ""
    if RELAY_CLICK.search(address):
        return False
    return bool(_PIXEL_NAME.search(parts.path)) or host == "openai.com" or host.endswith(".openai.com")


def _is_about_pixel(text: str) -> bool:
    return "oaiq" in text


def _loads(page: Page, scripts: list[tuple[Script, bool]]) -> Iterator[Load]:
    found = [
        Load(element.get("src").strip(), element.place, element.in_head, element)
        for element in page.scripts
        if _is_pixel_script(element.get("src").strip())
    ]
    for script, in_head in scripts:
        found += [Load(each.value, each.place, in_head) for each in script.texts if _is_pixel_script(each.value)]
    yield from sorted(found, key=lambda load: load.place or Place(0, 0))


def _placed(seen: list[Call], read: list[Call]) -> list[Call]:
    """Calls that a browser saw, each with the place where it is written, if it is in the page itself."""
    by_line: dict[int, list[Call]] = {}
    for call in read:
        if call.place:
            by_line.setdefault(call.place.line, []).append(call)
    placed = []
    for call in seen:
        same = [each for each in by_line.get(call.place.line, []) if each.command == call.command] if call.place else []
        best = min(same, key=lambda each: abs(each.place.column - call.place.column), default=None)  # type: ignore[union-attr]
        place = best.place if best else call.place
        placed.append(Call(call.arguments, place, False, call.where, call.number, call.consent))
    return placed


def _event(call: Call) -> str:
    name = call.arguments[1 if call.command == "measure" else 2 :][:1]
    return str(code.plain(name[0]))[:64] if name else call.command


def _ids(calls: list[Call]) -> dict[str, list[tuple[Call, object]]]:
    found: dict[str, list[tuple[Call, object]]] = {}
    for call in calls:
        options = call.arguments[3 if call.command == "measure" else 4 :][:1]
        if call.command in ("measure", "measureSingle") and options and isinstance(options[0], dict):
            given = options[0].get("event_id")
            if given is not None:
                found.setdefault(_event(call), []).append((call, given))
    return found


def _said(held: policy.Policy, directive: str) -> str:
    name, sources = held.sources(directive) or (directive, [])
    return f"{name} {' '.join(sources)}"[:160]


def _violated(violation: dict[str, Any], page: Page) -> Finding | None:
    directive = str(violation.get("directive", ""))
    blocked = str(violation.get("blocked", ""))
    said = f"the browser blocked {addresses.shown(blocked) if ':' in blocked else blocked} by {directive}"
    host = addresses.split(blocked).hostname or ""
    if blocked == "inline":
        line = violation.get("line") or 0
        about = any(
            _is_about_pixel(each.text)
            for each in page.scripts
            if each.place.line <= line <= each.place.line + each.text.count("\n") + 1
        )
        return Finding("csp_inline", said, directive) if about else None
    if RELAY_CLICK.search(blocked):
        return Finding("csp_relay_click", said, directive)
    if host == "bzrcdn.openai.com":
        return Finding("csp_script" if directive.startswith("script") else "csp_config", said, directive)
    if host == "bzr.openai.com" and not _SERVER_API.search(blocked):
        return Finding("csp_image" if directive.startswith("img") else "csp_connect", said, directive)
    return None


def _address_findings(url: str, where: str, place: Place | None, *, landing: bool) -> Iterator[Finding]:
    personal = addresses.personal_data_in(url)
    if personal:
        yield Finding("personal_data_in_url", personal, where, place)
    order = addresses.order_id_in(url)
    if order:
        yield Finding("order_id_in_url", f"in the parameter {order[:40]}", where, place)
    reserved = addresses.reserved_in(url, landing=landing)
    if reserved:
        yield Finding("reserved_parameter", reserved[:40], where, place)
    for found, said in addresses.utm_faults(url):
        yield Finding(found, said, where, place)


def _is_decorated(url: str) -> bool:
    """A link that a script has given the click's reference: not the shop's own use of the name."""
    return any(name in ("oppref", "obref", "relay_click") for name, _ in addresses.parameters(url))
