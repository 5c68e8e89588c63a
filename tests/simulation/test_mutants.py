"""The checker finds what is wrong: each relay with one step done wrongly breaks a property before long."""

from pathlib import Path

import pytest

from tests.conftest import Count
from tests.simulation.mutants import MUTANTS, Mutant
from tests.simulation.properties import PROPERTIES

ENOUGH = 600


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(name: str, count: Count) -> None:
    mutant = MUTANTS[name]

    # Given a relay that does one step wrongly, when histories are played, then the property that it breaks says so
    with mutant.otherwise():
        tried = next((seed + 1 for seed in range(ENOUGH) if mutant.properties & _broken(mutant, seed)), None)

    assert tried is not None, f"{ENOUGH} histories do not show that the relay would {name}"
    count("simulated mutants of the relay", {"caught": 1, "histories until then": tried})


def _broken(mutant: Mutant, seed: int) -> set[str]:
    return {each.name for each in mutant.history(seed, mutant.relay).properties.violations}


def test_each_property_is_broken_by_a_mutant() -> None:
    assert set[str]().union(*(mutant.properties for mutant in MUTANTS.values())) == PROPERTIES.keys()


def test_the_documentation_lists_every_mutant() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")

    for name, mutant in MUTANTS.items():
        assert f"| {name} | {mutant.wrong} | {', '.join(sorted(mutant.properties))} |" in page
