"""Isolation: how many requests it takes to deliver a batch of 1,000 with bad events in it, all of them told apart.

Held against sending every event of a refused batch alone and against halving it, as other senders do. The same code as
on AWS, the same random batches for each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import Final

from rich.table import Table

from conversion_relay.isolation import Isolation
from conversion_relay.openai import Accepted, Answer, Problem, Rejected

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


def worst(trials: Mapping[int, Sequence[int]]) -> dict[str, int]:
    """The most requests that any of the trials took, by the number of bad events."""
    return {str(bad): max(each) for bad, each in trials.items()}


def table(columns: Mapping[str, Mapping[int, Sequence[int]]]) -> Table:
    """Worst and mean of each way, side by side."""
    shown = Table(box=None, pad_edge=False, title_justify="left")
    shown.title = f"Requests for a batch of {BATCH:,}: worst (mean) of {TRIALS} random batches"
    for heading in ("bad events", *columns):
        shown.add_column(heading, justify="right")
    for bad in BAD:
        shown.add_row(str(bad), *(f"{max(each[bad]):,} ({mean(each[bad]):,.1f})" for each in columns.values()))
    return shown
