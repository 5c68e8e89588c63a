"""``make bench``: what is measured rather than tested, as figures side by side of one run.

Isolation: how many requests it takes to deliver a batch of 1,000 with bad events in it, all of them told apart, against
sending every event of a refused batch alone and against halving it, as other senders do. The same code as on AWS, the
same random batches for each.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Final

from rich.console import Console
from rich.table import Table

from conversion_relay.isolation import Isolation
from conversion_relay.openai import Accepted, Answer, Problem, Rejected

RESULT: Final = Path(__file__).parent.parent / "build" / "bench.json"
BATCH: Final = 1000
BAD: Final = (0, 1, 2, 5, 10, 50)
TRIALS: Final = 100

Count = Callable[[set[int], bool], int]
"""Requests to deliver a batch with these bad events; whether the API names the first of them."""


class Api:
    """All or nothing, as OpenAI is; counts the requests and what it has taken."""

    def __init__(self, bad: set[int], *, names: bool) -> None:
        self._bad = bad
        self._names = names
        self.requests = 0
        self.taken = 0

    def __call__(self, group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        """One request."""
        self.requests += 1
        first = next((index for index, each in enumerate(group) if each in self._bad), None)
        if first is None:
            self.taken += len(group)
            return Accepted(len(group)), group
        return Rejected(400, [Problem(first, f"events[{first}].data.type", "bad")] if self._names else []), group

    def takes(self, group: Sequence[int]) -> bool:
        """One request: whether it passed."""
        return isinstance(self(group)[0], Accepted)


def relay(bad: set[int], names: bool) -> int:
    """As the sender does it."""
    api = Api(bad, names=names)
    isolation = Isolation(api)
    isolation.isolate(range(BATCH))
    if {each.event for each in isolation.refusals} != bad or api.taken != BATCH - len(bad):
        raise AssertionError(f"{len(bad)} bad events were not told apart")
    return api.requests


def one_by_one(bad: set[int], names: bool) -> int:
    """Every event of a refused batch alone."""
    api = Api(bad, names=names)
    if not api.takes(range(BATCH)):
        for each in range(BATCH):
            api.takes([each])
    return api.requests


def halving(bad: set[int], names: bool) -> int:
    """Both halves of whatever is refused."""
    api = Api(bad, names=names)
    groups: list[Sequence[int]] = [range(BATCH)]
    while groups:
        group = groups.pop()
        if not api.takes(group) and len(group) > 1:
            groups += [group[: len(group) // 2], group[len(group) // 2 :]]
    return api.requests


def measured(count: Count, names: bool) -> dict[int, list[int]]:
    """Requests in each trial, by the number of bad events."""
    return {
        bad: [count(set(random.Random(seed).sample(range(BATCH), bad)), names) for seed in range(TRIALS)] for bad in BAD
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show and write the results; the exit status."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the figures go as JSON")
    options = parser.parse_args(arguments)
    with_index, without = measured(relay, True), measured(relay, False)
    alone, halves = measured(one_by_one, False), measured(halving, False)

    table = Table(box=None, pad_edge=False, title_justify="left")
    table.title = f"Requests for a batch of {BATCH:,}: worst (mean) of {TRIALS} random batches"
    for heading in ("bad events", "relay, named", "relay, not named", "halving", "one by one"):
        table.add_column(heading, justify="right")
    for bad in BAD:
        cells = (f"{max(each[bad]):,} ({mean(each[bad]):,.1f})" for each in (with_index, without, halves, alone))
        table.add_row(str(bad), *cells)
    console = Console()
    console.print(table)

    worst = {
        name: {str(bad): max(trials) for bad, trials in each.items()}
        for name, each in (("with_index", with_index), ("without_index", without))
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"isolation": worst}, indent=1) + "\n")
    console.print(f"\nWritten to {options.out.name}: the worst of each.", highlight=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
