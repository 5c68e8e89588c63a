"""Every story of a purchase, its deliveries in every order, with and without duplicates: the same events, to the byte.

All deliveries of a story arrive within the hold. The run ends with how many orders of arrival were played.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import pytest

from conversion_relay import identity
from conversion_relay.click_memory import key_of, memory_of
from conversion_relay.delivery import Memory
from tests.conftest import Count
from tests.unit.sources.stripe_deliveries import (
    DAY_S,
    NOW_MS,
    NOW_S,
    OPPREF,
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

Payload = dict[str, Any]

ORDER = "order_created#stripe:cs_live_a1Qw2Er3Ty4Ui5Op6As7Df8Gh9"
BY_HAND = "order_created#stripe:in_hand"
TRIAL, FIRST_PAYMENT = f"trial_started#stripe:{SUBSCRIPTION}", f"subscription_created#stripe:{SUBSCRIPTION}"


def one_time(event: str = "completed", **about: Any) -> Payload:
    return a_payload("01", event={"type": f"checkout.session.{event}"}, **about)


def later(payload: Payload, seconds: int) -> Payload:
    """The same as an event of its own, made some seconds later."""
    return payload | {"created": payload["created"] + seconds}


SESSION = session(2900, metadata={"oppref": "of the session", "event_id": "pix_9f2c", "source_url": PAGE})
NO_CHARGE = session(
    0, status="no_payment_required", metadata={"oppref": "of the session", "event_id": "pix_9f2c", "source_url": PAGE}
)
CREATED = subscription("created", "active")
BEGAN = trial(metadata={"oppref": "of the subscription", "source_url": PAGE})
ENDED = later(trial("updated", "active", metadata={"oppref": "changed since", "source_url": PAGE}), 7)
ZERO_INVOICE = invoice("subscription_create", 0, number="in_0", paid_s=NOW_S - 3 * 86_400)
AFTER_TRIAL, RENEWAL = (invoice("subscription_cycle", 2900, number=f"in_{n}", paid_s=NOW_S - 30 + n) for n in (1, 2))
SHORT, SHORT_ENDED = (trial(*how, days_ago=5, trial_end=NOW_S - 3 * DAY_S) for how in ((), ("updated", "active")))
SHORT_PAID = invoice("subscription_cycle", 2900, number="in_short", paid_s=NOW_S - 3 * DAY_S + 3_600)
CANCELLED = subscription("deleted", "canceled")
UPGRADE = invoice("subscription_update", 1450, number="in_upgrade")
EUROS = {"presentment_amount": 4912, "presentment_currency": "eur"}
IMPLICIT: Payload = a_payload("17")
FEE = session(500, metadata={"oppref": "of the session", "event_id": "pix_9f2c", "source_url": PAGE})
TRANSFER_CAME = later(SESSION | {"type": "checkout.session.async_payment_succeeded"}, 50)


KEY = key_of(bytes(range(16)))
CLICK = {"oppref": "of the click", "source_url": "https://app.example-saas.test/landing", "ip_address": "203.0.113.9"}
CLICKED = {name: value for name, value in CLICK.items() if name != "ip_address"}
BY_KEY = {"client_reference_id": KEY, "metadata": {"event_id": "pix_9f2c"}}
REFUSED = session(2900, metadata={"relay_consent": "denied", "source_url": PAGE})


def a_ledger() -> InMemoryLedger:
    """With the memory of one click, that of the key."""
    ledger = InMemoryLedger()
    ledger.remember(Memory(memory_of(KEY), CLICK, version="1", ttl_days=30), NOW_MS)
    return ledger


@dataclass
class Story:
    """Deliveries in the order in which the facts happened, and of each conversion what the event must say."""

    deliveries: Sequence[Payload]
    expected: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


OF_THE_SESSION = {"id": "pix_9f2c", "oppref": "of the session"}
STORIES: dict[str, Story] = {
    "one-time": Story([one_time(), one_time() | {"id": "evt_twin"}, IMPLICIT], {ORDER: {"id": "pix_9f2c"}}),
    "async": Story(
        [one_time(payment_status="unpaid"), one_time("async_payment_succeeded"), IMPLICIT],
        {ORDER: {"id": "pix_9f2c", "oppref": OPPREF}},
    ),
    "async, failed": Story([one_time(payment_status="unpaid"), one_time("async_payment_failed")]),
    "adaptive pricing": Story([one_time(presentment_details=EUROS), IMPLICIT], {ORDER: {"id": "pix_9f2c"}}),
    "one-time with an invoice": Story(
        [one_time(invoice="in_hand"), invoice("manual", 5300, number="in_hand"), IMPLICIT],
        {BY_HAND: {"id": "pix_9f2c", "action_source": "web"}},
        {"stripe_manual_invoices": True},
    ),
    "subscription": Story(
        [SESSION, CREATED, invoice("subscription_create", 2900), subscription("updated", "active")],
        {FIRST_PAYMENT: OF_THE_SESSION},
    ),
    "subscription without a page of its own": Story(
        [SESSION, invoice("subscription_create", 2900, metadata={}), subscription("updated", "active")],
        {FIRST_PAYMENT: OF_THE_SESSION},
    ),
    "subscription without a session": Story(
        [CREATED, invoice("subscription_create", 2900), subscription("updated", "active")],
        {FIRST_PAYMENT: {"id": f"stripe:{SUBSCRIPTION}", "oppref": OPPREF}},
    ),
    "subscription by transfer": Story(
        [
            session(2900, status="unpaid"),
            subscription("created", "incomplete"),
            TRANSFER_CAME,
            invoice("subscription_create", 2900),
        ],
        {FIRST_PAYMENT: OF_THE_SESSION},
    ),
    "trial then paid": Story(
        [NO_CHARGE, BEGAN, ZERO_INVOICE, ENDED, AFTER_TRIAL], {TRIAL: OF_THE_SESSION, FIRST_PAYMENT: OF_THE_SESSION}
    ),
    "trial without a page of its own": Story(
        [NO_CHARGE, trial(metadata={}), ZERO_INVOICE], {TRIAL: OF_THE_SESSION},
    ),
    "trial without a session": Story(
        [BEGAN, ZERO_INVOICE, ENDED, AFTER_TRIAL],
        {TRIAL: {"oppref": "of the subscription"}, FIRST_PAYMENT: {"oppref": "of the subscription"}},
    ),
    "trial, paid, renewed": Story(
        [NO_CHARGE, SHORT, SHORT_ENDED, SHORT_PAID, RENEWAL],
        {TRIAL: OF_THE_SESSION, FIRST_PAYMENT: {**OF_THE_SESSION, "timestamp_ms": NOW_MS - 3 * 86_400_000 + 3_600_000}},
    ),
    "trial, paid late, cancelled": Story(
        [BEGAN, trial("updated", "past_due"), AFTER_TRIAL, CANCELLED], {TRIAL: {}, FIRST_PAYMENT: {}},
    ),
    "trial with a fee at once": Story(
        [FEE, BEGAN, invoice("subscription_create", 500), ENDED, AFTER_TRIAL],
        {
            TRIAL: OF_THE_SESSION,
            FIRST_PAYMENT: {**OF_THE_SESSION, "data": {"type": "plan_enrollment", "amount": 500, "currency": "USD"}},
        },
    ),
    "trial cancelled": Story(
        [NO_CHARGE, BEGAN, ZERO_INVOICE, trial("updated", "canceled"), CANCELLED], {TRIAL: OF_THE_SESSION}
    ),
    "coupon to zero": Story([NO_CHARGE, CREATED, ZERO_INVOICE, AFTER_TRIAL, RENEWAL]),
    "upgrade": Story(
        [SESSION, CREATED, invoice("subscription_create", 2900), UPGRADE], {FIRST_PAYMENT: OF_THE_SESSION},
    ),
    "upgrade of an old one": Story([invoice("subscription_update", 1450), subscription("updated", "active")]),
    "subscription by a key of the click memory": Story(
        [session(2900, **BY_KEY), CREATED, invoice("subscription_create", 2900, metadata={})],
        {FIRST_PAYMENT: {"id": "pix_9f2c", **CLICKED}},
    ),
    "trial by a key of the click memory": Story(
        [session(0, status="no_payment_required", **BY_KEY), trial(metadata={}), ENDED, AFTER_TRIAL],
        {TRIAL: CLICKED, FIRST_PAYMENT: {"oppref": "of the click"}},
    ),
    "subscription that has the key itself": Story(
        [CREATED, invoice("subscription_create", 2900, metadata={"relay_click": KEY})], {FIRST_PAYMENT: CLICKED},
    ),
    "one-time with an invoice, by a key": Story(
        [one_time(invoice="in_hand", **BY_KEY), invoice("manual", 5300, number="in_hand")],
        {BY_HAND: {"action_source": "web", **CLICKED}},
        {"stripe_manual_invoices": True},
    ),
    "refused": Story([REFUSED]),
    "agreed": Story(
        [session(2900, metadata={"relay_consent": "granted"}), CREATED, invoice("subscription_create", 2900)],
        {FIRST_PAYMENT: {}},
        {"consent_required_in": frozenset({"all"})},
    ),
    "renewal": Story([AFTER_TRIAL, RENEWAL, subscription("updated", "active")]),
}  # fmt: skip


@pytest.fixture(scope="module")
def played(count: Count) -> Iterator[list[int]]:
    """How many deliveries each order of arrival had."""
    lengths: list[int] = []
    yield lengths
    counts = {"orders of arrival": len(lengths), "deliveries": sum(lengths)}
    count(f"{len(STORIES)} purchase stories of Stripe, each with the same events in every order", counts)


def arrivals(story: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
    """Every order of arrival: once each, each one twice in a row, all of it twice, and backwards after forwards."""
    for order in permutations(story):
        yield order
        yield [each for each in order for _ in range(2)]
        yield [*order, *order]
        yield [*order, *reversed(order)]


def recorded(outcomes: Sequence[Any]) -> list[str]:
    return sorted(key for each in outcomes if each.kind == "recorded" for key in (each.key, *each.also))


@pytest.mark.parametrize("settings", [{}, {"convert_on": "status"}], ids=["on invoice", "on status"])
@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_arrival_gives_the_same_events(name: str, settings: dict[str, Any], played: list[int]) -> None:
    # Given the events that the deliveries give in the order of the facts
    story = STORIES[name]
    in_order = a_ledger()
    for payload in story.deliveries:
        received(payload, in_order, **story.settings, **settings)
    events = in_order.conversions
    assert events.keys() == story.expected.keys()
    for key, fields in story.expected.items():
        assert events[key] | fields == events[key]

    for arrival in arrivals(story.deliveries):
        # When they arrive in any other
        ledger = a_ledger()
        outcomes = [received(payload, ledger, **story.settings, **settings) for payload in arrival]
        played.append(len(arrival))

        # Then the same events are recorded, each field of them, and each conversion is said to be new once
        assert json.dumps(ledger.conversions, sort_keys=True) == json.dumps(events, sort_keys=True)
        assert {outcome.http for outcome in outcomes} == {200}
        assert recorded(outcomes) == sorted(story.expected)


@pytest.mark.parametrize("name", STORIES)
def test_duplicates_days_later_add_and_change_nothing(name: str) -> None:
    story = STORIES[name]
    for order in permutations(story.deliveries):
        ledger = a_ledger()
        for payload in order:
            received(payload, ledger, **story.settings)
        events = dict(ledger.conversions)
        for days in (0.01, 3, 30, 100):
            for payload in order:
                received(payload, ledger, now_s=NOW_S + int(days * 86_400), **story.settings)
        assert ledger.conversions == events


@pytest.mark.parametrize("order", list(permutations([0, 1, 2, 3])), ids=str)
def test_click_pixel_id_and_buyer_of_the_session_are_in_both_events_of_a_trial(order: tuple[int, ...]) -> None:
    deliveries = [NO_CHARGE, BEGAN, ENDED, AFTER_TRIAL]
    ledger = InMemoryLedger()
    for each in order:
        received(deliveries[each], ledger)

    began, paid = ledger.conversions[TRIAL], ledger.conversions[FIRST_PAYMENT]
    for event in (began, paid):
        assert (event["id"], event["oppref"]) == ("pix_9f2c", "of the session")
        assert event["user"]["emails_sha256"] == [identity.email("dev.patel@example.com")]
    assert (began["timestamp_ms"], paid["timestamp_ms"]) == (NOW_MS - 3 * 86_400_000, NOW_MS - 29_000)


MANUAL = {"stripe_manual_invoices": True}


@pytest.mark.parametrize(
    ("story", "settings"),
    [
        ([REFUSED, CREATED, invoice("subscription_create", 2900)], {}),
        ([REFUSED, BEGAN, ENDED, AFTER_TRIAL], {}),
        ([SESSION, trial(metadata={"relay_consent": "no"}), ENDED][1:], {}),
        (
            [one_time(invoice="in_hand", metadata={"relay_consent": "refused"}),
             invoice("manual", 5300, number="in_hand")],
            MANUAL,
        ),
        ([one_time(metadata={"relay_consent": "unknown"})], {"consent_required_in": frozenset({"all"})}),
        ([SESSION, CREATED, invoice("subscription_create", 2900)], {"consent_required_in": frozenset({"all"})}),
    ],
)  # fmt: skip
def test_of_who_has_not_agreed_nothing_is_left_to_be_sent_whatever_comes_first(
    story: Sequence[Payload], settings: dict[str, Any]
) -> None:
    for arrival in arrivals(story):
        ledger = a_ledger()
        outcomes = [received(payload, ledger, **settings) for payload in arrival]
        assert ledger.conversions == {}
        assert {outcome.http for outcome in outcomes} == {200}


def test_a_key_is_needed_once_also_where_the_payment_comes_after_it_is_forgotten() -> None:
    # Given the beginning of a trial, told while the click is remembered
    ledger = a_ledger()
    for each in (session(0, status="no_payment_required", **BY_KEY), trial(metadata={})):
        received(each, ledger)
    # When the first payment comes 40 days later
    ledger.memories = {key: held for key, held in ledger.memories.items() if "click#" not in key}
    paid = invoice("subscription_cycle", 2900, number="in_late", paid_s=NOW_S + 40 * DAY_S, metadata={})
    received(paid, ledger, now_s=NOW_S + 40 * DAY_S)
    # Then it still has the click of the session
    assert ledger.conversions[FIRST_PAYMENT]["oppref"] == "of the click"


def test_a_session_that_comes_after_the_hold_changes_nothing_but_serves_what_follows() -> None:
    ledger = InMemoryLedger()
    received(BEGAN, ledger)
    began = dict(ledger.conversions)

    late = received(NO_CHARGE, ledger, now_s=NOW_S + 541)

    assert (late.kind, late.reason) == ("duplicate", "duplicate")
    assert ledger.conversions == began
    received(AFTER_TRIAL, ledger, now_s=NOW_S + 600)
    assert ledger.conversions[FIRST_PAYMENT]["id"] == "pix_9f2c"


@pytest.mark.parametrize(
    ("before", "payload", "held"),
    [
        ([], invoice("subscription_create", 2900), True),
        ([], BEGAN, True),
        ([NO_CHARGE], BEGAN, False),
        ([], SESSION, False),
        ([], one_time(), False),
        ([NO_CHARGE, BEGAN], AFTER_TRIAL, False),
        ([NO_CHARGE, SHORT], RENEWAL, True),
        ([BEGAN], AFTER_TRIAL, True),
        ([], invoice("subscription_create", 2900, paid_s=NOW_S - 7 * DAY_S + 900), False),
        ([], invoice("subscription_create", 2900, paid_s=NOW_S - 7 * DAY_S + 1_300), True),
    ],
)
def test_held_is_what_another_delivery_may_still_tell_more_of(
    before: Sequence[Payload], payload: Payload, held: bool
) -> None:
    ledger = InMemoryLedger()
    for each in before:
        received(each, ledger)

    outcome = received(payload, ledger)

    assert ledger.held_until_ms.get(str(outcome.key)) == (NOW_MS + 600_000 if held else None)
