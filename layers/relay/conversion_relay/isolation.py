"""Finding the bad events of a refused batch with few requests, while the good ones are delivered on the way.

A batch is all or nothing: one bad event refuses a thousand. Every request made here is a real one: what passes is
delivered by it, so no event is sent twice.

Where the answer names events, they are set aside and the rest is sent::

    whole ✗ names 7 ─▶ rest ✓                        7 was it: 2 requests
    whole ✗ names 7 ─▶ rest ✗ names 9 ─▶ 7 alone ✗   the names are right; go on with the rest without 9
                                      └▶ 7 alone ✓   the names are wrong: never mind them any more

Where it does not, the refused group is halved. If its left half passes, the bad event is in the right one, which needs
no request to know that; if it does not, the right half goes back to those of which nothing is known::

    group ✗ ─▶ left ✓ ─▶ search the right half         group ✗ ─▶ left ✗ ─▶ search the left half

Of those, the next group has as many events as came to one bad event so far, so that it passes about as often as not
(Hwang's generalized binary splitting, with the number of bad events estimated instead of known). An event is refused
for good only when it was refused alone, when the group passed without it, or when it is named by an API whose names
have proved right ten times. Those refused alone after the last that passed are in doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from conversion_relay.openai import Accepted, Answer, Problem, Rejected

T = TypeVar("T")
Probe = Callable[[Sequence[T]], tuple[Answer, Sequence[T]]]
"""Sends a group in one request: the answer, and what of the group went out (the stale stay behind)."""

CONFIRMATIONS: Final = 10
"""After so many right names the API is believed."""
GIVE_UP: Final = 16
"""So many events from all over a batch, refused one by one without a name while none passed: it is not the events."""
LOOK_ON: Final = 64
"""So many of those in a row where some have passed before: it has begun to refuse whatever comes."""
LOOK_AROUND: Final = 4
"""After so many of those in a row, also where some have passed before, the next are picked from all over the batch."""
_GOLDEN: Final = 0.618034
"""Multiples of the golden ratio, without their whole part, lie apart from each other however many there are."""


class Stopped(Exception):
    """The API does not judge events now. What is undecided stays so."""


@dataclass(frozen=True, slots=True)
class Refusal(Generic[T]):
    """An event that OpenAI refuses. ``reason`` is the field and code, or the status where it ``named`` nothing.

    ``explained``: the answer was one of the API, not of something on the way to it.
    """

    event: T
    reason: str
    named: bool
    explained: bool


@dataclass(slots=True)
class Isolation(Generic[T]):
    """One batch taken apart. ``confirmed`` counts right names; None: the API's names are wrong."""

    probe: Probe[T]
    confirmed: int | None = 0
    passed: int = 0
    refusals: list[Refusal[T]] = field(default_factory=list)
    _pool: list[T] = field(default_factory=list)
    _sure: int = 0

    @property
    def doubts(self) -> Sequence[Refusal[T]]:
        """The last refusals, if they are without a name and nothing has passed since: from the first of them on it may
        be something on the way to the API, or a key gone bad, that refuses whatever comes.
        """
        return self.refusals[self._sure :]

    def isolate(self, batch: Sequence[T]) -> None:
        """Send the batch so that all of it is decided: passed, or refused with a reason.

        Raises:
            Stopped: nothing more can be decided now.
        """
        self._pool = list(batch)
        while self._pool:
            self._decide(self._next_group())

    def _next_group(self) -> list[T]:
        """As many events as came to one bad one so far; all, as long as there was but one."""
        left, refused = len(self._pool), len(self.refusals)
        doubts = len(self.doubts)
        if doubts >= (LOOK_ON if self.passed else GIVE_UP):
            raise Stopped
        if doubts >= LOOK_AROUND or (doubts and not self.passed and not self._sure):
            # See whether any passes, looking all over the batch, for bad events come in clusters.
            return [self._pool.pop(int(left * (doubts * _GOLDEN % 1)))]
        size = left if refused < 2 else max(1, round((self.passed + refused) / refused))
        if 2 * left <= 3 * size:
            size = left
        group, self._pool = self._pool[:size], self._pool[size:]
        return group

    def _decide(self, group: Sequence[T]) -> None:
        refused, group = self._refused(group)
        if refused is None:
            return
        if len(group) == 1:
            self._refuse(group[0], refused)
        elif names := self._names(refused):
            self._set_aside(group, names)
        else:
            self._search(group)

    def _refused(self, group: Sequence[T]) -> tuple[Rejected | None, Sequence[T]]:
        """Send a group: how it was refused, or None when it passed."""
        answer, sent = self.probe(group)
        match answer:
            case Rejected():
                return answer, sent
            case Accepted():
                self.passed += len(sent)
                if sent:
                    self._sure = len(self.refusals)
                return None, sent
        raise Stopped

    def _search(self, group: Sequence[T]) -> None:
        """Find a bad event in a group that was refused; what this leaves undecided goes back to the others."""
        while len(group) > 1:
            middle = len(group) // 2
            left, right = group[:middle], group[middle:]
            refused, left = self._refused(left)
            if refused is None:
                group = right
                continue
            self._pool = [*right, *self._pool]
            if len(left) == 1:
                self._refuse(left[0], refused)
                return
            if names := self._names(refused):
                self._set_aside(left, names)
                return
            group = left
        # Found because everything else passed. It is sent alone before it is given up: a batch may also have been
        # refused for its size.
        self._decide(group)

    def _names(self, refused: Rejected) -> dict[int, Problem]:
        return {} if self.confirmed is None else {problem.index: problem for problem in refused.problems}

    def _set_aside(self, group: Sequence[T], names: dict[int, Problem]) -> None:
        """Set aside what is named, send the rest, and check the names."""
        suspects: list[tuple[T, Problem]] = []
        while names:
            suspects += [(group[index], problem) for index, problem in names.items()]
            only_one = len(names) == 1
            group = [each for index, each in enumerate(group) if index not in names]
            if not group:
                break
            rest = len(group)
            refused, group = self._refused(group)
            if refused is None:
                # With it the group was refused, without it the group passed; all of it, none has gone stale meanwhile.
                if only_one and len(group) == rest:
                    self._refuse_named(*suspects.pop())
                    self.confirmed = (self.confirmed or 0) + 1
                break
            if len(group) == 1:
                self._refuse(group[0], refused)
                break
            if not self._believes and not self._check(suspects):
                self._pool = [*group, *self._pool]
                return
            names = self._names(refused)
            if not names:
                self._search(group)
        while suspects:
            if self._believes:
                self._refuse_named(*suspects.pop(0))
            elif not self._check(suspects):
                return

    @property
    def _believes(self) -> bool:
        return self.confirmed is not None and self.confirmed >= CONFIRMATIONS

    def _check(self, suspects: list[tuple[T, Problem]]) -> bool:
        """Send the first suspect alone. When it passes, names are wrong, and all suspects are back among the others."""
        event, _ = suspects.pop(0)
        refused, sent = self._refused([event])
        if refused is None and not sent:
            return True  # gone stale meanwhile, which says nothing about names
        if refused is not None:
            self._refuse(event, refused)
            self.confirmed = (self.confirmed or 0) + 1
            return True
        self.confirmed = None
        self._pool = [*(each for each, _ in suspects), *self._pool]
        return False

    def _refuse(self, event: T, refused: Rejected) -> None:
        if refused.problems:
            self._refuse_named(event, refused.problems[0])
        else:
            reason = f"HTTP {refused.status}"
            self.refusals.append(Refusal(event, reason, named=False, explained=refused.explained))

    def _refuse_named(self, event: T, problem: Problem) -> None:
        self.refusals.append(Refusal(event, problem.reason, named=True, explained=True))
        self._sure = len(self.refusals)
