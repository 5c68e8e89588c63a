"""What a section of the report is made of: charts, tables, lists, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from measurement.estimate import Estimate, Kind
from measurement.problems import CannotSay
from measurement.report.charts import Group, Mark, Picture
from measurement.report.sheets import Sheet
from measurement.report.wording import compact

MOST_CHANNELS: Final = 9
MOST_CAMPAIGNS: Final = 8
"""Shown one by one in a chart; the rest is put together, and that is said."""
NO_CAMPAIGN: Final = "(none)"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its data. ``kinds``: what its numbers are; ``note``: how to read it."""

    title: str
    picture: Picture
    sheet: Sheet
    kinds: tuple[Kind, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is not shown, why, and what would change that."""

    what: str
    why: str
    advice: str

    @classmethod
    def of(cls, problem: CannotSay) -> Refusal:
        """The refusal of an analysis."""
        return cls(problem.what, problem.why, problem.advice)


@dataclass(frozen=True, slots=True)
class Points:
    """A heading with a list of sentences."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section, with a text below it."""

    title: str
    text: str = ""


Block = Chart | Sheet | Refusal | Points | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    name: str
    title: str
    lead: str
    blocks: tuple[Block, ...]
    files: tuple[Sheet, ...] = field(default=())
    """Tables that are written as CSV but not shown."""


def kinds_of(estimates: Iterable[Estimate | None]) -> tuple[Kind, ...]:
    """Which kinds of numbers these are, in the order of the legend."""
    found = {each.kind for each in estimates if each is not None}
    order: tuple[Kind, ...] = ("measured", "modelled", "assumed")
    return tuple(kind for kind in order if kind in found)


def marked(label: str, estimate: Estimate, series: int, form: Callable[[float], str]) -> Mark:
    """An estimate as a mark of a chart, its value and interval as text beside it."""
    text = form(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        text += f" ({between(form(estimate.low), form(estimate.high))})"
    return Mark(label, estimate.value, text, series, estimate.low, estimate.high, estimate.kind)


def between(low: str, high: str) -> str:
    """An interval in a chart: as short as it can be."""
    if low.endswith(" %") and high.endswith(" %"):
        low = low.removesuffix(" %")
    return f"{low} – {high}"


def plain_share(value: float) -> str:
    """A tick of an axis."""
    return f"{value * 100:.6g}".replace("-", "−") + " %"


def plain_number(value: float) -> str:
    """A tick of an axis of counts."""
    return compact(value) if abs(value) >= 10_000 else f"{value:,.6g}".replace("-", "−")


def told(groups: Sequence[Group]) -> str:
    """What a chart shows, in words."""
    return "; ".join(
        f"{': '.join(filter(None, (group.label, mark.label)))}: {mark.text}" for group in groups for mark in group.marks
    )


def total_of(rows: Iterable[Mapping[str, int | None]], stage: str) -> int | None:
    """A stage's sum over all rows; None where no row has it."""
    held = [count for row in rows if (count := row.get(stage)) is not None]
    return sum(held) if held else None
