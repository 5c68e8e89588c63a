"""Who gets the credit: four models side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from measurement.attribution import MODELS, Attribution, Credit
from measurement.estimate import Estimate, Kind
from measurement.problems import CannotSay
from measurement.report.blocks import (
    MOST_CAMPAIGNS,
    MOST_CHANNELS,
    NO_CAMPAIGN,
    Block,
    Chart,
    Points,
    Refusal,
    Section,
    kinds_of,
    marked,
    plain_number,
    told,
)
from measurement.report.charts import Group, draw_rows
from measurement.report.results import Results
from measurement.report.sentences import WINDOW
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import MODEL_NAMES, channel_name, compact, plural
from measurement.tables import CHATGPT, UNKNOWN


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
    title, held = "Who gets the credit?", results.attribution
    lead = (
        "Four models share the same conversions out among the channels that people met before. None of them knows "
        "what the ads caused: they divide, and their sum is always the number of conversions. Where they differ much, "
        "believe none of them alone."
    )
    if isinstance(held, CannotSay):
        return Section("attribution", title, lead, (Refusal.of(held),))
    windows = sorted({each.window_days for each in held.credits})
    if not windows or not held.conversions:
        nothing = Refusal("Attribution", "there is no conversion in this period", "Choose a longer period.")
        return Section("attribution", title, lead, (nothing,))
    window = min(windows, key=lambda each: (abs(each - WINDOW), each))
    of_channels = [each for each in held.credits if each.campaign is None]
    of_campaigns = [each for each in held.credits if each.campaign is not None and each.window_days == window]
    blocks: list[Block] = [_by_channel(of_channels, held, window)]
    campaigns = [each for each in of_campaigns if each.channel == CHATGPT] or of_campaigns
    if {each.campaign for each in campaigns} - {NO_CAMPAIGN}:
        blocks.append(_by_campaign(campaigns, window))
    if len(windows) > 1:
        blocks.append(_by_window([each for each in of_channels if each.channel == CHATGPT], windows))
    blocks.append(
        Points(
            "The models",
            (
                "Last click: everything to the last touch. It overstates what is clicked just before buying.",
                "First touch: 65 % to the first touch, the rest decays with time. It shows what brings people in.",
                "Time decay: a touch's weight halves every 7 days before the conversion.",
                "Markov: how many conversions would be lost in a model of the paths if a channel were taken out.",
                "Unknown: conversions without any touch in the window. They are never shared out.",
            ),
        )
    )
    everything = Sheet(
        "attribution",
        "Every credit by model, window, channel and campaign",
        (
            Column("Model", "model"),
            Column("Window, days", "window_days", "number"),
            Column("Channel", "channel"),
            Column("Campaign", "campaign"),
            Column("Conversions", "conversions", "number", estimate=True),
            Column("Value", "value", "money", estimate=True),
        ),
        tuple((e.model, e.window_days, e.channel, e.campaign, e.conversions, e.value) for e in held.credits),
    )
    return Section("attribution", title, lead, tuple(blocks), (everything,))


def _grouped(
    given: Iterable[Credit], name: Callable[[Credit], str], most: int, rest: str, last: str = ""
) -> tuple[list[Group], dict[str, dict[str, Credit]], int]:
    """Credits as groups of a chart, those with most credit first; the ones beyond ``most`` put together."""
    held: dict[str, dict[str, Credit]] = defaultdict(dict)
    for each in given:
        held[name(each)][each.model] = each
    ordered = sorted(
        held, key=lambda each: (each == last, -max(credit.conversions.value for credit in held[each].values()), each)
    )
    shown = ordered if len(ordered) <= most else ordered[: most - 1]
    others = ordered[len(shown) :]
    if last in others:
        shown, others = [*shown[:-1], last], [shown[-1], *(each for each in others if each != last)]
    groups = [
        Group(
            each,
            tuple(
                marked(MODEL_NAMES[model], held[each][model].conversions, place, compact)
                for place, model in enumerate(MODELS)
                if model in held[each]
            ),
        )
        for each in shown
    ]
    if others:
        sums = {
            model: Estimate(
                sum(held[each][model].conversions.value for each in others if model in held[each]),
                kind=_kind(held[each].get(model) for each in others),
            )
            for model in MODELS
        }
        rest_group = Group(
            f"{rest} ({len(others)})",
            tuple(marked(MODEL_NAMES[model], sums[model], place, compact) for place, model in enumerate(MODELS)),
        )
        groups.insert(len(groups) - (last in shown), rest_group)
    return groups, {each: held[each] for each in ordered}, len(others)


def _kind(given: Iterable[Credit | None]) -> Kind:
    """What the sum of these is: modelled as soon as one of them is."""
    return "modelled" if any(each is not None and each.conversions.kind != "measured" for each in given) else "measured"


def _credit_sheet(name: str, caption: str, first: str, rows: Mapping[str, Mapping[Any, Credit]], shown: int) -> Sheet:
    return Sheet(
        name,
        caption,
        (
            Column(first, first.lower()),
            *(Column(MODEL_NAMES[model], model, "number", estimate=True) for model in MODELS),
        ),
        tuple(
            (label, *(credit.conversions if (credit := held.get(model)) else None for model in MODELS))
            for label, held in rows.items()
        ),
        shown,
    )


def _by_channel(given: Sequence[Credit], held: Attribution, window: int) -> Chart:
    chosen = [each for each in given if each.window_days == window]
    groups, rows, others = _grouped(
        chosen, lambda each: channel_name(each.channel), MOST_CHANNELS, "Other channels", channel_name(UNKNOWN)
    )
    title = f"Credit by channel, {window} days"
    note = (
        f"Each model's credits add up to {plural(held.conversions, 'conversion')}. "
        "The lines are intervals of 95 %: how far chance alone may move the number."
    )
    if others:
        note += f" {plural(others, 'channel')} with least credit are put together, without an interval."
    return Chart(
        title,
        draw_rows(groups, style="dot", form=plain_number, title=title, about=told(groups)),
        _credit_sheet("attribution_channels", title, "Channel", rows, 60),
        kinds_of(each.conversions for each in chosen),
        note,
    )


def _by_campaign(given: Sequence[Credit], window: int) -> Chart:
    one = len({each.channel for each in given}) == 1

    def name(each: Credit) -> str:
        campaign = each.campaign or NO_CAMPAIGN
        return campaign if one else f"{channel_name(each.channel)}: {campaign}"

    groups, rows, others = _grouped(given, name, MOST_CAMPAIGNS, "Other campaigns")
    whose = f"{channel_name(given[0].channel)}, by campaign" if one else "Credit by campaign"
    title = f"{whose}, {window} days"
    note = ""
    if others:
        note = (
            f"The {others} campaigns with least credit are put together, without an interval; each has its row in "
            "csv/attribution.csv."
        )
    return Chart(
        title,
        draw_rows(groups, style="dot", form=plain_number, title=title, about=told(groups)),
        _credit_sheet("attribution_campaigns", title, "Campaign", rows, 25),
        kinds_of(each.conversions for each in given),
        note,
    )


def _by_window(given: Sequence[Credit], windows: Sequence[int]) -> Block:
    title = "ChatGPT's credit by window"
    if not given:
        return Refusal(title, "no model credits ChatGPT with anything", "Check that its clicks are in the data.")
    groups, rows = [], {}
    for window in windows:
        held = {each.model: each for each in given if each.window_days == window}
        marks = tuple(
            marked(MODEL_NAMES[model], held[model].conversions, place, compact)
            for place, model in enumerate(MODELS)
            if model in held
        )
        if marks:
            groups.append(Group(f"{window} days", marks))
            rows[f"{window} days"] = held
    return Chart(
        title,
        draw_rows(groups, style="dot", form=plain_number, title=title, about=told(groups)),
        _credit_sheet("attribution_windows", title, "Window", rows, 60),
        kinds_of(each.conversions for each in given),
        "How long before the conversion a touch may lie. Much more credit in a longer window: people take their time.",
    )
