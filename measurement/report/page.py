"""The page: sections become one HTML file that needs nothing else, no address, no font, no script."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from measurement.estimate import Estimate
from measurement.report.blocks import Chart, Heading, Points, Refusal, Section
from measurement.report.charts import COLOURS
from measurement.report.results import Results
from measurement.report.sentences import sentences
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import clean, day, days, formatted, interval, listed

TEMPLATES: Final = Path(__file__).parent / "templates"
MEANINGS: Final = (
    (
        "Recorded conversions",
        "what the relay received, verified and wrote down, once each.",
        "all sales there were: compare with the shop's own count above.",
    ),
    (
        "A ChatGPT click",
        "the conversion carries the reference that OpenAI puts into the address of an ad.",
        "that the ad caused the sale, or that sales without one came without an ad.",
    ),
    (
        "Attribution",
        "how four rules share the same sales out among the channels people met.",
        "what would be lost without a channel. All rules see only touches that were recorded.",
    ),
    (
        "Attributed by OpenAI",
        "what OpenAI itself counts, by its own windows and its own matching.",
        "a second opinion on what it was sent: it is the same data, seen from there.",
    ),
    (
        "Survey share",
        "what the buyers who answered say, with the error that chance brings.",
        "what those who did not answer would say, or that memory is right.",
    ),
    (
        "The unseen (capture-recapture)",
        "how many buyers two independent witnesses both missed, if they are independent.",
        "a count. If people who click are also likelier to answer, it is too low.",
    ),
    (
        "Lift",
        "how far sales with the ads were above what is expected without them.",
        "what more spend would bring, or what other weeks would have shown.",
    ),
    (
        "ROAS and iROAS",
        "sales by last click over spend; sales that a test says the ads caused, over spend.",
        "profit: neither takes off what the goods cost.",
    ),
    (
        "An interval of 95 %",
        "the range that covers the truth in 19 of 20 reports like this one, if what is assumed holds.",
        "that every value in it is equally likely, or that it covers what the assumptions get wrong.",
    ),
    (
        "p",
        "how often chance alone would show an effect at least as large.",
        "the probability that the ads did nothing.",
    ),
)
"""What a number means, and what it does not mean."""


def render(results: Results, made: Sequence[Section]) -> str:
    """The report as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["clean"] = lambda text: clean(str(text))
    environment.filters["trusted"] = Markup
    environment.tests["chart"] = lambda block: isinstance(block, Chart)
    environment.tests["sheet"] = lambda block: isinstance(block, Sheet)
    environment.tests["refusal"] = lambda block: isinstance(block, Refusal)
    environment.tests["points"] = lambda block: isinstance(block, Points)
    environment.tests["heading"] = lambda block: isinstance(block, Heading)
    environment.tests["estimate"] = lambda value: isinstance(value, Estimate)
    currency = results.settings.currency
    page = environment.get_template("report.html.j2").render(
        results=results,
        settings=results.settings,
        shop=clean(results.settings.shop),
        period=days(results.settings.first, results.settings.last),
        made=f"{day(results.made.date())}, {results.made:%H:%M}",
        sentences=sentences(results),
        sections=made,
        meanings=MEANINGS,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        colours=range(COLOURS),
        shown=lambda column, value: _shown(column, value, currency),
        told_columns=_told,
        untold=lambda sheet: listed(
            column.title for place, column in enumerate(sheet.columns) if place not in _told(sheet)
        ),
        between=lambda column, value: interval(value, column.form, currency),
    )
    return re.sub(r"\n\s*\n+", "\n", page)


def _told(sheet: Sheet) -> list[int]:
    """The columns of which some row says something."""
    return [place for place in range(len(sheet.columns)) if any(row[place] is not None for row in sheet.rows)]


def _shown(column: Column, value: Any, currency: str) -> str:
    """A cell's words; of an estimate its value alone."""
    held = value.value if isinstance(value, Estimate) else value
    if held is None:
        return ""
    if isinstance(held, bool):
        return "yes" if held else "no"
    if isinstance(held, date):
        return held.isoformat()
    if column.form == "text" or isinstance(held, str):
        return clean(str(held))
    return formatted(held, column.form, currency)
