"""What must hold for any text: money, identity and click rules against independent oracles."""

import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
import phonenumbers.re_util
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from conversion_relay import click, identity, money

quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Any text at all: every character, with lone surrogates, NULs and the characters that the rules look at made frequent.
wild_text = st.text(
    st.one_of(
        st.characters(exclude_categories=()), st.sampled_from("\ud800\udfff\x00\x85\n \u3000@?#&=/\\%+.:;[]()-01aİΣß")
    )
)
currencies = st.sampled_from(sorted(money.EXPONENTS))
EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

printable = st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"])
HASHED = [identity.email, identity.phone, identity.external_id, identity.name]
ACCEPTED = [
    (identity.normalized_email, st.emails() | st.text(printable, min_size=1, max_size=60).map("İΣ{}@Ⅷ.example".format)),
    (identity.normalized_external_id, st.integers(1, 2**64) | st.text(printable, min_size=10)),
    (identity.normalized_name, st.text(printable).map("aΣ {}".format)),
    (identity.city, st.text(printable, min_size=1, max_size=128)),
    (identity.region, st.text(printable, min_size=1, max_size=128)),
    (identity.postal_code, st.from_regex("[A-Za-z0-9][A-Za-z0-9 -]{0,31}", fullmatch=True)),
    (identity.country, st.sampled_from(["us", "De", "GB", "jP"])),
    (identity.ip_address, st.ip_addresses().map(str).filter(lambda text: text not in ("0.0.0.0", "::"))),  # noqa: S104
    (identity.user_agent, st.text(printable, min_size=1)),
    (identity.android_advertising_id, st.uuids().map(str)),
]


# --- money ------------------------------------------------------------------------------------------------------------


@quick
@given(st.integers(0, money.LARGEST_AMOUNT), currencies, st.integers(0, 20))
def test_money_written_in_major_units_comes_back_as_the_same_minor_units(units: int, currency: str, zeros: int) -> None:
    places = money.EXPONENTS[currency]
    amount = Decimal(units) / 10**places
    text = f"{amount:.{places + zeros}f}" if places + zeros else str(units)
    assert money.minor_units(text, currency) == units
    assert money.minor_units(Decimal(text), currency.lower()) == units


@quick
@given(st.from_regex(r"-?[0-9]{0,18}(\.[0-9]{0,12})?", fullmatch=True), currencies)
def test_money_is_rounded_half_up_as_fractions_have_it(text: str, currency: str) -> None:
    assume(re.search("[0-9]", text))
    exact = Fraction(Decimal(text)) * 10 ** money.EXPONENTS[currency]
    rounded = floor(exact + Fraction(1, 2))
    expected = rounded if exact >= 0 and rounded <= money.LARGEST_AMOUNT else None
    assert money.minor_units(text, currency) == expected
    assert money.minor_units(Decimal(text), currency) == expected


@quick
@given(st.one_of(wild_text, st.decimals(), st.integers(), st.none(), st.booleans()), st.one_of(currencies, wild_text))
def test_money_is_an_int_in_range_or_nothing(amount: Any, currency: str) -> None:
    for units in (money.minor_units(amount, currency), money.from_stripe(amount, currency)):
        assert units is None or (type(units) is int and 0 <= units <= money.LARGEST_AMOUNT)


@quick
@given(st.integers(0, 10**12), currencies)
def test_only_three_currencies_change_between_stripe_and_iso(amount: int, currency: str) -> None:
    expected = {
        "ISK": floor(Fraction(amount, 100) + Fraction(1, 2)),
        "UGX": floor(Fraction(amount, 100) + Fraction(1, 2)),
        "MGA": amount * 100,
    }.get(currency, amount)
    assert money.from_stripe(amount, currency) == expected


# --- identity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hashed", HASHED)
@quick
@given(value=st.one_of(wild_text, st.none(), st.integers(), wild_text.map(lambda text: f"a{text}@b")))
def test_a_hash_is_a_digest_of_something_or_nothing(hashed: Callable[[object], str | None], value: object) -> None:
    digest = hashed(value)
    assert digest is None or (re.fullmatch("[0-9a-f]{64}", digest) and digest != EMPTY_DIGEST)


@pytest.mark.parametrize(("rule", "good"), ACCEPTED, ids=lambda value: getattr(value, "__name__", ""))
@settings(quick, max_examples=100)
@given(data=st.data(), blanks=st.sampled_from(["", " ", "\n\t", "\u3000"]))
def test_good_values_pass_and_come_out_the_same_the_second_time(
    rule: Callable[[object], str | None], good: st.SearchStrategy[str | int], data: st.DataObject, blanks: str
) -> None:
    value = data.draw(good)
    once = rule(f"{blanks}{value}{blanks}")
    assert once is not None
    assert once.encode()
    assert rule(once) == once
    assert rule(value) == once


@pytest.mark.parametrize("rule", [rule for rule, _ in ACCEPTED])
@quick
@given(value=wild_text)
def test_no_text_breaks_a_rule(rule: Callable[[object], str | None], value: str) -> None:
    once = rule(value)
    assert once is None or rule(once) == once


@quick
@given(wild_text, st.one_of(st.none(), wild_text, st.sampled_from(["US", "DE", "AR", "JP"])))
def test_a_phone_is_8_to_15_digits_and_stable_or_nothing(value: str, region: str | None) -> None:
    number = identity.normalized_phone(value, region=region)
    assert number is None or re.fullmatch("[1-9][0-9]{7,14}", number)


phonenumbers.re_util.enable_pattern_cache()  # the oracle would otherwise compile each pattern each time
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = (0, 1, 1, 2, 3, 6)  # fixed line, mobile (twice as often), toll free, premium, VoIP


@st.composite
def dialled_numbers(draw: st.DrawFn) -> tuple[str, str | None]:
    """Digits as people type them, near real numbers of a region, and the region that they are taken to be from."""
    region = draw(st.sampled_from(REGIONS))
    example = phonenumbers.example_number_for_type(region, draw(st.sampled_from(KINDS)))
    if example is None or draw(st.integers(0, 9)) == 0:
        national = draw(st.from_regex("[0-9]{4,14}", fullmatch=True))
    else:
        digits = list(phonenumbers.national_significant_number(example))
        for place, digit in draw(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("0123456789")), max_size=4)):
            digits[place % len(digits)] = digit
        national = "".join(digits)
    code = str(phonenumbers.country_code_for_region(region))
    trunk = phonenumbers.ndd_prefix_for_region(region, True) or "0"
    prefixes = ["", trunk, "0", "1", code, f"+{code}", f"+{code}{trunk}", f"+{code}0", f"00{code}", f"+00{code}", "+"]
    prefix = draw(st.sampled_from([*prefixes, f"011{code}", f"{code}{trunk}", f"0011{code}", f"810{code}"]))
    return prefix + national, draw(
        st.sampled_from([region, region, region, None, "US", draw(st.sampled_from(REGIONS))])
    )


@st.composite
def real_numbers(draw: st.DrawFn) -> phonenumbers.PhoneNumber:
    """A valid number of any region: an example, with a few digits changed where that leaves it valid."""
    region = draw(st.sampled_from(REGIONS))
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in KINDS]
    example = draw(st.sampled_from([each for each in examples if each is not None]))
    digits = list(e164(example))
    for place, digit in draw(st.lists(st.tuples(st.integers(3, 30), st.sampled_from("0123456789")), max_size=4)):
        digits[place % len(digits)] = digit
    changed = "+" + "".join(digits)
    return phonenumbers.parse(changed if valid(changed) == changed[1:] else f"+{e164(example)}")


def e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def parsed(text: str, region: str | None = None) -> str | None:
    try:
        return e164(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return None


def valid(text: str, region: str | None = None) -> str | None:
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return e164(number) if phonenumbers.is_valid_number(number) else None


@settings(quick, max_examples=500)
@given(dialled_numbers())
def test_never_a_wrong_phone_number(case: tuple[str, str | None]) -> None:
    """Whatever comes out is libphonenumber's own reading, and a valid number unless it was written with a plus."""
    dialled, region = case
    number = identity.normalized_phone(dialled, region=region)
    if number is None:
        return  # never wrong; the next property and the examples of all regions show that it is not the easy way out
    if dialled.startswith("+00"):
        assert number == valid("+" + dialled[3:])
    elif dialled.startswith("+"):
        assert number == parsed(dialled)
    elif region is None or valid(dialled, region) is None:
        assert number == valid("+" + dialled.removeprefix("00"))
        assert region is not None or len(number) >= 11 or dialled.startswith("00")
    else:
        assert number == valid(dialled, region)


@settings(quick, max_examples=300)
@given(real_numbers(), st.sampled_from([None, "US", "DE", "AR"]))
def test_every_valid_international_number_is_found(number: phonenumbers.PhoneNumber, region: str | None) -> None:
    digits = e164(number)
    expected = digits if len(digits) >= 8 and digits not in identity._WITHHELD else None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    assert identity.normalized_phone(f"+{digits}", region=region) == expected
    assert identity.normalized_phone(written, region=region) == expected
    assert identity.normalized_phone(f"00{digits}") == expected


@quick
@given(dialled_numbers(), st.lists(st.sampled_from(["", "", " ", "-", ".", "(", ")", "\u00a0", "\t"]), min_size=40))
def test_separators_change_no_phone_number(case: tuple[str, str | None], separators: list[str]) -> None:
    dialled, region = case
    written = "".join(separator + digit for separator, digit in zip(separators, dialled, strict=False))
    assume(len(written) <= 64)
    assert identity.normalized_phone(written, region=region) == identity.normalized_phone(dialled, region=region)


@quick
@given(dialled_numbers())
def test_a_normalised_phone_number_with_a_plus_is_itself(case: tuple[str, str | None]) -> None:
    dialled, region = case
    number = identity.normalized_phone(dialled, region=region)
    assert number is None or identity.normalized_phone(f"+{number}", region=region) == number


# --- click ------------------------------------------------------------------------------------------------------------

no_blanks = st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], exclude_characters="&#")
tokens = st.text(no_blanks, min_size=1, max_size=60)
names = st.text(no_blanks, max_size=12).map(lambda text: text.replace("=", "")).filter(lambda name: name != "oppref")
parameters = st.lists(st.tuples(names, tokens).map("=".join), max_size=5)
paths = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"], exclude_characters="?#"), max_size=20)


@quick
@given(tokens, parameters, parameters, paths, st.one_of(st.just(""), wild_text.map(lambda text: f"#{text}")))
def test_oppref_survives_byte_for_byte(
    token: str, before: list[str], after: list[str], path: str, fragment: str
) -> None:
    query = "&".join((*before, f"oppref={token}", *after))
    assert click.oppref_from_url(f"/{path}?{query}{fragment}") == token
    assert click.oppref_from_url(f"https://shop.example/{path}?{query}{fragment}") == token


@quick
@given(parameters, paths, wild_text)
def test_no_oppref_is_made_up(others: list[str], path: str, fragment: str) -> None:
    assert click.oppref_from_url(f"/{path}?{'&'.join(others)}#{fragment}&oppref=x") is None


@quick
@given(wild_text)
def test_a_reference_is_the_value_itself_or_nothing(value: str) -> None:
    assert click.reference(value) in (value, None)
    for found in (click.oppref_from_url(value), click.obref_from_url(value), *click.from_cookie_header(value)):
        assert found is None or (found in value and found.strip() and found.encode())


@quick
@given(
    st.one_of(
        wild_text,
        wild_text.map(lambda text: f"/{text}"),
        wild_text.map(lambda text: f"//{text}"),
        wild_text.map(lambda text: f"https://{text}"),
        wild_text.map(lambda text: f"https://shop.example{text}"),
        st.tuples(wild_text, wild_text).map(lambda pair: f"http://{pair[0]}@{pair[1]}/x"),
    ),
    st.one_of(st.none(), wild_text, st.sampled_from(["https://shop.example", "http://shop.example:8080/"])),
)
def test_a_source_url_is_always_an_http_address_with_nothing_to_hide(url: str, origin: str | None) -> None:
    found = click.source_url(url, origin=origin)
    if found is None:
        return
    parts = urlsplit(found)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert "@" not in parts.netloc
    assert "?" not in found
    assert "#" not in found
    assert not re.search(r"[\s\x00-\x1f\x7f-\x9f\\]", found)
    assert len(found.encode()) > 0
    assert len(found) <= click.LONGEST_URL
    assert click.source_url(found, origin=None) == found


@quick
@given(wild_text)
def test_a_path_never_changes_the_host(path: str) -> None:
    found = click.source_url(f"/{path}", origin="https://shop.example")
    assert found is not None
    assert urlsplit(found).netloc == "shop.example"


@quick
@given(wild_text)
def test_campaign_names_are_clean_text(query: str) -> None:
    for name, value in click.utm(f"/?utm_source={query}&utm_term=x&{query}").items():
        assert name.startswith("utm_")
        assert value.strip()
        assert value.encode()
        assert len(value) <= click.LONGEST_UTM
