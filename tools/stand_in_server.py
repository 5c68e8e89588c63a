"""The HTTP side of the stand-in: a server on the loopback that hands each request to one function, and prints nothing.

HTTP/1.1 with connections kept alive, a thread a connection. Stopping it closes every connection, so that a test leaves
neither threads nor sockets behind.
"""

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

HOST: Final = "127.0.0.1"
MAX_BODY_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, read whole. `query`: what follows the question mark; a header that is absent is empty.

    `headers`: all of them, by names in lower case.
    """

    method: str
    path: str
    query: str
    authorization: str
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `retry_after`, `link`: the text of those headers; `headers`: any others, in order."""

    status: int
    body: bytes
    content_type: str = "application/json"
    retry_after: str | None = None
    link: str | None = None
    headers: Sequence[tuple[str, str]] = ()


class LoopbackServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1 with what `respond` returns; None closes the connection instead. OSError: port taken."""

    daemon_threads = True
    allow_reuse_port = False
    request_queue_size = 128

    def __init__(self, respond: Callable[[Request], Answer | None], port: int) -> None:
        self.respond = respond
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((HOST, port), _Connection)

    @property
    def url(self) -> str:
        """Scheme, host and port, without a path."""
        return f"http://{HOST}:{self.server_port}"

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self.serve_forever, args=(0.02,), name="stand-in", daemon=True).start()

    def stop(self) -> None:
        """Take no more connections, wake the threads that wait on one kept alive, and see them all closed."""
        self.shutdown()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connections, timeout=5)
        self.server_close()

    def server_bind(self) -> None:
        """Bind only: HTTPServer's own asks DNS for the name of the host, which can take seconds without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection for `stop`."""
        with self._changed:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def handle_error(self, *_: object) -> None:
        """Say where a bug is. The default prints a traceback, whose last line may quote a value from the body."""
        error = sys.exception()
        if error is None or isinstance(error, OSError):
            return  # the client went away
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at else "an unknown place"
        print(f"stand-in: {type(error).__name__} at {place}", file=sys.stderr)


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in two writes; with Nagle the second waits 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    server: LoopbackServer

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_OPTIONS(self) -> None:
        self._handle()

    def log_message(self, *_: object) -> None:
        """Print nothing: a request line holds the pid."""

    def _handle(self) -> None:
        answer = self._refuse_unreadable()
        if answer is not None:
            self.close_connection = True  # what follows on this connection would be the body
            self._send(answer)
            return
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True  # the client went away in the middle
            return
        path, _, query = self.path.partition("?")
        header = self.headers.get
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(
            self.command, path, query, header("Authorization", ""), header("Content-Type", ""), body, headers
        )
        answer = self.server.respond(request)
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    def _refuse_unreadable(self) -> Answer | None:
        """The answer to a body whose end cannot be known or is too far away."""
        length = self.headers.get("Content-Length", "0" if self.command in ("GET", "OPTIONS") else "")
        if "Transfer-Encoding" in self.headers or not length:
            return Answer(411, b"Content-Length is required", "text/plain")
        if not (length.isascii() and length.isdigit()):
            return Answer(400, b"Content-Length is not a number", "text/plain")
        if int(length) > MAX_BODY_BYTES:
            return Answer(413, b"the body is too large", "text/plain")
        return None

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.body:
            self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.retry_after is not None:
            self.send_header("Retry-After", answer.retry_after)
        if answer.link is not None:
            self.send_header("Link", answer.link)
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)
