"""The regression whose errors remember the day before."""

import numpy as np
import pytest
import statsmodels.api as sm

from measurement.incrementality import autocorrelation
from measurement.incrementality.autocorrelation import fit


def a_series(count: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = np.column_stack([(np.arange(count) // 10 % 2).astype(float), np.ones(count), np.arange(count) / count])
    return columns @ [0.3, 2.0, 0.5] + rng.normal(0, 0.1, count), columns, np.arange(count)


def test_one_memory_alone_is_generalised_least_squares(monkeypatch: pytest.MonkeyPatch):
    # Given days with a hole, and a single memory and strength on the grid, which outweigh a memory of 0
    _, columns, days = a_series(300)
    days = np.where(days >= 140, days + 5, days)
    monkeypatch.setattr(autocorrelation, "MEMORIES", (0.0, 0.8))
    monkeypatch.setattr(autocorrelation, "STRENGTHS", (2.0,))
    rng = np.random.default_rng(1)
    apart = np.abs(days[:, None] - days[None, :])
    covariance = np.eye(300) + 2.0 * 0.8**apart
    values = columns @ [0.3, 2.0, 0.5] + np.linalg.cholesky(covariance) @ rng.normal(0, 1, 300)

    found = fit(values, columns, days)

    # Then it is what statsmodels makes of the dense covariance
    expected = sm.GLS(values, columns, sigma=covariance).fit()
    low, high = expected.conf_int()[0]
    assert found.memory == pytest.approx(0.8 * 2 / 3, rel=1e-3)
    assert found.value == pytest.approx(expected.params[0], rel=1e-3)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3))
    assert found.p_value == pytest.approx(expected.pvalues[0], rel=5e-3)
    assert found.coefficients == pytest.approx(expected.params, rel=1e-3)
    assert found.spread == pytest.approx(np.sqrt(expected.scale * 3), rel=1e-3)


def test_without_memory_it_is_hardly_wider_than_least_squares():
    values, columns, days = a_series()

    found = fit(values, columns, days)

    low, high = sm.OLS(values, columns).fit().conf_int()[0]
    assert 0.9 < (found.high - found.low) / (high - low) < 1.6
    assert found.low < 0.3 < found.high


def test_with_memory_it_is_wider_than_least_squares():
    # Given an error that fades slowly, and an effect that is switched on once
    rng = np.random.default_rng(3)
    _, columns, days = a_series()
    columns[:, 0] = days >= 40
    error = np.zeros(80)
    for day in range(1, 80):
        error[day] = 0.9 * error[day - 1] + rng.normal(0, 0.1)
    values = columns @ [0.0, 2.0, 0.5] + error

    found = fit(values, columns, days)

    low, high = sm.OLS(values, columns).fit().conf_int()[0]
    assert found.high - found.low > 1.3 * (high - low)
    assert found.memory > 0.6


def test_adding_an_effect_shifts_value_and_ends_and_nothing_else():
    values, columns, days = a_series(seed=5)
    one = fit(values, columns, days)

    other = fit(values + 0.25 * columns[:, 0], columns, days)

    assert other.value == pytest.approx(one.value + 0.25)
    assert (other.low, other.high) == (pytest.approx(one.low + 0.25), pytest.approx(one.high + 0.25))
    assert (other.spread, other.memory) == (pytest.approx(one.spread), pytest.approx(one.memory))


def test_the_interval_leaves_out_0_exactly_if_p_is_below_five_percent():
    values, columns, days = a_series(seed=6)
    found = fit(values, columns, days)

    for effect, outside in ((-found.low, False), (-found.high, False), (-found.low + 0.01, True)):
        moved = fit(values + effect * columns[:, 0], columns, days)
        assert (moved.p_value < 0.049) == outside
        assert outside or moved.p_value == pytest.approx(0.05, abs=1e-4)


def test_sales_without_any_noise_have_an_effect_without_doubt():
    _, columns, days = a_series()

    found = fit(columns @ [0.3, 2.0, 0.5], columns, days)

    assert found.value == pytest.approx(0.3)
    assert found.p_value < 1e-6
