"""Every query is registered, compiles for both engines, and means the same on both, as far as one can tell here."""

import inspect
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import ibis
import pytest
import sqlglot
from sqlglot import exp

from measurement.engine import DIALECTS, Data, Dialect, sql, unbound
from measurement.queries import every, modules
from measurement.tables import TABLES
from tests.unit.measurement.attribution_rows import random_shop

UNBOUND = {name: unbound(name) for name in TABLES}

IN_TRINO = {
    # Each is in Trino's documentation, "Functions and operators". Athena's engine version 3 is Trino; all of these were
    # in Trino before it.
    "aggregate": {
        "approx_distinct", "approx_percentile", "arbitrary", "array_agg", "avg", "bool_and", "bool_or", "corr", "count",
        "count_if", "covar_pop", "covar_samp", "max", "max_by", "min", "min_by", "stddev_pop", "stddev_samp", "sum",
        "var_pop", "var_samp",
    },
    "array": {"array_join", "cardinality", "contains", "element_at", "sequence", "unnest"},
    "comparison": {"greatest", "least"},
    "conditional": {"coalesce", "if", "nullif", "try"},
    "conversion": {"cast", "try_cast"},
    "date and time": {
        "current_date", "date", "date_add", "date_diff", "date_format", "date_trunc", "day", "day_of_week", "extract",
        "from_iso8601_date", "from_unixtime", "month", "to_unixtime", "week", "year",
    },
    "mathematical": {
        "abs", "ceiling", "exp", "floor", "is_finite", "is_nan", "ln", "log10", "mod", "pow", "power", "round", "sign",
        "sqrt",
    },
    "string": {
        "concat", "length", "lower", "lpad", "regexp_extract", "regexp_like", "replace", "split", "split_part",
        "starts_with", "strpos", "substr", "substring", "trim", "upper",
    },
    "window": {
        "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank",
        "rank", "row_number",
    },
}  # fmt: skip
"""Functions that queries may use, by the page of Trino's documentation that describes them."""
NO_FUNCTIONS = {
    "and", "array", "as", "between", "by", "char", "decimal", "distinct", "else", "exists", "filter", "from", "in",
    "interval", "is", "join", "not", "on", "or", "over", "row", "select", "then", "timestamp", "using", "values",
    "varchar", "when", "where", "with",
}  # fmt: skip
"""Words before an opening bracket that call nothing."""


@cache
def text_of(name: str, dialect: Dialect) -> str:
    """A query as it is written for an engine."""
    return sql(every()[name](UNBOUND), dialect)


@pytest.fixture(scope="module")
def shop() -> Data:
    return Data.of(random_shop(3, orders=20))


def functions_of(text: str) -> set[str]:
    """The names that a statement calls: every word before an opening bracket that is no keyword or type."""
    tokens = sqlglot.tokenize(text, read="athena")
    return {
        token.text.lower()
        for token, following in pairwise(tokens)
        if following.text == "(" and token.text[:1].isalpha() and token.text.lower() not in NO_FUNCTIONS
        and text[token.start] != '"'
    }  # fmt: skip


def unknown_in_trino(text: str) -> set[str]:
    return functions_of(text) - set().union(*IN_TRINO.values())


@pytest.mark.parametrize("name", sorted(every()))
def test_every_query_compiles_for_both_engines(name: str) -> None:
    # When it is written for each
    texts = {dialect: text_of(name, dialect) for dialect in DIALECTS}
    # Then each is one statement of that dialect, and Athena's calls only what Trino has
    for dialect, text in texts.items():
        (statement,) = sqlglot.parse(text, read=dialect)
        assert isinstance(statement, exp.Query)
        assert {table.name for table in statement.find_all(exp.Table)} & set(TABLES)
    assert unknown_in_trino(texts["athena"]) == set()


def test_a_function_that_trino_lacks_is_found() -> None:
    text = sql(ibis.table({"a": "string"}, name="t").mutate(b=lambda t: t.a.levenshtein("x")), "athena")
    assert unknown_in_trino(text + ' where bit_count(1, 64) > 2 and "max(" = 1') == {
        "bit_count",
        "levenshtein_distance",
    }


@pytest.mark.parametrize("name", [name for name in sorted(every()) if name.split(".")[0] in {"attribution", "paths"}])
def test_what_is_written_for_athena_means_the_same(name: str, shop: Data) -> None:
    # Given a shop, and the query as it is written for Athena, put into DuckDB's words by sqlglot
    (text,) = sqlglot.transpile(text_of(name, "athena"), read="athena", write="duckdb")
    # When both run
    expected = shop.rows(every()[name](shop))
    answer = shop.connection.con.execute(text)
    columns = [column[0] for column in answer.description]
    found = [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]

    # Then they say the same, but for the last digits of sums
    def comparable(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
        return sorted(
            tuple(f"{key}={value:.9g}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items())
            for row in rows
        )

    assert expected
    assert comparable(found) == comparable(expected)


def is_query(module: ModuleType, name: str) -> bool:
    """Whether a module's name is a public function of its own that gives a table."""
    made = getattr(module, name)
    return (
        inspect.isfunction(made)
        and not name.startswith("_")
        and made.__module__ == module.__name__
        and "Table" in str(made.__annotations__.get("return"))
    )


def missing_from_registry(module: ModuleType) -> list[str]:
    """Functions that no entry of QUERIES is named after: by their own name, or by it with what it is called with."""
    return [
        name
        for name in vars(module)
        if is_query(module, name) and not any(key == name or key.startswith(f"{name}_") for key in module.QUERIES)
    ]


@pytest.mark.parametrize("module", modules().values(), ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_query_is_registered(module: ModuleType) -> None:
    assert missing_from_registry(module) == []


def test_a_query_that_is_not_registered_is_found() -> None:
    module = ModuleType("somewhere")
    exec(  # noqa: S102 - a module that is written wrong
        "def told(t) -> 'ir.Table': ...\n"
        "def untold(t) -> 'ir.Table': ...\n"
        "def number(t) -> int: ...\n"
        "QUERIES = {'told_30': told}",
        vars(module),
    )
    assert missing_from_registry(module) == ["untold"]


def test_all_modules_are_found() -> None:
    assert {"attribution", "channels", "funnel", "paths"} <= set(modules())
    assert {name.split(".")[0] for name in every()} == set(modules())
