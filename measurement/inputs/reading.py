"""The one way in which a file becomes rows: CSV, TSV, JSON lines or Parquet, with every cell checked.

What an importer wants is a list of `Field`. A field knows by which headings it goes (any case, `_` and blanks alike)
and what its cells are. What is wrong is collected, up to 20 problems of a file, and raised as one `BadInput` when the
file is read to its end; so nothing is written of a file that has one.

Cells may hold what nobody should see twice. No text of this module repeats one: it names file, line, column, and the
cell's shape, in which every letter is an `a` and every digit a `9`.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from conversion_relay import identity
from conversion_relay.money import EXPONENTS, LARGEST_AMOUNT, currency_code
from measurement.inputs.channels import NONE, campaign
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from measurement.tables import TABLES, Column, Table, bucket

Kind = Literal["text", "order", "person", "campaign", "currency", "day", "moment", "count", "money", "flag"]

MOST_PROBLEMS: Final = 20
"""Problems of one file before reading stops."""
PREAMBLE: Final = 25
"""Lines among which the heading is looked for."""
DELIMITERS: Final = (",", ";", "\t", "|")
NOTE: Final = "(note)"
"""In place of a table's name: the row is `{"note": …}`, a sentence for the person."""
ALIAS: Final = "(alias)"
"""In place of a table's name: the row is `{"alias": "#1001", "order_id": "6184…"}`, two names of one order."""
REMOVED: Final = "(e-mail address)"
"""In place of a text that held one."""
NOON: Final = time(12)

OPTIONS: Final = frozenset(
    {"kind", "file", "files", "encoding", "delimiter", "columns", "time_zone", "dates", "decimal", "thousands",
     "currency", "sum"}
)  # fmt: skip
"""What every input that is a file may say."""

_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)
_EMPTY: Final = frozenset({"", "--", "-", "(not set)", "null", "none", "nan", "n/a"})
_EMAIL: Final = re.compile(r"[^\s@<>,;:\"'()]+@[^\s@<>,;:\"'()]+\.[^\s@<>,;:\"'().]{2,}")
_ID: Final = re.compile(r"[\w.:/=#+~$-]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ISO_DAY: Final = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
_LOCAL_DAY: Final = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", re.ASCII)
_MOMENT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|\d{8}|\d{1,2}([./-])\d{1,2}\2\d{4}),?(?:[T ]+)"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d))?",
    re.ASCII,
)
_EPOCH: Final = {10: Decimal(1000), 13: Decimal(1), 16: Decimal("0.001")}
_TRUE, _FALSE = frozenset({"true", "yes", "y", "1"}), frozenset({"false", "no", "n", "0"})
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)


class Unreadable(ValueError):
    """A cell cannot be used: why, and what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


class BadRows(BadInput):
    """A file with several problems; ``line``, ``reason`` and ``advice`` are the first one's, ``problems`` are all."""

    def __init__(self, problems: Sequence[BadInput], stopped: bool) -> None:
        first = problems[0]
        super().__init__(first.where, first.reason, first.advice, first.line)
        self.problems = tuple(problems)
        lines = _together(problems)
        if stopped:
            lines.append(f"{first.where}: reading stopped after {len(problems)} problems.")
        self.args = ("\n".join(lines),)


def _together(problems: Sequence[BadInput]) -> list[str]:
    """A line for each problem; the same one on several lines of the file is said once."""
    alike: dict[tuple[str, str], list[BadInput]] = {}
    for each in problems:
        alike.setdefault((each.reason, each.advice), []).append(each)
    texts = []
    for first, *others in alike.values():
        text = str(first)
        if others:
            more = ", ".join(str(each.line) for each in others[:5]) + (" …" if len(others) > 5 else "")
            text += f" (The same on line {more})" if len(others) == 1 else f" (The same on lines {more})"
        texts.append(text)
    return texts


@dataclass(frozen=True, slots=True)
class Field:
    """What an importer wants of a row.

    ``name`` is what it calls it, ``spellings`` the headings by which a file may. ``column`` False: the file need not
    have it; ``filled`` False: a cell may be empty. ``zone`` is the time zone of moments that this kind of file always
    has; ``day_will_do`` takes a day in place of a moment, as its noon in the report's time zone.
    """

    name: str
    spellings: tuple[str, ...]
    kind: Kind = "text"
    column: bool = True
    filled: bool = True
    zone: str | None = None
    day_will_do: bool = False


class Located(dict[str, Any]):
    """A row of a table that knows where it comes from."""

    __slots__ = ("line", "where")

    def __init__(self, values: Mapping[str, Any], where: str, line: int) -> None:
        super().__init__(values)
        self.where = where
        self.line = line


@dataclass(slots=True)
class Row:
    """One row as read: the values by the fields' names. An empty or absent one is None."""

    line: int
    values: Mapping[str, Any]
    cells: Mapping[str, str]
    """Every cell by its heading, as normalised by `plain`, for importers whose columns depend on the file."""
    sheet: Sheet
    _is_bad: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def bad(self, reason: str, advice: str) -> None:
        """Report that the row cannot be used."""
        self._is_bad = True
        self.sheet.bad(self.line, reason, advice)

    def made(self, **columns: Any) -> Located:
        """A row of a table, made from this one."""
        return Located(columns, self.sheet.label, self.line)


# How an input is written ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Format:
    """How numbers and times are written in an input, by its options."""

    zone: ZoneInfo | None = None
    dates: str = "iso"
    decimal: str = "."
    thousands: str = ""
    currency: str | None = None

    @classmethod
    def of(cls, entry: Input, settings: Settings, **presets: str) -> Format:
        """As the options say; ``presets`` are what this kind of file always has. Raises BadInput."""
        given = {**presets, **entry.options}
        zone = None
        if "time_zone" in given:
            try:
                zone = ZoneInfo(str(given["time_zone"]))
            except (ZoneInfoNotFoundError, ValueError, OSError):
                _wrong(entry, settings, "time_zone is no time zone", "Write it as Europe/Berlin or UTC")
        dates = given.get("dates", "iso")
        if dates not in ("iso", "day first", "month first"):
            _wrong(entry, settings, "dates is neither iso, day first nor month first", 'Write dates = "day first"')
        decimal, thousands = given.get("decimal", "."), given.get("thousands", "")
        if decimal not in (".", ",") or thousands not in ("", ".", ",", " ", "'") or decimal == thousands:
            _wrong(
                entry,
                settings,
                "decimal and thousands do not tell how numbers are written",
                "decimal is . or a comma, thousands is another of . comma blank and '",
            )
        currency = given.get("currency")
        if currency is not None and (currency := currency_code(currency)) is None:
            _wrong(entry, settings, "currency is no ISO 4217 code", 'Write currency = "USD"')
        return cls(zone, str(dates), decimal, thousands, currency)


def settings_file(settings: Settings) -> str:
    """What messages call the settings."""
    return "measurement.toml" if settings.folder == Path() else str(settings.folder / "measurement.toml")


def _wrong(entry: Input, settings: Settings, reason: str, advice: str) -> NoReturn:
    raise BadInput(settings_file(settings), f"[[input]] {entry.kind}: {reason}", f"{advice}.", entry.line)


def paths(entry: Input, settings: Settings) -> list[tuple[str, Path]]:
    """The files of an input, each with what messages call it. Raises BadInput: there are none."""
    given = entry.options.get("files", entry.options.get("file"))
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(each, str) and each for each in names):
        _wrong(entry, settings, "names no file", 'Write file = "orders.csv", a path from the folder of the settings')
    found: list[tuple[str, Path]] = []
    for name in names:
        if re.search(r"[*?\[]", name):
            pattern = Path(name)
            root = Path(pattern.anchor) if pattern.is_absolute() else settings.folder
            inside = str(pattern.relative_to(pattern.anchor)) if pattern.is_absolute() else name
            matched = sorted(each for each in root.glob(inside) if each.is_file())
            if not matched:
                _wrong(entry, settings, f"no file is called {name}", "Correct the pattern, or take the input out")
            found += [(_label(each, settings.folder), each) for each in matched]
        elif not (path := settings.folder / name).is_file():
            _wrong(entry, settings, f"there is no file {name}", "Correct the name, or take the input out")
        else:
            found.append((name, path))
    return list({path.resolve(): (label, path) for label, path in reversed(found)}.values())[::-1]


def _label(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


# A file as rows -------------------------------------------------------------------------------------------------------


def plain(heading: str) -> str:
    """A heading as it is compared: lower case, blanks and underscores alike."""
    return " ".join(heading.replace("_", " ").replace("\ufeff", "").casefold().split())


@dataclass(slots=True)
class Sheet:
    """One file of an input. Iterating it gives its rows, and raises BadInput at the end when something was wrong."""

    entry: Input
    settings: Settings
    label: str
    path: Path
    fields: Sequence[Field]
    presets: Mapping[str, str] = field(default_factory=dict)
    totals: tuple[str, ...] = ()
    """Fields that are all empty in a row of totals; such rows, and those that say Total, are left out."""
    one_of: tuple[str, ...] = ()
    """Fields of which the file must have one, though none of them alone is needed."""
    sums: bool = False
    """Rows of the same key are added up later, so a line that is there twice has to be dropped here."""
    notes: list[str] = field(default_factory=list)
    problems: list[BadInput] = field(default_factory=list)
    format: Format = field(init=False)
    heading: dict[str, str] = field(init=False, default_factory=dict)
    """The file's headings by `plain`, as they are written."""
    _removed: dict[str, int] = field(init=False, default_factory=dict)
    _totals: list[dict[str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.format = Format.of(self.entry, self.settings, **self.presets)
        own = self.entry.options.get("columns", {})
        names = [each.name for each in self.fields]
        if not isinstance(own, Mapping):
            _wrong(self.entry, self.settings, "columns is no section", "Write [input.columns] below the input")
        if strange := [str(each) for each in own if each not in names]:
            said = f"columns names {', '.join(strange)}"
            _wrong(self.entry, self.settings, said, f"It may name {', '.join(names)}")

    def bad(self, line: int | None, reason: str, advice: str) -> None:
        """Remember a problem; raise all when they are too many."""
        self.problems.append(BadInput(self.label, reason, f"{advice}.", line))
        if len(self.problems) >= MOST_PROBLEMS:
            raise BadRows(self.problems, stopped=True)

    def fail(self, line: int | None, reason: str, advice: str) -> NoReturn:
        """The file as a whole cannot be read."""
        raise BadInput(self.label, reason, f"{advice}.", line)

    def __iter__(self) -> Iterator[Row]:
        seen: dict[bytes, int] = {}
        again: list[int] = []
        count = 0
        columns: dict[str, str] = {}
        for line, cells in self._cells():
            if not count:
                columns = {each.name: heading for each in self.fields if (heading := self._column(each)) is not None}
            count += 1
            if self.totals and self._is_total(cells, columns):
                self._totals.append(cells)
                continue
            if self.sums:
                mark = hashlib.blake2b(
                    "\x1f".join(cells.values()).encode("utf-8", "surrogatepass"), digest_size=16
                ).digest()
                if mark in seen:
                    again.append(line)
                    continue
                seen[mark] = line
            row = self._row(line, cells, columns)
            if row is not None:
                yield row
        if self._totals:
            self.notes.append(f"{self.label}: {counted(len(self._totals), 'row')} of totals left out.")
        if again:
            self.notes.append(
                f"{self.label}: {counted(len(again), 'row')} dropped that repeat an earlier one word for word "
                f"({lines(again)})."
            )
        for name, times in self._removed.items():
            self.notes.append(f"{self.label}: {counted(times, 'row')} had an e-mail address as {name}; it is not kept.")
        if self.problems:
            raise self.problems[0] if len(self.problems) == 1 else BadRows(self.problems, stopped=False)
        if not count:
            self.fail(None, "it has a heading and no rows", "Export it anew for days with data, or take the input out")

    def _row(self, line: int, cells: dict[str, str], columns: Mapping[str, str]) -> Row | None:
        values: dict[str, Any] = {}
        before = len(self.problems)
        for each in self.fields:
            heading = columns.get(each.name)
            cell = "" if heading is None else cells[heading]
            if each.kind == "money" and not is_empty(cell):
                continue  # below: which currency it is stands in another column
            if is_empty(cell) and each.kind not in ("text", "campaign"):
                cell = ""
            if not cell:
                values[each.name] = NONE if each.kind == "campaign" else None
                if each.filled and heading is not None:
                    self.bad(
                        line, f"column {self.heading[heading]} is empty", f"It holds {_MEANING[each.kind]}: fill it"
                    )
                continue
            try:
                values[each.name] = self._value(each, cell)
            except Unreadable as problem:
                self.bad(line, f"column {self.heading[str(heading)]}: {problem.reason}", problem.advice)
        for each in self.fields:
            heading = columns.get(each.name)
            if each.kind == "money" and heading is not None and each.name not in values:
                try:
                    values[each.name] = self.money(cells[heading], self._currency(heading, values.get("currency")))
                except Unreadable as problem:
                    self.bad(line, f"column {self.heading[heading]}: {problem.reason}", problem.advice)
        return None if len(self.problems) > before else Row(line, values, cells, self)

    def total(self, name: str) -> int | None:
        """What the file's only row of totals says of a count; None: there is none, or more than one."""
        heading = next((self._column(each) for each in self.fields if each.name == name), None)
        if len(self._totals) != 1 or heading is None:
            return None
        try:
            return whole(self._totals[0][heading], self.format)
        except Unreadable:
            return None

    def money(self, cell: str, currency: str | None) -> int:
        """A cell as minor units of the report's currency. Raises Unreadable."""
        return minor_units(number(cell, self.format), currency, self.settings)

    def _currency(self, heading: str, own: str | None) -> str | None:
        if own is not None:
            return own
        in_heading = re.search(r"\(([A-Za-z]{3})\)\s*$", self.heading[heading])
        return (currency_code(in_heading[1]) if in_heading else None) or self.format.currency

    def _value(self, each: Field, cell: str) -> Any:
        match each.kind:
            case "text":
                return self._kept(each.name, text(cell))
            case "campaign":
                return campaign(self._kept(each.name, text(cell)))
            case "order":
                return order_id(cell)
            case "person":
                return person(cell)
            case "currency":
                if (code := currency_code(cell)) is None:
                    raise Unreadable(f"{shape(cell)} is no currency", "Write its ISO 4217 code, such as USD")
                return code
            case "day":
                return day(cell, self.format)
            case "moment":
                zone = self.format.zone or (ZoneInfo(each.zone) if each.zone else None)
                return moment(cell, self.format, zone, self.settings.time_zone if each.day_will_do else None)
            case "count":
                return whole(cell, self.format)
            case "flag":
                return flag(cell)
        raise AssertionError(each.kind)

    def _kept(self, name: str, value: str) -> str:
        if has_email(value):
            self._removed[name] = self._removed.get(name, 0) + 1
            return REMOVED
        return value

    def _is_total(self, cells: Mapping[str, str], columns: Mapping[str, str]) -> bool:
        first = next((cell for cell in cells.values() if cell.strip()), "")
        if re.match(r"(?:grand )?totals?\b", first.strip().casefold()):
            return True
        if any(cell.strip().casefold() == "grand total" for cell in cells.values()):
            return True
        return all(is_empty(cells[columns[name]]) for name in self.totals if name in columns)

    # The heading

    def _wanted(self, each: Field) -> tuple[str, ...]:
        own = self.entry.options.get("columns", {})
        if each.name in own:
            return (plain(str(own[each.name])),)
        return tuple(plain(spelling) for spelling in (*each.spellings, each.name))

    def _column(self, each: Field) -> str | None:
        return next((spelling for spelling in self._wanted(each) if spelling in self.heading), None)

    def _fitting(self, heading: Iterable[str]) -> int:
        there = {plain(each) for each in heading}
        return sum(any(spelling in there for spelling in self._wanted(each)) for each in self.fields)

    def _lacking(self, heading: Iterable[str]) -> list[Field]:
        there = {plain(each) for each in heading}
        own = self.entry.options.get("columns", {})
        return [
            each
            for each in self.fields
            if (each.column or each.name in own) and not there.intersection(self._wanted(each))
        ]

    def _take_heading(self, heading: Sequence[str], line: int | None) -> dict[str, int]:
        """Remember the headings; at which place each stands. Raises BadInput: one that is needed is not there."""
        lacking = self._lacking(heading)
        if lacking:
            found = [REMOVED if has_email(each) else each.strip()[:40] for each in heading if each.strip()][:40]
            said = "; ".join(self._expected(each, heading) for each in lacking)
            self.fail(
                line,
                f"{said}. There are: {', '.join(found) or 'none'}",
                f"Export it with {'that column' if len(lacking) == 1 else 'those columns'}, or say in "
                f'[input.columns] which it is: {lacking[0].name} = "its heading"',
            )
        needed = {name for each in self.fields for name in self._wanted(each)}
        places: dict[str, int] = {}
        for at, each in enumerate(heading):
            name = plain(each) or f"({at})"
            if name in places and name in needed:
                self.fail(line, f"two columns are called {each.strip()[:40]}", "Take one of them out")
            if name not in places:
                places[name] = at
                self.heading[name] = each.strip()
        if self.one_of and not any(self._column(each) for each in self.fields if each.name in self.one_of):
            said = " or ".join(
                f"{each.name} ({', '.join(each.spellings[:2])})" for each in self.fields if each.name in self.one_of
            )
            self.fail(
                line, f"there is no column for {said}", "Export it with one of them, or name it in [input.columns]"
            )
        return places

    def _expected(self, each: Field, heading: Sequence[str]) -> str:
        wanted = self._wanted(each)
        near = difflib.get_close_matches(wanted[0], [plain(one) for one in heading if one.strip()], 1, 0.75)
        names = list(dict.fromkeys((*each.spellings, each.name)))[:5] if len(wanted) > 1 else [wanted[0]]
        return f"there is no column for {each.name} (it may be called {', '.join(names)})" + (
            f", but one called {near[0]}" if near else ""
        )

    # The cells

    def _cells(self) -> Iterator[tuple[int, dict[str, str]]]:
        suffix = self.path.suffix.lower()
        if suffix == ".parquet":
            yield from self._parquet()
        elif suffix in (".jsonl", ".ndjson", ".json"):
            yield from self._json_lines()
        elif suffix in (".xlsx", ".xls", ".zip", ".gz"):
            self.fail(None, f"{suffix[1:]} is not read", "Save it as CSV UTF-8 (comma delimited)")
        else:
            yield from self._csv()

    def _csv(self) -> Iterator[tuple[int, dict[str, str]]]:
        encoding = self._encoding()
        try:
            with self.path.open(encoding=encoding, newline="") as file:
                delimiter, skipped = self._layout([line for line, _ in zip(file, range(PREAMBLE * 4), strict=False)])
                file.seek(0)
                yield from self._records(csv.reader(file, delimiter=delimiter, strict=True), skipped)
        except csv.Error as problem:
            self.fail(None, f"it is no CSV ({problem})", "Look for a quote that does not end, or export it anew")
        except UnicodeError as problem:
            at = f" from byte {problem.start} of a block on" if isinstance(problem, UnicodeDecodeError) else ""
            self.fail(
                None,
                f"it is not in {encoding}{at}",
                'Save it as CSV UTF-8, or say which encoding it has: encoding = "cp1252"',
            )
        except OSError as problem:
            self.fail(None, f"it cannot be read ({problem.strerror})", "Look at its rights")

    def _records(self, reader: Any, skipped: int) -> Iterator[tuple[int, dict[str, str]]]:
        places: dict[str, int] | None = None
        previous = width = 0
        for record in reader:
            line, previous = previous + 1, reader.line_num
            if places is None:
                if line > skipped:
                    places, width = self._take_heading(record, line), len(record)
                continue
            if not any(cell.strip() for cell in record) or (len(record) == 1 and record[0].lstrip().startswith("#")):
                continue
            cells = {name: record[at].strip() if at < len(record) else "" for name, at in places.items()}
            beyond = " ".join(record[width:]).strip()
            if self.totals and beyond.casefold() == "grand total":  # GA4 writes it behind the last column
                cells["(beyond)"] = beyond
            elif beyond:
                reason = f"the row has {len(record)} cells, the heading {width}"
                self.bad(line, reason, "Look for a delimiter in a text without quotes")
                continue
            yield line, cells
        if places is None:
            self._take_heading([], None)

    def _layout(self, head: Sequence[str]) -> tuple[str, int]:
        """The delimiter, and how many lines stand before the heading."""
        given = self.entry.options.get("delimiter", self.presets.get("delimiter"))
        if given is not None and (not isinstance(given, str) or len(given) != 1):
            _wrong(self.entry, self.settings, "delimiter is not one character", 'Write delimiter = ";"')
        best: tuple[int, int, str, int] | None = None
        for delimiter in (given,) if given else DELIMITERS:
            reader = csv.reader(head, delimiter=delimiter)
            before = records = 0
            try:
                for record in reader:
                    start, before = before, reader.line_num
                    if not any(cell.strip() for cell in record) or record[0].lstrip().startswith("# "):
                        continue
                    records += 1
                    if records > PREAMBLE:
                        break
                    fits = (int(not self._lacking(record)), self._fitting(record))
                    if best is None or fits > best[:2]:
                        best = (*fits, delimiter, start)
            except csv.Error:
                continue
        return (best[2], best[3]) if best else (",", 0)

    def _encoding(self) -> str:
        given = self.entry.options.get("encoding")
        if given is not None:
            try:
                return codecs.lookup(str(given)).name
            except LookupError:
                _wrong(self.entry, self.settings, "encoding is none that is known", "utf-8, utf-16 and cp1252 are")
        try:
            with self.path.open("rb") as file:
                head = file.read(4096)
        except OSError as problem:
            self.fail(None, f"it cannot be read ({problem.strerror})", "Look at its rights")
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if head[1::2].count(0) > len(head) // 4 or head[::2].count(0) > len(head) // 4:
            self.fail(None, "it looks like UTF-16 without its mark", 'Say so: encoding = "utf-16-le"')
        if b"\x00" in head:
            self.fail(None, "it is no text", "Save it as CSV UTF-8 (comma delimited)")
        return "utf-8-sig"

    def _json_lines(self) -> Iterator[tuple[int, dict[str, str]]]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="\n") as file:
                names: list[str] = []
                for line, written in enumerate(file, 1):
                    if not written.strip():
                        continue
                    try:
                        held = json.loads(written, parse_float=Decimal)
                    except (ValueError, RecursionError):
                        self.fail(line, "it is no JSON", "Write one object a line")
                    if not isinstance(held, dict):
                        self.fail(line, "it is no JSON object", "Write one object a line")
                    flat = {_whole(name): _written(value) for name, value in held.items()}
                    if not names:
                        self._take_heading(list(flat), line)
                        names = list(flat)
                    cells = {plain(name): cell for name, cell in flat.items()}
                    yield line, {name: cells.get(name, "") for name in self.heading}
                if not names:
                    self._take_heading([], None)
        except UnicodeError:
            self.fail(None, "it is not in utf-8", "Write JSON in UTF-8")
        except OSError as problem:
            self.fail(None, f"it cannot be read ({problem.strerror})", "Look at its rights")

    def _parquet(self) -> Iterator[tuple[int, dict[str, str]]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path)
            names = list(file.schema_arrow.names)
            self._take_heading(names, None)
            line = 0
            for batch in file.iter_batches(batch_size=20_000):
                for held in batch.to_pylist():
                    line += 1
                    yield line, {plain(name): _written(held[name]) for name in names}
        except (pa.ArrowException, OSError, ValueError) as problem:
            if isinstance(problem, BadInput):
                raise
            self.fail(None, f"it is no Parquet file that can be read ({type(problem).__name__})", "Export it anew")


def _whole(name: str) -> str:
    """A name without half characters, which JSON may hold and no message can."""
    return name.encode("utf-8", "replace").decode()


def _written(value: Any) -> str:
    """A value of JSON or Parquet as a CSV would have it."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)), "f") if abs(value) < 1e30 else str(value)
        case Decimal():
            return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 60 else str(value)
        case int():
            return str(value) if value.bit_length() < 256 else "too large"
        case str():
            return value.strip()
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()
    return json.dumps(value, default=str)


def sheets(
    entry: Input,
    settings: Settings,
    fields: Sequence[Field],
    *,
    presets: Mapping[str, str] | None = None,
    totals: tuple[str, ...] = (),
    one_of: tuple[str, ...] = (),
    sums: bool = False,
) -> Iterator[Sheet]:
    """Every file of an input."""
    for label, path in paths(entry, settings):
        yield Sheet(entry, settings, label, path, fields, presets or {}, totals, one_of, sums)


def noted(sheet: Sheet) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What reading the file has to say, as rows for `inputs.run`."""
    for note in sheet.notes:
        yield NOTE, {"note": note}


# Cells ----------------------------------------------------------------------------------------------------------------

_MEANING: Final[dict[Kind, str]] = {
    "text": "a text", "order": "an order id", "person": "an id of a person", "campaign": "a campaign",
    "currency": "a currency", "day": "a day", "moment": "a time", "count": "a whole number", "money": "an amount",
    "flag": "yes or no",
}  # fmt: skip


def shape(cell: str) -> str:
    """What a cell looks like, without what it says: `99.99.9999`, `Aaaa Aaaaa`."""
    drawn = "".join(
        "9" if one.isdigit() else ("A" if one.isupper() else "a") if one.isalpha() else one for one in cell[:24]
    )
    drawn = _CONTROL.sub("?", drawn.encode("utf-8", "replace").decode())
    return f"»{drawn}{'…' if len(cell) > 24 else ''}«"


def is_empty(cell: str) -> bool:
    """Whether a cell holds nothing, in one of the ways in which exports write that."""
    return len(cell) < 12 and cell.strip().casefold() in _EMPTY


def counted(count: int, one: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{count:,} {one if count == 1 else one + 's'}"


def lines(numbers: Sequence[int]) -> str:
    """`line 4`, `lines 4, 9, 12 …`."""
    shown = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
    return f"line {shown}" if len(numbers) == 1 else f"lines {shown}"


def text(cell: str) -> str:
    """A text on one line, at most 500 characters. Raises Unreadable: it is no text."""
    if cell.isascii() and cell.isprintable() and "  " not in cell:
        return cell.strip()[:500]
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise Unreadable("it holds half a character", "Export the file anew") from None
    return " ".join(_CONTROL.sub(" ", cell).split())[:500]


def has_email(cell: str) -> bool:
    """Whether a text holds an e-mail address."""
    return "@" in cell and _EMAIL.search(cell) is not None


def order_id(cell: str) -> str:
    """An order's id. Raises Unreadable: it holds an e-mail address or is none."""
    value = text(cell).removeprefix("'")
    if has_email(value):
        raise Unreadable("it holds an e-mail address", "Name another column: an order id is no personal datum")
    if len(value) > 200:
        raise Unreadable("it is too long for an order id", "Name the column of the order ids")
    return value


def person(cell: str) -> str:
    """Who: an id as it stands. An e-mail address or a phone number with its country becomes its digest, as the ledger
    and OpenAI have it; so does all else that is no id, such as a name."""
    value = text(cell)
    if "@" in value and (digest := identity.email(value)) is not None:
        return digest
    if value.startswith("+") and (digest := identity.phone(value)) is not None:
        return digest
    if _ID.fullmatch(value) and "@" not in value:
        return value
    return hashlib.sha256(value.casefold().encode()).hexdigest()


def day(cell: str, written: Format) -> date:
    """A day: 2026-09-30, 20260930, or as `dates` says. Raises Unreadable."""
    found = _ISO_DAY.fullmatch(cell)
    try:
        if found and (cell.isdigit() or cell.count("-") == 2):
            return _within(date(int(found[1]), int(found[2]), int(found[3])), cell)
        if local := _LOCAL_DAY.fullmatch(cell):
            if written.dates == "iso":
                raise Unreadable(
                    f"{shape(cell)} is a day with day or month first",
                    'Say which: dates = "day first" or dates = "month first"',
                )
            first, second = int(local[1]), int(local[3])
            month, of_month = (second, first) if written.dates == "day first" else (first, second)
            return _within(date(int(local[4]), month, of_month), cell)
    except ValueError as problem:
        if isinstance(problem, Unreadable):
            raise
        advice = "Correct it" if found else f'Correct it, or the input\'s dates = "{written.dates}"'
        raise Unreadable(f"{shape(cell)} is no day of the calendar", advice) from None
    raise Unreadable(f"{shape(cell)} is no day", "Write it as 2026-09-30 or 20260930")


def _within(value: date, cell: str) -> date:
    if not _EARLIEST <= value < _LATEST:
        raise Unreadable(f"{shape(cell)} is not between 2000 and 2099", "Correct it")
    return value


def moment(cell: str, written: Format, zone: ZoneInfo | None, noon_in: ZoneInfo | None = None) -> int:
    """A time as Unix milliseconds.

    It needs its own offset, or ``zone``. Of a local time that a clock shows twice in autumn the earlier counts; one
    that it never shows in spring is refused. With ``noon_in`` a day will do. Digits alone are seconds, milliseconds or
    microseconds since 1970, by their number. Raises Unreadable.
    """
    if cell.isascii() and cell.isdigit() and len(cell) in _EPOCH:
        return _between(int(int(cell) * _EPOCH[len(cell)]), cell)
    found = _MOMENT.fullmatch(cell)
    if found is None:
        if noon_in is not None:
            return milliseconds(datetime.combine(day(cell, written), NOON, noon_in))
        if _ISO_DAY.fullmatch(cell) or _LOCAL_DAY.fullmatch(cell):
            raise Unreadable(f"{shape(cell)} is a day without a time", "Export it with the time")
        raise Unreadable(f"{shape(cell)} is no time", "Write it as 2026-09-30T14:05:00Z")
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            raise Unreadable(f"{shape(cell)} is no time of a day", "Correct it")
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    try:
        of_day = time(
            hour, int(found["minute"]), int(found["second"] or 0), int((found["part"] or "0").ljust(6, "0")[:6])
        )
    except ValueError:
        raise Unreadable(f"{shape(cell)} is no time of a day", "Correct it") from None
    local = datetime.combine(day(found["day"], written), of_day)
    if found["zone"]:
        return _between(milliseconds(local.replace(tzinfo=UTC)) - _offset(found["zone"], cell), cell)
    if zone is None:
        raise Unreadable(
            "its time zone is missing", 'Export it with one, or say which it is: time_zone = "America/New_York"'
        )
    placed = local.replace(tzinfo=zone)
    if placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise Unreadable(
            f"no clock in {zone.key} ever showed this time, for it was put forward",
            "Is that the time zone of this file? Correct time_zone",
        )
    return _between(milliseconds(placed), cell)


def _offset(zone: str, cell: str) -> int:
    if zone in ("Z", "UTC", "GMT"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 15 or minutes > 59:
        raise Unreadable(f"{shape(cell)} has no offset that is in use", "Correct it")
    return (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * 60_000


def milliseconds(at: datetime) -> int:
    """Unix milliseconds of a time with its zone."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def _between(at_ms: int, cell: str) -> int:
    if not 946_684_800_000 <= at_ms < 4_102_444_800_000:
        raise Unreadable(f"{shape(cell)} is not between 2000 and 2099", "Correct it")
    return at_ms


def day_of(at_ms: int, zone: ZoneInfo) -> date:
    """The day of a moment in a time zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(zone).date()


def number(cell: str, written: Format) -> Decimal:
    """A number, exactly. Raises Unreadable: it is none, or is written in a way that is not declared."""
    plain_digits = cell
    if written.thousands:
        mark = re.escape(written.thousands)
        point = re.escape(written.decimal)
        if written.thousands in cell and not re.fullmatch(rf"-?\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?", cell):
            raise Unreadable(f"{shape(cell)} is no number with {written.thousands!r} between thousands", "Correct it")
        plain_digits = cell.replace(written.thousands, "")
    if written.decimal == ",":
        if "." in plain_digits:
            raise Unreadable(
                f"{shape(cell)} has a point, though decimal is a comma", 'Say thousands = "." if that is what it is'
            )
        plain_digits = plain_digits.replace(",", ".")
    if not re.fullmatch(r"-?(?:\d{1,24}(?:\.\d{0,24})?|\.\d{1,24})", plain_digits, re.ASCII):
        advice = "Write digits alone, with a point before decimals"
        if "," in plain_digits:
            advice = 'Say what the comma is: decimal = "," or thousands = ","'
        raise Unreadable(f"{shape(cell)} is no number", advice)
    try:
        return Decimal(plain_digits)
    except InvalidOperation:
        raise Unreadable(f"{shape(cell)} is no number", "Write digits alone") from None


def whole(cell: str, written: Format) -> int:
    """A whole number from 0 on. Raises Unreadable."""
    value = number(cell, written)
    if value < 0:
        raise Unreadable(f"{shape(cell)} is below 0", "Correct it")
    if value != value.to_integral_value():
        raise Unreadable(f"{shape(cell)} is no whole number", "A count has no fraction: is this the right column?")
    if value > LARGEST_AMOUNT:
        raise Unreadable(f"{shape(cell)} is too large", "Correct it")
    return int(value)


def flag(cell: str) -> bool:
    """Yes or no. Raises Unreadable."""
    said = cell.casefold()
    if said in _TRUE or said in _FALSE:
        return said in _TRUE
    raise Unreadable(f"{shape(cell)} is neither yes nor no", "Write true or false")


def minor_units(amount: Decimal, currency: str | None, settings: Settings) -> int:
    """An amount as whole minor units of the report's currency, half to even. Raises Unreadable: there is no rate."""
    if currency is None:
        raise Unreadable(
            "its currency is missing", f'Add a column currency, or say which it is: currency = "{settings.currency}"'
        )
    rate = Decimal(1) if currency == settings.currency else settings.rates.get(currency)
    if rate is None:
        raise Unreadable(
            f"it is in {currency}, which has no rate",
            f"Say under [rates] what 1 {currency} is worth in {settings.currency}: {currency} = 1.08",
        )
    if amount < 0:
        raise Unreadable("the amount is below 0", "Take refunds and credits out of the file")
    places = EXPONENTS[settings.currency]
    units = _EXACT.multiply(amount, rate).scaleb(places, context=_EXACT).quantize(Decimal(1), context=_EXACT)
    if units > LARGEST_AMOUNT:
        raise Unreadable("the amount is too large", "Correct it")
    return int(units)


# Rows of tables -------------------------------------------------------------------------------------------------------


@cache
def _checks(table: str) -> tuple[tuple[Column, type | None, frozenset[str], bool], ...]:
    """For each column: its Python type (None: a whole number), its choices, whether it may be an empty text."""
    kinds: dict[str, type] = {"text": str, "day": date, "flag": bool}
    return tuple(
        (each, kinds.get(each.type), frozenset(each.choices), not (each.choices or each.name in TABLES[table].key))
        for each in TABLES[table].columns
    )


def completed(table: Table, row: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """A row with all its columns: day, campaign and bucket are filled in where they follow from others.

    Raises:
        Unreadable: a column is missing, or holds what it may not.
    """
    given = dict(row)
    checks = _checks(table.name)
    done: dict[str, Any] = {}
    for column, kind, choices, may_be_blank in checks:
        name = column.name
        value = given.pop(name, None)
        if name == "campaign":
            value = campaign(value)
        elif value is None and name == "day" and isinstance(at_ms := done.get("at_ms"), int):
            value = day_of(at_ms, settings.time_zone)
        elif value is None and name == "bucket":
            value = bucket(str(done.get("person") or done.get("conversion")))
        done[name] = value
        if value is None:
            if column.required:
                raise Unreadable(f"{name} is empty", f"It says {column.about}: fill it")
        elif kind is None:
            if type(value) is not int or not 0 <= value <= LARGEST_AMOUNT:
                raise _unfit(column)
        elif type(value) is not kind or (value == "" and not may_be_blank):
            raise _unfit(column)
        elif choices and value not in choices:
            raise Unreadable(f"{name} is none of {', '.join(column.choices)}", f"It says {column.about}")
        elif kind is str and has_email(str(value)):
            raise Unreadable(f"{name} holds an e-mail address", "No table does: take it out")
    if given:
        raise Unreadable(f"{table.name} has no column {', '.join(sorted(given))}", "This is a mistake of the importer")
    return done


def _unfit(column: Column) -> Unreadable:
    return Unreadable(f"{column.name} is no {column.type} that can be used", f"It says {column.about}")


__all__ = [
    "ALIAS", "NOTE", "OPTIONS", "TABLES", "BadRows", "Field", "Format", "Located", "Row", "Sheet", "Unreadable",
]  # fmt: skip
