"""CSV files of addresses, read and written row by row, whatever their length."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

DELIMITERS: Final = (",", ";", "\t", "|")
COLUMNS: Final = ("url", "final url", "final_url", "landing page", "landing_page", "destination url", "link", "address")
"""Headings that are taken for the column of addresses, if only one is there."""
LARGEST_FIELD: Final = 1_000_000


class BadTable(ValueError):
    """A file that cannot be read or written; the text says where and what to do."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An address with its place: the line on which its row ends; ``text`` is None where the row has no such field."""

    line: int
    row: list[str]
    text: str | None


@dataclass(slots=True)
class Table:
    """An open file of addresses. Rows come from ``cells``, once."""

    name: str
    heading: list[str]
    column: str
    delimiter: str
    index: int
    _rows: Iterator[list[str]]
    _line: Callable[[], int]

    def cells(self) -> Iterator[Cell]:
        """Every row that is not empty.

        Raises:
            BadTable: what follows is no CSV, or not in the encoding.
        """
        while True:
            try:
                row = next(self._rows, None)
            except csv.Error as problem:
                raise BadTable(f"{self.name}:{self._line()}: is no CSV: {problem}") from None
            except UnicodeDecodeError as problem:
                raise BadTable(_wrong_encoding(self.name, problem)) from None
            if row is None:
                return
            if any(row):
                yield Cell(self._line(), row, row[self.index] if self.index < len(row) else None)


@contextmanager
def opened(path: Path, *, column: str | None, delimiter: str | None, encoding: str) -> Iterator[Table]:
    """Open a file and find its column of addresses.

    Raises:
        BadTable: it cannot be read, or has no such column.
    """
    csv.field_size_limit(LARGEST_FIELD)
    try:
        file = path.open(newline="", encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except OSError as problem:
        raise BadTable(f"{path} cannot be read ({problem.strerror})") from None
    except LookupError:
        raise BadTable(f"--encoding {encoding} is none that is known: utf-8, cp1252 and utf-16 are") from None
    with file:
        yield _table(path, file, column, delimiter)


def _table(path: Path, file: IO[str], column: str | None, delimiter: str | None) -> Table:
    name = str(path)
    try:
        first = file.readline()
        chosen = delimiter or max(DELIMITERS, key=first.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=chosen, strict=True)
        heading = next(reader, [])
    except csv.Error as problem:
        raise BadTable(f"{name}:1: is no CSV: {problem}") from None
    except UnicodeError as problem:
        raise BadTable(_wrong_encoding(name, problem)) from None
    if not any(heading):
        raise BadTable(f"{name}:1: has no heading: the first line names the columns")
    index = _column(name, heading, column)
    return Table(name, heading, heading[index], chosen, index, reader, lambda: reader.line_num)


def _column(name: str, heading: Sequence[str], wanted: str | None) -> int:
    plain = [each.strip().lower() for each in heading]
    there = ", ".join(each.strip()[:40] for each in heading[:20])
    if wanted is not None:
        found = [index for index, each in enumerate(plain) if each == wanted.strip().lower()]
        if not found:
            raise BadTable(f"{name}:1: has no column {wanted}. It has: {there}")
    else:
        found = [index for index, each in enumerate(plain) if each in COLUMNS]
        if not found:
            raise BadTable(f"{name}:1: which column has the addresses? Name it with --column. There are: {there}")
    if len(found) > 1:
        raise BadTable(f"{name}:1: more than one column could be meant: name one with --column. There are: {there}")
    return found[0]


def _wrong_encoding(name: str, problem: UnicodeError) -> str:
    at = f" (byte {problem.start})" if isinstance(problem, UnicodeDecodeError) else ""
    return f"{name}: is in another encoding{at}: save it as CSV UTF-8, or name it with --encoding cp1252 or utf-16"


@contextmanager
def rewritten(path: Path, table: Table) -> Iterator[Callable[[Cell, str | None], None]]:
    """A corrected copy, there whole or not at all. What is yielded writes a row, with another address if one is given.

    Raises:
        BadTable: it cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as problem:
        raise BadTable(f"{path} cannot be written ({problem.strerror})") from None
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=table.delimiter, lineterminator="\n")
            writer.writerow(table.heading)

            def write(cell: Cell, text: str | None) -> None:
                row = list(cell.row)
                if text is not None:
                    row[table.index] = text
                writer.writerow(row)

            yield write
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
