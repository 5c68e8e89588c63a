"""What a delivery and a run leave in the log: one structured line, one metric a fact, and nothing personal."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PERSONAL = "Jane.Roe@example.com"

# In a process of its own, as on Lambda: the logger writes to the standard output that it was made with.
HEAD = """
from collections import Counter
from conversion_relay import event, observability
from conversion_relay.delivery import Delivery, Outcome, PrivacyRequest, Source
from conversion_relay.privacy import CarriedOut
from conversion_relay.sender import Run
source = Source("shopify", None, None, lambda d: d.headers.get("id"), lambda d: d.headers.get("shop"))
delivery = Delivery("POST", "/jane", "email=Jane.Roe@example.com", {"id": "d-1", "shop": "shop.example.com",
                    "authorization": "Jane.Roe@example.com"}, b'{"email": "Jane.Roe@example.com"}')
"""


def lines_of(*statements: str) -> list[dict[str, Any]]:
    """The lines that the statements write, in order."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", HEAD + "\n".join(statements)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "layers" / "relay"),
            "POWERTOOLS_SERVICE_NAME": "relay-shopify",
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
    """Name and value of every metric in a line of the embedded metric format."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "ConversionRelay"
    return {each["Name"]: line[each["Name"]][0] for each in directive["Metrics"]}


LEVELS = {
    "recorded": "INFO",
    "duplicate": "INFO",
    "ignored": "INFO",
    "remembered": "INFO",
    "compliance": "INFO",
    "parked": "ERROR",
    "refused": "WARNING",
    "failed": "ERROR",
}


@pytest.fixture(scope="module")
def deliveries() -> list[dict[str, Any]]:
    """The log of one delivery for each outcome, the recorded one with its event."""
    order = {
        "id": "shopify:1", "type": "order_created", "timestamp_ms": 1, "oppref": PERSONAL,
        "user": {"user_agent": PERSONAL, "cities": ["Janesville"]}, "data": {"type": "contents"},
    }  # fmt: skip
    return lines_of(
        f"made = event.parse({order!r})",
        *(
            f"observability.delivered(source, delivery, Outcome({kind!r}, 200, 'why', 'in plain words', 'k', made))"
            for kind in LEVELS
        ),
    )


@pytest.mark.parametrize(("position", "kind"), list(enumerate(LEVELS)))
def test_a_delivery_is_one_line_and_one_metric(deliveries: list[dict[str, Any]], position: int, kind: str) -> None:
    line, metric = deliveries[2 * position : 2 * position + 2]

    assert line["level"] == LEVELS[kind]
    assert line["message"] == "in plain words"
    assert {
        name: line[name] for name in ("source", "delivery", "tenant", "outcome", "reason", "key", "http", "bytes")
    } == {
        "source": "shopify",
        "delivery": "d-1",
        "tenant": "shop.example.com",
        "outcome": kind,
        "reason": "why",
        "key": "k",
        "http": 200,
        "bytes": 33,
    }
    assert metrics_of(metric) == {kind.capitalize(): 1}
    assert metric["service"] == "relay-shopify"


def test_a_delivery_leaves_nothing_else(deliveries: list[dict[str, Any]]) -> None:
    assert len(deliveries) == 2 * len(LEVELS)
    ours = {"source", "delivery", "tenant", "outcome", "reason", "key", "http", "bytes"}
    assert {name for line in deliveries[::2] for name in line} - ours == {
        "level", "location", "message", "timestamp", "service",
    }  # fmt: skip
    assert {name for line in deliveries[1::2] for name in line} == {"_aws", "service", *map(str.capitalize, LEVELS)}


def test_what_a_delivery_is_about_is_told_where_it_is_known() -> None:
    line, _ = lines_of(
        "outcome = Outcome('ignored', 200, 'refund', 'none', about=('shopify:7', '#1001'), topic='refunds/create')",
        "observability.delivered(source, delivery, outcome)",
    )
    assert (line["about"], line["topic"]) == (["shopify:7", "#1001"], "refunds/create")


def test_two_conversions_of_one_delivery_are_one_line_and_count_as_two() -> None:
    line, metric = lines_of(
        "delivery = Delivery('POST', '/', '', {}, b'')",
        "source = Source('stripe', None, None, lambda _: None, lambda _: None)",
        "outcome = Outcome('recorded', 200, 'recorded', 'new', 'trial_started#s', None, ('subscription_created#s',))",
        "observability.delivered(source, delivery, outcome)",
    )
    assert line["also"] == ["subscription_created#s"]
    assert metrics_of(metric) == {"Recorded": 2}


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """The log of five runs of the sender."""
    return lines_of(
        "observability.ran(Run(received=3, sent=3, requests=1, oldest_ms=60_000))",
        "observability.ran(Run(blocked='Put another key. (HTTP 401)', waiting=5, oldest_ms=7_200_000))",
        "observability.ran(Run(retry='OpenAI could not take events (HTTP 503)', waiting=5, oldest_ms=1_999))",
        "observability.ran(Run(rejected=2, rejections=Counter({'data.amount: bad': 2}), expired=1))",
        "observability.ran(Run(sent=1, notes=['OpenAI says 0 accepted of 1 sent.']))",
    )


@pytest.mark.parametrize(
    ("position", "level", "message"),
    [
        (0, "INFO", "run finished"),
        (1, "ERROR", "Put another key. (HTTP 401)"),
        (2, "WARNING", "OpenAI could not take events (HTTP 503)"),
        (3, "WARNING", "run finished"),
        (4, "WARNING", "run finished"),
    ],
)
def test_a_run_is_one_line(runs: list[dict[str, Any]], position: int, level: str, message: str) -> None:
    line = runs[2 * position]

    assert (line["level"], line["message"]) == (level, message)


def test_the_line_of_a_run_counts_everything(runs: list[dict[str, Any]]) -> None:
    counts = ("received", "sent", "rejected", "rejections", "expired", "dead", "waiting", "requests", "notes")

    assert {name: runs[6][name] for name in counts} == {
        "received": 0, "sent": 0, "rejected": 2, "rejections": {"data.amount: bad": 2}, "expired": 1, "dead": 0,
        "waiting": 0, "requests": 0, "notes": [],
    }  # fmt: skip


def test_metrics_of_runs(runs: list[dict[str, Any]]) -> None:
    zero = {"Sent": 0, "Rejected": 0, "Expired": 0, "Blocked": 0, "OldestUnsentSeconds": 0}

    assert [metrics_of(line) for line in runs[1::2]] == [
        zero | {"Sent": 3, "OldestUnsentSeconds": 60},
        zero | {"Blocked": 1, "OldestUnsentSeconds": 7_200},
        zero | {"OldestUnsentSeconds": 1},
        zero | {"Rejected": 2, "Expired": 1},
        zero | {"Sent": 1},
    ]


def test_privacy_requests_are_said_by_their_id() -> None:
    deleted, given, metric = lines_of(
        "request = PrivacyRequest('erase_person', 'shopify:r1', 'shop.example.com', ('d1',), ('shopify:2',))",
        "observability.carried_out(request, CarriedOut(2, 1))",
        "observability.carried_out(request, CarriedOut(2, 1, 'privacy/shopify-r1.json'))",
    )

    assert (deleted["level"], deleted["key"], deleted["items"], deleted["parked"]) == ("INFO", "shopify:r1", 2, 1)
    assert (given["level"], given["report"]) == ("WARNING", "privacy/shopify-r1.json")
    assert "30 days" in given["message"]
    assert metrics_of(metric) == {"Compliance": 1}
