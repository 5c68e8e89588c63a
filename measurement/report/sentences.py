"""What the report says, in five sentences: one for each question that whoever pays for the ads asks.

A sentence names its interval, says what is modelled, and where the data does not carry an answer it says that instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurement.attribution import Attribution
from measurement.channels import Channel
from measurement.dark_funnel import Survey, Unseen
from measurement.estimate import Estimate, Kind
from measurement.incrementality.results import Lift
from measurement.problems import CannotSay
from measurement.reconciliation import Reconciliation
from measurement.report.results import Results
from measurement.report.wording import (
    STAGE_NAMES,
    amount,
    days,
    formatted,
    interval,
    lowered,
    number,
    plural,
    probability,
    share,
    times,
    type_name,
    type_of,
)
from measurement.tables import CHATGPT

WINDOW: int = 30
"""Days before the conversion, of the attribution that the sentences speak of."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One of the five: the question, its answer, and what kind of number the answer rests on (None: there is none)."""

    question: str
    text: str
    kind: Kind | None


def sentences(results: Results) -> tuple[Sentence, Sentence, Sentence, Sentence, Sentence]:
    """The five sentences, always in this order."""
    return (_came(results), _sure(results), _worth(results), _agree(results), _dark(results))


def chatgpt_credit(attribution: Attribution | CannotSay, window: int = WINDOW) -> dict[str, Estimate]:
    """What each model credits to ChatGPT in the window (the nearest there is). Empty: there is nothing."""
    if isinstance(attribution, CannotSay):
        return {}
    windows = {each.window_days for each in attribution.credits}
    if not windows:
        return {}
    nearest = min(windows, key=lambda each: (abs(each - window), each))
    none: dict[str, Estimate] = {
        each.model: Estimate(0.0) for each in attribution.credits if each.window_days == nearest
    }
    found: dict[str, Estimate] = {
        each.model: each.conversions
        for each in attribution.credits
        if each.window_days == nearest and each.channel == CHATGPT and each.campaign is None
    }
    return none | found


def _came(results: Results) -> Sentence:
    question = "How many came from ChatGPT?"
    settings, recorded = results.settings, results.recorded
    preposition = "On" if settings.first == settings.last else "From"
    period = f"{preposition} {days(settings.first, settings.last)}"
    things = type_name(settings.conversion_type)
    lacks_ledger = all(layer.table != "conversions" or not layer.rows for layer in results.layers)
    if lacks_ledger and not any(each.kind in ("ledger", "dynamodb_export") for each in settings.inputs):
        return Sentence(
            question,
            "The data has no conversions of the relay's ledger, so the report cannot say how many came from ChatGPT "
            "(add an input of the kind dynamodb_export or ledger).",
            None,
        )
    if not recorded.conversions:
        return Sentence(
            question,
            f"{period} no {things} are recorded, so the report cannot say how many came from ChatGPT.",
            None,
        )
    text = (
        f"{period} the relay recorded {type_of(recorded.conversions, settings.conversion_type)}, of which "
        f"{number(recorded.clicked)} ({share(recorded.clicked / recorded.conversions)}) "
        f"{'carries' if recorded.clicked == 1 else 'carry'} a click on a ChatGPT ad"
    )
    credit = chatgpt_credit(results.attribution)
    if credit:
        low, high = (formatted(pick(each.value for each in credit.values()), "number") for pick in (min, max))
        said = f"{low} of them" if low == high else f"between {low} and {high} of them, depending on the model"
        return Sentence(
            question, f"{text}, and attribution over {WINDOW} days credits ChatGPT with {said}.", "modelled"
        )
    if isinstance(results.attribution, CannotSay):
        return Sentence(
            question,
            f"{text}; attribution to channels is not shown, because {lowered(results.attribution.why)}.",
            "measured",
        )
    return Sentence(question, f"{text}.", "measured")


def best_lift(results: Results) -> tuple[str, Lift] | None:
    """The test to speak of: the last one that has a result, by its first method."""
    for tested in reversed(results.tests):
        for lift in tested.lifts:
            if isinstance(lift, Lift):
                return tested.test.name, lift
    return None


def _sure(results: Results) -> Sentence:
    question = "Did the ads cause it?"
    found = best_lift(results)
    if found is None:
        refusals = [each for tested in results.tests for each in tested.lifts if isinstance(each, CannotSay)]
        if refusals:
            return Sentence(
                question,
                f"Whether the ads caused more sales cannot be said yet, because {lowered(refusals[-1].why)}.",
                None,
            )
        return Sentence(
            question,
            "Whether the ads caused sales that would not have happened otherwise is not known, because no test of it "
            "has been run (relay plan designs one).",
            None,
        )
    name, lift = found
    between = interval(lift.lift, "share")
    if not between:
        return Sentence(
            question,
            f"In the test {name} sales were {share(lift.lift.value)} above what was expected without the ads, but no "
            "interval could be given, so this proves nothing by itself.",
            "modelled",
        )
    level = f"{lift.lift.level:.0%} interval".replace("%", " %")
    p_value = f"p {'=' if lift.p_value >= 0.001 else ''} {probability(lift.p_value)}".replace("  ", " ")
    clear = lift.lift.low is not None and lift.lift.high is not None and (lift.lift.low > 0 or lift.lift.high < 0)
    if clear and lift.lift.value < 0:
        return Sentence(
            question,
            f"In the test {name} sales with the ads were {share(-lift.lift.value)} below what was expected without "
            f"them ({level} {between}; {p_value}), which calls for a look at the test before anything else.",
            "modelled",
        )
    if clear:
        return Sentence(
            question,
            f"In the test {name} the ads added {share(lift.lift.value)} to sales ({level} {between}; {p_value}), "
            f"which is about {plural(lift.extra.value, 'conversion')} that would not have happened otherwise.",
            "modelled",
        )
    return Sentence(
        question,
        f"The test {name} does not show that the ads added sales: the best estimate is {share(lift.lift.value)}, but "
        f"the {level} from {between} includes no effect at all ({p_value}).",
        "modelled",
    )


def _chatgpt(results: Results) -> Channel | None:
    if isinstance(results.channels, CannotSay):
        return None
    return next((each for each in results.channels if each.channel == CHATGPT), None)


def _worth(results: Results) -> Sentence:
    question = "What was it worth?"
    currency = results.settings.currency
    spent = results.spent.get(CHATGPT)
    if not spent:
        known = "no spend is recorded for ChatGPT" if results.spend else "the data holds no spend of any channel"
        return Sentence(question, f"What the ads returned cannot be said, because {known} in this period.", None)
    text = f"ChatGPT ads cost {amount(spent, currency)}"
    channel = _chatgpt(results)
    kind: Kind = "measured"
    parts = []
    if channel is not None and channel.cpa is not None:
        parts.append(f"{amount(channel.cpa, currency)} for each conversion by last click")
    if channel is not None and channel.roas is not None:
        parts.append(f"{times(channel.roas)} the spend in sales by last click")
    if parts:
        kind = "modelled"
    found = best_lift(results)
    if found is not None and (iroas := found[1].iroas) is not None:
        between = interval(iroas, "times")
        parts.append(
            f"{times(iroas.value)} in sales that the ads caused in the test {found[0]}"
            + (f" (interval {between})" if between else "")
        )
        kind = "modelled"
    if not parts:
        return Sentence(
            question, f"{text}, but no sales could be set against it, so their return cannot be said.", kind
        )
    return Sentence(question, f"{text}: {', '.join(parts[:-1]) + ' and ' if parts[1:] else ''}{parts[-1]}.", kind)


def _agree(results: Results) -> Sentence:
    question = "Do the systems agree?"
    held = results.reconciliation
    if isinstance(held, CannotSay):
        return Sentence(question, f"Whether the systems agree cannot be said, because {lowered(held.why)}.", None)
    missing = sum(map(len, held.missing.values()))
    flagged = sum(abs(each.count) for each in held.differences if not each.explained)
    explained = sum(abs(each.count) for each in held.differences if each.explained)
    lost = (
        f", and {plural(missing, 'order')} of the shop {'is' if missing == 1 else 'are'} missing in the ledger"
        if missing
        else ""
    )
    silent = _silent(held)
    if held.quiet:
        return Sentence(
            question, "Yes: the systems that report agree that there was nothing in this period.", "measured"
        )
    if not held.compared:
        return Sentence(
            question,
            "Whether the systems agree cannot be said, because no two of them report the same conversions for this "
            "period.",
            None,
        )
    without = f" (no data from: {', '.join(silent)})" if silent else ""
    if flagged:
        return Sentence(
            question,
            f"Not fully{without}: {plural(flagged, 'conversion')} {'differs' if flagged == 1 else 'differ'} between "
            f"the systems without a known reason, {number(explained)} with one{lost}.",
            "measured",
        )
    if missing:
        return Sentence(question, f"Almost{without}: every difference has a known reason{lost}.", "measured")
    return Sentence(
        question,
        f"Yes{without}: {plural(explained, 'conversion')} {'differs' if explained == 1 else 'differ'} between the "
        "systems, all with a known reason."
        if explained
        else f"Yes{without}: where two systems count the same thing, they count the same.",
        "measured",
    )


def _silent(held: Reconciliation) -> list[str]:
    """Stages of which no row says anything."""
    return [
        name if name[:2].isupper() else name[0].lower() + name[1:]
        for stage, name in STAGE_NAMES.items()
        if stage != "ignored" and all(row.counts.get(stage) is None for row in held.rows)
    ]


def _dark(results: Results) -> Sentence:
    question = "What do we not see?"
    survey, unseen = results.survey, results.unseen
    if isinstance(survey, CannotSay):
        return Sentence(
            question, f"How many came by ChatGPT without a click is not known, because {lowered(survey.why)}.", None
        )
    told = _told(survey)
    is_weighted = any(each.channel == CHATGPT and each.adjusted is not None for each in survey.shares)
    if isinstance(unseen, CannotSay):
        return Sentence(
            question,
            f"{told}; how many neither a click nor an answer shows is not given, because {lowered(unseen.why)}.",
            "modelled" if is_weighted else "measured",
        )
    return Sentence(question, f"{told}; {_estimated(unseen)}.", "modelled")


def _told(survey: Survey) -> str:
    who = f"Of the {plural(survey.answered, 'buyer')} who answered the survey"
    if survey.asked:
        who += f" ({share(survey.answered / survey.asked)} of {number(survey.asked)})"
    for each in survey.shares:
        if each.channel == CHATGPT:
            between = interval(each.share, "share")
            said = f" ({each.share.level:.0%} interval {between})".replace("% i", " % i") if between else ""
            weighted = ""
            if each.adjusted is not None:
                around = interval(each.adjusted, "share")
                weighted = f", or {share(each.adjusted.value)}{f' ({around})' if around else ''} weighted to all buyers"
            return f"{who}, {share(each.share.value)}{said} first heard of the shop by ChatGPT{weighted}"
    return f"{who}, nobody named ChatGPT"


def _estimated(unseen: Unseen) -> str:
    between = interval(unseen.unseen)
    return (
        f"clicks and answers taken together, a model puts at {number(unseen.unseen.value)}"
        f"{f' ({between})' if between else ''} the buyers from ChatGPT whom neither shows"
    )
