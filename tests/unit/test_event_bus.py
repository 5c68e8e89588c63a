"""An event of EventBridge as a delivery: which are taken, what is in them, and that only the bus is trusted."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay import event_bus, function_url
from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.settings import Settings
from conversion_relay.wiring import trusting_the_bus
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.lambda_event import EVENT_SOURCES, bus_event, function_url_event
from tools.samples import sample, samples
from tools.sources import receiver_for

SHOPIFY, STRIPE = EVENT_SOURCES["shopify"], EVENT_SOURCES["stripe"]
SETTINGS = Settings(
    storefront_origin="https://northwind-trail.example",
    site_origin="https://app.example-saas.test",
    shopify_event_source=SHOPIFY,
    stripe_event_source=STRIPE,
)
NOW = datetime.now(UTC)
OVER_THE_BUS = [each for each in samples() if each.source in EVENT_SOURCES]

# What EventBridge hands over of Shopify, shortened.
ENVELOPE: dict[str, Any] = {
    "version": "0",
    "id": "17e8dff5-d6cd-3770-ace9-aeac02b6ac3f",
    "detail-type": "shopifyWebhook",
    "source": SHOPIFY,
    "account": "123456789012",
    "time": "2026-11-22T12:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "payload": {"id": 1, "total_price": "12.30", "note": "Grüße <3"},
        "metadata": {"X-Shopify-Topic": "orders/create", "X-Shopify-Hmac-SHA256": "bm8=", "X-Shopify-Test": True},
    },
}


def envelope_of(name: str) -> dict[str, Any]:
    chosen = sample(name)
    return bus_event(chosen.source, chosen.delivery("-", NOW), EVENT_SOURCES[chosen.source], NOW)


def received(envelope: dict[str, Any], ledger: InMemoryLedger, parking: InMemoryParking | None = None) -> Outcome:
    source = event_bus.source_of(envelope, SETTINGS)
    assert source is not None
    now_ms = int(NOW.timestamp() * 1000)
    receiver = receiver_for(source, KnownSecrets([]), ledger, parking or InMemoryParking(), SETTINGS, lambda: now_ms)
    assert receiver is not None
    return trusting_the_bus(receiver).receive(event_bus.delivery_in(envelope, source))


# Which are taken ------------------------------------------------------------------------------------------------------


def test_an_envelope_is_one() -> None:
    assert event_bus.is_envelope(ENVELOPE)


@pytest.mark.parametrize("name", ["shopify/orders/create", "stripe/invoice.paid"])
@pytest.mark.parametrize("encoded", [False, True])
def test_a_request_is_none_whatever_its_body_says(name: str, encoded: bool) -> None:
    mimicry = Delivery(
        "POST", "/", "source=x&detail-type=y", {"source": SHOPIFY}, json.dumps(envelope_of(name)).encode()
    )

    assert not event_bus.is_envelope(function_url_event(mimicry, encoded=encoded))


@pytest.mark.parametrize(
    "event",
    [
        {**ENVELOPE, "requestContext": {}},
        {**ENVELOPE, "requestContext": None},
        {name: value for name, value in ENVELOPE.items() if name != "source"},
        {name: value for name, value in ENVELOPE.items() if name != "detail-type"},
        {},
    ],
    ids=["with a request context", "with an empty one", "no source", "no detail-type", "nothing"],
)
def test_what_is_not_quite_an_envelope_is_a_request(event: dict[str, Any]) -> None:
    assert not event_bus.is_envelope(event)


def test_the_source_is_the_one_that_the_settings_name() -> None:
    assert event_bus.source_of(ENVELOPE, SETTINGS) == "shopify"
    assert event_bus.source_of({**ENVELOPE, "source": STRIPE}, SETTINGS) == "stripe"


@pytest.mark.parametrize(
    "source",
    ["", None, [SHOPIFY], "aws.partner/shopify.com/1234567/other", f"{SHOPIFY}/more", SHOPIFY.upper(), "custom"],
)
def test_every_other_source_is_none_of_ours(source: object) -> None:
    assert event_bus.source_of({**ENVELOPE, "source": source}, SETTINGS) is None


@pytest.mark.parametrize("source", ["", SHOPIFY])
def test_where_no_source_is_set_none_is_taken(source: str) -> None:
    assert event_bus.source_of({**ENVELOPE, "source": source}, Settings()) is None


# What is in them ------------------------------------------------------------------------------------------------------


def test_shopify_s_envelope_as_a_delivery() -> None:
    delivery = event_bus.delivery_in(ENVELOPE, "shopify")

    assert (delivery.method, delivery.path, delivery.query, delivery.origin) == ("POST", "/shopify", "", "")
    assert delivery.headers == {
        "x-shopify-topic": "orders/create",
        "x-shopify-hmac-sha256": "bm8=",
        "x-shopify-test": "True",
        "eventbridge-source": SHOPIFY,
    }
    assert json.loads(delivery.body) == ENVELOPE["detail"]["payload"]


def test_stripe_s_envelope_as_a_delivery() -> None:
    detail = {"id": "evt_1", "object": "event", "type": "invoice.paid"}

    delivery = event_bus.delivery_in({**ENVELOPE, "source": STRIPE, "detail": detail}, "stripe")

    assert (delivery.path, delivery.headers) == ("/stripe", {"eventbridge-source": STRIPE})
    assert json.loads(delivery.body) == detail


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_any_payload_is_a_body(payload: Any) -> None:
    envelope = {**ENVELOPE, "detail": {"payload": payload, "metadata": {}}}

    assert event_bus.delivery_in(envelope, "shopify").body == json.dumps(payload).encode()


# What Lambda gave up --------------------------------------------------------------------------------------------------


def record_of(payload: Any) -> bytes:
    """What Lambda writes into the bucket when an event has failed for good."""
    context = {"condition": "RetriesExhausted", "approximateInvokeCount": 3}
    return json.dumps({"version": "1.0", "requestContext": context, "requestPayload": payload}).encode()


@pytest.mark.parametrize("name", ["shopify/orders/create", "stripe/invoice.paid"])
def test_what_lambda_gave_up_is_the_same_delivery(name: str) -> None:
    envelope = envelope_of(name)

    assert event_bus.delivery_given_up(record_of(envelope)) == event_bus.delivery_in(envelope, name.partition("/")[0])


@pytest.mark.parametrize(
    "record",
    [
        record_of(None),
        record_of([ENVELOPE]),
        record_of({"detail": {}}),
        record_of({**ENVELOPE, "source": "aws.partner/example.com/1"}),
        record_of({**ENVELOPE, "source": None}),
        record_of({**ENVELOPE, "requestContext": {}}),
        b"{}",
        b"[]",
        b"not JSON",
        b"\xff",
    ],
)
def test_a_record_without_an_event_of_a_partner_is_its_own_body(record: bytes) -> None:
    assert event_bus.delivery_given_up(record) == Delivery("POST", "/", "", {}, record)


# What becomes of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["shopify/orders/create", "stripe/checkout.session.completed"])
def test_an_envelope_is_recorded_without_any_secret(name: str) -> None:
    outcome = received(envelope_of(name), InMemoryLedger())

    assert (outcome.kind, outcome.reason) == ("recorded", "recorded")


@pytest.mark.parametrize("each", OVER_THE_BUS, ids=lambda each: each.name)
def test_a_sample_comes_to_the_same_over_the_bus_as_over_https(each: Any) -> None:
    # Given a sample, signed
    now_ms = int(NOW.timestamp() * 1000)
    over_https, over_the_bus = InMemoryLedger(), InMemoryLedger()
    delivery = each.delivery("secret", NOW)
    receiver = receiver_for(
        each.source, KnownSecrets(["secret"]), over_https, InMemoryParking(), SETTINGS, lambda: now_ms
    )
    assert receiver is not None

    # When it comes both ways
    signed = receiver.receive(function_url.delivery_in(function_url_event(delivery)))
    trusted = received(bus_event(each.source, delivery, EVENT_SOURCES[each.source], NOW), over_the_bus)

    # Then its outcome is the same, and so is the ledger
    assert trusted == signed
    assert over_the_bus == over_https


@pytest.mark.parametrize("bus_first", [True, False])
def test_the_same_order_both_ways_is_one_conversion(bus_first: bool) -> None:
    # Given one order over HTTPS and over the bus
    ledger, now_ms = InMemoryLedger(), int(NOW.timestamp() * 1000)
    receiver = receiver_for("shopify", KnownSecrets(["secret"]), ledger, InMemoryParking(), SETTINGS, lambda: now_ms)
    assert receiver is not None
    delivery = sample("shopify/orders/create").delivery("secret", NOW)
    ways = [lambda: receiver.receive(delivery), lambda: received(envelope_of("shopify/orders/create"), ledger)]

    # When both arrive, then the first is recorded and the second is a duplicate of it
    kinds = [way().kind for way in (reversed(ways) if bus_first else ways)]
    assert kinds == ["recorded", "duplicate"]
    assert len(ledger.conversions) == 1


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        (None, "topic_missing"),
        ("text", "topic_missing"),
        ({"payload": {"id": 1}}, "topic_missing"),
        ({"payload": {"id": 1}, "metadata": []}, "topic_missing"),
        ({"payload": {"id": 1}, "metadata": {"X-Shopify-Topic": None}}, "topic_missing"),
        ({"metadata": {"X-Shopify-Topic": "orders/create"}}, "not_an_object"),
        ({"payload": {}, "metadata": {"X-Shopify-Topic": "orders/create"}}, "id_missing"),
    ],
)
def test_an_envelope_of_another_shape_is_kept_raw(detail: Any, reason: str) -> None:
    parking = InMemoryParking()

    outcome = received({**ENVELOPE, "detail": detail}, InMemoryLedger(), parking)

    assert (outcome.kind, outcome.reason) == ("parked", reason)
    (kept,) = parking.parked.values()
    assert kept.headers["eventbridge-source"] == SHOPIFY


@pytest.mark.parametrize("detail", [None, [], {"object": "thing"}])
def test_a_stripe_envelope_of_another_shape_is_parked(detail: Any) -> None:
    assert received({**ENVELOPE, "source": STRIPE, "detail": detail}, InMemoryLedger()).kind == "parked"
