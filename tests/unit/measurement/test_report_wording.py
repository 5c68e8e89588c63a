"""Numbers and names as people read them."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimate import Estimate
from measurement.report import wording
from measurement.report.wording import text_width, wrapped


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (3, "3"), (3.14, "3.1"), (12.6, "13"), (4312, "4,312"), (-7, "−7"), (-0.24, "−0.2")]
)
def test_numbers(value: float, said: str) -> None:
    assert wording.number(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(9_999, "9,999"), (10_000, "10k"), (12_345, "12.3k"), (999_499, "999k"), (1_250_000, "1.2m"), (3.2e9, "3.2bn")],
)
def test_numbers_in_charts_are_short(value: float, said: str) -> None:
    assert wording.compact(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0 %"), (0.0834, "8.3 %"), (0.0999, "10 %"), (1.0, "100 %"), (-0.03, "−3.0 %")]
)
def test_shares(value: float, said: str) -> None:
    assert wording.share(value) == said


@pytest.mark.parametrize(
    ("minor", "currency", "said"),
    [(2332, "EUR", "23.32 EUR"), (1_212_450, "EUR", "12,124 EUR"), (500, "JPY", "500 JPY"), (1500, "BHD", "1.500 BHD")],
)
def test_amounts_have_the_decimals_of_their_currency(minor: float, currency: str, said: str) -> None:
    assert wording.amount(minor, currency) == said


def test_intervals_name_the_unit_once() -> None:
    assert wording.interval(Estimate(0.08, 0.047, 0.119), "share") == "4.7 to 12 %"
    assert wording.interval(Estimate(2.4, 1.3, 3.6), "times") == "1.3 to 3.6×"
    assert wording.interval(Estimate(2332, 100, 5000), "money", "EUR") == "1.00 to 50.00 EUR"
    assert wording.interval(Estimate(5.0)) == ""


def test_probabilities() -> None:
    assert [wording.probability(each) for each in (0.0002, 0.018, 0.412)] == ["below 0.001", "0.018", "0.41"]


def test_days() -> None:
    assert wording.days(date(2026, 9, 1), date(2026, 11, 28)) == "1 September to 28 November 2026"
    assert wording.days(date(2025, 12, 1), date(2026, 1, 31)) == "1 December 2025 to 31 January 2026"
    assert wording.days(date(2026, 9, 1), date(2026, 9, 1)) == "1 September 2026"


def test_lists() -> None:
    assert [wording.listed(each) for each in ([], ["a"], ["a", "b", "c"])] == ["", "a", "a, b and c"]


def test_what_cannot_be_seen_is_taken_out() -> None:
    assert wording.clean("a\u202eb\u0000\u200bc\u2028d  e") == "a b c d e"


@given(st.text(), st.floats(20, 400), st.integers(1, 3))
def test_wrapped_lines_fit_their_room(text: str, width: float, lines: int) -> None:
    held = wrapped(text, width, 13, lines)
    assert 1 <= len(held) <= lines
    assert all(text_width(each, 13) <= width or len(each) <= 1 for each in held)


def test_a_long_name_is_broken_between_words() -> None:
    assert wrapped("Gifts for people who walk in every weather", 130, 13, 3) == [
        "Gifts for people",
        "who walk in",
        "every weather",
    ]
