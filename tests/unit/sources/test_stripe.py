"""What becomes of each Stripe event, beyond the shared cases."""

from typing import Any

import pytest

from conversion_relay import identity
from conversion_relay.sources import stripe
from tests.unit.sources.stripe_deliveries import (
    CUSTOMER,
    NOW_MS,
    NOW_S,
    OPPREF,
    PAGE,
    SUBSCRIPTION,
    a_payload,
    invoice,
    received,
    session,
    trial,
)
from tools.in_memory import InMemoryLedger

MEMORY = f"memory#subscription#stripe:{SUBSCRIPTION}"
DAY_S = 86_400


def wire(payload: Any, **how: Any) -> dict[str, Any]:
    outcome = received(payload, **how)
    assert outcome.event is not None, outcome
    return outcome.event.wire()


def reason(payload: Any, **how: Any) -> tuple[str, str]:
    outcome = received(payload, **how)
    assert outcome.event is None
    return outcome.kind, outcome.reason


def metadata(**held: Any) -> dict[str, Any]:
    return a_payload("01", metadata={"source_url": PAGE, **held})


# The event itself -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"object": "v2.core.event"}, ("ignored", "thin_event_without_api_key")),
        ({"object": "list"}, ("parked", "not_an_event")),
        ({"type": None}, ("parked", "not_an_event")),
        ({"type": "payout.paid"}, ("ignored", "type_not_handled")),
        ({"data": None}, ("parked", "object_missing")),
        ({"data": {"object": []}}, ("parked", "object_missing")),
        ({"livemode": False}, ("ignored", "test_mode")),
        ({"created": None}, ("ignored", "stale_event")),
        ({"created": NOW_S - 8 * DAY_S}, ("ignored", "stale_event")),
        ({"account": "acct_1A"}, ("ignored", "unknown_connected_account")),
        ({"account": "jane@example.com"}, ("ignored", "unknown_connected_account")),
        ({"context": "org_1"}, ("ignored", "unknown_connected_account")),
    ],
)
def test_event_that_makes_no_conversion(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert reason(a_payload("01") | change) == expected


@pytest.mark.parametrize(
    ("event_type", "word"),
    [
        ("checkout.session.async_payment_failed", "payment_failed"),
        ("checkout.session.expired", "abandoned"),
        ("customer.subscription.trial_will_end", "trial_will_end"),
        ("customer.deleted", "customer_deleted"),
        ("invoice.payment_succeeded", "twin_of_invoice_paid"),
        ("charge.refunded", "refund"),
    ],
)
def test_type_that_is_no_conversion_may_be_a_stub(event_type: str, word: str) -> None:
    stub = {"id": "cus_1", "object": "customer", "deleted": True}

    assert reason({"id": "evt_1", "object": "event", "type": event_type, "data": {"object": stub}}) == ("ignored", word)


def test_types_of_the_reference_are_all_handled() -> None:
    sessions = ("completed", "async_payment_succeeded", "async_payment_failed", "expired")
    subscriptions = ("created", "updated", "deleted", "trial_will_end", "trialing", "active", "paused")
    assert stripe.TYPES.keys() & stripe.NO_CONVERSION.keys() == set()
    assert {*stripe.TYPES, *stripe.NO_CONVERSION} == {
        *(f"checkout.session.{each}" for each in sessions),
        *(f"customer.subscription.{each}" for each in subscriptions),
        "invoice.paid", "invoice.payment_succeeded", "payment_intent.succeeded",
        "customer.created", "customer.deleted", "charge.refunded",
    }  # fmt: skip


def test_connected_account_on_the_list_counts_and_is_part_of_the_key() -> None:
    accounts = {"stripe_accounts": frozenset({"acct_1A", "acct_2B"})}
    keys = {
        received(a_payload("01", event={"account": account}), **accounts).key
        for account in ("acct_1A", "acct_2B", None)
    }

    assert keys == {
        f"order_created#stripe:{each}cs_live_a1Qw2Er3Ty4Ui5Op6As7Df8Gh9" for each in ("acct_1A:", "acct_2B:", "")
    }


@pytest.mark.parametrize(("mode", "kind"), [("live", "ignored"), ("validate", "recorded"), ("shadow", "recorded")])
def test_test_mode_counts_only_where_openai_counts_nothing(mode: Any, kind: str) -> None:
    payload = a_payload("01", event={"livemode": False}, livemode=False)

    assert received(payload, stripe_test_mode="count", delivery_mode=mode).kind == kind
    assert received(payload, delivery_mode=mode).reason == "test_mode"


# Metadata -------------------------------------------------------------------------------------------------------------


def test_key_is_the_objects_own_and_the_id_the_pixels() -> None:
    with_pixel_id, without = received(a_payload("01")), received(metadata())

    assert with_pixel_id.key == without.key
    assert with_pixel_id.event is not None
    assert with_pixel_id.event.id == "pix_9f2c"
    assert without.event is not None
    assert without.event.id == "stripe:cs_live_a1Qw2Er3Ty4Ui5Op6As7Df8Gh9"


@pytest.mark.parametrize(
    ("held", "pixel_id"),
    [
        ({"openai_event_id": "a", "event_id": "b"}, "a"),
        ({"openai_event_id": "undefined", "event_id": "b"}, "b"),
        ({"openai_event_id": "", "event_id": " b "}, "b"),
    ],
)
def test_pixel_id(held: dict[str, str], pixel_id: str) -> None:
    assert wire(metadata(**held))["id"] == pixel_id


@pytest.mark.parametrize("event_id", ["jane@example.com", "x" * 200, "null", 5, None])
def test_what_is_no_pixel_id(event_id: object) -> None:
    assert wire(metadata(event_id=event_id))["id"].startswith("stripe:cs_live_")


@pytest.mark.parametrize(
    ("parts", "oppref"),
    [
        ({"oppref": OPPREF}, OPPREF),
        ({"oppref": "a" * 500, "oppref_2": "b" * 500, "oppref_3": "c"}, "a" * 500 + "b" * 500 + "c"),
        ({"oppref": "a", "oppref_3": "c"}, "a"),
        ({"oppref_2": "b"}, None),
        ({"oppref": " "}, None),
    ],
)
def test_oppref_byte_for_byte_in_one_value_or_several(parts: dict[str, str], oppref: str | None) -> None:
    assert wire(metadata(**parts)).get("oppref") == oppref


def test_obref_is_of_the_user() -> None:
    assert wire(metadata(obref="ob.1"))["user"]["obref"] == "ob.1"


@pytest.mark.parametrize(
    ("change", "external_id"),
    [
        ({"client_reference_id": "u-1", "metadata": {"external_id": "u-2"}}, "u-1"),
        ({"client_reference_id": None, "metadata": {"external_id": "u-2", "user_id": "u-3"}}, "u-2"),
        ({"client_reference_id": " ", "metadata": {"user_id": "u-3"}}, "u-3"),
        ({"client_reference_id": None, "metadata": None}, CUSTOMER),
        ({"client_reference_id": None, "customer": {"id": "cus_expanded"}}, "cus_expanded"),
    ],
)
def test_external_id(change: dict[str, Any], external_id: str) -> None:
    user = wire(a_payload("01", **change))["user"]

    assert user["external_ids_sha256"] == [identity.external_id(external_id)]


def test_guest_without_any_id() -> None:
    assert "external_ids_sha256" not in wire(a_payload("01", client_reference_id=None, customer=None))["user"]


@pytest.mark.parametrize(
    ("change", "settings", "source_url"),
    [
        ({}, {}, PAGE),
        ({"metadata": {"source_url": "/pricing?x=1"}}, {"site_origin": "https://www.example.com"}, "https://www.example.com/pricing"),
        ({"metadata": {}}, {"site_origin": "https://www.example.com"}, "https://www.example.com"),
        ({"metadata": {}}, {}, "https://app.example-saas.test"),
        ({"metadata": {}, "success_url": None, "return_url": "https://r.example/x"}, {}, "https://r.example"),
        ({"metadata": {}, "success_url": 5, "cancel_url": "https://c.example/x"}, {}, "https://c.example"),
    ],
)  # fmt: skip
def test_source_url(change: dict[str, Any], settings: dict[str, Any], source_url: str) -> None:
    assert wire(a_payload("01", **change), **settings)["source_url"] == source_url


def test_without_any_page_it_is_parked_and_says_which_parameter_to_set() -> None:
    outcome = received(a_payload("01", metadata={}, success_url=None, cancel_url=None))

    assert (outcome.kind, outcome.reason) == ("parked", "source_url_missing")
    assert "SiteOrigin" in outcome.detail


# Checkout Sessions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({"payment_status": "unpaid"}, ("ignored", "waiting_for_payment")),
        ({"payment_status": None}, ("ignored", "waiting_for_payment")),
        ({"mode": "setup"}, ("ignored", "setup_mode")),
        ({"mode": None}, ("parked", "mode_unknown")),
        ({"mode": "later"}, ("parked", "mode_unknown")),
        ({"id": None}, ("parked", "id_missing")),
        ({"id": "jane@example.com"}, ("parked", "id_missing")),
    ],
)
def test_session_that_makes_no_conversion(about: dict[str, Any], expected: tuple[str, str]) -> None:
    assert reason(a_payload("01", **about)) == expected


@pytest.mark.parametrize(
    ("total", "currency", "data"),
    [
        (5300, "usd", {"amount": 5300, "currency": "USD"}),
        (0, "usd", {"amount": 0, "currency": "USD"}),
        (4510, "jpy", {"amount": 4510, "currency": "JPY"}),
        (250_000, "isk", {"amount": 2500, "currency": "ISK"}),
        (700, "mga", {"amount": 70000, "currency": "MGA"}),
        (None, "usd", {}),
        (5300, None, {}),
        (5300, "xxx", {}),
        ("5300", "usd", {}),
        (53.5, "usd", {}),
        (-1, "usd", {}),
    ],
)
def test_money_of_a_session(total: object, currency: object, data: dict[str, Any]) -> None:
    status = "no_payment_required" if total == 0 else "paid"
    found = wire(a_payload("01", amount_total=total, currency=currency, payment_status=status))["data"]

    assert found == {"type": "contents", **data}


def test_national_phone_is_read_in_the_country_of_its_address() -> None:
    details = {"phone": "0171 2345678", "address": {"country": "DE"}}

    user = wire(a_payload("01", customer_details=details))["user"]

    assert user["phone_numbers_sha256"] == [identity.phone("+491712345678")]
    assert "emails_sha256" not in user


def test_settings_about_match_keys_hold() -> None:
    bare = a_payload("01", metadata={}, customer_details=None, customer=None, client_reference_id=None)

    assert reason(bare, require_match_key="all") == ("ignored", "no_match_key")
    assert reason(metadata(), require_click_reference=True) == ("ignored", "no_click_ref")


# Opted-in payments and customers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event_type", "expected"), [("page_viewed", "opt_in_unknown"), ("yes", "opt_in_unknown"), (" ", "no_opt_in")]
)
def test_opt_in_says_one_of_the_types(event_type: str, expected: str) -> None:
    assert reason(a_payload("19", metadata={"openai_event": event_type})) == ("ignored", expected)


@pytest.mark.parametrize(
    "event_type", ["order_created", "lead_created", "registration_completed", "subscription_created"]
)
def test_opted_in_payment(event_type: str) -> None:
    found = wire(
        a_payload("19", receipt_email="Jane@Example.com", metadata={"openai_event": event_type, "source_url": PAGE})
    )

    assert (found["type"], found["data"]["amount"], found["id"]) == (event_type, 12340, "stripe:pi_3SNKwd")
    assert found["user"]["emails_sha256"] == [identity.email("jane@example.com")]


def test_opted_in_customer_that_is_old_is_stale() -> None:
    assert reason(a_payload("23", created=NOW_S - 8 * DAY_S)) == ("ignored", "stale_event")


# Invoices -------------------------------------------------------------------------------------------------------------


def test_manual_invoice_counts_where_it_is_switched_on() -> None:
    by_hand = invoice("manual", 9900)

    assert reason(by_hand) == ("ignored", "manual_invoice")
    found = wire(by_hand, stripe_manual_invoices=True)
    assert (found["type"], found["action_source"], found["id"]) == ("order_created", "offline", "stripe:in_1SNStory")
    assert found["data"] == {"type": "contents", "amount": 9900, "currency": "USD"}
    assert "source_url" not in found


@pytest.mark.parametrize(
    ("paid", "paid_s", "word"), [(0, NOW_S, "nothing_paid"), (5, NOW_S - 8 * DAY_S, "stale_event")]
)
def test_manual_invoice_that_makes_no_conversion(paid: int, paid_s: int, word: str) -> None:
    assert reason(invoice("manual", paid, paid_s=paid_s), stripe_manual_invoices=True) == ("ignored", word)


def test_invoice_of_a_session_is_the_same_conversion_where_manual_invoices_count() -> None:
    ledger = InMemoryLedger()
    received(a_payload("01", invoice="in_1SNStory"), ledger, stripe_manual_invoices=True)

    assert received(invoice("manual", 5300), ledger, stripe_manual_invoices=True).kind == "duplicate"


def old_invoice(**about: Any) -> dict[str, Any]:
    """As before the API version 2025-03-31."""
    payload = invoice("subscription_create", 2900)
    del payload["data"]["object"]["parent"]
    payload["data"]["object"]["lines"]["data"][0] = {"id": "il_1"}
    payload["data"]["object"] |= about
    return payload


@pytest.mark.parametrize(
    "about",
    [
        {"subscription": SUBSCRIPTION, "subscription_details": {"metadata": {"oppref": OPPREF, "source_url": PAGE}}},
        {
            "subscription": {"id": SUBSCRIPTION},
            "subscription_details": {"metadata": {"oppref": OPPREF, "source_url": PAGE}},
        },
    ],
)
def test_invoice_of_an_old_api_version(about: dict[str, Any]) -> None:
    found = received(old_invoice(**about))

    assert found.key == f"subscription_created#stripe:{SUBSCRIPTION}"
    assert found.event is not None
    assert (found.event.oppref, found.event.source_url) == (OPPREF, PAGE)


@pytest.mark.parametrize(
    "line",
    [{"parent": {"subscription_item_details": {"subscription": SUBSCRIPTION}}}, {"subscription": SUBSCRIPTION}],
)
def test_subscription_of_an_invoice_may_stand_in_its_line(line: dict[str, Any]) -> None:
    payload = old_invoice(lines={"data": [line]})

    assert received(payload, site_origin=PAGE).key == f"subscription_created#stripe:{SUBSCRIPTION}"


def test_session_whose_subscription_is_made_after_the_transfer_waits_for_it() -> None:
    # Given a ledger, and the API since 2025-03-31, where Checkout makes the subscription once it is paid
    ledger = InMemoryLedger()
    first = received(a_payload("05", subscription=None, payment_status="unpaid"), ledger)
    assert (first.kind, first.reason, ledger) == ("ignored", "waiting_for_payment", InMemoryLedger())

    # When the transfer comes, the session says it all again
    came = session(2900) | {"type": "checkout.session.async_payment_succeeded"}
    assert received(came, ledger).key == f"subscription_created#stripe:{SUBSCRIPTION}"


@pytest.mark.parametrize("days", [2, 6, 9, 40])
def test_a_trial_that_counted_at_its_end_does_not_count_again_when_it_is_paid_for_later(days: int) -> None:
    # Given ConvertOn=status, and a trial that ended and was reported
    ledger = InMemoryLedger()
    received(trial(), ledger, convert_on="status")
    assert received(trial("updated", "active"), ledger, convert_on="status").kind == "recorded"

    # When the ledger has forgotten it (LedgerTtlDays may be 8), and the first invoice is paid at last
    ledger.conversions.clear()
    now_s = NOW_S + days * DAY_S
    paid = received(invoice("subscription_cycle", 2900, paid_s=now_s - 5), ledger, now_s, convert_on="status")

    # Then there is no second conversion (P2)
    assert (paid.kind, paid.reason, ledger.conversions) == ("ignored", "renewal", {})


def test_invoice_without_a_subscription_is_parked() -> None:
    assert reason(old_invoice()) == ("parked", "id_missing")


def test_time_of_payment_is_the_invoices_else_the_events() -> None:
    assert wire(invoice("subscription_create", 2900, paid_s=NOW_S - 77))["timestamp_ms"] == NOW_MS - 77_000
    without = invoice("subscription_create", 2900)
    without["data"]["object"]["status_transitions"] = None
    assert wire(without)["timestamp_ms"] == without["created"] * 1000
