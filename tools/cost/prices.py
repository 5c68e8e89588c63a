"""The price list, prices.toml, and what was assumed, assumptions.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for ``per`` units. ``free``: units a month that no account pays for; ``group``: shares them."""

    name: str
    unit: str
    usd: float
    per: int
    free: float
    page: str
    checked: str
    group: str = ""

    def of(self, quantity: float) -> float:
        """US dollars for so many units."""
        return quantity * self.usd / self.per


@cache
def price_list() -> Mapping[str, Price]:
    """Every price, by name."""
    return {name: Price(name=name, **told) for name, told in _table("prices")["price"].items()}


def dated() -> tuple[str, str]:
    """The date and the region of the price list."""
    table = _table("prices")
    return table["date"], table["region"]


@cache
def assumptions() -> Mapping[str, Any]:
    """What was assumed."""
    return _table("assumptions")


def after_allowances(quantities: Mapping[str, float]) -> dict[str, float]:
    """US dollars a month by price, once AWS's allowances for every account are taken off.

    Prices that share an allowance use it up in the order of the list.
    """
    left: dict[str, float] = {}
    paid = {}
    for name, price in price_list().items():
        if name in quantities:
            key = price.group or name
            free = left.get(key, price.free)
            used = min(free, quantities[name])
            left[key] = free - used
            paid[name] = price.of(quantities[name] - used)
    return paid


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
