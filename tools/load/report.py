"""What a load trial has shown, for people."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from tools.load.trial import Result

BAR: Final = 16


def show(console: Console, result: Result) -> None:
    """The table of the steps, the books, and what the handlers do alone."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("asked/s", "answered/s", "p50", "p95", "p99", "max", "throttled"):
        table.add_column(name, justify="right", no_wrap=True, min_width=9)
    table.add_column("p95, drawn", width=BAR)
    table.add_column("answers")
    longest = max(step.latency_s(0.95) for step in result.steps)
    for step in result.steps:
        table.add_row(
            f"{step.rate:g}",
            f"{step.achieved:.1f}",
            *(f"{step.latency_s(share) * 1000:,.0f} ms" for share in (0.5, 0.95, 0.99, 1.0)),
            f"{step.throttled}",
            Bar(longest, 0, step.latency_s(0.95), width=BAR),
            ", ".join(f"{many:,} × {status}" for status, many in Counter(step.statuses).most_common()),
        )
    console.print(table)
    console.print()
    answers = [each for step in result.steps for each in step.answers]
    kinds: Counter[str] = Counter(each.told.row.kind for each in answers)
    outcomes = Counter(each.outcome or "without a body of the relay's" for each in answers)
    console.print(f"Deliveries: {len(answers):,} and {result.warming} before them to start processes: {_counts(kinds)}")
    console.print(f"Outcomes:   {_counts(outcomes)}")
    console.print(
        f"Sent:       {result.books.counted:,} conversions in {result.requests} requests to OpenAI (stand-in), "
        f"{result.draining_s:.0f} s after the last delivery"
    )
    alone = result.throughput
    console.print(
        f"\nThe local AWS is what limits the rates above: it runs on the same {os.cpu_count()} cores "
        f"({platform.machine()}) as the functions\nand this tool. The receivers' code alone, in one process with the "
        f"ledger in memory: [bold]{alone.per_second:,.0f} deliveries/s a core[/]\n({alone.deliveries:,} deliveries of "
        f"the same mix, {alone.cpu_s / alone.deliveries * 1000:.2f} ms of CPU each). "
        "On AWS every delivery under way has a process of its own."
    )
    console.print()
    for problem in result.books.problems:
        console.print(f"[red]Differs:[/] {problem}")
    colour = "red" if result.books.problems else "green"
    console.print(f"[bold {colour}]Lost: {len(result.books.lost)}. Counted twice: {len(result.books.twice)}.[/]")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{many:,} {name}" for name, many in sorted(counts.items(), key=lambda each: -each[1]))
