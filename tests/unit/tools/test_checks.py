"""The parts of ``relay check`` that ask nobody."""

import json
import time
from email.utils import formatdate

import pytest

from conversion_relay.event import has_match_key, parse
from conversion_relay.openai import Accepted, Blocked, Problem, Rejected, Retry
from conversion_relay.settings import Settings
from tools import checks, wire_rules

SETTINGS = Settings(openai_endpoint="https://bzr.openai.com/v1/events", pixel_id="px_demo_0001")


def test_the_sample_event_is_one_that_openai_takes() -> None:
    now_ms = time.time_ns() // 1_000_000
    event = json.loads(checks.sample_event(now_ms))

    assert wire_rules.refusal({"events": [event]}, now_ms, report_all=True) is None
    assert wire_rules.ignored_values(event) == []
    made = parse(event)
    assert not has_match_key(made.user, made.oppref)


@pytest.mark.parametrize(
    ("answer", "levels"),
    [
        (Accepted(1), ["good", "good"]),
        (Accepted(None), ["good", "doubtful"]),
        (Accepted(2), ["good", "doubtful"]),
        (Blocked(401, "Put another key."), ["wrong"]),
        (Blocked(None, "Compare."), ["wrong"]),
        (Rejected(400, (Problem(0, "events[0].data", "bad"),)), ["wrong"]),
        (Rejected(400), ["wrong"]),
        (Rejected(413, explained=False), ["wrong"]),
        (Retry("HTTP 503"), ["wrong"]),
    ],
)  # fmt: skip
def test_every_answer_of_openai_is_judged(answer: object, levels: list[str]) -> None:
    results = list(checks._accepted(answer, SETTINGS))  # type: ignore[arg-type]

    assert [each.level for each in results] == levels
    assert all(each.do for each in results if each.level == "wrong")


@pytest.mark.parametrize(
    ("ahead_s", "level", "word"),
    [(0, "good", "apart"), (59, "good", "apart"), (-70, "wrong", "ahead"), (70, "wrong", "behind")],
)
def test_clocks_more_than_a_minute_apart(ahead_s: int, level: str, word: str) -> None:
    result = checks._clock("clock", formatdate(time.time() + ahead_s, usegmt=True))

    assert result.level == level
    assert word in result.said


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_a_date_the_clocks_are_not_compared(date: str | None) -> None:
    assert checks._clock("clock", date).level == "doubtful"


def test_secrets_are_counted_by_tenant() -> None:
    assert checks._by_tenant("a\n\n b \n") == {"": 2}
    assert checks._by_tenant("[COM1] a\n[COM2] b\nc") == {"[COM1": 1, "[COM2": 1, "": 1}
