"""How far each estimate is from the truth of a simulated shop."""

from __future__ import annotations

from measurement.report.blocks import Block, Section
from measurement.report.results import Results, TruthRow
from measurement.report.sheets import Column, Form, Sheet


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    blocks: list[Block] = []
    for name, shares, caption in (("truth_shares", True, "Shares"), ("truth_counts", False, "Counts")):
        rows = tuple(
            (each.name, each.truth, each.value, each.low, each.high, _held(each))
            for each in results.truth
            if each.share is shares
        )
        form: Form = "share" if shares else "number"
        columns = (
            Column("What", "what"),
            Column("Truth", "truth", form),
            Column("This report says", "estimate", form),
            Column("From", "low", form),
            Column("To", "high", form),
            Column("Interval holds the truth", "inside"),
        )
        if rows:
            blocks.append(Sheet(name, f"{caption}: each estimate beside the simulated shop's truth", columns, rows))
    return Section(
        "truth",
        "This shop is simulated",
        "It never existed, so its truth is known, and every estimate can be held against it. An interval of 95 % "
        "misses the truth one time in twenty.",
        tuple(blocks),
    )


def _held(each: TruthRow) -> str:
    if each.low is None or each.high is None:
        return "no interval"
    return "yes" if each.low <= each.truth <= each.high else "no"
