"""What an id could be, and which lines of the log are about it."""

import pytest

from tools import readings, traces
from tools.readings import Line, line_in, parked_source, quoted


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (" 6184203910411\n", "6184203910411"),
        ("gid://shopify/Order/6184203910411", "6184203910411"),
        ("https://admin.shopify.com/store/x/orders/6184203910411?tab=1", "6184203910411"),
        ("https://dashboard.stripe.com/payments/pi_3SN/", "pi_3SN"),
        ("#1001", "#1001"),
        ("shopify/2026/11/22/a.json", "shopify/2026/11/22/a.json"),
        ("  ", ""),
    ],
)
def test_the_id_in_what_was_pasted(given: str, name: str) -> None:
    assert traces.plain(given) == name


def test_an_object_s_id_is_looked_up_under_every_source_and_event() -> None:
    keys = traces.candidates("6184203910411")

    assert {"order_created#shopify:6184203910411", "checkout_started#shopify:6184203910411"} <= set(keys)
    assert {"lead_created#callrail:6184203910411", "order_created#hubspot:6184203910411"} <= set(keys)
    assert len(keys) == len(set(keys)) < 400
    assert not any(key.startswith("custom#") for key in keys)


def test_a_subject_a_key_a_delivery_and_an_order_s_name() -> None:
    assert set(traces.candidates("stripe:acct_1:cs_1")) >= {"order_created#stripe:acct_1:cs_1"}
    assert traces.candidates("order_created#shopify:1") == ["order_created#shopify:1"]
    assert "fetch#stripe:evt_1" in traces.candidates("evt_1")
    assert traces.candidates("#1001") == []


@pytest.mark.parametrize(
    ("key", "term"),
    [
        ("order_created#shopify:618", "618"),
        ("order_created#stripe:acct_1:cs_1", "acct_1:cs_1"),
        ("lead_created#ctm:612044:2310070015", "612044:2310070015"),
        ("items_added#shopify:token:46110022331:1", "token"),
        ("fetch#stripe:evt_1", "evt_1"),
    ],
)
def test_what_stands_in_the_log(key: str, term: str) -> None:
    assert traces.term(key) == term


LINE = Line(1, "shopify", "ignored", "refund", "no refund", about=("shopify:618", "#1001"), delivery="d-1")


@pytest.mark.parametrize(
    ("name", "is_about"),
    [
        ("618", True), ("shopify:618", True), ("#1001", True), ("1001", True), ("d-1", True),
        ("18", False), ("6184", False), ("shopify", False), ("001", False), ("refund", False),
    ],
)  # fmt: skip
def test_a_line_is_about_an_id_and_not_about_its_letters(name: str, is_about: bool) -> None:
    assert traces.is_about(LINE, name) == is_about


def test_a_cart_is_named_within_its_key() -> None:
    line = Line(1, "shopify", "recorded", "recorded", "", key="items_added#shopify:token:46110022331:1")

    assert traces.is_about(line, "token")
    assert not traces.is_about(line, "4611")


def test_lines_of_the_log() -> None:
    message = (
        '{"level":"INFO","message":"a new conversion","source":"shopify","outcome":"recorded","reason":"recorded",'
        '"key":"order_created#shopify:1","also":["x#y:1"],"about":["shopify:1"],"topic":"orders/paid","delivery":null}'
    )
    line = line_in(message, 7)

    assert line is not None
    assert (line.at_ms, line.detail, line.topic, line.delivery) == (7, "a new conversion", "orders/paid", "")
    assert line.keys == ("order_created#shopify:1", "x#y:1")
    assert LINE.keys == ()


@pytest.mark.parametrize(
    "message",
    [
        "START RequestId: 1",
        "[]",
        "5",
        "{}",
        '{"_aws":{},"Recorded":[1.0]}',
        '{"outcome":"refused","reason":"unknown_path"}',
    ],
)
def test_other_lines_are_passed_over(message: str) -> None:
    assert line_in(message, 0) is None


@pytest.mark.parametrize(
    ("text", "pattern"), [("a", '"a"'), ('a"b', '"a\\"b"'), ("a\\", '"a\\\\"'), ("{ $.a }", '"{ $.a }"')]
)
def test_a_text_is_searched_as_it_is(text: str, pattern: str) -> None:
    assert quoted(text) == pattern


def test_whose_a_parked_object_is() -> None:
    keys = ("shopify/2026/a.json", "custom/typeform/2026/a.json", "aws/lambda/async/a", "privacy/shopify-r1.json")

    assert [parked_source(key) for key in keys] == ["shopify", "typeform", readings.GIVEN_UP, readings.REPORT]


@pytest.mark.parametrize(
    ("code", "message", "leave"),
    [
        ("AccessDenied", "Access Denied", "s3:ListBucket"),
        ("AccessDeniedException", "not authorized to perform: kms:Decrypt on", "kms:Decrypt"),
        ("ThrottlingException", "not authorized to perform: a:B", None),
    ],
)
def test_the_leave_that_lacks(code: str, message: str, leave: str | None) -> None:
    assert readings.lacking("s3:ListBucket", code, message) == leave
