"""Sales by market and day: which table counts."""

from __future__ import annotations

from typing import Any

import pytest

from measurement.engine import DIALECTS, Data, sql, unbound
from measurement.queries.markets import QUERIES, chatgpt_spend, days, market_days
from measurement.tables import TABLES
from tests.unit.measurement.selling import day


def order(number: int, position: int, market: str | None, value: int | None, kind: str = "order_created") -> Any:
    return {
        "conversion": f"{kind}#shopify:{number}", "type": kind, "source": "shopify", "action_source": "web", "at_ms": 0,
        "day": day(position), "value": value, "status": "recorded", "clicked": False, "match_keys": "",
        "market": market, "bucket": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data() -> Data:
    """Day 0 is in the table of sales alone, day 1 in both, day 2 in the ledger alone."""
    return Data.of(
        {
            "sales": [
                {"day": day(0), "market": "US-CA", "conversions": 5, "value": 900},
                {"day": day(0), "market": "US-NY", "conversions": 2, "value": None},
                {"day": day(1), "market": "US-CA", "conversions": 4, "value": 700},
            ],
            "conversions": [
                order(1, 1, "US-NY", 100),
                order(2, 2, "US-NY", 300),
                order(3, 2, "US-NY", None),
                order(4, 2, None, 50),
                order(5, 2, "US-NY", 1, "lead_created"),
            ],
            "ads": [
                {"day": day(0), "channel": "chatgpt", "campaign": "a", "spend": 10},
                {"day": day(0), "channel": "chatgpt", "campaign": "b", "spend": 5},
                {"day": day(0), "channel": "google_ads", "campaign": "a", "spend": 7},
                {"day": day(1), "channel": "chatgpt", "campaign": "a", "spend": None},
            ],
        }
    )


def test_sales_win_for_a_whole_day(data: Data):
    rows = data.rows(market_days(data.tables, "order_created").order_by("day", "market"))

    assert [tuple(row.values()) for row in rows] == [
        (day(0), "US-CA", 5, 900, 5, 0),
        (day(0), "US-NY", 2, 0, 0, 0),
        (day(1), "US-CA", 4, 700, 4, 0),
        (day(2), "US-NY", 2, 300, 1, 2),
    ]


def test_by_day_those_without_a_market_count_too(data: Data):
    rows = data.rows(days(data.tables, "order_created").order_by("day"))

    assert [tuple(row.values()) for row in rows] == [
        (day(0), 7, 900, 5, 0),
        (day(1), 4, 700, 4, 0),
        (day(2), 3, 350, 2, 3),
    ]


def test_spend_is_that_of_chatgpt_and_unknown_where_nothing_is_said(data: Data):
    assert data.rows(chatgpt_spend(data.tables)) == [{"day": day(0), "spend": 15}]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", QUERIES)
def test_each_compiles_for_both_engines(name: str, dialect: Any):
    assert "SELECT" in sql(QUERIES[name]({table: unbound(table) for table in TABLES}), dialect)
