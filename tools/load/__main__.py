"""``make load``: the relay on the local AWS under rising rates. Exit status 1 if anything is lost or counted twice.

Deliveries come at random moments, whether those before are answered or not (an open loop), and latency counts from the
moment at which a delivery was due. What is measured is this machine and the local AWS, not AWS.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console

from tools.load import report, trial
from tools.local_aws import LocalAwsFailed
from tools.package import BuildFailed

WIDTH: Final = 140


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a trial; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.load", description=__doc__)
    parser.add_argument(
        "--rates", type=_rate, nargs="+", default=list(trial.RATES), metavar="N",
        help=f"deliveries a second, a step each (default: {' '.join(f'{rate:g}' for rate in trial.RATES)})",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=_rate, default=trial.SECONDS, help=f"that a step lasts (default: {trial.SECONDS:g})"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the mix and of the moments (default: 1)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=WIDTH, highlight=False)
    try:
        with console.status("Starting …") as status:

            def say(text: str) -> None:
                status.update(text)
                if not console.is_terminal:
                    console.print(f"  {text}")

            result = trial.run(options.rates, options.seconds, seed=options.seed, say=say)
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
        return 130
    except trial.TooMuch as problem:
        print(f"make load: {problem}", file=sys.stderr)
        return 2
    except (LocalAwsFailed, BuildFailed) as problem:
        console.print(f"[red]The trial failed:[/] {problem}")
        return 1
    report.show(console, result)
    return 1 if result.books.problems else 0


def _rate(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1_000:
        raise argparse.ArgumentTypeError("must be more than 0, and 1000 at most")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
