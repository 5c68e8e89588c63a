"""The journal: one line of JSON for each delivery, which is its log line and its metric at once.

Where the outcome has a metric the line is a record in CloudWatch's embedded metric format too, so that its bytes are
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

if TYPE_CHECKING:
    from conversion_relay.click_endpoint import Answer
    from conversion_relay.delivery import Delivery, Outcome, Source

_METRIC: Final = {"ignored": "Ignored", "handshake": "Ignored", "parked": "Parked", "refused": "Refused"}
"""Each is paid for by the hour, so outcomes that nobody is woken by have their line only. What was recorded the outbox
counts, for many conversions at once; in shadow mode it hears of none, and they are counted here.
"""
_LEVEL: Final = {"parked": "ERROR", "failed": "ERROR", "refused": "WARNING"}
PLAIN: Final = {"recorded": "a new conversion", "duplicate": "this conversion is recorded already"}
"""What the usual outcomes mean. Nearly every line is of these, so the words and all else that goes without saying stay
out of it: level INFO, status 200, a reason that is the outcome's own name, and the tenant, which the ledger item has.
"""


def delivered(source: Source, delivery: Delivery, outcome: Outcome) -> None:
    """The line of a delivery, and its metric."""
    subject = (outcome.key or "").partition("#")[2]
    is_plain = outcome.reason == outcome.kind and outcome.kind in PLAIN
    _write(
        outcome,
        {
            "source": source.name,
            "delivery": source.delivery_id(delivery),
            "tenant": None if is_plain else source.tenant(delivery),
            "topic": outcome.topic,
            "outcome": outcome.kind,
            "reason": outcome.reason if outcome.reason != outcome.kind else None,
            "key": outcome.key,
            "also": outcome.also,
            "about": tuple(each for each in outcome.about if each != subject),
            "match": _match_keys(outcome),
            "http": outcome.http if outcome.http != 200 else None,
            "bytes": None if is_plain else len(delivery.body),
        },
    )


def unaddressed(delivery: Delivery, outcome: Outcome) -> None:
    """The line of what is for no source: without its path, which may hold a token."""
    _write(
        outcome,
        {"outcome": outcome.kind, "reason": outcome.reason, "http": outcome.http, "bytes": len(delivery.body)},
    )


def clicked(answer: Answer, size: int) -> None:
    """The line of what a page has posted to the click memory; ``size`` in bytes. Nothing that was posted is in it."""
    line: dict[str, Any] = {"source": "click", "outcome": answer.kind, "http": answer.status, "bytes": size}
    if answer.kind in _LEVEL:
        line = {"level": _LEVEL[answer.kind], "message": answer.detail, **line, "reason": answer.reason}
    _print(line | counted("Refused", 1) if answer.kind == "refused" else line)


def forwarded(conversions: int, fetches: int) -> None:
    """The line of a batch that the outbox has put on its queues."""
    line: dict[str, Any] = {"message": "forwarded to the queue"}
    if fetches:
        line["fetches"] = fetches
    _print(line | counted("Recorded", conversions) if conversions else line)


def _match_keys(outcome: Outcome) -> str | None:
    """By what the recorded event can be matched: for the share of each among all conversions."""
    event = outcome.event
    if event is None:
        return None
    from conversion_relay.event import match_keys  # the click memory, which writes here too, never loads the models

    return " ".join(match_keys(event.user, event.oppref))


def _write(outcome: Outcome, fields: Mapping[str, Any]) -> None:
    line: dict[str, Any] = {}
    if outcome.kind in _LEVEL:
        line["level"] = _LEVEL[outcome.kind]
    if outcome.detail != PLAIN.get(outcome.kind):
        line["message"] = outcome.detail
    line |= {name: value for name, value in fields.items() if value is not None and value != ()}
    metric = _METRIC.get(outcome.kind)
    if outcome.kind == "recorded" and os.environ.get("DELIVERY_MODE") == "shadow":
        metric = "Recorded"
    _print(line | counted(metric, 1 + len(outcome.also)) if metric else line)


def _print(line: Mapping[str, Any]) -> None:
    sys.stdout.write(_ENCODER.encode(line) + "\n")  # in one piece: threads of a test may write at the same time
    sys.stdout.flush()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=list)


def counted(metric: str, value: int) -> dict[str, Any]:
    """What makes a line count: the metric's value and the directive to read it. The one dimension is the stack."""
    directive = {
        "Namespace": os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "ConversionRelay"),
        "Dimensions": [["service"]],
        "Metrics": [{"Name": metric}],
    }
    return {
        "_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]},
        "service": os.environ.get("POWERTOOLS_SERVICE_NAME", "relay"),
        metric: value,
    }
