"""The local AWS itself: on loopback only, without real credentials, and gone when whoever started it is gone."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.stack import until
from tools.local_aws import LocalAws, LocalAwsFailed, Stack
from tools.template import ROOT

START_AND_WAIT = """
import signal, sys, time
from tools.local_aws import LocalAws
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background begins with it ignored
with LocalAws.start(say=lambda _: None) as aws:
    print(aws.port, aws.process_group, flush=True)
    time.sleep(60)
"""


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def runs(process_group: int) -> bool:
    try:
        os.killpg(process_group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_the_process_that_started_it_however_that_ends(death: signal.Signals) -> None:
    # Given a process that has started one
    with subprocess.Popen(
        [sys.executable, "-c", START_AND_WAIT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as starter:
        assert starter.stdout is not None
        port, group = map(int, starter.stdout.readline().split())
        assert listens(port)
        # When that process dies
        starter.send_signal(death)
        starter.wait(10)
    # Then nothing of it is left
    assert until(lambda: not runs(group), within_s=5)
    assert not listens(port)


def test_it_listens_on_loopback_only(stack: Stack) -> None:
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("the list of listeners is read from /proc, which is not here")
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == stack.aws.port}
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


def test_a_port_that_is_taken_is_named(stack: Stack) -> None:
    with pytest.raises(LocalAwsFailed, match=f"Port {stack.aws.port} is taken"):
        LocalAws.start(stack.aws.port)


def test_the_user_s_own_profile_is_never_read(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a profile that would send everything elsewhere, and one that does not exist
    config = tmp_path / "config"
    config.write_text("[default]\nendpoint_url = http://127.0.0.1:9\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    # When a new client is made, then it talks to the local AWS
    client = LocalAws.client(stack.aws, "sts")
    assert client.meta.endpoint_url == stack.aws.endpoint
    assert client.get_caller_identity()["Account"] == "000000000000"


def test_a_function_that_is_killed_is_started_again(stack: Stack) -> None:
    stack.invoke("Sender")
    assert stack.kill("Sender") >= 1
    assert stack.invoke("Sender")["stopped"] is None
