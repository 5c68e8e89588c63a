"""A stand-in for Stripe's API on 127.0.0.1: it gives the objects it was given, to who has the key."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

KEY = "rk_test_of_the_tests"


class StripeStandIn:
    """``objects`` by path; ``answers``: statuses to give instead, one a request; ``requests``: those that came."""

    def __init__(self, objects: Mapping[str, Any] | None = None, key: str = KEY) -> None:
        self.objects = dict(objects or {})
        self.key = key
        self.answers: list[int] = []
        self.requests: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers.get("Stripe-Account")))
                status, body = outer.answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Location", "/v1/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """Status and body for a request."""
        if self.answers:
            return self.answers.pop(0), b"not JSON"
        if authorization != f"Bearer {self.key}":
            return 401, b'{"error": {"type": "invalid_request_error"}}'
        if path not in self.objects:
            return 404, b'{"error": {"code": "resource_missing"}}'
        return 200, json.dumps(self.objects[path]).encode()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
