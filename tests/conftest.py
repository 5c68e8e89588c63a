"""Counts that a run prints at its end: how many broken deliveries were tried, how many orders of arrival played."""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.browser.chromium import CHROMIUM, MISSING

# The metrics read it once, when the first test of a process imports them; a later one may run a handler in it.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "ConversionRelay")

COUNTS = pytest.StashKey[dict[str, Counter[str]]]()

Count = Callable[[str, Mapping[str, int]], None]


@pytest.fixture(scope="session")
def count(request: pytest.FixtureRequest) -> Count:
    """Adds to a line of counts, in whatever process of the run."""

    def add(line: str, counts: Mapping[str, int]) -> None:
        request.config.stash.setdefault(COUNTS, {}).setdefault(line, Counter()).update(counts)

    return add


def pytest_sessionfinish(session: pytest.Session) -> None:
    handed_over = getattr(session.config, "workeroutput", None)
    if handed_over is not None:
        handed_over["counts"] = {line: dict(counts) for line, counts in session.config.stash.get(COUNTS, {}).items()}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for line, counts in getattr(node, "workeroutput", {}).get("counts", {}).items():
        node.config.stash.setdefault(COUNTS, {}).setdefault(line, Counter()).update(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line, counts in sorted(terminalreporter.config.stash.get(COUNTS, {}).items()):
        parts = ", ".join(f"{number:,} {name}" for name, number in Counter(counts).most_common())
        terminalreporter.write_line(f"{line}: {parts}")
    if CHROMIUM is None:
        terminalreporter.write_line(f"tests/browser SKIPPED: {MISSING}", yellow=True)
