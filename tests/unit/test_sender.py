"""One run of the sender: what goes out, what ends how, and what stays where it is. Properties P1, P2 and P4."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay.event import MAX_AHEAD_MS, MAX_PAST_MS, parse
from conversion_relay.ledger import Stored
from conversion_relay.openai import Accepted, Answer, Blocked, Rejected, Retry, request_body
from conversion_relay.queue import Message
from conversion_relay.sender import Run
from tests.fakes import (
    NOW_MS,
    FakeLedger,
    FakeOpenAi,
    FakeQueue,
    a_message,
    an_order,
    hides_poison,
    names_poison,
)
from tests.unit.sending import World, a_world, countdown, key
from tools.stand_in import StandIn

# The good way.


def test_happy_path(over_http: Any, stand_in: StandIn) -> None:
    # Given three orders on the queue
    world = over_http([a_message(number) for number in range(3)])

    # When the sender runs
    run = world.run()

    # Then OpenAI has them, the ledger says so, and the queue is empty
    assert [kept["event"] for kept in stand_in.events()] == [an_order(number) for number in range(3)]
    assert world.ledger.ends == {key(number): [("sent", "accepted by OpenAI")] for number in range(3)}
    assert world.queue.held == {}
    assert run == Run(received=3, sent=3, requests=1, by_source={"shopify": Counter(sent=3)})


def test_validate_mode_says_that_nothing_was_counted() -> None:
    world = a_world(1)
    world.mode = "validate"

    assert world.run().sent == 1
    ((status, reason),) = world.ledger.ends[key(1)]
    assert status == "sent"
    assert "does not count it" in reason


def test_shadow_mode_touches_nothing() -> None:
    world = a_world(1)
    world.mode = "shadow"

    assert world.run() == Run()
    assert world.nothing_consumed
    assert (world.openai.requests, len(world.queue.visible)) == ([], 1)


def test_summary_of_a_run() -> None:
    counts = {
        "received": 3,
        "sent": 1,
        "rejected": 1,
        "expired": 1,
        "dead": 0,
        "waiting": 0,
        "requests": 2,
        "erased": 0,
    }

    assert Run(**counts, notes=["for the log"]).summary() == {**counts, "stopped": None}
    assert Run(retry="HTTP 503").summary()["stopped"] == "HTTP 503"
    assert Run(blocked="Put another key.").summary()["stopped"] == "Put another key."


def test_empty_queue_sends_nothing() -> None:
    world = a_world()

    assert world.run() == Run()
    assert world.openai.requests == []


@pytest.mark.parametrize(("events", "batches"), [(1, [1]), (999, [999]), (1000, [1000]), (1001, [1000, 1]), (2500, [1000, 1000, 500])])  # fmt: skip # noqa: E501
def test_events_go_out_a_thousand_a_request(over_http: Any, stand_in: StandIn, events: int, batches: list[int]) -> None:
    world = over_http([a_message(number) for number in range(events)])

    run = world.run()

    assert [request["events"] for request in stand_in.requests()] == batches
    assert (run.sent, stand_in.summary()["counted"], world.queue.held) == (events, events, {})


def test_a_queue_that_hands_out_more_than_asked_for() -> None:
    class Generous(FakeQueue):
        def drain(self, most: int) -> list[Message]:
            return super().drain(most + 5)

    world = World(Generous([a_message(number) for number in range(1005)]), FakeOpenAi())

    world.run()

    assert [len(ids) for ids in world.openai.requests] == [1000, 5]


def test_requests_stay_under_four_megabytes() -> None:
    # Given a hundred events of 190 KB
    notes = {"type": "custom", "note": "n" * 190_000}
    messages = [a_message(n, type="custom", custom_event_name="q", data=notes) for n in range(100)]
    world = World(FakeQueue(messages), FakeOpenAi())

    # When they are sent
    run = world.run()

    # Then every request keeps the limit, none could have taken one more, and nothing is left
    events = {each.key.partition("#")[2]: each.event for each in messages}
    sizes = [len(request_body([events[id_] for id_ in ids], validate_only=True)) for ids in world.openai.requests]
    assert all(3_800_000 < size <= 4_000_000 for size in sizes[:-1])
    assert sum(map(len, world.openai.requests)) == run.sent == 100


def test_an_event_over_the_limit_goes_alone() -> None:
    huge = a_message(2, type="custom", custom_event_name="q", data={"type": "custom", "note": "n" * 4_100_000})
    world = World(FakeQueue([a_message(1), huge, a_message(3)]), FakeOpenAi())

    world.run()

    assert world.openai.requests == [["shopify:1"], ["shopify:2"], ["shopify:3"]]


def test_a_resend_has_the_same_bytes(over_http: Any, stand_in: StandIn) -> None:
    # Given a reply that was lost after the batch was taken
    world = over_http([a_message(1), a_message(2)])
    stand_in.fail(drop="after")
    lost = world.run()

    # When the messages come again
    world.queue.let_visibility_end()
    again = world.run()

    # Then each counts once, with the id, type and timestamp of the first time (P2)
    assert (lost.sent, lost.waiting, again.sent) == (0, 2, 2)
    assert [(kept["event"], kept["duplicates"]) for kept in stand_in.events()] == [(an_order(1), 1), (an_order(2), 1)]
    assert world.ledger.ends == {key(1): [("sent", "accepted by OpenAI")], key(2): [("sent", "accepted by OpenAI")]}


# Held events: the ledger's is sent, not the message's.


def a_held_message(number: int = 1, copy: int = 1) -> Message:
    return replace(a_message(number), held=True, receipt=f"m{number}-{copy}/1")


def stored(number: int = 1, hold_until_ms: int = NOW_MS, **fields: Any) -> Stored:
    return Stored(parse(an_order(number, **fields)).to_json(), hold_until_ms)


def test_a_held_event_goes_out_as_it_was_amended(over_http: Any, stand_in: StandIn) -> None:
    # Given a message whose event was amended since, its copy, and one that was never held
    world = over_http([a_held_message(1), a_message(2), a_held_message(1, copy=2)])
    world.ledger.items[key(1)] = stored(1, id="pixel-token")

    run = world.run()

    assert [kept["event"] for kept in stand_in.events()] == [an_order(2), an_order(1, id="pixel-token")]
    assert (run.sent, run.waiting, world.queue.held) == (2, 0, {})
    assert world.ledger.ends == {key(number): [("sent", "accepted by OpenAI")] for number in (1, 2)}


def test_a_resend_of_a_held_event_has_the_same_bytes(over_http: Any, stand_in: StandIn) -> None:
    world = over_http([a_held_message()])
    world.ledger.items[key(1)] = stored(id="pixel-token")
    stand_in.fail(drop="after")
    world.run()

    world.queue.let_visibility_end()
    world.run()

    assert [(kept["event"]["id"], kept["duplicates"]) for kept in stand_in.events()] == [("pixel-token", 1)]


def test_a_held_event_that_was_erased_is_dropped() -> None:
    world = World(FakeQueue([a_held_message(), a_message(2)]), FakeOpenAi())

    run = world.run()

    assert (run.erased, run.sent, world.openai.accepted, world.queue.held) == (1, 1, ["shopify:2"], {})


def test_a_message_that_comes_before_its_hold_ends_waits_for_that() -> None:
    world = World(FakeQueue([a_held_message()]), FakeOpenAi())
    world.ledger.items[key(1)] = stored(hold_until_ms=NOW_MS + 59_001)

    run = world.run()

    assert (run.waiting, world.queue.released) == (1, [(key(1), 60)])
    assert world.openai.requests == []
    assert world.nothing_consumed


def test_a_held_event_waits_while_the_ledger_cannot_be_read() -> None:
    world = World(FakeQueue([a_held_message()]), FakeOpenAi(), FakeLedger(lost={key(1)}))

    run = world.run()

    assert (run.waiting, run.sent, world.openai.requests) == (1, 0, [])
    assert "the event waits" in run.notes[0]
    assert world.nothing_consumed


def test_a_held_message_without_a_key_is_buried_as_any_other() -> None:
    world = World(FakeQueue([replace(a_held_message(), key="")]), FakeOpenAi())

    assert world.run().dead == 1


# Freshness (P4).


@pytest.mark.parametrize(
    ("age_ms", "end"),
    [
        (MAX_PAST_MS - 60_000, "sent"),
        (MAX_PAST_MS - 60_000 + 1, "expired"),
        (MAX_PAST_MS * 9, "expired"),
        (-MAX_AHEAD_MS + 60_000, "sent"),
        (-MAX_AHEAD_MS + 60_000 - 1, "ahead"),
        (-MAX_PAST_MS, "ahead"),
    ],
)
def test_freshness_exactly_at_the_margins(over_http: Any, stand_in: StandIn, age_ms: int, end: str) -> None:
    world = over_http([a_message(1, timestamp_ms=NOW_MS - age_ms), a_message(2)])

    run = world.run()

    # The other event goes out in any case
    assert "shopify:2" in [kept["id"] for kept in stand_in.events()]
    if end == "sent":
        assert (run.sent, run.expired, run.waiting, world.queue.held) == (2, 0, 0, {})
    elif end == "expired":
        age = "6 d 23 h" if age_ms < MAX_PAST_MS else "63 d 0 h"
        assert (run.sent, run.expired, run.waiting, world.queue.held) == (1, 1, 0, {})
        assert world.ledger.ends[key(1)] == [("expired", f"{age} old when it could have been sent")]
    else:
        assert (run.sent, run.expired, run.waiting, list(world.queue.held)) == (1, 0, 1, ["m1"])
        assert world.queue.released == [(key(1), 600)]
        assert key(1) not in world.ledger.ends


def test_p4_an_event_that_goes_stale_while_others_are_isolated_does_not_leave() -> None:
    # Given an event a minute before its limit, beside poison, and requests that take 25 s each
    world = a_world(2, 3, judge=names_poison(3))
    world.queue = FakeQueue([a_message(1, timestamp_ms=NOW_MS - MAX_PAST_MS + 60_000 + 20_000), *world.queue.visible])
    judge = world.openai.judge

    def slow(batch: list[dict[str, Any]]) -> Answer:
        world.now_ms += 25_000
        return judge(batch)

    world.openai.judge = slow

    # When the sender runs
    run = world.run()

    # Then the second request has left it out and the good neighbour was sent; it expires in the next run
    # (as not all of the others were in it, that one passes says nothing yet about the one that was named)
    assert world.openai.requests == [["shopify:1", "shopify:2", "shopify:3"], ["shopify:2"], ["shopify:3"]]
    assert (run.sent, run.rejected, run.waiting, run.stopped) == (1, 1, 1, False)
    world.queue.let_visibility_end()
    assert world.run().expired == 1
    assert {name: ends[0][0] for name, ends in world.ledger.ends.items()} == {
        key(1): "expired",
        key(2): "sent",
        key(3): "rejected",
    }


def test_a_batch_that_is_stale_as_a_whole_is_not_sent() -> None:
    world = a_world(judge=hides_poison(1, 2))
    world.queue = FakeQueue([a_message(n, timestamp_ms=NOW_MS - MAX_PAST_MS + 70_000) for n in (1, 2)])
    judge = world.openai.judge

    def slow(batch: list[dict[str, Any]]) -> Answer:
        world.now_ms += 25_000
        return judge(batch)

    world.openai.judge = slow
    run = world.run()

    assert world.openai.requests == [["shopify:1", "shopify:2"]]
    assert (run.waiting, run.stopped, world.ledger.ends) == (2, False, {})


# Messages that are not what they should be.


def test_copies_in_one_drain_are_sent_once_and_deleted_together() -> None:
    copies = [Message(key(1), a_message(1).event, f"copy{n}/1") for n in range(3)]
    world = World(FakeQueue([*copies, a_message(2)]), FakeOpenAi())

    run = world.run()

    assert world.openai.requests == [["shopify:1", "shopify:2"]]
    assert (run.received, run.sent, world.queue.held) == (4, 2, {})
    assert world.ledger.ends == {key(n): [("sent", "accepted by OpenAI")] for n in (1, 2)}


def test_a_message_handed_out_twice_is_not_deleted_before_it_is_sent() -> None:
    # Given one message that SQS hands out twice in a drain: its later receipt deletes it
    world = World(FakeQueue([a_message(1), Message(key(1), a_message(1).event, "m1/2")]), FakeOpenAi())
    world.openai.judge = lambda _: Retry("HTTP 503")

    # When OpenAI is down
    world.run()

    # Then it is still there
    assert world.nothing_consumed
    assert list(world.queue.held) == ["m1"]


UNREADABLE = [
    "",
    "hello",
    "[]",
    "[" * 100_000,
    "{}",
    '{"id":"a","type":"order_created"}',
    '{"id":"a","type":"order_created","timestamp_ms":"1"}',
    '{"id":5,"type":"order_created","timestamp_ms":1}',
    '{"id":"a","timestamp_ms":1}',
    '{"id":"a","type":"x","timestamp_ms":' + "9" * 5_000 + "}",
]


@pytest.mark.parametrize("text", UNREADABLE, ids=lambda text: text[:40])
def test_unreadable_message_becomes_a_dead_letter(text: str) -> None:
    # Given a message that is none of the outbox among good ones
    stray = Message(key(9), text, "stray/1")
    world = World(FakeQueue([a_message(1), stray, a_message(2)]), FakeOpenAi())

    # When the sender runs
    run = world.run()

    # Then it is put aside with its reason, and the others are sent
    assert [(kept.receipt, "ledger key" in reason) for kept, reason in world.dead_letters.kept] == [("stray/1", True)]
    assert (run.dead, run.sent, world.queue.held) == (1, 2, {})


def test_message_without_a_key_becomes_a_dead_letter() -> None:
    world = World(FakeQueue([Message("", a_message(1).event, "m1/1")]), FakeOpenAi())

    assert world.run().dead == 1
    assert world.openai.requests == []


def test_dead_letter_queue_down_keeps_the_message() -> None:
    world = World(FakeQueue([Message("", "hello", "stray/1"), a_message(1)]), FakeOpenAi())
    world.dead_letters.outage = True

    run = world.run()

    assert (run.dead, run.sent, list(world.queue.held)) == (0, 1, ["stray"])
    assert run.notes == ["SQS could not keep a dead letter (EndpointConnectionError)"]


# Counting and settling.


@pytest.mark.parametrize("count", [0, 1, 3, None])
def test_a_different_count_is_noted_and_nothing_sent_again(count: int | None) -> None:
    world = a_world(1, 2, judge=lambda _: Accepted(count))

    run = world.run()

    assert run.notes == [f"OpenAI says {count} accepted of 2 sent: compare its reports."]
    assert (run.sent, run.requests, world.queue.held) == (2, 1, {})


def test_an_event_whose_end_cannot_be_written_stays_and_the_others_do_not() -> None:
    # Given a ledger that does not take one of three ends
    world = a_world(1, 2, 3)
    world.ledger.lost = {key(2)}

    # When the sender runs, and once more when the ledger is back
    run = world.run()
    assert (run.sent, list(world.queue.held)) == (2, ["m2"])
    assert len(run.notes) == 1
    world.ledger.lost = set()
    world.queue.let_visibility_end()
    again = world.run()

    # Then the event was sent twice with the same bytes and ended once
    assert world.openai.requests == [["shopify:1", "shopify:2", "shopify:3"], ["shopify:2"]]
    assert (again.sent, world.queue.held) == (1, {})
    assert world.ledger.ends[key(2)] == [("sent", "accepted by OpenAI")]


@pytest.mark.parametrize("lost", ["sent", "rejected", "expired"])
def test_whatever_the_end_a_message_outlives_a_ledger_that_is_down(lost: str) -> None:
    world = a_world(1, 2, judge=names_poison(2))
    world.queue = FakeQueue([*world.queue.visible, a_message(3, timestamp_ms=0)])
    world.ledger.lost = {key({"sent": 1, "rejected": 2, "expired": 3}[lost])}

    run = world.run()

    assert [f"order_created#shopify:{name[1:]}" for name in world.queue.held] == list(world.ledger.lost)
    assert run.sent + run.rejected + run.expired == 2


def test_an_end_is_written_before_the_message_is_deleted() -> None:
    # Given events for each end, and one journal of ledger and queue
    world = a_world(judge=names_poison(2))
    world.queue = FakeQueue([a_message(1), a_message(2), a_message(3, timestamp_ms=0)], world.ledger.journal)

    # When the sender runs
    world.run()

    # Then for each the end comes first
    journal = world.ledger.journal
    for end, number in (("sent", 1), ("rejected", 2), ("expired", 3)):
        assert journal.index(f"{end} {key(number)}") < journal.index(f"deleted {key(number)}")
    assert len(journal) == 6


# Time.


def test_no_batch_is_begun_without_time() -> None:
    world = a_world(1)
    world.remaining_ms = lambda: 60_000

    assert world.run() == Run()
    assert list(world.queue.held) == ["m1"]


def test_time_runs_short_between_batches() -> None:
    notes = {"type": "custom", "note": "n" * 190_000}
    world = a_world()
    world.queue = FakeQueue([a_message(n, type="custom", custom_event_name="q", data=notes) for n in range(50)])
    world.remaining_ms = countdown(240_000, 200_000, 200_000, 30_000)

    run = world.run()

    assert (run.requests, run.stopped) == (1, False)
    assert run.sent + run.waiting == 50
    assert len(world.queue.held) == run.waiting > 0


def test_time_runs_short_while_poison_is_isolated_keeps_what_is_known() -> None:
    # Given more poison than there is time to find, named one at a time
    world = a_world(*range(100), judge=names_poison(*range(90), first_only=True))
    world.remaining_ms = countdown(240_000, *[200_000] * 13, 30_000)

    # When the sender runs
    run = world.run()

    # Then what was named and checked is rejected, and the others wait for the next run
    assert (run.requests, run.rejected, run.sent, run.waiting, run.stopped) == (12, 5, 0, 95, False)
    assert len(world.queue.held) == 95


def test_a_ledger_that_goes_away_stops_the_run() -> None:
    # Given a thousand events and more, and a ledger that takes no end any more
    world = a_world(*range(1500))
    world.ledger.lost = {key(number) for number in range(1500)}

    # When the sender runs
    run = world.run()

    # Then it does not go on sending what nobody writes down
    assert (run.requests, run.sent, len(world.queue.held)) == (1, 0, 1500)
    assert run.retry == "DynamoDB could not settle the conversion (ThrottlingException)"


def test_a_ledger_that_cannot_be_read_at_the_start_stops_the_run() -> None:
    world = a_world(1)
    world.ledger.circuit_lost = True

    run = world.run()

    assert (run.retry, run.requests) == ("DynamoDB could not read the circuit (ThrottlingException)", 0)
    assert world.nothing_consumed


def test_the_oldest_unsent_event_is_the_one_that_stays() -> None:
    world = a_world()
    old, older = (a_message(n, timestamp_ms=NOW_MS - n * 3_600_000) for n in (2, 3))
    world.queue = FakeQueue([a_message(1), old, older])
    world.ledger.lost = {old.key}

    assert world.run().oldest_ms == 2 * 3_600_000


# Properties over whole lives of the queue.

FATES = ["good", "good", "good", "named", "unnamed", "stale", "unreadable"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(FATES), min_size=1, max_size=30),
    st.lists(st.sampled_from(["503", "401", "lost", "ledger", "fine"]), max_size=4),
    st.booleans(),
)
def test_p1_p2_p3_every_event_ends_once_whatever_happens_on_the_way(
    fates: list[str], troubles: list[str], first_only: bool
) -> None:
    # Given events of every kind (at least one good), two of them twice on the queue, and runs that go wrong
    fates = ["good", *fates]
    named = [n for n, fate in enumerate(fates) if fate == "named"]
    unnamed = [n for n, fate in enumerate(fates) if fate == "unnamed"]
    messages = [a_message(n, **({"timestamp_ms": 5} if fate == "stale" else {})) for n, fate in enumerate(fates)]
    messages = [
        replace(each, event="?") if fate == "unreadable" else each for each, fate in zip(messages, fates, strict=True)
    ]
    copies = [Message(each.key, each.event, f"copy{each.receipt}") for each in messages[:2]]
    accepted: dict[str, set[str]] = {}
    trouble = "fine"

    def judge(batch: list[dict[str, Any]]) -> Answer:
        if trouble == "503":
            return Retry("HTTP 503")
        if trouble == "401":
            return Blocked(401, "Put another key.")
        answer = names_poison(*named, first_only=first_only)(batch)
        answer = answer if isinstance(answer, Rejected) else hides_poison(*unnamed)(batch)
        if isinstance(answer, Accepted):
            for each in batch:
                accepted.setdefault(each["id"], set()).add(json.dumps(each))
            return Retry("no answer (ReadTimeout)") if trouble == "lost" else answer
        return answer

    world = World(FakeQueue([*messages, *copies]), FakeOpenAi(judge))

    # When the sender runs through all that, and twice more
    for trouble in [*troubles, "fine", "fine"]:
        world.ledger.lost = {key(n) for n in range(0, 30, 2)} if trouble == "ledger" else set()
        world.run()
        world.queue.let_visibility_end()

    # Then every event has its end, the good ones were sent, and no event was ever sent with other bytes
    expected = {"good": "sent", "named": "rejected", "unnamed": "rejected", "stale": "expired"}
    ends = {name: {end for end, _ in written} for name, written in world.ledger.ends.items()}
    assert ends == {key(n): {expected[fate]} for n, fate in enumerate(fates) if fate != "unreadable"}
    assert set(accepted) == {f"shopify:{n}" for n, fate in enumerate(fates) if fate == "good"}
    assert all(len(versions) == 1 for versions in accepted.values())
    assert world.queue.held == {}
    assert {each.key for each, _ in world.dead_letters.kept} == {
        key(n) for n, f in enumerate(fates) if f == "unreadable"
    }


def test_events_of_the_fakes_are_good_events() -> None:
    assert parse(an_order()).wire() == an_order()
