"""How the tests of the stand-in talk to it."""

import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tools.stand_in import StandIn

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "wire"
ACCEPTED = json.loads((CASES / "accepted.json").read_text(encoding="utf-8"))
REFUSED = json.loads((CASES / "refused.json").read_text(encoding="utf-8"))

NOW_MS = 1795327200000
PID = "Qm7TzV4kRw2LpX9sNdB3Yh"
KEYS = {"conversions": "sk-svcacct-conversions", "advertiser": "sk-svcacct-advertiser", "wrong": "sk-svcacct-wrong"}
DIGEST = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        return self.json["error"]


def call(
    stand_in: StandIn, method: str, path: str, body: bytes | None = None, timeout: float = 5, **headers: str
) -> Reply:
    host = stand_in.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=timeout)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        with connection.getresponse() as response:
            return Reply(
                response.status, response.headers, response.read().decode(errors="replace")
            )  # an image is no text


def send(stand_in: StandIn, body: object, pid: str | None = PID, key: str = "conversions", timeout: float = 5) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = "/v1/events" if pid is None else f"/v1/events?pid={pid}"
    return call(
        stand_in, "POST", path, raw, timeout, Authorization=f"Bearer {KEYS[key]}", Content_Type="application/json"
    )


def control(stand_in: StandIn, method: str, name: str, body: object = None) -> Reply:
    return call(stand_in, method, f"/_stand_in/{name}", None if method == "GET" else json.dumps(body).encode())


def an_event(id_: str = "shopify:1", **fields: Any) -> dict[str, Any]:
    event = {"id": id_, "type": "order_created", "timestamp_ms": NOW_MS - 60_000, "action_source": "other"}
    return {**event, "data": {"type": "contents", "amount": 14900, "currency": "USD"}, **fields}


def a_batch(*ids: str, **root: Any) -> dict[str, Any]:
    return {"events": [an_event(id_) for id_ in ids or ("shopify:1",)], **root}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


STALE = an_event("stale", timestamp_ms=NOW_MS - 8 * 86_400_000)
MALFORMED = an_event("malformed", data={"amount": 14900, "currency": "USD"})


STALE = an_event("stale", timestamp_ms=NOW_MS - 8 * 86_400_000)
MALFORMED = an_event("malformed", data={"amount": 14900, "currency": "USD"})
