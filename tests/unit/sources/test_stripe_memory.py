"""What Stripe's deliveries leave behind for later ones: trials, waiting payments, buyer and click."""

import json
from typing import Any

import pytest

from conversion_relay import identity
from tests.unit.sources.stripe_deliveries import (
    NOW_S,
    PAGE,
    SUBSCRIPTION,
    a_payload,
    invoice,
    received,
    session,
    subscription,
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


def test_click_and_buyer_of_the_session_are_those_of_the_trial_and_of_its_first_payment() -> None:
    ledger = InMemoryLedger()
    session_first = session(0, status="no_payment_required", metadata={"oppref": "of the session", "event_id": "pix_1"})
    assert received(session_first, ledger).kind == "remembered"

    began = wire(trial(metadata={"source_url": PAGE}), ledger=ledger)
    paid = wire(invoice("subscription_cycle", 2900), ledger=ledger)

    for each in (began, paid):
        assert (each["oppref"], each["id"]) == ("of the session", "pix_1")
        assert each["user"]["emails_sha256"] == [identity.email("dev.patel@example.com")]
        assert each["user"]["external_ids_sha256"] == [identity.external_id("user_48151")]
    assert began["data"] == {"type": "plan_enrollment"}
    assert paid["data"] == {"type": "plan_enrollment", "amount": 2900, "currency": "USD"}


def test_no_raw_personal_data_is_remembered() -> None:
    ledger = InMemoryLedger()
    received(session(0, status="unpaid"), ledger)
    received(invoice("subscription_cycle", 2900), ledger)

    held = json.dumps(ledger.memories).lower()
    assert "payment" in held
    for raw in ("dev.patel", "patel", "15125550147", "user_48151", "example plaza"):
        assert raw not in held


@pytest.mark.parametrize(
    ("story", "kept_days"),
    [
        ([trial()], 8),
        ([trial(), trial("updated", "past_due"), invoice("subscription_cycle", 2900)], 8),
        ([trial(), trial("updated", "past_due")], 90),
    ],
    ids=["during the trial", "after the payment", "with the payment open"],
)
def test_what_is_remembered_goes_8_days_after_the_end_unless_a_payment_is_owed(
    story: list[dict[str, Any]], kept_days: int
) -> None:
    ledger = InMemoryLedger()
    for payload in story:
        received(payload, ledger)
    assert received(subscription("deleted", "canceled"), ledger).reason == "cancellation"

    assert ledger.memories[MEMORY][1] == NOW_S + kept_days * DAY_S


def test_end_of_a_subscription_of_which_nothing_is_known_leaves_no_trace() -> None:
    ledger = InMemoryLedger()
    assert received(subscription("deleted", "canceled"), ledger).reason == "cancellation"
    assert received(subscription("deleted", "canceled", id=None), ledger).reason == "cancellation"

    assert ledger.memories == {}


@pytest.mark.parametrize(("trial_days", "kept_days"), [(0, 90), (30, 120), (10_000, 890)])
def test_trial_is_remembered_for_90_days_beyond_its_end(trial_days: int, kept_days: int) -> None:
    ledger = InMemoryLedger()
    received(trial(trial_end=NOW_S + trial_days * DAY_S), ledger)

    assert ledger.memories[MEMORY][1] == NOW_S + kept_days * DAY_S


def test_a_payment_waits_for_its_trial_for_8_days() -> None:
    ledger = InMemoryLedger()
    assert received(invoice("subscription_cycle", 2900), ledger).reason == "renewal"

    assert ledger.memories[MEMORY][1] == NOW_S + 8 * DAY_S


def test_of_two_waiting_payments_the_earlier_counts() -> None:
    for order in ((NOW_S - 50, NOW_S - 5), (NOW_S - 5, NOW_S - 50)):
        ledger = InMemoryLedger()
        for paid_s in order:
            received(invoice("subscription_cycle", 2900, paid_s=paid_s), ledger)
        received(trial(), ledger)

        paid = ledger.conversions[f"subscription_created#stripe:{SUBSCRIPTION}"]
        assert paid["timestamp_ms"] == (NOW_S - 50) * 1000


def test_late_beginning_of_a_trial_settles_it_and_the_payment_that_waited() -> None:
    ledger = InMemoryLedger()
    received(invoice("subscription_cycle", 2900), ledger)

    outcome = received(trial(), ledger)

    assert (outcome.key, outcome.also) == (
        f"trial_started#stripe:{SUBSCRIPTION}", (f"subscription_created#stripe:{SUBSCRIPTION}",),
    )  # fmt: skip
    assert received(trial(), ledger).kind == "duplicate"


def test_payment_that_waited_counts_also_where_the_trial_is_too_old_to_be_sent() -> None:
    ledger = InMemoryLedger()
    received(invoice("subscription_cycle", 2900), ledger)

    assert received(trial(days_ago=14), ledger).key == f"subscription_created#stripe:{SUBSCRIPTION}"
    assert received(invoice("subscription_cycle", 2900, number="in_2", paid_s=NOW_S), ledger).reason == "renewal"


def test_payment_that_waited_too_long_is_stale_and_the_next_is_a_renewal() -> None:
    ledger = InMemoryLedger()
    received(session(0, status="unpaid"), ledger)
    received(invoice("subscription_cycle", 2900), ledger)
    later_s = NOW_S + 8 * DAY_S

    assert reason(trial(), ledger=ledger, now_s=later_s) == ("ignored", "stale_event")
    next_one = invoice("subscription_cycle", 2900, number="in_2", paid_s=later_s)
    assert reason(next_one, ledger=ledger, now_s=later_s) == ("ignored", "renewal")


@pytest.mark.parametrize("after_days", [31, 400, 4_000])
def test_a_renewal_never_counts_also_when_all_is_forgotten(after_days: int) -> None:
    ledger = InMemoryLedger()
    for each in (trial(), invoice("subscription_cycle", 2900)):
        assert received(each, ledger).kind == "recorded"

    then_s = NOW_S + after_days * DAY_S
    renewal = invoice("subscription_cycle", 2900, number="in_2", paid_s=then_s)

    assert reason(renewal, ledger=ledger, now_s=then_s) == ("ignored", "renewal")
    # Nor does the beginning of the trial, sent by hand once more, make the next one count.
    assert received(trial(), ledger, now_s=then_s).event is None
    assert reason(renewal, ledger=ledger, now_s=then_s) == ("ignored", "renewal")


def test_trial_that_comes_later_in_a_subscription_is_none() -> None:
    generous = trial(created=NOW_S - 400 * DAY_S)

    assert reason(generous) == ("ignored", "later_trial")
    assert reason(trial("updated", "active", created=NOW_S - 400 * DAY_S)) == ("ignored", "later_trial")


def test_end_of_a_trial_is_proof_of_one_that_was_never_announced() -> None:
    ledger = InMemoryLedger()
    assert received(trial("updated", "past_due"), ledger).kind == "remembered"
    assert reason(trial("updated", "past_due"), ledger=ledger) == ("ignored", "trial_known")

    assert received(invoice("subscription_cycle", 2900), ledger).kind == "recorded"


def test_trial_that_is_extended_is_remembered_for_longer() -> None:
    ledger = InMemoryLedger()
    received(trial(), ledger)
    extended = trial("updated", "trialing", trial_end=NOW_S + 30 * DAY_S)

    assert received(extended, ledger).kind == "remembered"
    assert ledger.memories[MEMORY][1] == NOW_S + 120 * DAY_S


@pytest.mark.parametrize("status", ["active", "canceled", "paused", "incomplete_expired", None])
def test_update_that_says_nothing_of_a_trial(status: Any) -> None:
    assert reason(subscription("updated", status, before={"status": "incomplete"})) == ("ignored", "update_only")


def test_subscription_without_a_trial_begins_with_its_payment() -> None:
    assert reason(subscription("created", "active")) == ("ignored", "no_trial")


def test_times_of_a_trial_offer_stand_at_the_item() -> None:
    offer = {"start_date": NOW_S - 40, "end_date": NOW_S + DAY_S}
    payload = trial(trial_start=None, trial_end=None, days_ago=0, items={"data": [{"current_trial": offer}]})

    assert wire(payload)["timestamp_ms"] == (NOW_S - 40) * 1000
    without = trial(days_ago=0, trial_start=None, trial_end=None, items=None, created=None)
    assert wire(without)["timestamp_ms"] == without["created"] * 1000


def test_convert_on_status_counts_the_end_of_the_trial() -> None:
    ledger, on_status = InMemoryLedger(), {"convert_on": "status"}
    ended = trial("updated", "active")

    found = wire(ended, ledger=ledger, **on_status)
    assert (found["type"], found["timestamp_ms"], found["data"]) == (
        "subscription_created", ended["created"] * 1000, {"type": "plan_enrollment"},
    )  # fmt: skip
    assert received(ended, ledger, **on_status).reason == "duplicate"
    assert received(trial("updated", "past_due"), **on_status).kind == "remembered"


def test_convert_on_status_says_the_amount_where_the_payment_comes_within_minutes() -> None:
    for later_s, amount in ((30, {"amount": 2900, "currency": "USD"}), (3_600, {})):
        ledger = InMemoryLedger()
        received(trial("updated", "active"), ledger, convert_on="status")
        paid = invoice("subscription_cycle", 2900, paid_s=NOW_S + later_s)

        assert received(paid, ledger, now_s=NOW_S + later_s, convert_on="status").kind == "duplicate"
        found = ledger.conversions[f"subscription_created#stripe:{SUBSCRIPTION}"]
        assert found["data"] == {"type": "plan_enrollment", **amount}


def test_convert_on_status_that_comes_too_late_is_stale() -> None:
    ended = trial("updated", "active") | {"created": NOW_S - 8 * DAY_S}

    assert reason(ended, convert_on="status") == ("ignored", "stale_event")


def test_trial_is_remembered_also_where_its_event_is_not_wanted() -> None:
    ledger = InMemoryLedger()
    assert reason(trial(metadata={"source_url": PAGE}), ledger=ledger, require_click_reference=True) == (
        "ignored",
        "no_click_ref",
    )

    assert received(invoice("subscription_cycle", 2900), ledger, require_click_reference=True).kind == "recorded"


@pytest.mark.parametrize("first", ["session", "invoice"])
def test_first_payment_that_is_stale_makes_the_next_a_renewal(first: str) -> None:
    old_s = NOW_S - 8 * DAY_S
    paid = {
        "session": session(2900) | {"created": old_s},
        "invoice": invoice("subscription_create", 2900, paid_s=old_s),
    }
    ledger = InMemoryLedger()
    received(trial(), ledger)

    assert received(paid[first], ledger).kind != "recorded"
    assert reason(invoice("subscription_cycle", 2900), ledger=ledger) == ("ignored", "renewal")
    assert list(ledger.conversions) == [f"trial_started#stripe:{SUBSCRIPTION}"]


def test_session_that_comes_twice_is_known() -> None:
    ledger = InMemoryLedger()
    received(session(0), ledger)

    assert reason(session(0), ledger=ledger) == ("ignored", "session_known")


def test_session_without_a_subscription_is_parked() -> None:
    assert reason(session(0, mode="subscription") | {"data": {"object": {"mode": "subscription"}}}) == (
        "parked",
        "id_missing",
    )
