"""Sales by day and market, sales by day, and what was spent on ChatGPT: what tests of incrementality are computed from.

Sales come from the table `sales` where it has the day at all, else from the ledger's `conversions`. Never from both for
one day: one of them would be counted twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from measurement.tables import CHATGPT

if TYPE_CHECKING:
    import ibis.expr.types as ir

Tables = Mapping[str, "ir.Table"]


def _counted(tables: Tables, conversion_type: str) -> ir.Table:
    """The ledger's conversions of a type, on days that `sales` does not have."""
    ledger = tables["conversions"]
    days = tables["sales"].select("day").distinct()
    return ledger.filter(ledger.type == conversion_type).anti_join(days, "day")


def _both(given: ir.Table, counted: ir.Table) -> ir.Table:
    """The rows of both, which have the same columns. Set operations want them to be nullable or not on both sides."""
    types = {name: kind.copy(nullable=True) for name, kind in given.schema().items()}
    return given.cast(types).union(counted.cast(types))


def market_days(tables: Tables, conversion_type: str) -> ir.Table:
    """day, market, conversions, value, valued (conversions whose value is known), from_ledger.

    A conversion without a market is in none.
    """
    sales = tables["sales"]
    given = sales.select(
        "day",
        "market",
        conversions=sales.conversions,
        value=sales.value.fill_null(0),
        valued=sales.value.isnull().ifelse(0, sales.conversions),
        from_ledger=sales.conversions * 0,
    )
    ledger = _counted(tables, conversion_type)
    counted = (
        ledger.filter(ledger.market.notnull())
        .group_by("day", "market")
        .aggregate(
            conversions=lambda each: each.count(),
            value=lambda each: each.value.sum().fill_null(0).cast("int64"),
            valued=lambda each: each.value.count(),
            from_ledger=lambda each: each.count(),
        )
    )
    return _both(given, counted)


def days(tables: Tables, conversion_type: str) -> ir.Table:
    """day, conversions, value, valued, from_ledger: the same without markets, and with conversions that have none."""
    sales = tables["sales"]
    given = sales.group_by("day").aggregate(
        conversions=sales.conversions.sum().cast("int64"),
        value=sales.value.sum().fill_null(0).cast("int64"),
        valued=sales.value.isnull().ifelse(0, sales.conversions).sum().cast("int64"),
        from_ledger=(sales.conversions * 0).sum().cast("int64"),
    )
    counted = (
        _counted(tables, conversion_type)
        .group_by("day")
        .aggregate(
            conversions=lambda each: each.count(),
            value=lambda each: each.value.sum().fill_null(0).cast("int64"),
            valued=lambda each: each.value.count(),
            from_ledger=lambda each: each.count(),
        )
    )
    return _both(given, counted)


def chatgpt_spend(tables: Tables) -> ir.Table:
    """day, spend: what ads in ChatGPT cost, on the days for which anything is known."""
    ads = tables["ads"]
    ads = ads.filter((ads.channel == CHATGPT) & ads.spend.notnull())
    return ads.group_by("day").aggregate(spend=ads.spend.sum().cast("int64"))


QUERIES: Final[Mapping[str, Callable[[Tables], ir.Table]]] = {
    "market_days": partial(market_days, conversion_type="order_created"),
    "days": partial(days, conversion_type="order_created"),
    "chatgpt_spend": chatgpt_spend,
}
