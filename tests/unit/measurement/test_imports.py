"""What is heavy is loaded by the commands that compute with it, and by no other."""

import subprocess
import sys

import pytest

from tools.template import ROOT

HEAVY = ("ibis", "pandas", "scipy", "altair", "numpy", "pyarrow", "duckdb", "statsmodels")


@pytest.mark.parametrize("arguments", [["--help"], ["cost", "--help"]])
def test_the_relay_command_starts_without_what_only_the_report_needs(arguments: list[str]) -> None:
    program = (
        "import sys; from tools import cli\n"
        "try:\n    cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('loaded', *sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage: relay" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["loaded"]


def test_the_results_of_the_report_are_known_without_its_engine() -> None:
    # The modules of results are imported by whoever shows them; what computes is imported in their functions.
    program = (
        "import sys, measurement.attribution, measurement.funnel, measurement.channels, measurement.settings\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
