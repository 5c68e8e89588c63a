"""Deliveries of the call platforms for the tests: samples with fields replaced, signed anew, and the receiver."""

import json
from datetime import UTC, datetime
from typing import Any

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.samples import ORIGIN, STYLES, WRITTEN_AT, sample
from tools.samples.style import Writing
from tools.sources import SOURCES

NOW = WRITTEN_AT
NOW_MS = int(NOW.timestamp() * 1000)
SECRET = "a secret of the tests"
OPPREF = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"
ABSENT = object()
"""In the place of a value: the field is not there."""
CALL = {
    "callrail": "callrail/post_call",
    "ctm": "ctm/end",
    "whatconverts": "whatconverts/phone_call",
    "twilio": "twilio/completed",
}
"""A call of each platform that is a lead."""


def payload(name: str, **fields: Any) -> dict[str, Any]:
    """A sample's payload with fields replaced; ``ABSENT`` takes one away."""
    changed = {**sample(name).payload, **fields}
    return {field: value for field, value in changed.items() if value is not ABSENT}


def delivery(name: str, secret: str = SECRET, now: datetime = NOW, **fields: Any) -> Delivery:
    chosen = sample(name)
    writing = Writing(chosen.topic, payload(name, **fields), secret, now, None, f"{ORIGIN}/{chosen.source}")
    return STYLES[chosen.source].written(writing)


def received(
    name: str, fields: dict[str, Any] | None = None, ledger: InMemoryLedger | None = None, **settings: Any
) -> Outcome:
    """What becomes of a sample with fields replaced."""
    return take(delivery(name, **(fields or {})), name.partition("/")[0], ledger, **settings)


def take(given: Delivery, source: str, ledger: InMemoryLedger | None = None, **settings: Any) -> Outcome:
    return Receiver(
        SOURCES[source],
        KnownSecrets([SECRET]),
        InMemoryLedger() if ledger is None else ledger,
        InMemoryParking(),
        Settings(**settings),
        lambda: NOW_MS,
    ).receive(given)


def word(name: str, fields: dict[str, Any] | None = None, **settings: Any) -> str:
    """The event's type where there is one, else the reason why not."""
    outcome = received(name, fields, **settings)
    return outcome.event.type if outcome.event else outcome.reason


def wire(name: str, fields: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """The event as it would go out."""
    outcome = received(name, fields, **settings)
    assert outcome.event is not None, outcome
    event: dict[str, Any] = json.loads(outcome.event.to_json())
    return event


def at(seconds: float) -> str:
    """So many seconds before now, in ISO 8601."""
    return datetime.fromtimestamp(NOW.timestamp() - seconds, UTC).isoformat()
