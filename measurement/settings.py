"""The report's settings: `measurement.toml` in the user's folder, read into one frozen object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read: ``kind`` is the importer's name (`ga4_exploration`, `ledger` …), ``options`` are its own."""

    kind: str
    options: Mapping[str, Any]
    line: int
    """Where it stands in the settings, for messages."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test of incrementality that was run. Days inclusive.

    ``geo``: ``markets`` are those with the changed treatment, all others are control. ``on_off``: ``spans`` are the
    days on which the ads ran, everything else in the data is off. ``ads`` says what was changed: `off` in the markets
    (a holdout), or `on`.
    """

    name: str
    kind: Literal["geo", "on_off"]
    spans: tuple[tuple[date, date], ...]
    markets: tuple[str, ...] = ()
    ads: Literal["off", "on"] = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the report is about. ``rates``: what one unit of a currency is worth in the report's currency."""

    shop: str
    time_zone: ZoneInfo
    currency: str
    first: date
    last: date
    """Inclusive."""
    folder: Path
    conversion_type: str = "order_created"
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    tests: tuple[Test, ...] = ()
    channels: tuple[tuple[str, str], ...] = ()
    """Pattern of `source / medium` and the channel it is, the first that fits; before the built-in ones."""
    threshold: float = 0.02
    """By how much two stages may differ without a reason before `relay reconcile` exits non-zero, as a share."""
