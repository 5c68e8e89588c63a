"""The click memory as deployed: a page posts a click, and the purchase, days later, is sent with it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay.click_memory import is_key, key_of, memory_of
from conversion_relay.ledger import facts_in
from tests.integration.stack import SECRETS, items, queue_depth, until
from tools.local_aws import Answer, Stack
from tools.samples import sample
from tools.stand_in import StandIn

ORIGIN = "https://northwind-trail.example"  # the stack's StorefrontOrigin
AGENT = "Mozilla/5.0 (of the landing page)"
CLICK = {"oppref": "op.of-the-click", "obref": "ob.of-the-browser", "url": f"{ORIGIN}/boots?oppref=op.of-the-click"}


def post(stack: Stack, told: Any, **headers: str) -> Answer:
    given = {"Origin": ORIGIN, "Content-Type": "text/plain;charset=UTF-8", "User-Agent": AGENT}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    return stack.post("click", body, {name: value for name, value in given.items() if value})


def remembered(stack: Stack) -> dict[str, Any]:
    """Whatever is held of clicks, by key of the ledger."""
    return {key: item for key, item in items(stack).items() if key.startswith("memory#click#")}


def lines(stack: Stack) -> list[str]:
    """The lines of posts, without what the runtime itself logs."""
    return [line for line in stack.logs("ClickMemory") if line.startswith("{") and '"source":"click"' in line]


BARE: dict[str, dict[str, Any]] = {
    "shopify/orders/create": {"landing_site": None, "client_details": None, "browser_ip": None},
    "stripe/checkout.session.completed": {},
    "callrail/post_call.no_click": {},
}


def with_key(name: str, key: str) -> dict[str, Any]:
    """A sample's payload that has nothing of a click but the key, where its platform has it."""
    payload = {**sample(name).payload, **BARE[name]}
    match name.partition("/")[0]:
        case "shopify":
            return payload | {"note_attributes": [{"name": "relay_click", "value": key}]}
        case "stripe":
            session = payload["data"]["object"] | {"metadata": {}, "client_reference_id": key}
            return payload | {"data": payload["data"] | {"object": session}}
        case "callrail":
            return payload | {"landing_page_url": f"{ORIGIN}/?relay_click={key}"}
    raise LookupError(name)


@pytest.mark.parametrize("name", BARE)
def test_a_click_that_a_page_has_kept_is_sent_with_the_purchase(clean: Stack, stand_in: StandIn, name: str) -> None:
    # Given a landing page that has posted its click
    answer = post(clean, CLICK)
    key = answer.json()["key"]
    assert (answer.status, is_key(key)) == (201, True)
    # When a purchase that has nothing but the key is posted and sent
    source = name.partition("/")[0]
    chosen = replace(sample(name), payload=with_key(name, key))
    told = clean.send(source, chosen.delivery(SECRETS[source][0], datetime.now(UTC), new=True)).json()
    assert told["outcome"] == "recorded", told
    assert until(lambda: queue_depth(clean) == 1), clean.logs("Outbox")
    assert clean.invoke("Sender")["sent"] == 1
    # Then OpenAI gets the click with it
    (event,) = (each["event"] for each in stand_in.events())
    assert event["oppref"] == "op.of-the-click"
    assert event["user"]["obref"] == "ob.of-the-browser"
    assert event["user"]["user_agent"] == AGENT
    assert event.get("source_url", f"{ORIGIN}/boots") == f"{ORIGIN}/boots"


def test_what_is_stored_holds_no_key_and_no_query(clean: Stack) -> None:
    key = post(clean, CLICK).json()["key"]
    ((held, item),) = remembered(clean).items()
    assert held == f"memory#{memory_of(key)}"
    assert key not in repr(item)
    facts = json.loads(facts_in(item) or "{}")
    assert (facts["oppref"], facts["source_url"], facts["user_agent"]) == (CLICK["oppref"], f"{ORIGIN}/boots", AGENT)
    assert 29 < (int(item["expires_at"]["N"]) - datetime.now(UTC).timestamp()) / 86_400 <= 30


def test_a_second_page_completes_the_memory_of_the_first(clean: Stack) -> None:
    key = post(clean, {"oppref": "op.of-the-click"}).json()["key"]
    assert post(clean, {"obref": "ob.of-the-browser", "key": key}).json() == {"key": key}
    (item,) = remembered(clean).values()
    facts = json.loads(facts_in(item) or "{}")
    assert (facts["oppref"], facts["obref"], item["version"]) == ("op.of-the-click", "ob.of-the-browser", {"S": "2"})


def test_who_refuses_is_not_kept_and_who_refuses_later_is_forgotten(clean: Stack) -> None:
    assert post(clean, CLICK | {"consent": "denied"}).status == 204
    assert remembered(clean) == {}
    key = post(clean, CLICK).json()["key"]
    assert post(clean, {"consent": "denied", "key": key}).status == 204
    (item,) = remembered(clean).values()
    assert {*json.loads(facts_in(item) or "{}")} == {"at_ms"}


@pytest.mark.parametrize(
    ("told", "headers", "status"),
    [
        (b"<script>", {}, 400),
        (b"\xff\xfe\x00", {}, 400),
        (CLICK | {"email": "jane.roe@example.com"}, {}, 400),
        ({"oppref": "x" * 10_240}, {}, 413),
        (CLICK, {"Origin": "https://evil.example"}, 403),
        (CLICK, {"Origin": ""}, 403),
        (CLICK, {"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_what_is_no_click_is_refused_stored_nowhere_and_repeated_nowhere(
    clean: Stack, told: Any, headers: dict[str, str], status: int
) -> None:
    before = len(lines(clean))
    answer = post(clean, told, **headers)
    assert answer.status == status
    assert remembered(clean) == {}
    assert until(lambda: len(lines(clean)) > before)
    said = answer.body.decode() + "\n".join(lines(clean)[before:])
    assert not [word for word in ("script>", "jane.roe", "xxxx", "evil", "op.of-the-click", AGENT) if word in said]
    (line,) = map(json.loads, lines(clean)[before:])
    assert (line["source"], line["outcome"], line["http"], line["Refused"]) == ("click", "refused", status, 1)


def test_a_guessed_key_changes_nothing(clean: Stack) -> None:
    chosen = replace(sample("shopify/orders/create"), payload=with_key("shopify/orders/create", key_of(b"\x01" * 16)))
    assert clean.send("shopify", chosen.delivery(SECRETS["shopify"][0], datetime.now(UTC), new=True)).status == 200
    assert not [key for key in items(clean) if key.startswith("memory#click#")]


def test_the_page_s_script_is_served_or_said_to_be_missing(clean: Stack) -> None:
    answer = clean.post("click", b"", path="relay-click.js", method="GET")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert answer.status in (200, 404)
    if answer.status == 200:
        assert headers["content-type"].startswith("text/javascript")
    assert headers["x-content-type-options"] == "nosniff"
    assert clean.post("click", b"", path="favicon.ico", method="GET").status == 404
