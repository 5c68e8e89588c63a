"""The figures of `make bench` are those of the real code, and keep what is promised of it; times are not tested."""

import json
from pathlib import Path

import pytest

from tools.bench import __main__ as bench
from tools.bench import cold_start, isolation, sending, warm
from tools.package import Package
from tools.template import read


def test_isolation(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "TRIALS", 20)

    assert bench.main(["--only", "isolation", "--out", str(tmp_path / "new" / "bench.json")]) == 0

    worst = json.loads((tmp_path / "new" / "bench.json").read_text())["isolation"]
    assert list(worst["with_index"]) == list(worst["without_index"]) == ["0", "1", "2", "5", "10", "50"]
    assert worst["with_index"]["0"] == worst["without_index"]["0"] == 1
    assert worst["with_index"]["1"] <= 3
    assert worst["without_index"]["1"] <= 20
    assert worst["without_index"]["10"] <= 110
    printed = capsys.readouterr().out
    assert "1,001 (1,001.0)" in printed


@pytest.mark.parametrize(
    ("count", "requests"), [(isolation.one_by_one, 1001), (isolation.halving, 21), (isolation.relay, 12)]
)
def test_what_others_do_is_counted_by_the_same_api(count: isolation.Count, requests: int) -> None:
    assert count({999}, False) == requests
    assert count(set(), False) == 1


def test_figures_of_other_parts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "TRIALS", 1)
    out = tmp_path / "bench.json"
    out.write_text('{"cost": {"usd_per_million": 1.5}}')

    bench.main(["--only", "isolation", "--out", str(out)])

    assert set(json.loads(out.read_text())) == {"cost", "isolation"}


@pytest.mark.parametrize("source", warm.TYPICAL)
def test_a_warm_delivery_is_recorded_by_the_real_code(source: str) -> None:
    found = warm.measured(source, rounds=1)

    assert found.delivery_s > found.floor_s > 0


def test_growth_of_warm_deliveries() -> None:
    assert list(warm.growth("shopify", [1, 10])) == [1, 10]


def test_the_sender_takes_one_request_for_each_thousand_events() -> None:
    found = sending.measured((1, 1_000, 10_000), rounds=1)

    assert found.requests == {1: 1, 1_000: 1, 10_000: 10}
    assert 0 < found.peak_mb < sending.MOST_MB
    assert found.rate_ratio > 0


def test_a_cold_start_is_that_of_the_template_s_function() -> None:
    variables = cold_start.environment(Package(read(), {}), "ShopifyReceiver")

    assert variables["SIGNING_SECRETS_PATH"] == "/bench/signing-secrets"
    assert variables["LEDGER_TABLE"] == "bench-ledger"
    assert variables["VALUE_BASIS"] == "total_price"


def test_ratios_are_those_to_the_floor() -> None:
    assert cold_start.ratios({"ShopifyReceiver": 0.3}, 0.4) == {"ShopifyReceiver": 0.75}
