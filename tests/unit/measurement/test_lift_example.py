"""The example of docs/incrementality.md: its files, and what the page says of it."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pytest

from measurement.incrementality import example, study
from measurement.incrementality.results import Lift
from tools.template import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("example")
    example.write(made)
    return made


@pytest.fixture(scope="module")
def lifts() -> tuple[Lift, ...]:
    return example.results()


def test_the_page_shows_what_is_printed(lifts: tuple[Lift, ...]):
    page = (ROOT / "docs/incrementality.md").read_text(encoding="utf-8")
    (block,) = (each for each in page.split("```")[1::2] if "  lift  " in each)

    lines = [line for line in block.splitlines() if line and line.strip() != "…"]

    printed = "\n".join(map(example.text, lifts)).splitlines()
    assert len(lines) > 10
    assert [line for line in lines if line not in printed] == []


def test_the_truth_is_in_all_three_intervals(lifts: tuple[Lift, ...]):
    for lift in lifts:
        assert lift.lift.low < example.LIFT < lift.lift.high


def test_the_files_hold_the_history(folder: Path):
    settings = tomllib.loads((folder / "measurement.toml").read_text(encoding="utf-8"))
    with (folder / "sales.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sales, _ = example.history()

    assert [test["name"] for test in settings["test"]] == [example.ON_OFF.name, example.HOLDOUT.name]
    assert tuple(settings["test"][1]["markets"]) == example.HOLDOUT.markets
    assert len(rows) == len(example.MARKETS) * example.WEEKS * 7
    assert sum(int(row["conversions"]) for row in rows) == sum(row["conversions"] for row in sales)
    assert [round(float(row["value"]) * 100) for row in rows] == [row["value"] for row in sales]


def test_the_command_writes_and_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setattr(example, "results", tuple)

    assert example.main([str(tmp_path / "new")]) == 0

    assert "The ads of this shop add 10%" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["measurement.toml", "sales.csv", "spend.csv"]


def test_the_study_prints_a_line_for_each_method_and_kind(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    geo = {"eight markets": study.GEO["eight markets"]}
    on_off = {"one switch": study.ON_OFF["one switch"]}
    methods = [(name, geo if kinds is study.GEO else on_off, test) for name, kinds, test in study.METHODS]
    monkeypatch.setattr(study, "METHODS", methods)

    assert study.main(["--seeds", "2", "--first", "9000000"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + 5
    assert lines[3].startswith("difference in differences       eight markets")


def test_a_regression_over_market_days_is_too_sure():
    # Given no effect
    seeds = range(9_100_000, 9_100_060)

    often = sum(study.panel_regression("markets that drift apart", seed).finds for seed in seeds)

    assert often > 15
