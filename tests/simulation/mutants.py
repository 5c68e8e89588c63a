"""The checker, checked: relays that each do one thing wrong. Their histories must show it as a broken property.

Each mutant is the real code with one step replaced, by a subclass at a port of the code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from unittest.mock import patch

from conversion_relay import isolation as isolation_module
from conversion_relay import ledger as ledger_module
from conversion_relay import sender as sender_module
from conversion_relay.delivery import Conversion, Delivery, Outcome, Source
from conversion_relay.ledger import Ledger
from conversion_relay.openai import Accepted, Answer, Blocked, OpenAi, Rejected, Retry
from conversion_relay.queue import Message, NotQueued, Queue
from conversion_relay.settings import Settings
from tests.simulation.histories import MakeRelay, at_the_edge, of_eleven_days, of_platforms, random_history
from tests.simulation.invocation import Invocation
from tests.simulation.relay import Relay
from tests.simulation.world import World


class PutsThenSends(Relay):
    """The receiver puts on the queue itself what it has recorded, instead of the stream."""

    def receive(self, invocation: Invocation, source: Source, delivery: Delivery) -> Outcome:
        outcome = super().receive(invocation, source, delivery)
        if outcome.kind == "recorded":
            items = self.world.table.items
            images = [item for key in (outcome.key, *outcome.also) if (item := items.get(key or "")) is not None]
            with suppress(NotQueued):
                super().forward(invocation, images)
        return outcome

    def forward(self, invocation: Invocation, images: Sequence[Mapping[str, Any]]) -> None:
        """Nothing: the receiver did it."""


class SwallowsNotQueued(Relay):
    """The outbox does not raise when something is not on the queue."""

    def forward(self, invocation: Invocation, images: Sequence[Mapping[str, Any]]) -> None:
        with suppress(NotQueued):
            super().forward(invocation, images)


class ForwardsTheFirst(Relay):
    """The outbox forwards the first of a batch."""

    def forward(self, invocation: Invocation, images: Sequence[Mapping[str, Any]]) -> None:
        super().forward(invocation, images[:1])


class _SplitsOn500(OpenAi):
    def send(self, events: Sequence[str]) -> Answer:
        answer = super().send(events)
        down = isinstance(answer, Retry) and answer.reason.startswith("HTTP 5")
        return Rejected(500) if down else answer


class SplitsOn500(Relay):
    """An error of OpenAI's own is taken for one in the batch: it is split, single events are rejected."""

    openai_class = _SplitsOn500


class _Takes401ForRejection(OpenAi):
    def send(self, events: Sequence[str]) -> Answer:
        answer = super().send(events)
        return Rejected(401) if isinstance(answer, Blocked) and answer.status == 401 else answer


class Takes401ForRejection(Relay):
    """A refused key is taken for refused events."""

    openai_class = _Takes401ForRejection


class _TakesSilenceForYes(OpenAi):
    def send(self, events: Sequence[str]) -> Answer:
        answer = super().send(events)
        silent = isinstance(answer, Retry) and answer.reason.startswith("no answer")
        return Accepted(len(events)) if silent else answer


class TakesSilenceForYes(Relay):
    """A request without an answer is taken for accepted."""

    openai_class = _TakesSilenceForYes


class _WaitsForBetterTimes(OpenAi):
    def send(self, events: Sequence[str]) -> Answer:
        answer = super().send(events)
        return Retry(f"HTTP {answer.status}") if isinstance(answer, Rejected) and len(events) > 1 else answer


class WaitsForBetterTimes(Relay):
    """A batch that is refused for one of its events is kept, whole."""

    openai_class = _WaitsForBetterTimes


class StampsAnew(Relay):
    """Each request carries its own time as that of the events."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        timeline = self.world.timeline

        class Stamping(OpenAi):
            def send(self, events: Sequence[str]) -> Answer:
                stamped = [json.loads(each) | {"timestamp_ms": timeline.now_ms} for each in events]
                return super().send([json.dumps(each) for each in stamped])

        self.openai_class = Stamping


class NamesAnew(Relay):
    """Each request gives the events new ids."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        calls = self.world.calls

        class Naming(OpenAi):
            def send(self, events: Sequence[str]) -> Answer:
                named = [json.loads(each) | {"id": f"{calls.made}-{number}"} for number, each in enumerate(events)]
                return super().send([json.dumps(each) for each in named])

        self.openai_class = Naming


class _DeletesFirst(Queue):
    def drain(self, most: int) -> list[Message]:
        messages = super().drain(most)
        super().delete(messages)
        return messages


class DeletesBeforeItSettles(Relay):
    """Messages are deleted as soon as they are received."""

    queue_class = _DeletesFirst


class _DeletesUnsettled(Ledger):
    def settle(self, key: str, status: Any, reason: str, now_ms: int) -> None:
        with suppress(ledger_module.LedgerUnavailable):
            super().settle(key, status, reason, now_ms)


class DeletesUnsettled(Relay):
    """A message is deleted although its end could not be written."""

    ledger_class = _DeletesUnsettled


class _Overwrites(Ledger):
    def _conversion_put(self, *arguments: Any) -> Any:
        put = super()._conversion_put(*arguments)
        del put["ConditionExpression"]
        return put


class Overwrites(Relay):
    """A conversion is written whether or not it is there already."""

    ledger_class = _Overwrites


class _WritesOneByOne(Ledger):
    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Any:
        written = super().record(
            Conversion(conversion.event, conversion.subject, conversion.remember), now_ms, **origin
        )
        for each in conversion.also:
            super().record(each, now_ms, **origin)
        return written


class WritesOneByOne(Relay):
    """Conversions that belong together are written one after the other."""

    ledger_class = _WritesOneByOne


class _GivesNoReason(Ledger):
    def settle(self, key: str, status: Any, reason: str, now_ms: int) -> None:
        super().settle(key, status, reason[:0], now_ms)


class GivesNoReason(Relay):
    """An end is written without its reason."""

    ledger_class = _GivesNoReason


class VerifiesNothing(Relay):
    """A wrong signature is as good as a right one."""

    def receive(self, invocation: Invocation, source: Source, delivery: Delivery) -> Outcome:
        lenient = Source(
            source.name, lambda *_: None, source.normalize, source.delivery_id, source.tenant, source.retries
        )
        return super().receive(invocation, lenient, delivery)


class _TellsTooMuch(Ledger):
    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Any:
        return super().record(conversion, now_ms, **origin, note=f"of {_PERSON}")


_PERSON: Final = "zq.personal@example.com"


class TellsTooMuch(Relay):
    """The ledger item says who it was."""

    ledger_class = _TellsTooMuch


class _NeverAmends(Ledger):
    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Any:
        return super().record(replace(conversion, amends=False), now_ms, **origin)


class NeverAmends(Relay):
    """What a later delivery knows better is not written into a held conversion."""

    ledger_class = _NeverAmends


class ForgetsTooSoon(Relay):
    """The ledger forgets after two days, while OpenAI takes events for seven."""

    def __init__(self, world: World, settings: Settings) -> None:
        super().__init__(world, replace(settings, ledger_ttl_days=2))


class SendsHeldEventsAtOnce(Relay):
    """The outbox forgets that a conversion is held, and nobody looks again."""

    def forward(self, invocation: Invocation, images: Sequence[Mapping[str, Any]]) -> None:
        super().forward(
            invocation,
            [{name: value for name, value in image.items() if name != "hold_until_ms"} for image in images],
        )


class ParksNothing(Relay):
    """What is parked is said to be, and is not."""

    def receive(self, invocation: Invocation, source: Source, delivery: Delivery) -> Outcome:
        outcome = super().receive(invocation, source, delivery)
        if outcome.kind == "parked":
            self.world.objects.pop(outcome.key or "", None)
        return outcome


class HidesForAMinute(Relay):
    """Messages come back after 60 s instead of 610 s."""

    visibility_s = 60


def no_amend_margin() -> Any:
    """Held events may be amended until the very end of their hold."""
    return patch.object(ledger_module, "AMEND_MARGIN_MS", 0)


def believes_names() -> Any:
    """What OpenAI names is rejected, and nobody checks whether the name is right."""
    return patch.object(isolation_module, "CONFIRMATIONS", 0)


def never_too_old() -> Any:
    """Nobody looks how old an event is."""
    return patch.object(sender_module, "age_problem", lambda *_: None)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A relay that does one thing wrong; ``otherwise`` is what else is different meanwhile.

    ``properties`` are those that may show it, ``history`` makes the histories in which it can be seen.
    """

    relay: type[Relay]
    properties: frozenset[str]
    otherwise: Callable[[], AbstractContextManager[object]] = nullcontext
    history: Callable[[int, MakeRelay], World] = random_history

    @property
    def wrong(self) -> str:
        """What it does, in a sentence."""
        told = self.relay if self.otherwise is nullcontext else self.otherwise
        return (told.__doc__ or "").strip()


def _caught_by(*names: str) -> frozenset[str]:
    return frozenset(names)


MUTANTS: Final[Mapping[str, Mutant]] = {
    "put, then send": Mutant(PutsThenSends, _caught_by("P1")),
    "swallow what is not queued": Mutant(SwallowsNotQueued, _caught_by("P1")),
    "forward the first of a batch": Mutant(ForwardsTheFirst, _caught_by("P1")),
    "split on 500": Mutant(SplitsOn500, _caught_by("P1", "P8")),
    "take 401 for a rejection": Mutant(Takes401ForRejection, _caught_by("P8")),
    "take silence for a yes": Mutant(TakesSilenceForYes, _caught_by("P1")),
    "new time on each request": Mutant(StampsAnew, _caught_by("P2")),
    "new id on each request": Mutant(NamesAnew, _caught_by("P1", "P2")),
    "delete before settling": Mutant(DeletesBeforeItSettles, _caught_by("P1", "P8")),
    "delete what is not settled": Mutant(DeletesUnsettled, _caught_by("P1")),
    "write over": Mutant(Overwrites, _caught_by("P1", "P2")),
    "write one by one": Mutant(WritesOneByOne, _caught_by("P1")),
    "give no reason": Mutant(GivesNoReason, _caught_by("P5")),
    "verify nothing": Mutant(VerifiesNothing, _caught_by("P6")),
    "tell too much": Mutant(TellsTooMuch, _caught_by("P7")),
    "keep a refused batch": Mutant(WaitsForBetterTimes, _caught_by("P3")),
    "believe every name": Mutant(Relay, _caught_by("P1"), believes_names),
    "no amend margin": Mutant(Relay, _caught_by("P2"), no_amend_margin, at_the_edge),
    "never amend": Mutant(NeverAmends, _caught_by("P2"), history=of_platforms),
    "send what is held": Mutant(SendsHeldEventsAtOnce, _caught_by("P2")),
    "forget after two days": Mutant(ForgetsTooSoon, _caught_by("P2"), history=of_eleven_days),
    "park nothing": Mutant(ParksNothing, _caught_by("P5")),
    "never too old": Mutant(Relay, _caught_by("P4"), never_too_old),
}
"""By name."""
