"""The whole report from the tables: every analysis, each refusal in its place; HTML, CSV and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from measurement.engine import Data
from measurement.problems import BadInput, CannotSay
from measurement.queries import report as queries
from measurement.report.blocks import Refusal, Section
from measurement.report.contents import sections, sheets
from measurement.report.page import render
from measurement.report.results import Experiment, Layer, Match, Recorded, Results, Spend, TruthRow
from measurement.report.sentences import sentences
from measurement.report.sheets import as_csv, as_object, flat, heading
from measurement.settings import Settings, Test
from measurement.tables import TABLES

if TYPE_CHECKING:
    from measurement.incrementality.results import Lift
    from measurement.simulation.truth import Truth

Progress = Callable[[str], None]
T = TypeVar("T")
HTML: Final = "report.html"
JSON: Final = "report.json"
CSV: Final = "csv"
MOST_INPUT_ROWS: Final = 1_000_000
"""Of an input table that is written as CSV; a larger one is left to its Parquet file."""


def make(
    settings: Settings,
    data: Data,
    folder: Path,
    *,
    notes: tuple[str, ...] = (),
    truth: Truth | None = None,
    progress: Progress | None = None,
) -> Path:
    """Compute everything and write `report.html`, `report.json` and `csv/*.csv` into ``folder``; the page's path.

    ``notes`` of the import are shown. With the ``truth`` of a simulated shop each estimate stands beside it.
    ``progress`` is told each step as it begins. What the data cannot carry becomes a sentence on the page.

    Raises:
        BadInput: the folder cannot be written.
    """
    _prepare(folder)
    results = analyse(settings, data, notes=notes, truth=truth, progress=progress)
    return finish(results, data, folder, progress=progress)


def finish(results: Results, data: Data | None, folder: Path, *, progress: Progress | None = None) -> Path:
    """Draw and write the report of these results; the page's path. With ``data`` the inputs become CSV too."""
    say = progress or _silent
    say("drawing the charts")
    made = sections(results)
    say("writing the files")
    return write(results, made, data, folder)


def analyse(
    settings: Settings,
    data: Data,
    *,
    notes: tuple[str, ...] = (),
    truth: Truth | None = None,
    progress: Progress | None = None,
) -> Results:
    """Every analysis, or its refusal."""
    # Imported here, as they bring the libraries of statistics.
    from measurement.attribution import attribute
    from measurement.channels import channels
    from measurement.dark_funnel import agreement, survey, unseen
    from measurement.funnel import funnels
    from measurement.reconciliation import reconcile

    say = progress or _silent
    say("which days the layers have")
    layers = tuple(_layers(settings, data))
    notes = (*notes, *(_too_large(each) for each in layers if each.rows > MOST_INPUT_ROWS))
    recorded = _recorded(settings, data)
    matches = _matches(settings, data)
    spend = _spend(settings, data)
    say("comparing the systems")
    compared = _or_refusal(lambda: reconcile(data, settings))
    say("attribution, with the bootstrap")
    attributed = _or_refusal(lambda: attribute(data, settings, progress=progress))
    say("the survey")
    answers = _or_refusal(lambda: survey(data, settings))
    say("the agreement of layers")
    agreed = _or_refusal(lambda: agreement(data, settings))
    say("an estimate of the unseen")
    dark = _or_refusal(lambda: unseen(data, settings))
    tests = []
    for test in settings.tests:
        say(f"the test {test.name}")
        tests.append(Experiment(test, _lifts(settings, data, test)))
    say("the funnel and the channels")
    steps = _or_refusal(lambda: funnels(data, settings))
    side_by_side = _or_refusal(lambda: channels(data, settings))
    results = Results(
        settings,
        datetime.now(UTC).astimezone(settings.time_zone),
        layers,
        recorded,
        compared,
        attributed,
        answers,
        agreed,
        dark,
        tuple(tests),
        steps,
        side_by_side,
        matches,
        spend,
        notes,
    )
    return results if truth is None else _beside(results, truth)


def _silent(_: str) -> None:
    pass


def _or_refusal(analysis: Callable[[], T]) -> T | CannotSay:
    try:
        return analysis()
    except CannotSay as refusal:
        return refusal


def _lifts(settings: Settings, data: Data, test: Test) -> tuple[Lift | CannotSay, ...]:
    from measurement.incrementality.geo import difference_in_differences, synthetic_control
    from measurement.incrementality.on_off import interrupted_time_series

    methods = (difference_in_differences, synthetic_control) if test.kind == "geo" else (interrupted_time_series,)
    return tuple(_or_refusal(lambda method=method: method(data, settings, test)) for method in methods)  # type: ignore[misc]


def _beside(results: Results, truth: Truth) -> Results:
    """The results with the truth of a simulated shop."""
    from measurement.simulation.truth import compare

    found = compare(truth, **results.for_truth())
    rows = tuple(TruthRow(each.name, each.value, each.low, each.high, each.truth, each.share) for each in found)
    return replace(results, truth=rows)


# What the tables say by themselves ------------------------------------------------------------------------------------


def _layers(settings: Settings, data: Data) -> Iterator[Layer]:
    for name, table in TABLES.items():
        if all(column.name != "day" for column in table.columns):
            [row] = data.rows(data[name].aggregate(rows=data[name].count()))
            yield Layer(name, row["rows"], dated=False)
            continue
        rows = data.rows(queries.layer_days(data.tables, name))
        within = tuple(row["day"] for row in rows if settings.first <= row["day"] <= settings.last)
        yield Layer(name, sum(row["rows"] for row in rows), within)


def _too_large(layer: Layer) -> str:
    return (
        f"csv/ leaves out input_{layer.table}: {layer.rows:,} rows. relay report --workspace DIR keeps it as Parquet."
    )


def _period(settings: Settings) -> tuple[date, date]:
    return settings.first, settings.last


def _recorded(settings: Settings, data: Data) -> Recorded:
    rows = data.rows(queries.recorded(data.tables, settings.conversion_type, *_period(settings)))
    return Recorded(
        sum(row["conversions"] for row in rows),
        sum(row["value"] for row in rows),
        sum(row["clicked"] for row in rows),
        tuple((row["day"], row["conversions"], row["clicked"]) for row in rows),
    )


def _matches(settings: Settings, data: Data) -> tuple[Match, ...]:
    rows = data.rows(queries.match_keys(data.tables, settings.conversion_type, *_period(settings)))
    return tuple(
        Match(row["source"], row["conversions"], {key: row[key] for key in queries.MATCH_KEYS}, row["none"])
        for row in rows
    )


def _spend(settings: Settings, data: Data) -> tuple[Spend, ...]:
    rows = data.rows(queries.spend(data.tables, *_period(settings)))
    return tuple(
        Spend(row["channel"], row["spend"], row["clicks"], row["impressions"])
        for row in rows
        if row["spend"] is not None
    )


# Files ----------------------------------------------------------------------------------------------------------------


def write(results: Results, made: tuple[Section, ...], data: Data | None, folder: Path) -> Path:
    """The page, the tables as CSV (with ``data``: the input tables too) and everything as JSON; the page's path."""
    _prepare(folder)
    found = sheets(made)
    _remove_earlier(folder)
    for name, sheet in found.items():
        _write(folder / CSV / f"{name}.csv", as_csv(heading(sheet), flat(sheet)))
    if data is not None:
        for name in TABLES:
            rows = next(each.rows for each in results.layers if each.table == name)
            if rows <= MOST_INPUT_ROWS:
                table = data.arrow(data[name])
                columns = (batch.columns for batch in table.to_batches())
                lines = (line for held in columns for line in zip(*(each.to_pylist() for each in held), strict=True))
                _write(folder / CSV / f"input_{name}.csv", as_csv(table.column_names, lines))
    held = {
        "shop": results.settings.shop,
        "first": results.settings.first.isoformat(),
        "last": results.settings.last.isoformat(),
        "time_zone": results.settings.time_zone.key,
        "currency": results.settings.currency,
        "made": results.made.isoformat(),
        "sentences": [asdict(each) for each in sentences(results)],
        "refused": [
            {"section": section.name, "what": block.what, "why": block.why, "advice": block.advice}
            for section in made
            for block in section.blocks
            if isinstance(block, Refusal)
        ],
        "notes": list(results.notes),
        "tables": {name: as_object(sheet) for name, sheet in found.items()},
    }
    _write(folder / JSON, json.dumps(_finite(held), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    page = folder / HTML
    _write(page, render(results, made))
    return page


def _prepare(folder: Path) -> None:
    """Make the folder; before the analyses too, so that they are not done in vain. Raises BadInput."""
    try:
        (folder / CSV).mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(str(folder), f"cannot be written ({problem.strerror})", "Name another folder.") from None


def _remove_earlier(folder: Path) -> None:
    """Take away the tables of an earlier report, that none stands beside this one's as if it were of it."""
    try:
        earlier = set(json.loads((folder / JSON).read_text(encoding="utf-8"))["tables"])
    except (OSError, ValueError, LookupError, TypeError):
        earlier = set()
    for path in (folder / CSV).glob("*.csv"):
        if path.stem in earlier or path.stem.removeprefix("input_") in TABLES:
            path.unlink()


def _finite(value: Any) -> Any:
    """The same without what JSON does not know: infinite numbers become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


def _write(path: Path, text: str) -> None:
    """Whole or not at all; line ends as they are."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(path)
