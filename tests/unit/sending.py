"""Everything around one run of the sender, in memory, or with the strict stand-in for OpenAI behind real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conversion_relay.openai import Answer, Blocked
from conversion_relay.sender import Run, Sender
from conversion_relay.settings import DeliveryMode
from tests.fakes import NOW_MS, FakeDeadLetters, FakeLedger, FakeOpenAi, FakeQueue, a_message

KEY, PIXEL = "sk-svcacct-conversions", "Qm7TzV4kRw2LpX9sNdB3Yh"


@dataclass
class World:
    """Everything around one run, in memory. ``time`` passes only where a test lets it."""

    queue: FakeQueue
    openai: Any
    ledger: FakeLedger = field(default_factory=FakeLedger)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    now_ms: int = NOW_MS
    remaining_ms: Callable[[], int] = lambda: 240_000
    mode: DeliveryMode = "live"
    slept: list[float] = field(default_factory=list)
    no_key: Blocked | None = None

    def run(self) -> Run:
        sender = Sender(
            self.queue,
            self.dead_letters,
            self.ledger,
            self.openai,
            lambda: self.now_ms,
            self.remaining_ms,
            self.mode,
            self.sleep,
            lambda _, bound: bound,
            no_key=self.no_key,
        )
        return sender.drain()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ms += int(seconds * 1000)

    @property
    def nothing_consumed(self) -> bool:
        return not self.ledger.ends and not self.queue.journal and not self.dead_letters.kept


def a_world(*numbers: int, judge: Callable[[list[dict[str, Any]]], Answer] | None = None) -> World:
    return World(FakeQueue([a_message(number) for number in numbers]), FakeOpenAi(judge))


def key(number: int) -> str:
    return f"order_created#shopify:{number}"


def countdown(*left_ms: int) -> Callable[[], int]:
    """Remaining times, one a question; the last one stays."""
    left = list(left_ms)
    return lambda: left.pop(0) if len(left) > 1 else left[0]
