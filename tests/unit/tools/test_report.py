"""``relay report``: the command line, a wrong input, and the report of the simulated shop from end to end."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tools import cli, report


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the folder with measurement.toml"),
        (["a", "b"], "one folder, not 2"),
        (["init"], "name one folder"),
        (["init", "a", "b"], "name one folder"),
        (["a", "--demo"], "--demo takes no folder"),
        (["a", "--engine", "athena", "--region", "eu-central-1"], "--engine athena needs --database, --staging too"),
    ],
)
def test_a_wrong_command_line_is_said(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_settings_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    assert "measurement.toml: cannot be read" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_init_writes_makes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "shop"
    assert cli.main(["report", "init", str(folder)]) == 0
    assert cli.main(["report", "init", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert cli.main(["report", str(folder)]) == 0
    held = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    assert len(held["sentences"]) == 5
    assert str(folder / "report" / "report.html") in capsys.readouterr().out


def test_the_demo_prints_how_far_it_is_from_the_truth(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=140)
    page = report.demo(console, tmp_path / "out")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert str(page) in text
    assert "buyers with a ChatGPT ad on their way" in text
    held = json.loads((page.parent / "report.json").read_text(encoding="utf-8"))
    assert held["refused"] == []
    rows = held["tables"]["truth_counts"]["rows"] + held["tables"]["truth_shares"]["rows"]
    # 95 % intervals: of nearly twenty, more than a few outside would be no chance.
    assert sum(row["inside"] == "no" for row in rows) <= 3
