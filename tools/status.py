"""``relay status``: how the relay fares, on one screen: what waits, what was sent, what needs a person."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conversion_relay.event import MAX_PAST_MS
from tools import deployment, health, story
from tools.deployment import NoDeployment
from tools.health import QUEUES, STATUSES, WINDOWS, Health, Step, Tally
from tools.readings import DAY_MS
from tools.wording import count, iso, moment, span

WIDTH: Final = 110
"""Columns of the output where it is no terminal's."""
BAR: Final = 28
"""Columns of the bar that shows the freshness budget."""
_MODES: Final = {
    "live": "live: events are sent and counted",
    "validate": "validate: OpenAI checks events and counts none",
    "shadow": "shadow: events are recorded, nothing is sent",
}
_ODD: Final = ("rejected", "expired")
_MOST_REASONS: Final = 6
_UNREAD: Final = "[yellow]could not be read[/]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay status``."""
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    deployment.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay status`` out; the exit status (1: something needs a person, 2: there is no such relay)."""
    try:
        relay = deployment.chosen(options)
        found = health.look(relay, time.time_ns() // 1_000_000)
    except NoDeployment as problem:
        print(f"relay status: {problem}", file=sys.stderr)
        return 2
    steps = health.steps(found, relay.command_options)
    if options.json:
        print(json.dumps(as_object(found, steps), ensure_ascii=False, indent=2))
    else:
        _show(found, steps)
    return 1 if any(step.urgent for step in steps) else 0


# For machines ---------------------------------------------------------------------------------------------------------


def as_object(found: Health, steps: list[Step]) -> dict[str, Any]:
    """The status as ``--json`` prints it: times in ISO 8601 and UTC, lengths of time in seconds, null: unreadable."""
    circuit, schedule = found.circuit, found.schedule
    return {
        "stack": found.stack,
        "at": iso(found.now_ms),
        "ok": not any(step.urgent for step in steps),
        "delivery_mode": found.mode,
        "schedule": schedule
        and {"every": schedule.expression, "enabled": schedule.enabled, "last_run": iso(schedule.last_ms)},
        "circuit": None
        if not found.circuit_read
        else {"state": "closed"}
        if circuit is None
        else {
            "state": circuit.state,
            "advice": circuit.advice,
            "since": iso(circuit.since_ms),
            "until": iso(circuit.until_ms),
            "oldest": iso(circuit.oldest_ms),
        },
        "ledger": found.ledger and _ledger_object(found, found.ledger),
        "queues": {
            queue: {"visible": depth.visible, "in_flight": depth.in_flight, "delayed": depth.delayed}
            for queue, depth in found.queues.items()
        }
        | dict.fromkeys(found.queues_unread),
        "parked": None
        if found.parked is None
        else [
            {
                "key": each.key,
                "source": each.source,
                "reason": found.parked_reasons.get(each.key),
                "since": iso(each.since_ms),
                "kept_for_s": max(each.left_ms(found.now_ms), 0) // 1000,
            }
            for each in found.parked
        ],
        "alarms": found.alarms
        and [{"name": each.name, "since": iso(each.since_ms), "advice": each.description} for each in found.alarms],
        "unread": list(found.unread),
        "next": [{"text": step.sentence, "urgent": step.urgent} for step in steps],
    }


def _ledger_object(found: Health, ledger: Tally) -> dict[str, Any]:
    oldest, left_ms = ledger.oldest, found.oldest_left_ms
    return {
        "counts": {
            window: {
                source: {
                    status: number
                    for (whose, status), number in sorted(ledger.counts[window].items())
                    if whose == source
                }
                for source in ledger.sources
            }
            for window in WINDOWS
        },
        "held": ledger.held,
        "reasons": [
            {"status": status, "reason": reason, "count": number}
            for (status, reason), number in ledger.reasons.most_common()
        ],
        "oldest_unsent": None
        if oldest is None or left_ms is None
        else {"key": oldest.key, "happened": iso(oldest.timestamp_ms), "fresh_for_s": max(left_ms, 0) // 1000},
    }


# For people -----------------------------------------------------------------------------------------------------------


def _show(found: Health, steps: list[Step]) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    console.print(f"[bold]{escape(found.stack)}[/]  {moment(found.now_ms)} UTC\n")
    if found.ledger is not None and found.ledger.sources:
        console.print(_counts(found.ledger))
        console.print()
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(ratio=1)
    for name, fact in _facts(found):
        facts.add_row(name, fact)
    console.print(facts)
    console.print()
    if not steps:
        console.print("[green]Nothing to do.[/]")
    for step in steps:
        mark = "[bold red]To do:[/]" if step.urgent else "[bold]Note:[/]"
        console.print(f"{mark} {escape(step.sentence)}")


def _counts(ledger: Tally) -> Table:
    shown = [status for status in STATUSES if status in ("recorded", "sent") or ledger.of("all", status=status)]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("in the ledger", no_wrap=True)
    for name in [*(STATUSES[status] for status in shown), "total", "of 7 days", "of 24 h"]:
        table.add_column(name, justify="right", no_wrap=True)
    for source in ledger.sources:
        numbers = [_number(ledger.of("all", source=source, status=status), status) for status in shown]
        totals = [f"{ledger.of(window, source=source):,}" for window in ("all", "7 days", "24 h")]
        table.add_row(escape(story.source(source)), *numbers, *totals)
    table.add_section()
    for window, name in (("all", "all"), ("7 days", "of the last 7 days"), ("24 h", "of the last 24 h")):
        numbers = [_number(ledger.of(window, status=status), status) for status in shown]
        table.add_row(f"[bold]{name}[/]", *numbers, f"{ledger.of(window):,}", "", "")
    return table


def _number(number: int, status: str) -> str:
    if not number:
        return "[dim]0[/]"
    return f"[red]{number:,}[/]" if status in _ODD else f"{number:,}"


def _facts(found: Health) -> Iterator[tuple[str, str]]:
    yield "Mode", _MODES[found.mode] if found.mode else _UNREAD
    yield "Sender", _sender(found)
    yield "OpenAI", _openai(found)
    yield "Oldest unsent", _oldest(found)
    for queue, what in QUEUES.items():
        if queue == "Queue" and queue in found.queues_unread:
            yield "Queue", _UNREAD
        if queue in ("Queue", "FetchQueue") and queue in found.queues:
            depth = found.queues[queue]
            held = f", {depth.delayed:,} held back" if depth.delayed else ""
            yield (
                "Queue" if queue == "Queue" else "Fetch queue",
                f"{depth.visible:,} {what}, {depth.in_flight:,} under way{held}",
            )
    lying = [f"{what}: {depth.total:,}" for queue, what in QUEUES.items() if (depth := _lying(found, queue))]
    unread = [QUEUES[queue] for queue in found.queues_unread if queue not in ("Queue", "FetchQueue")]
    if lying or not unread:
        yield "Put aside", f"[red]{', '.join(lying)}[/]" if lying else "nothing"
    if unread:
        yield "Put aside" if not lying else "", f"{_UNREAD}: {', '.join(unread)}"
    yield "Parked", _parked(found)
    if found.ledger is None:
        yield "Ledger", _UNREAD
    elif not found.ledger.sources:
        yield "Ledger", "empty: nothing has been recorded"
    for status in _ODD:
        if reasons := _reasons(found.ledger, status):
            yield STATUSES[status].capitalize(), reasons
    if found.alarms is None:
        yield "Alarms", _UNREAD
    else:
        yield "Alarms", f"[red]{', '.join(each.name for each in found.alarms)}[/]" if found.alarms else "none"


def _sender(found: Health) -> str:
    schedule = found.schedule
    if schedule is None:
        return _UNREAD
    last = f"last {span(found.now_ms - schedule.last_ms)} ago" if schedule.last_ms else "no run in the log lately"
    return f"runs {schedule.words}, {last}" if schedule.enabled else f"[red]its schedule is disabled[/], {last}"


def _openai(found: Health) -> str:
    circuit = found.circuit
    if not found.circuit_read:
        return _UNREAD
    if circuit is None:
        return "nothing keeps events from being sent"
    what = "[red]blocked[/]" if circuit.state == "blocked" else "[yellow]out[/]"
    return f"{what} since {moment(circuit.since_ms)}, {span(found.now_ms - circuit.since_ms)}: {escape(circuit.advice)}"


def _oldest(found: Health) -> str:
    oldest, left_ms = found.ledger.oldest if found.ledger else None, found.oldest_left_ms
    if oldest is None or left_ms is None:
        return "nothing waits" if found.ledger is not None else _UNREAD
    share = min(max(left_ms / MAX_PAST_MS, 0), 1)
    colour = "red" if left_ms < story.URGENT_MS else "yellow" if left_ms < 4 * DAY_MS else "green"
    filled = round(share * BAR)
    bar = f"[{colour}]{'█' * filled}[/][dim]{'░' * (BAR - filled)}[/]"
    left = f"{span(left_ms)} of OpenAI's 7 days left" if left_ms > 0 else "too old to be sent"
    age = span(found.now_ms - oldest.timestamp_ms)
    return f"{escape(oldest.key)}, {age} old\n{bar} {left}"


def _lying(found: Health, queue: str) -> Any:
    depth = found.queues.get(queue)
    return depth if depth and depth.total and queue not in ("Queue", "FetchQueue") else None


def _parked(found: Health) -> str:
    if found.parked is None:
        return _UNREAD
    held = found.deliveries
    if not held:
        return "nothing"
    groups = [f"{len(each):,} {story.source(source)} ({reason})" for (source, reason), each in found.parked_by.items()]
    more = f", {len(groups) - _MOST_REASONS} more reasons" if len(groups) > _MOST_REASONS else ""
    days = max(held[0].left_ms(found.now_ms), 0) // DAY_MS
    return (
        f"[yellow]{escape(', '.join(groups[:_MOST_REASONS]))}{more}[/]\nthe oldest since {moment(held[0].since_ms)}, "
        f"deleted in {count(days, 'day')}"
    )


def _reasons(ledger: Tally | None, status: str) -> str:
    found = [
        (reason, number) for (what, reason), number in (ledger.reasons if ledger else {}).items() if what == status
    ]
    ranked = sorted(found, key=lambda each: -each[1])
    more = f", {len(ranked) - _MOST_REASONS} more reasons" if len(ranked) > _MOST_REASONS else ""
    return escape(", ".join(f"{number:,} × {reason}" for reason, number in ranked[:_MOST_REASONS]) + more)
