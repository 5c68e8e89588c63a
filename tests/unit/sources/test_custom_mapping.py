"""From a payload to an event by a platform's file."""

import hashlib
from decimal import Decimal
from typing import Any

import pytest

from conversion_relay.delivery import Conversion, NotUnderstood
from conversion_relay.event import DATA_TYPE
from conversion_relay.settings import Settings
from conversion_relay.sources import custom
from conversion_relay.sources.custom.mapping import moment
from tests.unit.sources.platforms import NOW_MS, PAYLOAD, SETTINGS, definition, event, posted, reason, result


def digest(text: str) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest()]


OPPREF = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"

# The event itself -----------------------------------------------------------------------------------------------------


def test_slices_and_literals_are_expressions_too() -> None:
    assert event({"parts": ["x", "a-2", "a-3"]}, {"id": "join('', parts[1:2])"})["id"] == "acme:a-2"


def test_the_least_that_a_file_says_makes_an_event() -> None:
    assert event({}) == {
        "id": "acme:a-1",
        "type": "lead_created",
        "timestamp_ms": NOW_MS - 3_600_000,
        "action_source": "web",
        "source_url": "https://example.com",
        "data": {"type": "customer_action"},
    }


@pytest.mark.parametrize("event_type", DATA_TYPE)
def test_every_event_type_can_be_mapped(event_type: str) -> None:
    conversion = {"type": event_type, "action_source": "mobile_app"}
    if event_type == "custom":
        conversion["custom_event_name"] = "Quote_Requested"

    made = event({}, conversion)

    assert (made["type"], made["data"]) == (event_type, {"type": DATA_TYPE[event_type]})
    assert made.get("custom_event_name") == ("quote_requested" if event_type == "custom" else None)


def test_a_table_chooses_the_type_and_ignores_what_is_not_in_it() -> None:
    conversion = {"type": {"from": "stage", "map": {"won": "order_created", "4": "trial_started"}}}

    assert event({"stage": " won "}, conversion)["type"] == "order_created"
    assert event({"stage": 4}, conversion)["type"] == "trial_started"
    assert [reason({"stage": each}, conversion) for each in ("lost", "", None, [])] == ["type_not_mapped"] * 4


@pytest.mark.parametrize(
    ("says", "value", "becomes"),
    [
        ({"from": "where"}, "physical_store", "physical_store"),
        ({"from": "where", "default": "offline"}, "", "offline"),
        ({"from": "where", "default": "offline"}, "elsewhere", "offline"),
        ({"from": "where", "map": {"till": "physical_store"}}, "till", "physical_store"),
        ({"from": "where", "map": {"till": "physical_store"}, "default": "other"}, "web", "other"),
    ],
)
def test_the_action_source_may_come_from_a_value(says: dict[str, Any], value: str, becomes: str) -> None:
    assert event({"where": value}, {"action_source": says})["action_source"] == becomes


def test_an_unknown_action_source_is_parked() -> None:
    with pytest.raises(NotUnderstood) as problem:
        result({"where": "chat"}, {"action_source": {"from": "where"}})
    assert problem.value.reason == "action_source_unknown"


# Ids and times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "becomes"),
    [("x", "acme:x"), (" x ", "acme:x"), (812640011, "acme:812640011"), (10**29, f"acme:{10**29}")],
)
def test_an_id_is_text(value: Any, becomes: str) -> None:
    assert event({"id": value})["id"] == becomes


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "id_missing"), ("", "id_missing"), (0, "id_missing"), (True, "id_missing"), ({}, "id_missing"),
        (1.5, "id_missing"), ("a b", "id_unusable"), ("a@example.com", "id_unusable"), ("x" * 151, "id_unusable"),
        ("a\x00", "id_unusable"), ("a\uffff", "id_unusable"),
    ],
)  # fmt: skip
def test_an_id_that_cannot_be_one_is_parked(value: Any, said: str) -> None:
    with pytest.raises(NotUnderstood) as problem:
        result({"id": value})
    assert problem.value.reason == said
    assert "example.com" not in problem.value.detail


def test_the_account_is_part_of_the_subject() -> None:
    made = result({"account": 77}, {"account": "account"})

    assert isinstance(made, Conversion)
    assert (made.subject, made.key) == ("acme:77:a-1", "lead_created#acme:77:a-1")
    with pytest.raises(NotUnderstood, match="no account"):
        result({}, {"account": "account"})
    with pytest.raises(NotUnderstood, match="together"):
        result({"account": "x" * 100, "id": "y" * 100}, {"account": "account"})


def test_the_pixel_s_event_id_is_the_event_s_and_not_the_key_s() -> None:
    made = result({"pixel": "pix_1"}, {"pixel_event_id": "pixel"})

    assert isinstance(made, Conversion)
    assert (made.event.id, made.key) == ("pix_1", "lead_created#acme:a-1")


@pytest.mark.parametrize(
    ("written", "zone", "value", "becomes"),
    [
        ("iso", None, "2026-11-20T14:41:12Z", 1_795_185_672_000),
        ("iso", None, "2026-11-20T14:41:12.9871234+00:00", 1_795_185_672_987),
        ("iso", None, "2026-11-20T14:41:12", None),
        ("iso", "America/Chicago", "2026-11-20 08:41:12", 1_795_185_672_000),
        ("iso", "America/Chicago", "2026-11-20T14:41:12Z", 1_795_185_672_000),
        ("iso", "America/Chicago", "noon", None),
        ("iso", "America/Chicago", 1_795_185_672, None),
        ("unix_s", None, 1_795_185_672, 1_795_185_672_000),
        ("unix_s", None, " 1795185672 ", 1_795_185_672_000),
        ("unix_s", None, "-5", None),
        ("unix_s", None, Decimal("1795185672.9879"), 1_795_185_672_987),
        ("unix_s", None, "1795185672.5", 1_795_185_672_500),
        ("unix_s", None, Decimal("-0.5"), None),
        ("unix_ms", None, Decimal("1795185672000.0"), 1_795_185_672_000),
        ("unix_ms", None, "1795185672000", 1_795_185_672_000),
        ("unix_ms", None, True, None),
        ("unix_ms", None, "9" * 40, None),
        ("rfc2822", None, "Fri, 20 Nov 2026 14:41:12 +0000", 1_795_185_672_000),
        ("rfc2822", None, "yesterday", None),
    ],
)
def test_times_are_read_in_the_format_that_is_named(written: Any, zone: Any, value: Any, becomes: Any) -> None:
    assert moment(value, written, zone) == becomes


def test_a_local_time_is_read_in_the_zone_that_the_file_names() -> None:
    time = {"from": "at", "format": "iso", "zone": "America/Chicago"}

    assert event({"at": "2026-11-20 08:00:00"}, {"time": time})["timestamp_ms"] == NOW_MS - 3_600_000


def test_the_first_filled_time_counts() -> None:
    time = {"from": ["begun", "at"], "format": "iso"}

    assert event({"begun": ""}, {"time": time})["timestamp_ms"] == NOW_MS - 3_600_000


def test_no_time_is_parked_and_an_old_one_ignored() -> None:
    with pytest.raises(NotUnderstood) as problem:
        result({"at": "noon"})

    assert problem.value.reason == "time_missing"
    assert reason({"at": "2026-11-01T00:00:00Z"}) == "stale_event"


# Filters --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "passes"),
    [(True, True), ("true", True), ("Yes", True), (1, True), ("false", False), ("no", False), (0, False), (None, False),
     ("maybe", False), ([1], False)],
)  # fmt: skip
def test_a_filter_is_not_fooled_by_the_text_false(value: Any, passes: bool) -> None:
    filters = [{"that": "ok", "reason": "not_ok", "detail": "it is not ok"}]

    made = result({"ok": value}, filters=filters)

    assert isinstance(made, Conversion) is passes


def test_the_first_filter_that_does_not_hold_gives_the_reason() -> None:
    filters = [
        {"that": "topic == 'order'", "reason": "other_topic", "detail": "only orders count"},
        {"that": "paid", "reason": "not_paid", "detail": "not paid yet"},
    ]

    assert reason({"topic": "refund"}, filters=filters) == "other_topic"
    assert reason({"topic": "order", "paid": "0"}, filters=filters) == "not_paid"


def test_an_expression_that_a_value_does_not_fit_counts_as_absent() -> None:
    filters = [{"that": "contains(tags, 'ad')", "reason": "no_tag", "detail": "without the tag"}]

    assert reason({"tags": 5}, filters=filters) == "no_tag"
    assert event({"tags": ["ad"]}, filters=filters)


def test_header_and_query_of_the_request_can_be_read() -> None:
    filters = [{"that": "header('X-Topic') == 'a' && query('t') == 'b c'", "reason": "other", "detail": "other"}]
    source = custom.source("acme", definition(filters=filters))

    made = source.normalize(
        posted(dict(PAYLOAD), headers={"x-topic": "a"}, query="t=b%20c&t=d"), SETTINGS, NOW_MS, lambda _: None
    )

    assert isinstance(made, Conversion)


def test_split_and_lower_take_texts() -> None:
    conversion = {"id": "split(lower(uri), '/')[-1]"}

    assert event({"uri": "https://x/A/B"}, conversion)["id"] == "acme:b"
    with pytest.raises(NotUnderstood, match="no id"):
        result({"uri": 5}, conversion)


# Click and page -------------------------------------------------------------------------------------------------------


def test_references_as_values_come_before_those_of_the_landing_url() -> None:
    conversion = {"oppref": ["a", "b"], "obref": "c", "landing_url": "page"}
    page = f"https://example.com/p?oppref={OPPREF}&obref=o%3D1"

    as_values = event({"a": "", "b": "value%2B", "c": "v", "page": page}, conversion)
    from_url = event({"page": page}, conversion)

    assert (as_values["oppref"], as_values["user"]["obref"]) == ("value%2B", "v")
    assert (from_url["oppref"], from_url["user"]["obref"]) == (OPPREF, "o%3D1")
    assert from_url["source_url"] == "https://example.com/p"
    assert "oppref" not in event({"page": 5}, conversion)


def test_the_page_comes_before_the_landing_page_before_the_site() -> None:
    conversion = {"source_url": "page", "landing_url": "landing"}

    assert event({"page": "https://a.example/x?y", "landing": "https://b.example/"}, conversion)["source_url"] == (
        "https://a.example/x"
    )
    assert event({"page": "/x?y"}, conversion)["source_url"] == "https://example.com/x"
    assert event({"page": "javascript:1"}, conversion)["source_url"] == "https://example.com"


def test_a_web_event_without_any_page_is_parked_and_told_what_to_do() -> None:
    with pytest.raises(NotUnderstood, match="SiteOrigin"):
        result({}, settings=Settings())


def test_an_event_without_a_key_is_ignored_where_one_is_demanded() -> None:
    assert reason({}, {"action_source": "phone_call"}) == "no_match_key"
    assert (
        reason({}, settings=Settings(site_origin="https://e.example", require_click_reference=True)) == "no_click_ref"
    )


# People ---------------------------------------------------------------------------------------------------------------


def test_user_fields_are_hashed_or_passed_on() -> None:
    user = {
        "emails": ["mail", "mails[].value"], "phones": "phone", "phone_region": {"from": "country"},
        "external_ids": "customer", "first_names": "first", "last_names": "last", "city": "city", "region": "region",
        "postal_code": "zip", "country": "country", "ip_address": "ip", "user_agent": "agent",
        "android_advertising_id": "gaid",
    }  # fmt: skip
    payload = {
        "mail": "", "mails": [{"value": "none"}, {"value": " A@Example.com"}], "phone": "0171 2345678", "country": "de",
        "customer": 77, "first": "Ada", "last": "O'Connor", "city": "Hamburg", "region": "HH", "zip": 20095,
        "ip": "2001:db8::1", "agent": "Mozilla/5.0", "gaid": "38400000-8cf0-11bd-b23e-10b96e40000d",
    }  # fmt: skip

    assert event(payload, {"user": user})["user"] == {
        "emails_sha256": digest("a@example.com"),
        "phone_numbers_sha256": digest("491712345678"),
        "external_ids_sha256": digest("77"),
        "first_names_sha256": digest("ada"),
        "last_names_sha256": digest("oconnor"),
        "cities": ["Hamburg"],
        "regions": ["HH"],
        "postal_codes": ["20095"],
        "countries": ["DE"],
        "ip_address": "2001:db8::1",
        "user_agent": "Mozilla/5.0",
        "android_advertising_id": "38400000-8cf0-11bd-b23e-10b96e40000d",
    }


def test_a_national_number_needs_a_region() -> None:
    fixed = {"user": {"phones": "phone", "phone_region": "US"}}
    without = {"user": {"phones": "phone"}}

    assert event({"phone": "512-555-0177"}, fixed)["user"]["phone_numbers_sha256"] == digest("15125550177")
    assert "user" not in event({"phone": "512-555-0177"}, without)
    assert event({"phone": 15125550177}, without)["user"]["phone_numbers_sha256"] == digest("15125550177")


# Money and lines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "currency", "amount", "becomes"),
    [
        ("major", "USD", "149.00", 14_900), ("major", "USD", 149, 14_900), ("major", "USD", 1.005, 101),
        ("major", "JPY", "4510.00", 4_510), ("major", "KWD", "12.34", 12_340), ("major", "USD", 0, 0),
        ("minor", "USD", 14_900, 14_900), ("minor", "USD", "14900", 14_900), ("minor", "USD", 14_900.0, 14_900),
        ("minor", "USD", 149.5, None), ("minor", "USD", -1, None), ("minor", "USD", "9" * 18, None),
        ("major", "USD", "1,234.50", None), ("major", "USD", "$5", None), ("major", "USD", "", None),
        ("major", "USD", True, None), ("major", "USD", "-1", None), ("minor", "USD", {}, None),
    ],
)  # fmt: skip
def test_amounts_are_exact_or_left_out(unit: str, currency: str, amount: Any, becomes: int | None) -> None:
    value = {"value": {"amount": "total", "unit": unit, "currency": currency}}

    data = event({"total": amount}, value)["data"]

    expected = {} if becomes is None else {"amount": becomes, "currency": currency}
    assert data == {"type": "customer_action", **expected}


def test_a_currency_of_the_payload_is_never_replaced_by_another() -> None:
    value = {"value": {"amount": "total", "unit": "major", "currency": {"from": "money", "default": "EUR"}}}

    assert event({"total": 5, "money": "usd"}, value)["data"]["currency"] == "USD"
    assert event({"total": 5, "money": ""}, value)["data"]["currency"] == "EUR"
    assert "currency" not in event({"total": 5, "money": "BGN"}, value)["data"]


def test_without_a_currency_only_a_call_has_a_value() -> None:
    value = {"value": {"amount": "total", "unit": "major"}}
    call = {"action_source": "phone_call", "call": {"seconds": "talk"}, "oppref": "op", **value}

    assert event({"total": 5}, value)["data"] == {"type": "customer_action"}
    assert event({"total": 5, "talk": 60, "op": "x"}, call)["data"]["currency"] == "USD"


@pytest.mark.parametrize(
    ("expression", "amount"),
    [
        ("to_number(total)", 14950),
        ("to_number(text)", 114),
        ("to_number(`1.15`)", 115),
        ("to_number(words)", None),
        ("`1.15`", 115),
        ("to_string(total)", 14950),
        ("to_string(text)", 114),
        ("to_string(parts[1])", 200),
        ("sum(parts)", 350),
        ("max(parts)", 200),
        ("ceil(total)", 15000),
        ("abs(words)", None),
    ],
)
def test_functions_keep_the_cents(expression: str, amount: int | None) -> None:
    value = {"value": {"amount": expression, "unit": "major", "currency": "USD"}}
    body = (
        b'{"id": "a-1", "at": "2026-11-20T14:00:00Z", "total": 149.50, "text": "1.14", "words": "x", "parts": [1.5, 2]}'
    )

    assert event(body, value)["data"].get("amount") == amount


LINES = {
    "each": "lines", "id": "sku", "group_id": "group", "name": "title", "quantity": "count", "amount": "price",
}  # fmt: skip


def test_lines_are_read_one_by_one() -> None:
    conversion = {
        "type": "order_created",
        "contents": LINES,
        "value": {"amount": "total", "unit": "major", "currency": "USD"},
    }
    lines = [
        {"sku": 8812, "group": "g", "title": "Shoe", "count": "2", "price": "10.50"},
        {"sku": "", "count": 1.5, "price": "?"},
        "no line",
        {"title": "Free", "count": -1},
    ]

    assert event({"lines": lines, "total": "21"}, conversion)["data"] == {
        "type": "contents",
        "amount": 2100,
        "currency": "USD",
        "contents": [{"id": "8812", "group_id": "g", "name": "Shoe", "quantity": 2, "amount": 1050}, {"name": "Free"}],
    }
    # Without a total, each line says its currency; without lines there are none
    assert event({"lines": lines[:1]}, conversion)["data"]["contents"][0]["currency"] == "USD"
    assert "contents" not in event({"lines": "none"}, conversion)["data"]


def test_lines_without_any_currency_have_no_price() -> None:
    conversion = {"type": "order_created", "contents": LINES}

    assert event({"lines": [{"sku": "1", "price": "5"}]}, conversion)["data"]["contents"] == [{"id": "1"}]


def test_what_a_type_does_not_take_is_left_out_where_a_table_chooses_it() -> None:
    conversion = {
        "type": {"from": "what", "map": {"lead": "lead_created", "plan": "subscription_created"}},
        "contents": LINES,
        "plan_id": "plan",
    }
    payload = {"lines": [{"sku": "1"}], "plan": "plus"}

    assert event({**payload, "what": "lead"}, conversion)["data"] == {"type": "customer_action"}
    assert event({**payload, "what": "plan"}, conversion)["data"] == {
        "type": "plan_enrollment",
        "contents": [{"id": "1"}],
        "plan_id": "plus",
    }
