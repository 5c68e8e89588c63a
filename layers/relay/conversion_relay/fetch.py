"""Fetching what a thin event names, and taking it the way of a webhook: normalize, record, say what became of it.

::

    item to_fetch ─▶ stream ─▶ outbox ─▶ queue ─▶ GET from Stripe ─▶ recorded, ignored … ─▶ item fetched ─▶ message gone
                                                      │                     │                   └ crash: all of it again
                                                      │                     └ crash: again, a duplicate
                                                      └ no answer: the message comes again, for 7 days

Every step may be done twice: the conversion has the same key whatever brings it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from conversion_relay.receive import LedgerPort as ReceiverLedgerPort
from conversion_relay.receive import ParkingPort, Receiver
from conversion_relay.secrets import NoSecrets
from conversion_relay.sources import stripe
from conversion_relay.sources.stripe import thin

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Outcome
    from conversion_relay.ledger import Settled
    from conversion_relay.settings import Settings

SOURCE: Final = replace(stripe.SOURCE, verify=lambda *_: None)
"""Stripe, for what Stripe's API itself has given: the signature was that of the thin event, checked on arrival."""


class NotRecorded(Exception):
    """The fetched object could not be recorded. SQS hands the message out again."""


class LedgerPort(ReceiverLedgerPort, Protocol):
    """What fetching needs of the ledger."""

    def settle(self, key: str, status: Settled, reason: str, now_ms: int) -> None: ...


class ApiPort(Protocol):
    """What fetching needs of the platform's API."""

    def get(self, path: str, account: str | None) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Everything that fetching needs. ``report`` writes the line and the metric of a delivery."""

    api: ApiPort
    ledger: LedgerPort
    parking: ParkingPort
    settings: Settings
    clock: Callable[[], int]
    report: Callable[[Delivery, Outcome], None]

    def fetch(self, message: str) -> Outcome:
        """Fetch what a message of the outbox names, and record what it says.

        Raises:
            KeyRefused, NotAnswered: Stripe gave no object.
            NotRecorded: the ledger or the parking bucket is not available.
            LedgerUnavailable: what became of it could not be written down.
        """
        facts: Mapping[str, Any] = json.loads(message)
        delivery = thin.snapshot(facts, self.api.get(facts["path"], facts.get("account")))
        outcome = self._receiver().receive(delivery)
        self.report(delivery, outcome)
        if outcome.kind == "failed":
            raise NotRecorded(outcome.detail)
        end = f"{outcome.kind}: {outcome.reason} {outcome.key or ''}".strip()
        self.ledger.settle(f"fetch#{stripe.NAME}:{facts['id']}", "fetched", end, self.clock())
        return outcome

    def _receiver(self) -> Receiver:
        return Receiver(SOURCE, NoSecrets(), self.ledger, self.parking, self.settings, self.clock)
