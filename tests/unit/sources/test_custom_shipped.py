"""The platforms in ``functions/custom/platforms/``: how what they send may vary, beyond the samples in ``events/``."""

from typing import Any
from urllib.parse import urlencode

import pytest

from conversion_relay.delivery import Conversion, Delivery, Ignored
from conversion_relay.settings import Settings
from tests.unit.sources.platforms import NOW_MS, posted
from tools.samples import sample
from tools.sources import PLATFORMS, SOURCES


def became(name: str, changes: dict[str, Any], **settings: Any) -> str:
    """The type of the event that a sample with fields replaced becomes, or why it becomes none."""
    platform = name.partition("/")[0]
    payload = dict(sample(name).payload)
    for path, value in changes.items():
        *outer, last = path.split(".")
        place = payload
        for each in outer:
            place[each] = place = dict(place[each])
        place[last] = value
    given: Delivery = posted(payload)
    if PLATFORMS[platform]["body"] == "query":
        given = posted(b"", method="GET", query=urlencode(payload))
    made = SOURCES[platform].normalize(given, Settings(**settings), NOW_MS, lambda _: None)
    assert isinstance(made, Conversion | Ignored)
    return made.reason if isinstance(made, Ignored) else made.event.type


@pytest.mark.parametrize(
    ("flag", "becomes"),
    [
        ("true", "duplicate_call"), ("True", "duplicate_call"), ("TRUE", "duplicate_call"), ("1", "duplicate_call"),
        ("yes", "duplicate_call"), ("false", "lead_created"), ("False", "lead_created"), ("0", "lead_created"),
        ("no", "lead_created"), ("", "lead_created"),
    ],
)  # fmt: skip
def test_ringba_marks_a_duplicate_in_any_spelling(flag: str, becomes: str) -> None:
    assert became("ringba/call", {"dupe": flag}, first_time_only=False) == becomes


@pytest.mark.parametrize("platform", ["ringba", "retreaver"])
def test_a_pixel_may_also_be_posted(platform: str) -> None:
    assert PLATFORMS[platform]["methods"] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("changes", "becomes"),
    [
        ({"data.answered_at": 1795186415.5, "data.ended_at": 1795186600.25}, "lead_created"),
        ({"data.started_at": 1795186400.0}, "lead_created"),
        ({"data.started_at": "1795186400"}, "lead_created"),
        ({"data.voicemail": ""}, "lead_created"),
        ({"data.voicemail": "https://assets.example/v.mp3"}, "voicemail"),
        ({"data.status": None}, "lead_created"),
        ({"data.answered_at": "", "data.ended_at": None}, "too_short"),
    ],
)
def test_aircall(changes: dict[str, Any], becomes: str) -> None:
    assert became("aircall/call.ended", changes) == becomes


@pytest.mark.parametrize(
    ("name", "value", "becomes"),
    [
        ("Appointment Set", "true", "appointment_scheduled"),
        ("appointment", True, "appointment_scheduled"),
        ("APPOINTMENT", "", "appointment_scheduled"),
        ("Appointment Set", None, "appointment_scheduled"),
        ("Appointment Set", "False", "lead_created"),
        ("Appointment Set", False, "lead_created"),
        ("Appointment Set", 0, "lead_created"),
        ("Quote given", "true", "lead_created"),
        ("", "", "lead_created"),
        (None, None, "lead_created"),
    ],
)
def test_invoca_s_signal_of_an_appointment_is_a_conversion_of_its_own(name: Any, value: Any, becomes: str) -> None:
    assert became("invoca/call", {"signal_name": name, "signal_value": value}) == becomes
