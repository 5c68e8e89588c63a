"""Times on a command line and in a table."""

import argparse

import pytest

from tools import moments

NOW_MS = 1_795_186_800_000  # 2026-11-20T15:00:00Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0m", 0), ("45s", 45_000), ("15m", 900_000), ("12h", 43_200_000), ("3d", 259_200_000), ("1w", 604_800_000)],
)
def test_a_span_is_a_number_and_a_unit(text: str, expected: int) -> None:
    assert moments.span_ms(text) == expected


@pytest.mark.parametrize("text", ["", "15", "m", "-3d", "1.5h", "3 days", "3D", "1h30m"])
def test_anything_else_is_no_span(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no span of time such as 15m"):
        moments.span_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h", NOW_MS - 3_600_000),
        ("7d", NOW_MS - 604_800_000),
        ("2026-11-20", NOW_MS - 15 * 3_600_000),
        ("2026-11-20T15:00:00Z", NOW_MS),
        ("2026-11-20T10:00:00-05:00", NOW_MS),
        (" 2026-11-20T15:00Z ", NOW_MS),
    ],
)
def test_a_moment_is_a_span_ago_a_day_or_a_time_with_its_zone(text: str, expected: int) -> None:
    assert moments.moment(text, lambda: NOW_MS) == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-11-20T15:00:00", "2026-13-01", "15:00", "1795186800000", ""])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="nor a time with its zone"):
        moments.moment(text, lambda: NOW_MS)


def test_a_moment_is_written_to_the_second_and_none_as_a_dash() -> None:
    assert moments.written(NOW_MS + 999) == "2026-11-20 15:00:00"
    assert moments.written(0) == "–"
