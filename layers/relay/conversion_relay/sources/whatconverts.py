"""WhatConverts: leads of one or more profiles.

It signs nothing. What proves the sender is a secret that was pasted into its settings: a static header, or a part of
the address. So nothing ties the body to the sender; whoever has the secret can write anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Ignored, NotUnderstood, Recall, Refused, Result, Source
from conversion_relay.payload import flag, parse_object, string, value_at
from conversion_relay.settings import ActionSource, Settings
from conversion_relay.sources import calls
from conversion_relay.sources.calls import Call, Form, Verdict, Visit
from conversion_relay.sources.envelope import first
from conversion_relay.sources.person import user_fields
from conversion_relay.sources.signatures import claims_of, is_one_of

NAME: Final = "whatconverts"


def sign(secret: str) -> str:
    """The value of ``Authorization``, whatever the body."""
    return f"Bearer {secret}"


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:  # noqa: ARG001 - no time is signed
    """Accept a delivery that carries any active secret, as ``Authorization: Bearer …`` or as ``?token=…``.

    Raises:
        Refused: 401 when there is none, or none that fits.
    """
    given = list(_given(delivery))
    if not given:
        raise Refused("signature_missing", "the delivery carries neither Authorization: Bearer … nor ?token=…")
    # Every one is compared, also after a match, so that the time taken tells nothing.
    matches = [is_one_of(each, secrets) for each in given]
    if not any(matches):
        raise Refused(
            "signature_wrong",
            "the token fits none of the configured secrets: compare the header (or the address) in the WhatConverts "
            "webhook with the secret of this relay",
        )


def _given(delivery: Delivery) -> Iterator[str]:
    scheme, _, value = delivery.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        yield value.strip()
    for pair in delivery.query.split("&"):
        name, _, value = pair.partition("=")
        if name == "token" and value:
            yield unquote(value)


def tenant(delivery: Delivery) -> str | None:
    """The profile, such as ``51001``, else the account. The body may be unverified."""
    claims = claims_of(delivery.body)
    return first(calls.known_id(claims, name) for name in ("profile_id", "account_id"))


def delivery_id(delivery: Delivery) -> str | None:
    """The lead that it is about: WhatConverts gives its deliveries no id."""
    return calls.known_id(claims_of(delivery.body), "lead_id")


def about(delivery: Delivery) -> Sequence[str]:
    """The lead, for the log."""
    return calls.named(NAME, claims_of(delivery.body), ("lead_id",))


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    ``trigger`` plays no part: an update of a lead that is recorded is a duplicate, and an update that makes a lead of
    one that was ignored (a call that is over now, quotable "Yes") is what it was sent for.

    Raises:
        NotUnderstood: there is no lead in it, or one that lacks what a lead has.
    """
    body = parse_object(delivery.body)
    lead_type = calls.word(body, "lead_type")
    if not lead_type:
        raise NotUnderstood("lead_type_missing", "the delivery does not say what type of lead it is about")
    handle = LEAD_TYPES.get(lead_type)
    if handle is None:
        return Ignored("lead_type_not_handled", "this type of lead holds no conversion for this relay")
    return handle(body, settings, now_ms, recall)


def _call(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    status, visit = calls.word(body, "call_status"), _visit(body, recall)
    call = Call(
        subject=_subject(body),
        started_ms=_time(body),
        inbound="outbound" not in calls.word(body, "direction"),
        over=False if status == "in-progress" else _is_over(body),
        answered=status in ("answered", "completed") if status else None,
        talk_s=calls.seconds(body, "call_duration_seconds"),
        first_time=_is_first(body),
        spam=_is_spam(body),
        voicemail="voicemail" in status,
        verdict=_VERDICTS.get(calls.word(body, "quotable")),
        user=_user(body, settings, ("caller_number", "phone_number", "contact_phone_number")),
        data=calls.worth(value_at(body, "sales_value"), settings),
        **visit._asdict(),
    )
    return calls.lead(call, settings, now_ms)


def _form(
    event_type: str = "lead_created", action_source: ActionSource = "web"
) -> Callable[[Mapping[str, Any], Settings, int, Recall], Result]:
    def handle(body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
        visit = _visit(body, recall)
        form = Form(
            subject=_subject(body),
            submitted_ms=_time(body),
            pages=(string(body, "lead_url"), string(body, "landing_url")),
            over=_is_over(body),
            first_time=_is_first(body),
            spam=_is_spam(body),
            verdict=_VERDICTS.get(calls.word(body, "quotable")),
            user=_user(body, settings, ("phone_number", "contact_phone_number", "caller_number")),
            data=calls.worth(value_at(body, "sales_value"), settings),
            event_type=event_type,
            action_source=action_source,
            **visit._asdict(),
        )
        return calls.form_lead(form, settings, now_ms)

    return handle


def _no_conversion(reason: str, detail: str) -> Callable[[Mapping[str, Any], Settings, int, Recall], Result]:
    return lambda *_: Ignored(reason, detail)


def _subject(body: Mapping[str, Any]) -> str:
    return f"{NAME}:{calls.object_id(body, 'lead_id')}"


def _time(body: Mapping[str, Any]) -> int | None:
    return timestamps.from_iso(value_at(body, "date_created"))


def _is_over(body: Mapping[str, Any]) -> bool | None:
    return False if calls.word(body, "lead_state") == "in-progress" else None


def _is_first(body: Mapping[str, Any]) -> bool | None:
    if flag(body, "duplicate") is True:
        return False
    return {"unique": True, "repeat": False, "duplicate": False}.get(calls.word(body, "lead_status"))


def _is_spam(body: Mapping[str, Any]) -> bool:
    return flag(body, "spam") is True or "spam" in (calls.word(body, "lead_status"), calls.word(body, "quotable"))


def _user(body: Mapping[str, Any], settings: Settings, phones: Sequence[str]) -> dict[str, Any]:
    return user_fields(
        settings=settings,
        emails=[value_at(body, name) for name in ("email_address", "contact_email_address")],
        phones=[(value_at(body, name), None) for name in phones],
        city=value_at(body, "city"),
        region=value_at(body, "state"),
        postal_code=value_at(body, "zip"),
        country=value_at(body, "country"),
        ip_address=value_at(body, "ip_address"),
    )


def _visit(body: Mapping[str, Any], recall: Recall) -> Visit:
    return calls.visit_of(body, [value_at(body, "landing_url"), value_at(body, "lead_url")], recall)


# "Not Set" and "Pending" are no verdict.
_VERDICTS: Final[Mapping[str, Verdict]] = {"yes": "lead", "no": "not_a_lead"}

LEAD_TYPES: Final[Mapping[str, Callable[[Mapping[str, Any], Settings, int, Recall], Result]]] = {
    "phone-call": _call,
    "web-form": _form(),
    "appointment": _form("appointment_scheduled"),
    "chat": _form(),
    "email": _form(action_source="email"),
    "text-message": _no_conversion("text_message", "a text message is no lead"),
    "transaction": _no_conversion(
        "transaction", "an order comes from the shop or the payment itself: here it would count twice"
    ),
    "event": _no_conversion("custom_event", "what a custom event means is not known here"),
    "custom-event": _no_conversion("custom_event", "what a custom event means is not known here"),
}

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, retries=False, about=about)
