"""A delivery through the receive path of its source once more, without its signature: for real, or as a dry run.

The signature was checked when the delivery came, or the platform's own API has given the object. All else is what the
Lambda function does: the same normalizer, the same conditional write, the deployed function's own settings. In a dry
run the real ledger runs over a dictionary that is laid over the real table: it reads what is there, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.ledger import Ledger
from conversion_relay.receive import Receiver
from conversion_relay.secrets import NoSecrets
from conversion_relay.settings import Settings
from tools.deployment import CUSTOM_RECEIVER, RECEIVER_OF, Deployment
from tools.dry_run import CannotRun, value_of
from tools.in_memory_dynamodb import InMemoryDynamoDB
from tools.moments import now_ms, written
from tools.sources import SOURCES, receiver_for

SETTLED: Final = frozenset({"recorded", "duplicate", "ignored", "remembered", "compliance"})
"""The outcomes after which a delivery is needed no more."""

TOO_OLD: Final = "stale_event"
"""How every source says that OpenAI would no longer take the event."""
ABOUT: Final = ("ledger key", "value", "happened (UTC)")
"""Headings of what `about` tells."""


class NoReceiver(Exception):
    """This deployment, or this checkout, has nobody who would take the delivery; the text says why."""


@dataclass(frozen=True, slots=True)
class KeptElsewhere:
    """The parking of a delivery that is kept already, in the bucket or by the platform: a second copy helps nobody."""

    def park(self, source: str, delivery: Delivery, reason: str, now_ms: int) -> str:
        """Write nothing."""
        return ""


class Taker:
    """Takes deliveries; unless ``go``, what they write is seen by the ones that follow and by nobody else."""

    def __init__(self, deployment: Deployment, *, go: bool, clock: Callable[[], int] = now_ms) -> None:
        self._deployment = deployment
        self._clock = clock
        self._receivers: dict[str, Receiver] = {}
        real = deployment.client("dynamodb")
        self._client: Any = real if go else InMemoryDynamoDB(beneath=self._in_the_table)

    def take(self, source: str, delivery: Delivery) -> Outcome:
        """What became of a delivery, or would.

        Raises:
            NoReceiver: nobody takes this source's deliveries here.
            CannotRun: the ledger is not available.
        """
        if source not in self._receivers:
            self._receivers[source] = self._receiver(source)
        outcome = self._receivers[source].receive(delivery)
        if outcome.kind == "failed":
            raise CannotRun(f"{outcome.detail.partition(';')[0]}. Run the same command again to go on.")
        return outcome

    def settings(self, source: str) -> Settings:
        """The settings of the function that takes a source's deliveries.

        Raises:
            NoReceiver: the stack does not have it.
        """
        function = RECEIVER_OF.get(source, CUSTOM_RECEIVER)
        if function not in self._deployment.resources:
            raise NoReceiver(f"the stack {self._deployment.stack} has no {function}")
        return self._deployment.settings(function)

    def _receiver(self, source: str) -> Receiver:
        settings = self.settings(source) if source in SOURCES else Settings()
        ledger = Ledger.for_settings(self._client, settings)
        receiver = receiver_for(source, NoSecrets(), ledger, KeptElsewhere(), settings, self._clock)
        if receiver is None:
            raise NoReceiver(f"this checkout knows no source {source}")
        # "retries": what the ledger does not take is tried again, by whoever runs the command once more.
        return replace(receiver, source=replace(receiver.source, verify=lambda *_: None, retries=True))

    def _in_the_table(self, key: str) -> dict[str, Any] | None:
        table = self._deployment.resources["Ledger"]
        held = self._deployment.client("dynamodb").get_item(
            TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True
        )
        item: dict[str, Any] | None = held.get("Item")
        return item


def words(outcome: Outcome) -> str:
    """``recorded``, ``ignored: test_order``, ``duplicate: amended``."""
    if outcome.reason == TOO_OLD:
        return f"{outcome.kind}: over 7 days old"
    return outcome.kind if outcome.reason == outcome.kind else f"{outcome.kind}: {outcome.reason}"


def about(outcome: Outcome) -> tuple[str, str, str]:
    """Ledger key, value and time of what a delivery came to, for a table."""
    if outcome.event is None:
        return outcome.key or "", "", ""
    event = outcome.event.wire()
    return outcome.key or "", value_of(event), written(event["timestamp_ms"])
