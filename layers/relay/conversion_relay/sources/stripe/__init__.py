"""Stripe: events of one account, and of connected accounts that are on a list.

``signature`` verifies and signs, ``TYPES`` names the function that reads an event type, ``event`` builds what goes out,
``thin`` says what a thin event lacks and makes a snapshot event of it once that is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Ignored, NotUnderstood, Recall, Result, Source
from conversion_relay.payload import flag, parse_object, text, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources.stripe import payments, subscriptions, thin
from conversion_relay.sources.stripe.about import about, topic
from conversion_relay.sources.stripe.event import NAME, Received
from conversion_relay.sources.stripe.signature import account_of, delivery_id, is_connected, sign, tenant, verify

__all__ = ["NAME", "NO_CONVERSION", "SOURCE", "TYPES", "normalize", "sign", "verify"]


def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
    """Turn a verified delivery into what the relay should do about it.

    Raises:
        NotUnderstood: the type is handled, but its content lacks what the type is about.
    """
    body = parse_object(delivery.body)
    is_thin = text(body, "object") == thin.OBJECT
    if is_thin and not settings.stripe_fetch_thin_events:
        return Ignored(
            "thin_event_without_api_key",
            "a thin event holds no object, and this relay has no API key to fetch it: choose snapshot payloads, or set "
            "StripeFetchThinEvents=yes",
        )
    event_type = text(body, "type")
    if not (is_thin or text(body, "object") == "event") or event_type is None:
        raise NotUnderstood("not_an_event", "the body is no Stripe event")
    event_type = event_type.removeprefix("v1.") if is_thin else event_type
    handle = TYPES.get(event_type)
    if handle is None:
        return NO_CONVERSION.get(event_type) or Ignored(
            "type_not_handled", f"the type {event_type[:60]} holds no conversion for this relay"
        )
    account = account_of(body)
    if is_connected(body) and account not in settings.stripe_accounts:
        return Ignored(
            "unknown_connected_account", "the account is not in StripeAccounts, so its sales belong to another pixel"
        )
    if is_thin:
        return TEST_MODE if _is_unwanted_test(body, settings) else thin.to_fetch(body, event_type, account)
    about = value_at(body, "data", "object")
    if not isinstance(about, dict):
        raise NotUnderstood("object_missing", "the event has no data.object")
    if _is_unwanted_test(body, settings) or _is_unwanted_test(about, settings):
        return TEST_MODE
    previous = value_at(body, "data", "previous_attributes")
    return handle(
        Received(
            type=event_type,
            about=about,
            before=previous if isinstance(previous, dict) else {},
            created_ms=timestamps.from_unix(value_at(body, "created")),
            account=account,
            settings=settings,
            now_ms=now_ms,
            recall=recall,
        )
    )


def _is_unwanted_test(node: object, settings: Settings) -> bool:
    # In a live deployment a test purchase would be reported as a real one.
    counts_tests = settings.stripe_test_mode == "count" and settings.delivery_mode != "live"
    return flag(node, "livemode") is False and not counts_tests


def _checkout(received: Received) -> Result:
    mode = text(received.about, "mode")
    match mode:
        case "payment":
            return payments.payment(received)
        case "subscription":
            return subscriptions.session(received)
        case "setup":
            return Ignored("setup_mode", "a card was saved, nothing was sold")
    raise NotUnderstood("mode_unknown", "the Checkout Session's mode is none of payment, subscription and setup")


def _invoice(received: Received) -> Result:
    if text(received.about, "billing_reason") == "manual":
        return payments.manual_invoice(received)
    return subscriptions.invoice(received)


TYPES: Final[Mapping[str, Callable[[Received], Result]]] = {
    "checkout.session.completed": _checkout,
    "checkout.session.async_payment_succeeded": _checkout,
    "customer.subscription.created": subscriptions.created,
    "customer.subscription.updated": subscriptions.updated,
    "customer.subscription.deleted": subscriptions.deleted,
    "customer.subscription.trialing": subscriptions.created,  # this and the next exist as thin events only
    "customer.subscription.active": subscriptions.activated,
    "invoice.paid": _invoice,
    "payment_intent.succeeded": payments.payment_intent,
    "customer.created": payments.customer,
}
"""The types that may hold a conversion, or tell of one, with the function that reads the object."""

NO_CONVERSION: Final[Mapping[str, Ignored]] = {
    "checkout.session.async_payment_failed": Ignored("payment_failed", "the transfer did not come"),
    "checkout.session.expired": Ignored("abandoned", "the checkout was abandoned"),
    "customer.subscription.trial_will_end": Ignored("trial_will_end", "a reminder 3 days before the end"),
    "customer.subscription.paused": Ignored("paused", "nothing is paid while it is paused"),
    "invoice.payment_succeeded": Ignored("twin_of_invoice_paid", "invoice.paid carries the conversion"),
    "customer.deleted": Ignored(
        "customer_deleted", "Stripe also deletes the subscriptions; what is kept for each goes with its end"
    ),
    "charge.refunded": Ignored("refund", "the API knows no refund: what was counted stays counted"),
}
"""Known types that hold none, whatever the object says."""

TEST_MODE: Final = Ignored(
    "test_mode", "a test: set StripeTestMode=count in a deployment with DeliveryMode validate to see its event checked"
)

SOURCE: Final = Source(NAME, verify, normalize, delivery_id, tenant, about=about, topic=topic)
