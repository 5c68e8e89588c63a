"""What other designs would cost: the same measured numbers and the same prices, one thing changed at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tools import traffic
from tools.cost.bill import Bill, Billing, Design, Line
from tools.cost.choices import Choices
from tools.cost.measure import Measured

SMALLER_MB: Final = 256
LARGER_MB: Final = 512
WINDOWS_S: Final = (0.0, 30.0, 60.0, 120.0, 300.0)
"""Batching windows of the outbox that are compared; AWS takes up to 300 s."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A design, and what a month of it comes to."""

    name: str
    bill: Bill


def _http_api(billing: Billing) -> Iterable[Line]:
    yield Line("variable", "HTTP API: requests", "http_api", billing.conversions)


def _two_stores(billing: Billing) -> Iterable[Line]:
    # Before: claim the id. After: note that it is done. Both are writes of a small item. Then one SendMessage.
    yield Line("variable", "DynamoDB: idempotency items", "dynamodb_write", 2 * billing.conversions)
    yield Line("variable", "SQS: one SendMessage each", "sqs_requests", billing.conversions)


def _secrets_manager(billing: Billing) -> Iterable[Line]:
    secrets = len(traffic.sources()) + 1
    yield Line("fixed", "Secrets Manager: secrets", "secrets_manager", secrets)
    yield Line("fixed", "Secrets Manager: calls", "secrets_manager_calls", billing.secret_reads())


DESIGNS: Final[Mapping[str, Design]] = {
    f"memory of every function {SMALLER_MB} MB": Design(memory_mb=SMALLER_MB),
    f"memory of every function {LARGER_MB} MB": Design(memory_mb=LARGER_MB),
    "x86_64 in place of arm64": Design(architecture="x86_64"),
    **{f"batching window of the outbox {window:g} s": Design(window_s=window) for window in WINDOWS_S},
    "a sender that asks for no more after a receive in vain": Design(stops_early=True),
    "a sender that asks how many messages there are first": Design(asks_first=True),
    "ledger items with the event as JSON, not compressed": Design(plain_items=True),
    "no lines of Lambda's own in the logs": Design(system_lines=False),
    "START, END and REPORT in the logs": Design(system_lines=True),
    f"{SMALLER_MB} MB, {WINDOWS_S[-1]:g} s of batching, no lines of Lambda's, such a sender": Design(
        memory_mb=SMALLER_MB, window_s=WINDOWS_S[-1], system_lines=False, asks_first=True
    ),
    "an HTTP API before the functions": Design(added=_http_api),
    "idempotency table (two writes), then SendMessage; no outbox": Design(added=_two_stores, without_outbox=True),
    "a function for each event, one request to OpenAI each": Design(one_by_one=True),
    "Secrets Manager in place of the Parameter Store": Design(added=_secrets_manager),
    "metrics by source": Design(metrics_times=len(traffic.sources())),
}


def compared(choices: Choices, measured: Measured, conversions: float) -> list[Compared]:
    """Every design."""
    return [Compared(name, Billing(choices, measured, conversions, design).bill()) for name, design in DESIGNS.items()]
