"""The parking bucket: verified deliveries that could not be understood or recorded, kept raw for replay, 30 days."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery


class ParkingUnavailable(Exception):
    """S3 did not take the delivery: answer 5xx, so that the source sends again."""


class S3Port(Protocol):
    """What parking needs of S3, as boto3 has it."""

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> Any: ...  # noqa: N803


class Parking:
    """Writes whole deliveries, each source's under its name (below ``folder``); nothing else ever holds a raw body."""

    def __init__(self, client: S3Port, bucket: str, folder: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._folder = f"{folder}/" if folder else ""

    def park(self, source: str, delivery: Delivery, reason: str, now_ms: int) -> str:
        """Keep a delivery and say under which key. The key follows from the content, so a retry adds no second copy.

        Raises:
            ParkingUnavailable: nothing was kept.
        """
        day = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y/%m/%d")
        key = f"{self._folder}{source}/{day}/{_fingerprint(delivery)}.json"
        kept = {
            "source": source,
            "reason": reason,
            "parked_ms": now_ms,
            "method": delivery.method,
            "path": delivery.path,
            "query": delivery.query,
            "origin": delivery.origin,
            "headers": dict(delivery.headers),
            "body_base64": base64.b64encode(delivery.body).decode(),
        }
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=json.dumps(kept).encode(), ContentType="application/json"
            )
        except (ClientError, BotoCoreError) as error:
            raise ParkingUnavailable(f"S3 could not keep the delivery ({type(error).__name__})") from error
        return key


def _fingerprint(delivery: Delivery) -> str:
    # The body alone does not tell deliveries apart: a GET has none, and the topic may stand in a header. What AWS puts
    # on each request anew is left out.
    headers = {
        name: value for name, value in delivery.headers.items() if not name.startswith(("x-amzn-", "x-forwarded-"))
    }
    request = json.dumps([delivery.method, delivery.path, delivery.query, headers], sort_keys=True)
    return hashlib.sha256(request.encode() + b"\0" + delivery.body).hexdigest()[:32]


def delivery_in(kept: bytes) -> Delivery:
    """A parked delivery as it came in."""
    from conversion_relay.delivery import Delivery

    held = json.loads(kept)
    body = base64.b64decode(held["body_base64"])
    return Delivery(held["method"], held["path"], held["query"], held["headers"], body, held["origin"])
