"""When a call is a lead, whatever platform reports it."""

from decimal import Decimal
from typing import Any

import pytest

from conversion_relay.delivery import Conversion, Ignored
from conversion_relay.settings import Settings
from conversion_relay.sources.calls import Call, lead

NOW_MS = 1795186800000
PHONE = {"phone_numbers_sha256": ["0511c8c24888f2d08f69ee0233eb2c4e6a1be5436d49c17268013eaab570726e"]}


def decided(settings: Settings | None = None, **fields: Any) -> Conversion | Ignored:
    told: dict[str, Any] = {
        "subject": "callrail:CAL1",
        "started_ms": NOW_MS - 60_000,
        "inbound": True,
        "over": True,
        "answered": True,
        "talk_s": 31,
        "first_time": True,
        "spam": False,
        "voicemail": False,
        "user": PHONE,
    }
    return lead(Call(**(told | fields)), settings or Settings(), NOW_MS)


def reason(settings: Settings | None = None, **fields: Any) -> str | None:
    result = decided(settings, **fields)
    return result.reason if isinstance(result, Ignored) else None


def test_an_answered_call_is_a_lead() -> None:
    result = decided(oppref="op1.a%2B", data={"amount": 14900, "currency": "USD"})

    assert isinstance(result, Conversion)
    assert result.key == "lead_created#callrail:CAL1"
    assert result.event.wire() == {
        "id": "callrail:CAL1",
        "type": "lead_created",
        "timestamp_ms": NOW_MS - 60_000,
        "action_source": "phone_call",
        "oppref": "op1.a%2B",
        "user": PHONE,
        "data": {"type": "customer_action", "amount": 14900, "currency": "USD"},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"inbound": False}, "outbound"),
        ({"spam": True}, "spam"),
        ({"over": False}, "call_not_over"),
        ({"verdict": "not_a_lead"}, "not_a_lead"),
        ({"voicemail": True}, "voicemail"),
        ({"voicemail": True, "answered": False}, "voicemail"),
        ({"answered": False}, "not_answered"),
        ({"talk_s": 29}, "too_short"),
        ({"talk_s": Decimal("29.9")}, "too_short"),
        ({"talk_s": 30}, None),
        ({"talk_s": None}, "too_short"),
        ({"first_time": False}, "repeat_caller"),
        ({"started_ms": NOW_MS - 8 * 86_400_000}, "stale_event"),
        ({"user": {}}, "no_match_key"),
        ({"user": {}, "oppref": "op1"}, None),
    ],
)
def test_what_is_no_lead(fields: dict[str, Any], expected: str | None) -> None:
    assert reason(**fields) == expected


def test_what_the_platform_does_not_say_decides_nothing() -> None:
    assert reason(inbound=None, over=None, answered=None, first_time=None, spam=None, voicemail=None) is None


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (Settings(count_voicemail=True), {"voicemail": True, "answered": False}),
        (Settings(first_time_only=False), {"first_time": False}),
        (Settings(min_call_seconds=5), {"talk_s": 5}),
        (Settings(require_match_key="none"), {"user": {}}),
    ],
)
def test_settings_let_more_through(settings: Settings, fields: dict[str, Any]) -> None:
    assert reason(**fields) is not None
    assert reason(settings, **fields) is None


@pytest.mark.parametrize(
    "fields", [{"talk_s": 4}, {"answered": False}, {"voicemail": True}, {"first_time": False}, {"talk_s": None}]
)
def test_a_person_s_verdict_upgrades_a_call_that_was_ignored(fields: dict[str, Any]) -> None:
    upgraded = decided(**fields, verdict="lead")

    assert isinstance(upgraded, Conversion)
    assert upgraded.key == "lead_created#callrail:CAL1"


@pytest.mark.parametrize("fields", [{"spam": True}, {"inbound": False}, {"over": False}, {"user": {}}])
def test_no_verdict_makes_these_a_lead(fields: dict[str, Any]) -> None:
    assert reason(**fields, verdict="lead") is not None
