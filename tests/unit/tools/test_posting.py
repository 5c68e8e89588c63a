"""``relay post``: a sample signed freshly and posted to a small server of the test's own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.sources import shopify
from tools import cli, deployment

SECRET = "a dev secret"


class Server(HTTPServer):
    """Keeps what was posted to it and answers with a status."""

    status = 200
    posted: list[Delivery]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.posted.append(Delivery(self.command, self.path, "", headers, body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b'{"outcome": "as told"}')

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.posted = []
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "running.json"
    monkeypatch.setattr(deployment, "RUNNING", path)
    return path


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/hook"


def keep_running(path: Path, server: Server) -> None:
    held = {"url": address(server), "headers": {"X-Route": "shopify"}, "secret": SECRET, "address": address(server)}
    path.write_text(json.dumps({"sources": {"shopify": held}}))


def test_sample_goes_signed_to_the_running_relay(
    server: Server, running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_running(running, server)

    status = cli.main(["post", "shopify/orders/create"])

    (delivery,) = server.posted
    assert status == 0
    assert capsys.readouterr().out == '200 {"outcome": "as told"}\n'
    assert (delivery.method, delivery.path, delivery.headers["x-route"]) == ("POST", "/hook", "shopify")
    assert delivery.headers["content-type"] == "application/json"
    shopify.verify(delivery, [SECRET], 0)


def test_url_and_secret_may_be_given(server: Server) -> None:
    status = cli.main(["post", "shopify/orders/create", "--url", address(server), "--secret", "other"])

    assert status == 0
    shopify.verify(server.posted[0], ["other"], 0)


def test_secret_alone_may_be_given(server: Server, running: Path) -> None:
    keep_running(running, server)

    cli.main(["post", "shopify/orders/create", "--secret", "other"])

    shopify.verify(server.posted[0], ["other"], 0)


def test_new_one_has_another_id(server: Server) -> None:
    for option in ([], [], ["--new"]):
        cli.main(["post", "shopify/orders/create", "--url", address(server), "--secret", SECRET, *option])

    first, again, new = (json.loads(each.body)["id"] for each in server.posted)
    assert first == again != new


@pytest.mark.parametrize(("answer", "status"), [(401, 0), (503, 1)])
def test_refusal_is_an_answer_and_a_failure_is_an_error(
    server: Server, answer: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = answer

    assert cli.main(["post", "shopify/orders/create", "--url", address(server), "--secret", SECRET]) == status
    assert capsys.readouterr().out.startswith(f"{answer} ")


def test_without_a_sample_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["post"]) == 0
    assert "shopify/orders/create.pos\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shopify/orders/lost"], "There is no sample shopify/orders/lost"),
        (["shopify/orders/create"], "no relay is running here"),
        (["shopify/orders/create", "--url", "http://127.0.0.1:9/"], "no relay is running here"),
        (["shopify/orders/create", "--url", "http://127.0.0.1:9/", "--secret", "s"], "cannot be reached"),
        (["shopify/orders/create", "--url", "no-url", "--secret", "s"], "cannot be reached"),
    ],
)
def test_what_cannot_be_posted_is_said(arguments: list[str], told: str, capsys: pytest.CaptureFixture[Any]) -> None:
    assert cli.main(["post", *arguments]) == 2
    assert told in capsys.readouterr().err
