"""Reading JSON that somebody else wrote: whatever is not where it should be, or not what it should be, is None."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay import payload
from conversion_relay.delivery import NotUnderstood

NESTED = {"a": {"b": [{"c": "deep"}, "second"]}, "none": None, "zero": 0, "": "empty key"}


def test_fractions_are_exact() -> None:
    body = payload.parse_object(b'{"price": 1.005, "big": 9007199254740993, "small": 1e-7, "minus": -0.10}')

    assert body == {
        "price": Decimal("1.005"),
        "big": 9007199254740993,
        "small": Decimal("1e-7"),
        "minus": Decimal("-0.10"),
    }
    assert isinstance(body["price"], Decimal)
    assert str(body["minus"]) == "-0.10"


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"{}", {}),
        (b' {"a": 1}\n', {"a": 1}),
        (b"\xef\xbb\xbf{}", {}),
        ('{"name": "Zoë 🛒"}'.encode(), {"name": "Zoë 🛒"}),
        (b'{"lone": "\\ud83d"}', {"lone": "\ud83d"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_object(raw: bytes, body: dict[str, Any]) -> None:
    assert payload.parse_object(raw) == body


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b'{"a": 1,}', "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not_json"),
        (b'{"a": 1e99999999999999999999}', "not_json"),
        (b'{"a": 1e-99999999999999999999}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b"a=1&b=2", "not_json"),
        (b"\xff\xfe{\x00}\x00", "not_utf8"),
        (b'{"a": "\xe9"}', "not_utf8"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"5", "not_an_object"),
        (b"1.5", "not_an_object"),
    ],
    ids=lambda each: each[:30],
)
def test_no_object(raw: bytes, reason: str) -> None:
    with pytest.raises(NotUnderstood) as refusal:
        payload.parse_object(raw)

    assert refusal.value.reason == reason
    assert refusal.value.detail.startswith("the body is ")


@given(st.binary(max_size=50) | st.text(max_size=50).map(str.encode) | st.from_regex(rb'\{"a": -?[0-9.eE+-]{1,30}\}'))
def test_any_bytes_are_an_object_or_not_understood(raw: bytes) -> None:
    try:
        found: object = payload.parse_object(raw)
    except NotUnderstood as refusal:
        found = refusal.reason

    assert isinstance(found, dict) or found in ("not_json", "not_utf8", "not_an_object")


def test_the_refusal_does_not_quote_the_body() -> None:
    for raw in (b"Jane.Roe@example.com", b'{"Jane": Roe}', b'["Jane"]', b"Jane \xff"):
        with pytest.raises(NotUnderstood) as refusal:
            payload.parse_object(raw)
        assert "Jane" not in f"{refusal.value.detail} {refusal.value}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((), NESTED),
        (("a", "b", 0, "c"), "deep"),
        (("a", "b", 1), "second"),
        (("a", "b", -1), "second"),
        (("a", "b", 2), None),
        (("a", "b", -3), None),
        (("a", "b", "c"), None),
        (("a", 0), None),
        (("a", "x", "y", 0), None),
        (("none", "x"), None),
        (("none",), None),
        (("zero",), 0),
        (("",), "empty key"),
    ],
)
def test_value_at(path: tuple[str | int, ...], value: object) -> None:
    assert payload.value_at(NESTED, *path) == value


@pytest.mark.parametrize("node", [None, "text", 5, [], True])
def test_value_at_in_what_is_no_object(node: object) -> None:
    assert payload.value_at(node, "a") is None
    assert payload.value_at(node, 0) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (" a b \n", "a b"),
        ("", None),
        (" \t", None),
        (None, None),
        (5, None),
        (True, None),
        ([], None),
        ("\ud83d!", "?!"),
        ("é\u200b", "é\u200b"),
    ],
)
def test_text(value: object, text: str | None) -> None:
    assert payload.text({"x": value}, "x") == text


@pytest.mark.parametrize(
    ("value", "identifier"),
    [
        (6184203910411, "6184203910411"),
        ("6184203910411", "6184203910411"),
        (" gid://shopify/Order/1 ", "gid://shopify/Order/1"),
        (0, None),
        (-5, None),
        (10**30, None),
        (10**5000, None),
        (True, None),
        (Decimal("1.5"), None),
        (1.0, None),
        ("", None),
        (None, None),
        ({}, None),
    ],
    ids=lambda each: "huge" if isinstance(each, int) and each > 2**64 else repr(each),
)
def test_identifier(value: object, identifier: str | None) -> None:
    assert payload.identifier({"x": value}, "x") == identifier


@pytest.mark.parametrize(
    ("value", "integer"),
    [(0, 0), (-3, -3), (True, None), ("3", None), (Decimal(3), None), (3.0, None), (None, None)],
)
def test_integer(value: object, integer: int | None) -> None:
    found = payload.integer({"x": value}, "x")

    assert found == integer
    assert not isinstance(found, bool)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (214, Decimal(214)),
        (-3, Decimal(-3)),
        (0, Decimal(0)),
        (Decimal("1.50"), Decimal("1.50")),
        ("214", Decimal(214)),
        (" 12.5 ", Decimal("12.5")),
        ("-0.001", Decimal("-0.001")),
        ("9" * 18, Decimal("9" * 18)),
        ("9" * 19, None),
        (10**18, None),
        ("1e3", None),
        (Decimal("1E+30"), None),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        ("1,50", None),
        ("1.", None),
        (".5", None),
        ("+1", None),
        ("0x10", None),
        ("٢", None),
        ("", None),
        (True, None),
        (1.5, None),
        (None, None),
        ([], None),
        ({}, None),
    ],
    ids=lambda each: ascii(each)[:24],
)
def test_number(value: object, number: Decimal | None) -> None:
    assert payload.number({"x": value}, "x") == number


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_a_finite_number_or_none(text: str) -> None:
    found = payload.number({"x": text}, "x")

    assert found is None or found.is_finite()


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (True, True),
        (False, False),
        ("true", True),
        (" False ", False),
        ("TRUE", True),
        ("yes", None),
        ("", None),
        (1, None),
        (0, None),
        (None, None),
        ([], None),
    ],
)
def test_flag(value: object, flag: bool | None) -> None:
    assert payload.flag({"x": value}, "x") is flag


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("a", True),
        (" ", False),
        ("", False),
        (None, False),
        (False, False),
        (0, False),
        (5, True),
        ([], False),
        ([0], True),
        ({}, False),
    ],
)
def test_is_filled(value: object, filled: bool) -> None:
    assert payload.is_filled({"x": value}, "x") is filled


@pytest.mark.parametrize(
    ("value", "objects"),
    [
        ([{"a": 1}, None, "x", [], {"b": 2}], [{"a": 1}, {"b": 2}]),
        ([], []),
        ({}, []),
        ({"a": {}}, []),
        ("text", []),
        (None, []),
    ],
)
def test_objects(value: object, objects: list[dict[str, Any]]) -> None:
    assert list(payload.objects({"x": value}, "x")) == objects


def test_string_is_exactly_what_stands_there() -> None:
    held = {"a": " \ud800 ", "n": 1, "none": None}

    assert payload.string(held, "a") == " \ud800 "
    assert [payload.string(held, key) for key in ("n", "none", "absent")] == [None, None, None]
