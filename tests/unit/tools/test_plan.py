"""``relay plan``: what it prints."""

from __future__ import annotations

import argparse
import io
import json
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from measurement.incrementality.results import Design, Plan
from tests.unit.measurement.selling import settings
from tools import plan

GEO = Design(4, ("US-CA", "US-TX"), ("US-NY", "US-WA", "US-OH"), 0.083, 0.8, ((0.05, 0.3), (0.1, 0.91)), windows=13)
ON_OFF = Design(8, (), (), float("inf"), 0.8, ((0.05, 0.0),), "on_off", 9)


def printed(*designs: Design, notes: tuple[str, ...] = ()) -> str:
    console = Console(file=io.StringIO(), width=120)
    plan.show(Plan(designs, notes), settings(), console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_line_for_each_design_and_how_to_run_the_best():
    said = printed(GEO, ON_OFF, notes=("Spend [more].",))

    lines = [line.split() for line in said.splitlines()]
    assert ["geo", "4", "2", "3", "+8.3%", "13", "30%", "91%"] in lines
    assert ["on/off", "8", "all", "-", "nothing", "9", "0%"] in lines
    assert 'markets = ["US-CA", "US-TX"]' in said
    assert "[[test]]" in said
    assert "Note: Spend [more]." in said


def test_what_is_to_be_added_to_the_settings_is_toml():
    said = printed(replace(GEO, treated=('a "b"', "c\\d")))
    assert tomllib.loads(said[said.index("[[test]]") :])["test"][0]["markets"] == ['a "b"', "c\\d"]


def test_without_a_geo_test_there_is_nothing_to_run_by_market():
    assert "[[test]]" not in printed(ON_OFF)


def test_a_folder_without_settings(tmp_path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)

    assert plan.run(parser.parse_args([str(tmp_path)])) == 2

    assert "measurement.toml" in capsys.readouterr().err


def sold(folder: Path, days: int) -> Path:
    """A shop of one market that sells 20 or so a day, before the autumn of 2026."""
    rows = (f"{date(2026, 9, 1) - timedelta(days=n)},US,{18 + n % 5},100.00,USD\n" for n in range(1, days + 1))
    (folder / "sales.csv").write_text("day,market,conversions,value,currency\n" + "".join(rows))
    (folder / "measurement.toml").write_text(
        '[report]\nshop = "Ours"\ntime_zone = "UTC"\ncurrency = "USD"\nfirst = 2026-08-01\nlast = 2026-08-31\n'
        '[[input]]\nkind = "sales"\nfile = "sales.csv"\n'
    )
    return folder


def test_json_is_one_object_and_knows_no_infinity(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)

    assert plan.run(parser.parse_args([str(sold(tmp_path, 70)), "--json", "--weeks", "2"])) == 0

    held = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [(each["kind"], each["weeks"]) for each in held["designs"]] == [("on_off", 2)]
    assert held["designs"][0]["curve"][0].keys() == {"lift", "power"}
    assert held["notes"]
    nothing = plan.as_object(Plan((ON_OFF,)), settings())["designs"][0]
    assert nothing["smallest_effect"] is None


def test_a_history_that_is_too_short_is_said_in_whole_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)

    assert plan.run(parser.parse_args([str(sold(tmp_path, 30)), "--json"])) == 1

    said = capsys.readouterr().err
    assert said.startswith("relay plan: A test: not shown, because neither kind can be planned with this history. ")
    assert ".;" not in said
    assert ".." not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weeks", "2,x"], "'x' is not a whole number above 0"),
        (["--treated", "0"], "'0' is not a whole number above 0"),
        (["--power", "80"], "'80' is not a number between 0 and 1"),
        (["--power", "often"], "'often' is not a number between 0 and 1"),
    ],
)
def test_options_that_cannot_be(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)

    with pytest.raises(SystemExit):
        parser.parse_args(["folder", *arguments])

    assert message in capsys.readouterr().err


def test_options(tmp_path):
    parser = argparse.ArgumentParser()
    plan.add_arguments(parser)

    options = parser.parse_args([str(tmp_path), "--weeks", "4,2,4", "--markets", "US-CA, US-NY", "--treated", "3"])

    assert (options.weeks, options.markets, options.treated) == ((2, 4), ("US-CA", "US-NY"), 3)
