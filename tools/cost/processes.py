"""The functions of the template as processes, each with the environment that the template gives it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from tools import platforms
from tools.cost.choices import FunctionChoice
from tools.cost.service import CountingService
from tools.samples import ORIGIN
from tools.template import ROOT

SCRIPT: Final = Path(__file__).with_name("function.py")
BUILD: Final = ROOT / "build" / "cost"


class MeasuringFailed(RuntimeError):
    """A function did not work; the text has its name and its error."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One invocation: its CPU time, what it returned, and the lines of its log. ``memory_mb``: the most so far."""

    cpu_ms: float
    memory_mb: float
    result: Any
    log: tuple[str, ...]


class Process:
    """A function that has started. ``init``: its start, the import of its code."""

    def __init__(self, choice: FunctionChoice, service: CountingService) -> None:
        self.choice = choice
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), str(_folder(choice))],
            env=environment(choice, service.url),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise MeasuringFailed(f"{choice.name} has no pipes")
        self._events, self._answers = self._process.stdin, self._process.stdout
        self.init = self._ran()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def invoke(self, event: Mapping[str, Any]) -> Ran:
        """Run the handler.

        Raises:
            MeasuringFailed: it raised.
        """
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()
        return self._ran()

    def _ran(self) -> Ran:
        line = self._answers.readline()
        if not line:
            raise MeasuringFailed(f"{self.choice.name} ended with status {self._process.wait()}; its error is above.")
        told = json.loads(line)
        if told.get("error"):
            raise MeasuringFailed(f"{self.choice.name} raised {told['error']}")
        return Ran(told["cpu_ms"], told["memory_mb"], told.get("result"), tuple(told["log"].splitlines()))


def environment(choice: FunctionChoice, url: str) -> dict[str, str]:
    """All that a function's process gets: what Lambda sets, what the template sets, and the address of this AWS."""
    own = dict(choice.environment)
    if "OPENAI_ENDPOINT" in own:
        own["OPENAI_ENDPOINT"] = f"{url}/v1/events"
    if "PUBLIC_ORIGIN" in own and not own["PUBLIC_ORIGIN"]:
        own["PUBLIC_ORIGIN"] = ORIGIN
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": str(ROOT / "layers" / "relay"),
        "PYTHONPYCACHEPREFIX": str(BUILD / "bytecode"),  # code comes to Lambda compiled
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": url,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_NAME": choice.name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(choice.memory_mb),
        "AWS_LAMBDA_LOG_FORMAT": choice.log_format,
        "NO_PROXY": "127.0.0.1",
        **own,
    }


def _folder(choice: FunctionChoice) -> Path:
    """Where the function's files are; that for custom platforms is made as its Makefile does it."""
    folder = ROOT / choice.folder
    if not (folder / "platforms").is_dir():
        return folder
    made = BUILD / folder.name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for path in folder.glob("*.py"):
        shutil.copy(path, made)
    (made / "platforms.json").write_text(platforms.compiled(platforms.shipped()), encoding="utf-8")
    return made
