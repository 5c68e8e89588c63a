"""What a trial has shown, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table

from tools.faults.trial import Progress, Report

_OUTCOMES = {"": "without a body of the relay's"}


def line(now: Progress, deliveries: int) -> str:
    """One line about a trial under way."""
    if now.draining:
        return f"{now.seconds:4.0f} s  no more faults; {now.waiting} retries wait, OpenAI has counted {now.counted:,}"
    return (
        f"{now.seconds:4.0f} s  {now.posted:,} of {deliveries:,} posted, {now.waiting} wait for a retry, "
        f"{now.killed} processes killed, OpenAI has counted {now.counted:,}"
    )


def show(console: Console, report: Report) -> None:
    """The table of a trial, and its verdict."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, told in _rows(report):
        table.add_row(name, told)
    console.print(table)
    console.print()
    for difference in report.balance.differences:
        console.print(f"[red]Differs:[/] {difference}", highlight=False)
    colour = "red" if report.balance.differences else "green"
    console.print(f"[bold {colour}]Lost: {report.balance.lost}. Counted twice: {report.balance.twice}.[/]")


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    courses, balance = report.deliveries, report.balance
    attempts = sum(report.answers.values())
    kinds = Counter(course.posting.kind.replace("_", " ") for course in courses)
    sources = Counter(course.posting.source for course in courses)
    yield "seed", str(report.seed)
    yield "deliveries", f"{len(courses):,}: {_counts(sources)}"
    yield "", _counts(kinds)
    yield "attempts", f"{attempts:,}, of which {attempts - len(courses):,} retries"
    yield "answers", _counts(report.answers)
    yield "outcomes", _counts(Counter(_OUTCOMES.get(course.outcome, course.outcome) for course in courses))
    yield (
        "killed (SIGKILL)",
        f"{sum(report.killed.values())} processes in {report.strikes} strikes: {_counts(report.killed)}",
    )
    yield "calls to AWS broken", f"{sum(report.broken.values()):,}: {_counts(report.broken)}"
    yield "OpenAI's faults", f"{sum(report.openai_faults.values()):,}: {_counts(report.openai_faults)}"
    yield "runs of the sender", _counts(report.runs)
    yield "requests to OpenAI", f"{sum(report.requests.values()):,}: {_counts(report.requests)}"
    yield "events sent", f"{report.events_sent:,}, to have {balance.conversions:,} conversions counted once each"
    yield (
        "duplicates",
        (
            f"{balance.collapsed:,} seen and collapsed by OpenAI; "
            f"{balance.resent:,} events were sent more than once, each time the same bytes"
            if not any("other bytes" in each for each in balance.differences)
            else f"{balance.collapsed:,} seen and collapsed by OpenAI"
        ),
    )
    yield "parked", f"{report.parked:,}, all there" if not _parking_differs(report) else f"{report.parked:,}"
    untaken = {name.replace("_", " "): times for name, times in balance.untaken.items()}
    yield "calls not answered 2xx", f"{_counts(untaken)} (CallRail never sends again)"
    yield (
        "seconds",
        (
            f"{report.posting_s:.0f} with faults ({attempts / report.posting_s:.0f} attempts/s), "
            f"{report.draining_s:.0f} without them until everything was sent"
        ),
    )


def _parking_differs(report: Report) -> bool:
    return any("parked" in each for each in report.balance.differences)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{times:,} {name}" for name, times in Counter(counts).most_common() if times) or "none"
