"""A seed is a history: the same one whenever and wherever it is played, and one that a person can read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.__main__ import main
from tests.simulation.histories import history
from tests.simulation.mutants import SwallowsNotQueued
from tests.simulation.report import UnknownHistory, explained, replayed, told

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", ["20", "30", "4711"])
def test_the_same_seed_is_the_same_history_byte_for_byte(seed: str) -> None:
    # Given two processes whose hashes of texts differ, when both play it
    played = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", seed],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": hashes, "PYTHONPATH": f"{ROOT}:{ROOT}/layers/relay"},
            capture_output=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]

    # Then they print the same bytes, and so does a third that has played others before
    assert played[0] == played[1]
    history(1)
    assert f"{told(replayed([seed]))}\n".encode() == played[0]


def test_watching_a_history_does_not_change_it() -> None:
    for seed in range(40, 60):
        seen, unseen = history(seed, tracing=True), history(seed)
        assert (seen.calls.made, seen.now_ms, seen.table.items) == (
            unseen.calls.made,
            unseen.now_ms,
            unseen.table.items,
        )


def test_a_violation_says_how_to_see_it_happen() -> None:
    # Given a relay that loses what is not queued
    seed, world = next(
        (seed, world) for seed in range(600) if (world := history(seed, SwallowsNotQueued)).properties.violations
    )

    # Then the failure names the property, the conversion and the command
    text = explained(world, seed)
    assert "P1 (one outcome for each delivery, one end for each conversion):" in text
    assert f"python -m tests.simulation {seed}" in text

    # And the command's output ends with the violation, after every step
    steps = told(replayed([str(seed)], SwallowsNotQueued))
    assert "is still recorded" in steps.splitlines()[-1] or "left on the queue" in steps
    assert "SQS SendMessageBatch" in steps


def test_a_fixed_history_is_played_with_its_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["one_sale", "1:crash after"]) == 0
    printed = capsys.readouterr().out
    assert "receiver 1: call 1, DynamoDB PutItem: crash after" in printed
    assert printed.endswith("order_created#shop:1: sent (accepted by OpenAI)\nevery property held\n")


@pytest.mark.parametrize(("words", "says"), [(["no_sale"], "no history no_sale"), (["one_sale", "1:boom"], "no fault")])
def test_an_unknown_history_is_said_so(words: list[str], says: str) -> None:
    with pytest.raises(UnknownHistory, match=says):
        replayed(words)


def test_many_histories_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--histories", "40", "--seed", "7", "--workers", "1"]) == 0
    summary = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert summary["histories"] == "40 (seeds 7 to 46)"
    assert summary["violations"] == "0"
    assert int(summary["sent"]) <= int(summary["conversions"])
