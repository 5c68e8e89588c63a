"""What goes wrong with the calls that an invocation makes: each is counted, and a plan says which of them fail how.

::

    CRASH_BEFORE   the function dies, the call never left                REFUSED   an error, nothing was done
    CRASH_AFTER    the function dies, what it asked for was done         LOST      an error, but it was done
    SLOW           seconds pass before it is done                        ODD       what only this service does:
                                                                                   half a batch, a copy, a conflict
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, Literal, Protocol

Fault = Literal["crash before", "crash after", "refused", "answer lost", "slow", "odd"]
CRASH_BEFORE: Final = "crash before"
CRASH_AFTER: Final = "crash after"
REFUSED: Final = "refused"
LOST: Final = "answer lost"
SLOW: Final = "slow"
ODD: Final = "odd"
FAULTS: Final[tuple[Fault, ...]] = (CRASH_BEFORE, CRASH_AFTER, REFUSED, LOST, SLOW, ODD)

NEVER: Final = 1 << 62


class Crash(BaseException):
    """The function's process is gone. Not an ``Exception``: nothing that the relay does may survive it."""


class Faults(Protocol):
    """Which calls fail. ``next_call`` is the number of the next one that does, counted from 1.

    ``weighs``: calls count by their weight, so that those which matter more fail more often.
    """

    next_call: int
    weighs: bool

    def strike(self, call: int) -> Fault:
        """What happens to this call; ``next_call`` moves on."""
        ...


class NoFaults:
    """Everything works."""

    next_call = NEVER
    weighs = False

    def strike(self, call: int) -> Fault:
        """Never called."""
        raise AssertionError(f"call {call} was not to fail")


class PlannedFaults:
    """Exactly these calls fail, and how."""

    weighs = False

    def __init__(self, plan: Mapping[int, Fault]) -> None:
        self._plan = dict(plan)
        self.next_call = min(self._plan, default=NEVER)

    def strike(self, call: int) -> Fault:
        """What the plan says of the call."""
        fault = self._plan.pop(call)
        self.next_call = min(self._plan, default=NEVER)
        return fault


class RandomFaults:
    """One in ``every`` calls of weight 1 fails on average; ``kinds`` are the faults to choose from."""

    weighs = True

    def __init__(self, dice: random.Random, every: float, kinds: tuple[Fault, ...] = FAULTS) -> None:
        self._dice = dice
        self._rate = 1 / every
        self._kinds = kinds
        self.next_call = self._later(0)

    def _later(self, call: int) -> int:
        return call + 1 + int(self._dice.expovariate(self._rate))

    def strike(self, call: int) -> Fault:
        """One of the kinds."""
        self.next_call = self._later(call)
        return self._dice.choice(self._kinds)
