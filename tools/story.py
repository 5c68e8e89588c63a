"""What became of a conversion, in sentences: pure functions of its ledger item and of how the sender fares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from conversion_relay.circuit import Circuit
from conversion_relay.event import MARGIN_MS, MAX_PAST_MS, InvalidEvent, has_match_key, parse
from conversion_relay.ledger import AMEND_MARGIN_MS, TO_FETCH
from conversion_relay.settings import DeliveryMode
from tools.entries import Entry
from tools.readings import Line, Schedule
from tools.wording import moment, span, worth

LATE_MS: Final = 15 * 60_000
"""A conversion that still waits this long after a run could have taken it has been given up by the outbox, or is hidden
by SQS after a run that broke off (610 s).
"""
URGENT_MS: Final = 2 * 86_400_000
"""Less than this of the 7 days left: a person should look."""

SOURCES: Final = {
    "shopify": "Shopify", "stripe": "Stripe", "callrail": "CallRail", "ctm": "CallTrackingMetrics",
    "whatconverts": "WhatConverts", "twilio": "Twilio", "aircall": "Aircall", "backend": "your own backend",
    "calendly": "Calendly", "hubspot": "HubSpot", "invoca": "Invoca", "retreaver": "Retreaver", "ringba": "Ringba",
    "ringcentral": "RingCentral", "typeform": "Typeform",
    "typeform_survey": "Typeform (survey)", "knocommerce": "KnoCommerce", "fairing": "Fairing",
}  # fmt: skip
"""How people write the sources; any other goes by its own name."""

_MATCH_KEYS: Final = {
    "emails_sha256": "hashed e-mail",
    "phone_numbers_sha256": "hashed phone",
    "external_ids_sha256": "hashed customer id",
}
_OUTCOMES: Final = {
    "recorded": "recorded",
    "duplicate": "a duplicate",
    "ignored": "ignored",
    "remembered": "remembered for later",
    "compliance": "a privacy request",
    "parked": "parked",
    "failed": "not taken",
}


@dataclass(frozen=True)
class Sending:
    """How the sender fares. None: it could not be read."""

    now_ms: int
    mode: DeliveryMode = "live"
    schedule: Schedule | None = None
    circuit: Circuit | None = None


@dataclass(frozen=True)
class Stage:
    """One step of a conversion: its name, when it was taken (Unix milliseconds; None: not yet, or no matter) and what
    happened. ``good`` is None where nothing is decided.
    """

    name: str
    at_ms: int | None
    sentence: str
    good: bool | None = None


def source(name: str) -> str:
    """A source as people write it."""
    return SOURCES.get(name, name)


def delivered(line: Line) -> str:
    """What became of a delivery, and why."""
    named = f" ({line.reason})" if line.reason not in (line.outcome, "") else ""
    return f"{_OUTCOMES.get(line.outcome, line.outcome)}{named}: {line.detail}"


def stages(entry: Entry, sending: Sending) -> Sequence[Stage]:
    """The way of a conversion, or of an object to fetch, from the ledger's view."""
    if entry.is_fetch:
        return _fetch_stages(entry)
    found = [_recorded(entry)]
    if entry.hold_until_ms:
        found.append(_held(entry, sending.now_ms))
    if entry.amended_ms:
        found.append(
            Stage("amended", entry.amended_ms, "By a delivery that knew more; its event is the one that counts.")
        )
    if entry.reopened_ms:
        found.append(
            Stage("replayed", entry.reopened_ms, f"It was {entry.reopened_from}, and was put on its way again.")
        )
    found += _ENDS.get(entry.status, _waiting)(entry, sending)
    found.append(_matching(entry.event))
    return found


def freshness_left_ms(timestamp_ms: int, now_ms: int) -> int:
    """How long OpenAI will still take an event of this time: of its 7 days, less the margin that the sender keeps."""
    return timestamp_ms + MAX_PAST_MS - MARGIN_MS - now_ms


def match_keys(event: Mapping[str, Any]) -> Sequence[str]:
    """The kinds of what OpenAI can match the event by; never a value."""
    user = event.get("user", {})
    clicks = [
        name
        for name, held in {"click reference (oppref)": event, "browser reference (obref)": user}.items()
        if name[name.index("(") + 1 : -1] in held
    ]
    return [*clicks, *(name for field, name in _MATCH_KEYS.items() if user.get(field))]


def _recorded(entry: Entry) -> Stage:
    event = entry.event
    as_what = [str(event.get("custom_event_name") or event.get("type", ""))]
    if "action_source" in event:
        as_what.append(f"action source {event['action_source']}")
    as_what.append(worth(event) or "no value")
    own = f" Event id {event['id']} (the pixel's)." if event.get("id") != entry.key.partition("#")[2] else ""
    happened = f"It happened {moment(entry.timestamp_ms)}."
    return Stage("recorded", entry.recorded_ms, f"As {', '.join(as_what)}. {happened}{own}")


def _held(entry: Entry, now_ms: int) -> Stage:
    left_ms = entry.hold_until_ms - now_ms
    if left_ms <= 0 or entry.status != "recorded":
        return Stage("held", None, f"Until {moment(entry.hold_until_ms)}, for a delivery that might tell more.")
    amendable = "" if left_ms > AMEND_MARGIN_MS else " Nothing changes it any more."
    return Stage(
        "held",
        None,
        f"Until {moment(entry.hold_until_ms)}, {span(left_ms)} from now: the delivery that is due any moment (a Stripe "
        f"session) may tell more.{amendable}",
    )


def _waiting(entry: Entry, sending: Sending) -> list[Stage]:
    left_ms = freshness_left_ms(entry.timestamp_ms, sending.now_ms)
    if left_ms <= 0:
        return [
            Stage(
                "waiting",
                None,
                "Over 7 days old: OpenAI takes it no more, and the next run of the sender ends it as expired.",
                good=False,
            )
        ]
    left = f"{span(left_ms)} of OpenAI's 7 days are left."
    good = False if _is_late(entry, sending, left_ms) else None
    return [Stage("waiting", None, f"{_why_waiting(entry, sending)} {left}", good)]


def _why_waiting(entry: Entry, sending: Sending) -> str:
    now_ms, circuit, schedule = sending.now_ms, sending.circuit, sending.schedule
    if sending.mode == "shadow":
        return "Not sent yet, and not while DeliveryMode is shadow: the sender touches nothing."
    if schedule is not None and not schedule.enabled:
        return "Not sent yet, and not while the sender's schedule is disabled."
    if circuit is not None:
        return f"Not sent yet. Since {moment(circuit.since_ms)}: {whole(circuit.advice)}"
    if entry.hold_until_ms > now_ms:
        return "In the queue, hidden until the hold is over; the next run after that sends it."
    if schedule is None:
        return "In the queue, or on its way there; the next run of the sender takes it."
    if schedule.last_ms is not None and schedule.last_ms > sendable_ms(entry) + LATE_MS:
        return (
            f"Recorded, but the run of {moment(schedule.last_ms)} has not taken it: the outbox may have given it up "
            "(relay status), or it is hidden for ten minutes after a run that broke off."
        )
    last = f"last ran {moment(schedule.last_ms)}" if schedule.last_ms else "has not run lately"
    return f"In the queue, or on its way there; the sender runs {schedule.words}, {last}{_next(schedule, now_ms)}."


def _next(schedule: Schedule, now_ms: int) -> str:
    if not schedule.last_ms:
        return ""
    due_ms = schedule.last_ms + int(schedule.every.total_seconds() * 1000)
    return f", next about {moment(due_ms)}" if due_ms > now_ms else ", and is due"


def sendable_ms(entry: Entry) -> int:
    """Since when a run of the sender could take it (Unix milliseconds)."""
    return max(entry.recorded_ms, entry.hold_until_ms, entry.reopened_ms)


def _is_late(entry: Entry, sending: Sending, left_ms: int) -> bool:
    schedule = sending.schedule
    missed = schedule is not None and (schedule.last_ms or 0) > sendable_ms(entry) + LATE_MS
    stopped = sending.circuit is not None or sending.mode == "shadow" or (schedule is not None and not schedule.enabled)
    return left_ms < URGENT_MS or missed or stopped


def _sent(entry: Entry, _: Sending) -> list[Stage]:
    said = whole(entry.reason) if entry.reason else "Accepted by OpenAI."
    waited = f"After {span(entry.settled_ms - entry.recorded_ms)}."
    return [Stage("sent", entry.settled_ms, waited), Stage("OpenAI", entry.settled_ms, said, good=True)]


def _rejected(entry: Entry, _: Sending) -> list[Stage]:
    name, code = entry.reason.partition(": ")[::2]
    why = f" because of {name} ({code})" if code else f": {entry.reason}" if entry.reason else ", without a reason"
    return [
        Stage("sent", entry.settled_ms, "In a batch whose other events were not held back by it."),
        Stage("OpenAI", entry.settled_ms, f"Refused it for good{why}.", good=False),
    ]


def _expired(entry: Entry, _: Sending) -> list[Stage]:
    age = whole(entry.reason) if entry.reason else ""
    return [
        Stage(
            "expired",
            entry.settled_ms,
            f"Never sent: OpenAI takes nothing that is over 7 days old. {age}".strip(),
            good=False,
        )
    ]


def _shadow(entry: Entry, _: Sending) -> list[Stage]:
    return [
        Stage("shadow", entry.recorded_ms, "Recorded in DeliveryMode shadow: it is never sent, unless it is replayed.")
    ]


_ENDS: Final = {"sent": _sent, "rejected": _rejected, "expired": _expired, "shadow": _shadow}


def _matching(event: Mapping[str, Any]) -> Stage:
    keys = match_keys(event)
    user = event.get("user", {})
    beside = [
        name
        for name, fields in {"hashed names": ("first_names_sha256", "last_names_sha256"), "place": _PLACE}.items()
        if any(user.get(field) for field in fields)
    ]
    beside += [
        name for name, field in {"IP address": "ip_address", "user agent": "user_agent"}.items() if field in user
    ]
    weak = f"; beside them {_listed(beside)}" if beside else ""
    if is_matchable(event):
        return Stage("matching", None, f"OpenAI can match it by {_listed(keys)}{weak}.", good=True)
    only = f" {_listed(beside)} alone are not enough" if beside else " nothing of a person is in it"
    return Stage(
        "matching", None, f"OpenAI cannot match it to a click:{only}. It counts, and no ad is credited.", good=None
    )


_PLACE: Final = ("cities", "regions", "postal_codes", "countries")


def is_matchable(event: Mapping[str, Any]) -> bool:
    """Whether OpenAI can match the event to a click, by the rule that the receivers go by."""
    try:
        parsed = parse(event)
    except InvalidEvent:  # of an older version of the relay, or changed by hand
        return bool(match_keys(event))
    return has_match_key(parsed.user, parsed.oppref)


def _fetch_stages(entry: Entry) -> Sequence[Stage]:
    noted = Stage(
        "noted", entry.recorded_ms, "A thin event of Stripe: it names an object, which is fetched afterwards."
    )
    if entry.status == TO_FETCH:
        return [noted, Stage("waiting", None, "Not fetched yet; it is tried every 10 minutes, for 7 days.")]
    return [noted, Stage("fetched", entry.settled_ms, whole(entry.reason), good=True)]


def advice(entry: Entry, sending: Sending) -> str | None:
    """What a person should do about a conversion, or None."""
    left_ms = freshness_left_ms(entry.timestamp_ms, sending.now_ms)
    if entry.status == "rejected":
        if left_ms <= 0:
            return "Nothing: it is over 7 days old, and OpenAI takes it no more."
        return (
            "Correct what makes that field so, then send it again with 'relay replay ledger --status rejected' "
            f"within {span(left_ms)}. If the relay itself built it wrongly, please open an issue."
        )
    if entry.status == "recorded" and left_ms > 0 and _is_late(entry, sending, left_ms):
        return "Look at 'relay status': it says what keeps events from being sent."
    return None


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def whole(text: str) -> str:
    """A text as a sentence: with a capital, and with a stop at its end."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) or not text else f"{text}."
