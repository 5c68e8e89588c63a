"""Golden vectors of the contract, what must give no value, and phone numbers against libphonenumber."""

import hashlib
import json
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from conversion_relay import identity, phone_regions
from tools import make_phone_regions

GOLDEN = json.loads((Path(__file__).parent.parent / "cases" / "golden_identity.json").read_text(encoding="utf-8"))
HASH = {
    "email": identity.email,
    "phone": identity.phone,
    "external_id": identity.external_id,
    "name": identity.name,
}
NORMALIZED = {
    "email": identity.normalized_email,
    "phone": identity.normalized_phone,
    "external_id": identity.normalized_external_id,
    "name": identity.normalized_name,
}
SINGLE_FIELDS = [
    identity.city,
    identity.region,
    identity.postal_code,
    identity.country,
    identity.ip_address,
    identity.user_agent,
    identity.android_advertising_id,
]


def golden(*fields: str) -> list[Any]:
    return [pytest.param(field, case, id=f"{field}-{case['input']!r}") for field in fields for case in GOLDEN[field]]


@pytest.mark.parametrize(("field", "case"), golden("email", "phone", "external_id", "name"))
def test_golden_vectors(field: str, case: dict[str, str]) -> None:
    assert NORMALIZED[field](case["input"]) == case["normalized"]
    assert HASH[field](case["input"]) == case["digest"]


@pytest.mark.parametrize("case", GOLDEN["phone_with_region"], ids=lambda case: f"{case['input']}-{case['region']}")
def test_golden_vectors_of_national_numbers(case: dict[str, str]) -> None:
    assert identity.normalized_phone(case["input"], region=case["region"]) == case["normalized"]
    assert identity.phone(case["input"], region=case["region"]) == case["digest"]


@pytest.mark.parametrize("case", GOLDEN["no_value"], ids=lambda case: f"{case['field']}-{case['input']!r}")
def test_golden_inputs_that_give_no_value(case: dict[str, str]) -> None:
    options = {"region": case["region"]} if "region" in case else {}
    assert HASH[case["field"]](case["input"], **options) is None


def test_golden_vectors_are_all_there() -> None:
    assert {field: len(cases) for field, cases in GOLDEN.items() if field != "about"} == {
        "email": 9, "phone": 11, "external_id": 10, "name": 14, "phone_with_region": 4, "no_value": 36,
    }  # fmt: skip


@pytest.mark.parametrize(
    "value", ["a@b", "a@b@c", "käse@bücher.example", "a.b+tag@shop.example", "x" * 300 + "@shop.example"]
)
def test_emails_that_stay_as_they_are(value: str) -> None:
    assert identity.normalized_email(value) == value
    assert identity.email(value) == hashlib.sha256(value.encode()).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        "@",
        "ada",
        "ada@",
        "ada@@",
        "@shop.example",
        "ada lovelace@shop.example",
        "Ada <ada@shop.example>",
        "ada@shop.example\x00",
        "ada@shop\n.example",
        "ada\ud800@shop.example",
        "x" * 320 + "@shop.example",
        "İ" * 200 + "@shop.example",
        5,
        True,
        b"ada@shop.example",
        ["ada@shop.example"],
    ],
)
def test_what_is_no_email(value: object) -> None:
    assert identity.email(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7412369850123, "7412369850123"),
        (-5, "-5"),
        (" Null_1 ", "Null_1"),
        ("00", "00"),
        (2**128 - 1, str(2**128 - 1)),
        ("two words", "two words"),
    ],
)
def test_external_ids(value: object, expected: str) -> None:
    assert identity.normalized_external_id(value) == expected


@pytest.mark.parametrize(
    "value", [0, "0", " null", "NULL", "None", "nil", "NaN", "undefined", True, False, 1.5, "\ud800", [7]]
)
def test_what_programs_write_for_no_id_is_no_id(value: object) -> None:
    assert identity.external_id(value) is None


@pytest.mark.parametrize(
    ("value", "expected"), [("Zoë 🏔️", "zoë🏔️"), ("J. R. R.\u00a0", "jrr"), ("İ", "i̇"), ("ΑΣ", "ας"), ("a_b", "ab")]
)
def test_names(value: str, expected: str) -> None:
    assert identity.normalized_name(value) == expected


@pytest.mark.parametrize("value", ["\u3000", "- . -", "\ud83d", 7, None, {}])
def test_what_is_no_name(value: object) -> None:
    assert identity.name(value) is None


@pytest.mark.parametrize(
    ("value", "region", "expected"),
    [
        pytest.param("+44 (0)20 7946 0958", None, "442079460958", id="(0) resolved"),
        pytest.param("+49 (0)171 2345678", "US", "491712345678", id="the region plays no part after plus"),
        pytest.param("+39 (0)6 12345678", None, "390612345678", id="in Italy the 0 belongs to the number"),
        pytest.param("+1 (0) 415 555 2671", None, None, id="(0) where there is no such prefix"),
        pytest.param("+44 21 7946 0958", None, "442179460958", id="fits the plan, no such area"),
        pytest.param("+44 (0)21 7946 0958", None, None, id="(0) where there is no such area"),
        pytest.param("+44 (0)20 7946 095", None, None, id="(0) before an invalid number"),
        pytest.param("+0049 171 2345678", None, "491712345678", id="plus and 00"),
        pytest.param("+0171 2345678", "DE", None, id="plus before a national form"),
        pytest.param("+0049 000 2345678", None, None, id="plus and 00 before an invalid number"),
        pytest.param("++49 171 2345678", None, None, id="two pluses"),
        pytest.param("49+171 2345678", None, None, id="plus inside"),
        pytest.param("+210 171 2345678", None, None, id="calling code of nobody"),
        pytest.param("+1 983 555 0177", None, "19835550177", id="fits the plan"),
        pytest.param("+1 555 555 0177", None, "15555550177", id="fits the plan, area code not open yet"),
        pytest.param("555 555 0177", "US", None, id="national form with an area code that is not open"),
        pytest.param("+1 123 555 0177", None, None, id="does not fit the plan"),
        pytest.param("+49 1", None, None, id="nothing behind the calling code"),
        pytest.param("+870 773 111 632", None, "870773111632", id="satellite"),
        pytest.param("870773111632", None, None, id="services have no bare form"),
        pytest.param("001 415 555 2671", "US", "14155552671", id="00 from where it is not dialled"),
        pytest.param("0049 171 2345678", "FR", "491712345678", id="00 from where it is dialled"),
        pytest.param("011 49 171 2345678", "US", "491712345678", id="011 from the United States"),
        pytest.param("011 49 171 2345678", None, None, id="011 from nowhere"),
        pytest.param("0011 61 412 345 678", None, None, id="0011 from nowhere"),
        pytest.param("0011 61 412 345 678", "AU", "61412345678", id="0011 from Australia"),
        pytest.param("000 49 171 2345678", None, None, id="too many zeros"),
        pytest.param("1 512 555 0177", "US", "15125550177", id="national prefix of the United States"),
        pytest.param("15125550177", None, "15125550177", id="bare with country code"),
        pytest.param("447911123456", None, "447911123456", id="bare British"),
        pytest.param("33 6 12 34 56 78", None, "33612345678", id="bare French"),
        pytest.param("79161234567", None, "79161234567", id="bare Russian with 7"),
        pytest.param("5511961234567", None, "5511961234567", id="bare Brazilian with country code"),
        pytest.param("31 96123-4567", None, None, id="a Brazilian could be Dutch"),
        pytest.param("33 99123-4567", None, None, id="a Brazilian could be French"),
        pytest.param("8 (867) 245-59-05", None, None, id="a Russian could be Taiwanese"),
        pytest.param("4512345678", None, None, id="bare, 10 digits"),
        pytest.param("4402079460958", None, None, id="bare with a prefix inside"),
        pytest.param("111 2345 6789", None, None, id="bare, invalid"),
        pytest.param("21961234567", None, None, id="bare, calling code of nobody"),
        pytest.param("491712345678", "DE", None, id="two valid readings"),
        pytest.param("447911123456", "GB", "447911123456", id="own calling code without plus"),
        pytest.param("447911123456", "US", None, id="foreign calling code without plus"),
        pytest.param("11 15-2345-6789", "AR", "5491123456789", id="Argentina moves the 15 to the front as a 9"),
        pytest.param("+54 11 15-2345-6789", None, "5491123456789", id="Argentina, with plus"),
        pytest.param("011 2345-6789", "AR", "541123456789", id="Argentina, fixed line"),
        pytest.param("460 1234", "AG", "12684601234", id="seven digits on Antigua"),
        pytest.param("000 423 1234", "UY", "5980004231234", id="Uruguay's free numbers begin with what dials abroad"),
        pytest.param("+375 801 123 4567", None, "3758011234567", id="80 belongs to the number, not to the prefix"),
        pytest.param("386 0 0901 2345", "SI", "3869012345", id="too long without taking the calling code off"),
        pytest.param("+1 1 310 1234", None, None, id="too short when the 1 is taken off"),
        pytest.param("2001", "SH", None, id="too short for a hash, though valid: 290 2001"),
        pytest.param("512-555-0177", "us", "15125550177", id="region in lower case"),
        pytest.param("512-555-0177", "USA", None, id="no such region"),
        pytest.param("773 111 632", "001-870", None, id="services are no region"),
        pytest.param("512-555-0177", "AQ", None, id="region without numbers"),
        pytest.param("7378742833", "US", None, id="RESTRICTED, though Austin has such a number"),
        pytest.param("+1 737 874 2833", "US", "17378742833", id="Austin with its country code"),
        pytest.param("００４９１７１２３４５６７８", None, None, id="digits of another script"),
        pytest.param("\u00a0+49\u2009171\t2345678\n", None, "491712345678", id="all whitespace"),
        pytest.param("+49‑171‑2345678", None, None, id="a hyphen that is not ASCII"),
        pytest.param("+49171\ud8002345678", None, None, id="lone surrogate"),
        pytest.param("+49 171 2345678\x00", None, None, id="NUL"),
        pytest.param("+7 727 258 1234", None, "77272581234", id="Kazakhstan shares 7 with Russia"),
        pytest.param("8 (727) 258-12-34", "KZ", "77272581234", id="Kazakhstan, national"),
        pytest.param("07624 312 345", "GB", "447624312345", id="an Isle of Man number dialled in Britain"),
        pytest.param("01624 100 000", "GB", None, id="leading digits of the Isle of Man, but no number there"),
    ],
)
def test_phones(value: str, region: str | None, expected: str | None) -> None:
    assert identity.normalized_phone(value, region=region) == expected


@pytest.mark.parametrize("value", [15125550177, True, ["+15125550177"], b"+15125550177"])
def test_a_phone_number_is_text(value: object) -> None:
    assert identity.phone(value) is None


# 0 fixed line, 1 mobile, ... 10 voicemail: libphonenumber has an example of each kind for each region.
EXAMPLES = [
    (region, kind, number)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    for kind in range(11)
    if (number := phonenumbers.example_number_for_type(region, kind)) is not None
]
NATIONAL = phonenumbers.PhoneNumberFormat.NATIONAL
FORMATS = (NATIONAL, phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164)


def e164(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]


def test_example_numbers_of_every_region_come_out_as_libphonenumber_has_them() -> None:
    texts = [
        (region, kind, phonenumbers.format_number(number, form), e164(number))
        for region, kind, number in EXAMPLES
        for form in FORMATS
    ]
    results = [(*case, identity.normalized_phone(case[2], region=case[0])) for case in texts]
    assert [case for case in results if case[4] not in (None, case[3])] == []
    fixed_and_mobile = [case for case in results if case[1] in (0, 1) and len(case[3]) >= 8]
    assert len(fixed_and_mobile) > 1_300
    assert [case for case in fixed_and_mobile if case[4] is None] == []
    assert sum(case[4] is None for case in results) < 0.01 * len(results)


def test_national_forms_of_the_whole_world_are_not_taken_for_international_numbers() -> None:
    texts = [
        (region, phonenumbers.format_number(number, NATIONAL)) for region, kind, number in EXAMPLES if kind in (0, 1)
    ]
    taken = [(region, text) for region, text in texts if identity.normalized_phone(text) is not None]
    # A Chinese mobile number reads as an American one with its country code, as in the API's own example.
    assert taken == [("CN", "131 2345 6789")]


def test_the_table_of_regions_is_what_its_generator_writes() -> None:
    assert Path(phone_regions.__file__) == make_phone_regions.TARGET
    assert make_phone_regions.TARGET.read_text(encoding="utf-8") == make_phone_regions.module()


@pytest.mark.parametrize("field", [identity.email, identity.phone, *SINGLE_FIELDS])
def test_a_huge_text_is_no_value(field: Any) -> None:
    assert field("1" * 5_000_000) is None
    assert field(" " * 5_000_000) is None


def test_a_huge_id_or_name_is_hashed_like_any_other_but_a_huge_number_is_no_id() -> None:
    assert identity.external_id("x" * 5_000_000) is not None
    assert identity.name("x" * 5_000_000) is not None
    assert identity.external_id(10**5_000) is None


@pytest.mark.parametrize("field", [identity.city, identity.region])
def test_places_are_trimmed_only(field: Any) -> None:
    assert field(" München ") == "München"
    assert field("渋谷区") == "渋谷区"
    assert field("x" * 128) == "x" * 128
    assert field("x" * 129) is None
    assert field("Aus\ntin") is None


@pytest.mark.parametrize("value", ["94107", "150-0001", "SW1A 1AA", "K1A 0B1", "x" * 32])
def test_postal_codes(value: str) -> None:
    assert identity.postal_code(f" {value} ") == value


@pytest.mark.parametrize("value", ["-", "- -", "x" * 33, "94107!", "94\t107", "１５０", "12é4", "941\n"[:3] + "\n7"])
def test_what_is_no_postal_code(value: str) -> None:
    assert identity.postal_code(value) is None


@pytest.mark.parametrize(("value", "expected"), [("US", "US"), (" de ", "DE"), ("gb", "GB"), ("SX", "SX")])
def test_countries(value: str, expected: str) -> None:
    assert identity.country(value) == expected


@pytest.mark.parametrize("value", ["USA", "Ireland", "UK", "XK", "EU", "ZZ", "AN", "ß", "U", "ſe", "U1"])
def test_what_is_no_country(value: str) -> None:
    assert identity.country(value) is None


@pytest.mark.parametrize(
    "value", ["203.0.113.7", "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "::ffff:203.0.113.7", "10.0.0.1"]
)
def test_ip_addresses_stay_as_they_are(value: str) -> None:
    assert identity.ip_address(f" {value}\n") == value


@pytest.mark.parametrize(
    "value",
    [
        "10.0.0.300",
        "0.0.0.0",  # noqa: S104
        "::",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "203.0.113.0/24",
        "010.0.0.1",
        "203.0.113",
        "3405803783",
        "１.2.3.4",
        "1" * 46,
        "\ud800",
    ],
)
def test_what_is_no_ip_address(value: str) -> None:
    assert identity.ip_address(value) is None


def test_user_agents() -> None:
    agent = (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
    )
    assert identity.user_agent(f" {agent} ") == agent
    assert identity.user_agent("x" * 2_048) == "x" * 2_048
    assert identity.user_agent("x" * 2_049) is None
    assert identity.user_agent("Mozilla\r\nX: y") is None
    assert identity.user_agent("Mozilla\ud800") is None


@pytest.mark.parametrize("value", ["38400000-8cf0-11bd-b23e-10b96e40000d", "38400000-8CF0-11BD-B23E-10B96E40000D"])
def test_android_advertising_ids(value: str) -> None:
    assert identity.android_advertising_id(f" {value} ") == value


@pytest.mark.parametrize(
    "value",
    [
        "00000000-0000-0000-0000-000000000000",
        "384000008cf011bdb23e10b96e40000d",
        "{38400000-8cf0-11bd-b23e-10b96e40000d}",
        "38400000-8cf0-11bd-b23e-10b96e40000",
        "38400000-8cf0-11bd-b23e-10b96e40000g",
    ],
)
def test_what_is_no_android_advertising_id(value: str) -> None:
    assert identity.android_advertising_id(value) is None


@pytest.mark.parametrize("field", SINGLE_FIELDS)
@pytest.mark.parametrize("value", [None, "", "  ", 7, True, ["x"], {"a": 1}, b"x", "\ud800"])
def test_single_fields_without_a_value(field: Any, value: object) -> None:
    assert field(value) is None
