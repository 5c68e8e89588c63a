"""From the click to the conversion, by channel and campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import ibis

from measurement.queries._sets import together

if TYPE_CHECKING:
    import ibis.expr.types as ir


def steps(t: Mapping[str, ir.Table], first: date, last: date) -> ir.Table:
    """Clicks by the ads' figures, visits and what became of them by GA4's, of each channel and campaign: ``click``,
    ``session``, ``engaged``, ``micro``, ``macro``. Empty where no layer says so, which is not 0."""
    ads, sessions = t["ads"], t["sessions"]
    nothing = ibis.null("int64")
    counts = ("click", "session", "engaged", "micro", "macro")
    clicked = ads.filter(ads.day >= first, ads.day <= last).select(
        "channel",
        "campaign",
        click=ads.clicks.cast("int64"),
        session=nothing,
        engaged=nothing,
        micro=nothing,
        macro=nothing,
    )
    visited = sessions.filter(sessions.day >= first, sessions.day <= last).select(
        "channel",
        "campaign",
        click=nothing,
        session=sessions.sessions,
        engaged=sessions.engaged,
        micro=sessions.micro,
        macro=sessions.macro,
    )
    both = together(clicked, visited)
    return (
        both.group_by("channel", "campaign")
        .agg(**{name: both[name].sum() for name in counts})
        .order_by("channel", "campaign")
    )


QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    "steps": lambda t: steps(t, date(2026, 10, 1), date(2026, 10, 31)),
}
