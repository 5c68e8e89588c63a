"""How CallTrackingMetrics writes and signs."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import calltrackingmetrics
from tools.samples.style import Style, Writing, moved


def _written(writing: Writing) -> Delivery:
    body = json.dumps(writing.payload, ensure_ascii=False, separators=(",", ":")).encode()
    time = str(int(writing.now.timestamp()))
    return writing.sent(
        body,
        {
            "content-type": "application/json",
            "user-agent": "CTM/1.0",
            "x-ctm-time": time,
            "x-ctm-signature": calltrackingmetrics.sign(body, writing.secret, time),
        },
    )


def _moved(value: Any, by: Any) -> Any:
    # Its ids are as large as times.
    later = moved(value, by)
    return later | {"id": value["id"]} if isinstance(value, dict) and "id" in value else later


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"id": secrets.randbelow(10**9) + 2_300_000_000}


STYLE: Final = Style(lambda name, _: name.partition(".")[0], _moved, _renamed, _written)
