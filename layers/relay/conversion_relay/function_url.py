"""A Lambda Function URL's event (payload format 2.0) as a delivery, and an outcome as its answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conversion_relay.delivery import Delivery

if TYPE_CHECKING:
    from conversion_relay.delivery import Outcome


def delivery_in(event: Mapping[str, Any], origin: str = "") -> Delivery:
    """The request with its exact body bytes: signatures are over these, not over what JSON makes of them.

    ``origin``: scheme and host that senders call, where that is not the Function URL itself (a domain in front of it).
    """
    body = event.get("body") or ""
    # Neither raises on text that is broken in its own way: the signature then decides.
    raw = _decoded(body) if event.get("isBase64Encoded") else body.encode("utf-8", "surrogatepass")
    context = event.get("requestContext") or {}
    http = context.get("http") or {}
    domain = context.get("domainName")
    return Delivery(
        method=http.get("method", "POST"),
        path=event.get("rawPath") or "/",
        query=event.get("rawQueryString") or "",
        headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
        body=raw,
        origin=origin or (f"https://{domain}" if domain else ""),
    )


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError:
        return body.encode("utf-8", "surrogatepass")


def answer(outcome: Outcome) -> dict[str, Any]:
    """What the platform gets to see: outcome, reason and ledger key, for its own log. Details are for ours."""
    if outcome.handshake is not None:
        # Sent back is what a stranger has sent: never as anything that a browser would run.
        headers = {"content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"}
        return {
            "statusCode": outcome.http,
            "headers": {**headers, **outcome.handshake.headers},
            "body": outcome.handshake.text,
        }
    told = {"outcome": outcome.kind, "reason": outcome.reason, "key": outcome.key}
    return {
        "statusCode": outcome.http,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({name: value for name, value in told.items() if value is not None}),
    }
