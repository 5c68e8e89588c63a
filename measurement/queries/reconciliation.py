"""What each stage counts of the same conversions, and how the source of truth and the ledger match, order by order.

Plain joins, unions and sums: the answers are small (days, sources and types), and what they mean is decided in
`measurement.reconciliation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Final

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

Tables = Mapping[str, "ir.Table"]

ALL: Final = "(all)"


def spans(tables: Tables) -> ir.Table:
    """The first and last day that each layer has rows of, by source where it tells sources apart."""
    parts = []
    for layer, table in (("truth", "orders"), ("received", "deliveries"), ("recorded", "conversions")):
        held = tables[table]
        parts.append(
            held.group_by(held.source)
            .aggregate(first=held.day.min(), last=held.day.max())
            .select(layer=ibis.literal(layer), source="source", first="first", last="last")
        )
    openai = tables["attributed"]
    for layer, held in (
        ("attributed", openai.filter(openai.channel == "chatgpt")),
        ("ga4", tables["purchases"]),
        ("crm", tables["crm"]),
    ):
        parts.append(
            held.aggregate(first=held.day.min(), last=held.day.max())
            .filter(lambda found: found["first"].notnull())
            .select(layer=ibis.literal(layer), source=ibis.literal(ALL), first="first", last="last")
        )
    columns = {"layer": "string", "source": "string", "first": "date", "last": "date"}
    return _union([each.cast(columns) for each in parts])


def received(tables: Tables, first: date, last: date) -> ir.Table:
    """Deliveries by what became of them."""
    held = tables["deliveries"]
    return (
        held.filter(held.day.between(first, last))
        .group_by("day", "source", "type", "outcome", "reason")
        .aggregate(count=lambda each: each.deliveries.sum())
    )


def recorded(tables: Tables, first: date, last: date) -> ir.Table:
    """Conversions by what became of them, and whether they carry a click reference."""
    held = tables["conversions"]
    return (
        held.filter(held.day.between(first, last))
        .group_by("day", "source", "type", "status", "reason", "clicked")
        .aggregate(count=lambda each: each.count(), oldest_ms=lambda each: each.at_ms.min())
    )


def truth(tables: Tables, first: date, last: date) -> ir.Table:
    """Orders by whether they count."""
    held = tables["orders"]
    return (
        held.filter(held.day.between(first, last))
        .group_by("day", "source", "type", "counts", "why_not")
        .aggregate(count=lambda each: each.count())
    )


def matches(tables: Tables, first: date, last: date) -> ir.Table:
    """Orders beside the conversions of the same source and id, on whatever day either is.

    ``order_day`` or ``ledger_day`` is empty where one lacks it; ``order_type`` and ``ledger_type`` may differ. Either
    lies in the period.
    """
    orders, ledger = tables["orders"], tables["conversions"]
    told = orders.select(
        source="source", order_id="order_id", order_type="type", order_day="day", counts="counts", why_not="why_not"
    )
    # One order may be several conversions, of several types: the one of its own type is its match, else any.
    known = ledger.filter(ledger.order_id.notnull()).select(
        ledger_source="source", ledger_order="order_id", ledger_type="type", ledger_day="day"
    )
    both = told.join(
        known,
        [
            told.source == known.ledger_source,
            told.order_id == known.ledger_order,
            told.order_type == known.ledger_type,
        ],
        how="outer",
    )
    classed = both.select(
        source=ibis.coalesce(both.source, both.ledger_source),
        order_type="order_type",
        order_day="order_day",
        counts="counts",
        why_not="why_not",
        ledger_type="ledger_type",
        ledger_day="ledger_day",
    )
    in_period = classed.order_day.between(first, last) | classed.ledger_day.between(first, last)
    return (
        classed.filter(in_period)
        .group_by("source", "order_type", "order_day", "counts", "why_not", "ledger_type", "ledger_day")
        .aggregate(count=lambda each: each.count())
    )


def missing(tables: Tables, first: date, last: date) -> ir.Table:
    """The orders that count and that the ledger lacks, each with the type under which it knows them, if under any."""
    orders, ledger = tables["orders"], tables["conversions"]
    told = orders.filter(orders.counts & orders.day.between(first, last)).select(
        source="source", order_id="order_id", type="type", day="day"
    )
    known = ledger.filter(ledger.order_id.notnull()).select(
        known_source="source", known_order="order_id", known_type="type"
    )
    same = told.join(
        known,
        [told.source == known.known_source, told.order_id == known.known_order, told.type == known.known_type],
        how="anti",
    )
    by_id = (
        known.group_by("known_source", "known_order")
        .aggregate(other_type=lambda each: each.known_type.min())
        .select("known_source", "known_order", "other_type")
    )
    found = same.join(by_id, [same.source == by_id.known_source, same.order_id == by_id.known_order], how="left")
    return found.select("source", "order_id", "type", "day", "other_type")


def attributed(tables: Tables, first: date, last: date) -> ir.Table:
    """What OpenAI attributes after clicks, by day, type, whose day it is, and window."""
    held = tables["attributed"]
    return (
        held.filter((held.channel == "chatgpt") & held.day.between(first, last))
        .group_by("day", "type", "basis", "window_days")
        .aggregate(count=lambda each: each.click_through.sum())
    )


def ga4(tables: Tables, first: date, last: date) -> ir.Table:
    """GA4's orders beside those of the source of truth: how many both have, on which days, and how many one lacks."""
    orders, seen = tables["orders"], tables["purchases"]
    told = orders.filter(orders.counts).select(source="source", order_id="order_id", order_type="type", order_day="day")
    bought = seen.select(ga4_order="order_id", ga4_day="day")
    both = told.join(bought, told.order_id == bought.ga4_order, how="outer")
    in_period = both.order_day.between(first, last) | both.ga4_day.between(first, last)
    return (
        both.filter(in_period)
        .group_by("source", "order_type", "order_day", "ga4_day")
        .aggregate(count=lambda each: each.count())
    )


def crm(tables: Tables, first: date, last: date) -> ir.Table:
    """How many leads reached a stage, by day."""
    held = tables["crm"]
    in_period = held.filter(held.day.between(first, last))
    return in_period.group_by("day", "stage").aggregate(count=lambda each: each.count())


def _union(parts: list[ir.Table]) -> ir.Table:
    whole = parts[0]
    for each in parts[1:]:
        whole = whole.union(each)
    return whole


_FIRST, _LAST = date(2026, 11, 1), date(2026, 11, 30)

QUERIES: Final[dict[str, Callable[[Tables], ir.Table]]] = {
    "spans": spans,
    **{
        each.__name__: partial(each, first=_FIRST, last=_LAST)
        for each in (received, recorded, truth, matches, missing, attributed, ga4, crm)
    },
}
"""Each question that is asked here, with arguments that stand for any."""
