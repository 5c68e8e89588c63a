"""Shopify's privacy topics do what they must with what is held: in the ledger and among the parked deliveries."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from conversion_relay import event_bus, identity
from conversion_relay.ledger import Ledger
from conversion_relay.sources import shopify
from conversion_relay.wiring import trusting_the_bus
from tests.integration.stack import SECRET, handler_of, items, parked, statuses, until
from tools.lambda_event import EVENT_SOURCES, bus_event
from tools.local_aws import Stack
from tools.samples import Sample, sample

CUSTOMER, OTHER = 7_412_369_850_123, 7_412_369_859_999


def post(stack: Stack, chosen: Sample) -> dict[str, Any]:
    delivery = chosen.delivery(SECRET, datetime.now(UTC))
    answer = stack.post("shopify", delivery.body, delivery.headers)
    assert answer.status == 200
    told: dict[str, Any] = answer.json()
    return told


def an_order_of(customer: int, number: int) -> Sample:
    chosen = sample("shopify/orders/create")
    email = f"buyer{customer}@example.com"
    person = {**chosen.payload["customer"], "id": customer, "email": email}
    person |= {"default_address": None, "admin_graphql_api_id": None}
    payload = {**chosen.payload, "id": number, "email": email, "contact_email": email, "customer": person}
    return replace(chosen, payload=payload)


def park(stack: Stack, customer: int) -> None:
    """A verified delivery about the customer that cannot be understood: an order without an id."""
    chosen = an_order_of(customer, 1)
    payload = {name: value for name, value in chosen.payload.items() if "id" not in name} | {
        "customer": chosen.payload["customer"]
    }
    assert post(stack, replace(chosen, payload=payload))["outcome"] == "parked"


def redaction(topic: str, **fields: Any) -> Sample:
    chosen = sample(f"shopify/{topic}")
    return replace(chosen, payload={**chosen.payload, **fields})


def test_a_person_is_erased_and_nobody_else(clean: Stack) -> None:
    # Given orders and a parked delivery of two customers, one order known by its number only
    for customer, number in ((CUSTOMER, 701), (CUSTOMER, 702), (OTHER, 703)):
        assert post(clean, an_order_of(customer, number))["outcome"] == "recorded"
    park(clean, CUSTOMER)
    park(clean, OTHER)
    assert len(parked(clean)) == 2

    # When Shopify orders one of them to be erased, by id and e-mail
    person = {"id": CUSTOMER, "email": f"buyer{CUSTOMER}@example.com", "phone": None}
    asked = post(clean, redaction("customers/redact", customer=person, orders_to_redact=[701]))
    assert (asked["outcome"], asked["reason"]) == ("compliance", "erase_person")

    # Then only the other is left, and the request itself is gone too
    assert until(lambda: list(items(clean)) == ["order_created#shopify:703"])
    assert until(lambda: len(parked(clean)) == 1)


def test_a_person_is_erased_from_what_came_over_the_bus(clean: Stack) -> None:
    # Given deliveries of the bus that the ledger did not take, one of each customer in either place: parked by the
    # receiver (here in this process, since this stack has no bus), and given up by Lambda, in the form of its record
    bucket, now = clean.resources["ParkingBucket"], datetime.now(UTC)
    s3, source = clean.client("s3"), EVENT_SOURCES["shopify"]
    left = set()
    with handler_of(clean, "shopify") as app:
        away = Ledger(clean.client("dynamodb"), "no-such-table", ttl_days=8)
        receiver = trusting_the_bus(replace(app.receivers["shopify"], ledger=away))
        for customer in (CUSTOMER, OTHER):
            sale = bus_event("shopify", an_order_of(customer, 801).delivery("-", now), source, now)
            known = set(parked(clean))
            assert receiver.receive(event_bus.delivery_in(sale, "shopify")).kind == "parked"
            given_up = f"aws/lambda/async/relay-ShopifyReceiver-1/2026/11/22/2026-11-22T12.00.00-{customer}"
            record = {"version": "1.0", "requestContext": {"condition": "RetriesExhausted"}, "requestPayload": sale}
            s3.put_object(Bucket=bucket, Key=given_up, Body=json.dumps(record).encode())
            left = set(parked(clean)) - known
    assert len(parked(clean)) == 4

    # When Shopify orders one of them to be erased, then what is left is the other's
    person = {"id": CUSTOMER, "email": f"buyer{CUSTOMER}@example.com", "phone": None}
    post(clean, redaction("customers/redact", customer=person, orders_to_redact=[]))
    assert until(lambda: set(parked(clean)) == left), parked(clean)


def test_a_shop_is_erased(clean: Stack) -> None:
    assert post(clean, an_order_of(CUSTOMER, 704))["outcome"] == "recorded"
    park(clean, CUSTOMER)
    asked = post(clean, redaction("shop/redact", shop_domain="northwind-trail.myshopify.com"))
    assert (asked["outcome"], asked["reason"]) == ("compliance", "erase_tenant")
    assert until(lambda: items(clean) == {} and parked(clean) == [])


def test_what_is_held_about_a_person_is_given_out(clean: Stack) -> None:
    assert post(clean, an_order_of(CUSTOMER, 705))["outcome"] == "recorded"
    assert post(clean, an_order_of(OTHER, 706))["outcome"] == "recorded"
    person = {"id": CUSTOMER, "email": f"buyer{CUSTOMER}@example.com", "phone": None}
    asked = post(clean, redaction("customers/data_request", customer=person, orders_requested=[705]))
    assert (asked["outcome"], asked["reason"]) == ("compliance", "give_out")

    assert until(lambda: len(parked(clean)) == 1)
    (key,) = parked(clean)
    assert key.startswith("privacy/")
    report = json.loads(clean.client("s3").get_object(Bucket=clean.resources["ParkingBucket"], Key=key)["Body"].read())
    assert [held["pk"] for held in report["held"]] == ["order_created#shopify:705"]
    assert json.loads(report["held"][0]["event"])["user"]["emails_sha256"] == [identity.email(str(person["email"]))]
    assert set(statuses(clean)) == {"order_created#shopify:705", "order_created#shopify:706"}


def test_a_forged_privacy_request_erases_nothing(clean: Stack) -> None:
    assert post(clean, an_order_of(CUSTOMER, 707))["outcome"] == "recorded"
    delivery = redaction("shop/redact", shop_domain="northwind-trail.myshopify.com").delivery(SECRET, datetime.now(UTC))
    forged = {**delivery.headers, "x-shopify-hmac-sha256": shopify.sign(delivery.body, "not the secret")}
    assert clean.post("shopify", delivery.body, forged).status == 401
    assert list(items(clean)) == ["order_created#shopify:707"]
