"""Money in the currency's own minor units, as the Conversions API wants it: 8900 is USD 89.00 and JPY 8,900.

Only `Decimal` and `int` are ever used. Every function answers None for what is no usable amount or currency; the caller
then leaves out `amount` and `currency` together, so that the event itself survives (Conversions API: section 4).
"""

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

# ISO 4217 list one as published 2026-01-01, by number of decimals. It must come from the standard: Stripe's table and
# CLDR's (which rounds cash) both differ from it.
#
# Not here on purpose, so that an amount is left out instead of sinking a batch of a thousand:
#   XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX   minor unit "N.A.": metals, units of account, test codes
#   HRK (2023-01-01 EUR)  BGN (2026-01-01 EUR)  ANG (2025 XCG)  SLL (2024 SLE)  ZWL (2024 ZWG)  CUC (2021)  VEF (2018)
#       retired, though old shops still report them. Their successors XCG, SLE, ZWG, VES and VED are here. A retired
#       amount is not converted either: the rate is not ours to apply.
_CODES: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
        "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
        "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
        "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
        "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
        "YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

EXPONENTS: Final[Mapping[str, int]] = {code: places for places, codes in _CODES.items() for code in codes.split()}
"""Every accepted currency code and the number of decimals of its minor unit (0, 2, 3 or 4). Source: ISO 4217."""

LARGEST_AMOUNT: Final = 2**53 - 1
"""Largest amount that is passed on, in minor units: the last integer that every JSON reader keeps exactly."""

_PLAIN_DECIMAL: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_LONGEST_TEXT: Final = 100  # the exact text of a 64-bit binary fraction still fits
_LARGEST_POWER: Final = 15  # 2**53 - 1 is 9.0e15: nothing with a higher leading digit can pass
_EXACT: Final = Context(prec=2 * _LONGEST_TEXT, rounding=ROUND_HALF_UP)


def currency_code(value: object) -> str | None:
    """The ISO 4217 code in upper case, or None unless it is an accepted one (Conversions API: section 4)."""
    if isinstance(value, str) and value in EXPONENTS:
        return value
    if not isinstance(value, str) or not value.isascii():  # "uſd".upper() is "USD"
        return None
    code = value.strip().upper()
    return code if code in EXPONENTS else None


def minor_units(amount: object, currency: str) -> int | None:
    """A decimal amount in major units ("149.00", `Decimal`, `int`) as integer minor units of `currency`.

    The decimals of the text play no part: "4510" and "4510.00" JPY are both 4510 (Shopify: payload fields). Surplus
    decimals are rounded half up. None for an unknown currency and for everything that is not a plain, finite,
    non-negative number up to `LARGEST_AMOUNT`: no exponents, thousands separators, signs of currencies or underscores.

    Raises TypeError for a float: JSON has to be read with `parse_float=Decimal`, or 1.005 is already lost.
    """
    if isinstance(amount, float):
        raise TypeError("money is never a float; read JSON with parse_float=Decimal")
    code = currency_code(currency)
    number = _decimal(amount)
    if code is None or number is None or number < 0:
        return None
    places = EXPONENTS[code]
    units = int(number.quantize(Decimal(1).scaleb(-places), context=_EXACT).scaleb(places, context=_EXACT))
    return units if units <= LARGEST_AMOUNT else None


def from_stripe(amount: int, currency: str) -> int | None:
    """Stripe's integer amount as integer ISO 4217 minor units of `currency` (Stripe: currencies).

    Three currencies differ from ISO 4217 at Stripe: ISK and UGX are given in hundredths but have no decimals (rounded
    half up), MGA is given in whole units but has two. All others are the same. None for an unknown currency, a negative
    amount, one above `LARGEST_AMOUNT`, and what is no `int`.
    """
    code = currency_code(currency)
    if code is None or isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
        return None
    if code in ("ISK", "UGX"):
        amount = (amount + 50) // 100
    elif code == "MGA":
        amount *= 100
    return amount if amount <= LARGEST_AMOUNT else None


def _decimal(amount: object) -> Decimal | None:
    """The number as `Decimal`, or None; never one whose size could cost memory or time."""
    if isinstance(amount, bool):  # JSON true is no amount, although Python counts it as 1
        return None
    if isinstance(amount, int):
        return Decimal(amount) if abs(amount) <= LARGEST_AMOUNT else None
    if isinstance(amount, str):
        text = amount.strip() if len(amount) <= _LONGEST_TEXT else ""
        if not _PLAIN_DECIMAL.fullmatch(text):
            return None
        amount = Decimal(text)
    if not isinstance(amount, Decimal) or not amount.is_finite():
        return None
    if not amount:
        return Decimal(0)
    return amount if amount.adjusted() <= _LARGEST_POWER else None
