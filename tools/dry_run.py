"""What ``relay replay`` and ``relay backfill`` have in common: a dry run unless ``--go`` is given, and an exit status.

==  ==========================================================================================
0   all is done, or would be
1   something is left that a person has to see to, or the command was interrupted
2   nothing could be done: an option, the stack, AWS or the platform said no; the text says what
==  ==========================================================================================
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from conversion_relay import money
from conversion_relay.ledger import LedgerUnavailable
from conversion_relay.queue import NotQueued, QueueUnavailable
from conversion_relay.settings import BadSetting
from tools import deployment
from tools.deployment import Deployment, NoDeployment

WIDEST: Final = 180
"""Columns that a table may take, also where the terminal has fewer: a key in one piece can be copied."""
WRITES_NOTHING: Final = "Nothing was written. To do it: the same command with --go."


class CannotRun(Exception):
    """Nothing more can be done; the text says what is in the way and what to do. What was done stays done."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which relay, and whether to do it."""
    deployment.add_arguments(parser)
    parser.add_argument("--go", action="store_true", help="do it (default: only say what would happen)")


def carry_out(name: str, options: argparse.Namespace, act: Callable[[Deployment, argparse.Namespace], int]) -> int:
    """Run a command on the chosen relay; the exit status. ``name`` begins each message for people."""
    try:
        return act(deployment.chosen(options), options)
    except KeyboardInterrupt:
        print(
            f"{name}: interrupted. What was done stays done; run the same command again to go on.",
            file=sys.stderr,
        )
        return 1
    except (NoDeployment, CannotRun, BadSetting) as problem:
        print(f"{name}: {problem}", file=sys.stderr)
    except (LedgerUnavailable, NotQueued, QueueUnavailable) as problem:
        print(f"{name}: {problem}. What was done stays done; run the same command again to go on.", file=sys.stderr)
    except (ClientError, BotoCoreError) as problem:
        print(
            f"{name}: AWS refused: {problem}. What was done stays done; correct it and run the same command again.",
            file=sys.stderr,
        )
    return 2


@contextmanager
def progress(doing: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, gone at the end; call what it gives for each item. ``total`` None: unknown."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)


class Listing:
    """A table that grows while the work goes on. Text of others is never taken as markup."""

    def __init__(self, *headings: str) -> None:
        self._table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            self._table.add_column(heading, overflow="fold")

    def add(self, *cells: str) -> None:
        """One line of it."""
        self._table.add_row(*map(escape, cells))

    def show(self) -> None:
        """Print it, unless it is empty."""
        if self._table.row_count:
            console = Console()
            wanted = console.measure(self._table, options=console.options.update(width=WIDEST)).maximum
            console = Console(width=max(console.width, min(wanted, WIDEST)))
            console.print(self._table, highlight=False)
            console.print()


def counted(counts: Counter[str] | Mapping[str, int]) -> str:
    """``3 recorded, 1 duplicate``."""
    return ", ".join(f"{count:,} {name}" for name, count in Counter(counts).most_common()) or "none"


def amount(number: int, one: str, many: str | None = None) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value_of(event: Mapping[str, Any]) -> str:
    """An event's value as people write it, such as ``200.63 USD``; empty where it has none."""
    data = event.get("data") or {}
    places = money.EXPONENTS.get(data.get("currency", ""))
    if places is None or "amount" not in data:
        return ""
    return f"{data['amount'] / 10**places:,.{places}f} {data['currency']}"


def in_batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """The items, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
