"""Times as the platforms write them, as Unix milliseconds in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST_RFC2822: Final = 64
_LATEST_S: Final = 253_402_300_799  # the end of the year 9999


def from_iso(value: object) -> int | None:
    """Milliseconds of an ISO 8601 / RFC 3339 text with a zone; finer digits are cut off, not rounded.

    None for anything else, also for a text without a zone: guessing one could move an event by half a day.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        return None if moment.tzinfo is None else (moment - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


def from_rfc2822(value: object) -> int | None:
    """Milliseconds of a text such as ``Fri, 20 Nov 2026 14:45:00 +0000``; None for anything else, or without a zone.

    ``-0000`` is UTC too: it only leaves open where the writer is (RFC 5322, 3.3).
    """
    if not isinstance(value, str) or len(value) > _LONGEST_RFC2822:
        return None
    try:
        moment = parsedate_to_datetime(value.strip())
        if value.rstrip().endswith("-0000"):
            moment = moment.replace(tzinfo=UTC)
        return None if moment.tzinfo is None else (moment - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def from_unix_ms(value: object) -> int | None:
    """A whole number of Unix milliseconds as such; None for anything else, and for what lies before 1970."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_S * 1000:
        return None
    return value


def from_unix(value: object) -> int | None:
    """Milliseconds of a whole number of Unix seconds; None for anything else, and for what lies before 1970."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST_S:
        return None
    return value * 1000
