"""The shop of the demo and of the tests in a browser, over HTTP: cart as Shopify's, webhooks as the samples'."""

import json
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.unit.tools.stand_in_calls import PID
from tools.samples import Sample, sample
from tools.shop import Shop, stripe_address
from tools.shop_pages import PAYMENT_LINK

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Visitor:
    """A browser without scripts: it keeps cookies and follows redirects."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )

    def get(self, path: str) -> Any:
        return self._opener.open(f"{self.shop.url}{path}", timeout=5)

    def post(self, path: str, body: str, kind: str) -> Any:
        return self._opener.open(
            urllib.request.Request(f"{self.shop.url}{path}", body.encode(), {"Content-Type": kind})
        )

    def cart(self) -> Any:
        with self.get("/cart.js") as answer:
            return json.load(answer)["attributes"]


@pytest.fixture
def webhooks() -> list[Sample]:
    return []


@pytest.fixture
def shop(webhooks: list[Sample]) -> Iterator[Shop]:
    with Shop(pixel_id=PID, openai="http://127.0.0.1:1") as made:
        made.relay = "http://127.0.0.1:2/click/"
        made.deliver = webhooks.append
        yield made


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (json.dumps({"attributes": {"relay_click": "rc1_x", "other": "1"}}), JSON),
        (urlencode({"attributes[relay_click]": "rc1_x", "attributes[other]": "1", "note": "no attribute"}), FORM),
    ],
    ids=["JSON", "form"],
)
def test_cart_attributes_are_set_beside_those_that_there_are_and_cleared_by_empty_ones(
    shop: Shop, body: str, kind: str
) -> None:
    visitor = Visitor(shop)
    visitor.post("/cart/update.js", json.dumps({"attributes": {"gift": "yes"}}), JSON).close()

    visitor.post("/cart/update.js", body, kind).close()
    assert visitor.cart() == {"gift": "yes", "relay_click": "rc1_x", "other": "1"}

    visitor.post("/cart/update.js", json.dumps({"attributes": {"relay_click": "", "other": None}}), JSON).close()
    assert visitor.cart() == {"gift": "yes"}


def test_each_visitor_has_a_cart_of_their_own(shop: Shop) -> None:
    first, second = Visitor(shop), Visitor(shop)

    first.post("/cart/update.js", json.dumps({"attributes": {"gift": "yes"}}), JSON).close()

    assert (first.cart(), second.cart()) == ({"gift": "yes"}, {})


def test_an_order_has_the_carts_attributes_and_nothing_else_of_the_browser(shop: Shop, webhooks: list[Sample]) -> None:
    visitor = Visitor(shop)
    visitor.get("/?oppref=op1").close()
    visitor.post("/cart/update.js", json.dumps({"attributes": {"relay_click": "rc1_x"}}), JSON).close()

    with visitor.post("/checkout", urlencode({"email": "a@example.com"}), FORM) as thanks:
        page = thanks.read().decode()

    assert webhooks == []
    [order] = shop.deliver_waiting()
    assert webhooks == [order]
    assert (order.topic, order.payload["email"]) == ("orders/create", "a@example.com")
    assert order.payload["note_attributes"] == [{"name": "relay_click", "value": "rc1_x"}]
    assert "op1" not in json.dumps(order.payload)
    nothing = ("landing_site", "referring_site", "browser_ip", "client_details")
    assert [order.payload[field] for field in nothing] == [None] * 4
    assert order.payload.keys() == sample("shopify/orders/create").payload.keys()
    assert f'{{event_id: "shopify:{order.payload["id"]}"}}' in page
    assert shop.deliver_waiting() == []


def test_what_was_bought_is_in_no_cart_any_more(shop: Shop) -> None:
    visitor = Visitor(shop)
    visitor.post("/cart/update.js", json.dumps({"attributes": {"relay_click": "rc1_x"}}), JSON).close()

    visitor.post("/checkout", urlencode({"email": "a@example.com"}), FORM).close()

    assert visitor.cart() == {}


def test_the_webhook_can_come_before_the_thanks(shop: Shop, webhooks: list[Sample]) -> None:
    shop.webhook_first = True

    with Visitor(shop).post("/checkout", urlencode({"email": "a@example.com"}), FORM):
        assert len(webhooks) == 1


def test_a_payment_link_hands_its_reference_to_the_session(shop: Shop, webhooks: list[Sample]) -> None:
    address = stripe_address(shop, f"{PAYMENT_LINK}?client_reference_id=rc1_x").removeprefix(shop.url)
    with Visitor(shop).get(address) as payment:
        assert "client_reference_id=rc1_x" in payment.read().decode()

    with Visitor(shop).post(address, "", FORM) as paid:
        leads_to = paid.read().decode()

    [made] = shop.deliver_waiting()
    session = made.payload["data"]["object"]
    assert (made.topic, session["client_reference_id"], session["metadata"]) == (
        "checkout.session.completed",
        "rc1_x",
        {},
    )
    with Visitor(shop).get(f"/thanks?session_id={session['id']}") as thanks:
        assert f'{{event_id: "stripe:{session["id"]}"}}' in thanks.read().decode()
    assert f"{shop.url}/thanks?session_id={session['id']}" in leads_to


def test_pages_allow_what_they_need_and_no_more(shop: Shop) -> None:
    with Visitor(shop).get("/") as landing:
        policy, page = landing.headers["Content-Security-Policy"], landing.read().decode()

    assert policy.startswith("default-src 'self'; script-src 'nonce-")
    assert "unsafe" not in policy
    assert "connect-src 'self' http://127.0.0.1:1 http://127.0.0.1:2;" in policy
    assert '<script nonce="' in page
    assert "<script>" not in page
