"""``relay backfill`` on the deployed stack: what the webhooks did not bring is fetched from the platform, once."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.replaying import Ran, Relay, delivery, everything, fresh
from tests.integration.stack import counted, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.stand_in import StandIn
from tools.stand_in_platforms import SHOPIFY_TOKEN, STRIPE_KEY, PlatformsStandIn

SHOP = "northwind-trail.myshopify.com"


@pytest.fixture
def platforms(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformsStandIn]:
    monkeypatch.setenv("SHOPIFY_ADMIN_TOKEN", SHOPIFY_TOKEN)
    monkeypatch.setenv("STRIPE_API_KEY", STRIPE_KEY)
    with PlatformsStandIn() as stand_in:
        yield stand_in


def shopify(relay: Relay, platforms: PlatformsStandIn, *options: str) -> Ran:
    return relay("backfill", "shopify", "--shop", SHOP, "--api", platforms.url, *options)


def stripe(relay: Relay, platforms: PlatformsStandIn, *options: str) -> Ran:
    return relay("backfill", "stripe", "--api", platforms.url, *options)


def order(number: int, placed: datetime | None = None, **fields: Any) -> dict[str, Any]:
    return fresh("shopify/orders/create", placed, **{"id": 7_100_000_000_000 + number, **fields})


def key(number: int) -> str:
    return f"order_created#shopify:{7_100_000_000_000 + number}"


def post(stack: Stack, source: str, topic: str, payload: Mapping[str, Any]) -> None:
    answer = stack.send(source, delivery(source, topic, dict(payload)))
    assert answer.status == 200


def test_orders_that_no_webhook_brought_are_recorded_once(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn, stand_in: StandIn
) -> None:
    # Given a shop with nine orders, of which three came, over a connection that asks for patience
    placed = datetime.now(UTC) - timedelta(hours=9)
    orders = [order(number, placed + timedelta(hours=number)) for number in range(1, 10)]
    orders[8] |= {"financial_status": "pending"}
    platforms.orders, platforms.limited = orders, 2
    for each in orders[:3]:
        post(clean, "shopify", "orders/create", each)
    assert until(lambda: queue_depth(clean) == 3)
    before = everything(clean)

    # When it is a dry run, then it finds what is missing, and writes nothing
    ran = shopify(relay, platforms)
    assert ran.status == 0
    assert "9 orders of the last 3 days, if taken now: 5 recorded, 3 known already, 1 ignored." in ran
    assert "Ignored: 1 waiting_for_payment." in ran
    assert SHOPIFY_TOKEN not in ran.out + ran.err
    assert everything(clean) == before
    assert [each.partition("?")[2].split("&")[1].partition("=")[0] for each in platforms.requests] == [
        "status", "status", "status", "page_info",
    ]  # fmt: skip

    # When it is not, then what was missing is there, also for the webhooks that come late
    assert shopify(relay, platforms, "--go").status == 0
    assert sorted(statuses(clean)) == [key(number) for number in range(1, 9)]
    assert "8 known already, 1 ignored" in shopify(relay, platforms, "--go")
    for each in orders[:8]:
        post(clean, "shopify", "orders/paid", each)
    assert until(lambda: queue_depth(clean) == 8)
    assert clean.invoke("Sender")["sent"] == 8
    assert sorted(counted(stand_in)) == [f"shopify:{7_100_000_000_000 + number}" for number in range(1, 9)]
    assert stand_in.summary()["duplicates"] == 0


def test_a_backfilled_order_is_the_event_that_its_webhook_would_have_been(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn, stand_in: StandIn
) -> None:
    platforms.orders = [fresh("shopify/orders/create.headless")]
    assert shopify(relay, platforms, "--go").status == 0
    assert until(lambda: queue_depth(clean) == 1)
    clean.invoke("Sender")
    (backfilled,) = [each["event"] for each in stand_in.events()]
    stand_in.reset()
    clean.client("dynamodb").delete_item(
        TableName=clean.resources["Ledger"], Key={"pk": {"S": "order_created#shopify:6184203920006"}}
    )
    post(clean, "shopify", "orders/create", platforms.orders[0])
    assert until(lambda: queue_depth(clean) == 1)
    clean.invoke("Sender")
    assert [each["event"] for each in stand_in.events()] == [backfilled]


def test_an_order_that_was_paid_late_counts_when_it_was_paid_and_one_that_was_only_shipped_does_not(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn
) -> None:
    # Given two orders of ten days ago that changed today: one was paid yesterday, the other at once
    now = datetime.now(UTC)
    placed, paid = now - timedelta(days=10), now - timedelta(days=1)
    platforms.orders = [order(number, placed, updated_at=now.isoformat()) for number in (1, 2)]
    platforms.transactions = {
        each["id"]: [{"kind": "sale", "status": "success", "processed_at": at.isoformat()}]
        for each, at in zip(platforms.orders, (paid, placed), strict=True)
    }

    ran = shopify(relay, platforms, "--go")
    assert "2 orders of the last 3 days: 1 recorded, 1 too old." in ran
    assert f"{paid:%Y-%m-%d %H:%M:%S}" in ran
    assert list(statuses(clean)) == [key(1)]


def test_stripe_events_are_taken_oldest_first_as_their_webhooks(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn, stand_in: StandIn
) -> None:
    # Given a trial whose session, beginning and first payment no webhook brought, a payment that one did, and renewals
    begun = datetime.now(UTC) - timedelta(days=1)
    names = ["checkout.session.completed.trial", "customer.subscription.created", "customer.subscription.updated"]
    names += ["invoice.paid.after_trial", "checkout.session.completed", *["invoice.paid.renewal"] * 4]
    platforms.events = [
        fresh(f"stripe/{name}", begun) | {"id": f"evt_{number}", "created": int(begun.timestamp()) + number}
        for number, name in enumerate(names)
    ]
    post(clean, "stripe", "checkout.session.completed", platforms.events[4])
    before = everything(clean)

    ran = stripe(relay, platforms)
    assert ran.status == 0
    assert "if taken now: 4 ignored, 2 remembered, 2 recorded, 1 known already." in ran
    assert everything(clean)[0] == before[0]
    assert STRIPE_KEY not in ran.out + ran.err
    assert len(platforms.requests) == 2
    assert "starting_after=evt_4" in platforms.requests[1]

    assert stripe(relay, platforms, "--go").status == 0
    assert len(statuses(clean)) == 3
    assert "recorded" not in stripe(relay, platforms, "--go").out
    # and the first payment has the click of the session, which only what came in order can know
    assert until(lambda: queue_depth(clean) == 3)
    assert clean.invoke("Sender")["sent"] == 3
    (payment,) = [each["event"] for each in stand_in.events() if each["name"] == "subscription_created"]
    assert payment["oppref"] == platforms.events[0]["data"]["object"]["metadata"]["oppref"]


def test_a_connected_account_has_to_be_on_the_list(clean: Stack, relay: Relay, platforms: PlatformsStandIn) -> None:
    ran = stripe(relay, platforms, "--account", "acct_1SNConnected")
    assert (ran.status, platforms.requests) == (2, [])
    assert "not in StripeAccounts" in ran.err


@pytest.mark.parametrize("variable", ["SHOPIFY_ADMIN_TOKEN", "STRIPE_API_KEY"])
def test_a_wrong_token_says_what_to_do_and_is_not_shown(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    run = shopify if "SHOPIFY" in variable else stripe
    monkeypatch.setenv(variable, "a-wrong-token")
    ran = run(relay, platforms, "--go")
    assert (ran.status, ran.out) == (2, "")
    assert "refuses the token (HTTP 401)" in ran.err
    assert "a-wrong-token" not in ran.err
    monkeypatch.setenv(variable, "")
    ran = run(relay, platforms, "--go")
    assert ran.status == 2
    assert f"put it into the environment as {variable}" in ran.err


def test_what_is_not_understood_is_said_and_nothing_is_kept_of_it(
    clean: Stack, relay: Relay, platforms: PlatformsStandIn
) -> None:
    platforms.orders = [order(1, id=None, admin_graphql_api_id=None), order(2)]
    ran = shopify(relay, platforms, "--go")
    assert ran.status == 1
    assert "not understood: id_missing" in ran
    assert list(statuses(clean)) == [key(2)]
    assert everything(clean)[1] == []
