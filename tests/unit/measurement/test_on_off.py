"""On/off tests on tables: the result, and when it is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from measurement.engine import Data
from measurement.incrementality import on_off
from measurement.incrementality.results import Lift
from measurement.problems import CannotSay
from measurement.settings import Test as Trial
from tests.unit.measurement.selling import PRICE, by_day, day, markets, settings, shop, spans, spent

TEST = Trial("Weeks", "on_off", spans((10, 11), (14, 15), (18, 19)))
RUNNING = np.isin(np.arange(24 * 7) // 7, (10, 11, 14, 15, 18, 19))


def selling(lift: float = 0.0, mean: float = 200.0, seed: int = 0, weeks: int = 24) -> dict[str, Any]:
    def change(means: Any) -> None:
        means[0, : 24 * 7][RUNNING[: weeks * 7]] *= 1 + lift

    return markets(1, weeks, mean, seed, change)


def measured(sales: dict[str, Any], test: Trial = TEST, spend: Any = None) -> Lift:
    return on_off.compare(by_day(sales["US-00"], spend), test)


def refused(sales: dict[str, Any], test: Trial = TEST, spend: Any = None) -> str:
    with pytest.raises(CannotSay, match="not shown, because") as caught:
        measured(sales, test, spend)
    return str(caught.value)


def test_ads_that_add_a_fifth():
    # Given ads that cost 1,000 on each day on which they run
    sales = selling(0.2)
    told: list[str] = []
    data = shop(sales, ads=spent([100_000 if on else 0 for on in RUNNING]))

    lift = on_off.interrupted_time_series(data, settings(TEST), TEST, progress=told.append)

    # Then the interval holds the truth, and what they added follows from what was sold meanwhile
    assert 0 < lift.lift.low < 0.2 < lift.lift.high
    assert lift.p_value < 0.01
    there = sales["US-00"][RUNNING].sum()
    assert lift.extra.value == pytest.approx(there * (1 - 1 / (1 + lift.lift.value)))
    assert lift.iroas.value == pytest.approx(lift.extra.value * PRICE / (42 * 100_000))
    assert told == ["Weeks: comparing days"]
    assert "There are 168 days, too few to know the seasons" in " ".join(lift.caveats)


def test_sales_without_noise_by_hand():
    # Given 100 sales a day and twice as many on Saturdays, and half as many again with ads
    counts = np.where(np.arange(168) % 7 == 5, 200, 100) * np.where(RUNNING, 1.5, 1.0)

    lift = measured({"US-00": counts})

    # Then a third of what was sold with ads is theirs: of six weeks with 1,200 each
    assert lift.lift.value == pytest.approx(0.5)
    assert lift.extra.value == pytest.approx(6 * 1_200 / 3)
    assert lift.points[5].expected == pytest.approx(200)
    assert lift.points[70].actual == 150
    assert lift.points[70].expected == pytest.approx(100)


def test_multiplying_all_sales_leaves_the_lift():
    sales = selling(0.1)
    one = measured(sales)

    other = measured({"US-00": sales["US-00"] * 9})

    assert other.lift.value == pytest.approx(one.lift.value)
    assert (other.lift.low, other.p_value) == (pytest.approx(one.lift.low), pytest.approx(one.p_value))


def test_all_markets_and_sales_without_one_count_together():
    whole, (half,) = selling(), selling(seed=1).values()
    parts = {"US-00": half, "US-01": whole["US-00"] - np.minimum(half, whole["US-00"])}
    parts["US-00"] = np.minimum(half, whole["US-00"])

    parts_lift = on_off.interrupted_time_series(shop(parts), settings(TEST), TEST)
    assert parts_lift == measured(whole)


def test_spend_on_days_without_ads_between_the_spans_is_taken_off():
    # Given 1,000 on each of the 42 days with ads, and 100 on 56 days between and after the spans, on 102 of them none
    spend = np.where(RUNNING, 100_000.0, 0.0)
    spend[12 * 7 : 14 * 7] = 4_500

    lift = measured(selling(0.2), spend=spend)

    # Then what a day with ads costs more is paid for the lift
    cost = 42 * (100_000 - 14 * 4_500 / 126)
    assert lift.iroas.value == pytest.approx(lift.extra.value * PRICE / cost)


def test_ads_that_go_on_after_the_test_end_the_comparison():
    # Given ads that run on from the second week after the last span, with twice the sales
    sales = selling(0.0)
    sales["US-00"][21 * 7 :] *= 2
    spend = [100_000 if on else 0 for on in RUNNING]
    spend[21 * 7 :] = [100_000] * 21

    lift = measured(sales, spend=spend)

    assert lift.points[-1].day == day(21 * 7 - 1)
    assert lift.lift.low < 0 < lift.lift.high


def test_ads_that_ran_until_the_test_leave_nothing_before():
    spend = [100_000] * 60 + [0] * 10 + [100_000 if on else 0 for on in RUNNING[70:]]

    said = refused(selling(), spend=spend)

    assert "there are 10 days with sales and without the test before it, and 28 are needed" in said


def test_what_would_make_it_wrong_is_looked_for():
    # Given a day on which four times as much was sold, a day without a sale, spend on five days without ads
    sales = selling()
    sales["US-00"][30] *= 4
    sales["US-00"][40] = 0
    spend = [100_000 if on else 0 for on in RUNNING]
    spend[90:95] = [50_000] * 5

    said = " ".join(measured(sales, spend=spend).caveats)

    assert "The ads were switched 6 times" in said
    assert "1 day stands out from it: 2026-04-01 (+" in said
    assert "1 day without a sale is left out: 2026-04-11" in said
    assert "On 5 days without ads, as the test has it, there was spend" in said
    assert "Without the 7 days after each switch the lift is" in said
    assert "too short to try the same test there" in said


def test_one_switch_is_called_so():
    test = Trial("Once", "on_off", spans((16, 23)))

    said = " ".join(measured(selling(), test).caveats)

    assert "The ads were switched once" in said
    assert "The same test 8 weeks earlier, where nothing was switched, finds" in said
    assert "as it should" in said


def test_a_rhythm_that_was_there_before_is_found():
    # Given sales that double every other fortnight, long before any ads ran in the same rhythm
    noise = np.random.default_rng(0).integers(0, 20, 280)
    counts = np.where(np.arange(280) // 14 % 2 == 1, 400, 200) + noise
    test = Trial("Rhythm", "on_off", spans((30, 31), (34, 35)))

    said = " ".join(measured({"US-00": counts}, test).caveats)

    assert "which it should not" in said


def test_short_spans_cannot_show_what_carries_over():
    test = Trial("Short", "on_off", spans((10, 10), (12, 12), (14, 14)))

    assert "The spans are too short to look at that" in " ".join(measured(selling(), test).caveats)


def test_three_years_have_terms_of_the_year():
    # Given a season that the test falls into, and no effect
    days = np.arange(150 * 7)
    means = 300 * np.exp(0.4 * np.sin(2 * np.pi * days / 365.25))
    counts = np.random.default_rng(0).poisson(means)
    test = Trial("Season", "on_off", spans((120, 123), (128, 131)))

    lift = measured({"US-00": counts}, test)

    assert lift.lift.low < 0 < lift.lift.high
    assert lift.lift.high - lift.lift.low < 0.1
    assert "seasons" not in " ".join(lift.caveats)


# Refusals


def test_no_sales():
    with pytest.raises(CannotSay, match="there is no sale of the type order_created"):
        on_off.interrupted_time_series(Data.of({}), settings(TEST), TEST)


def test_no_days():
    assert "it has no days" in refused(selling(), Trial("None", "on_off", ()))


def test_no_time_before():
    assert "14 days with sales and without the test" in refused(selling(), Trial("Early", "on_off", spans((2, 5))))


def test_days_outside_of_the_data():
    assert "outside of the data" in refused(selling(), Trial("Late", "on_off", spans((30, 31))))


def test_too_few_sales():
    assert "there are 4." in refused(selling(mean=4.5))


def test_too_short_on():
    test = Trial("Short", "on_off", spans((10, 10)))

    assert "there are 7 days with ads, and 14 are needed" in refused(selling(), test)


def test_a_gap():
    sales = selling()
    sales["US-00"][100:110] = 0

    assert "the data has a gap: nothing was sold in all markets" in refused(sales)


def test_too_many_days_without_a_sale():
    sales = selling()
    sales["US-00"][::8] = 0

    assert "21 of 168 days have no sale" in refused(sales)


def test_a_shop_that_is_closed_on_mondays_can_test():
    sales = selling(0.2)
    sales["US-00"][::7] = 0

    lift = measured(sales)

    assert lift.lift.low < 0.2 < lift.lift.high
    assert "24 days without a sale are left out" in " ".join(lift.caveats)
