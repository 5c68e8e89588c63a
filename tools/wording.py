"""Times, spans, counts and money as the commands write them for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from conversion_relay import money

_SPANS: Final = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(at_ms: int) -> str:
    """A time (Unix milliseconds) in UTC, such as ``2026-11-20 14:59:52``."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def iso(at_ms: int | None) -> str | None:
    """A time (Unix milliseconds) for machines, such as ``2026-11-20T14:59:52Z``."""
    return None if not at_ms else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(ms: int) -> str:
    """A length of time in its two largest units, such as ``3 days 4 h``, ``12 min 5 s`` or ``0 s``."""
    left = max(ms, 0) // 1000
    for place, (unit, seconds) in enumerate(_SPANS):
        if left >= seconds:
            first, left = divmod(left, seconds)
            words = _unit(first, unit)
            smaller, size = _SPANS[place + 1] if place + 1 < len(_SPANS) else ("", 0)
            return f"{words} {_unit(left // size, smaller)}" if size and left >= size else words
    return "0 s"


def _unit(number: int, unit: str) -> str:
    return f"{number} {unit}{'s' if unit == 'day' and number != 1 else ''}"


def count(number: int, thing: str, things: str = "") -> str:
    """Such as ``1 message`` or ``1,204 messages``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def worth(event: Mapping[str, Any]) -> str | None:
    """The value of an event, such as ``200.63 USD``; None where it has none."""
    data = event.get("data", {})
    amount, currency = data.get("amount"), data.get("currency")
    if not isinstance(amount, int) or currency not in money.EXPONENTS:
        return None
    exponent = money.EXPONENTS[currency]
    return f"{amount / 10**exponent:,.{exponent}f} {currency}"
