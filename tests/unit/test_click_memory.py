"""The click memory: what a page may post, what is remembered of it, and what anybody else is answered."""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conversion_relay import click_memory, journal
from conversion_relay.click_endpoint import Answer, ClickEndpoint, origins_of, script_in
from conversion_relay.click_memory import NOTHING, Recalled, is_key, key_in_url, key_of, memory_of, recalled
from conversion_relay.delivery import Delivery, Memory
from conversion_relay.ledger import Contended, LedgerUnavailable
from conversion_relay.settings import Settings

ORIGIN = "https://www.northwind-trail.example"
NOW_MS = 1_795_327_200_000
DAY_MS = 86_400_000
OPPREF = "gAAAAABnZ1l2Q0FfT3BwcmVmX29mX2FfY2xpY2s="
OBREF = "obr_5f0c3d1e9a7b"
ADDRESS = "203.0.113.9"
AGENT = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15"
FACTS = {"oppref": OPPREF, "obref": OBREF, "ip_address": ADDRESS, "user_agent": AGENT, "at_ms": NOW_MS}


class Ledger:
    """Memories by key; refuses a write of what has changed, as DynamoDB does. ``twins`` writes come in between."""

    def __init__(self) -> None:
        self.held: dict[str, Memory] = {}
        self.writes = 0
        self.twins = 0
        self.outage = False

    def recall(self, key: str, now_ms: int) -> Mapping[str, Any] | None:
        assert now_ms >= NOW_MS
        if self.outage:
            raise LedgerUnavailable("DynamoDB could not recall a fact (ThrottlingException)")
        memory = self.held.get(key)
        return None if memory is None else {**memory.facts, "version": memory.version}

    def remember(self, memory: Memory, now_ms: int, tenant: str | None = None) -> None:
        assert (now_ms >= NOW_MS, tenant) == (True, None)
        before = self.held.get(f"memory#{memory.key}")
        if self.outage:
            raise LedgerUnavailable("DynamoDB could not remember a fact (ThrottlingException)")
        if self.twins or (before.version if before else None) != memory.replaces:
            self.twins -= 1
            raise Contended("another delivery changed what is remembered at the same time")
        self.held[f"memory#{memory.key}"] = memory
        self.writes += 1


class World:
    """An endpoint with a ledger of its own, a clock to turn, and random bytes that count up."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now_ms = NOW_MS
        self.drawn = 0
        self.endpoint = ClickEndpoint(self.ledger, (ORIGIN,), lambda: self.now_ms, self._random, lambda: None)

    def _random(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count)

    def send(self, body: object, *, method: str = "POST", path: str = "/", **headers: str) -> Answer:
        given = {"origin": ORIGIN, "content-type": "text/plain;charset=UTF-8"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        delivery = Delivery(method, path, "", {name: value for name, value in given.items() if value}, raw)
        return self.endpoint.answer(delivery, ADDRESS, AGENT)

    def post(self, **fields: Any) -> str:
        answer = self.send(fields)
        assert answer.status == 201, answer
        key: str = json.loads(answer.body)["key"]
        return key

    def facts(self, key: str) -> Mapping[str, Any]:
        return self.ledger.held[f"memory#{memory_of(key)}"].facts


@pytest.fixture
def world() -> World:
    return World()


# A page that may post ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "application/json", "TEXT/PLAIN"])
def test_a_click_is_remembered_under_a_key_that_says_nothing(world: World, kind: str) -> None:
    # When a landing page posts what it knows
    page = f"{ORIGIN}/shoes?utm_source=chatgpt&oppref={OPPREF}#top"
    told = {"oppref": OPPREF, "obref": OBREF, "url": page, "referrer": "https://chatgpt.com/c/1234?q=boots"}
    answer = world.send(told, content_type=kind)
    # Then it gets a key, and only what an event may hold is stored, for 30 days, not under the key itself
    key = json.loads(answer.body)["key"]
    assert (answer.status, answer.kind, key) == (201, "stored", key_of((1).to_bytes(16)))
    ((stored_under, memory),) = world.ledger.held.items()
    assert stored_under == f"memory#click#{hashlib.sha256(key.encode()).hexdigest()}"
    assert memory.facts == FACTS | {"source_url": f"{ORIGIN}/shoes", "referrer": "https://chatgpt.com"}
    assert (memory.ttl_days, memory.version, memory.replaces) == (30, "1", None)
    assert key not in repr(memory)


def test_the_answer_lets_this_page_read_it_and_nobody_else(world: World) -> None:
    headers = world.send({"oppref": OPPREF}).headers
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["vary"] == "Origin"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-credentials" not in headers


def test_a_key_is_128_random_bits() -> None:
    key = key_of(bytes(range(16)))
    assert re.fullmatch("rc1_[A-Za-z0-9_-]{22}", key)
    assert base64.urlsafe_b64decode(key.removeprefix("rc1_") + "==") == bytes(range(16))
    assert is_key(key)


@pytest.mark.parametrize(
    "value",
    [None, 1, "", "rc1_", key_of(bytes(16))[:-1], key_of(bytes(16)) + "A", "rc2_" + "A" * 22, "rc1_" + "A" * 21 + "B",
     "rc1_" + "A" * 21 + "=", key_of(bytes(16)).upper()],
)  # fmt: skip
def test_what_has_another_form_is_no_key(value: object) -> None:
    assert not is_key(value)


def test_two_clicks_have_two_keys(world: World) -> None:
    assert world.post(oppref=OPPREF) != world.post(oppref=OPPREF)


def test_what_is_empty_is_as_if_absent(world: World) -> None:
    assert world.facts(world.post(oppref=OPPREF, obref="", url=None, referrer="", key="")) == {
        name: value for name, value in FACTS.items() if name != "obref"
    }


@pytest.mark.parametrize("referrer", ["android-app://com.openai.chatgpt", "chatgpt", "\x00", "https://"])
def test_a_referrer_that_is_no_page_is_left_out(world: World, referrer: str) -> None:
    assert "referrer" not in world.facts(world.post(oppref=OPPREF, referrer=referrer))


def test_consent_is_remembered_where_it_was_given(world: World) -> None:
    assert world.facts(world.post(oppref=OPPREF, consent="granted"))["consent"] == "granted"
    assert "consent" not in world.facts(world.post(oppref=OPPREF, consent="unknown"))


@pytest.mark.parametrize("headers", [{"via": "1.1 proxy"}, {"x_amz_cf_id": "abc"}])
def test_behind_a_proxy_address_and_agent_are_nobody_s(world: World, headers: dict[str, str]) -> None:
    key = json.loads(world.send({"oppref": OPPREF}, **headers).body)["key"]
    assert world.facts(key) == {"oppref": OPPREF, "at_ms": NOW_MS}


# A browser that comes again -------------------------------------------------------------------------------------------


def test_a_second_post_completes_the_memory_and_changes_nothing_in_it(world: World) -> None:
    # Given a click without the browser's reference
    key = world.post(oppref=OPPREF, url=f"{ORIGIN}/a")
    # When the next page tells it
    world.now_ms += 3 * DAY_MS
    answer = world.send({"oppref": OPPREF, "obref": OBREF, "url": f"{ORIGIN}/b", "consent": "granted", "key": key})
    # Then it is added under the same key, and forgotten on the same day
    assert (answer.kind, json.loads(answer.body)) == ("completed", {"key": key})
    assert world.facts(key) == FACTS | {"source_url": f"{ORIGIN}/a", "consent": "granted"}
    assert world.ledger.held[f"memory#{memory_of(key)}"].ttl_days == 27


def test_a_post_that_adds_nothing_writes_nothing(world: World) -> None:
    key = world.post(oppref=OPPREF)
    assert world.post(oppref=OPPREF, key=f" {key} ") == key
    assert world.ledger.writes == 1


@pytest.mark.parametrize("other", [{"oppref": "another-click"}, {"oppref": OPPREF, "obref": "another-browser"}])
def test_another_click_has_another_key_and_leaves_the_first_as_it_is(world: World, other: dict[str, str]) -> None:
    key = world.post(oppref=OPPREF, obref=OBREF)
    assert world.post(**other, key=key) != key
    assert world.facts(key) == FACTS


def test_a_memory_that_is_nearly_forgotten_is_not_lengthened(world: World) -> None:
    key = world.post(oppref=OPPREF)
    world.now_ms += 29 * DAY_MS + 1
    assert world.post(oppref=OPPREF, obref=OBREF, key=key) != key


@pytest.mark.parametrize("key", [key_of(b"\xff" * 16), "rc1_guessed", "rc1_" + "A" * 3000, "\ud800"])
def test_a_key_that_was_never_given_out_is_as_if_absent(world: World, key: str) -> None:
    new = world.post(oppref=OPPREF, key=key)
    assert (new, len(world.ledger.held)) == (key_of((1).to_bytes(16)), 1)


def test_two_pages_at_the_same_time_both_get_on(world: World) -> None:
    world.ledger.twins = 3
    assert is_key(world.post(oppref=OPPREF))


# Refused consent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [{}, {"oppref": OPPREF, "url": f"{ORIGIN}/a"}])
def test_nothing_is_stored_of_who_refuses(world: World, told: dict[str, str]) -> None:
    answer = world.send({**told, "consent": "denied"})
    assert (answer.status, answer.body, answer.kind, world.ledger.held) == (204, "", "consent_denied", {})


def test_who_refuses_later_is_forgotten(world: World) -> None:
    # Given a click that was remembered
    key = world.post(oppref=OPPREF, consent="granted")
    # When its person refuses, twice
    for _ in range(2):
        assert world.send({"consent": "denied", "key": key}).status == 204
    # Then nothing but the time of the click is left of it, and a later consent begins anew
    assert world.facts(key) == {"at_ms": NOW_MS}
    assert world.ledger.writes == 2
    assert world.post(oppref=OPPREF, consent="granted", key=key) == key


def test_who_refuses_with_a_key_that_nobody_knows_is_answered_the_same(world: World) -> None:
    assert world.send({"consent": "denied", "key": key_of(bytes(16))}).status == 204
    assert world.ledger.held == {}


# What is refused ------------------------------------------------------------------------------------------------------

LONG = "x" * 10_240
EXACTLY_8_KB = json.dumps({"oppref": "x" * 4_096, "obref": "y" * 4_069}).encode()
REFUSED: dict[str, tuple[object, dict[str, str], int, str]] = {
    "no_origin": ({"oppref": OPPREF}, {"origin": ""}, 403, "origin_unknown"),
    "null_origin": ({"oppref": OPPREF}, {"origin": "null"}, 403, "origin_unknown"),
    "another_origin": ({"oppref": OPPREF}, {"origin": "https://evil.example"}, 403, "origin_unknown"),
    "origin_that_begins_alike": ({"oppref": OPPREF}, {"origin": f"{ORIGIN}.evil.example"}, 403, "origin_unknown"),
    "origin_over_http": ({"oppref": OPPREF}, {"origin": ORIGIN.replace("https", "http")}, 403, "origin_unknown"),
    "two_origins": ({"oppref": OPPREF}, {"origin": f"{ORIGIN}, {ORIGIN}"}, 403, "origin_unknown"),
    "no_type": ({"oppref": OPPREF}, {"content_type": ""}, 415, "type_unknown"),
    "form": (b"oppref=1", {"content_type": "application/x-www-form-urlencoded"}, 415, "type_unknown"),
    "one_byte_too_many": (EXACTLY_8_KB + b" ", {}, 413, "too_large"),
    "oppref_of_10_kb": ({"oppref": LONG}, {}, 413, "too_large"),
    "empty": (b"", {}, 400, "not_json"),
    "junk": (b"{oppref:", {}, 400, "not_json"),
    "not_utf8": (b'{"oppref":"\xff"}', {}, 400, "not_json"),
    "nested_deep": (b"[" * 8_192, {}, 400, "not_json"),
    "huge_number": (b'{"oppref":' + b"9" * 8_000 + b"}", {}, 400, "not_json"),
    "list": ([{"oppref": OPPREF}], {}, 400, "not_an_object"),
    "text": ("oppref", {}, 400, "not_an_object"),
    "unknown_field": ({"oppref": OPPREF, "email": "jane@example.com"}, {}, 400, "field_unknown"),
    "field_twice": (b'{"oppref":"a","oppref":"b"}', {}, 400, "field_unknown"),
    "number": ({"oppref": 1}, {}, 400, "field_unreadable"),
    "object": ({"oppref": {"a": "b"}}, {}, 400, "field_unreadable"),
    "list_in_a_field": ({"oppref": OPPREF, "key": ["a"]}, {}, 400, "field_unreadable"),
    "nothing": ({}, {}, 400, "no_reference"),
    "no_reference": ({"url": f"{ORIGIN}/a", "consent": "granted"}, {}, 400, "no_reference"),
    "control_character": ({"oppref": "a\x00b"}, {}, 400, "reference_unusable"),
    "newline": ({"obref": "a\nlevel=ERROR"}, {}, 400, "reference_unusable"),
    "lone_surrogate": ({"oppref": "a\ud800"}, {}, 400, "reference_unusable"),
    "script": ({"oppref": "<script>alert(1)</script>"}, {}, 400, "reference_unusable"),
    "quote": ({"obref": '"onload=alert(1)'}, {}, 400, "reference_unusable"),
    "reference_too_long": ({"oppref": "x" * 4_097}, {}, 400, "reference_unusable"),
    "page_elsewhere": ({"oppref": OPPREF, "url": "https://evil.example/a"}, {}, 400, "url_unusable"),
    "page_of_a_user": ({"oppref": OPPREF, "url": "https://www.northwind-trail.example@evil.example"}, {}, 400,
                       "url_unusable"),
    "script_as_page": ({"oppref": OPPREF, "url": "javascript:alert(1)"}, {}, 400, "url_unusable"),
    "consent_unheard_of": ({"oppref": OPPREF, "consent": "maybe"}, {}, 400, "consent_unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_click_is_refused_as_a_whole_and_stored_nowhere(world: World, name: str) -> None:
    body, headers, status, reason = REFUSED[name]
    answer = world.send(body, **headers)
    assert (answer.status, answer.kind, answer.reason) == (status, "refused", reason)
    assert world.ledger.held == {}
    # It says why, in constant words: nothing of what was sent comes back.
    told = json.loads(answer.body)
    assert {*told} == {"error"}
    assert answer.headers["content-type"] == "application/json"
    # Only a page that may post may read the answer.
    assert answer.headers.get("access-control-allow-origin") == (None if status == 403 else ORIGIN)
    assert answer.headers["vary"] == "Origin"


def test_exactly_8_kb_are_taken(world: World) -> None:
    assert len(EXACTLY_8_KB) == 8_192
    assert world.send(EXACTLY_8_KB).status == 201


def test_a_ledger_that_is_down_is_said_and_nothing_else(world: World) -> None:
    world.ledger.outage = True
    answer = world.send({"oppref": OPPREF})
    assert (answer.status, answer.kind, answer.reason) == (503, "failed", "ledger_unavailable")
    assert "DynamoDB" not in answer.body


def test_who_is_always_overtaken_is_told_to_try_again(world: World) -> None:
    world.ledger.twins = 4
    assert world.send({"oppref": OPPREF}).status == 503


# Other requests -------------------------------------------------------------------------------------------------------


def test_a_browser_may_ask_before_it_posts_json(world: World) -> None:
    answer = world.send(b"", method="OPTIONS", content_type="")
    assert (answer.status, answer.body, answer.kind) == (204, "", None)
    assert answer.headers == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type",
        "access-control-max-age": "7200",
        "vary": "Origin",
    }


@pytest.mark.parametrize("origin", ["", "null", "https://evil.example", "*"])
def test_another_origin_may_not(world: World, origin: str) -> None:
    answer = world.send(b"", method="OPTIONS", origin=origin)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 405), ("PUT", "/", 405), ("DELETE", "/", 405), ("POST", "/relay-click.js", 405), ("GET", "/a", 404),
     ("POST", "/a", 404), ("OPTIONS", "/a", 404), ("GET", "/relay-click.js/", 404), ("GET", "//", 404)],
)  # fmt: skip
def test_nothing_else_is_there(world: World, method: str, path: str, status: int) -> None:
    answer = world.send({"oppref": OPPREF}, method=method, path=path)
    assert (answer.status, answer.kind, world.ledger.held) == (status, None, {})


def test_the_script_is_handed_to_every_page_for_an_hour() -> None:
    endpoint = ClickEndpoint(Ledger(), (), lambda: NOW_MS, bytes, lambda: "relayClick={}")
    answer = endpoint.answer(Delivery("GET", "/relay-click.js", "v=1", {}, b""))
    assert (answer.status, answer.body) == (200, "relayClick={}")
    assert answer.headers == {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, max-age=3600",
        "cross-origin-resource-policy": "cross-origin",
        "x-content-type-options": "nosniff",
    }


def test_a_script_that_was_not_shipped_is_not_there(world: World) -> None:
    assert world.send(b"", method="GET", path="/relay-click.js").status == 404


def test_a_script_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "relay-click.min.js"
    assert script_in(file)() is None
    file.write_text("relayClick={}")
    script = script_in(file)
    assert script() == "relayClick={}"
    file.write_text("changed")
    assert script() == "relayClick={}"


def test_the_pages_that_may_post_are_those_of_storefront_and_site_unless_others_are_named() -> None:
    own = Settings(storefront_origin="https://Shop.example", site_origin="https://site.example")
    assert origins_of(own) == ("https://shop.example", "https://site.example")
    assert origins_of(Settings(storefront_origin="https://a.example", site_origin="https://a.example")) == (
        "https://a.example",
    )
    named = Settings(storefront_origin="https://a.example", click_origins=("https://b.example",))
    assert origins_of(named) == ("https://b.example",)
    assert origins_of(Settings()) == ()


# What Lambda gets of it, and the log ----------------------------------------------------------------------------------


def test_an_answer_is_what_a_function_url_wants(world: World) -> None:
    answer = world.send({"consent": "denied"}).to_lambda()
    assert (answer["statusCode"], answer["body"], {*answer}) == (204, "", {"statusCode", "headers", "body"})


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"oppref": OPPREF}, {"outcome": "stored", "http": 201}),
        ({"consent": "denied"}, {"outcome": "consent_denied", "http": 204}),
        (
            {"oppref": ""},
            {"outcome": "refused", "http": 400, "level": "WARNING", "reason": "no_reference", "Refused": 1},
        ),
    ],
)
def test_a_post_is_one_line_and_a_refusal_counts(
    world: World, capsys: pytest.CaptureFixture[str], told: dict[str, str], line: dict[str, object]
) -> None:
    journal.clicked(world.send(told), 17)
    written = json.loads(capsys.readouterr().out)
    assert written | line | {"source": "click", "bytes": 17} == written
    assert ("_aws" in written) == (line["outcome"] == "refused")


def test_an_outage_is_an_error_in_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.ledger.outage = True
    journal.clicked(world.send({"oppref": OPPREF}), 17)
    written = json.loads(capsys.readouterr().out)
    assert (written["level"], written["reason"], "_aws" in written) == ("ERROR", "ledger_unavailable", False)


FUNCTION = """
import json, sys
import app
answers = [app.handler({"requestContext": {"http": {"method": method}}, "rawPath": path, "headers": {"origin": "x"},
                        "isBase64Encoded": True, "body": "e30="}, None)["statusCode"]
           for method, path in (("POST", "/"), ("OPTIONS", "/"), ("GET", "/"), ("GET", "/a"))]
loaded = sorted({"pydantic", "boto3", "aws_lambda_powertools"} & {*sys.modules})
print(json.dumps({"answers": answers, "loaded": loaded}))
"""


def test_the_function_loads_neither_models_nor_boto3() -> None:
    # Given the function in a process of its own, as on Lambda
    root = Path(__file__).parents[2]
    places = [str(root / "functions/click"), str(root / "layers/relay")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(places), "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-c", FUNCTION],
        env=environment | {"LEDGER_TABLE": "ledger", "SITE_ORIGIN": "https://a.example"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # When a stranger calls it, then it answers; a landing page waits for it, so it starts without what it does not need
    *lines, last = done.stdout.splitlines()
    assert json.loads(last) == {"answers": [403, 403, 405, 404], "loaded": []}
    assert [json.loads(line)["reason"] for line in lines] == ["origin_unknown"]


# What a purchase brings back ------------------------------------------------------------------------------------------


def test_the_first_key_of_a_payload_is_recalled_with_one_read(world: World) -> None:
    key = world.post(oppref=OPPREF, url=f"{ORIGIN}/a", consent="granted")
    reads: list[str] = []

    def recall(name: str) -> Mapping[str, Any] | None:
        reads.append(name)
        return world.ledger.recall(name, NOW_MS)

    other = key_of(b"\xff" * 16)
    found = recalled(recall, [None, 7, "cs_test_1", f" {key}\n", other])
    assert found == Recalled(OPPREF, None, f"{ORIGIN}/a", ADDRESS, AGENT, "granted")
    assert reads == [f"memory#{memory_of(key)}"]
    # A key that was never given out says nothing, and what is no key is not even looked for.
    assert recalled(recall, [other]) == NOTHING
    assert recalled(recall, ["customer-4711"]) == NOTHING
    assert len(reads) == 2


@pytest.mark.parametrize("source", ["web", "mobile_app", "phone_call"])
def test_the_browser_is_the_device_of_who_buys_or_calls(source: str) -> None:
    assert Recalled(ip_address=ADDRESS).device(source) == {"ip_address": ADDRESS}


@pytest.mark.parametrize("source", ["offline", "physical_store", "email", "other"])
def test_elsewhere_it_is_not(source: str) -> None:
    assert Recalled(ip_address=ADDRESS, user_agent=AGENT).device(source) == {}


@pytest.mark.parametrize("url", [None, 1, "https://a.example/", "https://a.example/?relay_click=1", "?other=rc1_"])
def test_an_address_without_a_key_has_none(url: object) -> None:
    assert key_in_url(url) is None


def test_a_key_is_found_in_an_address() -> None:
    key = key_of(bytes(16))
    assert key_in_url(f"https://a.example/b?c=d&relay_click={key}#e") == key
    assert key_in_url(f"/b?relay_click={key}") == key


def test_fields_and_keys_are_named_as_the_page_names_them() -> None:
    assert (click_memory.FIELD, click_memory.MEMORY_DAYS, click_memory.MAX_POST_BYTES) == ("relay_click", 30, 8192)
