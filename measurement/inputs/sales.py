"""Sales by day and market: the history that tests by market need, which is longer than the ledger's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from measurement.inputs.reading import Field, noted, sheets
from measurement.settings import Input, Settings

SALES: Final = (
    Field("day", ("day", "date"), "day"),
    Field("market", ("market", "region", "geo")),
    Field("conversions", ("conversions", "orders", "sales"), "count"),
    Field("currency", ("currency",), "currency", column=False, filled=False),
    Field("value", ("value", "revenue", "total sales", "net sales"), "money", column=False, filled=False),
)


def sales(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A CSV of day, market, conversions, value, currency. A day without sales has a row with 0."""
    for sheet in sheets(entry, settings, SALES, totals=("day", "market"), sums=True):
        for row in sheet:
            yield (
                "sales",
                row.made(day=row["day"], market=row["market"], conversions=row["conversions"], value=row["value"]),
            )
        yield from noted(sheet)


IMPORTERS: Final = {"sales": sales}
OPTIONS: Final = {"sales": frozenset[str]()}
