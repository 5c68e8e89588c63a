"""Who sent it: the ways in which platforms prove themselves, and how a sample is signed in each of them.

``verify`` and ``sign`` read the same description, so that whatever a platform file says is what tests and tools sign.
Every secret is tried, also after a match, and every comparison takes the same time whatever it compares.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from conversion_relay.delivery import Delivery, Handshake, Refused
from conversion_relay.sources.custom import format as form
from conversion_relay.sources.custom.request import field, parameter, parameters, url

if TYPE_CHECKING:
    from conversion_relay.sources.custom.format import Platform

LARGEST_UNVERIFIED_BYTES: Final = 1_000_000
"""Of a body that has to be read before it is verified, because its token is in it."""
LARGEST_HANDSHAKE_BYTES: Final = 4_000
TOLERANCE_S: Final = 300
"""Standard Webhooks: how far the time may lie from ours."""

_TIME: Final = re.compile(r"[0-9]{1,14}")
# Sent back is what a stranger has sent: short, and nothing that could mean anything to a browser or a log. With the
# other headers an answer stays under the 1,024 bytes that RingCentral allows.
_ECHO: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


def verify(platform: Platform, delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    """Accept a delivery that any active secret stands for.

    Raises:
        Refused: 401 where the proof is missing or wrong, 405 for a method that the platform does not use.
    """
    if delivery.method not in platform.methods:
        raise Refused("method_not_allowed", f"the platform uses {' and '.join(platform.methods)} only", 405)
    match platform.verify:
        case form.Hmac() as how:
            _verify_hmac(how, delivery, secrets, now_ms)
        case form.StandardWebhooks() as how:
            _verify_standard(how, delivery, secrets, now_ms)
        case form.HeaderToken() as how:
            value = delivery.headers.get(how.header.lower(), "")
            _compare(value.removeprefix(how.prefix) if value.startswith(how.prefix) else "", secrets, how.header)
        case form.Basic():
            _compare(_basic(delivery.headers.get("authorization", "")), secrets, "Authorization")
        case form.UrlToken() as how:
            _compare(parameter(delivery.query, how.parameter) or "", secrets, how.parameter)
        case form.BodyToken() as how:  # pragma: no branch - there is no other kind
            _compare(field(delivery, platform.body, how.field, LARGEST_UNVERIFIED_BYTES) or "", secrets, how.field)


def _compare(given: str, secrets: Sequence[str], where: str) -> None:
    if not given:
        raise Refused("token_missing", f"the delivery carries no usable token ({where})")
    if not _any(hmac.compare_digest(_bytes(secret), _bytes(given)) for secret in secrets):
        raise Refused(
            "token_wrong",
            f"the token ({where}) is none of the configured secrets: compare the platform's with that of this relay",
        )


def _any(matches: Iterable[bool]) -> bool:
    return any(list(matches))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _basic(header: str) -> str:
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""


# HMAC -----------------------------------------------------------------------------------------------------------------


def _verify_hmac(how: form.Hmac, delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    header = delivery.headers.get(how.header.lower())
    if not header:
        raise Refused("signature_missing", f"the delivery carries no {how.header} header")
    time, given = _signed(how, header, delivery)
    if not given:
        raise Refused("signature_malformed", f"the {how.header} header carries no signature as its platform writes it")
    if time is not None and not _TIME.fullmatch(time):
        raise Refused("signature_malformed", "the time that is signed is missing, or no whole number")
    matches = (
        hmac.compare_digest(_bytes(_digest(how, delivery, secret, time or "")), _bytes(each))
        for secret in secrets
        for each in given
    )
    if not _any(matches):
        raise Refused(
            "signature_wrong",
            "no signature fits any of the configured secrets: compare the platform's secret with that of this relay"
            + (", and PublicOrigin with the address that the platform calls" if "{url}" in how.content else ""),
        )
    if time is not None:
        in_ms = how.time is not None and how.time.unit == "ms"
        _check_time(int(time) if in_ms else int(time) * 1000, now_ms, how.tolerance_seconds)


def _signed(how: form.Hmac, header: str, delivery: Delivery) -> tuple[str | None, list[str]]:
    """The time that was signed (None where none is) and the signatures."""
    if how.fields is not None:
        pairs = [each.strip().partition("=")[::2] for each in header.split(",")]
        time = next((value for name, value in pairs if name == how.fields["time"]), "")
        return time, [value for name, value in pairs if name == how.fields["signature"] and value]
    given = [header[len(how.prefix) :]] if header.startswith(how.prefix) and header != how.prefix else []
    return (delivery.headers.get(how.time.header.lower(), "") if how.time else None), given


def _digest(how: form.Hmac, delivery: Delivery, secret: str, time: str) -> str:
    values = {
        "body": delivery.body,
        "time": time.encode(),
        "method": delivery.method.encode(),
        "url": _bytes(url(delivery)),
    }
    # One pass over the template: what a body holds is never taken for another placeholder.
    parts = re.split(r"\{(body|time|method|url)\}", how.content)
    content = b"".join(values[part] if index % 2 else part.encode() for index, part in enumerate(parts))
    made = hmac.digest(_bytes(secret), content, how.algorithm)
    return made.hex() if how.encoding == "hex" else base64.b64encode(made).decode()


def _check_time(signed_ms: int, now_ms: int, tolerance_s: int) -> None:
    if signed_ms < now_ms - tolerance_s * 1000:
        raise Refused("timestamp_too_old", f"it was signed over {tolerance_s} s ago: a replay, or a clock is wrong")
    if signed_ms > now_ms + tolerance_s * 1000:
        raise Refused("timestamp_ahead", f"it was signed over {tolerance_s} s ahead of this clock")


# Standard Webhooks ----------------------------------------------------------------------------------------------------


def _verify_standard(how: form.StandardWebhooks, delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    message, time, signatures = (
        delivery.headers.get(f"{how.headers}-{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not (message and time and signatures):
        raise Refused("signature_missing", f"the delivery lacks one of {how.headers}-id, -timestamp and -signature")
    if not _TIME.fullmatch(time):
        raise Refused("signature_malformed", f"{how.headers}-timestamp is no whole number of seconds")
    given = signatures.split(" ")
    expected = filter(None, (_standard_signature(secret, message, int(time), delivery.body) for secret in secrets))
    if not _any(hmac.compare_digest(_bytes(each), _bytes(one)) for each in expected for one in given):
        raise Refused(
            "signature_wrong",
            "no v1 signature fits any of the configured secrets: compare the endpoint's secret (whsec_…) with that of "
            "this relay",
        )
    _check_time(int(time) * 1000, now_ms, TOLERANCE_S)


def _standard_signature(secret: str, message: str, time_s: int, body: bytes) -> str | None:
    """``v1,…`` as the official library signs; None where secret or content cannot be that of a signature.

    Its own ``verify`` reads the clock of the machine; the receiver's is handed in, so the time is checked here.
    """
    from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook  # only where a platform signs this way

    try:
        moment = datetime.fromtimestamp(time_s, UTC)
        return Webhook(secret).sign(message, moment, body.decode())
    except (EmptyWebhookSecretError, binascii.Error, ValueError, OverflowError, OSError):
        return None


# The handshake --------------------------------------------------------------------------------------------------------


def handshake(platform: Platform, delivery: Delivery) -> Handshake | None:
    """The answer to a platform that tries the address; None for every other request, and for a token that is odd."""
    if delivery.method not in platform.methods:
        return None
    match platform.handshake:
        case form.HeaderEcho() as how if not (delivery.body or (platform.body == "query" and delivery.query)):
            token = delivery.headers.get(how.request.lower(), "")
            return Handshake({how.response: token}) if _ECHO.fullmatch(token) else None
        case form.QueryEcho() as how if delivery.method == "GET" and not delivery.body:
            token = parameter(delivery.query, how.parameter) or ""
            return Handshake(text=token) if _ECHO.fullmatch(token) else None
        case form.BodyEcho() as how:
            token = field(delivery, "json", how.field, LARGEST_HANDSHAKE_BYTES) or ""
            return Handshake(text=token) if _ECHO.fullmatch(token) and _is_meant(how, delivery) else None
    return None


def _is_meant(how: form.BodyEcho, delivery: Delivery) -> bool:
    from conversion_relay.sources.custom.expression import Reader

    return Reader(json.loads(delivery.body), delivery).value(how.when) is True


# Signing --------------------------------------------------------------------------------------------------------------


def sign(platform: Platform, delivery: Delivery, secret: str, now_ms: int, message_id: str = "msg_1") -> Delivery:
    """A delivery with the proof that ``verify`` wants: for tests and samples."""
    match platform.verify:
        case form.Hmac() as how:
            unit = 1 if how.time is not None and how.time.unit == "ms" else 1000
            time = str(now_ms // unit)
            made = _digest(how, delivery, secret, time)
            if how.fields is not None:
                return _with_headers(
                    delivery, {how.header: f"{how.fields['time']}={time},{how.fields['signature']}={made}"}
                )
            times = {how.time.header: time} if how.time else {}
            return _with_headers(delivery, {how.header: how.prefix + made, **times})
        case form.StandardWebhooks() as how:
            made = _standard_signature(secret, message_id, now_ms // 1000, delivery.body) or ""
            names = {"id": message_id, "timestamp": str(now_ms // 1000), "signature": made}
            return _with_headers(delivery, {f"{how.headers}-{name}": value for name, value in names.items()})
        case form.HeaderToken() as how:
            return _with_headers(delivery, {how.header: how.prefix + secret})
        case form.Basic():
            return _with_headers(delivery, {"authorization": "Basic " + base64.b64encode(_bytes(secret)).decode()})
        case form.UrlToken() as how:
            token = f"{quote(how.parameter, safe='')}={quote(secret, safe='')}"
            return replace(delivery, query="&".join(filter(None, (token, delivery.query))))
        case form.BodyToken() as how:  # pragma: no branch - there is no other kind
            return replace(delivery, body=_with_token(platform, delivery.body, how.field, secret))


def _with_headers(delivery: Delivery, headers: dict[str, str]) -> Delivery:
    return replace(delivery, headers={**delivery.headers, **{name.lower(): value for name, value in headers.items()}})


def _with_token(platform: Platform, body: bytes, path: str, secret: str) -> bytes:
    if platform.body == "form":
        return urlencode({**parameters(body.decode()), path: secret}).encode()
    payload: dict[str, Any] = json.loads(body)
    *outer, last = path.split(".")
    place = payload
    for name in outer:
        place = place.setdefault(name, {})
    place[last] = secret
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
