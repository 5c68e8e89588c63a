"""What the stand-in has counted, and the switches that make it late, broken or forgetful."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.tools.stand_in_calls import KEYS, NOW_MS, PID, a_batch, an_event, call, control, send
from tools.stand_in import StandIn

# Dedupe: contract 6.1.


def test_first_received_wins(stand_in: StandIn) -> None:
    first, second = an_event(), an_event(data={"type": "contents", "amount": 1, "currency": "EUR"})

    send(stand_in, {"events": [first]})
    reply = send(stand_in, {"events": [second, an_event("shopify:2"), second]})

    assert reply.json == {"accepted_events": 3}
    assert [(kept["event"], kept["duplicates"]) for kept in stand_in.events()] == [
        (first, 2),
        (an_event("shopify:2"), 0),
    ]


def test_same_id_with_another_name_or_pixel_is_another_event(stand_in: StandIn) -> None:
    other_pixel = "Aa1Bb2Cc3Dd4Ee5Ff6Gg7H"
    stand_in.switch(keys={KEYS["conversions"]: {"scope": True, "pixels": [PID, other_pixel]}})

    send(stand_in, a_batch("1"))
    send(stand_in, a_batch("1"), pid=other_pixel)
    send(stand_in, {"events": [an_event("1", type="checkout_started")]})

    assert [(kept["pid"], kept["name"]) for kept in stand_in.events()] == [
        (PID, "order_created"),
        (other_pixel, "order_created"),
        (PID, "checkout_started"),
    ]


def test_custom_events_dedupe_on_their_lower_cased_name(stand_in: StandIn) -> None:
    names = ["Quote", "quote", "QUOTE", "demo"]

    send(
        stand_in,
        {"events": [an_event("1", type="custom", custom_event_name=name, data={"type": "custom"}) for name in names]},
    )

    assert [(kept["name"], kept["duplicates"]) for kept in stand_in.events()] == [("quote", 2), ("demo", 0)]
    assert stand_in.summary()["types"] == {"custom": 2}


def test_duplicates_can_be_left_out_of_the_count(stand_in: StandIn) -> None:
    stand_in.switch(count_duplicates=False)

    assert send(stand_in, a_batch("a", "b", "a")).json == {"accepted_events": 2}
    assert send(stand_in, a_batch("b", "c")).json == {"accepted_events": 1}
    assert send(stand_in, a_batch("b", "d", validate_only=True)).json == {"accepted_events": 2}


def test_simultaneous_copies_count_once(stand_in: StandIn) -> None:
    batch = a_batch(*(f"shopify:{number}" for number in range(50)))

    with ThreadPoolExecutor(8) as senders:
        replies = list(senders.map(lambda _: send(stand_in, batch), range(8)))

    assert {reply.status for reply in replies} == {200}
    assert stand_in.summary()["counted"] == 50
    assert {kept["duplicates"] for kept in stand_in.events()} == {7}


# The control plane and the faults' order.


def test_a_counted_event_is_shown_with_all_that_is_known_of_it(stand_in: StandIn) -> None:
    send(stand_in, a_batch("shopify:1"))

    assert control(stand_in, "GET", "events").json == [
        {
            "pid": PID,
            "name": "order_created",
            "id": "shopify:1",
            "received_ms": NOW_MS,
            "event": an_event("shopify:1"),
            "ignored": [],
            "duplicates": 0,
            "channel": "server",
            "duplicates_from": {},
            "dropped": {},
        }
    ]


def test_requests_are_logged_whatever_became_of_them(stand_in: StandIn) -> None:
    stand_in.fail(status=500)
    send(stand_in, a_batch("a", "b"))
    send(stand_in, a_batch("a"), key="wrong")
    send(stand_in, b"no json")
    send(stand_in, a_batch("a", validate_only=True))

    log = control(stand_in, "GET", "requests").json

    assert [(entry["status"], entry["events"], entry["validate_only"]) for entry in log] == [
        (500, 2, False),
        (401, 1, False),
        (400, 0, False),
        (200, 1, True),
    ]
    assert control(stand_in, "GET", "summary").json["requests"] == {"500": 1, "401": 1, "400": 1, "200": 1}


def test_fault_rules_are_used_up_in_order(stand_in: StandIn) -> None:
    rules = [{"times": 2, "status": 429}, {"accepted_events": 9}, {"times": None, "status": 503}]

    replaced = control(stand_in, "POST", "faults", rules)
    replies = [send(stand_in, a_batch()) for _ in range(6)]

    assert replaced.status == 200
    assert [reply.status for reply in replies] == [429, 429, 200, 503, 503, 503]
    assert replies[2].json == {"accepted_events": 9}
    assert control(stand_in, "POST", "faults", []).status == 200
    assert send(stand_in, a_batch()).status == 200


def test_all_fields_of_a_fault_rule_may_be_given(stand_in: StandIn) -> None:
    rule = {"times": 1, "status": 503, "retry_after": "1", "body": "none", "delay_seconds": 0.01}

    control(stand_in, "POST", "faults", [{**rule, "drop": None, "accepted_events": None}])

    assert send(stand_in, a_batch()).status == 503


@pytest.mark.parametrize(
    "rule",
    [
        {"stats": 500},
        {"status": "500"},
        {"status": 204},
        {"status": 600},
        {"times": 0},
        {"times": True},
        {"body": "html"},
        {"drop": "during"},
        {"drop": "after", "status": 500},
        {"accepted_events": -1},
        {"delay_seconds": -1},
        {"delay_seconds": float("nan")},
        {"retry_after": 5},
        {"retry_after": "5\r\nX: y"},
        "status",
    ],
)
def test_a_fault_that_makes_no_sense_changes_nothing(stand_in: StandIn, rule: object) -> None:
    stand_in.fail(status=502)

    refused = control(stand_in, "POST", "faults", [{"status": 503}, rule])

    assert refused.status == 400
    assert send(stand_in, a_batch()).status == 502


def test_settings_over_http(stand_in: StandIn) -> None:
    settings = {
        "errors": "all",
        "count_duplicates": False,
        "now_ms": NOW_MS + 8 * 86_400_000,
        "keys": {"new": {"scope": True, "pixels": [PID]}},
    }

    changed = control(stand_in, "POST", "settings", settings)

    assert (changed.status, changed.json) == (200, {})
    assert send(stand_in, a_batch()).status == 401
    control(stand_in, "POST", "settings", {"keys": {KEYS["conversions"]: {"scope": True, "pixels": [PID]}}})
    stale = send(stand_in, a_batch("a", "b"))
    assert (stale.status, len(stale.error["errors"])) == (422, 2)
    control(stand_in, "POST", "settings", {"now_ms": None})
    assert send(stand_in, a_batch("a", "a")).json == {"accepted_events": 1}


@pytest.mark.parametrize(
    "settings",
    [
        [],
        {"error": "all"},
        {"errors": "some"},
        {"count_duplicates": 1},
        {"now_ms": "now"},
        {"now_ms": True},
        {"keys": ["key"]},
        {"keys": {"key": {"scope": True}}},
        {"keys": {"key": {"scope": "yes", "pixels": []}}},
        {"keys": {"key": {"scope": True, "pixels": [1]}}},
        {"keys": {"key": {"scope": True, "pixels": [], "more": 1}}},
    ],
)
def test_settings_that_make_no_sense_change_nothing(stand_in: StandIn, settings: object) -> None:
    refused = control(stand_in, "POST", "settings", settings)

    assert refused.status == 400
    assert send(stand_in, a_batch()).status == 200


def test_reset_goes_back_to_the_start(stand_in: StandIn) -> None:
    send(stand_in, a_batch())
    stand_in.fail(times=None, status=500)
    stand_in.switch(keys={})

    reset = control(stand_in, "POST", "reset")

    assert reset.status == 200
    assert (stand_in.events(), stand_in.requests()) == ([], [])
    assert send(stand_in, a_batch()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/events", 405),
        ("POST", "/v1/sdk/events", 400),
        ("GET", "/", 404),
        ("GET", "/_stand_in/", 404),
        ("POST", "/_stand_in/events", 404),
        ("POST", "/_stand_in/faults", 400),
    ],
)
def test_other_paths(stand_in: StandIn, method: str, path: str, status: int) -> None:
    assert call(stand_in, method, path, b"{}" if method == "POST" else None).status == status
