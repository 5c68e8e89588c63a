"""People: registrations, newsletter sign-ups, and the privacy requests about them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from conversion_relay import identity, timestamps
from conversion_relay.delivery import Ignored, NotUnderstood, PrivacyRequest, Result
from conversion_relay.payload import text, value_at
from conversion_relay.sources.shopify.event import NAME, Received, conversion
from conversion_relay.sources.shopify.payload import exact_id, person
from conversion_relay.sources.shopify.signature import delivery_id, domain

PRIVACY_TOPICS: Final = ("customers/data_request", "customers/redact", "shop/redact")


def customer(received: Received) -> Result:
    """``customers/create`` and ``/enable``: a registration only where the buyer has made an account."""
    body = received.body
    customer_id = exact_id(body, "Customer")
    if customer_id is None:
        raise NotUnderstood("id_missing", "the customer has no id")
    if text(body, "state") != "enabled":
        return Ignored("no_account", "state is not enabled: a guest checkout or an import, no registration")
    timestamp_ms = received.fresh(timestamps.from_iso(value_at(body, "created_at")))
    if timestamp_ms is None and received.topic == "customers/enable":
        # The record of a guest may be years old: the account begins when it is enabled.
        timestamp_ms = received.fresh(received.triggered_ms)
    if timestamp_ms is None:
        return Ignored("stale_event", "the registration lies outside the 7 days that the API accepts")
    address = value_at(body, "default_address")
    user = person(
        emails=(value_at(body, "email"),),
        phones=((value_at(body, "phone"), None), (value_at(address, "phone"), text(address, "country_code"))),
        customer_id=customer_id,
        names=(body, address),
        address=address,
        settings=received.settings,
    )
    return conversion(
        received,
        "registration_completed",
        subject=customer_id,
        timestamp_ms=timestamp_ms,
        action_source="web",
        user=user,
        data={},
    )


def marketing_consent(received: Received) -> Result:
    """Consent to e-mail or SMS marketing: a newsletter sign-up is a lead, where that is switched on."""
    body = received.body
    if not received.settings.count_newsletter:
        return Ignored("newsletter_off", "CountNewsletter is off")
    customer_id = exact_id(body, "Customer", of="customer") or exact_id(body, "Customer")
    if customer_id is None:
        raise NotUnderstood("id_missing", "the consent has no customer_id")
    consent = value_at(body, "email_marketing_consent") or value_at(body, "sms_marketing_consent")
    if text(consent, "state") != "subscribed":
        return Ignored("not_subscribed", "the consent was not given")
    given_at = timestamps.from_iso(value_at(consent, "consent_updated_at"))
    timestamp_ms = received.fresh(given_at if given_at is not None else received.triggered_ms)
    if timestamp_ms is None:
        return Ignored("stale_event", "the sign-up lies outside the 7 days that the API accepts")
    user = person(
        emails=(value_at(body, "email_address"),),
        phones=((value_at(body, "phone"), None),),
        customer_id=customer_id,
        names=(),
        address=None,
        settings=received.settings,
    )
    return conversion(
        received,
        "lead_created",
        subject=customer_id,
        timestamp_ms=timestamp_ms,
        action_source="web",
        user=user,
        data={},
    )


def privacy_request(kind: Any) -> Callable[[Received], Result]:
    def request(received: Received) -> Result:
        """A mandatory privacy topic: what is held about the person or the shop is given out or deleted."""
        body = received.body
        shop = _shop_named_in(body, kind)
        person = value_at(body, "customer")
        customer_id = exact_id(person, "Customer")
        orders = value_at(body, "orders_to_redact") or value_at(body, "orders_requested")
        order_ids = [
            order_id
            for each in (orders if isinstance(orders, list) else ())
            if (order_id := exact_id({"id": each}, "Order")) is not None
        ]
        digests = (identity.email(value_at(person, "email")), identity.phone(value_at(person, "phone")))
        if kind != "erase_tenant" and customer_id is None and not any(digests) and not order_ids:
            raise NotUnderstood("person_missing", "the privacy request names neither a customer nor an order")
        request_id = delivery_id(received.delivery) or hashlib.sha256(received.delivery.body).hexdigest()
        return PrivacyRequest(
            kind=kind,
            request_id=f"{NAME}:{request_id}",
            tenant=shop,
            digests=tuple(each for each in (*digests, identity.external_id(customer_id)) if each is not None),
            subjects=tuple(f"{NAME}:{each}" for each in (*order_ids, *([customer_id] if customer_id else []))),
        )

    return request


# What the signed body of each of these topics never has (Shopify: "Privacy law compliance", the payloads).
_NEVER_IN: Final[Mapping[str, Sequence[str]]] = {
    "give_out": ("orders_to_redact",),
    "erase_person": ("orders_requested", "data_request"),
    "erase_tenant": ("customer", "orders_to_redact", "orders_requested", "data_request"),
}


def _shop_named_in(body: Mapping[str, Any], kind: str) -> str:
    """The shop that the signed body of a privacy request names.

    Shopify signs the body and no header, so topic and shop of the headers are claims only: whoever has got hold of any
    signed delivery could send it again as ``shop/redact`` and have a shop's ledger erased. So the body must say it.

    Raises:
        NotUnderstood: the body names no shop, or is that of another topic.
    """
    shop = domain(text(body, "shop_domain"))
    if shop is None or any(name in body for name in _NEVER_IN[kind]):
        raise NotUnderstood("privacy_topic_unproved", "the topic is a privacy request, but the signed body is of none")
    return shop
