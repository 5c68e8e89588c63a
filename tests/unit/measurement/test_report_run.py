"""The files of a report, and what the tables say by themselves."""

import csv
import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from measurement.engine import Data, sql, unbound
from measurement.problems import BadInput
from measurement.queries.report import QUERIES
from measurement.report import run
from measurement.report.results import Layer, Match, Spend
from measurement.tables import TABLES
from tests.unit.measurement.report_samples import FIRST, LAST, SAMPLES, drawn, full, settings


def conversion(number: int, day: date, **other: Any) -> dict[str, Any]:
    return {
        "conversion": f"order_created#shopify:{number}", "type": "order_created", "source": "shopify",
        "action_source": "web", "order_id": str(number), "at_ms": 0, "day": day, "value": 1000, "status": "sent",
        "clicked": False, "match_keys": "email", "bucket": number,
    } | other  # fmt: skip


@pytest.fixture
def data() -> Data:
    spend = {"day": FIRST, "campaign": "=HYPERLINK(1)", "impressions": None, "clicks": 4}
    return Data.of(
        {
            "conversions": [
                conversion(1, FIRST, clicked=True, match_keys="oppref email"),
                conversion(2, LAST, value=None, match_keys=""),
                conversion(3, LAST, source="stripe", match_keys="external_id"),
                conversion(4, LAST + timedelta(days=1)),
                conversion(5, LAST, type="lead_created"),
            ],
            "links": [{"order_id": "1", "person": "p"}],
            "ads": [spend | {"channel": "chatgpt", "spend": 120}, spend | {"channel": "email", "spend": None}],
        }
    )


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_compiles_for_both_engines(name: str) -> None:
    query = QUERIES[name]({table: unbound(table) for table in TABLES})
    assert "SELECT" in sql(query, "duckdb")
    assert "SELECT" in sql(query, "athena")


def test_conversions_of_the_type_and_period_are_counted(data: Data) -> None:
    held = run._recorded(settings(), data)
    assert (held.conversions, held.value, held.clicked) == (3, 2000, 1)
    assert held.by_day == ((FIRST, 1, 1), (LAST, 2, 0))


def test_match_keys_are_counted_as_words(data: Data) -> None:
    none = {"oppref": 0, "obref": 0, "email": 0, "phone": 0, "external_id": 0}
    assert run._matches(settings(), data) == (
        Match("shopify", 2, none | {"oppref": 1, "email": 1}, 1),
        Match("stripe", 1, none | {"external_id": 1}, 0),
    )


def test_spend_that_nobody_told_is_not_zero(data: Data) -> None:
    assert run._spend(settings(), data) == (Spend("chatgpt", 120, 4, None),)


def test_layers_know_their_days(data: Data) -> None:
    layers = {each.table: each for each in run._layers(settings(), data)}
    assert set(layers) == set(TABLES)
    assert layers["conversions"] == Layer("conversions", 5, (FIRST, LAST))
    assert layers["links"] == Layer("links", 1, dated=False)
    [missing] = layers["conversions"].missing(FIRST, LAST)
    assert missing == (FIRST + timedelta(days=1), LAST - timedelta(days=1))
    assert layers["crm"].missing(FIRST, LAST) == ((FIRST, LAST),)


@pytest.mark.parametrize("name", ["full", "empty"])
def test_the_files_of_a_report(name: str, tmp_path: Path) -> None:
    results = SAMPLES[name]()
    page = run.write(results, drawn(name), None, tmp_path)
    assert page == tmp_path / "report.html"
    held = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert len(held["sentences"]) == 5
    assert {f"{each}.csv" for each in held["tables"]} == {each.name for each in (tmp_path / "csv").iterdir()}
    for each, table in held["tables"].items():
        with (tmp_path / "csv" / f"{each}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(table["rows"])
    assert list(tmp_path.glob("**/*.part")) == []


def test_no_table_of_an_earlier_report_stays(data: Data, tmp_path: Path) -> None:
    # Given the report of a full shop, and a file of the user's own beside its tables
    run.write(replace(full(), layers=tuple(run._layers(settings(), data))), drawn("full"), data, tmp_path)
    (tmp_path / "csv" / "mine.csv").write_text("1")

    run.write(SAMPLES["empty"](), drawn("empty"), None, tmp_path)

    held = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {each.stem for each in (tmp_path / "csv").iterdir()} == {*held["tables"], "mine"}


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_computed(data: Data, tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    told: list[str] = []
    with pytest.raises(BadInput, match=r"report: cannot be written \(Not a directory\)\. Name another folder"):
        run.make(settings(), data, tmp_path / "report", progress=told.append)
    assert told == []


def test_the_input_tables_are_written_without_formulas(data: Data, tmp_path: Path) -> None:
    results = replace(full(), layers=tuple(run._layers(settings(), data)))
    run.write(results, (), data, tmp_path)
    text = (tmp_path / "csv" / "input_ads.csv").read_text(encoding="utf-8", newline="")
    assert text.startswith(
        "day,channel,campaign,impressions,clicks,spend\r\n2026-09-01,chatgpt,'=HYPERLINK(1),,4,120\r\n"
    )
    assert len(list((tmp_path / "csv").iterdir())) == len(TABLES)


def test_a_table_that_is_too_large_stays_parquet_and_that_is_said(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_INPUT_ROWS", 4)
    layers = tuple(run._layers(settings(), data))
    run.write(replace(full(), layers=layers), (), data, tmp_path)
    assert not (tmp_path / "csv" / "input_conversions.csv").exists()
    assert (tmp_path / "csv" / "input_ads.csv").exists()
    assert run._too_large(layers[0]).startswith("csv/ leaves out input_conversions: 5 rows.")


def test_infinite_numbers_become_null_for_machines() -> None:
    assert run._finite({"a": [float("inf"), 1.0, (float("nan"),)]}) == {"a": [None, 1.0, [None]]}
