"""A number with how sure it is, and what kind of number it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["measured", "modelled", "assumed"]
"""Measured: counted, or an interval that sampling alone explains. Modelled: it holds if the model's assumptions do.
Assumed: somebody has written it into the settings."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the interval that covers the truth in ``level`` of all cases, if what is assumed holds.

    ``low`` and ``high`` are None where there is no interval, as with what was counted.
    """

    value: float
    low: float | None = None
    high: float | None = None
    kind: Kind = "measured"
    level: float = 0.95
