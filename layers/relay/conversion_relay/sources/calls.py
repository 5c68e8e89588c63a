"""When a telephone call or a form is a lead: one rule for every platform that reports them.

A platform's module reads its payload into a `Call` or a `Form`; what it does not say stays None and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

from conversion_relay import click, click_memory, money
from conversion_relay.click_memory import NOTHING, Recalled
from conversion_relay.delivery import Conversion, Ignored, NotUnderstood, Recall
from conversion_relay.payload import identifier, is_filled, number, text, value_at
from conversion_relay.settings import ActionSource, Settings
from conversion_relay.sources import consent, envelope
from conversion_relay.sources.consent import Consent

Verdict = Literal["lead", "not_a_lead"]
"""What a person said of the call afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as its platform tells it. None: the platform does not say.

    ``started_ms`` is when it began (Unix milliseconds, UTC), ``talk_s`` for how many seconds the two have talked:
    ringing, greetings and waiting are not talk. ``data`` is ``amount`` (minor units) and ``currency`` where it is worth
    something.
    """

    subject: str
    started_ms: int | None
    inbound: bool | None = None
    over: bool | None = None
    answered: bool | None = None
    talk_s: Decimal | int | None = None
    first_time: bool | None = None
    spam: bool | None = None
    voicemail: bool | None = None
    verdict: Verdict | None = None
    user: Mapping[str, Any] = field(default_factory=dict)
    oppref: str | None = None
    obref: str | None = None
    pixel_id: str | None = None
    consent: Consent = envelope.NOT_SAID
    recalled: Recalled = NOTHING
    data: Mapping[str, Any] = field(default_factory=dict)
    event_type: str = "lead_created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What somebody sent in from a page: a form, a finished chat, an appointment. None: the platform does not say.

    ``pages`` are addresses of the page, the best first; ``submitted_ms`` and ``data`` as in `Call`.
    """

    subject: str
    submitted_ms: int | None
    pages: Sequence[str | None] = ()
    over: bool | None = None
    first_time: bool | None = None
    spam: bool | None = None
    verdict: Verdict | None = None
    user: Mapping[str, Any] = field(default_factory=dict)
    oppref: str | None = None
    obref: str | None = None
    consent: Consent = envelope.NOT_SAID
    recalled: Recalled = NOTHING
    data: Mapping[str, Any] = field(default_factory=dict)
    event_type: str = "lead_created"
    action_source: ActionSource = "web"


def lead(call: Call, settings: Settings, now_ms: int) -> Conversion | Ignored:
    """The call as a conversion, or why it is none.

    A person's verdict "lead" outweighs what a machine counted (seconds, answered, repeated, voicemail), and so upgrades
    a call that was ignored before; spam and calls from inside out are no leads whatever is said.

    Raises:
        NotUnderstood: it counts, but nobody says when it was.
    """
    reason = (
        "outbound"
        if call.inbound is False
        else _never(call) or (None if call.verdict == "lead" else _unless_said_otherwise(call, settings))
    )
    if reason is not None:
        return Ignored(reason, _DETAIL[reason])
    timestamp_ms = _fresh(call.started_ms, now_ms)
    if timestamp_ms is None:
        return _STALE
    return envelope.conversion(
        call.event_type,
        subject=call.subject,
        timestamp_ms=timestamp_ms,
        action_source="phone_call",
        source_url=None,
        user=call.user,
        data=call.data,
        oppref=call.oppref,
        obref=call.obref,
        pixel_id=call.pixel_id,
        consent=call.consent,
        recalled=call.recalled,
        settings=settings,
        match_key_required=True,
    )


def form_lead(form: Form, settings: Settings, now_ms: int) -> Conversion | Ignored:
    """The form as a conversion, or why it is none. A verdict "lead" outweighs that it is not the first.

    Raises:
        NotUnderstood: it counts, but nobody says when it was, or on which page.
    """
    reason = _never(form)
    if reason is None and form.verdict != "lead" and form.first_time is False and settings.first_time_only:
        reason = "repeat_form"
    if reason is not None:
        return Ignored(reason, _DETAIL[reason])
    timestamp_ms = _fresh(form.submitted_ms, now_ms)
    if timestamp_ms is None:
        return _STALE
    pages = (click.source_url(page, origin=None) for page in form.pages)
    page = envelope.first(pages) or form.recalled.source_url
    source_url = page or settings.site_origin or settings.storefront_origin or None
    refused = form.consent.state == "denied"  # nothing of it is kept, not even for want of a page
    if form.action_source == "web" and source_url is None and not refused:
        raise NotUnderstood(
            "source_url_missing", "a web event needs the address of a page, and there is none: set SiteOrigin"
        )
    return envelope.conversion(
        form.event_type,
        subject=form.subject,
        timestamp_ms=timestamp_ms,
        action_source=form.action_source,
        source_url=source_url,
        user=form.user,
        data=form.data,
        oppref=form.oppref,
        obref=form.obref,
        pixel_id=None,
        consent=form.consent,
        recalled=form.recalled,
        settings=settings,
        match_key_required=True,
    )


def _never(told: Call | Form) -> str | None:
    if told.spam:
        return "spam"
    if told.over is False:
        return "call_not_over"
    return "not_a_lead" if told.verdict == "not_a_lead" else None


def _unless_said_otherwise(call: Call, settings: Settings) -> str | None:
    if call.voicemail and not settings.count_voicemail:
        return "voicemail"
    if call.answered is False and not call.voicemail:
        return "not_answered"
    if call.talk_s is None or call.talk_s < settings.min_call_seconds:
        return "too_short"
    return "repeat_caller" if call.first_time is False and settings.first_time_only else None


def _fresh(told_ms: int | None, now_ms: int) -> int | None:
    if told_ms is None:
        raise NotUnderstood("time_missing", "there is no time, or none that can be read, at which it happened")
    return envelope.fresh(told_ms, now_ms)


_STALE: Final = Ignored("stale_event", "it lies outside the 7 days that the API accepts")
_DETAIL: Final[Mapping[str, str]] = {
    "outbound": "a call from inside out",
    "spam": "marked as spam",
    "call_not_over": "it has not ended yet: its end is the conversion",
    "not_a_lead": "a person said that it is no lead",
    "voicemail": "the caller spoke to a machine (CountVoicemail is off)",
    "not_answered": "nobody answered",
    "too_short": "they talked for less than MinCallSeconds",
    "repeat_caller": "not this caller's first call (FirstTimeOnly is on)",
    "repeat_form": "not this visitor's first (FirstTimeOnly is on)",
}


# What the platforms' payloads have in common --------------------------------------------------------------------------

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_VALUE: Final = re.compile(r"([$€£¥]?)\s*([0-9]{1,15}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(\.[0-9]{1,6})?")
_CURRENCY_OF: Final = {"€": ("EUR",), "£": ("GBP",), "¥": ("JPY", "CNY")}


def known_id(node: object, *path: str) -> str | None:
    """An id of a platform: letters, digits, - and _, so that no mail address and no prose gets into a key or a log."""
    found = identifier(node, *path)
    return found if found is not None and _ID.fullmatch(found) else None


def object_id(node: object, *names: str) -> str:
    """The id under the first of these names that has one.

    Raises:
        NotUnderstood: there is none.
    """
    found = envelope.first(known_id(node, name) for name in names)
    if found is None:
        raise NotUnderstood("id_missing", f"{' or '.join(names)} is missing, or no id")
    return found


def named(source: str, node: object, *names: Sequence[str]) -> Sequence[str]:
    """The ledger subject of an object, made of the first id under each of the lists of names; none where one lacks."""
    ids = [envelope.first(known_id(node, name) for name in each) for each in names]
    found = [each for each in ids if each is not None]
    return (":".join((source, *found)),) if len(found) == len(ids) else ()


def seconds(node: object, *path: str) -> Decimal | None:
    """A number of seconds, or the text of one; None where nothing stands.

    Raises:
        NotUnderstood: something stands there that is no number. Taken for none, a lead would be lost.
    """
    found = number(node, *path)
    if found is None and is_filled(node, *path):
        raise NotUnderstood("duration_unreadable", f"{'.'.join(path) or 'it'} is no number of seconds")
    return found


def worth(value: object, settings: Settings) -> dict[str, Any]:
    """``amount`` and ``currency`` of a value such as 149.5, "1234.50" or "$1,234.50", or neither.

    The currency is the configured one (CallCurrency). A sign that belongs to another one, "1.234,50" and "20,00" are
    not guessed at, and 0 is what platforms write where nobody has set a value.
    """
    if isinstance(value, str):
        written = _VALUE.fullmatch(value.strip())
        if written is None:
            return {}
        sign, whole, fraction = written[1], written[2], written[3] or ""
        if settings.call_currency not in _CURRENCY_OF.get(sign, (settings.call_currency,)):
            return {}
        value = Decimal(whole.replace(",", "") + fraction)
    amount = money.minor_units(value, settings.call_currency)
    return {"amount": amount, "currency": settings.call_currency} if amount else {}


def is_tagged_spam(*lists: object) -> bool:
    """Whether a tag "Spam" is among those of the lists, given as texts or as objects with a ``name``."""
    tags = [tag for each in lists if isinstance(each, list) for tag in each]
    names = [value_at(tag, "name") if isinstance(tag, dict) else tag for tag in tags]
    return any(isinstance(name, str) and name.strip().lower() == "spam" for name in names)


class Visit(NamedTuple):
    """What is known of the page that somebody came from: as the delivery says it, and as the click memory does."""

    oppref: str | None = None
    obref: str | None = None
    consent: Consent = envelope.NOT_SAID
    recalled: Recalled = NOTHING


_HOLDERS: Final = ("custom_fields", "custom", "additional_fields", "form_data", "form", "fields")
"""Where platforms put what an account or a form has of its own, by name."""


def field_of(body: object, name: str) -> object:
    """A field that an account or a form has of its own, wherever its platform puts these."""
    holders = (body, *(value_at(body, holder) for holder in _HOLDERS))
    return next((found for each in holders if (found := value_at(each, name)) not in (None, "")), None)


def visit_of(fields: object, urls: Iterable[object], recall: Recall) -> Visit:
    """The references of the first addresses that have one, as they stand there, and what is remembered under the key of
    a field or an address. ``fields`` is what holds the fields of the account.
    """
    addresses = list(urls)
    clicked = click_of(addresses)
    keys = (field_of(fields, click_memory.FIELD), *map(click_memory.key_in_url, addresses))
    told = Consent(
        consent.said(field_of(fields, consent.CONSENT)), consent.opted_out(field_of(fields, consent.OPT_OUT))
    )
    return Visit(clicked.oppref, clicked.obref, told, click_memory.recalled(recall, keys))


def click_of(urls: Iterable[object]) -> click.Click:
    """The references of the first addresses that have one, as they stand there (never decoded)."""
    texts = [url for url in urls if isinstance(url, str)]
    return click.Click(
        envelope.first(map(click.oppref_from_url, texts)), envelope.first(map(click.obref_from_url, texts))
    )


def word(node: object, *path: str) -> str:
    """A status as the platforms vary it, in one spelling: "No Answer", "no_answer" and "no-answer" are the same."""
    return re.sub(r"[\s_-]+", "-", (text(node, *path) or "").lower())


def landing_pages(node: object, *path: str) -> list[Any]:
    """The addresses ``landing`` of the objects in an object, in their order."""
    held = value_at(node, *path)
    return [value_at(each, "landing") for each in held.values()] if isinstance(held, dict) else []
