"""microburst, an AWS-aware proxy, between the functions and the local AWS: it breaks what its rules say.

It runs in an environment of its own (dependency group ``faults``), on the loopback, and ends with this process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from tools.local_aws import BUILD, LocalAwsFailed, Say, free_port, make_environment

START_TIMEOUT_S: Final = 30
_SERVICES: Final = {"dynamodb": "DynamoDB", "sqs": "SQS", "s3": "S3", "ssm": "SSM"}
_FAULT: Final = re.compile(r'microburst_faults_total\{service="(\w+)",operation="\w+",action="([^"]+)"\} (\d+)')

# Its dice are seeded; when the process that started it is gone, its end of the pipe on standard input closes.
_LAUNCH: Final = """
import os, random, runpy, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
random.seed(sys.argv[1])
sys.argv = ["microburst", *sys.argv[2:]]
runpy.run_module("microburst", run_name="__main__")
"""


class FaultProxy:
    """A running proxy in front of ``upstream``, the local AWS's address. In a ``with`` block."""

    def __init__(self, upstream: str, seed: int, say: Say) -> None:
        python = make_environment(say, "faults")
        port = free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._log = BUILD / f"microburst-{os.getpid()}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(python), "-c", _LAUNCH, str(seed), "--port", str(port), "--upstream", upstream],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._log.unlink(missing_ok=True)

    def obey(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put these rules in place of those before. The first one that matches a call and whose dice fall decides."""
        self._call("rules", json.dumps(list(rules)).encode())

    def fired(self) -> Counter[str]:
        """How often a call was broken since the start, by what was done to it."""
        found: Counter[str] = Counter()
        for service, action, times in _FAULT.findall(self._call("metrics").decode()):
            found[f"{_SERVICES.get(service, service)} {plain(action)}"] += int(times)
        return found

    def _call(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            f"{self.endpoint}/_microburst/{path}", body, {"Content-Type": "application/json"}
        )
        with self._opener.open(request, timeout=30) as answer:
            content: bytes = answer.read()
        return content

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < give_up and self._process.poll() is None:
            try:
                self._call("health")
            except OSError:
                time.sleep(0.05)
            else:
                return
        tail = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        raise LocalAwsFailed("\n".join([f"The fault proxy did not start on {self.endpoint}. Its last words:", *tail]))


def plain(action: str) -> str:
    """``latency:123ms`` is slow, ``response:abort`` a lost reply, ``error:SlowDown`` that error."""
    name, _, detail = action.partition(":")
    match name:
        case "latency":
            return "late" if float(detail.removesuffix("ms")) > 1000 else "slow"
        case "response":
            return "replies lost"
        case "reset":
            return "connections reset"
        case _:
            return detail or name
