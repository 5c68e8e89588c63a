"""A folder with the history of a shop whose lift is known, for trying the tests of incrementality.

``python -m measurement.incrementality.example FOLDER`` writes sales and spend by day as CSV, and a measurement.toml
with an on/off test and a holdout, and prints what the tests say. Nothing is real but the names of the markets.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from measurement.estimate import Estimate
from measurement.incrementality import geo, on_off
from measurement.incrementality.study import World, simulate
from measurement.settings import Settings, Test

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.incrementality.results import Lift

FIRST: Final = date(2026, 1, 5)
WEEKS: Final = 40
LIFT: Final = 0.1
WORTH: Final = 62_00
SPEND: Final = 0.055
"""Of the sales where the ads run."""
ZONE: Final = "America/New_York"
MARKETS: Final = tuple(
    f"US-{state}"
    for state in "CA TX FL NY PA IL OH GA NC MI NJ VA WA AZ MA TN IN MO MD WI CO MN SC AL".split()  # noqa: SIM905
)


def _spans(*weeks: tuple[int, int]) -> tuple[tuple[date, date], ...]:
    return tuple((FIRST + timedelta(weeks=first), FIRST + timedelta(weeks=last + 1, days=-1)) for first, last in weeks)


ON_OFF: Final = Test("Spring, on and off", "on_off", _spans((10, 11), (14, 15), (18, 19)), ads="on")
"""Before, between and until week 26 there are no ads."""
HOLDOUT: Final = Test(
    "Holdout in September",
    "geo",
    _spans((34, 37)),
    ("US-AL", "US-AZ", "US-GA", "US-IN", "US-MA", "US-MD", "US-MI", "US-NC", "US-NY", "US-PA", "US-TX", "US-WI"),
    "off",
)
RUNNING: Final = (26, WEEKS - 1)
"""Weeks from which the ads run in all markets, but for the holdout."""


def history(seed: int = 0) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of `sales` and of `ads`."""
    days = WEEKS * 7
    world = World(markets=len(MARKETS), sales=14.0, sizes=0.7, trend=0.15)
    logs = simulate(world, days, seed)
    week = np.arange(days) // 7
    running = np.zeros((len(MARKETS), days), dtype=bool)
    for first, last in (*ON_OFF.spans, *_spans(RUNNING)):
        running[:, (first - FIRST).days : (last - FIRST).days + 1] = True
    held = np.isin(MARKETS, HOLDOUT.markets)
    running[np.ix_(held, (week >= 34) & (week <= 37))] = False
    means = np.exp(logs) * np.where(running, 1 + LIFT, 1.0)
    counts = np.random.default_rng((seed, 3)).poisson(means)
    cost = (means * running).sum(axis=0) * WORTH * SPEND
    sales = [
        {
            "day": FIRST + timedelta(days=day), "market": market, "conversions": int(counts[place, day]),
            "value": int(counts[place, day]) * WORTH,
        }
        for place, market in enumerate(MARKETS)
        for day in range(days)
    ]  # fmt: skip
    ads = [
        {"day": FIRST + timedelta(days=day), "channel": "chatgpt", "campaign": "Shoes", "spend": round(cost[day])}
        for day in range(days)
    ]
    return sales, ads


def write(folder: Path) -> None:
    """The files of a folder that `relay plan` and `relay report` read."""
    sales, ads = history()
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows, money in (("sales.csv", sales, "value"), ("spend.csv", ads, "spend")):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow([*rows[0], "currency"])
            for row in rows:
                cells = row | {money: f"{row[money] / 100:.2f}"}
                table.writerow([*cells.values(), "USD"])
    tests = ""
    for test in (ON_OFF, HOLDOUT):
        spans = ", ".join(f"[{first}, {last}]" for first, last in test.spans)
        tests += f'\n[[test]]\nname = "{test.name}"\nkind = "{test.kind}"\nads = "{test.ads}"\nspans = [{spans}]\n'
        if test.markets:
            tests += "markets = [" + ", ".join(f'"{market}"' for market in test.markets) + "]\n"
    last = FIRST + timedelta(days=WEEKS * 7 - 1)
    (folder / "measurement.toml").write_text(
        f'[report]\nshop = "Example Shoes"\ntime_zone = "{ZONE}"\ncurrency = "USD"\n'
        f'first = {FIRST}\nlast = {last}\n\n[[input]]\nkind = "sales"\nfile = "sales.csv"\n\n'
        f'[[input]]\nkind = "spend"\nfile = "spend.csv"\n{tests}',
        encoding="utf-8",
    )


def results() -> tuple[Lift, ...]:
    """What the tests say of this history."""
    from measurement.engine import Data

    sales, ads = history()
    data = Data.of({"sales": sales, "ads": ads})
    settings = Settings(
        "Example Shoes", ZoneInfo(ZONE), "USD", FIRST, FIRST + timedelta(days=WEEKS * 7 - 1), Path(),
        tests=(ON_OFF, HOLDOUT),
    )  # fmt: skip
    methods: tuple[tuple[Callable[[Data, Settings, Test], Lift], Test], ...] = (
        (geo.difference_in_differences, HOLDOUT),
        (geo.synthetic_control, HOLDOUT),
        (on_off.interrupted_time_series, ON_OFF),
    )
    return tuple(method(data, settings, test) for method, test in methods)


def text(lift: Lift) -> str:
    """A result in lines."""

    def interval(estimate: Estimate, scale: float, digits: int, unit: str = "") -> str:
        ends = f"{(estimate.low or 0) * scale:,.{digits}f} to {(estimate.high or 0) * scale:,.{digits}f}"
        return f"{estimate.value * scale:,.{digits}f}{unit} (95 %: {ends})"

    lines = [
        lift.method,
        f"  lift               {interval(lift.lift, 100, 1, ' %')}",
        f"  extra conversions  {interval(lift.extra, 1, 0)}",
        f"  p-value            {lift.p_value:.4f}",
    ]
    if lift.iroas:
        lines.append(f"  iROAS              {interval(lift.iroas, 1, 2)}")
    return "\n".join(lines + [f"  - {caveat}" for caveat in lift.caveats])


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder, print the results."""
    parser = argparse.ArgumentParser(prog="python -m measurement.incrementality.example", description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    write(options.folder)
    print(f"Written: {options.folder} (relay plan {options.folder}). The ads of this shop add {LIFT:.0%}.\n")
    print("\n\n".join(map(text, results())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
