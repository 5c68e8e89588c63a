"""Planning a test: which markets, how many weeks, and how small a lift it would find, on the shop's own history.

The test is run where nothing was switched, in many windows of the history and with many choices of markets, and a lift
is put in. Both tests work on logarithms, where a lift shifts the effect and both ends of its interval and changes
nothing else. So one run without a lift says for every lift whether it would have been found: if the interval, shifted,
leaves out 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import expm1, isfinite, log1p
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from measurement.incrementality import comparison, on_off, panel, series
from measurement.incrementality.comparison import WEEK, by_week, compare, days_before
from measurement.incrementality.panel import (
    LEAST_A_DAY,
    LEAST_BEFORE,
    LEAST_ON,
    LEAST_SALES,
    MOST_EMPTY,
    Panel,
    counted,
    named,
    percent,
)  # fmt: skip
from measurement.incrementality.permutation import LEVEL, smallest_p
from measurement.incrementality.results import Design, Plan
from measurement.problems import CannotSay

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

EFFECTS: Final = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3)
SIMULATIONS: Final = 300
CANDIDATES: Final = 2_000
"""How many choices of markets are drawn."""
BEST: Final = 0.05
"""The share of them, the best matched ones, from which the choice is drawn. From a single best one no test by chance
would follow."""
DRAWS: Final = 999
"""Choices of markets in the test of each simulation."""
REALISTIC: Final = 0.2
"""A lift that is hardly ever seen. If no test can find a smaller one, that is said."""
FEW_WINDOWS: Final = 4
MOST_WINDOWS: Final = 60
"""In how many places of a long history an on/off test is tried."""
ON_WEEKS: Final = 2
"""Weeks with ads of an on/off test, and weeks without, in turn."""
LATEST: Final = 28
"""Days at the end of the history by which the lift is computed from which the ads pay."""


def plan(
    data: Data,
    settings: Settings,
    *,
    weeks: Sequence[int] = (2, 4, 6, 8),
    markets: Sequence[str] | None = None,
    treated: int | None = None,
    effects: Sequence[float] = EFFECTS,
    power: float = 0.8,
    simulations: int = SIMULATIONS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Plan:
    """Tests that the shop could run, the one that finds the smallest lift first.

    ``markets``: those that may take part (all). ``treated``: in how many of them the ads are switched (tried: half and
    a quarter). Raises CannotSay: neither kind of test can be planned with the data.
    """
    say = progress or _silent
    notes: list[str] = []
    designs: list[Design] = []
    try:
        held = _chosen(panel.by_market(data, settings), markets)
        designs += _geo_designs(
            held, _untested(held, settings, ("geo",)), weeks, treated, effects, power, simulations, seed, say, notes
        )
    except CannotSay as reason:
        notes.append(str(reason))
    whole = panel.by_day(data, settings)
    try:
        designs += _on_off_designs(whole, _untested(whole, settings, ("geo", "on_off")), weeks, effects, power, say)
    except CannotSay as reason:
        notes.append(str(reason))
    if not designs:
        why = "neither kind can be planned with this history"
        raise CannotSay("A test", why, " ".join((*notes, "Come back with a longer history, or with one by market.")))
    designs.sort(key=lambda design: (design.smallest_effect, design.weeks, len(design.treated)))
    return Plan(tuple(designs), (*_verdict(whole, designs), *notes))


def _silent(_: str) -> None:
    """Nobody wants to know."""


def _untested(held: Panel, settings: Settings, kinds: Sequence[str]) -> Flags:
    """For each day of the history: whether no known test of these kinds ran."""
    free = np.ones(held.length, dtype=bool)
    for test in settings.tests:
        for first, last in test.spans if test.kind in kinds else ():
            free[max(0, held.position(first)) : max(0, held.position(last) + 1)] = False
    return free


def _chosen(held: Panel, markets: Sequence[str] | None) -> Panel:
    if markets is None:
        return held
    if unknown := sorted(set(markets) - set(held.markets)):
        raise CannotSay(
            "A geo test",
            f"there are no sales in {named(unknown)}",
            f"Write the markets as the sales have them, such as {named(held.markets[:3])}.",
        )
    some = np.isin(held.markets, list(markets))
    return Panel(
        held.first, tuple(np.array(held.markets)[some]), held.sales[some], held.value[some], held.valued[some],
        held.spend, held.from_ledger,
    )  # fmt: skip


def _geo_designs(
    held: Panel,
    free: Flags,
    weeks: Sequence[int],
    treated: int | None,
    effects: Sequence[float],
    power: float,
    simulations: int,
    seed: int,
    say: Callable[[str], None],
    notes: list[str],
) -> list[Design]:
    rng = np.random.default_rng(seed)
    panel.refuse_gap(held, np.arange(held.length), "A geo test")
    designs = []
    for length in weeks:
        days = length * WEEK
        starts = [
            start
            for start in range(held.length - days, LEAST_BEFORE - 1, -WEEK)
            if free[days_before(start, days)].all() and free[start : start + days].all()
        ]
        if not starts:
            notes.append(
                f"A geo test of {counted(length, 'week')} was not tried: that takes {LEAST_BEFORE + days} days of "
                f"history by market without a geo test, and there are {int(free.sum())}."
            )
            continue
        enough = held.sales[:, -min(held.length, comparison.PREFERRED_BEFORE) :].mean(axis=1) * days
        usable = enough >= comparison.LEAST_EXPECTED
        count = int(usable.sum())
        for size in sorted({treated} if treated else {count // 2, max(2, count // 4)}):
            if not 0 < size < count or smallest_p(count, size) > 1 - LEVEL:
                notes.append(
                    f"A geo test of {counted(length, 'week')} with {counted(size, 'treated market')} was not tried: of "
                    f"{counted(len(held.markets), 'market')} {count} sell the {comparison.LEAST_EXPECTED:.0f} "
                    "conversions that it takes in that time, and chance could not be excluded with these."
                )
                continue
            say(f"Geo test of {counted(length, 'week')} with {counted(size, 'treated market')}")
            sales = held.sales[usable]
            choices = matched(by_week(sales, np.arange(held.length)), size, rng)
            ends: list[float] = []
            for number in range(simulations):
                start = starts[number % len(starts)]
                before, during = days_before(start, days), np.arange(start, start + days)
                chosen = choices[rng.integers(len(choices))]
                if (sales[:, before].sum(axis=1) == 0).any():
                    continue
                found = _ends(sales, chosen, before, during, number)
                ends += found
            if not ends:
                notes.append(
                    f"A geo test of {counted(length, 'week')} was not tried: in no part of the history do all markets "
                    "sell enough."
                )
                continue
            names = np.array(held.markets)
            first = choices[int(rng.integers(len(choices)))]
            chosen_names = set(names[usable][first])
            due = [held.sales[:, -LATEST:].mean(axis=1)[np.isin(names, list(chosen_names)) == side].sum() * days
                   for side in (True, False)]  # fmt: skip
            if min(due) < LEAST_SALES:
                notes.append(
                    f"A geo test of {counted(length, 'week')} with {counted(size, 'treated market')} is not offered: "
                    f"{min(due):.0f} conversions were to be expected on one side, and {LEAST_SALES} are needed."
                )
                continue
            designs.append(
                _design(
                    "geo",
                    length,
                    tuple(sorted(chosen_names)),
                    tuple(str(name) for name in names if name not in chosen_names),
                    np.array(ends),
                    effects,
                    power,
                    len(starts),
                )
            )
    return designs


def _ends(sales: Numbers, chosen: Flags, before: comparison.Days, during: comparison.Days, seed: int) -> list[float]:
    """The lifts, as logarithms, from which the test would have found one: for ads on, and for ads off."""
    kept = comparison.big_enough(sales, before, during)
    if not kept[chosen].any() or not kept[~chosen].any():
        return [np.inf, np.inf]
    found = compare(sales, chosen, before, during, seed=seed, draws=DRAWS).contrast
    return [-found.low, found.high]


def matched(weekly: Numbers, size: int, rng: np.random.Generator) -> Flags:
    """Choices of ``size`` markets that went like the rest and have their share of the sales, one a row.

    Of `CANDIDATES` at random the best `BEST`: by the spread of the logarithm of treated over control, week by week,
    and by how far the treated markets' share of sales is from their share of markets.
    """
    count = len(weekly)
    order = rng.random((CANDIDATES, count)).argpartition(size - 1, axis=1)[:, :size]
    tried = np.zeros((CANDIDATES, count), dtype=bool)
    np.put_along_axis(tried, order, True, axis=1)
    tried = np.unique(tried, axis=0)
    treated = np.maximum(tried @ weekly, 0.5)
    control = np.maximum(~tried @ weekly, 0.5)
    apart = np.log(treated / control).std(axis=1)
    share = treated.sum(axis=1) / (treated + control).sum(axis=1)
    uneven = np.abs(np.log(share / (size / count)))
    place = apart.argsort().argsort() + uneven.argsort().argsort()
    kept = max(1, int(len(tried) * BEST))
    best: Flags = tried[np.argsort(place, kind="stable")[:kept]]
    return best


def _on_off_designs(
    whole: Panel, free: Flags, weeks: Sequence[int], effects: Sequence[float], power: float, say: Callable[[str], None]
) -> list[Design]:
    sales = whole.sales[0]
    mean = float(sales.mean())
    if mean < LEAST_A_DAY or (sales == 0).mean() > MOST_EMPTY:
        raise CannotSay(
            "An on/off test",
            f"there are {mean:.1f} conversions a day in the history, {percent(float((sales == 0).mean()))} of the days "
            f"without one; it takes {LEAST_A_DAY:.0f} a day",
            "Use a conversion that is more frequent.",
        )
    panel.refuse_gap(whole, np.arange(whole.length), "An on/off test")
    designs = []
    for length in weeks:
        days = length * WEEK
        pattern = np.arange(days) // WEEK % (2 * ON_WEEKS) < ON_WEEKS
        reach = on_off.LONGEST if whole.length >= series.LEAST_FOR_YEARLY else on_off.HISTORY
        starts = [
            start
            for start in range(whole.length - days, LEAST_BEFORE - 1, -WEEK)
            if free[max(0, start - reach) : start + days].all()
        ]
        if pattern.sum() < LEAST_ON or not starts:
            continue
        starts = starts[:: -(-len(starts) // MOST_WINDOWS)]
        say(f"On/off test of {counted(length, 'week')}")
        ends: list[float] = []
        for start in starts:
            positions = np.arange(max(0, start - reach), start + days)
            on = np.zeros(whole.length, dtype=bool)
            on[start : start + days] = pattern
            positions = positions[sales[positions] > 0]
            found = series.measure(sales[positions], on[positions], positions + whole.first.toordinal())
            ends += [-found.low, found.high]
        designs.append(_design("on_off", length, (), (), np.array(ends), effects, power, len(starts)))
    if not designs:
        raise CannotSay(
            "An on/off test",
            f"{counted(int(free.sum()), 'day')} of history without a test are too few for so many weeks",
            f"Give at least {LEAST_BEFORE} days more than the test would last.",
        )
    return designs


def _design(
    kind: str,
    weeks: int,
    treated: tuple[str, ...],
    control: tuple[str, ...],
    ends: Numbers,
    effects: Sequence[float],
    power: float,
    windows: int,
) -> Design:
    """The design from the lifts (logarithms) that each simulation would just have found."""
    smallest = float(np.quantile(ends, power, method="higher"))
    curve = tuple((effect, float(np.mean(ends < log1p(effect)))) for effect in sorted(effects))
    return Design(
        weeks=weeks,
        treated=treated,
        control=control,
        smallest_effect=expm1(smallest) if isfinite(smallest) and smallest < 700 else float("inf"),
        power=power,
        curve=curve,
        kind="on_off" if kind == "on_off" else "geo",
        windows=windows,
    )


def _verdict(whole: Panel, designs: Sequence[Design]) -> list[str]:
    """What the best design means for this shop."""
    best = designs[0]
    notes = []
    if best.smallest_effect > REALISTIC:
        notes.append(
            f"Nothing realistic can be found: the best of these tests finds a lift of {percent(best.smallest_effect)} "
            f"and more, and ads that add {percent(REALISTIC)} to all sales are rare. Wait for a longer history or more "
            "sales, or test a part of the business that the ads are aimed at."
        )
    latest = np.arange(max(0, whole.length - LATEST), whole.length)
    spend, worth = whole.spent(latest), whole.worth(latest)
    value = float(whole.sales[0, latest].sum()) * worth if worth else 0.0
    if spend and value > spend:
        pays = spend / (value - spend)
        finds = best.smallest_effect
        notes.append(
            f"At the spend of the last {len(latest)} days the ads pay for themselves, in sales, from a lift of "
            f"{percent(pays)}. "
            + (
                f"The best of these tests finds {percent(finds)}: it can tell."
                if finds <= pays
                else f"The best of these tests finds {percent(finds)}: ads that just pay are likely to look like "
                "nothing. Spend more in the treated markets during the test, or take a test that finds nothing for an "
                "upper bound only."
            )
        )
    if few := [design for design in designs if design.windows < FEW_WINDOWS]:
        kinds = {"geo": "a geo test", "on_off": "an on/off test"}
        told = sorted({(kinds[design.kind], design.weeks) for design in few})
        notes.append(
            f"The history has fewer than {FEW_WINDOWS} places to try "
            + " or ".join(f"{kind} of {counted(weeks, 'week')}" for kind, weeks in told)
            + " in, so that its power is known roughly only."
        )
    return notes
