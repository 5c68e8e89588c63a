"""What stands in the report, and in which order."""

from __future__ import annotations

from collections.abc import Iterable

from measurement.report.blocks import Chart, Section
from measurement.report.results import Results
from measurement.report.sections import (
    attribution,
    channels,
    costs,
    dark,
    differences,
    funnel,
    incrementality,
    layers,
    matches,
    truth,
)
from measurement.report.sheets import Sheet


def sections(results: Results) -> tuple[Section, ...]:
    """Every section, in the order of the report."""
    return (
        layers.section(results),
        differences.section(results),
        attribution.section(results),
        dark.section(results),
        incrementality.section(results),
        funnel.section(results),
        channels.section(results),
        matches.section(results),
        costs.section(results),
        *((truth.section(results),) if results.truth else ()),
    )


def sheets(made: Iterable[Section]) -> dict[str, Sheet]:
    """Every table of the sections, by its file's name."""
    found: dict[str, Sheet] = {}
    for section in made:
        for block in (*section.blocks, *section.files):
            sheet = block.sheet if isinstance(block, Chart) else block
            if isinstance(sheet, Sheet):
                found.setdefault(sheet.name, sheet)
    return found
