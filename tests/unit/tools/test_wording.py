"""Times, spans, counts and money, as they are written for people."""

import pytest

from tools.wording import count, iso, moment, span, worth


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "0 s"), (-5, "0 s"), (999, "0 s"), (1_000, "1 s"), (65_000, "1 min 5 s"), (60_000, "1 min"),
        (3_600_000, "1 h"), (3_605_000, "1 h"), (7_500_000, "2 h 5 min"), (86_400_000, "1 day"),
        (176_400_000, "2 days 1 h"), (86_460_000, "1 day"),
    ],
)  # fmt: skip
def test_spans_in_their_two_largest_units(ms: int, written: str) -> None:
    assert span(ms) == written


def test_moments() -> None:
    assert moment(1_795_186_800_999) == "2026-11-20 15:00:00"
    assert iso(1_795_186_800_999) == "2026-11-20T15:00:00Z"
    assert (iso(None), iso(0)) == (None, None)


def test_counts() -> None:
    assert [count(n, "message") for n in (0, 1, 1204)] == ["0 messages", "1 message", "1,204 messages"]
    assert count(2, "delivery", "deliveries") == "2 deliveries"


@pytest.mark.parametrize(
    ("data", "written"),
    [
        ({"amount": 20063, "currency": "USD"}, "200.63 USD"), ({"amount": 4510, "currency": "JPY"}, "4,510 JPY"),
        ({"amount": 12345, "currency": "KWD"}, "12.345 KWD"), ({}, None), ({"amount": 1, "currency": "???"}, None),
    ],
)  # fmt: skip
def test_worth(data: dict[str, object], written: str | None) -> None:
    assert worth({"data": data}) == written
