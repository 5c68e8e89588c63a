"""The figures of `make bench` are those of the real isolation, and keep what is promised of it."""

import json
from pathlib import Path

import pytest

from tools import bench


def test_bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "TRIALS", 20)

    assert bench.main(["--out", str(tmp_path / "new" / "bench.json")]) == 0

    worst = json.loads((tmp_path / "new" / "bench.json").read_text())["isolation"]
    assert list(worst["with_index"]) == list(worst["without_index"]) == ["0", "1", "2", "5", "10", "50"]
    assert worst["with_index"]["0"] == worst["without_index"]["0"] == 1
    assert worst["with_index"]["1"] <= 3
    assert worst["without_index"]["1"] <= 20
    assert worst["without_index"]["10"] <= 110
    printed = capsys.readouterr().out
    assert "1,001 (1,001.0)" in printed


@pytest.mark.parametrize(("count", "requests"), [(bench.one_by_one, 1001), (bench.halving, 21), (bench.relay, 12)])
def test_what_others_do_is_counted_by_the_same_api(count: bench.Count, requests: int) -> None:
    assert count({999}, False) == requests
    assert count(set(), False) == 1
