"""What a Shopify delivery is about, for the log: the ids of its objects, and the order's name as the admin shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.payload import string
from conversion_relay.sources.shopify.customers import PRIVACY_TOPICS
from conversion_relay.sources.shopify.event import NAME
from conversion_relay.sources.shopify.payload import exact_id, token_of
from conversion_relay.sources.shopify.signature import header
from conversion_relay.sources.signatures import claims_of

_TOPIC: Final = re.compile(r"[a-z][a-z_]{1,40}/[a-z][a-z_]{1,40}")
_ORDER_NAME: Final = re.compile(r"#?(?:[A-Za-z]{1,8}-?)?[0-9]{1,9}(?:-?[A-Za-z]{1,8})?")
"""``#1001`` with the prefix and suffix that a shop may choose."""


def topic(delivery: Delivery) -> str | None:
    """The webhook topic, such as ``orders/paid``; None for what cannot be one (no signature covers the header)."""
    named = (header(delivery, "topic") or "").strip().lower()
    return named if _TOPIC.fullmatch(named) else None


def about(delivery: Delivery) -> Sequence[str]:
    """The objects that a verified delivery names; none of a privacy request, which is about a person alone."""
    told = topic(delivery) or ""
    name = FAMILIES.get(told.partition("/")[0])
    if name is None or told in PRIVACY_TOPICS:
        return ()
    return tuple(dict.fromkeys(each for each in name(claims_of(delivery.body)) if each))


def _subject(object_id: str | None) -> str | None:
    return object_id and f"{NAME}:{object_id}"


def _order(body: Mapping[str, Any]) -> Sequence[str | None]:
    name = string(body, "name") or ""
    return _subject(exact_id(body, "Order")), name if _ORDER_NAME.fullmatch(name) else None


def _of_order(body: Mapping[str, Any]) -> Sequence[str | None]:
    return (_subject(exact_id(body, "Order", of="order")),)


def _checkout(body: Mapping[str, Any]) -> Sequence[str | None]:
    return (_subject(token_of(body, "token")),)


def _cart(body: Mapping[str, Any]) -> Sequence[str | None]:
    return (_subject(token_of(body, "token") or token_of(body, "id")),)


def _customer(body: Mapping[str, Any]) -> Sequence[str | None]:
    return (_subject(exact_id(body, "Customer", of="customer") or exact_id(body, "Customer")),)


def _contract(body: Mapping[str, Any]) -> Sequence[str | None]:
    return _subject(exact_id(body, "SubscriptionContract")), _subject(exact_id(body, "Order", of="origin_order"))


FAMILIES: Final[Mapping[str, Callable[[Mapping[str, Any]], Sequence[str | None]]]] = {
    "orders": _order,
    "refunds": _of_order,
    "fulfillments": _of_order,
    "order_transactions": _of_order,
    "checkouts": _checkout,
    "carts": _cart,
    "customers": _customer,
    "customers_email_marketing_consent": _customer,
    "customers_marketing_consent": _customer,
    "subscription_contracts": _contract,
}
"""What names the objects, by the first part of the topic."""
