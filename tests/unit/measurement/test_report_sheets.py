"""Tables as CSV and JSON: RFC 4180, no formulas, estimates in columns of their own."""

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimate import Estimate
from measurement.report.sheets import Column, Sheet, as_csv, as_object, cell, flat, heading

SHEET = Sheet(
    "lift",
    "Lift",
    (Column("Day", "day", "day"), Column("Method", "method"), Column("Lift", "lift", "share", estimate=True)),
    (
        (date(2026, 9, 1), "=cmd|'/c calc'!A1", Estimate(0.08, 0.04, 0.12, "modelled")),
        (date(2026, 9, 2), "plain", None),
    ),
)


def test_an_estimate_takes_five_columns() -> None:
    assert heading(SHEET) == ["day", "method", "lift", "lift_low", "lift_high", "lift_kind", "lift_level"]
    assert next(flat(SHEET))[2:] == [0.08, 0.04, 0.12, "modelled", 0.95]
    assert list(flat(SHEET))[1][2:] == [None] * 5


def test_the_file_is_rfc_4180_and_holds_no_formula() -> None:
    text = as_csv(heading(SHEET), flat(SHEET))
    assert text.endswith("\r\n")
    assert text.split("\r\n")[1] == "2026-09-01,'=cmd|'/c calc'!A1,0.08,0.04,0.12,modelled,0.95"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "＝"])
def test_a_text_that_begins_like_a_formula_is_disarmed(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-12, "-12"),
        (-0.5, "-0.5"),
        (3.0, "3"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("a-b", "a-b"),
        (date(2026, 9, 1), "2026-09-01"),
    ],
)
def test_numbers_days_and_flags_stay_what_they_are(value: object, text: str) -> None:
    assert cell(value) == text


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), min_size=1))
def test_what_is_written_can_be_read_back(rows: list[list[str]]) -> None:
    text = as_csv(["a", "b"], rows)
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[1:] == [[cell(value) for value in row] for row in rows]


def test_machines_get_names_and_plain_values() -> None:
    assert as_object(SHEET)["rows"][0]["day"] == "2026-09-01"
    assert as_object(SHEET)["rows"][0]["lift_kind"] == "modelled"
    assert as_object(SHEET)["money"] is None
