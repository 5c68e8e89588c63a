"""What is known of every buyer, and what each layer says of them. Counts only: the statistics are in
`measurement.dark_funnel`.

A buyer is an order: a conversion of the report's type, of the report's period, with an order id. One who buys twice is
two buyers here, as each order is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

import ibis

from measurement.tables import CHATGPT

if TYPE_CHECKING:
    import ibis.expr.types as ir

LAST_TOUCH_DAYS: Final = 30
"""How long before the order the last touch may lie that describes a buyer."""
_DAY_MS: Final = 86_400_000
_PAID: Final = ("google_ads", "meta_ads", "microsoft_ads", "tiktok_ads", "affiliate")


def buyers(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """One row an order: ``order_id, action_source, clicked, person, at_ms``."""
    held = tables["conversions"]
    held = held.filter(held.type == kind, held.day.between(first, last), held.order_id.notnull())
    return held.group_by("order_id").agg(
        action_source=held.action_source.min(),
        clicked=held.clicked.cast("int64").max() == 1,
        person=held.person.min(),
        at_ms=held.at_ms.min(),
    )


def first_answers(tables: Mapping[str, ir.Table]) -> ir.Table:
    """``order_id, said``: the first answer for each order; of those at the same moment the one with the least id."""
    answers = tables["survey"].filter(lambda t: t.order_id.notnull())
    place = ibis.row_number().over(group_by="order_id", order_by=["at_ms", "answer_id"])
    return answers.mutate(place=place).filter(lambda t: t.place == 0).select("order_id", said="channel")


def last_touches(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """``order_id, last``: what kind of channel the last touch before the order was: ``chatgpt``, ``paid``, ``other``.
    Orders without a touch are not there.
    """
    orders = buyers(tables, kind, first, last)
    known = [orders, tables["links"], tables["purchases"]]
    persons = ibis.union(
        *(
            of.filter(of.person.notnull()).select(order_id=of.order_id.cast("string"), person=of.person.cast("string"))
            for of in known
        ),
        distinct=True,
    )
    asked = persons.inner_join(orders.select("order_id", "at_ms").rename(bought="at_ms"), "order_id")
    asked = asked.select("order_id", "person", "bought")
    touched = asked.inner_join(tables["touches"], "person")
    touched = touched.filter(
        touched.at_ms <= touched.bought, touched.at_ms >= touched.bought - LAST_TOUCH_DAYS * _DAY_MS
    )
    place = ibis.row_number().over(group_by="order_id", order_by=[ibis.desc("at_ms"), "channel"])
    return (
        touched.mutate(place=place)
        .filter(lambda t: t.place == 0)
        .select(
            "order_id",
            last=lambda t: ibis.cases((t.channel == CHATGPT, CHATGPT), (t.channel.isin(_PAID), "paid"), else_="other"),
        )
    )


def cells(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """``action_source, clicked, last, said, orders``: the buyers counted by what is known of all and what they said.

    ``last`` is ``none`` without a touch, ``said`` empty without an answer.
    """
    orders = buyers(tables, kind, first, last)
    known = orders.left_join(last_touches(tables, kind, first, last), "order_id").drop("order_id_right")
    known = known.left_join(first_answers(tables), "order_id").drop("order_id_right")
    known = known.mutate(last=known["last"].fill_null("none"))
    return known.group_by("action_source", "clicked", "last", "said").agg(orders=lambda t: t.count())


def answers(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """``place, said, answers``: how many answers there are, and to which orders they belong.

    ``place``: ``linked`` to a buyer of the period, ``bare`` without an order id, ``elsewhere`` with an order that is
    none of the buyers. Of the last two only those given in the period.
    """
    given = tables["survey"]
    orders = buyers(tables, kind, first, last).select("order_id").mutate(known=True)
    joined = given.left_join(orders, "order_id").drop("order_id_right")
    joined = joined.mutate(
        place=ibis.cases((joined.known, "linked"), (joined.order_id.isnull(), "bare"), else_="elsewhere")
    )
    joined = joined.filter((joined.place == "linked") | joined.day.between(first, last))
    return joined.group_by("place", said="channel").agg(answers=lambda t: t.count())


def layers(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """``ledger, ga4, crm, survey, orders``: buyers counted by what each layer says: 1 it credits them to ChatGPT,
    0 it credits them to something else, empty it does not see them.
    """
    known = buyers(tables, kind, first, last).select("order_id", ledger=lambda t: t.clicked.cast("int64"))
    crm = tables["crm"].filter(lambda t: t.order_id.notnull())
    said = {
        "ga4": tables["purchases"].select("order_id", "channel"),
        "crm": crm.select("order_id", "channel"),
        "survey": first_answers(tables).rename(channel="said"),
    }
    for name, of in said.items():
        credited = of.group_by("order_id").agg((of.channel == CHATGPT).cast("int64").max().name(name))
        known = known.left_join(credited, "order_id").drop("order_id_right")
    return known.group_by("ledger", "ga4", "crm", "survey").agg(orders=lambda t: t.count())


def attributed(tables: Mapping[str, ir.Table], kind: str, first: date, last: date) -> ir.Table:
    """``type, basis, window_days, click_through, view_through``: OpenAI's own totals in the period."""
    held = tables["attributed"]
    held = held.filter(held.channel == CHATGPT, held.day.between(first, last), held.type.isin([kind, "(all)"]))
    return held.group_by("type", "basis", "window_days").agg(
        click_through=held.click_through.sum(), view_through=held.view_through.sum()
    )


Query = Callable[[Mapping[str, "ir.Table"], str, date, date], "ir.Table"]


def _for_example(query: Query) -> Callable[[Mapping[str, ir.Table]], ir.Table]:
    return lambda tables: query(tables, "order_created", date(2026, 8, 1), date(2026, 10, 31))


QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    "first_answers": first_answers,
    "buyers": _for_example(buyers),
    "last_touches": _for_example(last_touches),
    "cells": _for_example(cells),
    "answers": _for_example(answers),
    "layers": _for_example(layers),
    "attributed_totals": _for_example(attributed),
}
