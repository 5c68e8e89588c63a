"""A small shop on the loopback, for the demo and the tests: what a shopper's browser does, to the order's webhook.

Landing page, product, cart with ``/cart/update.js`` as Shopify has it, checkout, order status; and a page with a Stripe
Payment Link, with what stands in for Stripe's own. Each page loads the pixel and relay-click.js. The cart's attributes
come back in the order's ``note_attributes``, the link's ``client_reference_id`` in the payment's session.

The shop knows nothing else of the browser: its orders have no landing page, address or agent, as those of a headless
shop have none. What an event has of these has come through the relay's click memory.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from tools import shop_pages
from tools.samples import Sample, sample
from tools.stand_in_server import Answer, LoopbackServer, Request

STRIPE: Final = "/_stripe"
"""Where the shop answers for ``https://buy.stripe.com``."""

_ATTRIBUTE: Final = re.compile(r"attributes\[(.+)\]")
_HTML: Final = "text/html; charset=utf-8"
_ORDER_IDS: Final = 6_300_000_000_000


@dataclass(slots=True)
class Cart:
    """What Shopify's cart holds, as far as it matters here."""

    quantity: int = 0
    attributes: dict[str, str] = field(default_factory=dict)

    def update(self, attributes: dict[str, Any]) -> None:
        """Set attributes; an empty value or null takes one away."""
        for name, value in attributes.items():
            if value in ("", None):
                self.attributes.pop(name, None)
            else:
                self.attributes[name] = str(value)


class Shop:
    """The shop, from `start` to `stop` or in a ``with``.

    `openai`: where the pixel's script is and its events go. Set before a visit: `relay`, the click memory's address;
    `deliver`, which takes the webhook of each purchase; `payment_link`, an address of Stripe's unless it is changed;
    `asks`, whether the shopper is asked for consent;
    `webhook_first`, whether the webhook is delivered before the browser sees its thanks, else it waits for
    `deliver_waiting`.
    """

    def __init__(self, *, pixel_id: str, openai: str) -> None:
        self.relay = ""
        self.deliver: Callable[[Sample], None] = _nobody_listens
        self.payment_link = shop_pages.PAYMENT_LINK
        self.asks = False
        self.webhook_first = False
        self._pixel_id = pixel_id
        self._openai = openai
        self._carts: dict[str, Cart] = {}
        self._orders: dict[str, int] = {}
        self._waiting: list[Sample] = []
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._respond, 0)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return self._server.url

    def answers_for_stripe(self) -> None:
        """Have the Payment Link lead to this shop, as if it were Stripe: for a browser that is not steered."""
        self.payment_link = f"{self.url}{STRIPE}/buy.stripe.com/test_northwind"

    def deliver_waiting(self) -> list[Sample]:
        """Deliver the webhooks of the purchases since the last time, oldest first; returns them."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            self.deliver(each)
        return waiting

    def _respond(self, request: Request) -> Answer | None:
        if request.path.startswith(STRIPE):
            return self._stripe(request)
        token, cart = self._cart_of(request)
        match request.method, request.path:
            case "POST", "/cart/add.js":
                cart.quantity += int(json.loads(request.body)["quantity"])
                answer = Answer(200, json.dumps({"quantity": cart.quantity}).encode())
            case "POST", "/cart/update.js":
                cart.update(_attributes(request))
                answer = Answer(200, json.dumps({"token": token, "attributes": cart.attributes}).encode())
            case "GET", "/cart.js":
                answer = Answer(200, json.dumps({"token": token, "attributes": cart.attributes}).encode())
            case "POST", "/checkout":
                answer = self._check_out(token, cart, _form(request)["email"])
            case "GET", "/go":
                answer = Answer(302, b"", headers=[("Location", parse_qs(request.query)["to"][0])])
            case "GET", path:
                answer = self._page(path, parse_qs(request.query), cart)
            case _:
                return Answer(404, b"", "text/plain")
        if (request.method, request.path) == ("POST", "/checkout"):
            token = self._new_cart()  # what was bought is in no cart any more
        cookie = ("Set-Cookie", f"cart={token}; Path=/; SameSite=Lax")
        return Answer(answer.status, answer.body, answer.content_type, headers=[*answer.headers, cookie])

    def _page(self, path: str, query: dict[str, list[str]], cart: Cart) -> Answer:
        head = shop_pages.Head(self._pixel_id, self._openai, self.relay.rstrip("/"), self.asks, secrets.token_hex(8))
        order = self._orders.get(path.removeprefix("/orders/"))
        match path:
            case "/":
                body = shop_pages.landing(head)
            case "/products/trail-shoe":
                body = shop_pages.product(head)
            case "/cart":
                body = shop_pages.cart(head, cart.quantity)
            case "/checkout":
                body = shop_pages.checkout(head)
            case "/plans":
                body = shop_pages.plans(head, self.payment_link)
            case "/thanks":
                data = {"type": "contents", "amount": 5300, "currency": "USD"}
                body = shop_pages.bought(head, "Welcome", f"stripe:{query['session_id'][0]}", data)
            case _ if order is not None:
                data = {"type": "contents", "amount": 20063, "currency": "USD"}
                body = shop_pages.bought(head, "Order status", f"shopify:{order}", data)
            case _:
                return Answer(404, b"", "text/plain")
        return Answer(200, body, _HTML, headers=[("Content-Security-Policy", head.policy)])

    def _cart_of(self, request: Request) -> tuple[str, Cart]:
        pairs = (pair.strip().partition("=") for pair in request.headers.get("cookie", "").split(";"))
        token = next((value for name, _, value in pairs if name == "cart"), "")
        with self._lock:
            known = token in self._carts
        if not known:
            token = self._new_cart()
        return token, self._carts[token]

    def _new_cart(self) -> str:
        token = secrets.token_hex(16)
        with self._lock:
            self._carts[token] = Cart()
        return token

    def _check_out(self, token: str, cart: Cart, email: str) -> Answer:
        """An order as Shopify writes it, with the cart's attributes and without anything else of the browser."""
        order_id = _ORDER_IDS + secrets.randbelow(10**9)
        status = secrets.token_hex(16)
        made = sample("shopify/orders/create")
        order = copy.deepcopy(dict(made.payload)) | {
            "id": order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "cart_token": token,
            "checkout_token": secrets.token_hex(16),
            "token": status,
            "email": email,
            "contact_email": email,
            "landing_site": None,
            "referring_site": None,
            "browser_ip": None,
            "client_details": None,
            "note_attributes": [{"name": name, "value": value} for name, value in cart.attributes.items()],
        }
        with self._lock:
            self._orders[status] = order_id
        self._bought(Sample(made.name, made.source, made.topic, order))
        return Answer(303, b"", headers=[("Location", f"/orders/{status}")])

    def _stripe(self, request: Request) -> Answer:
        """Stripe's page, and the session that is completed when the shopper pays."""
        if request.method == "GET":
            return Answer(200, shop_pages.payment(self.payment_link, request.query), _HTML)
        session_id = f"cs_live_{secrets.token_hex(12)}"
        made = sample("stripe/checkout.session.completed")
        event = copy.deepcopy(dict(made.payload)) | {"id": f"evt_{secrets.token_hex(12)}"}
        event["data"]["object"] |= {
            "id": session_id,
            "client_reference_id": parse_qs(request.query).get("client_reference_id", [None])[0],
            "metadata": {},
            "payment_intent": f"pi_{secrets.token_hex(12)}",
            "payment_link": "plink_northwind",
            "success_url": f"{self.url}/thanks?session_id={{CHECKOUT_SESSION_ID}}",
        }
        self._bought(Sample(made.name, made.source, made.topic, event))
        return Answer(200, shop_pages.leads_to(f"{self.url}/thanks?session_id={session_id}"), _HTML)

    def _bought(self, webhook: Sample) -> None:
        if self.webhook_first:
            self.deliver(webhook)
        else:
            with self._lock:
                self._waiting.append(webhook)


def _nobody_listens(made: Sample) -> None:
    raise RuntimeError(f"set Shop.deliver: nobody takes {made.name}")


def stripe_address(shop: Shop, url: str) -> str:
    """Where the shop answers for an address of Stripe's page."""
    parts = urlsplit(url)
    return f"{shop.url}{STRIPE}{parts.path}?{parts.query}"


def _form(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}


def _attributes(request: Request) -> dict[str, Any]:
    """The attributes in a post to ``/cart/update.js``: as JSON, or as a form's ``attributes[name]``."""
    if request.content_type.startswith("application/json"):
        return dict(json.loads(request.body).get("attributes", {}))
    return {found[1]: value for name, value in _form(request).items() if (found := _ATTRIBUTE.fullmatch(name))}
