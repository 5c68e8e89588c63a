"""Broken deliveries: whatever a payload turns into, the relay answers 200 and no bad event comes out of it.

Every sample and every shared case is changed at random places (the seed is fixed), signed again, and taken through the
Function URL's event and the real receiver. Each is sent a second time with a wrong signature or none.
"""

import base64
import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conversion_relay import event, function_url
from conversion_relay.delivery import Outcome
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import shopify, stripe
from tools import samples, wire_rules
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import PLATFORMS, SOURCES

SECRET = "a secret"
NOW_MS = 1_795_186_800_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)
ORIGIN = "https://northwind-trail.example"
CASES = Path(__file__).parents[1] / "cases" / "webhooks"
PER_DELIVERY = 70

ALL_SETTINGS = (
    Settings(storefront_origin=ORIGIN),
    Settings(storefront_origin=ORIGIN, count_carts=True, require_match_key="none", count_newsletter=True),
    Settings(
        shopify_money="presentment",
        value_basis="net_of_tax_shipping_tip",
        content_id="sku",
        count_pending_orders=True,
        default_phone_region="US",
        app_action_sources={"5284869": "web", "580111": "mobile_app"},
        count_carts=True,
        require_match_key="none",
        count_newsletter=True,
    ),
    Settings(
        site_origin=ORIGIN,
        stripe_manual_invoices=True,
        stripe_accounts=frozenset({"acct_1SNConnected"}),
        convert_on="status",
        stripe_test_mode="count",
        delivery_mode="validate",
    ),
    Settings(storefront_origin=ORIGIN, require_match_key="all", late_payment="ignore", draft_order_action_source="web"),
)

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


def starts() -> list[Start]:
    # Custom platforms sign as their files say: test_custom_mutations.py breaks their deliveries with what is here.
    cases = json.loads((CASES / "cases.json").read_bytes())["cases"]
    held = [case for case in cases if case["platform"] in SOURCES.keys() - PLATFORMS.keys()]
    shared = [
        Start(case["id"], case["platform"], _topic(case), json.loads((CASES / case["body_file"]).read_bytes()))
        for case in held
    ]
    made = [each for each in samples.samples() if each.source not in PLATFORMS]
    return shared + [
        Start(each.name, each.source, each.topic, json.loads(each.delivery(SECRET, NOW).body)) for each in made
    ]


def _topic(case: dict[str, Any]) -> str:
    topic: str = json.loads((CASES / case["headers_file"]).read_bytes()).get("X-Shopify-Topic", "")
    return topic


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


# How it arrives -------------------------------------------------------------------------------------------------------


def headers(chance: random.Random, start: Start, body: bytes) -> dict[str, str]:
    if start.source == "stripe":
        return {chance.choice(["Stripe-Signature", "stripe-signature"]): stripe.sign(body, SECRET, NOW_MS // 1000)}
    given = {
        "X-Shopify-Topic": start.topic if chance.random() < 0.9 else chance.choice([*shopify.TOPICS, "a/b", " ", "é"]),
        "X-Shopify-Hmac-Sha256": shopify.sign(body, SECRET),
        "X-Shopify-Shop-Domain": chance.choice(["northwind-trail.myshopify.com"] * 9 + ["", "a b", "ü" * 300]),
        "X-Shopify-Webhook-Id": chance.choice(["d588fdab-30fd-493d-a1b3-2df3407aedab"] * 9 + [""]),
        "X-Shopify-Triggered-At": chance.choice(
            ["2026-11-20T14:59:58.412330871Z"] * 9 + ["", "2026", "2020-01-01T00:00Z"]
        ),
    }
    if chance.random() < 0.1:
        del given[chance.choice([name for name in given if "Hmac" not in name])]
    if chance.random() < 0.1:
        given = {name.removeprefix("X-"): value for name, value in given.items()}
    return {chance.choice([str, str.lower, str.upper])(name): value for name, value in given.items()}  # type: ignore[operator]


def request(chance: random.Random, body: bytes, given: dict[str, str]) -> dict[str, Any]:
    """The Function URL's event: text where the bytes are text, else base64, which is always right."""
    made = {"version": "2.0", "rawPath": "/", "headers": given, "requestContext": {"http": {"method": "POST"}}}
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or chance.random() < 0.5:
        return {**made, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {**made, "body": text, "isBase64Encoded": False}


def forged(chance: random.Random, body: bytes, given: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """The same delivery without a good signature."""
    (name,) = (each for each in given if each.lower().endswith(("hmac-sha256", "stripe-signature")))
    good = given[name]
    wrong = ["", None, good[:-2], "é\ud800"]
    if name.lower() == "stripe-signature":
        aged = stripe.sign(body, SECRET, NOW_MS // 1000 - chance.choice([301, -301, 10**6]))
        wrong += [good.replace("v1=", "v0="), good.partition(",")[0], stripe.sign(body, "other", NOW_MS // 1000), aged]
    else:
        wrong += [good.lower(), shopify.sign(body, "other"), " " + good]
    other = chance.choice(wrong)
    if other == good or chance.random() < 0.2:
        return body + b" ", given
    return body, {key: value for key, value in {**given, name: other}.items() if value is not None}


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


STARTS = starts()


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_broken_deliveries_of(start: Start) -> None:
    chance = random.Random(hashlib.sha256(start.name.encode()).digest())
    private = personal(start.payload)
    counted: Counter[str] = Counter()
    for _ in range(PER_DELIVERY):
        body = broken(chance, start)
        given = headers(chance, start, body)
        ledger, parking = InMemoryLedger(), InMemoryParking()
        receiver = Receiver(
            SOURCES[start.source], KnownSecrets([SECRET]), ledger, parking, chance.choice(ALL_SETTINGS), lambda: NOW_MS
        )

        other_body, other_headers = forged(chance, body, given)
        refused = receiver.receive(function_url.delivery_in(request(chance, other_body, other_headers)))
        assert (refused.kind, refused.http) == ("refused", {"shopify": 401, "stripe": 400}[start.source])
        assert (ledger, parking) == (InMemoryLedger(), InMemoryParking())

        delivery = function_url.delivery_in(request(chance, body, given))
        assert delivery.body == body
        outcome = receiver.receive(delivery)
        counted[outcome.kind] += 1
        check(outcome, ledger, private)
        function_url.answer(outcome)

        again = receiver.receive(delivery)
        assert again.http == 200
        assert again.event is None
    TOTAL.update(counted)


TOTAL: Counter[str] = Counter()


def test_mutations_are_many_and_reach_every_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    if sum(TOTAL.values()) < PER_DELIVERY * len(STARTS):
        pytest.skip("counts only where all of the deliveries above were broken in this process")

    with capsys.disabled():
        print(f"\n{sum(TOTAL.values())} broken deliveries: {dict(TOTAL.most_common())}")
    assert sum(TOTAL.values()) >= 6_000
    assert min(TOTAL[kind] for kind in ("recorded", "ignored", "remembered", "compliance", "parked")) > 0
    assert TOTAL["recorded"] > 800


def test_personal_data_is_looked_for() -> None:
    order = next(start for start in STARTS if start.topic == "orders/create")

    assert {"mara.lindqvist@example.com", "14155550132", "Mara", "Lindqvist", "500 Fictional Ave"} <= personal(
        order.payload
    )
