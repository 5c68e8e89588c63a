"""Whom an event is about: text normalised and hashed, or left out (Conversions API: `user`).

A value that cannot match anybody, or that would match the wrong person, yields None: half a phone number, a word for a
withheld caller, a name of nothing but dots. No function here raises, whatever a webhook puts into a field.

Each hashed field has two functions: `normalized_email` gives the text, `email` its SHA-256 as 64 lower-case hex digits.
"""

import hashlib
import ipaddress
import re
import string
from functools import cache, lru_cache
from typing import Final, NamedTuple

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def email(value: object) -> str | None:
    """SHA-256 of the normalised e-mail address."""
    return _digest(normalized_email(value))


def phone(value: object, *, region: str | None = None) -> str | None:
    """SHA-256 of the normalised phone number; see `normalized_phone`."""
    return _digest(normalized_phone(value, region=region))


def external_id(value: object) -> str | None:
    """SHA-256 of the normalised external id (text or int)."""
    return _digest(normalized_external_id(value))


def name(value: object) -> str | None:
    """SHA-256 of the normalised first or last name."""
    return _digest(normalized_name(value))


# --- e-mail, external id, name ----------------------------------------------------------------------------------------

_LONGEST_EMAIL: Final = 320  # RFC 3696: 64 + 1 + 255
_NOT_IN_EMAIL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]")


def normalized_email(value: object) -> str | None:
    """Trimmed and in Unicode lower case, nothing else: no NFKC, the tag after "+" stays (Conversions API: `user`).

    None for what cannot be an address: nothing before or after the "@", blanks or control characters inside, or more
    than 320 characters.
    """
    text = (_text(value) or "").lower()
    if len(text) > _LONGEST_EMAIL or _NOT_IN_EMAIL.search(text):
        return None
    local, _, domain = text.rpartition("@")
    return text if local and domain else None


# What programs write for "no id". Hashed, each would become one identity that all guests share.
_NO_ID: Final = frozenset({"0", "null", "none", "nil", "nan", "undefined"})
_WIDEST_ID: Final = 128  # bits; a UUID as a number still fits


def normalized_external_id(value: object) -> str | None:
    """Trimmed, case kept; an int as its decimal text (Conversions API: `user`).

    None for a bool and for what programs write when there is no id: 0, null, none, nil, nan, undefined.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _WIDEST_ID:
        value = str(value)
    text = _text(value)
    return None if text is None or text.lower() in _NO_ID else text


_DROP_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalized_name(value: object) -> str | None:
    """Lower case, without whitespace and ASCII punctuation; accents, other scripts and emoji stay.

    Source: Conversions API, `user`. The typographic apostrophe is not ASCII and stays.
    """
    text = _text(value)
    return None if text is None else "".join(text.lower().split()).translate(_DROP_PUNCTUATION) or None


# --- phone ------------------------------------------------------------------------------------------------------------

_LONGEST_PHONE_TEXT: Final = 64
_DROP_SEPARATORS: Final = str.maketrans("", "", "().-")
_DIALLED: Final = re.compile(r"\+?[0-9]{4,24}")
_E164: Final = re.compile(r"[1-9][0-9]{7,14}")

# ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE on a keypad: what a carrier reports as the number of a caller
# who withholds it. Three of them are as long as a phone number and would be one identity for all those callers.
_WITHHELD: Final = frozenset({"266696687", "7378742833", "2562533", "8656696", "86282452253"})

_INTERNATIONAL: Final = "00"  # what most of the world dials before a calling code
_NORTH_AMERICA: Final = "1"
_SHORTEST_BARE: Final = 11
# Where people write numbers of 11 digits that do not begin with 0 and may look like another country's calling code:
# Brazil's mobiles have no prefix at all, Russia and Kazakhstan dial an 8 first. (China's mobiles are the third such
# kind; they always begin with 1, and there the API's own example, an American number, decides.)
_WRITTEN_LIKE_INTERNATIONAL: Final = ("BR", "RU")


class _Plan(NamedTuple):
    """A line of `phone_regions.PLANS`."""

    region: str
    calling_code: str
    international_prefix: str
    national_prefix: str
    transform: str
    fits: str
    lengths: str
    leading_digits: str
    valid: str


class _Reading(NamedTuple):
    """A number as read: calling code, national number, and whether it is all there as written."""

    calling_code: str
    national: str
    as_written: bool

    @property
    def e164(self) -> str:
        return self.calling_code + self.national


def normalized_phone(value: object, *, region: str | None = None) -> str | None:
    """Digits with country code, without plus, 8 to 15 of them; None where that would take a guess.

    Whitespace, "(", ")", "." and "-" are dropped and nothing else (Conversions API: `user`), so extensions, slashes and
    words such as "anonymous" give None, as do the keypad numbers of withheld callers (Twilio: caller id). Then:

    "+" or "00"   An international number. With "+" it has to fit the numbering plan of its calling code. Where a digit
                  is dropped besides, as the "(0)" of "+44 (0)20 7946 0958", and after "00", it has to be fully valid.
    `region`      ISO 3166-1 alpha-2: the number may be in the national form of that region, or with its way to dial
                  abroad, or its calling code without plus; it has to be fully valid. Two valid readings give None.
    neither       Bare digits pass only as the API's own example "14155552671": a fully valid international number of
                  at least 11 digits that does not begin with 0 and could not be a Brazilian or Russian national form.
                  All national forms give None: never guess.

    "Fit" and "valid" are libphonenumber's notions; the result is always what libphonenumber gives for the number.
    """
    if not isinstance(value, str) or len(value) > _LONGEST_PHONE_TEXT:
        return None
    dialled = "".join(value.split()).translate(_DROP_SEPARATORS)
    if not _DIALLED.fullmatch(dialled) or dialled.lstrip("+0") in _WITHHELD:
        return None
    home = _plans().get(region.upper()) if isinstance(region, str) and region.isalpha() else None
    if dialled.startswith("+"):
        number = _after_plus(dialled[1:])
    elif home is not None:
        number = _dialled_in(home, dialled)
    elif dialled.startswith(_INTERNATIONAL):
        number = _valid(_international(dialled[2:]))
    else:
        number = _bare(dialled)
    return number if number is not None and _E164.fullmatch(number) else None


def _after_plus(digits: str) -> str | None:
    if digits.startswith(_INTERNATIONAL):  # "+0049…": some forms put the plus before whatever was typed
        return _valid(_international(digits[2:]))
    reading = _international(digits)
    if reading is None or not reading.as_written:
        return _valid(reading)
    # Not the stricter "valid": new area codes open every year, and a carrier's own number must not fail an old table.
    return reading.e164 if _fits(_main_plan(reading.calling_code), reading.national) else None


def _dialled_in(home: _Plan, digits: str) -> str | None:
    """Every way to read the digits in that region, if they all come to one number."""
    readings = {_valid(_national(digits, home))}
    if digits.startswith(_INTERNATIONAL):
        readings.add(_valid(_international(digits[2:])))
    if digits.startswith(home.calling_code):
        # "491712345678" is a mobile number with its country code to a person, and a valid one of a small town, without
        # the leading 0, to libphonenumber.
        readings.add(_valid(_international(digits)))
    readings.discard(None)
    return readings.pop() if len(readings) == 1 else None


def _bare(digits: str) -> str | None:
    reading = _international(digits)
    if reading is None or not reading.as_written or len(digits) < _SHORTEST_BARE:
        return None
    number = _valid(reading)
    if number is None or _main_plan(reading.calling_code).region.startswith("001-"):
        return None  # a calling code of services, nobody's home
    if reading.calling_code != _NORTH_AMERICA:
        at_home = {_valid(_national(digits, _plans()[home])) for home in _WRITTEN_LIKE_INTERNATIONAL}
        if at_home - {None, number}:
            return None
    return number


# The rest follows `parse` and `is_valid_number` of libphonenumber (Apache-2.0) step by step, for text of ASCII digits.


@cache
def _plans() -> dict[str, _Plan]:
    from conversion_relay.phone_regions import PLANS  # 85 kB that many deliveries never need

    plans = (_Plan(*line.split("\t")) for line in PLANS.strip("\n").split("\n"))
    return {plan.region: plan for plan in plans}


@cache
def _calling_codes() -> dict[str, tuple[_Plan, ...]]:
    """The plans that share each calling code, main region first."""
    from conversion_relay.phone_regions import CALLING_CODES

    lines = (line.split() for line in CALLING_CODES.strip().split("\n"))
    return {code: tuple(_plans()[region] for region in regions) for code, *regions in lines}


def _main_plan(calling_code: str) -> _Plan:
    return _calling_codes()[calling_code][0]


@cache
def _pattern(expression: str) -> re.Pattern[str]:
    return re.compile(expression)


def _international(digits: str) -> _Reading | None:
    """Calling code first, as after "+"; the national prefix that should not be there is dropped."""
    for size in (1, 2, 3):
        if digits[:size] in _calling_codes():
            code, national = digits[:size], digits[size:]
            stripped = _without_national_prefix(national, _main_plan(code))
            return _Reading(code, stripped, stripped == national)
    return None


def _national(digits: str, home: _Plan) -> _Reading | None:
    """As dialled in the region."""
    prefix = _pattern(home.international_prefix).match(digits) if home.international_prefix else None
    if prefix and not digits.startswith("0", prefix.end()):
        return _international(digits[prefix.end() :])
    if digits.startswith(home.calling_code):
        rest = _stripped(digits[len(home.calling_code) :], home)
        fits_only_without = not _matches(home.fits, digits) and _matches(home.fits, rest)
        if fits_only_without or len(digits) > max(_numbers(home.lengths)):
            return _Reading(home.calling_code, _without_national_prefix(rest, home), False)
    return _Reading(home.calling_code, _without_national_prefix(digits, home), False)


def _without_national_prefix(digits: str, plan: _Plan) -> str:
    """The national number; as it was where dropping the prefix leaves no length that the plan has."""
    stripped = _stripped(digits, plan)
    return stripped if len(stripped) in _numbers(plan.lengths) else digits


def _stripped(digits: str, plan: _Plan) -> str:
    prefix = _pattern(plan.national_prefix).match(digits) if plan.national_prefix and digits else None
    if prefix is None:
        return digits
    groups = prefix.groups()
    if plan.transform and groups and groups[-1] is not None:
        stripped = prefix.expand(plan.transform) + digits[prefix.end() :]
    else:
        stripped = digits[prefix.end() :]
    return digits if _matches(plan.fits, digits) and not _matches(plan.fits, stripped) else stripped


def _valid(reading: _Reading | None) -> str | None:
    return reading.e164 if reading is not None and _is_valid(reading.calling_code, reading.national) else None


def _is_valid(calling_code: str, national: str) -> bool:
    """The first region whose leading digits match decides; those without any are tried by their numbers."""
    for plan in _calling_codes()[calling_code]:
        if not plan.leading_digits:
            if _fits(plan, national) and _matches(plan.valid, national):
                return True
        elif _pattern(plan.leading_digits).match(national):
            return _fits(plan, national) and _matches(plan.valid, national)
    return False


def _fits(plan: _Plan, national: str) -> bool:
    return len(national) in _numbers(plan.lengths) and _matches(plan.fits, national)


def _matches(expression: str, digits: str) -> bool:
    return _pattern(expression).fullmatch(digits) is not None


@cache
def _numbers(column: str) -> frozenset[int]:
    return frozenset(int(number) for number in column.split(",") if number)


# --- raw fields -------------------------------------------------------------------------------------------------------

_LONGEST_PLACE: Final = 128
_POSTAL_CODE: Final = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9 -]{1,32}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_LONGEST_IP_ADDRESS: Final = 45
_LONGEST_USER_AGENT: Final = 2_048

# ISO 3166-1 alpha-2 codes, by first letter. XK (Kosovo, user-assigned) and UK (reserved) are not among them.
# fmt: off
_ALPHA_2: Final = {
    "A": "DEFGILMOQRSTUWXZ", "B": "ABDEFGHIJLMNOQRSTVWYZ", "C": "ACDFGHIKLMNORUVWXYZ", "D": "EJKMOZ",
    "E": "CEGHRST", "F": "IJKMOR", "G": "ABDEFGHILMNPQRSTUWY", "H": "KMNRTU", "I": "DELMNOQRST", "J": "EMOP",
    "K": "EGHIMNPRWYZ", "L": "ABCIKRSTUVY", "M": "ACDEFGHKLMNOPQRSTUVWXYZ", "N": "ACEFGILOPRUZ", "O": "M",
    "P": "AEFGHKLMNRSTWY", "Q": "A", "R": "EOSUW", "S": "ABCDEGHIJKLMNORSTVXYZ", "T": "CDFGHJKLMNORTVWZ",
    "U": "AGMSYZ", "V": "ACEGINU", "W": "FS", "Y": "ET", "Z": "AMW",
}
# fmt: on
_COUNTRIES: Final = frozenset(first + second for first, seconds in _ALPHA_2.items() for second in seconds)


def city(value: object) -> str | None:
    """Trimmed, otherwise raw: at most 128 characters, no control characters (Conversions API: `user`)."""
    return _line(value, _LONGEST_PLACE)


def region(value: object) -> str | None:
    """State, province or region; trimmed, otherwise raw: at most 128 characters (Conversions API: `user`)."""
    return _line(value, _LONGEST_PLACE)


def postal_code(value: object) -> str | None:
    """Trimmed, otherwise raw: ASCII letters, digits, space and hyphen, at most 32 (Conversions API: `user`)."""
    text = _text(value)
    return text if text is not None and _POSTAL_CODE.fullmatch(text) else None


def country(value: object) -> str | None:
    """ISO 3166-1 alpha-2 code in upper case; None for a full name, which the API would drop silently."""
    text = _text(value)
    code = text.upper() if text is not None and text.isascii() else ""
    return code if code in _COUNTRIES else None


def ip_address(value: object) -> str | None:
    """IPv4 or IPv6 address, trimmed, otherwise as it stands; no port, no zone, not the unspecified address."""
    text = _text(value)
    address = None if text is None else parsed_ip_address(text)
    return None if address is None or address.is_unspecified else text


@lru_cache(maxsize=2)
def parsed_ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, without a zone; None for any other text. Remembered, as each is asked for twice."""
    if len(text) > _LONGEST_IP_ADDRESS or "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def user_agent(value: object) -> str | None:
    """User agent of the client that made the event, trimmed, otherwise raw.

    None with control characters or above 2,048 characters: no browser sends that, and a cut one would not be raw.
    """
    return _line(value, _LONGEST_USER_AGENT)


def android_advertising_id(value: object) -> str | None:
    """Google advertising id as a UUID with hyphens, trimmed; None for all zeros (the user opted out)."""
    text = _text(value)
    return text if text is not None and _UUID.fullmatch(text) and text.strip("0-") else None


# --- shared by all ----------------------------------------------------------------------------------------------------


def _text(value: object) -> str | None:
    """Trimmed text that is not empty and has a UTF-8 form: a lone surrogate has none."""
    if not isinstance(value, str):
        return None
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
    return value.strip() or None


def _line(value: object, longest: int) -> str | None:
    text = _text(value)
    return None if text is None or len(text) > longest or _CONTROL.search(text) else text


def _digest(normalized: str | None) -> str | None:
    return None if normalized is None else hashlib.sha256(normalized.encode()).hexdigest()
