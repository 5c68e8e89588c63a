"""Which of the parked deliveries, dead letters and conversions a replay takes, and what it makes of each."""

import argparse
import json
from typing import Any

import pytest

from conversion_relay import event_bus
from conversion_relay.delivery import Outcome
from conversion_relay.event import parse
from tests.fakes import an_order
from tools import cli, dry_run, taking
from tools.entries import Entry
from tools.replay import dead_letters, ledger, parked
from tools.replay.messages import Letter

NOW_MS = 1_795_186_800_000
HOUR_MS = 3_600_000
EVENT = json.dumps(an_order(timestamp_ms=NOW_MS - HOUR_MS))


def an_entry(key: str = "order_created#shopify:6184203920001", **fields: Any) -> Entry:
    known = {
        "status": "recorded",
        "reason": "",
        "text": EVENT,
        "recorded_ms": NOW_MS - HOUR_MS,
        "settled_ms": 0,
        "amended_ms": 0,
    }
    known |= {"hold_until_ms": 0, "source": "shopify", "tenant": "", "delivery": ""}
    return Entry(key=key, **(known | fields))


def asked(**given: Any) -> argparse.Namespace:
    known = {"status": [], "id": [], "since": None, "until": None, "source": [], "reason": [], "key": []}
    return argparse.Namespace(**(known | given))


# The ledger ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    ["order_created#shopify:6184203920001", "shopify:6184203920001", "6184203920001", "shopify:1"],
    ids=["ledger key", "subject", "order number", "event id"],
)
def test_a_conversion_is_named_by_its_key_its_event_s_id_or_the_platform_s_own(given: str) -> None:
    assert ledger.is_meant(an_entry(), given)


@pytest.mark.parametrize("given", ["618420392000", "shopify", "", "order_created", "1"])
def test_a_part_of_an_id_names_nothing(given: str) -> None:
    assert not ledger.is_meant(an_entry(), given)


def test_an_object_of_a_connected_account_is_named_by_its_own_id() -> None:
    assert ledger.is_meant(an_entry("order_created#stripe:acct_1A:cs_live_1"), "cs_live_1")


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        (asked(), True),
        (asked(status=["recorded"]), True),
        (asked(status=["rejected", "expired"]), False),
        (asked(since=NOW_MS - HOUR_MS), True),
        (asked(since=NOW_MS - HOUR_MS + 1), False),
        (asked(until=NOW_MS - HOUR_MS), True),
        (asked(until=NOW_MS - HOUR_MS - 1), False),
    ],
)
def test_status_and_time_of_record_narrow_it_down(options: argparse.Namespace, fits: bool) -> None:
    assert ledger.wanted(an_entry(), options) is fits


def test_what_an_interrupted_replay_has_set_back_belongs_to_what_it_was() -> None:
    set_back = an_entry(reopened_from="rejected", reopened_ms=NOW_MS)
    assert ledger.wanted(set_back, asked(status=["rejected"]))
    assert not ledger.wanted(set_back, asked(status=["expired"]))
    # and once it has been sent it is no longer that
    assert not ledger.wanted(an_entry(status="sent", reopened_from="rejected"), asked(status=["rejected"]))


TOO_LATE = "over 7 days old, too late for OpenAI"
SEVEN_DAYS_AGO = json.dumps(an_order(timestamp_ms=NOW_MS - 7 * 24 * HOUR_MS))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (an_entry(), ""),
        (an_entry(recorded_ms=NOW_MS - 60_000), "on its way, see --older-than"),
        (an_entry(reopened_ms=NOW_MS - 60_000), "on its way, see --older-than"),
        (an_entry(status="rejected", recorded_ms=NOW_MS - 60_000), ""),
        (an_entry(status="shadow"), ""),
        (an_entry(status="expired", text=SEVEN_DAYS_AGO), TOO_LATE),
        (an_entry("fetch#stripe:evt_1", status="to_fetch", text='{"created": 1795180000}'), ""),
        (an_entry("fetch#stripe:evt_1", status="to_fetch", text='{"created": 1794000000}'), TOO_LATE),
        (an_entry("fetch#stripe:evt_1", status="fetched", text="{}"), "there is nothing to send of what is fetched"),
    ],
)  # fmt: skip
def test_what_is_on_its_way_too_old_or_not_to_be_sent_is_skipped(entry: Entry, why: str) -> None:
    assert ledger.why_not(entry, NOW_MS, 15 * 60_000) == why


def test_a_stack_that_fetches_nothing_gets_nothing_to_fetch() -> None:
    entry = an_entry("fetch#stripe:evt_1", status="to_fetch", text="{}")
    assert "StripeFetchThinEvents" in ledger.why_not(entry, NOW_MS, 0, has_fetch=False)


# Dead letters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "attributes", "why"),
    [
        (EVENT, {"key": "order_created#shopify:1"}, ""),
        (EVENT, {}, "it is no event of this relay"),
        ("{", {"key": "unknown", "reason": "no event of the outbox"}, "no event of the outbox"),
        ('["a list"]', {"key": "k"}, "it is no event of this relay"),
        ('{"id": "evt_1", "type": "invoice.paid", "path": "/v1/invoices/in_1"}', {"key": "fetch#stripe:evt_1"}, ""),
        ('{"id": "evt_1"}', {"key": "fetch#stripe:evt_1"}, "it does not say what to fetch"),
        ("nonsense", {"key": "fetch#stripe:evt_1"}, "it does not say what to fetch"),
    ],
)
def test_a_dead_letter_goes_back_when_it_can_be_read(body: str, attributes: dict[str, str], why: str) -> None:
    assert dead_letters.read(Letter(body, attributes, NOW_MS, "r1")).why_not == why


def test_a_held_message_goes_back_as_a_held_one() -> None:
    key = "subscription_created#stripe:sub_1"
    held = dead_letters.read(Letter(EVENT, {"key": key, "held": "yes"}, NOW_MS, "r1"))
    assert held.outgoing == (key, EVENT, dead_letters.HOLD_IS_OVER)
    assert dead_letters.read(Letter(EVENT, {"key": key}, NOW_MS, "r1")).outgoing == (key, EVENT, 0)


# Parked deliveries ---------------------------------------------------------------------------------------------------


def kept(**fields: Any) -> bytes:
    known = {
        "source": "shopify",
        "reason": "not_json",
        "parked_ms": NOW_MS,
        "method": "POST",
        "path": "/",
        "query": "",
        "origin": "",
    }
    return json.dumps(
        known | {"headers": {"x-shopify-topic": "orders/create"}, "body_base64": "e30="} | fields
    ).encode()


def test_a_parked_delivery_says_whose_it_is_by_its_key() -> None:
    found = parked.parked_in("shopify/2026/11/22/a.json", kept(), 1)
    assert (found.source, found.parked_ms, found.reason, found.way) == ("shopify", NOW_MS, "not_json", "webhook")
    assert parked.parked_in("custom/aircall/2026/11/22/a.json", kept(), 1).source == "aircall"
    assert parked.parked_in("stripe/2026/11/22/a.json", kept(headers={}), 1).way == "fetched"
    assert parked.parked_in("stripe/2026/11/22/a.json", kept(headers={event_bus.SOURCE_HEADER: "aws"}), 1).way == "bus"


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", kept(headers=[]), kept(headers={"a": 1}), kept(body_base64=7), kept(parked_ms=None)],
)
def test_an_object_that_is_no_parked_delivery_is_unreadable(content: bytes) -> None:
    with pytest.raises(parked.Unreadable):
        parked.parked_in("shopify/2026/11/22/a.json", content, 1)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"requestPayload": {"source": "me", "detail-type": "x"}}'])
def test_a_record_of_lambda_without_a_partner_s_event_is_unreadable(content: bytes) -> None:
    with pytest.raises(parked.Unreadable, match="no event of a partner event source"):
        parked.parked_in(f"{event_bus.GIVEN_UP}receiver/2026/11/22/a", content, 1)


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        (asked(), True),
        (asked(source=["stripe", "shopify"], reason=["not_json"]), True),
        (asked(source=["stripe"]), False),
        (asked(reason=["id_missing"]), False),
        (asked(since=NOW_MS, until=NOW_MS), True),
        (asked(since=NOW_MS + 1), False),
        (asked(until=NOW_MS - 1), False),
    ],
)
def test_source_reason_and_time_narrow_it_down(options: argparse.Namespace, fits: bool) -> None:
    assert parked.wanted(parked.parked_in("shopify/2026/11/22/a.json", kept(), 1), options) is fits


# What is shown -------------------------------------------------------------------------------------------------------


def test_an_outcome_is_told_in_a_word_or_two() -> None:
    event = parse(an_order())
    assert taking.words(Outcome("recorded", 200, "recorded", "", "k", event)) == "recorded"
    assert taking.words(Outcome("ignored", 200, "test_order", "")) == "ignored: test_order"
    assert "over 7 days old" in taking.words(Outcome("ignored", 200, "stale_event", ""))
    assert taking.about(Outcome("recorded", 200, "recorded", "", "k", event))[:2] == ("k", "149.00 USD")
    assert taking.about(Outcome("ignored", 200, "test_order", "")) == ("", "", "")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ({"amount": 20063, "currency": "USD"}, "200.63 USD"),
        ({"amount": 4510, "currency": "JPY"}, "4,510 JPY"),
        ({"amount": 0, "currency": "EUR"}, "0.00 EUR"),
        ({"currency": "USD"}, ""),
        ({}, ""),
    ],
)
def test_a_value_is_written_in_its_currency_s_own_units(data: dict[str, Any], value: str) -> None:
    assert dry_run.value_of({"data": data}) == value


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay"],
        ["replay", "everything"],
        ["replay", "ledger", "--status", "lost"],
        ["replay", "ledger", "--older-than", "a while"],
        ["replay", "parked", "--since", "yesterday"],
        ["backfill", "stripe", "--days", "31"],
        ["backfill", "stripe", "--days", "0"],
        ["backfill", "stripe", "--api", "http://api.stripe.com"],
        ["backfill", "stripe", "--api", "https://127.0.0.1@evil.example"],
        ["backfill", "shopify", "--api", "https://example.com/path"],
    ],
)
def test_options_that_cannot_be_used_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
