"""One stand-in for OpenAI a module, as at its start for each test."""

from collections.abc import Iterator

import pytest

from tests.unit.tools.stand_in_calls import KEYS, NOW_MS, PID
from tools.stand_in import StandIn


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with StandIn(
        keys=[KEYS["conversions"]], advertiser_keys=[KEYS["advertiser"]], pixels=[PID], clock=lambda: NOW_MS
    ) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(server: StandIn) -> StandIn:
    server.reset()
    return server
