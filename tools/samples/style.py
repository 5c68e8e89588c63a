"""How a platform writes: what it says the topic is, its times and ids, and the request that it makes of a payload."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from conversion_relay.delivery import Delivery

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FIRST_TIME_S: Final = 1_000_000_000
_FIRST_TIME_MS: Final = _FIRST_TIME_S * 1000


@dataclass(frozen=True, slots=True)
class Writing:
    """A payload to be sent: signed with what, when, by whom, and to which address (without a query)."""

    topic: str
    payload: Mapping[str, Any]
    secret: str
    now: datetime
    tenant: str | None
    address: str

    def sent(self, body: bytes, headers: Mapping[str, str], query: str = "", method: str = "POST") -> Delivery:
        """The request to the address; ``headers`` in lower case, as a Function URL hands them on."""
        parts = urlsplit(self.address)
        return Delivery(method, parts.path or "/", query, headers, body, f"{parts.scheme}://{parts.netloc}")


@dataclass(frozen=True, slots=True)
class Style:
    """``topic`` of a file's name and payload; ``moved`` in time; ``renamed`` to be another object; ``written``."""

    topic: Callable[[str, Mapping[str, Any]], str]
    moved: Callable[[Any, timedelta], Any]
    renamed: Callable[[Any], Any]
    written: Callable[[Writing], Delivery]


def moved(value: Any, by: timedelta) -> Any:
    """All times in a payload moved: texts in ISO 8601, and whole numbers as large as a Unix time in s or ms.

    No amount of money in a sample is as large as a time.
    """
    if isinstance(value, dict):
        return {key: moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, by) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and value > _FIRST_TIME_S:
        return value + int(by.total_seconds()) * (1000 if value > _FIRST_TIME_MS else 1)
    return moved_text(value, by)


def moved_text(value: Any, by: timedelta) -> Any:
    """A text moved, if it is a time in ISO 8601; anything else as it is."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return value
    later = datetime.fromisoformat(value) + by
    return later.isoformat(timespec="milliseconds" if "." in value else "seconds").replace("+00:00", "Z")
