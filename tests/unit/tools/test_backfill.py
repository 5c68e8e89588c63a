"""What is asked of the platforms' APIs, and as which delivery an object is taken: over HTTP, on the loopback."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from conversion_relay.settings import Settings
from conversion_relay.sources import stripe as stripe_source
from tools.backfill import shopify, stripe, token
from tools.backfill.found import Found
from tools.dry_run import CannotRun
from tools.stand_in_platforms import SHOPIFY_TOKEN, STRIPE_KEY, PlatformsStandIn, sample_events, sample_orders
from tools.stand_in_server import Answer, Request

SHOP = "northwind-trail.myshopify.com"
NOW = datetime.now(UTC)


@pytest.fixture
def platforms() -> Iterator[PlatformsStandIn]:
    with PlatformsStandIn(sample_orders(NOW), sample_events(NOW)) as stand_in:
        yield stand_in


def orders(platforms: PlatformsStandIn, shop: str | None = SHOP, **settings: Any) -> list[Found]:
    options = argparse.Namespace(shop=shop, api=platforms.url, days=3)
    return shopify.find(options, replace(Settings(), **settings), lambda: SHOPIFY_TOKEN, lambda: None)


def events(platforms: PlatformsStandIn, account: str | None = None, **settings: Any) -> list[Found]:
    options = argparse.Namespace(account=account, api=platforms.url, days=3)
    return stripe.find(options, replace(Settings(), **settings), lambda: STRIPE_KEY, lambda: None)


def test_every_order_of_the_shop_is_found_over_all_pages_whatever_its_status(platforms: PlatformsStandIn) -> None:
    long_ago = NOW - timedelta(days=4)
    platforms.orders = [*platforms.orders, {"id": 1, "updated_at": long_ago.isoformat()}]
    platforms.orders = [*platforms.orders, {"id": 2, "updated_at": NOW.isoformat(), "closed_at": NOW.isoformat()}]
    assert {each.id for each in orders(platforms)} == {str(each["id"]) for each in platforms.orders} - {"1"}
    assert len(platforms.requests) == 3


@pytest.mark.parametrize(
    ("status", "topic"),
    [
        ("paid", "orders/paid"), ("partially_refunded", "orders/paid"),
        ("authorized", "orders/create"), ("partially_paid", "orders/create"), ("pending", "orders/create"),
        ("refunded", "orders/create"), ("voided", "orders/create"), (None, "orders/create"),
    ],
)  # fmt: skip
def test_an_order_is_the_webhook_that_its_payment_would_have_sent(
    platforms: PlatformsStandIn, status: str | None, topic: str
) -> None:
    platforms.orders = [{**platforms.orders[0], "financial_status": status}]
    (found,) = orders(platforms)
    assert (found.topic, found.delivery.headers["x-shopify-topic"]) == (topic, topic)
    assert found.delivery.headers["x-shopify-shop-domain"] == SHOP
    assert json.loads(found.delivery.body) == platforms.orders[0]


@pytest.mark.parametrize(
    ("transactions", "expected"),
    [
        ([("sale", "success", 1)], 1),
        ([("capture", "success", 1), ("sale", "success", 5)], 5),
        ([("authorization", "success", 9), ("capture", "success", 1)], 9),
        ([("sale", "failure", 2), ("refund", "success", 1)], None),
        ([], None),
    ],
)
def test_an_old_order_says_when_it_was_first_paid(
    platforms: PlatformsStandIn, transactions: list[tuple[str, str, int]], expected: int | None
) -> None:
    def days_ago(days: int) -> str:
        return (NOW - timedelta(days=days)).isoformat()

    platforms.orders = [{**platforms.orders[0], "id": 1, "processed_at": days_ago(10), "financial_status": "paid"}]
    platforms.transactions = {
        1: [{"kind": kind, "status": status, "processed_at": days_ago(ago)} for kind, status, ago in transactions]
    }
    (found,) = orders(platforms)
    paid_at = found.delivery.headers.get("x-shopify-triggered-at")
    assert paid_at == (None if expected is None else days_ago(expected))


def test_the_shop_is_that_of_the_settings_unless_it_is_named(platforms: PlatformsStandIn) -> None:
    assert orders(platforms, None, shop_domains=frozenset({SHOP, "shop.example.com"}))
    for shop, domains in (
        (None, frozenset()),
        (None, frozenset({SHOP, "other.myshopify.com"})),
        ("shop.example.com", frozenset()),
        ("a.myshopify.com/admin", frozenset()),
        ("other.myshopify.com", frozenset({SHOP})),
    ):
        with pytest.raises(CannotRun, match=r"name the shop|not in ShopDomains"):
            orders(platforms, shop, shop_domains=domains)


def test_every_event_of_a_type_that_is_read_is_found_and_no_other(platforms: PlatformsStandIn) -> None:
    found = events(platforms)
    assert {each.topic for each in found} == {each["type"] for each in platforms.events} & set(stripe.TYPES)
    assert len({each.id for each in found}) == len(found) == 23
    # in the order in which they happened: Stripe gives the newest first
    platforms.events = [{**each, "created": each["created"] - n} for n, each in enumerate(platforms.events)]
    in_order = sorted(events(platforms), key=lambda each: (each.happened_ms, each.number))
    assert [each.happened_ms for each in in_order] == sorted(each.happened_ms for each in in_order)
    # with as few pages as there may be, and no more types than Stripe takes
    asked = parse_qs(urlsplit(platforms.requests[0]).query)
    assert asked["limit"] == ["100"]
    assert len(asked["types[]"]) <= 20


def test_an_event_of_a_connected_account_says_whose_it_is(platforms: PlatformsStandIn) -> None:
    listed = frozenset({"acct_1SNConnected"})
    owners = {
        stripe_source.SOURCE.tenant(each.delivery)
        for each in events(platforms, "acct_1SNConnected", stripe_accounts=listed)
    }
    assert owners == {"acct_1SNConnected"}
    with pytest.raises(CannotRun, match="not in StripeAccounts"):
        events(platforms, "acct_1SNConnected")


class Elsewhere(PlatformsStandIn):
    """Something else than the platform's API, at its address: it answers everything with one JSON object."""

    body = b"{}"

    def _respond(self, _: Request) -> Answer:
        return Answer(200, self.body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"data": {}, "orders": {}}',
        b'{"data": [null], "orders": [null]}', b'{"data": ["x"], "orders": ["x"]}',
        b'{"data": [{"id": "evt_1", "created": "today"}], "orders": [7]}',
        b'{"data": [{"created": 1795186800}], "has_more": true, "orders": [[]]}',
    ],
)  # fmt: skip
def test_an_answer_of_something_else_says_what_to_compare(body: bytes) -> None:
    with Elsewhere() as elsewhere:
        elsewhere.body = body

        with pytest.raises(CannotRun, match="no list of events: compare --api"):
            events(elsewhere)
        with pytest.raises(CannotRun, match="no list of orders: compare --shop and --api"):
            orders(elsewhere)


@pytest.mark.parametrize("given", ["", "  ", "två", "two\nlines"])
def test_a_token_that_cannot_be_one_is_not_used(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", given)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(CannotRun, match="put it into the environment as STRIPE_API_KEY"):
        token("STRIPE_API_KEY", "key of Stripe's API")


def test_without_the_variable_the_token_is_asked_for_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRIPE_API_KEY", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: " rk_live_1 ")
    assert token("STRIPE_API_KEY", "key of Stripe's API") == "rk_live_1"
