"""The permutation test of a geo experiment: what if the same number of other markets had been chosen?

If the ads do nothing, a market sells what it sells, whatever it was assigned to. So the difference between treated and
control can be computed for every other choice of markets, and the share of choices with a difference as large as the
real one is a p-value. It is exact where the markets were drawn at random, with any number of markets and whatever the
sales are like: uneven, with trends, with memory from day to day (Fisher 1935; for few clusters MacKinnon and Webb
2020). A t-test over days takes each day for news of its own and finds effects where there are none (Bertrand, Duflo
and Mullainathan 2004).

The interval holds every effect that the same test does not refuse at 5 %. On the log scale an effect is a shift of the
treated markets, so its ends have a closed form, and no search is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Choices = npt.NDArray[np.bool_]

LEVEL: Final = 0.95
DRAWS: Final = 4_999
"""How many choices are tried: all where there are no more, else so many at random, and the real one."""
_SAME: Final = 1e-9
"""Differences that differ by less are the same: sums of the same numbers in another order."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Treated less control, on the scale of what was compared, with interval and p-value."""

    difference: float
    low: float
    high: float
    p_value: float
    choices: int
    """How many choices of markets were compared, the real one included."""


def smallest_p(markets: int, treated: int) -> float:
    """The smallest p-value that so many markets can give at all; with half of them treated each choice has a mirror."""
    return (2 if 2 * treated == markets else 1) / comb(markets, treated)


def choices(treated: Sequence[bool] | Choices, draws: int = DRAWS, seed: int = 0) -> Choices:
    """Choices of as many markets, one a row, the real one first; every one there is where that is few enough."""
    real = np.asarray(treated, dtype=bool)
    markets, size = len(real), int(real.sum())
    if comb(markets, size) - 1 <= draws:
        rows = np.zeros((comb(markets, size), markets), dtype=bool)
        for row, chosen in zip(rows, combinations(range(markets), size), strict=True):
            row[list(chosen)] = True
        rest = rows[(rows != real).any(axis=1)]
    else:
        order = np.random.default_rng(seed).random((draws, markets)).argpartition(size, axis=1)[:, :size]
        rest = np.zeros((draws, markets), dtype=bool)
        np.put_along_axis(rest, order, True, axis=1)
    return np.vstack([real[None, :], rest])


def contrast(values: Numbers, weights: Numbers, tried: Choices, level: float = LEVEL) -> Contrast:
    """The weighted mean of the treated less that of the others, with the test and its inversion.

    ``values``: one for each market, such as the logarithm of sales in the test over those before. ``weights`` must not
    depend on what happened in the test. ``tried``: `choices`, the real one first. The ends are infinite where there are
    too few choices for the level.
    """
    chosen = tried.astype(np.float64) * weights
    others = weights - chosen
    chosen /= chosen.sum(axis=1, keepdims=True)
    others /= others.sum(axis=1, keepdims=True)
    parts = chosen - others
    every = parts @ values
    real, rest = every[0], every[1:]
    total = len(tried)
    p_value = (1 + int((np.abs(rest) >= abs(real) - _SAME).sum())) / total
    # Under an effect d the treated are shifted back by d: choice c then differs by every[c] - d * share[c], the real
    # one by real - d. |every - d share| >= |real - d| holds between the two roots, which lie on both sides of real.
    share = parts[1:] @ tried[0].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (real - rest) / (1 - share)
        two = (real + rest) / (1 + share)
    mirrored = 1 - np.abs(share) < _SAME
    low = np.sort(np.where(mirrored, -np.inf, np.minimum(one, two)))
    high = np.sort(np.where(mirrored, np.inf, np.maximum(one, two)))[::-1]
    # An effect stands as long as more than 5 % of the choices, the real one among them, differ as much.
    needed = int(np.floor((1 - level) * total + _SAME))
    if needed < 1:
        return Contrast(float(real), -np.inf, np.inf, p_value, total)
    return Contrast(float(real), float(low[needed - 1]), float(high[needed - 1]), p_value, total)
