"""Treated markets against control, on the numbers alone: what geo tests, their planning and the study share.

`sales` is always a matrix of market × day, `before` and `during` are the positions of days in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from measurement.incrementality.permutation import DRAWS, Choices, Contrast, choices, contrast

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]

WEEK: Final = 7
LEAST_EXPECTED: Final = 10.0
"""A market with fewer conversions expected in the test is left out: the logarithm of so few says nothing."""
PREFERRED_BEFORE: Final = 56
"""Days before a test that it is compared with, or four times its length if that is more. Older days say less."""


def days_before(start: int, length: int) -> Days:
    """The days that a test of ``length`` days from position ``start`` is compared with: whole weeks, the last ones."""
    count = min(start, max(PREFERRED_BEFORE, 4 * length)) // WEEK * WEEK
    return np.arange(start - count, start)


def by_week(sales: Numbers, days: Days) -> Numbers:
    """Sums of whole weeks, counted back from the last of ``days``; days over are left out."""
    weeks = len(days) // WEEK
    held: Numbers = sales[..., days[len(days) - weeks * WEEK :]]
    return held.reshape(*held.shape[:-1], weeks, WEEK).sum(axis=-1)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference in differences: the contrast of the logarithms of how sales changed."""

    contrast: Contrast
    changes: Numbers
    """For each market that is kept: logarithm of its sales a day in the test over those before."""
    weights: Numbers
    kept: Flags
    """Which markets are in it."""
    tried: Choices


def big_enough(sales: Numbers, before: Days, during: Days) -> Flags:
    """The markets that sold enough before the test."""
    enough: Flags = sales[:, before].mean(axis=1) * len(during) >= LEAST_EXPECTED
    return enough


def compare(
    sales: Numbers, treated: Flags, before: Days, during: Days, *, seed: int = 0, draws: int = DRAWS
) -> Comparison:
    """How much more sales grew in the treated markets than in the others, in logarithms.

    Each side must have a market that is `big_enough`.
    """
    kept = big_enough(sales, before, during)
    held = sales[kept]
    changes = np.log(np.maximum(held[:, during].sum(axis=1), 0.5) / len(during)) - np.log(held[:, before].mean(axis=1))
    weights = precision(by_week(held, before))
    tried = choices(treated[kept], draws, seed)
    return Comparison(contrast(changes, weights, tried), changes, weights, kept, tried)


def precision(weekly: Numbers) -> Numbers:
    """What a market's change weighs: one over its variance, from the weeks before the test alone.

    The variance of a market's week around its mean and the common course of all markets is modelled as a + b / sales:
    what moves the market as such, and counting noise. The model is fitted over all markets, so that no market gets its
    weight from the luck of its own few weeks.
    """
    markets, weeks = weekly.shape
    equal = np.ones(markets)
    if weeks < 2 or markets < 3:
        return equal
    means = weekly.mean(axis=1)
    logs = np.log(np.maximum(weekly, 0.5))
    left = logs - logs.mean(axis=1, keepdims=True) - logs.mean(axis=0) + logs.mean()
    variances = (left**2).sum(axis=1) / (weeks - 1)
    # In units of the average, so that the fit does not depend on the unit of sales.
    terms = np.column_stack([equal, means.mean() / means])
    fitted = terms[:, 1]
    for _ in range(2):
        found, _ = nnls(terms / fitted[:, None], variances / fitted)
        fitted = terms @ found
        if fitted.min() <= 1e-12:
            return equal
    weights: Numbers = fitted.mean() / fitted
    return weights
