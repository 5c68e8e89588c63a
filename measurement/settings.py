"""The report's settings: `measurement.toml` in the user's folder, read into one frozen object."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from conversion_relay.money import EXPONENTS, currency_code
from measurement.problems import BadInput
from measurement.tables import CHANNELS, UNKNOWN


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to read: ``kind`` is the importer's name (`ga4_exploration`, `ledger` …), ``options`` are its own."""

    kind: str
    options: Mapping[str, Any]
    line: int
    """Where it stands in the settings, for messages."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test of incrementality that was run. Days inclusive.

    ``geo``: ``markets`` are those with the changed treatment, all others are control. ``on_off``: ``spans`` are the
    days on which the ads ran, everything else in the data is off. ``ads`` says what was changed: `off` in the markets
    (a holdout), or `on`.
    """

    name: str
    kind: Literal["geo", "on_off"]
    spans: tuple[tuple[date, date], ...]
    markets: tuple[str, ...] = ()
    ads: Literal["off", "on"] = "off"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the report is about. ``rates``: what one unit of a currency is worth in the report's currency."""

    shop: str
    time_zone: ZoneInfo
    currency: str
    first: date
    last: date
    """Inclusive."""
    folder: Path
    conversion_type: str = "order_created"
    rates: Mapping[str, Decimal] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    tests: tuple[Test, ...] = ()
    channels: tuple[tuple[str, str], ...] = ()
    """Pattern of `source / medium` and the channel it is, the first that fits; before the built-in ones."""
    threshold: float = 0.02
    """By how much two stages may differ without a reason before `relay reconcile` exits non-zero, as a share."""


# Reading --------------------------------------------------------------------------------------------------------------

_SECTIONS: Final = ("report", "rates", "input", "test", "channels")
_REPORT: Final = ("shop", "time_zone", "currency", "first", "last", "days", "conversion_type", "threshold")
_TEST: Final = ("name", "kind", "first", "last", "spans", "markets", "ads")
_KINDS_OF_TEST: Final = ("geo", "on_off")
HIGHEST_RATE: Final = 1_000_000
"""Of one currency in another: a dinar of Kuwait is worth some 130,000 rials of Iran."""
LONGEST: Final = 3_660
"""Days of a report."""


def load(path: Path, *, today: date | None = None) -> Settings:
    """Read `measurement.toml`. ``today`` is what ``days`` counts back from (by default the day in the report's zone).

    Raises:
        BadInput: it cannot be read, or says what cannot be; all mistakes at once, each with its line.
    """
    try:
        written = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise BadInput(
            str(path), f"cannot be read ({problem.strerror})", "relay report init FOLDER writes one to begin with."
        ) from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "is not in UTF-8", "Save it as UTF-8.") from None
    try:
        held = tomllib.loads(written, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as problem:
        line = re.search(r"at line (\d+)", str(problem))
        said = re.sub(r" \(at .*\)$", "", str(problem))
        raise BadInput(
            str(path), f"is no TOML: {said}", 'Texts stand in quotes, days do not: shop = "Ours", first = 2026-09-01.',
            int(line[1]) if line else None,
        ) from None  # fmt: skip
    return _Reading(path, _Lines(written), held, today).settings()


class _Lines:
    """On which line each key stands, for messages."""

    def __init__(self, written: str) -> None:
        self.found: dict[tuple[str, ...], int] = {}
        counts: dict[str, int] = {}
        at: tuple[str, ...] = ()
        for number, line in enumerate(written.splitlines(), 1):
            if header := re.match(r"\s*\[\[\s*([\w-]+)\s*\]\]", line):
                counts[header[1]] = counts.get(header[1], -1) + 1
                at = (header[1], str(counts[header[1]]))
                self.found.setdefault(at, number)
            elif header := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
                first, *others = header[1].split(".")
                at = (first, *([str(counts[first])] if first in counts else []), *others)
                self.found.setdefault(at, number)
            elif key := re.match(r"""\s*("(?:[^"\\]|\\.)*"|'[^']*'|[\w.-]+)\s*=""", line):
                self.found.setdefault((*at, key[1].strip("\"'")), number)

    def of(self, *steps: str) -> int | None:
        """The line of a key, or of what it would stand in."""
        for size in range(len(steps), 0, -1):
            if (line := self.found.get(steps[:size])) is not None:
                return line
        return None


class _Reading:
    """One reading of the settings; problems are collected."""

    def __init__(self, path: Path, lines: _Lines, held: Mapping[str, Any], today: date | None) -> None:
        self.path = path
        self.lines = lines
        self.held = held
        self.today = today
        self.problems: list[BadInput] = []

    def bad(self, at: tuple[str, ...], reason: str, advice: str) -> None:
        mark = "?" if advice.startswith("Did you mean") else "."
        self.problems.append(BadInput(str(self.path), reason, f"{advice}{mark}", self.lines.of(*at)))

    def settings(self) -> Settings:
        self._known((), self.held, _SECTIONS, "section")
        report = self._table("report")
        self._known(("report",), report, _REPORT, "setting")
        shop = self._text(("report", "shop"), report.get("shop"), 'Write shop = "My shop"')
        zone = self._zone(report.get("time_zone"))
        currency = self._currency(report.get("currency"))
        first, last = self._period(report, zone)
        conversion_type = self._type(report.get("conversion_type", "order_created"))
        threshold = report.get("threshold", Decimal("0.02"))
        if not _is_number(threshold) or not 0 <= threshold < 1:
            self.bad(("report", "threshold"), "threshold is no share from 0 to below 1", "Write 0.02 for 2 %")
            threshold = 0
        rates = self._rates(currency)
        inputs = tuple(self._input(number, each, rates, currency) for number, each in self._list("input"))
        if "input" not in self.held:
            self.bad((), "it names no input", "Add [[input]] with kind and file; docs/measuring.md has all kinds")
        tests = tuple(test for number, each in self._list("test") if (test := self._test(number, each)) is not None)
        names = [each.name for each in tests]
        if len(set(names)) < len(names):
            self.bad(("test",), "two tests have the same name", "Give each its own")
        channels = tuple(self._channels())
        if len(self.problems) == 1:
            raise self.problems[0]
        if self.problems or zone is None or first is None or last is None:
            from measurement.inputs.rows import BadRows

            raise BadRows(self.problems, stopped=False)
        return Settings(
            shop=shop, time_zone=zone, currency=currency, first=first, last=last, folder=self.path.parent,
            conversion_type=conversion_type, rates=rates, inputs=inputs, tests=tests, channels=channels,
            threshold=float(threshold),
        )  # fmt: skip

    # Parts

    def _known(self, at: tuple[str, ...], held: Mapping[str, Any], names: Iterable[str], what: str) -> None:
        names = sorted(names)
        for name in held:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                advice = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names)}"
                self.problems.append(
                    BadInput(
                        str(self.path), f"there is no {what} {name}", advice.rstrip("?.") + ("?" if near else "."),
                        self.lines.of(*at, name),
                    )
                )  # fmt: skip

    def _table(self, name: str) -> Mapping[str, Any]:
        held = self.held.get(name, {})
        if isinstance(held, dict):
            return held
        self.bad((name,), f"{name} is no section", f"Write [{name}] on a line of its own")
        return {}

    def _list(self, name: str) -> list[tuple[int, Mapping[str, Any]]]:
        held = self.held.get(name, [])
        if isinstance(held, list) and all(isinstance(each, dict) for each in held):
            return list(enumerate(held))
        self.bad((name,), f"[{name}] may stand there more than once", f"Write [[{name}]], with two brackets")
        return []

    def _text(self, at: tuple[str, ...], value: Any, advice: str) -> str:
        if isinstance(value, str) and value.strip():
            return value.strip()
        self.bad(at, f"{at[-1]} is missing" if value is None else f"{at[-1]} is no text", advice)
        return ""

    def _type(self, value: Any) -> str:
        from conversion_relay.event import DATA_TYPE

        at = ("report", "conversion_type")
        written = self._text(at, value, "Write the type of an event")
        if written and written not in DATA_TYPE:
            near = difflib.get_close_matches(written, DATA_TYPE, 1)
            advice = f"Did you mean {near[0]}" if near else f"There are {', '.join(DATA_TYPE)}"
            self.bad(at, f"{written} is no type of an event", advice)
        return written

    def _zone(self, value: Any) -> ZoneInfo | None:
        if value is None:
            self.bad(
                ("report", "time_zone"),
                "time_zone is missing",
                'Write that of the shop, time_zone = "America/New_York": it decides on which day a sale falls',
            )
            return None
        try:
            if isinstance(value, str) and value and value == value.strip():
                return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
        self.bad(("report", "time_zone"), "time_zone is no time zone", "Write it as America/New_York or Europe/Berlin")
        return None

    def _currency(self, value: Any) -> str:
        code = currency_code(value)
        if code is None:
            self.bad(
                ("report", "currency"),
                "currency is missing" if value is None else "currency is no ISO 4217 code that is in use",
                'Write that of the report, currency = "USD"',
            )
        return code or "USD"

    def _day(self, at: tuple[str, ...], value: Any) -> date | None:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self.bad(at, f"{at[-1]} is no day", "Write it as 2026-09-30")
        return None

    def _period(self, report: Mapping[str, Any], zone: ZoneInfo | None) -> tuple[date | None, date | None]:
        if "days" in report:
            days = report["days"]
            if "first" in report or "last" in report:
                self.bad(("report", "days"), "days stands beside first or last", "Keep one of the two")
            elif isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= LONGEST:
                self.bad(
                    ("report", "days"), "days is no number from 1 on", "Write days = 90 for the 90 days up to yesterday"
                )
            else:
                today = self.today or datetime.now(zone or UTC).date()
                return today - timedelta(days=days), today - timedelta(days=1)
            return None, None
        if "first" not in report or "last" not in report:
            self.bad(
                ("report",),
                "the period is missing",
                "Write first = 2026-09-01 and last = 2026-11-28, or days = 90 for the 90 days up to yesterday",
            )
            return None, None
        first, last = self._day(("report", "first"), report["first"]), self._day(("report", "last"), report["last"])
        if first and last and first > last:
            self.bad(("report", "last"), f"last, {last}, is before first, {first}", "Exchange them")
        elif first and last and (last - first).days >= LONGEST:
            self.bad(("report", "last"), "the period is longer than ten years", "Correct first or last")
        return first, last

    def _rates(self, currency: str) -> dict[str, Decimal]:
        rates = {}
        for code, rate in self._table("rates").items():
            if code not in EXPONENTS:
                self.bad(("rates", code), f"{code} is no ISO 4217 code that is in use", "Write it as EUR")
            elif not _is_number(rate) or not 0 < rate <= HIGHEST_RATE:
                self.bad(
                    ("rates", code),
                    f"the rate of {code} is no number above 0 and up to {HIGHEST_RATE:,}",
                    f"Write what 1 {code} is worth in {currency}",
                )
            elif code == currency and rate != 1:
                self.bad(("rates", code), f"{code} is the report's own currency", "Take its rate out")
            else:
                rates[code] = Decimal(rate)
        return rates

    def _input(self, number: int, held: Mapping[str, Any], rates: Mapping[str, Decimal], currency: str) -> Input:
        from measurement.inputs import IMPORTERS, OPTIONS
        from measurement.inputs.reading import OPTIONS as EVERY

        at = ("input", str(number))
        kind = held.get("kind")
        if not isinstance(kind, str) or kind not in IMPORTERS:
            near = difflib.get_close_matches(str(kind), IMPORTERS, 1)
            what = "kind is missing" if kind is None else f"there is no kind {kind} of input"
            advice = f"Did you mean {near[0]}" if near else f"Kinds are {', '.join(sorted(IMPORTERS))}"
            self.bad((*at, "kind"), what, advice)
        elif kind in OPTIONS:
            self._known(at, held, EVERY | OPTIONS[kind], f"option for {kind}")
        own = held.get("currency")
        if own is not None and (code := currency_code(own)) != currency and code not in rates:
            self.bad(
                (*at, "currency"),
                f"{own} has no rate" if code else f"{own} is no ISO 4217 code that is in use",
                f"Say under [rates] what 1 {code} is worth in {currency}" if code else "Write it as EUR",
            )
        for name in ("columns", "options", "stages", "sources"):
            if not isinstance(held.get(name, {}), dict):
                self.bad(
                    (*at, name), f"{name} is no section", f"Write [input.{name}] below the input, with a line for each"
                )
        options = held.get("options", {})
        for option, channel in options.items() if isinstance(options, dict) else ():
            if channel not in CHANNELS:
                self.bad((*at, "options", option), f"{channel} is no channel", _near(channel))
        if held.get("channel") is not None and held["channel"] not in CHANNELS:
            self.bad((*at, "channel"), f"{held['channel']} is no channel", _near(held["channel"]))
        if held.get("chatgpt", "chatgpt") not in ("chatgpt", "ai_assistant"):
            self.bad((*at, "chatgpt"), "chatgpt is neither chatgpt nor ai_assistant", "Say what a bare ChatGPT means")
        return Input(str(kind), dict(held), self.lines.of(*at) or 1)

    def _test(self, number: int, held: Mapping[str, Any]) -> Test | None:
        at = ("test", str(number))
        before = len(self.problems)
        self._known(at, held, _TEST, "setting of a test")
        name = self._text((*at, "name"), held.get("name"), 'Write name = "Holdout in spring"')
        kind = held.get("kind")
        if kind not in _KINDS_OF_TEST:
            self.bad((*at, "kind"), "kind is neither geo nor on_off", "geo compares markets, on_off compares days")
        ads = held.get("ads", "off")
        if ads not in ("off", "on"):
            self.bad((*at, "ads"), "ads is neither off nor on", "Say what was changed in these markets")
        markets = held.get("markets", [])
        if not isinstance(markets, list) or not all(isinstance(each, str) and each for each in markets):
            self.bad((*at, "markets"), "markets is no list of texts", 'Write markets = ["US-CA", "US-OR"]')
            markets = []
        elif kind == "geo" and not markets:
            self.bad(
                (*at, "markets"), "a geo test names no markets", 'Write those that were changed: markets = ["US-CA"]'
            )
        elif kind == "on_off" and markets:
            self.bad((*at, "markets"), "an on_off test has no markets", 'Take them out, or write kind = "geo"')
        elif len(set(markets)) < len(markets):
            self.bad((*at, "markets"), "a market stands there twice", "Take one out")
        spans = self._spans(at, held)
        if len(self.problems) > before:
            return None
        return Test(name, kind, spans, tuple(markets), ads)  # type: ignore[arg-type]

    def _spans(self, at: tuple[str, ...], held: Mapping[str, Any]) -> tuple[tuple[date, date], ...]:
        if "spans" in held and ("first" in held or "last" in held):
            self.bad((*at, "spans"), "spans stands beside first or last", "Keep one of the two")
            return ()
        given = held.get("spans", [[held.get("first"), held.get("last")]])
        if (
            not isinstance(given, list)
            or not given
            or not all(isinstance(each, list) and len(each) == 2 for each in given)
        ):
            self.bad((*at, "spans"), "spans is no list of first and last days", "Write [[2026-09-01, 2026-09-14]]")
            return ()
        spans = []
        for each in given:
            days = [
                self._day((*at, name) if "spans" not in held else (*at, "spans"), day)
                for name, day in zip(("first", "last"), each, strict=True)
            ]
            if days[0] is None or days[1] is None:
                return ()
            if days[0] > days[1]:
                self.bad((*at, "spans"), f"a span ends before it begins, {days[0]} to {days[1]}", "Exchange the days")
                return ()
            spans.append((days[0], days[1]))
        spans.sort()
        for (_, end), (begin, _) in pairwise(spans):
            if begin <= end:
                self.bad(
                    (*at, "spans"),
                    f"two spans overlap on {begin}",
                    "Days are inclusive: let the next begin a day later",
                )
        return tuple(spans)

    def _channels(self) -> Iterable[tuple[str, str]]:
        for pattern, channel in self._table("channels").items():
            if channel not in CHANNELS or channel == UNKNOWN:
                self.bad(("channels", pattern), f"{channel} is no channel", _near(channel))
            else:
                yield (pattern if "/" in pattern else f"{pattern} / *"), channel


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool) and Decimal(value).is_finite()


def _near(channel: Any) -> str:
    near = difflib.get_close_matches(str(channel), CHANNELS, 1)
    return f"Did you mean {near[0]}" if near else f"Channels are {', '.join(CHANNELS)}"
