"""What becomes of each CallTrackingMetrics activity, beyond what all call platforms have in common."""

from typing import Any

import pytest

from tests.unit.case_check import digest
from tests.unit.sources.call_deliveries import ABSENT, OPPREF, received, wire, word
from tools.in_memory import InMemoryLedger

END, FORM = "ctm/end", "ctm/form"
SOLD = {"sale": {"conversion": True, "value": 1890.5, "score": 5}}


def test_event_of_a_call() -> None:
    event = wire(END, {"id": 2310070020})

    assert event == {
        "id": "ctm:612044:2310070020",
        "type": "lead_created",
        "timestamp_ms": 1_795_185_130_000,
        "action_source": "phone_call",
        "oppref": OPPREF,
        "user": {
            "phone_numbers_sha256": [digest("12065550143")],
            "cities": ["Seattle"],
            "regions": ["WA"],
            "postal_codes": ["98101"],
            "countries": ["US"],
            "ip_address": "198.51.100.23",
            "obref": "ob1.7f%2Fc",
        },
        "data": {"type": "customer_action"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dial_status": "no answer", "duration": 32, "talk_time": 0}, "not_answered"),
        ({"dial_status": "no-answer", "talk_time": 60}, "not_answered"),
        ({"dial_status": "busy"}, "not_answered"),
        ({"dial_status": "Answered"}, "lead_created"),
        ({"dial_status": "completed"}, "lead_created"),
        ({"dial_status": None}, "lead_created"),
        ({"dial_status": None, "call_status": "busy"}, "not_answered"),
        ({"dial_status": None, "call_status": None, "status": None}, "lead_created"),
        ({"duration": 900, "talk_time": None}, "too_short"),
        ({"duration": 900, "talk_time": ABSENT}, "too_short"),
        ({"call_status": "in progress", "status": "in progress"}, "call_not_over"),
        ({"call_status": "in_progress"}, "call_not_over"),
        ({"call_status": "ringing"}, "call_not_over"),
        ({"call_status": None, "status": "queued"}, "call_not_over"),
        ({"is_new_caller": "false"}, "repeat_caller"),
        ({"is_new_caller": None}, "lead_created"),
        ({"spam": {"risk": "HIGH"}}, "spam"),
        ({"spam": {"risk": "very high"}}, "spam"),
        ({"spam": {"risk": "medium"}}, "lead_created"),
        ({"spam": {"risk": None}}, "lead_created"),
        ({"spam": {"risk": 0.9}}, "lead_created"),
        ({"spam": None}, "lead_created"),
        ({"spam": True}, "spam"),
        ({"tag_list": ["spam"]}, "spam"),
        ({"tag_list": ["vip"]}, "lead_created"),
        ({"dial_status": "voicemail"}, "voicemail"),
        ({"call_status": "voicemail", "dial_status": None}, "voicemail"),
        ({"direction": "Outbound"}, "outbound"),
        ({"direction": "msg_inbound"}, "text_message"),
        ({"direction": "msg_outbound"}, "text_message"),
        ({"direction": "chat"}, "kind_not_handled"),
        ({"direction": None}, "kind_not_handled"),
        ({"account_id": None}, "id_missing"),
        ({"form": {"scored": "yes"}}, "lead_created"),
        ({"sale": {"conversion": False, "score": 1}, "talk_time": 5}, "too_short"),
        ({"sale": {"conversion": None, "score": 5}, "talk_time": 5}, "too_short"),
        ({**SOLD, "talk_time": 5, "is_new_caller": False, "dial_status": "busy"}, "lead_created"),
        ({**SOLD, "spam": {"risk": "high"}}, "spam"),
        ({**SOLD, "direction": "outbound"}, "outbound"),
        ({"unix_time": 10**30}, "time_missing"),
        ({"unix_time": -1}, "time_missing"),
    ],
)
def test_call(fields: dict[str, Any], expected: str) -> None:
    assert word(END, fields) == expected


def test_voicemail_may_be_counted() -> None:
    assert word(END, {"dial_status": "voicemail"}, count_voicemail=True) == "lead_created"


def test_number_with_its_country_code_is_the_caller_s() -> None:
    event = wire(END, {"caller_number": "", "caller_number_bare": "2065550143", "contact_number": "+12065550199"})

    assert "phone_numbers_sha256" not in event["user"]


@pytest.mark.parametrize(
    ("value", "amount"), [(1890.5, 189050), (1890, 189000), ("1890.50", 189050), ("$1,890.50", 189050), (0.1, 10)]
)
def test_sale_is_the_lead_with_its_amount(value: Any, amount: int) -> None:
    event = wire(END, {"sale": {"conversion": "true", "value": value}})

    assert (event["type"], event["data"]) == (
        "lead_created", {"type": "customer_action", "amount": amount, "currency": "USD"},
    )  # fmt: skip


def test_sale_may_be_an_order_of_its_own() -> None:
    ledger = InMemoryLedger()

    lead = received(END, None, ledger, ctm_sale_event="order")
    order = received(END, SOLD, ledger, ctm_sale_event="order")
    again = received(END, SOLD, ledger, ctm_sale_event="order")

    assert lead.key is not None
    assert order.event is not None
    assert lead.key.startswith("lead_created#ctm:612044:")
    assert order.key == lead.key.replace("lead_created", "order_created")
    assert order.event.wire()["action_source"] == "phone_call"
    assert order.event.wire()["data"] == {"type": "contents", "amount": 189050, "currency": "USD"}
    assert again.kind == "duplicate"


def test_account_is_part_of_the_key() -> None:
    assert received(END).key != received(END, {"account_id": 7}).key


def test_event_of_a_form() -> None:
    event = wire(FORM)

    assert (event["type"], event["action_source"]) == ("lead_created", "web")
    assert event["source_url"] == "https://harbour-dental.example/contact"
    assert event["user"]["emails_sha256"] == [digest("lea.beispiel@example.com")]
    assert event["oppref"] == OPPREF


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"direction": "inbound", "talk_time": 0}, "lead_created"),
        ({"direction": "form", "form": None}, "lead_created"),
        ({"is_new_caller": False}, "repeat_form"),
        ({"is_new_caller": False, **SOLD}, "lead_created"),
        ({"spam": {"risk": "high"}}, "spam"),
        ({"location": None, "last_location": None}, "source_url_missing"),
        ({"unix_time": None}, "time_missing"),
        ({"email": None, "caller_number": None, "location": "https://a.example/"}, "no_match_key"),
    ],
)
def test_form(fields: dict[str, Any], expected: str) -> None:
    assert word(FORM, fields) == expected
