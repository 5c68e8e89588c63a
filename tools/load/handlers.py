"""What one core of this machine gets through: the same deliveries through the real handlers, in this process.

From the event of a Function URL to its answer: verify, normalize, record, log. The ledger is the real one over a
DynamoDB in memory, so what is left out is the network and the client of AWS.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conversion_relay.ledger import Ledger
from conversion_relay.settings import Settings
from tools.in_memory import InMemoryParking, KnownSecrets
from tools.in_memory_dynamodb import InMemoryDynamoDB
from tools.lambda_event import function_url_event
from tools.sources import receiver_for
from tools.traffic import Told

ENVIRONMENT: Final = {"POWERTOOLS_SERVICE_NAME": "load", "POWERTOOLS_METRICS_NAMESPACE": "ConversionRelay"}
"""What the functions' code wants to have there as soon as it is imported."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """So many deliveries took so much CPU time. ``outcomes``: what they came to."""

    deliveries: int
    cpu_s: float
    outcomes: Mapping[str, int]

    @property
    def per_second(self) -> float:
        """Deliveries that one core handles in a second."""
        return self.deliveries / self.cpu_s


def throughput(told: Sequence[Told], secrets: Mapping[str, str]) -> Throughput:
    """Handle each delivery once, one after the other."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from conversion_relay import wiring  # its logger reads the environment as it is imported

    settings = Settings.from_environment({"STOREFRONT_ORIGIN": "https://northwind-trail.example"})
    client: Any = InMemoryDynamoDB()
    ledger = Ledger(client, "ledger", ttl_days=settings.ledger_ttl_days)
    receivers = {}
    for source in dict.fromkeys(each.source for each in told):
        receiver = receiver_for(
            source, KnownSecrets([secrets[source]]), ledger, InMemoryParking(), settings,
            lambda: time.time_ns() // 1_000_000,
        )  # fmt: skip
        if receiver is not None:
            receivers[source] = {source: receiver}
    events = [(each.source, function_url_event(each.delivery)) for each in told]
    outcomes: Counter[str] = Counter()
    with _log_to(os.devnull):
        wiring.take(events[0][1], receivers[events[0][0]], settings)  # what is imported late is there now
        began = time.process_time()
        answers = [wiring.take(event, receivers[source], settings) for source, event in events]
        cpu_s = time.process_time() - began
    outcomes.update(str(each["statusCode"]) for each in answers)
    return Throughput(len(answers), cpu_s, outcomes)


@contextlib.contextmanager
def _log_to(path: str) -> Any:
    """Have everything that goes to standard output go there: the log of a function is its standard output."""
    import sys

    sys.stdout.flush()
    kept = os.dup(1)
    with Path(path).open("w") as sink:
        os.dup2(sink.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
