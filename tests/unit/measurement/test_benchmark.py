"""The benchmark's own arithmetic and data."""

import math
from pathlib import Path

import pytest

from measurement.engine import Data
from tools.bench import measurement


def test_growth_is_measured_against_n_log_n() -> None:
    def took(touches: int, seconds: float) -> dict[str, float]:
        return {"touches": touches, "seconds": seconds}

    n_log_n = [took(n, n * math.log(n)) for n in (10_000, 100_000)]
    assert measurement.growth(*n_log_n) == pytest.approx(0)
    # Linear is less, by what log n adds; squared is more
    assert measurement.growth(took(10_000, 1), took(100_000, 10)) == pytest.approx(-math.log10(5 / 4))
    assert measurement.growth(took(10_000, 1), took(100_000, 100)) > measurement.SLACK


def test_the_benchmarks_shop_is_one_that_is_worth_attributing(tmp_path: Path) -> None:
    # Given the smallest of its shops, smaller still
    measurement.make(tmp_path, 2_000)
    with Data.in_folder(tmp_path) as data:
        counts = {name: data.arrow(data[name].count()).as_py() for name in ("touches", "conversions", "links")}
    # Then it has what it says, and its attribution sums to it
    assert counts == {"touches": 2_000, "conversions": 200, "links": 80}
    found = measurement.measure(tmp_path)
    assert found["conversions"] == 200
    assert found["off"] < 1e-9
    assert found["rows"] > 16 * 50
