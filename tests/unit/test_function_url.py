"""A Function URL's request as a delivery with its exact bytes, and an outcome as its answer."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay import event
from conversion_relay.delivery import Delivery, Handshake, Outcome
from conversion_relay.function_url import answer, delivery_in
from tests.fakes import an_order

# What Lambda hands over (payload format 2.0), shortened.
REQUEST: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/shopify",
    "rawQueryString": "a=1&b=%20",
    "headers": {"X-Shopify-Topic": "orders/create", "content-type": "application/json"},
    "requestContext": {"http": {"method": "POST", "path": "/shopify", "sourceIp": "203.0.113.9"}},
    "body": '{"id": 1}',
    "isBase64Encoded": False,
}


def test_request_as_a_delivery() -> None:
    assert delivery_in(REQUEST) == Delivery(
        method="POST",
        path="/shopify",
        query="a=1&b=%20",
        headers={"x-shopify-topic": "orders/create", "content-type": "application/json"},
        body=b'{"id": 1}',
    )


@pytest.mark.parametrize(
    ("domain", "given", "origin"),
    [
        ("abc123.lambda-url.us-east-1.on.aws", "", "https://abc123.lambda-url.us-east-1.on.aws"),
        ("abc123.lambda-url.us-east-1.on.aws", "https://hooks.example.com", "https://hooks.example.com"),
        (None, "https://hooks.example.com", "https://hooks.example.com"),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_origin_is_the_domain_called_unless_another_stands_in_front(
    domain: str | None, given: str, origin: str
) -> None:
    context = REQUEST["requestContext"] | ({} if domain is None else {"domainName": domain})

    assert delivery_in({**REQUEST, "requestContext": context}, origin=given).origin == origin


def test_a_get_has_no_body() -> None:
    request = {**REQUEST, "requestContext": {"http": {"method": "GET"}}}
    del request["body"]

    delivery = delivery_in(request)

    assert (delivery.method, delivery.body) == ("GET", b"")


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"body": None, "headers": None, "requestContext": None, "rawPath": None, "rawQueryString": None},
        {"requestContext": {"http": None}},
        {"requestContext": {}},
        {"body": "", "isBase64Encoded": True},
    ],
)
def test_a_bare_request(request_: dict[str, Any]) -> None:
    assert delivery_in(request_) == Delivery("POST", "/", "", {}, b"")


@given(st.binary(max_size=200))
def test_the_bytes_of_an_encoded_body_are_exact(body: bytes) -> None:
    encoded = {**REQUEST, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}

    assert delivery_in(encoded).body == body


@given(st.text(max_size=200))
def test_the_bytes_of_a_text_body_are_exact(body: str) -> None:
    assert delivery_in({**REQUEST, "body": body}).body == body.encode()


@pytest.mark.parametrize(
    ("body", "encoded", "raw"),
    [
        ("\ud83d", False, b"\xed\xa0\xbd"),
        ("é", True, "é".encode()),
        ("abc", True, b"abc"),
        ("\ud83d", True, b"\xed\xa0\xbd"),
    ],
    ids=ascii,
)
def test_a_body_that_is_broken_in_its_own_way_is_left_to_the_signature(body: str, encoded: bool, raw: bytes) -> None:
    assert delivery_in({**REQUEST, "body": body, "isBase64Encoded": encoded}).body == raw


def test_answer_tells_outcome_reason_and_key() -> None:
    outcome = Outcome(
        "recorded", 200, "recorded", "a new conversion", "order_created#shopify:1", event.parse(an_order())
    )

    told = answer(outcome)

    assert (told["statusCode"], told["headers"]) == (200, {"content-type": "application/json"})
    assert json.loads(told["body"]) == {
        "outcome": "recorded", "reason": "recorded", "key": "order_created#shopify:1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("handshake", "headers", "body"),
    [
        (Handshake(), {}, ""),
        (Handshake(text="<script>"), {}, "<script>"),
        (Handshake({"validation-token": "t-1"}), {"validation-token": "t-1"}, ""),
        (Handshake({"content-type": "application/json"}, "{}"), {"content-type": "application/json"}, "{}"),
    ],
)
def test_a_handshake_is_sent_back_as_plain_text(handshake: Handshake, headers: dict[str, str], body: str) -> None:
    told = answer(Outcome("handshake", 200, "handshake", "answered", handshake=handshake))

    plain = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
    assert told == {"statusCode": 200, "headers": plain | headers, "body": body}


def test_answer_keeps_details_and_events_to_ourselves() -> None:
    outcome = Outcome("failed", 500, "ledger_unavailable", "DynamoDB could not record the conversion")

    told = answer(outcome)

    assert told["statusCode"] == 500
    assert json.loads(told["body"]) == {"outcome": "failed", "reason": "ledger_unavailable"}
