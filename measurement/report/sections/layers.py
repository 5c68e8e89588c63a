"""What data there is: which days each layer covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from measurement.report.blocks import Block, Chart, Points, Section
from measurement.report.charts import Strip, draw_strips
from measurement.report.results import Layer, Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import LAYER_NAMES, clean, days, plural, short_day
from measurement.tables import TABLES


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    settings = results.settings
    first, last = settings.first, settings.last
    length = (last - first).days + 1
    dated = [each for each in results.layers if each.dated]
    strips = [Strip(LAYER_NAMES.get(each.table, each.table), _spans(each.days), _said(each, length)) for each in dated]
    sheet = Sheet(
        "layers",
        "What data there is",
        (
            Column("Layer", "layer"),
            Column("What it holds", "about"),
            Column("Rows", "rows", "number", "measured"),
            Column("Days with data", "days", "number", "measured"),
            Column("Days without", "missing_days", "number", "measured"),
            Column("Which days are missing", "missing"),
        ),
        tuple(_layer_row(each, first, last) for each in results.layers),
    )
    there = sum(1 for each in dated if each.rows)
    lead = (
        f"The report covers {days(first, last)} ({plural(length, 'day')}, in the time zone {settings.time_zone.key}). "
        f"{there} of {len(dated)} layers have data. A day without data is not a day with zero: what a "
        "layer did not see is left open."
    )
    blocks: list[Block] = []
    if strips:
        blocks.append(
            Chart(
                "Which days each layer covers",
                draw_strips(
                    strips, first, last, title="Which days each layer covers",
                    about=". ".join(f"{each.label}: {each.text}" for each in strips),
                ),
                sheet,
                ("measured",),
                "A filled bar: there is data. An empty, dotted one: none.",
            )
        )  # fmt: skip
    else:
        blocks.append(sheet)
    if results.notes:
        blocks.append(Points("What was left out while reading", tuple(map(clean, results.notes))))
    return Section("layers", "What data there is", lead, tuple(blocks))


def _spans(there: Sequence[date]) -> tuple[tuple[date, date], ...]:
    spans: list[tuple[date, date]] = []
    for day in there:
        if spans and spans[-1][1] == day - timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return tuple(spans)


def _said(layer: Layer, length: int) -> str:
    if not layer.rows:
        return "no data"
    if len(layer.days) == length:
        return "every day"
    return f"{len(layer.days)} of {plural(length, 'day')}"


def _layer_row(layer: Layer, first: date, last: date) -> tuple[object, ...]:
    name, about = LAYER_NAMES.get(layer.table, layer.table), TABLES[layer.table].about
    if not layer.dated:
        return name, about, layer.rows, None, None, "its rows have no day"
    spans = layer.missing(first, last)
    said = "all of them" if not layer.days else "none"
    if spans and layer.days:
        named = [short_day(a) if a == b else f"{short_day(a)} to {short_day(b)}" for a, b in spans]
        said = ", ".join(named[:4]) + (f" and {plural(len(named) - 4, 'more span')}" if len(named) > 4 else "")
    return name, about, layer.rows, len(layer.days), sum((b - a).days + 1 for a, b in spans), said
