"""A function as Lambda runs it: its built code and layers under Lambda's own runtime client and interface emulator.

``awslambdaric`` is what runs a handler in Lambda's Python runtime; ``aws-lambda-rie``, out of the SAM CLI's wheel, is
what it asks for events. Unlike the local AWS's workers they keep a sandbox after an error, write errors as Lambda does,
and give the handler the log format that the template sets.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.local_aws import ENVIRONMENT, REGION, Stack, free_port, make_environment
from tools.package import Interpreter, Package, build

PROCESSORS = {"x86_64": "x86_64", "aarch64": "arm64"}
START_WITHIN_S = 10
OF_THE_EMULATOR = ("START RequestId", "END RequestId", "REPORT RequestId")
"""Lines that Lambda writes itself; the template switches them off, the emulator cannot."""


@dataclass
class Sandbox:
    """One environment of a function. It takes one event at a time."""

    address: str
    output: Path

    def invoke(self, event: Mapping[str, Any]) -> Any:
        """Hand it an event; what the handler returns, or the error as Lambda writes it."""
        request = urllib.request.Request(
            f"http://{self.address}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def lines(self) -> list[str]:
        """What the function has written, line by line."""
        lines = self.output.read_text().splitlines()
        return [line for line in lines if line.strip() and not line.startswith(OF_THE_EMULATOR)]

    def records(self) -> list[dict[str, Any]]:
        """What it has written, each line as JSON; fails on a line that is none."""
        return [json.loads(line) for line in self.lines()]


class Runtime:
    """What all sandboxes share: the interpreter with the runtime client, and the built code, unpacked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = make_environment(print, "runtime")
        self._built: Package = build(Interpreter.at(ENVIRONMENT / "bin" / "python"))
        for layer in ("DependenciesLayer", "RelayLayer"):  # in the template's order; a later one wins
            self._unpack(layer, folder / "opt")

    @contextlib.contextmanager
    def sandbox(self, stack: Stack, function: str, **variables: str) -> Iterator[Sandbox]:
        """A function of the stack, by its logical id, with its variables and ``variables`` besides."""
        task = self._folder / function
        if not task.exists():
            self._unpack(function, task)
        output = self._folder / f"{function}-{time.monotonic_ns()}.log"
        address = f"127.0.0.1:{free_port()}"
        command = [
            self._emulator(), "--runtime-interface-emulator-address", address,
            "--runtime-api-address", f"127.0.0.1:{free_port()}", "--log-level", "error",
            self._python, "-m", "awslambdaric", "app.handler",
        ]  # fmt: skip
        with output.open("wb") as written:
            process = subprocess.Popen(
                command,
                cwd=task,
                env=self._environment(stack, function, task) | variables,
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait_for(address, process, output)
            yield Sandbox(address, output)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self, stack: Stack, function: str, task: Path) -> dict[str, str]:
        """Lambda's variables and the function's own, and nothing of this process's but where programs are."""
        held = stack.client("lambda").get_function_configuration(FunctionName=stack.resources[function])
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "PYTHONPATH": f"{task}:{self._folder / 'opt' / 'python'}",
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's disk is read-only
            "LAMBDA_TASK_ROOT": str(task),
            "AWS_LAMBDA_FUNCTION_NAME": held["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(held["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(held["Timeout"]),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": stack.aws.endpoint,
            **held["Environment"]["Variables"],
        }

    def _emulator(self) -> Path:
        [samcli] = (self._python.parent.parent / "lib").glob("python3*/site-packages/samcli")
        return samcli / "local" / "rapid" / f"aws-lambda-rie-{PROCESSORS[platform.machine()]}"

    def _unpack(self, name: str, folder: Path) -> None:
        with zipfile.ZipFile(self._built.zips[name]) as archive:
            archive.extractall(folder)


def _wait_for(address: str, process: subprocess.Popen[bytes], output: Path) -> None:
    host, _, port = address.partition(":")
    give_up = time.monotonic() + START_WITHIN_S
    while time.monotonic() < give_up and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"the runtime interface emulator does not listen on {address}: {output.read_text()}")


def stream_event(stack: Stack, images: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The event that Lambda makes of new items of the ledger."""
    table = stack.resources["Ledger"]
    records = [
        {
            "eventID": f"{number:032x}",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": REGION,
            "dynamodb": {
                "ApproximateCreationDateTime": time.time(),
                "Keys": {"pk": image["pk"]},
                "NewImage": image,
                "SequenceNumber": f"{number:021d}",
                "SizeBytes": 900,
                "StreamViewType": "NEW_IMAGE",
            },
            "eventSourceARN": f"arn:aws:dynamodb:{REGION}:000000000000:table/{table}/stream/2026-11-29T00:00:00.000",
        }
        for number, image in enumerate(images)
    ]
    event: dict[str, Any] = json.loads(json.dumps({"Records": records}, default=_binary))
    return event


def _binary(value: Any) -> str:
    """A binary attribute, which boto3 gives as bytes, as it stands in an event."""
    return base64.b64encode(bytes(value)).decode()


def queue_event(stack: Stack, queue: str, bodies: list[str]) -> dict[str, Any]:
    """The event that Lambda makes of messages of a queue, by its logical id."""
    name = stack.resources[queue].rpartition("/")[2]
    now_ms = str(time.time_ns() // 1_000_000)
    return {
        "Records": [
            {
                "messageId": f"{number:08d}-0000-4000-8000-000000000000",
                "receiptHandle": "a handle",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": now_ms,
                    "SenderId": "AROAEXAMPLE:outbox",
                    "ApproximateFirstReceiveTimestamp": now_ms,
                },
                "messageAttributes": {},
                "md5OfBody": "0" * 32,
                "eventSource": "aws:sqs",
                "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:{name}",
                "awsRegion": REGION,
            }
            for number, body in enumerate(bodies)
        ]
    }


SCHEDULE_EVENT = {
    "version": "0",
    "id": "5e3a5c0e-9f3d-4d0a-8d0f-3f0c1c0f4a51",
    "detail-type": "Scheduled Event",
    "source": "aws.scheduler",
    "account": "000000000000",
    "time": "2026-11-29T00:00:00Z",
    "region": REGION,
    "resources": [f"arn:aws:scheduler:{REGION}:000000000000:schedule/default/SenderRun"],
    "detail": "{}",
}
"""What EventBridge Scheduler hands a function when the schedule names no input."""
