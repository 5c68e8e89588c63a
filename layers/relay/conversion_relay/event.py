"""The Conversions API contract as models: the one place that knows the wire.

An event that :func:`parse` accepts is one that the API accepts, so that one bad event never sinks a batch. Everything
else raises :class:`InvalidEvent` with one sentence that names the field and the rule, and never repeats a value,
because values may be personal. What is stricter here than the API is said at the field.

Source of the rules: Conversions API page (envelope, data shapes, user), Measurement pixel page (custom names).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from conversion_relay import click, identity, money

DATA_TYPE: Final = {
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
"""Each of the 13 event types with the ``data.type`` that fits it."""

MAX_PAST_MS: Final = 7 * 86_400_000
"""The API refuses an event (and its whole batch) that is older than this when it arrives."""
MAX_AHEAD_MS: Final = 600_000
"""The API refuses an event that lies further ahead than this when it arrives."""
MARGIN_MS: Final = 60_000
"""Kept away from both limits: the request travels, and clocks differ."""
MAX_EVENTS: Final = 1000
"""Events in one request."""
MAX_ID_LENGTH: Final = 199
"""Stricter than the API, which documents no limit: ids stay under 200 characters."""

_MAX_INTEGER = 2**53 - 1
_MAX_EXTRA_DEPTH = 16
_EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_CUSTOM_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_POSTAL_CODE = re.compile(r"[A-Za-z0-9 -]*[A-Za-z0-9][A-Za-z0-9 -]*")
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class InvalidEvent(ValueError):
    """An event that the API would refuse. The text is one sentence; ``param`` is the path of the field in the event."""

    def __init__(self, param: str, sentence: str) -> None:
        super().__init__(sentence)
        self.param = param


def _unicode(value: str) -> str:
    if not _is_unicode(value):
        raise ValueError("must be valid Unicode text")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def _digest(value: str) -> str:
    if value == _EMPTY_DIGEST:
        raise ValueError("is the digest of the empty text, which matches nobody")
    return value


def _currency(value: str) -> str:
    code = money.currency_code(value)
    if code is None:
        raise ValueError("must be an active ISO 4217 currency code")
    return code


def _ip_address(value: str) -> str:
    if "%" in value:
        raise ValueError("must be an IPv4 or IPv6 address without a zone")
    if identity.parsed_ip_address(value) is None:
        raise ValueError("must be an IPv4 or IPv6 address")
    return value


def _uuid(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise ValueError("must be a UUID with dashes")
    return str(UUID(value))


def _custom_name(value: str) -> str:
    if not _CUSTOM_NAME.fullmatch(value):
        raise ValueError("must be 1 to 64 letters, digits, _ or -, and start and end with a letter or digit")
    if value.lower() in DATA_TYPE:
        raise ValueError("must not be the name of a standard event")
    return value.lower()


def _source_url(value: str) -> str:
    # Stricter than the API: a query or user name may carry personal data or click ids.
    if click.source_url(value, origin=None) != value:
        raise ValueError("must be an http or https URL of origin and path only, without query, fragment or user name")
    return value


def _postal_code(value: str) -> str:
    if not _POSTAL_CODE.fullmatch(value):
        raise ValueError("must hold letters, digits, spaces and hyphens only")
    return value


def _country(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2}", value):
        raise ValueError("must be a two-letter country code")
    return value


String = Annotated[str, AfterValidator(_unicode)]
Text = Annotated[String, AfterValidator(_not_blank)]
Amount = Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
Currency = Annotated[str, AfterValidator(_currency)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z"), AfterValidator(_digest)]
Digests = Annotated[list[Digest], Field(min_length=1)]
Place = Annotated[str, Field(max_length=128), AfterValidator(_not_blank)]


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class Item(_Wire):
    """One line of ``data.contents``. ``amount`` is the unit price in minor units."""

    id: String | None = None
    group_id: String | None = None
    name: String | None = None
    content_type: Text | None = None
    quantity: Annotated[int, Field(ge=0, le=_MAX_INTEGER)] | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    variant_dict: dict[String, String] | None = None


class _Money(_Wire):
    amount: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _amount_has_currency(self) -> _Money:
        if self.amount is not None and self.currency is None:
            raise ValueError("currency: is required with an amount")
        return self


class _Contents(_Money):
    contents: list[Item] | None = None

    @model_validator(mode="after")
    def _item_amounts_have_currency(self) -> _Contents:
        for index, item in enumerate(self.contents or ()):
            if item.amount is not None and item.currency is None and self.currency is None:
                raise ValueError(f"contents[{index}].currency: is required with an amount, here or on the event")
        return self


class ContentsData(_Contents):
    type: Literal["contents"]


class CustomerActionData(_Money):
    type: Literal["customer_action"]


class PlanEnrollmentData(_Contents):
    type: Literal["plan_enrollment"]
    plan_id: String | None = None


class CustomData(_Contents):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any]

    type: Literal["custom"]
    plan_id: String | None = None

    @model_validator(mode="after")
    def _extras_are_json(self) -> CustomData:
        for key, value in self.__pydantic_extra__.items():
            if fault := _json_fault(value):
                raise ValueError(f"{_shown(key)}: {fault}")
        return self


class User(_Wire):
    """Whom the event is about. Digests are SHA-256 in lower-case hex; the API uses the first three of each list."""

    emails_sha256: Digests | None = None
    phone_numbers_sha256: Digests | None = None
    external_ids_sha256: Digests | None = None
    first_names_sha256: Digests | None = None
    last_names_sha256: Digests | None = None
    cities: Annotated[list[Place], Field(min_length=1)] | None = None
    regions: Annotated[list[Place], Field(min_length=1)] | None = None
    postal_codes: (
        Annotated[list[Annotated[str, Field(max_length=32), AfterValidator(_postal_code)]], Field(min_length=1)] | None
    ) = None
    countries: Annotated[list[Annotated[str, AfterValidator(_country)]], Field(min_length=1)] | None = None
    ip_address: Annotated[str, AfterValidator(_ip_address)] | None = None
    user_agent: Text | None = None
    obref: Text | None = None
    android_advertising_id: Annotated[str, AfterValidator(_uuid)] | None = None


class Event(_Wire):
    """One Conversions API event.

    ``timestamp_ms`` is Unix time in milliseconds, UTC; whether it lies inside the API's window depends on the moment of
    sending, so :func:`age_problem` checks that. ``action_source`` may be left out; the relay always sends it.
    """

    id: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH), AfterValidator(_not_blank)]
    type: Literal[
        "page_viewed", "contents_viewed", "items_added", "checkout_started", "order_created", "lead_created",
        "registration_completed", "appointment_scheduled", "app_installed", "app_opened", "subscription_created",
        "trial_started", "custom",
    ]  # fmt: skip
    timestamp_ms: Annotated[int, Field(ge=0, le=_MAX_INTEGER)]
    action_source: Literal["web", "mobile_app", "offline", "physical_store", "phone_call", "email", "other"] | None = (
        None
    )
    source_url: Annotated[str, Field(max_length=2048), AfterValidator(_source_url)] | None = None
    custom_event_name: Annotated[str, AfterValidator(_custom_name)] | None = None
    oppref: Text | None = None
    user: User | None = None
    opt_out: bool | None = None
    data: Annotated[ContentsData | CustomerActionData | PlanEnrollmentData | CustomData, Field(discriminator="type")]

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Event:
        if self.data.type != DATA_TYPE[self.type]:
            raise ValueError(f"data.type: must be {DATA_TYPE[self.type]} for {self.type}")
        if self.type == "custom" and self.custom_event_name is None:
            raise ValueError("custom_event_name: is required for a custom event")
        if self.type != "custom" and self.custom_event_name is not None:
            raise ValueError("custom_event_name: is only for custom events")
        if self.type in ("app_installed", "app_opened") and self.action_source != "mobile_app":
            raise ValueError(f"action_source: must be mobile_app for {self.type}")
        if self.action_source == "web" and self.source_url is None:
            raise ValueError("source_url: is required when action_source is web")
        return self

    @property
    def name(self) -> str:
        """What the API counts it under: the type, or the custom name in its place. Part of the dedupe key."""
        return self.custom_event_name or self.type

    def wire(self) -> dict[str, Any]:
        """The event as JSON-ready values: fields in the order of the contract, absent ones left out."""
        event = self.model_dump(exclude_none=True)
        event["data"] = {"type": self.data.type, **event["data"]}
        if isinstance(self.data, CustomData):
            extras = self.data.__pydantic_extra__
            known = {key: value for key, value in event["data"].items() if key not in extras}
            event["data"] = known | {key: _sorted(extras[key]) for key in sorted(extras)}
        for item in event["data"].get("contents", ()):
            if "variant_dict" in item:
                item["variant_dict"] = _sorted(item["variant_dict"])
        if not event.get("user", True):
            del event["user"]
        return event

    def to_json(self) -> str:
        """The event as it goes out. Equal events give equal bytes: a resend after a lost reply is byte-identical.

        Two characters are written as escapes: SQS takes no message with them, nor the others of its batch.
        """
        return self.text

    @cached_property
    def text(self) -> str:
        """What `to_json` gives, written once: it is measured before it is stored."""
        text = json.dumps(self.wire(), ensure_ascii=False, separators=(",", ":"))
        return text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")


def without_contents(event: Event) -> Event:
    """The event without its lines: the total still counts where hundreds of lines would not fit the ledger."""
    if isinstance(event.data, CustomerActionData):
        return event
    wire = event.wire()
    return Event.model_validate(
        wire | {"data": {name: each for name, each in wire["data"].items() if name != "contents"}}
    )


def parse(value: object) -> Event:
    """Make an event of JSON-like values.

    Raises:
        InvalidEvent: with one sentence that says which field breaks which rule, without any value.
    """
    try:
        return Event.model_validate(value)
    except ValidationError as error:
        raise _explained(error) from None


def age_problem(timestamp_ms: int, now_ms: int) -> Literal["too_old", "too_far_ahead"] | None:
    """Say why an event may not leave at ``now_ms`` (both Unix milliseconds), or None when it may.

    The API takes [-7 days, +10 minutes] by its own clock on arrival; a margin of 60 s is kept on both sides.
    """
    if timestamp_ms < now_ms - MAX_PAST_MS + MARGIN_MS:
        return "too_old"
    if timestamp_ms > now_ms + MAX_AHEAD_MS - MARGIN_MS:
        return "too_far_ahead"
    return None


def match_keys(user: User | None, oppref: str | None) -> Sequence[str]:
    """By what OpenAI could attribute the event, out of ``oppref obref email phone external_id``."""
    found = {
        "oppref": oppref is not None,
        "obref": user is not None and user.obref,
        "email": user is not None and user.emails_sha256,
        "phone": user is not None and user.phone_numbers_sha256,
        "external_id": user is not None and user.external_ids_sha256,
    }
    return [name for name, value in found.items() if value]


def has_match_key(user: User | None, oppref: str | None) -> bool:
    """Whether anything is left by which OpenAI could attribute the event: address and agent alone are not enough."""
    return bool(match_keys(user, oppref))


_SENTENCES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a field of the contract",
    "int_type": "must be a whole number (integer)",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_pattern_mismatch": "must be a SHA-256 digest of 64 lower-case hex characters",
    "too_short": "must not be an empty list: leave the field out",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must not be negative",
    "less_than_equal": "must not be above 2^53 - 1",
    "union_tag_not_found": "is required",
    "union_tag_invalid": "must be contents, customer_action, plan_enrollment or custom",
}


def _explained(error: ValidationError) -> InvalidEvent:
    first = error.errors(include_url=False, include_context=True, include_input=False)[0]
    param = _path(_without_tag(first["loc"]))
    kind = first["type"]
    if kind == "value_error":
        rule = str(first["ctx"]["error"])
        field, separator, rest = rule.partition(": ")
        if separator:
            param, rule = _below(param, field), rest
    elif kind in ("union_tag_not_found", "union_tag_invalid"):
        param, rule = _below(param, "type"), _SENTENCES[kind]
    elif kind == "literal_error":
        rule = f"must be one of {first['ctx']['expected']}"
    elif kind == "string_too_long":
        rule = f"must be at most {first['ctx']['max_length']} characters"
    else:
        rule = _SENTENCES.get(kind, "does not fit the contract")
    return InvalidEvent(param, f"{param or 'the event'} {rule}.")


def _without_tag(loc: tuple[int | str, ...]) -> list[int | str]:
    # pydantic puts the union's tag into the path, behind "data": the wire has no such level.
    if len(loc) > 1 and loc[0] == "data":
        return ["data", *loc[2:]]
    return list(loc)


def _path(place: list[int | str]) -> str:
    path = ""
    for part in place:
        path = f"{path}[{part}]" if isinstance(part, int) else _below(path, _shown(part))
    return path


def _below(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _shown(key: str) -> str:
    # A key that is no plain name may be a value in the wrong place, and personal.
    return key if _FIELD_NAME.fullmatch(key) else "(key)"


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return value


def _json_fault(value: object, levels: int = 0) -> str | None:
    # Python's reader and writer take more than JSON has. The bound of integers is stricter than the API: beyond it
    # readers differ, and one that cannot read a number refuses the whole request without naming the event.
    match value:
        case None | bool():
            return None
        case str():
            return None if _is_unicode(value) else "must be valid Unicode text"
        case int():
            return None if abs(value) <= _MAX_INTEGER else "must not be beyond 2^53 - 1"
        case float():
            return None if math.isfinite(value) else "must be a finite number"
        case list() | dict() if levels == _MAX_EXTRA_DEPTH:
            return f"is nested more than {_MAX_EXTRA_DEPTH} levels deep"
        case list():
            return next((fault for each in value if (fault := _json_fault(each, levels + 1))), None)
        case dict() if all(isinstance(key, str) and _is_unicode(key) for key in value):
            return next((fault for each in value.values() if (fault := _json_fault(each, levels + 1))), None)
    return "must be JSON"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can escape but UTF-8 cannot hold
        return False
    return True
