"""Broken deliveries: whatever a payload turns into, the relay answers 200 and no bad event comes out of it.

Every sample and every shared case is changed at random places (the seed is fixed), signed again, and taken through the
Function URL's event and the real receiver. Each is sent a second time with a wrong signature or none.
"""

import base64
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest

from conversion_relay import function_url
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import callrail, calltrackingmetrics, shopify, stripe, twilio, whatconverts
from tests.conftest import Count
from tests.properties.breaking import (
    CASES,
    NOW,
    NOW_MS,
    ORIGIN,
    PER_DELIVERY,
    SECRET,
    SEED,
    Start,
    broken,
    check,
    personal,
)
from tools import samples
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import PLATFORMS, SOURCES

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
    Settings(
        site_origin=ORIGIN,
        min_call_seconds=0,
        first_time_only=False,
        count_voicemail=True,
        call_currency="JPY",
        ctm_sale_event="order",
        default_phone_region="US",
    ),
)


def starts() -> list[Start]:
    # Custom platforms sign as their files say: test_custom_mutations.py breaks their deliveries with what is here.
    cases = json.loads((CASES / "cases.json").read_bytes())["cases"]
    held = [case for case in cases if case["platform"] in SOURCES.keys() - PLATFORMS.keys()]
    shared = [
        Start(
            case["id"], case["platform"], _topic(case), _read((CASES / case["body_file"]).read_bytes()),
            case.get("query", "").removeprefix("?"), case["body_file"].endswith(".txt"),
        )
        for case in held
    ]  # fmt: skip
    made = [(each, each.delivery(SECRET, NOW)) for each in samples.samples() if each.source not in PLATFORMS]
    return shared + [
        Start(
            each.name,
            each.source,
            each.topic,
            _read(delivery.body),
            delivery.query,
            is_form=not delivery.body.startswith(b"{"),
        )
        for each, delivery in made
    ]


def _read(body: bytes) -> Any:
    """The JSON in a body, or the fields of a form."""
    return json.loads(body) if body.startswith(b"{") else dict(parse_qsl(body.decode(), keep_blank_values=True))


def _topic(case: dict[str, Any]) -> str:
    topic: str = json.loads((CASES / case["headers_file"]).read_bytes()).get("X-Shopify-Topic", "")
    return topic


# How it arrives -------------------------------------------------------------------------------------------------------

HOOKS = "https://hooks.example.com"
Headers = dict[str, str]


@dataclass(frozen=True)
class Sender:
    """How a platform signs, and what is no signature of its.

    ``headers`` of a good delivery, ``signature`` the one that proves it, ``forgeries`` other values for that one, and
    ``refused`` the status that answers them. ``is_bound``: the signature covers the body.
    """

    signature: str
    headers: Callable[[random.Random, Start, bytes], Headers]
    forgeries: Callable[[random.Random, Start, bytes, str], list[str | None]]
    refused: int = 401
    is_bound: bool = True


def shopify_headers(chance: random.Random, start: Start, body: bytes) -> Headers:
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
    return given


def stripe_forgeries(chance: random.Random, _: Start, body: bytes, good: str) -> list[str | None]:
    aged = stripe.sign(body, SECRET, NOW_MS // 1000 - chance.choice([301, -301, 10**6]))
    other = stripe.sign(body, "other", NOW_MS // 1000)
    return [good.replace("v1=", "v0="), good.partition(",")[0], other, aged]


def ctm_headers(_: random.Random, __: Start, body: bytes) -> Headers:
    time = str(NOW_MS // 1000)
    return {"X-CTM-Time": time, "X-CTM-Signature": calltrackingmetrics.sign(body, SECRET, time)}


def ctm_forgeries(_: random.Random, __: Start, body: bytes, good: str) -> list[str | None]:
    aged = calltrackingmetrics.sign(body, SECRET, str(NOW_MS // 1000 - 301))
    return [good.lower(), calltrackingmetrics.sign(body, "other", str(NOW_MS // 1000)), aged]


def twilio_signature(start: Start, body: bytes, secret: str) -> str:
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return twilio.sign(f"{HOOKS}/" + (f"?{start.query}" if start.query else ""), fields, secret)


SENDERS = {
    "shopify": Sender(
        "hmac-sha256",
        shopify_headers,
        lambda _, __, body, good: [good.lower(), shopify.sign(body, "other"), " " + good],
    ),
    "stripe": Sender(
        "stripe-signature",
        lambda _, __, body: {"Stripe-Signature": stripe.sign(body, SECRET, NOW_MS // 1000)},
        stripe_forgeries,
        refused=400,
    ),
    "callrail": Sender(
        "signature",
        lambda _, __, body: {"Signature": callrail.sign(body, SECRET)},
        lambda _, __, body, good: [good.lower(), callrail.sign(body, "other"), " " + good],
    ),
    "ctm": Sender("x-ctm-signature", ctm_headers, ctm_forgeries),
    "whatconverts": Sender(
        "authorization",
        lambda *_: {"Authorization": whatconverts.sign(SECRET)},
        lambda _, __, ___, good: [good.replace("Bearer", "Basic"), whatconverts.sign("other"), SECRET],
        is_bound=False,
    ),
    "twilio": Sender(
        "x-twilio-signature",
        lambda _, start, body: {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": twilio_signature(start, body, SECRET),
        },
        lambda _, start, body, good: [good.lower(), twilio_signature(start, body, "other"), " " + good],
        refused=403,
    ),
}
"""One for each source."""


def headers(chance: random.Random, start: Start, body: bytes) -> Headers:
    """The headers of a good delivery, in the case that a proxy happened to write."""
    given = SENDERS[start.source].headers(chance, start, body)
    return {chance.choice([str, str.lower, str.upper])(name): value for name, value in given.items()}  # type: ignore[operator]


def request(chance: random.Random, start: Start, body: bytes, given: Headers) -> dict[str, Any]:
    """The Function URL's event: text where the bytes are text, else base64, which is always right."""
    made = {"version": "2.0", "rawPath": "/", "headers": given, "requestContext": {"http": {"method": "POST"}}}
    made["rawQueryString"] = start.query
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or chance.random() < 0.5:
        return {**made, "body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {**made, "body": text, "isBase64Encoded": False}


def forged(chance: random.Random, start: Start, body: bytes, given: Headers) -> tuple[bytes, Headers]:
    """The same delivery without a good signature."""
    sender = SENDERS[start.source]
    (name,) = (each for each in given if each.lower().endswith(sender.signature))
    good = given[name]
    other = chance.choice(["", None, good[:-2], "é\ud800", *sender.forgeries(chance, start, body, good)])
    if other == good or (sender.is_bound and chance.random() < 0.2):
        return body + b" ", given
    return body, {key: value for key, value in {**given, name: other}.items() if value is not None}


STARTS = starts()


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_broken_deliveries_of(start: Start, count: Count) -> None:
    chance = random.Random(hashlib.sha256(f"{SEED}{start.name}".encode()).digest())
    private = personal(start.payload)
    counted: Counter[str] = Counter()
    for _ in range(PER_DELIVERY):
        body = broken(chance, start)
        given = headers(chance, start, body)
        ledger, parking = InMemoryLedger(), InMemoryParking()
        receiver = Receiver(
            SOURCES[start.source], KnownSecrets([SECRET]), ledger, parking, chance.choice(ALL_SETTINGS), lambda: NOW_MS
        )

        other_body, other_headers = forged(chance, start, body, given)
        refused = receiver.receive(function_url.delivery_in(request(chance, start, other_body, other_headers), HOOKS))
        assert (refused.kind, refused.http) == ("refused", SENDERS[start.source].refused)
        assert (ledger, parking) == (InMemoryLedger(), InMemoryParking())

        delivery = function_url.delivery_in(request(chance, start, body, given), HOOKS)
        assert delivery.body == body
        outcome = receiver.receive(delivery)
        counted[outcome.kind] += 1
        check(outcome, ledger, private)
        function_url.answer(outcome)

        again = receiver.receive(delivery)
        assert again.http == 200
        assert again.event is None
    TOTAL.update(counted)
    count("deliveries broken at random", counted | {"in all": counted.total()})
    count("the same with a wrong signature", {"refused, nothing written": counted.total()})


TOTAL: Counter[str] = Counter()


def test_mutations_are_many_and_reach_every_outcome() -> None:
    if sum(TOTAL.values()) < PER_DELIVERY * len(STARTS):
        pytest.skip("counts only where all of the deliveries above were broken in this process")

    assert sum(TOTAL.values()) >= 20_000 or PER_DELIVERY < 110
    assert min(TOTAL[kind] for kind in ("recorded", "ignored", "remembered", "compliance", "parked")) > 0
    assert TOTAL["recorded"] > 800


def test_every_source_is_broken() -> None:
    assert set(SENDERS) == SOURCES.keys() - PLATFORMS.keys() == {start.source for start in STARTS}


def test_personal_data_is_looked_for() -> None:
    order = next(start for start in STARTS if start.topic == "orders/create")

    assert {"mara.lindqvist@example.com", "14155550132", "Mara", "Lindqvist", "500 Fictional Ave"} <= personal(
        order.payload
    )
