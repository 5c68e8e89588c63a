"""Many histories: in several processes, with their counts summed up."""

from __future__ import annotations

import gc
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from tests.simulation.histories import MakeRelay, history
from tests.simulation.relay import Relay
from tests.simulation.report import explained

CHUNK = 500
COUNTED = ("deliveries", "conversions", "crashes", "requests", "sent", "rejected", "expired")


@dataclass(slots=True)
class Played:
    """What came of some histories. ``failures`` are by seed, with the text that explains each."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)

    def add(self, other: Played) -> None:
        """Sum up."""
        self.histories += other.histories
        self.counts += other.counts
        self.faults += other.faults
        self.failures |= other.failures


def played(seeds: Iterable[int], relay: MakeRelay = Relay) -> Played:
    """Play the histories of some seeds."""
    total = Played()
    with _few_collections():
        for seed in seeds:
            world = history(seed, relay)
            total.histories += 1
            total.counts += world.counts
            total.faults += world.calls.struck
            if world.properties.violations:
                total.failures[seed] = explained(world, seed)
    return total


@contextmanager
def _few_collections() -> Iterator[None]:
    """Worlds are made and thrown away by the thousand: looking for garbage less often saves a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def play(seed: int, histories: int, workers: int) -> int:
    """Play many histories and print what came of them; 0 when every property held in each."""
    began = time.monotonic()
    total = Played()
    chunks = [range(first, min(first + CHUNK, seed + histories)) for first in range(seed, seed + histories, CHUNK)]
    with get_context("spawn").Pool(workers) as pool:
        for done in pool.imap_unordered(played, chunks):
            total.add(done)
            for text in done.failures.values():
                print(f"\n{text}", file=sys.stderr)
            _progress(total, histories, time.monotonic() - began)
    print(file=sys.stderr)
    print(summary(total, seed, time.monotonic() - began, workers))
    return 1 if total.failures else 0


def _progress(total: Played, histories: int, seconds: float) -> None:
    rate = total.histories / seconds
    left = (histories - total.histories) / rate
    text = f"{total.histories:,} of {histories:,} histories, {rate:,.0f} a second, {left / 60:.0f} min left"
    print(f"\r{text}, {len(total.failures)} with a violation   ", end="", file=sys.stderr, flush=True)


def summary(total: Played, seed: int, seconds: float, workers: int) -> str:
    """The counts as a table."""
    lines = [
        ("histories", f"{total.histories:,} (seeds {seed} to {seed + total.histories - 1})"),
        *((name, f"{total.counts[name]:,}") for name in COUNTED),
        ("faults", f"{total.faults.total():,}"),
        *((f"  {name}", f"{number:,}") for name, number in total.faults.most_common()),
        ("violations", f"{len(total.failures):,}"),
        ("seconds", f"{seconds:,.0f}"),
        ("machine", f"{_processor()}, {workers} of {os.cpu_count()} cores, Python {platform.python_version()}"),
    ]
    return "\n".join(f"{name:26}{value}" for name, value in lines)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
