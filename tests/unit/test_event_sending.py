"""A good event on its way: the bytes that it becomes, whether it is still young enough, whether it can be matched."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.event import User, age_problem, has_match_key, parse, without_contents
from tests.fakes import DIGEST, NOW_MS, an_order
from tools import wire_rules

CASES = Path(__file__).parents[1] / "cases" / "wire"
ACCEPTED = json.loads((CASES / "accepted.json").read_text(encoding="utf-8"))

CUSTOM = an_order(type="custom", custom_event_name="quote", data={"type": "custom"})
APP = an_order(type="app_installed", action_source="mobile_app", data={"type": "customer_action"})


def row_id(case: dict[str, Any]) -> str:
    return f"row{case['row']:02}"


def turned(value: Any) -> Any:
    """The same JSON value with every object written backwards."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(each) for each in value] if isinstance(value, list) else value


# Bytes.


@pytest.mark.parametrize("case", ACCEPTED, ids=row_id)
def test_equal_events_give_equal_bytes_whatever_the_order_of_their_keys(case: dict[str, Any]) -> None:
    for given in case["request"]["body"]["events"]:
        text = parse(given).to_json()

        assert parse(turned(given)).to_json() == text
        assert parse(json.loads(text)).to_json() == text
        assert parse(parse(given)).to_json() == text


def test_json_is_compact_in_the_order_of_the_contract_and_keeps_letters() -> None:
    given = {
        "data": {"zone": None, "contents": [{"variant_dict": {"b": "2", "a": "1"}, "name": "Café"}],
                 "area": {"z": 1, "y": 2}, "currency": "eur", "amount": 5, "type": "custom"},
        "user": {"cities": ["Köln"], "emails_sha256": [DIGEST]},
        "custom_event_name": "Quote", "timestamp_ms": 1, "type": "custom", "id": "x",
    }  # fmt: skip

    assert parse(given).to_json() == (
        '{"id":"x","type":"custom","timestamp_ms":1,"custom_event_name":"quote",'
        f'"user":{{"emails_sha256":["{DIGEST}"],"cities":["Köln"]}},'
        '"data":{"type":"custom","amount":5,"currency":"EUR",'
        '"contents":[{"name":"Café","variant_dict":{"a":"1","b":"2"}}],"area":{"y":2,"z":1},"zone":null}}'
    )


SQS_TAKES = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""The characters of a message, as the reference of SendMessage has them."""


def test_sqs_takes_every_event() -> None:
    # Given a name with each kind of character that a buyer or a shop may bring along
    name = "\x00\x0b\x1f\x7f\u2028\ue000\ufdd0\ufffd\ufffe\uffff\U0001fffe\U0010ffff"
    given = an_order(data={"type": "contents", "contents": [{"name": name}]})

    text = parse(given).to_json()

    assert SQS_TAKES.fullmatch(text)
    assert json.loads(text) == given


def test_event_without_its_contents_keeps_the_total() -> None:
    lines = {"type": "contents", "amount": 5, "currency": "USD", "contents": [{"id": "a"}]}
    bare = {"type": "contents", "amount": 5, "currency": "USD"}

    assert without_contents(parse(an_order(data=lines))).to_json() == parse(an_order(data=bare)).to_json()
    custom = CUSTOM | {"data": {**lines, "type": "custom", "stage": "won"}}
    assert without_contents(parse(custom)).wire()["data"] == {**bare, "type": "custom", "stage": "won"}
    assert without_contents(parse(APP)) == parse(APP)


# Time and match keys.

LATEST = NOW_MS + 10 * 60_000 - 60_000
EARLIEST = NOW_MS - 7 * 86_400_000 + 60_000


@pytest.mark.parametrize(
    ("timestamp_ms", "problem"),
    [
        (NOW_MS, None),
        (EARLIEST, None),
        (EARLIEST - 1, "too_old"),
        (LATEST, None),
        (LATEST + 1, "too_far_ahead"),
        (0, "too_old"),
        (2**53 - 1, "too_far_ahead"),
    ],
)
def test_age_at_the_limits(timestamp_ms: int, problem: str | None) -> None:
    assert age_problem(timestamp_ms, NOW_MS) == problem


@pytest.mark.parametrize("late_ms", [0, 60_000])
def test_what_may_leave_arrives_in_time_even_a_minute_later(late_ms: int) -> None:
    for timestamp_ms in (EARLIEST, LATEST):
        assert wire_rules.timestamp_problem(an_order(timestamp_ms=timestamp_ms), NOW_MS + late_ms) is None


@pytest.mark.parametrize(
    ("user", "oppref", "found"),
    [
        (None, None, False),
        (None, "gAAAA", True),
        ({}, None, False),
        ({"ip_address": "203.0.113.9", "user_agent": "curl/8"}, None, False),
        ({"first_names_sha256": [DIGEST], "cities": ["Ulm"], "countries": ["DE"]}, None, False),
        ({"obref": "b"}, None, True),
        ({"emails_sha256": [DIGEST]}, None, True),
        ({"phone_numbers_sha256": [DIGEST]}, None, True),
        ({"external_ids_sha256": [DIGEST]}, None, True),
    ],
)
def test_match_key(user: dict[str, Any] | None, oppref: str | None, found: bool) -> None:
    assert has_match_key(User.model_validate(user) if user is not None else None, oppref) is found
