"""The source of truth, asked of the platform itself: ``shop_api`` lists Shopify's orders as `relay backfill` does.

An order is one row, whatever became of it. Which of them count follows the relay's rules (docs/sources/shopify.md). Of
Stripe there is no such list that says what the relay counts (its API lists events): export its payments instead.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.money import currency_code
from conversion_relay.settings import Settings as RelaySettings
from measurement.inputs.relay import (
    STACK_OPTIONS,
    Rows,
    asking,
    day_of,
    deployment_of,
    first_ms,
    know,
    note,
    option,
    worth,
    wrong,
)
from measurement.settings import Input, Settings

MOST_DAYS: Final = 60
"""For older orders Shopify's API wants the scope read_all_orders."""
_COUNTING: Final = frozenset({"paid", "authorized", "partially_paid", "partially_refunded", "refunded"})


def shop_api(entry: Input, settings: Settings) -> Rows:
    """The shop's orders that were changed since the report's first day. Raises BadInput: the shop does not answer."""
    know(entry, STACK_OPTIONS | {"platform", "shop", "api"})
    if option(entry, "platform", "shopify") != "shopify":
        wrong(
            entry, "only Shopify's orders can be listed", 'Export Stripe\'s payments and write kind = "orders_stripe".'
        )
    from tools import moments
    from tools.backfill import shopify
    from tools.dry_run import CannotRun

    token = os.environ.get(shopify.TOKEN_VARIABLE, "").strip()
    if not token:
        wrong(entry, "there is no access token", f"Put it into the environment as {shopify.TOKEN_VARIABLE}.")
    shop = option(entry, "shop")
    if shop:
        relay = RelaySettings()
    else:
        with asking(entry):
            relay = deployment_of(entry).settings("ShopifyReceiver")
    days = (moments.now_ms() - first_ms(settings)) // 86_400_000 + 1
    if days > MOST_DAYS:
        yield note(f"Shopify lists orders of {MOST_DAYS} days: those that were changed before are not compared.")
    asked = argparse.Namespace(shop=shop, api=option(entry, "api") or None, days=max(1, min(days, MOST_DAYS)))
    try:
        found = shopify.find(asked, relay, lambda: token, lambda: None)
    except CannotRun as problem:
        wrong(entry, str(problem), "See docs/sources/shopify.md, and docs/replaying.md for the token.")
    for each in found:
        row = order(json.loads(each.delivery.body), settings)
        if row is not None:
            yield "orders", row


def order(held: Mapping[str, Any], settings: Settings) -> Mapping[str, Any] | None:
    """The row of an order as the Admin API has it; None for one without an id or a time."""
    at_ms = timestamps.from_iso(held.get("processed_at")) or timestamps.from_iso(held.get("created_at"))
    if not isinstance(held.get("id"), int) or at_ms is None:
        return None
    why_not = _why_not(held)
    currency = currency_code(held.get("currency"))
    try:
        total = Decimal(str(held.get("total_price")))
        value = None if currency is None or total < 0 else worth(total, currency, settings, "Shopify's orders")
    except InvalidOperation:
        value = None
    return {
        "order_id": str(held["id"]),
        "source": "shopify",
        "type": "order_created",
        "at_ms": at_ms,
        "day": day_of(at_ms, settings),
        "value": value,
        "counts": why_not is None,
        "why_not": why_not,
    }


def _why_not(held: Mapping[str, Any]) -> str | None:
    """Why the relay counts an order never, in the words of its log."""
    if held.get("test") is True:
        return "test_order"
    if held.get("cancelled_at"):
        return "cancelled"
    if str(held.get("source_name") or "").startswith("subscription_contract"):
        return "subscription_renewal"
    status = str(held.get("financial_status") or "pending")
    if status in _COUNTING:
        return None
    return "waiting_for_payment" if status == "pending" else f"payment_{status}"


IMPORTERS: Final = {"shop_api": shop_api}
