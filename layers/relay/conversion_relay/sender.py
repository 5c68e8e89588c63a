"""The sender: drain the queue, drop what has gone stale, send batches, isolate what OpenAI refuses, settle, delete.

An event's end is written to the ledger before its message is deleted::

    receive ─▶ send ─▶ settle ─▶ delete
            │       │         └ crash: sent again with the same bytes, OpenAI drops it; settled again
            │       └ crash: the same
            └ crash: handed out again

A held event may have been amended since it was put on the queue, so it is taken from the ledger. It is final by then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

from conversion_relay.event import MAX_EVENTS, age_problem
from conversion_relay.ledger import LedgerUnavailable, Settled
from conversion_relay.openai import MAX_REQUEST_BYTES, Accepted, Answer, Blocked, Problem, Rejected, Retry
from conversion_relay.queue import Message, QueueUnavailable, readable
from conversion_relay.settings import DeliveryMode

if TYPE_CHECKING:
    from conversion_relay.ledger import Stored

ACCEPTED: Final[Mapping[DeliveryMode, str]] = {
    "live": "accepted by OpenAI",
    "validate": "found valid by OpenAI, which does not count it (DeliveryMode validate)",
    "shadow": "",
}
"""What the ledger says of an event that OpenAI took, by delivery mode. In shadow mode nothing is sent."""
TIME_FOR_ONE_BATCH_MS: Final = 60_000
"""A batch is begun only while this is left: 35 s for the request at worst, the rest to settle and delete."""
SETTLE_PARALLEL: Final = 10
AHEAD_RETRY_S: Final = 600


class QueuePort(Protocol):
    """What the sender needs of the queue."""

    def drain(self, most: int) -> list[Message]: ...
    def delete(self, messages: Sequence[Message]) -> int: ...
    def release(self, messages: Sequence[Message], seconds: int) -> None: ...


class DeadLettersPort(Protocol):
    """What the sender needs of the dead-letter queue."""

    def keep(self, message: Message, reason: str) -> None: ...


class LedgerPort(Protocol):
    """What the sender needs of the ledger."""

    def settle(self, key: str, status: Settled, reason: str, now_ms: int) -> None: ...
    def stored(self, key: str) -> Stored | None: ...


class OpenAiPort(Protocol):
    """What the sender needs of OpenAI."""

    def send(self, events: Sequence[str]) -> Answer: ...


@dataclass(slots=True)
class Run:
    """What one run did. ``notes`` are sentences for people; ``oldest_ms`` is the age of the oldest event."""

    received: int = 0
    sent: int = 0
    rejected: int = 0
    expired: int = 0
    dead: int = 0
    erased: int = 0
    waiting: int = 0
    requests: int = 0
    oldest_ms: int = 0
    blocked: str | None = None
    retry: str | None = None
    rejections: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """What the function answers, for whoever invokes it by hand."""
        counts = ("received", "sent", "rejected", "expired", "dead", "erased", "waiting", "requests")
        return {name: getattr(self, name) for name in counts} | {"stopped": self.blocked or self.retry}

    @property
    def stopped(self) -> bool:
        """Whether OpenAI or a queue told the run to stop; what is left waits for the next one."""
        return self.blocked is not None or self.retry is not None


@dataclass(frozen=True, slots=True)
class Pending:
    """An event that may go out: its message with any copies, and its time for the freshness check."""

    messages: list[Message]
    timestamp_ms: int

    @property
    def event(self) -> str:
        """The JSON that goes out."""
        return self.messages[0].event


@dataclass(slots=True)
class Tried:
    """What came of trying a batch: how many events passed, and which were refused, with the reason."""

    passed: int = 0
    refused: list[tuple[Pending, str]] = field(default_factory=list)


@dataclass(slots=True)
class Sender:
    """One run at a time over injected ports. ``remaining_ms`` says how much of the invocation is left."""

    queue: QueuePort
    dead_letters: DeadLettersPort
    ledger: LedgerPort
    openai: OpenAiPort
    clock: Callable[[], int]
    remaining_ms: Callable[[], int]
    mode: DeliveryMode = "live"
    run: Run = field(default_factory=Run)

    def drain(self) -> Run:
        """Send until the queue is empty, time is short, or OpenAI says stop. In shadow mode nothing is touched."""
        if self.mode == "shadow":
            return self.run
        while not self.run.stopped and self.remaining_ms() > TIME_FOR_ONE_BATCH_MS:
            try:
                messages = self.queue.drain(MAX_EVENTS)
            except QueueUnavailable as error:
                self.run.retry = str(error)
                break
            if not messages:
                break
            self.run.received += len(messages)
            self._deliver(self._fresh(self._final(messages)))
        return self.run

    def _final(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with the events that are to go out: those of held ones are in the ledger.

        One that comes before its hold has ended waits for that: only then is nobody allowed to amend it. One whose
        conversion was erased for a person's sake is dropped.
        """
        now_ms = self.clock()  # before the ledger is read: what is past its hold then has its last event
        held = [message for message in messages if message.held and message.key]
        with ThreadPoolExecutor(SETTLE_PARALLEL) as pool:
            stored = dict(zip((each.receipt for each in held), pool.map(self._stored, held), strict=True))
        final = [message for message in messages if message.receipt not in stored]
        erased = [message for message in held if stored[message.receipt] is None]
        for message in held:
            item = stored[message.receipt]
            if isinstance(item, LedgerUnavailable):
                self._note(f"{item}: the event waits")
                self.run.waiting += 1
            elif item is not None and item.hold_until_ms > now_ms:
                self.queue.release([message], -(-(item.hold_until_ms - now_ms) // 1000))
                self.run.waiting += 1
            elif item is not None:
                final.append(replace(message, event=item.event))
        self.queue.delete(erased)
        self.run.erased += len(erased)
        return final

    def _stored(self, message: Message) -> Stored | LedgerUnavailable | None:
        try:
            return self.ledger.stored(message.key)
        except LedgerUnavailable as error:
            return error

    def _fresh(self, messages: Sequence[Message]) -> list[Pending]:
        """The events that may go out now. The others end here, or wait until their time has come."""
        now_ms = self.clock()
        pending: dict[str, Pending] = {}
        ahead: list[Message] = []
        expired: list[tuple[Sequence[Message], str]] = []
        for message in messages:
            event = readable(message)
            if event is None:
                self._bury(message)
                continue
            age_ms = now_ms - event["timestamp_ms"]
            self.run.oldest_ms = max(self.run.oldest_ms, age_ms)
            problem = age_problem(event["timestamp_ms"], now_ms)
            if problem == "too_old":
                expired.append(([message], f"{age_ms // 3_600_000} h old when it could have been sent"))
            elif problem == "too_far_ahead":
                ahead.append(message)
            elif message.key in pending:
                # Deleted with the first, not before: it may be the same message handed out twice.
                pending[message.key].messages.append(message)
            else:
                pending[message.key] = Pending([message], event["timestamp_ms"])
        if ahead:
            self.queue.release(ahead, AHEAD_RETRY_S)
            self.run.waiting += len(ahead)
        self.run.expired += self._settle(expired, "expired")
        return list(pending.values())

    def _bury(self, message: Message) -> None:
        try:
            self.dead_letters.keep(message, "the message is not one of the outbox: it holds no event with a ledger key")
        except QueueUnavailable as error:
            self._note(str(error))
            return
        self.queue.delete([message])
        self.run.dead += 1

    def _deliver(self, pending: Sequence[Pending]) -> None:
        batches = _batches(pending)
        for number, batch in enumerate(batches):
            if not self._may_send():
                self.run.waiting += sum(map(len, batches[number:]))
                return
            self._send(batch)

    def _may_send(self) -> bool:
        return not self.run.stopped and self.remaining_ms() > TIME_FOR_ONE_BATCH_MS // 2

    def _send(self, batch: Sequence[Pending]) -> None:
        """Send a batch; where OpenAI refuses it for something in it, find that and send the rest."""
        tried = Tried()
        self._send_or_split(batch, tried)
        if len(batch) > 1 and tried.refused and not tried.passed and _unnamed(tried.refused):
            # Not one of them passed and none was named: that is no trait of the events. Keep them all (P8).
            self.run.waiting += len(tried.refused)
            if self.run.retry is None and self.run.blocked is None:
                self.run.blocked = (
                    "OpenAI refuses every event of a batch without naming one: check key, PixelId and endpoint."
                )
            return
        for _, reason in tried.refused:
            self.run.rejections[reason] += 1
        self.run.rejected += self._settle([(each.messages, reason) for each, reason in tried.refused], "rejected")

    def _send_or_split(self, batch: Sequence[Pending], tried: Tried) -> None:
        while batch and self._may_send():
            batch = self._still_fresh(batch)
            if not batch:
                return
            self.run.requests += 1
            answer = self.openai.send([each.event for each in batch])
            if not isinstance(answer, Rejected) or not answer.problems:
                self._conclude(batch, answer, tried)
                return
            # The answer may name one event of many: a loop, because a batch can hold a thousand of them.
            named = {problem.index: _reason(problem) for problem in answer.problems}
            tried.refused += [(batch[index], reason) for index, reason in named.items()]
            batch = [each for index, each in enumerate(batch) if index not in named]
        self.run.waiting += len(batch)

    def _still_fresh(self, batch: Sequence[Pending]) -> Sequence[Pending]:
        """Held against the clock once more: isolating others may have taken a while. The stale end in the next run."""
        now_ms = self.clock()
        fresh = [each for each in batch if age_problem(each.timestamp_ms, now_ms) is None]
        self.run.waiting += len(batch) - len(fresh)
        return fresh

    def _conclude(self, batch: Sequence[Pending], answer: Answer, tried: Tried) -> None:
        match answer:
            case Accepted():
                tried.passed += len(batch)
                self.run.sent += self._settle([(each.messages, ACCEPTED[self.mode]) for each in batch], "sent")
                if answer.count != len(batch):
                    self._note(f"OpenAI says {answer.count} accepted of {len(batch)} sent: compare its reports.")
            case Blocked():
                self.run.blocked = f"{answer.advice} (HTTP {answer.status})"
                self.run.waiting += len(batch)
            case Retry():
                self.run.retry = answer.reason
                self.run.waiting += len(batch)
            case Rejected() if len(batch) == 1:
                tried.refused.append((batch[0], f"HTTP {answer.status}"))
            case Rejected():  # pragma: no branch - there is no other answer
                middle = len(batch) // 2
                self._send_or_split(batch[:middle], tried)
                self._send_or_split(batch[middle:], tried)

    def _settle(self, ended: Sequence[tuple[Sequence[Message], str]], status: Settled) -> int:
        """Write the ends of events to the ledger, then delete their messages; how many are settled. The others come
        again.
        """
        if not ended:
            return 0
        now_ms = self.clock()

        def settle(end: tuple[Sequence[Message], str]) -> Sequence[Message]:
            messages, reason = end
            try:
                self.ledger.settle(messages[0].key, status, reason, now_ms)
            except LedgerUnavailable as error:
                self._note(f"{error}: the event is sent again with the same id, which OpenAI drops")
                return ()
            return messages

        with ThreadPoolExecutor(min(SETTLE_PARALLEL, len(ended))) as pool:
            settled = [messages for messages in pool.map(settle, ended) if messages]
        self.queue.delete([message for messages in settled for message in messages])
        return len(settled)

    def _note(self, sentence: str) -> None:
        if sentence not in self.run.notes:
            self.run.notes.append(sentence)


def _reason(problem: Problem) -> str:
    field_name = problem.param.partition(".")[2] or "event"
    return f"{field_name}: {problem.code}" if problem.code else field_name


def _unnamed(refused: Sequence[tuple[Pending, str]]) -> bool:
    return all(reason.startswith("HTTP ") for _, reason in refused)


def _batches(pending: Sequence[Pending]) -> list[list[Pending]]:
    """Requests of at most 1,000 events and 4 MB."""
    batches: list[list[Pending]] = []
    size = MAX_REQUEST_BYTES
    for each in pending:
        added = len(each.event.encode()) + 1
        if not batches or len(batches[-1]) == MAX_EVENTS or size + added > MAX_REQUEST_BYTES:
            batches.append([])
            size = 100
        batches[-1].append(each)
        size += added
    return batches
