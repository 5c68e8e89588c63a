"""Where queries run: DuckDB in this process, or Athena over S3. The same Ibis expressions on both.

A workspace is a folder with one Parquet file a table (``touches.parquet``), on disk for DuckDB; on Athena the tables
are those of a database, over the same files in S3 (`athena_ddl`).
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from measurement.problems import BadInput
from measurement.tables import IBIS_TYPES, TABLES, Column, Type

if TYPE_CHECKING:
    from types import TracebackType

    import ibis.expr.types as ir

Dialect = Literal["duckdb", "athena"]
DIALECTS: Final[tuple[Dialect, ...]] = ("duckdb", "athena")
HIVE_TYPES: Final[dict[Type, str]] = {
    "text": "string",
    "day": "date",
    "moment": "bigint",
    "count": "bigint",
    "money": "bigint",
    "flag": "boolean",
}
"""What a column's type is in the DDL of an external table."""
ATHENA_EXTRA: Final = 'python -m pip install "conversion-relay[athena]"'
"""How the driver of Athena comes in (in this repository: ``.venv/bin/python -m pip install -e ".[athena]"``)."""


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
class Data(Mapping[str, "ir.Table"]):
    """The tables where they are, and the engine that reads them. Every table is there; one without input is empty.

    As a context manager it closes its connection.
    """

    connection: Any
    tables: Mapping[str, ir.Table]
    folder: Path | None = None

    def __getitem__(self, name: str) -> ir.Table:
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.disconnect()

    @classmethod
    def in_folder(cls, folder: Path, *, memory: str = "4GB", threads: int | None = None) -> Self:
        """The Parquet files of a workspace, on DuckDB; they are read only.

        ``memory`` is DuckDB's limit (what Python and numpy hold comes on top); beyond it, it uses a folder of its own
        below the system's temporary one, which goes with the connection. Raises BadInput: there is no such folder, or a
        file is no Parquet or not of the table's columns.
        """
        if not folder.is_dir():
            raise BadInput(str(folder), "there is no such folder", "Import first, or name the workspace's folder.")
        connection = _duckdb(memory_limit=memory, **({"threads": threads} if threads else {}))
        tables = {}
        for name in TABLES:
            path = folder / f"{name}.parquet"
            if path.exists():
                _refuse_other_columns(path, name)
                tables[name] = connection.read_parquet(path, table_name=f"{name}_file").select(*schema(name))
                tables[name] = tables[name].cast(dict(schema(name)))
            else:
                tables[name] = connection.create_table(name, schema=schema(name))
        return cls(connection, tables, folder)

    @classmethod
    def in_athena(cls, database: str, staging: str, region: str, **options: Any) -> Self:
        """The tables of an Athena database, made with `athena_ddl`.

        ``staging`` is where Athena writes its answers (``s3://bucket/folder/``). ``options`` go to PyAthena's
        ``connect``: ``work_group``, ``profile_name``. A table that the database does not have is empty. Raises
        BadInput: the driver is not installed, or a table has other columns.
        """
        try:
            backend = ibis.athena
        except ImportError as error:
            raise BadInput("Athena", "its driver is not installed", f"Install it: {ATHENA_EXTRA}") from error
        connection = backend.connect(s3_staging_dir=staging, region_name=region, schema_name=database, **options)
        there = {name.lower() for name in connection.list_tables(database=database)}
        tables = {}
        for name in TABLES:
            if name not in there:
                tables[name] = _nothing(name)
                continue
            table = connection.table(name, database=database)
            found = {column: str(kind) for column, kind in table.schema().items()}
            wanted = {column: str(kind) for column, kind in schema(name).items()}
            if missing := sorted(set(wanted) - set(found)):
                raise BadInput(
                    f"Athena table {database}.{name}", f"it has no column {missing[0]}",
                    "Make it anew with the DDL of this version (docs/attribution.md).",
                )  # fmt: skip
            tables[name] = table.select(*wanted)
        return cls(connection, tables)

    @classmethod
    def of(cls, rows: Mapping[str, Sequence[Mapping[str, Any]] | pa.Table]) -> Self:
        """Tables in memory, on DuckDB: for small data, simulations and tests. Absent columns are empty."""
        connection = _duckdb()
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

    def keep(self, query: ir.Table) -> ir.Table:
        """The same rows, computed once for several queries, on DuckDB. Athena, which has no temporary tables, computes
        them in each query. `forget` frees them."""
        if self.connection.name != "duckdb":
            return query
        return self.connection.create_table(f"kept_{uuid.uuid4().hex[:12]}", query, temp=True)

    def forget(self, table: ir.Table) -> None:
        """Free what `keep` gave; of any other table nothing happens."""
        name = table.op().name if isinstance(table.op(), ibis.expr.operations.DatabaseTable) else ""
        if name.startswith("kept_"):
            self.connection.drop_table(name)


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


def athena_ddl(database: str, location: str) -> tuple[str, ...]:
    """The statements that make the workspace's tables in Athena, one external table each.

    ``location`` is where the files are, each in a folder of its own, as Athena wants it:
    ``<location>/touches/touches.parquet``. Athena finds Parquet columns by name, so that a later version's additional
    columns do no harm.
    """
    place = location.rstrip("/")
    return (
        f"CREATE DATABASE IF NOT EXISTS `{database}`",
        *(
            f"CREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` (\n"
            + ",\n".join(f"  `{each.name}` {HIVE_TYPES[each.type]}" for each in table.columns)
            + f"\n)\nSTORED AS PARQUET\nLOCATION '{place}/{name}/'"
            for name, table in TABLES.items()
        ),
    )


def _duckdb(**settings: Any) -> Any:
    """A DuckDB in this process, which spills into a folder of its own; it makes that when it must, and removes it."""
    spill = Path(tempfile.gettempdir()) / f"conversion-relay-{uuid.uuid4().hex}"
    return ibis.duckdb.connect(temp_directory=str(spill), **settings)


def _nothing(name: str) -> ir.Table:
    """A table without rows, of constants alone: where a database lacks it."""
    row = {column: ibis.null(kind.copy(nullable=True)) for column, kind in schema(name).items()}
    return ibis.literal(0).name("nothing").as_table().select(**row).filter(ibis.literal(False))


def _refuse_other_columns(path: Path, name: str) -> None:
    """Raise BadInput where a file is not of the table's columns, or has an empty value that must not be.

    Columns that no table has are left unread. Emptiness is told from the file's statistics, where it has them.
    """
    advice = "Import again: files of another version, or written by another program, cannot be used."
    try:
        with pq.ParquetFile(path) as file:
            found, metadata = file.schema_arrow, file.metadata
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(str(path), "it cannot be read as Parquet", "Import again, or delete it.") from error
    for column in TABLES[name].columns:
        if column.name not in found.names:
            raise BadInput(str(path), f"it has no column {column.name} ({column.about})", advice)
        kind = found.field(column.name).type
        if not _fits(kind, column.type):
            reason = f"its column {column.name} is of the type {kind}, not {arrow_schema(name).field(column.name).type}"
            raise BadInput(str(path), reason, advice)
        if column.required and (empty := _empty(metadata, column)):
            rows = "one row" if empty == 1 else f"{empty:,} rows"
            raise BadInput(str(path), f"its column {column.name} is empty in {rows}", advice)


def _fits(kind: pa.DataType, wanted: Type) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    match wanted:
        case "text":
            return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
        case "day":
            return bool(pa.types.is_date(kind))
        case "flag":
            return bool(pa.types.is_boolean(kind))
        case "moment" | "count" | "money":
            return bool(pa.types.is_integer(kind))


def _empty(metadata: pq.FileMetaData, column: Column) -> int:
    """How many rows the file's statistics say are empty there; 0 where they do not say."""
    place = metadata.schema.names.index(column.name)
    empty = 0
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(place).statistics
        if statistics is not None and statistics.has_null_count:
            empty += statistics.null_count
    return empty
