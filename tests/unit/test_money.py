"""Amounts and currencies as the Conversions API takes them."""

from decimal import Decimal
from typing import Any

import pytest

from conversion_relay import money

NO_MINOR_UNIT = ["XAU", "XAG", "XPT", "XPD", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XTS", "XXX"]
RETIRED = ["HRK", "BGN", "ANG", "SLL", "ZWL", "CUC", "VEF", "STD", "MRO", "LTL", "DEM", "BYR", "TRL"]


@pytest.mark.parametrize(
    ("places", "codes"),
    [
        (0, "JPY KRW VND CLP PYG XAF XOF XPF BIF DJF GNF KMF RWF VUV ISK UGX UYI"),
        (2, "USD EUR GBP CAD AUD CHF CNY INR BRL MXN HUF TWD MGA MRU IDR COP CRC PKR TZS IRR LAK AFN SYP YER"),
        (2, "SLE VED VES XCG ZWG XAD STN"),
        (3, "KWD BHD OMR JOD TND IQD LYD"),
        (4, "CLF UYW"),
    ],
)
def test_exponents_follow_iso_4217(places: int, codes: str) -> None:
    assert {code: money.EXPONENTS[code] for code in codes.split()} == dict.fromkeys(codes.split(), places)


def test_the_table_is_list_one_without_the_codes_that_have_no_minor_unit() -> None:
    by_places = [sum(1 for each in money.EXPONENTS.values() if each == places) for places in range(5)]
    assert by_places == [17, 0, 139, 7, 2]
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in money.EXPONENTS)


@pytest.mark.parametrize("code", NO_MINOR_UNIT)
def test_units_without_decimals_are_no_currencies(code: str) -> None:
    assert money.currency_code(code) is None


@pytest.mark.parametrize("code", RETIRED)
def test_retired_currencies_are_refused_so_that_they_cannot_sink_a_batch(code: str) -> None:
    assert money.currency_code(code) is None
    assert money.minor_units("10.00", code) is None


@pytest.mark.parametrize(("value", "code"), [("USD", "USD"), ("usd", "USD"), (" eUr\n", "EUR")])
def test_currency_code_is_trimmed_and_upper_case(value: str, code: str) -> None:
    assert money.currency_code(value) == code


@pytest.mark.parametrize(
    "value", [None, "", " ", "EURO", "US", "$", "ＵＳＤ", "uſd", "USD\x00", "\ud800", 840, True, ["USD"]]
)
def test_what_is_no_currency_code_is_none(value: object) -> None:
    assert money.currency_code(value) is None


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("200.63", "USD", 20063),
        ("149.00", "usd", 14900),
        ("149", "USD", 14900),
        ("0.1", "USD", 10),
        ("0.00", "USD", 0),
        ("0", "JPY", 0),
        ("-0.00", "USD", 0),
        ("4510", "JPY", 4510),
        ("4510.00", "JPY", 4510),
        ("12.345", "KWD", 12345),
        ("12.34", "KWD", 12340),
        ("1.2345", "CLF", 12345),
        ("5", "MGA", 500),
        ("007.50", "USD", 750),
        (" 10.00\t", "USD", 1000),
        (".5", "USD", 50),
        ("5.", "USD", 500),
        ("1.005", "USD", 101),
        ("1.004999", "USD", 100),
        ("0.5", "JPY", 1),
        ("0.4999", "JPY", 0),
        ("2.5", "JPY", 3),
        ("0." + "3" * 97, "USD", 33),
        (14, "USD", 1400),
        (14, "JPY", 14),
        (0, "USD", 0),
        (Decimal("12.345"), "USD", 1235),
        (Decimal("1E+3"), "USD", 100000),
        (Decimal("-0.00"), "USD", 0),
        (Decimal("0E+999999"), "USD", 0),
        (Decimal("1E-999999"), "USD", 0),
        (Decimal("0." + "1" * 5000), "USD", 11),
        ("90071992547409.91", "USD", 2**53 - 1),
        ("9007199254740991", "JPY", 2**53 - 1),
    ],
)
def test_minor_units(amount: object, currency: str, units: int) -> None:
    found = money.minor_units(amount, currency)
    assert found == units
    assert type(found) is int


@pytest.mark.parametrize(
    "amount",
    [
        None,
        "",
        "  ",
        ".",
        "free",
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "1e3",
        "1E-2",
        "1e999999",
        "1_000",
        "1,000.00",
        "1.000,00",
        "12,50",
        "1 000",
        "$10.00",
        "10.00 USD",
        "€5",
        "+5",
        "--5",
        "0x10",
        "१२.५०",
        "１２",
        "1\x000",
        "\ud800",
        "-1",
        "-0.01",
        "90071992547409.92",
        "9" * 101,
        -1,
        2**53,
        Decimal("-0.01"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        Decimal("1E+999999"),
        Decimal("90071992547409.915"),
        True,
        False,
        [],
        {"amount": "1"},
        b"1",
    ],
)
def test_what_is_no_amount_is_none(amount: object) -> None:
    assert money.minor_units(amount, "USD") is None


@pytest.mark.parametrize(
    "amount", ["9" * 1_000_000, 10**5_000, Decimal("9" * 1_000_000)], ids=["text", "int", "Decimal"]
)
def test_a_huge_amount_costs_nothing(amount: object) -> None:
    assert money.minor_units(amount, "USD") is None


def test_an_unknown_currency_has_no_minor_units() -> None:
    assert money.minor_units("10.00", "EURO") is None
    assert money.minor_units("10.00", "") is None


def test_a_float_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(TypeError, match="parse_float=Decimal"):
        money.minor_units(149.0, "USD")


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        (5300, "usd", 5300),
        (12340, "kwd", 12340),
        (4510, "jpy", 4510),
        (50000, "isk", 500),
        (149, "isk", 1),
        (150, "isk", 2),
        (7550, "UGX", 76),
        (0, "isk", 0),
        (300, "mga", 30000),
        (1000, "huf", 1000),
        (1000, "twd", 1000),
        (2**53 - 1, "usd", 2**53 - 1),
    ],
)
def test_from_stripe(amount: int, currency: str, units: int) -> None:
    assert money.from_stripe(amount, currency) == units


@pytest.mark.parametrize(
    ("amount", "currency"),
    [(100, "bgn"), (100, "xxx"), (-1, "usd"), (2**53, "usd"), (2**53 - 1, "mga"), (True, "usd")],
)
def test_what_stripe_cannot_mean_is_none(amount: int, currency: str) -> None:
    assert money.from_stripe(amount, currency) is None


@pytest.mark.parametrize("amount", [None, "5300", Decimal(5300), 5300.0])
def test_a_stripe_amount_is_an_int(amount: Any) -> None:
    assert money.from_stripe(amount, "usd") is None
