"""The samples in ``events/``: a payload for every topic, made fresh and signed as its platform would.

A file is named after its topic, with an optional variant: ``events/shopify/orders/create.pos.json`` is a delivery of
``orders/create``. All times in it are relative to `WRITTEN_AT`; making a sample fresh moves them to the present.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import shopify

EVENTS: Final = Path(__file__).parent.parent / "events"
WRITTEN_AT: Final = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""The present of the samples."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class UnknownSample(ValueError):
    """There is no such file; the text names those that there are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload: ``name`` is its path, such as ``shopify/orders/create.pos``."""

    name: str
    source: str
    topic: str
    payload: Mapping[str, Any]

    def delivery(self, secret: str, now: datetime, *, shop: str | None = None, new: bool = False) -> Delivery:
        """A freshly signed delivery of it. ``new`` gives the object another id, so that it is another conversion."""
        payload = _moved(self.payload, now - WRITTEN_AT)
        if new:
            payload = _renamed(payload)
        body = shopify_json(payload)
        return Delivery(
            method="POST",
            path="/",
            query="",
            headers=shopify_headers(self.topic, body, secret, now, shop or _shop_of(payload)),
            body=body,
        )


def samples(source: str = "*") -> Iterator[Sample]:
    """Every sample, by name."""
    for path in sorted(EVENTS.glob(f"{source}/**/*.json")):
        yield _read(path)


def sample(name: str) -> Sample:
    """The sample of that name, with or without ``events/`` and ``.json``.

    Raises:
        UnknownSample: with the names that would do.
    """
    path = EVENTS / f"{name.removeprefix('events/').removesuffix('.json')}.json"
    if not path.is_file():
        known = ", ".join(each.name for each in samples())
        raise UnknownSample(f"There is no sample {name}. There are: {known}.")
    return _read(path)


def _read(path: Path) -> Sample:
    name = path.relative_to(EVENTS).as_posix().removesuffix(".json")
    source, _, rest = name.partition("/")
    return Sample(name, source, rest.partition(".")[0], json.loads(path.read_bytes()))


def shopify_json(payload: Mapping[str, Any]) -> bytes:
    """JSON as Shopify writes it: compact, with ``&``, ``<`` and ``>`` escaped and other letters as they are."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()


def shopify_headers(topic: str, body: bytes, secret: str, now: datetime, shop: str) -> dict[str, str]:
    """The headers of a Shopify delivery, lower-case as a Function URL hands them on."""
    return {
        "content-type": "application/json",
        "user-agent": "Shopify-Captain-Hook",
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": shopify.sign(body, secret),
        "x-shopify-shop-domain": shop,
        "x-shopify-api-version": "2026-07",
        "x-shopify-webhook-id": _uuid(),
        "x-shopify-event-id": _uuid(),
        "x-shopify-triggered-at": (now - timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "871Z",
    }


def _uuid() -> str:
    text = secrets.token_hex(16)
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _shop_of(payload: Mapping[str, Any]) -> str:
    return str(payload.get("shop_domain") or "northwind-trail.myshopify.com")


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {key: _moved(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, by) for each in value]
    if isinstance(value, str) and _TIME.fullmatch(value):
        moved = datetime.fromisoformat(value) + by
        return moved.isoformat(timespec="milliseconds" if "." in value else "seconds").replace("+00:00", "Z")
    return value


def _renamed(payload: dict[str, Any]) -> dict[str, Any]:
    if isinstance(payload.get("id"), int):
        return payload | {"id": _number(), "admin_graphql_api_id": None}
    if isinstance(payload.get("customer_id"), int):
        return payload | {"customer_id": _number()}
    if isinstance(payload.get("token"), str):
        return payload | {"token": secrets.token_hex(16)}
    return payload


def _number() -> int:
    return secrets.randbelow(10**9) + 6_200_000_000_000
