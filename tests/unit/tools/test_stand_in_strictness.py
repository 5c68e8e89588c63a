"""What the stand-in does where the contract is silent: the strict side, and the order of its objections."""

from typing import Any

import pytest

from tests.unit.tools.stand_in_calls import DIGEST, MALFORMED, NOW_MS, STALE, an_event, send
from tools.stand_in import StandIn

# Batches with more than one problem.


def test_a_malformed_event_outranks_a_stale_one(stand_in: StandIn) -> None:
    stand_in.switch(errors="all")

    reply = send(stand_in, {"events": [STALE, MALFORMED]})

    assert (reply.status, reply.error["param"]) == (400, "events[1]")
    assert [leaf["param"] for leaf in reply.error["errors"]] == ["events[1].data.type"]


@pytest.mark.parametrize(
    ("errors", "params"),
    [
        ("first", ["events[1].id", "events[1].data.amount"]),
        ("all", ["events[1].id", "events[1].data.amount", "events[2].data.type"]),
    ],
)
def test_errors_speak_of_the_first_bad_event_or_of_all(stand_in: StandIn, errors: str, params: list[str]) -> None:
    stand_in.switch(errors=errors)
    twice_bad = an_event("", data={"type": "contents", "amount": True, "currency": "USD"})

    reply = send(stand_in, {"events": [an_event(), twice_bad, MALFORMED]})

    assert reply.error["param"] == "events[1]"
    assert [leaf["param"] for leaf in reply.error["errors"]] == params


@pytest.mark.parametrize(("errors", "positions"), [("first", [0]), ("all", [0, 2])])
def test_errors_speak_of_the_first_stale_event_or_of_all(stand_in: StandIn, errors: str, positions: list[int]) -> None:
    stand_in.switch(errors=errors)

    reply = send(stand_in, {"events": [STALE, an_event(), STALE]})

    assert reply.error["param"] == "events[0].timestamp_ms"
    assert [leaf["param"] for leaf in reply.error["errors"]] == [f"events[{at}].timestamp_ms" for at in positions]


# Where the contract is silent, the strict side.


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"oppcref": "0d0f5f4e-8f0e-4b52-9d36-0f6b5f8b0c11"}, "oppcref"),
        ({"action_source": None}, "action_source"),
        ({"action_source": ["web"]}, "action_source"),
        ({"type": ["order_created"]}, "type"),
        ({"timestamp_ms": True}, "timestamp_ms"),
        ({"timestamp_ms": float(NOW_MS)}, "timestamp_ms"),
        ({"source_url": "https:///path"}, "source_url"),
        ({"source_url": "https://exa mple.com/"}, "source_url"),
        ({"source_url": "https://[::1/"}, "source_url"),
        ({"source_url": "https://example.com:port/"}, "source_url"),
        ({"oppref": " "}, "oppref"),
        ({"user": []}, "user"),
        ({"user": {"countries": "IE"}}, "user.countries"),
        ({"user": {"cities": [7]}}, "user.cities"),
        ({"user": {"emails_sha256": [DIGEST + "\n"]}}, "user.emails_sha256"),
        ({"user": {"emails_sha256": [DIGEST, DIGEST, DIGEST, "x"]}}, "user.emails_sha256"),
        (
            {"user": {"last_names_sha256": ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}},
            "user.last_names_sha256",
        ),
        ({"user": {"email_sha256": DIGEST}}, "user.email_sha256"),
        ({"user": {"ip_address": 3405803818}}, "user.ip_address"),
        ({"user": {"ip_address": "fe80::1%eth0"}}, "user.ip_address"),
        ({"data": []}, "data"),
        ({"data": {"type": None}}, "data.type"),
        ({"data": {"type": "contents", "amount": 1, "currency": "BGN"}}, "data.currency"),
        ({"data": {"type": "contents", "amount": 1, "currency": "ıNR"}}, "data.currency"),
        ({"data": {"type": "contents", "amount": None, "currency": "USD"}}, "data.amount"),
        ({"data": {"type": "contents", "amount": 89.0, "currency": "USD"}}, "data.amount"),
        ({"data": {"type": "contents", "contents": {}}}, "data.contents"),
        ({"data": {"type": "contents", "contents": ["sku"]}}, "data.contents[0]"),
        ({"data": {"type": "contents", "contents": [{}, {"content_type": ""}]}}, "data.contents[1].content_type"),
        ({"data": {"type": "contents", "contents": [{"amount": 1}]}}, "data.contents[0].currency"),
        ({"data": {"type": "contents", "contents": [{"quantity": -1}]}}, "data.contents[0].quantity"),
        ({"type": "custom", "custom_event_name": "Order_Created", "data": {"type": "custom"}}, "custom_event_name"),
        ({"type": "custom", "custom_event_name": "quote\n", "data": {"type": "custom"}}, "custom_event_name"),
        (
            {"type": "custom", "custom_event_name": "q", "data": {"type": "custom", "contents": [{"sku": "1"}]}},
            "data.contents[0].sku",
        ),
        ({"type": "app_opened", "data": {"type": "customer_action"}}, "action_source"),
    ],
)
def test_strictness(stand_in: StandIn, fields: dict[str, Any], param: str) -> None:
    reply = send(stand_in, {"events": [an_event(**fields)]})

    assert (reply.status, reply.error["param"]) == (400, "events[0]")
    assert [leaf["param"] for leaf in reply.error["errors"]] == [f"events[0].{param}"]
    assert stand_in.events() == []


def test_an_app_event_without_action_source_is_refused(stand_in: StandIn) -> None:
    event = {"id": "1", "type": "app_opened", "timestamp_ms": NOW_MS, "data": {"type": "customer_action"}}

    reply = send(stand_in, {"events": [event]})

    assert [leaf["param"] for leaf in reply.error["errors"]] == ["events[0].action_source"]


def test_an_event_that_is_no_object_is_named_itself(stand_in: StandIn) -> None:
    reply = send(stand_in, {"events": [an_event(), "event"]})

    assert (reply.error["param"], reply.error["errors"][0]["param"]) == ("events[1]", "events[1]")


def test_a_refusal_never_repeats_a_value(stand_in: StandIn) -> None:
    bad = an_event(user={"emails_sha256": ["user@example.com"], "ip_address": "203.0.113.999"}, oppref="")

    reply = send(stand_in, {"events": [bad]})

    assert reply.status == 400
    assert "user@example.com" not in reply.text
    assert "203.0.113.999" not in reply.text


def test_values_that_the_api_would_not_use_are_reported(stand_in: StandIn) -> None:
    user = {
        "emails_sha256": [DIGEST, DIGEST],
        "cities": ["Cork", " cork ", "x" * 129, "Dublin", "Galway", "Sligo"],
        "postal_codes": ["T12 W8KP", "T12/W8KP"],
        "countries": ["Ireland", "ie", ""],
    }

    reply = send(stand_in, {"events": [an_event(user=user)]})

    assert reply.status == 200
    assert stand_in.events()[0]["ignored"] == [
        "user.emails_sha256[1]",
        "user.cities[1]",
        "user.cities[2]",
        "user.cities[5]",
        "user.postal_codes[1]",
        "user.countries[0]",
        "user.countries[2]",
    ]
