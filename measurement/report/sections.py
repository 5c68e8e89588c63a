"""What stands in the report, in which order: results become sections of charts, tables, notes and refusals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

from measurement.attribution import MODELS, Attribution, Credit
from measurement.channels import Channel
from measurement.dark_funnel import Agreement, Survey, Unseen
from measurement.estimate import Estimate, Kind
from measurement.funnel import STEPS, Funnel
from measurement.incrementality.results import Lift
from measurement.problems import CannotSay
from measurement.reconciliation import STAGES, Reconciliation, Row
from measurement.report.charts import Group, Line, Mark, Picture, Strip, draw_lines, draw_rows, draw_strips
from measurement.report.results import Experiment, Layer, Match, Results, TruthRow
from measurement.report.sentences import WINDOW
from measurement.report.sheets import Column, Form, Sheet
from measurement.report.wording import (
    KEY_NAMES,
    LAYER_NAMES,
    MODEL_NAMES,
    STAGE_NAMES,
    STEP_NAMES,
    amount,
    channel_name,
    clean,
    compact,
    days,
    interval,
    listed,
    number,
    plural,
    probability,
    share,
    short_day,
    times,
    type_name,
)
from measurement.tables import CHATGPT, TABLES, UNKNOWN

MOST_CHANNELS: Final = 9
MOST_CAMPAIGNS: Final = 8
"""Shown one by one in a chart; the rest is put together, and that is said."""
NO_CAMPAIGN: Final = "(none)"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its data. ``kinds``: what its numbers are; ``note``: how to read it."""

    title: str
    picture: Picture
    sheet: Sheet
    kinds: tuple[Kind, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is not shown, why, and what would change that."""

    what: str
    why: str
    advice: str

    @classmethod
    def of(cls, problem: CannotSay) -> Refusal:
        """The refusal of an analysis."""
        return cls(problem.what, problem.why, problem.advice)


@dataclass(frozen=True, slots=True)
class Points:
    """A heading with a list of sentences."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a section, with a text below it."""

    title: str
    text: str = ""


Block = Chart | Sheet | Refusal | Points | Heading


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    name: str
    title: str
    lead: str
    blocks: tuple[Block, ...]
    files: tuple[Sheet, ...] = field(default=())
    """Tables that are written as CSV but not shown."""


def sections(results: Results) -> tuple[Section, ...]:
    """Every section, in the order of the report."""
    return (
        _layers(results),
        _differences(results),
        _attribution(results),
        _dark(results),
        _incrementality(results),
        _funnel(results),
        _channels(results),
        _matches(results),
        _costs(results),
        *((_truth(results),) if results.truth else ()),
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


def _kinds(estimates: Iterable[Estimate | None]) -> tuple[Kind, ...]:
    found = {each.kind for each in estimates if each is not None}
    order: tuple[Kind, ...] = ("measured", "modelled", "assumed")
    return tuple(kind for kind in order if kind in found)


def _mark(label: str, estimate: Estimate, series: int, form: Callable[[float], str]) -> Mark:
    text = form(estimate.value)
    if estimate.low is not None and estimate.high is not None:
        text += f" ({_between(form(estimate.low), form(estimate.high))})"
    return Mark(label, estimate.value, text, series, estimate.low, estimate.high, estimate.kind)


def _between(low: str, high: str) -> str:
    """An interval in a chart: as short as it can be."""
    if low.endswith(" %") and high.endswith(" %"):
        low = low.removesuffix(" %")
    return f"{low} – {high}"


def _plain_share(value: float) -> str:
    """A tick of an axis."""
    return f"{value * 100:.6g}".replace("-", "−") + " %"


def _plain(value: float) -> str:
    """A tick of an axis of counts."""
    return compact(value) if abs(value) >= 10_000 else f"{value:,.6g}".replace("-", "−")


# How far from the truth (demo) ----------------------------------------------------------------------------------------


def _truth(results: Results) -> Section:
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


# Layers ---------------------------------------------------------------------------------------------------------------


def _layers(results: Results) -> Section:
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


# Differences ----------------------------------------------------------------------------------------------------------


def _differences(results: Results) -> Section:
    title, held = "Do the systems agree?", results.reconciliation
    lead = (
        "The same conversions, counted by every system on their way. A difference is explained where its reason is "
        "known; the others are flagged and should be looked into."
    )
    if isinstance(held, CannotSay):
        return Section("differences", title, lead, (Refusal.of(held),))
    if not held.rows or not held.compared:
        nothing = Refusal(
            "The comparison of the systems",
            "the systems that report had nothing in this period"
            if held.quiet
            else "no two systems report the same conversions for this period",
            "Check the period in measurement.toml, and add the inputs that it lacks: the shop's orders, the relay's "
            "ledger and log.",
        )
        return Section("differences", title, lead, (nothing,))
    wanted = results.settings.conversion_type
    rows = [row for row in held.rows if row.type == wanted] or list(held.rows)
    blocks: list[Block] = [_stages(rows, wanted)]
    by_day = _daily(rows)
    if by_day is not None:
        blocks.append(by_day)
    blocks.append(_reasons(held))
    missing = Sheet(
        "missing",
        "Orders that the shop has and the ledger lacks",
        (Column("Source", "source"), Column("Order", "order_id")),
        tuple((source, order) for source, orders in sorted(held.missing.items()) for order in orders),
        shown=10,
        empty="None is missing."
        if held.listed
        else "This cannot be said: it takes the shop's own orders and the relay's ledger of the same days.",
    )
    blocks.append(missing)
    if missing.rows:
        blocks.append(
            Points("What to do", ("relay backfill fetches them from the platform and records what the ledger lacks.",))
        )
    daily = Sheet(
        "differences_by_day",
        "Every difference by day",
        (
            Column("Day", "day", "day"),
            Column("Source", "source"),
            Column("Type", "type"),
            Column("From", "before"),
            Column("To", "after"),
            Column("Count", "count", "number"),
            Column("Reason", "reason"),
            Column("Explained", "explained"),
            Column("What to do", "advice"),
        ),
        tuple(
            (e.day, e.source, e.type, e.before, e.after, e.count, e.reason, e.explained, e.advice)
            for e in held.differences
        ),
    )
    counts = Sheet(
        "reconciliation",
        "Every count by day, source and type",
        (
            Column("Day", "day", "day"),
            Column("Source", "source"),
            Column("Type", "type"),
            *(Column(STAGE_NAMES[stage], stage, "number", "measured") for stage in STAGES),
        ),
        tuple((r.day, r.source, r.type, *(r.counts.get(stage) for stage in STAGES)) for r in held.rows),
    )
    return Section("differences", title, lead, tuple(blocks), (daily, counts))


def _total(rows: Iterable[Mapping[str, int | None]], stage: str) -> int | None:
    held = [count for row in rows if (count := row.get(stage)) is not None]
    return sum(held) if held else None


def _stages(rows: Sequence[Row], wanted: str) -> Chart:
    counts = [row.counts for row in rows]
    totals = {stage: _total(counts, stage) for stage in STAGES}
    groups = [
        Group(
            "",
            tuple(
                Mark(STAGE_NAMES[stage], total, number(total), 4 if stage == "ignored" else 0)
                for stage, total in totals.items()
                if total is not None
            ),
        )
    ]
    silent = [STAGE_NAMES[stage] for stage, total in totals.items() if total is None]
    sheet = Sheet(
        "stages",
        f"Counts of {type_name(wanted)} by stage",
        (Column("Stage", "stage"), Column("Conversions", "conversions", "number", "measured")),
        tuple((STAGE_NAMES[stage], total) for stage, total in totals.items()),
    )
    title = f"The same {type_name(wanted)}, counted at each stage"
    return Chart(
        title,
        draw_rows(groups, style="bar", form=_plain, title=title, about=_told(groups)),
        sheet,
        ("measured",),
        "Received counts deliveries, and platforms send some of them again."
        + (f" No data, which is not zero: {listed(silent)}." if silent else ""),
    )


def _told(groups: Sequence[Group]) -> str:
    """What a chart shows, in words."""
    return "; ".join(
        f"{': '.join(filter(None, (group.label, mark.label)))}: {mark.text}" for group in groups for mark in group.marks
    )


def _daily(rows: Sequence[Row]) -> Chart | None:
    by_day: dict[date, list[Mapping[str, int | None]]] = defaultdict(list)
    for row in rows:
        by_day[row.day].append(row.counts)
    if len(by_day) < 2:
        return None
    first, last = min(by_day), max(by_day)
    all_days = [first + timedelta(days=each) for each in range((last - first).days + 1)]
    stages = [
        stage for stage in ("truth", "recorded", "accepted") if _total((row.counts for row in rows), stage) is not None
    ]
    if not stages:
        return None
    values = {stage: tuple(_total(by_day.get(day, ()), stage) for day in all_days) for stage in stages}
    lines = [Line(STAGE_NAMES[stage], values[stage], place) for place, stage in enumerate(stages)]
    sheet = Sheet(
        "stages_by_day",
        "Counts by day",
        (Column("Day", "day", "day"), *(Column(STAGE_NAMES[each], each, "number", "measured") for each in stages)),
        tuple((day, *(values[stage][place] for stage in stages)) for place, day in enumerate(all_days)),
        shown=40,
    )
    return Chart(
        "Day by day",
        draw_lines(
            all_days, lines, title="Day by day", about=f"{listed(STAGE_NAMES[each] for each in stages)}, by day"
        ),
        sheet,
        ("measured",),
        "Where the lines lie on each other, the systems agree.",
    )


def _reasons(held: Reconciliation) -> Sheet:
    counts: dict[tuple[bool, str, str, str, str], int] = defaultdict(int)
    on: dict[tuple[bool, str, str, str, str], set[date]] = defaultdict(set)
    for each in held.differences:
        key = (each.explained, each.before, each.after, each.reason, each.advice)
        counts[key] += each.count
        on[key].add(each.day)
    ordered = sorted(counts.items(), key=lambda each: (each[0][0], -abs(each[1]), each[0]))
    return Sheet(
        "differences",
        "Differences by reason, the flagged ones first",
        (
            Column("Status", "status"),
            Column("Between", "between"),
            Column("Conversions", "conversions", "number", "measured"),
            Column("Days", "days", "number"),
            Column("Reason", "reason"),
            Column("What to do", "advice"),
        ),
        tuple(
            (
                "explained" if explained else "⚑ flagged",
                f"{STAGE_NAMES.get(before, before)} → {STAGE_NAMES.get(after, after)}",
                count,
                len(on[explained, before, after, reason, advice]),
                reason,
                advice,
            )
            for (explained, before, after, reason, advice), count in ordered
        ),
        shown=30,
        empty="There is no difference.",
    )


# Attribution ----------------------------------------------------------------------------------------------------------


def _attribution(results: Results) -> Section:
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
                _mark(MODEL_NAMES[model], held[each][model].conversions, place, compact)
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
            tuple(_mark(MODEL_NAMES[model], sums[model], place, compact) for place, model in enumerate(MODELS)),
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
        draw_rows(groups, style="dot", form=_plain, title=title, about=_told(groups)),
        _credit_sheet("attribution_channels", title, "Channel", rows, 60),
        _kinds(each.conversions for each in chosen),
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
        draw_rows(groups, style="dot", form=_plain, title=title, about=_told(groups)),
        _credit_sheet("attribution_campaigns", title, "Campaign", rows, 25),
        _kinds(each.conversions for each in given),
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
            _mark(MODEL_NAMES[model], held[model].conversions, place, compact)
            for place, model in enumerate(MODELS)
            if model in held
        )
        if marks:
            groups.append(Group(f"{window} days", marks))
            rows[f"{window} days"] = held
    return Chart(
        title,
        draw_rows(groups, style="dot", form=_plain, title=title, about=_told(groups)),
        _credit_sheet("attribution_windows", title, "Window", rows, 60),
        _kinds(each.conversions for each in given),
        "How long before the conversion a touch may lie. Much more credit in a longer window: people take their time.",
    )


# The dark funnel ------------------------------------------------------------------------------------------------------


def _dark(results: Results) -> Section:
    lead = (
        "People read an ad in a conversation and buy days later by another way. What no click shows, buyers can tell: "
        "the question after the purchase is the second witness."
    )
    blocks: list[Block] = []
    survey = results.survey
    if isinstance(survey, CannotSay):
        blocks.append(Refusal.of(survey))
    else:
        blocks += _survey(survey)
    blocks.append(Heading("Do clicks, answers and other layers agree?"))
    blocks += _agreement(results.agreement)
    blocks.append(Heading("Whom no layer sees"))
    unseen = results.unseen
    if isinstance(unseen, CannotSay):
        blocks.append(Refusal.of(unseen))
    else:
        blocks += _unseen(unseen)
    files = () if isinstance(results.agreement, CannotSay) else (_pairs(results.agreement),)
    return Section("dark", "The dark funnel", lead, tuple(blocks), files)


def _survey(survey: Survey) -> list[Block]:
    ordered = sorted(survey.shares, key=lambda each: (-each.share.value, each.channel))
    adjusted = any(each.adjusted is not None for each in ordered)
    groups = []
    for each in ordered:
        marks = [_mark("Of answers" if adjusted else "", each.share, 0, share)]
        if each.adjusted is not None:
            marks.append(_mark("Of all buyers", each.adjusted, 1, share))
        groups.append(Group(channel_name(each.channel), tuple(marks)))
    silent = survey.asked - survey.answered
    rate = f"{share(survey.answered / survey.asked)} answered" if survey.asked else "how many were asked is not known"
    note = (
        f"{plural(survey.answered, 'answer')} of {plural(survey.asked, 'buyer')} ({rate}; {number(silent)} did not). "
        "The intervals hold for those who answer; whether the others would say the same is not measured."
    )
    if adjusted:
        note += " Hollow: weighted to all buyers by what is known of everyone."
    title = "How buyers say they first heard of the shop"
    sheet = Sheet(
        "survey_shares",
        title,
        (
            Column("Channel", "channel"),
            Column("Answers", "answers", "number", "measured"),
            Column("Share of answers", "share", "share", estimate=True),
            Column("Share of all buyers", "adjusted", "share", estimate=True),
        ),
        tuple((channel_name(e.channel), e.answers, e.share, e.adjusted) for e in ordered),
    )
    blocks: list[Block] = []
    if groups:
        picture = draw_rows(groups, style="dot", form=_plain_share, title=title, about=_told(groups))
        kinds = _kinds([*(each.share for each in ordered), *(each.adjusted for each in ordered)])
        blocks.append(Chart(title, picture, sheet, kinds, note))
    else:
        blocks.append(sheet)
    if survey.notes:
        blocks.append(Points("About the survey", tuple(map(clean, survey.notes))))
    return blocks


AGREEMENT_NAMES: Final = {"ledger": "Click, in the ledger", "ga4": "GA4", "crm": "CRM", "survey": "Survey"}


def _kappa(kappa: float | None) -> str:
    """Landis and Koch's words for Cohen's kappa."""
    if kappa is None:
        return "κ not defined"
    for limit, word in ((0.0, "none"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial")):
        if kappa <= limit:
            return f"κ {kappa:.2f}, {word}".replace("-", "−")
    return f"κ {kappa:.2f}, almost perfect"


def _agreement(agreement: Agreement | CannotSay) -> list[Block]:
    if isinstance(agreement, CannotSay):
        return [Refusal.of(agreement)]
    names = {each: AGREEMENT_NAMES.get(each, each) for each in agreement.layers}
    matrix = []
    for place, one in enumerate(agreement.layers):
        row: list[str | None] = [names[one]]
        for other in agreement.layers[: place + 1]:
            both, seen = agreement.both[one][other], agreement.seen[one][other]
            if one == other:
                row.append(f"{number(both)} credited of {number(seen)}")
            elif not seen:
                row.append("no order in both")
            else:
                row.append(f"{number(both)} by both of {number(seen)}; {_kappa(agreement.kappa[one][other])}")
        matrix.append((*row, *("" for _ in agreement.layers[place + 1 :])))
    shown = Sheet(
        "agreement_matrix",
        "Orders that two layers both credit to ChatGPT, of those that both can see",
        (Column("Layer", "layer"), *(Column(names[each], each) for each in agreement.layers)),
        tuple(matrix),
    )
    note = Points(
        "How to read it",
        (
            "κ (Cohen's kappa) is 1 where two layers always agree, 0 where they agree no more often than by chance.",
            "Low agreement is no fault: a click and an answer see different people, which is why both are asked.",
        ),
    )
    totals = tuple(f"{name}: {number(count)}." for name, count in agreement.totals.items())
    return [shown, note, *([Points("Layers that give totals only, no orders", totals)] if totals else [])]


def _pairs(agreement: Agreement) -> Sheet:
    return Sheet(
        "agreement",
        "Agreement of layers, one row a pair",
        (
            Column("Layer", "layer"),
            Column("Other layer", "other"),
            Column("Credited by both", "both", "number", "measured"),
            Column("Seen by both", "seen", "number", "measured"),
            Column("Cohen's kappa", "kappa", "number"),
        ),
        tuple(
            (one, other, agreement.both[one][other], agreement.seen[one][other], agreement.kappa[one][other])
            for one in agreement.layers
            for other in agreement.layers
        ),
    )


def _unseen(unseen: Unseen) -> list[Block]:
    only_clicked, only_surveyed = unseen.clicked - unseen.both, unseen.surveyed - unseen.both
    marks = (
        Mark("A click, no answer", only_clicked, number(only_clicked), 0),
        Mark("A click and an answer", unseen.both, number(unseen.both), 0),
        Mark("An answer, no click", only_surveyed, number(only_surveyed), 0),
        _mark("Neither (estimate)", unseen.unseen, 1, number),
        _mark("All together (estimate)", unseen.total, 1, number),
    )
    groups = [Group("", marks)]
    title = "Buyers from ChatGPT, by who sees them"
    sheet = Sheet(
        "unseen",
        title,
        (Column("Who sees them", "seen_by"), Column("Buyers", "buyers", "number", estimate=True)),
        (
            ("a click, no answer", Estimate(only_clicked)),
            ("a click and an answer", Estimate(unseen.both)),
            ("an answer, no click", Estimate(only_surveyed)),
            ("neither", unseen.unseen),
            ("all together", unseen.total),
        ),
    )
    between = interval(unseen.total)
    note = (
        f"Solid: counted. Hatched: capture-recapture, a model. It puts the buyers from ChatGPT at "
        f"{number(unseen.total.value)}{f' ({between})' if between else ''}, if what is assumed below holds."
    )
    picture = draw_rows(groups, style="bar", form=_plain, title=title, about=_told(groups))
    chart = Chart(title, picture, sheet, ("measured", *_kinds([unseen.unseen])), note)
    return [chart, Points("What this assumes", tuple(map(clean, unseen.assumptions)))]


# Incrementality -------------------------------------------------------------------------------------------------------


def _incrementality(results: Results) -> Section:
    title = "What did the ads cause?"
    lead = (
        "Only a test answers this: sales where or while the ads ran, against what would have been without them. All "
        "else in this report divides up sales that happened; a test says which of them would not have."
    )
    if not results.tests:
        nothing = Refusal(
            "What the ads caused",
            "no test stands in measurement.toml",
            "relay plan designs one from your own sales: which markets, how many weeks, how small an effect it sees.",
        )
        return Section("incrementality", title, lead, (nothing,))
    blocks: list[Block] = []
    for place, tested in enumerate(results.tests, 1):
        blocks += _tested(tested, place)
    every = Sheet(
        "lift",
        "Every test by every method",
        (
            Column("Test", "test"),
            Column("Method", "method"),
            Column("Lift", "lift", "share", estimate=True),
            Column("Extra conversions", "extra", "number", estimate=True),
            Column("p", "p", "probability"),
            Column("iROAS", "iroas", "times", estimate=True),
        ),
        tuple(
            (clean(tested.test.name), lift.method, lift.lift, lift.extra, lift.p_value, lift.iroas)
            for tested in results.tests
            for lift in tested.lifts
            if isinstance(lift, Lift)
        ),
    )
    return Section("incrementality", title, lead, tuple(blocks), (every,))


def _tested(tested: Experiment, place: int) -> list[Block]:
    test = tested.test
    ran = listed(days(*span) for span in test.spans)
    what = (
        f"Markets: ads {test.ads} in {listed(test.markets[:8])}"
        + (f" and {len(test.markets) - 8} more" if len(test.markets) > 8 else "")
        if test.kind == "geo"
        else "Ads on and off in turn"
    )
    name = clean(test.name)
    blocks: list[Block] = [Heading(f"Test: {name}", f"{what}; {ran}.")]
    lifts = [each for each in tested.lifts if isinstance(each, Lift)]
    blocks += [Refusal.of(each) for each in tested.lifts if isinstance(each, CannotSay)]
    if not lifts:
        return blocks
    groups = [Group("", tuple(_mark(each.method.capitalize(), each.lift, at, share) for at, each in enumerate(lifts)))]
    title = f"Lift by method: {name}"
    sheet = Sheet(
        f"lift_{place}",
        title,
        (
            Column("Method", "method"),
            Column("Lift", "lift", "share", estimate=True),
            Column("Extra conversions", "extra", "number", estimate=True),
            Column("p", "p", "probability"),
            Column("iROAS", "iroas", "times", estimate=True),
        ),
        tuple((each.method, each.lift, each.extra, each.p_value, each.iroas) for each in lifts),
    )
    picture = draw_rows(groups, style="dot", form=_plain_share, title=title, about=_told(groups), reference=0.0)
    clear = [each for each in lifts if each.lift.low is not None and each.lift.low > 0]
    note = (
        "The line at 0 is no effect. "
        + ("Every interval lies above it." if len(clear) == len(lifts) else "An interval that crosses it shows none.")
        + " "
        + " ".join(f"{_summary(each)}." for each in lifts)
    )
    blocks.append(Chart(title, picture, sheet, _kinds(each.lift for each in lifts), note))
    for at, each in enumerate(lifts):
        if len(each.points) > 1:
            blocks.append(_over_time(each, tested, f"{place}_{at + 1}"))
    if caveats := _caveats(lifts):
        blocks.append(Points("What would make it wrong", caveats))
    return blocks


def _caveats(lifts: Sequence[Lift]) -> tuple[str, ...]:
    """What would make the test wrong: once what holds for every method, then what one of them alone has to fear."""
    of_all = [said for said in lifts[0].caveats if all(said in each.caveats for each in lifts)]
    of_one = [
        f"{each.method.capitalize()}: {said}" for each in lifts for said in each.caveats if said not in of_all
    ]  # fmt: skip
    return tuple(clean(said) for said in (*of_all, *of_one))


def _summary(lift: Lift) -> str:
    worth = f", iROAS {times(lift.iroas.value)}" if lift.iroas is not None else ""
    p_value = probability(lift.p_value)
    return f"{lift.method.capitalize()}: {number(lift.extra.value)} extra conversions, p {p_value}{worth}"


def _over_time(lift: Lift, tested: Experiment, name: str) -> Chart:
    on = [point.day for point in lift.points]
    title = f"Sold and expected: {lift.method}"
    sheet = Sheet(
        f"expected_{name}",
        title,
        (
            Column("Day", "day", "day"),
            Column("Sold", "actual", "number", "measured"),
            Column("Expected without the change", "expected", "number", estimate=True),
        ),
        tuple((p.day, p.actual, Estimate(p.expected, p.low, p.high, "modelled")) for p in lift.points),
        shown=40,
    )
    picture = draw_lines(
        on,
        [
            Line("Sold", tuple(point.actual for point in lift.points), 0),
            Line("Expected", tuple(point.expected for point in lift.points), 1, dashed=True),
        ],
        title=title,
        about=f"Sales by day beside what {lift.method} expects without the change, {days(on[0], on[-1])}",
        band=[(point.low, point.high) for point in lift.points],
        spans=tested.test.spans,
        span_label="The test",
    )
    return Chart(title, picture, sheet, ("measured", "modelled"), "Before the test both lines should run together.")


# GA4 funnel -----------------------------------------------------------------------------------------------------------


def _funnel(results: Results) -> Section:
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
        sums = {step: _total((each.counts for each in others), step) for step in STEPS}
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
    picture = draw_rows(groups, style="bar", form=_plain, title=name, about=_told(groups))
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


# Channels -------------------------------------------------------------------------------------------------------------


def _channels(results: Results) -> Section:
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
    groups = [Group(name, (_mark("", estimate, 0, share),)) for name, estimate in held]
    sheet = Sheet(
        "dark_shares",
        title,
        (Column("Channel", "channel"), Column("Dark share", "dark_share", "share", estimate=True)),
        tuple(held),
    )
    picture = draw_rows(groups, style="dot", form=_plain_share, title=title, about=_told(groups))
    note = "Of the buyers who name a channel, those without any click of it, with intervals of 95 %."
    return Chart(title, picture, sheet, _kinds(estimate for _, estimate in held), note)


# Match quality --------------------------------------------------------------------------------------------------------


def _matches(results: Results) -> Section:
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
    picture = draw_rows(groups, style="bar", form=_plain_share, title=name, about=_told(groups))
    note = "Behind each source: its conversions. A conversion may carry several keys."
    return Section("matches", title, lead, (Chart(name, picture, sheet, ("measured",), note),))


def _together(others: Sequence[Match]) -> Match:
    return Match(
        f"all other sources, {len(others)}",
        sum(each.conversions for each in others),
        {key: sum(each.keys.get(key, 0) for each in others) for key in KEY_NAMES},
        sum(each.none for each in others),
    )


# Costs ----------------------------------------------------------------------------------------------------------------


def _costs(results: Results) -> Section:
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
        groups, style="bar", form=lambda minor: _plain(minor / exponent), title=name, about=_told(groups)
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
