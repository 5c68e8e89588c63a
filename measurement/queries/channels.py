"""One channel beside the others: what was spent, what its leads became, whom it was seen to meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import ibis

from measurement.queries._sets import together
from measurement.queries.dark_funnel import first_answers
from measurement.queries.paths import DAY_MS, REPRESENTATIVE, Scope
from measurement.tables import CHATGPT

if TYPE_CHECKING:
    import ibis.expr.types as ir

QUALIFIED: Final = ("mql", "sql", "opportunity", "won")
"""The stages of a lead that marketing has handed over: who reached a later one has passed the earlier."""
SALES: Final = QUALIFIED[1:]


def spent(t: Mapping[str, ir.Table], first: date, last: date) -> ir.Table:
    """``spend``, ``impressions`` and ``clicks`` of each channel; empty where no layer says so."""
    ads = t["ads"]
    inside = ads.filter(ads.day >= first, ads.day <= last)
    return inside.group_by("channel").agg(
        spend=inside.spend.sum(), impressions=inside.impressions.sum(), clicks=inside.clicks.sum()
    )


def visits(t: Mapping[str, ir.Table], first: date, last: date) -> ir.Table:
    """``sessions`` of each channel."""
    sessions = t["sessions"]
    inside = sessions.filter(sessions.day >= first, sessions.day <= last)
    return inside.group_by("channel").agg(sessions=inside.sessions.sum())


def leads(t: Mapping[str, ir.Table], first: date, last: date) -> ir.Table:
    """``mql``: leads that became MQL in the period (or, where the CRM skips it, reached a later stage first then), and
    ``sql``: how many of those have reached SQL or more by now. The channel is that of the lead's first such stage."""
    crm = t["crm"]
    qualified = crm.filter(crm.stage.isin(QUALIFIED))
    each = qualified.mutate(
        place=ibis.row_number().over(
            group_by=qualified.lead, order_by=[qualified.at_ms, qualified.channel, qualified.stage]
        ),
        is_sales=qualified.stage.isin(SALES).ifelse(1, 0).max().over(group_by=qualified.lead),
    )
    begun = each.filter(each.place == 0, each.day >= first, each.day <= last)
    return begun.group_by("channel").agg(mql=begun.count(), sql=begun.count(where=begun.is_sales == 1))


def heard(t: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """Of the conversions whose buyer answered the survey: ``answers`` that name the channel, and of how many a click or
    visit by it in the longest window is known (``seen``). An order's first answer counts, as in the survey's shares.

    A conversion that carries ChatGPT's click reference was a click by ChatGPT, whoever made it.
    """
    sold = t["conversions"]
    sold = sold.filter(sold.type == scope.type, sold.day >= scope.first, sold.day <= scope.last)
    told = first_answers(t).rename(channel="said")
    asked = sold.join(told, "order_id").select(
        "order_id", "conversion", "person", "clicked", "channel", sold_ms="at_ms"
    )
    own = asked.filter(asked.person.notnull()).select("conversion", "channel", "sold_ms", "person")
    linked = asked.drop("person").join(t["links"], "order_id").select("conversion", "channel", "sold_ms", "person")
    who = together(own, linked, distinct=True)
    touches = t["touches"].filter(t["touches"].kind != "view").select("person", "at_ms", "channel")
    met = who.join(touches, ["person", "channel"])
    age = met.sold_ms - met.at_ms
    met = met.filter(age >= 0, age <= scope.windows[-1] * DAY_MS).select("conversion").distinct().mutate(is_met=True)
    known = asked.left_join(met, "conversion")
    is_seen = known.is_met.fill_null(False) | ((known.channel == CHATGPT) & known.clicked)
    return known.group_by("channel").agg(answers=known.count(), seen=known.count(where=is_seen))


def visible(t: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """Channels of which the data has any click or visit: of no other can it be told who was not seen."""
    touches = t["touches"]
    sold = t["conversions"]
    carried = sold.filter(sold.clicked, sold.type == scope.type)
    by_touch = touches.filter(touches.kind != "view").select("channel")
    by_click = carried.select(channel=ibis.literal(CHATGPT))
    return together(by_touch, by_click, distinct=True)


_PERIOD: Final = (REPRESENTATIVE.first, REPRESENTATIVE.last)
QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    "spent": lambda t: spent(t, *_PERIOD),
    "visits": lambda t: visits(t, *_PERIOD),
    "leads": lambda t: leads(t, *_PERIOD),
    "heard": lambda t: heard(t, REPRESENTATIVE),
    "visible": lambda t: visible(t, REPRESENTATIVE),
}
