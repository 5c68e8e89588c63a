"""``make bench-measurement``: what the attribution takes, from ten thousand touches to ten million.

Each size runs in a process of its own, over Parquet files as an import writes them: all four models, all four windows,
all touches, 200 bootstrap samples. A tenth as many conversions as touches; half of the touches are of persons who buy
nothing. Prints time, the peak of memory and how time grows from one size to the next, against n log n; exits with 1
past a bound.

    python -m tools.bench.measurement [--most 1000000]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tools.template import ROOT

RESULT: Final = ROOT / "build" / "bench-measurement.json"
SIZES: Final = (10_000, 100_000, 1_000_000, 10_000_000)
"""Touches."""
MOST_SECONDS: Final = 180
MOST_GIB: Final = 6.0
"""What ten million touches may take, on two cores."""
MEMORY: Final = "3GB"
"""DuckDB's limit; numpy and Python come on top."""
THREADS: Final = 2
SLACK: Final = 0.15
"""By how much the growth between two sizes may be above that of n log n: the clock's and the machine's noise. Below,
fixed costs (starting, planning, 200 samples) make it less than n log n."""

MAKE: Final = """
COPY (
  SELECT
    'order_created#shopify:' || i AS conversion, 'order_created' AS type, 'shopify' AS source, 'web' AS action_source,
    CAST(i AS VARCHAR) AS order_id,
    -- A tenth is of nobody known; of a fifth, only a link says whose it is.
    CASE WHEN i % 10 < 7 THEN 'p' || (hash(i) % {buyers}) END AS person,
    {start} + CAST(60 * 86400000.0 + 30 * 86400000.0 * (hash(i + 1) % 1000003) / 1000003 AS BIGINT) AS at_ms,
    CAST(make_timestamp_ms(at_ms) AS DATE) AS day,
    CAST(1000 + hash(i + 2) % 20000 AS BIGINT) AS value, 'sent' AS status, CAST(NULL AS VARCHAR) AS reason,
    i % 9 = 0 AS clicked, 'email' AS match_keys, CAST(NULL AS VARCHAR) AS market,
    CAST(hash(coalesce(person, 'c' || i)) % 512 AS BIGINT) AS bucket
  FROM range({conversions}) AS numbers(i)
) TO '{folder}/conversions.parquet' (COMPRESSION zstd);
COPY (
  SELECT CAST(i AS VARCHAR) AS order_id, 'p' || (hash(i) % {buyers}) AS person
  FROM range({conversions}) AS numbers(i) WHERE i % 10 IN (5, 6, 7, 8)
) TO '{folder}/links.parquet' (COMPRESSION zstd);
COPY (
  SELECT
    'p' || CASE WHEN i % 2 = 0 THEN hash(i) % {buyers} ELSE {buyers} + hash(i) % {others} END AS person,
    {start} + CAST(90 * 86400000.0 * (hash(i + 3) % 1000003) / 1000003 AS BIGINT) AS at_ms,
    CAST(make_timestamp_ms(at_ms) AS DATE) AS day,
    (['chatgpt', 'google_ads', 'meta_ads', 'organic_search', 'email', 'referral', 'ai_assistant', 'direct'])
      [1 + CAST(floor(8 * pow((hash(i + 4) % 10007) / 10007, 1.5)) AS INTEGER)] AS channel,
    'campaign ' || CAST(floor(12 * pow((hash(i + 5) % 10007) / 10007, 2)) AS INTEGER) AS campaign,
    (['click', 'visit', 'visit', 'view'])[1 + CAST(hash(i + 6) % 4 AS INTEGER)] AS kind,
    'file' AS origin,
    CAST(hash(person) % 512 AS BIGINT) AS bucket
  FROM range({touches}) AS numbers(i)
) TO '{folder}/touches.parquet' (COMPRESSION zstd);
"""
"""A month of conversions and 90 days of touches; 96 campaigns of eight channels, a few of them large."""


def make(folder: Path, touches: int) -> None:
    """Write the tables."""
    import duckdb

    conversions = touches // 10
    start = 1_788_220_800_000  # 2026-09-01
    values = {
        "folder": folder, "touches": touches, "conversions": conversions, "start": start,
        "buyers": max(1, conversions * 4 // 5), "others": max(1, conversions * 2),
    }  # fmt: skip
    connection = duckdb.connect(config={"memory_limit": MEMORY, "threads": THREADS})
    connection.execute("SET preserve_insertion_order = false")
    for statement in MAKE.format(**values).split(";\n"):
        connection.execute(statement)
    connection.close()


def measure(folder: Path) -> dict[str, float]:
    """Run the attribution over a workspace: seconds, credit and how far it is from the conversions."""
    from datetime import date
    from zoneinfo import ZoneInfo

    from measurement.attribution import MODELS, WINDOWS, attribute
    from measurement.engine import Data
    from measurement.settings import Settings

    settings = Settings("bench", ZoneInfo("UTC"), "USD", date(2026, 10, 31), date(2026, 11, 29), folder)
    began = time.perf_counter()

    def progress(step: str) -> None:
        print(f"  at {time.perf_counter() - began:6.1f} s: {step}", file=sys.stderr)

    with Data.in_folder(folder, memory=MEMORY, threads=THREADS) as data:
        found = attribute(data, settings, views=True, progress=progress)
    seconds = time.perf_counter() - began
    worst = 0.0
    for model in MODELS:
        for window in WINDOWS:
            credit = math.fsum(
                each.conversions.value
                for each in found.credits
                if each.campaign is None and (each.model, each.window_days) == (model, window)
            )
            worst = max(worst, abs(credit - found.conversions))
    return {
        "seconds": round(seconds, 2),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "conversions": found.conversions,
        "rows": len(found.credits),
        "off": worst,
    }


def growth(before: dict[str, Any], after: dict[str, Any]) -> float:
    """The exponent by which time grows between two sizes, less that of n log n: at most 0 is n log n or better."""
    ratio = after["touches"] / before["touches"]
    by_n_log_n = ratio * math.log(after["touches"]) / math.log(before["touches"])
    return (math.log(after["seconds"] / before["seconds"]) - math.log(by_n_log_n)) / math.log(ratio)


def run(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Make and measure each size, each in processes of their own."""
    results = []
    for touches in sizes:
        with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
            for step in ("--make", "--measure"):
                command = [sys.executable, "-m", "tools.bench.measurement", step, folder, "--touches", str(touches)]
                done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT)
            results.append({"touches": touches, "load": round(os.getloadavg()[0], 1), **json.loads(done.stdout)})
    return results


def main() -> int:
    """Measure, print, write; 1 where a bound is passed."""
    parser = argparse.ArgumentParser(prog="make bench-measurement", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1], help="leave out sizes above this number of touches")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--touches", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.touches)
        return 0
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return 0
    results = run([size for size in SIZES if size <= options.most])
    good = True
    table = Table(title=f"Attribution: 4 models, 4 windows, 200 samples; {THREADS} threads, DuckDB {MEMORY}")
    for heading in ("touches", "conversions", "s", "peak, GiB", "exponent over n log n", "credit off by", "load"):
        table.add_column(heading, justify="right")
    for before, each in zip([None, *results], results, strict=False):
        each["growth"] = None if before is None else round(growth(before, each), 2)
        good &= each["growth"] is None or each["growth"] <= SLACK
        table.add_row(
            f"{each['touches']:,}",
            f"{each['conversions']:,}",
            f"{each['seconds']:,.1f}",
            f"{each['peak_gib']:.2f}",
            "" if each["growth"] is None else f"{each['growth']:+.2f}",
            f"{each['off']:.0e}",
            f"{each['load']}",
        )
    good &= all(each["seconds"] <= MOST_SECONDS and each["peak_gib"] <= MOST_GIB for each in results)
    Console(width=100).print(table)
    print(f"Aim: {MOST_SECONDS} s and {MOST_GIB} GiB for ten million touches, growth at most n log n (+{SLACK}).")
    if options.most >= SIZES[-1]:
        RESULT.parent.mkdir(exist_ok=True)
        machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
        RESULT.write_text(json.dumps({**machine, "threads": THREADS, "memory": MEMORY, "sizes": results}, indent=2))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
