"""``relay report``: what ChatGPT ads really did, from the ledger, GA4, the CRM, a survey and the spend.

``relay report init FOLDER`` writes settings and samples to begin with, ``relay report FOLDER`` makes the report of what
measurement.toml there names, ``relay report --demo`` makes one of a simulated shop whose truth is known.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from measurement.simulation.truth import Comparison

SETTINGS: Final = "measurement.toml"
INIT: Final = "init"
OUT: Final = "report"
DEMO_OUT: Final = Path("build/demo-report")
WIDTH: Final = 120
"""Columns of the table where the output is no terminal's."""
UNCORRECTED: Final = (
    "An interval of 95 % misses one time in twenty. What was answered and what was clicked are counts, which\n"
    "nothing corrects: those with a click answer more often, and many clicks nobody sees. That is why there are models."
)
ENGINES: Final = ("duckdb", "athena")
_ATHENA: Final = ("database", "staging", "region")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay report``."""
    parser.add_argument("words", metavar="[init] FOLDER", nargs="*", help=f"where {SETTINGS} is; init: write one")
    parser.add_argument("--demo", action="store_true", help="the report of a simulated shop, beside its truth")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"where it is written (default: FOLDER/{OUT})")
    parser.add_argument(
        "--workspace", type=Path, metavar="DIR", help="keep the checked tables there, as Parquet (default: nowhere)"
    )
    parser.add_argument("--engine", choices=ENGINES, default="duckdb", help="what computes (default: duckdb, here)")
    athena = parser.add_argument_group("with --engine athena", "the tables are there already: docs/attribution.md")
    athena.add_argument("--database", metavar="NAME", help="Athena's database")
    athena.add_argument("--staging", metavar="S3", help="where Athena writes answers: s3://bucket/prefix/")
    athena.add_argument("--region", metavar="REGION", help="such as eu-central-1")


def run(options: argparse.Namespace) -> int:
    """Make the report; the exit status (2: an input or the command line cannot be used)."""
    if problem := _misused(options):
        print(f"relay report: {problem}", file=sys.stderr)
        return 2
    from measurement.problems import Problem

    try:
        if options.demo:
            demo(_console(), options.out or DEMO_OUT)
        elif options.words[0] == INIT:
            _begin(Path(options.words[1]))
        else:
            _report(options, Path(options.words[0]))
    except Problem as problem:
        print(f"relay report: {problem}", file=sys.stderr)
        return 2
    return 0


def _misused(options: argparse.Namespace) -> str:
    """What is wrong with the command line, or nothing."""
    words: Sequence[str] = options.words
    if options.demo:
        return "--demo takes no folder; --out says where the report goes." if words else ""
    if not words:
        return "name the folder with measurement.toml. relay report init FOLDER makes one, --demo needs none."
    if words[0] == INIT:
        return "" if len(words) == 2 else "name one folder: relay report init FOLDER."
    if len(words) > 1:
        return f"one folder, not {len(words)}."
    missing = [f"--{name}" for name in _ATHENA if getattr(options, name) is None]
    if options.engine == "athena" and missing:
        return f"--engine athena needs {', '.join(missing)} too."
    return ""


def _begin(folder: Path) -> None:
    from measurement.inputs.starter import begin

    for path in begin(folder):
        print(path)
    print(f"\nAdapt {folder / SETTINGS}: docs/measuring.md says where each export comes from.")
    print(f"Then: relay report {folder}")


def _report(options: argparse.Namespace, folder: Path) -> None:
    from measurement import inputs
    from measurement import settings as reading
    from measurement.engine import Data
    from measurement.report.run import make

    loaded = reading.load(folder / SETTINGS)
    out = options.out or folder / OUT
    with progress() as say, tempfile.TemporaryDirectory(prefix="relay-report-") as scratch:
        if options.engine == "athena":
            data = Data.in_athena(options.database, options.staging, options.region)
            notes: tuple[str, ...] = ()
        else:
            workspace = options.workspace or Path(scratch)
            notes = inputs.run(loaded, workspace, progress=say).notes
            data = Data.in_folder(workspace)
        page = make(loaded, data, out, notes=notes, progress=say)
    for note in notes:
        print(f"Note: {note}")
    print(page)


def demo(console: Console, out: Path) -> Path:
    """Make the report of the simulated shop, by its exports and the real importers, and print how far it is
    from the truth; the page's path."""
    from measurement import inputs
    from measurement import settings as reading
    from measurement.engine import Data
    from measurement.report.run import analyse, finish
    from measurement.simulation import demo as shop
    from measurement.simulation.truth import compare

    with progress() as say, tempfile.TemporaryDirectory(prefix="relay-demo-") as scratch:
        folder, workspace = Path(scratch) / "shop", Path(scratch) / "tables"
        say("simulating a shop and writing its exports")
        truth = shop.write(folder)
        loaded = reading.load(folder / SETTINGS)
        notes = inputs.run(loaded, workspace, progress=say).notes
        data = Data.in_folder(workspace)
        results = analyse(loaded, data, notes=notes, truth=truth, progress=say)
        page = finish(results, data, out, progress=say)
    show(console, compare(truth, **results.for_truth()))
    console.print(f"The report of a simulated shop: {page}", highlight=False, soft_wrap=True)
    return page


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def show(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Each estimate beside the truth."""
    table = Table(title="How far the report is from the simulated shop's truth", title_justify="left", box=None)
    table.add_column("estimate of", overflow="fold")
    for name in ("estimate", "95 % interval", "truth", "distance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("truth inside")
    for each in comparisons:

        def said(value: float, sign: str = "", share: bool = each.share) -> str:
            return f"{100 * value:{sign}.1f} %" if share else f"{value:{sign},.0f}"

        low, high, inside = each.low, each.high, each.inside
        table.add_row(
            escape(each.name),
            said(each.value),
            "" if low is None or high is None else f"{said(low)} to {said(high)}",
            said(each.truth),
            said(each.distance, "+"),
            "" if inside is None else "[green]yes[/]" if inside else "[yellow]no[/]",
        )
    console.print(table)
    console.print(UNCORRECTED)


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Tells what is being done, on a terminal's standard error; gone at the end."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=None)
        yield lambda text: bar.update(task, description=escape(text))


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m tools.report``, for make."""
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    raise SystemExit(main())
