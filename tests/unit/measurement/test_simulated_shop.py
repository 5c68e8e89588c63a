"""The simulated shop: what is true adds up, and each table says no more than its layer can see."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from measurement.attribution import Attribution, Credit
from measurement.engine import arrow_schema
from measurement.estimate import Estimate
from measurement.incrementality.results import Lift
from measurement.simulation.shop import (
    ANSWERS,
    BASE,
    FIRST,
    GEO,
    KINDS,
    LAST,
    MARKETS,
    ON_OFF,
    STRESS,
    Simulated,
    schedule,
    simulate,
)
from measurement.simulation.truth import Comparison, Effect, Truth, compare, table
from measurement.tables import BUCKETS, TABLES, bucket


@pytest.fixture(scope="module")
def shop() -> Simulated:
    return simulate("cross-device", 11, buyers=900)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_true_adds_up(kind: str) -> None:
    made = simulate(kind, 5, buyers=400, parts=("survey",))
    truth = made.truth

    assert truth.buyers == 400 == made.tables["conversions"].num_rows
    for counts in (truth.by_channel, truth.last_click, truth.first_touch):
        assert sum(counts.values()) == truth.buyers
    assert sum(truth.would_name.values()) == truth.asked
    assert sum(truth.survey_share.values()) == pytest.approx(1)
    assert truth.clicked <= truth.brought <= truth.by_channel["chatgpt"]


def test_the_same_seed_is_the_same_shop_and_parts_do_not_change_each_other(shop: Simulated) -> None:
    again = simulate("cross-device", 11, buyers=900)
    other = simulate("cross-device", 12, buyers=900)

    assert all(again.tables[name].equals(rows) for name, rows in shop.tables.items())
    assert not other.tables["conversions"].equals(shop.tables["conversions"])
    few = simulate("cross-device", 11, buyers=900, parts=("survey", "touches", "sales"))
    for name in ("conversions", "survey", "sales"):
        assert few.tables[name].equals(shop.tables[name])
    assert few.truth == shop.truth


def test_every_table_has_its_schema_its_key_and_its_choices(shop: Simulated) -> None:
    assert set(shop.tables) == set(TABLES) - {"links"}
    for name, rows in shop.tables.items():
        assert rows.schema == arrow_schema(name)
        assert rows.num_rows
        held = rows.to_pylist()
        keys = Counter(tuple(row[column] for column in TABLES[name].key) for row in held)
        assert max(keys.values()) == 1, name
        for column in TABLES[name].columns:
            values = {row[column.name] for row in held}
            assert not column.required or None not in values, (name, column.name)
            assert not column.choices or values - {None} <= set(column.choices), (name, column.name)


def test_days_are_those_of_the_shops_zone_and_buckets_those_of_persons(shop: Simulated) -> None:
    from datetime import datetime

    zone = ZoneInfo("America/New_York")
    for name in ("conversions", "touches", "survey", "crm", "orders"):
        for row in shop.tables[name].slice(0, 400).to_pylist():
            assert datetime.fromtimestamp(row["at_ms"] / 1000, zone).date() == row["day"]
    for row in shop.tables["touches"].slice(0, 50).to_pylist():
        assert row["bucket"] == bucket(row["person"]) < BUCKETS


def test_a_click_in_the_ledger_is_of_one_whom_an_ad_brought_and_who_consented(shop: Simulated) -> None:
    clicked, people = shop.bought.clicked, shop.people

    assert clicked.any()
    assert not (clicked & ~(people.brought & people.consent & ~people.cross_device & ~people.view_only)).any()
    keys = shop.tables["conversions"].to_pylist()
    assert all(("oppref" in row["match_keys"]) is row["clicked"] for row in keys)


def test_without_consent_there_is_no_touch_and_no_order_in_ga4(shop: Simulated) -> None:
    refused = {
        row["order_id"]: row["person"]
        for row, consent in zip(shop.tables["conversions"].to_pylist(), shop.people.consent, strict=True)
        if not consent
    }

    assert refused
    assert not set(refused.values()) & set(shop.tables["touches"]["person"].to_pylist())
    assert not set(refused) & set(shop.tables["purchases"]["order_id"].to_pylist())


def test_on_another_device_the_click_is_another_persons(shop: Simulated) -> None:
    person_of_order = shop.tables["conversions"]["person"].to_pylist()
    ads = {row["person"] for row in shop.tables["touches"].to_pylist() if row["channel"] == "chatgpt"}
    moved = np.flatnonzero(shop.people.cross_device & shop.people.brought & shop.people.consent)

    assert len(moved)
    assert not {person_of_order[at] for at in moved} & ads


def test_only_the_web_is_asked_and_answers_are_what_would_be_said(shop: Simulated) -> None:
    kinds = {row["order_id"]: row["action_source"] for row in shop.tables["conversions"].to_pylist()}
    answers = shop.tables["survey"].to_pylist()

    assert {kinds[row["order_id"]] for row in answers} == {"web"}
    assert {(row["answer"], row["channel"]) for row in answers} <= set(ANSWERS.values())
    said = Counter(row["channel"] for row in answers)
    assert all(said[channel] <= shop.truth.would_name[channel] for channel in said)


def test_money_and_counts_of_the_layers_hang_together(shop: Simulated) -> None:
    conversions = shop.tables["conversions"].to_pylist()
    counted = [row for row in shop.tables["orders"].to_pylist() if row["counts"]]
    assert [row["order_id"] for row in counted] == [row["order_id"] for row in conversions]
    assert all((row["why_not"] is None) is row["counts"] for row in shop.tables["orders"].to_pylist())
    sold = [row for row in shop.tables["sales"].to_pylist() if FIRST <= row["day"] <= LAST]
    assert sum(row["conversions"] for row in sold) == len(conversions)
    assert sum(row["value"] for row in sold) == sum(row["value"] for row in conversions)
    for row in shop.tables["sessions"].to_pylist():
        assert row["sessions"] >= row["engaged"] >= row["micro"] >= row["macro"]
    for row in shop.tables["ads"].to_pylist():
        assert row["impressions"] >= row["clicks"] > 0
    recorded = [row for row in shop.tables["deliveries"].to_pylist() if row["outcome"] == "recorded"]
    assert sum(row["deliveries"] for row in recorded) == len(conversions)


def test_openai_attributes_each_order_once_by_either_day(shop: Simulated) -> None:
    rows = shop.tables["attributed"].to_pylist()
    by_day = {
        basis: sum(row["click_through"] + row["view_through"] for row in rows if row["basis"] == basis)
        for basis in ("ad_event_time", "conversion_time")
    }

    # By the day of the ad some lie before the period.
    assert 0 < by_day["ad_event_time"] <= by_day["conversion_time"] <= shop.truth.by_channel["chatgpt"]


def test_where_the_ads_are_off_nobody_is_brought_by_them(shop: Simulated) -> None:
    on = schedule()
    held = [at for at, market in enumerate(MARKETS) if market in GEO.markets]
    day = np.floor(shop.people.bought).astype(int)
    off = np.isin(shop.bought.market, held) & ~on[day, shop.bought.market]

    assert off.any()
    assert not (off & shop.people.brought).any()
    assert set(GEO.markets) < set(MARKETS)
    assert all(first.weekday() == 0 and last.weekday() == 6 for first, last in (*ON_OFF.spans, *GEO.spans))


def test_the_lift_of_the_tests_is_in_their_sales() -> None:
    made = simulate("short paths", 2, buyers=60_000, lift=0.5, parts=("sales",))
    sales: dict[tuple[bool, bool], int] = Counter()
    spans = [GEO.spans[0], (date(2026, 8, 3), date(2026, 8, 30))]
    for row in made.tables["sales"].to_pylist():
        for during, (first, last) in zip((True, False), spans, strict=True):
            if first <= row["day"] <= last:
                sales[during, row["market"] in GEO.markets] += row["conversions"]

    # Control gained or held, the markets without ads lost a third.
    change = (sales[True, True] / sales[False, True]) / (sales[True, False] / sales[False, False])
    assert change == pytest.approx(1 / 1.5, rel=0.05)
    effect = made.truth.effects[GEO.name]
    assert effect.lift == 0.5
    assert effect.extra == pytest.approx(sales[True, False] / 3, rel=0.03)
    assert made.truth.effects[ON_OFF.name].lift == pytest.approx(0.5)


def test_kinds_of_stress_say_what_they_violate() -> None:
    assert all(kind.stress for kind in STRESS.values())
    assert not any(kind.stress for kind in BASE.values())
    with pytest.raises(KeyError):
        simulate("no such kind", 1)


def test_a_shop_for_the_study_is_quick() -> None:
    simulate("long paths", 1, parts=("touches", "survey"))
    began = time.process_time()

    simulate("long paths", 2, parts=("touches", "survey"))

    assert time.process_time() - began < 0.2


# Beside the truth


def truth() -> Truth:
    return Truth(
        buyers=110, asked=100, by_channel={"chatgpt": 20, "email": 90}, brought=18, clicked=8,
        would_name={"chatgpt": 10, "email": 90}, last_click={"email": 98, "chatgpt": 12}, first_touch={"email": 110},
        effects={"a test": Effect(0.1, 40.0)},
    )  # fmt: skip


def test_estimates_stand_beside_their_truth() -> None:
    lift = Lift("difference in differences", Estimate(0.12, 0.02, 0.2), Estimate(50, 8, 80), 0.02, None, (), ())

    found = compare(truth(), lifts={"a test": (lift,)})

    assert [(each.truth, each.inside) for each in found] == [(0.1, True), (40.0, True)]
    assert found[0].distance == pytest.approx(0.02)


def test_of_attribution_the_last_click_has_a_truth() -> None:
    given = tuple(
        Credit(model, days, channel, campaign, Estimate(count), Estimate(0))
        for model, days, channel, campaign, count in (
            ("last_click", 30, "chatgpt", None, 5),
            ("last_click", 90, "chatgpt", None, 7),
            ("last_click", 90, "chatgpt", "trial-kit", 3),
            ("last_click", 90, "email", None, 9),
            ("markov", 90, "chatgpt", None, 8),
        )
    )

    (found,) = compare(truth(), attribution=Attribution("order_created", 110, 0, given))

    assert (found.name, found.value, found.truth, found.inside) == ("last click: chatgpt, 90 days", 7, 12, None)


def test_the_table_for_people() -> None:
    rows = (
        Comparison("a share", 0.12, 0.1, 0.15, 0.2, share=True),
        Comparison("a count", 1234.0, None, None, 1200.0, share=False),
    )

    assert table(rows).splitlines() == [
        "         estimate     95 % interval   truth  distance  inside",
        "a share    12.0 %  10.0 % to 15.0 %  20.0 %    -8.0 %  no",
        "a count     1,234                     1,200       +34",
    ]


def test_survey_and_unseen_beside_the_truth(shop: Simulated) -> None:
    from measurement import dark_funnel
    from measurement.engine import Data

    data = Data.of(shop.tables)

    found = compare(
        shop.truth, survey=dark_funnel.survey(data, shop.settings), unseen=dark_funnel.unseen(data, shop.settings)
    )

    named = {each.name: each for each in found}
    assert named["survey: chatgpt, of all buyers"].truth == shop.truth.survey_share["chatgpt"]
    assert named["buyers with a ChatGPT ad on their way"].truth == shop.truth.brought
    assert named["of these, seen by no layer"].distance == pytest.approx(
        named["buyers with a ChatGPT ad on their way"].distance
    )
