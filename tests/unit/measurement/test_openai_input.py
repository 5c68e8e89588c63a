"""OpenAI's reports over real HTTP: asked of the stand-in, which attributes what it has counted; and saved ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from measurement.inputs import openai, relay
from measurement.inputs.openai import Reporting
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from tools.stand_in import StandIn
from tools.stand_in_insights import Campaign, Delivered
from tools.stand_in_server import Answer

KEY, PIXEL, ADVERTISER = "conversions-key", "pixel", "advertiser-key"
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TODAY = NOW.date()
DAY_MS = 86_400_000
DIGEST = "b" * 64
SETTINGS = Settings("a shop", ZoneInfo("UTC"), "USD", date(2026, 11, 14), date(2026, 11, 30), Path())


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn(keys=[KEY], pixels=[PIXEL], advertiser_keys=[ADVERTISER], clock=lambda: NOW_MS) as running:
        yield running


def send(stand_in: StandIn, *events: dict[str, Any]) -> None:
    answer = requests.post(
        f"{stand_in.url}/v1/events?pid={PIXEL}", json={"events": list(events)}, timeout=5,
        headers={"Authorization": f"Bearer {KEY}"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text


def event(number: int, ago_days: float = 1, oppref: str | None = None, kind: str = "order_created", **more: Any) -> Any:
    data = {"type": "contents", "amount": 10_000 + number, "currency": "USD"}
    if kind == "lead_created":
        data = {"type": "customer_action"}
    return {
        "id": f"{kind}-{number}", "type": kind, "timestamp_ms": NOW_MS - int(ago_days * DAY_MS),
        "action_source": "web", "source_url": "https://example.com/", "data": data,
        **({"oppref": oppref} if oppref else {}), **more,
    }  # fmt: skip


def days_ago(number: float) -> date:
    return (NOW - timedelta(days=number)).date()


def asked(
    stand_in: StandIn, waits: list[float] | None = None, settings: Settings = SETTINGS, **options: Any
) -> list[Any]:
    entry = Input("openai_insights", options, 4)
    with requests.Session() as session:
        reporting = Reporting(session, stand_in.url, ADVERTISER, sleep=(waits if waits is not None else []).append)
        return list(openai.read(reporting, entry, settings, NOW))


def of(found: list[Any], table: str) -> list[Any]:
    return [row for name, row in found if name == table]


def notes(found: list[Any]) -> str:
    return "\n".join(row["note"] for row in of(found, relay.NOTE))


def campaigns(stand_in: StandIn) -> None:
    boots = Campaign(
        "cmpn_1", "Boots", clicks={"op1.a": NOW_MS - 3 * DAY_MS, "op1.old": NOW_MS - 40 * DAY_MS},
        views={DIGEST: NOW_MS - 2 * DAY_MS},
        delivery={days_ago(3): Delivered(900, 12, "31.50"), days_ago(1): Delivered(None, None, None)},
    )  # fmt: skip
    hats = Campaign(
        "cmpn_2", "Hats", clicks={"op1.b": NOW_MS - 4 * DAY_MS}, delivery={days_ago(4): Delivered(5, 1, "0")}
    )
    stand_in.insights.campaigns = [boots, hats]


def test_delivery_is_read_with_null_for_what_is_not_available(stand_in: StandIn) -> None:
    campaigns(stand_in)
    stand_in.insights.page = 1  # each row on a page of its own

    rows = of(asked(stand_in), "ads")

    assert rows == [
        {
            "day": days_ago(4), "channel": "chatgpt", "campaign": "Hats", "impressions": 5, "clicks": 1, "spend": 0,
        },
        {
            "day": days_ago(3), "channel": "chatgpt", "campaign": "Boots", "impressions": 900, "clicks": 12,
            "spend": 3150,
        },
        {
            "day": days_ago(1), "channel": "chatgpt", "campaign": "Boots", "impressions": None, "clicks": None,
            "spend": None,
        },
    ]  # fmt: skip


def test_clicks_and_views_are_kept_apart_on_both_time_bases(stand_in: StandIn) -> None:
    # Given two purchases and a lead after a click, one after a view, one of nobody, and one whose click is too old
    campaigns(stand_in)
    send(
        stand_in, event(1, 1, "op1.a"), event(2, 1, "op1.b"), event(3, 1.5, "op1.a", kind="lead_created"),
        event(4, 1.25, user={"emails_sha256": [DIGEST]}), event(5), event(6, 1, "op1.old"),
    )  # fmt: skip

    rows = [row for row in of(asked(stand_in), "attributed") if row["click_through"] or row["view_through"]]

    def told(basis: str) -> Any:
        return {
            (row["day"], row["campaign"], row["type"]): (row["click_through"], row["view_through"], row["value"])
            for row in rows
            if row["basis"] == basis
        }

    assert told("conversion_time") == {
        (days_ago(1), "Boots", "order_created"): (1, 1, 20_005) if days_ago(1) == days_ago(1.25) else (1, 0, 10_001),
        (days_ago(1), "Hats", "order_created"): (1, 0, 10_002),
        (days_ago(1.5), "Boots", "lead_created"): (1, 0, None),
    }
    assert told("ad_event_time") == {
        (days_ago(3), "Boots", "order_created"): (1, 0, 10_001),
        (days_ago(3), "Boots", "lead_created"): (1, 0, None),
        (days_ago(2), "Boots", "order_created"): (0, 1, 10_004),
        (days_ago(4), "Hats", "order_created"): (1, 0, 10_002),
    }
    assert {row["window_days"] for row in rows} == {30}


def test_days_without_any_are_zero_and_not_absent(stand_in: StandIn) -> None:
    campaigns(stand_in)

    rows = of(asked(stand_in, bases=["conversion_time"]), "attributed")

    assert Counter(row["campaign"] for row in rows) == {"Boots": 7, "Hats": 7}
    assert {(row["type"], row["click_through"], row["view_through"]) for row in rows} == {("order_created", 0, 0)}


def test_the_click_window_is_the_one_that_is_asked_for(stand_in: StandIn) -> None:
    campaigns(stand_in)
    stand_in.insights.campaigns = [replace(stand_in.insights.campaigns[0], clicks={"op1.a": NOW_MS - 12 * DAY_MS})]
    send(stand_in, event(1, 1, "op1.a"))

    def clicked(days: int) -> int:
        rows = of(asked(stand_in, bases="conversion_time", window_days=days), "attributed")
        return sum(row["click_through"] for row in rows)

    assert [clicked(days) for days in (7, 14, 30)] == [0, 1, 1]


def test_a_report_that_is_too_large_is_asked_for_in_halves(stand_in: StandIn) -> None:
    campaigns(stand_in)
    send(stand_in, *(event(number, 1 + number % 5, "op1.a" if number % 2 else "op1.b") for number in range(8)))
    whole = asked(stand_in)
    stand_in.insights.requests.clear()
    stand_in.insights.most_rows = 1

    halved = asked(stand_in)

    assert of(halved, "ads") == of(whole, "ads")
    as_set = [sorted(map(str, of(found, "attributed"))) for found in (whole, halved)]
    assert as_set[0] == as_set[1]
    sizes = [
        len(each["asked"]["entity_ids"])
        for each in stand_in.insights.requests
        if each["path"].endswith("conversions/insights")
    ]
    assert {1, 2} == set(sizes)
    stand_in.insights.most_rows = 0
    with pytest.raises(BadInput, match=r"one campaign has over 2,000 kinds of events"):
        asked(stand_in)


def test_many_campaigns_and_days_are_asked_for_within_the_limits(stand_in: StandIn) -> None:
    day = days_ago(0)
    stand_in.insights.campaigns = [
        Campaign(f"cmpn_{number}", f"C{number}", delivery={day: Delivered(1, 0, "1")}) for number in range(150)
    ]

    rows = of(asked(stand_in, settings=replace(SETTINGS, first=days_ago(29)), bases="conversion_time"), "attributed")

    assert len(rows) == 150 * 30
    assert len({(row["day"], row["campaign"]) for row in rows}) == 150 * 30


def test_days_beyond_what_openai_keeps_are_not_asked_for(stand_in: StandIn) -> None:
    campaigns(stand_in)

    long_ago = asked(stand_in, settings=replace(SETTINGS, first=date(2024, 1, 1)), bases="conversion_time")
    assert "keeps reports for 365 days: it is asked from 2025-11-21 on" in notes(long_ago)
    past = asked(stand_in, settings=replace(SETTINGS, first=date(2024, 1, 1), last=date(2024, 2, 1)))
    assert [name for name, _ in past] == [relay.NOTE, relay.NOTE]
    assert "OpenAI is not asked" in notes(past)


def test_a_campaign_that_has_ended_is_still_asked_about(stand_in: StandIn) -> None:
    ended = Campaign(
        "cmpn_9", "Ended", clicks={"op1.e": NOW_MS - 20 * DAY_MS}, delivery={days_ago(20): Delivered(9, 1, "2")}
    )
    stand_in.insights.campaigns = [ended]
    send(stand_in, event(1, 1, "op1.e"))

    found = asked(stand_in, bases="conversion_time")

    assert sum(row["click_through"] for row in of(found, "attributed")) == 1
    assert of(found, "ads") == []


def test_without_campaigns_nothing_is_attributed_and_it_says_so(stand_in: StandIn) -> None:
    found = asked(stand_in)

    assert of(found, "attributed") == []
    assert "no campaign with delivery" in notes(found)
    assert [each["path"] for each in stand_in.insights.requests] == ["/v1/ad_account/insights"]


def test_campaigns_of_one_name_stay_two(stand_in: StandIn) -> None:
    delivery = {days_ago(1): Delivered(1, 1, "1")}
    stand_in.insights.campaigns = [Campaign("a", "Boots", delivery=delivery), Campaign("b", "Boots", delivery=delivery)]

    assert {row["campaign"] for row in of(asked(stand_in), "ads")} == {"Boots (a)", "Boots (b)"}


@pytest.mark.parametrize(
    ("zone", "said"), [("UTC", None), ("America/New_York", "days of America/New_York, the report's are days of UTC")]
)
def test_another_time_zone_is_told(stand_in: StandIn, zone: str, said: str | None) -> None:
    campaigns(stand_in)
    stand_in.insights.time_zone = zone

    told = notes(asked(stand_in))

    assert (said or "happens near midnight") in told if said else "near midnight" not in told


def test_spend_is_converted_to_the_report_s_currency(stand_in: StandIn) -> None:
    campaigns(stand_in)
    stand_in.insights.currency = "EUR"

    with pytest.raises(BadInput, match=r"in EUR, which has no rate"):
        asked(stand_in)
    rows = of(asked(stand_in, settings=replace(SETTINGS, rates={"EUR": Decimal("1.10")})), "ads")
    assert [row["spend"] for row in rows] == [0, 3465, None]


# Trouble --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, r"HTTP 401 to /v1/ad_account/insights\. Put the Advertiser key of this ad account into OPENAI_ADS_ADV"),
        (403, r"HTTP 403 .*may not read this ad account's reports"), (404, r"HTTP 404 .*not enabled"),
        (400, r"HTTP 400 .*newer version"), (302, r"HTTP 302"),
    ],
)  # fmt: skip
def test_a_refusal_is_a_sentence_with_what_to_do(stand_in: StandIn, status: int, said: str) -> None:
    stand_in.insights.trouble = [Answer(status, b"{}")]
    waits: list[float] = []

    with pytest.raises(BadInput, match=said) as problem:
        asked(stand_in, waits)
    assert waits == []
    assert ADVERTISER not in str(problem.value)


def test_a_wrong_key_is_refused(stand_in: StandIn) -> None:
    with requests.Session() as session, pytest.raises(BadInput, match="HTTP 401"):
        list(openai.read(Reporting(session, stand_in.url, KEY), Input("openai_insights", {}, 4), SETTINGS, NOW))


def test_it_waits_as_it_is_told_and_longer_each_time(stand_in: StandIn) -> None:
    campaigns(stand_in)
    stand_in.insights.trouble = [
        Answer(429, b"", retry_after="7"), Answer(429, b"", retry_after="soon"), Answer(503, b""), None,
        Answer(500, b"", retry_after="900"),
    ]  # fmt: skip
    waits: list[float] = []

    assert len(of(asked(stand_in, waits), "ads")) == 3
    assert waits == [7.0, 2.0, 4.0, 8.0, 60.0]


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Answer(429, b""), "answered HTTP 429 to /v1/ad_account/insights, 6 times. Too many requests"),
        (Answer(502, b""), "answered HTTP 502 to /v1/ad_account/insights, 6 times. OpenAI has trouble"),
        (None, "did not answer .*, 6 times"),
    ],
)
def test_after_six_times_it_gives_up(stand_in: StandIn, trouble: Answer | None, said: str) -> None:
    stand_in.insights.trouble = [trouble] * 6
    waits: list[float] = []

    with pytest.raises(BadInput, match=said):
        asked(stand_in, waits)
    assert len(waits) == 5


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data": 5}', b'{"data": [5]}'])
def test_an_answer_of_another_form_is_none(stand_in: StandIn, body: bytes) -> None:
    stand_in.insights.trouble = [Answer(200, body)]

    with pytest.raises(BadInput, match=r"is no JSON object|holds no list data"):
        asked(stand_in)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "a row has no day"), ({"date": "x", "readable_time": "y"}, "a row has no day"),
        ({"readable_time": "2026-11-19", "campaign_id": "c", "clicks": 1.5}, "clicks is no whole number"),
        ({"readable_time": "2026-11-19", "campaign_id": "c", "clicks": "many"}, "clicks is no whole number"),
        ({"readable_time": "2026-11-19", "campaign_id": "c", "spend": -1}, "no number of at least 0"),
        ({"readable_time": "2026-11-19", "campaign_id": "c", "spend": "x"}, "no number of at least 0"),
    ],
)  # fmt: skip
def test_a_row_that_is_none_is_refused(stand_in: StandIn, row: dict[str, Any], said: str) -> None:
    conversions = Answer(200, json.dumps({"data": [], "account_currency": "USD"}).encode())
    stand_in.insights.trouble = [Answer(200, json.dumps({"data": [row]}).encode()), conversions, conversions]

    with pytest.raises(BadInput, match=said):
        asked(stand_in)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bases": ["noon"]}, "bases names what is none"), ({"bases": []}, "bases names what is none"),
        ({"window_days": 3}, "no click window"), ({"window_days": True}, "no click window"),
        ({"currency": "dollars"}, "no ISO 4217 code"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_say_why(stand_in: StandIn, options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        asked(stand_in, **options)


def test_the_key_comes_from_the_environment_alone(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    campaigns(stand_in)
    stand_in.switch(now_ms=None)
    entry = Input("openai_insights", {"api": stand_in.url, "bases": "conversion_time"}, 4)

    monkeypatch.delenv(openai.KEY_VARIABLE, raising=False)
    with pytest.raises(BadInput, match="there is no usable Advertiser key"):
        list(openai.openai_insights(entry, SETTINGS))
    monkeypatch.setenv(openai.KEY_VARIABLE, f" {ADVERTISER}\n")
    settings = replace(SETTINGS, first=days_ago(5), last=days_ago(1))
    found = list(openai.openai_insights(entry, settings))
    assert found
    for options, said in (({"api": "ftp://x"}, "no https origin"), ({"key": "k"}, "key is no option")):
        with pytest.raises(BadInput, match=said):
            list(openai.openai_insights(Input("openai_insights", options, 4), SETTINGS))


# Saved reports --------------------------------------------------------------------------------------------------------


def saved(stand_in: StandIn, folder: Path) -> list[Path]:
    """Both endpoints' answers, saved as they came."""
    headers = {"Authorization": f"Bearer {ADVERTISER}"}
    span = json.dumps({"type": "date_range", "since": str(days_ago(6)), "until": str(TODAY)})
    query = {
        "aggregation_level": "campaign", "time_granularity": "daily", "time_ranges[]": span, "limit": "2000",
        "fields[]": ["campaign_id", "campaign_name", "readable_time", "timezone", "impressions", "clicks", "spend"],
    }  # fmt: skip
    delivery = requests.get(f"{stand_in.url}/v1/ad_account/insights", params=query, headers=headers, timeout=5)
    body = {
        "aggregation_level": "campaign", "time_granularity": "daily", "time_ranges": [span],
        "entity_ids": ["cmpn_1", "cmpn_2"], "attribution_time_basis": "conversion_time",
        "include": ["attributed_events"],
    }  # fmt: skip
    conversions = requests.post(f"{stand_in.url}/v1/conversions/insights", json=body, headers=headers, timeout=5)
    paths = [folder / "delivery.json", folder / "conversions.json"]
    for path, answer in zip(paths, (delivery, conversions), strict=True):
        assert answer.status_code == 200, answer.text
        path.write_bytes(answer.content)
    return paths


def filed(*names: Any, settings: Settings = SETTINGS, **options: Any) -> list[Any]:
    entry = Input("openai_ads_file", {"files": [str(name) for name in names], **options}, 5)
    return list(openai.openai_ads_file(entry, settings))


def test_saved_answers_say_what_the_api_says(stand_in: StandIn, tmp_path: Path) -> None:
    campaigns(stand_in)
    send(stand_in, event(1, 1, "op1.a"), event(2, 1, "op1.b"))
    live = asked(stand_in, bases="conversion_time")

    found = filed(*saved(stand_in, tmp_path), bases="conversion_time")

    def rows(of_whom: list[Any], table: str) -> list[str]:
        return sorted(map(str, of(of_whom, table)))

    for table in ("ads", "attributed"):
        assert rows(found, table) == rows(live, table)
    together = tmp_path / "both.jsonl"
    together.write_text("\n".join(json.dumps(json.loads(p.read_text())) for p in saved(stand_in, tmp_path)))
    assert rows(filed(together, bases="conversion_time"), "attributed") == rows(live, "attributed")
    as_list = tmp_path / "both.json"
    as_list.write_text(json.dumps([json.loads(p.read_text()) for p in saved(stand_in, tmp_path)]))
    assert rows(filed(as_list, bases="conversion_time"), "ads") == rows(live, "ads")


def test_goals_without_events_are_of_all_types(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    row = {
        "entity_id": "cmpn_1", "date": "2026-11-19", "conversions": 9, "click_through_conversions": 7,
        "view_through_conversions": 2, "order_created_attributed_sales": "12.345",
        "order_created_attributed_sales_currency": "USD",
    }  # fmt: skip
    path.write_text(json.dumps({"object": "list", "data": [row], "account_currency": "USD"}))

    assert of(filed(path), "attributed") == [
        {
            "day": date(2026, 11, 19), "channel": "chatgpt", "campaign": "cmpn_1", "type": "(all)",
            "basis": "ad_event_time", "window_days": 30, "click_through": 7, "view_through": 2, "value": 1234,
        }
    ]  # fmt: skip


CSV = """\
Campaign name,Day,Impressions,Clicks,Spend (EUR),Conversions,Attributed sales
Boots,2026-11-18,"1,200",30,12.50,2,"1,149.00"
Hats,2026-11-18,10,-,,,
Total,Total,1210,30,12.5,2,1149

"""


def test_ads_manager_s_export(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text(CSV)

    found = filed(path, settings=replace(SETTINGS, rates={"EUR": Decimal(2)}), bases="conversion_time")

    base = {"day": date(2026, 11, 18), "channel": "chatgpt"}
    assert of(found, "ads") == [
        base | {"campaign": "Boots", "impressions": 1200, "clicks": 30, "spend": 2500},
        base | {"campaign": "Hats", "impressions": 10, "clicks": None, "spend": None},
    ]
    assert of(found, "attributed") == [
        base
        | {
            "campaign": "Boots", "type": "(all)", "basis": "conversion_time", "window_days": 30, "click_through": 2,
            "view_through": None, "value": 229_800,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Campaign name,Clicks\nBoots,1\n", "f:1: it lacks a column Day"),
        ("Day;Spend\n2026-11-18;1\n", "f:1: it lacks a column Campaign name"),
        ("Day,Campaign\n2026-11-18,Boots\n", "f:1: it has neither spend nor conversions"),
        ("Day,Campaign,Spend\n18.11.2026,Boots,1\n", "f:2: the day is not written as 2026-11-20"),
        ("Day,Campaign,Spend\n2026-11-18,Boots,1\n", "f:2: nothing says which currency"),
        ('{"rows": []}', "it is no answer of an insights endpoint"), ("[]", "it is no answer of an insights endpoint"),
        ("{broken", "it is no JSON"),
        ('{"data": [{"entity_id": "c", "date": "2026-11-19", "click_through_conversions": null}]}',
         "click_through_conversions is not available"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "f"
    path.write_text(text)

    with pytest.raises(BadInput, match=said):
        filed(path)


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadInput, match="no UTF-8 text"):
        filed(path)
