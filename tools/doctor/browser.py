"""A page in headless Chromium: what its scripts do, once with a click and once more without.

Nothing is sent to OpenAI: all of its hosts are answered here (`sdk.js`), unless ``live`` is asked for. Playwright is
imported when a browser is wanted, and is no dependency of anything that is deployed.
"""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from tools import chromium
from tools.doctor import addresses, fetching
from tools.doctor.code import Call
from tools.doctor.events import is_image
from tools.doctor.fetching import Unseen
from tools.doctor.findings import SDK
from tools.doctor.page import LARGEST_PAGE, Page, Place, decode
from tools.doctor.rules import RELAY_CLICK, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Request, Response, Route
    from playwright.sync_api import Page as Tab

FLAGS: Final = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTLE_S: Final = 2.5
"""How long a loaded page gets for what its scripts do afterwards; less, once all has been seen."""
QUIET_S: Final = 0.25
MOST_RECORDS: Final = 1_000

_OPENAI: Final = re.compile(r"^https?://(?:[^/?#@]*\.)?openai\.com(?::[0-9]+)?(?:[/?#]|$)", re.IGNORECASE)
_STACK: Final = re.compile(r"(https?://.*?):([0-9]+):([0-9]+)\)?$")
_MAC: Final = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
_HERE: Final = Path(__file__).parent
_STATE: Final = """() => ({
  scripts: Array.from(document.scripts, (each) => each.src).filter(Boolean).slice(0, 500),
  links: Array.from(document.querySelectorAll("a[href]"), (each) => each.href).slice(0, 2000),
  images: Array.from(document.images, (each) => each.src).slice(0, 500),
  relay: typeof window.relayClick === "object" && window.relayClick !== null,
  consent: (document.querySelector('script[src*="relay-click"]') || {dataset: {}}).dataset.consent || "",
  stored: [localStorage, sessionStorage].map((each) => { try { return each.getItem("relay_click"); }
    catch (e) { return null; } }),
})"""


def find(given: str = "") -> str | None:
    """A Chromium on this machine: the one that is named, else the first that is found. None without Playwright."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return None
    if given:
        if not shutil.which(given):
            raise Unseen(f"There is no Chromium {given}.")
        return given
    return chromium.installed() or (_MAC if Path(_MAC).exists() else None)


@contextlib.contextmanager
def started(executable: str, flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A headless Chromium, for several pages; ended afterwards. ``flags`` are added to `FLAGS`."""
    from playwright.sync_api import Error, sync_playwright

    # A root's Chromium has no sandbox; and where the kernel denies one, a page of one's own is looked at without.
    sandboxes = (False,) if not hasattr(os, "geteuid") or os.geteuid() == 0 else (True, False)
    with sync_playwright() as playwright:
        problem: Error | None = None
        for sandbox in sandboxes:
            try:
                browser = playwright.chromium.launch(
                    executable_path=executable, chromium_sandbox=sandbox, args=[*FLAGS, *flags], timeout=30_000
                )
            except Error as failed:
                problem = failed
                continue
            try:
                yield browser
            finally:
                browser.close()
            return
        raise Unseen(f"{executable} does not start: {_short(problem)} Look without it: --static.")


@dataclass
class _Records:
    calls: list[Call] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    relay_click: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    last: float = 0.0


def look(browser: Browser, target: str, *, timeout_s: float, live: bool = False) -> tuple[Page, Visit]:
    """Open an address or a file, as after a click on an ad, and once more as the next page view.

    ``timeout_s``: for each of the two. Raises `Unseen` where there is no page to look at.
    """
    file = None if fetching.is_address(target) else fetching.file_of(target).resolve()
    url = fetching.checked(target) if file is None else addresses.PAGE + file.name
    context = browser.new_context(service_workers="block", accept_downloads=False)
    try:
        return _Looking(context, url, target, file, timeout_s, live).all()
    finally:
        with contextlib.suppress(Exception):
            context.close()


class _Looking:
    def __init__(
        self, context: BrowserContext, url: str, target: str, file: Path | None, timeout_s: float, live: bool
    ) -> None:
        self.context = context
        self.url = url
        self.target = target
        self.file = file
        self.timeout_s = timeout_s
        self.records = _Records()
        if file is not None:
            context.route(lambda each: each.startswith(addresses.PAGE), self._serve_file)
        if not live:
            context.route(_OPENAI, self._stand_in)
        context.expose_binding("__relayDoctor", self._record)
        context.add_init_script(path=_HERE / "recorder.js")

    def all(self) -> tuple[Page, Visit]:
        clicked = self.url if _has_click(self.url) else _with_click(self.url)
        tab = self._tab()
        page = self._open(tab, clicked)
        self._settle(tab)
        visit = self._seen(tab, page)
        if any(_has_id(call) for call in visit.calls):
            self.records = _Records()
            self._open(tab, self.url)
            self._settle(tab)
            visit.again = self.records.calls
        return page, visit

    def _tab(self) -> Tab:
        tab = self.context.new_page()
        tab.set_default_timeout(self.timeout_s * 1000)
        tab.on("console", lambda said: self._error(said.text, said.location) if said.type == "error" else None)
        tab.on("pageerror", lambda problem: self._error(str(problem), {}))
        tab.on("request", self._asked)
        tab.on("response", self._answered)
        tab.on("requestfailed", self._failed)
        tab.on("dialog", lambda dialog: dialog.dismiss())
        return tab

    # What happens ----------------------------------------------------------------------------------------------------

    def _record(self, _source: object, text: str) -> None:
        try:
            record = json.loads(text)
        except ValueError:
            return
        self.records.last = time.monotonic()
        if record.get("kind") == "violation" and len(self.records.violations) < MOST_RECORDS:
            self.records.violations.append(record)
        elif record.get("kind") == "call" and len(self.records.calls) < MOST_RECORDS:
            place, where = self._place(str(record.get("at", "")))
            arguments = tuple(record.get("args") or ())
            number = len(self.records.calls)
            self.records.calls.append(Call(arguments, place, False, where, number, record.get("consent") or {}))

    def _place(self, at: str) -> tuple[Place | None, str]:
        """The place in the page itself; of another script its address."""
        found = _STACK.search(at)
        if not found:
            return None, "the pixel's queue"
        url, line, column = found.group(1), int(found.group(2)), int(found.group(3))
        if url.partition("?")[0].partition("#")[0] in {each.partition("?")[0] for each in self.records.documents}:
            return Place(line, column), ""
        return None, f"{addresses.shown(url)} line {line}, column {column}"

    def _asked(self, request: Request) -> None:
        if request.is_navigation_request() and request.frame.parent_frame is None:
            self.records.documents.append(request.url)
        if _OPENAI.match(request.url) and len(self.records.requests) < MOST_RECORDS:
            self.records.requests.append(f"{request.method} {request.url}")
            if request.method == "GET" and is_image(request.url):
                self.records.images.append(request.url)

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._about_relay_click(response.request, f"HTTP {response.status}")

    def _failed(self, request: Request) -> None:
        self._about_relay_click(request, str(request.failure or "failed"))

    def _about_relay_click(self, request: Request, what: str) -> None:
        by = request.method == "POST" and '"oppref"' in (request.post_data or "") and not _OPENAI.match(request.url)
        if RELAY_CLICK.search(request.url) or by:
            self.records.relay_click.append(f"{request.method} {addresses.shown(request.url)}: {what}")

    def _error(self, text: str, location: Any) -> None:
        if len(self.records.errors) < MOST_RECORDS:
            url = location.get("url", "") if isinstance(location, dict) else getattr(location, "url", "")
            self.records.errors.append((text[:1000], str(url)))

    # What is answered here -------------------------------------------------------------------------------------------

    def _stand_in(self, route: Route) -> None:
        url, method = route.request.url, route.request.method
        allowed = {"access-control-allow-origin": "*", "access-control-allow-headers": "*", "cache-control": "no-store"}
        with contextlib.suppress(Exception):  # the page may be gone by now
            if url == SDK:
                script = (_HERE / "sdk.js").read_text()
                route.fulfill(status=200, headers=allowed, content_type="text/javascript", body=script)
            elif is_image(url):
                body = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;" if method == "GET" else b""
                route.fulfill(status=200 if body else 202, headers=allowed, content_type="image/gif", body=body)
            elif url.startswith("https://bzrcdn.openai.com/pixel-config/"):
                route.fulfill(status=200, headers=allowed, content_type="application/json", body="{}")
            else:
                route.fulfill(status=404, headers=allowed, content_type="text/plain", body="")

    def _serve_file(self, route: Route) -> None:
        """The file and what lies beside or below it; nothing else of the machine."""
        file = self.file
        if file is None:
            return
        wanted = unquote(urlsplit(route.request.url).path).lstrip("/")
        with contextlib.suppress(Exception):
            path = (file.parent / wanted).resolve()
            inside = path.is_relative_to(file.parent) and path.is_file() and path.stat().st_size <= LARGEST_PAGE
            if not inside:
                route.fulfill(status=404, content_type="text/plain", body="")
                return
            kind = "text/html" if path == file else mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            route.fulfill(status=200, content_type=kind, body=path.read_bytes())

    # The way of a visit ----------------------------------------------------------------------------------------------

    def _open(self, tab: Tab, url: str) -> Page:
        from playwright.sync_api import Error
        from playwright.sync_api import TimeoutError as TooLong

        deadline = time.monotonic() + self.timeout_s
        try:
            response = tab.goto(url, wait_until="commit")
            if response is None:
                raise Unseen(f"{self.target} gives no page.")
            if response.status >= 400:
                raise Unseen(fetching.answered(self.target, response.status))
            headers = response.all_headers()
            fetching.check_answer(self.target, response.url, headers)
            tab.wait_for_load_state("domcontentloaded", timeout=_left_ms(deadline))
            body = response.body()
        except TooLong:
            raise Unseen(fetching.never_finished(self.target, self.timeout_s)) from None
        except Error as problem:
            raise Unseen(_sentence(self.target, problem)) from None
        text = decode(body, headers.get("content-type", ""))
        shown = "" if self.file else _without_click(response.url, self.url)
        headers = {**headers, "content-security-policy": headers.get("content-security-policy", "").replace("\n", ", ")}
        page = fetching.usable(Page(shown, text, headers), self.target)
        if not self.file:
            fetching.check_login(self.url, page)
        return page

    def _settle(self, tab: Tab) -> None:
        """Wait until all has been seen that is hoped for, or `SETTLE_S` at most."""
        from playwright.sync_api import Error

        with contextlib.suppress(Error):
            tab.wait_for_load_state("load", timeout=self.timeout_s * 1000 / 2)
        start = time.monotonic()
        while (now := time.monotonic()) - start < SETTLE_S:
            try:
                tab.wait_for_timeout(100)
                state = tab.evaluate(_STATE)
                names = {each.get("name") for each in self.context.cookies()}
            except Error:  # between two documents
                continue
            pixel = not any("oaiq" in each for each in state["scripts"]) or {"__oppref", "__obref"} <= names
            relay = not any(RELAY_CLICK.search(each) for each in state["scripts"]) or _key(state["stored"])
            if pixel and relay and now - max(self.records.last, start) > QUIET_S:
                return

    def _seen(self, tab: Tab, page: Page) -> Visit:
        from playwright.sync_api import Error

        try:
            state = tab.evaluate(_STATE)
            final = tab.url
            cookies = {str(each.get("name")) for each in self.context.cookies()}
        except Error as problem:
            raise Unseen(_sentence(self.target, problem)) from None
        records = self.records
        return Visit(
            url=final,
            calls=records.calls,
            scripts=state["scripts"],
            links=[each for each in state["links"] if not page.url or each != final],
            images=[*dict.fromkeys([*records.images, *(each for each in state["images"] if is_image(each))])],
            requests=records.requests,
            cookies=cookies,
            key=_key(state["stored"]),
            relay_click=state["relay"],
            relay_click_waits=state["consent"] != "none",
            relay_click_error=records.relay_click[-1] if records.relay_click else "",
            violations=records.violations,
            errors=records.errors,
        )


def _key(stored: list[str | None]) -> bool:
    for text in stored:
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            key = json.loads(text or "").get("key")
            if isinstance(key, str) and re.fullmatch(r"rc1_[A-Za-z0-9_-]{22}", key):
                return True
    return False


def _has_id(call: Call) -> bool:
    return any(isinstance(each, dict) and each.get("event_id") is not None for each in call.arguments)


def _has_click(url: str) -> bool:
    return any(name == "oppref" and value for name, value in addresses.parameters(url))


def _with_click(url: str) -> str:
    base, hash_sign, fragment = url.partition("#")
    token = "gAAAAAdoctor" + secrets.token_urlsafe(24)
    return f"{base}{'&' if '?' in base else '?'}oppref={token}{hash_sign}{fragment}"


def _without_click(final: str, asked: str) -> str:
    """The address that was reached, without the click that the doctor put there."""
    if _has_click(asked):
        return final
    cut = re.sub(r"([?&])oppref=gAAAAAdoctor[^&#]*&?", r"\1", final)
    return re.sub(r"[?&](?=#|$)", "", cut)


def _left_ms(deadline: float) -> float:
    return max(1.0, (deadline - time.monotonic()) * 1000)


def _short(problem: Exception | None) -> str:
    lines = str(problem).strip().splitlines() or [""]
    return lines[0][:200].rstrip(".") + "."


def _sentence(target: str, problem: Exception) -> str:
    text = str(problem)
    for sign, said in (
        ("ERR_TOO_MANY_REDIRECTS", f"{target} redirects for ever. Open it in a browser and correct the redirects."),
        ("ERR_NAME_NOT_RESOLVED", f"{target} cannot be reached: there is no such host. Is the address right?"),
        ("ERR_CERT", f"{target} has no valid certificate."),
        ("ERR_SSL", f"{target} has no valid certificate."),
        ("ERR_INVALID_AUTH", f"{target} is not open to visitors: it needs a login."),
        ("Download is starting", f"{target} is no page but a download. Name the address of a page."),
        ("ERR_ABORTED", f"{target} is no page that a browser shows. Name the address of a page."),
        ("No resource with given identifier", f"{target} gave no page that stays: it sends on at once."),
    ):
        if sign in text:
            return said
    return f"{target} cannot be opened: {_short(problem)}"
