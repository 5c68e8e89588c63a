"""ChatGPT beside the other channels."""

from __future__ import annotations

from collections.abc import Sequence

from measurement.channels import Channel
from measurement.problems import CannotSay
from measurement.report.blocks import Block, Chart, Points, Refusal, Section, kinds_of, marked, plain_share, told
from measurement.report.charts import Group, draw_rows
from measurement.report.results import Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import channel_name, share
from measurement.tables import CHATGPT, UNKNOWN


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    title, held = "ChatGPT beside the other channels", results.channels
    lead = "From your own data, by last click within 30 days. An empty field: the data does not say."
    if isinstance(held, CannotSay):
        return Section("channels", title, lead, (Refusal.of(held),))
    ordered = sorted(
        held,
        key=lambda each: (
            each.channel == UNKNOWN,
            each.channel != CHATGPT,
            -(each.spend or 0),
            -(each.conversions or 0),
        ),
    )
    sheet = Sheet(
        "channels",
        "Channels side by side",
        (
            Column("Channel", "channel"),
            Column("Spend", "spend", "money", "measured"),
            Column("Clicks", "clicks", "number", "measured"),
            Column("Cost per click", "cpc", "money", "measured"),
            Column("Conversions", "conversions", "number", "modelled"),
            Column("Conversion rate", "conversion_rate", "share", estimate=True),
            Column("Cost per conversion", "cpa", "money", "modelled"),
            Column("ROAS", "roas", "times", "modelled"),
            Column("MQL", "mql", "number", "measured"),
            Column("SQL", "sql", "number", "measured"),
            Column("MQL to SQL", "mql_to_sql", "share", estimate=True),
            Column("Coverage", "coverage", "share", "measured"),
            Column("Dark share", "dark_share", "share", estimate=True),
        ),
        tuple(
            (
                channel_name(e.channel), e.spend, e.clicks, e.cpc, e.conversions, e.conversion_rate, e.cpa, e.roas,
                e.mql, e.sql, e.mql_to_sql, e.coverage, e.dark_share,
            )
            for e in ordered
        ),
    )  # fmt: skip
    dark = [each for each in ordered if each.dark_share is not None]
    blocks: list[Block] = [sheet]
    if dark:
        blocks.append(_dark_shares(dark))
    notes = Points(
        "How to read it",
        (
            "Coverage: of the conversions that the survey credits to the channel, the share that a click shows too.",
            "Dark share: the rest, known from answers alone. A high one means that click-based numbers sell it short.",
            "ROAS here is value by last click over spend. It says nothing about what would have happened anyway.",
            "What rests on the last click is modelled: clicks are counted, and that the last one counts is assumed.",
        ),
    )
    return Section("channels", title, lead, (*blocks, notes))


def _dark_shares(channels: Sequence[Channel]) -> Chart:
    title = "Dark share by channel"
    held = [(channel_name(each.channel), each.dark_share) for each in channels if each.dark_share is not None]
    groups = [Group(name, (marked("", estimate, 0, share),)) for name, estimate in held]
    sheet = Sheet(
        "dark_shares",
        title,
        (Column("Channel", "channel"), Column("Dark share", "dark_share", "share", estimate=True)),
        tuple(held),
    )
    picture = draw_rows(groups, style="dot", form=plain_share, title=title, about=told(groups))
    note = "Of the buyers who name a channel, those without any click of it, with intervals of 95 %."
    return Chart(title, picture, sheet, kinds_of(estimate for _, estimate in held), note)
