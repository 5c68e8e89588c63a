"""ChatGPT beside Google, Meta and the others, from the user's own data.

Conversions and their value are by last click within 30 days (`measurement.attribution`), the same rule for all, and not
what each platform claims. Leads are those that became MQL in the period, whatever came of them since: the last weeks'
have had less time. Shares have Wilson intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from measurement.estimate import Estimate, Kind
from measurement.problems import CannotSay
from measurement.tables import CHANNELS

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings

WINDOW_DAYS: Final = 30
"""Of the last click that is credited."""
SEEN_DAYS: Final = 90
"""How long before the conversion a click or visit shows that the buyer had met the channel."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel in the period. Money in minor units; None: the data does not say."""

    channel: str
    spend: int | None
    impressions: int | None
    clicks: int | None
    cpc: float | None
    conversions: float | None
    """By last click, 30 days. That the last click counts is a model: it, `cpa` and `roas` are modelled."""
    conversion_rate: Estimate | None
    """Conversions per click (per session where there are no clicks). Modelled, as these conversions are."""
    cpa: float | None
    roas: float | None
    mql: int | None
    sql: int | None
    mql_to_sql: Estimate | None
    coverage: float | None
    """Of the conversions that the survey credits to it, the share that a click shows too."""
    dark_share: Estimate | None
    """The rest: heard of by it, without any click."""


def channels(data: Data, settings: Settings) -> tuple[Channel, ...]:
    """Every channel of which the data says anything in the period, in the order of `CHANNELS`.

    Raises CannotSay: it says nothing of any.
    """
    from measurement.attribution import last_click
    from measurement.queries import channels as queries
    from measurement.queries.paths import Scope

    period = (settings.first, settings.last)
    scope = Scope(settings.conversion_type, *period, windows=(SEEN_DAYS,))
    found: dict[str, dict[str, Any]] = {}
    for query in (
        queries.spent(data, *period),
        queries.visits(data, *period),
        queries.leads(data, *period),
        queries.heard(data, scope),
    ):
        for row in data.rows(query):
            found.setdefault(row.pop("channel"), {}).update(row)
    visible = {row["channel"] for row in data.rows(queries.visible(data, scope))}
    try:
        credit = last_click(data, settings, window_days=WINDOW_DAYS)
    except CannotSay:
        credit = {}
    for channel, (conversions, value) in credit.items():
        if conversions or channel in found:
            found.setdefault(channel, {}).update(conversions=conversions, value=value)
    if not found:
        raise CannotSay(
            "The comparison of channels", f"there is no data of any from {period[0]} to {period[1]}",
            "Import what was spent, GA4's sessions, touches, the CRM's stages or the survey.",
        )  # fmt: skip
    if credit:
        # Conversions are counted, and none is this channel's: that is 0 and not unknown.
        for row in found.values():
            row.setdefault("conversions", 0.0)
            row.setdefault("value", 0.0)
    return tuple(_channel(name, found[name], name in visible) for name in CHANNELS if name in found)


def _channel(name: str, row: dict[str, Any], is_visible: bool) -> Channel:
    spend, clicks, conversions = row.get("spend"), row.get("clicks"), row.get("conversions")
    answers, seen = row.get("answers"), row.get("seen", 0)
    return Channel(
        channel=name,
        spend=spend,
        impressions=row.get("impressions"),
        clicks=clicks,
        cpc=_ratio(spend, clicks),
        conversions=conversions,
        conversion_rate=_share(conversions, clicks if clicks is not None else row.get("sessions"), "modelled"),
        cpa=_ratio(spend, conversions),
        roas=_ratio(row.get("value"), spend),
        mql=row.get("mql"),
        sql=row.get("sql"),
        mql_to_sql=_share(row.get("sql"), row.get("mql")),
        coverage=_ratio(seen, answers) if is_visible else None,
        dark_share=_share(answers - seen, answers) if answers is not None and is_visible else None,
    )


def _ratio(one: float | None, other: float | None) -> float | None:
    """None where either is not known, or nothing can be divided by it."""
    return one / other if one is not None and other else None


def _share(part: float | None, whole: float | None, kind: Kind = "measured") -> Estimate | None:
    """A share with its Wilson interval.

    None where it is none: there is nothing to be a part of, or more than all, as where clicks are missing in the data.
    """
    from statsmodels.stats.proportion import proportion_confint

    if part is None or not whole or part > whole:
        return None
    low, high = proportion_confint(part, whole, alpha=0.05, method="wilson")
    # At the ends, Wilson's bound is the share itself, but for rounding.
    return Estimate(part / whole, min(float(low), part / whole), max(float(high), part / whole), kind)
