"""What was paid, and what it comes to."""

from __future__ import annotations

from measurement.problems import CannotSay
from measurement.report.blocks import Block, Chart, Points, Refusal, Section, plain_number, told
from measurement.report.charts import Group, Mark, draw_rows
from measurement.report.results import Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import amount, channel_name
from measurement.tables import CHATGPT


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    title = "Costs"
    currency = results.settings.currency
    lead = f"What was paid for ads in the period, in {currency}, and what it comes to by conversion and by sale."
    spends = sorted((each for each in results.spend if each.spend), key=lambda each: (-each.spend, each.channel))
    if not spends:
        nothing = Refusal(
            "Costs",
            "the data holds no spend for this period",
            "Add an input of spend by channel and day (docs/measuring.md).",
        )
        return Section("costs", title, lead, (nothing,))
    held = {} if isinstance(results.channels, CannotSay) else {each.channel: each for each in results.channels}
    name = "Spend by channel"

    def form(minor: float) -> str:
        return amount(minor, currency)

    groups = [
        Group(
            "",
            tuple(
                Mark(channel_name(e.channel), e.spend, form(e.spend), 0 if e.channel == CHATGPT else 5) for e in spends
            ),
        )
    ]
    sheet = Sheet(
        "costs",
        "Spend, cost per conversion and return",
        (
            Column("Channel", "channel"),
            Column("Spend", "spend", "money", "measured"),
            Column("Impressions", "impressions", "number", "measured"),
            Column("Clicks", "clicks", "number", "measured"),
            Column("Cost per conversion", "cpa", "money", "modelled"),
            Column("ROAS", "roas", "times", "modelled"),
        ),
        tuple(
            (
                channel_name(each.channel), each.spend, each.impressions, each.clicks,
                held[each.channel].cpa if each.channel in held else None,
                held[each.channel].roas if each.channel in held else None,
            )
            for each in spends
        ),
    )  # fmt: skip
    exponent = 10 ** len(amount(0, currency).split(" ")[0].partition(".")[2])
    picture = draw_rows(
        groups, style="bar", form=lambda minor: plain_number(minor / exponent), title=name, about=told(groups)
    )
    plain = Sheet(
        "spend",
        name,
        (Column("Channel", "channel"), Column("Spend", "spend", "money", "measured")),
        tuple((channel_name(each.channel), each.spend) for each in spends),
    )
    blocks: list[Block] = [Chart(f"{name}, in {currency}", picture, plain, ("measured",)), sheet]
    if results.settings.rates:
        rates = tuple(
            f"1 {code} is taken as {rate} {currency}, for the whole period."
            for code, rate in results.settings.rates.items()
        )
        blocks.append(Points("Assumed in the settings", rates))
    return Section("costs", title, lead, tuple(blocks))
