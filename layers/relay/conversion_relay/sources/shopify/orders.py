"""Orders, checkouts and the subscriptions that an order begins."""

from __future__ import annotations

from typing import Final

from conversion_relay import timestamps
from conversion_relay.delivery import Ignored, NotUnderstood, Result
from conversion_relay.payload import flag, is_filled, string, text, value_at
from conversion_relay.sources.envelope import without_none
from conversion_relay.sources.shopify.event import NAME, Received, conversion
from conversion_relay.sources.shopify.payload import (
    CHANNELS,
    action_source_of,
    amount_of,
    buyer_of,
    channel_of,
    contents_of,
    device_of,
    exact_id,
    person,
    token_of,
    wire_money,
)

_PAID: Final = ("paid", "authorized", "partially_paid")
_REFUNDED: Final = ("refunded", "voided", "expired")
_DAY_MS: Final = 86_400_000


def order(received: Received) -> Result:
    """``orders/create`` and ``orders/paid``: one ``order_created``, from whichever is usable first."""
    body, settings = received.body, received.settings
    order_id = exact_id(body, "Order")
    if order_id is None:
        raise NotUnderstood("id_missing", "the order has no id")
    if flag(body, "test"):
        return Ignored("test_order", "a test order (Bogus gateway or test mode)")
    if is_filled(body, "cancelled_at"):
        return Ignored("cancelled", "the order was cancelled; the API knows no cancellation")
    channel = channel_of(body)
    if channel.startswith("subscription_contract"):
        return Ignored("subscription_renewal", "the order renews a subscription; only its first order counts")
    unpaid = _unpaid(received)
    if unpaid is not None:
        return unpaid

    timestamp_ms = _order_time(received, channel)
    if timestamp_ms is None:
        return Ignored("stale_event", "the order lies outside the 7 days that the API accepts")
    amount = amount_of(body, settings)
    minimum = wire_money(settings.min_order_amount, amount.get("currency"))
    if minimum and amount["amount"] < minimum["amount"]:
        return Ignored("below_min", "the order is below MinOrderAmount")

    action_source = action_source_of(body, channel, settings)
    user = buyer_of(body, settings)
    # Address and agent are the buyer's own only where the buyer used the device: not at a till, not in the admin.
    if channel == "web" or (channel not in CHANNELS and action_source in ("web", "mobile_app")):
        user |= device_of(body)
    return conversion(
        received,
        "order_created",
        subject=order_id,
        timestamp_ms=timestamp_ms,
        action_source=action_source,
        user=user,
        data={**amount, "contents": contents_of(body, settings, amount.get("currency"))},
    )


def _unpaid(received: Received) -> Ignored | None:
    status = text(received.body, "financial_status")
    if status in _PAID or (received.topic == "orders/paid" and status in (None, "partially_refunded")):
        return None
    if status in _REFUNDED:
        return Ignored(f"payment_{status}", f"the payment is {status}; the API knows no refund")
    if received.settings.count_pending_orders:
        return None
    return Ignored(
        "waiting_for_payment", "the order is not paid, authorized or partially paid yet: wait for orders/paid"
    )


def _order_time(received: Received, channel: str) -> int | None:
    """``processed_at`` while the API still takes it, else the moment of payment, else None.

    An order paid more than 7 days after checkout counts when it is paid (A8: late payment). An order whose
    ``processed_at`` lies before its own record was made by an app is an import of history and counts never.
    """
    processed = timestamps.from_iso(value_at(received.body, "processed_at"))
    created = timestamps.from_iso(value_at(received.body, "created_at"))
    original = processed if processed is not None else created
    if original is not None:
        if received.fresh(original) is not None:
            return original
        imported = created is not None and original < created - _DAY_MS and channel not in CHANNELS
        if imported or received.settings.late_payment == "ignore":
            return None
    return received.retimed(original)


def checkout(received: Received) -> Result:
    """``checkouts/create`` and ``/update``: one ``checkout_started`` per token, until the order itself takes over."""
    body, settings = received.body, received.settings
    token = token_of(body, "token")
    if token is None:
        raise NotUnderstood("id_missing", "the checkout has no token")
    if is_filled(body, "completed_at"):
        return Ignored("checkout_completed", "the checkout is complete: its order is the conversion")
    channel = channel_of(body)
    if channel.startswith("subscription_contract"):
        return Ignored("subscription_renewal", "the checkout renews a subscription")
    created = timestamps.from_iso(value_at(body, "created_at"))
    timestamp_ms = received.fresh(created if created is not None else received.triggered_ms)
    if timestamp_ms is None:
        return Ignored("stale_event", "the checkout lies outside the 7 days that the API accepts")
    amount = amount_of(body, settings)
    return conversion(
        received,
        "checkout_started",
        subject=token,
        timestamp_ms=timestamp_ms,
        action_source=action_source_of(body, channel or "web", settings),
        user=buyer_of(body, settings),
        data={**amount, "contents": contents_of(body, settings, amount.get("currency"))},
    )


def subscription_contract(received: Received) -> Result:
    """``subscription_contracts/create``, which only the app that owns the contract receives.

    The payload has no amount and no buyer beyond the customer's id: what the recorded origin order knows is taken over.
    """
    body = received.body
    if not received.settings.count_subscription_contracts:
        return Ignored("subscription_contracts_off", "CountSubscriptionContracts is off")
    contract_id = exact_id(body, "SubscriptionContract")
    if contract_id is None:
        raise NotUnderstood("id_missing", "the subscription contract has no id")
    timestamp_ms = received.fresh(received.triggered_ms)
    if timestamp_ms is None:
        return Ignored(
            "stale_event", "the contract has no X-Shopify-Triggered-At within the 7 days that the API accepts"
        )
    order_id = exact_id(body, "Order", of="origin_order")
    origin = (received.recall(f"order_created#{NAME}:{order_id}") if order_id else None) or {}
    user = person(
        emails=(), phones=(), customer_id=exact_id(body, "Customer", of="customer"), names=(), address=None,
        settings=received.settings,
    )  # fmt: skip
    known = {key: value_at(origin, "data", key) for key in ("amount", "currency")}
    return conversion(
        received,
        "subscription_created",
        subject=contract_id,
        timestamp_ms=timestamp_ms,
        action_source="web",
        user={**(value_at(origin, "user") or {}), **user},
        data=without_none(known),
        oppref=string(origin, "oppref"),
        opt_out=flag(origin, "opt_out") is True,
    )
