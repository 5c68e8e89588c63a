"""Times as a person gives them on a command line and reads them in a table. All are Unix milliseconds, UTC."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from conversion_relay import timestamps

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def now_ms() -> int:
    """The present."""
    return time.time_ns() // 1_000_000


def span_ms(text: str) -> int:
    """How long ``15m``, ``12h``, ``3d`` or ``1w`` is.

    Raises:
        argparse.ArgumentTypeError: it is no such span.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no span of time such as 15m, 12h or 3d")
    return int(found[1]) * _UNITS_MS[found[2]]


def moment(text: str, clock: Callable[[], int] = now_ms) -> int:
    """The moment that is meant by ``3d`` (so long ago), ``2026-11-20`` (its beginning) or ``2026-11-20T15:00:00Z``.

    Raises:
        argparse.ArgumentTypeError: it is neither, or a time without its zone.
    """
    given = text.strip()
    if _SPAN.fullmatch(given):
        return clock() - span_ms(given)
    found = timestamps.from_iso(f"{given}T00:00:00Z" if _DATE.fullmatch(given) else given)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"{text} is neither a span such as 12h or 3d nor a time with its zone such as 2026-11-20T15:00:00Z"
        )
    return found


def written(ms: int) -> str:
    """A moment for a table, to the second; a dash for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if ms else "–"
