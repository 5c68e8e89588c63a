"""From the click to the conversion, by channel and campaign, and the step that loses most.

Clicks are the ads' own figure, the other steps GA4's: visits, engaged visits, visits with a small step, visits with a
purchase or lead. Two systems count: more visits than clicks is nothing unusual, and then none are lost there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from measurement.problems import CannotSay

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings

STEPS: Final = ("click", "session", "engaged", "micro", "macro")
LEAST: Final = 30
"""So many must come to a step, in the campaign and in the others together, for anything to be said of it."""
SIGNIFICANCE: Final = 0.05
"""How often a campaign that is like the others may be given a leak, at most: divided by the steps that are compared."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """One campaign's steps. A step that no layer counts is None. ``leak``: the step before which most are lost, against
    what the other campaigns keep there; None where there is too little data to say."""

    channel: str
    campaign: str
    counts: dict[str, int | None]
    leak: str | None


def funnels(data: Data, settings: Settings) -> tuple[Funnel, ...]:
    """The funnel of each campaign in the period, those with the most visits first.

    Raises CannotSay: the data has neither clicks nor visits in the period.
    """
    from measurement.queries.funnel import steps

    found = data.rows(steps(data, settings.first, settings.last))
    if not any(each[step] for each in found for step in STEPS):
        raise CannotSay(
            "The funnel", f"there are neither clicks nor visits from {settings.first} to {settings.last}",
            "Import GA4's sessions, and what the ads delivered.",
        )  # fmt: skip
    counted: list[dict[str, int | None]] = [{step: each[step] for step in STEPS} for each in found]
    made = [
        Funnel(each["channel"], each["campaign"], counts, _leak(place, counted))
        for place, (each, counts) in enumerate(zip(found, counted, strict=True))
    ]
    made.sort(key=lambda each: (-(each.counts["session"] or each.counts["click"] or 0), each.channel, each.campaign))
    return tuple(made)


def _leak(place: int, counted: Sequence[Mapping[str, int | None]]) -> str | None:
    """The step where the campaign keeps least in relation to what the others keep, of those where that is no chance.

    Whether it is: the score test of two independent shares, one-sided. Visits are taken as independent of each other,
    which makes it a little bolder than it should be for visitors who come often.
    """
    compared = []
    for before, after in pairwise(STEPS):
        own_before, own_after = _kept(counted[place], before, after)
        others = [_kept(each, before, after) for number, each in enumerate(counted) if number != place]
        their_before, their_after = sum(each[0] for each in others), sum(each[1] for each in others)
        if own_before >= LEAST and their_before >= LEAST and their_after:
            compared.append((after, own_after, own_before, their_after, their_before))
    leaks = []
    for after, *numbers in compared:
        own_after, own_before, their_after, their_before = numbers
        kept = (own_after / own_before) / (their_after / their_before)
        if kept < 1 and _probability(*numbers) < SIGNIFICANCE / len(compared):
            leaks.append((kept, STEPS.index(after), after))
    return min(leaks)[2] if leaks else None


def _kept(counts: Mapping[str, int | None], before: str, after: str) -> tuple[int, int]:
    """How many came to a step, and how many of them to the next; nothing where one of the two is not counted."""
    came, went_on = counts[before], counts[after]
    if came is None or went_on is None:
        return 0, 0
    return came, min(came, went_on)


def _probability(own_after: int, own_before: int, their_after: int, their_before: int) -> float:
    """How likely it is that a share is so much below another by chance alone. The smaller share is below 1."""
    from statsmodels.stats.proportion import proportions_ztest

    _, p = proportions_ztest([own_after, their_after], [own_before, their_before], alternative="smaller")
    return float(p)
