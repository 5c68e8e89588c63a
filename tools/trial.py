"""``relay try``: what would the relay make of this delivery? Nothing is written anywhere."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.event import has_match_key
from conversion_relay.settings import BadSetting
from tools.cases import Case, CaseFile, UnusableCases, differences, settings_from
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import SOURCES, receiver_for

UNKNOWN_SOURCE = "unknown_source"
WIDTH = 110
"""Columns that the table of cases needs, also where the terminal has fewer."""


class BadInput(ValueError):
    """A file or an option that cannot be used; the text says which and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay try``."""
    parser.add_argument("source", nargs="?", metavar="SOURCE", help=f"who sent it: {', '.join(SOURCES)}")
    parser.add_argument("--body", metavar="FILE", help="the exact body of the request ('-': standard input)")
    parser.add_argument("--headers", metavar="FILE", help="its headers: a JSON object, or lines 'Name: value'")
    parser.add_argument("--path", default="/", metavar="P", help="its path (default: /)")
    parser.add_argument("--origin", default="", metavar="O", help="scheme and host that it was sent to")
    parser.add_argument("--query", default="", metavar="Q", help="its raw query string")
    parser.add_argument("--method", default="POST", help="its method (default: POST)")
    parser.add_argument("--now", metavar="TIME", help="when it arrives: ISO 8601 with a zone (default: now)")
    parser.add_argument(
        "--secret", action="append", default=[], metavar="S", help="an active signing secret (may be given twice)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="given",
        help="a setting, such as storefront_origin=https://shop.example or count_carts=yes",
    )
    parser.add_argument("--cases", metavar="FILE", help="instead of one delivery: a file of signed cases")
    parser.add_argument("--json", action="store_true", help="for machines: one object a line")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay try`` out; the exit status (1: a case differs, 2: the input cannot be used)."""
    try:
        if options.cases:
            return _try_cases(CaseFile(_file(options.cases, "cases")), as_json=options.json)
        return _try_one(options)
    except (BadInput, BadSetting, UnusableCases) as problem:
        print(f"relay try: {problem}", file=sys.stderr)
        return 2


def as_object(name: str, outcome: Outcome | None) -> dict[str, Any]:
    """An outcome as ``--json`` prints it; ``event`` exactly as it would go to OpenAI, or None."""
    if outcome is None:
        return {"id": name, "http": None, "outcome": UNKNOWN_SOURCE, "reason": "no such source yet", "event": None}
    event = outcome.event.wire() if outcome.event else None
    return {"id": name, "http": outcome.http, "outcome": outcome.kind, "reason": outcome.reason, "event": event}


def _try_cases(cases: CaseFile, *, as_json: bool) -> int:
    played = [(case, cases.play(case)) for case in cases]
    if as_json:
        for case, outcome in played:
            print(json.dumps(as_object(case.id, outcome), ensure_ascii=False))
        return 0
    return _show_cases(played)


def _show_cases(played: list[tuple[Case, Outcome | None]]) -> int:
    console = Console(width=max(WIDTH, Console().width))
    table = Table(box=None, pad_edge=False)
    table.add_column("case", no_wrap=True)
    for heading in ("HTTP", "outcome", "reason", "as expected"):
        table.add_column(heading)
    wrong = unknown = 0
    for case, outcome in played:
        if outcome is None:
            unknown += 1
            table.add_row(case.id, "", "unknown source", "", "[yellow]–[/]")
            continue
        found = differences(case, outcome) if case.expected else []
        wrong += bool(found)
        verdict = "[red]" + escape("; ".join(found)) + "[/]" if found else "[green]yes[/]"
        table.add_row(case.id, str(outcome.http), outcome.kind, outcome.reason, verdict)
    console.print(table)
    right = len(played) - wrong - unknown
    console.print(f"\n{right} as expected, {wrong} not, {unknown} of sources that do not exist yet")
    return 1 if wrong else 0


def _try_one(options: argparse.Namespace) -> int:
    if not options.source or not options.body:
        raise BadInput("name the source and its body: relay try SOURCE --body FILE --headers FILE, or --cases FILE")
    outcome = _outcome(options)
    name = options.body if options.body != "-" else "stdin"
    if options.json:
        print(json.dumps(as_object(name, outcome), ensure_ascii=False))
    elif outcome is None:
        print(f"There is no source {options.source} yet. Known: {', '.join(SOURCES)}.")
    else:
        _explain(outcome, checked=bool(options.secret))
    return 0 if outcome else 2


def _outcome(options: argparse.Namespace) -> Outcome | None:
    if options.now:
        now_ms = timestamps.from_iso(options.now)
        if now_ms is None:
            raise BadInput(f"--now {options.now} is not a time such as 2026-11-20T15:00:00Z")
    else:
        now_ms = time.time_ns() // 1_000_000
    given = dict(each.partition("=")[::2] for each in options.given)
    receiver = receiver_for(
        options.source,
        KnownSecrets(options.secret or ["unchecked"]),
        InMemoryLedger(),
        InMemoryParking(),
        settings_from(given),
        lambda: now_ms,
    )
    if receiver is None:
        return None
    if not options.secret:
        unchecked = dataclasses.replace(receiver.source, verify=lambda *_: None)
        receiver = dataclasses.replace(receiver, source=unchecked)
    body = sys.stdin.buffer.read() if options.body == "-" else _file(options.body, "body").read_bytes()
    headers = _headers(_file(options.headers, "headers").read_text()) if options.headers else {}
    return receiver.receive(
        Delivery(options.method, options.path, options.query.removeprefix("?"), headers, body, options.origin)
    )


def _file(name: str, what: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"there is no {what} file {name}")
    return path


def _headers(text: str) -> Mapping[str, str]:
    try:
        held = json.loads(text)
        pairs = list(held.items()) if isinstance(held, dict) else []
    except ValueError:
        pairs = [line.partition(":")[::2] for line in text.splitlines() if ":" in line]
    if not pairs:
        raise BadInput("the headers file holds neither a JSON object nor lines 'Name: value'")
    return {str(name).strip().lower(): str(value).strip() for name, value in pairs}


_SENTENCES = {
    "recorded": "It becomes one conversion event.",
    "ignored": "Verified, and nothing is sent.",
    "remembered": "Nothing is sent yet; a later delivery needs this.",
    "survey_answer": "It is kept for the report; nothing is ever sent.",
    "compliance": "A privacy request: what is held is given out or deleted, and nothing is sent.",
    "parked": "Verified, but not understood: kept raw in the parking bucket, alarmed on.",
    "refused": "Refused: nothing is written.",
    "failed": "It could not be taken; the source sends it again.",
    "handshake": "The platform tried the address, and got the answer that it wants.",
    "duplicate": "This conversion is recorded already.",
}


def _explain(outcome: Outcome, *, checked: bool) -> None:
    console = Console()
    console.print(f"[bold]{outcome.kind}[/]  HTTP {outcome.http}  ({outcome.reason})", highlight=False)
    console.print(_SENTENCES.get(outcome.reason) or _SENTENCES[outcome.kind])
    console.print(f"Why: {escape(outcome.detail)}.", highlight=False)
    if not checked:
        console.print("[yellow]The signature was not checked: no --secret was given.[/]")
    if outcome.event is None:
        return
    event = outcome.event
    when = datetime.fromtimestamp(event.timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    matched = "yes" if has_match_key(event.user, event.oppref) else "no: neither click reference nor hashed contact"
    console.print(f"Ledger key: {escape(outcome.key or '')}", highlight=False)
    console.print(f"Happened: {when}. OpenAI can match it: {matched}.\n", highlight=False)
    console.print_json(event.to_json(), ensure_ascii=False)
