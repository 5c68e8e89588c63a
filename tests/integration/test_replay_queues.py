"""``relay replay dead-letters`` and ``relay replay ledger`` on the deployed stack."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversion_relay.ledger import event_in
from conversion_relay.queue import Queue
from tests.integration.replaying import Relay, everything
from tests.integration.stack import counted, items, post_order, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.stand_in import StandIn

ORDER = "order_created#shopify:7000000000001"


def put(stack: Stack, queue: str, body: str, **attributes: str) -> None:
    named = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    stack.client("sqs").send_message(QueueUrl=stack.resources[queue], MessageBody=body, MessageAttributes=named)


def set_item(stack: Stack, key: str, **texts: str | int) -> None:
    """Change attributes of a ledger item, as if time had passed or somebody had written them."""
    names = {f"#{name}": name for name in texts}
    values = {f":{name}": {"N": str(each)} if isinstance(each, int) else {"S": each} for name, each in texts.items()}
    stack.client("dynamodb").update_item(
        TableName=stack.resources["Ledger"],
        Key={"pk": {"S": key}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in texts),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=values,
    )


def ago(**span: int) -> int:
    return int((time.time() - timedelta(**span).total_seconds()) * 1000)


def taken_off(stack: Stack, queue: str = "Queue") -> list[tuple[str, str, bool]]:
    """Key, body and whether it is marked as held, of what is on a queue; it is removed."""
    sqs, url = stack.client("sqs"), stack.resources[queue]
    found = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]).get(
        "Messages"
    ):
        for each in messages:
            attributes = each["MessageAttributes"]
            found.append((attributes["key"]["StringValue"], each["Body"], "held" in attributes))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


@pytest.fixture
def orders(clean: Stack) -> dict[str, str]:
    """Two orders that are recorded and on the queue: their events by key."""
    for number in (1, 2):
        assert post_order(clean, number) == 200
    assert until(lambda: queue_depth(clean) == 2)
    return {key: event_in(item) or "" for key, item in items(clean).items()}


@pytest.fixture
def left_behind(clean: Stack, orders: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same two, but the outbox has never queued them, and has left a notice of that."""
    taken_off(clean)
    for key in orders:
        set_item(clean, key, recorded_ms=ago(minutes=40))
    put(clean, "OutboxFailures", json.dumps({"DDBStreamBatchInfo": {"batchSize": 2}}))
    yield orders
    clean.client("sqs").purge_queue(QueueUrl=clean.resources["OutboxFailures"])


# Dead letters --------------------------------------------------------------------------------------------------------


def test_dead_letters_that_can_be_read_go_back_and_the_others_stay(
    clean: Stack, relay: Relay, stand_in: StandIn, orders: dict[str, str]
) -> None:
    # Given two orders that SQS gave up, one of them held, a stranger's message, and an order that was erased
    (first, second) = sorted(orders)
    taken_off(clean)
    put(clean, "DeadLetterQueue", orders[first], key=first)
    put(clean, "DeadLetterQueue", orders[second], key=second, held="yes")
    put(clean, "DeadLetterQueue", "hello", key="unknown", reason="no event of the outbox")
    put(clean, "DeadLetterQueue", orders[first], key="order_created#shopify:404")
    before = everything(clean)

    # When it is a dry run, then all of them are there again at once
    ran = relay("replay", "dead-letters")
    assert ran.status == 1
    assert "4 dead letters: 2 would go back on the queue, 2 cannot be read or sent." in ran
    assert "stays: no event of the outbox" in ran
    assert "stays: the ledger has no such conversion" in ran
    assert "hello" not in ran.out
    assert everything(clean) == before

    # When it is not, then the two are on the queue, byte for byte
    assert "2 went back on the queue" in relay("replay", "dead-letters", "--go")
    assert (queue_depth(clean), queue_depth(clean, "DeadLetterQueue")) == (2, 2)
    assert sorted(taken_off(clean)) == [(first, orders[first], False), (second, orders[second], True)]

    # When it is done again, then nothing changes
    assert relay("replay", "dead-letters", "--go").status == 1
    assert (queue_depth(clean), queue_depth(clean, "DeadLetterQueue")) == (0, 2)


def test_without_dead_letters_there_is_nothing_to_do(clean: Stack, relay: Relay) -> None:
    ran = relay("replay", "dead-letters", "--go")
    assert (ran.status, ran.out) == (0, "There are no dead letters.\n")


def test_dead_letters_that_a_killed_run_has_hidden_are_not_said_to_be_none(
    clean: Stack, relay: Relay, orders: dict[str, str]
) -> None:
    # Given a dead letter that a run has taken to look at, which was then ended by force
    (key, *_) = sorted(orders)
    taken_off(clean)
    put(clean, "DeadLetterQueue", orders[key], key=key)
    sqs, url = clean.client("sqs"), clean.resources["DeadLetterQueue"]
    (taken,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]

    # When it is done again at once, then it says that there is something, and when to come back
    ran = relay("replay", "dead-letters", "--go")
    assert ran.status == 1
    assert "1 dead letter could not be looked at" in ran
    assert "again in 10 minutes" in ran
    assert "There are no dead letters" not in ran

    # When it is to be seen again, then it goes back on the queue
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=taken["ReceiptHandle"], VisibilityTimeout=0)
    ran = relay("replay", "dead-letters", "--go")
    assert (ran.status, queue_depth(clean)) == (0, 1)
    assert "could not be looked at" not in ran


# The ledger ----------------------------------------------------------------------------------------------------------


def test_what_the_outbox_gave_up_is_queued_once_and_its_notices_go(
    clean: Stack, relay: Relay, stand_in: StandIn, left_behind: dict[str, str]
) -> None:
    before = everything(clean)
    ran = relay("replay", "ledger", "--status", "recorded")
    assert ran.status == 0
    assert "2 conversions: 2 would be queued again." in ran
    assert "The outbox left 1 notice of what it gave up" in ran
    assert everything(clean) == before

    ran = relay("replay", "ledger", "--status", "recorded", "--clear-outbox-failures", "--go")
    assert ran.status == 0
    assert "1 notice of the outbox deleted." in ran
    assert (queue_depth(clean), queue_depth(clean, "OutboxFailures")) == (2, 0)

    # When it is done again, then they are known to be on their way
    assert "2 conversions: 2 on its way" in relay("replay", "ledger", "--status", "recorded", "--go")
    assert queue_depth(clean) == 2
    assert clean.invoke("Sender")["sent"] == 2
    assert set(statuses(clean).values()) == {"sent"}
    assert len(counted(stand_in)) == 2


def test_notices_are_only_cleared_with_everything_that_they_speak_of(
    clean: Stack, relay: Relay, left_behind: dict[str, str]
) -> None:
    ran = relay("replay", "ledger", "--id", ORDER, "--clear-outbox-failures", "--go")
    assert ran.status == 2
    assert "goes with --status recorded" in ran.err
    assert (queue_depth(clean), queue_depth(clean, "OutboxFailures")) == (0, 1)


def test_a_notice_stays_that_may_speak_of_what_was_skipped(
    clean: Stack, relay: Relay, left_behind: dict[str, str]
) -> None:
    # Given a conversion that the outbox gave up a minute ago, which may be taken for one that is on its way
    set_item(clean, ORDER, recorded_ms=ago(minutes=1))
    command = ("replay", "ledger", "--status", "recorded", "--clear-outbox-failures", "--go")

    # When all is queued that has waited for long, then the notice of the other is still there, and it is said why
    ran = relay(*command)
    assert ran.status == 1
    assert "1 notice may speak of what was skipped as on its way" in ran
    assert queue_depth(clean, "OutboxFailures") == 1

    # When that one is queued too, then the notice goes
    assert relay(*command, "--older-than", "0m").status == 0
    assert queue_depth(clean, "OutboxFailures") == 0


def test_notices_that_a_killed_run_has_hidden_are_not_said_to_be_cleared(
    clean: Stack, relay: Relay, left_behind: dict[str, str]
) -> None:
    url = clean.resources["OutboxFailures"]
    assert len(clean.client("sqs").receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]) == 1

    ran = relay("replay", "ledger", "--status", "recorded", "--clear-outbox-failures", "--go")

    assert ran.status == 1
    assert "1 notice could not be looked at" in ran


def test_what_openai_rejected_is_sent_once_it_is_mended(
    clean: Stack, relay: Relay, stand_in: StandIn, orders: dict[str, str]
) -> None:
    # Given orders that OpenAI refused, because its clock was a year ahead
    stand_in.switch(now_ms=int(time.time() * 1000) + 365 * 86_400_000)
    assert clean.invoke("Sender")["rejected"] == 2
    assert set(statuses(clean).values()) == {"rejected"}
    stand_in.reset()
    before = everything(clean)

    assert "2 would be queued again" in relay("replay", "ledger", "--status", "rejected")
    assert everything(clean) == before

    # When one of them is replayed by its order number, then it is the same event that is sent
    ran = relay("replay", "ledger", "--id", "7000000000001", "--go")
    assert (ran.status, statuses(clean)[ORDER]) == (0, "recorded")
    assert clean.invoke("Sender")["sent"] == 1
    assert statuses(clean)[ORDER] == "sent"
    assert [each["event"] for each in stand_in.events()] == [json.loads(orders[ORDER])]

    # and then the other, and none again
    assert "1 conversion: 1 queued again." in relay("replay", "ledger", "--status", "rejected", "--go")
    assert "1 conversion: 1 on its way" in relay("replay", "ledger", "--status", "rejected", "--go")
    assert queue_depth(clean) == 1
    assert clean.invoke("Sender")["sent"] == 1
    assert "The ledger has no such conversions." in relay("replay", "ledger", "--status", "rejected", "--go")
    assert sorted(counted(stand_in)) == ["shopify:7000000000001", "shopify:7000000000002"]


def test_what_was_set_back_and_not_queued_is_found_by_the_next_run(
    clean: Stack, relay: Relay, orders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_off(clean)
    for key in orders:
        set_item(clean, key, status="rejected", reason="amount: x")

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Queue, "forward", crash)
        assert relay("replay", "ledger", "--status", "rejected", "--go").status == 1
    assert (set(statuses(clean).values()), queue_depth(clean)) == ({"recorded"}, 0)

    ran = relay("replay", "ledger", "--status", "rejected", "--older-than", "0m", "--go")
    assert "2 conversions: 2 queued again." in ran
    assert queue_depth(clean) == 2


def test_sent_conversions_are_sent_again_only_when_they_are_asked_for(
    clean: Stack, relay: Relay, stand_in: StandIn, orders: dict[str, str]
) -> None:
    # Given orders that were only checked, in the mode validate
    assert clean.invoke("Sender")["sent"] == 2
    stand_in.reset()

    assert relay("replay", "ledger", "--go").status == 2
    assert relay("replay", "ledger", "--status", "rejected", "--go").status == 0
    assert queue_depth(clean) == 0

    assert relay("replay", "ledger", "--status", "sent", "--go").status == 0
    assert clean.invoke("Sender")["sent"] == 2
    assert len(counted(stand_in)) == 2


def test_what_is_too_old_is_skipped_and_said_so(clean: Stack, relay: Relay, orders: dict[str, str]) -> None:
    taken_off(clean)
    event = json.loads(orders[ORDER]) | {"timestamp_ms": ago(days=7)}
    set_item(clean, ORDER, status="expired", reason="169 h old", event=json.dumps(event))

    ran = relay("replay", "ledger", "--status", "expired", "--go")
    assert ran.status == 0
    assert "1 conversion: 1 over 7 days old, too late for OpenAI." in ran
    assert (statuses(clean)[ORDER], queue_depth(clean)) == ("expired", 0)


def test_a_held_conversion_is_marked_so_that_the_ledger_s_event_goes_out(
    clean: Stack, relay: Relay, left_behind: dict[str, str]
) -> None:
    set_item(clean, ORDER, hold_until_ms=ago(minutes=30))
    assert relay("replay", "ledger", "--id", ORDER, "--go").status == 0
    assert taken_off(clean) == [(ORDER, left_behind[ORDER], True)]


def test_one_that_somebody_else_changed_meanwhile_is_left_alone(
    clean: Stack, relay: Relay, orders: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a rejected order that the sender settles between our look and our write
    taken_off(clean)
    set_item(clean, ORDER, status="rejected", reason="amount: x")
    from tools import dry_run

    progress = dry_run.progress

    def meanwhile(*arguments: Any) -> Any:
        set_item(clean, ORDER, status="sent")
        return progress(*arguments)

    monkeypatch.setattr(dry_run, "progress", meanwhile)
    ran = relay("replay", "ledger", "--status", "rejected", "--go")
    assert (ran.status, queue_depth(clean), statuses(clean)[ORDER]) == (1, 0, "sent")
    assert "has another status by now" in ran


def test_times_and_unknown_ids_narrow_it_down(clean: Stack, relay: Relay, left_behind: dict[str, str]) -> None:
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert "no such conversions" in relay("replay", "ledger", "--status", "recorded", "--until", "1h")
    ran = relay("replay", "ledger", "--status", "recorded", "--since", hour_ago.isoformat())
    assert "2 would be queued again" in ran
    ran = relay("replay", "ledger", "--id", "404", "--go")
    assert ran.status == 1
    assert "nothing by the id 404" in ran
