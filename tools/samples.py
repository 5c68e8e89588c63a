"""The samples in ``events/``: a payload for every topic, made fresh and signed as its platform would.

A file is named after its topic, with an optional variant: ``events/shopify/orders/create.pos.json`` is a delivery of
``orders/create``, ``events/stripe/invoice.paid.renewal.json`` one of ``invoice.paid``. All times in it are relative to
`WRITTEN_AT`; making a sample fresh moves them to the present.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.sources import shopify, stripe

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
        """A freshly signed delivery of it. ``new`` gives the object another id, so that it is another conversion.

        ``shop`` is whose delivery it is, where a header says so.
        """
        style = STYLES[self.source]
        payload = style.moved(self.payload, now - WRITTEN_AT)
        if new:
            payload = style.renamed(payload)
        body = style.body(payload)
        return Delivery("POST", "/", "", style.headers(self.topic, body, secret, now, shop or _shop_of(payload)), body)


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
    payload = json.loads(path.read_bytes())
    return Sample(name, source, STYLES[source].topic(rest, payload), payload)


@dataclass(frozen=True, slots=True)
class Style:
    """How a platform writes: what it says the topic is, its times and ids, the bytes of a body, the headers."""

    topic: Callable[[str, Mapping[str, Any]], str]
    moved: Callable[[Any, timedelta], Any]
    renamed: Callable[[dict[str, Any]], dict[str, Any]]
    body: Callable[[Mapping[str, Any]], bytes]
    headers: Callable[[str, bytes, str, datetime, str], dict[str, str]]


# Shopify --------------------------------------------------------------------------------------------------------------


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


# Stripe ---------------------------------------------------------------------------------------------------------------


def stripe_json(payload: Mapping[str, Any]) -> bytes:
    """JSON as Stripe writes it: indented by two blanks."""
    return json.dumps(payload, ensure_ascii=False, indent=2).encode()


def stripe_headers(_topic: str, body: bytes, secret: str, now: datetime, _shop: str) -> dict[str, str]:
    """The headers of a Stripe delivery, lower-case as a Function URL hands them on."""
    return {
        "content-type": "application/json; charset=utf-8",
        "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        "stripe-signature": stripe.sign(body, secret, int(now.timestamp())),
    }


def _moved_seconds(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {key: _moved_seconds(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved_seconds(each, by) for each in value]
    # No amount of money in a sample is as large as a time.
    if isinstance(value, int) and not isinstance(value, bool) and value > _FIRST_TIME_S:
        return value + int(by.total_seconds())
    return _moved(value, by)


def _renamed_everywhere(payload: dict[str, Any]) -> dict[str, Any]:
    """Another purchase: ids of sessions, subscriptions, invoices, payments and customers, wherever they stand."""
    suffix = secrets.token_hex(6)
    renamed: dict[str, Any] = json.loads(_STRIPE_ID.sub(rf'"\g<1>{suffix}"', json.dumps(payload)))
    return renamed


_FIRST_TIME_S: Final = 1_000_000_000
_STRIPE_ID: Final = re.compile(r'"((?:evt|cs_live|cs_test|sub|in|pi|cus|pix)_[A-Za-z0-9_]+)"(?!:)')

STYLES: Final[Mapping[str, Style]] = {
    "shopify": Style(lambda name, _: name.partition(".")[0], _moved, _renamed, shopify_json, shopify_headers),
    "stripe": Style(
        lambda _, payload: str(payload["type"]), _moved_seconds, _renamed_everywhere, stripe_json, stripe_headers
    ),
}
