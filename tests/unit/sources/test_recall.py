"""The click memory and consent in every source: what a key brings back, and what a refusal keeps from being built."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from conversion_relay.click_memory import key_of, memory_of
from conversion_relay.delivery import Conversion, Ignored, Memory, Outcome
from conversion_relay.settings import Settings
from conversion_relay.sources.consent import Consent, both, forbids, opted_out, said
from conversion_relay.sources.custom import source as source_of
from tests.unit.sources import call_deliveries, platforms, stripe_deliveries, test_shopify
from tests.unit.sources.call_deliveries import CALL
from tests.unit.sources.platforms import PAYLOAD, definition, posted
from tools.in_memory import InMemoryLedger

KEY, OTHER = key_of(bytes(range(16))), key_of(bytes(16))
ADDRESS, AGENT = "203.0.113.77", "Mozilla/5.0 (of the landing page)"
PAGE = "https://northwind-trail.example/landing"
CLICK = {"oppref": "opp-remembered", "obref": "obr-remembered", "source_url": PAGE, "ip_address": ADDRESS,
         "user_agent": AGENT, "at_ms": 1}  # fmt: skip
DE = frozenset({"DE", "US"})


class Reading(InMemoryLedger):
    """Counts what is read."""

    reads: list[str]

    def recall(self, key: str, now_ms: int) -> Mapping[str, Any] | None:
        self.reads.append(key)
        return super().recall(key, now_ms)


def a_ledger(**facts: Any) -> Reading:
    ledger = Reading()
    ledger.reads = []
    memory = Memory(memory_of(KEY), CLICK | facts, version="1", ttl_days=30)
    ledger.memories[f"memory#{memory.key}"] = ({**memory.facts, "version": "1"}, 2**40)
    return ledger


def event_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.event is not None, outcome
    event: dict[str, Any] = json.loads(outcome.event.to_json())
    return event


# Shopify --------------------------------------------------------------------------------------------------------------

BARE = {"note_attributes": [], "landing_site": None, "client_details": None, "browser_ip": None}


def an_order(*attributes: tuple[str, object], **fields: Any) -> dict[str, Any]:
    held = [{"name": name, "value": value} for name, value in attributes]
    return test_shopify.ORDER | BARE | {"note_attributes": held} | fields


def shopify(payload: Any, ledger: InMemoryLedger | None = None, topic: str = "orders/paid", **settings: Any) -> Outcome:
    return test_shopify.received(test_shopify.a_delivery(topic, payload), ledger or a_ledger(), **settings)


def test_an_order_that_knows_nothing_gets_all_that_its_key_stands_for() -> None:
    ledger = a_ledger()
    event = event_of(shopify(an_order(("relay_click", KEY)), ledger))
    assert (event["oppref"], event["source_url"]) == ("opp-remembered", PAGE)
    user = event["user"]
    assert (user["obref"], user["ip_address"], user["user_agent"]) == ("obr-remembered", ADDRESS, AGENT)
    assert ledger.reads == [f"memory#{memory_of(KEY)}"]


def test_what_the_order_says_itself_wins() -> None:
    said_itself = an_order(("relay_click", KEY), ("__oppref", "own"), ("__obref", "own too"),
                           landing_site="/products/boot", client_details=test_shopify.ORDER["client_details"],
                           browser_ip=test_shopify.ORDER["browser_ip"])  # fmt: skip
    event = event_of(shopify(said_itself))
    assert (event["oppref"], event["user"]["obref"]) == ("own", "own too")
    assert event["source_url"] == "https://northwind-trail.example/products/boot"
    assert event["user"]["user_agent"] == test_shopify.ORDER["client_details"]["user_agent"]
    assert event["user"]["ip_address"] != ADDRESS


@pytest.mark.parametrize("key", [OTHER, "rc1_guessed", "", KEY[:-1]])
def test_a_key_that_was_never_given_out_changes_nothing(key: str) -> None:
    assert event_of(shopify(an_order(("relay_click", key)))) == event_of(shopify(an_order()))


def test_what_has_no_key_costs_no_read() -> None:
    ledger = a_ledger()
    shopify(an_order(("relay_click", "none")), ledger)
    assert ledger.reads == []


@pytest.mark.parametrize("order", [("orders/create", "orders/paid"), ("orders/paid", "orders/create")])
def test_the_event_is_the_same_whichever_delivery_comes_first(order: tuple[str, str]) -> None:
    ledger, payload = a_ledger(), an_order(("relay_click", KEY))
    first, second = (shopify(payload, ledger, topic) for topic in order)
    assert (first.kind, second.kind) == ("recorded", "duplicate")
    assert event_of(first) == event_of(shopify(payload))


def test_at_a_till_a_browser_s_address_is_nobody_s() -> None:
    event = event_of(shopify(an_order(("relay_click", KEY), source_name="pos")))
    assert event["oppref"] == "opp-remembered"
    assert not {"ip_address", "user_agent"} & event["user"].keys()


def test_a_key_in_the_landing_page_of_an_order_is_found() -> None:
    assert event_of(shopify(an_order(landing_site=f"/?relay_click={KEY}")))["oppref"] == "opp-remembered"


@pytest.mark.parametrize("value", ["denied", "no", "false", "Refused", False, " DENIED "])
def test_of_an_order_whose_buyer_has_refused_nothing_is_built(value: object) -> None:
    # Nothing could be wrong with it either: it is not parked for its page or its time.
    outcome = shopify(an_order(("relay_consent", value), ("__oppref", "\ud800")))
    assert (outcome.kind, outcome.reason) == ("ignored", "consent_refused")


@pytest.mark.parametrize("topic", ["checkouts/create", "customers/create"])
def test_so_of_every_other_topic(topic: str) -> None:
    refused = [{"name": "relay_consent", "value": "denied"}]
    account = {"id": 7, "state": "enabled", "created_at": "2026-11-20T14:59:58Z", "email": "a@b.example"}
    payload = account if topic.startswith("customers") else an_order(token="t", completed_at=None)
    outcome = shopify(payload | {"note_attributes": refused}, topic=topic)
    assert (outcome.kind, outcome.reason) == ("ignored", "consent_refused")


def test_a_refusal_on_the_order_outweighs_the_consent_of_its_click() -> None:
    payload = an_order(("relay_click", KEY), ("relay_consent", "denied"))
    assert shopify(payload, a_ledger(consent="granted")).reason == "consent_refused"


COUNTRIES: list[tuple[dict[str, Any], bool]] = [
    ({"billing_address": {"country_code": "DE"}}, True),
    ({"billing_address": {"country_code": "CH"}, "shipping_address": {"country_code": "DE"}}, False),
    ({"billing_address": None, "shipping_address": {"country_code": "DE"}}, True),
    ({"billing_address": None, "shipping_address": {"country_code": "CH"}}, False),
    (
        {"billing_address": None, "shipping_address": None, "customer": {"default_address": {"country_code": "DE"}}},
        True,
    ),
    ({"billing_address": None, "shipping_address": None, "customer": None}, True),
]


@pytest.mark.parametrize(("fields", "required"), COUNTRIES)
def test_where_consent_is_required_what_is_not_said_does_not_count(fields: dict[str, Any], required: bool) -> None:
    outcome = shopify(an_order(**fields), consent_required_in=DE)
    assert outcome.reason == ("consent_unknown" if required else "recorded")
    # What is said counts, on the order or of its click; and without the setting all of it does.
    agreed = an_order(("relay_consent", "granted"), **fields)
    assert shopify(agreed, consent_required_in=DE).kind == "recorded"
    by_click = an_order(("relay_click", KEY), **fields)
    assert shopify(by_click, a_ledger(consent="granted"), consent_required_in=DE).kind == "recorded"
    assert shopify(an_order(**fields)).kind == "recorded"


def test_nobody_answers_a_banner_at_a_till() -> None:
    assert shopify(an_order(source_name="pos"), consent_required_in=frozenset({"all"})).kind == "recorded"
    assert shopify(an_order(source_name="web"), consent_required_in=frozenset({"all"})).reason == "consent_unknown"


@pytest.mark.parametrize(("value", "flag"), [("true", True), ("yes", True), (True, True), ("no", None), ("", None)])
def test_who_opts_out_is_sent_with_the_api_s_flag(value: object, flag: bool | None) -> None:
    assert event_of(shopify(an_order(("relay_opt_out", value)))).get("opt_out") is flag


def test_a_contract_takes_the_flag_of_its_order_over() -> None:
    ledger = a_ledger()
    order = an_order(("relay_opt_out", "yes"))
    shopify(order, ledger)
    contract = {"id": 9, "origin_order_id": order["id"], "customer_id": 7}
    assert event_of(shopify(contract, ledger, "subscription_contracts/create"))["opt_out"] is True


# Stripe ---------------------------------------------------------------------------------------------------------------


def paid(**about: Any) -> dict[str, Any]:
    return stripe_deliveries.a_payload("01", **({"metadata": {}, "client_reference_id": None} | about))


@pytest.mark.parametrize("about", [{"client_reference_id": KEY}, {"metadata": {"relay_click": KEY}}])
def test_a_session_gets_what_its_key_stands_for(about: dict[str, Any]) -> None:
    event = event_of(stripe_deliveries.received(paid(**about), a_ledger()))
    assert (event["oppref"], event["source_url"]) == ("opp-remembered", PAGE)
    assert (event["user"]["obref"], event["user"]["ip_address"]) == ("obr-remembered", ADDRESS)


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_a_key_is_nobody_s_customer_id(key: str) -> None:
    with_key = event_of(stripe_deliveries.received(paid(client_reference_id=key), a_ledger()))
    without = event_of(stripe_deliveries.received(paid(), a_ledger()))
    assert with_key["user"].get("external_ids_sha256") == without["user"].get("external_ids_sha256")


def test_a_customer_id_is_still_one() -> None:
    event = event_of(stripe_deliveries.received(paid(client_reference_id="user-4711"), a_ledger()))
    without = event_of(stripe_deliveries.received(paid(), a_ledger()))
    assert event["user"]["external_ids_sha256"] != without["user"].get("external_ids_sha256")


def test_metadata_of_a_session_win() -> None:
    metadata = {"oppref": "own", "obref": "own too", "source_url": "https://a.example/own"}
    event = event_of(stripe_deliveries.received(paid(client_reference_id=KEY, metadata=metadata), a_ledger()))
    found = (event["oppref"], event["user"]["obref"], event["source_url"])
    assert found == ("own", "own too", "https://a.example/own")


def test_a_country_to_ship_to_counts_where_there_is_no_other() -> None:
    nowhere = {"customer_details": {"email": "a@b.example"}}
    ships = {"collected_information": {"shipping_details": {"address": {"country": "ch"}}}}
    elsewhere = {"consent_required_in": frozenset({"DE"})}
    assert stripe_deliveries.received(paid(**nowhere), **elsewhere).reason == "consent_unknown"
    assert stripe_deliveries.received(paid(**nowhere, **ships), **elsewhere).kind == "recorded"


def test_a_session_s_buyer_who_opts_out_is_flagged_and_who_refuses_is_not_sent() -> None:
    flagged = event_of(stripe_deliveries.received(paid(metadata={"relay_opt_out": "true"})))
    assert flagged["opt_out"] is True
    # Without a page, too: nothing of who refuses is parked.
    refused = paid(metadata={"relay_consent": "denied"}, success_url=None, cancel_url=None, return_url=None)
    assert stripe_deliveries.received(refused).reason == "consent_refused"


# Calls and forms ------------------------------------------------------------------------------------------------------

LANDING = {
    "callrail": {"landing_page_url": f"https://a.example/?relay_click={KEY}", "milestones": None},
    "ctm": {"location": f"https://a.example/?relay_click={KEY}", "last_location": None},
    "whatconverts": {"landing_url": f"https://a.example/?relay_click={KEY}", "lead_url": None},
}
NO_PAGE = {
    "callrail": {"landing_page_url": None, "milestones": None, "last_requested_url": None, "ip": None},
    "ctm": {"location": None, "last_location": None, "visitor_ip": None},
    "whatconverts": {"landing_url": None, "lead_url": None, "ip_address": None},
}


@pytest.mark.parametrize("platform", LANDING)
def test_a_call_gets_what_the_key_in_its_landing_page_stands_for(platform: str) -> None:
    event = event_of(call_deliveries.received(CALL[platform], LANDING[platform], a_ledger()))
    assert (event["oppref"], event["user"]["obref"]) == ("opp-remembered", "obr-remembered")
    assert event["user"]["user_agent"] == AGENT


@pytest.mark.parametrize("platform", NO_PAGE)
@pytest.mark.parametrize("holder", [None, "custom_fields", "custom", "additional_fields"])
def test_a_call_gets_what_the_key_in_a_field_of_its_account_stands_for(platform: str, holder: str | None) -> None:
    fields: dict[str, Any] = {"relay_click": KEY, "relay_opt_out": "yes"}
    given = NO_PAGE[platform] | (fields if holder is None else {holder: fields})
    event = event_of(call_deliveries.received(CALL[platform], given, a_ledger()))
    assert (event["oppref"], event["opt_out"], event["user"]["ip_address"]) == ("opp-remembered", True, ADDRESS)


@pytest.mark.parametrize("platform", NO_PAGE)
def test_of_a_call_whose_caller_has_refused_nothing_is_built(platform: str) -> None:
    given = {"custom_fields": {"relay_consent": "denied"}}
    assert call_deliveries.received(CALL[platform], given, a_ledger()).reason == "consent_refused"


def test_a_form_without_a_page_has_that_of_its_click() -> None:
    given = {"form_url": None, "landing_page_url": None, "milestones": None, "last_requested_url": None,
             "form_data": {"email": "jane@example.com", "relay_click": KEY}}  # fmt: skip
    event = event_of(call_deliveries.received("callrail/form_submission", given, a_ledger()))
    assert (event["source_url"], event["oppref"]) == (PAGE, "opp-remembered")
    refused = given | {"form_data": {"relay_consent": "no"}}
    assert call_deliveries.received("callrail/form_submission", refused, a_ledger()).reason == "consent_refused"


# Custom platforms -----------------------------------------------------------------------------------------------------


MAPPED = {"click_key": "click", "landing_url": "landing", "consent": ["agreed", "also"], "opt_out": "out"}
A_CALL = MAPPED | {"action_source": "phone_call", "call": {"seconds": "talk"}}


def custom(fields: Mapping[str, Any], says: Mapping[str, Any] = MAPPED, **settings: Any) -> Conversion | Ignored:
    ledger = a_ledger()
    source = source_of("acme", definition(says))
    now_ms = platforms.NOW_MS
    result = source.normalize(
        posted({**PAYLOAD, **fields}), Settings(**settings), now_ms, lambda key: ledger.recall(key, now_ms)
    )
    assert isinstance(result, Conversion | Ignored)
    return result


def custom_event(fields: Mapping[str, Any], says: Mapping[str, Any] = MAPPED) -> dict[str, Any]:
    made = custom(fields, says)
    assert isinstance(made, Conversion), made
    return made.event.wire()


@pytest.mark.parametrize("fields", [{"click": KEY}, {"landing": f"/a?relay_click={KEY}"}])
def test_a_custom_platform_s_key_is_recalled(fields: dict[str, str]) -> None:
    event = custom_event(fields)
    assert (event["oppref"], event["source_url"]) == ("opp-remembered", PAGE)
    assert event["user"] == {"obref": "obr-remembered", "ip_address": ADDRESS, "user_agent": AGENT}
    assert custom_event({"talk": 60, **fields}, A_CALL)["oppref"] == "opp-remembered"


@pytest.mark.parametrize("says", [MAPPED, A_CALL])
def test_a_custom_platform_s_consent_is_heard(says: dict[str, Any]) -> None:
    told = {"talk": 60, "click": KEY}
    for refused in ({"agreed": False}, {"agreed": "unknown", "also": "denied"}):
        result = custom({**told, **refused}, says)
        assert isinstance(result, Ignored)
        assert result.reason == "consent_refused"
    assert custom_event({**told, "agreed": True, "also": "denied", "out": "yes"}, says)["opt_out"] is True


def test_a_custom_platform_needs_consent_where_it_is_required() -> None:
    everywhere = frozenset({"all"})
    ignored = custom({"click": KEY}, consent_required_in=everywhere)
    assert isinstance(ignored, Ignored)
    assert ignored.reason == "consent_unknown"
    assert isinstance(custom({"click": KEY, "agreed": "yes"}, consent_required_in=everywhere), Conversion)


# The rule -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "state"),
    [("granted", "granted"), (True, "granted"), ("YES ", "granted"), ("denied", "denied"), (False, "denied"),
     ("unknown", None), (None, None), ("maybe", None), (1, None), ({}, None), ("", None)],
)  # fmt: skip
def test_what_a_value_says_of_consent(value: object, state: str | None) -> None:
    assert said(value) == state
    assert opted_out(value) is (state == "granted")


def test_a_refusal_counts_whoever_else_agrees() -> None:
    assert (both("granted", "denied"), both("denied", None), both(None, "granted"), both(None, None)) == (
        "denied", "denied", "granted", None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "source", "country", "required", "reason"),
    [
        (None, "web", "DE", "", None),
        (None, "web", "DE", "DE", "consent_unknown"),
        (None, "web", "FR", "DE", None),
        (None, "web", None, "DE", "consent_unknown"),
        (None, "mobile_app", "FR", "all", "consent_unknown"),
        (None, "phone_call", "DE", "all", None),
        (None, "offline", "DE", "DE", None),
        ("granted", "web", "DE", "all", None),
        ("denied", "web", "FR", "", "consent_refused"),
        ("denied", "physical_store", None, "", "consent_refused"),
    ],
)
def test_what_consent_forbids(state: Any, source: str, country: str | None, required: str, reason: str | None) -> None:
    settings = Settings(consent_required_in=frozenset({required} - {""}))
    found = forbids(Consent(state), action_source=source, country=country, settings=settings)
    assert (found.reason if isinstance(found, Ignored) else None) == reason
