"""What a conversion's stages are told as, at every point of its way."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conversion_relay.circuit import Circuit
from conversion_relay.event import has_match_key
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tools import samples, story
from tools.entries import Entry
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.readings import Line, Schedule
from tools.sources import SOURCES
from tools.story import Sending, Stage

NOW_MS = 1_795_186_800_000
"""2026-11-20T15:00:00Z"""
MINUTE = 60_000
DAY = 86_400_000
EVENT: dict[str, Any] = {
    "id": "shopify:1", "type": "order_created", "timestamp_ms": NOW_MS - MINUTE, "action_source": "offline",
    "data": {"type": "contents", "amount": 4510, "currency": "JPY"},
}  # fmt: skip
EVERY_FIVE = Schedule("rate(5 minutes)", True, NOW_MS - 2 * MINUTE)


def entry(status: str = "recorded", event: dict[str, Any] | None = None, **fields: Any) -> Entry:
    given = {
        "key": "order_created#shopify:1", "reason": "", "text": json.dumps(EVENT | (event or {})),
        "recorded_ms": NOW_MS - MINUTE, "settled_ms": 0, "amended_ms": 0, "hold_until_ms": 0, "source": "shopify",
        "tenant": "", "delivery": "",
    }  # fmt: skip
    return Entry(status=status, **given | fields)


def told(entry: Entry, sending: Sending | None = None) -> dict[str, Stage]:
    return {each.name: each for each in story.stages(entry, sending or Sending(NOW_MS, schedule=EVERY_FIVE))}


def test_recorded() -> None:
    stage = told(entry())["recorded"]

    assert stage.at_ms == NOW_MS - MINUTE
    assert stage.sentence == "As order_created, action source offline, 4,510 JPY. It happened 2026-11-20 14:59:00."


def test_the_pixel_s_event_id_and_a_custom_name_are_told() -> None:
    event = {"id": "pix_1", "type": "custom", "custom_event_name": "demo_booked", "data": {"type": "custom"}}

    assert told(entry(event=event))["recorded"].sentence == (
        "As demo_booked, action source offline, no value. It happened 2026-11-20 14:59:00. "
        "Event id pix_1 (the pixel's)."
    )


def test_waiting_tells_the_last_run_and_the_next() -> None:
    stage = told(entry())["waiting"]

    assert stage.sentence == (
        "In the queue, or on its way there; the sender runs every 5 minutes, last ran 2026-11-20 14:58:00, next about "
        "2026-11-20 15:03:00. 6 days 23 h of OpenAI's 7 days are left."
    )
    assert stage.good is None


@pytest.mark.parametrize(
    ("sending", "why"),
    [
        (Sending(NOW_MS, mode="shadow"), "Not sent yet, and not while DeliveryMode is shadow"),
        (Sending(NOW_MS, schedule=Schedule("rate(1 hour)", False)), "not while the sender's schedule is disabled"),
        (
            Sending(NOW_MS, circuit=Circuit("blocked", "put another key (HTTP 401)", NOW_MS - DAY, 0, 0)),
            "Not sent yet. Since 2026-11-19 15:00:00: Put another key (HTTP 401).",
        ),
    ],
)
def test_waiting_tells_what_it_waits_for_and_asks_for_a_look(sending: Sending, why: str) -> None:
    stage = told(entry(), sending)["waiting"]

    assert why in stage.sentence
    assert stage.good is False
    assert "relay status" in (story.advice(entry(), sending) or "")


def test_waiting_without_knowing_the_schedule() -> None:
    sending = Sending(NOW_MS)

    assert "the next run of the sender takes it" in told(entry(), sending)["waiting"].sentence
    assert story.advice(entry(), sending) is None


def test_waiting_for_a_sender_that_has_not_run_or_is_due() -> None:
    silent = Sending(NOW_MS, schedule=Schedule("rate(1 hour)", True))
    due = Sending(NOW_MS, schedule=replace(EVERY_FIVE, last_ms=NOW_MS - 9 * MINUTE))

    assert "every hour, has not run lately." in told(entry(), silent)["waiting"].sentence
    assert "last ran 2026-11-20 14:51:00, and is due." in told(entry(), due)["waiting"].sentence


def test_one_that_a_run_has_left_behind_asks_for_a_look() -> None:
    left = entry(recorded_ms=NOW_MS - DAY)

    assert "the run of 2026-11-20 14:58:00 has not taken it" in told(left)["waiting"].sentence
    assert story.advice(left, Sending(NOW_MS, schedule=EVERY_FIVE)) is not None


def test_few_days_left_ask_for_a_look_and_none_for_nothing() -> None:
    few = entry(event={"timestamp_ms": NOW_MS - 6 * DAY})
    none = entry(event={"timestamp_ms": NOW_MS - 8 * DAY})
    sending = Sending(NOW_MS, schedule=EVERY_FIVE)

    assert "23 h 59 min of OpenAI's 7 days are left." in told(few)["waiting"].sentence
    assert story.advice(few, sending) is not None
    assert "the next run of the sender ends it as expired" in told(none)["waiting"].sentence
    assert story.advice(none, sending) is None


@pytest.mark.parametrize(
    ("left_ms", "said"),
    [(10 * MINUTE, "may tell more."), (30_000, "Nothing changes it any more."), (-1, "for a delivery that might tell")],
)
def test_held(left_ms: int, said: str) -> None:
    assert said in told(entry(hold_until_ms=NOW_MS + left_ms))["held"].sentence


def test_amended() -> None:
    assert told(entry(amended_ms=NOW_MS - 1))["amended"].at_ms == NOW_MS - 1


def test_replayed() -> None:
    replayed = entry(recorded_ms=NOW_MS - DAY, reopened_ms=NOW_MS - MINUTE, reopened_from="rejected")

    assert told(replayed)["replayed"].sentence == "It was rejected, and was put on its way again."
    assert told(replayed)["waiting"].good is None


def test_sent() -> None:
    stages = told(entry("sent", settled_ms=NOW_MS, reason="accepted by OpenAI"))

    assert stages["sent"].sentence == "After 1 min."
    assert (stages["OpenAI"].sentence, stages["OpenAI"].good) == ("Accepted by OpenAI.", True)
    assert "waiting" not in stages


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("data.amount: invalid_amount", "Refused it for good because of data.amount (invalid_amount)."),
        ("HTTP 400", "Refused it for good: HTTP 400."),
        ("", "Refused it for good, without a reason."),
    ],
)
def test_rejected(reason: str, said: str) -> None:
    rejected = entry("rejected", settled_ms=NOW_MS, reason=reason)

    assert told(rejected)["OpenAI"].sentence == said
    assert "relay replay ledger --status rejected" in (story.advice(rejected, Sending(NOW_MS)) or "")


def test_a_rejected_one_that_is_too_old_asks_for_nothing() -> None:
    old = entry("rejected", {"timestamp_ms": NOW_MS - 8 * DAY}, settled_ms=NOW_MS)

    assert (story.advice(old, Sending(NOW_MS)) or "").startswith("Nothing:")


def test_expired_and_shadow() -> None:
    expired = entry("expired", settled_ms=NOW_MS, reason="7 d 2 h old when it could have been sent")

    assert "7 d 2 h old when it could have been sent." in told(expired)["expired"].sentence
    assert "never sent" in told(entry("shadow"))["shadow"].sentence


def test_an_object_to_fetch() -> None:
    noted = entry("to_fetch", key="fetch#stripe:evt_1", text="{}")
    fetched = replace(noted, status="fetched", reason="recorded: recorded order_created#stripe:cs_1", settled_ms=1)

    assert [each.name for each in story.stages(noted, Sending(NOW_MS))] == ["noted", "waiting"]
    assert "order_created#stripe:cs_1" in story.stages(fetched, Sending(NOW_MS))[1].sentence


def test_what_it_is_matched_by_is_told_by_kind_alone() -> None:
    user = {"emails_sha256": ["a" * 64], "obref": "secret.ref", "ip_address": "203.0.113.9", "cities": ["Berlin"]}
    stage = told(entry(event={"oppref": "op1.secret", "user": user}))["matching"]

    assert stage.sentence == (
        "OpenAI can match it by click reference (oppref), browser reference (obref) and hashed e-mail; beside them "
        "place and IP address."
    )


def test_what_cannot_be_matched_is_told_so() -> None:
    weak = told(entry(event={"user": {"ip_address": "203.0.113.9", "user_agent": "x"}}))["matching"]

    assert "cannot match it to a click: IP address and user agent alone are not enough" in weak.sentence
    assert "nothing of a person is in it" in told(entry())["matching"].sentence


def test_an_event_that_breaks_the_contract_is_explained_too() -> None:
    broken = entry("rejected", {"action_source": "website", "oppref": "op1.x"}, settled_ms=NOW_MS)

    assert told(broken)["matching"].good


@pytest.mark.parametrize("name", [each.name for each in samples.samples()])
def test_the_kinds_are_those_that_the_receivers_go_by(name: str) -> None:
    sample = samples.sample(name)
    settings = Settings(storefront_origin="https://northwind-trail.example", require_match_key="none", count_carts=True)
    receiver = Receiver(
        SOURCES[sample.source], KnownSecrets(["s"]), InMemoryLedger(), InMemoryParking(), settings, lambda: NOW_MS
    )
    event = receiver.receive(sample.delivery("s", datetime.fromtimestamp(NOW_MS / 1000, UTC))).event

    if event is not None:
        assert bool(story.match_keys(event.wire())) == has_match_key(event.user, event.oppref)
        assert story.is_matchable(event.wire()) == has_match_key(event.user, event.oppref)


def test_a_delivery_is_told_with_its_reason() -> None:
    ignored = Line(1, "shopify", "ignored", "refund", "the API knows no refund")

    assert story.delivered(ignored) == "ignored (refund): the API knows no refund"
    assert story.delivered(replace(ignored, outcome="duplicate", reason="duplicate")).startswith("a duplicate: ")


def test_every_source_has_a_name_for_people() -> None:
    assert set(story.SOURCES) >= SOURCES.keys() - {"generic"}
    assert story.source("some-platform") == "some-platform"


def test_schedules_in_words() -> None:
    rates = ("rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "cron(x)")

    assert [Schedule(each, True).words for each in rates] == [
        "every minute",
        "every 5 minutes",
        "every hour",
        "cron(x)",
    ]
    assert Schedule("rate(5 minutes)", True).every == timedelta(minutes=5)
    assert Schedule("cron(x)", True).every == timedelta(hours=1)
