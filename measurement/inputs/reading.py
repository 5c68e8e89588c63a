"""The one way in which a file becomes rows: CSV, TSV, JSON lines or Parquet, with every cell checked.

What an importer wants is a list of `Field`. A field knows by which headings it goes (any case, `_` and blanks alike)
and what its cells are. What is wrong is collected, up to 20 problems of a file, and raised as one `BadInput` when the
file is read to its end; so nothing is written of a file that has one.

No text of this module repeats a cell: it names file, line and column, and the cell's shape (`cells.shape`).
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
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from conversion_relay.money import currency_code
from measurement.inputs.cells import (
    REMOVED,
    REMOVED_PHONE,
    Format,
    Unreadable,
    day,
    flag,
    has_email,
    has_phone,
    is_empty,
    minor_units,
    moment,
    number,
    order_id,
    person,
    shape,
    text,
    whole,
)
from measurement.inputs.channels import NONE, campaign
from measurement.inputs.rows import NOTE, BadRows, Located, counted, lines
from measurement.problems import BadInput
from measurement.settings import Input, Settings

Kind = Literal["text", "order", "person", "campaign", "currency", "day", "moment", "count", "money", "flag"]

MOST_PROBLEMS: Final = 20
"""Problems of one file before reading stops."""
PREAMBLE: Final = 25
"""Lines among which the heading is looked for."""
DELIMITERS: Final = (",", ";", "\t", "|")
OPTIONS: Final = frozenset(
    {"kind", "file", "files", "encoding", "delimiter", "columns", "time_zone", "dates", "decimal", "thousands",
     "currency", "sum"}
)  # fmt: skip
"""What every input that is a file may say."""


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


@dataclass(slots=True)
class Row:
    """One row as read: the values by the fields' names. An empty or absent one is None."""

    line: int
    values: Mapping[str, Any]
    cells: Mapping[str, str]
    """Every cell by its heading, as normalised by `plain`, for importers whose columns depend on the file."""
    sheet: Sheet

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def bad(self, reason: str, advice: str) -> None:
        """Report that the row cannot be used."""
        self.sheet.bad(self.line, reason, advice)

    def made(self, **columns: Any) -> Located:
        """A row of a table, made from this one."""
        return Located(columns, self.sheet.label, self.line)


# How an input is written ----------------------------------------------------------------------------------------------


def format_of(entry: Input, settings: Settings, **presets: str) -> Format:
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
    return Format(zone, str(dates), decimal, thousands, currency)


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
    _removed: dict[tuple[str, str], int] = field(init=False, default_factory=dict)
    _totals: list[dict[str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.format = format_of(self.entry, self.settings, **self.presets)
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
        for (name, what), times in self._removed.items():
            self.notes.append(f"{self.label}: {counted(times, 'row')} had {what} as {name}; it is not kept.")
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
            return self._taken_out(name, "an e-mail address", REMOVED)
        if has_phone(value):
            return self._taken_out(name, "a phone number", REMOVED_PHONE)
        return value

    def _taken_out(self, name: str, what: str, instead: str) -> str:
        self._removed[name, what] = self._removed.get((name, what), 0) + 1
        return instead

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
        if lacking and not any(each.strip() for each in heading):
            self.fail(None, "it is empty", "Export it anew for days with data, or take the input out")
        if lacking:
            # Of a file without a heading this is its first row.
            found = [_shown(each) for each in heading if each.strip()][:40]
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
                f"it is not in {'UTF-8' if encoding == 'utf-8-sig' else encoding}{at}",
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


def _shown(heading: str) -> str:
    return REMOVED if has_email(heading) else REMOVED_PHONE if has_phone(heading) else heading.strip()[:40]


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


_MEANING: Final[dict[Kind, str]] = {
    "text": "a text", "order": "an order id", "person": "an id of a person", "campaign": "a campaign",
    "currency": "a currency", "day": "a day", "moment": "a time", "count": "a whole number", "money": "an amount",
    "flag": "yes or no",
}  # fmt: skip
