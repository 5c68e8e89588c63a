"""A shopper in real headless Chromium, from the ad's click to the conversion at OpenAI.

The shop's pages load the pixel (the stand-in's script) and relay-click.js from the deployed click function; cart
attributes and payment links come back in signed webhooks, which real receivers take on the local AWS; the sender sends.
The shop's orders say nothing of the browser themselves, so what an event has of it came through the click memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest

from tests.integration.stack import (
    OPENAI_KEY,
    PIXEL_ID,
    SECRETS,
    empty,
    event_of,
    items,
    queue_depth,
    settle_stream,
    until,
)
from tools.local_aws import LocalAws, Stack
from tools.samples import Sample
from tools.shop import Shop
from tools.shopper import ChromiumShopper, a_click
from tools.stand_in import StandIn


@pytest.fixture(scope="module")
def deployed() -> Iterator[tuple[StandIn, Shop, Stack]]:
    """The stand-in, the shop, and a relay that lets the shop's pages post clicks."""
    with (
        StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as openai,
        Shop(pixel_id=PIXEL_ID, openai=openai.url) as shop,
        LocalAws.start(concurrency=6) as aws,
    ):
        stack = aws.deploy(
            "shopper",
            {
                "PixelId": PIXEL_ID,
                "OpenAiEndpoint": f"{openai.url}/v1/events",
                "StorefrontOrigin": "https://northwind-trail.example",
                "SiteOrigin": "https://northwind-trail.example",
                "EnableClick": "yes",
                "ClickOrigins": shop.url,
                "SendEvery": "rate(1 hour)",
                "Architecture": "x86_64",
            },
            SECRETS,
        )
        shop.relay = stack.url("click")[0]
        yield openai, shop, stack


class Relay:
    """What a test looks at: the webhooks' outcomes, the ledger, and what OpenAI has counted."""

    def __init__(self, openai: StandIn, stack: Stack) -> None:
        self.openai = openai
        self.stack = stack
        self.outcomes: list[tuple[str, str]] = []
        self.sends_at_once = False

    def takes(self, made: Sample) -> None:
        """Post a purchase's webhook, signed as its platform signs."""
        delivery = made.delivery(SECRETS[made.source][0], datetime.now(UTC))
        answer = self.stack.send(made.source, delivery)
        told = answer.json()
        self.outcomes.append((told["outcome"], told["reason"]))
        if self.sends_at_once:
            self.sends()

    def sends(self) -> None:
        """Run the sender once the conversion is in its queue."""
        assert until(lambda: queue_depth(self.stack) > 0), f"nothing to send after {self.outcomes}"
        self.stack.invoke("Sender")

    def memories(self) -> list[str]:
        return [key for key in items(self.stack) if key.startswith("memory#click#")]

    def events(self) -> list[Any]:
        return [event_of(item) for item in items(self.stack).values() if "event" in item]

    def order(self) -> dict[str, Any]:
        """The one purchase that OpenAI has counted."""
        [found] = [kept for kept in self.openai.events() if kept["name"] == "order_created"]
        return found


@pytest.fixture
def shop(deployed: tuple[StandIn, Shop, Stack]) -> Shop:
    _, shop, _ = deployed
    shop.asks = shop.webhook_first = False
    return shop


@pytest.fixture
def relay(deployed: tuple[StandIn, Shop, Stack], shop: Shop) -> Iterator[Relay]:
    openai, _, stack = deployed
    openai.reset()
    settle_stream(stack)
    empty(stack)
    made = Relay(openai, stack)
    shop.deliver = made.takes
    yield made
    assert set(openai.summary()["requests"]) <= {"200"}
    assert [each["problems"] for each in openai.browser_requests() if each["problems"]] == []
    assert [each["ignored"] for each in openai.events() if each["ignored"]] == []


@pytest.fixture
def shopper(browser: Any, shop: Shop, relay: Relay) -> Iterator[ChromiumShopper]:
    made = ChromiumShopper(browser, shop, openai=relay.openai.url)
    yield made
    made.close()


def pixel_has_told(relay: Relay) -> bool:
    """Whether the browser's own order_created has come."""
    return until(lambda: any("order_created" in each["names"] for each in relay.openai.browser_requests()), 10)


def carries(event: dict[str, Any], shopper: ChromiumShopper, click: str) -> None:
    """The event has all that only the shopper's browser knew."""
    assert event["oppref"] == click
    assert event["user"]["obref"] == shopper.cookies()["__obref"]
    assert event["user"]["ip_address"] == "127.0.0.1"
    assert event["user"]["user_agent"] == shopper.agent()
    assert event["user"]["emails_sha256"]


def test_a_click_reaches_the_order_and_pixel_and_webhook_count_once(
    relay: Relay, shop: Shop, shopper: ChromiumShopper
) -> None:
    click = a_click()
    shopper.lands(click)
    shopper.buys()
    assert pixel_has_told(relay)

    shop.deliver_waiting()
    relay.sends()

    assert relay.outcomes == [("recorded", "recorded")]
    order = relay.order()
    assert (order["channel"], order["duplicates_from"]) == ("pixel", {"server": 1})
    carries(order["dropped"]["server"], shopper, click)


def test_a_short_click_reaches_the_order_too(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    """It fits into a cart attribute of its own; what of the browser does not stand there is recalled all the same."""
    click = a_click(60)
    shopper.lands(click)
    shopper.buys()
    assert pixel_has_told(relay)

    shop.deliver_waiting()
    relay.sends()

    carries(relay.order()["dropped"]["server"], shopper, click)


def test_a_webhook_that_comes_first_wins_with_all_that_it_knows(
    relay: Relay, shop: Shop, shopper: ChromiumShopper
) -> None:
    shop.webhook_first = relay.sends_at_once = True
    click = a_click()
    shopper.lands(click)

    shopper.buys()

    assert pixel_has_told(relay)
    order = relay.order()
    assert (order["channel"], order["duplicates_from"]) == ("server", {"pixel": 1})
    carries(order["event"], shopper, click)


def test_a_blocked_pixel_loses_neither_order_nor_click(browser: Any, relay: Relay, shop: Shop) -> None:
    shopper = ChromiumShopper(browser, shop, openai=relay.openai.url, blocks_pixel=True)
    click = a_click()
    shopper.lands(click)
    shopper.buys()

    shop.deliver_waiting()
    relay.sends()

    order = relay.order()
    assert (order["channel"], order["duplicates"]) == ("server", 0)
    assert relay.openai.browser_requests() == []
    assert order["event"]["oppref"] == click
    assert (order["event"]["user"]["ip_address"], order["event"]["user"]["user_agent"]) == (
        "127.0.0.1",
        shopper.agent(),
    )
    shopper.close()


def test_refused_consent_leaves_nothing_anywhere(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    shop.asks = True
    shopper.lands(a_click(), remembered=False)
    shopper.answers("no")
    shopper.buys()

    shop.deliver_waiting()

    assert relay.outcomes == [("ignored", "consent_refused")]
    assert (relay.memories(), relay.events()) == ([], [])
    assert (shopper.key(), shopper.cookies()) == (None, {})
    assert relay.openai.summary()["counted"] == 0
    assert [each["names"] for each in relay.openai.browser_requests() if each["what"] == "pixel"] == []


def test_nothing_is_kept_before_consent_and_all_after_it(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    shop.asks = True
    click = a_click()
    shopper.lands(click, remembered=False)
    shopper.page.wait_for_selector("#banner:not([hidden])")
    assert (relay.memories(), shopper.cookies()) == ([], {})

    shopper.answers("yes")
    shopper.waits_for("relayClick.key()")
    shopper.buys()
    assert pixel_has_told(relay)
    shop.deliver_waiting()
    relay.sends()

    order = relay.order()
    assert (order["channel"], order["duplicates_from"]) == ("pixel", {"server": 1})
    carries(order["dropped"]["server"], shopper, click)


def test_who_buys_in_a_second_tab_is_the_same_shopper(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    click = a_click()
    shopper.lands(click)
    key = shopper.key()
    shopper.opens_a_tab()
    shopper.lands(None)

    shopper.buys()

    assert shopper.key() == key
    assert len(relay.memories()) == 1
    assert pixel_has_told(relay)
    shop.deliver_waiting()
    relay.sends()
    order = relay.order()
    assert order["duplicates_from"] == {"server": 1}
    carries(order["dropped"]["server"], shopper, click)


def test_the_newest_click_is_the_purchases(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    """OpenAI's cookie is restarted by each new click; so is the memory, by a key of its own."""
    shopper.lands(a_click())
    first = shopper.key()
    shopper.opens_a_tab()
    click = a_click()
    shopper.lands(click)
    shopper.waits_for(f"relayClick.key() && relayClick.key() !== {json.dumps(first)}")

    shopper.buys()

    assert len(relay.memories()) == 2
    assert pixel_has_told(relay)
    shop.deliver_waiting()
    relay.sends()
    order = relay.order()
    assert unquote(click) == order["event"]["oppref"]
    carries(order["dropped"]["server"], shopper, click)


def test_a_stripe_payment_link_brings_the_click_back(relay: Relay, shop: Shop, shopper: ChromiumShopper) -> None:
    click = a_click()
    shopper.lands(click, "/plans")
    key = shopper.key()

    shopper.pays_by_link()

    assert pixel_has_told(relay)
    [webhook] = shop.deliver_waiting()
    assert webhook.payload["data"]["object"]["client_reference_id"] == key
    relay.sends()
    order = relay.order()
    assert (order["channel"], order["duplicates_from"]) == ("pixel", {"server": 1})
    event = order["dropped"]["server"]
    carries(event, shopper, click)
    assert len(event["user"].get("external_ids_sha256", [])) <= 1  # Stripe's customer; the key is nobody's id
