"""Which channel and campaign gets the credit for a conversion, by four models side by side.

Conversions are those of one type in the report's period; a touch counts if it lies within the window before the
conversion. A conversion without any touch is `unknown`. In every model and window the credit of all channels, `unknown`
included, sums to the number of conversions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from measurement.estimate import Estimate

Model = Literal["last_click", "first_touch_decay", "time_decay", "markov"]
MODELS: Final[tuple[Model, ...]] = ("last_click", "first_touch_decay", "time_decay", "markov")
WINDOWS: Final = (7, 14, 30, 90)
"""Days before the conversion in which a touch counts."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a channel (``campaign`` None) or one of its campaigns gets, of the conversions and of their value."""

    model: Model
    window_days: int
    channel: str
    campaign: str | None
    conversions: Estimate
    value: Estimate
    """In minor units."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """All credits; each model and window sums to ``conversions`` and ``value``."""

    type: str
    conversions: int
    value: int
    credits: tuple[Credit, ...]
