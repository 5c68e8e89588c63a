"""How Shopify writes and signs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import shopify
from tools.samples.style import Style, Writing, moved_text


def as_json(payload: Mapping[str, Any]) -> bytes:
    """JSON as Shopify writes it: compact, with ``&``, ``<`` and ``>`` escaped and other letters as they are."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def _written(writing: Writing) -> Delivery:
    body = as_json(writing.payload)
    shop = writing.tenant or writing.payload.get("shop_domain") or "northwind-trail.myshopify.com"
    triggered = (writing.now - timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return writing.sent(
        body,
        {
            "content-type": "application/json",
            "user-agent": "Shopify-Captain-Hook",
            "x-shopify-topic": writing.topic,
            "x-shopify-hmac-sha256": shopify.sign(body, writing.secret),
            "x-shopify-shop-domain": str(shop),
            "x-shopify-api-version": "2026-07",
            "x-shopify-webhook-id": _uuid(),
            "x-shopify-event-id": _uuid(),
            "x-shopify-triggered-at": f"{triggered}871Z",
        },
    )


def _uuid() -> str:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _moved(value: Any, by: timedelta) -> Any:
    # Texts only: Shopify's ids are as large as times.
    if isinstance(value, dict):
        return {key: _moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, by) for each in value]
    return moved_text(value, by)


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    if isinstance(payload.get("id"), int):
        return payload | {"id": _number(), "admin_graphql_api_id": None}
    if isinstance(payload.get("customer_id"), int):
        return payload | {"customer_id": _number()}
    if isinstance(payload.get("token"), str):
        return payload | {"token": secrets.token_hex(16)}
    return payload


def _number() -> int:
    return secrets.randbelow(10**9) + 6_200_000_000_000


STYLE: Final = Style(lambda name, _: name.partition(".")[0], _moved, _renamed, _written)
