"""Do the systems agree: the count of each stage, and why they differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from measurement.problems import CannotSay
from measurement.reconciliation import STAGES, Reconciliation, Row
from measurement.report.blocks import Block, Chart, Points, Refusal, Section, plain_number, told, total_of
from measurement.report.charts import Group, Line, Mark, draw_lines, draw_rows
from measurement.report.results import Results
from measurement.report.sheets import Column, Sheet
from measurement.report.wording import STAGE_NAMES, listed, number, type_name


def section(results: Results) -> Section:
    """This section of the report, from its results or their refusal."""
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


def _stages(rows: Sequence[Row], wanted: str) -> Chart:
    counts = [row.counts for row in rows]
    totals = {stage: total_of(counts, stage) for stage in STAGES}
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
        draw_rows(groups, style="bar", form=plain_number, title=title, about=told(groups)),
        sheet,
        ("measured",),
        "Received counts deliveries, and platforms send some of them again."
        + (f" No data, which is not zero: {listed(silent)}." if silent else ""),
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
        stage
        for stage in ("truth", "recorded", "accepted")
        if total_of((row.counts for row in rows), stage) is not None
    ]
    if not stages:
        return None
    values = {stage: tuple(total_of(by_day.get(day, ()), stage) for day in all_days) for stage in stages}
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
