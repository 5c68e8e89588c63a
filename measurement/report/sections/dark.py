"""What no click shows: the survey, the agreement of layers, the unseen."""

from __future__ import annotations

from typing import Final

from measurement.dark_funnel import Agreement, Survey, Unseen
from measurement.estimate import Estimate
from measurement.problems import CannotSay
from measurement.report.blocks import (
    Block,
    Chart,
    Heading,
    Points,
    Refusal,
    Section,
    kinds_of,
    marked,
    plain_number,
    plain_share,
    told,
)
from measurement.report.charts import Group, Mark, draw_rows
from measurement.report.results import Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import channel_name, clean, interval, number, plural, share


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
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
        marks = [marked("Of answers" if adjusted else "", each.share, 0, share)]
        if each.adjusted is not None:
            marks.append(marked("Of all buyers", each.adjusted, 1, share))
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
        picture = draw_rows(groups, style="dot", form=plain_share, title=title, about=told(groups))
        kinds = kinds_of([*(each.share for each in ordered), *(each.adjusted for each in ordered)])
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
        marked("Neither (estimate)", unseen.unseen, 1, number),
        marked("All together (estimate)", unseen.total, 1, number),
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
    picture = draw_rows(groups, style="bar", form=plain_number, title=title, about=told(groups))
    chart = Chart(title, picture, sheet, ("measured", *kinds_of([unseen.unseen])), note)
    return [chart, Points("What this assumes", tuple(map(clean, unseen.assumptions)))]
