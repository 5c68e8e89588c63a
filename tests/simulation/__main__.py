"""Play simulated histories.

python -m tests.simulation 1234                            one, step by step
python -m tests.simulation one_sale 12:"crash after"       a fixed one, with a fault at its 12th call
python -m tests.simulation --histories 1000000 --seed 1    many, and what came of them
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.many import play
from tests.simulation.report import UnknownHistory, replayed, told


def main(arguments: list[str]) -> int:
    """0 when every property held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Play simulated histories.")
    parser.add_argument("history", nargs="*", help="a seed, or the name of a fixed history with its faults")
    parser.add_argument("--histories", type=int, default=1_000_000, help="how many to play (default: a million)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first; the others count on (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    chosen = parser.parse_args(arguments)
    if not chosen.history:
        return play(chosen.seed, chosen.histories, chosen.workers)
    try:
        world = replayed(chosen.history)
    except UnknownHistory as error:
        parser.error(str(error))
    print(told(world))
    return 1 if world.properties.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
