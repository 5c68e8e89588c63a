"""By what OpenAI can match the conversions."""

from __future__ import annotations

from collections.abc import Sequence

from measurement.report.blocks import Chart, Refusal, Section, plain_share, told
from measurement.report.charts import Group, Mark, draw_rows
from measurement.report.results import Match, Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import KEY_NAMES, clean, number, share


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    title = "Match quality"
    lead = (
        "By what OpenAI can match a conversion with a person who saw an ad. The more keys a conversion carries, the "
        "more often it is matched; one with none cannot be matched at all."
    )
    held = results.matches
    if not held:
        nothing = Refusal(
            "Match quality",
            "the ledger holds no conversion of this period",
            "Add the ledger as an input, or choose another period.",
        )
        return Section("matches", title, lead, (nothing,))
    shown, others = list(held[:6]), held[6:]
    if others:
        shown.append(_together(others))
    groups = []
    for each in shown:
        marks = [
            Mark(KEY_NAMES[key], count / each.conversions, share(count / each.conversions), 0)
            for key in KEY_NAMES
            if (count := each.keys.get(key, 0)) or key in ("oppref", "email", "phone")
        ]
        marks.append(Mark("None of them", each.none / each.conversions, share(each.none / each.conversions), 3))
        groups.append(Group(f"{clean(each.source)} ({number(each.conversions)})", tuple(marks)))
    sheet = Sheet(
        "match_quality",
        "Conversions by match key and source",
        (
            Column("Source", "source"),
            Column("Conversions", "conversions", "number", "measured"),
            *(Column(KEY_NAMES[key], key, "number", "measured") for key in KEY_NAMES),
            Column("None of them", "none", "number", "measured"),
        ),
        tuple((e.source, e.conversions, *(e.keys.get(key, 0) for key in KEY_NAMES), e.none) for e in held),
    )
    name = "Share of conversions that carry each key"
    picture = draw_rows(groups, style="bar", form=plain_share, title=name, about=told(groups))
    note = "Behind each source: its conversions. A conversion may carry several keys."
    return Section("matches", title, lead, (Chart(name, picture, sheet, ("measured",), note),))


def _together(others: Sequence[Match]) -> Match:
    return Match(
        f"all other sources, {len(others)}",
        sum(each.conversions for each in others),
        {key: sum(each.keys.get(key, 0) for each in others) for key in KEY_NAMES},
        sum(each.none for each in others),
    )
