"""The relay as it is deployed: the real code, wired as ``functions/*/app.py`` do, over simulated clients.

A mutant is a subclass that does one thing wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.delivery import Delivery, Outcome, Source
from conversion_relay.ledger import Ledger, conversions_in
from conversion_relay.openai import OpenAi
from conversion_relay.parking import Parking
from conversion_relay.queue import DeadLetters, Queue
from conversion_relay.receive import Receiver
from conversion_relay.sender import Run, Sender
from conversion_relay.settings import Settings
from tests.simulation.dynamodb import DynamoDBClient
from tests.simulation.openai import ENDPOINT, PIXEL_ID, Session
from tests.simulation.s3 import S3Client
from tests.simulation.sqs import SqsClient
from tests.simulation.webhooks import SECRET
from tools.in_memory import KnownSecrets

if TYPE_CHECKING:
    from tests.simulation.invocation import Invocation
    from tests.simulation.world import World

QUEUE: Final = "https://sqs.simulated/queue"
DEAD_LETTERS: Final = "https://sqs.simulated/dead-letters"


class Relay:
    """Its functions, each given the invocation that it runs in."""

    receiver_lasts_ms: int = 10_000
    outbox_lasts_ms: int = 60_000
    sender_lasts_ms: int = 240_000
    visibility_s: int = 610
    most_receives: int = 1_000

    ledger_class: type[Ledger] = Ledger
    queue_class: type[Queue] = Queue
    openai_class: type[OpenAi] = OpenAi
    sender_class: type[Sender] = Sender

    def __init__(self, world: World, settings: Settings) -> None:
        self.world = world
        self.settings = settings

    def ledger(self, invocation: Invocation) -> Ledger:
        """The ledger, as an invocation reaches it."""
        client: Any = DynamoDBClient(self.world.table, invocation)
        return self.ledger_class.for_settings(client, self.settings)

    def queue(self, invocation: Invocation) -> Queue:
        """The queue, as an invocation reaches it."""
        client: Any = SqsClient(self.world.queues, invocation)
        return self.queue_class(client, QUEUE, pool=invocation.pool)

    def receive(self, invocation: Invocation, source: Source, delivery: Delivery) -> Outcome:
        """functions/shopify, stripe, calls, custom."""
        objects: Any = S3Client(self.world.objects, invocation)
        return Receiver(
            source=source,
            secrets=KnownSecrets(self.world.secrets.get(source.name, [SECRET])),
            ledger=self.ledger(invocation),
            parking=Parking(objects, "parking"),
            settings=self.settings,
            clock=invocation.clock,
        ).receive(delivery)

    def forward(self, invocation: Invocation, images: Sequence[Mapping[str, Any]]) -> None:
        """functions/outbox."""
        self.queue(invocation).forward(conversions_in(images), invocation.clock())

    def replay(self, invocation: Invocation) -> int:
        """``relay replay ledger``: what was rejected goes on the queue again, and so does what an attempt before left
        behind; how many.
        """
        ledger, queue, now_ms = self.ledger(invocation), self.queue(invocation), invocation.clock()
        found = [item for item in list(self.world.table.items.values()) if item is not None and "event" in item]
        again = [
            item
            for item in found
            if (item["status"]["S"] == "rejected" and ledger.reopen(item["pk"]["S"], "rejected", now_ms))
            or (item["status"]["S"] == "recorded" and "reopened_ms" in item)
        ]
        queue.forward(conversions_in(again), now_ms)
        return len(again)

    def send(self, invocation: Invocation) -> Run:
        """functions/sender."""
        client: Any = SqsClient(self.world.queues, invocation)
        session: Any = Session(self.world.openai, invocation)
        sender = self.sender_class(
            queue=self.queue(invocation),
            dead_letters=DeadLetters(client, DEAD_LETTERS),
            ledger=self.ledger(invocation),
            openai=self.openai_class(session, ENDPOINT, PIXEL_ID, self.world.openai_key, validate_only=False),
            clock=invocation.clock,
            remaining_ms=invocation.remaining_ms,
            mode=self.settings.delivery_mode,
            sleep=invocation.sleep,
            jitter=self.world.dice.uniform,
            pool=invocation.pool,
        )
        return sender.drain()
