"""The ``relay`` command as a person runs it, against the stack of the integration tests."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.replaying import command
from tools.deployment import Deployment
from tools.local_aws import Stack


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
    """Runs a ``relay`` command that only reads, and keeps what it printed."""

    def __init__(
        self, stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        self._command = command(stack, monkeypatch, capture, folder)
        self.running = folder / "running.json"
        self.err = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and what was printed, with each run of blanks as one: tables wrap."""
        ran = self._command(*arguments)
        self.err = ran.err
        return ran.status, " ".join(ran.out.split())

    def json(self, *arguments: str) -> tuple[int, Any]:
        """The exit status, and what was printed with ``--json``."""
        ran = self._command(*arguments, "--json")
        return ran.status, json.loads(ran.out)
