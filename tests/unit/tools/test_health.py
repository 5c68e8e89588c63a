"""Counting the ledger, and what a person is told to do next."""

import json
from typing import Any

import pytest

from conversion_relay.circuit import Circuit
from tools.entries import Entry
from tools.health import TOO_OLD, Alarm, Health, Tally, steps, tally
from tools.readings import Depth, Parked, Schedule

NOW_MS = 1_795_186_800_000
HOUR = 3_600_000
DAY = 24 * HOUR


def entry(status: str, *, age_ms: int = 0, recorded_ago_ms: int = 0, **fields: Any) -> Entry:
    event = {"id": "x", "type": "order_created", "timestamp_ms": NOW_MS - age_ms}
    given = {
        "key": f"order_created#shopify:{age_ms}", "reason": "", "text": json.dumps(event),
        "recorded_ms": NOW_MS - recorded_ago_ms, "settled_ms": 0, "amended_ms": 0, "hold_until_ms": 0,
        "source": "shopify", "tenant": "", "delivery": "",
    }  # fmt: skip
    return Entry(status=status, **given | fields)


def health(**fields: Any) -> Health:
    return Health(NOW_MS, "relay", **{"mode": "live", "ledger": Tally(), "alarms": [], "parked": []} | fields)


def to_do(found: Health, options: str = "") -> list[tuple[bool, str]]:
    return [(step.urgent, step.sentence) for step in steps(found, options)]


def test_entries_are_counted_by_source_status_and_time_of_record() -> None:
    counted = tally(
        [
            entry("sent"), entry("sent", recorded_ago_ms=2 * DAY), entry("sent", recorded_ago_ms=30 * DAY),
            entry("to_fetch", source="stripe", key="fetch#stripe:evt_1", text="{}"),
        ],
        NOW_MS,
    )  # fmt: skip

    assert [counted.of(window, status="sent") for window in ("24 h", "7 days", "all")] == [1, 2, 3]
    assert (counted.of("all"), counted.of("all", source="stripe")) == (4, 1)
    assert counted.sources == ["shopify", "stripe"]


def test_the_oldest_is_the_one_that_happened_first() -> None:
    counted = tally(
        [entry("recorded", age_ms=HOUR), entry("recorded", age_ms=DAY), entry("sent", age_ms=3 * DAY)], NOW_MS
    )

    assert counted.oldest is not None
    assert counted.oldest.timestamp_ms == NOW_MS - DAY
    assert health(ledger=counted).oldest_left_ms == 6 * DAY - 60_000


def test_reasons_are_counted_and_ages_are_one_reason() -> None:
    counted = tally(
        [
            entry("rejected", reason="data.amount: bad"), entry("rejected", reason="data.amount: bad", age_ms=8 * DAY),
            entry("expired", reason="7 d 1 h old when it could have been sent"),
            entry("expired", reason="7 d 2 h old when it could have been sent"),
        ],
        NOW_MS,
    )  # fmt: skip

    assert counted.reasons == {("rejected", "data.amount: bad"): 2, ("expired", TOO_OLD): 2}
    assert counted.rejected_fresh == 1


def test_held_ones_are_counted() -> None:
    held = [entry("recorded", hold_until_ms=NOW_MS + 1), entry("recorded", hold_until_ms=NOW_MS - 1)]

    assert tally(held, NOW_MS).held == 1


def test_all_is_well() -> None:
    assert to_do(health()) == []


@pytest.mark.parametrize(
    ("found", "command"),
    [
        (health(ledger=tally([entry("rejected")], NOW_MS)), "relay replay ledger --stack s --status rejected"),
        (health(queues={"DeadLetterQueue": Depth(2, 0, 0)}), "relay replay dead-letters --stack s"),
        (health(queues={"OutboxFailures": Depth(1, 1, 0)}), "relay replay ledger --stack s --status recorded"),
        (health(parked=[Parked("shopify/a", "shopify", NOW_MS - DAY)]), "relay replay parked --stack s"),
        (health(queues={"FetchDeadLetterQueue": Depth(1, 0, 0)}), "could not be fetched"),
        (health(queues={"PrivacyFailures": Depth(1, 0, 0)}), "the law gives 30 days"),
        (health(alarms=[Alarm("BlockedAlarm", NOW_MS, "Put another key.")]), "Alarm, since 2026-11-20 15:00:00: Put"),
        (health(unread=["the ledger could not be read: x"]), "The ledger could not be read: x."),
        (health(schedule=Schedule("rate(1 hour)", False)), "nothing is sent while it is disabled"),
        (health(circuit=Circuit("blocked", "Put another key", NOW_MS, 0, 0)), "Put another key. The events wait"),
        (health(ledger=tally([entry("recorded", age_ms=6 * DAY)], NOW_MS)), "for only 23 h 59 min more"),
        (health(ledger=tally([entry("recorded", age_ms=8 * DAY)], NOW_MS)), "ends it as expired"),
        (
            health(
                ledger=tally([entry("recorded", recorded_ago_ms=DAY)], NOW_MS),
                schedule=Schedule("rate(1 hour)", True, NOW_MS - HOUR),
            ),
            "relay replay ledger --stack s --status recorded --older-than 15m",
        ),
    ],
)  # fmt: skip
def test_what_needs_a_person(found: Health, command: str) -> None:
    ((urgent, sentence),) = to_do(found, " --stack s")

    assert urgent
    assert command in sentence


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (health(mode="shadow"), "nothing is sent"),
        (health(circuit=Circuit("outage", "OpenAI could not take events", NOW_MS, 0, 0)), "Nothing to do"),
        (health(parked=[Parked("privacy/a", "privacy", NOW_MS)]), "1 report of what is held"),
    ],
)  # fmt: skip
def test_what_is_good_to_know(found: Health, said: str) -> None:
    ((urgent, sentence),) = to_do(found)

    assert not urgent
    assert said in sentence


def test_an_outage_needs_a_person_when_time_runs_out() -> None:
    found = health(
        circuit=Circuit("outage", "OpenAI could not take events", NOW_MS, 0, 0),
        ledger=tally([entry("recorded", age_ms=6 * DAY)], NOW_MS),
    )

    assert [urgent for urgent, _ in to_do(found)] == [True, True]


def test_one_that_the_outbox_has_not_had_time_for_is_not_stuck() -> None:
    schedule = Schedule("rate(1 hour)", True, NOW_MS - HOUR)

    assert to_do(health(ledger=tally([entry("recorded", recorded_ago_ms=HOUR)], NOW_MS), schedule=schedule)) == []


def test_parked_ones_are_grouped_most_first() -> None:
    parked = [Parked(f"{source}/{n}", source, NOW_MS) for n, source in enumerate(("stripe", "shopify", "shopify"))]
    found = health(parked=parked, parked_reasons={each.key: "not_json" for each in parked[1:]})

    assert {group: len(each) for group, each in found.parked_by.items()} == {
        ("shopify", "not_json"): 2,
        ("stripe", "reason no longer in the log"): 1,
    }
    assert next(iter(found.parked_by)) == ("shopify", "not_json")
