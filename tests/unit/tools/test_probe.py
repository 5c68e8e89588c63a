"""``make probe``: which answer of an address is good, over real HTTP on this machine."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import requests

from tools import probe


class Answers(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "good", "said"),
    [
        (401, True, "refuses what is not signed (HTTP 401)"),
        (400, True, "refuses what is not signed (HTTP 400)"),
        (403, True, "refuses what is not signed (HTTP 403)"),
        (404, True, "refuses what is not signed (HTTP 404)"),
        (503, True, "until its signing secret is stored"),
        (200, False, "answered HTTP 200 to a request without a signature"),
        (302, False, "answered HTTP 302"),
        (500, False, "answered HTTP 500"),
        (502, False, "answered HTTP 502"),
    ],
)
def test_an_address_has_to_refuse(address: str, status: int, good: bool, said: str) -> None:
    ((name, is_good, told),) = probe.tried({"StripeWebhookUrl": f"{address}/{status}"}, requests.Session())
    assert (name, is_good) == ("StripeWebhookUrl", good)
    assert said in told


def test_an_address_that_nobody_answers_at_is_said() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{free.getsockname()[1]}"
    ((_, good, told),) = probe.tried({"ShopifyWebhookUrl": silent}, requests.Session())
    assert not good
    assert "does not answer (ConnectionError)" in told


def test_an_environment_that_samconfig_does_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["production"]) == 2
    assert "ENV is one of dev, prod" in capsys.readouterr().err
