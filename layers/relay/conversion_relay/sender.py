"""The sender: drain the queue, drop what has gone stale, send batches, isolate what OpenAI refuses, settle, delete.

An event's end is written to the ledger before its message is deleted::

    receive ─▶ send ─▶ settle ─▶ delete
            │       │         └ crash: sent again with the same bytes, OpenAI drops it; settled again
            │       └ crash, or no answer: the same
            └ crash: handed out again

A held event may have been amended since it was put on the queue, so it is taken from the ledger. It is final by then.

When OpenAI blocks or is out, a circuit is opened, which later runs find in the ledger::

    closed ─ 401, 403, 5xx, no answer; 429 and 503 after short waits ─▶ open: the run ends, nothing is consumed
    open ─ a run sends ten events at most ─▶ no again ─▶ open: one request a run
                                          ├▶ all refused without a name ─▶ a whole batch, once: are there good ones?
                                          └▶ accepted, or refused by name ─▶ closed: the run goes on
    open, and OpenAI has named a time (Retry-After) ─▶ no receive and no request before it

So an outage costs the receives of ten messages a run, whatever waits behind them.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from conversion_relay.circuit import Circuit
from conversion_relay.event import MAX_EVENTS, MAX_PAST_MS, age_problem
from conversion_relay.isolation import GIVE_UP, Isolation, Stopped
from conversion_relay.ledger import LedgerUnavailable, Settled
from conversion_relay.openai import MAX_REQUEST_BYTES, Accepted, Answer, Blocked, Retry
from conversion_relay.queue import Message, QueueUnavailable, timestamp_in
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
"""A batch is begun only while this is left: 35 s for a request at worst, the rest to settle and delete."""
TIME_FOR_ONE_REQUEST_MS: Final = 45_000
"""And so a further request for a part of it."""
SETTLE_PARALLEL: Final = 10
"""Ends that are written at the same time."""
AHEAD_RETRY_S: Final = 600
PROBE_EVENTS: Final = 10
"""Messages that a run takes while the circuit is open."""
BACK_OFF_TRIES: Final = 4
"""Requests for one group while OpenAI is busy (429, 503)."""
BACK_OFF_S: Final = 1.0
BACK_OFF_MOST_S: Final = 20.0
"""Full jitter: a wait between nothing and a bound, which begins at 1 s and doubles up to 20 s."""
WAIT_MOST_S: Final = 3600
"""A Retry-After is honoured up to an hour, then one request asks again: events have 7 days."""

_ADVICE_NOTHING_PASSES: Final = (
    "OpenAI refuses every event of a batch without naming one: check key, PixelId and endpoint."
)
_ADVICE_NOT_THE_API: Final = (
    "Something that is not the Conversions API refuses requests: compare OpenAiEndpoint, and look for a proxy."
)


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
    def circuit(self) -> Circuit | None: ...
    def open_circuit(self, circuit: Circuit) -> None: ...
    def close_circuit(self, now_ms: int) -> None: ...


class OpenAiPort(Protocol):
    """What the sender needs of OpenAI."""

    def send(self, events: Sequence[str]) -> Answer: ...


@dataclass(slots=True)
class Run:
    """What one run did. ``by_source`` counts the ends of each source's events, ``notes`` are
    sentences for people. ``oldest_ms`` is the age of the oldest event that is known
    to wait on after the run; ``blocked`` or ``retry`` say why it stopped.
    """

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
    by_source: dict[str, Counter[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, object]:
        """What the function answers, for whoever invokes it by hand."""
        counts = ("received", "sent", "rejected", "expired", "dead", "erased", "waiting", "requests")
        return {name: getattr(self, name) for name in counts} | {"stopped": self.blocked or self.retry}

    @property
    def stopped(self) -> bool:
        """Whether OpenAI, the queue or the ledger stopped the run; what is left waits for the next one."""
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
class Sender:
    """One run at a time over injected ports.

    ``remaining_ms`` says how much of the invocation is left, ``sleep`` waits seconds, ``jitter`` draws between two
    numbers, ``pool`` makes the executor of parallel calls. ``no_key`` says why there is no key to
    send with; then nothing is taken.
    """

    queue: QueuePort
    dead_letters: DeadLettersPort
    ledger: LedgerPort
    openai: OpenAiPort
    clock: Callable[[], int]
    remaining_ms: Callable[[], int]
    mode: DeliveryMode = "live"
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[float, float], float] = random.uniform
    pool: Callable[[int], Executor] = ThreadPoolExecutor
    no_key: Blocked | None = None
    run: Run = field(default_factory=Run)
    _circuit: Circuit | None = None
    _stopped_by: Blocked | Retry | None = None
    _has_passed: bool = False
    _in_doubt: Blocked | None = None
    _confirmed: int | None = 0
    _unsent: dict[str, int] = field(default_factory=dict)

    def drain(self) -> Run:
        """Send until the queue is empty, time is short, or OpenAI says stop. In shadow mode nothing is touched."""
        if self.mode == "shadow":
            return self.run
        if self.no_key is not None:
            self.run.blocked = self.no_key.advice
            return self.run
        try:
            self._circuit = self.ledger.circuit()
        except LedgerUnavailable as error:
            # What becomes of the events could not be written down either.
            self.run.retry = str(error)
            return self.run
        # A wait that is longer than any which is honoured was written down by a clock that was wrong.
        wait_ms = self._circuit.until_ms - self.clock() if self._circuit else 0
        if not 0 < wait_ms <= WAIT_MOST_S * 1000:
            self._drain()
        self._leave_circuit()
        return self.run

    def _drain(self) -> None:
        while not self.run.stopped and self.remaining_ms() > TIME_FOR_ONE_BATCH_MS:
            try:
                probes = self._circuit is not None and self._in_doubt is None
                most = PROBE_EVENTS if probes else MAX_EVENTS
                messages = self.queue.drain(most)
            except QueueUnavailable as error:
                self.run.retry = str(error)
                return
            self.run.received += len(messages)
            self._deliver(self._fresh(self._final(messages)))
            if 2 * len(messages) < most:
                break  # the queue seemed empty after these
        if self._in_doubt is not None and self._circuit is not None and not self.run.stopped:
            self._stop(self._in_doubt)

    def _final(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with the events that are to go out: those of held ones are in the ledger.

        One that comes before its hold has ended waits for that: only then is nobody allowed to amend it. One whose
        conversion was erased for a person's sake is dropped.
        """
        now_ms = self.clock()  # before the ledger is read: what is past its hold then has its last event
        held = [message for message in messages if message.held and message.key]
        with self.pool(SETTLE_PARALLEL) as pool:
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
            timestamp_ms = timestamp_in(message)
            if timestamp_ms is None:
                self._bury(message)
                continue
            problem = age_problem(timestamp_ms, now_ms)
            if problem == "too_far_ahead":
                ahead.append(message)
                continue
            self._unsent[message.key] = timestamp_ms
            if problem == "too_old":
                expired.append(([message], f"{_age(timestamp_ms, now_ms)} old when it could have been sent"))
            elif message.key in pending:
                # Deleted with the first, not before: it may be the same message handed out twice.
                pending[message.key].messages.append(message)
            else:
                pending[message.key] = Pending([message], timestamp_ms)
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
            if self.run.stopped or self.remaining_ms() <= TIME_FOR_ONE_REQUEST_MS:
                self.run.waiting += sum(map(len, batches[number:]))
                return
            self._send(batch)

    def _send(self, batch: Sequence[Pending]) -> None:
        """Send a batch; where OpenAI refuses it for something in it, find that and send the rest."""
        isolation, finished = Isolation(self._probe, self._confirmed), False
        with contextlib.suppress(Stopped):
            isolation.isolate(batch)
            finished = True
        self._confirmed = isolation.confirmed
        refusals = isolation.refusals
        if isolation.doubts and not self._traits_of_the_events(isolation, len(batch), finished=finished):
            refusals = refusals[: -len(isolation.doubts)]
        self.run.waiting += len(batch) - isolation.passed - len(refusals)
        for refusal in refusals:
            self.run.rejections[refusal.reason] += 1
        ended = [(refusal.event.messages, refusal.reason) for refusal in refusals]
        self.run.rejected += self._settle(ended, "rejected")

    def _traits_of_the_events(self, isolation: Isolation[Pending], tried: int, *, finished: bool) -> bool:
        """Whether refusals that nothing has passed after and nothing was named in are about the events all the same.

        If something else may be wrong none of them is given up (P8): they wait, and the run stops or says so.
        """
        doubts = isolation.doubts
        explained = all(each.explained for each in doubts)
        advice = _ADVICE_NOTHING_PASSES if any(each.explained for each in doubts) else _ADVICE_NOT_THE_API
        judges = self._has_passed or any(each.named for each in isolation.refusals)
        gave_up = len(doubts) >= GIVE_UP
        if explained and finished and not gave_up and (judges or (tried == 1 and self._circuit is None)):
            return True
        if explained or not isolation.passed:
            if gave_up or finished or not judges:
                self._doubt(Blocked(None, advice), widen=explained)
            return False
        # What is not the API has begun to refuse everything in the middle of the batch, or it minds the size of these.
        if gave_up:
            self._doubt(Blocked(None, advice), widen=False)
        elif finished and len(doubts) == 1:
            return True
        else:
            self._note(advice)
        return False

    def _doubt(self, answer: Blocked, *, widen: bool) -> None:
        """Nothing of a batch passes. A probe may have met bad events only, again and again, with good ones behind them:
        the run then tries a whole batch, once.
        """
        if self.run.stopped:
            return
        if widen and self._circuit is not None and self._in_doubt is None:
            self._in_doubt = answer
        else:
            self._stop(answer)

    def _probe(self, group: Sequence[Pending]) -> tuple[Answer, Sequence[Pending]]:
        """One request, or a few while OpenAI is busy; what is accepted is settled at once.

        Raises:
            Stopped: there is no time for a request, or OpenAI judges none.
        """
        tries = 1 if self._circuit else BACK_OFF_TRIES
        while True:
            if self.remaining_ms() <= TIME_FOR_ONE_REQUEST_MS:
                raise Stopped
            group = self._still_fresh(group)
            if not group:
                return Accepted(0), group
            self.run.requests += 1
            answer = self.openai.send([each.event for each in group])
            tries -= 1
            if not (isinstance(answer, Retry) and answer.busy and tries and self._waited(answer, tries)):
                break
        if isinstance(answer, Blocked | Retry):
            self._stop(answer)
            raise Stopped
        if isinstance(answer, Accepted):
            self._accepted(group, answer)
        elif answer.problems:
            self._close_circuit()
        return answer, group

    def _waited(self, answer: Retry, tries_left: int) -> bool:
        """Whether there was time to wait for as long as OpenAI asks, and a random while more."""
        bound = min(BACK_OFF_MOST_S, BACK_OFF_S * 2 ** (BACK_OFF_TRIES - 1 - tries_left))
        wait_s = (answer.after_s or 0) + self.jitter(0, bound)
        if self.remaining_ms() - wait_s * 1000 <= TIME_FOR_ONE_BATCH_MS:
            return False
        self.sleep(wait_s)
        return True

    def _still_fresh(self, group: Sequence[Pending]) -> Sequence[Pending]:
        """Held against the clock once more: waits and isolating others take time. The stale end in the next run."""
        now_ms = self.clock()
        return [each for each in group if age_problem(each.timestamp_ms, now_ms) is None]

    def _accepted(self, group: Sequence[Pending], answer: Accepted) -> None:
        self._has_passed = True
        self._close_circuit()
        self.run.sent += self._settle([(each.messages, ACCEPTED[self.mode]) for each in group], "sent")
        if answer.count != len(group):
            self._note(f"OpenAI says {answer.count} accepted of {len(group)} sent: compare its reports.")

    def _settle(self, ended: Sequence[tuple[Sequence[Message], str]], status: Settled) -> int:
        """Write the ends of events to the ledger, then delete their messages; how many are settled. The others come
        again. When none of many could be settled the run stops: it would go on sending what nobody writes down.
        """
        if not ended:
            return 0
        now_ms = self.clock()

        def settle(ends: Sequence[tuple[Sequence[Message], str]]) -> list[LedgerUnavailable | None]:
            results: list[LedgerUnavailable | None] = []
            for messages, reason in ends:
                try:
                    self.ledger.settle(messages[0].key, status, reason, now_ms)
                    results.append(None)
                except LedgerUnavailable as error:
                    results.append(error)
            return results

        # One task a thread, not one an event: handing a task over takes longer than all else that an event costs here.
        share = -(-len(ended) // SETTLE_PARALLEL)
        shares = [ended[start : start + share] for start in range(0, len(ended), share)]
        with self.pool(len(shares)) as pool:
            errors = [error for each in pool.map(settle, shares) for error in each]
        results = list(zip((messages for messages, _ in ended), errors, strict=True))
        settled = [messages for messages, error in results if error is None]
        for error in (error for _, error in results if error is not None):
            self._note(f"{error}: the event is sent again with the same id, which OpenAI drops")
            if not settled and len(ended) >= SETTLE_PARALLEL and not self.run.stopped:
                self.run.retry = str(error)
        for messages in settled:
            self._unsent.pop(messages[0].key, None)
            self.run.by_source.setdefault(_source(messages[0].key), Counter())[status] += 1
        self.queue.delete([message for messages in settled for message in messages])
        return len(settled)

    def _note(self, sentence: str) -> None:
        if sentence not in self.run.notes:
            self.run.notes.append(sentence)

    # The circuit -----------------------------------------------------------------------------------------------------

    def _stop(self, answer: Blocked | Retry) -> None:
        """OpenAI judges no events now: the run ends."""
        self._stopped_by = answer
        if isinstance(answer, Blocked):
            self.run.blocked = answer.advice + (f" (HTTP {answer.status})" if answer.status else "")
        else:
            self.run.retry = f"OpenAI could not take events ({answer.reason})"

    def _close_circuit(self) -> None:
        """OpenAI judges events, so key, pixel and endpoint are good."""
        if self._circuit is None:
            return
        self._circuit = None
        try:
            self.ledger.close_circuit(self.clock())
        except LedgerUnavailable as error:
            self._note(f"{error}: the next run begins with {PROBE_EVENTS} events")

    def _leave_circuit(self) -> None:
        """Leave the circuit to the next run as this one found OpenAI, and say how old the oldest unsent event is."""
        now_ms, before = self.clock(), self._circuit
        # What was the oldest behind it may have expired since.
        behind = [before.oldest_ms] if before is not None and before.oldest_ms >= now_ms - MAX_PAST_MS else []
        known = [*self._unsent.values(), *behind]
        oldest_ms = min(known, default=now_ms)
        if self._stopped_by is not None:
            self._open_circuit(self._stopped_by, now_ms, oldest_ms)
        elif before is not None and not self.run.stopped:
            if not known:
                self._close_circuit()  # nobody waits behind it any more
            elif before.state == "blocked":
                self.run.blocked = before.advice  # nothing was there to try it with
            else:
                self.run.retry = before.advice
        self.run.oldest_ms = max(now_ms - oldest_ms, 0)

    def _open_circuit(self, answer: Blocked | Retry, now_ms: int, oldest_ms: int) -> None:
        advice, until_ms = self.run.blocked or self.run.retry or "", 0
        if isinstance(answer, Retry) and answer.after_s:
            until_ms = now_ms + min(answer.after_s, WAIT_MOST_S) * 1000
            advice += f"; it asks to wait until {datetime.fromtimestamp(until_ms / 1000, UTC):%H:%M} UTC"
        since_ms = self._circuit.since_ms if self._circuit else now_ms
        state: Final = "blocked" if isinstance(answer, Blocked) else "outage"
        try:
            self.ledger.open_circuit(Circuit(state, advice, since_ms, until_ms, oldest_ms))
        except LedgerUnavailable as error:
            self._note(f"{error}: the next run does not know that OpenAI stopped this one")


def _source(key: str) -> str:
    """Whose conversion it is: ``order_created#shopify:6184203910411``."""
    return key.partition("#")[2].partition(":")[0]


def _age(timestamp_ms: int, now_ms: int) -> str:
    hours = (now_ms - timestamp_ms) // 3_600_000
    return f"{hours // 24} d {hours % 24} h"


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
