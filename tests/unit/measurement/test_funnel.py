"""The steps of each campaign, and the leak."""

import random
from datetime import date
from typing import Any

import pytest

from measurement.engine import Data
from measurement.funnel import STEPS, Funnel, funnels
from measurement.problems import CannotSay
from tests.unit.measurement.attribution_rows import SETTINGS

DAY = date(2026, 10, 5)


def visits(campaign: str, *counts: int, channel: str = "chatgpt", day: date = DAY) -> dict[str, Any]:
    """Sessions, engaged, micro, macro."""
    names = ("sessions", "engaged", "micro", "macro")
    return {"day": day, "channel": channel, "campaign": campaign, **dict(zip(names, counts, strict=True))}


def ads(campaign: str, clicks: int | None, channel: str = "chatgpt", day: date = DAY) -> dict[str, Any]:
    return {"day": day, "channel": channel, "campaign": campaign, "clicks": clicks}


def made(*rows: dict[str, Any]) -> dict[str, Funnel]:
    tables: dict[str, list[dict[str, Any]]] = {"sessions": [], "ads": []}
    for row in rows:
        tables["sessions" if "sessions" in row else "ads"].append(row)
    with Data.of(tables) as data:
        found = funnels(data, SETTINGS)
    assert [each.counts["session"] or each.counts["click"] or 0 for each in found] == sorted(
        (each.counts["session"] or each.counts["click"] or 0 for each in found), reverse=True
    )
    return {each.campaign: each for each in found}


def test_the_step_that_keeps_least_of_what_the_others_keep_is_the_leak() -> None:
    """Of 1,000 visits 600, 200, 50 in two campaigns. In the third 600, 100, 25: it keeps half of the others' share
    before micro, and all of it elsewhere. In the fourth 300, 50, 12: before engaged it keeps half too, before micro
    (1/6 of 1/3) half; the earlier one counts."""
    usual = [visits(f"usual {n}", 1000, 600, 200, 50) for n in range(2)]
    found = made(*usual, visits("loses", 1000, 600, 100, 25), visits("loses", 0, 0, 0, 0, day=date(2026, 10, 9)))
    assert found["loses"].leak == "micro"
    assert found["usual 0"].leak is None
    assert found["loses"].counts == {"click": None, "session": 1000, "engaged": 600, "micro": 100, "macro": 25}


def test_clicks_that_never_become_visits_are_a_leak() -> None:
    # Given a page that is slow for those who come from one campaign
    found = made(
        visits("fast", 900, 500, 100, 20), ads("fast", 1000),
        visits("slow", 400, 222, 44, 9), ads("slow", 1000),
        # and one whose visits outnumber the clicks, as two systems count
        visits("odd", 1200, 666, 133, 26), ads("odd", 1000),
    )  # fmt: skip
    assert found["slow"].leak == "session"
    assert found["odd"].leak is None


@pytest.mark.parametrize(
    "rows",
    [
        # few visits
        (visits("usual", 1000, 600, 200, 50), visits("little", 29, 2, 0, 0)),
        # nobody to compare with
        (visits("alone", 1000, 10, 1, 0),),
        # the others keep nothing
        (visits("one", 100, 0, 0, 0), visits("two", 100, 0, 0, 0)),
        # no more than chance: 33 of 60 for 600 of 1,000
        (visits("usual", 1000, 600, 200, 50), visits("a little less", 60, 33, 11, 2)),
    ],
)
def test_too_little_data_names_no_leak(rows: tuple[dict[str, Any], ...]) -> None:
    assert {each.leak for each in made(*rows).values()} == {None}


def test_a_campaign_that_is_like_the_others_rarely_gets_a_leak() -> None:
    # Given 60 campaigns that differ by chance alone
    rng = random.Random(3)
    rows = []
    for number in range(60):
        counts = [300]
        for kept in (0.6, 0.4, 0.3):
            counts.append(sum(rng.random() < kept for _ in range(counts[-1])))
        rows.append(visits(f"{number}", *counts))
    # Then at most one in twenty does, give or take what 60 can tell
    assert sum(each.leak is not None for each in made(*rows).values()) <= 8


def test_what_no_layer_counts_is_not_zero() -> None:
    found = made(ads("only ads", 10), visits("only visits", 5, 3, 1, 0), ads("no figure", None))
    assert found["only ads"].counts == {"click": 10, "session": None, "engaged": None, "micro": None, "macro": None}
    assert found["only visits"].counts["click"] is None
    assert found["no figure"].counts == dict.fromkeys(STEPS)


def test_the_counts_are_those_of_plain_python() -> None:
    # Given days inside and outside the period, several rows a campaign
    rng = random.Random(11)
    rows: list[dict[str, Any]] = []
    for _ in range(120):
        day = date(2026, rng.choice([9, 10, 10, 10, 11]), rng.randrange(1, 30))
        channel, campaign = rng.choice(["chatgpt", "google_ads"]), rng.choice(["a", "b", "c"])
        if rng.random() < 0.4:
            rows.append(ads(campaign, rng.choice([None, rng.randrange(50)]), channel, day))
        else:
            rows.append(visits(campaign, *sorted(rng.sample(range(90), 4), reverse=True), channel=channel, day=day))
    expected: dict[tuple[str, str], dict[str, int | None]] = {}
    for row in rows:
        if row["day"].month == 10:
            counts = expected.setdefault((row["channel"], row["campaign"]), dict.fromkeys(STEPS))
            for step, name in zip(STEPS, ("clicks", "sessions", "engaged", "micro", "macro"), strict=True):
                if row.get(name) is not None:
                    counts[step] = (counts[step] or 0) + row[name]
    with Data.of({"ads": [r for r in rows if "clicks" in r], "sessions": [r for r in rows if "sessions" in r]}) as data:
        found = funnels(data, SETTINGS)
    assert {(each.channel, each.campaign): each.counts for each in found} == expected


def test_no_data_is_no_funnel() -> None:
    with pytest.raises(CannotSay, match="neither clicks nor visits from 2026-10-01 to 2026-10-31"):
        made(visits("before", 5, 3, 1, 0, day=date(2026, 9, 30)), ads("none", None))
