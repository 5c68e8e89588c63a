"""On/off tests: the ads run in some weeks and not in others, everywhere at once. The weaker kind of test.

The sales of each day, as logarithms, are level + trend + weekday (+ year) + ads on or off + an error that remembers the
days before. There is no second market in which nothing was switched, so whatever else changed at the same moments is
taken for the ads; the more switches, the less likely.
"""

from __future__ import annotations

from datetime import timedelta
from math import exp, expm1
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from measurement.estimate import Estimate
from measurement.incrementality import geo, panel, series
from measurement.incrementality.autocorrelation import Fit, fit
from measurement.incrementality.panel import LEAST_BEFORE, OnOffTrial, counted, on_off_trial, percent
from measurement.incrementality.results import Lift, Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from measurement.engine import Data
    from measurement.settings import Settings, Test

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]

METHOD: Final = "interrupted time series"
HISTORY: Final = 26 * 7
"""Days before the first span that are looked at, unless there is enough for terms of the year: the trend is a straight
line, and no shop's sales are one for longer."""
LONGEST: Final = 3 * 366
"""Days before it where there is enough."""
AFTERWARDS: Final = 8 * 7
"""Days after the last span that are looked at."""
CARRY_OVER: Final = 7
"""Days after a switch that are left out once, to see whether it works at once."""
SOME_SPEND: Final = 0.05
"""Share of the mean spend in the test from which the ads are taken to have run on a day."""
STANDS_OUT: Final = 4.0
"""Standard deviations from which a day is named."""


def interrupted_time_series(
    data: Data, settings: Settings, test: Test, *, progress: Callable[[str], None] | None = None
) -> Lift:
    """How much more is sold on days with ads. Raises CannotSay: with the reason."""
    if progress:
        progress(f"{test.name}: comparing days")
    return compare(panel.by_day(data, settings), test)


def compare(held: panel.Panel, test: Test) -> Lift:
    """The same of a panel of all markets together."""
    first, last = span_of(held, test)
    trial = on_off_trial(held, test, first, last)
    sales = held.sales[0, trial.days]
    days = trial.days + held.first.toordinal()
    found = series.measure(sales, trial.on, days)
    lift = Estimate(expm1(found.value), expm1(found.low), expm1(found.high), "modelled")
    running = trial.days[trial.on]
    extra = geo.added(float(sales[trial.on].sum()), lift)
    iroas = geo.returned(extra, held.worth(running), _spend_of_ads(trial))
    design = series.design(days, trial.on)
    return Lift(
        METHOD,
        lift,
        extra,
        found.p_value,
        iroas,
        _points(trial, found, design),
        (*_caveats(trial, found, design, days), *([geo.RETURN] if iroas else [])),
    )


def span_of(held: panel.Panel, test: Test) -> tuple[int, int]:
    """The first and the last position that are looked at.

    Ads that ran before the first span or run after the last one, as the spend tells, end the days without ads there.
    """
    if not test.spans:
        return 0, held.length - 1
    begin = held.position(min(first for first, _ in test.spans))
    end = held.position(max(last for _, last in test.spans))
    reach = LONGEST if held.length >= series.LEAST_FOR_YEARLY else HISTORY
    start, stop = max(0, begin - reach), max(0, min(held.length - 1, end + AFTERWARDS))
    running = held.spend[max(0, begin) : end + 1]
    if np.isnan(running).all():
        return start, stop
    spent = held.spend > SOME_SPEND * np.nanmean(running)
    earlier, later = np.flatnonzero(spent[start : max(0, begin)]), np.flatnonzero(spent[end + 1 : stop + 1])
    return (
        start + int(earlier[-1]) + 1 if len(earlier) else start,
        end + int(later[0]) if len(later) else stop,
    )


def _spend_of_ads(trial: OnOffTrial) -> float | None:
    """What days with ads cost beyond as many days without; None where nothing is known."""
    spend = trial.panel.spend[trial.days]
    if np.isnan(spend[trial.on]).all():
        return None
    off = spend[~trial.on]
    base = 0.0 if np.isnan(off).all() else float(np.nanmean(off))
    return float(np.nansum(spend[trial.on])) - base * int(trial.on.sum())


def _points(trial: OnOffTrial, found: Fit, design: Numbers) -> tuple[Point, ...]:
    """Each day's sales, and what the regression expects without ads, with the band of 95 % of days."""
    without = design[:, 1:] @ found.coefficients[1:]
    reach = 1.96 * found.spread
    return tuple(
        Point(
            trial.panel.day(int(position)),
            float(trial.panel.sales[0, position]),
            exp(due),
            exp(due - reach),
            exp(due + reach),
        )
        for position, due in zip(trial.days, without, strict=True)
    )


def _caveats(trial: OnOffTrial, found: Fit, design: Numbers, days: Days) -> list[str]:
    held, on = trial.panel, trial.on
    switches = int((np.diff(on.astype(int)) != 0).sum())
    caveats = []
    if switches == 1:
        caveats.append(
            "The ads were switched once. Anything else that changed at that time, such as a season, a price or a "
            "campaign elsewhere, is in the lift, and no computation can take it out. Switch several times."
        )
    else:
        caveats.append(
            f"The ads were switched {switches} times. Whatever else changed at the same times is in the lift."
        )
    caveats += _carried_over(held.sales[0, trial.days], on, days, found)
    caveats += _earlier(trial, days)
    left = np.log(held.sales[0, trial.days]) - design @ found.coefficients
    unusual = np.flatnonzero(np.abs(left) > STANDS_OUT * found.spread)
    most = [
        f"{held.day(int(trial.days[place]))} ({percent(expm1(left[place]), sign=True)})"
        for place in unusual[np.argsort(-np.abs(left[unusual]))]
    ]
    caveats.append(
        "Holidays and sales events are not in the model. "
        + (
            f"{counted(len(most), 'day')} {'stands' if len(most) == 1 else 'stand'} out from it: {panel.named(most)}."
            if most
            else f"No day stands out from it by more than {STANDS_OUT:.0f} standard deviations."
        )
    )
    caveats.append(
        f"The error of a day is correlated with that of the day before by about {found.memory:.2f}; the interval is "
        "averaged over all values that the data allows."
    )
    if days[-1] - days[0] + 1 < series.LEAST_FOR_YEARLY:
        caveats.append(
            f"There are {len(days)} days, too few to know the seasons of the year; of those only a straight trend is "
            "taken out."
        )
    if len(trial.empty):
        names = [str(held.day(int(position))) for position in trial.empty]
        verb = "is" if len(names) == 1 else "are"
        caveats.append(f"{counted(len(names), 'day')} without a sale {verb} left out: {panel.named(names)}.")
    spend = held.spend[trial.days]
    if not np.isnan(spend[on]).all() and (wrong := int((spend[~on] > SOME_SPEND * np.nanmean(spend[on])).sum())):
        caveats.append(
            f"On {counted(wrong, 'day')} without ads, as the test has it, there was spend. If its days are right, the "
            "lift is that of more ads over fewer."
        )
    return caveats + geo.mixed_sources(held, trial.days)


def _carried_over(sales: Numbers, on: Flags, days: Days, found: Fit) -> list[str]:
    """What comes out if the days after each switch are left out."""
    switched = days[1:][np.diff(on.astype(int)) != 0]
    held = ~((days[:, None] >= switched) & (days[:, None] < switched + CARRY_OVER)).any(axis=1)
    if on[held].sum() < CARRY_OVER or (~on[held]).sum() < LEAST_BEFORE:
        return [
            "An ad that works for days after it was seen makes the lift come out too small. The spans are too short to "
            f"look at that: leaving out {CARRY_OVER} days after each switch leaves too little."
        ]
    again = fit(np.log(sales[held]), series.design(days[held], on[held]), days[held])
    one, other = percent(expm1(again.value), sign=True), percent(expm1(found.value), sign=True)
    return [
        f"Without the {CARRY_OVER} days after each switch the lift is {one} in place of {other}. An ad that works for "
        "days after it was seen makes it come out too small."
    ]


def _earlier(trial: OnOffTrial, days: Days) -> list[str]:
    """The same test with the spans moved to before the first: it should find nothing."""
    running = np.flatnonzero(trial.on)
    begin, end = int(days[running[0]]), int(days[running[-1]])
    shift = -(-(end + 1 - begin) // series.WEEK) * series.WEEK
    before = days < begin
    if begin - shift - LEAST_BEFORE < days[0]:
        return ["The history before the test is too short to try the same test there, where it should find nothing."]
    moved = np.isin(days[before] + shift, days[trial.on])
    again = series.measure(trial.panel.sales[0, trial.days[before]], moved, days[before])
    when = timedelta(days=shift).days // series.WEEK
    wrong = (
        "which it should not: something else moves the sales in this rhythm"
        if again.p_value <= 0.05
        else "as it should"
    )
    return [
        f"The same test {counted(when, 'week')} earlier, where nothing was switched, finds "
        f"{percent(expm1(again.value), sign=True)} (p = {again.p_value:.2f}), {wrong}."
    ]
