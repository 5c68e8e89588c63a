"""Shopify: webhooks of one or more shops.

``signature`` verifies and signs, ``TOPICS`` names the function that reads a topic, ``event`` builds what goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from conversion_relay.delivery import Delivery, Ignored, NotUnderstood, Recall, Result, Source
from conversion_relay.payload import parse_object
from conversion_relay.settings import Settings
from conversion_relay.sources.shopify.about import about, topic
from conversion_relay.sources.shopify.carts import cart
from conversion_relay.sources.shopify.customers import PRIVACY_TOPICS, customer, marketing_consent, privacy_request
from conversion_relay.sources.shopify.event import NAME, Received
from conversion_relay.sources.shopify.orders import checkout, order, subscription_contract
from conversion_relay.sources.shopify.signature import delivery_id, header, sign, tenant, verify

__all__ = ["NAME", "SOURCE", "TOPICS", "normalize", "sign", "verify"]


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    Raises:
        NotUnderstood: the topic is handled, but its content lacks what the topic is about.
    """
    topic = (header(delivery, "topic") or "").strip().lower()
    if not topic:
        raise NotUnderstood("topic_missing", "the delivery carries no X-Shopify-Topic header")
    handle = TOPICS.get(topic)
    if handle is None:
        return Ignored("topic_not_handled", f"the topic {topic[:60]} holds no conversion for this relay")
    # A shop that has left is taken off the list before its shop/redact comes, 48 hours later.
    if settings.shop_domains and topic not in PRIVACY_TOPICS and tenant(delivery) not in settings.shop_domains:
        return Ignored("unknown_shop", "the shop is not in ShopDomains, so its sales belong to another pixel")
    body = parse_object(delivery.body)
    if _is_events_preview(delivery, body):
        return Ignored(
            "body_shape_not_mapped",
            "the body is a GraphQL selection of Shopify's Events preview: subscribe the classic webhook topic instead",
        )
    return handle(Received(delivery, body, settings, now_ms, recall))


def _is_events_preview(delivery: Delivery, body: Mapping[str, Any]) -> bool:
    """Whether the body is the subscriber's own GraphQL selection instead of the REST shape that the topics document."""
    if "fields_changed" in body:
        return True
    new_family = "x-shopify-topic" not in delivery.headers
    rest_shape = "action" not in body and any(key in body for key in ("id", "token", "customer_id", "shop_domain"))
    return new_family and not rest_shape


def _no_conversion(reason: str, detail: str) -> Callable[[Received], Result]:
    return lambda _: Ignored(reason, detail)


TOPICS: Final[Mapping[str, Callable[[Received], Result]]] = {
    "orders/create": order,
    "orders/paid": order,
    "orders/cancelled": _no_conversion("cancelled", "the API knows no cancellation: what was counted stays counted"),
    "orders/updated": _no_conversion("update_only", "orders/create and orders/paid carry the conversion"),
    "refunds/create": _no_conversion("refund", "the API knows no refund: what was counted stays counted"),
    "checkouts/create": checkout,
    "checkouts/update": checkout,
    "carts/create": cart,
    "carts/update": cart,
    "customers/create": customer,
    "customers/enable": customer,
    "customers_email_marketing_consent/update": marketing_consent,
    "customers_marketing_consent/update": marketing_consent,
    "subscription_contracts/create": subscription_contract,
    "customers/data_request": privacy_request("give_out"),
    "customers/redact": privacy_request("erase_person"),
    "shop/redact": privacy_request("erase_tenant"),
}

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, about=about, topic=topic)
