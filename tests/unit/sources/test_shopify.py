"""What the Shopify source does beyond one delivery and its event; the rules themselves are in test_shopify_variants."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from conversion_relay import identity
from conversion_relay.delivery import Delivery, Outcome, Refused
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import shopify
from tests.unit.sources.variants import CASES
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets

NOW_MS = 1_795_186_800_000
HOUR_MS = 3_600_000
SECRETS = ("new secret", "old secret")
ORIGIN = "https://northwind-trail.example"
ORDER = json.loads((CASES / "webhooks/shopify/01_orders_create_web_paid.json").read_bytes())
CART = json.loads((CASES / "webhooks/shopify/23_carts_create.json").read_bytes())
CARTS_ON = {"count_carts": True, "require_match_key": "none"}


def a_delivery(topic: str, payload: Any, secret: str = SECRETS[0], **headers: str) -> Delivery:
    body = json.dumps(payload).encode()
    given = {
        "x-shopify-topic": topic,
        "x-shopify-hmac-sha256": shopify.sign(body, secret),
        "x-shopify-shop-domain": "northwind-trail.myshopify.com",
        "x-shopify-webhook-id": "d588fdab-30fd-493d-a1b3-2df3407aedab",
        "x-shopify-triggered-at": "2026-11-20T14:59:58.412330871Z",
    }
    return Delivery("POST", "/", "", {**given, **headers}, body)


def received(
    delivery: Delivery, ledger: InMemoryLedger | None = None, now_ms: int = NOW_MS, **settings: Any
) -> Outcome:
    return Receiver(
        shopify.SOURCE,
        KnownSecrets(SECRETS),
        ledger or InMemoryLedger(),
        InMemoryParking(),
        Settings(storefront_origin=ORIGIN, **settings),
        lambda: now_ms,
    ).receive(delivery)


# The signature --------------------------------------------------------------------------------------------------------


def test_signature_of_a_known_body() -> None:
    # printf '{"id":1}' | openssl dgst -sha256 -hmac hush -binary | base64
    assert shopify.sign(b'{"id":1}', "hush") == "VnKUjZsLuN5iZWjn5EntcBVCF9kMN43LglzCE1/GSeY="


@pytest.mark.parametrize("secret", SECRETS)
def test_every_active_secret_verifies(secret: str) -> None:
    shopify.verify(a_delivery("orders/create", ORDER, secret), SECRETS, NOW_MS)


def test_signature_is_compared_in_constant_time_with_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(ours: bytes, given: bytes) -> bool:
        compared.append(ours)
        return ours == given

    monkeypatch.setattr(hmac, "compare_digest", compare)
    delivery = a_delivery("orders/create", ORDER)

    shopify.verify(delivery, SECRETS, NOW_MS)

    assert compared == [shopify.sign(delivery.body, secret).encode() for secret in SECRETS]


def test_no_secret_verifies_nothing() -> None:
    with pytest.raises(Refused, match="signature fits none"):
        shopify.verify(a_delivery("orders/create", ORDER, ""), (), NOW_MS)


def test_signature_is_over_the_bytes_not_over_the_json() -> None:
    delivery = a_delivery("orders/create", ORDER)
    same_json = json.dumps(ORDER, indent=1).encode()

    with pytest.raises(Refused):
        shopify.verify(Delivery("POST", "/", "", delivery.headers, same_json), SECRETS, NOW_MS)


@pytest.mark.parametrize(
    ("domain", "tenant"),
    [
        ("Northwind-Trail.myshopify.com", "northwind-trail.myshopify.com"),
        (" a.myshopify.com ", "a.myshopify.com"),
        ("a.myshopify.com, b.myshopify.com", None),
        ("shop#1", None),
        ("", None),
    ],
)
def test_tenant_is_a_domain_or_nothing(domain: str, tenant: str | None) -> None:
    assert shopify.SOURCE.tenant(a_delivery("orders/create", ORDER, **{"x-shopify-shop-domain": domain})) == tenant


# One conversion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "x" * 65, "mara.lindqvist@example.com", "two words", "e1a0788a\n{}", "é"])
def test_what_is_no_delivery_id_is_none(given: str) -> None:
    # Anybody may post to the address: what they write there must not get into the log of a refused delivery.
    assert shopify.SOURCE.delivery_id(a_delivery("orders/create", ORDER, **{"x-shopify-webhook-id": given})) is None


def test_key_and_id_are_the_orders_own() -> None:
    outcome = received(a_delivery("orders/create", ORDER))

    assert outcome.key == "order_created#shopify:6184203910411"
    assert outcome.event is not None
    assert outcome.event.id == "shopify:6184203910411"


def test_pixel_id_changes_the_id_and_not_the_key() -> None:
    attributes = [{"name": "__openai_event_id", "value": "pix_1"}]

    outcome = received(a_delivery("orders/create", ORDER | {"note_attributes": attributes}))

    assert outcome.key == "order_created#shopify:6184203910411"
    assert outcome.event is not None
    assert outcome.event.id == "pix_1"


@pytest.mark.parametrize("topic", ["orders/create", "orders/paid"])
def test_retry_after_an_hour_makes_the_same_bytes(topic: str) -> None:
    late = {"processed_at": "2026-11-01T00:00:00Z", "created_at": "2026-11-01T00:00:00Z"}
    for payload in (ORDER, ORDER | late):
        delivery = a_delivery(topic, payload)

        first = received(delivery).event
        second = received(delivery, now_ms=NOW_MS + HOUR_MS).event

        assert first is not None
        assert second is not None
        assert first.to_json() == second.to_json()


def test_shop_that_is_named_otherwise_on_a_retry_does_not_count_twice() -> None:
    ledger = InMemoryLedger()
    received(a_delivery("orders/create", ORDER), ledger)

    again = received(a_delivery("orders/create", ORDER, **{"x-shopify-shop-domain": "x.myshopify.com"}), ledger)

    assert again.kind == "duplicate"


# Carts ----------------------------------------------------------------------------------------------------------------


def test_cart_of_many_variants_has_an_id_under_200_characters() -> None:
    lines = [CART["line_items"][0] | {"variant_id": 46_110_022_331 + number} for number in range(40)]

    outcome = received(a_delivery("carts/create", CART | {"line_items": lines}), **CARTS_ON)

    assert outcome.event is not None
    assert len(outcome.event.id) < 200
    assert outcome.event.wire()["data"]["amount"] == 40 * 14_900


def test_quantity_of_a_cart_is_bounded() -> None:
    line = CART["line_items"][0] | {"quantity": 10**12}

    outcome = received(a_delivery("carts/create", CART | {"line_items": [line]}), **CARTS_ON)

    assert outcome.event is not None
    assert outcome.event.wire()["data"]["contents"][0]["quantity"] == 1_000_000


def test_state_of_a_cart_is_remembered_with_the_event() -> None:
    ledger = InMemoryLedger()

    received(a_delivery("carts/create", CART), ledger, **CARTS_ON)

    facts, expires_at = ledger.memories[f"memory#cart#shopify:{CART['token']}"]
    assert facts == {"quantities": {"46110022331": 1}, "version": "001795186200000"}
    assert expires_at == NOW_MS // 1000 + 30 * 86_400


def test_late_create_leaves_the_newer_state_alone() -> None:
    ledger = InMemoryLedger()
    newer = CART | {"line_items": [CART["line_items"][0] | {"quantity": 4}], "updated_at": "2026-11-20T14:58:00Z"}
    received(a_delivery("carts/update", newer), ledger, **CARTS_ON)

    outcome = received(a_delivery("carts/create", CART), ledger, **CARTS_ON)

    assert outcome.kind == "recorded"
    assert ledger.memories[f"memory#cart#shopify:{CART['token']}"][0]["quantities"] == {"46110022331": 4}


# Privacy --------------------------------------------------------------------------------------------------------------


def test_privacy_request_holds_digests_and_ids_and_nothing_raw() -> None:
    ledger = InMemoryLedger()
    person = {"id": 7412369850123, "email": " Mara.Lindqvist@Example.com", "phone": "+1 415-555-0132"}
    body = {
        "shop_domain": "Northwind-Trail.myshopify.com",
        "customer": person,
        "orders_to_redact": [5, "gid://shopify/Order/6", None, {}, "+14155550132"],
    }

    outcome = received(a_delivery("customers/redact", body, **{"x-shopify-shop-domain": "x.myshopify.com"}), ledger)

    assert outcome.key == "privacy#shopify:d588fdab-30fd-493d-a1b3-2df3407aedab"
    (request,) = ledger.requests.values()
    assert request.kind == "erase_person"
    assert request.tenant == "northwind-trail.myshopify.com"
    assert request.subjects == ("shopify:5", "shopify:6", "shopify:7412369850123")
    assert request.digests == (
        identity.email("mara.lindqvist@example.com"),
        identity.phone("+14155550132"),
        identity.external_id(7412369850123),
    )


def test_privacy_request_without_a_delivery_id_is_known_by_its_content() -> None:
    ledger = InMemoryLedger()
    body = {"shop_domain": "a.myshopify.com", "customer": {"id": 1}, "orders_requested": [7]}
    delivery = a_delivery("customers/data_request", body, **{"x-shopify-webhook-id": ""})

    first, second = received(delivery, ledger), received(delivery, ledger)

    assert first.key == second.key == f"privacy#shopify:{hashlib.sha256(delivery.body).hexdigest()}"
    (request,) = ledger.requests.values()
    assert (request.kind, request.subjects) == ("give_out", ("shopify:7", "shopify:1"))


ASKED = {"shop_domain": "a.myshopify.com", "customer": {"id": 1}, "orders_requested": [7], "data_request": {"id": 9}}
REDACT = {"shop_domain": "a.myshopify.com", "customer": {"id": 1}, "orders_to_redact": [7]}
CLOSED = {"shop_id": 1, "shop_domain": "a.myshopify.com"}


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("shop/redact", ORDER),
        ("shop/redact", CART),
        ("shop/redact", ASKED),
        ("shop/redact", REDACT),
        ("customers/redact", ORDER),
        ("customers/redact", ASKED),
        ("customers/redact", CLOSED),
        ("customers/data_request", ORDER),
        ("customers/data_request", REDACT),
    ],
)
def test_a_signed_body_sent_again_under_the_topic_of_a_privacy_request_erases_nothing(
    topic: str, body: dict[str, Any]
) -> None:
    # Given a body that Shopify has signed for another topic, and headers that anybody can write
    ledger = InMemoryLedger()

    outcome = received(a_delivery(topic, body, **{"x-shopify-shop-domain": "a.myshopify.com"}), ledger)

    assert ledger.requests == {}
    assert outcome.kind == "parked"
    assert outcome.reason in ("privacy_topic_unproved", "person_missing")


@pytest.mark.parametrize(
    ("topic", "body", "kind"),
    [
        ("customers/data_request", ASKED, "give_out"),
        ("customers/redact", REDACT, "erase_person"),
        ("shop/redact", CLOSED, "erase_tenant"),
    ],
)
def test_a_privacy_request_is_noted_for_the_shop_that_its_body_names(
    topic: str, body: dict[str, Any], kind: str
) -> None:
    ledger = InMemoryLedger()
    received(a_delivery(topic, body, **{"x-shopify-shop-domain": "another.myshopify.com"}), ledger)
    (request,) = ledger.requests.values()
    assert (request.kind, request.tenant) == (kind, "a.myshopify.com")


@pytest.mark.parametrize(
    ("topic", "field"),
    [
        ("orders/create", "financial_status"),
        ("customers/create", "state"),
        ("checkouts/create", "completed_at"),
        ("orders/create", "cancelled_at"),
        ("orders/create", "id"),
    ],
)
def test_text_of_the_payload_never_reaches_an_outcome(topic: str, field: str) -> None:
    secret = "mara.lindqvist@example.com"
    payload = ORDER | {"admin_graphql_api_id": None, field: secret}

    outcome = received(a_delivery(topic, payload))

    assert outcome.event is None
    assert secret not in f"{outcome.detail} {outcome.reason} {outcome.key}"


# Topics ---------------------------------------------------------------------------------------------------------------


def test_topics_of_the_reference_are_all_handled() -> None:
    assert set(shopify.TOPICS) == {
        "orders/create", "orders/paid", "orders/cancelled", "orders/updated", "refunds/create",
        "checkouts/create", "checkouts/update", "carts/create", "carts/update", "customers/create", "customers/enable",
        "customers_email_marketing_consent/update", "customers_marketing_consent/update",
        "subscription_contracts/create", "customers/data_request", "customers/redact", "shop/redact",
    }  # fmt: skip
