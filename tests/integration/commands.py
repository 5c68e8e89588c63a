"""The ``relay`` command as a person runs it, against the stack of the integration tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tools import cli, deployment
from tools.deployment import Deployment
from tools.local_aws import REGION, Stack


def deny(monkeypatch: pytest.MonkeyPatch, service: str, operation: str, code: str, message: str) -> None:
    """Have AWS refuse one operation to the commands, as it does to somebody without leave."""
    client_of = Deployment.client

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    def client(self: Deployment, name: str) -> Any:
        made = client_of(self, name)
        if name == service:
            made.meta.events.register(f"before-call.{service}.{operation}", refuse, unique_id=operation)
        return made

    monkeypatch.setattr(Deployment, "client", client)


class Relay:
    """Runs ``relay …`` and keeps what it printed."""

    def __init__(self, stack: Stack, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.running = folder / "running.json"
        self.running.write_text(
            json.dumps({"sources": {}, "aws": {"endpoint": stack.aws.endpoint, "region": REGION, "stack": stack.name}})
        )
        self.err = ""

    @classmethod
    def on(
        cls, stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> "Relay":
        """The command, with the stack as the relay that ``make up`` runs."""
        relay = cls(stack, folder, capture)
        monkeypatch.setattr(deployment, "RUNNING", relay.running)
        monkeypatch.delenv(deployment.STACK_VARIABLE, raising=False)
        return relay

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and what was printed, with each run of blanks as one: tables wrap."""
        self._capture.readouterr()
        status = cli.main(arguments)
        printed = self._capture.readouterr()
        self.err = printed.err
        return status, " ".join(printed.out.split())

    def json(self, *arguments: str) -> tuple[int, Any]:
        """The exit status, and what was printed with ``--json``."""
        self._capture.readouterr()
        status = cli.main([*arguments, "--json"])
        return status, json.loads(self._capture.readouterr().out)
