"""Answers to surveys by a platform's file: kept for the report as one of its options, never sent."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from conversion_relay.delivery import Delivery, Ignored, NotUnderstood, Recall, Remember
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import custom
from conversion_relay.sources.custom.format import Platform
from tests.unit.sources.platforms import CONVERSION, NOW_MS, posted
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets

SURVEY: dict[str, Any] = {
    "id": "id",
    "order_id": ["order.id", "order_id"],
    "time": {"from": ["done", "at"], "format": "iso"},
    "answer": ["heard", "heard_too"],
    "options": ["ChatGPT", "A friend", "Other"],
}
ANSWER = {"id": "a-1", "order_id": "6184", "at": "2026-11-20T14:00:00Z", "heard": "ChatGPT"}
AT_MS = NOW_MS - 3_600_000


def definition(**changes: Any) -> dict[str, Any]:
    return {
        "about": "a survey",
        "verify": {"kind": "header", "header": "X-Token"},
        "survey": {**SURVEY, **changes},
    }


def became(payload: Any, recall: Recall = lambda _: None, filters: Any = (), **changes: Any) -> Remember | Ignored:
    source = custom.source("acme", {**definition(**changes), "filters": list(filters)})
    made = source.normalize(posted(payload), Settings(ledger_ttl_days=120), NOW_MS, recall)
    assert isinstance(made, Remember | Ignored)
    return made


def facts(payload: Any, **changes: Any) -> Any:
    made = became(payload, **changes)
    assert isinstance(made, Remember)
    return made.memory.facts


def test_an_answer_is_remembered_as_long_as_a_conversion() -> None:
    made = became(ANSWER)

    assert isinstance(made, Remember)
    assert made.reason == "survey_answer"
    assert made.memory.key == "survey#acme:a-1"
    assert made.memory.facts == {"answer": "ChatGPT", "at_ms": AT_MS, "order_id": "6184"}
    assert (made.memory.ttl_days, made.memory.replaces) == (120, None)


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ("chatgpt ", "ChatGPT"),
        (" A FRIEND", "A friend"),
        ("my sister, ada@example.com", "(other)"),
        ("+1 512 555 0150", "(other)"),
        (["TikTok", "ChatGPT"], "ChatGPT"),
        (17, "(other)"),
        (True, "(other)"),
    ],
)
def test_only_the_files_options_are_kept(heard: Any, kept: str) -> None:
    assert facts(ANSWER | {"heard": heard})["answer"] == kept


def test_a_second_place_is_read_where_the_first_is_empty() -> None:
    assert facts(ANSWER | {"heard": None, "heard_too": "Other"})["answer"] == "Other"


@pytest.mark.parametrize("heard", ["", None, [], {}])
def test_a_question_that_was_not_answered_is_ignored(heard: Any) -> None:
    made = became(ANSWER | {"heard": heard})

    assert isinstance(made, Ignored)
    assert made.reason == "no_answer"


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ("6184203910411", "6184203910411"),
        (6184203910411, "6184203910411"),
        ("#1001", "#1001"),
        ("gid://shopify/Order/6184", "gid://shopify/Order/6184"),
        ("cs_test_a1", "cs_test_a1"),
        ("ada@example.com", None),
        ("+15125550150", None),
        ("Ada Okafor 1", None),
        ("Ada", None),
        ("", None),
        (None, None),
    ],
)
def test_an_order_id_is_kept_where_it_is_one(order: Any, kept: str | None) -> None:
    assert facts(ANSWER | {"order_id": order}).get("order_id") == kept


def test_a_file_may_know_of_no_order() -> None:
    assert facts(ANSWER, order_id=None) == {"answer": "ChatGPT", "at_ms": AT_MS}


def test_the_first_time_that_is_filled_counts() -> None:
    assert facts(ANSWER | {"done": "2026-11-20T15:00:00Z"})["at_ms"] == NOW_MS


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (ANSWER | {"at": "yesterday"}, "time_missing"),
        (ANSWER | {"id": ""}, "id_missing"),
        (ANSWER | {"id": "ada@example.com"}, "id_unusable"),
        ([ANSWER, ANSWER], "several_answers"),
        ([], "several_answers"),
    ],
)
def test_what_lacks_what_an_answer_needs_is_parked(payload: Any, reason: str) -> None:
    with pytest.raises(NotUnderstood) as problem:
        became(payload)
    assert problem.value.reason == reason


def test_filters_hold_for_surveys_too() -> None:
    filters = [
        {"that": "`true`", "reason": "never_so", "detail": "never"},
        {"that": "kind == 'answer'", "reason": "other_event", "detail": "only answers"},
    ]

    assert became(ANSWER, filters=filters) == Ignored("other_event", "only answers")
    assert isinstance(became(ANSWER | {"kind": "answer"}, filters=filters), Remember)


def test_the_log_names_the_answer_and_nothing_where_there_is_no_id() -> None:
    source = custom.source("acme", definition())

    assert source.about(posted(ANSWER)) == ("acme:a-1",)
    assert source.about(posted(ANSWER | {"id": None})) == ()
    assert source.about(posted(b"no JSON")) == ()


def receiver(ledger: InMemoryLedger) -> Receiver:
    source = custom.source("acme", definition())
    return Receiver(source, KnownSecrets(["s"]), ledger, InMemoryParking(), Settings(), lambda: NOW_MS)


def sent(payload: Any) -> Delivery:
    return posted(json.dumps(payload).encode(), headers={"x-token": "s"})


def test_an_answer_that_comes_again_changes_nothing_and_a_changed_one_takes_its_place() -> None:
    # Given an answer that is kept
    ledger = InMemoryLedger()
    first = receiver(ledger).receive(sent(ANSWER))
    assert (first.kind, first.key, first.event) == ("remembered", "memory#survey#acme:a-1", None)
    before = dict(ledger.memories)

    # When it comes again, then nothing is written
    again = receiver(ledger).receive(sent(ANSWER))
    assert (again.kind, again.reason, again.http) == ("ignored", "answer_known", 200)
    assert ledger.memories == before

    # When it was changed, then the new one is kept
    assert receiver(ledger).receive(sent(ANSWER | {"heard": "A friend"})).kind == "remembered"
    ((kept, _),) = ledger.memories.values()
    assert kept["answer"] == "A friend"
    assert ledger.conversions == {}


def test_of_two_at_once_one_is_decided_anew() -> None:
    # Given a twin that is written between the first one's reading and its writing
    twin = InMemoryLedger()
    assert receiver(twin).receive(sent(ANSWER)).kind == "remembered"

    class Late(InMemoryLedger):
        def remember(self, memory: Any, now_ms: int, tenant: str | None = None) -> None:
            self.memories |= twin.memories
            InMemoryLedger.remember(self, memory, now_ms, tenant)

    ledger = Late()

    # When the first one writes, then it is refused, and what it finds is its own answer
    outcome = receiver(ledger).receive(sent(ANSWER))
    assert (outcome.kind, outcome.reason) == ("ignored", "answer_known")
    assert ledger.memories == twin.memories


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "conversion: is missing"),
        ({"survey": SURVEY, "conversion": CONVERSION}, "survey: goes without conversion"),
        ({"survey": {**SURVEY, "options": []}}, "options"),
        ({"survey": {**SURVEY, "options": ["ada@example.com"]}}, "options"),
        ({"survey": {**SURVEY, "answer": "lower("}}, "answer"),
    ],
)
def test_a_file_says_one_of_the_two_and_says_it_well(parts: dict[str, Any], said: str) -> None:
    base = {"about": "a survey", "verify": {"kind": "header", "header": "X-Token"}}

    with pytest.raises(ValidationError, match=said):
        Platform.model_validate(base | parts)
