"""Calls of custom platforms: what a file says of talk, verdicts and times, held against the rule for calls."""

import hashlib
from typing import Any

import pytest

from conversion_relay.delivery import Conversion, NotUnderstood
from tests.unit.sources.platforms import event, reason, result


def digest(text: str) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest()]


OPPREF = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"


def call(**says: Any) -> dict[str, Any]:
    return {"action_source": "phone_call", "oppref": "op", "call": {"seconds": "talk", **says}}


TALKED = {"op": "x", "talk": 60}


@pytest.mark.parametrize(
    ("says", "payload", "becomes"),
    [
        ({}, {}, "lead_created"),
        ({}, {"talk": "8"}, "too_short"),
        ({}, {"talk": None}, "too_short"),
        ({"answered": "ok"}, {"ok": "false"}, "not_answered"),
        ({"answered": "state == 'answered'"}, {}, "not_answered"),
        ({"inbound": "way == 'in'"}, {"way": "out"}, "outbound"),
        ({"over": "done"}, {"done": 0}, "call_not_over"),
        ({"first_time": "new"}, {"new": "no"}, "repeat_caller"),
        ({"repeat": "again"}, {"again": "true"}, "repeat_caller"),
        ({"repeat": "again"}, {"again": "false"}, "lead_created"),
        ({"spam": "spam"}, {"spam": True}, "spam"),
        ({"voicemail": "machine"}, {"machine": 1}, "voicemail"),
        ({"answered": {"from": "s", "means_yes": ["Answered"]}}, {"s": "answered"}, "lead_created"),
        ({"answered": {"from": "s", "means_yes": ["Answered"]}}, {"s": "busy"}, "not_answered"),
        ({"answered": {"from": "s", "means_yes": ["a"], "means_no": ["b"]}}, {"s": "c"}, "lead_created"),
        ({"answered": {"from": "s", "means_yes": ["a"], "means_no": ["b"]}}, {"s": "B"}, "not_answered"),
        ({"answered": {"from": "s", "means_yes": ["a"]}}, {"s": ""}, "lead_created"),
    ],
)
def test_the_rule_for_calls_decides(says: dict[str, Any], payload: dict[str, Any], becomes: str) -> None:
    made = result({**TALKED, **payload}, call(**says))

    assert (made.event.type if isinstance(made, Conversion) else made.reason) == becomes  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("word", "becomes"),
    [("Good", "lead_created"), ("bad", "not_a_lead"), ("", "too_short"), ("who knows", "too_short")],
)
def test_a_human_verdict_outweighs_the_seconds(word: str, becomes: str) -> None:
    verdict = {"from": "said", "lead": ["good"], "not_a_lead": ["bad"]}

    made = result({"op": "x", "talk": 3, "said": word}, call(verdict=verdict))

    assert (made.event.type if isinstance(made, Conversion) else made.reason) == becomes  # type: ignore[union-attr]


def test_talk_may_be_the_time_between_two_moments() -> None:
    says = {"seconds": {"start": "a", "end": "e", "format": "unix_s"}}

    assert event({"op": "x", "a": 100, "e": "130"}, call(**says))["action_source"] == "phone_call"
    assert reason({"op": "x", "a": 100, "e": 129}, call(**says)) == "too_short"
    assert reason({"op": "x", "a": None, "e": 129}, call(**says)) == "too_short"
    assert reason({"op": "x", "a": 100.25, "e": 130.125}, call(**says)) == "too_short"


@pytest.mark.parametrize(
    ("seconds", "payload"),
    [
        ("talk", {"talk": "00:01:35"}),
        ("talk", {"talk": "[call_seconds]"}),
        ("talk", {"talk": True}),
        ({"start": "a", "end": "e", "format": "unix_s"}, {"a": 100, "e": "14:00"}),
        ({"start": "a", "end": "e", "format": "iso"}, {"a": "2026-11-20T14:00:00", "e": None}),
    ],
)
def test_seconds_that_cannot_be_read_are_parked(seconds: Any, payload: dict[str, Any]) -> None:
    with pytest.raises(NotUnderstood) as problem:
        result({"op": "x", **payload}, call(seconds=seconds))
    assert problem.value.reason == "duration_unreadable"


def test_a_call_without_a_time_is_parked_and_an_old_one_ignored() -> None:
    with pytest.raises(NotUnderstood) as problem:
        result({**TALKED, "at": ""}, call())

    assert problem.value.reason == "time_missing"
    assert reason({**TALKED, "at": "2026-11-01T00:00:00Z"}, call()) == "stale_event"


def test_the_rule_asks_nothing_of_what_is_no_call() -> None:
    conversion = {**call(), "action_source": {"from": "where"}}

    assert event({"where": "offline"}, conversion)["action_source"] == "offline"
    assert reason({"where": "phone_call", "op": "x"}, conversion) == "too_short"
