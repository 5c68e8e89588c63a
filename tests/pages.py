"""The pages of tests/cases/pages, each with the one fault that is in it, and a server that serves them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

PAGES: Final = Path(__file__).parent / "cases" / "pages"
RELAY_CLICK: Final = Path(__file__).parents[1] / "functions" / "click" / "relay-click.min.js"
"""The relay's own script; the one beside the pages where it is not part of the checkout."""


class Case(NamedTuple):
    """``finds``: the code of the one finding, "" for a good page. ``static``, ``chromium``: which look finds it."""

    name: str
    folder: str
    finds: str = ""
    static: bool = True
    chromium: bool = True
    headers: Mapping[str, str] = MappingProxyType({})
    query: str = ""
    pixel_id: str = ""
    redirect: bool = False

    @property
    def file(self) -> Path:
        return PAGES / self.folder / f"{self.name}.html"

    def address(self, origin: str) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{origin}/{'redirect/' if self.redirect else ''}{self.folder}/{self.name}.html{query}"


def cases(folder: str) -> list[Case]:
    """All pages of a folder, ``broken`` or ``good``."""
    held: dict[str, dict[str, Any]] = json.loads((PAGES / "cases.json").read_text())[folder]
    return [Case(name, folder, **facts) for name, facts in held.items()]


_HEADERS: Final = {each.name: each.headers for folder in ("broken", "good") for each in cases(folder)}
_TYPES: Final = {".html": "text/html; charset=utf-8", ".js": "text/javascript"}
STATUSES: Final = {"/missing": 404, "/login": 401, "/broken": 500, "/busy": 429}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        file = RELAY_CLICK if path == "/relay-click.js" else PAGES / path.lstrip("/")
        if path.startswith("/redirect/"):
            self._answer(302, {"Location": path.removeprefix("/redirect")})
        elif path == "/for-ever":
            self._answer(302, {"Location": self.path})
        elif path == "/members":
            self._answer(302, {"Location": "/account/login"})
        elif path == "/account/login":
            self._answer(200, {"Content-Type": "text/html"}, b"<form method=post><input type=password></form>")
        elif path == "/data":
            self._answer(200, {"Content-Type": "application/json"}, b"{}")
        elif path == "/text":
            self._answer(200, {"Content-Type": "text/html"}, b"There is nothing here.")
        elif path == "/download":
            self._answer(200, {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}, b"x")
        elif path == "/never":
            self._never()
        elif path in STATUSES:
            self._answer(STATUSES[path], {"Content-Type": "text/html"}, b"<p>No.</p>")
        elif file.is_file() and (file == RELAY_CLICK or file.resolve().is_relative_to(PAGES)):
            kind = {"Content-Type": _TYPES.get(file.suffix, "application/octet-stream")}
            self._answer(200, {**kind, **_HEADERS.get(file.stem, {})}, file.read_bytes())
        else:
            self._answer(404, {"Content-Type": "text/plain"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/":
            self._answer(201, {"Content-Type": "application/json"}, b'{"key":"rc1_AAAAAAAAAAAAAAAAAAAAAA"}')
        else:
            self._answer(403, {"Content-Type": "application/json"}, b"{}")

    def _never(self) -> None:
        """A page that goes on for as long as somebody listens."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"<p>and on</p>")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass
        self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[str]:
    """The pages over HTTP on this machine; the origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
