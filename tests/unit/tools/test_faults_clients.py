"""How the platforms of a trial retry, and what the proxy's counters mean."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

import pytest

from conversion_relay.delivery import Delivery
from tools.faults import clients
from tools.faults.clients import Clients
from tools.faults.plan import Kind, Posting
from tools.faults.proxy import plain

OK, REFUSED = (200, b'{"outcome": "recorded"}'), (401, b'{"outcome": "refused"}')


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(clients, "LULL_S", 0.01)
    monkeypatch.setattr(clients, "STAGGER_S", 0.01)


def play(source: str, kind: Kind, *answers: tuple[int, bytes] | Exception) -> clients.Course:
    """Post one delivery to a relay that answers so; what became of it. One that is asked too often fails."""
    told = iter(answers)

    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        answer = next(told)
        if isinstance(answer, Exception):
            raise answer
        return answer

    played = run([Posting(0, source, kind, 0)], post)
    assert next(told, None) is None
    return played.courses[0]


def run(postings: list[Posting], post: object, parallel: int = 1) -> Clients:
    def make(_: Posting, __: datetime) -> Delivery:
        return Delivery("POST", "/", "", {}, b"")

    played = Clients(postings, make, post, seed=1, wave=3)  # type: ignore[arg-type]
    for thread in played.start(parallel):
        thread.join()
    if played.defect:
        raise played.defect
    return played


@pytest.mark.parametrize("source", ["shopify", "stripe"])
def test_shops_send_again_until_2xx(source: str) -> None:
    course = play(source, "new", (500, b""), TimeoutError(), ConnectionResetError(), (429, b"<html>"), REFUSED, OK)
    assert (course.attempts, course.taken, course.outcome) == (6, True, "recorded")


@pytest.mark.parametrize("answer", [(500, b'{"outcome": "parked"}'), TimeoutError(), (200, b"{}")])
def test_call_platforms_never_send_again(answer: tuple[int, bytes] | Exception) -> None:
    assert play("callrail", "new", answer).attempts == 1


def test_who_forges_gives_up_when_refused() -> None:
    course = play("shopify", "forged", (503, b""), REFUSED)
    assert (course.attempts, course.taken, course.outcome) == (2, False, "refused")


def test_some_clients_post_everything_and_count_the_answers() -> None:
    asked: dict[int, int] = defaultdict(int)
    lock = threading.Lock()
    numbers: Iterator[int] = iter(range(1_000))

    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        with lock:
            number = next(numbers)
            asked[number] += 1
        return (500, b"") if number % 4 == 0 else OK

    played = run([Posting(number, "shopify", "new", number) for number in range(40)], post, parallel=4)

    assert played.progress == 1
    assert all(course.taken for course in played.courses.values())
    assert played.answers["200"] == 40
    assert played.answers.total() == len(asked) == sum(course.attempts for course in played.courses.values())


def test_a_defect_ends_the_clients() -> None:
    def post(_: str, __: Delivery) -> tuple[int, bytes]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run([Posting(0, "shopify", "new", 0), Posting(1, "shopify", "new", 1)], post)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("latency:97ms", "slow"),
        ("latency:3500ms", "late"),
        ("reset", "connections reset"),
        ("response:abort", "replies lost"),
        ("error:SlowDown", "SlowDown"),
    ],
)
def test_what_the_proxy_did_in_plain_words(action: str, said: str) -> None:
    assert plain(action) == said
