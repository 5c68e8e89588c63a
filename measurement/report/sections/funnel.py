"""From the click to the conversion, by campaign."""

from __future__ import annotations

from collections.abc import Mapping

from measurement.funnel import STEPS, Funnel
from measurement.problems import CannotSay
from measurement.report.blocks import Chart, Refusal, Section, plain_number, told, total_of
from measurement.report.charts import Group, Mark, draw_rows
from measurement.report.results import Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import STEP_NAMES, channel_name, clean, compact, plural
from measurement.tables import CHATGPT


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    title, held = "From click to conversion", results.funnels
    lead = (
        "What GA4 and the ad platforms count on the way, by campaign. GA4 sees only visitors who consent, so read the "
        "steps against each other, not as the number of buyers."
    )
    if isinstance(held, CannotSay):
        return Section("funnel", title, lead, (Refusal.of(held),))
    ordered = sorted(held, key=lambda each: (each.channel != CHATGPT, -(_size(each)), each.channel, each.campaign))
    if not ordered:
        nothing = Refusal(
            "The funnel", "neither clicks nor visits are in the data", "Add a GA4 export (docs/measuring.md)."
        )
        return Section("funnel", title, lead, (nothing,))
    chosen = [each for each in ordered if each.channel == CHATGPT] or ordered
    shown, others = chosen[:6], chosen[6:]
    groups = [
        _funnel_group(clean(each.campaign), each.counts, each.leak, len(chosen) == len(ordered), each) for each in shown
    ]
    if others:
        sums = {step: total_of((each.counts for each in others), step) for step in STEPS}
        groups.append(_funnel_group(f"Other campaigns ({len(others)})", sums, None, False, None))
    sheet = Sheet(
        "funnel",
        "Steps by channel and campaign",
        (
            Column("Channel", "channel"),
            Column("Campaign", "campaign"),
            *(Column(STEP_NAMES[step], step, "number", "measured") for step in STEPS),
            Column("Loses most before", "leak"),
        ),
        tuple(
            (
                channel_name(each.channel),
                each.campaign,
                *(each.counts.get(step) for step in STEPS),
                STEP_NAMES.get(each.leak or "", "too little data to say"),
            )
            for each in ordered
        ),
        shown=25,
    )
    name = (
        f"{channel_name(chosen[0].channel)}: steps by campaign" if chosen[0].channel == CHATGPT else "Steps by campaign"
    )
    picture = draw_rows(groups, style="bar", form=plain_number, title=name, about=told(groups))
    note = "No campaign loses clearly more before one step than the others do."
    if any(each.leak for each in shown):
        note = "◀: the step before which this campaign loses most, against what the others keep there."
    if others:
        note += f" {plural(len(others), 'smaller campaign')} are put together."
    return Section("funnel", title, lead, (Chart(name, picture, sheet, ("measured",), note),))


def _size(funnel: Funnel) -> int:
    return max((each for each in funnel.counts.values() if each is not None), default=0)


def _funnel_group(
    label: str, counts: Mapping[str, int | None], leak: str | None, named: bool, whose: Funnel | None
) -> Group:
    if named and whose is not None and whose.channel != CHATGPT:
        label = f"{channel_name(whose.channel)}: {label}"
    return Group(
        label,
        tuple(
            Mark(STEP_NAMES[step], count, f"{compact(count)}{' ◀' if step == leak else ''}", 3 if step == leak else 0)
            for step in STEPS
            if (count := counts.get(step)) is not None
        ),
    )
