"""The circuit between the relay and OpenAI, which the sender opens when OpenAI blocks or is out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Circuit:
    """An open circuit. Times are Unix milliseconds.

    ``advice`` says what OpenAI answered and what to do. ``until_ms``: no request before then (0: none was asked for).
    ``oldest_ms`` is the time of the oldest event that is known to wait behind it.
    """

    state: Literal["blocked", "outage"]
    advice: str
    since_ms: int
    until_ms: int
    oldest_ms: int
