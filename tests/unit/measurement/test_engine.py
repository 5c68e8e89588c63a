"""A workspace of Parquet files, what is wrong with one, and the tables of Athena."""

import sys
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp

from measurement import engine
from measurement.engine import Data, arrow_schema, athena_ddl, unbound, write
from measurement.problems import BadInput
from measurement.tables import TABLES
from tests.unit.measurement.attribution_rows import conversion, link, random_shop, touch

TOUCHES = [touch("ann", 1, "chatgpt"), touch("bob", 2, "email", kind="visit")]


def test_a_workspace_is_read_as_it_was_written(tmp_path: Path) -> None:
    # Given some tables on disk, which nobody may write
    write(tmp_path, "touches", TOUCHES)
    write(tmp_path, "links", [link(1, "ann")])
    for path in tmp_path.iterdir():
        path.chmod(0o400)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    # When it is read with little memory and one thread
    with Data.in_folder(tmp_path, memory="200MB", threads=1) as data:
        # Then all tables are there, the others empty, and each has its columns and types
        assert set(data) == set(TABLES)
        assert len(data) == len(TABLES)
        assert data.rows(data["touches"].order_by("person")) == TOUCHES
        assert data.rows(data["survey"]) == []
        for name in TABLES:
            assert data[name].schema() == engine.schema(name) or name not in {"touches", "links"}
        limit, threads = data.connection.con.execute(
            "SELECT current_setting('memory_limit'), current_setting('threads')"
        ).fetchone()
        assert (limit, threads) == ("190.7 MiB", 1)
    # And nothing was written
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_what_does_not_fit_in_memory_goes_to_a_folder_that_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a limit of memory far below what a sort needs
    monkeypatch.setattr(engine.tempfile, "gettempdir", lambda: str(tmp_path / "spill"))
    (tmp_path / "spill").mkdir()
    (tmp_path / "workspace").mkdir()
    with Data.in_folder(tmp_path / "workspace", memory="40MB", threads=1) as data:
        # When it is done
        answer = data.connection.con.execute(
            "SELECT count(*) FROM (SELECT hash(i), row_number() OVER (ORDER BY hash(i)) AS n FROM range(1500000) t(i))"
            " WHERE n > 5"
        )
        # Then it was done by way of the disk
        assert answer.fetchone() == (1_499_995,)
        assert len(list((tmp_path / "spill").iterdir())) == 1
    assert list((tmp_path / "spill").iterdir()) == []


def test_files_of_other_programs_may_have_other_types_that_hold_the_same(tmp_path: Path) -> None:
    # Given large strings, a dictionary, narrow numbers, columns in another order and one that no table has
    table = pa.Table.from_pylist([dict(row) for row in TOUCHES], schema=arrow_schema("touches"))
    columns = {name: table[name] for name in reversed(table.column_names)}
    columns["person"] = columns["person"].cast(pa.large_string())
    columns["channel"] = columns["channel"].dictionary_encode()
    columns["bucket"] = columns["bucket"].cast(pa.int16())
    columns["mood"] = pa.array(["good", "good"])
    pq.write_table(pa.table(columns), tmp_path / "touches.parquet")
    # Then they are read as the table's
    with Data.in_folder(tmp_path) as data:
        assert data.rows(data["touches"].order_by("person")) == TOUCHES
        assert data["touches"].schema() == engine.schema("touches")


def without(column: str) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in TOUCHES], schema=arrow_schema("touches")).drop_columns(column)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (without("kind"), r"touches\.parquet: it has no column kind \(what it was\)\. Import again"),
        (
            without("at_ms").append_column("at_ms", pa.array(["yesterday", "today"])),
            "its column at_ms is of the type string, not int64",
        ),
        (
            without("day").append_column("day", pa.array(["2026-10-01", "2026-10-02"])),
            "its column day is of the type string, not date32",
        ),
        (
            without("person").append_column("person", pa.array([1, 2])),
            "its column person is of the type int64, not string",
        ),
        (without("person").append_column("person", pa.array(["ann", None])), "its column person is empty in one row"),
        (
            without("person").append_column("person", pa.array([None, None], pa.string())),
            "its column person is empty in 2 rows",
        ),
    ],
)
def test_a_file_of_other_columns_is_refused(table: pa.Table, why: str, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "touches.parquet")
    with pytest.raises(BadInput, match=why):
        Data.in_folder(tmp_path)


def test_a_flag_that_is_none_is_refused(tmp_path: Path) -> None:
    whole = pa.Table.from_pylist([conversion(1, "ann")], schema=arrow_schema("conversions"))
    wrong = whole.drop_columns("clicked").append_column("clicked", pa.array(["no"]))
    pq.write_table(wrong, tmp_path / "conversions.parquet")
    with pytest.raises(BadInput, match="its column clicked is of the type string, not bool"):
        Data.in_folder(tmp_path)


def test_emptiness_is_not_told_without_statistics(tmp_path: Path) -> None:
    table = without("person").append_column("person", pa.array(["ann", None]))
    pq.write_table(table, tmp_path / "touches.parquet", write_statistics=False)
    with Data.in_folder(tmp_path) as data:
        assert len(data.rows(data["touches"].select("day"))) == 2


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "touches.parquet").write_text("person,at_ms\n")
    with pytest.raises(
        BadInput, match=r"touches\.parquet: it cannot be read as Parquet\. Import again, or delete it\."
    ):
        Data.in_folder(tmp_path)
    with pytest.raises(BadInput, match="there is no such folder"):
        Data.in_folder(tmp_path / "elsewhere")


def test_what_is_kept_is_computed_once_and_can_be_forgotten() -> None:
    with Data.of(random_shop(1)) as data:
        number = data["touches"].count()
        kept = data.keep(data["touches"].limit(3))
        assert len(data.rows(kept)) == 3
        data.forget(kept)
        with pytest.raises(Exception, match="does not exist"):
            data.rows(kept)
        # What was not kept is left alone
        data.forget(data["touches"])
        data.forget(data["touches"].limit(3))
        assert data.arrow(number).as_py() > 3


def test_athena_without_its_driver_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a Python that cannot import the driver
    monkeypatch.delitem(vars(engine.ibis), "athena", raising=False)
    monkeypatch.delitem(sys.modules, "ibis.backends.athena", raising=False)
    monkeypatch.setitem(sys.modules, "pyathena", None)
    with pytest.raises(
        BadInput, match=r'its driver is not installed\. Install it: python -m pip install "conversion-relay\['
    ):
        Data.in_athena("shop", "s3://bucket/answers/", "us-east-1")


class Connection:
    """What `Data` asks of ibis's connection to Athena: which tables there are, and their columns."""

    name = "athena"

    def __init__(self, tables: dict[str, Any]) -> None:
        self.tables = tables
        self.is_open = True

    def list_tables(self, database: str) -> list[str]:
        assert database == "shop"
        return list(self.tables)

    def table(self, name: str, database: str) -> Any:
        assert database == "shop"
        return self.tables[name]

    def disconnect(self) -> None:
        self.is_open = False


def in_athena(monkeypatch: pytest.MonkeyPatch, tables: dict[str, Any]) -> tuple[Data, dict[str, Any]]:
    asked: dict[str, Any] = {}

    class Driver:
        @staticmethod
        def connect(**options: Any) -> Connection:
            asked.update(options)
            return Connection(tables)

    monkeypatch.setitem(vars(engine.ibis), "athena", Driver)
    return Data.in_athena("shop", "s3://bucket/answers/", "us-east-1", work_group="reports"), asked


def test_athena_has_the_tables_of_its_database_and_the_others_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a database with one table, which has a column more
    more = ibis.table({**engine.schema("touches"), "mood": "string"}, name="touches")
    data, asked = in_athena(monkeypatch, {"touches": more, "something": more})
    # Then that is read from there
    assert asked == {
        "s3_staging_dir": "s3://bucket/answers/", "region_name": "us-east-1", "schema_name": "shop",
        "work_group": "reports",
    }  # fmt: skip
    assert set(data) == set(TABLES)
    assert data["touches"].schema() == engine.schema("touches")
    # And the others have their columns and no rows, in words that Athena has
    with Data.of({}) as here:
        for name in set(TABLES) - {"touches"}:
            assert data[name].schema().names == engine.schema(name).names
            assert here.rows(data[name]) == []
    text = engine.sql(data["crm"], "athena")
    assert isinstance(sqlglot.parse_one(text, read="athena"), exp.Query)
    # And what is kept is computed each time
    assert data.keep(data["touches"]) is data["touches"]
    data.forget(data["touches"])
    with data:
        assert data.connection.is_open
    assert not data.connection.is_open


def test_a_table_of_athena_without_a_column_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        BadInput, match=r"Athena table shop\.links: it has no column order_id\. Make it anew with the DDL"
    ):
        in_athena(monkeypatch, {"links": ibis.table({"person": "string"}, name="links")})


def test_the_ddl_of_athena_makes_every_table_over_its_file() -> None:
    statements = athena_ddl("shop", "s3://bucket/workspace/")
    assert statements[0] == "CREATE DATABASE IF NOT EXISTS `shop`"
    assert len(statements) == 1 + len(TABLES)
    for name, statement in zip(TABLES, statements[1:], strict=True):
        made = sqlglot.parse_one(statement, read="athena")
        assert isinstance(made, exp.Create)
        columns = {column.name: column.kind.sql("hive").lower() for column in made.find_all(exp.ColumnDef)}
        assert columns == {each.name: engine.HIVE_TYPES[each.type] for each in TABLES[name].columns}
        assert f"LOCATION 's3://bucket/workspace/{name}/'" in statement
        assert "STORED AS PARQUET" in statement
    assert unbound("touches").schema() == engine.schema("touches")
