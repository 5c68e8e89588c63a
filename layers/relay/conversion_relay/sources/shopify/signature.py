"""Who sent it: Shopify's signature over the raw body, and the headers of both families.

The signing secret is the app's client secret, or, for webhooks made in the admin, the key shown on that page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final

from conversion_relay.delivery import Delivery, Refused

_DELIVERY_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


def sign(body: bytes, secret: str) -> str:
    """The value of ``X-Shopify-Hmac-Sha256`` for a body."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:  # noqa: ARG001 - Shopify signs no time
    """Accept a body that any active secret has signed: Shopify may use the old one for an hour after a rotation.

    Raises:
        Refused: 401 when the signature is missing or fits no secret.
    """
    given = header(delivery, "hmac-sha256")
    if not given:
        raise Refused("signature_missing", "the delivery carries no X-Shopify-Hmac-Sha256 header")
    # Every secret is tried, also after a match, so that the time taken tells nothing.
    matches = [
        hmac.compare_digest(sign(delivery.body, secret).encode(), given.encode("utf-8", "replace"))
        for secret in secrets
    ]
    if not any(matches):
        raise Refused(
            "signature_wrong",
            "the signature fits none of the configured secrets: compare the app's client secret (or the key under "
            "Settings > Notifications > Webhooks) with the signing secret of this relay",
        )


def header(delivery: Delivery, name: str) -> str | None:
    """A Shopify header of either family, without its prefix: ``topic``, ``shop-domain``, ``webhook-id`` …"""
    return delivery.headers.get(f"x-shopify-{name}") or delivery.headers.get(f"shopify-{name}")


def delivery_id(delivery: Delivery) -> str | None:
    """``X-Shopify-Webhook-Id``, a UUID: the same on every retry of one delivery. Whatever else anybody writes there is
    no id, and gets into no log.
    """
    given = header(delivery, "webhook-id")
    return given if given is not None and _DELIVERY_ID.fullmatch(given) else None


def tenant(delivery: Delivery) -> str | None:
    """The shop, such as ``example.myshopify.com``."""
    return domain(header(delivery, "shop-domain"))


def domain(value: str | None) -> str | None:
    """A domain in lower case; None for what cannot be one."""
    lowered = (value or "").strip().lower()
    return lowered if _DOMAIN.fullmatch(lowered) else None
