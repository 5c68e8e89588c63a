"""Simulated time: everything that happens in a world, in order, with any two invocations under way at once.

Each invocation runs in a greenlet of its own and gives way wherever it waits, which every call to the outside does. So
two receivers, an outbox and two senders interleave at each of their calls, in one thread, and the same way each time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from greenlet import getcurrent, greenlet

START_MS = 1_795_186_800_000
"""Where time begins: 2026-11-20 15:00 UTC, the present of the samples in ``events/``."""

_idle: list[greenlet] = []
"""Greenlets whose work is done, for the next piece of work: making one costs more than all it does."""


class Timeline:
    """What is to happen when. ``now_ms`` is Unix time in milliseconds, UTC."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self.now_ms = start_ms
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._number = 0
        self._main = getcurrent()

    def at(self, when_ms: int, work: Callable[[], object]) -> None:
        """Have something begin at a time, in a greenlet of its own."""
        self._number += 1
        heappush(self._due, (when_ms, self._number, lambda: self._begin(work)))

    def after(self, wait_ms: int, work: Callable[[], object]) -> None:
        """Have something begin a while from now."""
        self.at(self.now_ms + wait_ms, work)

    def pause(self, wait_ms: int) -> None:
        """Let time pass for the one who calls, and whatever is due meanwhile happen."""
        until_ms = self.now_ms + wait_ms
        if not self._due or self._due[0][0] > until_ms:
            self.now_ms = until_ms
            return
        self._number += 1
        heappush(self._due, (until_ms, self._number, getcurrent().switch))
        self._main.switch()

    def run(self, until_ms: int | None = None) -> None:
        """Let everything happen that is due, up to a time if one is given."""
        due = self._due
        while due and (until_ms is None or due[0][0] <= until_ms):
            when_ms, _, go_on = heappop(due)
            self.now_ms = max(self.now_ms, when_ms)
            go_on()
        if until_ms is not None and until_ms > self.now_ms:
            self.now_ms = until_ms

    def _begin(self, work: Callable[[], object]) -> None:
        worker = _idle.pop() if _idle else greenlet(_worker, self._main)
        worker.switch(work)


def _worker(work: Callable[[], object]) -> None:
    this = getcurrent()
    while True:
        work()
        _idle.append(this)
        assert this.parent is not None
        work = this.parent.switch()
