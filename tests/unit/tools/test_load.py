"""The open loop, the figures of a step, and the books."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random

import pytest

from conversion_relay.delivery import Delivery
from tools import traffic
from tools.load import handlers, trial
from tools.load.arrivals import Answered, moments, post_all
from tools.load.books import balance
from tools.load.trial import Step, TooMuch
from tools.traffic import Told, Traffic

SECRETS = dict.fromkeys(traffic.sources(), "a secret")
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
RECORDED = b'{"outcome": "recorded", "key": "a key"}'


def told(kind: str, count: int = 1) -> list[Told]:
    row = next(each for each in traffic.rows() if each.kind == kind)
    made = Traffic(SECRETS, seed=1)
    return [made.make(row, NOW) for _ in range(count)]


def answered(each: Told, status: int | None = 200) -> Answered:
    return Answered(each, 0.0, 0.1, status, "recorded", None)


def test_deliveries_come_at_random_at_the_rate_that_was_asked() -> None:
    times = list(moments(50, 100, Random(1)))

    assert len(times) == pytest.approx(5000, rel=0.05)
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 100


def test_latency_counts_from_when_a_delivery_was_due_though_it_could_not_leave() -> None:
    # Given a server that takes 0.1 s, one connection to it, and three deliveries due at once
    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        time.sleep(0.1)
        return 200, RECORDED

    # When they are posted
    answers = post_all([(0.0, each) for each in told("new", 3)], post, connections=1)

    # Then the queue shows: a client that waited for answers would have said 0.1 s of each
    latencies = sorted(each.latency_s for each in answers)
    assert latencies[0] >= 0.1
    assert latencies[1] >= 0.2
    assert latencies[2] >= 0.3


def test_nothing_is_sent_before_its_time() -> None:
    began = time.monotonic()
    sent: list[float] = []

    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        sent.append(time.monotonic() - began)
        return 200, RECORDED

    post_all(list(zip((0.0, 0.2), told("new", 2), strict=True)), post)

    assert sent[1] >= 0.2


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(TimeoutError(), "no answer in time"), (ConnectionResetError(), "connection lost")],
    ids=["slow", "reset"],
)
def test_no_answer_is_an_answer_of_its_own(error: Exception, outcome: str) -> None:
    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        raise error

    (answer,) = post_all([(0.0, told("new")[0])], post)

    assert (answer.status, answer.outcome, answer.taken) == (None, outcome, False)


def test_a_defect_of_the_tool_ends_the_trial() -> None:
    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        post_all([(0.0, each) for each in told("new", 3)], post)


def test_a_step_says_how_long_its_slowest_took() -> None:
    each = told("new")[0]
    answers = [Answered(each, 0.0, latency / 100, 200, "recorded", None) for latency in range(1, 101)]
    answers.append(Answered(each, 0.0, 5.0, 429, "", None))
    step = Step(10, 2.0, answers)

    assert step.latency_s(0.5) == pytest.approx(0.51)
    assert step.latency_s(0.95) == pytest.approx(0.96)
    assert step.latency_s(1.0) == pytest.approx(5.0)
    assert step.achieved == pytest.approx(101 / 5)
    assert step.throttled == 1
    assert step.statuses == {"200": 100, "429": 1}


def test_more_than_the_tool_is_for_is_refused() -> None:
    trial.check(trial.RATES, trial.SECONDS)
    with pytest.raises(TooMuch, match=r"6,000 deliveries in 10 s"):
        trial.check([600], 10)
    with pytest.raises(TooMuch, match="200 s"):
        trial.check([1] * 20, 10)


# The books -----------------------------------------------------------------------------------------------------------


def counted(conversions: Sequence[Told]) -> list[Mapping[str, str]]:
    return [dict(zip(("name", "id"), each.conversion or (), strict=True)) for each in conversions]


def ledger(conversions: Sequence[Told], status: str = "sent") -> dict[str, str]:
    return {"#".join(each.conversion or ()): status for each in conversions}


def test_books_balance_when_all_that_was_promised_is_counted_once() -> None:
    first, second = told("new", 2)

    # The second was not answered, and was recorded all the same
    books = balance(
        [answered(first), answered(first), answered(second, None)], counted([first, second]), ledger([first, second])
    )

    assert (books.promised, books.counted, books.problems) == (1, 2, [])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda all_, held: (all_[1:], held), "1 answered 2xx and not counted: lost"),
        (lambda all_, held: ([*all_, all_[0]], held), "1 counted twice"),
        (
            lambda all_, held: ([*all_, {"name": "order_created", "id": "made:up"}], held),
            "under an id that no delivery",
        ),
        (lambda all_, held: (all_, dict.fromkeys(held, "recorded")), "in the ledger with another end than sent"),
        (lambda all_, _: (all_, {}), "but not both"),
    ],
    ids=["lost", "twice", "made up", "unsent", "no ledger item"],
)
def test_books_tell_what_does_not_match(
    spoil: Callable[..., tuple[list[Mapping[str, str]], dict[str, str]]], problem: str
) -> None:
    conversions = told("new", 2)
    events, held = spoil(counted(conversions), ledger(conversions))

    books = balance([answered(each) for each in conversions], events, held)

    assert any(problem in each for each in books.problems)


def test_a_forged_delivery_that_was_taken_is_a_problem() -> None:
    forged = told("forged")[0]

    assert balance([answered(forged, 401)], [], {}).problems == []
    assert "forged, and answered 2xx" in balance([answered(forged, 200)], [], {}).problems[0]


def test_the_handlers_alone_take_the_mix() -> None:
    mix = list(Traffic(SECRETS, seed=1).deliveries(60, datetime.now(UTC)))

    result = handlers.throughput(mix, SECRETS)

    assert result.deliveries == 60
    assert result.per_second > 10
    assert set(result.outcomes) <= {"200", "400", "401"}
    assert result.outcomes["200"] >= 50
