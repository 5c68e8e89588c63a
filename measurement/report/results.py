"""All that a report says, before it is put into words: every analysis's result, or the refusal in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from measurement.attribution import Attribution
from measurement.channels import Channel
from measurement.dark_funnel import Agreement, Survey, Unseen
from measurement.funnel import Funnel
from measurement.incrementality.results import Lift
from measurement.problems import CannotSay
from measurement.reconciliation import Reconciliation
from measurement.settings import Settings, Test


@dataclass(frozen=True, slots=True)
class Layer:
    """One table of the data: how many rows it has, and on which days of the report's period."""

    table: str
    rows: int
    days: tuple[date, ...] = ()
    """With at least one row, in order, those of the period only."""
    dated: bool = True
    """False: its rows have no day (which person placed which order)."""

    def missing(self, first: date, last: date) -> tuple[tuple[date, date], ...]:
        """Spans of days of the period without a row, inclusive. A table without rows is missing whole."""
        there = set(self.days)
        spans: list[tuple[date, date]] = []
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            if day in there:
                continue
            if spans and spans[-1][1] == day - timedelta(days=1):
                spans[-1] = (spans[-1][0], day)
            else:
                spans.append((day, day))
        return tuple(spans)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger holds of the report's type and period: counted, not modelled."""

    conversions: int
    value: int
    """In minor units; conversions without a value add nothing."""
    clicked: int
    """With a ChatGPT click reference."""
    by_day: tuple[tuple[date, int, int], ...] = ()
    """Day, conversions, those with a click reference."""


@dataclass(frozen=True, slots=True)
class Match:
    """By what OpenAI can match the conversions of one source: how many carry each key, how many carry none."""

    source: str
    conversions: int
    keys: Mapping[str, int]
    none: int


@dataclass(frozen=True, slots=True)
class Spend:
    """What one channel cost in the period, in minor units."""

    channel: str
    spend: int
    clicks: int | None
    impressions: int | None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A test of the settings, and what each method makes of it."""

    test: Test
    lifts: tuple[Lift | CannotSay, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything. A `CannotSay` stands where the data does not carry the statement."""

    settings: Settings
    made: datetime
    """In the report's time zone."""
    layers: tuple[Layer, ...]
    recorded: Recorded
    reconciliation: Reconciliation | CannotSay
    attribution: Attribution | CannotSay
    survey: Survey | CannotSay
    agreement: Agreement | CannotSay
    unseen: Unseen | CannotSay
    tests: tuple[Experiment, ...]
    funnels: tuple[Funnel, ...] | CannotSay
    channels: tuple[Channel, ...] | CannotSay
    matches: tuple[Match, ...]
    spend: tuple[Spend, ...]
    notes: tuple[str, ...] = ()
    """Of the import: rows left out, and why."""
    truth: tuple[TruthRow, ...] = ()

    def for_truth(self) -> dict[str, Any]:
        """What can be held against a simulated shop's truth, as `measurement.simulation.truth.compare` takes it."""
        return {
            "survey": None if isinstance(self.survey, CannotSay) else self.survey,
            "unseen": None if isinstance(self.unseen, CannotSay) else self.unseen,
            "attribution": None if isinstance(self.attribution, CannotSay) else self.attribution,
            "lifts": {
                each.test.name: tuple(lift for lift in each.lifts if isinstance(lift, Lift)) for each in self.tests
            },
        }

    @property
    def spent(self) -> Mapping[str, int]:
        """Spend by channel, in minor units."""
        return {each.channel: each.spend for each in self.spend}


@dataclass(frozen=True, slots=True)
class TruthRow:
    """A simulated shop's truth beside an estimate of it."""

    name: str
    value: float
    low: float | None
    high: float | None
    truth: float
    share: bool
    """Whether these are shares (0.08 is 8 %) or counts."""
