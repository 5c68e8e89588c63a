"""Platforms as a test writes them: the least that a file needs, and what the test changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from conversion_relay.delivery import Conversion, Delivery, Ignored, Result
from conversion_relay.settings import Settings
from conversion_relay.sources import custom
from conversion_relay.sources.custom.format import Platform

NOW_MS = 1_795_186_800_000
"""2026-11-20T15:00:00Z"""
SETTINGS = Settings(site_origin="https://example.com")
CONVERSION: Mapping[str, Any] = {
    "type": "lead_created",
    "id": "id",
    "time": {"from": "at", "format": "iso"},
    "action_source": "web",
}
PAYLOAD: Mapping[str, Any] = {"id": "a-1", "at": "2026-11-20T14:00:00Z"}


def definition(conversion: Mapping[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """A platform with a token in the header X-Token; ``conversion`` and other keys are changed or added."""
    return {
        "about": "a platform",
        "verify": {"kind": "header", "header": "X-Token"},
        **keys,
        "conversion": {**CONVERSION, **(conversion or {})},
    }


def platform(conversion: Mapping[str, Any] | None = None, **keys: Any) -> Platform:
    """The same, read."""
    return Platform.model_validate(definition(conversion, **keys))


def posted(payload: Any, **parts: Any) -> Delivery:
    """A delivery of a payload: as JSON, or as the bytes that it is."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Delivery(**{"method": "POST", "path": "/acme", "query": "", "headers": {}, "body": body, **parts})


def result(
    payload: Any, conversion: Mapping[str, Any] | None = None, settings: Settings = SETTINGS, **keys: Any
) -> Result:
    """What becomes of a payload under such a platform; a mapping is added to the least that there must be."""
    source = custom.source("acme", definition(conversion, **keys))
    whole = payload if isinstance(payload, list | bytes) else {**PAYLOAD, **payload}
    return source.normalize(posted(whole), settings, NOW_MS, lambda _: None)


def event(payload: Any, conversion: Mapping[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    """The event that a payload becomes, as it goes out."""
    made = result(payload, conversion, **keys)
    assert isinstance(made, Conversion), made
    return made.event.wire()


def reason(payload: Any, conversion: Mapping[str, Any] | None = None, **keys: Any) -> str:
    """Why a payload is ignored."""
    made = result(payload, conversion, **keys)
    assert isinstance(made, Ignored), made
    return made.reason
