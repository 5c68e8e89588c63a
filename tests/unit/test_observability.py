"""What a run of the sender and a privacy request leave in the log: a line, its metrics, and nothing personal."""

from typing import Any

import pytest

from tests.unit.log_lines import lines_of, metrics_of


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
    # A metric is paid for by the hour in which it is written: where there is nothing to count, none is.
    assert [metrics_of(line) for line in runs[1::2]] == [
        {"Sent": 3, "OldestUnsentSeconds": 60},
        {"Blocked": 1, "OldestUnsentSeconds": 7_200},
        {"OldestUnsentSeconds": 1},
        {"Rejected": 2, "Expired": 1, "OldestUnsentSeconds": 0},
        {"Sent": 1, "OldestUnsentSeconds": 0},
    ]


def test_a_run_says_what_became_of_each_source_s_events() -> None:
    line, _ = lines_of(
        "observability.ran(Run(by_source={'shopify': Counter(sent=3, rejected=1), 'callrail': Counter(sent=2)}))"
    )
    assert line["by_source"] == {"shopify": {"sent": 3, "rejected": 1}, "callrail": {"sent": 2}}


def test_privacy_requests_are_said_by_their_id() -> None:
    deleted, given, metric = lines_of(
        "request = PrivacyRequest('erase_person', 'shopify:r1', 'shop.example.com', ('d1',), ('shopify:2',))",
        "observability.carried_out(request, CarriedOut(2, 1))",
        "observability.carried_out(request, CarriedOut(2, 1, 'privacy/shopify-r1.json'))",
    )

    assert (deleted["level"], deleted["key"], deleted["items"], deleted["parked"]) == ("INFO", "shopify:r1", 2, 1)
    assert (given["level"], given["report"]) == ("WARNING", "privacy/shopify-r1.json")
    assert "30 days" in given["message"]
    assert metrics_of(metric) == {"DataRequests": 1}
