"""The queue's code against the real queue: batches of ten, sizes, draining, dead letters, failures."""

import json

import pytest

from conversion_relay.queue import DeadLetters, Message, NotQueued, Queue, QueueUnavailable, delay_s
from tests.fakes import NOW_MS
from tests.integration.stack import queue_depth, until
from tools.local_aws import Stack


def queue(stack: Stack, name: str = "Queue") -> Queue:
    return Queue(stack.client("sqs"), stack.resources[name])


def pairs(count: int, size: int = 10) -> list[tuple[str, str, int]]:
    return [(f"order_created#shopify:{n}", json.dumps({"id": f"{n}", "pad": "é" * size}), 0) for n in range(count)]


def test_forwarded_events_come_back_byte_for_byte_with_their_keys(clean: Stack) -> None:
    queue(clean).forward(pairs(25), NOW_MS)
    drained = queue(clean).drain(1000)
    assert sorted((message.key, message.event, 0) for message in drained) == sorted(pairs(25))
    assert queue(clean).delete(drained) == 25
    assert queue_depth(clean, hidden=True) == 0


def test_large_events_are_split_over_batches_of_one_mebibyte(clean: Stack) -> None:
    queue(clean).forward(pairs(12, size=99_000), NOW_MS)  # 198 KB each: ten of them would be 2 MB
    assert queue_depth(clean) == 12


def test_a_held_event_is_hidden_for_what_is_left_of_the_hold_and_marked(clean: Stack) -> None:
    until_ms = (NOW_MS + 600_000, NOW_MS + 1_001, NOW_MS - 1)
    queue(clean).forward([(f"key-{n}", "{}", hold_until_ms) for n, hold_until_ms in enumerate(until_ms)], NOW_MS)

    assert queue_depth(clean, delayed=True) == 3
    assert [(message.key, message.held) for message in queue(clean).drain(10)] == [("key-2", True)]
    assert until(lambda: [message.key for message in queue(clean).drain(10)] == ["key-1"], within_s=5)


@pytest.mark.parametrize(
    ("left_ms", "seconds"), [(-600_000, 0), (0, 0), (1, 1), (600_000, 600), (600_001, 601), (90_000_000, 900)]
)
def test_delay_is_what_sqs_takes(left_ms: int, seconds: int) -> None:
    assert delay_s(NOW_MS + left_ms, NOW_MS) == seconds


def test_draining_takes_no_more_than_asked(clean: Stack) -> None:
    queue(clean).forward(pairs(30), NOW_MS)
    assert len(queue(clean).drain(13)) == 13


def test_released_messages_come_back_at_once(clean: Stack) -> None:
    queue(clean).forward(pairs(3), NOW_MS)
    drained = queue(clean).drain(10)
    assert queue_depth(clean) == 0
    queue(clean).release(drained, 0)
    assert len(queue(clean).drain(10)) == 3


def test_an_empty_queue_drains_to_nothing(clean: Stack) -> None:
    assert queue(clean).drain(1000) == []


def test_a_dead_letter_keeps_event_key_and_reason(clean: Stack) -> None:
    dead = DeadLetters(clean.client("sqs"), clean.resources["DeadLetterQueue"])
    dead.keep(Message("", "not an event", "receipt"), "it holds no event")
    (letter,) = clean.client("sqs").receive_message(
        QueueUrl=clean.resources["DeadLetterQueue"], MessageAttributeNames=["All"]
    )["Messages"]
    attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert (letter["Body"], attributes) == ("not an event", {"key": "unknown", "reason": "it holds no event"})


def test_a_queue_out_of_reach_is_said_so(stack: Stack) -> None:
    missing = Queue(stack.client("sqs"), stack.resources["Queue"] + "-that-is-not-there")
    with pytest.raises(NotQueued, match="12 of 12 conversions were not queued"):
        missing.forward(pairs(12), NOW_MS)
    with pytest.raises(QueueUnavailable, match="could not hand out messages"):
        missing.drain(10)
    with pytest.raises(QueueUnavailable, match="could not keep a dead letter"):
        DeadLetters(stack.client("sqs"), missing._url).keep(Message("k", "{}", "r"), "why")
    message = Message("k", "{}", "r")
    assert missing.delete([message]) == 0
    missing.release([message], 0)
