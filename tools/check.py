"""``relay check``: is everything in place for conversions to be counted? Before the first sale, and when none comes."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import asdict, replace
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tools import checks, deployment
from tools.checks import Result
from tools.deployment import NoDeployment

WIDTH: Final = 110
"""Columns of the output where it is no terminal's."""
_COMMAND: Final = re.compile(r"'relay [a-z]+(?=')")
"""A command that is recommended, up to where what names this relay belongs."""
_MARKS: Final = {"good": "[green]✓[/]", "doubtful": "[yellow]![/]", "wrong": "[bold red]✗[/]"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay check``."""
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    deployment.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay check`` out; the exit status (1: something is wrong, 2: there is no such relay)."""
    try:
        relay = deployment.chosen(options)
        found = list(checks.results(relay))
    except NoDeployment as problem:
        print(f"relay check: {problem}", file=sys.stderr)
        return 2
    found = [replace(each, do=_COMMAND.sub(rf"\g<0>{relay.command_options}", each.do)) for each in found]
    levels = Counter(result.level for result in found)
    if options.json:
        held = {"stack": relay.stack, "ok": not levels["wrong"], "checks": [asdict(result) for result in found]}
        print(json.dumps(held, ensure_ascii=False, indent=2))
    else:
        _show(relay.stack, found, levels)
    return 1 if levels["wrong"] else 0


def _show(stack: str, found: list[Result], levels: Counter[checks.Level]) -> None:
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(ratio=1)
    for result in found:
        todo = f"\n→ {escape(result.do)}" if result.do else ""
        table.add_row(_MARKS[result.level], escape(result.name), escape(result.said) + todo)
    console.print(table)
    parts = [f"{levels[level]} {level}" for level in ("good", "doubtful", "wrong") if levels[level]]
    verdict = "[bold red]Not ready[/]" if levels["wrong"] else "[green]Ready[/]"
    console.print(f"\n{verdict}: {escape(stack)}, {', '.join(parts)}.")
