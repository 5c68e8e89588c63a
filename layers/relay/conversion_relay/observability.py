"""Logs and metrics, built once for every function. One structured line a delivery, one metric a business fact.

Nothing here ever receives a body, a header, an event's user or any other personal value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Outcome, PrivacyRequest, Source
    from conversion_relay.privacy import CarriedOut
    from conversion_relay.sender import Run

logger: Final = Logger()
metrics: Final = Metrics()

_METRIC: Final = {
    "recorded": "Recorded",
    "duplicate": "Duplicate",
    "ignored": "Ignored",
    "remembered": "Remembered",
    "compliance": "Compliance",
    "parked": "Parked",
    "refused": "Refused",
    "failed": "Failed",
    "handshake": "Ignored",
}


def delivered(source: Source, delivery: Delivery, outcome: Outcome) -> None:
    """The one line and the one metric of a delivery."""
    log = {"parked": logger.error, "failed": logger.error, "refused": logger.warning}.get(outcome.kind, logger.info)
    log(
        outcome.detail,
        extra={
            "source": source.name,
            "delivery": source.delivery_id(delivery),
            "tenant": source.tenant(delivery),
            "outcome": outcome.kind,
            "reason": outcome.reason,
            "key": outcome.key,
            "http": outcome.http,
            "bytes": len(delivery.body),
            **({"also": list(outcome.also)} if outcome.also else {}),
            **({"about": list(outcome.about)} if outcome.about else {}),
            **({"topic": outcome.topic} if outcome.topic else {}),
        },
    )
    metrics.add_metric(_METRIC[outcome.kind], MetricUnit.Count, 1 + len(outcome.also))
    metrics.flush_metrics()


def unaddressed(delivery: Delivery, outcome: Outcome) -> None:
    """The line of what is for no source: by its path, which stays out because it may hold a token, or by its bus."""
    logger.warning(
        outcome.detail,
        extra={"outcome": outcome.kind, "reason": outcome.reason, "http": outcome.http, "bytes": len(delivery.body)},
    )
    metrics.add_metric(_METRIC[outcome.kind], MetricUnit.Count, 1)
    metrics.flush_metrics()


def ran(run: Run) -> None:
    """The line and the metrics of one run of the sender."""
    level = logger.error if run.blocked else logger.warning if run.retry or run.notes or run.rejected else logger.info
    level(
        run.blocked or run.retry or "run finished",
        extra={
            "received": run.received,
            "sent": run.sent,
            "rejected": run.rejected,
            "rejections": dict(run.rejections),
            "expired": run.expired,
            "dead": run.dead,
            "erased": run.erased,
            "waiting": run.waiting,
            "requests": run.requests,
            "notes": run.notes,
        },
    )
    for name, value in {"Sent": run.sent, "Rejected": run.rejected, "Expired": run.expired}.items():
        metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("Blocked", MetricUnit.Count, 1 if run.blocked else 0)
    metrics.add_metric("OldestUnsentSeconds", MetricUnit.Seconds, run.oldest_ms // 1000)
    metrics.flush_metrics()


def carried_out(request: PrivacyRequest, done: CarriedOut) -> None:
    """The line of a privacy request."""
    found = {"items": done.items, "parked": done.parked, "report": done.report}
    if done.report is None:
        logger.info("deleted what was held", extra={"key": request.request_id, **found})
    else:
        logger.warning("hand this report to the merchant within 30 days", extra={"key": request.request_id, **found})
        metrics.add_metric("Compliance", MetricUnit.Count, 1)
        metrics.flush_metrics()
