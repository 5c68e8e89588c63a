"""The printed snippets at work in Chromium: what they measure is what the relay makes of the webhook of the same sale.

OpenAI's script is a recorder here that takes over the queue as the real one does. Everything else is the printed code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from conversion_relay import money
from conversion_relay.sources.envelope import usable_pixel_id
from tools import cli
from tools.cases import settings_from
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.samples import sample
from tools.snippets import SCRIPT
from tools.sources import receiver_for

PIXEL = "abcDEF1234567890abcdEF"
PAGE = "https://shop.example/"
SECRET = "whsec_0f1e2d3c4b5a69788796a5b4c3d2e1f0"
RECORDER = """
(function () {
  var queue = window.oaiq.q;
  window.calls = [];
  window.oaiq = function () { window.calls.push(JSON.parse(JSON.stringify(Array.prototype.slice.call(arguments)))); };
  queue.forEach(function (each) { window.oaiq.apply(null, each); });
})();
"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page()
    yield opened
    opened.close()


def snippet(folder: Path, *arguments: str) -> dict[str, str]:
    """The files that the command writes, by name."""
    assert cli.main(["snippet", *arguments, "--pixel-id", PIXEL, "--out", str(folder)]) == 0
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def visit(page: Page, html: str, *, before: str = "", path: str = "", files: Mapping[str, str] | None = None) -> None:
    """Open a page with this code; ``before`` runs ahead of all of it. An error in any script fails the test."""
    served = {PAGE + path: f"<!doctype html><html><head><script>{before}</script>{html}</head><body></body></html>"}
    served |= {PAGE + name: text for name, text in (files or {}).items()}

    def answer(route: Route) -> None:
        address = route.request.url
        if address == SCRIPT:
            route.fulfill(body=RECORDER, content_type="text/javascript")
        elif address in served:
            kind = "text/javascript" if address.endswith(".js") else "text/html; charset=utf-8"
            route.fulfill(body=served[address], content_type=kind)
        else:
            route.fulfill(status=404)

    problems: list[str] = []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.route("**/*", answer)
    page.goto(PAGE + path)
    page.wait_for_function("window.calls && document.readyState === 'complete'")
    assert problems == []


def measured(page: Page) -> list[dict[str, Any]]:
    """What went to OpenAI's script, with the type and id under the names of the Conversions API."""
    calls = page.evaluate("window.calls")
    return [{"type": call[1], "data": call[2], "id": call[3].get("event_id")} for call in calls if call[0] == "measure"]


def relayed(name: str, *, changes: Mapping[str, Any] | None = None, **settings: object) -> dict[str, Any]:
    """The event that the relay makes of a sample, as it goes over the wire; ``changes``: in a Stripe object."""
    now = datetime.now(UTC)
    settings = {"storefront_origin": "https://shop.example", "site_origin": "https://shop.example", **settings}
    chosen = sample(name)
    if changes is not None:
        held = {**chosen.payload["data"]["object"], **changes}
        chosen = replace(chosen, payload={**chosen.payload, "data": {"object": held}})
    receiver = receiver_for(
        chosen.source,
        KnownSecrets([SECRET]),
        InMemoryLedger(),
        InMemoryParking(),
        settings_from(settings),
        lambda: int(now.timestamp() * 1000),
    )
    assert receiver is not None
    outcome = receiver.receive(chosen.delivery(SECRET, now))
    assert outcome.event is not None, outcome
    wire: dict[str, Any] = outcome.event.wire()
    return wire


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (one["type"], one["id"]) == (other["type"], other["id"])


# Money and ids --------------------------------------------------------------------------------------------------------


def test_amounts_are_those_of_the_relay_in_every_currency(page: Page, tmp_path: Path) -> None:
    files = snippet(tmp_path, "stripe")
    amounts = [
        "0", "0.00", "1", "149", "149.00", "149.0", "4510.00", "1.005", "1.2345", "1.23455", "0.5", ".5", "5.", "19.99",
        "0.07", "90071992547409.91", "90071992547409.92", "9007199254740991", "-1", "1e3", "1,000.00", "", ".", "x",
        " 7.10 ", "0x10",
    ]  # fmt: skip
    codes = [*money.EXPONENTS, "usd", " eur ", "HRK", "XAU", "EURO", "", "toString", "__proto__"]

    visit(page, files["head.html"])
    found = page.evaluate(
        "([codes, amounts]) => codes.map(code => amounts.map(amount => relayPixel.minorUnits(amount, code)))",
        [codes, amounts],
    )

    expected = [[money.minor_units(amount, code) for amount in amounts] for code in codes]
    assert found == expected
    assert found[codes.index("JPY")][amounts.index("4510.00")] == 4510


def test_numbers_are_read_by_their_digits(page: Page, tmp_path: Path) -> None:
    numbers = [19.99, 200.63, 1.1, 0.07, 4510, 1e21, -1]

    visit(page, snippet(tmp_path, "stripe")["head.html"])
    found = page.evaluate("numbers => numbers.map(each => relayPixel.minorUnits(each, 'USD'))", numbers)

    assert found == [1999, 20063, 110, 7, 451000, None, None]
    assert [money.minor_units(Decimal(str(each)), "USD") for each in numbers[:5]] == found[:5]


def test_stripe_amounts_are_those_of_the_relay_in_every_currency(page: Page, tmp_path: Path) -> None:
    amounts = [0, 1, 49, 50, 150, 20063, 2**53 - 1, -1]
    codes = [*money.EXPONENTS, "usd", "HRK"]

    visit(page, snippet(tmp_path, "stripe")["head.html"])
    found = page.evaluate(
        "([codes, amounts]) => codes.map(code => amounts.map(amount => relayPixel.fromStripe(amount, code)))",
        [codes, amounts],
    )

    assert found == [[money.from_stripe(amount, code) for amount in amounts] for code in codes]


def test_an_id_is_taken_exactly_when_the_relay_takes_it(page: Page, tmp_path: Path) -> None:
    ids = [
        "pix_1", " pix_1 ", "", " ", "undefined", "NULL", "NaN", "None", "0", "00", "a@b.example", "x" * 199, "x" * 200
    ]  # fmt: skip

    visit(page, snippet(tmp_path, "stripe")["head.html"])

    assert page.evaluate("ids => ids.map(relayPixel.usable)", ids) == [usable_pixel_id(each) for each in ids]


def test_a_token_is_new_each_time_and_an_id_for_the_relay(page: Page, tmp_path: Path) -> None:
    visit(page, snippet(tmp_path, "stripe")["head.html"])

    tokens = page.evaluate("Array.from({length: 500}, relayPixel.token)")

    assert len(set(tokens)) == 500
    assert all(usable_pixel_id(each) == each and len(each) == 36 for each in tokens)


# Consent --------------------------------------------------------------------------------------------------------------


def test_nothing_is_measured_before_consent_and_then_what_waited(page: Page, tmp_path: Path) -> None:
    visit(page, snippet(tmp_path, "stripe")["head.html"])
    assert page.evaluate("window.calls") == [["consent", False], ["init", {"pixelId": PIXEL}]]

    page.evaluate("relayPixel.consent(true)")

    assert page.evaluate("window.calls.slice(2)") == [
        ["consent", True],
        ["measure", "page_viewed", {"type": "contents"}, {}],
    ]


def test_what_waited_is_dropped_after_a_refusal(page: Page, tmp_path: Path) -> None:
    visit(page, snippet(tmp_path, "stripe")["head.html"])

    page.evaluate("relayPixel.consent(false); relayPixel.measure('page_viewed', {type: 'contents'})")
    assert measured(page) == []
    page.evaluate("relayPixel.consent(true); relayPixel.measure('contents_viewed', {type: 'contents'})")

    assert [each["type"] for each in measured(page)] == ["contents_viewed"]


def test_without_consent_to_ask_for_it_measures_at_once(page: Page, tmp_path: Path) -> None:
    visit(page, snippet(tmp_path, "stripe", "--consent", "none")["head.html"])

    assert page.evaluate("window.calls.map(each => each[0])") == ["init", "consent", "measure"]


def test_a_second_copy_of_the_pixel_does_nothing(page: Page, tmp_path: Path) -> None:
    head = snippet(tmp_path, "stripe", "--events", "page_viewed")["head.html"]

    visit(page, head + head)

    assert page.evaluate("window.calls.filter(each => each[0] === 'init').length") == 1
    assert page.evaluate("document.querySelectorAll('script[src*=oaiq]').length") == 1


SHOPIFY_PRIVACY = """
window.Shopify = {
  loadFeatures: function (features, done) { done(); },
  customerPrivacy: { marketingAllowed: function () { return %s; } }
};
"""


@pytest.mark.parametrize(("allowed", "events"), [("true", ["page_viewed"]), ("false", [])])
def test_shopifys_privacy_api_decides(page: Page, tmp_path: Path, allowed: str, events: list[str]) -> None:
    head = snippet(tmp_path, "stripe", "--consent", "shopify")["head.html"]

    visit(page, head, before=SHOPIFY_PRIVACY % allowed)

    assert [each["type"] for each in measured(page)] == events


def test_shopifys_banner_decides_later(page: Page, tmp_path: Path) -> None:
    visit(page, snippet(tmp_path, "stripe", "--consent", "shopify")["head.html"])
    assert measured(page) == []

    page.evaluate(
        "document.dispatchEvent(new CustomEvent('visitorConsentCollected', {detail: {marketingAllowed: true}}))"
    )

    assert [each["type"] for each in measured(page)] == ["page_viewed"]


@pytest.mark.parametrize(
    ("told", "events"),
    [
        ({"eventStatus": "tcloaded", "purpose": {"consents": {"1": True, "7": True}}}, ["page_viewed"]),
        ({"eventStatus": "useractioncomplete", "purpose": {"consents": {"1": True, "7": False}}}, []),
        ({"eventStatus": "cmpuishown", "purpose": {"consents": {"1": True, "7": True}}}, []),
        ({"eventStatus": "tcloaded", "gdprApplies": False}, ["page_viewed"]),
    ],
)
def test_the_tcf_banner_decides(page: Page, tmp_path: Path, told: dict[str, Any], events: list[str]) -> None:
    head = snippet(tmp_path, "stripe", "--consent", "tcf")["head.html"]

    visit(page, head, before=f"window.__tcfapi = (command, version, tell) => tell({json.dumps(told)}, true);")

    assert [each["type"] for each in measured(page)] == events


def test_googles_consent_mode_decides(page: Page, tmp_path: Path) -> None:
    head = snippet(tmp_path, "stripe", "--consent", "google")["head.html"]
    gtag = "window.dataLayer = []; function gtag() { dataLayer.push(arguments); }"

    visit(page, head, before=gtag + "gtag('consent', 'default', {ad_storage: 'denied'});")
    assert measured(page) == []
    page.evaluate("gtag('consent', 'update', {ad_storage: 'granted'})")

    assert [each["type"] for each in measured(page)] == ["page_viewed"]
    assert page.evaluate("dataLayer.length") == 2


# Shopify --------------------------------------------------------------------------------------------------------------

SANDBOX = """
var subscribed = {};
var analytics = { subscribe: function (name, callback) { subscribed[name] = callback; } };
var init = { customerPrivacy: { marketingAllowed: %s } };
var privacyTold;
var customerPrivacy = { subscribe: function (name, callback) { privacyTold = callback; } };
"""


def checkout_of(order: Mapping[str, Any], order_id: object) -> dict[str, Any]:
    """Shopify's Checkout object of the event checkout_completed, for an order as the webhook has it."""
    currency = order["presentment_currency"]

    def price(amounts: Mapping[str, Any]) -> dict[str, Any]:
        held = amounts["presentment_money"]
        return {"amount": float(held["amount"]), "currencyCode": held["currency_code"]}

    return {
        "token": "c1_token",
        "order": {"id": order_id},
        "currencyCode": currency,
        "totalPrice": price(order["total_price_set"]),
        "attributes": [{"key": each["name"], "value": each["value"]} for each in order["note_attributes"]],
        "lineItems": [
            {
                "title": line["name"],
                "quantity": line["quantity"],
                "variant": {"id": str(line["variant_id"]), "price": price(line["price_set"])},
            }
            for line in order["line_items"]
        ],
    }


def completed(page: Page, tmp_path: Path, checkout: Mapping[str, Any], *, allowed: str = "true") -> None:
    code = snippet(tmp_path, "shopify", "--events", "all")["custom-pixel.js"]
    visit(page, f"<script>{SANDBOX % allowed}{code}</script>")
    page.evaluate("checkout => subscribed.checkout_completed({data: {checkout}})", checkout)


@pytest.mark.parametrize("form", ["gid://shopify/Order/{}", "gid://shopify/Order/{}?key=1", "{}", "number"])
def test_a_shopify_order_has_the_id_of_its_webhook(page: Page, tmp_path: Path, form: str) -> None:
    order = sample("shopify/orders/create").payload
    given = order["id"] if form == "number" else form.format(order["id"])
    expected = relayed("shopify/orders/create")

    completed(page, tmp_path, checkout_of(order, given))

    (found,) = measured(page)
    assert same(found, expected)
    assert found["data"] == expected["data"]


@pytest.mark.parametrize(
    "name", ["create.yen", "create.headless", "create.accents", "create.multi_currency", "create.free"]
)
def test_other_shopify_orders_count_once_too(page: Page, tmp_path: Path, name: str) -> None:
    order = sample(f"shopify/orders/{name}").payload
    # The page knows what the buyer pays in; the relay can be told to take that side too.
    expected = relayed(f"shopify/orders/{name}", shopify_money="presentment")

    completed(page, tmp_path, checkout_of(order, f"gid://shopify/Order/{order['id']}"))

    (found,) = measured(page)
    assert same(found, expected)
    assert {key: found["data"].get(key) for key in ("amount", "currency")} == {
        key: expected["data"].get(key) for key in ("amount", "currency")
    }
    assert type(found["data"]["amount"]) is int


@pytest.mark.parametrize("given", [None, "", "gid://shopify/Order/", "#1001", "0", "undefined"])
def test_an_order_without_an_id_is_left_to_the_relay(page: Page, tmp_path: Path, given: object) -> None:
    completed(page, tmp_path, checkout_of(sample("shopify/orders/create").payload, given))

    assert measured(page) == []


def test_the_sandbox_waits_for_consent_too(page: Page, tmp_path: Path) -> None:
    order = sample("shopify/orders/create").payload

    completed(page, tmp_path, checkout_of(order, order["id"]), allowed="false")
    assert measured(page) == []
    page.evaluate("privacyTold({customerPrivacy: {marketingAllowed: true}})")
    page.evaluate("checkout => subscribed.checkout_completed({data: {checkout}})", checkout_of(order, order["id"]))

    assert [each["type"] for each in measured(page)] == ["order_created"]


def test_a_started_checkout_has_the_id_of_its_webhook(page: Page, tmp_path: Path) -> None:
    expected = relayed("shopify/checkouts/create")
    token = sample("shopify/checkouts/create").payload["token"]
    code = snippet(tmp_path, "shopify")["custom-pixel.js"]

    visit(page, f"<script>{SANDBOX % 'true'}{code}</script>")
    page.evaluate("token => subscribed.checkout_started({data: {checkout: {token, currencyCode: 'USD'}}})", token)

    (found,) = measured(page)
    assert same(found, expected)
    assert page.evaluate("Object.keys(subscribed)") == ["checkout_started"]


def theme(code: str, *, currency: str, price: int) -> str:
    """The theme's file as Shopify renders it on a product page."""
    from liquid import Environment
    from liquid.extra import add_filters

    environment = Environment()
    add_filters(environment)
    variants = [{"id": 46110022331, "price": price}, {"id": 46110022332, "price": price + 50}]
    product = {"title": 'Shoe "42" </script>', "variants": variants, "selected_or_first_available_variant": variants[0]}
    rendered: str = environment.from_string(code).render(
        request={"page_type": "product"}, product=product, cart={"currency": {"iso_code": currency}}
    )
    # Shopify's json filter writes < as \\u003c, which this one does not.
    return rendered.replace('</script>"', '\\u003c/script>"')


@pytest.mark.parametrize(
    ("currency", "price", "units"), [("USD", 14900, 14900), ("JPY", 451000, 4510), ("KWD", 1205, 12050)]
)
def test_the_theme_measures_views_and_adds_in_minor_units(
    page: Page, tmp_path: Path, currency: str, price: int, units: int
) -> None:
    code = snippet(tmp_path, "shopify")["theme-head.liquid"]

    visit(page, theme(code, currency=currency, price=price), before=SHOPIFY_PRIVACY % "true")
    page.evaluate(
        """() => {
          document.body.innerHTML = '<form action="/cart/add"><input name="id" value="46110022331">'
            + '<input name="quantity" value="2"></form><form action="/search"><input name="q" value="x"></form>';
          document.addEventListener('submit', event => event.preventDefault());
          document.forms[0].requestSubmit();
          document.forms[1].requestSubmit();
        }"""
    )

    view, added = measured(page)[1:]
    assert (view["type"], view["data"]["amount"], view["data"]["currency"]) == ("contents_viewed", units, currency)
    assert (added["type"], added["data"]["amount"]) == ("items_added", 2 * units)
    assert added["data"]["contents"] == [
        {"id": "46110022331", "name": 'Shoe "42" </script>', "quantity": 2, "amount": units, "currency": currency}
    ]


# Stripe ---------------------------------------------------------------------------------------------------------------


def bought(name: str, **changes: object) -> dict[str, Any]:
    """What the success page's server writes down of a session."""
    session = sample(name).payload["data"]["object"]
    kept = ("subscription", "mode", "payment_status", "amount_total", "currency")
    own = session["metadata"].get("openai_event_id")
    return {
        "session": session["id"],
        "trial": False,
        "openai_event_id": own,
        **{k: session[k] for k in kept},
        **changes,
    }


def success(page: Page, tmp_path: Path, purchase: Mapping[str, Any], *options: str) -> list[dict[str, Any]]:
    files = snippet(tmp_path, "stripe", "--events", "all", "--consent", "none", *options)
    code = re.sub(
        r'(id="relay-purchase">).*?(</script>)',
        lambda m: m[1] + json.dumps(purchase) + m[2],
        files["success.html"],
        flags=re.S,
    )
    visit(page, files["head.html"] + code)
    return [each for each in measured(page) if each["type"] != "page_viewed"]


@pytest.mark.parametrize(
    "name", ["completed", "completed.adaptive_pricing", "completed.subscription", "async_payment_succeeded"]
)
def test_a_stripe_purchase_has_the_id_of_its_webhook(page: Page, tmp_path: Path, name: str) -> None:
    expected = relayed(f"stripe/checkout.session.{name}")
    changes = {"payment_status": "paid"} if name == "async_payment_succeeded" else {}

    (found,) = success(page, tmp_path, bought(f"stripe/checkout.session.{name}", **changes))

    assert same(found, expected)
    assert found["data"] == expected["data"]


def test_a_stripe_trial_has_the_id_of_its_webhook(page: Page, tmp_path: Path) -> None:
    expected = relayed("stripe/customer.subscription.created")
    subscription = sample("stripe/customer.subscription.created").payload["data"]["object"]["id"]
    purchase = bought("stripe/checkout.session.completed.trial", subscription=subscription, trial=True)

    (found,) = success(page, tmp_path, {**purchase, "openai_event_id": None})

    assert same(found, expected)
    assert found["data"] == expected["data"]


def test_a_fee_beside_a_trial_is_a_first_payment_on_both_sides(page: Page, tmp_path: Path) -> None:
    name = "stripe/checkout.session.completed.trial"
    fee = {"payment_status": "paid", "amount_total": 5000}
    expected = relayed(name, changes={**fee, "metadata": {}})

    trial, payment = success(page, tmp_path, bought(name, **fee, trial=True, openai_event_id=None))

    assert (trial["type"], trial["id"]) == ("trial_started", expected["id"])
    assert same(payment, expected)
    assert payment["data"] == expected["data"]


def test_a_connected_accounts_purchase_has_the_id_of_its_webhook(page: Page, tmp_path: Path) -> None:
    name = "stripe/checkout.session.completed.connected"
    account = sample(name).payload["account"]
    expected = relayed(name, stripe_accounts=account)

    (found,) = success(page, tmp_path, bought(name), "--account", account)

    assert same(found, expected)


def test_the_id_in_the_metadata_comes_first(page: Page, tmp_path: Path) -> None:
    (found,) = success(page, tmp_path, bought("stripe/checkout.session.completed", openai_event_id="pix_1"))

    assert found["id"] == "pix_1"


@pytest.mark.parametrize("name", ["completed.unpaid", "completed.setup"])
def test_what_is_not_paid_is_not_measured(page: Page, tmp_path: Path, name: str) -> None:
    assert success(page, tmp_path, bought(f"stripe/checkout.session.{name}")) == []


def test_the_server_hands_a_long_reference_over_whole(page: Page, tmp_path: Path) -> None:
    # Given a click reference that is longer than Stripe's 500 characters
    oppref = "op1." + "aB3%2F_-~=" * 120
    files = snippet(tmp_path, "stripe", "--site", "https://northwind-trail.example")
    visit(page, files["head.html"], files=files)

    # When the server's code makes a session
    session = page.evaluate(
        """async oppref => {
          const { createSession } = await import('/checkout.js');
          const stripe = { checkout: { sessions: { create: session => session } } };
          const source_url = 'https://northwind-trail.example/cart';
          const click = { oppref, obref: 'ob1', source_url, relay_click: 'rc1_x' };
          return createSession(stripe, click, { mode: 'subscription', metadata: { mine: '1' } });
        }""",
        oppref,
    )

    # Then Stripe would take it, and the relay puts it together
    assert session["success_url"] == "https://northwind-trail.example/thanks?session_id={CHECKOUT_SESSION_ID}"
    assert session["metadata"] == {**session["subscription_data"]["metadata"], "mine": "1"}
    assert session["metadata"]["relay_click"] == "rc1_x"
    assert max(map(len, session["metadata"].values())) == 500
    event = relayed("stripe/checkout.session.completed.subscription", changes={"metadata": session["metadata"]})
    assert (event["oppref"], event["user"]["obref"]) == (oppref, "ob1")


# Tag Manager, Next.js, WordPress --------------------------------------------------------------------------------------


def tag_manager(container: str, name: str, layer: Mapping[str, Any]) -> str:
    """A tag's code as Tag Manager puts it into the page: its variables filled in."""
    held = json.loads(container)["containerVersion"]
    tag = next(each for each in held["tag"] if each["name"] == name)
    code: str = next(each["value"] for each in tag["parameter"] if each["key"] == "html")
    constants = {
        each["name"]: next(
            p["value"] for p in each["parameter"] if p["key"] == ("value" if each["type"] == "c" else "name")
        )
        for each in held["variable"]
    }
    kinds = {each["name"]: each["type"] for each in held["variable"]}

    def value(match: re.Match[str]) -> str:
        told = constants[match[1]]
        return json.dumps(told if kinds[match[1]] == "c" else layer.get(told)) if kinds else ""

    return re.sub(r"\{\{([^{}]+)\}\}", value, code)


def test_tag_manager_measures_a_purchase_with_the_relays_id(page: Page, tmp_path: Path) -> None:
    order = sample("shopify/orders/create").payload
    expected = relayed("shopify/orders/create")
    container = snippet(tmp_path, "gtm", "--events", "all", "--source", "shopify")["relay-gtm-container.json"]
    items = [
        {
            "item_id": str(each["variant_id"]),
            "item_name": each["name"],
            "price": float(each["price"]),
            "quantity": each["quantity"],
        }
        for each in order["line_items"]
    ]
    shop = {"transaction_id": str(order["id"]), "value": 200.63, "currency": "USD", "items": items}

    code = tag_manager(container, "relay - base", {})
    visit(page, code + tag_manager(container, "relay - order_created", {"ecommerce": shop}))

    (found,) = measured(page)
    assert same(found, expected)
    assert found["data"] == expected["data"]


@pytest.mark.parametrize(("name", "layer"), [("order_created", {"ecommerce": {}}), ("lead_created", {})])
def test_tag_manager_measures_nothing_that_could_count_twice(
    page: Page, tmp_path: Path, name: str, layer: dict[str, Any]
) -> None:
    container = snippet(tmp_path, "gtm", "--events", "all")["relay-gtm-container.json"]

    visit(page, tag_manager(container, "relay - base", {}) + tag_manager(container, f"relay - {name}", layer))

    assert measured(page) == []


def test_nextjs_functions_measure_with_the_id_that_they_are_given(page: Page, tmp_path: Path) -> None:
    files = snippet(tmp_path, "nextjs", "--events", "all", "--consent", "none")
    expected = relayed("stripe/checkout.session.completed.subscription")
    session = bought("stripe/checkout.session.completed.subscription")
    total = str(Decimal(session["amount_total"]) / 100)

    visit(page, '<script src="/relay-pixel.js"></script>', files=files)
    page.evaluate(
        """async ([plan, total, currency, id]) => {
          const events = await import('/relay-events.js');
          events.subscriptionCreated(plan, total, currency, id);
          events.orderCreated([{id: 7, name: 'Shoe', quantity: 2, price: '14.50'}], '29.00', 'EUR', 'stripe:cs_1');
          events.orderCreated([], '1.00', 'EUR', undefined);
          events.leadCreated(events.newEventId());
          events.custom('demo_booked', 'pix_2');
        }""",
        ["plan", total, session["currency"], expected["id"]],
    )

    subscription, order, lead, custom = measured(page)
    assert same(subscription, expected)
    assert subscription["data"]["amount"] == expected["data"]["amount"]
    assert order["data"] == {
        "type": "contents",
        "amount": 2900,
        "currency": "EUR",
        "contents": [{"id": "7", "name": "Shoe", "quantity": 2, "amount": 1450, "currency": "EUR"}],
    }
    assert usable_pixel_id(lead["id"]) is not None
    assert (custom["type"], custom["id"]) == ("custom", "pix_2")


def test_wordpress_measures_a_form_with_a_token_that_the_form_carries(page: Page, tmp_path: Path) -> None:
    code = snippet(tmp_path, "wordpress", "--events", "all", "--consent", "none")["relay-pixel.php"]
    (head,) = re.findall(r"\?>(.*?)<\?php", code, re.S)

    visit(page, head + '<form><input type="hidden" name="openai_event_id"></form>')
    carried = page.evaluate(
        """() => {
          const token = document.querySelector('input').value;
          document.querySelector('form').dispatchEvent(new CustomEvent('wpcf7mailsent', {bubbles: true}));
          return token;
        }"""
    )

    found = measured(page)[-1]
    assert (found["type"], found["id"], found["data"]) == ("lead_created", carried, {"type": "customer_action"})
    assert page.evaluate("document.querySelector('input').value") != carried
