"""Sales by market and day as a matrix, and whether it carries a test. What it does not carry is refused here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from measurement.incrementality.comparison import WEEK, big_enough, days_before
from measurement.incrementality.permutation import LEVEL, smallest_p
from measurement.problems import CannotSay
from measurement.queries import markets as queries

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings, Test

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Days = npt.NDArray[np.int64]

ALL: Final = "all markets"
LEAST_BEFORE: Final = 28
"""Days before a test: four weeks, so that a week can be told from chance."""
LEAST_TEST: Final = 7
"""Days of a geo test: each weekday once."""
LEAST_ON: Final = 14
"""Days with ads, and days without between or after or before them, of an on/off test."""
LEAST_SALES: Final = 100
"""Conversions expected in the test on each side of a geo test. Counting noise alone is then 10 % on either side."""
LEAST_A_DAY: Final = 10.0
"""Conversions a day of an on/off test: the regression is of logarithms of days."""
MOST_EMPTY: Final = 0.1
"""Share of days without a sale that an on/off test leaves out; with more the data is taken to be incomplete. A weekday
on which nothing is ever sold, as of a shop that closes on Sundays, is not counted."""
GAP_DAYS: Final = 3
GAP_DAYS_OF_MARKET: Final = 7
GAP_SALES: Final = 20.0
"""A row of so many days without a sale is a gap in the data if so many sales were due: chance makes one in e^20."""
NAMED: Final = 5
"""How many things a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Sales by market and day. Matrices are market × day; a market without a row on a day has sold nothing."""

    first: date
    markets: tuple[str, ...]
    """In the order of their names."""
    sales: Numbers
    """Conversions."""
    value: Numbers
    """In minor units, of the conversions whose value is known."""
    valued: Numbers
    """How many those are."""
    spend: Numbers
    """For each day, on ChatGPT, in minor units; NaN where nothing is known."""
    from_ledger: Flags
    """For each day: whether its sales come from the ledger and not from the table `sales`."""

    @property
    def length(self) -> int:
        """Days from the first to the last with sales, both included."""
        return int(self.sales.shape[1])

    def day(self, position: int) -> date:
        """The day of a column."""
        return self.first + timedelta(days=int(position))

    def position(self, day: date) -> int:
        """The column of a day; negative or too large where there is none."""
        return (day - self.first).days

    def worth(self, days: Days, markets: Flags | slice = slice(None)) -> float | None:
        """The mean value of a conversion; None where no value is known."""
        valued = float(self.valued[markets][:, days].sum())
        return float(self.value[markets][:, days].sum()) / valued if valued else None

    def spent(self, days: Days) -> float | None:
        """What was spent on those days; None where nothing is known of any."""
        spend = self.spend[days]
        return None if np.isnan(spend).all() else float(np.nansum(spend))


def by_market(data: Data, settings: Settings) -> Panel:
    """Sales by market and day. Raises CannotSay: there are none."""
    rows = data.rows(queries.market_days(data.tables, settings.conversion_type))
    if not rows:
        raise CannotSay(
            "Geo tests",
            "no sale has a market",
            "Give the sales by day and market as an input, or let the relay record where its conversions are from.",
        )
    return _panel(data, rows, sorted({row["market"] for row in rows}))


def by_day(data: Data, settings: Settings) -> Panel:
    """Sales by day, in all markets, as a panel of one row. Raises CannotSay: there are none."""
    rows = data.rows(queries.days(data.tables, settings.conversion_type))
    if not rows:
        raise CannotSay(
            "On/off tests",
            f"there is no sale of the type {settings.conversion_type}",
            "Give the ledger or the sales by day as an input.",
        )
    return _panel(data, [row | {"market": ALL} for row in rows], [ALL])


def _panel(data: Data, rows: Sequence[dict[str, Any]], markets: Sequence[str]) -> Panel:
    first, last = min(row["day"] for row in rows), max(row["day"] for row in rows)
    length = (last - first).days + 1
    places = {market: place for place, market in enumerate(markets)}
    sales, value, valued = (np.zeros((len(markets), length)) for _ in range(3))
    from_ledger = np.zeros(length, dtype=bool)
    for row in rows:
        place, position = places[row["market"]], (row["day"] - first).days
        sales[place, position] += row["conversions"]
        value[place, position] += row["value"]
        valued[place, position] += row["valued"]
        from_ledger[position] |= row["from_ledger"] > 0
    spend = np.full(length, np.nan)
    for row in data.rows(queries.chatgpt_spend(data.tables)):
        if 0 <= (position := (row["day"] - first).days) < length:
            spend[position] = row["spend"]
    return Panel(first, tuple(markets), sales, value, valued, spend, from_ledger)


@dataclass(frozen=True, slots=True)
class GeoTrial:
    """A geo test that the data carries."""

    panel: Panel
    treated: Flags
    before: Days
    during: Days
    kept: Flags
    """The markets that sell enough to be compared."""


def geo_trial(panel: Panel, test: Test) -> GeoTrial:
    """The test's markets and days in the panel. Raises CannotSay: it does not carry the test, with the reason."""
    what = f'The geo test "{test.name}"'
    if unknown := sorted(set(test.markets) - set(panel.markets)):
        raise CannotSay(
            what,
            f"there are no sales in {named(unknown)}, which the test names",
            f"Write the markets as the sales have them, such as {named(panel.markets[:3])}.",
        )
    treated = np.isin(panel.markets, test.markets)
    if not treated.any():
        raise CannotSay(what, "it names no market", "Name the markets in which the ads were switched, as `markets`.")
    if treated.all():
        raise CannotSay(
            what,
            "the ads were switched in every market that has sales, so nothing is left to compare with",
            "Leave markets as they were, or describe it as a test of the kind `on_off`.",
        )
    during = _days_of(panel, test, what)
    if len(during) < LEAST_TEST:
        raise CannotSay(
            what,
            f"it lasted {counted(len(during), 'day')}, fewer than the {LEAST_TEST} that hold each weekday once",
            "Let it run for two weeks at least.",
        )
    before = days_before(int(during[0]), len(during))
    _has_before(panel, int(during[0]), int(during[0]), what)
    both = np.concatenate([before, during])
    refuse_gap(panel, both, what)
    expected = panel.sales[:, before].mean(axis=1) * len(during)
    for side, name in ((treated, "the markets of the test"), (~treated, "the other markets")):
        if (due := float(expected[side].sum())) < LEAST_SALES:
            raise CannotSay(
                what,
                f"{name} sell too little: {due:.0f} conversions were to be expected there in the test, "
                f"and {LEAST_SALES} are needed",
                "Test for longer, in more markets, or with a conversion that is more frequent.",
            )
    kept = big_enough(panel.sales, before, during)
    held = int(kept.sum())
    if not kept[treated].any() or not kept[~treated].any() or smallest_p(held, int(treated[kept].sum())) > 1 - LEVEL:
        chosen = int(treated[kept].sum())
        raise CannotSay(
            what,
            f"{counted(chosen, 'market')} with the test and {held - chosen} without are too few (those that sell next "
            "to nothing are left out): whatever happened in them, chance could not be excluded at 5 %",
            "Divide the country into more markets, such as states or regions; 3 of 7 is the least, 20 are good.",
        )
    return GeoTrial(panel, treated, before, during, kept)


@dataclass(frozen=True, slots=True)
class OnOffTrial:
    """An on/off test that the data carries. All by day."""

    panel: Panel
    days: Days
    """Positions in the panel of the days that are compared: those with sales."""
    on: Flags
    """Whether the ads ran, for each of ``days``."""
    empty: Days
    """Positions of days without a sale, which are left out."""


def on_off_trial(panel: Panel, test: Test, first: int, last: int) -> OnOffTrial:
    """The test's days in the panel, of those from ``first`` to ``last``. Raises CannotSay, with the reason."""
    what = f'The on/off test "{test.name}"'
    running = _days_of(panel, test, what)
    _has_before(panel, int(running[0]), int(running[0]) - first, what)
    days = np.arange(first, last + 1)
    refuse_gap(panel, days, what)
    if (mean := float(panel.sales[0, days].mean())) < LEAST_A_DAY:
        raise CannotSay(
            what,
            f"there are {mean:.1f} conversions a day, and {LEAST_A_DAY:.0f} are needed",
            "Test with a conversion that is more frequent, or compare markets in a geo test.",
        )
    sold = panel.sales[0, days] > 0
    weekdays = days % WEEK
    opened = np.isin(weekdays, np.unique(weekdays[sold]))
    if (~sold[opened]).mean() > MOST_EMPTY:
        raise CannotSay(
            what,
            f"{int((~sold[opened]).sum())} of {counted(int(opened.sum()), 'day')} have no sale",
            "Give sales for every day, or leave out of the report what is not complete.",
        )
    days, empty = days[sold], days[~sold]
    on = np.isin(days, running)
    for count, name in ((int(on.sum()), "with"), (int((~on).sum()), "without")):
        if count < LEAST_ON:
            raise CannotSay(
                what,
                f"there {'is' if count == 1 else 'are'} {counted(count, 'day')} {name} ads, and {LEAST_ON} are needed",
                "Switch for whole weeks, and more than once.",
            )
    return OnOffTrial(panel, days, on, empty)


def _days_of(panel: Panel, test: Test, what: str) -> Days:
    """The positions of the test's days. Raises CannotSay: some are not in the data."""
    if not test.spans:
        raise CannotSay(what, "it has no days", "Write when it ran, as `spans`.")
    positions = sorted(
        {place for first, last in test.spans for place in range(panel.position(first), panel.position(last) + 1)}
    )
    if not positions:
        raise CannotSay(what, "its days end before they begin", "Write the first day of a span first.")
    missing = [place for place in positions if not 0 <= place < panel.length]
    if missing:
        raise CannotSay(
            what,
            f"{counted(len(missing), 'day')} of its {len(positions)} are outside of the data, which goes from "
            f"{panel.first} to {panel.day(panel.length - 1)}",
            "Correct the test's days, or give sales for all of them.",
        )
    return np.array(positions)


def _has_before(panel: Panel, start: int, count: int, what: str) -> None:
    if count < LEAST_BEFORE:
        raise CannotSay(
            what,
            f"there {'is' if count == 1 else 'are'} {counted(count, 'day')} with sales and without the test before it, "
            f"and {LEAST_BEFORE} are needed: without them nobody knows what would have been",
            f"Give sales by day from {panel.day(start) - timedelta(days=8 * 7)} on, such as the shop's own export.",
        )


def refuse_gap(panel: Panel, days: Days, what: str) -> None:
    """Raise CannotSay: nothing was sold for days, in all markets or in one, where much was to be expected."""
    whole = panel.sales[:, days].sum(axis=0)
    runs = [(ALL, *_longest_empty(whole), GAP_DAYS, float(whole.mean()))]
    runs += [
        (market, *_longest_empty(row), GAP_DAYS_OF_MARKET, float(row.mean()))
        for market, row in zip(panel.markets, panel.sales[:, days], strict=True)
    ]
    for market, begin, length, least, mean in runs:
        if length >= least and length * mean >= GAP_SALES:
            raise CannotSay(
                what,
                f"the data has a gap: nothing was sold in {market} from {panel.day(int(days[begin]))} to "
                f"{panel.day(int(days[begin + length - 1]))}, where {length * mean:.0f} sales were to be expected",
                "Give the sales of those days, or leave the market out of the data.",
            )


def _longest_empty(row: Numbers) -> tuple[int, int]:
    """Where the longest row of zeros begins, and how long it is."""
    best, begin = (0, 0), 0
    for place, sold in enumerate(row):
        if sold:
            begin = place + 1
        elif place + 1 - begin > best[1]:
            best = begin, place + 1 - begin
    return best


def counted(number: int, thing: str) -> str:
    """`1 day`, `2 days`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def named(things: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    listed = ", ".join(things[:NAMED])
    return listed if len(things) <= NAMED else f"{listed} and {len(things) - NAMED} more"


def percent(share: float, sign: bool = False) -> str:
    """`8.1 %`, or with a sign `+8.1 %`; never `-0.0 %`."""
    return f"{round(share * 100, 1) + 0.0:{'+' if sign else ''}.1f} %"
