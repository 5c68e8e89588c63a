"""What becomes of each Twilio callback, beyond what all call platforms have in common."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.sources import twilio
from tests.unit.case_check import digest
from tests.unit.sources.call_deliveries import ABSENT, SECRET, delivery, take, wire, word
from tools.in_memory import InMemoryLedger

DONE = "twilio/completed"
RAW = "op1.a%2Bb+c==~"


def test_event_of_a_call() -> None:
    assert wire(DONE, {"?": f"tenant=harbour&oppref={RAW}&obref=ob1.%2F", "CallSid": "CA1"}) == {
        "id": "twilio:CA1",
        "type": "lead_created",
        "timestamp_ms": 1_795_185_900_000 - 186_000,
        "action_source": "phone_call",
        "oppref": RAW,
        "user": {
            "phone_numbers_sha256": [digest("12065550143")],
            "cities": ["SEATTLE"],
            "regions": ["WA"],
            "postal_codes": ["98101"],
            "countries": ["US"],
            "obref": "ob1.%2F",
        },
        "data": {"type": "customer_action"},
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("queued", "call_not_over"), ("initiated", "call_not_over"), ("ringing", "call_not_over"),
        ("in-progress", "call_not_over"), ("completed", "lead_created"), ("busy", "busy"), ("no-answer", "no_answer"),
        ("failed", "failed"), ("canceled", "canceled"), ("answered-by-a-bot", "status_not_handled"),
        ("", "not_a_call_status"), (ABSENT, "not_a_call_status"),
    ],
)  # fmt: skip
def test_status(status: Any, expected: str) -> None:
    assert word(DONE, {"CallStatus": status}) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Direction": "inbound"}, "lead_created"),
        ({"Direction": ABSENT}, "lead_created"),
        ({"Direction": "trunking-originating"}, "lead_created"),
        ({"Direction": "trunking-terminating"}, "outbound"),
        ({"Direction": "outbound-api"}, "outbound"),
        ({"Direction": "outbound-api", "AnsweredBy": "machine_start"}, "outbound"),
        ({"Direction": "outbound-dial"}, "outbound"),
        ({"Direction": "outbound-dial", "ParentCallSid": "CA0"}, "child_leg"),
        ({"Direction": "inbound", "ParentCallSid": "CA0"}, "child_leg"),
        ({"ParentCallSid": ""}, "lead_created"),
        ({"AnsweredBy": "human"}, "lead_created"),
        ({"CallDuration": ABSENT}, "duration_missing"),
        ({"CallDuration": ""}, "duration_missing"),
        ({"CallDuration": ABSENT, "Direction": "outbound-api"}, "outbound"),
        ({"CallDuration": "4", "Duration": "45"}, "too_short"),
        ({"CallDuration": "45", "Duration": "1"}, "lead_created"),
        ({"CallSid": ABSENT}, "id_missing"),
    ],
)
def test_end_of_a_call(fields: dict[str, Any], expected: str) -> None:
    assert word(DONE, fields) == expected


def test_every_callback_of_a_call_in_any_order_is_one_conversion() -> None:
    ledger = InMemoryLedger()
    statuses = ["completed", "ringing", "in-progress", "completed", "initiated"]

    kinds = [take(delivery(DONE, CallStatus=each), "twilio", ledger).kind for each in statuses]

    assert kinds == ["recorded", "ignored", "ignored", "duplicate", "ignored"]


def test_field_that_is_there_twice_counts_as_it_is_there_first() -> None:
    given = delivery(DONE, **{"?": ""})
    body = given.body + b"&CallStatus=busy&Empty=&Empty="
    signature = twilio.sign("https://hooks.example.com/twilio", twilio._fields(body), SECRET)
    headers = {**given.headers, "x-twilio-signature": signature}

    assert take(replace(given, body=body, headers=headers), "twilio").kind == "recorded"


def test_callback_by_get_has_its_fields_in_the_signed_address() -> None:
    posted = delivery(DONE, **{"?": ""})
    query = f"oppref={RAW}&{posted.body.decode()}"
    signature = twilio.sign(f"{posted.origin}{posted.path}?{query}", (), SECRET)
    given = replace(posted, method="GET", query=query, body=b"", headers={"x-twilio-signature": signature})

    outcome = take(given, "twilio")

    assert outcome.event is not None
    assert (outcome.event.oppref, outcome.key) == (RAW, take(posted, "twilio").key)
    assert twilio.tenant(given) == twilio.tenant(posted) is not None
    assert take(replace(given, query=query.replace("completed", "busy")), "twilio").http == 403


def as_json(body: bytes) -> Delivery:
    query = f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = twilio.sign(f"https://hooks.example.com/twilio?{query}", (), SECRET)
    headers = {"content-type": "application/json", "x-twilio-signature": signature}
    return Delivery("POST", "/twilio", query, headers, body, "https://hooks.example.com")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "recorded"),
        ({"CallDuration": "131"}, "recorded"),
        ({"CallDuration": 4}, "too_short"),
        ({"CallDuration": 130.5}, "recorded"),
        ({"CallSid": None}, "id_missing"),
        ({"From": None}, "no_match_key"),
        ({"Timestamp": 1795185900}, "time_missing"),
    ],
)
def test_json_body(fields: dict[str, Any], reason: str) -> None:
    held = {
        "CallSid": "CA8", "CallStatus": "completed", "CallDuration": 131, "From": "+12065550143", "To": "+12065550199",
        "Direction": "inbound", "Timestamp": "2026-11-20T14:45:00Z",
    }  # fmt: skip

    outcome = take(as_json(json.dumps(held | fields).encode()), "twilio")

    assert outcome.reason == reason
    if outcome.event is not None:
        seconds = (held | fields)["CallDuration"]
        assert outcome.event.timestamp_ms == 1_795_185_900_000 - int(float(str(seconds)) * 1000)


@pytest.mark.parametrize(("body", "kind"), [(b"{", "parked"), (b"[]", "parked"), (b"{}", "ignored")])
def test_json_body_that_is_no_callback(body: bytes, kind: str) -> None:
    assert take(as_json(body), "twilio").kind == kind
