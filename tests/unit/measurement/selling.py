"""Shops that sell by day and market, as tables, for tests of incrementality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from measurement.engine import Data
from measurement.incrementality.panel import ALL, Panel
from measurement.settings import Settings, Test

FIRST = date(2026, 3, 2)
"""A Monday."""
PRICE = 4_000


def day(position: int) -> date:
    return FIRST + timedelta(days=position)


def spans(*weeks: tuple[int, int]) -> tuple[tuple[date, date], ...]:
    """From the first week to the last, both from 0."""
    return tuple((day(7 * first), day(7 * last + 6)) for first, last in weeks)


def sold(sales: Mapping[str, Sequence[float]], *, price: int | None = PRICE) -> list[dict[str, Any]]:
    """Rows of the table `sales`; a market sells nothing, and has no row, where the number is 0."""
    return [
        {
            "day": day(position),
            "market": market,
            "conversions": int(count),
            "value": None if price is None else int(count) * price,
        }
        for market, counts in sales.items()
        for position, count in enumerate(counts)
        if count
    ]


def spent(amounts: Sequence[int | None]) -> list[dict[str, Any]]:
    """Rows of the table `ads`: what ChatGPT cost by day."""
    return [
        {"day": day(position), "channel": "chatgpt", "campaign": "Autumn", "spend": amount}
        for position, amount in enumerate(amounts)
        if amount is not None
    ]


def markets(
    number: int, weeks: int, mean: float = 60.0, seed: int = 0, change: Callable[[Any], None] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Random sales of markets of the same size; ``change`` may alter the means (market × day) first."""
    rng = np.random.default_rng(seed)
    means = np.full((number, weeks * 7), mean) * np.exp(rng.normal(0, 0.05, (1, weeks * 7)))
    if change:
        change(means)
    return {f"US-{place:02}": row.astype(np.float64) for place, row in enumerate(rng.poisson(means))}


def settings(*tests: Test, weeks: int = 20) -> Settings:
    return Settings(
        "A shop", ZoneInfo("America/New_York"), "USD", FIRST, day(weeks * 7 - 1), Path(), tests=tests
    )  # fmt: skip


def shop(sales: Mapping[str, Sequence[float]], **tables: list[dict[str, Any]]) -> Data:
    return Data.of({"sales": sold(sales), **tables})


def by_market(sales: Mapping[str, Sequence[float]], spend: Sequence[float] | None = None, price: int = PRICE) -> Panel:
    """What `panel.by_market` makes of such a shop."""
    counts = np.array([sales[market] for market in sorted(sales)], dtype=np.float64)
    days = counts.shape[1]
    return Panel(
        FIRST, tuple(sorted(sales)), counts, counts * price, counts if price else counts * 0,
        np.full(days, np.nan) if spend is None else np.array(spend, dtype=np.float64), np.zeros(days, dtype=bool),
    )  # fmt: skip


def by_day(counts: Sequence[float], spend: Sequence[float] | None = None) -> Panel:
    """What `panel.by_day` makes of it."""
    return by_market({ALL: counts}, spend)
