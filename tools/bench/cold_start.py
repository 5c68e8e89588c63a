"""Cold starts: what a receiver computes from nothing to the answer to its first delivery.

Import, initialization and first delivery of the built function, in a new process each time, as Lambda starts it: from
the files of its zip and its layers, with their bytecode, on the interpreter of the runtime. It is held against
``import boto3; boto3.client("dynamodb")``, which is what most Lambda functions do before they begin. CPU time of the
whole process, so that what else the machine does matters little; the median of some rounds, in turns.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from tools.bench.stand_in_aws import SECRET, stand_in_aws
from tools.lambda_event import function_url_event
from tools.local_aws import make_environment
from tools.package import Interpreter, Package, build
from tools.samples import sample
from tools.template import of_type

ROUNDS: Final = 15
MOST: Final = 1.35
"""The ratio that is aimed at, at most."""
FIRST: Final = {
    "ShopifyReceiver": "shopify/orders/create",
    "StripeReceiver": "stripe/checkout.session.completed",
    "CallsReceiver": "callrail/post_call",
    "CustomReceiver": "aircall/call.ended",
}
"""The first delivery of each receiver."""
FLOOR: Final = 'import boto3; boto3.client("dynamodb")'
_PROGRAM: Final = """
import json, sys
import app
answer = app.handler(json.load(sys.stdin), None)
assert json.loads(answer["body"])["outcome"] == "recorded", answer
"""


class Unpacked:
    """The built functions and layers, laid out as Lambda does: /var/task and /opt, below a directory."""

    def __init__(self, package: Package, directory: Path) -> None:
        self._package, self._directory = package, directory
        self.layers = [name for name in package.zips if name.endswith("Layer")]
        for name in self.layers:
            self._unpack(name, directory / "opt")

    def function(self, name: str) -> str:
        """The search path of a function: its own files, then those of the layers."""
        task = self._unpack(name, self._directory / name)
        return os.pathsep.join(map(str, (task, self._directory / "opt" / "python")))

    def _unpack(self, name: str, target: Path) -> Path:
        if not target.exists() or name in self.layers:
            with zipfile.ZipFile(self._package.zips[name]) as archive:
                archive.extractall(target)
        return target


def environment(package: Package, function: str) -> dict[str, str]:
    """The variables of a function, with the template's defaults; what only a deployment knows has a made-up name."""
    template = package.template
    written = template["Globals"]["Function"]["Environment"]["Variables"]
    written = (
        written | of_type(template, "AWS::Serverless::Function")[function]["Properties"]["Environment"]["Variables"]
    )
    defaults = {name: str(each.get("Default", "px_bench_0001")) for name, each in template["Parameters"].items()}

    def value(of: object) -> str:
        match of:
            case {"Ref": str(name)}:
                return defaults.get(name, f"bench-{name}".lower())
            case {"Fn::Sub": str(text)}:
                return text.replace("${AWS::StackName}", "bench")
            case dict():
                return ""
        return str(of)

    return {name: value(each) for name, each in written.items()}


def cpu_s(command: Sequence[str], variables: Mapping[str, str], event: bytes) -> float:
    """Seconds of CPU that a new process takes, whatever it waits for.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=dict(variables), input=event, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(rounds: int = ROUNDS) -> tuple[dict[str, float], float]:
    """CPU seconds of each receiver's cold start and of the floor: medians."""
    python = make_environment(lambda _: None)
    package = build(Interpreter.at(python))
    with tempfile.TemporaryDirectory() as directory, stand_in_aws() as (endpoint, called):
        unpacked = Unpacked(package, Path(directory))
        aws = {
            "PATH": os.environ.get("PATH", os.defpath),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_ENDPOINT_URL": endpoint,
        }
        runs: dict[str, tuple[Sequence[str], dict[str, str], bytes]] = {
            "": ([str(python), "-c", FLOOR], aws, b""),
        }
        for function, name in FIRST.items():
            event = function_url_event(sample(name).delivery(SECRET, datetime.now(UTC)))
            variables = {**aws, **environment(package, function), "PYTHONPATH": unpacked.function(function)}
            runs[function] = ([str(python), "-c", _PROGRAM], variables, json.dumps(event).encode())
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds + 1):
            for name, run in runs.items():
                times[name].append(cpu_s(*run))
        expected = (rounds + 1) * len(FIRST)
        if called["GetParameter"] != expected or called["PutItem"] != expected:
            raise AssertionError(f"the first deliveries did not read a secret and write an item each: {called}")
    medians = {name: median(each[1:]) for name, each in times.items()}  # the first round fills the disk's cache
    floor = medians.pop("")
    return medians, floor


def ratios(medians: Mapping[str, float], floor: float) -> dict[str, float]:
    """Of each receiver to the floor."""
    return {name: round(each / floor, 3) for name, each in medians.items()}
