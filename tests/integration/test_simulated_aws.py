"""The simulator's AWS keeps to the local AWS: the same operations on both, the same answers, the same state after.

`tools.in_memory_dynamodb` and `tests.simulation.sqs` are what thousands of histories run on. Whatever the relay asks of
DynamoDB and SQS is asked here of both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conversion_relay import event
from conversion_relay.circuit import Circuit
from conversion_relay.delivery import Conversion, Fetch, Memory, PrivacyRequest
from conversion_relay.ledger import Contended, Ledger
from conversion_relay.queue import Message, Queue
from tests.integration.stack import lone_table
from tests.simulation.faults import NoFaults
from tests.simulation.invocation import Calls, Invocation
from tests.simulation.sqs import SqsClient, StoredQueue
from tests.simulation.timeline import Timeline
from tools.in_memory_dynamodb import InMemoryDynamoDB
from tools.local_aws import Stack

NOW_MS = 1_795_186_800_000
DAY_MS = 86_400_000

# DynamoDB -------------------------------------------------------------------------------------------------------------

Item = dict[str, Any]
Play = Callable[[Any, str], object]
"""Does something with a client and a table's name; what it returns is compared."""


@pytest.fixture(scope="module")
def tables(stack: Stack) -> Iterator[tuple[Any, str]]:
    with lone_table(stack) as name:
        yield stack.client("dynamodb"), name


def on_both(tables: tuple[Any, str], play: Play) -> object:
    """What a play comes to, and the items after it, on both; they have to be the same."""
    real, name = tables
    for item in items_of(real, name):
        real.delete_item(TableName=name, Key={"pk": item["pk"]})
    simulated = InMemoryDynamoDB()
    of_real, of_simulated = play(real, name), play(simulated, name)
    assert of_simulated == of_real
    assert items_of(simulated, name) == items_of(real, name)
    return of_real


def items_of(client: Any, name: str) -> list[Item]:
    found: list[Item] = client.scan(TableName=name)["Items"]
    return sorted(found, key=lambda item: str(item["pk"]["S"]))


def refusal(act: Callable[[], object]) -> object:
    """How a call was refused, None when it was not."""
    try:
        act()
    except ClientError as error:
        reasons = tuple(each.get("Code") for each in error.response.get("CancellationReasons", []))
        return error.response["Error"]["Code"], reasons
    return None


PRESENT = "present"
PACKED: Item = {"packed": {"B": b"\x01a"}}
THERE = (PRESENT, "absent")
VALUES = {
    ":five": {"N": "5"}, ":nine": {"N": "9.0"}, ":a": {"S": "a"}, ":b": {"S": "b"}, ":text": {"S": "5"},
    ":packed": {"B": b"\x01a"}, ":other": {"B": b"\x01\xff"},
}  # fmt: skip
CONDITIONS = [
    "attribute_exists(pk)",
    "attribute_not_exists(pk)",
    "attribute_exists(elsewhere)",
    "attribute_not_exists(#status)",
    "#status = :a",
    "#status = :b",
    "#status <> :a",
    "#status <> :b",
    "elsewhere = :a",
    "elsewhere <> :a",
    "elsewhere < :five",
    "elsewhere >= :five",
    "NOT elsewhere = :a",
    "NOT elsewhere < :five",
    "five = :five",
    "five < :nine",
    "five <= :five",
    "five > :nine",
    "five >= :nine",
    "five = :text",
    "five <> :text",
    "five < :text",
    "#status < :b",
    "packed = :packed",
    "packed <> :packed",
    "packed <> :other",
    "packed < :other",
    "packed > :other",
    "packed = :a",
    "packed <> :a",
    "five <> :packed",
    "elsewhere <> :packed",
    "packed IN (:other, :packed)",
    "#status > :b",
    "#status IN (:a, :b)",
    "#status IN (:b)",
    "elsewhere IN (:a, :b)",
    "NOT #status IN (:b, :text)",
    "attribute_exists(pk) AND NOT #status IN (:a, :b)",
    "attribute_not_exists(pk) OR five <= :five",
    "attribute_not_exists(pk) OR five > :nine",
    "#status = :b OR #status = :a AND five = :five",
    "(#status = :b OR #status = :a) AND five = :nine",
    "NOT (#status = :a AND five = :nine)",
]


def test_a_condition_holds_for_the_same_items(tables: tuple[Any, str]) -> None:
    # Given each condition, on an item that is there and on one that is not
    def play(client: Any, name: str) -> object:
        return {
            (condition, there): outcome(client, name, condition, there) for condition in CONDITIONS for there in THERE
        }

    def outcome(client: Any, name: str, condition: str, there: str) -> object:
        key = {"pk": {"S": f"{there}: {condition}"}}
        if there == PRESENT:
            client.put_item(TableName=name, Item={**key, "status": {"S": "a"}, "five": {"N": "5"}, **PACKED})
        used = {name: value for name, value in VALUES.items() if name in condition}
        names = {"ExpressionAttributeNames": {"#status": "status"}} if "#status" in condition else {}
        values = {"ExpressionAttributeValues": used} if used else {}
        put: Any = {"Item": {**key, "written": {"S": "yes"}}, "ConditionExpression": condition, **names, **values}
        return refusal(lambda: client.put_item(TableName=name, **put))

    # Then both services write, or refuse, the same
    outcomes = on_both(tables, play)
    assert set(outcomes.values()) == {None, ("ConditionalCheckFailedException", ())}  # type: ignore[attr-defined]


UPDATES: Mapping[str, Mapping[str, Any]] = {
    "set": {"UpdateExpression": "SET a = :a"},
    "set two, one by another name": {
        "UpdateExpression": "SET #a = :a, b = :b",
        "ExpressionAttributeNames": {"#a": "status"},
    },
    "remove": {"UpdateExpression": "REMOVE five"},
    "remove what is not there": {"UpdateExpression": "REMOVE elsewhere, five"},
    "set and remove": {"UpdateExpression": "SET a = :a REMOVE five, #s", "ExpressionAttributeNames": {"#s": "status"}},
    "set if": {"UpdateExpression": "SET a = :a", "ConditionExpression": "attribute_exists(pk)"},
}


def test_an_update_leaves_the_same_item(tables: tuple[Any, str]) -> None:
    def play(client: Any, name: str) -> object:
        return [outcome(client, name, update, there) for update in UPDATES for there in THERE]

    def outcome(client: Any, name: str, update: str, there: str) -> object:
        key = {"pk": {"S": f"{there}: {update}"}}
        if there == PRESENT:
            client.put_item(TableName=name, Item={**key, "status": {"S": "x"}, "five": {"N": "5"}})
        used = {name: value for name, value in VALUES.items() if name in UPDATES[update]["UpdateExpression"]}
        values = {"ExpressionAttributeValues": used} if used else {}
        return refusal(lambda: client.update_item(TableName=name, Key=key, **UPDATES[update], **values))

    on_both(tables, play)


def test_a_transaction_is_written_whole_or_not_at_all_with_a_reason_for_each_write(tables: tuple[Any, str]) -> None:
    def play(client: Any, name: str) -> object:
        def put(key: str, **condition: Any) -> Any:
            return {"Put": {"TableName": name, "Item": {"pk": {"S": key}}, **condition}}

        new = {"ConditionExpression": "attribute_not_exists(pk)"}
        transactions = (
            [put("a", **new), put("b", **new)],
            [put("c", **new), put("a", **new), put("d")],
            [put("a", **new), put("b", **new)],
            [put("e"), {"Delete": {"TableName": name, "Key": {"pk": {"S": "a"}}}}],
        )
        return [refusal(partial(client.transact_write_items, TransactItems=writes)) for writes in transactions]

    refused = ("TransactionCanceledException", ("None", "ConditionalCheckFailed", "None"))
    both = ("TransactionCanceledException", ("ConditionalCheckFailed", "ConditionalCheckFailed"))
    assert on_both(tables, play) == [None, refused, both, None]


def test_reading_and_deleting(tables: tuple[Any, str]) -> None:
    def play(client: Any, name: str) -> object:
        key = {"pk": {"S": "k"}}
        client.put_item(TableName=name, Item={**key, "n": {"N": "7"}, "m": {"M": {"x": {"S": "y"}}}})
        read = [client.get_item(TableName=name, Key=key, ConsistentRead=True).get("Item")]
        client.delete_item(TableName=name, Key=key)
        client.delete_item(TableName=name, Key=key)
        return [*read, client.get_item(TableName=name, Key=key).get("Item")]

    assert on_both(tables, play) == [{"pk": {"S": "k"}, "n": {"N": "7"}, "m": {"M": {"x": {"S": "y"}}}}, None]


def conversion(number: int = 1, amount: int = 100, **about: Any) -> Conversion:
    told = {
        "id": f"shop:{number}",
        "type": "order_created",
        "timestamp_ms": NOW_MS,
        "action_source": "offline",
        "data": {"type": "contents", "amount": amount, "currency": "USD"},
    }
    return replace(Conversion(event.parse(told), f"shop:{number}"), **about)


KEY = "order_created#shop:1"
MEMORY = Memory("m", {"a": 1}, "1", 30)


def _ends(ledger: Ledger) -> Iterator[object]:
    for number, statuses in enumerate(
        (["sent", "rejected"], ["rejected", "expired"], ["rejected", "sent"], ["expired", "sent"], ["fetched", "sent"])
    ):
        yield ledger.record(conversion(number), NOW_MS)
        for status in statuses:
            yield ledger.settle(f"order_created#shop:{number}", status, f"because {status}", NOW_MS + 1)  # type: ignore[arg-type]
    yield ledger.settle("order_created#shop:404", "sent", "never there", NOW_MS)


def _amendments(ledger: Ledger) -> Iterator[object]:
    yield ledger.record(conversion(hold_s=600), NOW_MS, source="shop", tenant=None)
    for amount, at_ms in ((100, 0), (200, 539_999), (300, 540_000), (400, 900_000)):
        yield ledger.record(conversion(amount=amount, amends=True, hold_s=600), NOW_MS + at_ms)
        yield ledger.stored(KEY)
    yield ledger.settle(KEY, "sent", "accepted", NOW_MS)
    yield ledger.record(conversion(amount=500, amends=True), NOW_MS)
    yield ledger.recall(KEY, NOW_MS)


def _memories(ledger: Ledger) -> Iterator[object]:
    yield ledger.recall("memory#m", NOW_MS)
    yield ledger.remember(MEMORY, NOW_MS, "tenant")
    for memory, at_ms in (
        (MEMORY, 0),
        (replace(MEMORY, version="2", replaces="1"), 0),
        (replace(MEMORY, version="3", replaces="1"), 0),
        (replace(MEMORY, version="4", facts={}), 31 * DAY_MS),
    ):
        try:
            yield ledger.remember(memory, NOW_MS + at_ms)
        except Contended:
            yield "contended"
        yield ledger.recall("memory#m", NOW_MS + at_ms)


def _together(ledger: Ledger) -> Iterator[object]:
    yield ledger.record(conversion(also=(conversion(2),), remember=MEMORY), NOW_MS, source="shop")
    known = replace(MEMORY, version="2", replaces="1")
    yield ledger.record(conversion(also=(conversion(2), conversion(3)), remember=known), NOW_MS)
    for memory in (known, replace(MEMORY, version="3", replaces="0")):
        try:
            yield ledger.record(conversion(4, remember=memory), NOW_MS)
        except Contended:
            yield "contended"


def _others(ledger: Ledger) -> Iterator[object]:
    for _ in range(2):
        yield ledger.note(PrivacyRequest("erase_person", "r", "t", ["d"], ["s"]), NOW_MS)
        yield ledger.fetch_later(Fetch("stripe:evt_1", {"id": "evt_1"}), NOW_MS, "acct")
    yield ledger.circuit()
    yield ledger.open_circuit(Circuit("outage", "wait", NOW_MS, NOW_MS + 5, NOW_MS - 5))
    yield ledger.circuit()
    yield ledger.close_circuit(NOW_MS + 9)
    yield ledger.circuit()


def _set_back(ledger: Ledger) -> Iterator[object]:
    yield ledger.record(conversion(), NOW_MS)
    yield ledger.reopen(KEY, "rejected", NOW_MS)
    yield ledger.settle(KEY, "rejected", "amount: x", NOW_MS)
    yield ledger.reopen(KEY, "rejected", NOW_MS)
    yield ledger.reopen(KEY, "rejected", NOW_MS)
    yield ledger.reopen("order_created#shop:404", "rejected", NOW_MS)


@pytest.mark.parametrize("plays", [_ends, _amendments, _memories, _together, _others, _set_back])
def test_the_ledger_does_the_same_on_both(tables: tuple[Any, str], plays: Callable[[Ledger], Iterator[object]]) -> None:
    on_both(tables, lambda client, name: list(plays(Ledger(client, name, ttl_days=90))))


# SQS ------------------------------------------------------------------------------------------------------------------


class Steady(random.Random):
    """Dice that always fall the same: with 0.4 or more, messages come in order, and all that there are."""

    def __init__(self, chance: float = 0.9) -> None:
        super().__init__()
        self.chance = chance

    def random(self) -> float:
        return self.chance


@dataclass(frozen=True, slots=True)
class Service:
    """SQS with a queue whose messages are hidden for 1 s, and are dead when they were handed out twice."""

    client: Any
    url: str
    dead_url: str
    sleep: Callable[[float], object]
    pool: Callable[[int], Executor] = ThreadPoolExecutor


def simulated(dice: random.Random | None = None, visibility_s: int = 1) -> Service:
    invocation = Invocation(Calls(Timeline(), dice or Steady(), NoFaults(), None), "test", 10**9)
    dead = StoredQueue(visibility_s=visibility_s)
    queues = {"queue": StoredQueue(visibility_s=visibility_s, most_receives=2, dead=dead), "dead": dead}
    return Service(SqsClient(queues, invocation), "queue", "dead", invocation.sleep, invocation.pool)


def emulated(stack: Stack, visibility_s: int = 1) -> Service:
    sqs = stack.client("sqs")
    hidden = {"VisibilityTimeout": str(visibility_s)}
    dead = sqs.create_queue(QueueName=f"dead-{time.monotonic_ns()}", Attributes=hidden)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
    policy = f'{{"deadLetterTargetArn": "{attributes["QueueArn"]}", "maxReceiveCount": "2"}}'
    url = sqs.create_queue(QueueName=f"queue-{time.monotonic_ns()}", Attributes={**hidden, "RedrivePolicy": policy})[
        "QueueUrl"
    ]
    return Service(sqs, url, dead, time.sleep)


def answers(stack: Stack, play: Callable[[Service], object], visibility_s: int = 1) -> object:
    """What a play comes to on both services, which has to be the same."""
    of_emulated = play(emulated(stack, visibility_s))
    of_simulated = play(simulated(visibility_s=visibility_s))
    assert of_simulated == of_emulated
    return of_simulated


def send(service: Service, *bodies: str, delay_s: int = 0) -> None:
    attributes = {"key": {"DataType": "String", "StringValue": "k"}}
    service.client.send_message_batch(
        QueueUrl=service.url,
        Entries=[
            {"Id": str(n), "MessageBody": body, "MessageAttributes": attributes, "DelaySeconds": delay_s}
            for n, body in enumerate(bodies)
        ],
    )


def receive(service: Service, url: str | None = None) -> list[Any]:
    found: list[Any] = service.client.receive_message(
        QueueUrl=url or service.url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["key", "held"],
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    ).get("Messages", [])
    return found


def seen(messages: Sequence[Any]) -> list[tuple[str, str, Any]]:
    """Body, receive count and attributes of messages."""
    return sorted(
        (each["Body"], each["Attributes"]["ApproximateReceiveCount"], each.get("MessageAttributes"))
        for each in messages
    )


def test_a_message_is_hidden_and_comes_back_counted(stack: Stack) -> None:
    def play(service: Service) -> object:
        send(service, "a", "b")
        steps = [receive(service), receive(service)]
        service.sleep(1.3)
        return [seen(each) for each in (*steps, receive(service))]

    attributes = {"key": {"DataType": "String", "StringValue": "k"}}
    assert answers(stack, play) == [
        [("a", "1", attributes), ("b", "1", attributes)],
        [],
        [("a", "2", attributes), ("b", "2", attributes)],
    ]


def test_a_delayed_message_comes_when_its_time_has_come(stack: Stack) -> None:
    def play(service: Service) -> object:
        send(service, "later", delay_s=1)
        before = receive(service)
        service.sleep(1.3)
        return [seen(each) for each in (before, receive(service))]

    assert [len(each) for each in answers(stack, play)] == [0, 1]  # type: ignore[attr-defined]


def test_a_message_that_was_handed_out_too_often_goes_to_the_dead_letters(stack: Stack) -> None:
    def play(service: Service) -> object:
        send(service, "unlucky")
        steps = []
        for _ in range(3):
            steps.append(receive(service))
            service.sleep(1.3)
        bodies = [[each["Body"] for each in messages] for messages in (*steps, receive(service, service.dead_url))]
        return bodies, [each.get("MessageAttributes") for each in receive(service)]

    assert answers(stack, play) == ([["unlucky"], ["unlucky"], [], ["unlucky"]], [])


def test_deleting_by_the_last_receipt_ends_a_message_also_when_it_is_visible_again(stack: Stack) -> None:
    def play(service: Service) -> object:
        send(service, "a", "b")
        first = receive(service)
        service.sleep(1.3)
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(first)]
        deleted = service.client.delete_message_batch(QueueUrl=service.url, Entries=entries[:1])
        return len(deleted["Successful"]), len(receive(service))

    assert answers(stack, play) == (1, 1)


def test_an_old_receipt_may_leave_the_message(stack: Stack) -> None:
    # Given a message that was handed out a second time, when it is deleted by its first receipt
    def play(service: Service) -> int:
        send(service, "a")
        (first,) = receive(service)
        service.sleep(1.3)
        (_,) = receive(service)
        entry = {"Id": "0", "ReceiptHandle": first["ReceiptHandle"]}
        service.client.delete_message_batch(QueueUrl=service.url, Entries=[entry])
        service.sleep(1.3)
        return len(receive(service)) + len(receive(service, service.dead_url))

    # Then the emulator keeps it; AWS says that it may go or stay, and so it does in the simulator
    assert play(emulated(stack)) == 1
    assert {play(simulated(Steady(chance))) for chance in (0.4, 0.6)} == {0, 1}


def test_visibility_is_changed_for_what_is_in_flight(stack: Stack) -> None:
    def play(service: Service) -> object:
        send(service, "a", "b")
        first = sorted(receive(service), key=lambda each: str(each["Body"]))
        seconds = (0, 3)
        service.client.change_message_visibility_batch(
            QueueUrl=service.url,
            Entries=[
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"], "VisibilityTimeout": seconds[n]}
                for n, each in enumerate(first)
            ],
        )
        at_once = receive(service)
        service.sleep(1.3)
        return [[each["Body"] for each in at_once], [each["Body"] for each in receive(service)]]

    # "a" was handed out twice by then, so it is among the dead letters
    assert answers(stack, play) == [["a"], []]


REFUSED: Mapping[str, Callable[[Service], object]] = {
    "eleven entries": lambda service: send(service, *"abcdefghijk"),
    "no entry": send,
    "two with one id": lambda service: service.client.send_message_batch(
        QueueUrl=service.url, Entries=[{"Id": "0", "MessageBody": "a"}] * 2
    ),
    "over 1 MiB together": lambda service: send(service, "a" * 600_000, "b" * 600_000),
    "eleven messages wanted": lambda service: service.client.receive_message(
        QueueUrl=service.url, MaxNumberOfMessages=11
    ),
    "eleven to delete": lambda service: service.client.delete_message_batch(
        QueueUrl=service.url, Entries=[{"Id": str(n), "ReceiptHandle": "x"} for n in range(11)]
    ),
}


@pytest.mark.parametrize("request_", REFUSED)
def test_what_sqs_refuses_is_refused_with_the_same_code(stack: Stack, request_: str) -> None:
    refused = answers(stack, lambda service: refusal(lambda: REFUSED[request_](service)))
    assert refused is not None


def test_the_queue_does_the_same_on_both(stack: Stack) -> None:
    def play(service: Service) -> object:
        queue = Queue(service.client, service.url, pool=service.pool)
        queue.forward([(f"k{n}", f'{{"n": {n}}}', 0) for n in range(25)], NOW_MS)
        queue.forward([("held", "{}", NOW_MS + 1), ("held for longer", "{}", NOW_MS + 600_000)], NOW_MS)
        service.sleep(1.3)
        drained: list[Message] = queue.drain(1000)
        found = sorted((each.key, each.event, each.receives, each.held) for each in drained)
        return found, queue.delete(drained), queue.drain(10)

    found, deleted, left = answers(stack, play, visibility_s=30)  # type: ignore[misc]
    assert ("held", "{}", 1, True) in found
    assert (len(found), deleted, left) == (26, 26, [])
