"""The same call in the words of each platform: what differs between them must not change what becomes of it."""

from typing import Any

import pytest

from tests.unit.case_check import digest
from tests.unit.sources.call_deliveries import ABSENT, CALL, OPPREF, received, wire, word
from tools.in_memory import InMemoryLedger

PHONE = {
    "callrail": ("customer_phone_number",),
    "ctm": ("caller_number",),
    "whatconverts": ("caller_number", "phone_number", "contact_phone_number"),
    "twilio": ("From", "Caller"),
}
SECONDS = {
    "callrail": "duration",
    "ctm": "talk_time",
    "whatconverts": "call_duration_seconds",
    "twilio": "CallDuration",
}
COUNTRY = {"callrail": "customer_country", "ctm": "country", "whatconverts": "country", "twilio": "FromCountry"}
LANDING = {"callrail": "landing_page_url", "ctm": "location", "whatconverts": "landing_url"}
NO_CLICK: dict[str, dict[str, Any]] = {
    "callrail": {"landing_page_url": "", "last_requested_url": "", "milestones": {}},
    "ctm": {"location": None, "last_location": ""},
    "whatconverts": {"landing_url": None, "lead_url": ""},
    "twilio": {"?": ""},
}


def phones(source: str, value: Any) -> dict[str, Any]:
    return dict.fromkeys(PHONE[source], value)


every_platform = pytest.mark.parametrize("source", CALL)


@every_platform
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("29", "too_short"), (29, "too_short"), ("30", "lead_created"), (30, "lead_created"), ("31", "lead_created"),
        (31, "lead_created"), (" 31 ", "lead_created"), ("8", "too_short"), ("0", "too_short"), (0, "too_short"),
        ("-40", "too_short"), ("29.9", "too_short"), ("3600", "lead_created"), ("100", "lead_created"),
        ("3m 34s", "duration_unreadable"), ("1e9", "duration_unreadable"), ("NaN", "duration_unreadable"),
    ],
)  # fmt: skip
def test_seconds_are_compared_as_numbers(source: str, seconds: Any, expected: str) -> None:
    assert word(CALL[source], {SECONDS[source]: seconds}) == expected


@every_platform
@pytest.mark.parametrize(("least", "expected"), [(0, "lead_created"), (12, "lead_created"), (13, "too_short")])
def test_least_seconds_are_a_setting(source: str, least: int, expected: str) -> None:
    assert word(CALL[source], {SECONDS[source]: "12"}, min_call_seconds=least) == expected


@every_platform
@pytest.mark.parametrize(
    ("number", "digits"),
    [
        ("+12065550143", "12065550143"),
        (" +1 (206) 555-0143 ", "12065550143"),
        ("+1.206.555.0143", "12065550143"),
        ("0012065550143", "12065550143"),
        ("+491712345678", "491712345678"),
        ("00491712345678", "491712345678"),
        ("+49 (0)171 2345678", "491712345678"),
        ("+442079460958", "442079460958"),
        ("+61412345678", "61412345678"),
        ("(206) 555-0143", None),
        ("0171 2345678", None),
        ("2065550143", None),
        ("anonymous", None), ("Restricted", None), ("UNAVAILABLE", None), ("unknown", None), ("private", None),
        ("Blocked", None), ("+266696687", None), ("+7378742833", None), ("+2562533", None), ("+8656696", None),
        ("+86282452253", None), ("client:ana", None), ("sip:+12065550143@pbx.example.com", None), ("", None),
        ("+1206555014", None), ("+12065550143 ext. 5", None),
    ],
)  # fmt: skip
def test_phone_is_hashed_with_its_country_code_or_left_out(source: str, number: str, digits: str | None) -> None:
    user = wire(CALL[source], phones(source, number))["user"]

    assert user.get("phone_numbers_sha256") == (None if digits is None else [digest(digits)])


@every_platform
@pytest.mark.parametrize("number", ["anonymous", "+266696687", "", "0171 2345678", None, 5, ["+12065550143"]])
def test_withheld_caller_without_a_click_cannot_be_matched(source: str, number: Any) -> None:
    fields = phones(source, number) | NO_CLICK[source]

    assert word(CALL[source], fields) == "no_match_key"
    assert word(CALL[source], fields, require_match_key="none") == "lead_created"


@every_platform
def test_national_number_is_read_in_the_configured_region(source: str) -> None:
    fields = phones(source, "0171 2345678") | NO_CLICK[source]

    user = wire(CALL[source], fields, default_phone_region="DE")["user"]

    assert user["phone_numbers_sha256"] == [digest("491712345678")]


@every_platform
def test_call_without_a_click_goes_by_its_phone_unless_a_click_is_demanded(source: str) -> None:
    fields = NO_CLICK[source]

    assert "oppref" not in wire(CALL[source], fields)
    assert word(CALL[source], fields, require_click_reference=True) == "no_click_ref"
    assert word(CALL[source], require_click_reference=True) == "lead_created"


@pytest.mark.parametrize("source", LANDING)
@pytest.mark.parametrize(
    ("url", "oppref"),
    [
        (f"https://a.example/?oppref={OPPREF}", OPPREF),
        (f"https://a.example/x?utm_source=b&oppref={OPPREF}#top", OPPREF),
        ("https://a.example/?oppref=a+b%2Bc==", "a+b%2Bc=="),
        ("https://a.example/?OPPREF=x", None),
        ("https://a.example/?oppref=", None),
        ("https://a.example/#oppref=x", None),
        ("", None), (" ", None), (None, None), (5, None), ({"oppref": "x"}, None), (["?oppref=x"], None),
    ],
)  # fmt: skip
def test_click_reference_is_passed_on_as_it_stands(source: str, url: Any, oppref: str | None) -> None:
    event = wire(CALL[source], NO_CLICK[source] | {LANDING[source]: url})

    assert event.get("oppref") == oppref


@every_platform
def test_country_is_a_code_or_left_out(source: str) -> None:
    for told, country in (("DE", ["DE"]), ("de", ["DE"]), ("Germany", None), ("", None)):
        assert wire(CALL[source], {COUNTRY[source]: told})["user"].get("countries") == country


@every_platform
def test_every_delivery_of_a_call_is_one_conversion(source: str) -> None:
    ledger = InMemoryLedger()

    outcomes = [received(CALL[source], {SECONDS[source]: each}, ledger).kind for each in ("5", "45", "50")]

    assert outcomes == ["ignored", "recorded", "duplicate"]
    assert len(ledger.conversions) == 1


UPGRADE: dict[str, dict[str, Any]] = {
    "callrail": {"lead_status": "good_lead", "changes": ["lead_status"]},
    "ctm": {"sale": {"conversion": True, "value": None}},
    "whatconverts": {"trigger": "update", "quotable": "Yes"},
}


@pytest.mark.parametrize("source", UPGRADE)
def test_a_person_s_verdict_makes_a_lead_of_an_ignored_call_and_no_second_one(source: str) -> None:
    ledger = InMemoryLedger()
    short = {SECONDS[source]: "8"}

    first = received(CALL[source], short, ledger)
    upgraded = received(CALL[source], short | UPGRADE[source], ledger)
    again = received(CALL[source], short | UPGRADE[source], ledger)

    assert (first.kind, first.reason) == ("ignored", "too_short")
    assert (upgraded.kind, again.kind) == ("recorded", "duplicate")
    assert upgraded.key == again.key
    assert upgraded.key is not None
    assert upgraded.key.startswith(f"lead_created#{source}:")


@pytest.mark.parametrize("source", UPGRADE)
def test_a_call_that_is_recorded_is_a_duplicate_when_it_is_modified(source: str) -> None:
    ledger = InMemoryLedger()

    first = received(CALL[source], None, ledger)
    modified = received(CALL[source], UPGRADE[source], ledger)

    assert (first.kind, modified.kind) == ("recorded", "duplicate")
    assert first.key == modified.key


TIME = {
    "callrail": ("start_time", "timestamp"),
    "ctm": ("unix_time",),
    "whatconverts": ("date_created",),
    "twilio": ("Timestamp",),
}


@every_platform
@pytest.mark.parametrize("value", [ABSENT, "", "yesterday", "2026-11-20T14:00:00", "2026-13-45T99:00:00Z"])
def test_a_lead_without_a_readable_time_is_parked_and_one_that_is_none_is_not(source: str, value: Any) -> None:
    fields = dict.fromkeys(TIME[source], value)

    assert word(CALL[source], fields) == "time_missing"
    assert word(CALL[source], fields | {SECONDS[source]: "3"}) == "too_short"


@pytest.mark.parametrize(
    ("source", "told", "timestamp_ms"),
    [
        ("callrail", "2026-11-20T06:32:10.005-08:00", 1_795_185_130_005),
        ("callrail", "2026-11-20T14:32:10Z", 1_795_185_130_000),
        ("callrail", "2026-11-20T15:32:10+01:00", 1_795_185_130_000),
        ("callrail", "2026-11-20T20:02:10.123456+05:30", 1_795_185_130_123),
        ("whatconverts", "2026-11-20T14:32:10Z", 1_795_185_130_000),
        ("whatconverts", "2026-11-20T14:32:10.999Z", 1_795_185_130_999),
        ("ctm", 1_795_185_130, 1_795_185_130_000),
        ("ctm", "1795185130", 1_795_185_130_000),
        ("twilio", "Fri, 20 Nov 2026 14:35:16 +0000", 1_795_185_130_000),
        ("twilio", "Fri, 20 Nov 2026 06:35:16 -0800", 1_795_185_130_000),
        ("twilio", "2026-11-20T14:35:16Z", 1_795_185_130_000),
        ("twilio", "2026-11-20T14:35:16.250Z", 1_795_185_130_250),
    ],
)
def test_time_is_that_of_the_start(source: str, told: Any, timestamp_ms: int) -> None:
    assert wire(CALL[source], {TIME[source][0]: told})["timestamp_ms"] == timestamp_ms


@every_platform
def test_a_call_of_last_week_is_too_old(source: str) -> None:
    old = {
        "callrail": "2026-11-13T14:00:00Z",
        "ctm": 1_795_185_130 - 8 * 86_400,
        "whatconverts": "2026-11-12T00:00:00Z",
    }
    fields = {TIME[source][0]: old.get(source, "Thu, 12 Nov 2026 14:45:00 +0000")}

    assert word(CALL[source], fields) == "stale_event"


ID = {"callrail": "resource_id", "ctm": "id", "whatconverts": "lead_id", "twilio": "CallSid"}


@every_platform
@pytest.mark.parametrize("value", ["", " ", "jonas@example.com", "two words", "x" * 101, "é"])
def test_a_call_without_a_usable_id_is_parked(source: str, value: Any) -> None:
    outcome = received(CALL[source], {ID[source]: value})

    assert (outcome.kind, outcome.reason) == ("parked", "id_missing")


VALUE = {"callrail": "value", "whatconverts": "sales_value"}


@pytest.mark.parametrize("source", [*VALUE, "ctm"])
@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("$1,234.50", 123450), ("$ 20.00", 2000), ("1234.5", 123450), ("1234", 123400), ("$0.99", 99), (1234.5, 123450),
        (1890, 189000), ("1,234", 123400), ("1,234,567.89", 123456789), (" $5.00 ", 500), (0.005, 1),
        ("", None), ("--", None), (None, None), (0, None), ("$0.00", None), ("0", None), (-5, None), ("-5", None),
        ("€ 20,00", None), ("20,00", None), ("1.234,50", None), ("12,34.50", None), ("1,2345", None), ("€20.00", None),
        ("£20.00", None), ("USD 20", None), ("1e5", None), ("NaN", None), (True, None), ([5], None), ("9" * 30, None),
    ],
)  # fmt: skip
def test_value_becomes_an_amount_or_nothing(source: str, value: Any, amount: int | None) -> None:
    fields = {"sale": {"conversion": True, "value": value}} if source == "ctm" else {VALUE[source]: value}

    data = wire(CALL[source], fields)["data"]

    money = {} if amount is None else {"amount": amount, "currency": "USD"}
    assert data == {"type": "customer_action", **money}


@pytest.mark.parametrize(
    ("value", "currency", "amount"),
    [("€20.00", "EUR", 2000), ("£1,000", "GBP", 100000), ("¥4510", "JPY", 4510), ("¥10", "CNY", 1000),
     ("$20.00", "CAD", 2000), ("$20.00", "EUR", 2000), ("20.000", "KWD", 20000), ("€20.00", "GBP", None)],
)  # fmt: skip
def test_currency_is_the_configured_one(value: str, currency: str, amount: int | None) -> None:
    data = wire("callrail/post_call", {"value": value}, call_currency=currency)["data"]

    assert (data.get("amount"), data.get("currency")) == (amount, currency if amount else None)
