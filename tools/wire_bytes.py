"""The events of a batch as they stand in its bytes: what a parser would give back says nothing of spaces and order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


def events_as_sent(body: bytes) -> list[str]:
    """The text of each event in a request body, exactly as it came; none if the body is no batch."""
    try:
        text = body.decode()
        return list(_elements(text, _start_of_events(text)))
    except (ValueError, IndexError, RecursionError):
        return []


def _start_of_events(text: str) -> int:
    """Where the value of the root field ``events`` begins. ValueError or IndexError if there is none."""
    at = _after(text, 0, "{")
    while True:
        name, at = _DECODER.raw_decode(text, at)
        at = _after(text, at, ":")
        if name == "events":
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _after(text, at, ",")


def _elements(text: str, at: int) -> Iterator[str]:
    at = _after(text, at, "[")
    while text[at] != "]":
        start = at
        _, at = _DECODER.raw_decode(text, start)
        yield text[start:at]
        at = _skipped(text, at)
        if text[at] != "]":
            at = _after(text, at, ",")


def _after(text: str, at: int, sign: str) -> int:
    at = _skipped(text, at)
    if text[at] != sign:
        raise ValueError(f"{sign} expected")
    return _skipped(text, at + 1)


def _skipped(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
