"""Every story of a purchase, its deliveries in every order, with and without duplicates: the same conversions."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest

from tests.unit.sources.stripe_deliveries import (
    NOW_S,
    SUBSCRIPTION,
    a_payload,
    invoice,
    received,
    session,
    subscription,
    trial,
)
from tools.in_memory import InMemoryLedger

Payload = dict[str, Any]

ORDER = "order_created#stripe:cs_live_a1Qw2Er3Ty4Ui5Op6As7Df8Gh9"
TRIAL, FIRST_PAYMENT = f"trial_started#stripe:{SUBSCRIPTION}", f"subscription_created#stripe:{SUBSCRIPTION}"


def one_time(event: str = "completed", **about: Any) -> Payload:
    return a_payload("01", event={"type": f"checkout.session.{event}"}, **about)


CREATED = subscription("created", "active")
BEGAN, ENDED = trial(), trial("updated", "active")
ZERO_INVOICE = invoice("subscription_create", 0, number="in_0", paid_s=NOW_S - 3 * 86_400)
AFTER_TRIAL, RENEWAL = (invoice("subscription_cycle", 2900, number=f"in_{n}", paid_s=NOW_S - 30 + n) for n in (1, 2))
CANCELLED = subscription("deleted", "canceled")
NO_CHARGE = session(0, status="no_payment_required")
UPGRADE = invoice("subscription_update", 1450, number="in_upgrade")
EUROS = {"presentment_amount": 4912, "presentment_currency": "eur"}
IMPLICIT: Payload = a_payload("17")

STORIES: dict[str, tuple[Sequence[Payload], set[str]]] = {
    "one-time": ([one_time(), one_time() | {"id": "evt_twin"}, IMPLICIT], {ORDER}),
    "async": (
        [one_time(payment_status="unpaid"), one_time("async_payment_succeeded"), IMPLICIT],
        {ORDER},
    ),
    "async, failed": ([one_time(payment_status="unpaid"), one_time("async_payment_failed")], set()),
    "adaptive pricing": ([one_time(presentment_details=EUROS), IMPLICIT], {ORDER}),
    "subscription": (
        [session(2900), CREATED, invoice("subscription_create", 2900), subscription("updated", "active")],
        {FIRST_PAYMENT},
    ),
    "subscription by transfer": (
        [
            session(2900, status="unpaid"),
            subscription("created", "incomplete"),
            session(2900, status="unpaid") | {"type": "checkout.session.async_payment_succeeded"},
            invoice("subscription_create", 2900),
        ],
        {FIRST_PAYMENT},
    ),
    "trial then paid": ([NO_CHARGE, BEGAN, ZERO_INVOICE, ENDED, AFTER_TRIAL], {TRIAL, FIRST_PAYMENT}),
    "trial, paid, renewed": ([NO_CHARGE, BEGAN, ENDED, AFTER_TRIAL, RENEWAL], {TRIAL, FIRST_PAYMENT}),
    "trial, paid late, cancelled": (
        [BEGAN, trial("updated", "past_due"), AFTER_TRIAL, CANCELLED], {TRIAL, FIRST_PAYMENT},
    ),
    "trial with a fee at once": (
        [session(500), BEGAN, invoice("subscription_create", 500), ENDED, AFTER_TRIAL], {TRIAL, FIRST_PAYMENT},
    ),
    "trial cancelled": ([NO_CHARGE, BEGAN, ZERO_INVOICE, trial("updated", "canceled"), CANCELLED], {TRIAL}),
    "coupon to zero": ([NO_CHARGE, CREATED, ZERO_INVOICE, AFTER_TRIAL, RENEWAL], set()),
    "upgrade": (
        [session(2900), CREATED, invoice("subscription_create", 2900), UPGRADE],
        {FIRST_PAYMENT},
    ),
    "upgrade of an old one": ([invoice("subscription_update", 1450), subscription("updated", "active")], set()),
    "renewal": ([AFTER_TRIAL, RENEWAL, subscription("updated", "active")], set()),
}  # fmt: skip


def arrivals(story: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
    """Every order of arrival: once each, each one twice in a row, all of it twice, and backwards after forwards."""
    for order in permutations(story):
        yield order
        yield [each for each in order for _ in range(2)]
        yield [*order, *order]
        yield [*order, *reversed(order)]


@pytest.mark.parametrize("settings", [{}, {"convert_on": "status"}], ids=["on invoice", "on status"])
@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_arrival_gives_the_same_conversions(name: str, settings: dict[str, Any]) -> None:
    story, expected = STORIES[name]
    for arrival in arrivals(story):
        ledger = InMemoryLedger()

        outcomes = [received(payload, ledger, **settings) for payload in arrival]

        assert set(ledger.conversions) == expected
        assert {outcome.http for outcome in outcomes} == {200}
        told = [key for outcome in outcomes if outcome.kind == "recorded" for key in (outcome.key, *outcome.also)]
        assert sorted(map(str, told)) == sorted(expected)


@pytest.mark.parametrize("name", STORIES)
def test_duplicates_days_later_add_nothing(name: str) -> None:
    story, expected = STORIES[name]
    for order in permutations(story):
        ledger = InMemoryLedger()
        for days in (0, 3, 30, 100):
            for payload in order:
                received(payload, ledger, now_s=NOW_S + days * 86_400)
        assert set(ledger.conversions) == expected


def test_where_the_session_comes_first_its_click_is_that_of_the_conversion() -> None:
    for order in permutations([BEGAN, ENDED, AFTER_TRIAL]):
        ledger = InMemoryLedger()
        for payload in (NO_CHARGE, *order):
            received(payload, ledger)
        assert {each["id"] for each in ledger.conversions.values()} == {"pix_9f2c"}
        assert all("emails_sha256" in each["user"] for each in ledger.conversions.values())
