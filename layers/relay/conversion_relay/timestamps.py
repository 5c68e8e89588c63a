"""Times as the platforms write them, as Unix milliseconds in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


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
