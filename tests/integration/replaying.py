"""What the tests of ``relay replay`` and ``relay backfill`` do: run the command on the deployed stack, and look."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.parking import Parking
from tests.integration.stack import SECRETS, items, parked, queue_depth
from tools import cli, deployment
from tools.local_aws import Stack
from tools.samples import ORIGIN, STYLES, WRITTEN_AT, sample
from tools.samples.style import Writing


@dataclass(frozen=True)
class Ran:
    """A command that has run: its exit status and what it printed."""

    status: int
    out: str
    err: str

    def __contains__(self, text: str) -> bool:
        """Whether it printed the text, wherever the terminal broke the line."""
        return text in " ".join(self.out.split())


Relay = Callable[..., Ran]


def command(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Relay:
    """The ``relay`` command, as it runs beside ``make up``, on this stack."""
    running = folder / "running.json"
    running.write_text(
        json.dumps({"aws": {"endpoint": stack.aws.endpoint, "region": "us-east-1", "stack": stack.name}})
    )
    monkeypatch.setattr(deployment, "RUNNING", running)
    monkeypatch.delenv(deployment.STACK_VARIABLE, raising=False)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        status = cli.main(arguments)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run


def everything(stack: Stack) -> Any:
    """All that a dry run must leave as it is."""
    queues = {name: queue_depth(stack, name, delayed=True) for name in ("Queue", "DeadLetterQueue", "OutboxFailures")}
    return items(stack), parked(stack), queues


def fresh(name: str, now: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """A sample's payload, moved to the present, with other fields."""
    chosen = sample(name)
    moved: dict[str, Any] = STYLES[chosen.source].moved(chosen.payload, (now or datetime.now(UTC)) - WRITTEN_AT)
    return moved | fields


def delivery(source: str, topic: str, payload: dict[str, Any], signed_at: datetime | None = None) -> Delivery:
    """A payload as its platform sends it."""
    now = signed_at or datetime.now(UTC)
    return STYLES[source].written(Writing(topic, payload, SECRETS[source][0], now, None, f"{ORIGIN}/{source}"))


def park(stack: Stack, source: str, what: Delivery, reason: str, ago: timedelta = timedelta(), folder: str = "") -> str:
    """A delivery in the parking bucket, as the receiver puts it there; its key."""
    parking = Parking(stack.client("s3"), stack.resources["ParkingBucket"], folder)
    return parking.park(source, what, reason, int((time.time() - ago.total_seconds()) * 1000))
