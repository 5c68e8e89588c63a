"""``make bench``: all figures of one run, side by side, and into build/bench.json."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tools import cost
from tools.bench import cold_start, isolation, sending, warm
from tools.template import ROOT

RESULT: Final = ROOT / "build" / "bench.json"
GROWTH: Final = (1, 10, 100, 1_000, 10_000, 100_000)
COST_MOST: Final = 1.85
FIXED_MOST: Final = 2.0
"""What is aimed at: US dollars for a million conversions, and a month."""
Part = Callable[[Console], Mapping[str, Any]]


def isolated(console: Console) -> Mapping[str, Any]:
    """How few requests it takes to find the bad events of a batch."""
    with_index, without = isolation.measured(isolation.relay, True), isolation.measured(isolation.relay, False)
    columns = {
        "relay, named": with_index,
        "relay, not named": without,
        "halving": isolation.measured(isolation.halving, False),
        "one by one": isolation.measured(isolation.one_by_one, False),
    }
    console.print(isolation.table(columns))
    return {"isolation": {"with_index": isolation.worst(with_index), "without_index": isolation.worst(without)}}


def cold(console: Console) -> Mapping[str, Any]:
    """What a cold start takes, against a boto3 client's."""
    medians, floor = cold_start.measured()
    ratios = cold_start.ratios(medians, floor)
    table = _table(
        "Cold start: import, initialization, first delivery; CPU time, median of 15", "function", "ms", "ratio"
    )
    table.add_row(cold_start.FLOOR, f"{floor * 1e3:,.0f}", "1.00")
    for name, ratio in ratios.items():
        table.add_row(name, f"{medians[name] * 1e3:,.0f}", _marked(ratio, ratio <= cold_start.MOST))
    console.print(table)
    console.print(f"Aim: at most {cold_start.MOST}.", style="dim")
    return {"cold_start": ratios}


def warmed(console: Console) -> Mapping[str, Any]:
    """What a delivery takes once the function is running, and how that grows."""
    table = _table(
        "Warm delivery without network, CPU time, against one HMAC and parsing the same body",
        "source", "bytes", "µs", "floor, µs", "ratio",
    )  # fmt: skip
    ratios = {}
    for source in warm.TYPICAL:
        found = warm.measured(source)
        ratios[source] = round(found.ratio, 2)
        is_good = ratios[source] <= warm.MOST if source in warm.ORDERS else None
        table.add_row(
            source,
            f"{found.body_bytes:,}",
            f"{found.delivery_s * 1e6:,.0f}",
            f"{found.floor_s * 1e6:,.0f}",
            _marked(ratios[source], is_good),
        )
    console.print(table)
    console.print(
        f"Aim for a typical order: at most {warm.MOST:.0f}. Of a small body the floor is next to nothing.", style="dim"
    )
    times = warm.growth("shopify", GROWTH)
    grows = _table("… and for so many Shopify orders", "orders", "s", "µs each")
    for number, seconds in times.items():
        grows.add_row(f"{number:,}", f"{seconds:.3f}", f"{seconds / number * 1e6:,.0f}")
    console.print(grows)
    return {"warm": ratios, "warm_growth_s": {str(number): round(each, 6) for number, each in times.items()}}


def sent(console: Console) -> Mapping[str, Any]:
    """How fast the sender sends, with how many requests and how much memory."""
    found = sending.measured()
    table = _table(
        "Sender, beside json.dumps and one POST of the same events",
        "events", "events/s", "floor", "ratio", "requests",
    )  # fmt: skip
    for number, rate in found.sender.items():
        ratio = rate / found.floor[number]
        table.add_row(
            f"{number:,}", f"{rate:,.0f}", f"{found.floor[number]:,.0f}", f"{ratio:.2f}", f"{found.requests[number]:,}"
        )
    console.print(table)
    console.print(
        f"Peak of memory over {max(found.sender):,} events: {found.peak_mb:.1f} MB (aim: under {sending.MOST_MB}). "
        f"Aim for the rate: at least {sending.LEAST_RATE} of the floor's at 1,000 events and more.",
        style="dim",
        highlight=False,
    )
    return {
        "sender": {
            "rate_ratio": round(found.rate_ratio, 3),
            "requests_per_1000": found.requests[1_000],
            "requests": {str(number): each for number, each in found.requests.items()},
            "peak_mb": round(found.peak_mb, 1),
        }
    }


def costs(console: Console) -> Mapping[str, Any]:
    """What a million conversions cost, as `relay cost` computes it."""
    found = cost.headline()
    table = _table("Cost at list price, US dollars (relay cost says how it comes to that)", "", "usd")
    table.add_row("a million orders of a shop, one delivery each", _marked(found.orders, found.orders <= COST_MOST))
    table.add_row("a million conversions of the mix", f"{found.mix:.2f}")
    table.add_row("fixed, a month, less AWS's allowances", _marked(found.fixed, found.fixed < FIXED_MOST))
    console.print(table)
    console.print(f"Aim: at most {COST_MOST}, and under {FIXED_MOST} a month.", style="dim")
    return {
        "cost": {
            "usd_per_million": round(found.orders, 3),
            "usd_per_million_of_the_mix": round(found.mix, 3),
            "fixed_usd_a_month": round(found.fixed, 2),
        }
    }


PARTS: Final[Mapping[str, Part]] = {
    "isolation": isolated,
    "cold_start": cold,
    "warm": warmed,
    "sender": sent,
    "cost": costs,
}


def _table(title: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    return table


def _marked(ratio: float, good: bool | None) -> str:
    """A ratio, by its colour within its aim or not; None: there is none for it."""
    return f"{ratio:.2f}" if good is None else f"[{'green' if good else 'red'}]{ratio:.2f}[/]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show and write the results; the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the figures go as JSON; others there are kept")
    parser.add_argument(
        "--only", choices=[*PARTS], action="append", help="this part alone; may be given more than once"
    )
    options = parser.parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    results: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    console.print(f"Python {platform.python_version()} on {platform.machine()}, {platform.system()}", highlight=False)
    for name in options.only or PARTS:
        console.print()
        results |= PARTS[name](console)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n")
    console.print(f"\nWritten to {options.out.name}.", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
