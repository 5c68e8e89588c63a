"""Killing the outbox or the sender at any moment and running on loses nothing, and OpenAI counts nothing twice."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.stack import counted, environment, items, post_order, queue_depth, statuses, until
from tools.lambda_event import stream_event
from tools.local_aws import Stack
from tools.stand_in import StandIn

ROOT = Path(__file__).parent.parent.parent
ORDERS = 3

SENDER_MOMENTS = [
    (call, number, moment)
    for call, number in (
        ("ReceiveMessage", 1),
        ("POST", 1),
        ("UpdateItem", 1),
        ("UpdateItem", ORDERS),
        ("DeleteMessageBatch", 1),
    )
    for moment in ("before", "after")
]


def run_and_die(stack: Stack, function: str, logical_id: str, moment: tuple[str, int, str], event: Any) -> int:
    """Run a handler in a process of its own that dies at the moment; its exit status."""
    call, number, when = moment
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.crashing", function, call, str(number), when],
        input=json.dumps(event).encode(),
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'layers' / 'relay'}",
            **environment(stack, logical_id),
        },
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=False,
    ).returncode


@pytest.fixture
def short_visibility(clean: Stack) -> Any:
    """What a dead sender had received comes back after three seconds instead of six minutes."""
    sqs, url = clean.client("sqs"), clean.resources["Queue"]
    held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "3"})
    yield clean
    sqs.set_queue_attributes(QueueUrl=url, Attributes=held)


@pytest.mark.parametrize("moment", SENDER_MOMENTS, ids=lambda moment: f"{moment[2]}-{moment[0]}-{moment[1]}")
def test_sender_killed(short_visibility: Stack, stand_in: StandIn, moment: tuple[str, int, str]) -> None:
    # Given recorded orders on the queue
    stack = short_visibility
    for number in range(ORDERS):
        assert post_order(stack, number) == 200
    assert until(lambda: queue_depth(stack, hidden=True) >= ORDERS)

    # When the sender dies at that moment, and runs again later
    assert run_and_die(stack, "sender", "Sender", moment, {}) == -9
    assert until(lambda: queue_depth(stack) == queue_depth(stack, hidden=True))
    stack.invoke("Sender")

    # Then every order counts once and its end is in the ledger
    assert sorted(counted(stand_in)) == [f"shopify:{7_000_000_000_000 + number}" for number in range(ORDERS)]
    assert list(statuses(stack).values()) == ["sent"] * ORDERS
    assert queue_depth(stack, hidden=True) == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_outbox_killed(clean: Stack, stand_in: StandIn, when: str) -> None:
    # Given what the stream holds of 12 recorded orders (two batches for the queue)
    for number in range(12):
        assert post_order(clean, number) == 200
    assert until(lambda: queue_depth(clean) >= 12)
    clean.client("sqs").purge_queue(QueueUrl=clean.resources["Queue"])
    records = stream_event(items(clean).values())

    # When the outbox dies at its second batch, and the stream hands all of it over again
    assert run_and_die(clean, "outbox", "Outbox", ("SendMessageBatch", 2, when), records) == -9
    clean.invoke("Outbox", records)

    # Then the duplicates collapse and nothing is missing
    clean.invoke("Sender")
    assert sorted(counted(stand_in)) == [f"shopify:{7_000_000_000_000 + number}" for number in range(12)]
    assert list(statuses(clean).values()) == ["sent"] * 12


def test_functions_killed_while_orders_arrive(short_visibility: Stack, stand_in: StandIn) -> None:
    # Given a process killer that strikes outbox and sender again and again
    stack, orders = short_visibility, 40
    stop = threading.Event()
    struck = 0

    def strike() -> None:
        nonlocal struck
        while not stop.wait(0.15):
            struck += stack.kill("Outbox") + stack.kill("Sender")

    killer = threading.Thread(target=strike)
    killer.start()
    try:
        # When orders arrive and the sender runs all the while
        sending = threading.Thread(target=lambda: [_send(stack) for _ in range(6)])
        sending.start()
        for number in range(orders):
            assert post_order(stack, number) == 200
        sending.join()
    finally:
        stop.set()
        killer.join()
    assert struck > 0

    # Then, once left in peace, every order counts once
    assert until(lambda: _send(stack) is not None and set(statuses(stack).values()) == {"sent"}, within_s=60)
    assert sorted(counted(stand_in)) == [f"shopify:{7_000_000_000_000 + number}" for number in range(orders)]
    assert len(statuses(stack)) == orders


def _send(stack: Stack) -> Any:
    try:
        return stack.invoke("Sender")
    except Exception:
        time.sleep(0.2)
        return None
