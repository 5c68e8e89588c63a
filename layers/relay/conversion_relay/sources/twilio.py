"""Twilio: status callbacks of calls, of one or more accounts.

Twilio signs the whole address that it calls, and the form fields; where the body is JSON its hash is in the address. A
callback carries no click data but what its own address holds: ``?oppref=…``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlparse

from conversion_relay import click, timestamps
from conversion_relay.delivery import Delivery, Ignored, NotUnderstood, Recall, Refused, Result, Source
from conversion_relay.payload import is_filled, parse_object, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources import calls
from conversion_relay.sources.calls import Call
from conversion_relay.sources.consent import CONSENT, OPT_OUT
from conversion_relay.sources.person import user_fields
from conversion_relay.sources.signatures import LARGEST_UNVERIFIED_BYTES, claims_of, hmac_base64, is_one_of

NAME: Final = "twilio"
ALGORITHMS: Final[Mapping[str, Callable[..., Any]]] = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
"""The auth token signs with the first, a shared key with whichever the header names (Twilio SDK 9.13)."""
MOST_FIELDS: Final = 1_000
"""A callback has about forty. More are not parsed: anybody may post to the address."""

_TENANT: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_CALL: Final = re.compile(r"CA[A-Za-z0-9_-]{1,98}")


def sign(url: str, fields: Iterable[tuple[str, str]], secret: str, algorithm: str = "HMAC_SHA1") -> str:
    """The value of ``X-Twilio-Signature``: over the address, then every name and value, sorted, each pair once."""
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return hmac_base64(secret, text.encode("utf-8", "replace"), ALGORITHMS[algorithm])


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:  # noqa: ARG001 - Twilio signs no time
    """Accept what any active auth token or shared key has signed.

    Raises:
        Refused: 403 when the signature is missing, names an unknown algorithm or fits no secret, or the body is not the
            one that was signed.
    """
    given = delivery.headers.get("x-twilio-signature")
    if not given:
        raise Refused("signature_missing", "the delivery carries no X-Twilio-Signature header", 403)
    algorithm = _algorithm(delivery.headers.get("x-twilio-webhooks-signature-settings", ""))
    if algorithm not in ALGORITHMS:
        raise Refused("signature_malformed", "the signature is of an algorithm that this relay does not know", 403)
    fields = _signed_fields(delivery)
    addresses = _addresses(delivery)
    expected = [sign(address, fields, secret, algorithm) for secret in secrets for address in addresses]
    if not is_one_of(given, expected):
        raise Refused(
            "signature_wrong",
            "the signature fits none of the configured secrets: compare the auth token (or the shared key) with that "
            "of this relay, and the address that Twilio calls with PublicOrigin",
            403,
        )


def _algorithm(header: str) -> str:
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _addresses(delivery: Delivery) -> set[str]:
    """The address that was called, with its port and without: Twilio signs now the one, now the other (Twilio SDK)."""
    url = delivery.origin + delivery.path + (f"?{delivery.query}" if delivery.query else "")
    try:
        parts = urlparse(url)
        port = parts.port
    except ValueError:
        return set()
    host = parts.netloc.split(":")[0]
    standard = 443 if parts.scheme == "https" else 80
    return {
        parts._replace(netloc=host if port else parts.netloc).geturl(),
        parts._replace(netloc=parts.netloc if port else f"{parts.netloc}:{standard}").geturl(),
    }


def _signed_fields(delivery: Delivery) -> Sequence[tuple[str, str]]:
    """The fields of a form, which the signature covers; none for another body, once its hash is found to be right."""
    if _is_form(delivery):
        return _fields(delivery.body)
    hashed = next((value for name, value in parse_qsl(delivery.query) if name == "bodySHA256"), None)
    if hashed is None and not delivery.body:
        return ()
    if hashed is None or not is_one_of(hashed, [hashlib.sha256(delivery.body).hexdigest()]):
        raise Refused("body_hash_wrong", "the body is not the one whose hash bodySHA256 is in the signed address", 403)
    return ()


def _is_form(delivery: Delivery) -> bool:
    kind = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


def _form(delivery: Delivery) -> bytes | None:
    """What holds the fields, as a form: by GET it is the query of the address, which is signed. None: they are JSON."""
    if delivery.method == "GET":
        return delivery.query.encode("utf-8", "replace")
    return delivery.body if _is_form(delivery) else None


def _fields(body: bytes) -> Sequence[tuple[str, str]]:
    text = body.decode("utf-8", "replace")
    if text.count("&") >= MOST_FIELDS:
        raise Refused("too_many_fields", f"the form has over {MOST_FIELDS} fields", 403)
    # Blank values are part of the signature.
    return parse_qsl(text, keep_blank_values=True)


def tenant(delivery: Delivery) -> str | None:
    """``tenant`` of the address, else the account, ``AC…``. Both may be unverified."""
    named = next((value for name, value in parse_qsl(delivery.query) if name == "tenant"), None)
    named = named or _claimed(delivery, "AccountSid")
    return named if named is not None and _TENANT.fullmatch(named) else None


def delivery_id(delivery: Delivery) -> str | None:
    """The call that it is about."""
    return calls.known_id({"sid": _claimed(delivery, "CallSid")}, "sid")


def about(delivery: Delivery) -> Sequence[str]:
    """The call and, of a leg, the call that it belongs to, for the log."""
    sids = [_claimed(delivery, field) for field in ("CallSid", "ParentCallSid")]
    return tuple(f"{NAME}:{each}" for each in sids if each is not None and _CALL.fullmatch(each))


def topic(delivery: Delivery) -> str | None:
    """The status of the call, such as ``no-answer``; None for one that Twilio does not document."""
    status = calls.word({"status": _claimed(delivery, "CallStatus")}, "status")
    return status if status in STATUSES else None


def _claimed(delivery: Delivery, field: str) -> str | None:
    sent = _form(delivery)
    if sent is None:
        value = claims_of(delivery.body).get(field)
        return value if isinstance(value, str) else None
    if len(sent) > LARGEST_UNVERIFIED_BYTES:
        return None
    try:
        return next((value for name, value in _fields(sent) if name == field), None)
    except Refused:
        return None


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    Raises:
        NotUnderstood: it is the end of a call, but lacks what one has.
    """
    sent = _form(delivery)
    # Of a name that is there twice the first counts.
    body: Mapping[str, Any] = parse_object(delivery.body) if sent is None else dict(reversed(_fields(sent)))
    status = calls.word(body, "CallStatus")
    if not status:
        return Ignored("not_a_call_status", "the callback is not about the status of a call")
    handle = STATUSES.get(status)
    if handle is None:
        return Ignored("status_not_handled", "this status of a call is none that Twilio documents")
    return handle(delivery, body, settings, now_ms, recall)


def _completed(delivery: Delivery, body: Mapping[str, Any], settings: Settings, now_ms: int, recall: Recall) -> Result:
    if is_filled(body, "ParentCallSid"):
        return Ignored("child_leg", "a leg of another call: that one is the conversion")
    # Never Duration: it counts the minutes that were begun.
    talk_s = calls.seconds(body, "CallDuration")
    ended_ms = timestamps.from_rfc2822(value_at(body, "Timestamp")) or timestamps.from_iso(value_at(body, "Timestamp"))
    query = f"?{delivery.query}"
    in_the_address = {name: click.parameter_from_url(query, name) for name in (CONSENT, OPT_OUT)}
    inbound = calls.word(body, "Direction") in ("", "inbound", "trunking-originating")
    if talk_s is None and inbound:
        raise NotUnderstood("duration_missing", "the call is completed, but there is no CallDuration")
    call = Call(
        subject=f"{NAME}:{calls.object_id(body, 'CallSid')}",
        started_ms=_start(ended_ms, talk_s),
        inbound=inbound,
        over=True,
        answered=True,
        talk_s=talk_s,
        user=user_fields(
            settings=settings,
            phones=[(value_at(body, name), None) for name in ("From", "Caller")],
            city=value_at(body, "FromCity"),
            region=value_at(body, "FromState"),
            postal_code=value_at(body, "FromZip"),
            country=value_at(body, "FromCountry"),
        ),
        **calls.visit_of(in_the_address, [query], recall)._asdict(),
    )
    return calls.lead(call, settings, now_ms)


def _start(ended_ms: int | None, talk_s: Decimal | None) -> int | None:
    return None if ended_ms is None or talk_s is None else ended_ms - int(talk_s * 1000)


def _no_conversion(reason: str, detail: str) -> Callable[[Delivery, Mapping[str, Any], Settings, int, Recall], Result]:
    return lambda *_: Ignored(reason, detail)


_UNDER_WAY: Final = _no_conversion("call_not_over", "it has not ended yet: its end is the conversion")

STATUSES: Final[Mapping[str, Callable[[Delivery, Mapping[str, Any], Settings, int, Recall], Result]]] = {
    "queued": _UNDER_WAY,
    "initiated": _UNDER_WAY,
    "ringing": _UNDER_WAY,
    "in-progress": _UNDER_WAY,
    "completed": _completed,
    "busy": _no_conversion("busy", "the line was busy"),
    "no-answer": _no_conversion("no_answer", "nobody answered"),
    "failed": _no_conversion("failed", "the call could not be connected"),
    "canceled": _no_conversion("canceled", "the caller hung up before anybody answered"),
}

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, retries=False, about=about, topic=topic)
