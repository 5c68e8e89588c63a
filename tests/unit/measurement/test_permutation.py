"""The permutation test of markets, and its interval."""

from itertools import combinations
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurement.incrementality.permutation import choices, contrast, smallest_p


def brute_force_p(values: list[float], weights: list[float], treated: list[bool], effect: float) -> float:
    """The p-value of an effect, in plain Python: over every choice of markets, one at a time."""
    shifted = [value - effect * chosen for value, chosen in zip(values, treated, strict=True)]

    def difference(chosen: set[int]) -> float:
        one = sum(weights[i] for i in chosen)
        other = sum(weights) - one
        return (
            sum(weights[i] * shifted[i] for i in chosen) / one
            - sum(weights[i] * shifted[i] for i in range(len(values)) if i not in chosen) / other
        )

    real = abs(difference({i for i, chosen in enumerate(treated) if chosen}))
    every = [abs(difference(set(chosen))) for chosen in combinations(range(len(values)), sum(treated))]
    return sum(each >= real - 1e-9 for each in every) / len(every)


def test_three_of_seven_markets_by_hand():
    # Given the three treated markets with the three largest changes, on which no other choice of three can improve
    values = np.array([0.3, 0.2, 0.4, 0.0, 0.1, -0.1, 0.0])
    treated = [True, True, True, False, False, False, False]

    found = contrast(values, np.ones(7), choices(treated))

    # Then the difference is 0.3 - 0, and of the 35 choices only the real one is as far apart
    assert found.difference == pytest.approx(0.3)
    assert found.choices == 35
    assert found.p_value == pytest.approx(1 / 35)
    assert found.low < 0.3 < found.high


def test_the_interval_is_what_the_test_does_not_refuse():
    # Given eight markets of different weight
    rng = np.random.default_rng(1)
    values, weights = rng.normal(0, 0.1, 8), rng.uniform(0.5, 2, 8)
    treated = [True, False, True, False, False, True, False, False]

    found = contrast(values, weights, choices(treated))

    # Then just inside of its ends an effect stands, and just outside it is refused
    def p(effect: float) -> float:
        return brute_force_p(list(values), list(weights), treated, effect)

    assert found.p_value == pytest.approx(p(0.0))
    assert p(found.low + 1e-6) > 0.05 >= p(found.low - 1e-6)
    assert p(found.high - 1e-6) > 0.05 >= p(found.high + 1e-6)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1), min_size=8, max_size=30),
    treated=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_a_p_value_is_never_0_and_the_interval_holds_the_difference(values: list[float], treated: int, seed: int):
    chosen = [place < treated for place in range(len(values))]

    found = contrast(np.array(values), np.ones(len(values)), choices(chosen, draws=199, seed=seed))

    assert 1 / 200 <= found.p_value <= 1 or found.p_value >= smallest_p(len(values), treated)
    assert found.p_value > 0
    assert found.low <= found.difference <= found.high


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.floats(-1, 1), min_size=7, max_size=9), shift=st.floats(-2, 2), scale=st.floats(0.1, 10))
def test_what_moves_all_markets_moves_nothing(values: list[float], shift: float, scale: float):
    tried = choices([place < 3 for place in range(len(values))])
    one = contrast(np.array(values), np.ones(len(values)), tried)

    other = contrast(np.array(values) * scale + shift, np.ones(len(values)), tried)

    assert other.difference == pytest.approx(one.difference * scale, abs=1e-9)
    assert other.low == pytest.approx(one.low * scale, abs=1e-9)
    assert other.high == pytest.approx(one.high * scale, abs=1e-9)


def test_few_choices_are_all_tried_once_and_many_are_drawn():
    # Given 3 of 7, of which there are 35, and 10 of 20, of which there are 184,756
    few, many = choices([True] * 3 + [False] * 4), choices([True] * 10 + [False] * 10, draws=500)

    # Then each of the few is there once, and of the many the real one and 500 of the right size
    assert len({tuple(row) for row in few}) == len(few) == 35
    assert few[0].tolist() == [True] * 3 + [False] * 4
    assert many.shape == (501, 20)
    assert (many.sum(axis=1) == 10).all()
    assert many[0].tolist() == [True] * 10 + [False] * 10


def test_three_of_six_can_prove_nothing():
    # Given three of six: each choice has a mirror that is as far apart, so that p is 2 of 20 at the least
    found = contrast(np.array([1.0, 1.1, 0.9, 0.0, 0.1, -0.1]), np.ones(6), choices([True] * 3 + [False] * 3))

    assert smallest_p(6, 3) == pytest.approx(0.1)
    assert found.p_value == pytest.approx(0.1)
    assert (found.low, found.high) == (-inf, inf)


def test_with_fewer_than_twenty_choices_there_is_no_interval():
    found = contrast(np.array([1.0, 0.0, 0.1, 0.2]), np.ones(4), choices([True, False, False, False]))

    assert (found.low, found.high) == (-inf, inf)
