"""What a trial does, from its seed: the deliveries, and the faults by how far the posting has got.

Faults are planned by progress (0 to 1 of the deliveries posted), not by the clock, so that a plan is the same on every
machine and shrinks with the number of deliveries. Which call a probability hits is chance all the same: the processes
run at the same time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, Final, Literal

from conversion_relay.delivery import Delivery
from conversion_relay.sources import callrail, shopify, stripe
from tools.samples import STYLES, WRITTEN_AT, Sample, sample
from tools.samples.callrail import as_json as callrail_json
from tools.samples.shopify import as_json as shopify_json
from tools.samples.stripe import as_json as stripe_json

Kind = Literal["new", "again", "twin", "forged", "not_understood"]
"""``new``: a conversion's first delivery; ``again``: the same bytes once more; ``twin``: another topic of the order;
``forged``: signed with another secret; ``not_understood``: signed, but only half a body.
"""


# Deliveries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Posting:
    """One delivery of the plan. ``subject`` numbers the order, session or call that it is about, from 0."""

    number: int
    source: str
    kind: Kind
    subject: int

    @property
    def key(self) -> tuple[str, str]:
        """Type and id of the conversion that it tells of."""
        return _TYPES[self.source], f"{self.source}:{_object_id(self.source, self.subject)}"

    @property
    def amount(self) -> int | None:
        """What the conversion is worth in minor units, another for each order: calls have no value."""
        return None if self.source == "callrail" else _amount(self.subject)

    @property
    def genuine(self) -> bool:
        """Whether it tells of a conversion that has to be counted."""
        return self.kind in ("new", "again", "twin")


_TYPES: Final = {"shopify": "order_created", "stripe": "order_created", "callrail": "lead_created"}
_SAMPLES: Final = {
    "shopify": "shopify/orders/create",
    "stripe": "stripe/checkout.session.completed",
    "callrail": "callrail/post_call",
}
_MIX: Final[Mapping[tuple[str, Kind], int]] = {
    ("shopify", "new"): 600,
    ("shopify", "twin"): 120,
    ("shopify", "again"): 100,
    ("shopify", "forged"): 4,
    ("shopify", "not_understood"): 6,
    ("stripe", "new"): 75,
    ("stripe", "again"): 25,
    ("stripe", "forged"): 2,
    ("callrail", "new"): 60,
    ("callrail", "forged"): 2,
    ("callrail", "not_understood"): 6,
}
"""Deliveries per mille by source and kind."""


def postings(seed: int, deliveries: int) -> list[Posting]:
    """The deliveries in the order in which they are first posted; every kind is among the first few dozen."""
    random = Random(f"{seed} deliveries")
    planned: list[Posting] = []
    subjects: dict[str, list[int]] = {source: [] for source in _TYPES}
    opening = [each for each in _MIX if each[1] != "new"]
    random.shuffle(opening)
    opening = [(source, "new") for source in _TYPES] + opening
    for number in range(deliveries):
        source, kind = opening[number] if number < len(opening) else _drawn(random)
        if kind in ("again", "twin"):
            # Mostly soon after the first one, as retries and twins come; now and then much later.
            known = subjects[source]
            subject = random.choice(known[-20:] if random.random() < 0.8 else known)
        else:
            subject = number
        if kind == "new":
            subjects[source].append(subject)
        planned.append(Posting(number, source, kind, subject))
    return planned


def _drawn(random: Random) -> tuple[str, Kind]:
    return random.choices(list(_MIX), list(_MIX.values()))[0]


def delivery(posting: Posting, secrets: Mapping[str, str], started: datetime, now: datetime) -> Delivery:
    """The signed request. The same posting gives the same bytes, but for Stripe's signature, which holds the time.

    Args:
        posting: what is delivered.
        secrets: that sign, by source.
        started: when the trial began, UTC: all purchases were made shortly before.
        now: when it is posted, UTC.
    """
    payload = _payload(posting, started)
    body = _BODIES[posting.source](payload)
    if posting.kind == "not_understood":
        body = body[: len(body) // 2]
    secret = "another secret" if posting.kind == "forged" else secrets[posting.source]
    made = _written(posting.source, started)
    # A resend has all headers of the first one; a twin is a delivery of its own.
    of = f"{posting.subject:012}-{'twin' if posting.kind == 'twin' else 'first'}"
    match posting.source:
        case "shopify":
            changed = {
                "x-shopify-topic": "orders/paid" if posting.kind == "twin" else "orders/create",
                "x-shopify-hmac-sha256": shopify.sign(body, secret),
                "x-shopify-webhook-id": f"webhook-{of}",
                "x-shopify-event-id": f"event-{of}",
            }
        case "stripe":
            changed = {"stripe-signature": stripe.sign(body, secret, int(now.timestamp()))}
        case _:
            changed = {"signature": callrail.sign(body, secret)}
    return replace(made, body=body, headers={**made.headers, **changed})


_BODIES: Final[Mapping[str, Any]] = {"shopify": shopify_json, "stripe": stripe_json, "callrail": callrail_json}


@functools.cache
def _sample(source: str) -> Sample:
    return sample(_SAMPLES[source])


@functools.lru_cache(maxsize=8)
def _written(source: str, started: datetime) -> Delivery:
    return _sample(source).delivery("replaced", started)


def _payload(posting: Posting, started: datetime) -> dict[str, Any]:
    payload: dict[str, Any] = STYLES[posting.source].moved(_sample(posting.source).payload, started - WRITTEN_AT)
    object_id = _object_id(posting.source, posting.subject)
    amount = _amount(posting.subject)
    match posting.source:
        case "shopify":
            price = f"{amount // 100}.{amount % 100:02}"
            money = {"amount": price, "currency_code": "USD"}
            return payload | {
                "id": int(object_id),
                "admin_graphql_api_id": None,
                "total_price": price,
                "total_price_set": {"shop_money": money, "presentment_money": money},
            }
        case "stripe":
            session = payload["data"]["object"] | {"id": object_id, "amount_total": amount}
            metadata = {name: value for name, value in session["metadata"].items() if name != "openai_event_id"}
            return payload | {"id": f"evt_{posting.subject:012}", "data": {"object": session | {"metadata": metadata}}}
        case _:
            return payload | {"resource_id": object_id}


def _object_id(source: str, subject: int) -> str:
    match source:
        case "shopify":
            return str(7_100_000_000_000 + subject)
        case "stripe":
            return f"cs_live_{subject:012}"
        case _:
            return f"CAL{subject:032}"


def _amount(subject: int) -> int:
    return 1_000 + subject


# Faults --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A fault that holds while the progress is between two points: microburst's ``rules``, the stand-in's ``keys``."""

    begins: float
    ends: float
    name: str
    rules: Sequence[Mapping[str, Any]] = ()
    keys: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Strike:
    """All processes of a function are killed at this progress."""

    at: float
    function: str


@dataclass(frozen=True, slots=True)
class Faults:
    """Everything that goes wrong. ``openai``: for each request to it, in order, its name and the stand-in's rule."""

    windows: Sequence[Window]
    strikes: Sequence[Strike]
    openai: Sequence[tuple[str, Mapping[str, Any]]]


FUNCTIONS: Final = ("ShopifyReceiver", "StripeReceiver", "CallsReceiver", "Outbox", "Sender")
"""The functions on the way of a conversion, by logical id."""
_STRIKES: Final = dict(zip(FUNCTIONS, (4, 2, 2, 6, 6), strict=True))
"""How often each is killed, in proportion: most where most is under way at once."""
CALM: Final = "none"
_REQUESTS_PLANNED: Final = 5_000

_LOST_REPLY: Final = {"abort_bytes": 0}
_AWS: Final[Sequence[tuple[str, float, Mapping[str, Any]]]] = (
    # name, longest share of the run in percent, microburst rule with the highest probability
    ("DynamoDB throttles", 5, {"error": {"code": "ProvisionedThroughputExceededException"}, "probability": 0.5}),
    ("DynamoDB errors", 5, {"error": {"code": "InternalServerError", "status": 500}, "probability": 0.4}),
    ("DynamoDB slow", 5, {"latency": {"min": 50, "max": 600}, "probability": 0.3}),
    # Longer than the 3 s that a receiver waits: it has given up when the write arrives, and arrives it does.
    ("DynamoDB late", 3, {"latency": {"min": 3300, "max": 4000}, "probability": 0.05}),
    ("DynamoDB resets", 6, {"reset": True, "probability": 0.3}),
    # Done, but nobody hears of it: the retry of the SDK meets its own write.
    ("DynamoDB lost replies", 8, {"response": _LOST_REPLY, "probability": 0.3}),
    # Not RequestThrottled: microburst's form of it is not one that the SDK retries.
    ("SQS errors", 8, {"error": {"code": "ServiceUnavailable", "status": 503}, "probability": 0.6}),
    ("SQS slow", 8, {"latency": {"min": 50, "max": 800}, "probability": 0.5}),
    ("SQS resets", 8, {"reset": True, "probability": 0.6}),
    ("SQS lost replies", 8, {"response": _LOST_REPLY, "probability": 0.4}),
    ("S3 errors", 15, {"error": {"code": "InternalError", "status": 500}, "probability": 1.0}),
    ("S3 throttles", 15, {"error": {"code": "SlowDown", "status": 503}, "probability": 0.8}),
    ("SSM errors", 5, {"error": {"code": "InternalServerError", "status": 500}, "probability": 0.6}),
)
_OPENAI: Final[Sequence[tuple[str, int, Mapping[str, Any]]]] = (
    # name, weight, rule of the stand-in
    (CALM, 12, {}),
    ("dropped before the batch was taken", 2, {"drop": "before"}),
    ("dropped after the batch was taken", 4, {"drop": "after"}),
    ("answered late", 2, {"delay_seconds": 1.5}),
    ("429 with Retry-After", 2, {"status": 429, "retry_after": "1"}),
    ("500", 1, {"status": 500, "body": "text"}),
    ("503", 1, {"status": 503, "body": "none"}),
    ("wrong count", 2, {"accepted_events": 0}),
)


def faults(seed: int, deliveries: int, key: str) -> Faults:
    """The faults for so many deliveries. ``key``: the Conversions key that the stand-in knows."""
    random = Random(f"{seed} faults")
    return Faults(
        windows=sorted(_windows(random, deliveries, key), key=lambda window: window.begins),
        strikes=sorted(_strikes(random, deliveries), key=lambda strike: strike.at),
        openai=[_for_request(random) for _ in range(_REQUESTS_PLANNED)],
    )


def _windows(random: Random, deliveries: int, key: str) -> Iterator[Window]:
    kinds: list[tuple[str, float, Mapping[str, Any]]] = []
    for _ in range(max(7, deliveries // 190)):
        kinds = kinds or random.sample(_AWS, len(_AWS))  # every kind once, then every kind again
        name, longest, rule = kinds.pop()
        begins = random.uniform(0, 0.9)
        ends = begins + random.uniform(longest / 2, longest) / 100
        probability = rule["probability"] * random.uniform(0.5, 1)
        service = name.partition(" ")[0].lower()
        yield Window(begins, ends, name, [{**rule, "service": service, "probability": round(probability, 3)}])
    # At OpenAI one after the other, so that neither hides the other.
    rounds = max(1, deliveries // 2_500)
    for number in range(rounds):
        begins = (number + random.uniform(0.1, 0.3)) / rounds * 0.9
        yield Window(begins, begins + 0.02, "key revoked", keys={})
        begins = (number + random.uniform(0.6, 0.8)) / rounds * 0.9
        yield Window(begins, begins + 0.02, "wrong pixel", keys={key: {"scope": True, "pixels": ["another pixel"]}})


def _strikes(random: Random, deliveries: int) -> Iterator[Strike]:
    struck = [*FUNCTIONS, *random.choices(list(_STRIKES), list(_STRIKES.values()), k=deliveries // 150)]
    return (Strike(random.uniform(0.02, 0.98), function) for function in struck)


def _for_request(random: Random) -> tuple[str, Mapping[str, Any]]:
    name, _, rule = random.choices(_OPENAI, [weight for _, weight, _ in _OPENAI])[0]
    return name, rule
