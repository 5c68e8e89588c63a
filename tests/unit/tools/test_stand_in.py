"""The stand-in for OpenAI against section 12 of the contract, over HTTP: every row, every reply, and the switches.

The rows themselves are in ``tests/cases/wire/``: accepted.json (contract 12.2) and refused.json (12.3). A row holds
the whole request (pid, kind of key, body) as received at `now_ms`, and what is expected: `top_param` and `top_code` are
those of `error`, `param` and `code` those of its first leaf in `errors`. Where such a code is null, none was
ever recorded, so any of ours may be there. Row 59 of 12.3 is accepted and its value ignored.
"""

import ast
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tools import wire_rules
from tools.stand_in import StandIn

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "wire"
ACCEPTED = json.loads((CASES / "accepted.json").read_text(encoding="utf-8"))
REFUSED = json.loads((CASES / "refused.json").read_text(encoding="utf-8"))

NOW_MS = 1795327200000
PID = "Qm7TzV4kRw2LpX9sNdB3Yh"
KEYS = {"conversions": "sk-svcacct-conversions", "advertiser": "sk-svcacct-advertiser", "wrong": "sk-svcacct-wrong"}
DIGEST = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        return self.json["error"]


def call(
    stand_in: StandIn, method: str, path: str, body: bytes | None = None, timeout: float = 5, **headers: str
) -> Reply:
    host = stand_in.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=timeout)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as response:
            return Reply(response.status, response.headers, response.read().decode())


def send(stand_in: StandIn, body: object, pid: str | None = PID, key: str = "conversions", timeout: float = 5) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = "/v1/events" if pid is None else f"/v1/events?pid={pid}"
    return call(
        stand_in, "POST", path, raw, timeout, Authorization=f"Bearer {KEYS[key]}", Content_Type="application/json"
    )


def control(stand_in: StandIn, method: str, name: str, body: object = None) -> Reply:
    return call(stand_in, method, f"/_stand_in/{name}", None if method == "GET" else json.dumps(body).encode())


def an_event(id_: str = "shopify:1", **fields: Any) -> dict[str, Any]:
    event = {"id": id_, "type": "order_created", "timestamp_ms": NOW_MS - 60_000, "action_source": "other"}
    return {**event, "data": {"type": "contents", "amount": 14900, "currency": "USD"}, **fields}


def a_batch(*ids: str, **root: Any) -> dict[str, Any]:
    return {"events": [an_event(id_) for id_ in ids or ("shopify:1",)], **root}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


STALE = an_event("stale", timestamp_ms=NOW_MS - 8 * 86_400_000)
MALFORMED = an_event("malformed", data={"amount": 14900, "currency": "USD"})


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with StandIn(
        keys=[KEYS["conversions"]], advertiser_keys=[KEYS["advertiser"]], pixels=[PID], clock=lambda: NOW_MS
    ) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(server: StandIn) -> StandIn:
    server.reset()
    return server


# The rows of contract 12.2 and 12.3.


def row_id(case: dict[str, Any]) -> str:
    return f"row{case['row']:02}"


def test_every_row_of_the_contract_has_a_case() -> None:
    assert [case["row"] for case in ACCEPTED] == list(range(1, 25))
    assert [case["row"] for case in REFUSED] == list(range(1, 61))
    assert {case["now_ms"] for case in ACCEPTED + REFUSED} == {NOW_MS}


@pytest.mark.parametrize("case", [*ACCEPTED, *(case for case in REFUSED if case["row"] == 59)], ids=row_id)
def test_accepted(stand_in: StandIn, case: dict[str, Any]) -> None:
    request, expected = case["request"], case["expected"]

    reply = send(stand_in, request["body"], request["pid"], request["key"])

    assert (reply.status, reply.json) == (200, {"accepted_events": expected["accepted_events"]})
    assert [kept["event"] for kept in stand_in.events()] == request["body"]["events"][: expected["stored"]]
    assert [path for kept in stand_in.events() for path in kept["ignored"]] == expected["ignored"]


@pytest.mark.parametrize("case", [case for case in REFUSED if case["row"] != 59], ids=row_id)
def test_refused(stand_in: StandIn, case: dict[str, Any]) -> None:
    request, expected = case["request"], case["expected"]

    reply = send(stand_in, request["body"], request["pid"], request["key"])

    error = reply.error
    assert (reply.status, error["param"]) == (expected["status"], expected["top_param"])
    assert_code(error["code"], expected["top_code"])
    if expected["param"] is None:
        assert error["code"] is None
        assert "errors" not in error
    else:
        assert error["errors"][0]["param"] == expected["param"]
        assert_code(error["errors"][0]["code"], expected["code"])
        assert error["type"] == "invalid_request_error"
    assert stand_in.events() == []


def assert_code(code: str | None, expected: str | None) -> None:
    """A code that was never recorded must be one that no client can come to depend on."""
    if expected is None:
        assert code is None or code.startswith("x_test_")
    else:
        assert code == expected


# The replies of contract 12.1, with their exact shapes.


def test_r1_accepted_body_has_one_key(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch("a", "b"))

    assert (reply.status, reply.json) == (200, {"accepted_events": 2})
    assert reply.headers["Content-Type"] == "application/json"


def test_r2_validate_only_stores_nothing_but_still_judges(stand_in: StandIn) -> None:
    good = send(stand_in, a_batch("a", "b", validate_only=True))
    bad = send(stand_in, {"events": [MALFORMED], "validate_only": True})
    unknown_key = send(stand_in, a_batch("a", validate_only=True), key="wrong")

    assert (good.status, good.json) == (200, {"accepted_events": 2})
    assert (bad.status, unknown_key.status) == (400, 401)
    assert stand_in.events() == []
    assert [request["validate_only"] for request in stand_in.requests()] == [True, True, True]


def test_r3_shape_of_a_malformed_event(stand_in: StandIn) -> None:
    reply = send(stand_in, {"events": [an_event(), MALFORMED]})

    assert reply.status == 400
    assert without_messages(reply.error) == {
        "type": "invalid_request_error",
        "param": "events[1]",
        "code": "invalid_event",
        "errors": [{"param": "events[1].data.type", "code": "missing_event_data_type"}],
    }


def test_r4_shape_of_an_old_timestamp(stand_in: StandIn) -> None:
    reply = send(stand_in, {"events": [an_event(), STALE]})

    assert reply.status == 422
    assert "event_timestamp_ms" in reply.error["message"]
    assert without_messages(reply.error) == {
        "type": "invalid_request_error",
        "param": "events[1].timestamp_ms",
        "code": "event_timestamp_too_old",
        "errors": [{"param": "events[1].timestamp_ms", "code": "event_timestamp_too_old"}],
    }


def test_r5_shape_of_a_timestamp_ahead(stand_in: StandIn) -> None:
    reply = send(stand_in, {"events": [an_event(timestamp_ms=NOW_MS + 11 * 60_000)]})

    assert reply.status == 422
    assert reply.error["param"] == reply.error["errors"][0]["param"] == "events[0].timestamp_ms"
    assert reply.error["code"] == reply.error["errors"][0]["code"] == "x_test_event_timestamp_in_future"


def without_messages(error: dict[str, Any]) -> dict[str, Any]:
    leaves = [{key: leaf[key] for key in leaf if key != "message"} for leaf in error["errors"]]
    return {**{key: error[key] for key in error if key != "message"}, "errors": leaves}


@pytest.mark.parametrize(
    ("age_ms", "status"),
    [(7 * 86_400_000, 200), (7 * 86_400_000 + 1, 422), (-600_000, 200), (-600_001, 422)],
    ids=["7 days", "a millisecond older", "10 minutes ahead", "a millisecond further"],
)
def test_both_limits_of_time_are_inside(stand_in: StandIn, age_ms: int, status: int) -> None:
    reply = send(stand_in, {"events": [an_event(timestamp_ms=NOW_MS - age_ms)]})

    assert reply.status == status


def test_r6_bad_token(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch(), key="wrong")

    assert reply.status == 401
    assert reply.error == {"message": "Unauthorized", "type": "invalid_request_error", "param": None, "code": None}


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", KEYS["conversions"], f"Basic {KEYS['conversions']}"]
)
def test_r6_no_bearer_token(stand_in: StandIn, authorization: str) -> None:
    reply = call(stand_in, "POST", f"/v1/events?pid={PID}", b"{}", Authorization=authorization)

    assert (reply.status, reply.error["message"]) == (401, "Unauthorized")


def test_r7_key_without_scope(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch(), key="advertiser")

    assert reply.status == 401
    assert "Missing scopes: ads.third_party_events.write" in reply.error["message"]
    assert (reply.error["type"], reply.error["param"], reply.error["code"]) == ("invalid_request_error", None, None)
    assert "errors" not in reply.error


def test_r8_unknown_pid(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch(), pid="Zz9UnknownPixel0000001")

    assert reply.status == 403
    assert reply.error == {"message": "403: unknown pid", "type": "server_error", "param": None, "code": None}


def test_r9_pid_missing(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch(), pid=None)

    assert reply.status == 400
    assert isinstance(ast.literal_eval(reply.error["message"]), list)
    assert (reply.error["type"], reply.error["param"], reply.error["code"]) == ("invalid_request_error", None, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "events"),
        ({"events": {}}, "events"),
        ({**a_batch(), "validate_only": "true"}, "validate_only"),
        ({**a_batch(), "integration_source": ""}, "integration_source"),
        ({**a_batch(), "integration_source": "a" * 65}, "integration_source"),
        ({**a_batch(), "integration_source": "\u212aelvin"}, "integration_source"),
    ],
)
def test_r10_root_fields(stand_in: StandIn, body: dict[str, Any], param: str) -> None:
    reply = send(stand_in, body)

    assert (reply.status, reply.error["param"], reply.error["errors"][0]["param"]) == (400, param, param)


def test_integration_source_is_trimmed_and_lower_cased_before_the_check(stand_in: StandIn) -> None:
    reply = send(stand_in, a_batch(integration_source=" Conversion-Relay "))

    assert reply.status == 200


@pytest.mark.parametrize(
    "raw",
    [b"", b"not json", b"[]", b'"text"', b"null", b'{"events": NaN}', b'{"id": "\xff"}', b"[" * 100_000, b"1" * 5_000],
    ids=["empty", "text", "array", "string", "null", "NaN", "not UTF-8", "too deep", "too long a number"],
)
def test_r11_body_is_no_json_object(stand_in: StandIn, raw: bytes) -> None:
    reply = send(stand_in, raw)

    assert (reply.status, reply.error["param"], reply.error["code"]) == (400, None, None)
    assert "errors" not in reply.error


def test_r11_body_not_declared_as_json(stand_in: StandIn) -> None:
    raw = json.dumps(a_batch()).encode()

    reply = call(stand_in, "POST", f"/v1/events?pid={PID}", raw, Authorization=f"Bearer {KEYS['conversions']}")

    assert (reply.status, reply.error["param"]) == (400, None)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("retry_after", [None, "7", "Sun, 22 Nov 2026 06:05:00 GMT"])
@pytest.mark.parametrize("body", ["json", "text", "none"])
def test_r12_r13_injected_status(stand_in: StandIn, status: int, retry_after: str | None, body: str) -> None:
    stand_in.fail(status=status, retry_after=retry_after, body=body)

    refused = send(stand_in, a_batch())
    accepted = send(stand_in, a_batch())

    assert (refused.status, refused.headers["Retry-After"]) == (status, retry_after)
    types = {"json": "application/json", "text": "text/plain", "none": None}
    assert (refused.headers["Content-Type"], bool(refused.text)) == (types[body], body != "none")
    assert accepted.status == 200
    assert [kept["duplicates"] for kept in stand_in.events()] == [0]


def test_r13_slow_answer_comes_after_the_batch_was_stored(stand_in: StandIn) -> None:
    stand_in.fail(delay_seconds=0.15)

    with pytest.raises(TimeoutError):
        send(stand_in, a_batch(), timeout=0.05)

    wait_until(lambda: stand_in.requests() != [])
    assert len(stand_in.events()) == 1


def test_r13_delay_applies_to_an_injected_status(stand_in: StandIn) -> None:
    stand_in.fail(status=503, delay_seconds=0.1)

    started = time.monotonic()
    reply = send(stand_in, a_batch())

    assert reply.status == 503
    assert time.monotonic() - started >= 0.1


@pytest.mark.parametrize(("drop", "stored"), [("before", 0), ("after", 1)])
def test_r13_connection_closed_without_an_answer(stand_in: StandIn, drop: str, stored: int) -> None:
    stand_in.fail(drop=drop)

    with pytest.raises(http.client.RemoteDisconnected):
        send(stand_in, a_batch())

    assert len(stand_in.events()) == stored
    assert stand_in.summary()["requests"] == {"dropped": 1}


def test_r13_retry_after_a_lost_reply_counts_once(stand_in: StandIn) -> None:
    stand_in.fail(drop="after")

    with pytest.raises(http.client.RemoteDisconnected):
        send(stand_in, a_batch("a", "b"))
    retried = send(stand_in, a_batch("a", "b"))

    assert retried.json == {"accepted_events": 2}
    assert stand_in.summary() == {
        "counted": 2,
        "duplicates": 2,
        "requests": {"dropped": 1, "200": 1},
        "types": {"order_created": 2},
    }


def test_r14_count_differs_from_the_count_sent(stand_in: StandIn) -> None:
    stand_in.fail(accepted_events=1)

    assert send(stand_in, a_batch("a", "b", "c")).json == {"accepted_events": 1}
    assert send(stand_in, a_batch("a", "b", "c")).json == {"accepted_events": 3}
    assert len(stand_in.events()) == 3


def test_objections_come_in_the_suggested_order(stand_in: StandIn) -> None:
    everything_wrong = {"user": {}, "events": [MALFORMED]}

    assert send(stand_in, everything_wrong, pid=None, key="wrong").status == 400
    assert send(stand_in, everything_wrong, pid="unknown", key="wrong").error["message"] == "Unauthorized"
    assert "Missing scopes" in send(stand_in, everything_wrong, pid="unknown", key="advertiser").error["message"]
    assert send(stand_in, b"no json", pid="unknown").status == 403
    assert send(stand_in, b"no json").error["param"] is None
    assert send(stand_in, everything_wrong).error["param"] == "user"


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
        ("POST", "/v1/sdk/events", 404),
        ("GET", "/", 404),
        ("GET", "/_stand_in/", 404),
        ("POST", "/_stand_in/events", 404),
        ("POST", "/_stand_in/faults", 400),
    ],
)
def test_other_paths(stand_in: StandIn, method: str, path: str, status: int) -> None:
    assert call(stand_in, method, path, b"{}" if method == "POST" else None).status == status


# HTTP.


def test_one_connection_serves_many_requests(stand_in: StandIn) -> None:
    headers = {"Authorization": f"Bearer {KEYS['conversions']}", "Content-Type": "application/json; charset=utf-8"}
    with closing(http.client.HTTPConnection(stand_in.url.removeprefix("http://"), timeout=5)) as connection:
        connection.connect()
        socket = connection.sock
        for number in range(3):
            connection.request("POST", f"/v1/events?pid={PID}", json.dumps(a_batch(f"shopify:{number}")), headers)
            with connection.getresponse() as response:
                assert (response.status, response.read()) == (200, b'{"accepted_events": 1}')
        assert connection.sock is socket


def test_expect_100_continue_is_answered(stand_in: StandIn) -> None:
    raw = json.dumps(a_batch()).encode()

    reply = call(
        stand_in,
        "POST",
        f"/v1/events?pid={PID}",
        raw,
        Authorization=f"Bearer {KEYS['conversions']}",
        Content_Type="application/json",
        Expect="100-continue",
    )

    assert reply.status == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Transfer-Encoding", "chunked", 411),
        ("X-None", "", 411),
        ("Content-Length", "many", 400),
        ("Content-Length", "-1", 400),
        ("Content-Length", str(64 * 1024 * 1024 + 1), 413),
    ],
)
def test_a_body_without_a_sane_length_is_refused(stand_in: StandIn, header: str, value: str, status: int) -> None:
    with closing(http.client.HTTPConnection(stand_in.url.removeprefix("http://"), timeout=5)) as connection:
        connection.putrequest("POST", f"/v1/events?pid={PID}")
        connection.putheader(header, value)
        connection.endheaders()
        with connection.getresponse() as response:
            assert (response.status, response.headers["Connection"]) == (status, "close")


def test_stopping_ends_delays_and_idle_connections_and_frees_the_port() -> None:
    with StandIn(keys=["key"], pixels=[PID]) as first:
        first.fail(delay_seconds=60)
        host, port = first.url.removeprefix("http://").split(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=5)) as connection:
            connection.request("POST", "/v1/events", b"{}")
            wait_until(lambda: first.requests() != [])
            first.stop()
            with pytest.raises(ConnectionError):
                connection.getresponse()
    with StandIn(keys=["key"], pixels=[PID], port=int(port)) as second:
        assert second.url == f"http://127.0.0.1:{port}"
    with pytest.raises(RuntimeError, match="not running"):
        _ = second.url


def test_the_clock_is_the_machines_by_default() -> None:
    with StandIn(keys=[KEYS["conversions"]], pixels=[PID]) as stand_in:
        send(stand_in, {"events": [an_event(timestamp_ms=time.time_ns() // 1_000_000)]})

        assert abs(stand_in.events()[0]["received_ms"] - time.time() * 1000) < 60_000


# The program and its promises.


def test_command_line_serves_until_sigterm_and_prints_no_secrets() -> None:
    command = [sys.executable, "-m", "tools.stand_in", "--key", KEYS["conversions"], "--pixel", PID]
    with subprocess.Popen(
        [*command, "--advertiser-key", KEYS["advertiser"]],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split()[-1]
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)) as connection:
            headers = {"Authorization": f"Bearer {KEYS['advertiser']}", "Content-Type": "application/json"}
            connection.request("POST", f"/v1/events?pid={PID}", b'{"events": [{"user": "user@example.com"}]}', headers)
            with connection.getresponse() as response:
                assert (response.status, b"Missing scopes" in response.read()) == (401, True)
            program.send_signal(signal.SIGTERM)
            rest, errors = program.communicate(timeout=5)

    assert url.startswith("http://127.0.0.1:")
    assert (program.returncode, rest, errors) == (0, "", "")


def test_command_line_says_when_the_port_is_taken(server: StandIn) -> None:
    port = server.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "tools.stand_in", "--port", port, "--key", KEYS["conversions"], "--pixel", PID]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"stand-in: cannot listen on 127.0.0.1:{port}")


def test_a_bug_in_the_stand_in_is_told_without_the_data(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("user@example.com")

    monkeypatch.setattr(wire_rules, "refusal", broken)

    with pytest.raises(http.client.RemoteDisconnected):
        send(stand_in, a_batch())

    written = capfd.readouterr().err
    assert written.startswith("stand-in: KeyError at ")
    assert "user@example.com" not in written


@pytest.mark.parametrize("module", ["stand_in", "stand_in_server", "stand_in_switches", "wire_fields", "wire_rules"])
def test_it_shares_no_code_with_the_relay_and_needs_the_standard_library_only(module: str) -> None:
    tree = ast.parse((ROOT / "tools" / f"{module}.py").read_text(encoding="utf-8"))

    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported - set(sys.stdlib_module_names) <= {"tools"}


def test_a_thousand_full_events_are_judged_fast() -> None:
    full = ACCEPTED[0]["request"]["body"]["events"][0]
    body = {"events": [{**full, "id": str(number)} for number in range(1_000)]}

    times = []
    for _ in range(3):
        started = time.thread_time()
        assert wire_rules.refusal(body, NOW_MS, report_all=False) is None
        times.append(time.thread_time() - started)

    assert min(times) < 0.25  # the aim is 0.05 s of CPU; the rest is room for a slow machine


def test_threads_of_connections_end_with_the_stand_in() -> None:
    before = threading.active_count()
    with StandIn(keys=[KEYS["conversions"]], pixels=[PID], clock=lambda: NOW_MS) as stand_in:
        send(stand_in, a_batch())

    wait_until(lambda: threading.active_count() <= before)
