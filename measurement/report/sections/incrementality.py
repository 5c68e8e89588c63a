"""What the ads caused: each test, by each method."""

from __future__ import annotations

from collections.abc import Sequence

from measurement.estimate import Estimate
from measurement.incrementality.results import Lift
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
    plain_share,
    told,
)
from measurement.report.charts import Group, Line, draw_lines, draw_rows
from measurement.report.results import Experiment, Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import clean, days, listed, number, probability, share, times


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
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
    groups = [Group("", tuple(marked(each.method.capitalize(), each.lift, at, share) for at, each in enumerate(lifts)))]
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
    picture = draw_rows(groups, style="dot", form=plain_share, title=title, about=told(groups), reference=0.0)
    clear = [each for each in lifts if each.lift.low is not None and each.lift.low > 0]
    note = (
        "The line at 0 is no effect. "
        + ("Every interval lies above it." if len(clear) == len(lifts) else "An interval that crosses it shows none.")
        + " "
        + " ".join(f"{_summary(each)}." for each in lifts)
    )
    blocks.append(Chart(title, picture, sheet, kinds_of(each.lift for each in lifts), note))
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
