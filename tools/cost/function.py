"""One Lambda function in a process of its own, as Lambda would run it: started once, then one event after the other.

Run as a script by `tools.cost.processes`. Standard input: a JSON line for each event. Standard output: a JSON line with
what became of it, its CPU time, and what it wrote to its own standard output, which is its log.
"""

import importlib
import json
import os
import resource
import sys
import tempfile
import time
from typing import Any, BinaryIO


class Context:
    """What the handlers ask of Lambda's context."""

    function_name = "function"
    function_version = "$LATEST"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id = "8f5e2c1a-0000-4000-8000-000000000000"
    log_stream_name = "2026/11/29/[$LATEST]0"

    def get_remaining_time_in_millis(self) -> int:
        """Always as much as the longest function gets."""
        return 240_000


def main() -> None:
    """Import the handler, then take events until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
    os.dup2(log.fileno(), 1)
    sys.path.insert(0, sys.argv[1])
    began = time.process_time()
    handler = importlib.import_module("app").handler
    began = _tell(answers, {"cpu_ms": (time.process_time() - began) * 1000, "log": _written(log)})
    for line in sys.stdin:
        event = json.loads(line)
        began = time.process_time()
        result, error = None, None
        try:
            result = handler(event, Context())
        except Exception as problem:  # what Lambda would report
            error = f"{type(problem).__name__}: {problem}"
        cpu_ms = (time.process_time() - began) * 1000
        _tell(answers, {"cpu_ms": cpu_ms, "result": result, "error": error, "log": _written(log)})


def _written(log: BinaryIO) -> str:
    sys.stdout.flush()
    log.seek(0)
    text = log.read().decode()
    log.seek(0)
    log.truncate()
    return text


def _tell(answers: Any, told: dict[str, Any]) -> float:
    told["memory_mb"] = _most_memory_mb()
    answers.write(json.dumps(told) + "\n")
    return time.process_time()


def _most_memory_mb() -> float:
    """The most memory that this process has held. What the system counts as used may be that of the parent before."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - nothing is to be imported for it
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
