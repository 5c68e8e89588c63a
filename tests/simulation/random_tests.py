"""What the tests of random histories share: they are spread over two files, so that two processes can play them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from tests.conftest import Count
from tests.simulation.many import played

FIRST_SEED: Final = int(os.environ.get("SEED", "20261122"))
HISTORIES: Final = int(os.environ.get("HISTORIES", "20000"))
CHUNKS: Final = 10


def seeds(chunk: int) -> range:
    """The seeds of one of twenty equal parts."""
    share = HISTORIES // (2 * CHUNKS)
    return range(FIRST_SEED + chunk * share, FIRST_SEED + (chunk + 1) * share)


def plays_without_a_violation(chosen: Iterable[int], count: Count) -> None:
    """Play histories; fails with what was violated and how to see it happen."""
    total = played(chosen)
    counts = {name: total.counts[name] for name in ("deliveries", "conversions", "crashes")}
    line = "simulated histories, crashes and faults at random"
    count(line, {"histories": total.histories, **counts, "faults": total.faults.total()})
    count(line, {"violations": len(total.failures)})
    assert not total.failures, "\n".join(list(total.failures.values())[:5])
