"""Answers the calls of a receiver as AWS would, at once and with as little as possible."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

SECRET: Final = "a signing secret of this benchmark"


@contextmanager
def stand_in_aws(secret: str = SECRET) -> Iterator[tuple[str, Counter[str]]]:
    """Its address on loopback, and how often each operation was called."""
    called: Counter[str] = Counter()
    parameter = json.dumps({"Parameter": {"Value": secret}}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            called[operation] += 1
            answer = parameter if operation == "GetParameter" else b"{}"
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", called
        finally:
            server.shutdown()
