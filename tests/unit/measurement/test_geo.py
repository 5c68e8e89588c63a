"""Geo tests on tables: the result, and when it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from measurement.engine import Data
from measurement.incrementality import geo
from measurement.incrementality.panel import Panel
from measurement.incrementality.results import Lift
from measurement.problems import CannotSay
from measurement.settings import Test as Trial
from tests.unit.measurement.selling import PRICE, by_market, day, markets, settings, shop, spans, spent

TREATED = ("US-00", "US-02", "US-04", "US-06", "US-08", "US-10")
ON = Trial("Autumn", "geo", spans((16, 19)), TREATED, "on")
OFF = Trial("Holdout", "geo", spans((16, 19)), TREATED, "off")


def lifted(share: float, where: slice) -> Any:
    def change(means: Any) -> None:
        means[where, 16 * 7 :] *= 1 + share

    return change


def refused(held: Panel, test: Trial) -> str:
    with pytest.raises(CannotSay, match="not shown, because") as caught:
        geo.difference(held, test)
    with pytest.raises(CannotSay, match="not shown, because"):
        geo.synthetic(held, test)
    return str(caught.value)


def text(lift: Lift) -> str:
    return " ".join(lift.caveats)


@pytest.mark.parametrize("method", [geo.difference_in_differences, geo.synthetic_control])
def test_ads_switched_on_in_half_of_the_markets(method: Any):
    # Given ads that add a fifth in 6 of 12 markets, and cost 1,000 a day
    sales = markets(12, 20, change=lifted(0.2, slice(0, 12, 2)))
    data = shop(sales, ads=spent([0] * 112 + [100_000] * 28))

    told: list[str] = []
    lift = method(data, settings(ON), ON, progress=told.append)

    # Then the interval holds the truth and leaves out 0, and what they added follows from what was sold there
    assert lift.lift.low < 0.2 < lift.lift.high
    assert 0 < lift.p_value <= 0.05
    there = sum(sales[market][112:].sum() for market in TREATED)
    assert lift.extra.value == pytest.approx(there * lift.lift.value / (1 + lift.lift.value))
    assert lift.iroas.value == pytest.approx(lift.extra.value * PRICE / (28 * 100_000))
    assert lift.lift.low > 0
    assert lift.extra.low < lift.extra.value < lift.extra.high
    assert lift.iroas.low < lift.iroas.value < lift.iroas.high
    assert [each.partition(":")[0] for each in told] == ["Autumn"]
    assert {lift.lift.kind, lift.extra.kind, lift.iroas.kind} == {"modelled"}


@pytest.mark.parametrize("method", [geo.difference, geo.synthetic])
def test_a_holdout_says_what_the_ads_add_and_not_what_their_absence_takes(method: Any):
    # Given ads that add a quarter, switched off in 6 of 12 markets: there sales fall by a fifth
    sales = markets(12, 20, change=lifted(-0.2, slice(0, 12, 2)))

    lift = method(by_market(sales), OFF)

    # Then the lift is about a quarter, and the extra conversions are those of the markets that had ads
    assert lift.lift.low < 0.25 < lift.lift.high
    there = sum(sales[f"US-{place:02}"][112:].sum() for place in range(1, 12, 2))
    assert lift.extra.value == pytest.approx(there * (1 - 1 / (1 + lift.lift.value)))
    assert lift.iroas is None


def test_the_difference_by_hand():
    # Given 8 markets that sell 10 a day, and 15 in the test where the ads ran, 12 where they did not
    sales = {f"US-{place:02}": np.array([10] * 28 + [15 if place < 3 else 12] * 14) for place in range(8)}
    test = Trial("By hand", "geo", ((day(28), day(41)),), ("US-00", "US-01", "US-02"), "on")

    lift = geo.difference(by_market(sales, [0] * 28 + [3_000] * 14), test)

    # Then the lift is 15 / 12 - 1; of the 630 sales there a fifth is extra; the 504,000 that they are worth cost 42,000
    assert lift.lift.value == pytest.approx(0.25)
    assert lift.extra.value == pytest.approx(126)
    assert lift.iroas.value == pytest.approx(126 * PRICE / 42_000)
    assert lift.p_value == pytest.approx(1 / 56)
    assert [(point.day, point.actual, round(point.expected, 6)) for point in lift.points[27:29]] == [
        (day(27), 30, 30),
        (day(28), 45, 36),
    ]


def test_neither_the_unit_of_sales_nor_the_order_of_markets_matters():
    sales = markets(12, 20, change=lifted(0.1, slice(0, 12, 2)))
    one = geo.difference(by_market(sales), ON)

    fivefold = {market: counts * 5 for market, counts in sales.items()}
    turned = dict(reversed(list(sales.items())))
    names = Trial(ON.name, "geo", ON.spans, tuple(reversed(ON.markets)), "on")

    five = geo.difference(by_market(fivefold), ON)
    assert (five.lift.value, five.lift.low, five.p_value) == (
        pytest.approx(one.lift.value),
        pytest.approx(one.lift.low),
        one.p_value,
    )
    assert five.extra.value == pytest.approx(5 * one.extra.value)
    assert geo.difference(by_market(turned), names) == one


def test_sales_come_from_the_ledger_where_the_table_of_sales_has_no_day():
    # Given the ledger for the test and sales for the time before, and one day that both have
    sales = markets(12, 20, mean=15.0)
    before = {market: counts[:112] for market, counts in sales.items()}
    ledger = [
        {
            "conversion": f"order_created#shopify:{market}-{position}-{number}", "type": "order_created",
            "source": "shopify", "action_source": "web", "at_ms": 0, "day": day(position), "value": PRICE,
            "status": "sent", "clicked": False, "match_keys": "email", "market": market, "bucket": 0,
        }
        for market, counts in sales.items()
        for position in range(111, 140)
        for number in range(int(counts[position]))
    ]  # fmt: skip
    others = [
        ledger[0] | {"conversion": "lead_created#x", "type": "lead_created", "day": day(120)},
        ledger[0] | {"conversion": "order_created#y", "market": None, "day": day(121)},
    ]

    lift = geo.difference_in_differences(shop(before, conversions=ledger + others), settings(ON), ON)

    # Then it is as if all had come from one table, and it is said that it did not
    whole = geo.difference_in_differences(shop(sales), settings(ON), ON)
    assert lift.lift == whole.lift
    assert lift.extra == whole.extra
    assert "28 days (from 2026-06-22 on) are counted from the ledger" in text(lift)
    assert "ledger" not in text(whole)


def test_what_would_make_it_wrong_is_looked_for():
    # Given treated markets that grow 3 % a week more than the rest long before the test, and one large market
    def change(means: Any) -> None:
        means[0::2] *= np.exp(0.03 * np.arange(140) / 7)
        means[3] *= 60
        means[5] = 0.2

    lift = geo.difference(by_market(markets(12, 20, change=change)), ON)

    assert "already went another way than the rest (+3." in text(lift)
    assert "US-05 is left out of the comparison" in text(lift)
    assert "11 markets are few" in text(lift)


def test_a_market_that_decides_alone_is_named():
    # Given small markets with much noise of their own, and one treated market that sells a hundred times as much
    def change(means: Any) -> None:
        means[:] = 1.0
        means[0] = 300.0

    lift = geo.difference(by_market(markets(24, 20, change=change)), ON)

    assert "US-00 has " in text(lift)
    assert " of the weight of the treated markets" in text(lift)


def test_a_budget_that_moved_to_the_other_markets_is_said():
    # Given a holdout in half of the markets with the same spend as before
    held = by_market(markets(12, 20), [50_000] * 140)

    lift = geo.difference(held, OFF)

    assert "Where the ads ran, the spend for each sale was 2.0" in text(lift)


def test_few_sales_are_drawn_by_week():
    lift = geo.difference(by_market(markets(12, 20, mean=1.2)), ON)

    assert [point.day for point in lift.points[:2]] == [day(0), day(7)]
    assert len(lift.points) == 20


def test_points_hold_most_days_before_the_test():
    lift = geo.difference(by_market(markets(12, 20)), ON)

    inside = [point.low <= point.actual <= point.high for point in lift.points[:112]]
    assert 0.93 <= sum(inside) / 112 <= 0.98


def test_a_single_treated_market_of_many():
    test = Trial("One", "geo", spans((16, 19)), ("US-03",), "on")

    lift = geo.difference(by_market(markets(22, 20)), test)

    assert lift.p_value >= 1 / 22
    assert np.isfinite([lift.lift.low, lift.lift.high]).all()


def test_without_prices_there_is_no_return():
    assert geo.difference(by_market(markets(12, 20), [1_000] * 140, price=0), ON).iroas is None


# Refusals


def test_no_sale_has_a_market():
    with pytest.raises(CannotSay, match="no sale has a market"):
        geo.difference_in_differences(Data.of({}), settings(ON), ON)


def test_a_market_that_is_not_in_the_data():
    test = Trial("Typo", "geo", spans((16, 19)), ("US-00", "US-99"), "off")

    assert "there are no sales in US-99, which the test names" in refused(by_market(markets(12, 20)), test)


def test_a_test_that_names_no_market():
    assert "it names no market" in refused(by_market(markets(12, 20)), Trial("None", "geo", spans((16, 19))))


def test_treated_everywhere():
    test = Trial("All", "geo", spans((16, 19)), tuple(f"US-{place:02}" for place in range(12)))

    assert "in every market that has sales" in refused(by_market(markets(12, 20)), test)


def test_without_days():
    assert "it has no days" in refused(by_market(markets(12, 20)), Trial("None", "geo", (), TREATED))
    backwards = Trial("Back", "geo", ((day(130), day(120)),), TREATED)
    assert "end before they begin" in refused(by_market(markets(12, 20)), backwards)


def test_days_without_data():
    test = Trial("Late", "geo", spans((18, 21)), TREATED)

    said = refused(by_market(markets(12, 20)), test)

    assert "14 days of its 28 are outside of the data, which goes from 2026-03-02 to 2026-07-19" in said


def test_without_a_time_before():
    said = refused(by_market(markets(12, 20)), Trial("Early", "geo", spans((2, 5)), TREATED))

    assert "there are 14 days with sales and without the test before it, and 28 are needed" in said


def test_of_three_days():
    test = Trial("Short", "geo", ((day(120), day(122)),), TREATED)

    assert "it lasted 3 days, fewer than the 7" in refused(by_market(markets(12, 20)), test)


def test_a_gap_in_all_markets_and_in_one():
    whole, one = markets(12, 20), markets(12, 20)
    for counts in whole.values():
        counts[100:104] = 0
    one["US-03"][120:130] = 0

    assert "nothing was sold in all markets from 2026-06-10 to 2026-06-13" in refused(by_market(whole), ON)
    assert "nothing was sold in US-03 from 2026-06-30 to 2026-07-09" in refused(by_market(one), ON)


def test_a_day_on_which_every_market_is_closed_is_no_gap():
    sales = markets(12, 20)
    for counts in sales.values():
        counts[120] = 0

    assert geo.difference(by_market(sales), ON).p_value > 0.05


def test_too_few_sales():
    said = refused(by_market(markets(12, 20, mean=0.3)), ON)

    assert "the markets of the test sell too little" in said
    assert "100 are needed" in said


def test_too_few_markets():
    test = Trial("Few", "geo", spans((16, 19)), ("US-00", "US-01", "US-02"))

    said = refused(by_market(markets(6, 20)), test)

    assert "3 markets with the test and 3 without are too few" in said


def test_a_synthetic_control_needs_six_weeks_before():
    test = Trial("Early", "geo", spans((5, 7)), TREATED)

    with pytest.raises(CannotSay, match="there are 5 whole weeks before the test and 6 are needed"):
        geo.synthetic(by_market(markets(12, 20)), test)


def test_a_synthetic_control_that_does_not_fit_is_refused():
    # Given treated markets with a season that no other market has
    def change(means: Any) -> None:
        means[0::2] *= np.exp(0.8 * np.sin(np.arange(140) / 10))

    with pytest.raises(CannotSay, match="no mixture of the other markets went like the treated ones"):
        geo.synthetic(by_market(markets(12, 20, change=change)), ON)
