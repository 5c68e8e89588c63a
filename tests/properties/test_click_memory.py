"""Whatever is posted to the click memory: nothing of it comes back or is logged, and only what is valid is stored."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay import click, journal
from conversion_relay.click_endpoint import ClickEndpoint
from conversion_relay.click_memory import is_key, key_of, memory_of
from conversion_relay.delivery import Delivery
from conversion_relay.event import parse
from tests.fakes import NOW_MS, an_order
from tools.in_memory import InMemoryLedger

ORIGIN = "https://www.northwind-trail.example"
MARK = "zq7"
"""In every text that is posted, and in no text of the relay's own."""
KNOWN = key_of(b"\x07" * 16)

texts = st.one_of(
    st.text(max_size=40),
    st.text("ABCabc019+/=_-.~%", max_size=60),
    st.sampled_from(["<script>", '"', "\x00", "\n", "{", "\ud800", "x" * 9_000, "https://", f"{ORIGIN}/a?b="]),
).map(lambda text: text + MARK)
junk = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.lists(texts, max_size=2))
fields = st.fixed_dictionaries(
    {},
    optional={
        "oppref": st.one_of(texts, junk),
        "obref": texts,
        "url": st.one_of(texts, texts.map(lambda text: f"{ORIGIN}/{text}")),
        "referrer": texts,
        "consent": st.one_of(st.sampled_from(["granted", "denied", "unknown"]), texts),
        "key": st.one_of(texts, st.just(KNOWN), st.just(key_of(bytes(16)))),
        MARK: junk,
    },
)
bodies = st.one_of(fields.map(lambda told: json.dumps(told).encode()), st.binary(max_size=200), st.binary().map(
    lambda tail: b'{"oppref":"' + MARK.encode() + tail
))  # fmt: skip
headers = st.fixed_dictionaries(
    {
        "origin": st.one_of(st.just(ORIGIN), texts),
        "content-type": st.one_of(st.sampled_from(["text/plain", "application/json"]), texts),
    },
    optional={"via": texts, "cookie": texts, "referer": texts},
)
paths = st.one_of(st.just("/"), texts.map(lambda text: f"/{text}"))
methods = st.one_of(st.just("POST"), st.sampled_from(["GET", "OPTIONS", "PUT", MARK]))


def an_endpoint() -> tuple[ClickEndpoint, InMemoryLedger]:
    ledger = InMemoryLedger()
    ledger.memories[f"memory#{memory_of(KNOWN)}"] = ({"oppref": "old", "at_ms": NOW_MS, "version": "1"}, 2**40)
    return ClickEndpoint(ledger, (ORIGIN,), lambda: NOW_MS, lambda count: b"\x09" * count, lambda: None), ledger


@given(
    method=methods, path=paths, told=headers, body=bodies, query=texts, address=st.one_of(texts, st.just("203.0.113.9"))
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_that_is_posted_comes_back_or_is_logged(
    capsys: pytest.CaptureFixture[str], method: str, path: str, told: dict[str, str], body: bytes, query: str,
    address: str,
) -> None:  # fmt: skip
    endpoint, _ = an_endpoint()
    answer = endpoint.answer(Delivery(method, path, query, told, body), address, query)
    capsys.readouterr()
    if answer.kind is not None:
        journal.clicked(answer, len(body))
    line = capsys.readouterr().out
    assert MARK not in json.dumps(answer.to_lambda()) + line
    assert line.count("\n") == (answer.kind is not None)
    assert answer.status in (201, 204, 400, 403, 404, 405, 413, 415)


@given(told=fields, agent=texts)
@settings(max_examples=300, deadline=None)
def test_only_what_is_valid_is_stored_and_an_event_may_hold_it(told: dict[str, Any], agent: str) -> None:
    endpoint, ledger = an_endpoint()
    before = dict(ledger.memories)
    body = json.dumps(told).encode()
    given_headers = {"origin": ORIGIN, "content-type": "application/json"}
    answer = endpoint.answer(Delivery("POST", "/", "", given_headers, body), "203.0.113.9", agent)
    changed = {key: facts for key, (facts, _) in ledger.memories.items() if before.get(key) != (facts, _)}
    if answer.status != 201:
        # Only a refusal of consent may change anything: what its key stood for is forgotten.
        assert answer.status == 204 or not changed
        assert all({*facts} == {"at_ms", "version"} for facts in changed.values())
        return
    key = json.loads(answer.body)["key"]
    assert is_key(key)
    assert {*changed} <= {f"memory#{memory_of(key)}"}
    for facts in changed.values():
        assert_fit_for_an_event(facts)
        for name in ("oppref", "obref"):
            if facts.get(name) not in (None, "old"):
                assert facts[name] == told[name]  # unchanged, and none that was not posted
                assert not set("<>\"'\\ \n\x00") & set(facts[name])
                assert len(facts[name]) <= click.LONGEST_REFERENCE


def assert_fit_for_an_event(facts: Mapping[str, Any]) -> None:
    user = {name: facts[name] for name in ("obref", "ip_address", "user_agent") if name in facts}
    event = {name: facts[name] for name in ("oppref", "source_url") if name in facts}
    parse(an_order(action_source="web", **({"source_url": ORIGIN} | event), **({"user": user} if user else {})))
