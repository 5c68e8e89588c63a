"""The journal: one line of JSON for each delivery, which is its log line and its metric at once.

Each line is a record in CloudWatch's embedded metric format, where the outcome has a metric, so that its bytes are
written and paid for once. It is written past the logger: no log level may filter a metric away, and nothing of a logger
has to be loaded before a webhook is answered.

Nothing here ever receives a body, a header, an event's user or any other personal value.

Source: Amazon CloudWatch User Guide, Specification: Embedded metric format.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.event import match_keys

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Outcome, Source

_METRIC: Final = {
    "recorded": "Recorded",
    "ignored": "Ignored",
    "handshake": "Ignored",
    "parked": "Parked",
    "refused": "Refused",
}
"""Each is paid for by the hour, so outcomes that nobody is woken by have their line only."""
_LEVEL: Final = {"parked": "ERROR", "failed": "ERROR", "refused": "WARNING"}


def delivered(source: Source, delivery: Delivery, outcome: Outcome) -> None:
    """The line of a delivery, and its metric."""
    _write(
        outcome,
        {
            "source": source.name,
            "delivery": source.delivery_id(delivery),
            "tenant": source.tenant(delivery),
            "topic": outcome.topic,
            "outcome": outcome.kind,
            "reason": outcome.reason,
            "key": outcome.key,
            "also": outcome.also,
            "about": outcome.about,
            "match": _match_keys(outcome),
            "http": outcome.http,
            "bytes": len(delivery.body),
        },
    )


def unaddressed(delivery: Delivery, outcome: Outcome) -> None:
    """The line of what is for no source: without its path, which may hold a token."""
    _write(
        outcome,
        {"outcome": outcome.kind, "reason": outcome.reason, "http": outcome.http, "bytes": len(delivery.body)},
    )


def _match_keys(outcome: Outcome) -> str | None:
    """By what the recorded event can be matched: for the share of each among all conversions."""
    event = outcome.event
    return None if event is None else " ".join(match_keys(event.user, event.oppref))


def _write(outcome: Outcome, fields: Mapping[str, Any]) -> None:
    line = {"level": _LEVEL.get(outcome.kind, "INFO"), "message": outcome.detail}
    line |= {name: value for name, value in fields.items() if value is not None and value != ()}
    if metric := _METRIC.get(outcome.kind):
        line |= counted(metric, 1 + len(outcome.also))
    sys.stdout.write(_ENCODER.encode(line) + "\n")  # in one piece: threads of a test may write at the same time
    sys.stdout.flush()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=list)


def counted(metric: str, value: int) -> dict[str, Any]:
    """What makes a line count: the metric's value and the directive to read it. The one dimension is the stack."""
    directive = {
        "Namespace": os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "ConversionRelay"),
        "Dimensions": [["service"]],
        "Metrics": [{"Name": metric, "Unit": "Count"}],
    }
    return {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]},
        "service": os.environ.get("POWERTOOLS_SERVICE_NAME", "relay"),
        metric: value,
    }
