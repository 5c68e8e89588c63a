"""The rules for one event of a page: its name, its id, its data. For calls of ``oaiq`` and for image tags.

Every function yields the code of a finding and what was found, without repeating what may be personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote_plus

from conversion_relay import money
from conversion_relay.event import DATA_TYPE, MAX_ID_LENGTH
from tools.doctor.addresses import EMAIL, split
from tools.doctor.code import Unknown, texts_in

PAIRED: Final = frozenset(
    (
        "order_created",
        "subscription_created",
        "lead_created",
        "checkout_started",
        "registration_completed",
        "appointment_scheduled",
        "trial_started",
    )
)
"""Events that the relay reports as well, so that both sides need one id."""
IMAGE: Final = "bzr.openai.com/v1/sdk/events"
Fault = tuple[str, str]

_MEANT: Final = {
    "purchase": "order_created",
    "order": "order_created",
    "order_completed": "order_created",
    "completepayment": "order_created",
    "conversion": "order_created",
    "lead": "lead_created",
    "generate_lead": "lead_created",
    "pageview": "page_viewed",
    "page_view": "page_viewed",
    "viewcontent": "contents_viewed",
    "view_item": "contents_viewed",
    "content_viewed": "contents_viewed",
    "addtocart": "items_added",
    "add_to_cart": "items_added",
    "item_added": "items_added",
    "initiatecheckout": "checkout_started",
    "begin_checkout": "checkout_started",
    "subscribe": "subscription_created",
    "starttrial": "trial_started",
    "start_trial": "trial_started",
    "completeregistration": "registration_completed",
    "sign_up": "registration_completed",
    "schedule": "appointment_scheduled",
}
"""What the events of Meta, GA4 and TikTok are called here."""
_FIELDS: Final = {
    "contents": frozenset(("type", "amount", "currency", "contents")),
    "customer_action": frozenset(("type", "amount", "currency")),
    "plan_enrollment": frozenset(("type", "amount", "currency", "contents", "plan_id")),
}
_ITEM_FIELDS: Final = frozenset(("id", "name", "content_type", "quantity", "amount", "currency"))
_CUSTOM_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_RAW_USER: Final = re.compile(r"e?_?mails?|phones?(_numbers?)?|(first|last)_?names?|name|external_ids?|customer_id")
_VOLATILE: Final = re.compile(
    r"Date\.now|new\s+Date|\bDate\(|performance\.now|Math\.random|randomUUID|getRandomValues|getTime\(|\buuid|\bnanoid"
)
_SOURCE: Final = re.compile(r"[a-z][a-z0-9_-]{1,39}")
_STRIPE: Final = re.compile(r"(?:acct_\w{6,}:)?(?:cs|sub|in|pi|ch|py|seti)_\w{6,}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~-]{16,199}")
_NUMBERED: Final = re.compile(r"#?(?:[A-Za-z]{0,10}[ #_-]?){0,2}[0-9]{1,20}")
_MOMENT: Final = re.compile(r"(?<![0-9])(?:1[6-9][0-9]{11}(?![0-9])|20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-9])")


def name_faults(name: Any, options: Any) -> Iterator[Fault]:
    """Is it one of the pixel's events? (Supported events; Measurement pixel: custom events)"""
    if isinstance(name, Unknown):
        return
    if not isinstance(name, str):
        yield "event_unknown", "the event's name is no text"
        return
    if name not in DATA_TYPE:
        meant = _MEANT.get(name.strip().lower()) or (name.strip().lower() if name.strip().lower() in DATA_TYPE else "")
        yield "event_unknown", f"{name[:64]!r}" + (f"; meant is perhaps {meant}" if meant else "")
        return
    if name.startswith("app_"):
        yield "event_unknown", f"{name} is for the server's API only"
    custom = options.get("custom_event_name") if isinstance(options, dict) else None
    if name == "custom" and not isinstance(options, Unknown) and not isinstance(custom, Unknown):
        good = isinstance(custom, str) and _CUSTOM_NAME.fullmatch(custom) and custom.lower() not in DATA_TYPE
        if not good and not (isinstance(options, dict) and "..." in options):
            yield "event_unknown", "custom needs a custom_event_name of 1 to 64 letters, digits, _ or -"


def id_faults(name: Any, options: Any) -> Iterator[Fault]:
    """Is there an id, and is it the relay's? (Decisions: identity of a conversion)"""
    if isinstance(options, Unknown):
        return
    given = options.get("event_id") if isinstance(options, dict) else None
    if given is None:
        spread = isinstance(options, dict) and "..." in options
        if isinstance(name, str) and name in PAIRED and not spread:
            yield "event_id_missing", f"{name} without event_id"
        return
    if isinstance(given, Unknown):
        if _VOLATILE.search(given.source):
            yield "event_id_changes", "event_id is made of the time or of random numbers"
            return
        prefix, _, _ = given.prefix.partition(":")
        if prefix in ("Shopify", "SHOPIFY", "Stripe", "STRIPE"):
            yield "event_id_form", f"the prefix is {prefix.lower()}:, in lower case"
        return
    fault = id_fault(given, str(name))
    if fault:
        yield ("personal_data_in_event" if "e-mail" in fault else "event_id_form"), fault


def id_fault(given: object, name: str) -> str | None:
    """What is wrong with an event's id; None where it may be the relay's."""
    if not isinstance(given, str):
        return "event_id is no text"
    if not given.strip():
        return "event_id is blank"
    if len(given) > MAX_ID_LENGTH:
        return f"event_id is longer than {MAX_ID_LENGTH} characters"
    if EMAIL.search(given):
        return "event_id holds an e-mail address"
    source, colon, number = given.partition(":")
    if given.startswith("gid://"):
        return "event_id is a GraphQL id; the relay's is shopify:<its digits>"
    if colon and _SOURCE.fullmatch(source):
        if source == "shopify":
            if re.fullmatch(r"[1-9][0-9]{5,29}", number):
                return None
            token = name == "checkout_started" and _TOKEN.fullmatch(number)
            return None if token else "behind shopify: stands no id in digits (an order's name such as #1001 is none)"
        if source == "stripe":
            return None if _STRIPE.fullmatch(number) else "behind stripe: stands no cs_…, sub_…, in_… or pi_…"
        return "event_id holds a time" if _MOMENT.search(number) else None
    if re.fullmatch(r"1[6-9][0-9]{8}|1[6-9][0-9]{11}", given) or _MOMENT.search(given):
        return "event_id is or holds a time"
    if _STRIPE.fullmatch(given):
        return "event_id lacks stripe: before the id"
    if _NUMBERED.fullmatch(given):
        return "event_id is a bare order number"
    return None if _TOKEN.fullmatch(given) else "event_id is neither <source>:<id> nor an opaque token"


def data_faults(name: Any, data: Any) -> Iterator[Fault]:
    """Type, money and fields of an event's data (Supported events: data shapes)."""
    if isinstance(data, Unknown) or not isinstance(name, str) or name not in DATA_TYPE:
        return
    wanted = DATA_TYPE[name]
    if not isinstance(data, dict):
        if data is not None:
            yield "data_type", f"the data of {name} is no object"
        elif name != "custom":
            yield "data_type", f"{name} has no data; it needs type: {wanted!r}"
        return
    whole = "..." not in data
    kind = data.get("type")
    if kind != wanted and not isinstance(kind, Unknown) and (whole or kind is not None):
        yield "data_type", f"{name} needs type: {wanted!r}" + ("" if kind is None else f", not {str(kind)[:40]!r}")
    yield from _money_faults(data, whole=whole)
    for field in data:
        if field != "..." and field not in _FIELDS.get(wanted, data):
            yield "data_field", f"{field[:40]!r} in the data of {name}"
    items = data.get("contents")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from _money_faults(item, whole=False)
            for field in item:
                if field != "..." and field not in _ITEM_FIELDS:
                    yield "data_field", f"{field[:40]!r} in contents of {name}"


def user_faults(user: Any) -> Iterator[Fault]:
    """Nothing raw in `user`: the pixel's fields are hashes, but for the place."""
    if not isinstance(user, dict):
        return
    for field, value in user.items():
        if isinstance(value, str) and not value:
            continue
        if _RAW_USER.fullmatch(field.lower()):
            yield "personal_data_in_event", f"the field {field[:40]!r} of user; its name has to end in _sha256"
        elif field.endswith("_sha256") and isinstance(value, str) and not re.fullmatch(r"[0-9a-f]{64}", value):
            yield "personal_data_in_event", f"{field[:40]!r} holds no SHA-256 in lower-case hex"


def raw_faults(data: Any) -> Iterator[Fault]:
    """E-mail addresses anywhere in the data."""
    for field, text in texts_in(data):
        if EMAIL.search(text):
            yield "personal_data_in_event", f"an e-mail address in the field {field[:40] or 'data'!r}"
            return


def _money_faults(held: Mapping[str, Any], *, whole: bool) -> Iterator[Fault]:
    amount, currency = held.get("amount"), held.get("currency")
    if isinstance(amount, Decimal | float):
        yield "amount_form", f"{amount} is a decimal number"
    elif isinstance(amount, str):
        yield "amount_form", f"{amount[:20]!r} is text"
    elif isinstance(amount, bool) or (amount is not None and not isinstance(amount, int | Unknown)):
        yield "amount_form", "the amount is no number"
    elif isinstance(amount, int) and amount < 0:
        yield "amount_form", f"{amount} is negative; there are no refunds"
    elif isinstance(amount, Unknown) and re.search(r"toFixed|parseFloat", amount.source):
        yield "amount_form", "the amount is computed as a decimal or as text"
    if isinstance(currency, Unknown) or (currency is None and (amount is None or not whole)):
        return
    if money.currency_code(currency) is None:
        yield (
            "currency",
            "amount without currency" if currency is None else f"{str(currency)[:12]!r} is no ISO 4217 code",
        )


def is_image(url: str) -> bool:
    """Whether an address is the image tag's."""
    parts = split(url)
    return f"{parts.hostname}{parts.path.rstrip('/')}" == IMAGE


def image_faults(url: str) -> Iterator[Fault]:
    """The rules of an image tag's address (Image tag page)."""
    pairs = [
        (unquote_plus(name), unquote_plus(value))
        for name, _, value in (each.partition("=") for each in split(url).query.split("&") if each)
    ]
    names = [name for name, _ in pairs]
    held = dict(pairs)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield "image_tag", f"the parameter {name[:40]!r} stands there more than once"
    for name in ("pid", "event", "data[type]"):
        if not held.get(name):
            yield "image_tag", f"the parameter {name!r} is missing"
    for name, value in held.items():
        known = name in ("pid", "event", "event_id", "oppref", "custom_event_name") or re.fullmatch(
            r"data\[\w+\]", name
        )
        if not known and not EMAIL.search(value) and name not in _ORDER_FIELDS:
            yield "image_tag", f"the parameter {name[:40]!r} is unknown"
    event = held.get("event", "")
    if event:
        yield from name_faults(event, held)
    identifier = held.get("event_id")
    if any(held.get(each) for each in _ORDER_FIELDS):
        yield "order_id_in_image", "an order's or customer's id is a parameter"
    elif identifier is None:
        if event in PAIRED:
            yield "event_id_missing", f"{event} without event_id"
    elif "{{" not in identifier and not EMAIL.search(identifier):
        fault = id_fault(identifier, event)
        if ":" in identifier or (fault and "order number" in fault):
            yield "order_id_in_image", "event_id is the id of an order"
        elif fault:
            yield "event_id_form", fault
    data = {name[5:-1]: value for name, value in held.items() if name.startswith("data[") and name.endswith("]")}
    if event in DATA_TYPE and data.get("type") and data["type"] != DATA_TYPE[event]:
        yield "data_type", f"{event} needs data[type]={DATA_TYPE[event]}"
    if "amount" in data and "{{" not in data["amount"]:
        if not data["amount"].isdigit():
            yield "amount_form", "data[amount] is no integer"
        if "{{" not in data.get("currency", "") and money.currency_code(data.get("currency")) is None:
            yield "currency", "data[currency] is missing or no ISO 4217 code"


_ORDER_FIELDS: Final = ("order_id", "data[order_id]", "customer_id", "data[customer_id]")
