"""Runs one function's handler and dies (SIGKILL) before or after one of its calls to the outside.

    python -m tests.integration.crashing FUNCTION CALL NUMBER before|after < event.json

``CALL`` is an AWS operation such as DeleteMessageBatch, or POST for the request to OpenAI; ``NUMBER`` counts from 1.
Exits 0 when the handler ended without reaching that call.
"""

import importlib.util
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import requests
from botocore.client import BaseClient

from conversion_relay.aws_json import DynamoDb
from tests.integration.stack import FUNCTIONS, Context


def main(function: str, call: str, number: str, moment: str) -> None:
    """Load the handler, watch its calls, and die at the chosen one."""
    seen = 0
    lock = threading.Lock()

    def dies(name: str) -> bool:
        nonlocal seen
        with lock:
            seen += name == call
            return name == call and seen == int(number)

    def watched(original: Any, name_of: Any) -> Any:
        def calling(self: Any, *arguments: Any, **options: Any) -> Any:
            fatal = dies(name_of(arguments))
            if fatal and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = original(self, *arguments, **options)
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return calling

    BaseClient._make_api_call = watched(BaseClient._make_api_call, lambda arguments: arguments[0])  # type: ignore[method-assign]
    DynamoDb._call = watched(DynamoDb._call, lambda arguments: arguments[0])  # type: ignore[method-assign]
    requests.Session.post = watched(requests.Session.post, lambda _: "POST")  # type: ignore[method-assign]

    spec = importlib.util.spec_from_file_location("app", Path(FUNCTIONS) / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    app.handler(json.load(sys.stdin), Context())


if __name__ == "__main__":
    main(*sys.argv[1:])
