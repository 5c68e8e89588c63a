"""Broken deliveries of custom platforms: signed as their files say, they never crash, leak or make a bad event.

What breaks them, and what must hold, is in breaking.py.
"""

import hashlib
import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conversion_relay import function_url
from conversion_relay.delivery import Delivery, NotUnderstood, Refused
from conversion_relay.payload import parse_json
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources.custom import format as form
from conversion_relay.sources.custom.verification import sign, verify
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
from tools.samples.custom import PLATFORMS
from tools.sources import SOURCES

ALL_SETTINGS = (
    Settings(site_origin=ORIGIN),
    Settings(site_origin=ORIGIN, require_match_key="none", first_time_only=False, min_call_seconds=0),
    Settings(require_match_key="all", default_phone_region="US", call_currency="JPY"),
    Settings(require_click_reference=True),
)  # fmt: skip


def starts() -> list[Start]:
    cases = json.loads((CASES / "cases.json").read_bytes())["cases"]
    held = [case for case in cases if case["platform"] in PLATFORMS and case["expected"]["outcome"] != "handshake"]
    shared = [Start(case["id"], case["platform"], "", payload_of(case)) for case in held]
    made = [each for each in samples.samples() if each.source in PLATFORMS]
    return shared + [Start(each.name, each.source, "", each.payload) for each in made]


def payload_of(case: dict[str, Any]) -> Any:
    if PLATFORMS[case["platform"]].body == "query":
        return dict(parse_qsl(case["query"].removeprefix("?")))
    return json.loads((CASES / case["body_file"]).read_bytes())


def unsigned(start: Start, body: bytes) -> Delivery:
    """The delivery of a broken body; where the payload is in the query, of its values."""
    delivery = Delivery("POST", f"/{start.source}", "", {"content-type": "application/json"}, body, ORIGIN)
    if PLATFORMS[start.source].body != "query":
        return delivery
    try:
        values = {key: each if isinstance(each, str) else json.dumps(each) for key, each in json.loads(body).items()}
    except (ValueError, AttributeError):
        values = {"": repr(body)}
    query = "&".join(f"{quote(k, errors='replace')}={quote(v, errors='surrogatepass')}" for k, v in values.items())
    return replace(delivery, method="GET", body=b"", query=query)


def signed(start: Start, delivery: Delivery) -> Delivery | None:
    """The delivery as its platform would sign it; None where the token belongs into a body that cannot hold one."""
    platform = PLATFORMS[start.source]
    if isinstance(platform.verify, form.BodyToken):
        try:
            assert isinstance(parse_json(delivery.body), dict)
            return sign(
                platform, replace(delivery, body=json.dumps(json.loads(delivery.body)).encode()), SECRET, NOW_MS
            )
        except (AssertionError, NotUnderstood, UnicodeEncodeError):
            return None
    return sign(platform, delivery, SECRET, NOW_MS)


def is_readable(delivery: Delivery, source: str) -> bool:
    try:
        verify(PLATFORMS[source], delivery, [SECRET], NOW_MS)
    except Refused:
        return False
    return True


def event_of(delivery: Delivery) -> dict[str, Any]:
    return {
        "rawPath": delivery.path,
        "rawQueryString": delivery.query,
        "headers": dict(delivery.headers),
        "requestContext": {"http": {"method": delivery.method}},
        "body": delivery.body.decode("utf-8", "surrogateescape"),
    }


STARTS = starts()
TOTAL: Counter[str] = Counter()


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.name)
def test_broken_deliveries_of(start: Start, count: Count) -> None:
    chance = random.Random(hashlib.sha256(f"{SEED}{start.name}".encode()).digest())
    counted: Counter[str] = Counter()
    private = personal({key: each for key, each in start.payload.items() if key != "contents"})  # names of things
    for _ in range(PER_DELIVERY):
        ledger, parking = InMemoryLedger(), InMemoryParking()
        receiver = Receiver(
            SOURCES[start.source], KnownSecrets([SECRET]), ledger, parking, chance.choice(ALL_SETTINGS), lambda: NOW_MS
        )
        plain = unsigned(start, broken(chance, start))

        refused = receiver.receive(plain)
        assert (refused.kind, refused.http) == ("refused", 401)
        assert (ledger, parking) == (InMemoryLedger(), InMemoryParking())

        delivery = signed(start, plain)
        if delivery is None or not is_readable(delivery, start.source):
            # The token itself cannot be read out of what was broken.
            assert isinstance(PLATFORMS[start.source].verify, form.BodyToken | form.UrlToken)
            counted["unreadable"] += 1
            continue
        forged = Receiver(SOURCES[start.source], KnownSecrets(["another"]), ledger, parking, Settings(), lambda: NOW_MS)
        assert forged.receive(delivery).http == 401
        assert (ledger, parking) == (InMemoryLedger(), InMemoryParking())

        outcome = receiver.receive(delivery)
        counted[outcome.kind] += 1
        # An id is text of the platform's: where a mutation has put a name in its place, it stands in the key.
        check(outcome, ledger, {each for each in private if each not in (outcome.key or "")})
        function_url.answer(outcome)
        again = receiver.receive(delivery)
        assert (again.http, again.event) == (200, None)
    TOTAL.update(counted)
    refused_again = counted.pop("unreadable", 0)
    count("deliveries broken at random", counted | {"in all": counted.total()})
    count("the same with a wrong signature", {"refused, nothing written": PER_DELIVERY + counted.total()})
    count("the token itself was broken", {"refused": refused_again})


def test_every_platform_is_broken() -> None:
    assert {start.source for start in STARTS} == PLATFORMS.keys()


def test_mutations_reach_every_outcome() -> None:
    if sum(TOTAL.values()) < PER_DELIVERY * len(STARTS):
        pytest.skip("counts only where all of the deliveries above were broken in this process")

    assert min(TOTAL[kind] for kind in ("recorded", "ignored", "parked")) > 100
    assert TOTAL["unreadable"] < sum(TOTAL.values()) / 10


@pytest.mark.parametrize("name", PLATFORMS)
@settings(max_examples=50, deadline=None)
@given(
    body=st.dictionaries(st.text("abc", min_size=1), st.text() | st.integers(), max_size=3),
    secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=40),
    other=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=40),
)
def test_what_is_signed_is_verified_and_nothing_else(name: str, body: dict[str, Any], secret: str, other: str) -> None:
    platform = PLATFORMS[name]
    method = "POST" if "POST" in platform.methods else "GET"
    plain = Delivery(method, f"/{name}", "", {}, json.dumps(body).encode(), "https://hooks.example.com")

    delivery = sign(platform, plain, secret, NOW_MS)

    verify(platform, delivery, [other, secret], NOW_MS)
    if other != secret:
        with pytest.raises(Refused):
            verify(platform, delivery, [other], NOW_MS)
    if isinstance(platform.verify, form.Hmac):
        with pytest.raises(Refused):
            verify(platform, replace(delivery, body=delivery.body + b" "), [secret], NOW_MS)


def test_the_present_of_the_samples_is_that_of_the_tests() -> None:
    assert samples.WRITTEN_AT == NOW
