"""Geo tests: the ads are switched in some markets, and the others show what would have been.

Two methods that make different use of the other markets. Both take the test's markets as drawn at random, and both get
p-value and interval from what other choices of markets would have given.

The lift is always what the ads add where they run, over no ads. With a holdout (`ads = "off"`) the treated markets are
those without ads, so their loss is turned round.
"""

from __future__ import annotations

from math import exp, expm1, inf
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from measurement.estimate import Estimate
from measurement.incrementality import comparison, panel
from measurement.incrementality.comparison import WEEK
from measurement.incrementality.panel import GeoTrial, counted, geo_trial, percent
from measurement.incrementality.permutation import Choices, Contrast, contrast, smallest_p
from measurement.incrementality.results import Lift, Point
from measurement.incrementality.synthetic import mixture, synthesize
from measurement.problems import CannotSay

if TYPE_CHECKING:
    from collections.abc import Callable

    from measurement.engine import Data
    from measurement.settings import Settings, Test

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]

DIFFERENCE: Final = "difference in differences"
SYNTHETIC: Final = "synthetic control"
WORST_FIT: Final = 0.15
"""The largest misfit of a week before the test with which a synthetic control is shown."""
LEAST_WEEKS: Final = 6
"""Weeks before the test from which the weights of a synthetic control are found."""
FEW_MARKETS: Final = 12
DOMINATES: Final = 0.4
"""Share of one market in the weight or the sales of its side from which it is said to decide the result."""
SHIFTED_SPEND: Final = 0.2
"""By how much the spend per sale where the ads ran may differ from before the test without a word."""
RETURN: Final = (
    "The return takes every extra conversion to be worth as much as the mean one, and takes off neither the cost of "
    "the goods nor what is sent back."
)
SALES_OF_A_DAY: Final = 10.0
"""The treated markets' sales on a mean day from which a picture shows days; with fewer it shows weeks."""


def difference_in_differences(
    data: Data, settings: Settings, test: Test, *, progress: Callable[[str], None] | None = None
) -> Lift:
    """How much more sales changed in the treated markets than in the others. Raises CannotSay: with the reason.

    A market's change is the logarithm of its sales a day in the test over those of the weeks before; one pair of
    numbers a market, so that neither seasons nor memory from day to day make it surer than it is.
    """
    if progress:
        progress(f"{test.name}: comparing markets")
    return difference(panel.by_market(data, settings), test)


def difference(held: panel.Panel, test: Test) -> Lift:
    """The same of a panel by market."""
    trial = geo_trial(held, test)
    found = comparison.compare(held.sales, trial.treated, trial.before, trial.during)
    shares = np.zeros(len(held.markets))
    shares[trial.kept] = found.weights
    shares[trial.treated] = 0
    caveats = [
        _drift(trial, found.weights, found.tried),
        *_weights(trial, found.weights),
        *_without_one(trial, test, found.changes, found.weights),
        *_common_caveats(trial, test),
    ]
    return _lift(DIFFERENCE, trial, test, found.contrast, shares, caveats)


def synthetic_control(
    data: Data, settings: Settings, test: Test, *, progress: Callable[[str], None] | None = None
) -> Lift:
    """The treated markets against a mixture of the others that went like them before. Raises CannotSay.

    The weights are not negative and sum to one (Abadie, Diamond and Hainmueller 2010). The test is theirs in space: the
    same is done for other choices of markets. Choices are compared by the effect alone: over the misfit before the
    test, as is also done, a lift is found less often (docs/incrementality.md).
    """
    if progress:
        progress(f"{test.name}: making synthetic markets")
    return synthetic(panel.by_market(data, settings), test)


def synthetic(held: panel.Panel, test: Test) -> Lift:
    """The same of a panel by market."""
    trial, what = geo_trial(held, test), f'The synthetic control of "{test.name}"'
    weekly = comparison.by_week(held.sales, trial.before)[trial.kept]
    if weekly.shape[1] < LEAST_WEEKS:
        raise CannotSay(
            what,
            f"there are {weekly.shape[1]} whole weeks before the test and {LEAST_WEEKS} are needed to find its weights",
            "Give sales by day and market from earlier on.",
        )
    treated = trial.treated[trial.kept]
    shares, misfit = mixture(weekly, treated, len(trial.during) / WEEK)
    if misfit > WORST_FIT:
        raise CannotSay(
            what,
            f"no mixture of the other markets went like the treated ones before the test: in a mean week they are "
            f"{percent(misfit)} apart, and {percent(WORST_FIT)} is the most",
            "Look at the difference in differences, or choose treated markets that others resemble (`relay plan`).",
        )
    found = synthesize(held.sales[trial.kept], treated, trial.before, trial.during)
    every = np.zeros(len(held.markets))
    every[trial.kept] = shares
    used = sorted(((share, held.markets[place]) for place, share in enumerate(every) if share >= 0.01), reverse=True)
    caveats = [
        f"Before the test the mixture differed from the treated markets by {percent(misfit)} of a mean week (RMSPE); "
        f"it is made of {', '.join(f'{name} ({percent(share)})' for share, name in used[: panel.NAMED])}"
        + (f" and {len(used) - panel.NAMED} more." if len(used) > panel.NAMED else "."),
        *_common_caveats(trial, test),
    ]
    return _lift(SYNTHETIC, trial, test, found, every, caveats)


def _lift(method: str, trial: GeoTrial, test: Test, effect: Contrast, shares: Numbers, caveats: list[str]) -> Lift:
    """The result from the logarithm of treated over expected, and the share of each control market in the picture."""
    held, days = trial.panel, trial.during
    value, low, high = effect.difference, effect.low, effect.high
    if test.ads == "off":
        value, low, high = -value, -high, -low
    lift = Estimate(expm1(value), expm1(low), expm1(high) if high < 700 else inf, "modelled")
    running = ~trial.treated if test.ads == "off" else trial.treated
    extra = added(float(held.sales[running][:, days].sum()), lift)
    iroas = returned(extra, held.worth(days, running), held.spent(days))
    caveats = [*caveats, RETURN] if iroas else caveats
    return Lift(method, lift, extra, effect.p_value, iroas, _points(trial, shares), tuple(caveats))


def added(sales: float, lift: Estimate) -> Estimate:
    """How many of ``sales``, made while ads ran, these added: s - s / (1 + lift)."""
    ends = (lift.value, lift.low, lift.high)
    value, low, high = (None if end is None else sales - sales / max(1 + end, 1e-9) for end in ends)
    return Estimate(value or 0.0, low, high, "modelled", lift.level)


def returned(extra: Estimate, worth: float | None, spend: float | None) -> Estimate | None:
    """The value of the extra conversions, each worth as much as the mean one, over the spend. None without either."""
    if not spend or worth is None or spend < 0:
        return None
    low, high = (None if end is None else end * worth / spend for end in (extra.low, extra.high))
    return Estimate(extra.value * worth / spend, low, high, "modelled", extra.level)


def _points(trial: GeoTrial, shares: Numbers) -> tuple[Point, ...]:
    """The treated markets' sales, and what the other markets' course says that they would have been.

    The band holds 95 % of the days (or weeks) before the test.
    """
    held, kept = trial.panel, trial.kept
    treated = trial.treated & kept
    days = np.concatenate([trial.before, trial.during])
    mean = held.sales[:, trial.before].mean(axis=1)
    used = shares > 0
    share = shares[used] / shares[used].sum()
    actual = held.sales[treated].sum(axis=0)
    expected = mean[treated].sum() * (share @ (held.sales[used] / mean[used][:, None]))
    width = 1 if actual[trial.before].mean() >= SALES_OF_A_DAY else WEEK
    blocks = [days[begin : begin + width] for begin in range(0, len(days), width)]
    sold = np.array([actual[block].sum() for block in blocks])
    due = np.array([expected[block].sum() for block in blocks])
    before = np.array([int(block[-1]) < int(trial.during[0]) for block in blocks]) & (sold > 0) & (due > 0)
    apart = np.log(sold[before] / due[before]) if before.any() else np.zeros(1)
    under, over = np.quantile(apart, [0.025, 0.975])
    return tuple(
        Point(
            held.day(int(block[0])),
            float(sold[place]),
            float(due[place]),
            float(due[place] * exp(min(under, 0.0))),
            float(due[place] * exp(max(over, 0.0))),
        )
        for place, block in enumerate(blocks)
    )


def _drift(trial: GeoTrial, weights: Numbers, tried: Choices) -> str:
    """Whether treated and control drifted apart before the test: the same test, of the markets' own trends."""
    weekly = comparison.by_week(trial.panel.sales, trial.before)[trial.kept]
    time = np.arange(weekly.shape[1]) - (weekly.shape[1] - 1) / 2
    slopes = np.log(np.maximum(weekly, 0.5)) @ time / (time @ time)
    found = contrast(slopes, weights, tried)
    rate = f"{percent(expm1(found.difference), sign=True)} a week, p = {found.p_value:.2f}"
    weeks = f"the {weekly.shape[1]} weeks before the test"
    if found.p_value <= 0.1:
        return (
            f"In {weeks} the treated markets already went another way than the rest ({rate}). If that went on, the "
            "lift is wrong by about so much for each week from the middle of the one period to that of the other."
        )
    return f"In {weeks} no drift between treated and control markets was found ({rate}); a small one may be missed."


def _weights(trial: GeoTrial, weights: Numbers) -> list[str]:
    names = np.array(trial.panel.markets)[trial.kept]
    treated = trial.treated[trial.kept]
    caveats = []
    for side, name in ((treated, "treated"), (~treated, "control")):
        share = weights[side] / weights[side].sum()
        most = int(share.argmax())
        if share[most] > DOMINATES and side.sum() > 1:
            caveats.append(
                f"{names[side][most]} has {percent(float(share[most]))} of the weight of the {name} markets: what "
                "happened there alone, such as a competitor or the weather, decides the result."
            )
    return caveats


def _without_one(trial: GeoTrial, test: Test, changes: Numbers, weights: Numbers) -> list[str]:
    """The lift without each market in turn: how far a single one carries it."""
    names = np.array(trial.panel.markets)[trial.kept]
    treated = trial.treated[trial.kept]
    lifts = []
    for place in range(len(names)):
        held = np.arange(len(names)) != place
        one, other = held & treated, held & ~treated
        if one.any() and other.any():
            difference = np.average(changes[one], weights=weights[one]) - np.average(
                changes[other], weights=weights[other]
            )
            lifts.append((expm1(-difference if test.ads == "off" else difference), str(names[place])))
    if not lifts:
        return []
    (low, without_low), (high, without_high) = min(lifts), max(lifts)
    return [
        f"Without one market at a time the lift lies between {percent(low, sign=True)} (without {without_low}) and "
        f"{percent(high, sign=True)} (without {without_high})."
    ]


def _common_caveats(trial: GeoTrial, test: Test) -> list[str]:
    held, treated = trial.panel, trial.treated
    caveats = [
        "It is taken that the treated markets were drawn at random. If they were chosen for how they sell, the "
        "p-value and the interval are too sure.",
        "Who sees the ad in one market and buys in another makes the lift come out too small; the data cannot show it.",
    ]
    if left := [name for name, kept in zip(held.markets, trial.kept, strict=True) if not kept]:
        caveats.append(
            f"{panel.named(left)} {'is' if len(left) == 1 else 'are'} left out of the comparison: fewer than "
            f"{comparison.LEAST_EXPECTED:.0f} conversions were to be expected there in the test."
        )
    if (number := int(trial.kept.sum())) < FEW_MARKETS:
        chosen = int((treated & trial.kept).sum())
        caveats.append(
            f"{counted(number, 'market')} are few: the smallest p-value that they can give is "
            f"{smallest_p(number, chosen):.3f}, and the interval is wide."
        )
    spent, earlier = held.spend[trial.during], held.spend[trial.before]
    sold = held.sales[:, trial.before].sum(axis=1)
    running = float(sold[~treated if test.ads == "off" else treated].sum() / sold.sum())
    earlier = earlier[earlier > 0]
    if len(earlier) and not np.isnan(spent).all():
        ratio = float(np.nanmean(spent) / earlier.mean() / running)
        if abs(ratio - 1) > SHIFTED_SPEND:
            caveats.append(
                f"Where the ads ran, the spend for each sale was {ratio:.2f} times that of all markets on days with "
                "ads before the test: the budget was not divided as the markets sell. The lift is that of this spend, "
                "not of the former."
            )
    caveats += mixed_sources(held, np.concatenate([trial.before, trial.during]))
    return caveats


def mixed_sources(held: panel.Panel, days: Days) -> list[str]:
    """A caveat where some of the days come from the ledger and some from the table of sales."""
    ledger = held.from_ledger[days]
    if not ledger.any() or ledger.all():
        return []
    first = held.day(int(days[ledger.argmax()]))
    return [
        f"{counted(int(ledger.sum()), 'day')} (from {first} on) are counted from the ledger, the others from the "
        "table of sales. If one of them counts more than the other, that looks like an effect."
    ]
