"""How CallRail writes and signs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import callrail
from tools.samples.style import Style, Writing, moved


def as_json(payload: Mapping[str, Any]) -> bytes:
    """JSON as CallRail writes it: compact, with ``&`` escaped."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).replace("&", "\\u0026").encode()


def _written(writing: Writing) -> Delivery:
    body = as_json(writing.payload)
    return writing.sent(
        body,
        {
            "content-type": "application/json",
            "user-agent": "CallRail Webhooks",
            "signature": callrail.sign(body, writing.secret),
        },
    )


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"resource_id": f"{payload.get('resource_id', 'CAL')[:3]}{secrets.token_hex(16)}"}


STYLE: Final = Style(lambda name, _: name.partition(".")[0], moved, _renamed, _written)
