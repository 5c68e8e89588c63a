"""How Twilio writes and signs: a form, with its whole address in the signature.

What a sample's address carries after its path stands in the field ``?``.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlencode

from conversion_relay.delivery import Delivery
from conversion_relay.sources import twilio
from tools.samples.style import Style, Writing

QUERY: Final = "?"


def _written(writing: Writing) -> Delivery:
    fields = {name: str(value) for name, value in writing.payload.items() if name != QUERY}
    query = str(writing.payload.get(QUERY, ""))
    url = f"{writing.address}?{query}" if query else writing.address
    return writing.sent(
        urlencode(fields).encode(),
        {
            "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
            "user-agent": "TwilioProxy/1.1",
            "x-twilio-signature": twilio.sign(url, fields.items(), writing.secret),
            "i-twilio-idempotency-token": secrets.token_hex(16),
        },
        query,
    )


def _moved(payload: Any, by: timedelta) -> Any:
    if "Timestamp" not in payload:
        return dict(payload)
    told: datetime = parsedate_to_datetime(payload["Timestamp"])
    return payload | {"Timestamp": format_datetime(told + by)}


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"CallSid": f"CA{secrets.token_hex(16)}"}


STYLE: Final = Style(lambda name, _: name.partition(".")[0], _moved, _renamed, _written)
