"""Batches taken apart: exactly the bad events are refused, everything else is delivered once, with few requests."""

import contextlib
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.isolation import CONFIRMATIONS, Isolation, Stopped
from conversion_relay.openai import Accepted, Answer, Problem, Rejected, Retry

Names = Literal["none", "first", "all", "wrong", "now and then"]


class Api:
    """Refuses any group with a bad number in it, and names events in one way or another."""

    def __init__(self, bad: set[int], names: Names = "none", stops_at: int | None = None) -> None:
        self.bad, self.names, self.stops_at = bad, names, stops_at
        self.delivered: Counter[int] = Counter()
        self.requests = 0

    def __call__(self, group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        self.requests += 1
        assert group, "a request without events"
        if self.requests == self.stops_at:
            return Retry("HTTP 500"), group
        found = [index for index, each in enumerate(group) if each in self.bad]
        if not found:
            self.delivered.update(group)
            return Accepted(len(group)), group
        match self.names:
            case "none":
                named = []
            case "first":
                named = found[:1]
            case "all":
                named = found
            case "wrong":
                named = [(index + 1) % len(group) for index in found]
            case "now and then":
                named = found[:1] if self.requests % 3 else []
        return Rejected(400, [Problem(index, f"events[{index}].data.amount", "bad") for index in named]), group


def taken_apart(count: int, bad: set[int], names: Names = "none") -> tuple[Isolation[int], Api]:
    api = Api(bad, names)
    isolation = Isolation(api)
    isolation.isolate(range(count))
    return isolation, api


@given(
    st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=n // 2))),
    st.sampled_from(["none", "first", "all", "wrong", "now and then"]),
)
def test_exactly_the_bad_events_are_refused_and_the_others_delivered_once(
    batch: tuple[int, set[int]], names: Names
) -> None:
    count, bad = batch

    isolation, api = taken_apart(count, bad, names)

    assert Counter(each.event for each in isolation.refusals) == Counter(bad)
    assert api.delivered == Counter(set(range(count)) - bad)
    assert isolation.passed == count - len(bad)


@given(st.integers(2, 100), st.sets(st.integers(0, 99), min_size=1, max_size=5), st.integers(1, 30), st.booleans())
def test_whenever_the_api_stops_judging_nothing_undecided_is_refused(
    count: int, bad: set[int], stops_at: int, named: bool
) -> None:
    api = Api(bad, "first" if named else "none", stops_at)
    isolation = Isolation(api)

    try:
        isolation.isolate(range(count))
    except Stopped:
        assert api.requests == stops_at

    assert {each.event for each in isolation.refusals} <= bad
    assert all(times == 1 for times in api.delivered.values())
    assert isolation.passed == len(api.delivered)


@pytest.mark.parametrize(
    ("bad", "names", "most"),
    [
        (0, "none", 1),
        (1, "none", 13),
        (2, "none", 32),
        (5, "none", 65),
        (10, "none", 110),
        (1, "first", 2),
        (1, "all", 2),
        (10, "first", 20),
        (10, "all", 12),
        (50, "all", 12),
        (1, "wrong", 20),
    ],
)
def test_requests_for_a_thousand_events(bad: int, names: Names, most: int) -> None:
    trials = [random.Random(seed).sample(range(1000), bad) for seed in range(100)]

    assert max(taken_apart(1000, set(each), names)[1].requests for each in trials) <= most


def test_bad_events_in_a_row_at_the_front_do_not_look_like_a_blocked_api() -> None:
    isolation, _ = taken_apart(1000, set(range(60)))

    assert len(isolation.refusals) == 60


@pytest.mark.parametrize("count", [16, 17, 1000])
def test_it_gives_up_where_nothing_passes(count: int) -> None:
    api = Api(set(range(count)))
    isolation = Isolation(api)

    with pytest.raises(Stopped) if count > 16 else pytest.MonkeyPatch().context():
        isolation.isolate(range(count))

    assert len(isolation.refusals) == 16
    assert api.requests <= 26


def test_names_that_were_right_ten_times_are_believed_in_the_next_batch_too() -> None:
    first, _ = taken_apart(1000, set(range(0, 1000, 50)), "first")
    assert first.confirmed is not None
    assert first.confirmed >= CONFIRMATIONS

    api = Api({1, 500, 900}, "first")
    Isolation(api, first.confirmed).isolate(range(1000))

    assert api.requests == 4


def test_a_batch_of_which_every_event_is_named() -> None:
    isolation, api = taken_apart(5, set(range(5)), "all")

    assert ([each.event for each in isolation.refusals], api.requests) == ([0, 1, 2, 3, 4], 6)


def test_names_that_were_wrong_are_not_minded_any_more() -> None:
    first, _ = taken_apart(1000, {500}, "wrong")
    assert first.confirmed is None

    api = Api({500}, "wrong")
    Isolation(api, first.confirmed).isolate(range(1000))

    assert api.requests <= 13


def test_an_event_that_has_gone_stale_meanwhile_is_left_out() -> None:
    # Given that the last event is gone from every group but the first
    api = Api({2})

    def probe(group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        left = [each for each in group if each != 7] if api.requests else group
        return api(left) if left else (Accepted(0), left)

    isolation = Isolation(probe)
    isolation.isolate(range(8))

    assert ([each.event for each in isolation.refusals], isolation.passed, api.delivered[7]) == ([2], 6, 0)


def test_a_name_is_not_right_because_the_bad_event_beside_it_went_stale() -> None:
    # Given a good and a bad event, of which the good one is named, and the bad one gone from the second group
    api = Api({0}, "wrong")

    def probe(group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        left = [each for each in group if each != 0] if api.requests else group
        return api(left) if left else (Accepted(0), left)

    isolation = Isolation(probe)
    isolation.isolate(range(3))

    assert (isolation.refusals, api.delivered) == ([], Counter({1: 1, 2: 1}))


def test_a_suspect_that_goes_stale_says_nothing_about_names() -> None:
    # Given two bad events that are named right, of which the first goes stale before it is checked
    api = Api({0, 1}, "all")

    def probe(group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        left = [each for each in group if each != 0] if api.requests else group
        return api(left) if left else (Accepted(0), left)

    isolation = Isolation(probe)
    isolation.isolate(range(4))

    assert ([each.event for each in isolation.refusals], isolation.confirmed) == ([1], 1)


@pytest.mark.parametrize("after", range(1, 13))
def test_an_api_that_begins_to_refuse_everything_leaves_those_in_doubt(after: int) -> None:
    # Given an API that after some requests refuses whatever comes
    api = Api({700})

    def probe(group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        if api.requests >= after:
            api.requests += 1
            return Rejected(400), group
        return api(group)

    isolation = Isolation(probe)
    with contextlib.suppress(Stopped):
        isolation.isolate(range(1000))

    # Then it gives up, and whatever was refused since is in doubt
    assert Counter(each.event for each in isolation.refusals if each not in isolation.doubts) <= Counter([700])
    assert isolation.passed == len(api.delivered)


@pytest.mark.parametrize("bad", [range(600), range(400, 900), range(200, 950)], ids=str)
def test_the_good_ones_are_found_beside_a_row_of_bad_ones(bad: range) -> None:
    isolation, api = taken_apart(1000, set(bad))

    assert Counter(each.event for each in isolation.refusals) == Counter(bad)
    assert len(api.delivered) == 1000 - len(bad)


def test_two_bad_events_of_which_the_first_is_named() -> None:
    isolation, api = taken_apart(2, {0, 1}, "first")

    # The second was refused alone, which proves it; the first is sent alone to check its name
    assert ([each.event for each in isolation.refusals], api.requests) == ([1, 0], 3)


def test_a_name_that_comes_only_while_the_bad_event_is_searched() -> None:
    # Given an API that names nothing in its first answer
    api = Api({1}, "none")

    def probe(group: Sequence[int]) -> tuple[Answer, Sequence[int]]:
        answer = api(group)
        api.names = "first"
        return answer

    isolation = Isolation(probe)
    isolation.isolate(range(8))

    # Then the half is not halved further: without the named one it passes, and then the other half does
    assert ([each.event for each in isolation.refusals], isolation.passed, api.requests) == ([1], 7, 4)
