"""The checker finds what is wrong: each relay with one step done wrongly breaks a property before long."""

import pytest

from tests.conftest import Count
from tests.simulation.mutants import MUTANTS

ENOUGH = 600


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, count: Count) -> None:
    mutant = MUTANTS[name]

    # Given a relay that does one step wrongly, when histories are played
    with mutant.otherwise():
        for seed in range(ENOUGH):
            world = mutant.history(seed, mutant.relay)
            if world.properties.violations:
                break
        else:
            pytest.fail(f"{ENOUGH} histories did not show that anything is wrong")

    # Then the property that it breaks says so
    assert world.properties.violations[0].name in mutant.properties, world.properties.violations[0]
    count("simulated mutants of the relay", {"caught": 1, "histories until then": seed + 1})
