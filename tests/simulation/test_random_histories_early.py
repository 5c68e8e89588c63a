"""Random histories with crashes and faults: the first half."""

import pytest

from tests.conftest import Count
from tests.simulation.random_tests import CHUNKS, plays_without_a_violation, seeds


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_histories_break_no_property(chunk: int, count: Count) -> None:
    plays_without_a_violation(seeds(chunk), count)
