"""The regression of an on/off test, on the numbers alone: what the test, its planning and the study share."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from measurement.incrementality.autocorrelation import Fit, fit

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]

WEEK: Final = 7
YEAR: Final = 365.25
LEAST_FOR_YEARLY: Final = 730
"""Days of history from which terms of the year are in the regression; with less they would take a trend for theirs."""


def design(days: Days, on: Flags) -> Numbers:
    """The columns: ads on, level, trend, weekday, and the year where there is enough history. ``days``: day numbers."""
    centred = days - days.mean()
    columns = [on.astype(np.float64), np.ones(len(days)), centred / max(len(days), 1)]
    weekday = days % WEEK
    seen = np.unique(weekday)
    columns += [(weekday == each).astype(np.float64) for each in seen[1:]]
    if days[-1] - days[0] + 1 >= LEAST_FOR_YEARLY:
        for harmonic in (1, 2):
            angle = 2 * np.pi * harmonic * days / YEAR
            columns += [np.sin(angle), np.cos(angle)]
    return np.column_stack(columns)


def measure(sales: Numbers, on: Flags, days: Days) -> Fit:
    """The logarithm of what sales are with ads over without. Every day must have sales."""
    return fit(np.log(sales), design(days, on), days)
