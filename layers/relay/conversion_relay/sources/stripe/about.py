"""What a Stripe delivery is about, for the log: the ids of its object and of those that belong to the same purchase."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from conversion_relay.delivery import Delivery
from conversion_relay.payload import string, value_at
from conversion_relay.sources.signatures import claims_of
from conversion_relay.sources.stripe.event import NAME, id_of
from conversion_relay.sources.stripe.signature import account_of

_ID: Final = re.compile(r"[a-z]{2,12}_[A-Za-z0-9_]{1,90}")
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,40}(?:\.[a-z][a-z0-9_]{0,40}){1,5}")
_RELATED: Final = (
    ("id",),
    ("subscription",),
    ("parent", "subscription_details", "subscription"),  # of an invoice, since 2025-03-31
    ("invoice",),
    ("payment_intent",),
)
"""Where an object names itself and others of its purchase; never a customer, unless the event is about one."""


def topic(delivery: Delivery) -> str | None:
    """The event's type, such as ``invoice.paid``; None for what cannot be one."""
    named = string(claims_of(delivery.body), "type") or ""
    return named if _TYPE.fullmatch(named) else None


def about(delivery: Delivery) -> Sequence[str]:
    """The objects that a verified event names: ``stripe:<id>``, or ``stripe:<account>:<id>`` of a connected account."""
    body = claims_of(delivery.body)
    account = account_of(body)
    held = value_at(body, "data", "object")
    ids = [id_of(held, *path) for path in _RELATED] + [id_of(body, "related_object", "id")]
    whose = f"{NAME}:{account}" if account else NAME
    return tuple(dict.fromkeys(f"{whose}:{each}" for each in ids if each and _ID.fullmatch(each)))
