"""Histories whose lift is known, and what the tests of incrementality say about them.

`make study` prints how often the intervals cover the truth and how often a test finds an effect where there is none;
``python -m measurement.incrementality.study`` prints it of the tests here and of the usual ways beside them. The
histories are made here and share no code with the tests: sales of a market and day are random counts around a
level with a trend, a week, a disturbance of the whole country and one of the market's own, which both fade slowly.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, expm1, sqrt
from statistics import fmean, median
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from measurement.incrementality import comparison, series, synthetic
from measurement.incrementality.permutation import Contrast

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """How sales come about. Spreads are standard deviations of logarithms."""

    markets: int = 20
    weeks_before: int = 12
    weeks: int = 4
    sales: float = 25.0
    """A market's mean on a day."""
    sizes: float = 0.8
    """How much markets differ in size."""
    trend: float = 0.1
    """Growth in the logarithm over the whole history, drawn around 0 with this spread; the same for all markets."""
    own_trends: float = 0.0
    """The same, for each market its own."""
    week: float = 0.2
    """Spread of the weekdays."""
    common: float = 0.08
    own: float = 0.05
    """Spread of the disturbance of all markets, and of each market's own."""
    memory: float = 0.6
    """Correlation of a disturbance with that of the day before."""
    burst: float = 0.0
    """Variance of a day's count beyond that of Poisson, as a share of the mean squared (negative binomial)."""
    treated: int | None = None
    """How many markets are treated; None: half of them."""
    spans: tuple[tuple[int, int], ...] = ()
    """On/off tests: the weeks of the history with ads, first and last, from 0."""


GEO: Final[Mapping[str, World]] = MappingProxyType(
    {
        "twenty markets": World(),
        "eight markets": World(markets=8, sales=60.0),
        "fifty unequal markets": World(markets=50, sizes=1.2, sales=30.0, treated=15),
        "few sales": World(markets=24, sales=3.0, burst=0.2),
        "markets that drift apart": World(own_trends=0.25, own=0.08, memory=0.9),
        "two treated of twelve": World(markets=12, treated=2, weeks_before=26),
    }
)
"""Kinds of geo test: what is treated is drawn at random, as `relay plan` asks for."""

ON_OFF: Final[Mapping[str, World]] = MappingProxyType(
    {
        "two weeks on, two off, three times": World(markets=1, sales=120.0, spans=((8, 9), (12, 13), (16, 17))),
        "no memory": World(markets=1, sales=120.0, common=0.06, memory=0.0, spans=((8, 9), (12, 13), (16, 17))),
        "long memory": World(markets=1, sales=200.0, common=0.1, memory=0.9, spans=((8, 9), (12, 13), (16, 17))),
        "one switch": World(markets=1, sales=150.0, spans=((12, 15),)),
        "few sales": World(markets=1, sales=20.0, burst=0.1, spans=((8, 9), (12, 13), (16, 17))),
        "steep trend": World(markets=1, sales=120.0, trend=0.8, spans=((8, 11), (16, 19))),
    }
)
"""Kinds of on/off test."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test says of a history, as a lift, and the truth."""

    estimate: float
    low: float
    high: float
    p_value: float
    truth: float

    @property
    def covers(self) -> bool:
        """Whether the 95 % interval holds the truth."""
        return self.low <= self.truth <= self.high

    @property
    def finds(self) -> bool:
        """Whether the test finds an effect at 5 %."""
        return self.p_value <= 0.05


def simulate(world: World, days: int, seed: int) -> Numbers:
    """What each market is expected to sell on each day without ads, as logarithms: market × day."""
    rng = np.random.default_rng(seed)
    sizes = rng.normal(0, world.sizes, world.markets) if world.markets > 1 else np.zeros(1)
    level = np.log(world.sales) + sizes - world.sizes**2 / 2 * (world.markets > 1)
    course = np.linspace(0, 1, days)
    trend = rng.normal(0, world.trend) * course + rng.normal(0, world.own_trends, (world.markets, 1)) * course
    week = np.tile(rng.normal(0, world.week, 7), days // 7 + 1)[:days]
    common = _fading(rng, world, (1, days)) * world.common
    own = _fading(rng, world, (world.markets, days)) * world.own * (world.markets > 1)
    logs: Numbers = level[:, None] + trend + week + common + own
    return logs


def _fading(rng: np.random.Generator, world: World, shape: tuple[int, int]) -> Numbers:
    """Disturbances with variance 1 and a memory, one row each."""
    news = rng.normal(0, 1, shape)
    made = np.empty(shape)
    made[:, 0] = news[:, 0]
    for day in range(1, shape[1]):
        made[:, day] = world.memory * made[:, day - 1] + np.sqrt(1 - world.memory**2) * news[:, day]
    return made


def _counts(world: World, logs: Numbers, seed: int) -> Numbers:
    rng = np.random.default_rng((seed, 1))
    means = np.exp(logs)
    if world.burst:
        means = means * rng.gamma(1 / world.burst, world.burst, means.shape)
    return rng.poisson(means).astype(np.float64)


def geo_test(kind: str, seed: int, lift: float = 0.0) -> Outcome:
    """A geo test of ads that add ``lift``, in one history of a kind of `GEO`, by difference in differences."""
    sales, treated, before, during = _geo(kind, seed, lift)
    return _outcome(comparison.compare(sales, treated, before, during).contrast, lift)


def synthetic_test(kind: str, seed: int, lift: float = 0.0) -> Outcome:
    """The same history by synthetic control; with 99 other choices of markets, so that many histories can be had."""
    sales, treated, before, during = _geo(kind, seed, lift)
    return _outcome(synthetic.synthesize(sales, treated, before, during, draws=99), lift)


def _geo(kind: str, seed: int, lift: float) -> tuple[Numbers, npt.NDArray[np.bool_], comparison.Days, comparison.Days]:
    """Sales, which markets are treated, the days before and those of the test."""
    world = GEO[kind]
    start, length = world.weeks_before * 7, world.weeks * 7
    logs = simulate(world, start + length, seed)
    treated = np.zeros(world.markets, dtype=bool)
    size = world.treated or world.markets // 2
    treated[np.random.default_rng((seed, 2)).permutation(world.markets)[:size]] = True
    during = np.arange(start, start + length)
    logs[np.ix_(treated, during)] += np.log1p(lift)
    return _counts(world, logs, seed), treated, comparison.days_before(start, length), during


def _outcome(found: Contrast, lift: float) -> Outcome:
    return Outcome(expm1(found.difference), expm1(found.low), _growth(found.high), found.p_value, lift)


def on_off_test(kind: str, seed: int, lift: float = 0.0) -> Outcome:
    """An on/off test of ads that add ``lift``, in one history of a kind of `ON_OFF`, by interrupted time series."""
    found = series.measure(*_on_off(kind, seed, lift))
    return Outcome(expm1(found.value), expm1(found.low), expm1(found.high), found.p_value, lift)


def _on_off(kind: str, seed: int, lift: float) -> tuple[Numbers, npt.NDArray[np.bool_], comparison.Days]:
    """Sales by day, whether the ads ran, and the days' numbers."""
    world = ON_OFF[kind]
    length = (world.spans[-1][1] + 3) * 7
    logs = simulate(world, length, seed)
    on = np.zeros(length, dtype=bool)
    for first, last in world.spans:
        on[first * 7 : (last + 1) * 7] = True
    logs[:, on] += np.log1p(lift)
    return np.maximum(_counts(world, logs, seed)[0], 0.5), on, np.arange(length)


def _growth(logarithm: float) -> float:
    return exp(min(logarithm, 700.0)) - 1


# The usual ways, to compare with


def panel_regression(kind: str, seed: int, lift: float = 0.0) -> Outcome:
    """The same geo test as a regression over market-days with effects of market and day, and independent errors."""
    sales, treated, before, during = _geo(kind, seed, lift)
    days = np.concatenate([before, during])
    logs = _both_ways(np.log(np.maximum(sales[:, days], 0.5)))
    on = _both_ways(np.outer(treated, np.isin(days, during)).astype(np.float64))
    value = float((on * logs).sum() / (on**2).sum())
    freedom = logs.size - sum(logs.shape)
    error = sqrt(float(((logs - value * on) ** 2).sum()) / freedom / float((on**2).sum()))
    return _normal(value, error, freedom, lift)


def robust_errors(kind: str, seed: int, lift: float = 0.0) -> Outcome:
    """The same on/off test by least squares with errors that are robust to autocorrelation (HAC, seven lags)."""
    import statsmodels.api as sm

    sales, on, days = _on_off(kind, seed, lift)
    found = sm.OLS(np.log(sales), series.design(days, on)).fit(cov_type="HAC", cov_kwds={"maxlags": 7}, use_t=True)
    return _normal(float(found.params[0]), float(found.bse[0]), int(found.df_resid), lift)


def _both_ways(matrix: Numbers) -> Numbers:
    left: Numbers = matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
    return left


def _normal(value: float, error: float, freedom: int, lift: float) -> Outcome:
    reach = float(stdtrit(freedom, 0.975)) * error
    p_value = 2 * float(stdtr(freedom, -abs(value) / error))
    return Outcome(expm1(value), expm1(value - reach), expm1(value + reach), p_value, lift)


METHODS: Final[tuple[tuple[str, Mapping[str, World], Callable[..., Outcome]], ...]] = (
    ("difference in differences", GEO, geo_test),
    ("synthetic control", GEO, synthetic_test),
    ("regression over market-days", GEO, panel_regression),
    ("interrupted time series", ON_OFF, on_off_test),
    ("least squares, robust errors", ON_OFF, robust_errors),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print coverage and false positives of every method and kind."""
    parser = argparse.ArgumentParser(prog="python -m measurement.incrementality.study", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="histories of each kind (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    options = parser.parse_args(arguments)
    seeds = range(options.first, options.first + options.seeds)
    print(f"{options.seeds} histories of each kind, lift 0 and 10 %. covers: 95 % intervals that hold the truth.")
    print("finds 0: tests with p <= 0.05 where there is no effect; finds 10 %: where there is one.")
    print(f"{'':32}{'':38}{'covers':>8}{'finds 0':>9}{'finds 10 %':>12}{'width':>8}{'ms':>7}")
    for name, kinds, test in METHODS:
        for kind in kinds:
            began = time.perf_counter()
            none = [test(kind, seed, 0.0) for seed in seeds]
            tenth = [test(kind, seed, 0.1) for seed in seeds]
            took = (time.perf_counter() - began) / len(seeds) / 2 * 1000
            covers = fmean(each.covers for each in none + tenth)
            found, power = fmean(each.finds for each in none), fmean(each.finds for each in tenth)
            width = median(each.high - each.low for each in tenth)
            print(f"{name:32}{kind:38}{covers:8.1%}{found:9.1%}{power:12.1%}{width:8.1%}{took:7.1f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
