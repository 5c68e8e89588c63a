"""The study's histories, and that the tests find nothing where there is nothing. `make study` does it thoroughly."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm

from measurement.incrementality import series, study
from measurement.incrementality.study import GEO, ON_OFF, World


@pytest.mark.parametrize("kind", GEO)
@pytest.mark.parametrize("method", [study.geo_test, study.synthetic_test])
def test_geo_tests_cover_the_truth(kind: str, method: object):
    # Given histories with a lift of 10 %, of seeds that the printed study does not use
    count = 20 if method is study.geo_test else 4

    outcomes = [method(kind, 5_000_000 + seed, 0.1) for seed in range(count)]  # type: ignore[operator]

    # Then at least 80 % of the intervals hold it: by chance alone one run of a million has less
    assert sum(outcome.covers for outcome in outcomes) >= 0.8 * count - 1
    assert all(outcome.low <= outcome.estimate <= outcome.high for outcome in outcomes)


def test_without_an_effect_few_are_found():
    outcomes = [study.geo_test(kind, 6_000_000 + seed) for kind in GEO for seed in range(25)]
    outcomes += [study.on_off_test(kind, 6_000_000 + seed) for kind in ON_OFF for seed in range(6)]

    # Of 186 about 9 are found
    assert 1 <= sum(outcome.finds for outcome in outcomes) <= 22
    assert sum(outcome.covers for outcome in outcomes) >= 164


def test_an_interval_that_leaves_out_0_is_an_effect_that_is_found():
    for kind, test in (("two treated of twelve", study.geo_test), ("one switch", study.on_off_test)):
        for seed in range(10):
            outcome = test(kind, 7_000_000 + seed, 0.1)
            assert outcome.finds == (not outcome.low <= 0 <= outcome.high)


def test_robust_errors_find_what_is_not_there():
    # Given sales whose disturbances fade slowly, and no effect
    world = World(markets=1, sales=200.0, common=0.1, memory=0.9, spans=((12, 15),))
    days = np.arange(19 * 7)
    on = (days >= 84) & (days < 112)
    robust = ours = 0
    for seed in range(40):
        sales = np.exp(study.simulate(world, len(days), 8_000_000 + seed)[0])
        columns = series.design(days, on)
        robust += sm.OLS(np.log(sales), columns).fit(cov_type="HAC", cov_kwds={"maxlags": 7}).pvalues[0] <= 0.05
        ours += series.measure(sales, on, days).p_value <= 0.05

    # Then the usual way is wrong every fourth time and more
    assert robust >= 10
    assert ours <= 7


def test_a_history_is_the_same_for_the_same_seed_and_has_the_means_that_were_asked_for():
    world = World(markets=40, sales=25.0, trend=0.0)

    one, same, other = (study.simulate(world, 84, seed) for seed in (1, 1, 2))

    assert (one == same).all()
    assert (one != other).any()
    assert 15 < np.exp(one).mean() < 40
