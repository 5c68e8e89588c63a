"""The source of truth: the orders that the shop or the payment platform itself counts.

Which of them count follows the relay's own rules (docs/sources/shopify.md, docs/sources/stripe.md): paid, authorized
and partially paid orders do, and stay counted when they are refunded later; what was never paid, a void, a cancellation
before the payment and a test do not. `why_not` says it in the words of the relay's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from measurement.inputs.reading import Field, noted, sheets
from measurement.inputs.rows import ALIAS, counted
from measurement.settings import Input, Settings

_CURRENCY: Final = Field("currency", ("currency",), "currency", column=False, filled=False)

PLAIN: Final = (
    Field("order_id", ("order id", "order", "id"), "order"),
    Field("at", ("at", "created at", "time", "date", "paid at"), "moment"),
    _CURRENCY,
    Field("value", ("value", "total", "amount", "revenue"), "money", column=False, filled=False),
    Field("source", ("source", "platform"), column=False, filled=False),
    Field("type", ("type",), column=False, filled=False),
    Field("counts", ("counts",), "flag", column=False, filled=False),
    Field("why_not", ("why not",), column=False, filled=False),
    Field("name", ("name", "order name", "order number"), "order", column=False, filled=False),
)
SHOPIFY: Final = (
    Field("name", ("name",), "order"),
    Field("order_id", ("id",), "order", filled=False),
    Field("status", ("financial status",), filled=False),
    Field("created", ("created at",), "moment"),
    Field("paid", ("paid at",), "moment", filled=False),
    Field("cancelled", ("cancelled at",), "moment", column=False, filled=False),
    _CURRENCY,
    Field("value", ("total",), "money", filled=False),
    Field("channel", ("source",), column=False, filled=False),
    Field("gateway", ("payment method",), column=False, filled=False),
)
"""Shopify's order export (Orders > Export > CSV for Excel, Numbers, or other spreadsheet programs). An order has a line
for each of its items; only the first has status, currency, total and id."""
STRIPE: Final = (
    Field("order_id", ("id", "paymentintent id"), "order"),
    Field("created", ("created date (utc)", "created (utc)"), "moment", zone="UTC"),
    Field("status", ("status",)),
    _CURRENCY,
    Field("value", ("amount",), "money"),
    Field("refunded", ("amount refunded",), column=False, filled=False),
    Field("mode", ("mode",), column=False, filled=False),
    Field("intent", ("paymentintent id", "payment intent id"), "order", column=False, filled=False),
    Field("session", ("checkout session id", "checkout session"), "order", column=False, filled=False),
)
"""Stripe's payments export (Payments > Export > All columns)."""

_COUNTING: Final = frozenset({"paid", "authorized", "partially_paid", "partially_refunded", "refunded"})
_WHY_NOT: Final = {
    "pending": "waiting_for_payment", "voided": "payment_voided", "expired": "payment_expired",
    "unpaid": "waiting_for_payment", "": "waiting_for_payment",
}  # fmt: skip
_STRIPE_WHY_NOT: Final = {
    "failed": "payment_failed", "canceled": "payment_canceled", "cancelled": "payment_canceled",
    "pending": "waiting_for_payment", "processing": "waiting_for_payment", "requires_action": "waiting_for_payment",
    "requires_payment_method": "waiting_for_payment", "requires_confirmation": "waiting_for_payment",
    "requires_capture": "waiting_for_payment", "uncaptured": "waiting_for_payment", "incomplete": "waiting_for_payment",
    "blocked": "payment_failed",
}  # fmt: skip
_STRIPE_COUNTING: Final = frozenset(
    {"paid", "succeeded", "refunded", "partially refunded", "partial refund", "disputed"}
)


def orders(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A plain CSV: order_id, at, value, currency; where they differ from row to row, source, type, counts, why_not."""
    for sheet in sheets(entry, settings, PLAIN):
        for row in sheet:
            counts = True if row["counts"] is None else row["counts"]
            yield (
                "orders",
                row.made(
                    order_id=row["order_id"],
                    source=(row["source"] or entry.options.get("source", "shop")).lower(),
                    type=row["type"] or settings.conversion_type,
                    at_ms=row["at"],
                    value=row["value"],
                    counts=counts,
                    why_not=None if counts else row["why_not"] or "not_counted",
                ),
            )
            if row["name"] and row["name"] != row["order_id"]:
                yield ALIAS, {"alias": row["name"], "order_id": row["order_id"]}
        yield from noted(sheet)


def orders_shopify(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Shopify's order export."""
    for sheet in sheets(entry, settings, SHOPIFY):
        items = 0
        last = None
        for row in sheet:
            if row["status"] is None and row["name"] == last:
                items += 1
                continue
            last = row["name"]
            status = (row["status"] or "").strip().casefold().replace(" ", "_")
            if status not in _COUNTING and status not in _WHY_NOT:
                row.bad(
                    "the financial status is none that is known",
                    "Shopify's are paid, authorized, partially_paid, pending, refunded, partially_refunded, voided and "
                    "expired",
                )
                continue
            why_not = _shopify_why_not(row, status)
            name = row["order_id"] or row["name"]
            yield (
                "orders",
                row.made(
                    order_id=name, source="shopify", type="order_created", at_ms=row["created"], value=row["value"],
                    counts=why_not is None, why_not=why_not,
                ),
            )  # fmt: skip
            if name != row["name"]:
                yield ALIAS, {"alias": row["name"], "order_id": name}
        if items:
            sheet.notes.append(f"{sheet.label}: {counted(items, 'line')} with further items of the order before.")
        yield from noted(sheet)


def _shopify_why_not(row: Any, status: str) -> str | None:
    if "bogus" in (row["gateway"] or "").casefold():
        return "test_order"
    if (row["channel"] or "").startswith("subscription_contract"):
        return "subscription_renewal"
    if row["cancelled"] is not None and row["paid"] is None:
        return "cancelled"
    if status == "refunded" and row["paid"] is None:
        return "payment_refunded"
    return _WHY_NOT.get(status)


def orders_stripe(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Stripe's payments export. The id is the charge's or the payment's, as `ids` says: id, intent or session."""
    ids = entry.options.get("ids", "id")
    for sheet in sheets(entry, settings, STRIPE):
        for row in sheet:
            status = row["status"].strip().casefold()
            if status not in _STRIPE_COUNTING and status not in _STRIPE_WHY_NOT:
                row.bad(
                    "the status is none that is known", "Stripe's are Paid, Refunded, Failed, Canceled and the like"
                )
                continue
            why_not = _STRIPE_WHY_NOT.get(status)
            if (row["mode"] or "").casefold() == "test":
                why_not = "test_mode"
            name = {"intent": row["intent"], "session": row["session"]}.get(ids) or row["order_id"]
            yield (
                "orders",
                row.made(
                    order_id=name, source="stripe", type=entry.options.get("type", "order_created"),
                    at_ms=row["created"], value=row["value"], counts=why_not is None, why_not=why_not,
                ),
            )  # fmt: skip
            for other in {row["order_id"], row["intent"], row["session"]} - {None, name}:
                yield ALIAS, {"alias": other, "order_id": name}
        yield from noted(sheet)


IMPORTERS: Final = {"orders": orders, "orders_shopify": orders_shopify, "orders_stripe": orders_stripe}
OPTIONS: Final = {
    "orders": frozenset({"source"}), "orders_shopify": frozenset[str](), "orders_stripe": frozenset({"ids", "type"}),
}  # fmt: skip
