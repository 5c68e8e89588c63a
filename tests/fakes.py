"""In-memory stand-ins for the sender's and the receiver's ports: they hold state, and tests assert on that state."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from conversion_relay import event
from conversion_relay.circuit import Circuit
from conversion_relay.ledger import Contended, LedgerUnavailable, Stored
from conversion_relay.openai import Accepted, Answer, Problem, Rejected
from conversion_relay.parking import ParkingUnavailable
from conversion_relay.queue import Message, QueueUnavailable
from tools.in_memory import InMemoryLedger, InMemoryParking

NOW_MS = 1795327200000
DIGEST = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"


def an_order(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An event that the API accepts, as JSON values."""
    order = {"id": f"shopify:{number}", "type": "order_created", "timestamp_ms": NOW_MS - 60_000}
    order |= {"action_source": "offline", "data": {"type": "contents", "amount": 14900, "currency": "USD"}}
    return order | fields


def a_message(number: int = 1, **fields: Any) -> Message:
    """The order as it lies on the queue."""
    return Message(f"order_created#shopify:{number}", event.parse(an_order(number, **fields)).to_json(), f"m{number}/1")


class FakeQueue:
    """SQS: what is in flight is not handed out, a copy of a receipt still deletes the message, and gone is gone.

    A receipt is "<message>/<receive>". ``journal`` takes down what was done, in order.
    """

    def __init__(self, messages: Sequence[Message], journal: list[str] | None = None) -> None:
        self.visible = list(messages)
        self.held = {_message_id(each): each for each in messages}
        self.released: list[tuple[str, int]] = []
        self.journal = [] if journal is None else journal
        self.outage = False

    def drain(self, most: int) -> list[Message]:
        if self.outage:
            raise QueueUnavailable("SQS could not hand out messages (EndpointConnectionError)")
        taken, self.visible = self.visible[:most], self.visible[most:]
        return taken

    def delete(self, messages: Sequence[Message]) -> int:
        for each in messages:
            self.held.pop(_message_id(each), None)
            self.journal.append(f"deleted {each.key}")
        return len(messages)

    def release(self, messages: Sequence[Message], seconds: int) -> None:
        self.released += [(each.key, seconds) for each in messages]

    def let_visibility_end(self) -> None:
        """Whatever was received and not deleted is handed out again."""
        self.visible = list(self.held.values())


def _message_id(message: Message) -> str:
    return message.receipt.partition("/")[0]


@dataclass
class FakeDeadLetters:
    """The queue for what nobody can send."""

    kept: list[tuple[Message, str]] = field(default_factory=list)
    outage: bool = False

    def keep(self, message: Message, reason: str) -> None:
        if self.outage:
            raise QueueUnavailable("SQS could not keep a dead letter (EndpointConnectionError)")
        self.kept.append((message, reason))


@dataclass
class FakeLedger:
    """The ends of conversions by key, every one that was written; ``lost`` keys can be neither written nor read.

    ``items`` are the events of held conversions as they are stored now.
    """

    ends: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    journal: list[str] = field(default_factory=list)
    items: dict[str, Stored] = field(default_factory=dict)
    open: Circuit | None = None
    circuit_lost: bool = False

    def circuit(self) -> Circuit | None:
        if self.circuit_lost:
            raise LedgerUnavailable("DynamoDB could not read the circuit (ThrottlingException)")
        return self.open

    def open_circuit(self, circuit: Circuit) -> None:
        if self.circuit_lost:
            raise LedgerUnavailable("DynamoDB could not note how OpenAI answers (ThrottlingException)")
        self.open = circuit

    def close_circuit(self, now_ms: int) -> None:  # noqa: ARG002 - the port's signature
        if self.circuit_lost:
            raise LedgerUnavailable("DynamoDB could not note how OpenAI answers (ThrottlingException)")
        self.open = None

    def stored(self, key: str) -> Stored | None:
        if key in self.lost:
            raise LedgerUnavailable("DynamoDB could not read the conversion (ThrottlingException)")
        return self.items.get(key)

    def settle(self, key: str, status: str, reason: str, now_ms: int) -> None:  # noqa: ARG002 - the port's signature
        if key in self.lost:
            raise LedgerUnavailable("DynamoDB could not settle the conversion (ThrottlingException)")
        self.ends.setdefault(key, []).append((status, reason))
        self.journal.append(f"{status} {key}")

    def count(self, status: str) -> int:
        return sum(each == status for ends in self.ends.values() for each, _ in ends)


class FakeOpenAi:
    """Judges batches with a function and remembers the ids of every request and of everything accepted."""

    def __init__(self, judge: Callable[[list[dict[str, Any]]], Answer] | None = None) -> None:
        self.judge = judge or (lambda events: Accepted(len(events)))
        self.requests: list[list[str]] = []
        self.accepted: list[str] = []

    def send(self, events: Sequence[str]) -> Answer:
        batch = [json.loads(each) for each in events]
        self.requests.append([each["id"] for each in batch])
        answer = self.judge(batch)
        if isinstance(answer, Accepted):
            self.accepted += self.requests[-1]
        return answer


def names_poison(*poison: int, first_only: bool = False) -> Callable[[list[dict[str, Any]]], Answer]:
    """A judge that refuses batches with these orders and says which: all of them, or the first only."""

    ids = {f"shopify:{n}" for n in poison}

    def judge(batch: list[dict[str, Any]]) -> Answer:
        found = [index for index, each in enumerate(batch) if each["id"] in ids]
        problems = [Problem(index, f"events[{index}].data.amount", "bad_amount") for index in found]
        return Rejected(400, problems[:1] if first_only else problems) if problems else Accepted(len(batch))

    return judge


def hides_poison(*poison: int) -> Callable[[list[dict[str, Any]]], Answer]:
    """A judge that refuses batches with these orders and does not say why."""
    ids = {f"shopify:{n}" for n in poison}
    return lambda batch: Rejected(400) if any(each["id"] in ids for each in batch) else Accepted(len(batch))


class BrokenLedger(InMemoryLedger):
    """DynamoDB is out of reach."""

    def record(self, *_: object, **__: object) -> Any:
        raise LedgerUnavailable("DynamoDB could not record the conversion (EndpointConnectionError)")

    remember = recall = note = fetch_later = record


class ContendedLedger(InMemoryLedger):
    """A twin delivery is faster, as often as ``twins`` says."""

    twins = 0

    def remember(self, memory: Any, now_ms: int, tenant: str | None = None) -> None:
        if self.twins:
            self.twins -= 1
            raise Contended("another delivery changed what is remembered at the same time")
        super().remember(memory, now_ms, tenant)


class BrokenParking(InMemoryParking):
    """S3 is out of reach."""

    def park(self, *_: object) -> str:
        raise ParkingUnavailable("S3 could not keep the delivery (EndpointConnectionError)")


class FakeBucket:
    """S3 in a dictionary; ``error`` is raised instead of taking anything."""

    def __init__(self, error: Exception | None = None) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.error = error

    def put_object(self, **put: Any) -> None:
        if self.error is not None:
            raise self.error
        self.objects[put["Key"]] = put
