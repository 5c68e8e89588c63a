"""What a test of incrementality comes to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from measurement.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Point:
    """A day (or week) of a test: what was sold, and what would have been otherwise."""

    day: date
    actual: float
    expected: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Lift:
    """What the ads added while they ran, by one method."""

    method: str
    """`difference in differences`, `synthetic control`, `interrupted time series`."""
    lift: Estimate
    """As a share of what would have been without them: 0.08 is 8 %."""
    extra: Estimate
    """Conversions that they added in the whole test."""
    p_value: float
    iroas: Estimate | None
    """Extra value over spend; None without spend or value."""
    points: tuple[Point, ...]
    caveats: tuple[str, ...]
    """What would make it wrong, in plain words, with what was checked."""


@dataclass(frozen=True, slots=True)
class Design:
    """A test that one could run: how long, with which markets, and what it could see."""

    weeks: int
    treated: tuple[str, ...]
    control: tuple[str, ...]
    smallest_effect: float
    """The smallest lift that it finds with ``power``, as a share."""
    power: float
    curve: tuple[tuple[float, float], ...]
    """Lift and power, by simulation on the user's own history."""
    kind: Literal["geo", "on_off"] = "geo"
    """An on/off test has no markets; the ads run in the first two of every four weeks."""
    windows: int = 0
    """In how many places of the history the test was tried; places that overlap are not news of their own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Designs to choose from, the best first."""

    designs: tuple[Design, ...]
    notes: tuple[str, ...] = ()
