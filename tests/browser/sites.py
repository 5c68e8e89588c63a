"""Small sites on the loopback address for pages to come from, each an origin of its own, and what browsers ask them."""

import json
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tools.page_script import TARGET


@dataclass(frozen=True)
class Request:
    """What a browser asked: ``target`` is the path with its query, as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """What it is answered."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Site(ABC):
    """A server that answers each request with `answer`, and keeps them all. Pages reach it as ``http://<name>.localhost``,
    which browsers take for the loopback address.
    """

    def __init__(self, name: str) -> None:
        site = self
        self.requests: list[Request] = []
        self._changed = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                size = int(self.headers.get("content-length", 0))
                headers = {each.lower(): value for each, value in self.headers.items()}
                request = Request(self.command, self.path, headers, self.rfile.read(size))
                response = site.answer(request)
                body = response.body.encode()
                self.send_response(response.status)
                for each, value in response.headers.items():
                    self.send_header(each, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                with site._changed:
                    site.requests.append(request)
                    site._changed.notify_all()

            do_GET = do_POST = do_OPTIONS = _serve  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.origin = f"http://{name}.localhost:{self._server.server_port}"

    @abstractmethod
    def answer(self, request: Request) -> Response:
        """What this site says to a request."""

    def wait_for(self, holds: Callable[[], bool], seconds: float = 8) -> None:
        """Until it holds, looked at after each request."""
        until = time.monotonic() + seconds
        with self._changed:
            while not holds():
                left = until - time.monotonic()
                assert left > 0, f"not within {seconds} s; asked so far: {[each.target for each in self.requests]}"
                self._changed.wait(min(left, 0.2))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Shop(Site):
    """Pages by path, and Shopify's cart: its attributes, and the cookie that names it."""

    def __init__(self) -> None:
        super().__init__("shop")
        self.reset()

    def reset(self) -> None:
        self.requests.clear()
        self.pages: dict[str, str] = {}
        self.cart: dict[str, str] = {}
        self.cart_writes: list[dict[str, str]] = []

    def answer(self, request: Request) -> Response:
        if request.path == "/cart/update.js" and request.method == "POST":
            assert request.headers["content-type"] == "application/json"
            attributes = request.json()["attributes"]
            self.cart_writes.append(attributes)
            self.cart = {name: value for name, value in (self.cart | attributes).items() if value}
            headers = {} if "cart=" in request.headers.get("cookie", "") else self.new_cart()
            return Response(200, json.dumps({"attributes": self.cart}), {"content-type": "application/json", **headers})
        if request.path in self.pages:
            return Response(200, self.pages[request.path], {"content-type": "text/html; charset=utf-8"})
        return Response(404 if request.path != "/favicon.ico" else 204)

    @staticmethod
    def new_cart() -> dict[str, str]:
        return {"set-cookie": f"cart={secrets.token_hex(8)}; path=/"}


class Clicks(Site):
    """The click memory's address: hands out keys, and the script. ``status`` is how it answers posts."""

    def __init__(self, shop: Shop) -> None:
        super().__init__("clicks")
        self._shop = shop
        self.reset()

    def reset(self) -> None:
        self.requests.clear()
        self.keys: list[str] = []
        self.status = 201

    @property
    def posts(self) -> list[dict[str, str]]:
        return [request.json() for request in self.requests if request.method == "POST"]

    def answer(self, request: Request) -> Response:
        if request.path == "/relay-click.js":
            return Response(200, TARGET.read_text(encoding="utf-8"), {"content-type": "text/javascript; charset=utf-8"})
        if request.method != "POST" or request.headers.get("origin") != self._shop.origin:
            return Response(403, '{"error": "the page\'s origin is none of ClickOrigins"}')
        headers = {"access-control-allow-origin": self._shop.origin, "vary": "Origin"}
        if self.status != 201:
            return Response(self.status, '{"error": "so the test wants it"}', headers)
        told = request.json()
        assert told.keys() <= {"oppref", "obref", "url", "referrer", "consent", "key"}
        if told.get("consent") == "denied":
            return Response(204, "", headers)
        key = told["key"] if told.get("key") in self.keys else f"rc1_{secrets.token_urlsafe(16)}"
        self.keys.append(key)
        return Response(201, json.dumps({"key": key}), headers)
