"""Times as the platforms write them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion_relay.timestamps import from_iso, from_rfc2822, from_unix, from_unix_ms

NOON_MS = 1795348800000  # 2026-11-22T12:00:00Z


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-11-22T12:00:00Z", NOON_MS),
        ("2026-11-22T12:00:00+00:00", NOON_MS),
        ("2026-11-22T07:00:00-05:00", NOON_MS),
        ("2026-11-22T17:45:00+05:45", NOON_MS),
        ("2026-11-22 12:00:00Z", NOON_MS),
        (" 2026-11-22T12:00:00Z\n", NOON_MS),
        ("20261122T120000Z", NOON_MS),
        ("2026-11-22T12:00:00.5Z", NOON_MS + 500),
        ("2026-11-22T12:00:00.001Z", NOON_MS + 1),
        ("2026-11-22T12:00:00,001Z", NOON_MS + 1),
        ("2026-11-22T12:00:00.000999999Z", NOON_MS),
        ("2026-11-22T12:00:00.123999999Z", NOON_MS + 123),
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("0001-01-01T00:00:00+23:59", -62135683140000),
        ("9999-12-31T23:59:59-23:59", 253402387139000),
        # Daylight saving is in the zone of the text, not in ours
        ("2026-03-29T02:30:00+01:00", 1774747800000),
    ],
)
def test_text_with_a_zone(text: str, milliseconds: int) -> None:
    assert from_iso(text) == milliseconds


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22T12:00:00",
        "2026-11-22",
        "12:00:00Z",
        "",
        " ",
        "now",
        "1795348800000",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-22T25:00:00Z",
        "2026-11-22T12:00:60Z",
        "2026-11-22T12:00:00+25:00",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "٢٠٢٦-11-22T12:00:00Z",
        "\ud800",
        None,
        1795348800,
        1795348800.5,
        True,
        [],
        datetime(2026, 11, 22, tzinfo=UTC),
    ],
    ids=ascii,
)
def test_anything_else_is_none(value: object) -> None:
    assert from_iso(value) is None


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone comes below
    st.integers(-14 * 60, 14 * 60),
)
def test_the_moment_does_not_depend_on_the_zone(moment: datetime, minutes: int) -> None:
    utc = moment.replace(tzinfo=UTC)
    elsewhere = utc.astimezone(timezone(timedelta(minutes=minutes)))

    assert (
        from_iso(elsewhere.isoformat())
        == from_iso(utc.isoformat())
        == (utc - datetime.fromtimestamp(0, UTC)) // (timedelta(milliseconds=1))
    )


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_a_time_or_none(text: str) -> None:
    assert isinstance(from_iso(text), int | None)


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0, 0), (1795186796, 1795186796000), (253402300799, 253402300799_000)]
)
def test_unix_seconds(seconds: int, milliseconds: int) -> None:
    assert from_unix(seconds) == milliseconds


@pytest.mark.parametrize("value", [-1, 253402300800, 10**30, 1.5, Decimal("1"), True, "1795186796", None, [], {}])
def test_what_is_no_unix_time(value: object) -> None:
    assert from_unix(value) is None


@pytest.mark.parametrize(
    ("milliseconds"),
    [0, 1, 1795186796123, 253402300799_000],
)
def test_unix_milliseconds(milliseconds: int) -> None:
    assert from_unix_ms(milliseconds) == milliseconds


@pytest.mark.parametrize(
    "value", [-1, 253402300799_001, 10**30, 1.5, Decimal("1"), True, "1795186796123", None, [], {}]
)
def test_what_are_no_unix_milliseconds(value: object) -> None:
    assert from_unix_ms(value) is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("Sun, 22 Nov 2026 12:00:00 +0000", NOON_MS),
        ("Sun, 22 Nov 2026 07:00:00 -0500", NOON_MS),
        ("Sun, 22 Nov 2026 12:00:00 GMT", NOON_MS),
        ("22 Nov 2026 12:00:00 +0000", NOON_MS),
        ("Sun, 22 Nov 2026 12:00:00 -0000", NOON_MS),  # UTC, told from somewhere unknown (RFC 5322, 3.3)
        (" Sun, 22 Nov 2026 12:00:00 +0000\n", NOON_MS),
        # The day of the week is decoration; the date decides
        ("Mon, 22 Nov 2026 12:00:00 +0000", NOON_MS),
    ],
)
def test_rfc_2822_with_a_zone(text: str, milliseconds: int) -> None:
    assert from_rfc2822(text) == milliseconds


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 22 Nov 2026 12:00:00",
        "2026-11-22T12:00:00Z",
        "Sun, 32 Nov 2026 12:00:00 +0000",
        "Sun, 22 Nov 2026 25:00:00 +0000",
        "Sun, 22 Nov 99999 12:00:00 +0000",
        "Sun, 22 Nov 2026 12:00:00 +99999999",
        "Sun, 22 Nov 2026 12:00:00 +0000" + " " * 40,
        "Sun",
        "",
        None,
        1795348800,
        True,
        [],
    ],
    ids=ascii,
)
def test_what_is_no_rfc_2822_time(value: object) -> None:
    assert from_rfc2822(value) is None


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_is_an_rfc_2822_time_or_none(text: str) -> None:
    assert isinstance(from_rfc2822(text), int | None)
