"""Log lines of the receivers as rows: as the journal writes them, in each form in which CloudWatch gives them out."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conversion_relay import journal
from conversion_relay.delivery import Outcome
from measurement.inputs import deliveries, relay
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from tools.samples import sample
from tools.sources import SOURCES

AT_MS = 1_795_186_800_000
"""2026-11-20T15:00:00Z"""
DAY = date(2026, 11, 20)
SETTINGS = Settings("a shop", ZoneInfo("UTC"), "USD", date(2026, 11, 1), date(2026, 11, 30), Path())


def told(capsys: pytest.CaptureFixture[str], outcome: Outcome) -> str:
    """The line that the journal writes of an outcome."""
    delivery = sample("shopify/orders/create").delivery("s", datetime(2026, 11, 20, 15, tzinfo=UTC))
    capsys.readouterr()
    journal.delivered(SOURCES["shopify"], delivery, outcome)
    return capsys.readouterr().out.strip()


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines as the functions write them: of deliveries, and of what is none."""
    key, topic = "order_created#shopify:6184", "orders/create"
    outcomes = [
        Outcome("recorded", 200, "recorded", "a new conversion", key, topic=topic),
        Outcome("duplicate", 200, "duplicate", "", key, topic="orders/paid"),
        Outcome("duplicate", 200, "amended", "", key, topic="orders/paid"),
        Outcome("ignored", 200, "refund", "the API knows no refund", topic="refunds/create"),
        Outcome("ignored", 200, "refund", "the API knows no refund", topic="refunds/create"),
        Outcome("parked", 200, "id_missing", "kept for replay", "shopify/a.json", topic=topic),
        Outcome("refused", 401, "signature_wrong", "no secret fits"),
    ]  # fmt: skip
    others = [
        json.dumps({"source": "click", "outcome": "remembered", "http": 200}),
        json.dumps({"message": "forwarded to the queue", "Recorded": 3}),
        "START RequestId: 1",
    ]
    return [*(told(capsys, each) for each in outcomes), *others]


EXPECTED = {
    (DAY, "shopify", "order_created", "recorded", None): 1,
    (DAY, "shopify", "order_created", "duplicate", None): 1,
    (DAY, "shopify", "order_created", "duplicate", "amended"): 1,
    (DAY, "shopify", "refunds/create", "ignored", "refund"): 2,
    (DAY, "shopify", "orders/create", "parked", "id_missing"): 1,
    (DAY, "shopify", None, "refused", "signature_wrong"): 1,
}


def counted(path: Path, settings: Settings = SETTINGS) -> dict[Any, int]:
    entry = Input("relay_logs", {"file": str(path)}, 3)
    found = [row for name, row in deliveries.relay_logs(entry, settings) if name == "deliveries"]
    return {(r["day"], r["source"], r["type"], r["outcome"], r["reason"]): r["deliveries"] for r in found}


def filtered(lines: list[str]) -> str:
    events = [{"timestamp": AT_MS, "message": each, "logStreamName": "s"} for each in lines]
    return json.dumps({"events": events, "searchedLogStreams": []})


def events_by_line(lines: list[str]) -> str:
    return "\n".join(json.dumps({"timestamp": AT_MS, "message": each}) for each in lines)


def a_list(lines: list[str]) -> str:
    return json.dumps([{"@timestamp": "2026-11-20 15:00:00.000", "@message": each} for each in lines] + ["x"])


def tailed(lines: list[str]) -> str:
    return "\n\n".join(f"2026-11-20T15:00:00 {each}" for each in lines if each.startswith("{"))


def bare(lines: list[str]) -> str:
    found = [json.loads(each) for each in lines if each.startswith("{")]
    return "\n".join(json.dumps({**each, "timestamp": "2026-11-20T15:00:00Z"}) for each in found)


def insights(lines: list[str]) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["@timestamp", "@message", "@ptr"])
    table.writerows(["2026-11-20 15:00:00.000", each, "p"] for each in lines)
    return "\ufeff" + out.getvalue()


def insights_by_field(lines: list[str]) -> str:
    names = ["source", "topic", "outcome", "reason", "key"]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["@timestamp", *names])
    for each in lines:
        if each.startswith("{"):
            held = json.loads(each)
            table.writerow(["2026-11-20 15:00:00.000", *(held.get(name, "") for name in names)])
    return out.getvalue()


FORMS: list[Callable[[list[str]], str]] = [
    filtered, events_by_line, a_list, tailed, bare, insights, insights_by_field,
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_gives_the_same_counts(
    tmp_path: Path, written: list[str], form: Callable[[list[str]], str], packed: bool
) -> None:
    raw = form(written).encode()
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(raw) if packed else raw)

    assert counted(path) == EXPECTED


def test_lines_that_are_metrics_have_a_time_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    line = {"source": "shopify", "outcome": "ignored", "reason": "refund", "_aws": {"Timestamp": AT_MS}}
    path.write_text(json.dumps(line))

    assert counted(path) == {(DAY, "shopify", None, "ignored", "refund"): 1}


def test_days_are_those_of_the_report(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"source": "shopify", "outcome": "ignored", "timestamp": "1795219200000"}))

    ((day, *_),) = counted(path, replace(SETTINGS, time_zone=ZoneInfo("America/New_York")))
    assert day == DAY


def test_a_file_as_long_as_insights_gives_is_probably_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    line = json.dumps({"source": "shopify", "outcome": "ignored", "timestamp": AT_MS})
    path.write_text("\n".join([line] * deliveries.MOST_INSIGHTS_ROWS))
    entry = Input("relay_logs", {"file": str(path)}, 3)

    (note,) = [row["note"] for name, row in deliveries.relay_logs(entry, SETTINGS) if name == relay.NOTE]
    assert "exactly 10,000 rows, where Logs Insights stops" in note


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff\xfe", "it is no UTF-8 text"),
        (b'{"a": 1}\nno JSON', "log:2: the line is no JSON"),
        (b'{"source": "shopify", "outcome": "ignored"}', "log:1: the line has no time"),
        (b'{"source": "shopify", "outcome": "ignored", "_aws": 1}', "log:1: the line has no time"),
        (b'{"message": "forwarded"}', "no line of it tells of a delivery"),
        (b'[{"timestamp": true, "message": "{}"}, 5]', "no line of it tells of a delivery"),
        (b"day,count\n2026-11-20,1\n", "log:1: it lacks the columns @timestamp and @message"),
        (b"", "log: it is empty. Export it anew"),
        (b" ", "log:1: it lacks the columns @timestamp and @message"),
        (b"@timestamp,@message\nyesterday,{}\n", "log:2: @timestamp holds no time"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(raw)

    with pytest.raises(BadInput, match=said):
        counted(path)


def test_no_file_may_be_named_beside_what_it_does_not_know() -> None:
    with pytest.raises(BadInput, match="colour is no option"):
        list(deliveries.relay_logs(Input("relay_logs", {"colour": "red"}, 3), SETTINGS))


def test_a_file_of_nothing_is_said_to_be_empty(tmp_path: Path) -> None:
    (tmp_path / "log.json").write_bytes(b"")
    with pytest.raises(BadInput, match=r"^log\.json: it is empty\. Export it anew"):
        list(deliveries.relay_logs(Input("relay_logs", {"file": "log.json"}, 7), replace(SETTINGS, folder=tmp_path)))


def test_a_pattern_names_several_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.json").write_text("{}")
    found = relay.places(Input("relay_logs", {"files": ["*.json", "a.json"]}, 7), replace(SETTINGS, folder=tmp_path))
    assert [each.name for each in found] == ["a.json", "b.json"]
    with pytest.raises(BadInput, match=r"there is no \*\.csv"):
        relay.places(Input("relay_logs", {"file": "*.csv"}, 7), replace(SETTINGS, folder=tmp_path))


def test_a_folder_in_place_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(BadInput, match=r"logs: it cannot be read \(Is a directory\)\. Name the files in it"):
        list(deliveries.relay_logs(Input("relay_logs", {"file": "logs"}, 7), replace(SETTINGS, folder=tmp_path)))
