"""CallTrackingMetrics: the activities of one or more accounts, calls and FormReactor forms.

The source is called ``ctm``, and so is its path. Every moment of an activity is told under one id, to one address.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Ignored, Recall, Refused, Result, Source
from conversion_relay.payload import flag, is_filled, number, parse_object, string, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources import calls
from conversion_relay.sources.calls import Call, Form, Visit
from conversion_relay.sources.person import user_fields
from conversion_relay.sources.signatures import claims_of, hmac_base64, is_one_of

NAME: Final = "ctm"
TOLERANCE_MS: Final = 300_000
"""How far ``X-CTM-Time`` may lie from our clock, on either side."""

_SECONDS: Final = re.compile(r"[0-9]{1,12}")


def sign(body: bytes, secret: str, time: str) -> str:
    """The value of ``X-CTM-Signature`` for a body that is sent with this ``X-CTM-Time`` (CTM docs)."""
    return hmac_base64(secret, time.encode("utf-8", "replace") + body, hashlib.sha1)


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    """Accept a body that any active secret has signed, with its time, within 300 s of now.

    Raises:
        Refused: 401 when a header is missing or malformed, no signature fits, or the time is off.
    """
    given, time = (delivery.headers.get(name) for name in ("x-ctm-signature", "x-ctm-time"))
    if not given or not time:
        raise Refused("signature_missing", "the delivery carries no X-CTM-Signature or no X-CTM-Time header")
    if not is_one_of(given, [sign(delivery.body, secret, time) for secret in secrets]):
        raise Refused(
            "signature_wrong",
            "the signature fits none of the configured secrets: compare the secret key of the account (a sub-account "
            "may have its own) with that of this relay",
        )
    sent_ms = _read_time(time.strip())
    if sent_ms is None:
        raise Refused("signature_malformed", "X-CTM-Time holds no time")
    if abs(sent_ms - now_ms // 1000 * 1000) > TOLERANCE_MS:
        raise Refused("timestamp_off", "it was signed over 300 s away from now: a replay, or a clock is wrong")


def _read_time(text: str) -> int | None:
    # Unix seconds; the other two are what the documentation would also allow.
    if _SECONDS.fullmatch(text):
        return timestamps.from_unix(int(text))
    return timestamps.from_iso(text) or timestamps.from_rfc2822(text)


def tenant(delivery: Delivery) -> str | None:
    """The account, such as ``596001``. The body may be unverified."""
    return calls.known_id(claims_of(delivery.body), "account_id")


def delivery_id(delivery: Delivery) -> str | None:
    """The activity that it is about: CallTrackingMetrics gives its deliveries no id."""
    return calls.known_id(claims_of(delivery.body), "id")


def about(delivery: Delivery) -> Sequence[str]:
    """The activity, for the log."""
    return calls.named(NAME, claims_of(delivery.body), ("account_id",), ("id",))


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    Raises:
        NotUnderstood: it is a call or a form, but lacks what one has.
    """
    body = parse_object(delivery.body)
    # What was typed in comes with the activity; nobody has talked in it yet.
    is_form = any(is_filled(body, name) for name in _FORM_DATA) and not calls.seconds(body, "talk_time")
    handle = _form if is_form else DIRECTIONS.get(calls.word(body, "direction"))
    if handle is None:
        return Ignored("kind_not_handled", "the activity is neither a call nor a form")
    return handle(body, settings, now_ms, recall)


def _call(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    dialled, status = calls.word(body, "dial_status"), calls.word(body, "call_status") or calls.word(body, "status")
    sold, visit = _is_sold(body), _visit(body, recall)
    call = Call(
        subject=_subject(body),
        started_ms=_time(body),
        inbound=calls.word(body, "direction") == "inbound",
        over=False if status in _UNDER_WAY else None,
        answered=_answered(dialled or status),
        # Never duration: it runs while the phone rings, and is filled although nobody answered.
        talk_s=calls.seconds(body, "talk_time"),
        first_time=flag(body, "is_new_caller"),
        spam=_is_spam(body),
        voicemail="voicemail" in (dialled, status),
        verdict="lead" if sold else None,
        user=_user(body, settings),
        data=_worth(body, settings),
        event_type="order_created" if sold and settings.ctm_sale_event == "order" else "lead_created",
        **visit._asdict(),
    )
    return calls.lead(call, settings, now_ms)


def _form(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    visit = _visit(body, recall)
    form = Form(
        subject=_subject(body),
        submitted_ms=_time(body),
        pages=(string(body, "last_location"), string(body, "location")),
        first_time=flag(body, "is_new_caller"),
        spam=_is_spam(body),
        verdict="lead" if _is_sold(body) else None,
        user=_user(body, settings),
        data=_worth(body, settings),
        **visit._asdict(),
    )
    return calls.form_lead(form, settings, now_ms)


def _text_message(*_: object) -> Result:
    return Ignored("text_message", "a text message is no lead")


def _subject(body: Mapping[str, Any]) -> str:
    return f"{NAME}:{calls.object_id(body, 'account_id')}:{calls.object_id(body, 'id')}"


def _time(body: Mapping[str, Any]) -> int | None:
    seconds = number(body, "unix_time")
    return timestamps.from_unix(int(seconds)) if seconds is not None else None


def _answered(status: str) -> bool | None:
    if status in ("answered", "completed"):
        return True
    # "voicemail" is told apart before this is asked.
    return None if status in ("", "voicemail") else False


def _is_spam(body: Mapping[str, Any]) -> bool:
    return (
        flag(body, "spam") is True
        or calls.word(body, "spam", "risk") in _SPAM_RISKS
        or calls.is_tagged_spam(value_at(body, "tag_list"))
    )


def _is_sold(body: Mapping[str, Any]) -> bool:
    """Whether a person has scored the activity as a conversion. Stars alone (``score``) may as well be bad ones."""
    return flag(body, "sale", "conversion") is True


def _worth(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    return calls.worth(value_at(body, "sale", "value"), settings)


def _user(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    return user_fields(
        settings=settings,
        emails=[value_at(body, "email")],
        # Never caller_number_bare: it has lost its country code.
        phones=[(value_at(body, "caller_number"), None)],
        city=value_at(body, "city"),
        region=value_at(body, "state"),
        postal_code=value_at(body, "postal_code"),
        country=value_at(body, "country"),
        ip_address=value_at(body, "visitor_ip"),
    )


def _visit(body: Mapping[str, Any], recall: Recall) -> Visit:
    return calls.visit_of(body, [value_at(body, "location"), value_at(body, "last_location")], recall)


_FORM_DATA: Final = ("form", "form_data", "form_reactor", "formreactor")
_UNDER_WAY: Final = frozenset({"queued", "initiated", "ringing", "in-progress", "connecting", "started"})
_SPAM_RISKS: Final = frozenset({"high", "very-high", "spam", "blocked"})
"""Of the risks only these: "low" and "medium" are what many good callers get."""

DIRECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any], Settings, int, Recall], Result]]] = {
    "inbound": _call,
    "outbound": _call,
    "form": _form,
    "msg-inbound": _text_message,
    "msg-outbound": _text_message,
}

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, retries=False, about=about)
