"""By what a delivery is found in the log: the objects that it is about, as the ledger names them, and the topic."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tools import samples
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import SOURCES

SECRET = "a dev secret"
NOW = datetime(2027, 3, 1, 8, 30, tzinfo=UTC)
SETTINGS = Settings(
    storefront_origin="https://northwind-trail.example",
    count_carts=True,
    require_match_key="none",
    count_newsletter=True,
    stripe_accounts=frozenset({"acct_1SNConnected"}),
)
ALL = {each.name: each for each in samples.samples()}
PRIVACY = ("shopify/customers/data_request", "shopify/customers/redact", "shopify/shop/redact")
ABOUT_NOTHING = {*PRIVACY, "shopify/products/update", "hubspot/deal.subscription"}
"""People who want their data or no more of it; what is no object of a sale; an event that names none."""


def received(name: str, secret: str = SECRET) -> Outcome:
    receiver = Receiver(
        SOURCES[ALL[name].source],
        KnownSecrets([secret]),
        InMemoryLedger(),
        InMemoryParking(),
        SETTINGS,
        lambda: int(NOW.timestamp() * 1000),
    )
    return receiver.receive(ALL[name].delivery(SECRET, NOW))


def order(payload: object, topic: str = "orders/create") -> Delivery:
    return Delivery("POST", "/", "", {"x-shopify-topic": topic}, json.dumps(payload).encode())


@pytest.mark.parametrize("name", ALL)
def test_a_recorded_conversion_is_found_by_its_subject(name: str) -> None:
    outcome = received(name)

    for key in (outcome.key, *outcome.also) if outcome.kind == "recorded" else ():
        event_name, _, subject = (key or "").partition("#")
        # What a cart was added to is told apart by what it holds then; the cart itself is named.
        assert subject.rpartition(":")[0].rpartition(":")[0] in outcome.about or event_name != "items_added"
        assert subject in outcome.about or event_name == "items_added"


def test_what_is_ignored_or_parked_is_named_too() -> None:
    assert {name for name in ALL if not received(name).about} == ABOUT_NOTHING


def test_an_order_is_named_as_the_admin_names_it() -> None:
    assert received("shopify/orders/cancelled").about == ("shopify:6184203920001", "#2001")
    assert received("shopify/refunds/create").about == ("shopify:6184203920001",)


@pytest.mark.parametrize("name", ["Mara Lindqvist", "mara@example.com", "#14155550132", "", "#", "Mara", None, 1001])
def test_no_other_text_passes_as_the_name_of_an_order(name: object) -> None:
    assert SOURCES["shopify"].about(order({"id": 7, "name": name})) == ("shopify:7",)


@pytest.mark.parametrize("name", ["#1001", "1001", "NT-1001", "#1001-DE", "EU1001"])
def test_prefix_and_suffix_of_an_order_s_name(name: str) -> None:
    assert SOURCES["shopify"].about(order({"id": 7, "name": name})) == ("shopify:7", name)


def test_a_subscription_is_found_by_its_session_and_its_invoice() -> None:
    assert received("stripe/checkout.session.completed.subscription").about == (
        "stripe:cs_live_plan", "stripe:sub_1SNPlan", "stripe:in_1SNTestInv0001",
    )  # fmt: skip
    assert received("stripe/checkout.session.completed.connected").about[0] == "stripe:acct_1SNConnected:cs_live_once"


@pytest.mark.parametrize("held", ["Mara", "mara@example.com", "+14155550132", "14155550132", {"id": "Mara"}, ["in_1"]])
def test_only_stripe_s_own_ids_are_named(held: object) -> None:
    body = {"data": {"object": {"id": held, "subscription": held, "invoice": "in_1"}}}

    assert SOURCES["stripe"].about(order(body)) == ("stripe:in_1",)


def test_of_several_events_each_is_named_but_for_those_without_id() -> None:
    events = [{"deal_id": 1}, {"deal_stage": "closedwon"}, {"deal_id": 2}, {"deal_id": "a b"}]

    assert SOURCES["hubspot"].about(order(events)) == ("hubspot:1", "hubspot:2")


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name].source == "twilio"])
def test_callers_are_not_named(name: str) -> None:
    assert all(each.startswith("twilio:CA") for each in received(name).about)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("shopify/orders/paid", "orders/paid"),
        ("stripe/invoice.paid", "invoice.paid"),
        ("twilio/no-answer", "no-answer"),
        ("callrail/post_call", None),
        ("twilio/recording", None),
    ],
)
def test_the_topic_is_told(name: str, topic: str | None) -> None:
    assert received(name).topic == topic


@pytest.mark.parametrize("topic", ["", "orders", "Mara Lindqvist", "orders/create/x", "a" * 99 + "/b", "é/é"])
def test_no_other_text_passes_as_a_topic(topic: str) -> None:
    assert SOURCES["shopify"].topic(order({}, topic)) is None
    assert SOURCES["stripe"].topic(order({"type": topic})) is None


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_named_before_the_signature_is_right(name: str) -> None:
    refused = received(name, secret="another secret")

    assert (refused.kind, refused.about, refused.topic) == ("refused", (), None)


def test_a_large_body_is_not_read_for_its_names() -> None:
    large = replace(order({}), body=json.dumps({"id": 7, "note": "x" * 1_000_001}).encode())

    assert SOURCES["shopify"].about(large) == ()
