"""Logs and metrics of the functions behind the ledger, built once for all of them. What receivers log is in `journal`.

Counts are emitted where there is something to count, for a metric is paid for by the hour in which it is written; the
alarms take its absence as good.

Nothing here ever receives an event's user or any other personal value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

if TYPE_CHECKING:
    from conversion_relay.delivery import PrivacyRequest
    from conversion_relay.privacy import CarriedOut
    from conversion_relay.sender import Run

logger: Final = Logger()
metrics: Final = Metrics()


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
            "by_source": {source: dict(ends) for source, ends in run.by_source.items()},
        },
    )
    counts = {"Sent": run.sent, "Rejected": run.rejected, "Expired": run.expired, "Blocked": 1 if run.blocked else 0}
    for name, value in counts.items():
        if value:
            metrics.add_metric(name, MetricUnit.Count, value)
    metrics.add_metric("OldestUnsentSeconds", MetricUnit.Seconds, run.oldest_ms // 1000)
    metrics.flush_metrics()


def carried_out(request: PrivacyRequest, done: CarriedOut) -> None:
    """The line of a privacy request."""
    found = {"items": done.items, "parked": done.parked, "report": done.report}
    if done.report is None:
        logger.info("deleted what was held", extra={"key": request.request_id, **found})
    else:
        logger.warning("hand this report to the merchant within 30 days", extra={"key": request.request_id, **found})
        metrics.add_metric("DataRequests", MetricUnit.Count, 1)
        metrics.flush_metrics()
