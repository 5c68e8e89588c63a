"""Lines of the log as the functions write them, each case in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PERSONAL = "Jane.Roe@example.com"

# As on Lambda: the logger writes to the standard output that it was made with.
HEAD = """
from collections import Counter
from conversion_relay import event, journal, observability
from conversion_relay.delivery import Delivery, Outcome, PrivacyRequest, Source
from conversion_relay.privacy import CarriedOut
from conversion_relay.sender import Run
source = Source("shopify", None, None, lambda d: d.headers.get("id"), lambda d: d.headers.get("shop"))
delivery = Delivery("POST", "/jane", "email=Jane.Roe@example.com", {"id": "d-1", "shop": "shop.example.com",
                    "authorization": "Jane.Roe@example.com"}, b'{"email": "Jane.Roe@example.com"}')
"""


def lines_of(*statements: str, level: str = "INFO") -> list[dict[str, Any]]:
    """The lines that the statements write, in order."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + "\n".join(statements)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "layers" / "relay"),
            "LOG_LEVEL": level,
            "POWERTOOLS_SERVICE_NAME": "relay",
            "POWERTOOLS_METRICS_NAMESPACE": "ConversionRelay",
            "AWS_REGION": "us-east-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert PERSONAL not in done.stdout
    assert "Jane" not in done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


def metrics_of(line: dict[str, Any]) -> dict[str, float]:
    """Name and value of every metric in a line of the embedded metric format: of this stack, by no other dimension."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("ConversionRelay", [["service"]])
    assert line["service"] == "relay"
    values = {each["Name"]: line[each["Name"]] for each in directive["Metrics"]}
    return {name: value[0] if isinstance(value, list) else value for name, value in values.items()}
