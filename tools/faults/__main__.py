"""``make faults``: a trial with real faults, and its books. Exit status 1 if anything is lost, double or different."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from random import SystemRandom
from typing import Final

from rich.console import Console
from rich.status import Status

from tools.faults import report, trial
from tools.local_aws import LocalAwsFailed
from tools.package import BuildFailed

WIDTH: Final = 120
_LINE_EVERY_S: Final = 15
"""Without a terminal a line of progress is a line of a log."""


class Teller:
    """Says what goes on: in one line that changes, or, where there is no terminal, in a line now and then."""

    def __init__(self, console: Console, status: Status, deliveries: int) -> None:
        self._console, self._status, self._deliveries = console, status, deliveries
        self._next = 0.0

    def say(self, text: str) -> None:
        """A step."""
        self._status.update(text)
        if not self._console.is_terminal:
            self._console.print(f"  {text}", highlight=False)

    def look(self, now: trial.Progress) -> None:
        """A look at the trial."""
        self._status.update(report.line(now, self._deliveries))
        if not self._console.is_terminal and time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY_S
            self._console.print(f"  {report.line(now, self._deliveries)}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a trial; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--deliveries", type=_whole, default=10_000, help="how many to post (default: 10000)")
    parser.add_argument("--seed", type=int, default=None, help="of the plan (default: another each time)")
    parser.add_argument(
        "--clients", type=_whole, default=trial.CLIENTS, help=f"that post at the same time (default: {trial.CLIENTS})"
    )
    options = parser.parse_args(arguments)
    seed = SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    console.print(f"Real faults: {options.deliveries:,} deliveries, SEED={seed}", highlight=False)
    try:
        with console.status("Starting …") as status:
            teller = Teller(console, status, options.deliveries)
            result = trial.run(options.deliveries, seed, parallel=options.clients, say=teller.say, look=teller.look)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
        return 130
    except (LocalAwsFailed, BuildFailed) as problem:
        console.print(f"[red]The trial failed:[/] {problem}", highlight=False)
        return 1
    report.show(console, result)
    if result.balance.differences:
        console.print(f"Repeat this plan with SEED={seed}.", highlight=False)
        return 1
    return 0


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
