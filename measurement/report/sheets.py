"""A table of the report: shown on the page, written as CSV and into the JSON, from the same rows.

CSV as RFC 4180 has it, in UTF-8. Cells of text that a spreadsheet would take for a formula get an apostrophe in front
(OWASP: CSV injection).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from measurement.estimate import Estimate, Kind

Form = Literal["text", "number", "share", "money", "times", "probability", "day"]
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What begins a formula in one spreadsheet or another."""
MOST_ROWS: Final = 60
"""Of a table on the page; the CSV has them all."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, its name in files, how its values read. A value is text, a number, a day, an `Estimate`
    or None (the data does not say). ``kind``: what its plain numbers are."""

    title: str
    name: str
    form: Form = "text"
    kind: Kind | None = None
    estimate: bool = False
    """Whether it holds estimates: in files it takes five columns (value, low, high, kind, level)."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table. ``name`` is its file's; ``shown``: rows on the page, None for all that fit."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: int = MOST_ROWS
    empty: str = "There is no data for this table."


def heading(sheet: Sheet) -> list[str]:
    """The names of its columns in files."""
    return [name for column in sheet.columns for name in _names(column)]


def flat(sheet: Sheet) -> Iterator[list[Any]]:
    """Its rows as files have them."""
    for row in sheet.rows:
        yield [each for column, value in zip(sheet.columns, row, strict=True) for each in _values(column, value)]


def as_object(sheet: Sheet) -> dict[str, Any]:
    """The sheet for machines."""
    names = heading(sheet)
    return {
        "caption": sheet.caption,
        "money": "minor units" if any(column.form == "money" for column in sheet.columns) else None,
        "rows": [
            {
                name: value.isoformat() if isinstance(value, date) else value
                for name, value in zip(names, row, strict=True)
            }
            for row in flat(sheet)
        ],
    }


def _names(column: Column) -> list[str]:
    if not column.estimate:
        return [column.name]
    return [column.name, *(f"{column.name}_{each}" for each in ("low", "high", "kind", "level"))]


def _values(column: Column, value: Any) -> list[Any]:
    if not column.estimate:
        return [value]
    if not isinstance(value, Estimate):
        return [value, None, None, None, None]
    return [value.value, value.low, value.high, value.kind, None if value.low is None else value.level]


def as_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV: RFC 4180 (CRLF, quotes doubled), formulas disarmed."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([cell(value) for value in row] for row in rows)
    return held.getvalue()


def cell(value: Any) -> str:
    """A value as a CSV cell. Only text can be a formula; a negative number is a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) or text.startswith(FORMULA) else text
