"""What a trial with real faults plans from its seed."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tools.faults import plan
from tools.faults.plan import Posting
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import receiver_for

SECRETS = {"shopify": "shpss_plan", "stripe": "whsec_plan", "callrail": "callrail plan"}
NOW = datetime.now(UTC).replace(microsecond=0)


def made(posting: Posting, later_s: int = 0) -> Any:
    return plan.delivery(posting, SECRETS, NOW, NOW + timedelta(seconds=later_s))


def test_a_seed_is_a_plan() -> None:
    assert plan.postings(7, 500) == plan.postings(7, 500) != plan.postings(8, 500)
    assert plan.faults(7, 500, "key") == plan.faults(7, 500, "key") != plan.faults(8, 500, "key")


@pytest.mark.parametrize("deliveries", [1, 30, 150, 2_000])
def test_as_many_deliveries_as_asked_for(deliveries: int) -> None:
    assert [each.number for each in plan.postings(1, deliveries)] == list(range(deliveries))


def test_even_a_small_plan_has_every_kind_and_kills_every_function() -> None:
    kinds = {(each.source, each.kind) for each in plan.postings(1, 20)}
    faults = plan.faults(1, 150, "key")

    assert kinds >= {(source, kind) for source in ("shopify", "stripe", "callrail") for kind in ("new", "forged")} | {
        ("shopify", "twin"),
        ("shopify", "again"),
        ("callrail", "not_understood"),
    }
    assert {strike.function for strike in faults.strikes} == set(plan.FUNCTIONS)


def test_a_large_plan_has_every_fault_in_its_order() -> None:
    faults = plan.faults(1, 10_000, "key")
    names = Counter(window.name for window in faults.windows)

    assert len(names) == 13 + 2  # those of AWS, and a wrong key and pixel
    assert min(names.values()) >= 3
    assert [each.begins for each in faults.windows] == sorted(each.begins for each in faults.windows)
    assert [each.at for each in faults.strikes] == sorted(each.at for each in faults.strikes)
    assert len({name for name, _ in faults.openai}) == 8


def test_twins_and_copies_are_of_deliveries_before_them() -> None:
    firsts: dict[tuple[str, int], int] = {}
    for posting in plan.postings(3, 1_000):
        if posting.kind == "new":
            firsts[posting.source, posting.subject] = posting.number
        elif posting.genuine:
            assert firsts[posting.source, posting.subject] < posting.number


def test_a_copy_has_the_same_bytes_and_a_twin_the_same_order() -> None:
    first, again, twin = (made(Posting(n, "shopify", kind, 5)) for n, kind in enumerate(("new", "again", "twin")))

    assert again == first
    assert twin.headers["x-shopify-topic"] == "orders/paid"
    assert twin.headers["x-shopify-webhook-id"] != first.headers["x-shopify-webhook-id"]
    assert json.loads(twin.body)["id"] == json.loads(first.body)["id"]


def test_stripe_signs_a_retry_anew() -> None:
    first, retry = (made(Posting(1, "stripe", "new", 1), later_s) for later_s in (0, 400))

    assert retry.body == first.body
    assert retry.headers["stripe-signature"] != first.headers["stripe-signature"]


@pytest.mark.parametrize("source", ["shopify", "stripe", "callrail"])
def test_the_relay_makes_of_a_delivery_what_the_plan_says(source: str) -> None:
    # Given the receiver of the source
    receiver = a_receiver(source)

    # When it gets a delivery of each kind, then key and amount are those of the plan
    posting = Posting(41, source, "new", 41)
    outcome = receiver.receive(made(posting))
    assert outcome.kind == "recorded"
    assert outcome.event is not None
    event = json.loads(outcome.event.to_json())
    assert ((event["type"], event["id"]), event["data"].get("amount")) == (posting.key, posting.amount)
    assert outcome.key == "#".join(posting.key)

    assert receiver.receive(made(Posting(42, source, "again", 41))).kind == "duplicate"
    assert receiver.receive(made(Posting(43, source, "forged", 43))).kind == "refused"
    assert receiver.receive(made(Posting(44, source, "not_understood", 44))).kind == "parked"


def a_receiver(source: str) -> Receiver:
    clock = lambda: int(NOW.timestamp() * 1000)  # noqa: E731
    receiver = receiver_for(
        source, KnownSecrets([SECRETS[source]]), InMemoryLedger(), InMemoryParking(), Settings(), clock
    )
    assert receiver is not None
    return receiver
