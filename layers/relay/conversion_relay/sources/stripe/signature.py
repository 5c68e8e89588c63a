"""Who sent it: Stripe's signature over the time and the raw body.

The signing secret is that of the webhook endpoint, ``whsec_…``; each endpoint and each mode has its own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from conversion_relay.delivery import Delivery, NotUnderstood, Refused
from conversion_relay.payload import parse_object, string, value_at

TOLERANCE_S: Final = 300
"""How far ``t`` may lie from our clock, on either side. Stripe signs every retry anew, so this refuses no real one."""

_HEADER: Final = "stripe-signature"
_TIME: Final = re.compile(r"[0-9]{1,12}")
_EVENT_ID: Final = re.compile(rb'"id"\s*:\s*"(evt_[A-Za-z0-9_]{1,100})"')
_ACCOUNT: Final = re.compile(r"acct_[A-Za-z0-9]{1,60}")
_HEAD_BYTES: Final = 2_000
_LARGEST_NAMED_BYTES: Final = 1_000_000


def sign(body: bytes, secret: str, now_s: int) -> str:
    """The value of ``Stripe-Signature`` for a body that is sent at ``now_s`` (Unix seconds)."""
    return f"t={now_s},v1={_digest(body, secret, str(now_s))}"


def _digest(body: bytes, secret: str, time: str) -> str:
    return hmac.digest(secret.encode(), time.encode() + b"." + body, hashlib.sha256).hex()


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    """Accept a body that any active secret has signed within 300 s of now: any ``v1`` will do, ``v0`` never counts.

    While a secret is rolled, for up to 24 hours, Stripe sends one ``v1`` for each.

    Raises:
        Refused: 400 when the header is missing or malformed, no signature fits, or the time is off.
    """
    header = delivery.headers.get(_HEADER)
    if not header:
        raise Refused("signature_missing", "the delivery carries no Stripe-Signature header", 400)
    pairs = [each.strip().partition("=")[::2] for each in header.split(",")]
    time = next((value for name, value in pairs if name == "t"), "")
    given = [value for name, value in pairs if name == "v1" and value]
    if not _TIME.fullmatch(time):
        raise Refused("signature_malformed", "the Stripe-Signature header carries no time t=…", 400)
    if not given:
        raise Refused("signature_malformed", "the Stripe-Signature header carries no v1 signature", 400)
    # Every secret is tried with every signature, also after a match, so that the time taken tells nothing.
    matches = [
        hmac.compare_digest(_digest(delivery.body, secret, time).encode(), each.encode("utf-8", "replace"))
        for secret in secrets
        for each in given
    ]
    if not any(matches):
        raise Refused(
            "signature_wrong",
            "no v1 signature fits any of the configured secrets: compare the signing secret of the endpoint (whsec_…, "
            "each mode has its own) with that of this relay",
            400,
        )
    ahead_s = int(time) - now_ms // 1000
    if ahead_s < -TOLERANCE_S:
        raise Refused(
            "timestamp_too_old", f"it was signed over {TOLERANCE_S} s ago: a replay, or a clock is wrong", 400
        )
    if ahead_s > TOLERANCE_S:
        raise Refused("timestamp_ahead", f"it was signed over {TOLERANCE_S} s ahead of this clock", 400)


def delivery_id(delivery: Delivery) -> str | None:
    """The event's id, ``evt_…``: the same on every retry. It stands first in the body, which may be unverified."""
    found = _EVENT_ID.search(delivery.body[:_HEAD_BYTES])
    return found[1].decode() if found else None


def tenant(delivery: Delivery) -> str | None:
    """The connected account, ``acct_…``; None for the endpoint's own. The body may be unverified."""
    if len(delivery.body) > _LARGEST_NAMED_BYTES:
        return None
    try:
        return account_of(parse_object(delivery.body))
    except NotUnderstood:
        return None


def account_of(body: object) -> str | None:
    """The connected account that an event belongs to: ``account``, or ``context`` where an organisation gets it."""
    named = string(body, "account") or (string(body, "context") or "").rpartition("/")[2]
    return named if _ACCOUNT.fullmatch(named) else None


def is_connected(body: object) -> bool:
    """Whether the event says that it belongs to another account, readable or not."""
    return bool(value_at(body, "account") or value_at(body, "context"))
