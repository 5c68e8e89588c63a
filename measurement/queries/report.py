"""What the report asks the tables itself: which days a layer has, what is recorded, by which keys, what was spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import ibis

from measurement.tables import TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

MATCH_KEYS: Final = ("oppref", "obref", "email", "phone", "external_id")
"""Words of `conversions.match_keys`."""


def layer_days(tables: Mapping[str, ir.Table], name: str) -> ir.Table:
    """Rows of a table by day."""
    table = tables[name]
    return table.group_by("day").aggregate(rows=table.count()).order_by("day")


def _conversions(tables: Mapping[str, ir.Table], conversion_type: str, first: date, last: date) -> ir.Table:
    table = tables["conversions"]
    return table.filter(table["type"] == conversion_type, table["day"].between(ibis.literal(first), ibis.literal(last)))


def recorded(tables: Mapping[str, ir.Table], conversion_type: str, first: date, last: date) -> ir.Table:
    """Conversions of a type by day: how many, their value, and how many carry a ChatGPT click reference."""
    table = _conversions(tables, conversion_type, first, last)
    return (
        table.group_by("day")
        .aggregate(
            conversions=table.count(),
            value=table["value"].sum().fill_null(0),
            clicked=table["clicked"].cast("int64").sum(),
        )
        .order_by("day")
    )


def match_keys(tables: Mapping[str, ir.Table], conversion_type: str, first: date, last: date) -> ir.Table:
    """Conversions of a type by source, and how many of them carry each match key."""
    table = _conversions(tables, conversion_type, first, last)
    padded = ibis.literal(" ") + table["match_keys"] + ibis.literal(" ")
    return (
        table.group_by("source")
        .aggregate(
            conversions=table.count(),
            none=table["match_keys"].isin(["none", ""]).cast("int64").sum(),
            **{key: padded.contains(f" {key} ").cast("int64").sum() for key in MATCH_KEYS},
        )
        .order_by(ibis.desc("conversions"), "source")
    )


def spend(tables: Mapping[str, ir.Table], first: date, last: date) -> ir.Table:
    """What each channel cost in the period, with its clicks and impressions."""
    table = tables["ads"]
    table = table.filter(table["day"].between(ibis.literal(first), ibis.literal(last)))
    return (
        table.group_by("channel")
        .aggregate(spend=table["spend"].sum(), clicks=table["clicks"].sum(), impressions=table["impressions"].sum())
        .order_by("channel")
    )


_PERIOD: Final = (date(2026, 9, 1), date(2026, 11, 28))


def _of_layer(name: str) -> Callable[[Mapping[str, ir.Table]], ir.Table]:
    return lambda tables: layer_days(tables, name)


QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    **{f"layer_days_{name}": _of_layer(name) for name, table in TABLES.items() if name != "links"},
    "recorded": lambda tables: recorded(tables, "order_created", *_PERIOD),
    "match_keys": lambda tables: match_keys(tables, "order_created", *_PERIOD),
    "spend": lambda tables: spend(tables, *_PERIOD),
}
"""Each with arguments that stand for all."""
