"""The channels side by side."""

import random
from datetime import date
from typing import Any

import pytest

from measurement.channels import Channel, channels
from measurement.engine import Data
from measurement.problems import CannotSay
from measurement.tables import CHANNELS
from tests.unit.measurement.attribution_rows import DAY, NOON, SETTINGS, conversion, day_of, link, touch

IN_PERIOD = date(2026, 10, 5)


def ads(
    channel: str, spend: int | None, clicks: int | None, impressions: int | None = None, day: date = IN_PERIOD
) -> dict[str, Any]:
    return {
        "day": day, "channel": channel, "campaign": "a", "spend": spend, "clicks": clicks, "impressions": impressions,
    }  # fmt: skip


def stage(lead: str, name: str, channel: str = "chatgpt", days: float = 0) -> dict[str, Any]:
    at_ms = NOON + round(days * DAY)
    return {"lead": lead, "stage": name, "at_ms": at_ms, "day": day_of(at_ms), "channel": channel, "campaign": "a"}


def answer(number: int, channel: str, order: int | None = None, later: int = 0) -> dict[str, Any]:
    return {
        "answer_id": f"{number}.{later}", "order_id": str(number if order is None else order), "at_ms": NOON + later,
        "day": day_of(NOON), "answer": channel, "channel": channel,
    }  # fmt: skip


def made(**tables: list[dict[str, Any]]) -> dict[str, Channel]:
    with Data.of(tables) as data:
        found = channels(data, SETTINGS)
    assert [each.channel for each in found] == [name for name in CHANNELS if name in {each.channel for each in found}]
    return {each.channel: each for each in found}


def test_what_the_ads_cost_and_brought_by_hand() -> None:
    """ChatGPT: 50.00 for 100 clicks and two conversions of 30.00: 0.50 a click, 2 %, 25.00 each, ROAS 1.2."""
    found = made(
        ads=[
            ads("chatgpt", 4000, 60, 2000), ads("chatgpt", 1000, 40), ads("google_ads", 700, 0),
            ads("chatgpt", 9, 9, 9, date(2026, 9, 30)),
        ],
        touches=[touch("ann", 2, "chatgpt"), touch("bob", 29, "chatgpt"), touch("cem", 31, "chatgpt")],
        conversions=[
            conversion(1, "ann", value=3000), conversion(2, "bob", value=3000), conversion(3, "cem", value=500),
        ],
    )  # fmt: skip
    chatgpt = found["chatgpt"]
    assert (chatgpt.spend, chatgpt.clicks, chatgpt.impressions, chatgpt.conversions) == (5000, 100, 2000, 2)
    assert (chatgpt.cpc, chatgpt.cpa, chatgpt.roas) == (50.0, 2500.0, 1.2)
    # Wilson by hand: p = 0.02, n = 100, z = 1.96: (0.02 + 0.0192 ± 1.96 √(0.000196 + 0.0000960)) / 1.0384
    assert chatgpt.conversion_rate is not None
    assert chatgpt.conversion_rate.value == 0.02
    # By last click, which is a model
    assert chatgpt.conversion_rate.kind == "modelled"
    assert chatgpt.conversion_rate.low == pytest.approx(0.0055, abs=1e-4)
    assert chatgpt.conversion_rate.high == pytest.approx(0.0700, abs=1e-4)
    # Google has no clicks and no conversions: nothing can be divided by them
    google = found["google_ads"]
    assert (google.cpc, google.conversions, google.cpa, google.roas) == (None, 0, None, 0)
    assert google.conversion_rate is None
    # What is of no channel stands there too
    assert found["unknown"].conversions == 1


def test_conversions_per_visit_where_no_clicks_are_counted() -> None:
    found = made(
        sessions=[
            {
                "day": IN_PERIOD,
                "channel": "email",
                "campaign": "a",
                "sessions": 50,
                "engaged": 9,
                "micro": 5,
                "macro": 1,
            }
        ],
        touches=[touch("ann", 2, "email", kind="visit")],
        conversions=[conversion(1, "ann")],
    )
    assert found["email"].conversion_rate is not None
    assert found["email"].conversion_rate.value == 1 / 50
    assert found["email"].spend is None


def test_more_conversions_than_clicks_are_no_rate() -> None:
    found = made(
        ads=[ads("chatgpt", 100, 1)],
        touches=[touch("ann", 2, "chatgpt")],
        conversions=[conversion(1, "ann"), conversion(2, "ann")],
    )
    assert found["chatgpt"].conversion_rate is None


def test_leads_that_became_mql_in_the_period() -> None:
    """One sold, one at SQL after the period, one that skipped MQL, one that stayed; one of before; two never were."""
    found = made(
        crm=[
            stage("sold", "mql"), stage("sold", "sql", "direct", 1), stage("sold", "won", "direct", 2),
            stage("late", "mql"), stage("late", "sql", days=20),
            stage("skipped", "opportunity"),
            stage("stayed", "mql"),
            stage("earlier", "mql", days=-40), stage("earlier", "sql"),
            stage("only a lead", "lead"), stage("lost", "lost"),
            stage("other", "mql", "email"),
        ]
    )  # fmt: skip
    chatgpt = found["chatgpt"]
    assert (chatgpt.mql, chatgpt.sql) == (4, 3)
    assert chatgpt.mql_to_sql is not None
    assert chatgpt.mql_to_sql.value == 0.75
    # Wilson, 3 of 4
    assert chatgpt.mql_to_sql.low == pytest.approx(0.3006, abs=1e-4)
    assert chatgpt.mql_to_sql.high == pytest.approx(0.9544, abs=1e-4)
    assert (found["email"].mql, found["email"].sql) == (1, 0)
    assert found["email"].mql_to_sql is not None
    assert found["email"].mql_to_sql.low == 0
    assert chatgpt.conversions is None
    assert chatgpt.dark_share is None


def test_whom_the_survey_names_and_no_click_shows() -> None:
    """Five say ChatGPT: one clicked, one was linked to a click, one carries a click reference, two were not seen."""
    found = made(
        survey=[
            *(answer(number, "chatgpt") for number in range(1, 6)),
            # changes his mind: the first answer counts
            answer(6, "word_of_mouth"), answer(6, "chatgpt", later=1),
            # of an order that the ledger does not hold
            answer(99, "chatgpt"),
        ],
        conversions=[
            conversion(1, "ann"), conversion(2, "bob"), conversion(3, None, clicked=True), conversion(4, "dan"),
            conversion(5, None), conversion(6, "eve"),
        ],
        links=[link(2, "bob's phone")],
        touches=[
            touch("ann", 89, "chatgpt"), touch("bob's phone", 1, "chatgpt", kind="visit"),
            # not ChatGPT, not a click, too early, too late
            touch("dan", 1, "google_ads"), touch("dan", 1, "chatgpt", kind="view"), touch("dan", 91, "chatgpt"),
            touch("dan", -1, "chatgpt"),
        ],
    )  # fmt: skip
    chatgpt = found["chatgpt"]
    assert chatgpt.coverage == 3 / 5
    assert chatgpt.dark_share is not None
    assert chatgpt.dark_share.value == 2 / 5
    assert chatgpt.dark_share.low == pytest.approx(0.1176, abs=1e-4)
    assert chatgpt.dark_share.high == pytest.approx(0.7693, abs=1e-4)
    # Nobody clicks on word of mouth: no share of it can be dark
    assert found["word_of_mouth"].dark_share is None
    assert found["word_of_mouth"].coverage is None


def test_the_dark_share_is_that_of_plain_python() -> None:
    rng = random.Random(5)
    names = ["chatgpt", "google_ads", "email"]
    touches = {}
    for _ in range(200):
        one = touch(
            f"p{rng.randrange(40)}",
            rng.choice([0, 1, 89, 90, 90.5, 120, -1]),
            rng.choice(names),
            kind=rng.choice(["click", "view"]),
        )
        touches[one["person"], one["at_ms"], one["channel"], one["kind"]] = one
    conversions = [
        conversion(n, rng.choice([None, f"p{rng.randrange(40)}"]), clicked=rng.random() < 0.2) for n in range(80)
    ]
    links = list(
        {(n, p): link(n, p) for n, p in ((rng.randrange(80), f"p{rng.randrange(40)}") for _ in range(40))}.values()
    )
    survey = [answer(rng.randrange(100), rng.choice(names), later=later) for later in range(90)]
    found = made(touches=list(touches.values()), conversions=conversions, links=links, survey=survey)
    said = {each["order_id"]: each["channel"] for each in sorted(survey, key=lambda each: -each["at_ms"])}
    for name in names:
        answers = seen = 0
        for each in conversions:
            if said.get(each["order_id"]) != name:
                continue
            answers += 1
            persons = {each["person"]} | {one["person"] for one in links if one["order_id"] == each["order_id"]}
            seen += (name == "chatgpt" and each["clicked"]) or any(
                one["person"] in persons and one["channel"] == name and one["kind"] == "click"
                and 0 <= each["at_ms"] - one["at_ms"] <= 90 * DAY
                for one in touches.values()
            )  # fmt: skip
        assert answers
        assert found[name].coverage == seen / answers
        assert found[name].dark_share is not None
        assert found[name].dark_share.value == (answers - seen) / answers


def test_nothing_at_all_is_not_shown() -> None:
    with pytest.raises(CannotSay, match="no data of any from 2026-10-01 to 2026-10-31"):
        made()
