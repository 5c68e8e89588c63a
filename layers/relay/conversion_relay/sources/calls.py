"""When a telephone call is a lead: one rule for every platform that reports calls.

A platform's module reads its payload into a `Call`; whatever it does not say stays None and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal

from conversion_relay.delivery import Conversion, Ignored
from conversion_relay.settings import Settings
from conversion_relay.sources import envelope

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
    data: Mapping[str, Any] = field(default_factory=dict)
    event_type: str = "lead_created"


def lead(call: Call, settings: Settings, now_ms: int) -> Conversion | Ignored:
    """The call as a conversion, or why it is none.

    A person's verdict "lead" outweighs what a machine counted (seconds, answered, repeated, voicemail), and so upgrades
    a call that was ignored before; spam and calls from inside out are no leads whatever is said.
    """
    reason = _never(call) or (None if call.verdict == "lead" else _unless_said_otherwise(call, settings))
    if reason is not None:
        return Ignored(reason, _DETAIL[reason])
    timestamp_ms = envelope.fresh(call.started_ms, now_ms)
    if timestamp_ms is None:
        return Ignored("stale_event", "the call lies outside the 7 days that the API accepts, or has no time")
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
        settings=settings,
        match_key_required=True,
    )


def _never(call: Call) -> str | None:
    if call.inbound is False:
        return "outbound"
    if call.spam:
        return "spam"
    if call.over is False:
        return "call_not_over"
    return "not_a_lead" if call.verdict == "not_a_lead" else None


def _unless_said_otherwise(call: Call, settings: Settings) -> str | None:
    if call.voicemail and not settings.count_voicemail:
        return "voicemail"
    if call.answered is False and not call.voicemail:
        return "not_answered"
    if call.talk_s is None or call.talk_s < settings.min_call_seconds:
        return "too_short"
    return "repeat_caller" if call.first_time is False and settings.first_time_only else None


_DETAIL: Final[Mapping[str, str]] = {
    "outbound": "a call from inside out",
    "spam": "marked as spam",
    "call_not_over": "the call has not ended yet: its end is the conversion",
    "not_a_lead": "a person said that it is no lead",
    "voicemail": "the caller spoke to a machine (CountVoicemail is off)",
    "not_answered": "nobody answered",
    "too_short": "they talked for less than MinCallSeconds",
    "repeat_caller": "not this caller's first call (FirstTimeOnly is on)",
}
