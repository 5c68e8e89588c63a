"""How deliveries are broken at random, and what must hold of whatever becomes of one."""

import json
import os
import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from conversion_relay import event
from conversion_relay.delivery import Outcome
from tools import wire_rules
from tools.in_memory import InMemoryLedger

SECRET = "a secret"
NOW_MS = 1_795_186_800_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ORIGIN = "https://northwind-trail.example"
CASES = Path(__file__).parents[1] / "cases" / "webhooks"
PER_DELIVERY = int(os.environ.get("MUTATIONS", "110"))
"""How often each delivery is broken."""
SEED = os.environ.get("SEED", "")
"""`make fuzz` draws one and prints it; the same one breaks the deliveries in the same way."""
# Never what another field would pass on raw: a name in the place of a city could not be told from a leak.
ODD: tuple[Any, ...] = (
    None, "", " ", "\t\n", 0, -1, 1, 1.5, -0.0, True, False, "true", "False", "null", "None", "undefined", [], {}, [[]],
    [None], {"": None}, {"id": {}}, "0", "-1", "12", "1e5", "1_000", "NaN", "١٢٣", "½", "4510.00", "0.005", "-0.00",
    2**53 + 1, 2**63, 10**29, 10**40, 9.99e307, "9" * 400, "x" * 300, "é" * 5_000, "🛒", "\ud800", "a\udfff", "\x00",
    "a\x1b[31mb", "\u202e\u200b", "İ", "ß", "\ufeff", "Ａ", "EURO", "usd", "XXX", "BGN", "CLF", "web", "pos", "iphone",
    "shopify_draft_order", "subscription_contract", "580111", "paid", "pending", "refunded", "enabled", "subscribed",
    "2026-11-20T14:00:00Z", "2026-11-20T14:00:00", "2020-01-01T00:00:00Z", "2030-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "/", "//evil.example/a", "/a b", "/\ud800", "http://[::1",
    "https://u:p@h.example/?oppref=a", "/wallets/checkouts.json?x=1", "?oppref=%00&oppref=b", "javascript:alert(1)",
    "10.0.0.300", "::", "2001:db8::1%eth0", "United States", "U$", "us", "+266696687", "0171 2345679", "gid://shopify/Order/6184203910411",
    "gid://shopify/Order/", "trialing", "active", "unpaid", "subscription", "setup", "manual", "subscription_create",
    "subscription_cycle", "acct_1SNConnected", "sub_1", 1_795_186_000, 1_700_000_000, 253_402_300_800, "1795186000",
    "good_lead", "not_a_lead", "inbound", "outbound", "In Progress", "voicemail", "completed", "busy", "form", "Repeat",
    "Yes", "No", "high", "$1,234.50", "€ 20,00", "--", "3m 4s", "anonymous", "Fri, 20 Nov 2026 14:45:00 +0000",
    {"conversion": True, "value": 1890.5}, ["Spam"], [{"name": "spam"}],
)  # fmt: skip
RAW = (
    "1e400",
    "-1e99999999999999999999",
    "1" * 5_000,
    "-0",
    "0e9",
    "1E-400",
    "NaN",
    "Infinity",
    "[" * 3_000 + "]" * 3_000,
)
PERSONAL = (
    "email", "email_address", "contact_email", "phone", "first_name", "last_name", "name", "address1",
    "customer_email", "customer_phone", "customer_name", "receipt_email", "line1",
    "customer_phone_number", "callernum", "callername", "formatted_customer_name", "formatted_customer_phone_number",
    "formatted_customer_name_or_phone_number", "agent_email", "source_number", "message", "content",
    "caller_number", "caller_number_format", "caller_number_complete", "caller_number_bare", "contact_number",
    "caller_name", "contact_name", "contact_email_address", "contact_phone_number", "phone_number", "From", "Caller",
    "customer_email", "customer_phone", "customer_name", "receipt_email", "line1", "mail", "caller", "raw_digits",
    "calling_phone_number", "phone_number", "text_reminder_number",
)  # fmt: skip
KEYS = ("oppref", "oppref_2", "obref", "openai_event_id", "event_id", "source_url", "external_id", "openai_event")
NAMES = ("__oppref", "__obref", "__openai_event_id", "__openai_source_url", "gift message")


@dataclass(frozen=True)
class Start:
    """A delivery to be broken."""

    name: str
    source: str
    topic: str
    payload: Any
    query: str = ""
    is_form: bool = False


# What is done to a payload --------------------------------------------------------------------------------------------


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def put(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    at(payload, path[:-1])[path[-1]] = deepcopy(chance.choice(ODD))


def drop(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    del at(payload, path[:-1])[path[-1]]


def retype(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    value = at(payload, path)
    match value:
        case bool():
            other: Any = chance.choice([str(value), str(value).lower(), int(value)])
        case int():
            other = chance.choice([str(value), f" {value} ", float(value), -value, [value], {"id": value}])
        case str() if re.fullmatch(r"-?\d+(\.\d+)?", value):
            other = chance.choice(
                [float(value), value + "0", value.replace(".", ","), f" {value}", f"+{value}", [value]]
            )
        case str():
            other = chance.choice([value.upper(), f"  {value}\n", value[: len(value) // 2], value + "\ud800", [value]])
        case list():
            other = chance.choice([value[:1] * 3, value * 2, dict(enumerate(map(str, value))), value[:1], "", [value]])
        case dict():
            other = chance.choice([[value], list(value), json.dumps(value), {**value, "": value}, {"data": value}])
        case _:
            other = chance.choice(ODD)
    at(payload, path[:-1])[path[-1]] = deepcopy(other)


def nest(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    value = at(payload, path)
    for _ in range(chance.choice([1, 3, 100])):
        value = {"value": value} if chance.random() < 0.5 else [value]
    at(payload, path[:-1])[path[-1]] = value


def attribute(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    name, value = chance.choice(NAMES), deepcopy(chance.choice(ODD))
    found = [each for each in places(payload) if each[-1] == "metadata" and isinstance(at(payload, each), dict)]
    if found:
        at(payload, chance.choice(found))[chance.choice(KEYS)] = value
        return
    attributes = payload.get("note_attributes") if isinstance(payload, dict) else None
    if isinstance(attributes, list):
        attributes.append({"name": name, "value": value})
    else:
        put(chance, payload, path)


def multiply(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    lists = [each for each in places(payload) if isinstance(at(payload, each), list) and at(payload, each)]
    if lists:
        chosen = at(payload, chance.choice(lists))
        chosen.extend(deepcopy(chosen[0]) for _ in range(chance.choice([1, 5, 600])))


def swap(chance: random.Random, payload: Any, path: tuple[Any, ...]) -> None:
    leaves = [each for each in places(payload) if not isinstance(at(payload, each), dict | list)]
    first, second = (chance.choice(leaves) for _ in range(2)) if leaves else ((), ())
    if leaves and not {first[-1], second[-1]} & set(PERSONAL):
        one, other = at(payload, first), at(payload, second)
        at(payload, first[:-1])[first[-1]], at(payload, second[:-1])[second[-1]] = other, one


MUTATIONS: tuple[Callable[[random.Random, Any, tuple[Any, ...]], None], ...] = (
    put, put, put, drop, drop, retype, retype, nest, attribute, multiply, swap,
)  # fmt: skip


def broken(chance: random.Random, start: Start) -> bytes:
    """The body of a start with one to five changes; now and then the text of the JSON itself is broken."""
    payload = deepcopy(start.payload)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        everywhere = list(places(payload))
        if not everywhere:
            break
        # Half of the changes near the top, where most of what is read stands.
        near = [path for path in everywhere if len(path) <= 2]
        chance.choice(MUTATIONS)(chance, payload, chance.choice(near if chance.random() < 0.5 else everywhere))
    if start.is_form:
        return torn_form(chance, payload)
    text = json.dumps(payload, separators=(",", ":"))
    match chance.randrange(24):
        case 0:
            key = chance.choice(sorted(payload)) if isinstance(payload, dict) and payload else "id"
            text = text.replace(f'"{key}":', f'"{key}":{chance.choice(RAW)},"x":', 1)
        case 1:
            text = text[:-1] + f',"{chance.choice(["id", "email", "test", "currency"])}":null' + text[-1:]
        case 2:
            text = text[: chance.randrange(len(text))]
        case 3:
            text = chance.choice(["", "[]", "null", '"x"', "5", "\ufeff" + text, text + text, text + "\n"])
        case 4:
            return text.encode()[:-1] + chance.choice([b"\xff}", b"\x00", b'"\xed\xa0\x80"}'])
    return text.encode()


def torn_form(chance: random.Random, payload: dict[str, Any]) -> bytes:
    """The fields as a form; now and then a field is there twice, the form is cut or is no text."""
    fields = {
        name: json.dumps(value) if isinstance(value, dict | list) else str(value) for name, value in payload.items()
    }
    body = urlencode(fields, errors="replace").encode()
    match chance.randrange(16):
        case 0:
            body += b"&" + chance.choice([b"CallStatus=busy", b"CallSid=CA2", b"From=", b"=", b"Timestamp", b"a=%ZZ"])
        case 1:
            body = body[: chance.randrange(len(body))]
        case 2:
            body = chance.choice([b"", b"{}", b"&&&", b"=&=", b"CallStatus=completed"])
        case 3:
            body += chance.choice([b"&From=\xff\xfe", b"\x00", b"&From=\xed\xa0\x80"])
    return body


# What must hold -------------------------------------------------------------------------------------------------------


def personal(payload: Any) -> set[str]:
    """Raw personal data of the original payload, as it stands and as it is normalised."""
    found = set()
    for path in places(payload):
        value = at(payload, path)
        if isinstance(value, str) and path[-1] in PERSONAL:
            is_thing = "line_items" in path or path == ("name",) or "note_attributes" in path or "metadata" in path
            if value.strip() and not is_thing:
                found |= {value.strip(), value.strip().lower(), re.sub(r"\D", "", value)}
    # A name of one or two letters is part of any text, and a digit of any number.
    return {each for each in found if len(each) > 3 or not each.isascii()}


def told(outcome: Outcome, ledger: InMemoryLedger) -> str:
    """Everything that leaves the function or is written, but for what is parked, which is raw by design."""
    written = [*ledger.conversions.values(), *(facts for facts, _ in ledger.memories.values())]
    parts = [outcome.reason, outcome.detail, outcome.key or "", outcome.event.to_json() if outcome.event else ""]
    parts += [*outcome.about, outcome.topic or ""]
    return " ".join(
        [*parts, json.dumps(written, ensure_ascii=False), *ledger.memories, *map(repr, ledger.requests.values())]
    )


def check(outcome: Outcome, ledger: InMemoryLedger, private: set[str]) -> None:
    assert outcome.http == 200
    assert outcome.reason != "normalizer_failed", outcome.detail
    assert (outcome.event is not None) == (outcome.kind == "recorded")
    if outcome.event is not None:
        wire = json.loads(outcome.event.to_json())
        assert wire_rules.refusal({"events": [wire]}, NOW_MS, report_all=True) is None
        assert wire_rules.ignored_values(wire) == []
        assert event.age_problem(outcome.event.timestamp_ms, NOW_MS) is None
        assert "@" not in outcome.event.id
    everything = told(outcome, ledger)
    leaked = [each for each in private if each in everything]
    assert leaked == []
