"""How Stripe writes and signs."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import stripe
from tools.samples.style import Style, Writing, moved

_ID: Final = re.compile(r'"((?:evt|cs_live|cs_test|sub|in|pi|cus|pix)_[A-Za-z0-9_]+)"(?!:)')


def as_json(payload: Mapping[str, Any]) -> bytes:
    """JSON as Stripe writes it: indented by two blanks."""
    return json.dumps(payload, ensure_ascii=False, indent=2).encode()


def _written(writing: Writing) -> Delivery:
    body = as_json(writing.payload)
    return writing.sent(
        body,
        {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "stripe-signature": stripe.sign(body, writing.secret, int(writing.now.timestamp())),
        },
    )


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    """Another purchase: ids of sessions, subscriptions, invoices, payments and customers, wherever they stand."""
    suffix = secrets.token_hex(6)
    renamed: dict[str, Any] = json.loads(_ID.sub(rf'"\g<1>{suffix}"', json.dumps(payload)))
    return renamed


STYLE: Final = Style(lambda _, payload: str(payload["type"]), moved, _renamed, _written)
