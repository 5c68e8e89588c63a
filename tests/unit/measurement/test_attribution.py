"""Credit: examples worked out by hand, laws that always hold, and a plain-Python attribution beside the queries."""

import math
import random
from collections import Counter
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurement import attribution
from measurement.attribution import MODELS, WINDOWS, Attribution, attribute, last_click, removal_effects
from measurement.engine import Data
from measurement.problems import CannotSay
from measurement.queries import paths
from measurement.tables import BUCKETS, TABLES, bucket
from tests.unit.measurement.attribution_rows import (
    DAY,
    MINUTE,
    NOON,
    RANKS,
    SETTINGS,
    Oracle,
    by_campaign,
    conversion,
    link,
    of,
    random_shop,
    removal_effects_by_hand,
    touch,
)


def attributed(*rows: dict[str, Any], replicates: int = 0, **options: Any) -> Attribution:
    """The attribution of touches, conversions and links, told apart by what they hold."""
    tables: dict[str, list[dict[str, Any]]] = {"touches": [], "conversions": [], "links": []}
    for row in rows:
        name = "conversions" if "conversion" in row else "touches" if "channel" in row else "links"
        tables[name].append(row)
    with Data.of(tables) as data:
        return attribute(data, SETTINGS, replicates=replicates, **options)


def totals(found: Attribution, *, value: bool = False) -> list[float]:
    """What each model and window comes to, by channels and by campaigns."""
    return [
        math.fsum(credit(found, model, window, value=value).values())
        for model in MODELS
        for window in WINDOWS
        for credit in (of, by_campaign)
    ]


@pytest.fixture(scope="module")
def nothing() -> Data:
    """A workspace without rows."""
    return Data.of({})


def test_one_path_by_hand() -> None:
    """ChatGPT 14 days before, Google 7 days before, an e-mail at the conversion's own instant.

    Decay 2^(-days/7): 1/4, 1/2, 1; together 7/4.
    time decay              1/7, 2/7, 4/7
    first touch with decay  0.65, the rest 0.35 by 1/2 : 1 → 0.35/3, 0.70/3
    the same in 7 days      Google is the first and has 0.65, the e-mail 0.35; time decay 1/3 and 2/3
    """
    found = attributed(
        touch("ann", 14, "chatgpt"),
        touch("ann", 7, "google_ads"),
        touch("ann", 0, "email", kind="visit"),
        touch("ann", -0.1, "meta_ads"),
        conversion(1, "ann", value=2100),
    )
    assert of(found, "last_click", 30) == {"email": 1}
    assert of(found, "time_decay", 30) == pytest.approx({"chatgpt": 1 / 7, "google_ads": 2 / 7, "email": 4 / 7})
    assert of(found, "first_touch_decay", 30) == pytest.approx(
        {"chatgpt": 0.65, "google_ads": 0.35 / 3, "email": 0.70 / 3}
    )
    assert of(found, "time_decay", 30, value=True) == pytest.approx({"chatgpt": 300, "google_ads": 600, "email": 1200})
    assert of(found, "first_touch_decay", 7) == pytest.approx({"google_ads": 0.65, "email": 0.35})
    assert of(found, "time_decay", 7) == pytest.approx({"google_ads": 1 / 3, "email": 2 / 3})
    # All three stand in the only path, and nobody was lost: without any of them there is no conversion.
    assert of(found, "markov", 30) == pytest.approx({"chatgpt": 1 / 3, "google_ads": 1 / 3, "email": 1 / 3})


def test_the_settings_of_the_models_by_hand() -> None:
    """First share 0.60 and a half-life of 14 days: decay 1/2 (14 days), 1 (none); time decay 1/3, 2/3."""
    rows = (touch("ann", 14, "chatgpt"), touch("ann", 0, "email"), conversion(1, "ann"))
    found = attributed(*rows, first_share=0.6, half_life_days=14, windows=[90])
    assert of(found, "first_touch_decay", 90) == pytest.approx({"chatgpt": 0.6, "email": 0.4})
    assert of(found, "time_decay", 90) == pytest.approx({"chatgpt": 1 / 3, "email": 2 / 3})


def test_the_markov_chain_of_three_published_paths() -> None:
    """The example that the field teaches with (S. Bryl, "Marketing multi-channel attribution model with R", 2016):

    C1 → C2 → C3 → conversion; C1 → null; C2 → C3 → null.

    start → C1 2/3, C2 1/3; C1 → C2 1/2, null 1/2; C2 → C3 1; C3 → conversion 1/2, null 1/2
    P = 2/3·1/2·1·1/2 + 1/3·1·1/2 = 1/3; without C1: 1/3·1·1/2 = 1/6, effect 1/2; without C2 or C3: 0, effect 1
    credit 0.5/2.5, 1/2.5, 1/2.5
    """
    found = attributed(
        touch("ann", 3, "chatgpt"), touch("ann", 2, "google_ads"), touch("ann", 1, "email"), conversion(1, "ann"),
        touch("bob", 1, "chatgpt"),
        touch("cem", 2, "google_ads"), touch("cem", 1, "email"),
    )  # fmt: skip
    for window in WINDOWS:
        assert of(found, "markov", window) == pytest.approx({"chatgpt": 0.2, "google_ads": 0.4, "email": 0.4})
    counts = np.zeros((1, 4, 5))
    counts[0, 3, 0], counts[0, 3, 1] = 2, 1
    counts[0, 0, 1], counts[0, 0, 4] = 1, 1
    counts[0, 1, 2] = 2
    counts[0, 2, 3], counts[0, 2, 4] = 1, 1
    assert removal_effects(counts)[0] == pytest.approx([0.5, 1, 1])


def test_conversions_without_a_touch_are_unknown_in_every_model() -> None:
    # Given one with a touch 8 days before, one whose person never touched anything, and one of nobody known
    found = attributed(
        touch("ann", 8, "chatgpt"),
        conversion(1, "ann"),
        conversion(2, "bob", value=500),
        conversion(3, None, value=None),
    )
    # Then in 7 days all are unknown, in more two are, and the value goes with them
    for model in MODELS:
        assert of(found, model, 7) == {"unknown": 3}
        assert of(found, model, 14) == pytest.approx({"chatgpt": 1, "unknown": 2})
        assert of(found, model, 30, value=True) == pytest.approx({"chatgpt": 1000, "unknown": 500})
    assert {each.conversions.kind for each in found.credits if each.channel == "unknown"} == {"measured"}
    assert {each.conversions.kind for each in found.credits if each.channel != "unknown"} == {"modelled"}
    assert (found.conversions, found.value) == (3, 1500)


def test_direct_counts_only_where_there_is_nothing_else_in_the_window() -> None:
    # Given a direct visit after an ad of 10 days before
    found = attributed(touch("ann", 10, "chatgpt"), touch("ann", 1, "direct", "(none)", "visit"), conversion(1, "ann"))
    # Then in 7 days direct is all there is, in 14 it does not count
    for model in MODELS:
        assert of(found, model, 7) == {"direct": 1}
        assert of(found, model, 14) == {"chatgpt": 1}


def test_a_window_ends_to_the_millisecond() -> None:
    found = attributed(
        touch("ann", 7, "chatgpt"), conversion(1, "ann"),
        touch("bob", 7 + 1 / DAY, "chatgpt"), conversion(2, "bob"),
        windows=[7],
    )  # fmt: skip
    assert of(found, "time_decay", 7) == {"chatgpt": 1, "unknown": 1}


def test_a_click_that_two_layers_saw_is_one_contact() -> None:
    """The click memory knows a click by the order, GA4 the visit by its own id, 30 minutes later: one contact, 3 days
    before. An e-mail 10 days before has half its decay: 2/3 and 1/3.

    Where an e-mail stands between the click and the visit, they are two: 1/3 each, but for minutes.
    """
    found = attributed(
        touch("order 1", 3, "chatgpt"),
        touch("ga4 client", 3 - 30 * MINUTE / DAY, "chatgpt", kind="visit"),
        touch("ga4 client", 10, "email", kind="visit"),
        link(1, "order 1"), link(1, "ga4 client"), conversion(1, None),
        touch("order 2", 3, "google_ads"),
        touch("other client", 3 - 1 * MINUTE / DAY, "meta_ads", kind="visit"),
        touch("other client", 3 - 2 * MINUTE / DAY, "google_ads", kind="visit"),
        link(2, "order 2"), link(2, "other client"), conversion(2, None),
        windows=[30],
    )  # fmt: skip
    assert of(found, "time_decay", 30) == pytest.approx(
        {"chatgpt": 2 / 3, "email": 1 / 3, "google_ads": 2 / 3, "meta_ads": 1 / 3}, rel=1e-3
    )


def test_a_touch_in_a_window_counts_whatever_came_just_before_the_window() -> None:
    # Given a visit 7 days and 1 ms before the order, one at 7 days, and one by another channel later
    rows = (
        touch("p", 7, "chatgpt", "late"),
        touch("p", 7, "chatgpt", "early", until=NOON - 1),
        touch("p", 1, "email"),
        conversion(1, "p"),
    )
    # When all windows are asked for, or the shortest alone
    every, alone = attributed(*rows), attributed(*rows, windows=(7,))
    # Then seven days hold the second, with its own campaign, and more days hold one contact that began with the first
    for model in MODELS:
        assert by_campaign(every, model, 7) == pytest.approx(
            {("chatgpt", "early"): 0.0, ("unknown", "(none)"): 0.0} | by_campaign(alone, model, 7)
        )
        assert of(every, model, 7) == pytest.approx(of(every, model, 14), abs=1e-6)
    assert by_campaign(every, "first_touch_decay", 7)["chatgpt", "late"] == pytest.approx(0.65)
    assert by_campaign(every, "first_touch_decay", 14)["chatgpt", "early"] == pytest.approx(0.65)
    assert by_campaign(every, "markov", 7)["chatgpt", "late"] == pytest.approx(0.5)
    assert by_campaign(every, "markov", 14)["chatgpt", "early"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(4))
def test_a_window_says_the_same_alone_and_beside_others(seed: int) -> None:
    # Given shops whose touches lie at the ends of windows, a few minutes before and after
    rng = random.Random(seed)
    shop = random_shop(seed)
    touches = {tuple(each[name] for name in TABLES["touches"].key): each for each in shop["touches"]}
    for _ in range(150):
        channel, campaign, kind = rng.choice(["chatgpt", "email", "direct"]), rng.choice("ab"), rng.choice(list(RANKS))
        until = NOON + rng.choice([0, 1, -3 * DAY]) + rng.randrange(-25, 26) * MINUTE
        each = touch(f"p{rng.randrange(40)}", rng.choice([7, 14, 30]), channel, campaign, kind, until)
        touches[tuple(each[name] for name in TABLES["touches"].key)] = each
    shop["touches"] = list(touches.values())
    # When credit is computed, then it is that of plain Python, which cuts each window by itself
    expect_like_the_oracle(shop, views=bool(seed % 2))


def test_views_count_only_when_asked_for_and_a_click_beats_them() -> None:
    # Given a view after a click, and a person who has only seen an ad
    rows = (
        touch("ann", 7, "chatgpt"), touch("ann", 0, "meta_ads", kind="view"), conversion(1, "ann"),
        touch("bob", 1, "meta_ads", kind="view"), conversion(2, "bob"),
    )  # fmt: skip
    without, with_views = attributed(*rows, windows=[30]), attributed(*rows, windows=[30], views=True)
    assert of(without, "time_decay", 30) == {"chatgpt": 1, "unknown": 1}
    assert of(with_views, "last_click", 30) == {"chatgpt": 1, "meta_ads": 1}
    assert of(with_views, "time_decay", 30) == pytest.approx({"chatgpt": 1 / 3, "meta_ads": 2 / 3 + 1})


def test_each_conversion_of_the_type_on_a_day_of_the_period_has_a_path_of_its_own() -> None:
    # Given two conversions of one person after a touch, one of another type, some of other days, and one late on the
    # last day in UTC, whose day in the report's zone is the next one
    found = attributed(
        touch("ann", 1, "chatgpt"), conversion(1, "ann"), conversion(2, "ann", NOON + 2 * DAY),
        conversion(3, "ann", type="lead_created"),
        conversion(4, "ann", NOON + 20 * DAY), conversion(5, "ann", NOON - 30 * DAY),
        conversion(6, "ann") | {"day": date(2026, 11, 1)},
        windows=[7],
    )  # fmt: skip
    # Then the touch is credited with the first two
    assert of(found, "last_click", 7) == {"chatgpt": 2}
    assert (found.type, found.conversions) == ("order_created", 2)


def test_rare_campaigns_share_a_state_of_the_chain_and_its_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given room for one state, and two small campaigns of one channel: two touches and one
    monkeypatch.setattr(paths, "MOST_NODES", 1)
    found = attributed(
        touch("ann", 3, "google_ads"), conversion(1, "ann"),
        touch("bob", 3, "google_ads"), conversion(2, "bob"),
        touch("cem", 3, "google_ads"), conversion(3, "cem"),
        touch("dan", 3, "chatgpt", "a"), touch("dan", 2, "chatgpt", "a"), touch("dan", 1, "chatgpt", "b"),
        conversion(4, "dan"),
        windows=[7],
    )  # fmt: skip
    # Then their credit (a quarter of the effects: 3/4 for Google, 1/4 for them) is shared by touches
    assert of(found, "markov", 7) == pytest.approx({"google_ads": 3, "chatgpt": 1})
    assert by_campaign(found, "markov", 7) == pytest.approx(
        {("google_ads", "autumn"): 3, ("chatgpt", "a"): 2 / 3, ("chatgpt", "b"): 1 / 3, ("unknown", "(none)"): 0}
    )


def test_the_smallest_campaigns_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_STATES", 1)
    found = attributed(
        touch("ann", 3, "chatgpt", "large"), touch("bob", 3, "chatgpt", "large"), conversion(1, "ann"),
        touch("cem", 3, "chatgpt", "b"), touch("dan", 3, "chatgpt", "c"), conversion(2, "cem"), conversion(3, "dan"),
        windows=[7],
    )  # fmt: skip
    assert by_campaign(found, "last_click", 7) == {
        ("chatgpt", "large"): 1, ("chatgpt", "(others)"): 2, ("unknown", "(none)"): 0
    }  # fmt: skip


def expect_like_the_oracle(tables: dict[str, Any], **options: Any) -> None:
    with Data.of(tables) as data:
        found = attribute(data, SETTINGS, replicates=0, **options)
    oracle = Oracle(tables, WINDOWS, **options)
    for model in MODELS:
        for window in WINDOWS:
            counts, values = oracle.credit(model, window)
            for expected, value in ((counts, False), (values, True)):
                real = by_campaign(found, model, window, value=value)
                for key in real.keys() | expected.keys():
                    assert real.get(key, 0) == pytest.approx(expected.get(key, 0), rel=1e-9, abs=1e-9), (
                        model, window, key, value,
                    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_the_queries_agree_with_plain_python(seed: int) -> None:
    expect_like_the_oracle(random_shop(seed), views=seed % 2 == 1)


def test_the_queries_agree_with_plain_python_with_other_settings() -> None:
    expect_like_the_oracle(random_shop(77, persons=15, orders=60), first_share=0.7, half_life_days=3.0)


@given(st.integers(0, 2**32), st.integers(2, 60), st.integers(1, 60))
@settings(max_examples=3, deadline=None)
def test_credit_sums_to_the_conversions(seed: int, persons: int, orders: int) -> None:
    # Given any shop with a conversion of somebody known and a touch
    tables = random_shop(seed, persons=persons, orders=orders)
    tables["conversions"].append(conversion(10_000, "p0"))
    tables["touches"].append(touch("somebody", 3, "email"))
    with Data.of(tables) as data:
        found = attribute(data, SETTINGS, replicates=20, seed=seed)
    # Then every model and window sums to all, and no credit is negative
    conversions = [c for c in tables["conversions"] if c["type"] == "order_created" and c["day"].month == 10]
    assert found.conversions == len(conversions)
    assert totals(found) == pytest.approx([len(conversions)] * 32, abs=1e-9)
    value = sum(c["value"] or 0 for c in conversions)
    assert totals(found, value=True) == pytest.approx([value] * 32, rel=1e-9, abs=1e-9)
    assert all(each.conversions.value >= 0 and each.value.value >= 0 for each in found.credits)
    assert all(each.conversions.low <= each.conversions.value <= each.conversions.high for each in found.credits)  # type: ignore[operator]


@given(st.integers(0, 2**32))
@settings(max_examples=2, deadline=None)
def test_with_one_channel_all_models_agree(seed: int) -> None:
    tables = random_shop(seed)
    for row in tables["touches"]:
        row["channel"] = "chatgpt"
    tables["conversions"].append(conversion(10_000, "p0"))
    tables["touches"].append(touch("p0", 3, "chatgpt"))
    with Data.of(tables) as data:
        found = attribute(data, SETTINGS, replicates=0)
    for window in WINDOWS:
        first, *others = (of(found, model, window) for model in MODELS)
        for other in others:
            assert other == pytest.approx(first, abs=1e-9)


@given(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=6), min_size=1, max_size=12), st.data())
@settings(max_examples=150, deadline=None)
def test_removal_effects_are_those_of_the_chain_without_the_state(walks: list[list[int]], drawn: st.DataObject) -> None:
    # Given any paths over five states, each of which ends somehow
    counts = np.zeros((1, 6, 7))
    steps: Counter[tuple[Any, Any]] = Counter()
    for walk in walks:
        goal = drawn.draw(st.sampled_from(["conversion", "null"]))
        steps.update(zip(["start", *walk], [*walk, goal], strict=True))
    places = {"start": 5, "conversion": 5, "null": 6}
    for (before, after), count in steps.items():
        counts[0, places.get(before, before), places.get(after, after)] += count
    # Then the inverse says of all states at once what solving again without each says
    expected = removal_effects_by_hand(steps, range(5))
    assert removal_effects(counts)[0] == pytest.approx([float(expected[state]) for state in range(5)], abs=1e-9)


def test_the_oracle_solves_the_published_chain() -> None:
    steps = Counter(
        {("start", 1): 2, ("start", 2): 1, (1, 2): 1, (1, "null"): 1, (2, 3): 2, (3, "conversion"): 1, (3, "null"): 1}
    )
    assert removal_effects_by_hand(steps, [1, 2, 3]) == {1: Fraction(1, 2), 2: 1, 3: 1}


def test_intervals_cover_what_repeated_sampling_gives() -> None:
    """400 shops of 600 persons, a fifth of whom a channel brings, with one to three conversions each. The interval of
    its credit covers the expected credit about as often as it says: 95 of 100, give or take what 400 trials can tell.
    """
    rng = np.random.default_rng(7)
    weights = attribution._weights(200, 0)
    expected = 600 * 0.2 * 2
    covered = 0
    for shop in range(400):
        parts = np.array([bucket(f"{shop} {person}") for person in range(600)])
        credit = (rng.random(600) < 0.2) * rng.integers(1, 4, 600)
        by_part = np.bincount(parts, credit, BUCKETS)
        (estimate,) = attribution._estimates((weights @ by_part)[:, None], "modelled")
        covered += estimate.low <= expected <= estimate.high  # type: ignore[operator]
    assert 0.91 <= covered / 400 <= 0.98


def test_intervals_are_those_of_drawing_persons() -> None:
    # Given 300 persons: 120 whom ChatGPT brought, 120 by Google, 60 by both, one conversion each
    rows: list[dict[str, Any]] = []
    for number in range(300):
        if number < 180:
            rows.append(touch(f"p{number}", 2, "chatgpt"))
        if number >= 120:
            rows.append(touch(f"p{number}", 1, "google_ads"))
        rows.append(conversion(number, f"p{number}"))
    found = attributed(*rows, replicates=1000, windows=[30])
    again = attributed(*rows, replicates=1000, windows=[30])
    # Then the interval of last click is about that of a Poisson count: 120 ± 1.96 √120
    (last,) = [c for c in found.credits if (c.model, c.channel, c.campaign) == ("last_click", "chatgpt", None)]
    assert last.conversions.value == 120
    assert last.conversions.low == pytest.approx(120 - 1.96 * 120**0.5, abs=4)
    assert last.conversions.high == pytest.approx(120 + 1.96 * 120**0.5, abs=4)
    assert last.conversions.level == 0.95
    # And the same seed gives the same intervals
    assert found == again


def test_last_click_alone_is_what_attribute_says() -> None:
    tables = random_shop(5)
    with Data.of(tables) as data:
        found, alone = attribute(data, SETTINGS, replicates=0), last_click(data, SETTINGS)
    assert {name: count for name, (count, _) in alone.items() if count} == of(found, "last_click", 30)
    assert {name: value for name, (_, value) in alone.items() if value} == of(found, "last_click", 30, value=True)


def test_what_was_computed_is_forgotten() -> None:
    with Data.of(random_shop(5)) as data:
        before = set(data.connection.list_tables())
        attribute(data, SETTINGS, replicates=0)
        assert set(data.connection.list_tables()) == before


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ((touch("ann", 1, "email"),), "there is no order_created from 2026-10-01 to 2026-10-31"),
        ((conversion(1, "ann"),), "there are no touches from 2026-10-01 to 2026-10-31"),
        ((conversion(1, "ann"), touch("ann", 300, "email")), "there are no touches"),
        ((conversion(1, None), touch("ann", 1, "email")), "of no conversion is it known which person"),
    ],
)
def test_what_the_data_does_not_carry_is_not_said(rows: tuple[dict[str, Any], ...], why: str) -> None:
    with pytest.raises(CannotSay, match=why):
        attributed(*rows)


@pytest.mark.parametrize(
    "options", [{"windows": []}, {"windows": [0]}, {"first_share": 0.5}, {"first_share": 0.75}, {"half_life_days": 0}]
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], nothing: Data) -> None:
    with pytest.raises(ValueError, match=r"windows|first touch|half-life"):
        attribute(nothing, SETTINGS, **options)


def test_progress_is_told() -> None:
    told: list[str] = []
    attributed(conversion(1, "ann"), touch("ann", 1, "email"), progress=told.append)
    assert len(told) == 5
    assert told[-1] == "Attribution: 0 samples of persons"
