"""``relay replay parked`` on the deployed stack: what was parked, by whomever, becomes what it should have been."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversion_relay import event_bus
from conversion_relay.delivery import Delivery
from conversion_relay.sources.stripe import thin
from tests.integration.replaying import Relay, delivery, everything, fresh, park
from tests.integration.stack import SECRETS, counted, items, parked, queue_depth, statuses, until
from tools.lambda_event import EVENT_SOURCES, bus_event
from tools.local_aws import Stack
from tools.samples import sample
from tools.stand_in import StandIn
from tools.taking import Taker

ORDER = "order_created#shopify:6184203920001"
SESSION = "order_created#stripe:cs_live_once"


def an_order(**fields: Any) -> Delivery:
    return delivery("shopify", "orders/create", fresh("shopify/orders/create", **fields))


def broken() -> Delivery:
    order = an_order()
    return Delivery(order.method, order.path, order.query, order.headers, order.body[:-1], order.origin)


def test_a_dry_run_writes_nothing_and_go_does_what_it_said_once(clean: Stack, relay: Relay, stand_in: StandIn) -> None:
    # Given an order that DynamoDB did not take, the same order again, and one that nobody understands
    park(clean, "shopify", an_order(), "ledger_unavailable", timedelta(minutes=2))
    park(clean, "shopify", an_order(note="again"), "ledger_unavailable", timedelta(minutes=1))
    unknown = park(clean, "shopify", broken(), "not_json")
    before = everything(clean)

    # When it is a dry run, then it says what would become of each, and writes nothing
    ran = relay("replay", "parked")
    assert ran.status == 1
    assert "3 parked deliveries, if taken now: 1 recorded, 1 duplicate, 1 not understood." in ran
    assert f"{ORDER} 200.63 USD" in ran
    assert "Nothing was written." in ran
    assert everything(clean) == before

    # When it is not, then what was understood leaves the bucket and the rest stays with its reason
    ran = relay("replay", "parked", "--go")
    assert ran.status == 1
    assert "3 parked deliveries: 1 recorded, 1 duplicate, 1 not understood." in ran
    assert "2 objects left the bucket." in ran
    assert f"{unknown}: the body is not JSON" in ran
    assert parked(clean) == [unknown]
    assert until(lambda: queue_depth(clean) == 1)
    assert clean.invoke("Sender")["sent"] == 1
    assert statuses(clean) == {ORDER: "sent"}

    # When it is done again, then nothing changes, and no second copy of what stays is made
    after = everything(clean)
    assert "1 parked delivery: 1 not understood." in relay("replay", "parked", "--go")
    assert everything(clean) == after
    assert counted(stand_in) == ["shopify:6184203920001"]


def test_a_stripe_delivery_that_was_signed_long_ago_is_taken_without_its_signature(clean: Stack, relay: Relay) -> None:
    signed_at = datetime.now(UTC) - timedelta(days=2)
    session = fresh("stripe/checkout.session.completed", signed_at)
    park(clean, "stripe", delivery("stripe", session["type"], session, signed_at), "source_url_missing")

    assert relay("replay", "parked", "--go").status == 0
    assert (statuses(clean), parked(clean)) == ({SESSION: "recorded"}, [])


def test_a_sale_of_over_7_days_ago_is_said_to_be_too_late(clean: Stack, relay: Relay) -> None:
    placed = datetime.now(UTC) - timedelta(days=8)
    order = fresh("shopify/orders/create", placed)
    park(clean, "shopify", delivery("shopify", "orders/create", order, placed), "normalizer_failed")

    ran = relay("replay", "parked")
    assert "ignored: over 7 days old" in ran
    assert "1 over 7 days old" in ran
    assert relay("replay", "parked", "--go").status == 0
    assert (statuses(clean), parked(clean)) == ({}, [])


def test_what_the_fetch_function_parked_is_taken_as_the_snapshot_that_it_made(clean: Stack, relay: Relay) -> None:
    event = fresh("stripe/checkout.session.completed")
    facts = {name: event[name] for name in ("id", "type", "created", "livemode")} | {"path": "/v1/checkout/sessions/cs"}
    park(clean, "stripe", thin.snapshot(facts, event["data"]["object"]), "source_url_missing")

    assert "stripe (fetched)" in relay("replay", "parked")
    assert relay("replay", "parked", "--go").status == 0
    assert statuses(clean) == {SESSION: "recorded"}


def test_calls_and_custom_platforms_are_read_by_their_own_settings(clean: Stack, relay: Relay) -> None:
    now = datetime.now(UTC)
    token = SECRETS["whatconverts"][0]
    whatconverts = sample("whatconverts/phone_call").delivery(token, now)
    park(clean, "whatconverts", whatconverts, "ledger_unavailable")
    park(clean, "aircall", sample("aircall/call.ended").delivery(SECRETS["aircall"][0], now), "x", folder="custom")

    dry, ran = relay("replay", "parked"), relay("replay", "parked", "--go")

    assert ran.status == 0
    assert sorted(each.partition(":")[0] for each in statuses(clean)) == [
        "lead_created#aircall", "lead_created#whatconverts",
    ]  # fmt: skip
    # and the token that WhatConverts sends in a header is shown to nobody
    assert token in str(whatconverts.headers)
    assert not any(token in each.out + each.err for each in (dry, ran))


@pytest.mark.parametrize("source", ["shopify", "stripe"])
def test_events_of_a_bus_are_replayed_parked_or_given_up(clean: Stack, relay: Relay, source: str) -> None:
    # Given an event of the bus that was parked, and one that Lambda gave up and wrote into the bucket itself
    names = {"shopify": "shopify/orders/create", "stripe": "stripe/checkout.session.completed"}
    now = datetime.now(UTC)
    envelopes = [
        bus_event(source, sample(names[source]).delivery("-", now, new=new), EVENT_SOURCES[source], now)
        for new in (False, True)
    ]
    park(clean, source, event_bus.delivery_in(envelopes[0], source), "ledger_unavailable")
    record = {"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": envelopes[1]}
    given_up = f"{event_bus.GIVEN_UP}receiver/2026/11/22/record"
    clean.client("s3").put_object(
        Bucket=clean.resources["ParkingBucket"], Key=given_up, Body=json.dumps(record).encode()
    )

    # When the function's settings name no such bus, then what Lambda gave up is not believed
    ran = relay("replay", "parked", "--go")
    assert (ran.status, parked(clean)) == (1, [given_up])
    assert "not of the partner event source" in ran

    # When they do, then it is taken too
    functions, name = clean.client("lambda"), clean.resources[f"{source.capitalize()}Receiver"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    named = variables | {f"{source.upper()}_EVENT_SOURCE": EVENT_SOURCES[source]}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": named})
    try:
        assert relay("replay", "parked", "--go", "--reason", "given_up_by_lambda").status == 0
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    assert (len(statuses(clean)), parked(clean)) == (2, [])


def test_reports_strangers_objects_and_what_is_not_asked_for_are_left_alone(clean: Stack, relay: Relay) -> None:
    report, stranger = "privacy/shopify-r1.json", "notes/2026.txt"
    for key in (report, stranger):
        clean.client("s3").put_object(Bucket=clean.resources["ParkingBucket"], Key=key, Body=b"not a delivery")
    order = park(clean, "shopify", an_order(), "ledger_unavailable", timedelta(hours=5))

    for options in (("--source", "stripe"), ("--reason", "not_json"), ("--since", "3h", "--source", "shopify")):
        assert "Nothing that is parked fits." in relay("replay", "parked", "--go", *options)
    ran = relay("replay", "parked", "--go", "--keep", "--key", order)
    assert (ran.status, statuses(clean)) == (0, {ORDER: "recorded"})
    assert "All stay in the bucket (--keep)" in ran
    assert set(parked(clean)) == {report, stranger, order}
    # and a stranger's object is named, not read out
    ran = relay("replay", "parked", "--go")
    assert (ran.status, set(parked(clean))) == (1, {report, stranger})
    assert f"{stranger}: it is no parked delivery" in ran


def test_an_interrupted_replay_is_finished_by_the_next(
    clean: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a replay that is interrupted when an order is recorded and its object is still there
    for number in (1, 2):
        park(clean, "shopify", an_order(id=number), "ledger_unavailable", timedelta(minutes=5 - number))
    taken = Taker.take

    def interrupted(*arguments: Any) -> Any:
        taken(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Taker, "take", interrupted)
        ran = relay("replay", "parked", "--go")
    assert (ran.status, len(statuses(clean)), len(parked(clean))) == (1, 1, 2)
    assert "run the same command again" in ran.err

    # When it is run again, then each is there once
    assert "2 parked deliveries: 1 duplicate, 1 recorded." in relay("replay", "parked", "--go")
    assert (len(statuses(clean)), parked(clean)) == (2, [])


def test_nothing_is_removed_while_the_ledger_is_out_of_reach(
    clean: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    park(clean, "shopify", an_order(), "ledger_unavailable")
    functions, name = clean.client("lambda"), clean.resources["ShopifyReceiver"]
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    wrong = variables | {"LEDGER_TABLE": "no-such-table"}
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": wrong})
    try:
        ran = relay("replay", "parked", "--go")
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
    assert (ran.status, len(parked(clean)), items(clean)) == (2, 1, {})
    assert "DynamoDB could not record the conversion (ResourceNotFoundException)" in ran.err
