"""Files, AWS and APIs become the tables of a workspace: every input of the settings, checked, put together, written.

An importer yields rows as ``(table, row)``. Two names stand for no table: `rows.NOTE`, ``{"note": sentence}``, and
`rows.ALIAS`, ``{"alias": "#1001", "order_id": "6184…"}``, by which other inputs may call an order.

Rows of several inputs for one table are put together so:

=====================================  ==============================================================================
ads, attributed, deliveries,           rows of one file with the same key are added up: exports are split finer
sales, sessions                        (by ad, device, source). The same key in two files: the same numbers count
                                       once, others are an error, unless the second says ``sum = true``
touches, purchases, crm                the earliest row of a key counts: a page is loaded twice, a stage entered twice
conversions                            the row of the input that stands last counts: a later export knows more
all others                             the same row counts once; rows that contradict each other are an error
=====================================  ==============================================================================

How many rows were dropped so is said in a note.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from measurement.inputs import crm, deliveries, ga4, ledger, openai, orders, sales, shop, spend, survey_file, touches
from measurement.inputs.cells import Unreadable
from measurement.inputs.reading import settings_file
from measurement.inputs.rows import ALIAS, NOTE, BadRows, Located, completed, counted, lines
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from measurement.tables import TABLES, Table

Importer = Callable[[Input, Settings], Iterable[tuple[str, Mapping[str, Any]]]]

_MODULES: Final = (ledger, deliveries, openai, shop, ga4, crm, survey_file, spend, touches, orders, sales)
IMPORTERS: Final[Mapping[str, Importer]] = {
    kind: importer for module in _MODULES for kind, importer in module.IMPORTERS.items()
}
"""Every kind of input by its name in the settings."""
OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    kind: names for module in _MODULES for kind, names in getattr(module, "OPTIONS", {}).items()
}
"""What an input of a kind may say besides `reading.OPTIONS`. A kind that is not here checks its options itself."""

SUMMED: Final = frozenset({"ads", "attributed", "deliveries", "sales", "sessions"})
EARLIEST: Final = frozenset({"touches", "purchases", "crm"})
LAST: Final = frozenset({"conversions"})
EARLIER: Final = frozenset({"touches", "sales"})
"""Used with what they have before the period too: touches lie before their sale, tests have their own days."""
CHUNK: Final = 20_000
"""Rows that are held in Python at a time."""
STEP: Final = 500_000
"""Rows between two words about how far it is."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many rows each table has, and what a person should know about them."""

    rows: Mapping[str, int]
    notes: tuple[str, ...] = ()


def run(
    settings: Settings, workspace: Path, *, progress: Callable[[str], None] | None = None, memory: str = "2GB"
) -> Imported:
    """Read every input and write `<workspace>/<table>.parquet`; tables without rows have no file.

    Nothing is written, and nothing of an earlier run is touched, when an input cannot be used. ``memory`` is DuckDB's
    limit; beyond it, it uses the disk.

    Raises:
        BadInput: an input cannot be used, or two contradict each other.
    """
    import duckdb

    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise BadInput(str(workspace), f"cannot be written ({problem.strerror})", "Name another folder.") from None
    scratch = workspace / ".inputs.duckdb"
    _clear(workspace)
    say = progress or (lambda _: None)
    try:
        with duckdb.connect(str(scratch)) as connection:
            connection.execute(f"SET memory_limit = '{memory}'")
            gathered = _Gathered(connection, settings)
            for entry in settings.inputs:
                gathered.read(entry, say)
            return gathered.written(workspace, say)
    finally:
        _clear(workspace)


def _clear(workspace: Path) -> None:
    """Take away what DuckDB writes beside, also what a run that was ended has left."""
    for left in workspace.glob(".inputs.duckdb*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _columns(table: Table) -> list[str]:
    return [each.name for each in table.columns]


@dataclass
class _Gathered:
    """Rows of all inputs in DuckDB, each with its set (what is added up among itself), its file and its line."""

    connection: Any
    settings: Settings
    notes: list[str] = field(default_factory=list)
    pending: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    files: dict[tuple[str, int], int] = field(default_factory=dict)
    sets: dict[str, int] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)

    def read(self, entry: Input, say: Callable[[str], None]) -> None:
        """Everything that one input has."""
        importer = IMPORTERS.get(entry.kind)
        if importer is None:
            raise BadInput(
                settings_file(self.settings),
                f"[[input]] there is no kind {entry.kind}",
                f"Kinds are {', '.join(sorted(IMPORTERS))}.",
                entry.line,
            )
        named = entry.options.get("file") or entry.options.get("files") or ""
        say(f"{entry.kind} {named}".strip())
        rows = 0
        problems: list[BadInput] = []
        for name, row in importer(entry, self.settings):
            if name == NOTE:
                self.notes.append(str(row["note"]))
            elif name == ALIAS:
                self._alias(str(row["alias"]), str(row["order_id"]))
            else:
                rows += 1
                if rows % STEP == 0:
                    say(f"{entry.kind} {named}: {rows:,} rows …")
                self._add(entry, name, row, problems)
        if problems:
            raise problems[0] if len(problems) == 1 else BadRows(problems, stopped=False)
        if not rows:
            self.notes.append(f"{entry.kind} {named}: no rows.".replace(" :", ":"))

    def _alias(self, alias: str, order_id: str) -> None:
        for each in (alias, alias.removeprefix("#")):
            if self.aliases.setdefault(each, order_id) != order_id:
                self.doubtful.add(each)

    def _add(self, entry: Input, name: str, row: Mapping[str, Any], problems: list[BadInput]) -> None:
        where = row.where if isinstance(row, Located) else entry.kind
        line = row.line if isinstance(row, Located) else 0
        try:
            if name not in TABLES:
                raise Unreadable(f"there is no table {name}", "This is a mistake of the importer")
            done = completed(TABLES[name], row, self.settings)
        except Unreadable as problem:
            problems.append(BadInput(where, problem.reason, f"{problem.advice}.", line or None))
            if len(problems) >= 20:
                raise BadRows(problems, stopped=True) from None
            return
        mark = self.files.setdefault((where, entry.line), len(self.files))
        adds = entry.options.get("sum") is True and name in SUMMED
        done["_set"] = self.sets.setdefault(name, mark) if adds else mark
        self.sets.setdefault(name, mark)
        done["_file"], done["_line"] = mark, line
        held = self.pending.setdefault(name, [])
        held.append(done)
        if len(held) >= CHUNK:
            self._flush(name)

    def _flush(self, name: str) -> None:
        import pyarrow as pa

        from measurement.engine import arrow_schema

        extra = [pa.field("_set", pa.int64()), pa.field("_file", pa.int64()), pa.field("_line", pa.int64())]
        chunk = pa.Table.from_pylist(self.pending.pop(name), schema=pa.schema([*arrow_schema(name), *extra]))
        self.connection.register("chunk", chunk)
        if name in self.tables:
            self.connection.execute(f"INSERT INTO raw_{name} SELECT * FROM chunk")
        else:
            self.connection.execute(f"CREATE TABLE raw_{name} AS SELECT * FROM chunk")
            self.tables.add(name)
        self.connection.unregister("chunk")

    def written(self, workspace: Path, say: Callable[[str], None]) -> Imported:
        """Put the rows together, and write them when all tables are right."""
        from measurement import engine

        for name in list(self.pending):
            self._flush(name)
        for name in TABLES:
            if name in self.tables:
                say(f"putting {name} together")
                self._rename_orders(TABLES[name])
                self._join(TABLES[name])
                self._period(TABLES[name])
        rows = {}
        for name in TABLES:
            if name not in self.tables:
                (workspace / f"{name}.parquet").unlink(missing_ok=True)
                rows[name] = 0
                continue
            held = self.connection.sql(
                f"SELECT {', '.join(_columns(TABLES[name]))} FROM {name} ORDER BY {', '.join(TABLES[name].key)}"
            ).to_arrow_table()
            engine.write(workspace, name, held)
            rows[name] = held.num_rows
        return Imported(rows, tuple(self.notes))

    def _rename_orders(self, table: Table) -> None:
        """Orders that an input calls by another name, `#1001`, get their id."""
        known = {alias: order for alias, order in self.aliases.items() if alias not in self.doubtful}
        if "order_id" not in _columns(table) or table.name == "orders" or not known:
            return
        import pyarrow as pa

        names = pa.table({"alias": list(known), "real": list(known.values())})
        self.connection.register("names", names)
        ((renamed,),) = self.connection.execute(
            f"UPDATE raw_{table.name} SET order_id = names.real FROM names "
            f"WHERE order_id = names.alias AND order_id <> names.real "
            "AND order_id NOT IN (SELECT real FROM names)"
        ).fetchall()
        self.connection.unregister("names")
        if renamed:
            self.notes.append(
                f"{table.name}: {counted(renamed, 'row')} called the order by its name; it has the order book's id now."
            )

    def _join(self, table: Table) -> None:
        if table.name in SUMMED:
            self._sum(table)
            self._same(table, f"summed_{table.name}")
        elif table.name in EARLIEST or table.name in LAST:
            self._choose(table)
        else:
            self._same(table, f"raw_{table.name}")

    def _sum(self, table: Table) -> None:
        key = ", ".join(table.key)
        measures = ", ".join(
            f"CAST(SUM({each}) AS BIGINT) AS {each}" for each in _columns(table) if each not in table.key
        )
        self.connection.execute(
            f"CREATE TABLE summed_{table.name} AS SELECT {key}, {measures}, _set, MIN(_file) AS _file, "
            f"MIN(_line) AS _line FROM raw_{table.name} GROUP BY {key}, _set"
        )

    def _choose(self, table: Table) -> None:
        key = ", ".join(table.key)
        order = "_file DESC, _line DESC" if table.name in LAST else "at_ms, _file, _line"
        self.connection.execute(
            f"CREATE TABLE {table.name} AS SELECT * FROM raw_{table.name} "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) = 1"
        )
        rule = "the latest input counts" if table.name in LAST else "the earliest counts"
        self._note_dropped(table, rule, f"raw_{table.name}", order)

    def _same(self, table: Table, held: str) -> None:
        """One row of each key. Raises BadInput where two differ."""
        key = ", ".join(table.key)
        others = [each for each in _columns(table) if each not in table.key]
        if others:
            alike = ", ".join(f"{each} := {each}" for each in others)
            found = self.connection.execute(
                f"SELECT LIST([_file, _line] ORDER BY _file, _line) FROM {held} GROUP BY {key} "
                f"HAVING COUNT(DISTINCT STRUCT_PACK({alike})) > 1 ORDER BY MIN(_file), MIN(_line) LIMIT 20"
            ).fetchall()
            if found:
                self._contradiction(table, [pairs for (pairs,) in found])
        self.connection.execute(
            f"CREATE TABLE {table.name} AS SELECT * FROM {held} "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY _file, _line) = 1"
        )
        self._note_dropped(table, "it counts once", held, "_file, _line")

    def _contradiction(self, table: Table, found: list[list[list[int]]]) -> None:
        names = {mark: name for (name, _), mark in self.files.items()}
        problems = []
        for places in found:
            (file, line), (other, other_line) = places[0], places[-1]
            there = names[file] + (f":{line}" if line else "")
            key = ", ".join(table.key)
            if table.name in SUMMED:
                advice = (
                    "Take these rows out of one, or export both anew. If both are right, as of two accounts, say "
                    "sum = true in the second."
                )
            else:
                advice = "Correct one of them, or export anew."
            reason = f"the table {table.name} has this {key} already, in {there}, with other values"
            problems.append(BadInput(names[other], reason, advice, other_line or None))
        raise problems[0] if len(problems) == 1 else BadRows(problems, stopped=len(problems) >= 20)

    def _note_dropped(self, table: Table, rule: str, held: str, order: str) -> None:
        names = {mark: name for (name, _), mark in self.files.items()}
        key = ", ".join(table.key)
        found = self.connection.execute(
            f"SELECT _file, COUNT(*), LIST(_line ORDER BY _line)[1:6] FROM (SELECT _file, _line, "
            f"ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order}) AS nth FROM {held}) "
            "WHERE nth > 1 GROUP BY _file ORDER BY _file"
        ).fetchall()
        for file, count, on in found:
            place = f" ({lines(on)})" if any(on) else ""
            self.notes.append(
                f"{names[file]}: {counted(count, 'row')} of {table.name} dropped, whose {key} "
                f"{'stand' if len(table.key) > 1 else 'stands'} in another row too{place}; {rule}."
            )

    def _period(self, table: Table) -> None:
        if "day" not in _columns(table):
            return
        first, last = self.settings.first, self.settings.last
        ((inside, begin, end),) = self.connection.execute(
            f"SELECT COUNT(*) FILTER (WHERE day BETWEEN ? AND ?), MIN(day), MAX(day) FROM {table.name}", [first, last]
        ).fetchall()
        if not inside:
            self.notes.append(
                f"{table.name}: no row lies in the report's period, {first} to {last}; they run from {begin} to {end}."
                + ("" if table.name in EARLIER else " What needs this table is not shown.")
            )


__all__ = ["IMPORTERS", "OPTIONS", "Imported", "Importer", "run"]
