"""What a delivery leaves in the log: one line, which is its metric too, and nothing personal."""

import json
from typing import Any

import pytest

from conversion_relay import journal
from conversion_relay.delivery import Delivery, Outcome
from tests.unit.log_lines import PERSONAL, lines_of, metrics_of

LEVELS = {
    "recorded": "INFO",
    "duplicate": "INFO",
    "ignored": "INFO",
    "remembered": "INFO",
    "compliance": "INFO",
    "parked": "ERROR",
    "refused": "WARNING",
    "failed": "ERROR",
}


@pytest.fixture(scope="module")
def deliveries() -> list[dict[str, Any]]:
    """The log of one delivery for each outcome, the recorded one with its event."""
    order = {
        "id": "shopify:1", "type": "order_created", "timestamp_ms": 1, "oppref": PERSONAL,
        "user": {"user_agent": PERSONAL, "cities": ["Janesville"], "phone_numbers_sha256": ["ab" * 32]},
        "data": {"type": "contents"},
    }  # fmt: skip
    return lines_of(
        f"made = event.parse({order!r})",
        *(
            f"journal.delivered(source, delivery, Outcome({kind!r}, 202, 'why', 'in plain words', 'k', made))"
            for kind in LEVELS
        ),
    )


METRICS = {"ignored": "Ignored", "parked": "Parked", "refused": "Refused"}


@pytest.mark.parametrize(("position", "kind"), list(enumerate(LEVELS)))
def test_a_delivery_is_one_line(deliveries: list[dict[str, Any]], position: int, kind: str) -> None:
    line = deliveries[position]

    assert line.get("level", "INFO") == LEVELS[kind]
    assert line["message"] == "in plain words"
    names = ("source", "delivery", "tenant", "outcome", "reason", "key", "match", "http", "bytes")
    assert {name: line[name] for name in names} == {
        "source": "shopify",
        "delivery": "d-1",
        "tenant": "shop.example.com",
        "outcome": kind,
        "reason": "why",
        "key": "k",
        "match": "oppref phone",
        "http": 202,
        "bytes": 33,
    }


@pytest.mark.parametrize(("position", "kind"), list(enumerate(LEVELS)))
def test_the_line_is_the_metric_too(deliveries: list[dict[str, Any]], position: int, kind: str) -> None:
    line = deliveries[position]

    if kind in METRICS:
        assert metrics_of(line) == {METRICS[kind]: 1}
    else:
        assert "_aws" not in line


def test_a_delivery_leaves_nothing_else(deliveries: list[dict[str, Any]]) -> None:
    assert len(deliveries) == len(LEVELS)
    ours = {"source", "delivery", "tenant", "outcome", "reason", "key", "match", "http", "bytes"}
    assert {name for line in deliveries for name in line} - ours == {
        "level", "message", "service", "_aws", *METRICS.values()
    }  # fmt: skip


def test_what_goes_without_saying_is_left_out() -> None:
    # Nearly every line is of these, and its bytes are paid for.
    recorded, again = lines_of(
        "key, about = 'order_created#shopify:1', ('shopify:1', '#1001')",
        "new = Outcome('recorded', 200, 'recorded', 'a new conversion', key, about=about)",
        "journal.delivered(source, delivery, new)",
        "known = Outcome('duplicate', 200, 'duplicate', 'this conversion is recorded already', key)",
        "journal.delivered(source, delivery, known)",
    )
    assert recorded == {
        "source": "shopify", "delivery": "d-1", "outcome": "recorded",
        "key": "order_created#shopify:1", "about": ["#1001"],
    }  # fmt: skip
    assert set(again) == {"source", "delivery", "outcome", "key"}


def test_what_was_recorded_is_counted_when_it_is_forwarded() -> None:
    forwarded, fetched = lines_of("journal.forwarded(7, 0)", "journal.forwarded(0, 2)")

    assert metrics_of(forwarded) == {"Recorded": 7}
    assert fetched == {"message": "forwarded to the queue", "fetches": 2}


def test_in_shadow_mode_where_nothing_is_forwarded_it_is_counted_at_once() -> None:
    (line,) = lines_of(
        "import os; os.environ['DELIVERY_MODE'] = 'shadow'",
        "journal.delivered(source, delivery, Outcome('recorded', 200, 'recorded', 'new', 'k', None, ('another',)))",
    )
    assert metrics_of(line) == {"Recorded": 2}


def test_what_a_delivery_is_about_is_told_where_it_is_known() -> None:
    (line,) = lines_of(
        "outcome = Outcome('ignored', 200, 'refund', 'none', about=('shopify:7', '#1001'), topic='refunds/create')",
        "journal.delivered(source, delivery, outcome)",
    )
    assert (line["about"], line["topic"]) == (["shopify:7", "#1001"], "refunds/create")


def test_what_is_not_known_has_no_field() -> None:
    (line,) = lines_of("journal.delivered(source, delivery, Outcome('ignored', 200, 'refund', 'none'))")
    assert {"key", "also", "about", "topic", "match"}.isdisjoint(line)


def test_two_conversions_of_one_delivery_are_one_line() -> None:
    (line,) = lines_of(
        "delivery = Delivery('POST', '/', '', {}, b'')",
        "source = Source('stripe', None, None, lambda _: None, lambda _: None)",
        "outcome = Outcome('recorded', 200, 'recorded', 'new', 'trial_started#s', None, ('subscription_created#s',))",
        "journal.delivered(source, delivery, outcome)",
    )
    assert line["also"] == ["subscription_created#s"]


def test_no_log_level_filters_a_metric_away() -> None:
    (line,) = lines_of("journal.delivered(source, delivery, Outcome('ignored', 200, 'refund', 'none'))", level="ERROR")
    assert metrics_of(line) == {"Ignored": 1}


def test_what_is_for_no_source_is_told_without_its_path() -> None:
    (line,) = lines_of("journal.unaddressed(delivery, Outcome('refused', 404, 'unknown_path', 'no source'))")
    assert {name for name in line if name not in ("_aws", "service", "Refused")} == {
        "level", "message", "outcome", "reason", "http", "bytes"
    }  # fmt: skip
    assert metrics_of(line) == {"Refused": 1}


def test_a_delivery_is_answered_whatever_the_environment_lacks() -> None:
    (line,) = lines_of(
        "import os; os.environ.pop('POWERTOOLS_SERVICE_NAME'); os.environ.pop('POWERTOOLS_METRICS_NAMESPACE')",
        "journal.delivered(source, delivery, Outcome('ignored', 200, 'refund', 'none'))",
    )
    assert metrics_of(line) == {"Ignored": 1}


def test_what_is_counted_for_many_is_written_by_the_process_that_forwards(capsys: pytest.CaptureFixture[str]) -> None:
    journal.forwarded(7, 0)
    journal.forwarded(0, 2)

    forwarded, fetched = map(json.loads, capsys.readouterr().out.splitlines())
    assert (forwarded["Recorded"], "fetches" in forwarded) == (7, False)
    assert fetched == {"message": "forwarded to the queue", "fetches": 2}


@pytest.mark.parametrize(("mode", "counted"), [("shadow", 1), ("live", None)])
def test_only_shadow_mode_counts_what_is_recorded_at_once(
    mode: str, counted: int | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELIVERY_MODE", mode)
    journal.unaddressed(Delivery("POST", "/", "", {}, b""), Outcome("recorded", 200, "recorded", "a new conversion"))

    assert json.loads(capsys.readouterr().out).get("Recorded") == counted
