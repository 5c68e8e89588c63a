"""The stand-in for OpenAI against section 12 of the contract, over HTTP: every row and every reply.

The rows themselves are in ``tests/cases/wire/``: accepted.json (contract 12.2) and refused.json (12.3). A row holds
the whole request (pid, kind of key, body) as received at `now_ms`, and what is expected: `top_param` and `top_code` are
those of `error`, `param` and `code` those of its first leaf in `errors`. Where such a code is null, none was
ever recorded, so any of ours may be there. Row 59 of 12.3 is accepted and its value ignored.
"""

import ast
import http.client
import json
import time
from typing import Any

import pytest

from tests.unit.tools.stand_in_calls import (
    ACCEPTED,
    KEYS,
    MALFORMED,
    NOW_MS,
    PID,
    REFUSED,
    STALE,
    a_batch,
    an_event,
    call,
    send,
    wait_until,
)
from tools.stand_in import StandIn

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
        "first_by": {"server": 2},
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
