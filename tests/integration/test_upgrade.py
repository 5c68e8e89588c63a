"""An upgrade keeps what earlier versions have recorded: until they stored events packed, ``event`` was a text."""

import json
import time
from typing import Any

from conversion_relay import event, identity
from conversion_relay.delivery import Conversion, PrivacyRequest
from conversion_relay.ledger import Ledger, event_in
from tests.integration.replaying import Relay
from tests.integration.stack import items, post_order, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.stand_in import StandIn

SHOP = "northwind-trail.myshopify.com"
EMAIL = "mara.lindqvist@example.com"
NUMBER = 7_000_000_000_501
KEY = f"order_created#shopify:{NUMBER}"


def an_event(**fields: Any) -> dict[str, Any]:
    order: dict[str, Any] = {
        "id": f"shopify:{NUMBER}", "type": "order_created", "timestamp_ms": int(time.time() * 1000) - 60_000,
        "action_source": "physical_store", "user": {"emails_sha256": [identity.email(EMAIL)]},
        "data": {"type": "contents", "amount": 14900, "currency": "USD"},
    }  # fmt: skip
    return order | fields


def put_as_before(stack: Stack, text: str, **attributes: Any) -> None:
    """Record a conversion as the versions before packing did."""
    now_ms = int(time.time() * 1000)
    item = {
        "pk": {"S": KEY}, "status": {"S": "recorded"}, "event": {"S": text}, "recorded_ms": {"N": str(now_ms)},
        "expires_at": {"N": str(now_ms // 1000 + 90 * 86_400)}, "source": {"S": "shopify"}, "tenant": {"S": SHOP},
        "delivery": {"S": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"}, **attributes,
    }  # fmt: skip
    stack.client("dynamodb").put_item(TableName=stack.resources["Ledger"], Item=item)


def queued(stack: Stack) -> list[str]:
    """The bodies of the messages on the queue, which stay there."""
    sqs, url = stack.client("sqs"), stack.resources["Queue"]
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)["Messages"]
    return [each["Body"] for each in messages]


def test_a_conversion_of_an_earlier_version_goes_its_whole_way(clean: Stack, stand_in: StandIn, relay: Relay) -> None:
    # Given a conversion that an earlier version has recorded, and the stream hands over
    text = event.parse(an_event()).to_json()
    put_as_before(clean, text)
    assert until(lambda: queue_depth(clean) == 1)
    assert queued(clean) == [text]

    # When it is sent, explained and replayed
    assert clean.invoke("Sender")["sent"] == 1
    told = json.loads(relay("explain", str(NUMBER), "--json").out)
    assert [(each["key"], each["status"], each["value"]) for each in told["conversions"]] == [
        (KEY, "sent", "149.00 USD")
    ]
    assert relay("replay", "ledger", "--id", KEY, "--go").status == 0
    assert queued(clean) == [text]
    assert clean.invoke("Sender")["sent"] == 1

    # Then it has counted once, with the same bytes, and its item is as it was
    (counted,) = stand_in.events()
    assert (counted["event"], counted["duplicates"]) == (json.loads(text), 1)
    assert items(clean)[KEY]["event"] == {"S": text}

    # And when the person is to be erased, it is found by her digest
    request = PrivacyRequest("erase_person", "shopify:of an upgrade", SHOP, (identity.email(EMAIL) or "",), ())
    ledger = Ledger(clean.client("dynamodb"), clean.resources["Ledger"], ttl_days=90)
    ledger.note(request, int(time.time() * 1000))
    assert until(lambda: items(clean) == {}), items(clean)


def test_a_held_conversion_of_an_earlier_version_is_amended_and_sent_as_amended(
    clean: Stack, stand_in: StandIn
) -> None:
    # Given one that is still held
    now_ms = int(time.time() * 1000)
    put_as_before(clean, event.parse(an_event()).to_json(), hold_until_ms={"N": str(now_ms + 600_000)})
    assert until(lambda: queue_depth(clean, delayed=True) == 1)

    # When a delivery of this version knows more
    ledger = Ledger(clean.client("dynamodb"), clean.resources["Ledger"], ttl_days=90)
    better = Conversion(event.parse(an_event(id="pixel-token")), f"shopify:{NUMBER}", amends=True)
    assert ledger.record(better, now_ms).amended == [KEY]

    # Then the item has the better event, packed
    item = items(clean)[KEY]
    assert item["event"].keys() == {"B"}
    assert event_in(item) == better.event.to_json()


def test_an_event_of_a_later_version_is_said_to_be_one(clean: Stack, relay: Relay) -> None:
    # Given what a later version has left, after somebody went back to this one
    put_as_before(clean, "", status={"S": "sent"}, event={"B": b"\x09packed in a new way"})

    # When somebody asks for it, or wants it sent again, then the commands name it, and why they cannot
    why = f"the event of the ledger item {KEY} cannot be read: it begins with 9, which a later version of the relay may"
    assert why in relay("explain", str(NUMBER))
    ran = relay("replay", "ledger", "--id", KEY, "--go")
    assert (ran.status, why in ran.err) == (2, True)
    assert statuses(clean) == {KEY: "sent"}


def test_a_packed_event_passes_the_stream_the_queue_and_the_sender_byte_for_byte(
    clean: Stack, stand_in: StandIn
) -> None:
    # Given an order that this version has recorded
    assert post_order(clean, 502) == 200
    ((key, item),) = items(clean).items()
    assert item["event"].keys() == {"B"}
    text = event_in(item)
    assert text is not None
    assert len(item["event"]["B"]) < len(text) / 2

    # Then the outbox, which gets it in base64, queues its JSON, and that is what OpenAI gets
    assert until(lambda: queue_depth(clean) == 1)
    assert queued(clean) == [text]
    assert clean.invoke("Sender")["sent"] == 1
    assert [each["event"] for each in stand_in.events()] == [json.loads(text)]
    assert statuses(clean) == {key: "sent"}
