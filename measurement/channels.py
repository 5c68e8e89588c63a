"""ChatGPT beside Google, Meta and the others, from the user's own data."""

from __future__ import annotations

from dataclasses import dataclass

from measurement.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel in the period. Money in minor units; None: the data does not say."""

    channel: str
    spend: int | None
    impressions: int | None
    clicks: int | None
    cpc: float | None
    conversions: float | None
    """By last click, 30 days."""
    conversion_rate: Estimate | None
    """Conversions per click (per session where there are no clicks)."""
    cpa: float | None
    roas: float | None
    mql: int | None
    sql: int | None
    mql_to_sql: Estimate | None
    coverage: float | None
    """Of the conversions that the survey credits to it, the share that a click shows too."""
    dark_share: Estimate | None
    """The rest: heard of by it, without any click."""
