"""Planning a test on the shop's own history."""

from __future__ import annotations

from math import log1p
from typing import Any

import numpy as np
import pytest

from measurement.engine import Data
from measurement.incrementality import planner, series
from measurement.incrementality.comparison import compare, days_before
from measurement.incrementality.planner import matched, plan
from measurement.problems import CannotSay
from measurement.settings import Test as Trial
from tests.unit.measurement.selling import FIRST, markets, settings, shop, spans, spent


def quick(data: Data, *tests: Trial, **options: Any) -> Any:
    return plan(data, settings(*tests), **({"simulations": 16, "weeks": (4,)} | options))


@pytest.fixture(scope="module")
def twelve() -> Data:
    """Twelve markets with 40 a day each for 22 weeks, at a spend of 1,000 a day."""
    return shop(markets(12, 22, mean=40.0), ads=spent([100_000] * 154))


def test_designs_of_both_kinds_the_best_first(twelve: Data):
    told: list[str] = []

    found = quick(twelve, weeks=(2, 4), progress=told.append)

    # Then there are geo tests of half and a quarter of the markets, and an on/off test, for each length
    assert sorted((design.kind, design.weeks, len(design.treated)) for design in found.designs) == [
        ("geo", 2, 3), ("geo", 2, 6), ("geo", 4, 3), ("geo", 4, 6), ("on_off", 2, 0), ("on_off", 4, 0),
    ]  # fmt: skip
    effects = [design.smallest_effect for design in found.designs]
    assert effects == sorted(effects)
    assert told[0] == "Geo test of 2 weeks with 3 treated markets"
    for design in found.designs:
        powers = [power for _, power in design.curve]
        assert powers == sorted(powers)
        assert not set(design.treated) & set(design.control)
        assert design.kind == "on_off" or len(design.treated) + len(design.control) == 12


def test_more_weeks_find_smaller_effects(twelve: Data):
    found = {design.weeks: design for design in quick(twelve, weeks=(2, 8), treated=6).designs if design.treated}

    assert found[8].smallest_effect < found[2].smallest_effect


def test_the_same_seed_gives_the_same_plan_and_another_one_other_markets(twelve: Data):
    one, same, other = (quick(twelve, simulations=4, treated=6, seed=seed) for seed in (0, 0, 1))

    assert one == same
    assert {design.treated for design in one.designs} != {design.treated for design in other.designs}


def test_a_lift_that_is_put_in_is_found_just_from_the_end_of_the_interval():
    # Given a comparison without a lift
    sales = np.array(list(markets(12, 12).values()))
    chosen, during = np.arange(12) % 2 == 0, np.arange(56, 84)
    needed, lost = planner._ends(sales, chosen, days_before(56, 28), during, 0)

    # Then the test refuses "no effect" as soon as what was put in is larger, added to the treated or taken from them
    def p(factor: float) -> float:
        put = sales.copy()
        put[np.ix_(chosen, during)] *= factor
        return compare(put, chosen, days_before(56, 28), during).contrast.p_value

    assert p(np.exp(needed + 1e-6)) <= 0.05 < p(np.exp(needed - 1e-6))
    assert p(np.exp(-lost - 1e-6)) <= 0.05 < p(np.exp(-lost + 1e-6))


def test_the_same_of_an_on_off_test():
    sales = next(iter(markets(1, 20).values()))
    days = np.arange(140) + FIRST.toordinal()
    on = np.isin(np.arange(140) // 7, (12, 13, 16, 17))
    needed = -series.measure(sales, on, days).low

    for more, finds in ((1e-3, True), (-1e-3, False)):
        assert (series.measure(sales * np.exp((needed + more) * on), on, days).p_value < 0.05) == finds


def test_markets_are_matched():
    # Given twelve markets of which six have a season of their own
    weeks = np.arange(30)
    weekly = np.random.default_rng(0).poisson(500, (12, 30)).astype(float)
    weekly[:6] *= 1 + 0.3 * np.sin(weeks)

    best = matched(weekly, 6, np.random.default_rng(0))

    # Then the season is about as strong on both sides, in every one of the choices, and no choice is there twice
    assert {int(row[:6].sum()) for row in best} == {3}
    assert len(np.unique(best, axis=0)) == len(best) >= 20


def test_only_some_markets(twelve: Data):
    some = tuple(f"US-{place:02}" for place in range(9))

    found = quick(twelve, markets=some, treated=4)

    geo = next(design for design in found.designs if design.kind == "geo")
    assert set(geo.treated) | set(geo.control) == set(some)


def test_a_market_that_is_not_there_is_said(twelve: Data):
    assert "there are no sales in XX" in " ".join(quick(twelve, markets=("US-00", "XX")).notes)


def test_a_test_in_the_history_is_no_place_to_try_one(twelve: Data):
    # Given a geo test in the weeks 12 to 15, and an on/off test in the last weeks
    tests = Trial("Old", "geo", spans((12, 15)), ("US-00",)), Trial("Later", "on_off", spans((20, 21)))

    free, taken = quick(twelve, treated=6), quick(twelve, *tests, treated=6)

    windows = {design.kind: design.windows for design in free.designs}
    assert windows == {"geo": 15, "on_off": 15}
    assert {design.kind: design.windows for design in taken.designs} == {"geo": 5, "on_off": 5}


def test_what_the_ads_must_bring_is_compared_with_what_can_be_found(twelve: Data):
    # Given sales of about 19,000 a day at a spend of 1,000: the ads pay from a lift of about 1,000 / 18,000
    said = " ".join(quick(twelve).notes)

    assert "the ads pay for themselves, in sales, from a lift of 5.5 %" in said
    dear = shop(markets(12, 20), ads=spent([700_000] * 140))
    assert "it can tell" in " ".join(quick(dear, simulations=5).notes)


def test_nothing_realistic():
    data = shop(markets(12, 12, mean=1.0))

    found = quick(data, weeks=(4,), treated=6)

    assert found.designs[0].smallest_effect > 0.2
    assert "Nothing realistic can be found" in " ".join(found.notes)


def test_what_was_not_tried_is_said():
    # Given eight weeks of seven markets
    found = quick(shop(markets(7, 8)), weeks=(1, 2, 8))

    said = " ".join(found.notes)
    assert "A geo test of 8 weeks was not tried: that takes 84 days of history by market" in said
    assert "A geo test of 1 week with 2 treated markets" not in said
    assert "fewer than 4 places to try a geo test of 2 weeks or an on/off test of 2 weeks in" in said


def test_too_few_markets_and_sales_for_a_geo_test():
    few = quick(shop(markets(5, 20)))
    small = quick(shop(markets(30, 20, mean=0.5)))

    assert {design.kind for design in few.designs} == {design.kind for design in small.designs if design.treated == ()}
    assert "was not tried: of 5 markets 5 sell the 10 conversions" in " ".join(few.notes)


def test_without_markets_there_is_the_on_off_test():
    ledger = [
        {
            "conversion": f"order_created#{position}-{number}", "type": "order_created", "source": "shopify",
            "action_source": "web", "at_ms": 0, "day": row["day"], "value": 1, "status": "sent", "clicked": False,
            "match_keys": "", "bucket": 0,
        }
        for position, row in enumerate(spent([1] * 70))
        for number in range(15 + position % 3)
    ]  # fmt: skip

    found = quick(Data.of({"conversions": ledger}))

    assert [design.kind for design in found.designs] == ["on_off"]
    assert "no sale has a market" in " ".join(found.notes)


def test_neither_kind_can_be_planned():
    with pytest.raises(CannotSay, match=r"A test: not shown, because .*An on/off test: not shown"):
        quick(shop(markets(7, 5, mean=1.0)))
    with pytest.raises(CannotSay, match="35 days of history without a test are too few"):
        quick(shop(markets(3, 5)))


def test_a_gap_in_the_history_is_no_place_to_plan_with():
    one, whole = markets(8, 12), markets(8, 12)
    one["US-03"][20:40] = 0
    for counts in whole.values():
        counts[20:40] = 0

    assert "nothing was sold in US-03 from 2026-03-22 to 2026-04-10" in " ".join(quick(shop(one)).notes)
    with pytest.raises(CannotSay, match="nothing was sold in all markets from 2026-03-22"):
        quick(shop(whole))


def test_a_long_history_is_not_tried_everywhere(monkeypatch: pytest.MonkeyPatch):
    # Given ten places, a week apart, of which four may be tried
    monkeypatch.setattr(planner, "MOST_WINDOWS", 4)

    found = quick(shop(markets(1, 15, mean=30.0)), weeks=(2,))

    assert [(design.kind, design.windows) for design in found.designs] == [("on_off", 4)]


def test_lifts_of_the_curve_are_what_was_asked_for(twelve: Data):
    found = quick(twelve, effects=(0.5, 0.05), simulations=10, treated=6)

    assert [effect for effect, _ in found.designs[0].curve] == [0.05, 0.5]
    assert found.designs[0].curve[1][1] == 1.0
    assert log1p(found.designs[0].smallest_effect) > 0
