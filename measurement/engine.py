"""Where queries run: DuckDB in this process, or Athena over S3. The same Ibis expressions on both.

A workspace is a folder with one Parquet file a table (``touches.parquet``), on disk for DuckDB; on Athena the tables
are those of a database, over Parquet in S3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from measurement.tables import IBIS_TYPES, TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir

Dialect = Literal["duckdb", "athena"]
DIALECTS: Final[tuple[Dialect, ...]] = ("duckdb", "athena")


def schema(name: str) -> ibis.Schema:
    """The Ibis schema of a table. Raises KeyError: there is no such table."""
    columns = TABLES[name].columns
    return ibis.schema({each.name: ("!" if each.required else "") + IBIS_TYPES[each.type] for each in columns})


def unbound(name: str) -> ir.Table:
    """The table without data: what queries are compiled with."""
    return ibis.table(schema(name), name=name)


def arrow_schema(name: str) -> pa.Schema:
    """The same for Parquet and Arrow."""
    return schema(name).to_pyarrow()


@dataclass(frozen=True)
class Data:
    """The tables where they are, and the engine that reads them. Every table is there; one without input is empty."""

    connection: Any
    tables: Mapping[str, ir.Table]
    folder: Path | None = None

    def __getitem__(self, name: str) -> ir.Table:
        return self.tables[name]

    @classmethod
    def in_folder(cls, folder: Path, *, memory: str = "4GB", threads: int | None = None) -> Self:
        """The Parquet files of a workspace, on DuckDB. ``memory`` is DuckDB's limit; beyond it, it uses the disk."""
        settings: dict[str, Any] = {"memory_limit": memory} | ({"threads": threads} if threads else {})
        connection = ibis.duckdb.connect(**settings)
        tables = {}
        for name in TABLES:
            path = folder / f"{name}.parquet"
            tables[name] = (
                connection.read_parquet(path, table_name=name)
                if path.exists()
                else connection.create_table(name, schema=schema(name))
            )
        return cls(connection, tables, folder)

    @classmethod
    def of(cls, rows: Mapping[str, Sequence[Mapping[str, Any]] | pa.Table]) -> Self:
        """Tables in memory, on DuckDB: for small data, simulations and tests. Absent columns are empty."""
        connection = ibis.duckdb.connect()
        tables = {}
        for name in TABLES:
            held = rows.get(name, ())
            if not isinstance(held, pa.Table):
                held = pa.Table.from_pylist([dict(row) for row in held], schema=arrow_schema(name))
            tables[name] = connection.create_table(name, held.cast(arrow_schema(name)))
        return cls(connection, tables)

    def arrow(self, query: ir.Expr) -> pa.Table:
        """The answer to a query."""
        return self.connection.to_pyarrow(query)

    def rows(self, query: ir.Expr) -> list[dict[str, Any]]:
        """The answer to a query, a row each; for answers that are small."""
        rows: list[dict[str, Any]] = self.arrow(query).to_pylist()
        return rows


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
    """Write a table of a workspace, whole or not at all. Absent columns are empty."""
    held = (
        rows if isinstance(rows, pa.Table) else pa.Table.from_pylist([dict(r) for r in rows], schema=arrow_schema(name))
    )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.parquet.part"
    pq.write_table(held.cast(arrow_schema(name)), unfinished, compression="zstd")
    unfinished.replace(folder / f"{name}.parquet")


def sql(query: ir.Expr, dialect: Dialect) -> str:
    """The query's text for an engine, without a connection."""
    return str(ibis.to_sql(query, dialect=dialect))
