"""The price list is dated, used and added up as AWS does it."""

import re
from datetime import date
from pathlib import Path

import pytest

from tools.cost import prices
from tools.cost.prices import after_allowances, dated, price_list

SOURCES = "".join(path.read_text(encoding="utf-8") for path in prices.FOLDER.glob("*.py") if path.name != "prices.py")


def test_the_list_names_its_day_and_region() -> None:
    day, region = dated()

    assert date.fromisoformat(day) <= date(2026, 12, 31)
    assert region == "us-east-1"
    assert date.fromisoformat(prices.assumptions()["date"])


@pytest.mark.parametrize("name", list(price_list()))
def test_every_price_is_used_and_says_where_it_stands(name: str) -> None:
    price = price_list()[name]

    # The two of Lambda's time are named by the architecture.
    written = "lambda_{" if name in ("lambda_arm64", "lambda_x86_64") else f'"{name}"'
    assert written in SOURCES
    assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9/-]+/", price.page)
    assert price.checked
    assert price.usd > 0 < price.per


@pytest.mark.parametrize(
    "table", [name for name in prices.assumptions() if isinstance(prices.assumptions()[name], dict)]
)
def test_every_assumption_is_used(table: str) -> None:
    described_only = {"spread"}
    for name in prices.assumptions()[table]:
        used = f'"{name}"' in SOURCES or (table == "latency_ms" and "latency[service]" in SOURCES)
        assert used or name in described_only, name


def test_a_price_is_for_so_many_units() -> None:
    assert price_list()["sqs_requests"].of(2_500_000) == pytest.approx(1.00)
    assert price_list()["s3_put"].of(1_000) == pytest.approx(0.005)


def test_allowances_are_taken_off_once_where_prices_share_them() -> None:
    # Given 3 GB of logs taken in and 4 kept, of which 5 are free together, and a write that nothing is free of
    paid = after_allowances({"logs_ingested": 3, "logs_stored": 4, "dynamodb_write": 2_000_000, "alarms": 12})

    # Then 2 GB kept, 2 alarms and all writes are paid
    assert paid == pytest.approx({"logs_ingested": 0, "logs_stored": 0.06, "dynamodb_write": 1.25, "alarms": 0.20})


def test_tables_are_where_the_documentation_says() -> None:
    assert Path(prices.FOLDER, "prices.toml").is_file()
    assert Path(prices.FOLDER, "assumptions.toml").is_file()
