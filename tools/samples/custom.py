"""How a custom platform writes and signs: as its file says. A new platform needs no code here, only samples."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlencode

from conversion_relay.delivery import Delivery
from conversion_relay.sources.custom import verification
from conversion_relay.sources.custom.expression import Reader
from conversion_relay.sources.custom.format import Platform
from tools.platforms import shipped
from tools.samples.style import Style, Writing, moved_text

_PRESENT_S: Final = int(datetime(2026, 11, 20, 15, tzinfo=UTC).timestamp())
_NEAR_S: Final = 400 * 86_400
"""A number is a time if it lies this near to the present of the samples, in s or ms: ids and phones are as large."""


def unsigned(platform: Platform, writing: Writing) -> Delivery:
    """The request that a platform makes of a payload, before it is signed."""
    if platform.body == "query":
        return writing.sent(b"", {}, urlencode(writing.payload, quote_via=quote), platform.methods[0])
    if platform.body == "form":
        body = urlencode(writing.payload).encode()
        return writing.sent(body, {"content-type": "application/x-www-form-urlencoded"})
    body = json.dumps(writing.payload, ensure_ascii=False, separators=(",", ":")).encode()
    return writing.sent(body, {"content-type": "application/json"})


def moved(value: Any, by: timedelta) -> Any:
    """All times in a payload moved: ISO 8601, and Unix times as numbers or as text."""
    if isinstance(value, dict):
        return {key: moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [moved(each, by) for each in value]
    digits = value if isinstance(value, str) and value.isdecimal() else str(value) if type(value) is int else ""
    for unit in (1, 1000):
        if digits and abs(int(digits) - _PRESENT_S * unit) < _NEAR_S * unit:
            return type(value)(int(digits) + int(by.total_seconds()) * unit)
    return moved_text(value, by)


def _style(platform: Platform) -> Style:
    def written(writing: Writing) -> Delivery:
        now_ms = int(writing.now.timestamp() * 1000)
        return verification.sign(platform, unsigned(platform, writing), writing.secret, now_ms)

    def renamed(payload: Any) -> Any:
        """Another object: its id, wherever it stands in the payload, becomes another one."""
        nowhere = Delivery("POST", "/", "", {}, b"")
        said = platform.survey or platform.conversion
        known = Reader(payload, nowhere).value(said.id) if said is not None else None
        return payload if known is None else _replaced(payload, str(known), str(secrets.randbelow(10**9) + 10**9))

    return Style(lambda name, _: name.partition(".")[0], moved, renamed, written)


def _replaced(value: Any, known: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, known, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, known, new) for each in value]
    if isinstance(value, str):
        return value.replace(known, new)
    return int(new) if type(value) is int and str(value) == known else value


PLATFORMS: Final[Mapping[str, Platform]] = {
    name: Platform.model_validate(definition) for name, definition in shipped().items()
}
STYLES: Final[Mapping[str, Style]] = {name: _style(platform) for name, platform in PLATFORMS.items()}
