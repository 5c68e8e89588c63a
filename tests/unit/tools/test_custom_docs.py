"""The code that docs/sources/custom.md hands out for one's own backend runs, and the relay takes what it sends."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.sources.custom.verification import verify
from tools.platforms import ROOT
from tools.samples import sample
from tools.samples.custom import PLATFORMS

PAGE = (ROOT / "docs" / "sources" / "custom.md").read_text(encoding="utf-8")
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def code(language: str) -> str:
    section = PAGE.split("## Your own backend")[1]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def taken() -> Iterator[tuple[str, list[Delivery]]]:
    """An address on this machine, and what is posted to it."""
    deliveries: list[Delivery] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            deliveries.append(Delivery("POST", self.path, "", headers, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/backend", deliveries
        server.shutdown()
        thread.join()


def test_the_python_code_signs_as_the_relay_verifies(taken: tuple[str, list[Delivery]]) -> None:
    address, deliveries = taken
    names: dict[str, Any] = {}

    exec(code("python"), names)  # noqa: S102 -- the page's own code
    names["report"]({"type": "lead_created", "name": "é"}, address, SECRET)

    (delivery,) = deliveries
    verify(PLATFORMS["backend"], delivery, [SECRET], time.time_ns() // 1_000_000)
    assert json.loads(delivery.body) == {"type": "lead_created", "name": "é"}


def test_the_shell_code_signs_as_the_relay_verifies(tmp_path: Any) -> None:
    body = json.dumps(sample("backend/order_created").payload).encode()
    (tmp_path / "body.json").write_bytes(body)
    signing = code("sh").split("curl")[0] + 'printf "%s %s" "$NOW" "$SIGNATURE"'

    made = subprocess.run(
        ["sh", "-c", signing], cwd=tmp_path, env={**os.environ, "SECRET": SECRET}, capture_output=True, check=True
    ).stdout.decode()

    now, signature = made.split(" ")
    headers = {"x-relay-time": now, "x-relay-signature": signature}
    verify(PLATFORMS["backend"], Delivery("POST", "/backend", "", headers, body), [SECRET], int(now) * 1000)


@pytest.mark.parametrize("name", PLATFORMS)
def test_every_platform_that_is_here_is_on_the_page(name: str) -> None:
    assert f"## {name}" in PAGE.lower() or f"`{name}.yaml`" in PAGE or f"Path: `{name}`" in PAGE
