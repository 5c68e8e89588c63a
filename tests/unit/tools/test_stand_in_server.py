"""The stand-in as an HTTP server and as a program."""

import ast
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from tests.unit.tools.stand_in_calls import (
    ACCEPTED,
    KEYS,
    NOW_MS,
    PID,
    ROOT,
    a_batch,
    an_event,
    call,
    send,
    wait_until,
)
from tools import wire_rules
from tools.stand_in import StandIn

# HTTP.


def test_one_connection_serves_many_requests(stand_in: StandIn) -> None:
    headers = {"Authorization": f"Bearer {KEYS['conversions']}", "Content-Type": "application/json; charset=utf-8"}
    with closing(http.client.HTTPConnection(stand_in.url.removeprefix("http://"), timeout=5)) as connection:
        connection.connect()
        socket = connection.sock
        for number in range(3):
            connection.request("POST", f"/v1/events?pid={PID}", json.dumps(a_batch(f"shopify:{number}")), headers)
            with connection.getresponse() as response:
                assert (response.status, response.read()) == (200, b'{"accepted_events": 1}')
        assert connection.sock is socket


def test_expect_100_continue_is_answered(stand_in: StandIn) -> None:
    raw = json.dumps(a_batch()).encode()

    reply = call(
        stand_in,
        "POST",
        f"/v1/events?pid={PID}",
        raw,
        Authorization=f"Bearer {KEYS['conversions']}",
        Content_Type="application/json",
        Expect="100-continue",
    )

    assert reply.status == 200


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Transfer-Encoding", "chunked", 411),
        ("X-None", "", 411),
        ("Content-Length", "many", 400),
        ("Content-Length", "-1", 400),
        ("Content-Length", str(64 * 1024 * 1024 + 1), 413),
    ],
)
def test_a_body_without_a_sane_length_is_refused(stand_in: StandIn, header: str, value: str, status: int) -> None:
    with closing(http.client.HTTPConnection(stand_in.url.removeprefix("http://"), timeout=5)) as connection:
        connection.putrequest("POST", f"/v1/events?pid={PID}")
        connection.putheader(header, value)
        connection.endheaders()
        with connection.getresponse() as response:
            assert (response.status, response.headers["Connection"]) == (status, "close")


def test_stopping_ends_delays_and_idle_connections_and_frees_the_port() -> None:
    with StandIn(keys=["key"], pixels=[PID]) as first:
        first.fail(delay_seconds=60)
        host, port = first.url.removeprefix("http://").split(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=5)) as connection:
            connection.request("POST", "/v1/events", b"{}")
            wait_until(lambda: first.requests() != [])
            first.stop()
            with pytest.raises(ConnectionError):
                connection.getresponse()
    with StandIn(keys=["key"], pixels=[PID], port=int(port)) as second:
        assert second.url == f"http://127.0.0.1:{port}"
    with pytest.raises(RuntimeError, match="not running"):
        _ = second.url


def test_the_clock_is_the_machines_by_default() -> None:
    with StandIn(keys=[KEYS["conversions"]], pixels=[PID]) as stand_in:
        send(stand_in, {"events": [an_event(timestamp_ms=time.time_ns() // 1_000_000)]})

        assert abs(stand_in.events()[0]["received_ms"] - time.time() * 1000) < 60_000


# The program and its promises.


def test_command_line_serves_until_sigterm_and_prints_no_secrets() -> None:
    command = [sys.executable, "-m", "tools.stand_in", "--key", KEYS["conversions"], "--pixel", PID]
    with subprocess.Popen(
        [*command, "--advertiser-key", KEYS["advertiser"]],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        url = program.stdout.readline().split()[-1]
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)) as connection:
            headers = {"Authorization": f"Bearer {KEYS['advertiser']}", "Content-Type": "application/json"}
            connection.request("POST", f"/v1/events?pid={PID}", b'{"events": [{"user": "user@example.com"}]}', headers)
            with connection.getresponse() as response:
                assert (response.status, b"Missing scopes" in response.read()) == (401, True)
            program.send_signal(signal.SIGTERM)
            rest, errors = program.communicate(timeout=5)

    assert url.startswith("http://127.0.0.1:")
    assert (program.returncode, rest, errors) == (0, "", "")


def test_command_line_says_when_the_port_is_taken(server: StandIn) -> None:
    port = server.url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "tools.stand_in", "--port", port, "--key", KEYS["conversions"], "--pixel", PID]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"stand-in: cannot listen on 127.0.0.1:{port}")


def test_a_bug_in_the_stand_in_is_told_without_the_data(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("user@example.com")

    monkeypatch.setattr(wire_rules, "refusal", broken)

    with pytest.raises(http.client.RemoteDisconnected):
        send(stand_in, a_batch())

    written = capfd.readouterr().err
    assert written.startswith("stand-in: KeyError at ")
    assert "user@example.com" not in written


@pytest.mark.parametrize("module", ["stand_in", "stand_in_server", "stand_in_switches", "wire_fields", "wire_rules"])
def test_it_shares_no_code_with_the_relay_and_needs_the_standard_library_only(module: str) -> None:
    tree = ast.parse((ROOT / "tools" / f"{module}.py").read_text(encoding="utf-8"))

    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert imported - set(sys.stdlib_module_names) <= {"tools"}


def test_a_thousand_full_events_are_judged_fast() -> None:
    full = ACCEPTED[0]["request"]["body"]["events"][0]
    body = {"events": [{**full, "id": str(number)} for number in range(1_000)]}

    times = []
    for _ in range(3):
        started = time.thread_time()
        assert wire_rules.refusal(body, NOW_MS, report_all=False) is None
        times.append(time.thread_time() - started)

    assert min(times) < 0.25  # the aim is 0.05 s of CPU; the rest is room for a slow machine


def test_threads_of_connections_end_with_the_stand_in() -> None:
    before = threading.active_count()
    with StandIn(keys=[KEYS["conversions"]], pixels=[PID], clock=lambda: NOW_MS) as stand_in:
        send(stand_in, a_batch())

    wait_until(lambda: threading.active_count() <= before)
