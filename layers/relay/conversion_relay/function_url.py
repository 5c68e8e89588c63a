"""A Lambda Function URL's event (payload format 2.0) as a delivery, and an outcome as its answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conversion_relay.delivery import Delivery

if TYPE_CHECKING:
    from conversion_relay.delivery import Outcome


def delivery_in(event: Mapping[str, Any]) -> Delivery:
    """The request with its exact body bytes: signatures are over these, not over what JSON makes of them."""
    body = event.get("body") or ""
    # Neither raises on text that is broken in its own way: the signature then decides.
    raw = _decoded(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    http = (event.get("requestContext") or {}).get("http") or {}
    return Delivery(
        method=http.get("method", "POST"),
        path=event.get("rawPath") or "/",
        query=event.get("rawQueryString") or "",
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=raw,
    )


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError:
        return body.encode("utf-8", "surrogatepass")


def answer(outcome: Outcome) -> dict[str, Any]:
    """What the platform gets to see: outcome, reason and ledger key, for its own log. Details are for ours."""
    told = {"outcome": outcome.kind, "reason": outcome.reason, "key": outcome.key}
    return {
        "statusCode": outcome.http,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({name: value for name, value in told.items() if value is not None}),
    }
