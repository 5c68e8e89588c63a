"""The survey, the agreement of layers and the estimate of the unseen: by hand, by published values, by law."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from measurement import dark_funnel
from measurement.dark_funnel import Buyers, Part, adjusted, joined_parts, survey_of, unseen_of, wilson
from measurement.engine import DIALECTS, Data, sql, unbound
from measurement.problems import CannotSay
from measurement.queries import dark_funnel as queries
from measurement.settings import Settings
from measurement.simulation.shop import simulate
from measurement.tables import TABLES

SETTINGS = Settings("a shop", ZoneInfo("UTC"), "USD", date(2026, 8, 1), date(2026, 8, 31), Path())
NOON_MS = 1_785_585_600_000
DAY_MS = 86_400_000


def order(number: int, *, clicked: bool = False, source: str = "web", day: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "conversion": f"order_created#shopify:{number}",
        "type": "order_created",
        "source": "shopify",
        "action_source": source,
        "order_id": str(number),
        "person": f"p{number}",
        "at_ms": NOON_MS + (day - 1) * DAY_MS,
        "day": date(2026, 8, day),
        "status": "sent",
        "clicked": clicked,
        "match_keys": "email",
        "bucket": 0,
    } | more


def answer(number: int, channel: str, *, order_id: str | None = "", **more: Any) -> dict[str, Any]:
    return {
        "answer_id": f"a{number}",
        "order_id": str(number) if order_id == "" else order_id,
        "at_ms": NOON_MS,
        "day": date(2026, 8, 1),
        "answer": channel,
        "channel": channel,
    } | more


def touch(person: str, channel: str, *, days_before: float = 1.0) -> dict[str, Any]:
    return {
        "person": person,
        "at_ms": NOON_MS - int(days_before * DAY_MS),
        "day": date(2026, 7, 31),
        "channel": channel,
        "campaign": "(none)",
        "kind": "visit",
        "origin": "file",
        "bucket": 0,
    }


def purchase(number: int, channel: str) -> dict[str, Any]:
    return {
        "order_id": str(number),
        "at_ms": NOON_MS,
        "day": date(2026, 8, 1),
        "channel": channel,
        "campaign": "(none)",
    }


def buyers(*parts: tuple[bool, int, dict[str, int]], bare: dict[str, int] | None = None) -> Buyers:
    held = tuple(Part(clicked, orders, Counter(said)) for clicked, orders, said in parts)
    return Buyers(held, Counter(bare or {}), 0, 0, ())


# Wilson


@pytest.mark.parametrize(
    ("successes", "answers", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_newcombe_1998_table_one(successes: int, answers: int, low: float, high: float) -> None:
    found = wilson(successes / answers, answers)

    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)
    assert found.kind == "measured"


def test_the_interval_shrinks_with_the_share_of_buyers_that_answered() -> None:
    # 100 of 400 buyers: as sure as 100 * 399 / 300 = 133 answers of a shop without end.
    assert wilson(0.2, 100, 400) == wilson(0.2, 133)
    assert wilson(0.2, 100, 100) == dark_funnel.Estimate(0.2, 0.2, 0.2)


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 5000))
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_its_share_and_stays_a_share(answers: int, successes: int, more: int) -> None:
    share = min(successes, answers) / answers

    found = wilson(share, answers, answers + more)

    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= share <= found.high <= 1


# The survey


def test_a_survey_by_hand() -> None:
    # Given 100 buyers on the web of whom 40 answered, and 10 at the till, who are not asked
    web = [order(number) for number in range(100)]
    till = [order(number, source="physical_store") for number in range(100, 110)]
    said = [answer(number, "chatgpt" if number < 10 else "email") for number in range(40)]

    found = dark_funnel.survey(Data.of({"conversions": web + till, "survey": said}), SETTINGS)

    assert (found.asked, found.answered) == (100, 40)
    assert [(each.channel, each.answers) for each in found.shares] == [("email", 30), ("chatgpt", 10)]
    assert found.shares[1].share == wilson(0.25, 40, 100)
    # Nothing tells the buyers apart, so there is nothing to adjust by.
    assert found.shares[1].adjusted is None
    assert "40 of 100 buyers answered (40%)" in found.notes[0]
    assert any("10 orders of the kind physical_store are not asked" in note for note in found.notes)


def test_answers_that_cannot_be_joined_are_named_and_left_out_where_they_do_not_belong() -> None:
    orders = [order(number) for number in range(60)]
    said = [answer(number, "email") for number in range(30)]
    odd = [
        answer(100, "chatgpt", order_id=None),
        answer(101, "chatgpt", order_id="unheard of"),
        answer(102, "chatgpt", order_id="0", at_ms=NOON_MS + 1),
        answer(103, "chatgpt", order_id=None, day=date(2026, 9, 1)),
    ]

    found = dark_funnel.survey(Data.of({"conversions": orders, "survey": said + odd}), SETTINGS)

    assert {each.channel: each.answers for each in found.shares} == {"email": 30, "chatgpt": 1}
    assert found.answered == 31
    notes = " ".join(found.notes)
    assert "1 answers carry no order id" in notes
    assert "1 answers name an order that the ledger does not have" in notes
    assert "1 further answers to an order" in notes


def test_answers_without_any_order_id_still_give_shares() -> None:
    orders = [order(number) for number in range(60)]
    said = [answer(number, "email", order_id=None) for number in range(30)]

    found = dark_funnel.survey(Data.of({"conversions": orders, "survey": said}), SETTINGS)

    assert (found.asked, found.answered) == (60, 30)
    assert found.shares[0].adjusted is None


@pytest.mark.parametrize(
    ("orders", "said", "why"),
    [
        ([], [answer(1, "email")], "the ledger has no orders with an order id"),
        ([order(1)], [], "no answers to orders of the period"),
        ([order(1)], [answer(2, "email")], "1 answer names an order that the ledger does not have"),
        ([order(n) for n in range(50)], [answer(n, "email") for n in range(10)], "there are 10 answers"),
        ([order(n) for n in range(50)], [answer(1, "email")], "there is 1 answer, and fewer than"),
        (
            [order(n) for n in range(40)],
            [answer(n, "email", order_id=None) for n in range(41)],
            "more answers \\(41\\) than buyers \\(40\\)",
        ),
        ([order(1, day=1, at_ms=0, **{"type": "lead_created"})], [answer(1, "email")], "no orders"),
    ],
)
def test_a_survey_that_says_nothing_is_refused(
    orders: list[dict[str, Any]], said: list[dict[str, Any]], why: str
) -> None:
    with pytest.raises(CannotSay, match=why):
        dark_funnel.survey(Data.of({"conversions": orders, "survey": said}), SETTINGS)


def test_the_adjusted_share_lets_each_part_stand_for_its_buyers() -> None:
    # Given clicked buyers, who answer far more often: 50 of 100, and 50 of 900 of the others
    known = buyers((True, 100, {"chatgpt": 40, "email": 10}), (False, 900, {"chatgpt": 5, "email": 45}))

    found = {each.channel: each for each in survey_of(known).shares}

    assert found["chatgpt"].share.value == pytest.approx(0.45)
    after = found["chatgpt"].adjusted
    assert after is not None
    assert after.value == pytest.approx(0.1 * 0.8 + 0.9 * 0.1)
    assert after.kind == "modelled"
    assert any("50%" in note and "6%" in note and "corrected" in note for note in survey_of(known).notes)


def test_the_adjusted_interval_by_hand() -> None:
    parts = [Part(True, 100, Counter(chatgpt=40, email=10)), Part(False, 900, Counter(chatgpt=5, email=45))]
    share = 0.17
    drawn = [(40 + share) / 51, (5 + share) / 51]
    variance = 0.01 * drawn[0] * (1 - drawn[0]) / 50 * 50 / 99 + 0.81 * drawn[1] * (1 - drawn[1]) / 50 * 850 / 899

    assert adjusted("chatgpt", parts) == dark_funnel.Estimate(
        *[pytest.approx(v) for v in _bounds(wilson(share, share * (1 - share) / variance))], "modelled"
    )


def _bounds(estimate: dark_funnel.Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


def test_an_adjusted_share_of_nothing_or_of_all_has_an_interval() -> None:
    parts = [Part(True, 100, Counter(email=20)), Part(False, 100, Counter(email=50))]

    assert adjusted("chatgpt", parts).high == wilson(0, 200**2 / (100**2 / 20 + 100**2 / 50), 200).high
    assert adjusted("email", parts).high == 1
    everyone = [Part(True, 20, Counter(chatgpt=5, email=15)), Part(False, 30, Counter(email=30))]
    assert _bounds(adjusted("chatgpt", everyone)) == (0.1, 0.1, 0.1)


PARTS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 200),
        st.dictionaries(st.sampled_from(["chatgpt", "email", "other"]), st.integers(1, 60), max_size=3),
    ),
    min_size=1,
    max_size=6,
)


def made(parts: list[tuple[bool, int, dict[str, int]]]) -> tuple[Part, ...]:
    held = tuple(Part(clicked, sum(said.values()) + more, Counter(said)) for clicked, more, said in parts)
    return tuple(part for part in held if part.orders) or (Part(False, 1, Counter()),)


@given(PARTS)
@settings(max_examples=150, deadline=None)
def test_joined_parts_keep_every_buyer_and_have_answers_enough(parts: list[tuple[bool, int, dict[str, int]]]) -> None:
    held = made(parts)

    joined = joined_parts(held)

    assert sum(part.orders for part in joined) == sum(part.orders for part in held)
    assert sum((part.said for part in joined), Counter()) == sum((part.said for part in held), Counter())
    assert len(joined) == 1 or all(part.answers >= 10 for part in joined)


@given(PARTS)
@settings(max_examples=150, deadline=None)
def test_shares_sum_to_one_and_lie_in_their_intervals(parts: list[tuple[bool, int, dict[str, int]]]) -> None:
    held = Buyers(made(parts), Counter(), 0, 0, ())
    if held.linked < 30:
        return

    found = survey_of(held)

    assert sum(each.share.value for each in found.shares) == pytest.approx(1)
    weighted = [each.adjusted for each in found.shares if each.adjusted]
    assert not weighted or sum(each.value for each in weighted) == pytest.approx(1)
    for each in (*weighted, *(each.share for each in found.shares)):
        assert each.low is not None
        assert each.high is not None
        assert -1e-12 <= each.low <= each.value + 1e-12
        assert each.value - 1e-12 <= each.high <= 1 + 1e-12


@given(st.integers(1, 5), PARTS)
@settings(max_examples=60, deadline=None)
def test_where_all_parts_answer_alike_adjusting_changes_nothing(
    times: int, parts: list[tuple[bool, int, dict[str, int]]]
) -> None:
    held = tuple(
        Part(clicked, times * sum(said.values()), Counter(said)) for clicked, _, said in parts if sum(said.values())
    )
    answers = sum(part.answers for part in held)
    if answers:
        raw = sum(part.said["chatgpt"] for part in held) / answers

        assert adjusted("chatgpt", held).value == pytest.approx(raw)


# The unseen


def test_with_everybody_answering_it_is_chapmans_estimate() -> None:
    # n1 = 200 clicked, n2 = 150 named it, m = 30 of them clicked: 201 * 151 / 31 - 1 = 978.06
    known = buyers((True, 200, {"chatgpt": 30, "email": 170}), (False, 2000, {"chatgpt": 120, "email": 1880}))

    found = unseen_of(known)

    assert (found.clicked, found.surveyed, found.both) == (200, 150, 30)
    assert found.total.value == pytest.approx(201 * 151 / 31 - 1)
    assert found.unseen.value == pytest.approx(201 * 151 / 31 - 1 - 200 - 150 + 30)
    assert found.total.kind == found.unseen.kind == "modelled"


def test_with_part_of_them_answering_by_hand() -> None:
    # 100 clicked, 50 answered, 40 named it. 1,900 others, 380 answered (1 of 5), 19 named it: 95 would have, and
    # 95 * 51 / 41 = 118.2 were brought.
    known = buyers((True, 100, {"chatgpt": 40, "email": 10}), (False, 1900, {"chatgpt": 19, "email": 361}))

    found = unseen_of(known)

    hidden = 95 * 51 / 41
    relative = (1 - 0.8 / 5) / 19 + 0.2 / 40
    spread = 2.718281828459045 ** (1.959963984540054 * _log1p(relative) ** 0.5)
    assert found.total.value == pytest.approx(100 + hidden)
    assert found.total.low == pytest.approx(100 + hidden / spread)
    assert found.total.high == pytest.approx(100 + hidden * spread)
    assert found.unseen.value == pytest.approx(hidden - 19)
    assert len(found.assumptions) >= 5
    assert all("too high" in each or "too low" in each or "incrementality" in each for each in found.assumptions)


def _log1p(x: float) -> float:
    return sum((-1) ** (n + 1) * x**n / n for n in range(1, 60))


def test_parts_that_answer_at_other_rates_are_weighted() -> None:
    # Of the others, those without a touch answer half as often: 10 of 500 answers of 1,000, 20 of 500 of 2,000.
    known = buyers(
        (True, 100, {"chatgpt": 40, "email": 10}),
        (False, 1000, {"chatgpt": 10, "email": 490}),
        (False, 2000, {"chatgpt": 20, "email": 480}),
    )

    assert unseen_of(known).total.value == pytest.approx(100 + (10 * 2 + 20 * 4) * 51 / 41)


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (buyers((True, 99, {"chatgpt": 9}), (False, 99, {"chatgpt": 9}), bare={"email": 9}), "carry an order id"),
        (buyers((True, 99, {"chatgpt": 9}), (False, 99, {"chatgpt": 9})), "18 answers can be linked"),
        (buyers((True, 99, {"chatgpt": 6, "email": 9}), (False, 99, {"chatgpt": 40})), "6 buyers with a click"),
        (buyers((False, 99, {"chatgpt": 40})), "0 buyers with a click"),
        (buyers((True, 99, {"ai_assistant": 40})), "say that it means the ads"),
        (buyers((True, 99, {"chatgpt": 40})), "0 buyers without a click"),
        (buyers((True, 99, {"chatgpt": 40}), (False, 99, {"chatgpt": 6, "email": 9})), "6 buyers without a click"),
        (buyers((True, 90, {"chatgpt": 7, "email": 63}), (False, 99, {"chatgpt": 40})), "which cannot be"),
    ],
)
def test_what_the_data_cannot_carry_is_refused(known: Buyers, why: str) -> None:
    with pytest.raises(CannotSay, match=why):
        unseen_of(known)


@given(
    st.integers(7, 200), st.integers(0, 200), st.integers(0, 400), st.integers(7, 200), st.integers(0, 2000),
    st.integers(0, 4000),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_the_estimate_lies_in_its_interval_and_never_excludes_who_was_seen(
    both: int, other: int, silent: int, alone: int, others: int, away: int
) -> None:
    known = buyers(
        (True, both + other + silent, {"chatgpt": both, "email": other}),
        (False, alone + others + away, {"chatgpt": alone, "email": others}),
    )
    try:
        found = unseen_of(known)
    except CannotSay:
        return

    for each in (found.total, found.unseen):
        assert each.low is not None
        assert each.high is not None
        assert each.low <= each.value <= each.high
    seen = found.clicked + found.surveyed - found.both
    assert found.unseen.low is not None
    assert found.unseen.low >= 0
    assert found.total.value == pytest.approx(seen + found.unseen.value)
    assert found.total.high is not None
    assert found.total.high <= known.asked


def test_the_interval_holds_where_that_of_the_unseen_alone_does_not() -> None:
    # Given 20,000 shops of 3,000 buyers, 200 of them brought by ChatGPT, nearly all of whom are seen: nine of ten click
    # visibly, nine of ten name it, nine of ten answer
    rng = np.random.default_rng(1)
    clicked = rng.binomial(200, 0.9, 20_000)
    answered = rng.binomial(clicked, 0.9)
    both = rng.binomial(answered, 0.9)
    others = 3_000 - clicked
    heard = rng.binomial(others, 0.9)
    named = rng.binomial(200 - clicked, 0.9)
    alone = rng.hypergeometric(named, others - named, heard)
    enough = (both >= 7) & (alone >= 7)
    rate, weight = both / answered, others / heard

    # When the interval is on all without a click, as here, or on the unseen alone (Chao 1987)
    hidden = alone * weight * (answered + 1) / (both + 1)
    relative = (1 - rate / weight) / alone.clip(1) + (1 - rate) / both
    spread = np.exp(dark_funnel.NORMAL_95 * np.sqrt(np.log1p(relative)))
    truth = 200 - clicked
    covers = (hidden / spread <= truth) & (truth <= hidden * spread)
    unseen = (hidden - alone).clip(1e-9)
    spread_of_unseen = np.exp(dark_funnel.NORMAL_95 * np.sqrt(np.log1p(hidden**2 * relative / unseen**2)))
    low, high = alone + unseen / spread_of_unseen, alone + unseen * spread_of_unseen
    covers_by_the_unseen = (low <= truth) & (truth <= high)

    # Then this one covers 95 %, that one 89
    assert covers[enough].mean() == pytest.approx(0.95, abs=0.01)
    assert covers_by_the_unseen[enough].mean() == pytest.approx(0.89, abs=0.01)
    # And that is what the estimator computes
    for at in np.flatnonzero(enough)[:20]:
        known = buyers(
            (True, clicked[at], {"chatgpt": both[at], "email": answered[at] - both[at]}),
            (False, others[at], {"chatgpt": alone[at], "email": heard[at] - alone[at]}),
        )
        total = unseen_of(known).total
        assert total.value == pytest.approx(clicked[at] + max(hidden[at], alone[at]))
        assert total.high == pytest.approx(clicked[at] + max(hidden[at] * spread[at], alone[at]))


def test_the_unseen_of_tables() -> None:
    shop = simulate("short paths", 7, buyers=1500, parts=("touches", "survey"))
    said: list[str] = []

    found = dark_funnel.unseen(Data.of(shop.tables), shop.settings, said.append)

    assert found.clicked == shop.truth.clicked
    assert said


# Agreement


def test_agreement_by_hand() -> None:
    # Given ten orders; the ledger credits 0 to 3, GA4 sees 0 to 4 and credits 0, 1 and 4, the survey knows 9 alone
    data = Data.of(
        {
            "conversions": [order(number, clicked=number < 4) for number in range(10)],
            "purchases": [purchase(number, "chatgpt" if number in (0, 1, 4) else "email") for number in range(5)],
            "survey": [answer(9, "email"), answer(77, "chatgpt")],
        }
    )

    found = dark_funnel.agreement(data, SETTINGS)

    assert found.layers == ("ledger", "ga4", "survey")
    assert found.seen["ledger"] == {"ledger": 10, "ga4": 5, "survey": 1}
    assert found.both["ledger"] == {"ledger": 4, "ga4": 2, "survey": 0}
    # Observed 2 of 5 alike: ledger 4 of 5, GA4 3 of 5; by chance 0.8 * 0.6 + 0.2 * 0.4 = 0.56: (0.4 - 0.56) / 0.44
    assert found.kappa["ledger"]["ga4"] == pytest.approx((0.4 - 0.56) / 0.44)
    assert found.kappa["ledger"]["survey"] is None
    assert found.kappa["ledger"]["ledger"] == pytest.approx(1)
    assert found.totals == {}


def test_openai_stands_beside_the_matrix_with_its_totals() -> None:
    shop = simulate("short paths", 3, buyers=400)
    said: list[str] = []

    found = dark_funnel.agreement(Data.of(shop.tables), shop.settings, said.append)

    clicks = [
        row["click_through"] for row in shop.tables["attributed"].to_pylist() if row["basis"] == "conversion_time"
    ]
    assert found.totals["openai click-through, 30 days by conversion_time"] == sum(clicks)
    assert found.layers == ("ledger", "ga4", "crm", "survey")
    for a in found.layers:
        for b in found.layers:
            assert found.both[a][b] == found.both[b][a] <= found.seen[a][b] == found.seen[b][a]
            assert found.kappa[a][b] == pytest.approx(found.kappa[b][a])
    assert said


def test_one_layer_alone_agrees_with_nothing() -> None:
    with pytest.raises(CannotSay, match="only ledger sees"):
        dark_funnel.agreement(Data.of({"conversions": [order(1)]}), SETTINGS)
    with pytest.raises(CannotSay, match="no layer sees"):
        dark_funnel.agreement(Data.of({}), SETTINGS)


def test_totals_for_all_types_stand_in_only_where_there_is_nothing_else() -> None:
    total = {"day": date(2026, 8, 1), "channel": "chatgpt", "campaign": "(none)", "basis": "conversion_time"}
    rows = [total | {"type": "(all)", "window_days": 30, "click_through": 9}]
    held = {"conversions": [order(1)], "survey": [answer(1, "email")], "attributed": rows}

    found = dark_funnel.agreement(Data.of(held), SETTINGS)

    assert found.totals == {"openai click-through, 30 days by conversion_time": 9}


# The queries, against plain Python


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_cells_are_those_of_plain_python(seed: int) -> None:
    shop = simulate("cross-device", seed, buyers=300, parts=("touches", "survey", "ga4"))
    tables = {name: rows.to_pylist() for name, rows in shop.tables.items()}
    # And one order of whom another layer knows the person
    tables["links"] = [{"order_id": tables["conversions"][0]["order_id"], "person": tables["touches"][0]["person"]}]
    expected: Counter[tuple[Any, ...]] = Counter()
    said = {row["order_id"]: row["channel"] for row in tables["survey"]}
    for each in tables["conversions"]:
        persons = {each["person"]}
        persons |= {row["person"] for name in ("links", "purchases") for row in tables[name]
                    if row["order_id"] == each["order_id"]}  # fmt: skip
        before = [
            (row["at_ms"], row["channel"])
            for row in tables["touches"]
            if row["person"] in persons and each["at_ms"] - 30 * DAY_MS <= row["at_ms"] <= each["at_ms"]
        ]
        last = max(before)[1] if before else None
        paid = ("google_ads", "meta_ads", "microsoft_ads", "tiktok_ads", "affiliate")
        name = "none" if last is None else last if last == "chatgpt" else "paid" if last in paid else "other"
        expected[each["action_source"], each["clicked"], name, said.get(each["order_id"])] += 1

    data = Data.of(tables)
    rows = data.rows(queries.cells(data.tables, "order_created", shop.settings.first, shop.settings.last))

    names = ("action_source", "clicked", "last", "said")
    assert Counter({tuple(row[name] for name in names): row["orders"] for row in rows}) == expected


@pytest.mark.parametrize("name", queries.QUERIES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_query_compiles(name: str, dialect: Any) -> None:
    text = sql(queries.QUERIES[name]({table: unbound(table) for table in TABLES}), dialect)

    assert text.startswith("SELECT") or text.startswith("WITH")


def test_a_touch_exactly_thirty_days_before_the_order_describes_its_buyer_as_it_is_credited() -> None:
    data = Data.of({"conversions": [order(1)], "touches": [touch("p1", "email", days_before=30)]})

    rows = data.rows(queries.last_touches(data.tables, "order_created", SETTINGS.first, SETTINGS.last))

    assert rows == [{"order_id": "1", "last": "other"}]


def test_a_touch_after_the_order_or_too_long_before_describes_nobody() -> None:
    touches = [touch("p1", "chatgpt", days_before=-1), touch("p1", "email", days_before=31)]
    data = Data.of({"conversions": [order(1)], "touches": touches})

    rows = data.rows(queries.last_touches(data.tables, "order_created", SETTINGS.first, SETTINGS.last))

    assert rows == []
