"""``relay explain`` against the deployed stack: whatever became of an order, somebody who has its id is told."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.circuit import Circuit
from conversion_relay.ledger import Ledger
from conversion_relay.sources import shopify
from tests.integration.commands import Relay, deny
from tests.integration.stack import SECRET, SECRETS, items, parked, post_order, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.samples import sample
from tools.stand_in import StandIn

NUMBERS = count(int(time.time()) % 100_000 * 100)
"""Each test has an order of its own: the log is not emptied between tests."""


@pytest.fixture
def relay(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relay:
    return Relay(stack, tmp_path, monkeypatch, capsys)


def order_id(number: int) -> str:
    return str(7_000_000_000_000 + number)


def post(stack: Stack, number: int, topic: str = "orders/create", **fields: Any) -> dict[str, Any]:
    """Post an order with an id and a name of its own; the answer."""
    payload = json.loads(sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC)).body)
    payload |= {"id": int(order_id(number)), "admin_graphql_api_id": None, "name": f"#{number}", **fields}
    return post_body(stack, json.dumps(payload).encode(), topic, f"delivery-{number}-{topic.replace('/', '-')}")


def post_body(stack: Stack, body: bytes, topic: str, delivery_id: str, secret: str = SECRET) -> dict[str, Any]:
    delivery = sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC))
    headers = {
        **delivery.headers,
        "x-shopify-topic": topic,
        "x-shopify-webhook-id": delivery_id,
        "x-shopify-hmac-sha256": shopify.sign(body, secret),
    }
    answer: dict[str, Any] = stack.send("shopify", replace(delivery, body=body, headers=headers)).json()
    return answer


def send(stack: Stack) -> None:
    assert until(lambda: queue_depth(stack) >= 1)
    stack.invoke("Sender")


def put(stack: Stack, number: int, *, age_ms: int = 0, **fields: Any) -> str:
    """Record an event as the ledger would, with some of its fields changed; its key."""
    now_ms = int(time.time() * 1000)
    event = {
        "id": f"shopify:{order_id(number)}", "type": "order_created", "timestamp_ms": now_ms - age_ms,
        "action_source": "offline", "data": {"type": "contents", "amount": 100, "currency": "USD"}, **fields,
    }  # fmt: skip
    key = f"order_created#shopify:{order_id(number)}"
    item = {
        "pk": {"S": key}, "status": {"S": "recorded"}, "source": {"S": "shopify"}, "recorded_ms": {"N": str(now_ms)},
        "event": {"S": json.dumps(event)}, "expires_at": {"N": str(now_ms // 1000 + 90 * 86_400)},
    }  # fmt: skip
    stack.client("dynamodb").put_item(TableName=stack.resources["Ledger"], Item=item)
    return key


def stages(told: Any) -> dict[str, str]:
    (conversion,) = told["conversions"]
    return {each["stage"]: each["text"] for each in conversion["stages"]}


def test_an_order_that_was_sent(clean: Stack, stand_in: StandIn, relay: Relay) -> None:
    number = next(NUMBERS)
    post(clean, number)
    send(clean)

    status, told = relay.run("explain", order_id(number))

    assert status == 0
    assert "1 delivery Shopify orders/create" in told
    assert "Recorded: a new conversion." in told
    assert f"order_created#shopify:{order_id(number)} sent" in told
    assert "As order_created, action source web, 200.63 USD." in told
    assert "Accepted by OpenAI." in told
    assert "OpenAI can match it by click reference (oppref), hashed e-mail, hashed phone and hashed customer id" in told
    (counted,) = (each["event"] for each in stand_in.events())
    for value in (counted["oppref"], *counted["user"]["emails_sha256"], counted["user"]["ip_address"]):
        assert value not in told


def test_it_is_found_by_everything_that_it_is_called(clean: Stack, stand_in: StandIn, relay: Relay) -> None:
    number = next(NUMBERS)
    pixel_id = f"pix {number}"
    attributes = [{"name": "__openai_event_id", "value": pixel_id}]
    post(clean, number, note_attributes=attributes)
    key = f"order_created#shopify:{order_id(number)}"
    names = [
        order_id(number),
        f"shopify:{order_id(number)}",
        key,
        f"#{number}",
        str(number),
        f"gid://shopify/Order/{order_id(number)}",
        f"https://admin.shopify.com/store/northwind/orders/{order_id(number)}?link=1",
        f"delivery-{number}-orders-create",
        pixel_id,
    ]

    told = {name: relay.json("explain", name)[1] for name in names}

    found = {name: [each["key"] for each in held["conversions"]] for name, held in told.items()}
    assert found == {name: [key] for name in names}
    assert {len(each["deliveries"]) for each in told.values()} == {1}
    assert told[pixel_id]["conversions"][0]["event_id"] == pixel_id


def test_twins_and_what_came_after_are_told_in_order(clean: Stack, relay: Relay) -> None:
    number = next(NUMBERS)
    post(clean, number)
    post(clean, number, "orders/paid")
    post_body(
        clean, json.dumps({"id": 1, "order_id": int(order_id(number))}).encode(), "refunds/create", f"refund-{number}"
    )

    _, told = relay.json("explain", order_id(number))

    assert [(each["topic"], each["outcome"], each["reason"]) for each in told["deliveries"]] == [
        ("orders/create", "recorded", "recorded"),
        ("orders/paid", "duplicate", "duplicate"),
        ("refunds/create", "ignored", "refund"),
    ]


def test_an_ignored_order_is_told_with_its_reason(clean: Stack, relay: Relay) -> None:
    number = next(NUMBERS)
    post(clean, number, financial_status="pending")

    status, told = relay.run("explain", order_id(number))

    assert status == 0
    assert "Ignored (waiting_for_payment): the order is not paid" in told
    assert "None of these left a conversion: nothing is sent." in told


def test_a_parked_order_is_told_with_the_command_that_replays_it(clean: Stack, relay: Relay) -> None:
    # Given an order that nobody can read, found by the id of its delivery
    number = next(NUMBERS)
    post_body(clean, b'{"id": null, "email": "mara@example.com"}', "orders/create", f"parked-{number}")
    (key,) = parked(clean)

    status, told = relay.run("explain", f"parked-{number}")

    assert status == 0
    assert f"Parked (id_missing): the order has no id; kept for replay. It is still there: {key}" in told
    assert f"relay replay parked --key {key}" in told
    assert "mara" not in told

    # And once it was taken away
    clean.client("s3").delete_object(Bucket=clean.resources["ParkingBucket"], Key=key)
    assert "It is there no more" in relay.run("explain", f"parked-{number}")[1]


def test_a_rejected_event_names_the_field(clean: Stack, openai: StandIn, relay: Relay) -> None:
    openai.reset()
    number = next(NUMBERS)
    key = put(clean, number, action_source="website")
    send(clean)
    assert statuses(clean) == {key: "rejected"}

    status, told = relay.run("explain", order_id(number))

    assert status == 0
    assert "Refused it for good because of action_source (" in told
    assert "relay replay ledger --status rejected" in told


def test_an_expired_event_says_its_age(clean: Stack, stand_in: StandIn, relay: Relay) -> None:
    number = next(NUMBERS)
    key = put(clean, number, age_ms=8 * 86_400_000)
    assert "Over 7 days old: OpenAI takes it no more" in stages(relay.json("explain", key)[1])["waiting"]
    send(clean)

    _, told = relay.json("explain", order_id(number))

    assert told["conversions"][0]["status"] == "expired"
    assert "8 d 0 h old when it could have been sent." in stages(told)["expired"]
    assert told["conversions"][0]["fresh_for_s"] == 0


def test_a_held_subscription_says_until_when(clean: Stack, relay: Relay) -> None:
    delivery = sample("stripe/invoice.paid").delivery(SECRETS["stripe"][0], datetime.now(UTC))
    clean.post("stripe", delivery.body, delivery.headers)

    by_invoice, by_subscription = (relay.json("explain", each)[1] for each in ("in_1SNPlan1", "sub_1SNPlan"))

    (by_one,), (by_other,) = by_invoice["conversions"], by_subscription["conversions"]
    assert by_one["key"] == by_other["key"] == "subscription_created#stripe:sub_1SNPlan"
    assert "9 min" in stages(by_invoice)["held"]
    assert "hidden until the hold is over" in stages(by_invoice)["waiting"]


def test_behind_an_open_circuit_the_reason_is_told(clean: Stack, relay: Relay) -> None:
    number = next(NUMBERS)
    post(clean, number)
    assert "the sender runs every hour" in stages(relay.json("explain", order_id(number))[1])["waiting"]
    now_ms = int(time.time() * 1000)
    ledger = Ledger(clean.client("dynamodb"), clean.resources["Ledger"], ttl_days=90)
    ledger.open_circuit(Circuit("blocked", "OpenAI refuses the key. Put another one.", now_ms - 5_000, 0, now_ms))

    status, told = relay.run("explain", order_id(number))

    assert status == 0
    assert "Not sent yet. Since" in told
    assert "OpenAI refuses the key. Put another one. 6 days 23 h of OpenAI's 7 days are left." in told
    assert "Look at 'relay status'" in told


def test_while_the_schedule_is_disabled_that_is_told(clean: Stack, relay: Relay) -> None:
    number = next(NUMBERS)
    post(clean, number)
    scheduler, name = clean.client("scheduler"), clean.resources["SenderRun"]
    held = scheduler.get_schedule(Name=name)
    kept = {each: held[each] for each in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, State="DISABLED")
    try:
        assert "not while the sender's schedule is disabled" in relay.run("explain", order_id(number))[1]
    finally:
        scheduler.update_schedule(**kept, State="ENABLED")


def test_of_a_refused_delivery_nothing_is_known(clean: Stack, relay: Relay) -> None:
    # Given an order that somebody has sent with a wrong signature
    number = next(NUMBERS)
    body = json.dumps({"id": int(order_id(number))}).encode()
    assert post_body(clean, body, "orders/create", "forged", secret="another")["outcome"] == "refused"

    # When the shop asks for it
    status, told = relay.run("explain", order_id(number))

    # Then the forger has not written into the log, and what was looked through and may be done is told
    assert status == 1
    assert f"Nothing is known of {order_id(number)}." in told
    assert "the logs of all receivers for the last 14 days" in told
    assert "of Shopify)" in told[told.index("Deliveries were refused in this time") :]
    assert items(clean) == {}


def test_the_days_bound_the_search(clean: Stack, relay: Relay) -> None:
    status, told = relay.json("explain", "nobody-knows-this", "--days", "3")

    assert (status, told["known"], told["searched"]["log_days"]) == (1, False, 3)
    assert told["searched"]["whole_ledger"]
    assert told["searched"]["unread"] == []
    assert any("--days" in each for each in told["next"])


def test_a_log_that_may_not_be_searched_is_no_silence(
    clean: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = next(NUMBERS)
    post(clean, number)
    deny(monkeypatch, "logs", "FilterLogEvents", "AccessDeniedException", "no leave")

    known, unknown = relay.run("explain", order_id(number)), relay.run("explain", "nobody-knows-this")

    assert (known[0], unknown[0]) == (0, 2)
    for told in (known[1], unknown[1]):
        assert "Not searched: The log" in told
        assert "lack the leave logs:FilterLogEvents" in told
    assert "Ask the platform" not in unknown[1]


@pytest.mark.parametrize("days", ["0", "-1", "x", "4000"])
def test_days_are_a_number_of_days(relay: Relay, days: str) -> None:
    with pytest.raises(SystemExit):
        relay.run("explain", "1", "--days", days)


def test_ids_with_odd_signs_break_nothing(clean: Stack, relay: Relay) -> None:
    post_order(clean, next(NUMBERS))

    for name in ('"', "\\", '{ $.x = "a" }', "a b", "é", "*", "?", "-", "[a]", "#", "://"):
        assert relay.run("explain", name)[0] in (1, 2), name


def test_without_a_relay_it_is_said_how_to_name_one(relay: Relay) -> None:
    relay.running.unlink()

    assert relay.run("explain", "1") == (2, "")
    assert "--stack" in relay.err
    relay.running.write_text(
        json.dumps({"aws": {"endpoint": "http://127.0.0.1:9", "region": "us-east-1", "stack": "s"}})
    )
    assert relay.run("explain", "1") == (2, "")
    assert "The stack s could not be read" in relay.err
    assert "If the relay of 'make up' has ended, start it again" in relay.err
