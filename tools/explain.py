"""``relay explain ID``: what became of an order, an event, a subscription or a call, from webhook to OpenAI."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools import deployment, readings, story, traces
from tools.deployment import Deployment, NoDeployment
from tools.entries import Entry
from tools.readings import DAY_MS, Asked, Line
from tools.story import Sending
from tools.traces import Found
from tools.wording import count, iso, moment, span, worth

DAYS: Final = 14
WIDTH: Final = 110
"""Columns of the output where it is no terminal's."""
_COLOUR: Final = {"sent": "green", "rejected": "red", "expired": "red", "fetched": "green"}
_COMMAND: Final = re.compile(r"'relay (?:(?:replay|backfill) )?[a-z-]+")
"""A command that is recommended, up to where its options begin."""
_GOOD: Final = {True: "green", False: "red", None: "default"}


@dataclass
class Explanation:
    """All that is said about an id. ``parked`` are the keys that the bucket still holds."""

    name: str
    days: int
    found: Found
    sending: Sending
    parked: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay explain``."""
    parser.add_argument(
        "id",
        metavar="ID",
        help="an order's id, number (#1001) or admin address, cs_…, in_…, sub_…, CAL…, CA…, a pixel's event id, a "
        "delivery id, or a ledger key",
    )
    parser.add_argument(
        "--days", type=_days, default=DAYS, metavar="N", help=f"how far back the logs are searched (default: {DAYS})"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    deployment.add_arguments(parser)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 3650:
        raise argparse.ArgumentTypeError("must be a number of days, 1 to 3650")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay explain`` out; the exit status (1: nothing is known, 2: nobody could be asked)."""
    name = traces.plain(options.id)
    if not name:
        print("relay explain: the id is empty", file=sys.stderr)
        return 2
    try:
        relay = deployment.chosen(options)
        explanation = explain(relay, name, options.days, time.time_ns() // 1_000_000)
    except NoDeployment as problem:
        print(f"relay explain: {problem}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(as_object(explanation), ensure_ascii=False, indent=2))
    else:
        _show(explanation, relay.command_options)
    return 0 if explanation.found else 2 if explanation.unread else 1


def explain(relay: Deployment, name: str, days: int, now_ms: int) -> Explanation:
    """Look for everything about an id.

    Raises:
        NoDeployment: there is no such stack.
    """
    since_ms = now_ms - days * DAY_MS
    asked = Asked()
    found = traces.find(relay, name, since_ms, asked)
    explanation = Explanation(name, days, found, Sending(now_ms), unread=asked.unread)
    if any(entry.status == "recorded" for entry in found.entries):
        explanation.sending = Sending(
            now_ms,
            mode=asked.for_(partial(readings.mode, relay), "live"),
            schedule=asked.for_(partial(readings.schedule, relay, now_ms), None),
            circuit=asked.for_(partial(readings.circuit, relay), None),
        )
    keys = {line.key for line in found.lines if line.outcome == "parked"}
    explanation.parked = {key for key in keys if asked.for_(partial(readings.is_parked, relay, key), False)}
    if not found:
        nobody: list[Line] = []
        refused = asked.for_(partial(readings.deliveries, relay, "refused", since_ms), nobody)
        explanation.refused = Counter(line.source for line in refused if line.outcome == "refused")
    return explanation


# For machines ---------------------------------------------------------------------------------------------------------


def as_object(explanation: Explanation) -> dict[str, Any]:
    """An explanation as ``--json`` prints it. Times are ISO 8601 in UTC."""
    found = explanation.found
    return {
        "id": explanation.name,
        "known": bool(found),
        "deliveries": [_delivery(line, explanation) for line in found.lines],
        "conversions": [_conversion(entry, explanation.sending) for entry in found.entries],
        "searched": {
            "log_days": explanation.days,
            "whole_ledger": found.scanned,
            "unread": explanation.unread,
            "refused_deliveries": dict(explanation.refused),
        },
        "next": _advice(explanation, ""),
    }


def _delivery(line: Line, explanation: Explanation) -> dict[str, Any]:
    return {
        "at": iso(line.at_ms),
        "source": line.source,
        "topic": line.topic or None,
        "tenant": line.tenant or None,
        "delivery": line.delivery or None,
        "outcome": line.outcome,
        "reason": line.reason,
        "detail": line.detail,
        "key": line.key or None,
        "about": list(line.about),
        **({"still_parked": line.key in explanation.parked} if line.outcome == "parked" else {}),
    }


def _conversion(entry: Entry, sending: Sending) -> dict[str, Any]:
    event = entry.event
    left_ms = story.freshness_left_ms(entry.timestamp_ms, sending.now_ms)
    return {
        "key": entry.key,
        "status": entry.status,
        "reason": entry.reason or None,
        "event_id": event.get("id"),
        "type": event.get("custom_event_name") or event.get("type"),
        "action_source": event.get("action_source"),
        "value": worth(event),
        "happened": iso(entry.timestamp_ms),
        "match_keys": list(story.match_keys(event)),
        "fresh_for_s": max(left_ms, 0) // 1000,
        "stages": [
            {"stage": each.name, "at": iso(each.at_ms), "text": each.sentence}
            for each in story.stages(entry, sending)
        ],
    }  # fmt: skip


# For people -----------------------------------------------------------------------------------------------------------


def _show(explanation: Explanation, command_options: str) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    found = explanation.found
    if not found:
        _show_nothing(console, explanation)
    else:
        console.print(f"[dim]All times are UTC. It is {moment(explanation.sending.now_ms)}.[/]")
    if found.lines:
        console.print(f"\n[bold]{count(len(found.lines), 'delivery', 'deliveries')}[/]")
        console.print(_deliveries(explanation))
    elif found:
        console.print(
            f"\n[bold]No delivery[/] in the logs of the last {explanation.days} days; the ledger knows it all the same."
        )
    for entry in found.entries:
        colour = _COLOUR.get(entry.status, "yellow")
        console.print(f"\n[bold]{escape(entry.key)}[/]  [{colour}]{entry.status}[/]", soft_wrap=True)
        console.print(_stages(entry, explanation.sending))
    if found.lines and not found.entries:
        console.print("\nNone of these left a conversion: nothing is sent.")
    for problem in explanation.unread:
        console.print(f"\n[yellow]Not searched:[/] {escape(story.whole(problem))}")
    for sentence in _advice(explanation, command_options):
        console.print(f"\n[bold]Next:[/] {escape(sentence)}")


def _deliveries(explanation: Explanation) -> Table:
    table = _table()
    for line in explanation.found.lines:
        who = story.source(line.source) + (f" {line.topic}" if line.topic else "")
        table.add_row(escape(who), moment(line.at_ms), escape(_told(line, explanation)))
    return table


def _told(line: Line, explanation: Explanation) -> str:
    said = story.whole(story.delivered(line))
    if line.outcome != "parked":
        return said
    kept = "It is still there" if line.key in explanation.parked else "It is there no more"
    return f"{said} {kept}: {line.key}"


def _stages(entry: Entry, sending: Sending) -> Table:
    table = _table()
    for stage in story.stages(entry, sending):
        when = moment(stage.at_ms) if stage.at_ms else ""
        table.add_row(stage.name, when, f"[{_GOOD[stage.good]}]{escape(stage.sentence)}[/]")
    return table


def _table() -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=10, max_width=34, overflow="fold")
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1, overflow="fold")  # never cut a key: it is there to be copied
    return table


def _show_nothing(console: Console, explanation: Explanation) -> None:
    console.print(f"[bold]Nothing is known of {escape(explanation.name)}.[/]\n")
    console.print(
        "Looked through: the ledger, by every key that it could have and by event and delivery id; the logs of all "
        f"receivers for the last {explanation.days} days, which also name what is parked."
    )


def _advice(explanation: Explanation, command_options: str) -> Sequence[str]:
    """What a person should do, a sentence each; commands with what names this relay."""
    found, sending = explanation.found, explanation.sending
    if not found:
        told = [] if explanation.unread else _when_unknown(explanation)
    else:
        advised = (story.advice(entry, sending) for entry in found.entries)
        told = [each for each in advised if each is not None] + _about_lines(explanation)
    return [_COMMAND.sub(rf"\g<0>{command_options}", each) for each in dict.fromkeys(told)]


def _about_lines(explanation: Explanation) -> list[str]:
    told = []
    for line in explanation.found.lines:
        if line.key in explanation.parked:
            left = span(line.at_ms + readings.PARKED_DAYS * DAY_MS - explanation.sending.now_ms)
            told.append(
                f"Correct what made it {line.reason}, then run 'relay replay parked --key {line.key}'. It is kept for "
                f"{left} more, and OpenAI takes it until 7 days after it happened."
            )
        elif line.outcome == "failed":
            told.append("Nothing where the platform sends it again; else have it send the delivery once more.")
        elif line.outcome == "refused":
            told.append(
                "Anybody can send what is refused. If it was the platform, compare its signing secret with the one "
                "that is stored ('relay check' says whether there is one), then have it send the delivery once more."
            )
    return told


def _when_unknown(explanation: Explanation) -> list[str]:
    told = [
        "Ask the platform whether it has sent the webhook, and what it was answered: its list of deliveries has the id "
        "and the HTTP status of each.",
        "If the platform has sent it and it never arrived, 'relay backfill shopify' or 'relay backfill stripe' fetches "
        "what the ledger lacks.",
        f"If it is older than {explanation.days} days, search further back with --days. Logs are kept for "
        "LogRetentionDays.",
    ]
    if explanation.refused:
        counts = ", ".join(f"{number} of {story.source(name)}" for name, number in explanation.refused.most_common())
        told.append(
            f"Deliveries were refused in this time ({counts}). Of such the log holds only the id that the delivery "
            "itself claims, because anybody can send them: if this is one of them, "
            "its signing secret is wrong or missing. 'relay check' looks at the secrets."
        )
    return told
