"""What becomes of each CallRail webhook, beyond what all call platforms have in common."""

from typing import Any

import pytest

from tests.unit.case_check import digest
from tests.unit.sources.call_deliveries import ABSENT, NOW_MS, OPPREF, at, received, wire, word

POST, FORM = "callrail/post_call", "callrail/form_submission"
NO_URLS: dict[str, Any] = {"landing_page_url": "", "last_requested_url": "", "milestones": None}


def test_event_of_a_call() -> None:
    assert wire(POST) == {
        "id": "callrail:CAL0000000000000000000000000000d001",
        "type": "lead_created",
        "timestamp_ms": 1_795_185_130_005,
        "action_source": "phone_call",
        "oppref": OPPREF,
        "user": {
            "phone_numbers_sha256": [digest("12065550143")],
            "cities": ["Seattle"],
            "regions": ["WA"],
            "countries": ["US"],
            "ip_address": "198.51.100.23",
            "obref": "ob1.7f%2Fc",
        },
        "data": {"type": "customer_action"},
    }


def test_event_of_a_form() -> None:
    assert wire(FORM) == {
        "id": "callrail:FRM0000000000000000000000000000d001",
        "type": "lead_created",
        "timestamp_ms": 1_795_184_700_000,
        "action_source": "web",
        "source_url": "https://harbour-dental.example/contact",
        "oppref": OPPREF,
        "user": {"emails_sha256": [digest("lea.beispiel@example.com")], "obref": "ob1.7f%2Fc"},
        "data": {"type": "customer_action"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"answered": "true", "first_call": "true", "voicemail": "false", "spam": "false"}, "lead_created"),
        ({"answered": "false"}, "not_answered"),
        ({"answered": None}, "lead_created"),
        ({"answered": False, "call_type": "missed", "duration": "45"}, "not_answered"),
        ({"answered": False, "duration": "0"}, "not_answered"),
        ({"duration": ABSENT}, "call_not_over"),
        ({"duration": None}, "call_not_over"),
        ({"duration": ""}, "call_not_over"),
        ({"duration": None, "lead_status": "good_lead"}, "call_not_over"),
        ({"first_call": "false"}, "repeat_caller"),
        ({"first_call": None, "prior_calls": 2}, "repeat_caller"),
        ({"first_call": None, "prior_calls": "0"}, "lead_created"),
        ({"first_call": ABSENT, "prior_calls": ABSENT}, "lead_created"),
        ({"spam": "true"}, "spam"),
        ({"tags": ["Spam"]}, "spam"),
        ({"tags": ["new", " SPAM "]}, "spam"),
        ({"detail_tags": [{"id": 1, "name": "spam"}]}, "spam"),
        ({"tags": ["Not spam", "Spammer?", 5, None, ["spam"], {"name": None}]}, "lead_created"),
        ({"tags": "Spam", "detail_tags": {"name": "spam"}}, "lead_created"),
        ({"spam": True, "lead_status": "good_lead"}, "spam"),
        ({"voicemail": "true", "answered": False}, "voicemail"),
        ({"call_type": "voicemail", "answered": False, "voicemail": None}, "voicemail"),
        ({"direction": "outbound"}, "outbound"),
        ({"call_type": "outbound", "direction": ABSENT}, "outbound"),
        ({"direction": "outbound", "lead_status": "good_lead"}, "outbound"),
        ({"lead_status": "not_a_lead"}, "not_a_lead"),
        ({"lead_status": "good_lead", "answered": False, "duration": "3", "first_call": False}, "lead_created"),
        ({"lead_status": "good_lead", "voicemail": True}, "lead_created"),
        ({"lead_status": "previously_marked_good_lead", "first_call": False}, "repeat_caller"),
        ({"lead_status": "previously_marked_good_lead"}, "lead_created"),
        ({"lead_status": None}, "lead_created"),
        ({"resource_id": ABSENT, "id": 766970532}, "lead_created"),
        # The empty fields of a form or a message make neither of a call: its seconds count.
        ({"form_data": None, "form_url": None, "submitted_at": "", "duration": "8"}, "too_short"),
        ({"form_data": {}, "form_url": "", "duration": "8"}, "too_short"),
        ({"message_type": None, "conversation_id": "", "source_number": None}, "lead_created"),
        ({"resource_id": ABSENT}, "id_missing"),
        ({"start_time": ABSENT}, "lead_created"),
        ({"ip": "unknown", "customer_city": None, "customer_country": "Narnia", "milestones": [1]}, "lead_created"),
    ],
)
def test_call(fields: dict[str, Any], expected: str) -> None:
    assert word(POST, fields) == expected


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"first_time_only": False}, {"first_call": False}),
        ({"count_voicemail": True}, {"voicemail": True, "answered": False, "duration": "41"}),
        ({"min_call_seconds": 3}, {"duration": "3"}),
    ],
)
def test_settings_let_more_through(settings: dict[str, Any], fields: dict[str, Any]) -> None:
    assert word(POST, fields) != "lead_created"
    assert word(POST, fields, **settings) == "lead_created"


@pytest.mark.parametrize(
    "fields",
    [
        {"milestones": {"first_touch": {"landing": f"https://a.example/?oppref={OPPREF}"}}},
        {"milestones": {"first_touch": None, "lead_created": {"landing": f"/x?oppref={OPPREF}"}}},
        {"last_requested_url": f"https://a.example/contact?oppref={OPPREF}"},
        {
            "landing_page_url": f"https://a.example/?oppref={OPPREF}",
            "last_requested_url": "https://a.example/?oppref=b",
        },
    ],
)
def test_click_reference_stands_in_any_of_the_addresses(fields: dict[str, Any]) -> None:
    assert wire(POST, NO_URLS | fields)["oppref"] == OPPREF


def test_click_reference_is_never_taken_from_what_is_decoded_already() -> None:
    decoded = {"landing_page_url_params": {"oppref": "op1.Zk3vQ+t"}, "landing": None}

    event = wire(POST, NO_URLS | {"milestones": {"first_touch": decoded}, "landing_page_url_params": {"oppref": "a+b"}})

    assert "oppref" not in event


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"first_form": "false"}, "repeat_form"),
        ({"first_form": None}, "lead_created"),
        ({"spam": True}, "spam"),
        ({"lead_status": "not_a_lead"}, "not_a_lead"),
        ({"lead_status": "good_lead", "first_form": False}, "lead_created"),
        ({"form_url": "", "landing_page_url": None}, "source_url_missing"),
        ({"form_url": ABSENT}, "lead_created"),
        ({"form_data": None}, "lead_created"),
        ({"form_data": [], "form_url": "https://a.example/b", "landing_page_url": ""}, "no_match_key"),
        ({"submitted_at": None}, "lead_created"),
        ({"submitted_at": None, "timestamp": "soon"}, "time_missing"),
        ({"submitted_at": at(8 * 86_400), "timestamp": None}, "stale_event"),
        ({"resource_id": None}, "lead_created"),
        ({"resource_id": None, "id": None}, "id_missing"),
    ],
)
def test_form(fields: dict[str, Any], expected: str) -> None:
    assert word(FORM, fields) == expected


def test_form_of_a_known_visitor_counts_where_that_is_wanted() -> None:
    assert word(FORM, {"first_form": False}, first_time_only=False) == "lead_created"


@pytest.mark.parametrize(
    ("fields", "settings", "page"),
    [
        ({"form_url": "https://a.example/b?oppref=1#c"}, {}, "https://a.example/b"),
        ({"form_url": "nonsense"}, {}, "https://harbour-dental.example/implants"),
        ({"form_url": "", "landing_page_url": ""}, {"site_origin": "https://www.a.example"}, "https://www.a.example"),
        ({"form_url": "", "landing_page_url": ""}, {"storefront_origin": "https://a.example"}, "https://a.example"),
    ],
)
def test_page_of_a_form(fields: dict[str, Any], settings: dict[str, Any], page: str) -> None:
    assert wire(FORM, fields, **settings)["source_url"] == page


@pytest.mark.parametrize(
    ("entered", "user"),
    [
        ({"E-Mail": "Jo@Example.com"}, {"emails_sha256": [digest("jo@example.com")]}),
        ({"your_email": "x", "email2": "jo@example.com"}, {"emails_sha256": [digest("jo@example.com")]}),
        ({"Phone number": "+1 206 555 0143"}, {"phone_numbers_sha256": [digest("12065550143")]}),
        ({"phone": "(206) 555-0143", "mobile": "+12065550151"}, {"phone_numbers_sha256": [digest("12065550151")]}),
        ({"phone": "(206) 555-0143", "email": 5, "name": "Jo"}, {}),
        ({}, {}),
    ],
)
def test_what_was_typed_into_the_form(entered: dict[str, Any], user: dict[str, Any]) -> None:
    assert wire(FORM, {"form_data": entered})["user"] == {**user, "obref": "ob1.7f%2Fc"}


def test_national_number_of_a_form_is_read_in_the_configured_region() -> None:
    user = wire(FORM, {"form_data": {"phone": "(212) 736-5000"}}, default_phone_region="US")["user"]

    assert user["phone_numbers_sha256"] == [digest("12127365000")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text_message_received", "text_message"),
        ("text_message_sent", "text_message"),
        ("convert_assist", "kind_not_handled"),
    ],
)
def test_what_is_neither_call_nor_form(name: str, reason: str) -> None:
    outcome = received(f"callrail/{name}")

    assert (outcome.kind, outcome.http, outcome.reason) == ("ignored", 200, reason)


def test_now_is_the_present_of_the_samples() -> None:
    assert NOW_MS == 1_795_186_800_000
