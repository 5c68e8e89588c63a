"""CallRail: calls and forms of one or more companies. It never sends a webhook twice.

Ten kinds of webhooks come to the same address, and none says which it is: the content does. Calls before their end, on
the way out and text messages are no leads. The fields in the query string are a leftover and are not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Ignored, Recall, Refused, Result, Source
from conversion_relay.payload import flag, number, parse_object, string, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources import calls
from conversion_relay.sources.calls import Call, Form, Verdict
from conversion_relay.sources.envelope import first
from conversion_relay.sources.person import user_fields
from conversion_relay.sources.signatures import claims_of, hmac_base64, is_one_of

NAME: Final = "callrail"


def sign(body: bytes, secret: str) -> str:
    """The value of ``Signature`` for a body: base64 of HMAC-SHA1, whatever else public code says (CallRail docs)."""
    return hmac_base64(secret, body, hashlib.sha1)


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:  # noqa: ARG001 - CallRail signs no time
    """Accept a body that any active signing key of the company has signed.

    Raises:
        Refused: 401 when the signature is missing or fits no key.
    """
    given = delivery.headers.get("signature")
    if not given:
        raise Refused("signature_missing", "the delivery carries no Signature header")
    if not is_one_of(given, [sign(delivery.body, secret) for secret in secrets]):
        raise Refused(
            "signature_wrong",
            "the signature fits none of the configured keys: compare the company's signing key (CallRail, Settings, "
            "Integrations, Webhooks) with that of this relay; every company has its own",
        )


def tenant(delivery: Delivery) -> str | None:
    """The company, such as ``COM8154748ae6bd4e27``. The body may be unverified."""
    claims = claims_of(delivery.body)
    return first(calls.known_id(claims, name) for name in ("company_resource_id", "company_id"))


def delivery_id(delivery: Delivery) -> str | None:
    """The call or form that it is about: CallRail gives its deliveries no id."""
    return calls.known_id(claims_of(delivery.body), "resource_id")


def about(delivery: Delivery) -> Sequence[str]:
    """The call or form, for the log."""
    return calls.named(NAME, claims_of(delivery.body), ("resource_id", "id"))


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    Raises:
        NotUnderstood: it is a call or a form, but lacks what one has.
    """
    body = parse_object(delivery.body)
    for marks, handle in KINDS:
        # A field that is there but empty shows nothing: a call may carry all the fields of a form.
        if any(value_at(body, mark) not in (None, "", {}, []) for mark in marks):
            return handle(body, settings, now_ms, recall)
    return Ignored("kind_not_handled", "the webhook is about neither a call nor a form nor a text message")


def _form(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    entered = value_at(body, "form_data")
    visit = calls.visit_of(body, [*_urls(body), value_at(body, "form_url")], recall)
    form = Form(
        subject=f"{NAME}:{calls.object_id(body, 'resource_id', 'id')}",
        submitted_ms=_time(body, "submitted_at", "timestamp"),
        pages=(string(body, "form_url"), string(body, "landing_page_url")),
        first_time=flag(body, "first_form"),
        spam=_is_spam(body),
        verdict=_VERDICTS.get(calls.word(body, "lead_status")),
        user=user_fields(
            settings=settings,
            emails=_entered(entered, "email"),
            phones=[(value, None) for part in ("phone", "mobile") for value in _entered(entered, part)],
            ip_address=value_at(body, "ip"),
        ),
        data=calls.worth(value_at(body, "value"), settings),
        **visit._asdict(),
    )
    return calls.form_lead(form, settings, now_ms)


def _entered(entered: object, part: str) -> list[Any]:
    """What was typed into the fields whose name holds a word: forms call them "email", "your-email", "E-Mail" …"""
    if not isinstance(entered, dict):
        return []
    return [value for name, value in entered.items() if part in "".join(filter(str.isalpha, name.lower()))]


def _call(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    kind = calls.word(body, "call_type")
    duration = calls.seconds(body, "duration")
    visit = calls.visit_of(body, _urls(body), recall)
    call = Call(
        subject=f"{NAME}:{calls.object_id(body, 'resource_id', 'id')}",
        started_ms=_time(body, "start_time", "timestamp"),
        inbound="outbound" not in (calls.word(body, "direction"), kind),
        # Before its end a call has no duration, or one of 0 that is not answered (CallRail docs).
        over=duration is not None,
        answered=flag(body, "answered"),
        talk_s=duration,
        first_time=_is_first(body),
        spam=_is_spam(body),
        voicemail=flag(body, "voicemail") or kind == "voicemail",
        verdict=_VERDICTS.get(calls.word(body, "lead_status")),
        user=user_fields(
            settings=settings,
            phones=[(value_at(body, "customer_phone_number"), None)],
            city=value_at(body, "customer_city"),
            region=value_at(body, "customer_state"),
            country=value_at(body, "customer_country"),
            ip_address=value_at(body, "ip"),
        ),
        data=calls.worth(value_at(body, "value"), settings),
        **visit._asdict(),
    )
    return calls.lead(call, settings, now_ms)


def _text_message(*_: object) -> Result:
    return Ignored("text_message", "a text message is no lead")


def _urls(body: Mapping[str, Any]) -> list[Any]:
    # Never landing_page_url_params: what stands there is decoded already.
    landings = calls.landing_pages(body, "milestones")
    return [value_at(body, "landing_page_url"), *landings, value_at(body, "last_requested_url")]


def _time(body: Mapping[str, Any], *names: str) -> int | None:
    return next((ms for name in names if (ms := timestamps.from_iso(value_at(body, name))) is not None), None)


def _is_first(body: Mapping[str, Any]) -> bool | None:
    said, prior = flag(body, "first_call"), number(body, "prior_calls")
    return said if said is not None or prior is None else prior == 0


def _is_spam(body: Mapping[str, Any]) -> bool:
    return flag(body, "spam") is True or calls.is_tagged_spam(value_at(body, "tags"), value_at(body, "detail_tags"))


# "previously_marked_good_lead" is about an earlier call of the same person.
_VERDICTS: Final[Mapping[str, Verdict]] = {"good-lead": "lead", "not-a-lead": "not_a_lead"}

KINDS: Final[Sequence[tuple[Sequence[str], Callable[[Mapping[str, Any], Settings, int, Recall], Result]]]] = (
    (("form_data", "form_url", "submitted_at"), _form),
    (("message_type", "conversation_id", "source_number"), _text_message),
    (("call_type", "direction", "answered", "customer_phone_number"), _call),
)
"""The fields that show a kind, and the function that reads it. Convert Assist has none of them, and is ignored."""

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, retries=False, about=about)
