"""What becomes of each WhatConverts lead, beyond what all call platforms have in common."""

from typing import Any

import pytest

from tests.unit.case_check import digest
from tests.unit.sources.call_deliveries import ABSENT, OPPREF, received, wire, word
from tools.in_memory import InMemoryLedger

CALL, FORM, APPOINTMENT = "whatconverts/phone_call", "whatconverts/web_form", "whatconverts/appointment"


def test_event_of_an_appointment() -> None:
    assert wire(APPOINTMENT, {"lead_id": 610001, "sales_value": "250"}) == {
        "id": "whatconverts:610001",
        "type": "appointment_scheduled",
        "timestamp_ms": 1_795_185_130_000,
        "action_source": "web",
        "source_url": "https://harbour-dental.example/contact",
        "oppref": OPPREF,
        "user": {
            "emails_sha256": [digest("jonas@example.com")],
            "phone_numbers_sha256": [digest("12065550143")],
            "cities": ["Seattle"],
            "regions": ["WA"],
            "postal_codes": ["98101"],
            "countries": ["US"],
            "ip_address": "198.51.100.23",
            "obref": "ob1.7f%2Fc",
        },
        "data": {"type": "customer_action", "amount": 25000, "currency": "USD"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"call_status": "answered"}, "lead_created"),
        ({"call_status": "Missed"}, "not_answered"),
        ({"call_status": "No Answer"}, "not_answered"),
        ({"call_status": "Busy"}, "not_answered"),
        ({"call_status": "Voicemail"}, "voicemail"),
        ({"call_status": "In Progress"}, "call_not_over"),
        ({"call_status": None}, "lead_created"),
        ({"lead_state": "In Progress"}, "call_not_over"),
        ({"lead_state": "in_progress", "quotable": "Yes"}, "call_not_over"),
        ({"lead_state": None}, "lead_created"),
        ({"lead_status": "Repeat"}, "repeat_caller"),
        ({"lead_status": "repeat", "quotable": "Yes"}, "lead_created"),
        ({"lead_status": "Duplicate"}, "repeat_caller"),
        ({"duplicate": True}, "repeat_caller"),
        ({"duplicate": "false"}, "lead_created"),
        ({"lead_status": None}, "lead_created"),
        ({"spam": "true"}, "spam"),
        ({"lead_status": "Spam"}, "spam"),
        ({"quotable": "Spam"}, "spam"),
        ({"spam": ABSENT, "duplicate": ABSENT}, "lead_created"),
        ({"quotable": "No"}, "not_a_lead"),
        ({"quotable": "no", "trigger": "update"}, "not_a_lead"),
        ({"quotable": "Not Set"}, "lead_created"),
        ({"quotable": "Pending"}, "lead_created"),
        ({"quotable": "Yes", "call_duration_seconds": 3, "call_status": "Missed"}, "lead_created"),
        ({"quotable": "Yes", "spam": True}, "spam"),
        ({"direction": "outbound"}, "outbound"),
        ({"lead_type": "PHONE_CALL"}, "lead_created"),
        ({"lead_type": "Text Message"}, "text_message"),
        ({"lead_type": "Transaction", "sales_value": 20}, "transaction"),
        ({"lead_type": "Event"}, "custom_event"),
        ({"lead_type": "Custom Event"}, "custom_event"),
        ({"lead_type": "Job Application"}, "lead_type_not_handled"),
        ({"lead_type": None}, "lead_type_missing"),
        ({"trigger": "update"}, "lead_created"),
        ({"trigger": None}, "lead_created"),
    ],
)
def test_call(fields: dict[str, Any], expected: str) -> None:
    assert word(CALL, fields) == expected


@pytest.mark.parametrize("name", [FORM, APPOINTMENT, "whatconverts/chat"])
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"lead_status": "Repeat"}, "repeat_form"),
        ({"lead_status": "Repeat", "quotable": "Yes"}, None),
        ({"quotable": "No"}, "not_a_lead"),
        ({"spam": True}, "spam"),
        ({"lead_state": "In Progress"}, "call_not_over"),
        ({"lead_url": None}, None),
        ({"lead_url": None, "landing_url": ""}, "source_url_missing"),
        ({"date_created": None}, "time_missing"),
        ({"lead_id": None}, "id_missing"),
    ],
)
def test_what_was_sent_in(name: str, fields: dict[str, Any], expected: str | None) -> None:
    event_type = "appointment_scheduled" if name == APPOINTMENT else "lead_created"

    assert word(name, fields) == (expected or event_type)


def test_email_needs_no_page() -> None:
    event = wire("whatconverts/email", {"lead_url": None, "landing_url": None})

    assert (event["type"], event["action_source"]) == ("lead_created", "email")
    assert "source_url" not in event


def test_quote_is_no_sale() -> None:
    assert wire(CALL, {"quote_value": 900})["data"] == {"type": "customer_action"}
    assert wire(CALL, {"quote_value": 900, "sales_value": 800})["data"]["amount"] == 80000


def test_withheld_caller_who_left_a_number_is_matched_by_it() -> None:
    user = wire(CALL, {"caller_number": "Anonymous", "phone_number": None, "contact_phone_number": "+12065550151"})[
        "user"
    ]

    assert user["phone_numbers_sha256"] == [digest("12065550151")]


def test_appointment_by_phone_is_matched_by_the_number_of_the_call() -> None:
    fields = {"caller_number": "+12065550151", "phone_number": None, "contact_phone_number": ""}

    assert wire(APPOINTMENT, fields)["user"]["phone_numbers_sha256"] == [digest("12065550151")]


def test_call_in_progress_is_recorded_when_it_is_over_and_updates_only_enrich() -> None:
    ledger = InMemoryLedger()
    begun = {"lead_state": "In Progress", "call_status": "In Progress", "call_duration_seconds": None}

    outcomes = [
        received(CALL, fields, ledger).kind
        for fields in (begun, {"trigger": "update"}, {"trigger": "update", "sales_value": 900}, {"trigger": "update"})
    ]

    assert outcomes == ["ignored", "recorded", "duplicate", "duplicate"]
