"""What the demo's browser half holds its shoppers to."""

from typing import Any

import pytest

from tools.demo_browser import VISITS, amiss, match_keys


def counted(channel: str, **copies: int) -> dict[str, Any]:
    return {"channel": channel, "duplicates_from": copies}


def as_wanted() -> list[tuple[Any, str, Any]]:
    return [
        (each, each.outcome, counted(each.first, **dict.fromkeys(each.copies, 1)) if each.first else None)
        for each in VISITS
    ]


def test_visits_that_end_as_they_must_are_not_amiss() -> None:
    assert amiss(as_wanted()) == []


@pytest.mark.parametrize("position", range(len(VISITS)))
@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ("parked", None),
        ("recorded", counted("server", server=1)),
        ("recorded", counted("pixel")),
        ("recorded", counted("pixel", server=2)),
    ],
    ids=["parked", "sent twice", "pixel alone", "two copies"],
)
def test_a_visit_that_ends_otherwise_is_named(position: int, outcome: str, kept: Any) -> None:
    visits = as_wanted()
    wanted = visits[position][0]
    visits[position] = (wanted, outcome, kept)

    [told] = amiss(visits)

    assert told.startswith(f"{wanted.about}: {outcome}, first by ")


def test_an_event_is_matched_by_what_it_carries() -> None:
    event = {"oppref": "op1", "user": {"user_agent": "Mozilla", "emails_sha256": ["…"], "cities": ["Austin"]}}

    assert match_keys(event) == ["oppref", "device", "e-mail"]
    assert match_keys({"id": "1"}) == []
