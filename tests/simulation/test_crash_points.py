"""One event and two, with a crash or an error at every single call of their way, before it takes effect and after."""

from itertools import combinations_with_replacement

import pytest

from tests.conftest import Count
from tests.simulation.faults import CRASH_AFTER, CRASH_BEFORE, FAULTS, Fault
from tests.simulation.histories import ONE, TWO, Fixed, fixed_history
from tests.simulation.report import explained

LINE = "simulated histories, a fault at every call"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("history", [*ONE, *TWO], ids=lambda each: each.__name__)
def test_a_fault_at_any_one_call_breaks_no_property(history: Fixed, fault: Fault, count: Count) -> None:
    # Given how many calls the history makes when nothing fails
    calls = fixed_history(history, {}).calls.made

    # When the fault strikes at each of them in turn, and the world goes on
    for call in range(1, calls + 1):
        world = fixed_history(history, {call: fault})
        assert world.calls.struck.total() >= 1

        # Then every property holds
        assert not world.properties.violations, explained(world, f"{history.__name__} {call}:{fault}")
    count(LINE, {"histories": calls, "violations": 0})


@pytest.mark.parametrize("history", [*ONE, *TWO], ids=lambda each: each.__name__)
def test_two_crashes_at_any_two_calls_break_no_property(history: Fixed, count: Count) -> None:
    # Given the calls that change something or take a message: those of empty receives are like one another
    dry = fixed_history(history, {}, tracing=True)
    points = [number for number, name in enumerate(dry.calls.made_by_name, 1) if name != "ReceiveMessage"]
    points += [number for number, name in enumerate(dry.calls.made_by_name, 1) if name == "ReceiveMessage"][:1]

    # When the function dies at one of them, and on the way back at another
    histories = 0
    for first, second in combinations_with_replacement(points, 2):
        for plan in _crashes(first, second + 1):
            world = fixed_history(history, plan)
            histories += 1

            # Then every property holds
            faults = " ".join(f"{call}:{fault}" for call, fault in plan.items())
            assert not world.properties.violations, explained(world, f"{history.__name__} {faults}")
    count(LINE, {"histories": histories, "violations": 0})


def _crashes(first: int, second: int) -> list[dict[int, Fault]]:
    kinds: tuple[Fault, ...] = (CRASH_BEFORE, CRASH_AFTER)
    return [{first: one, second: other} for one in kinds for other in kinds]
