"""Treated against control, on the numbers alone."""

from math import log

import numpy as np
import pytest
import statsmodels.api as sm

from measurement.incrementality.comparison import by_week, compare, days_before, precision
from measurement.incrementality.synthetic import mixture, synthesize


def noisy(markets: int, days: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(20, 200, (markets, 1))
    return rng.poisson(sizes * np.exp(rng.normal(0, 0.1, (1, days)))).astype(np.float64)


def test_a_doubling_by_hand():
    # Given eight markets that sell 10 a day, of which three double in the last week while the others grow by half
    sales = np.full((8, 35), 10.0)
    sales[:3, 28:] = 20
    sales[3:, 28:] = 15
    treated = np.arange(8) < 3

    found = compare(sales, treated, np.arange(28), np.arange(28, 35)).contrast

    # Then the lift is 2 / 1.5 - 1, and of 56 choices only the real one shows it
    assert found.difference == pytest.approx(log(2 / 1.5))
    assert found.p_value == pytest.approx(1 / 56)


def test_the_difference_is_that_of_a_regression_with_markets_and_periods():
    # Given random sales
    sales = noisy(12, 84, seed=3)
    treated = np.arange(12) % 3 == 0
    before, during = np.arange(56), np.arange(56, 84)

    found = compare(sales, treated, before, during)

    # Then a weighted least squares of log sales on market, period and treated × test gives the same
    logs = np.log(np.column_stack([sales[:, before].mean(axis=1), sales[:, during].mean(axis=1)]))
    rows = [(market, period) for market in range(12) for period in (0, 1)]
    columns = np.array(
        [[treated[market] and period, period, *(market == each for each in range(12))] for market, period in rows],
        dtype=float,
    )
    values = np.array([logs[market, period] for market, period in rows])
    weights = np.array([found.weights[market] for market, _ in rows])
    assert found.contrast.difference == pytest.approx(sm.WLS(values, columns, weights=weights).fit().params[0])


def test_multiplying_all_sales_changes_nothing():
    sales = noisy(15, 84, seed=4)
    treated = np.arange(15) < 7
    before, during = np.arange(56), np.arange(56, 84)

    one = compare(sales, treated, before, during).contrast
    other = compare(sales * 7, treated, before, during).contrast

    assert other.difference == pytest.approx(one.difference)
    assert (other.low, other.high) == (pytest.approx(one.low), pytest.approx(one.high))
    assert other.p_value == one.p_value


def test_a_large_market_weighs_more_but_not_as_much_as_it_sells():
    # Given markets with counting noise, and a movement of their own that is alike in small and large ones
    rng = np.random.default_rng(5)
    sizes = np.geomspace(30, 30_000, 40)[:, None]
    weekly = rng.poisson(sizes * np.exp(rng.normal(0, 0.05, (40, 12)))).astype(np.float64)

    weights = precision(weekly)

    # Then weight grows with size, and stops where counting noise no longer matters
    assert (np.diff(weights) > 0).all()
    assert weights[-1] / weights[0] > 3
    assert weights[-1] / weights[-10] < 1.1


def test_without_noise_or_with_few_weeks_all_weigh_the_same():
    assert (precision(np.full((5, 8), 10.0)) == 1).all()
    assert (precision(np.ones((5, 1))) == 1).all()


def test_a_market_that_sells_next_to_nothing_is_left_out():
    sales = noisy(10, 56)
    sales[4] = 0
    sales[4, ::20] = 1

    found = compare(sales, np.arange(10) < 4, np.arange(28), np.arange(28, 56))

    assert found.kept.tolist() == [place != 4 for place in range(10)]


def test_days_before_are_whole_weeks_and_not_for_ever():
    assert days_before(30, 14).tolist() == list(range(2, 30))
    assert days_before(400, 14).tolist() == list(range(344, 400))
    assert len(days_before(400, 28)) == 112


def test_weeks_are_counted_back_from_the_last_day():
    assert by_week(np.arange(10.0)[None, :], np.arange(10)).tolist() == [[sum(range(3, 10))]]


def test_a_market_made_of_two_others_is_found():
    # Given a treated market that goes like the mean of two of four others
    rng = np.random.default_rng(2)
    donors = rng.uniform(50, 150, (4, 30))
    relative = donors / donors.mean(axis=1, keepdims=True)
    weekly = np.vstack([(relative[1] + relative[3]) / 2 * 1_000, donors])

    shares, misfit = mixture(weekly, np.array([True, False, False, False, False]), 0)

    # Then they share it, and there is no misfit; sales of another size do not matter
    assert shares == pytest.approx([0, 0, 0.5, 0, 0.5], abs=1e-4)
    assert misfit < 1e-4


def test_shares_are_not_negative_and_sum_to_one():
    weekly = noisy(12, 10, seed=8)

    shares, _ = mixture(weekly, np.arange(12) < 4, 4)

    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    assert (shares[:4] == 0).all()


def test_a_synthetic_control_finds_what_was_put_in():
    sales = noisy(16, 84, seed=6)
    treated = np.arange(16) < 8
    sales[:8, 56:] = np.round(sales[:8, 56:] * 1.2)

    found = synthesize(sales, treated, np.arange(56), np.arange(56, 84), draws=199)

    assert found.low < log(1.2) < found.high
    assert found.low > 0
    assert found.p_value == pytest.approx(1 / 200)


def test_a_synthetic_control_of_too_few_choices_has_no_end():
    sales = noisy(5, 84, seed=6)

    found = synthesize(sales, np.arange(5) < 1, np.arange(56), np.arange(56, 84))

    assert np.isinf([found.low, found.high]).all()
