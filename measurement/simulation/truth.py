"""What is true of a simulated shop, and how far a report's estimates are from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from measurement.tables import CHATGPT

if TYPE_CHECKING:
    from measurement.attribution import Attribution
    from measurement.dark_funnel import Survey, Unseen
    from measurement.estimate import Estimate
    from measurement.incrementality.results import Lift


@dataclass(frozen=True, slots=True)
class Effect:
    """What the ads added in a test."""

    lift: float
    """Expected conversions with the ads over those without, minus one, where and when the test has the ads running."""
    extra: float
    """Expected conversions that they added there."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What only the simulation knows. A buyer is an order of the period."""

    buyers: int
    asked: int
    """Buyers whom the survey asks: those of the web shop."""
    by_channel: Mapping[str, int]
    """Buyers by what brought them: `chatgpt` if an ad was on their way, else the channel of the first contact. They sum
    to ``buyers``."""
    brought: int
    """Of those asked: buyers with a ChatGPT ad on their way, clicked or only seen."""
    clicked: int
    """Of those asked: buyers whose click is in the ledger."""
    would_name: Mapping[str, int]
    """Buyers who are asked, by what they say or would say if they answered. They sum to ``asked``."""
    last_click: Mapping[str, int]
    """Buyers by the last touch of their whole way, unseen touches included. They sum to ``buyers``."""
    first_touch: Mapping[str, int]
    """The same by the first touch."""
    effects: Mapping[str, Effect] = field(default_factory=dict)
    """By the test's name."""

    @property
    def survey_share(self) -> dict[str, float]:
        """The share of each channel if all who are asked had answered."""
        return {channel: count / self.asked for channel, count in self.would_name.items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One estimate beside its truth."""

    name: str
    value: float
    low: float | None
    high: float | None
    truth: float
    share: bool
    """Whether these are shares (0.08 is 8 %) or counts."""

    @property
    def distance(self) -> float:
        """Estimate minus truth."""
        return self.value - self.truth

    @property
    def inside(self) -> bool | None:
        """Whether the interval holds the truth; None where there is no interval."""
        if self.low is None or self.high is None:
            return None
        return self.low <= self.truth <= self.high


def compare(
    truth: Truth,
    *,
    survey: Survey | None = None,
    unseen: Unseen | None = None,
    lifts: Mapping[str, tuple[Lift, ...]] | None = None,
    attribution: Attribution | None = None,
) -> tuple[Comparison, ...]:
    """Each estimate of a report beside the truth of the shop that it is about. What was refused is left out.

    ``lifts``: the results by the test's name, one for each method. Of ``attribution`` only the last click has a truth:
    whose touch really came last, on any device and with or without consent. Its longest window is compared.
    """
    found: list[Comparison] = []

    def add(name: str, estimate: Estimate, true: float, *, share: bool) -> None:
        found.append(Comparison(name, estimate.value, estimate.low, estimate.high, true, share))

    if survey:
        for each in survey.shares:
            true = truth.survey_share.get(each.channel, 0.0)
            add(f"survey: {each.channel}, of the answers", each.share, true, share=True)
            if each.adjusted and each.channel == CHATGPT:
                add(f"survey: {each.channel}, of all buyers", each.adjusted, true, share=True)
    if unseen:
        add("buyers with a ChatGPT ad on their way", unseen.total, truth.brought, share=False)
        seen = unseen.clicked + unseen.surveyed - unseen.both
        add("of these, seen by no layer", unseen.unseen, truth.brought - seen, share=False)
    if attribution:
        widest = max(each.window_days for each in attribution.credits)
        for credit in attribution.credits:
            place = (credit.model, credit.window_days, credit.channel, credit.campaign)
            if place == ("last_click", widest, CHATGPT, None):
                last = truth.last_click.get(CHATGPT, 0)
                add(f"last click: {CHATGPT}, {widest} days", credit.conversions, last, share=False)
    for name, methods in (lifts or {}).items():
        for lift in methods:
            effect = truth.effects[name]
            add(f"{name}: lift, {lift.method}", lift.lift, effect.lift, share=True)
            add(f"{name}: extra conversions, {lift.method}", lift.extra, effect.extra, share=False)
    return tuple(found)


def table(comparisons: tuple[Comparison, ...]) -> str:
    """The comparisons as text: estimate, interval, truth, distance, whether the truth is inside."""
    heading = ("", "estimate", "95 % interval", "truth", "distance", "inside")
    rows = [heading]
    for each in comparisons:

        def shown(value: float, *, sign: bool = False, share: bool = each.share) -> str:
            plus = "+" if sign else ""
            return f"{100 * value:{plus}.1f} %" if share else f"{value:{plus},.0f}"

        interval = "" if each.low is None or each.high is None else f"{shown(each.low)} to {shown(each.high)}"
        inside = {True: "yes", False: "no", None: ""}[each.inside]
        rows.append(
            (each.name, shown(each.value), interval, shown(each.truth), shown(each.distance, sign=True), inside)
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(w) if at in (0, 5) else cell.rjust(w)
            for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join((first, *rest)).rstrip())
    return "\n".join(lines)
