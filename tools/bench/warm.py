"""Warm deliveries: what a receiver computes for a delivery once it is running, beside what no receiver can do without.

The whole way of a Function URL's event through the real code, from the event to the answer: signature, normalizing,
the ledger item and its signed request, the line of the log. Left out is the network: requests to AWS are answered
before they are sent. The floor is one HMAC-SHA256 over the same body and parsing it.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from statistics import median
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import parse_qsl

from conversion_relay import wiring
from conversion_relay.aws_json import DynamoDb
from conversion_relay.delivery import Delivery
from conversion_relay.ledger import Ledger
from conversion_relay.parking import Parking
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tools.in_memory import KnownSecrets
from tools.lambda_event import function_url_event
from tools.samples import ORIGIN, sample
from tools.sources import SOURCES

ROUNDS: Final = 15
IN_A_ROUND: Final = 40
DIFFERENT: Final = 8
WARMING: Final = 400
"""Deliveries before the first round: until then the interpreter still adapts itself to the code."""
MOST: Final = 8.0
"""The ratio that is aimed at for a typical order, at most."""
TYPICAL: Final = {
    "shopify": "shopify/orders/create",
    "stripe": "stripe/checkout.session.completed",
    "callrail": "callrail/post_call",
    "ctm": "ctm/end",
    "whatconverts": "whatconverts/phone_call",
    "twilio": "twilio/completed",
    "aircall": "aircall/call.ended",
}
"""A delivery of each source that is recorded."""
ORDERS: Final = ("shopify",)
"""Those of them that are a typical order, which the aim is for."""
SECRET: Final = "a signing secret of this benchmark"
VARIABLES: Final = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "POWERTOOLS_SERVICE_NAME": "bench",
    "POWERTOOLS_METRICS_NAMESPACE": "ConversionRelay",
}


class Unsent(DynamoDb):
    """A DynamoDB client that signs its requests and is told at once that all is well."""

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        return 200, b"{}"


class NothingParked:
    """A bucket that nothing may be put into: a delivery that is parked would be no typical one."""

    def put_object(self, **request: Any) -> Any:
        raise AssertionError("a delivery of the benchmark was parked")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Lines of the log go where nobody reads them, by a write each all the same."""
    with patch.dict(os.environ, VARIABLES), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # noqa: PTH123
        yield


def receivers(source: str) -> tuple[Mapping[str, Receiver], Settings]:
    """The receiver of a source as its function has it, but for the network."""
    settings = Settings(ledger_table="bench", storefront_origin="https://northwind-trail.example", public_origin=ORIGIN)
    receiver = Receiver(
        source=SOURCES[source],
        secrets=KnownSecrets([SECRET]),
        ledger=Ledger.for_settings(Unsent(wiring.PATIENCE), settings),
        parking=Parking(NothingParked(), "bench"),
        settings=settings,
        clock=lambda: time.time_ns() // 1_000_000,
    )
    return {source: receiver}, settings


def floor_of(delivery: Delivery) -> Callable[[], object]:
    """The least that can be done with a delivery."""
    form = "json" not in delivery.headers.get("content-type", "json")

    def work() -> object:
        hmac.digest(SECRET.encode(), delivery.body, "sha256")
        return parse_qsl(delivery.body.decode()) if form else json.loads(delivery.body)

    return work


def cpu_s(work: Callable[[], object], times: int) -> float:
    """Seconds of CPU for one of them."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


@dataclass(frozen=True)
class Measured:
    """CPU seconds for a delivery, and for its floor: medians of rounds in turns. ``ratio`` is the median of the ratios
    of each round: a machine that is slower for a while is so for both.
    """

    delivery_s: float
    floor_s: float
    ratio: float
    body_bytes: int


def measured(source: str, rounds: int = ROUNDS) -> Measured:
    """Deliveries of a source."""
    deliveries = [sample(TYPICAL[source]).delivery(SECRET, datetime.now(UTC), new=True) for _ in range(DIFFERENT)]
    with quiet():
        known, settings = receivers(source)
        events = cycle([function_url_event(each) for each in deliveries])  # no two after one another are the same
        answer = json.loads(wiring.take(next(events), known, settings)["body"])
        if answer["outcome"] != "recorded":
            raise AssertionError(f"{TYPICAL[source]} is {answer}")
        floors = cycle([floor_of(each) for each in deliveries])

        def work() -> object:
            return wiring.take(next(events), known, settings)

        def floor() -> object:
            return next(floors)()

        cpu_s(work, WARMING)
        cpu_s(floor, WARMING)
        pairs = [(cpu_s(work, IN_A_ROUND), cpu_s(floor, IN_A_ROUND * 5)) for _ in range(rounds)]
    return Measured(
        delivery_s=median(each for each, _ in pairs),
        floor_s=median(each for _, each in pairs),
        ratio=median(each / floor for each, floor in pairs),
        body_bytes=len(deliveries[0].body),
    )


def growth(source: str, numbers: Sequence[int]) -> dict[int, float]:
    """CPU seconds for so many deliveries, one after the other, each of another conversion."""
    made = [sample(TYPICAL[source]).delivery(SECRET, datetime.now(UTC), new=True) for _ in range(DIFFERENT)]
    with quiet():
        known, settings = receivers(source)
        events = cycle([function_url_event(each) for each in made])
        wiring.take(next(events), known, settings)

        def work() -> object:
            return wiring.take(next(events), known, settings)

        return {number: number * cpu_s(work, number) for number in numbers}
