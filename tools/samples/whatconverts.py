"""How WhatConverts writes, and shows who it is: it signs nothing."""

from __future__ import annotations

import json
import secrets
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import whatconverts
from tools.samples.style import Style, Writing, moved


def _written(writing: Writing) -> Delivery:
    return writing.sent(
        json.dumps(writing.payload, ensure_ascii=False).encode(),
        {
            "content-type": "application/json",
            "user-agent": "WhatConverts",
            "authorization": whatconverts.sign(writing.secret),
        },
    )


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"lead_id": secrets.randbelow(10**6) + 600_000}


STYLE: Final = Style(lambda name, _: name.partition(".")[0], moved, _renamed, _written)
