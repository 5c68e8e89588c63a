"""One run of one function: its clock, its time limit, and the way each of its calls takes to the outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.faults import CRASH_AFTER, CRASH_BEFORE, LOST, NEVER, REFUSED, SLOW, Crash, Fault

if TYPE_CHECKING:
    import random

    from tests.simulation.faults import Faults
    from tests.simulation.timeline import Timeline

Say = Callable[[str], None]
Errors = Callable[["random.Random", str], Exception]
"""Makes what a service's client raises, for a fault (``refused`` or ``answer lost``)."""

LEDGER_MS: Final = 5
SLOWEST_MS: Final = 40_000
"""Longer than any timeout of the relay's clients, so that a slow call may outlast its function."""


class Calls:
    """The calls of all invocations of one world, counted and made to fail as a plan says."""

    def __init__(self, timeline: Timeline, dice: random.Random, faults: Faults, say: Say | None) -> None:
        self.timeline = timeline
        self.dice = dice
        self.faults = faults
        self.say = say
        self.made = 0
        self.weighs = faults.weighs
        self.weighed = 0
        self.slow_ledger_ms = 0
        self.next_fault = faults.next_call
        self.struck: Counter[str] = Counter()
        self.made_by_name: list[str] = []
        """What each call was, while something is said."""

    def ledger_ms(self) -> int:
        """How long the next call to the ledger takes."""
        return self.dice.randint(LEDGER_MS, self.slow_ledger_ms) if self.slow_ledger_ms else LEDGER_MS

    def strike(self) -> Fault:
        """The fault of the call that is being made."""
        fault = self.faults.strike(self.weighed)
        self.next_fault = self.faults.next_call
        return fault

    def calm(self) -> None:
        """From now on everything works."""
        self.next_fault = NEVER
        self.slow_ledger_ms = 0


class Invocation:
    """``name`` is for people; ``skew_ms`` is how far its clock is off; after ``lasts_ms`` Lambda ends it."""

    __slots__ = ("calls", "deadline_ms", "lanes", "name", "skew_ms", "timeline", "writes")

    def __init__(self, calls: Calls, name: str, lasts_ms: int, skew_ms: int = 0) -> None:
        self.calls = calls
        self.timeline = calls.timeline
        self.name = name
        self.deadline_ms = self.timeline.now_ms + lasts_ms
        self.skew_ms = skew_ms
        self.lanes = 1
        self.writes = 0

    def clock(self) -> int:
        """What the function takes for the time: Unix milliseconds, UTC."""
        return self.timeline.now_ms + self.skew_ms

    def remaining_ms(self) -> int:
        """As Lambda's context says it."""
        return self.deadline_ms - self.timeline.now_ms

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`."""
        self._wait(int(seconds * 1000))

    def pool(self, workers: int) -> Executor:
        """In place of a thread pool."""
        return OneAfterAnother(self, workers)

    def begin(self, service: str, operation: str, takes_ms: int, errors: Errors, weight: int = 8) -> Fault | None:
        """The way of a call to its service. What goes wrong when it is there is returned, for `end`.

        ``weight`` is how much likelier it is to fail at random than the sender's many receives that find nothing.
        """
        # Calls that a pool makes at the same time are made one after the other, each in its share of the time.
        self._wait(takes_ms // self.lanes)
        calls = self.calls
        calls.made += 1
        if calls.say is not None:
            calls.made_by_name.append(operation)
        calls.weighed += weight if calls.weighs else 1
        if calls.weighed < calls.next_fault:
            return None
        fault = calls.strike()
        calls.struck[f"{service}: {fault}"] += 1
        if calls.say is not None:
            calls.say(f"{self.name}: call {calls.made}, {service} {operation}: {fault}")
        if fault == CRASH_BEFORE:
            raise Crash
        if fault == REFUSED:
            raise errors(calls.dice, REFUSED)
        if fault == SLOW:
            self._wait(calls.dice.randint(1_000, SLOWEST_MS))
            return None
        return fault

    def end(self, fault: Fault, errors: Errors) -> None:
        """The way back, of a call that was done."""
        if fault == CRASH_AFTER:
            raise Crash
        if fault == LOST:
            self._wait(self.calls.dice.randint(10, 10_000))
            raise errors(self.calls.dice, LOST)

    def _wait(self, wait_ms: int) -> None:
        if wait_ms:
            self.timeline.pause(wait_ms)
        if self.timeline.now_ms > self.deadline_ms:
            self.calls.struck["Lambda: timed out"] += 1
            if self.calls.say is not None:
                self.calls.say(f"{self.name}: out of time, Lambda ends it")
            raise Crash


class Done:
    """A future whose time has come."""

    __slots__ = ("_error", "_result")

    def __init__(self, result: Any, error: Exception | None = None) -> None:
        self._result = result
        self._error = error

    def result(self) -> Any:
        """As `concurrent.futures.Future.result`."""
        if self._error is not None:
            raise self._error
        return self._result


class OneAfterAnother(Executor):
    """A pool whose work is done at once, in order: histories stay the same from run to run."""

    def __init__(self, invocation: Invocation, workers: int) -> None:
        self._invocation = invocation
        self._workers = workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        """Do it. An exception is kept for ``result``; a crash is none."""
        self._invocation.lanes = self._workers
        try:
            return Done(function(*arguments, **options))
        except Exception as error:
            return Done(None, error)
        finally:
            self._invocation.lanes = 1

    def map(self, function: Callable[..., Any], *iterables: Any, **_: Any) -> Iterator[Any]:  # type: ignore[override]
        """Do all of it. As with a pool of threads, one that fails stops none of the others."""
        done = [self.submit(function, *arguments) for arguments in zip(*iterables, strict=False)]
        return (each.result() for each in done)
