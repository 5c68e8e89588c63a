"""The sender in trouble: poison in a batch, a refused key, an outage. Properties P3 and P8."""

import json
from dataclasses import replace
from typing import Any

import pytest

from conversion_relay.circuit import Circuit
from conversion_relay.event import MAX_PAST_MS
from conversion_relay.openai import Accepted, Answer, Blocked, Problem, Rejected, Retry
from conversion_relay.queue import Message
from conversion_relay.sender import Run
from tests.fakes import NOW_MS, FakeOpenAi, FakeQueue, a_message, an_order, hides_poison, names_poison
from tests.unit.sending import World, a_world, countdown, key
from tools.stand_in import StandIn

# Poison (P3).


@pytest.mark.parametrize("errors", ["first", "all"])
def test_named_poison_event_among_a_thousand(over_http: Any, stand_in: StandIn, errors: str) -> None:
    # Given an event that the model would never let out, by a defect of ours, among 999 good ones
    bad = Message(key(500), json.dumps(an_order(500, data={"type": "contents", "amount": -1})), "m500/1")
    world = over_http([*map(a_message, range(500)), bad, *map(a_message, range(501, 1000))])
    stand_in.switch(errors=errors)

    # When the sender runs
    run = world.run()

    # Then one further request has sent all the others, and the bad one is kept with its reason
    assert (run.requests, run.sent, run.rejected, world.queue.held) == (2, 999, 1, {})
    assert world.ledger.ends[key(500)] == [("rejected", "data.amount: x_test_invalid_value")]
    assert run.rejections == {"data.amount: x_test_invalid_value": 1}


def test_unnamed_poison_event_among_a_thousand() -> None:
    world = a_world(*range(1000), judge=hides_poison(617))

    run = world.run()

    assert (run.sent, run.rejected, world.queue.held) == (999, 1, {})
    assert world.ledger.ends[key(617)] == [("rejected", "HTTP 400")]
    assert run.requests <= 2 * 10 + 1


@pytest.mark.parametrize(
    "judge",
    [names_poison(0, 3, 4, 9), names_poison(0, 3, 4, 9, first_only=True), hides_poison(0, 3, 4, 9)],
    ids=["all named", "the first named", "none named"],
)
def test_several_poison_events(judge: Any) -> None:
    world = a_world(*range(10), judge=judge)

    run = world.run()

    assert sorted(world.openai.accepted) == [f"shopify:{n}" for n in (1, 2, 5, 6, 7, 8)]
    assert {n for n in range(10) if world.ledger.ends[key(n)][0][0] == "rejected"} == {0, 3, 4, 9}
    assert (run.sent, run.rejected, run.stopped, world.queue.held) == (6, 4, False, {})


def test_hundreds_of_poison_events_named_one_at_a_time() -> None:
    # Given more than Python's stack would hold, if each were a call inside the one before
    world = a_world(*range(601), judge=names_poison(*range(600), first_only=True))

    run = world.run()

    # Then each costs one request, and ten of the names one more: they are checked
    assert (run.sent, run.rejected, run.requests, world.queue.held) == (1, 600, 611, {})


def test_named_and_unnamed_poison_together() -> None:
    def judge(batch: list[dict[str, Any]]) -> Answer:
        answer = names_poison(2)(batch)
        return answer if isinstance(answer, Rejected) else hides_poison(5)(batch)

    world = a_world(*range(8), judge=judge)
    run = world.run()

    assert (run.sent, run.rejected) == (6, 2)
    assert world.ledger.ends[key(2)] == [("rejected", "data.amount: bad_amount")]
    assert world.ledger.ends[key(5)] == [("rejected", "HTTP 400")]


def test_poison_alone_is_rejected() -> None:
    world = a_world(1, judge=hides_poison(1))

    run = world.run()

    assert (run.rejected, run.blocked, world.queue.held) == (1, None, {})


def test_a_reason_without_code_or_field() -> None:
    problems = [Problem(0, "events[0]", None), Problem(1, "events[1].data.amount", None)]

    def judge(batch: list[dict[str, Any]]) -> Answer:
        found = [problems[int(each["id"][-1])] for each in batch if each["id"] != "shopify:2"]
        return Rejected(400, [replace(each, index=n) for n, each in enumerate(found)]) if found else Accepted(1)

    world = a_world(0, 1, 2, judge=judge)

    world.run()

    assert [world.ledger.ends[key(n)][0] for n in range(3)] == [
        ("rejected", "event"),
        ("rejected", "data.amount"),
        ("sent", "accepted by OpenAI"),
    ]


# What is no trait of the events consumes none of them (P8).


def test_all_refused_without_a_name_blocks_and_consumes_nothing() -> None:
    world = a_world(*range(7), judge=lambda _: Rejected(400))

    run = world.run()

    assert run.blocked is not None
    assert "check key, PixelId and endpoint" in run.blocked
    assert (run.sent, run.rejected, run.waiting) == (0, 0, 7)
    assert world.nothing_consumed


def test_refused_without_a_name_and_then_an_outage_consumes_nothing() -> None:
    # Given a gateway that refuses everything, and then is not there at all: no event has ever passed
    answers = [Rejected(400), Rejected(400), Rejected(400), Retry("HTTP 500")]
    world = a_world(*range(4), judge=lambda _: answers.pop(0))

    run = world.run()

    assert (run.retry, run.blocked, run.waiting) == ("OpenAI could not take events (HTTP 500)", None, 4)
    assert world.nothing_consumed


def test_refused_without_a_name_until_time_is_short_blocks() -> None:
    world = a_world(*range(1000), judge=lambda _: Rejected(400))
    world.remaining_ms = countdown(240_000, *[200_000] * 15, 29_000)

    run = world.run()

    assert (run.requests, run.waiting) == (14, 1000)
    assert run.blocked is not None
    assert world.nothing_consumed


@pytest.mark.parametrize(("credentials", "status"), [({"key": "sk-wrong"}, 401), ({"pixel": "unknown"}, 403)])
def test_p8_wrong_key_or_pixel_stops_after_one_request(
    over_http: Any, stand_in: StandIn, credentials: dict[str, str], status: int
) -> None:
    # Given more than one batch
    world = over_http([a_message(number) for number in range(2500)], **credentials)

    # When OpenAI refuses key or pixel
    run = world.run()

    # Then that is said, and every event waits
    assert [request["status"] for request in stand_in.requests()] == [status]
    assert run.blocked is not None
    assert run.blocked.endswith(f"(HTTP {status})")
    assert (run.sent, run.rejected, run.expired, run.waiting) == (0, 0, 0, 1000)
    assert world.nothing_consumed
    assert len(world.queue.held) == 2500


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 302, 404, 405, 451])
def test_p8_outage_consumes_nothing(over_http: Any, stand_in: StandIn, status: int) -> None:
    world = over_http([a_message(number) for number in range(20)])
    stand_in.fail(status=status, times=None, body="text")

    run = world.run()

    # Then one request says so; those who ask for patience are asked again in the same run
    assert (run.stopped, run.requests, run.waiting) == (True, 4 if status in (429, 503) else 1, 20)
    assert world.nothing_consumed

    # And once it is over, everything is sent
    stand_in.reset()
    world.queue.let_visibility_end()
    assert world.run().sent == 20


def test_p8_no_answer_consumes_nothing(over_http: Any, stand_in: StandIn) -> None:
    world = over_http([a_message(1)])
    stand_in.fail(drop="before")

    run = world.run()

    assert run.retry == "OpenAI could not take events (no answer (ConnectionError))"
    assert world.nothing_consumed


def test_p8_an_outage_in_the_middle_keeps_what_was_not_sent() -> None:
    # Given two batches and an outage after the first
    world = a_world(*range(500))
    world.queue = FakeQueue([a_message(n, type="custom", custom_event_name="q", data={"type": "custom", "x": "n" * 9_000}) for n in range(500)])  # fmt: skip # noqa: E501
    world.openai.judge = lambda batch: Accepted(len(batch)) if len(world.openai.requests) == 1 else Retry("HTTP 503")

    # When the sender runs
    run = world.run()

    # Then the first batch is settled and the second waits
    assert (run.sent + run.waiting, run.requests) == (500, 2)
    assert len(world.queue.held) == run.waiting > 0
    assert world.ledger.count("sent") == run.sent


@pytest.mark.parametrize("stop", [Blocked(401, "Put another key."), Retry("HTTP 503")])
def test_p8_a_stop_while_poison_is_isolated_keeps_the_rest(stop: Answer) -> None:
    # Given unnamed poison in the first quarter, and a stop after the first events have passed
    def judge(batch: list[dict[str, Any]]) -> Answer:
        return stop if len(world.openai.requests) > 4 else hides_poison(3)(batch)

    world = a_world(*range(8), judge=judge)

    # When the sender runs
    run = world.run()

    # Then only those that passed are consumed
    assert world.openai.requests[:4] == [[f"shopify:{n}" for n in some] for some in (range(8), range(4), (0, 1), (2,))]
    assert (run.sent, run.rejected, run.waiting) == (3, 0, 5)
    assert sorted(world.ledger.ends) == [key(0), key(1), key(2)]


def test_queue_down_is_said() -> None:
    world = a_world(1)
    world.queue.outage = True

    run = world.run()

    assert run.retry == "SQS could not hand out messages (EndpointConnectionError)"
    assert world.nothing_consumed


def test_a_name_that_is_wrong_costs_no_good_event_its_life() -> None:
    # Given an API that counts its events from another number
    def judge(batch: list[dict[str, Any]]) -> Answer:
        answer = names_poison(3, 7)(batch)
        if isinstance(answer, Rejected):
            shifted = [replace(each, index=each.index - 1) for each in answer.problems if each.index]
            return Rejected(400, shifted)
        return answer

    world = a_world(*range(10), judge=judge)

    run = world.run()

    assert (run.sent, run.rejected) == (8, 2)
    assert {name for name, ends in world.ledger.ends.items() if ends[0][0] == "rejected"} == {key(3), key(7)}


def test_a_refusal_for_size_alone_rejects_nothing() -> None:
    # Given a gateway that takes no more than 300 events at once
    world = a_world(*range(1000), judge=lambda batch: Accepted(len(batch)) if len(batch) <= 300 else Rejected(413))

    run = world.run()

    assert (run.sent, run.rejected, run.stopped) == (1000, 0, False)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_event_refused_by_something_that_is_not_the_api_waits(
    over_http: Any, stand_in: StandIn, status: int
) -> None:
    world = over_http([a_message(1)])
    stand_in.fail(status=status, body="text")

    run = world.run()

    assert run.blocked is not None
    assert "not the Conversions API" in run.blocked
    assert world.nothing_consumed
    world.queue.let_visibility_end()
    assert world.run().sent == 1


def test_unnamed_poison_is_rejected_where_others_have_passed_in_the_same_run() -> None:
    # Given a batch that passes, and then one of nothing but poison
    notes = {"type": "custom", "x": "n" * 190_000}
    good = [a_message(n, type="custom", custom_event_name="q", data=notes) for n in range(20)]
    world = World(FakeQueue([*good, a_message(100), a_message(101)]), FakeOpenAi())
    world.openai.judge = lambda batch: (
        Rejected(400) if any(each["id"] in ("shopify:100", "shopify:101") for each in batch) else Accepted(len(batch))
    )

    run = world.run()

    assert (run.sent, run.rejected, run.blocked) == (20, 2, None)


# What begins to refuse everything after events have passed consumes none of them either (P8).


@pytest.mark.parametrize("explained", [True, False], ids=["the API", "a gateway"])
@pytest.mark.parametrize("after", [1, 3, 5])
def test_p8_a_refusal_of_everything_that_begins_in_the_middle_of_a_batch_consumes_no_good_event(
    explained: bool, after: int
) -> None:
    # Given one bad event of a thousand, and an API that after some requests refuses whatever comes, naming nothing
    def judge(batch: list[dict[str, Any]]) -> Answer:
        return hides_poison(990)(batch) if len(world.openai.requests) <= after else Rejected(400, explained=explained)

    world = a_world(*range(1000), judge=judge)

    # When the sender runs
    run = world.run()

    # Then what passed is sent, the rest waits, and that is said
    assert (run.rejected, run.sent + run.waiting) == (0, 1000)
    assert run.blocked is not None
    assert len(world.queue.held) == run.waiting > 0
    assert world.ledger.count("rejected") == 0


def test_p8_a_gateway_that_begins_to_refuse_between_two_batches_consumes_nothing() -> None:
    # Given a batch that passes, and then a firewall's page for each request
    notes = {"type": "custom", "x": "n" * 190_000}
    messages = [a_message(n, type="custom", custom_event_name="q", data=notes) for n in range(30)]
    world = World(FakeQueue(messages), FakeOpenAi())
    world.openai.judge = lambda batch: (
        Accepted(len(batch)) if len(world.openai.requests) == 1 else Rejected(413, explained=False)
    )

    run = world.run()

    assert (run.rejected, run.sent + run.waiting) == (0, 30)
    assert run.blocked is not None
    assert "not the Conversions API" in run.blocked


def test_an_event_that_a_gateway_finds_too_large_is_rejected_where_all_others_pass() -> None:
    world = a_world(*range(50))
    judge = hides_poison(49)
    world.openai.judge = lambda batch: (
        answer if isinstance(answer := judge(batch), Accepted) else Rejected(413, explained=False)
    )

    run = world.run()

    assert (run.sent, run.rejected, run.blocked) == (49, 1, None)


def test_p8_a_lone_event_is_not_given_up_while_nothing_passes() -> None:
    # Given that OpenAI refuses every event without a name, and a circuit that says so
    world = a_world(1, 2, 3, judge=lambda _: Rejected(400))
    assert world.run().blocked is not None

    # When events come one by one while the others are hidden
    world.queue.visible = [a_message(4)]
    world.queue.held["m4"] = a_message(4)
    run = world.run()

    # Then that one waits too
    assert (run.rejected, run.waiting) == (0, 1)
    assert run.blocked is not None
    assert world.nothing_consumed


def test_p3_good_events_do_not_wait_for_ever_behind_a_probe_of_bad_ones() -> None:
    # Given bad events that nobody names, always handed out before the good ones that came after the run blocked
    world = a_world(*range(30), judge=hides_poison(*range(30)))
    assert world.run().blocked is not None
    for number in range(30, 60):
        world.queue.held[f"m{number}"] = a_message(number)
    world.queue.let_visibility_end()

    # When the sender runs
    run = world.run()

    # Then it looks behind its probe, delivers the good ones, and closes the circuit
    assert (run.sent, world.ledger.open, run.blocked) == (30, None, None)
    world.queue.let_visibility_end()
    world.run()
    assert world.ledger.count("sent") == 30


def test_p3_a_row_of_bad_events_over_half_of_a_batch_does_not_hide_the_good_ones() -> None:
    world = a_world(*range(1000), judge=hides_poison(*range(600)))

    run = world.run()

    assert (run.sent, run.rejected, run.blocked) == (400, 600, None)


def test_a_probe_that_nothing_is_behind_says_that_nothing_passes() -> None:
    world = a_world(*range(5), judge=lambda _: Rejected(400))
    world.ledger.open = OPEN

    run = world.run()

    assert run.blocked is not None
    assert "check key, PixelId and endpoint" in run.blocked
    assert world.ledger.open.state == "blocked"
    assert world.nothing_consumed


# Patience (429, 503).


def test_the_wait_that_openai_asks_for_is_kept_in_the_same_run(over_http: Any, stand_in: StandIn) -> None:
    world = over_http([a_message(1)])
    stand_in.fail(status=429, retry_after="7")
    stand_in.fail(status=503)

    run = world.run()

    # Seven seconds and a random one more, then up to two
    assert world.slept == [8, 2]
    assert (run.sent, run.requests, run.retry) == (1, 3, None)


def test_waits_end_where_the_invocation_does() -> None:
    # Given 100 s left and an API that asks for 50
    world = a_world(1, judge=lambda _: Retry("HTTP 429", 50, busy=True))
    world.remaining_ms = lambda: 100_000

    run = world.run()

    # Then the rest of the wait is left to the runs that follow
    assert (world.slept, run.requests, run.waiting) == ([], 1, 1)
    assert world.ledger.open is not None
    assert world.ledger.open.until_ms == NOW_MS + 50_000
    assert "06:00 UTC" in world.ledger.open.advice


def test_back_off_is_bounded_and_goes_up() -> None:
    world = a_world(1, judge=lambda _: Retry("HTTP 503", busy=True))

    run = world.run()

    assert (world.slept, run.requests) == ([1, 2, 4], 4)


def test_events_that_go_stale_while_openai_is_busy_do_not_leave() -> None:
    world = World(FakeQueue([a_message(1, timestamp_ms=NOW_MS - MAX_PAST_MS + 65_000)]), FakeOpenAi())
    world.openai.judge = lambda _: Retry("HTTP 429", 30, busy=True)

    run = world.run()

    assert (run.requests, run.waiting, world.slept) == (1, 1, [31])
    assert world.nothing_consumed


# The circuit.

OPEN = Circuit("outage", "OpenAI could not take events (HTTP 500)", NOW_MS - 600_000, 0, NOW_MS - 900_000)


def test_an_outage_opens_the_circuit_and_later_runs_probe_with_ten_events() -> None:
    # Given an outage
    world = a_world(*range(2500), judge=lambda _: Retry("HTTP 500"))
    world.run()
    first = world.ledger.open
    assert first == Circuit("outage", "OpenAI could not take events (HTTP 500)", NOW_MS, 0, NOW_MS - 60_000)

    # When runs follow
    world.now_ms += 300_000
    run = world.run()

    # Then each takes ten messages and makes one request, and it is still known since when that is so
    assert (run.received, run.requests, run.oldest_ms) == (10, 1, 360_000)
    assert world.ledger.open is not None
    assert (world.ledger.open.since_ms, world.ledger.open.oldest_ms) == (NOW_MS, NOW_MS - 60_000)

    # And the first that passes closes it and sends all the rest
    world.openai.judge = lambda batch: Accepted(len(batch))
    world.queue.let_visibility_end()
    run = world.run()
    assert [len(ids) for ids in world.openai.requests[2:]] == [10, 1000, 1000, 490]
    assert (run.sent, run.oldest_ms, world.ledger.open) == (2500, 0, None)


def test_a_probe_is_one_request_also_when_openai_is_busy() -> None:
    world = a_world(*range(20), judge=lambda _: Retry("HTTP 503", 3, busy=True))
    world.ledger.open = OPEN

    assert (world.run().requests, world.slept) == (1, [])


def test_a_named_refusal_shows_that_openai_is_back() -> None:
    world = a_world(1, judge=names_poison(1))
    world.ledger.open = OPEN

    run = world.run()

    assert (run.rejected, run.stopped, world.ledger.open) == (1, False, None)


def test_before_the_time_that_openai_named_nothing_is_taken_and_nothing_is_asked() -> None:
    world = a_world(1)
    world.ledger.open = replace(OPEN, until_ms=NOW_MS + 1)

    run = world.run()

    assert (run.received, run.requests, run.retry, run.oldest_ms) == (0, 0, OPEN.advice, 900_000)
    world.now_ms += 1
    assert world.run().sent == 1


@pytest.mark.parametrize(("after_s", "wait_s"), [(1, 1), (3600, 3600), (86_400, 3600)])
def test_no_wait_is_longer_than_an_hour(after_s: int, wait_s: int) -> None:
    world = a_world(1, judge=lambda _: Retry("HTTP 500", after_s))

    world.run()

    assert world.ledger.open is not None
    assert world.ledger.open.until_ms == NOW_MS + wait_s * 1000


@pytest.mark.parametrize("state", ["blocked", "outage"])
def test_a_run_that_finds_nothing_to_probe_with_leaves_the_circuit_open(state: Any) -> None:
    # Given that all which waits is hidden after the last probe
    world = a_world()
    world.ledger.open = replace(OPEN, state=state)

    run = world.run()

    # Then the alarm does not go off and on
    assert (run.blocked or run.retry, run.oldest_ms) == (OPEN.advice, 900_000)
    assert (run.blocked is not None) == (state == "blocked")
    assert world.ledger.open is not None


def test_a_circuit_that_nobody_waits_behind_any_more_is_closed() -> None:
    world = a_world()
    world.ledger.open = replace(OPEN, oldest_ms=NOW_MS - MAX_PAST_MS - 1)

    assert world.run() == Run()
    assert world.ledger.open is None


def test_the_oldest_behind_the_circuit_is_one_that_has_not_expired_yet() -> None:
    # Given an outage of more than seven days: what was the oldest has expired
    world = a_world(1, judge=lambda _: Retry("HTTP 500"))
    world.ledger.open = replace(OPEN, oldest_ms=NOW_MS - MAX_PAST_MS - 1)

    # When a run meets the outage, and another one nothing
    assert world.run().oldest_ms == 60_000
    world.queue.visible = []
    run = world.run()

    # Then the circuit stays open
    assert run.retry is not None
    assert world.ledger.open is not None
    assert world.ledger.open.oldest_ms == NOW_MS - 60_000


def test_a_wait_that_no_run_writes_down_is_not_kept() -> None:
    # Given a time that a clock has written which was a year ahead
    world = a_world(1)
    world.ledger.open = replace(OPEN, until_ms=NOW_MS + 365 * 86_400_000)

    assert (world.run().sent, world.ledger.open) == (1, None)


def test_without_a_key_nothing_is_taken_and_that_is_said() -> None:
    world = a_world(1, 2)
    world.no_key = Blocked(None, "There is no OpenAI key.")

    run = world.run()

    assert (run.blocked, run.received, run.requests) == ("There is no OpenAI key.", 0, 0)
    assert world.nothing_consumed
    assert (len(world.queue.visible), world.ledger.open) == (2, None)


def test_shadow_mode_needs_no_key() -> None:
    world = a_world(1)
    world.no_key, world.mode = Blocked(None, "There is no OpenAI key."), "shadow"

    assert world.run() == Run()


@pytest.mark.parametrize("judge", [lambda _: Retry("HTTP 500"), lambda batch: Accepted(len(batch))])
def test_a_circuit_that_cannot_be_written_is_said(judge: Any) -> None:
    world = a_world(1)
    world.ledger.open = OPEN

    def failing(batch: list[dict[str, Any]]) -> Answer:
        world.ledger.circuit_lost = True
        return judge(batch)

    world.openai.judge = failing

    (note,) = world.run().notes
    assert note.startswith("DynamoDB could not note how OpenAI answers")


def test_p8_a_refusal_after_which_openai_goes_away_is_left_for_the_next_run() -> None:
    # Given unnamed poison that is refused alone, and an outage before anything has passed after it
    def judge(batch: list[dict[str, Any]]) -> Answer:
        return Retry("HTTP 500") if len(world.openai.requests) > 5 else hides_poison(3)(batch)

    world = a_world(*range(8), judge=judge)

    run = world.run()

    # Then the outage is what is said, and the event waits with the others
    assert world.openai.requests[4] == ["shopify:3"]
    assert (run.sent, run.rejected, run.waiting, run.blocked) == (3, 0, 5, None)
    assert run.retry == "OpenAI could not take events (HTTP 500)"


def test_one_event_that_a_gateway_refuses_is_rejected_where_the_others_of_its_batch_have_passed() -> None:
    # Given something on the way that minds the last event, and says so in its own words
    world = a_world(
        *range(8),
        judge=lambda batch: Rejected(400, explained=False) if batch[-1]["id"] == "shopify:7" else Accepted(len(batch)),
    )

    run = world.run()

    assert (run.sent, run.rejected, run.stopped) == (7, 1, False)


def test_p8_what_a_gateway_refuses_from_some_point_on_waits() -> None:
    # Given the same, for the last two: it may have begun to refuse whatever comes
    world = a_world(
        *range(8),
        judge=lambda batch: (
            Rejected(400, explained=False) if batch[-1]["id"] in ("shopify:6", "shopify:7") else Accepted(len(batch))
        ),
    )

    run = world.run()

    assert (run.sent, run.rejected, run.waiting, run.stopped) == (6, 0, 2, False)
    assert "not the Conversions API" in run.notes[0]
