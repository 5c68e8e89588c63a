"""Thin events: what is to be fetched for them, and what becomes of it once it is."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.fetch import SOURCE
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import stripe
from conversion_relay.sources.stripe import thin
from tests.unit.sources.stripe_deliveries import (
    CUSTOMER,
    DAY_S,
    NOW_MS,
    NOW_S,
    SUBSCRIPTION,
    a_payload,
    invoice,
    received,
    session,
    subscription,
    trial,
)
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets

ON = {"stripe_fetch_thin_events": True}


def a_thin_event(event_type: str = "v1.invoice.paid", **changes: Any) -> dict[str, Any]:
    related = {"id": "in_1SNStory", "type": "invoice", "url": "/v1/invoices/in_1SNStory"}
    event = {"id": "evt_65SNthin", "object": "v2.core.event", "type": event_type, "livemode": True}
    return event | {"created": "2026-11-20T14:59:56.512Z", "context": None, "related_object": related} | changes


def test_what_to_fetch_is_ids_type_and_time() -> None:
    ledger = InMemoryLedger()

    outcome = received(a_thin_event(), ledger, **ON)

    assert (outcome.kind, outcome.http, outcome.reason) == ("remembered", 200, "to_be_fetched")
    assert outcome.key == "fetch#stripe:evt_65SNthin"
    assert ledger.fetches["stripe:evt_65SNthin"].facts == {
        "id": "evt_65SNthin",
        "type": "invoice.paid",
        "created": 1795186796,
        "livemode": True,
        "path": "/v1/invoices/in_1SNStory",
    }
    assert received(a_thin_event(), ledger, **ON).reason == "fetch_known"


def test_a_connected_account_on_the_list_is_named() -> None:
    ledger, accounts = InMemoryLedger(), {"stripe_accounts": frozenset({"acct_1A"})}
    received(a_thin_event(context="acct_1A"), ledger, **ON, **accounts)

    assert ledger.fetches["stripe:evt_65SNthin"].facts["account"] == "acct_1A"
    assert received(a_thin_event(context="acct_2B"), ledger, **ON, **accounts).reason == "unknown_connected_account"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"type": None}, ("parked", "not_an_event")),
        ({"type": "v1.payout.paid"}, ("ignored", "type_not_handled")),
        ({"type": "v2.core.account.updated"}, ("ignored", "type_not_handled")),
        ({"type": "v1.charge.refunded"}, ("ignored", "refund")),
        ({"type": "v1.customer.subscription.paused"}, ("ignored", "paused")),
        ({"livemode": False}, ("ignored", "test_mode")),
        ({"id": None}, ("parked", "id_missing")),
        ({"id": "evt_" + "x" * 101}, ("parked", "id_missing")),
        ({"related_object": None}, ("parked", "related_object_missing")),
    ],
)
def test_thin_event_for_which_nothing_is_fetched(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    ledger = InMemoryLedger()
    outcome = received(a_thin_event() | changes, ledger, **ON)

    assert (outcome.kind, outcome.reason) == expected
    assert ledger.fetches == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1/invoices/in_1",
        "//evil.example/v1/invoices/in_1",
        "/v1/../v1/invoices/in_1",
        "/v1/invoices/in_1?expand[]=customer",
        "/v1/invoices/in_1#",
        "/v1/invoices/%2e%2e/in_1",
        "/v1/invoices/in_1@evil.example",
        "/v1/invoices/in_1\n",
        "/v1//invoices",
        "/v1",
        "/v3/invoices/in_1",
        "v1/invoices/in_1",
        "/v1/" + "x" * 201,
        5,
    ],
)
def test_address_that_is_no_path_of_the_api(url: object) -> None:
    assert received(a_thin_event(related_object={"url": url}), **ON).reason == "related_object_missing"


@pytest.mark.parametrize(
    "path", ["/v1/checkout/sessions/cs_live_a1", "/v2/core/accounts/acct_1", "/v1/customers/cus-1"]
)
def test_address_that_is_one(path: str) -> None:
    assert received(a_thin_event(related_object={"url": path}), **ON).kind == "remembered"


# Once it is fetched ---------------------------------------------------------------------------------------------------


def fetched(payload: dict[str, Any], ledger: InMemoryLedger | None = None, **settings: Any) -> Outcome:
    """What becomes of a snapshot event when it comes as a thin one, without previous attributes."""
    created = datetime.fromtimestamp(payload["created"], UTC).isoformat(timespec="milliseconds")
    facts = thin.to_fetch(a_thin_event(id=payload["id"], created=created), payload["type"], None).facts
    return Receiver(
        SOURCE,
        KnownSecrets(["not needed"]),
        InMemoryLedger() if ledger is None else ledger,
        InMemoryParking(),
        Settings(**settings),
        lambda: NOW_MS,
    ).receive(thin.snapshot(facts, payload["data"]["object"]))


@pytest.mark.parametrize(
    "payload",
    [a_payload("01"), session(2900), trial(), invoice("subscription_create", 2900)],
    ids=["payment", "subscription", "trial", "invoice"],
)
def test_the_same_conversion_as_of_the_snapshot_event(payload: dict[str, Any]) -> None:
    as_snapshot = received(payload)
    ledger = InMemoryLedger()

    assert fetched(payload, ledger).event == as_snapshot.event
    assert received(payload, ledger).kind == "duplicate"


def test_a_snapshot_event_made_of_a_thin_one_names_event_and_account() -> None:
    facts = {"id": "evt_1", "type": "invoice.paid", "created": 5, "account": "acct_1A", "path": "/v1/invoices/in_1"}
    delivery = thin.snapshot(facts, {"id": "in_1", "name": "\ud800"})

    assert isinstance(delivery, Delivery)
    assert (stripe.SOURCE.delivery_id(delivery), stripe.SOURCE.tenant(delivery)) == ("evt_1", None)
    plain = thin.snapshot(facts, {"id": "in_1"})
    assert json.loads(plain.body) == {
        "id": "evt_1", "object": "event", "type": "invoice.paid", "created": 5, "account": "acct_1A",
        "data": {"object": {"id": "in_1"}},
    }  # fmt: skip
    assert stripe.SOURCE.tenant(plain) == "acct_1A"


def of_type(event_type: str, payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"type": f"customer.subscription.{event_type}"}


def test_a_subscription_that_is_trialing_is_the_beginning_of_its_trial() -> None:
    ledger = InMemoryLedger()

    assert fetched(of_type("trialing", trial()), ledger).key == f"trial_started#stripe:{SUBSCRIPTION}"
    assert fetched(trial(), ledger).kind == "duplicate"
    assert fetched(of_type("trialing", subscription("created", "active"))).reason == "no_trial"


def test_a_subscription_that_is_active_after_its_trial_tells_of_the_end() -> None:
    ledger = InMemoryLedger()
    assert fetched(of_type("active", trial(status="active")), ledger).reason == "trial_kept"

    assert received(invoice("subscription_cycle", 2900), ledger).kind == "recorded"


@pytest.mark.parametrize(
    "payload",
    [
        subscription("created", "active"),
        trial(status="active", trial_end=NOW_S + DAY_S),
        trial(status="canceled"),
    ],
    ids=["without a trial", "within the trial", "cancelled"],
)
def test_a_subscription_that_is_active_for_another_reason_tells_nothing(payload: dict[str, Any]) -> None:
    assert fetched(of_type("active", payload)).reason == "update_only"


def test_convert_on_status_counts_an_active_subscription_at_the_end_of_its_trial() -> None:
    found = fetched(of_type("active", trial(status="active")), convert_on="status").event
    assert found is not None
    assert (found.name, found.timestamp_ms) == ("subscription_created", NOW_MS - 60_000)
    # The same a year later, when all is forgotten, is no new conversion.
    long_ago = trial(status="active", days_ago=400, trial_end=NOW_S - 370 * DAY_S)
    assert fetched(of_type("active", long_ago), convert_on="status").reason == "stale_event"


def test_an_object_of_test_mode_is_ignored_whatever_the_event_says() -> None:
    assert fetched(a_payload("01", livemode=False)).reason == "test_mode"


def test_nothing_to_fetch_holds_anything_of_a_person() -> None:
    ledger = InMemoryLedger()
    received(a_thin_event(data={"email": "jane@example.com"}, customer=CUSTOMER), ledger, **ON)

    assert "jane" not in repr(ledger.fetches)
    assert CUSTOMER not in repr(ledger.fetches)
