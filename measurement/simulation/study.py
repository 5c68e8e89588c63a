"""How often an interval covers the truth, on simulated shops: `make study`.

Two hundred seeds of each kind of shop and of each kind of test. What is printed: coverage of the 95 % intervals with
its own Monte-Carlo error, bias, median width; and how often a test finds an effect where there is none (A/A). It ends
with status 1 if a pooled coverage leaves 92 to 98 % or an A/A rate exceeds 6 %.

Kinds that violate an assumption stand apart and are in no pooled figure. The estimators were tuned on seeds from
`TUNING_SEED` on, the printed ones are `FIRST_SEED` on, so that nothing is chosen by what is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite, sqrt
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from measurement.engine import arrow_schema
from measurement.problems import CannotSay
from measurement.simulation.shop import BASE, FIRST, LAST, STRESS, simulate
from measurement.tables import CHATGPT

if TYPE_CHECKING:
    from measurement.estimate import Estimate

SEEDS: Final = 200
FIRST_SEED: Final = 1
TUNING_SEED: Final = 100_001
BUYERS: Final = 3_000
"""Orders of a simulated shop."""
LIFTS: Final = (0.0, 0.1)
"""What the ads add in the simulated tests: nothing (A/A), and a tenth."""
COVERAGE: Final = (0.92, 0.98)
MOST_FALSE: Final = 0.06

ANSWERS: Final = "survey share, of the answers"
ALL: Final = "survey share, of all buyers"
UNSEEN: Final = "capture-recapture"
GEO: Final = "lift, geo (difference in differences)"
ON_OFF: Final = "lift, on/off (interrupted time series)"
MEASURES: Final = (ANSWERS, ALL, UNSEEN, GEO, ON_OFF)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One estimate beside its truth. ``value`` None: it was refused."""

    measure: str
    kind: str
    truth: float
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    found: bool | None = None
    """Of a test: whether its p-value is 5 % or less."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one process computes at once: a kind and a seed of a shop or of a test."""

    of: str
    kind: str
    seed: int
    lift: float = 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """The outcomes of one kind (or all), counted."""

    measure: str
    kind: str
    runs: int
    refused: int
    coverage: float
    above: float
    """Share of intervals that lie above the truth, so the estimate is too high; `below` likewise."""
    below: float
    bias: float
    """Mean of estimate minus truth: relative to the truth, or in points where these are lifts."""
    width: float
    """Median width of the interval, in the same way."""
    false: float | None
    """Of tests without an effect: the share that finds one."""
    false_runs: int

    @property
    def error(self) -> float:
        """Monte-Carlo error of the coverage, one standard deviation."""
        return sqrt(self.coverage * (1 - self.coverage) / max(self.runs - self.refused, 1))

    @property
    def false_error(self) -> float:
        """The same of the false-positive rate."""
        rate = self.false or 0.0
        return sqrt(rate * (1 - rate) / max(self.false_runs, 1))


# One run


@lru_cache(maxsize=1)
def _queries() -> tuple[Any, str, str]:
    """A database of this process, and the text of the two queries, which is the same for all shops."""
    import duckdb

    from measurement.engine import sql, unbound
    from measurement.queries import dark_funnel as queries
    from measurement.tables import TABLES

    connection = duckdb.connect(config={"threads": 1})
    for name in TABLES:
        connection.register(name, arrow_schema(name).empty_table())
    tables = {name: unbound(name) for name in TABLES}
    period = (tables, "order_created", FIRST, LAST)
    return connection, sql(queries.cells(*period), "duckdb"), sql(queries.answers(*period), "duckdb")


def shop(kind: str, seed: int, buyers: int = BUYERS) -> list[Outcome]:
    """What survey and capture-recapture say of a shop."""
    from measurement import dark_funnel

    made = simulate(kind, seed, buyers=buyers, parts=("touches", "survey"))
    connection, cells, answers = _queries()
    for name, rows in made.tables.items():
        connection.register(name, rows)
    known = dark_funnel.counted(*(connection.sql(each).to_arrow_table().to_pylist() for each in (cells, answers)))
    share = made.truth.survey_share[CHATGPT]
    said = {each.channel: each for each in dark_funnel.survey_of(known).shares}[CHATGPT]
    try:
        total = dark_funnel.unseen_of(known).total
    except CannotSay:
        total = None
    return [
        _outcome(ANSWERS, kind, share, said.share),
        _outcome(ALL, kind, share, said.adjusted),
        _outcome(UNSEEN, kind, made.truth.brought, total),
    ]


def _outcome(measure: str, kind: str, truth: float, estimate: Estimate | None) -> Outcome:
    if estimate is None or estimate.low is None or estimate.high is None:
        return Outcome(measure, kind, truth)
    return Outcome(measure, kind, truth, estimate.value, estimate.low, estimate.high)


def _tests() -> tuple[Mapping[str, Any], Mapping[str, Any], Callable[..., Any], Callable[..., Any]]:
    """The kinds of both tests, and what runs one on a history of known lift."""
    from measurement.incrementality import study

    return study.GEO, study.ON_OFF, study.geo_test, study.on_off_test


def test_of_lift(of: str, kind: str, seed: int, lift: float) -> list[Outcome]:
    """What a test of incrementality says of a history in which the ads add ``lift``."""
    _, _, geo_test, on_off_test = _tests()
    found = (geo_test if of == GEO else on_off_test)(kind, seed, lift)
    return [Outcome(of, kind, lift, found.estimate, found.low, found.high, found.p_value <= 0.05)]


def run(task: Task) -> list[Outcome]:
    """The outcomes of a task."""
    if task.of == "shop":
        return shop(task.kind, task.seed)
    return test_of_lift(task.of, task.kind, task.seed, task.lift)


# All runs


def tasks(seeds: Iterable[int]) -> list[Task]:
    """All that the study computes."""
    geo, on_off, *_ = _tests()
    seeds = list(seeds)
    return [
        *(Task("shop", kind, seed) for kind in (*BASE, *STRESS) for seed in seeds),
        *(
            Task(of, kind, seed, lift)
            for of, kinds in ((GEO, geo), (ON_OFF, on_off))
            for kind in kinds
            for lift in LIFTS
            for seed in seeds
        ),
    ]


def run_all(todo: Sequence[Task], *, workers: int, progress: Callable[[int], None] | None = None) -> list[Outcome]:
    """The outcomes of all tasks, in their order, on so many processes."""
    outcomes: list[Outcome] = []
    if workers == 1:
        results: Iterable[list[Outcome]] = map(run, todo)
        for done, result in enumerate(results, 1):
            outcomes += result
            if progress:
                progress(done)
        return outcomes
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, result in enumerate(pool.imap(run, todo, chunksize=20), 1):
            outcomes += result
            if progress:
                progress(done)
    return outcomes


def summarize(outcomes: Sequence[Outcome], kind: str = "all of these") -> Summary:
    """The outcomes of one measure, counted."""
    given = [each for each in outcomes if each.value is not None]
    number = max(len(given), 1)
    aa = [each for each in given if each.truth == 0 and each.found is not None]
    scale = [each.truth if each.found is None else 1.0 for each in given]
    values = [each.value or 0.0 for each in given]
    misses = [(v - each.truth) / s for v, each, s in zip(values, given, scale, strict=True)]
    widths = [(each.high - each.low) / s for each, s in zip(given, scale, strict=True)]
    return Summary(
        outcomes[0].measure,
        kind,
        len(outcomes),
        len(outcomes) - len(given),
        sum(each.low <= each.truth <= each.high for each in given) / number,
        sum(each.low > each.truth for each in given) / number,
        sum(each.high < each.truth for each in given) / number,
        fmean([each for each in misses if isfinite(each)] or [0.0]),
        median(widths or [0.0]),
        sum(bool(each.found) for each in aa) / len(aa) if aa else None,
        len(aa),
    )


@dataclass(frozen=True, slots=True)
class Study:
    """What is printed."""

    kinds: tuple[Summary, ...]
    pooled: tuple[Summary, ...]
    stress: tuple[Summary, ...]
    biased: tuple[Summary, ...]
    """The raw share of answers where who answers depends on what is known: what adjusting is for."""

    @property
    def failures(self) -> tuple[str, ...]:
        """What is out of bounds."""
        failures = []
        for each in self.pooled:
            if not COVERAGE[0] <= each.coverage <= COVERAGE[1]:
                failures.append(f"{each.measure}: pooled coverage {each.coverage:.1%} is not in 92 to 98 %")
            if each.false is not None and each.false > MOST_FALSE:
                failures.append(f"{each.measure}: A/A rate {each.false:.1%} exceeds 6 %")
        return tuple(failures)


NOT_AT_RANDOM: Final = frozenset({"non-response"})
"""Kinds in which those who answer are not like the others: there the raw share is another question's answer."""


def study(outcomes: Sequence[Outcome]) -> Study:
    """Coverage by kind and pooled."""
    kinds, pooled, stress, biased = [], [], [], []
    for measure in MEASURES:
        of = [each for each in outcomes if each.measure == measure]
        good: list[Outcome] = []
        for kind in dict.fromkeys(each.kind for each in of):
            here = [each for each in of if each.kind == kind]
            if kind in STRESS:
                stress.append(summarize(here, kind))
            elif measure == ANSWERS and kind in NOT_AT_RANDOM:
                biased.append(summarize(here, kind))
            else:
                kinds.append(summarize(here, kind))
                good += here
        if good:
            pooled.append(summarize(good))
    return Study(tuple(kinds), tuple(pooled), tuple(stress), tuple(biased))


# What is printed


def text(found: Study) -> str:
    """The tables."""
    lines: list[str] = []
    for total in found.pooled:
        lines += ["", total.measure, _heading(total.measure)]
        lines += [_line(each) for each in found.kinds if each.measure == total.measure]
        lines.append(_line(total))
    if found.biased:
        lines += ["", f"{ANSWERS}, where those with a click answer more often (in no pooled figure)", _heading(ANSWERS)]
        lines += [_line(each) for each in found.biased]
    if found.stress:
        lines += ["", "Stress: each kind violates one assumption (in no pooled figure)"]
        for measure in dict.fromkeys(each.measure for each in found.stress):
            lines += ["", measure, _heading(measure)]
            for each in found.stress:
                if each.measure == measure:
                    lines += [_line(each), f"    {STRESS[each.kind].stress}"]
    return "\n".join(lines[1:])


def _heading(measure: str) -> str:
    columns = f"  {'kind':<38}{'runs':>6}{'refused':>9}{'coverage':>10}{'error':>7}{'too high':>10}{'too low':>9}"
    aa = f"{'A/A':>7}{'error':>7}" if measure in (GEO, ON_OFF) else ""
    return f"{columns}{'bias':>9}{'width':>9}{aa}"


def _line(each: Summary) -> str:
    aa = f"{each.false:>7.1%}{each.false_error:>7.1%}" if each.false is not None else ""
    return (
        f"  {each.kind:<38}{each.runs:>6}{each.refused:>9}{each.coverage:>10.1%}{each.error:>7.1%}{each.above:>10.1%}"
        f"{each.below:>9.1%}{each.bias:>+9.1%}{each.width:>9.1%}{aa}"
    ).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the study and prints it; the exit status."""
    parser = argparse.ArgumentParser(
        prog="make study", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many of each kind (default: 200)")
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="the first seed (default: 1)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    todo = tasks(range(chosen.first, chosen.first + chosen.seeds))

    def progress(done: int) -> None:
        if sys.stderr.isatty() and (done % 50 == 0 or done == len(todo)):
            print(
                f"\r{done:,} of {len(todo):,} runs", end="\n" if done == len(todo) else "", file=sys.stderr, flush=True
            )

    found = study(run_all(todo, workers=chosen.workers, progress=progress))
    print(
        f"{chosen.seeds} seeds of each kind, from {chosen.first} on; shops of {BUYERS:,} orders; lifts of 0 and 10 %."
    )
    print("Bias and width: in percent of the truth; of a lift in points. A/A: tests that find an effect of 0.")
    print()
    print(text(found))
    print()
    for failure in found.failures:
        print(f"FAILED  {failure}")
    if not found.failures:
        print("All pooled coverages are within 92 to 98 %, and both A/A rates at most 6 %.")
    print(f"{len(todo):,} runs in {time.monotonic() - began:.0f} s on {chosen.workers} processes.")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
