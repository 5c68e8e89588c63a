"""Settings and inputs for the tests of importers."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from measurement import inputs
from measurement.settings import Input, Settings
from measurement.tables import TABLES


def settings(folder: Path, *entries: Input, **others: Any) -> Settings:
    """Those of a shop in New York that reports September 2026 in USD."""
    given: dict[str, Any] = {
        "shop": "Northwind Trail", "time_zone": ZoneInfo("America/New_York"), "currency": "USD",
        "first": date(2026, 9, 1), "last": date(2026, 9, 30), "folder": folder, "rates": {"EUR": Decimal("1.08")},
        "inputs": entries,
    }  # fmt: skip
    return Settings(**{**given, **others})


def entry(kind: str, **options: Any) -> Input:
    return Input(kind, {"kind": kind, **options}, 7)


def imported(
    folder: Path, *entries: Input, **others: Any
) -> tuple[dict[str, list[Mapping[str, Any]]], tuple[str, ...]]:
    """The rows of every table that has some, and the notes."""
    workspace = folder / "workspace"
    done = inputs.run(settings(folder, *entries, **others), workspace)
    rows = {
        name: pq.read_table(workspace / f"{name}.parquet").to_pylist()
        for name in TABLES
        if (workspace / f"{name}.parquet").exists()
    }
    assert {name: len(held) for name, held in rows.items()} == {name: n for name, n in done.rows.items() if n}
    return rows, done.notes
