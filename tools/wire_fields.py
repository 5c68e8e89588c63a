"""What each field of an event may hold, as the stand-in's wire rules check it: one check a field, one table an object.

Written from the contract of the OpenAI Ads Conversions API (sections 1 and 3-5) and sharing nothing with the relay. A
check looks at one value alone; the rules across fields are in ``wire_rules``. Null is never a value: an optional field
is left out instead (the contract documents null only inside custom data).
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

# Contract 4: the shape that `data.type` must name.
SHAPE_OF_TYPE: Final = {
    "page_viewed": "contents",
    "contents_viewed": "contents",
    "items_added": "contents",
    "checkout_started": "contents",
    "order_created": "contents",
    "lead_created": "customer_action",
    "registration_completed": "customer_action",
    "appointment_scheduled": "customer_action",
    "app_installed": "customer_action",
    "app_opened": "customer_action",
    "subscription_created": "plan_enrollment",
    "trial_started": "plan_enrollment",
    "custom": "custom",
}
APP_TYPES: Final = frozenset({"app_installed", "app_opened"})
ACTION_SOURCES: Final = frozenset({"web", "mobile_app", "offline", "physical_store", "phone_call", "email", "other"})

# ISO 4217 list one as published on 2026-01-01: 178 active codes (BGN, ANG, HRK and ZWL are withdrawn).
_ISO_4217 = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
    CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    USN UYI UYU UYW UZS VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX
    YER ZAR ZMW ZWG
"""
CURRENCIES: Final = frozenset(_ISO_4217.split())

# All are used with fullmatch: `$` would let a trailing newline through.
_DIGEST = re.compile(r"[0-9a-f]{64}")
_DIGEST_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_CUSTOM_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_INTEGRATION_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_BLANK_OR_CONTROL = re.compile(r"[\x00-\x20\x7f]")


# A check says what is wrong with a value, or None. It never repeats the value: that may be personal data.
Check: TypeAlias = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _filled_text(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be a non-empty string"


def _visible_text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be a non-blank string"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _list(value: Any) -> str | None:
    return None if isinstance(value, list) else "must be an array"


def _integer(value: Any) -> str | None:
    # Not isinstance: a JSON true is no integer, and 89.0 is a float (contract 12.3 rows 27, 28, 34, 35).
    return None if type(value) is int else "must be an integer"


def _natural(value: Any) -> str | None:
    return None if type(value) is int and value >= 0 else "must be an integer of 0 or more"


def _currency(value: Any) -> str | None:
    # The API upper-cases (contract 12.2 row 22). Only ASCII: a dotless i would become the I of INR.
    if isinstance(value, str) and value.isascii() and value.upper() in CURRENCIES:
        return None
    return "must be an ISO 4217 code"


def _one_of(values: frozenset[str]) -> Check:
    return lambda value: None if isinstance(value, str) and value in values else "must be a documented value"


def custom_name(value: Any) -> str | None:
    """The name of a custom event (contract 12.3 rows 16-19). The API lower-cases it, so case hides no standard name."""
    if not isinstance(value, str) or not _CUSTOM_NAME.fullmatch(value):
        return "must be 1-64 letters, digits, _ or -, alphanumeric at both ends"
    return "must not be a standard event name" if value.lower() in SHAPE_OF_TYPE else None


def _source_url(value: Any) -> str | None:
    fault = "must be a URL with scheme and host"
    if not isinstance(value, str) or _BLANK_OR_CONTROL.search(value):
        return fault
    try:
        parts = urlsplit(value)
        _ = parts.port  # raises on a port that is no number
    except ValueError:
        return fault
    return None if parts.scheme and parts.hostname else fault


def _digests(values: Any) -> str | None:
    # Contract 12.3 rows 39-42. Every value is judged, also those after the third, which the API would not use.
    if not isinstance(values, list):
        return "must be an array"
    for value in values:
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            return "must hold SHA-256 digests of 64 lower-case hex digits"
        if value == _DIGEST_OF_NOTHING:
            return "must not hold the digest of the empty text"
    return None


def _places(values: Any) -> str | None:
    # What a place says is never refused: an unusable value is ignored (contract 12.3 row 59, see ignored_values).
    return None if isinstance(values, list) and all(isinstance(value, str) for value in values) else "must hold strings"


def _ip_address(value: Any) -> str | None:
    try:
        valid = isinstance(value, str) and "%" not in value and bool(ipaddress.ip_address(value))
    except ValueError:
        valid = False
    return None if valid else "must be an IPv4 or IPv6 address"


def _uuid(value: Any) -> str | None:
    return None if isinstance(value, str) and _UUID.fullmatch(value) else "must be a UUID"


def _variant(value: Any) -> str | None:
    if isinstance(value, dict) and all(isinstance(part, str) for part in value.values()):
        return None
    return "must be an object of strings"


def _integration_source(value: Any) -> str | None:
    # The API trims and lower-cases before it checks (contract 1), so case does not matter here.
    return None if isinstance(value, str) and _INTEGRATION_SOURCE.fullmatch(value.strip()) else "is no source name"


def _judged_with_others(value: Any) -> str | None:
    del value  # by the rules across fields
    return None


ROOT_CHECKS: dict[str, Check] = {
    "events": _list,
    "validate_only": _flag,
    "integration_source": _integration_source,
}
EVENT_REQUIRED = ("id", "type", "timestamp_ms", "data")
EVENT_CHECKS: dict[str, Check] = {
    "id": _filled_text,
    "type": _one_of(frozenset(SHAPE_OF_TYPE)),
    "timestamp_ms": _integer,
    "action_source": _one_of(ACTION_SOURCES),
    "source_url": _source_url,
    "custom_event_name": _judged_with_others,
    "oppref": _visible_text,
    "opt_out": _flag,
    "user": _object,
    "data": _object,
}
USER_CHECKS: dict[str, Check] = {
    "emails_sha256": _digests,
    "phone_numbers_sha256": _digests,
    "external_ids_sha256": _digests,
    "first_names_sha256": _digests,
    "last_names_sha256": _digests,
    "cities": _places,
    "regions": _places,
    "postal_codes": _places,
    "countries": _places,
    "ip_address": _ip_address,
    "user_agent": _visible_text,
    "obref": _visible_text,
    "android_advertising_id": _uuid,
}
ITEM_CHECKS: dict[str, Check] = {
    "id": _text,
    "group_id": _text,
    "name": _text,
    "content_type": _filled_text,
    "quantity": _natural,
    "amount": _natural,
    "currency": _currency,
    "variant_dict": _variant,
}
_MONEY_CHECKS: dict[str, Check] = {"type": _judged_with_others, "amount": _natural, "currency": _currency}
DATA_CHECKS: dict[str, dict[str, Check]] = {
    "contents": {**_MONEY_CHECKS, "contents": _list},
    "customer_action": _MONEY_CHECKS,
    "plan_enrollment": {**_MONEY_CHECKS, "contents": _list, "plan_id": _text},
    "custom": {**_MONEY_CHECKS, "contents": _list, "plan_id": _text},
}
