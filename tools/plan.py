"""``relay plan FOLDER``: which tests of the ads' effect you could run, and how small an effect each would find.

Tries tests on your own sales, where nothing was switched: geo tests by market, on/off tests by day. Reads what
measurement.toml in the folder names, and writes nothing.

Exit status: 0 there is a test that can be run; 1 there is none; 2 an input cannot be used.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from measurement.incrementality.results import Design, Plan
    from measurement.settings import Settings

SETTINGS: Final = "measurement.toml"
WIDTH: Final = 120
"""Columns of the output where it is no terminal's."""
WEEKS: Final = (2, 4, 6, 8)
SHOWN: Final = (0.03, 0.05, 0.1, 0.15, 0.2)
"""The lifts whose power stands in the table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay plan``."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help=f"where {SETTINGS} is")
    parser.add_argument(
        "--weeks", type=_weeks, default=WEEKS, metavar="N,N", help="how long tests may last (default: 2,4,6,8)"
    )
    parser.add_argument(
        "--markets", type=_names, metavar="NAME,NAME", help="markets that may take part (default: all that have sales)"
    )
    parser.add_argument(
        "--treated", type=_positive, metavar="N", help="in how many markets to switch (default: half, and a quarter)"
    )
    parser.add_argument(
        "--power", type=_share, default=0.8, metavar="P", help="how often an effect is to be found (0.8)"
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another choice of markets (default: 0)")


def run(options: argparse.Namespace) -> int:
    """Print the tests that are possible; 1 if none is, 2 if an input cannot be used."""
    from measurement import inputs, settings
    from measurement.engine import Data
    from measurement.incrementality import planner
    from measurement.problems import CannotSay, Problem

    try:
        with _progress() as say, tempfile.TemporaryDirectory() as workspace:
            loaded = settings.load(options.folder / SETTINGS)
            imported = inputs.run(loaded, Path(workspace), progress=say)
            found = planner.plan(
                Data.in_folder(Path(workspace)),
                loaded,
                weeks=options.weeks,
                markets=options.markets,
                treated=options.treated,
                power=options.power,
                seed=options.seed,
                progress=say,
            )
    except Problem as problem:
        print(f"relay plan: {problem}", file=sys.stderr)
        return 1 if isinstance(problem, CannotSay) else 2
    if options.json:
        print(json.dumps(as_object(found, loaded, imported.notes), ensure_ascii=False, indent=2, allow_nan=False))
        return 0
    console = Console()
    show(found, loaded, console if console.is_terminal else Console(width=WIDTH))
    for note in imported.notes:
        print(f"Note: {note}")
    return 0


def as_object(found: Plan, settings: Settings, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The plan as ``--json`` prints it, the best design first. Lifts and powers are shares; a smallest effect of null:
    the test finds none that was tried."""
    return {
        "shop": settings.shop,
        "designs": [
            {
                "kind": design.kind,
                "weeks": design.weeks,
                "treated": list(design.treated),
                "control": list(design.control),
                "smallest_effect": design.smallest_effect if isfinite(design.smallest_effect) else None,
                "power": design.power,
                "curve": [{"lift": lift, "power": power} for lift, power in design.curve],
                "windows": design.windows,
            }
            for design in found.designs
        ],
        "notes": [*found.notes, *notes],
    }


def show(found: Plan, settings: Settings, console: Console) -> None:
    """Print the designs, how to run the best of each kind, and the notes."""
    console.print(f"Tests that {escape(settings.shop)} could run, the one that finds the smallest lift first.\n")
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("test")
    for heading in ("weeks", "treated", "control", f"found in {found.designs[0].power:.0%}", "windows"):
        table.add_column(heading, justify="right")
    for lift in SHOWN:
        table.add_column(f"+{lift:.0%}", justify="right")
    for design in found.designs:
        power = dict(design.curve)
        table.add_row(
            "on/off" if design.kind == "on_off" else "geo",
            str(design.weeks),
            str(len(design.treated) or "all"),
            str(len(design.control) or "-"),
            f"+{design.smallest_effect:.1%}" if isfinite(design.smallest_effect) else "nothing",
            str(design.windows),
            *(f"{power[lift]:.0%}" if lift in power else "" for lift in SHOWN),
        )
    console.print(table)
    console.print(
        "\nThe lift in the fifth column is found (p ≤ 0.05) in that share of tests; the last columns are the share for "
        "a given lift. Windows: in how many places of the history the test was tried. A geo test compares markets and "
        "is the better evidence at the same figure.\n",
        soft_wrap=True,
    )
    geo = next((design for design in found.designs if design.kind == "geo"), None)
    if geo:
        _explain(geo, console)
    for note in found.notes:
        console.print(f"Note: {escape(note)}", soft_wrap=True, highlight=False)


def _explain(design: Design, console: Console) -> None:
    # A text of TOML is written as one of JSON.
    names = ", ".join(json.dumps(name, ensure_ascii=False) for name in design.treated)
    console.print(
        f"The best geo test: switch the ads off for {design.weeks} weeks in these markets, which were drawn by chance "
        "from the choices that sell like the rest. Do not exchange any of them. Afterwards add to measurement.toml:\n",
        soft_wrap=True,
    )
    console.print(
        "[[test]]\n"
        'name = "Holdout"\n'
        'kind = "geo"\n'
        'ads = "off"\n'
        "first = 2026-01-05   # the first day without ads\n"
        "last = 2026-02-01    # the last one\n"
        f"markets = [{names}]\n",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error of a terminal, gone at the end."""
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=None)
        yield lambda text: bar.update(task, description=escape(text))


def _weeks(text: str) -> tuple[int, ...]:
    return tuple(sorted({_positive(part) for part in text.split(",")}))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and 1, such as 0.8")
    return share
