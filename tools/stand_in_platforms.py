"""A stand-in for the APIs that ``relay backfill`` reads, on 127.0.0.1: Shopify's orders and Stripe's events.

::

    GET /admin/api/<version>/orders.json                     X-Shopify-Access-Token; pages by Link header and page_info
    GET /admin/api/<version>/orders/<id>/transactions.json   what was paid when
    GET /v1/events                                           Authorization: Bearer; pages by starting_after

It answers as the two document it: newest first at Stripe, 401 for another token, 429 with Retry-After when told to, 400
for a filter beside a page_info. By hand it serves the samples in ``events/``, moved to the present::

    python -m tools.stand_in_platforms --port 8971
    STRIPE_API_KEY=rk_stand_in relay backfill stripe --api http://127.0.0.1:8971
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs

from conversion_relay import timestamps
from tools.samples import STYLES, WRITTEN_AT, samples
from tools.stand_in_server import Answer, LoopbackServer, Request

SHOPIFY_TOKEN: Final = "shpat_stand_in"
STRIPE_KEY: Final = "rk_stand_in"
PAGE: Final = 5
"""Objects on a page unless fewer are asked for: few, so that a handful of samples makes more than one page."""
_ORDERS: Final = re.compile(r"/admin/api/\d{4}-\d\d/orders\.json")
_TRANSACTIONS: Final = re.compile(r"/admin/api/\d{4}-\d\d/orders/(\d+)/transactions\.json")


@dataclass
class PlatformsStandIn:
    """What the two platforms hold. ``limited``: that many requests are answered with 429 first.

    ``requests`` are the paths with their queries, as they came.
    """

    orders: Sequence[Mapping[str, Any]] = ()
    events: Sequence[Mapping[str, Any]] = ()
    transactions: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    limited: int = 0
    port: int = 0
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._cursors: dict[str, list[Mapping[str, Any]]] = {}
        self._server = LoopbackServer(self._respond, self.port)
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port: what takes the place of the platforms' own."""
        return self._server.url

    def _respond(self, request: Request) -> Answer:
        self.requests.append(f"{request.path}?{request.query}")
        if self.limited > 0:
            self.limited -= 1
            return Answer(429, b'{"errors": "Exceeded the rate limit"}', retry_after="0.1")
        query = parse_qs(request.query)
        if request.path == "/v1/events":
            if request.authorization != f"Bearer {STRIPE_KEY}":
                return _json(401, {"error": {"type": "invalid_request_error"}})
            return self._stripe(query)
        if request.headers.get("x-shopify-access-token") != SHOPIFY_TOKEN:
            return _json(401, {"errors": "[API] Invalid API key or access token"})
        paid = _TRANSACTIONS.fullmatch(request.path)
        if paid:
            return _json(200, {"transactions": list(self.transactions.get(int(paid[1]), ()))})
        return self._shopify(request.path, query) if _ORDERS.fullmatch(request.path) else _json(404, {})

    def _stripe(self, query: Mapping[str, list[str]]) -> Answer:
        since, types = int(query.get("created[gte]", ["0"])[0]), query.get("types[]", [])
        newest_first = sorted(self.events, key=lambda each: each["created"], reverse=True)
        found = [each for each in newest_first if each["created"] >= since and (not types or each["type"] in types)]
        after = query.get("starting_after", [""])[0]
        if after:
            found = found[[each["id"] for each in found].index(after) + 1 :]
        page = found[: min(PAGE, int(query.get("limit", ["10"])[0]))]
        return _json(200, {"object": "list", "data": page, "has_more": len(page) < len(found), "url": "/v1/events"})

    def _shopify(self, path: str, query: Mapping[str, list[str]]) -> Answer:
        cursor = query.get("page_info", [""])[0]
        if cursor and set(query) - {"page_info", "limit"}:
            return _json(400, {"errors": {"status": "status cannot be passed when page_info is present."}})
        if cursor:
            found = self._cursors.pop(cursor)
        else:
            since = timestamps.from_iso(query.get("updated_at_min", [""])[0]) or 0
            any_status = query.get("status", ["open"]) == ["any"]
            found = [
                each
                for each in self.orders
                if (timestamps.from_iso(each["updated_at"]) or 0) >= since
                and (any_status or (not each.get("closed_at") and not each.get("cancelled_at")))
            ]
            found.sort(key=lambda each: timestamps.from_iso(each["updated_at"]) or 0)
        size = min(PAGE, int(query.get("limit", ["50"])[0]))
        page, rest = found[:size], found[size:]
        link = None
        if rest:
            following = f"page{len(self.requests)}"
            self._cursors[following] = rest
            # Another host than the one that was asked, as a proxy may make it: the token must not go there.
            link = f'<https://example.myshopify.com{path}?limit={size}&page_info={following}>; rel="next"'
        return Answer(200, json.dumps({"orders": page}).encode(), link=link)


def _json(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def sample_orders(now: datetime) -> list[Mapping[str, Any]]:
    """The orders among the samples, each once, as the Admin API has them."""
    found = {each["id"]: each for each in _moved("shopify", now, lambda name: name.startswith("shopify/orders/"))}
    return list(found.values())


def sample_events(now: datetime) -> list[Mapping[str, Any]]:
    """Stripe's events among the samples; thin ones are not listed by that API."""
    return [each for each in _moved("stripe", now, lambda _: True) if each.get("object") == "event"]


def _moved(source: str, now: datetime, wanted: Callable[[str], bool]) -> list[Mapping[str, Any]]:
    return [STYLES[source].moved(each.payload, now - WRITTEN_AT) for each in samples(source) if wanted(each.name)]


def main() -> None:
    """Serve the samples until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A stand-in for Shopify's and Stripe's APIs, with the samples.")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    options = parser.parse_args()
    now = datetime.now(UTC)
    stop = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stop.set())
    with PlatformsStandIn(sample_orders(now), sample_events(now), port=options.port) as stand_in:
        api = f"--api {stand_in.url}"
        print(f"Stand-in for Shopify's and Stripe's APIs, with the samples: {stand_in.url}")
        print(f"  SHOPIFY_ADMIN_TOKEN={SHOPIFY_TOKEN} relay backfill shopify --shop example.myshopify.com {api}")
        print(f"  STRIPE_API_KEY={STRIPE_KEY} relay backfill stripe {api}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
