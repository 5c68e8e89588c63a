"""Rows of tables between an importer and `inputs.run`: where they come from, whether they fit, what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final

from conversion_relay.money import LARGEST_AMOUNT
from measurement.inputs.cells import Unreadable, day_of, has_email
from measurement.inputs.channels import campaign
from measurement.problems import BadInput
from measurement.settings import Settings
from measurement.tables import TABLES, Column, Table, bucket

NOTE: Final = "(note)"
"""In place of a table's name: the row is `{"note": …}`, a sentence for the person."""
ALIAS: Final = "(alias)"
"""In place of a table's name: the row is `{"alias": "#1001", "order_id": "6184…"}`, two names of one order."""


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


class Located(dict[str, Any]):
    """A row of a table that knows where it comes from."""

    __slots__ = ("line", "where")

    def __init__(self, values: Mapping[str, Any], where: str, line: int) -> None:
        super().__init__(values)
        self.where = where
        self.line = line


def counted(count: int, one: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{count:,} {one if count == 1 else one + 's'}"


def lines(numbers: Sequence[int]) -> str:
    """`line 4`, `lines 4, 9, 12 …`."""
    shown = ", ".join(map(str, numbers[:5])) + (" …" if len(numbers) > 5 else "")
    return f"line {shown}" if len(numbers) == 1 else f"lines {shown}"


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
