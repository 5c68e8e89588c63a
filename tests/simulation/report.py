"""What a person reads of a history: step by step, and what was violated."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tests.simulation.faults import FAULTS
from tests.simulation.histories import ONE, TWO, MakeRelay, fixed_history, history
from tests.simulation.relay import Relay
from tests.simulation.world import World

FIXED = {each.__name__: each for each in (*ONE, *TWO)}
_FAULT = re.compile(r"(\d+):(.+)")


class UnknownHistory(ValueError):
    """There is no such history; the text says what there is."""


def replayed(what: Sequence[str], relay: MakeRelay = Relay) -> World:
    """The history that words name, traced: a seed, or the name of a fixed one with ``call:fault`` for each fault.

    Raises:
        UnknownHistory: the words name none.
    """
    first, *rest = what
    if first.isdigit() and not rest:
        return history(int(first), relay, tracing=True)
    if first not in FIXED:
        raise UnknownHistory(f"There is no history {first}. Give a seed (a number) or one of: {', '.join(FIXED)}.")
    faults = {}
    for fault in re.findall(r"\d+:[^\d:]+", " ".join(rest)):
        match = _FAULT.fullmatch(fault.strip())
        if match is None or match[2] not in FAULTS:
            raise UnknownHistory(f"{fault} is no fault. Give the number of a call and one of: {', '.join(FAULTS)}.")
        faults[int(match[1])] = match[2]
    return fixed_history(FIXED[first], faults, relay, tracing=True)


def explained(world: World, what: object) -> str:
    """The violations of a world, and the command that plays its history again, step by step."""
    found = "\n".join(f"  {violation}" for violation in world.properties.violations)
    return f"\n{found}\nTo see it happen: python -m tests.simulation {what}"


def told(world: World) -> str:
    """A traced history as text."""
    assert world.trace is not None
    ends = [
        f"{key}: {item['status']['S']} ({item['reason']['S'] if 'reason' in item else 'no end'})"
        for key, item in world.table.items.items()
        if item is not None and "event" in item
    ]
    violations = [f"VIOLATED {each}" for each in world.properties.violations] or ["every property held"]
    return "\n".join([*world.trace, "", *ends, *violations])
