"""Do the systems agree? Each stage's count of the same conversions, and why each differs from the one before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

STAGES: Final = (
    "truth", "received", "ignored", "recorded", "sent", "accepted", "attributed", "ga4", "crm",
)  # fmt: skip
"""In the order of a conversion's way. `truth`: what the platform counts; `accepted`: what OpenAI took."""


@dataclass(frozen=True, slots=True)
class Row:
    """One day, source and type: the count of each stage. None: this layer gave no data, which is not zero."""

    day: date
    source: str
    type: str
    counts: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Why two stages differ: how many conversions, for which reason, and what to do. ``explained`` False is flagged."""

    day: date
    source: str
    type: str
    before: str
    after: str
    count: int
    reason: str
    explained: bool
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All rows and differences. ``missing`` are order ids that the truth has and the ledger lacks, by source."""

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    missing: dict[str, tuple[str, ...]]
