"""Shoppers of ``tools/shop.py``: a real one in headless Chromium, and one that posts what the pages' scripts would.

Both do the same: land with a click of an ad, browse, and buy in the shop or by the Stripe Payment Link.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from tools.shop import Shop, stripe_address
from tools.shop_pages import PAYMENT_LINK

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

PATIENCE_S: Final = 30
"""On a busy machine: a page may wait for the cold start of a function, and a checkout for that of three."""
EMAIL: Final = "mara.lindqvist@example.com"


def a_click(characters: int = 300) -> str:
    """A click reference as one looks in an address: of the form that was seen in public, with ``%3D`` for ``=``."""
    return f"gAAAAABo{secrets.token_hex(characters // 2)[: characters - 14]}%3D%3D"


class ChromiumShopper:
    """A person with a browser of their own, which `close` ends. `blocks_pixel`: as with an ad blocker."""

    def __init__(self, browser: Browser, shop: Shop, *, openai: str, blocks_pixel: bool = False) -> None:
        self.shop = shop
        self.context: BrowserContext = browser.new_context()
        self.context.route(f"{PAYMENT_LINK}**", self._stripe)
        if blocks_pixel:
            self.context.route(f"{openai}/**", lambda route: route.abort())
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)

    def close(self) -> None:
        """Close the browser, with all that it remembers."""
        self.context.close()

    def lands(self, click: str | None, path: str = "/", *, remembered: bool = True) -> None:
        """Come from an ad. `remembered`: wait until the relay knows of the click, as people take longer to read."""
        query = f"?utm_source=chatgpt&utm_medium=cpc&oppref={click}" if click else ""
        self.page.goto(f"{self.shop.url}{path}{query}")
        if remembered:
            self.waits_for("window.relayClick && relayClick.key()")

    def answers(self, choice: str) -> None:
        """Say "yes" or "no" to the question whether the shop may measure."""
        self.page.click(f"#{choice}")

    def waits_for(self, expression: str) -> None:
        """Wait until an expression holds in the page. TimeoutError when it does not come to that.

        Playwright's own waiting evaluates texts in the page, which the shop's Content-Security-Policy forbids.
        """
        give_up = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(expression):
            if time.monotonic() > give_up:
                raise TimeoutError(f"{self.page.url}: {expression} does not come to hold")
            time.sleep(0.02)

    def opens_a_tab(self) -> None:
        """Go on in a second tab; the first stays open."""
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)

    def buys(self) -> None:
        """From the landing page by a redirect to the product, the cart, the checkout, until the shop says thanks."""
        self.page.click("#shoe")
        self.page.click("#add")
        self.page.wait_for_url("**/cart")
        self.waits_for(
            "fetch('/cart.js').then((cart) => cart.json())"
            ".then((cart) => cart.attributes.relay_click || cart.attributes.relay_consent)"
        )
        self.page.click("#checkout")
        self.page.fill("[name=email]", EMAIL)
        self.page.click("#pay")
        self.page.wait_for_selector("#thanks")

    def pays_by_link(self) -> None:
        """On the page with the Payment Link: follow it, pay, come back."""
        self.page.click("#join")
        self.page.click("#pay")
        self.page.wait_for_selector("#thanks")

    def key(self) -> str | None:
        """What the page's script says."""
        found: str | None = self.page.evaluate("relayClick.key() || null")
        return found

    def cookies(self) -> dict[str, str]:
        """The pixel's cookies: the shop's own, of the cart, is none of them."""
        return {each["name"]: each["value"] for each in self.context.cookies() if each["name"] != "cart"}

    def agent(self) -> str:
        """The browser's own name."""
        found: str = self.page.evaluate("navigator.userAgent")
        return found

    def _stripe(self, route: Route) -> None:
        address = stripe_address(self.shop, route.request.url)
        request = urllib.request.Request(address, route.request.post_data_buffer or b"", method=route.request.method)
        if route.request.method == "GET":
            request.data = None
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            route.fulfill(status=answer.status, body=answer.read(), content_type=answer.headers["Content-Type"])


class ScriptedShopper:
    """Where there is no browser: asks and posts over HTTP what the two scripts would, so that the relay's side runs.

    It shows nothing of the scripts themselves.
    """

    def __init__(self, shop: Shop, *, openai: str, pixel_id: str, blocks_pixel: bool = False) -> None:
        self.shop = shop
        self._openai = None if blocks_pixel else openai
        self._pixel_id = pixel_id
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(CookieJar())
        )
        self._agent = (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
        )
        self._click: str | None = None
        self._browser: str | None = None
        self._key: str | None = None
        self._refused = False

    def close(self) -> None:
        """Nothing is left."""

    def lands(self, click: str | None, path: str = "/", *, remembered: bool = True) -> None:
        """Come from an ad, and have the relay remember it unless the shop asks first."""
        self._click = click
        self._get(path)
        if remembered:
            self._remember()

    def answers(self, choice: str) -> None:
        """Say "yes" or "no" to the question whether the shop may measure."""
        self._refused = choice == "no"
        if not self._refused:
            self._remember()

    def buys(self) -> None:
        """Product, cart with its attributes, checkout, thanks."""
        self._measure("page_viewed", None, {"type": "contents"})
        self._get("/products/trail-shoe")
        self._measure("contents_viewed", None, {"type": "contents", "contents": [{"id": "46110022331"}]})
        self._post("/cart/add.js", json.dumps({"id": 46110022331, "quantity": 1}).encode(), "application/json")
        attributes = {"relay_consent": "denied"} if self._refused else {"relay_click": self._key}
        self._post("/cart/update.js", json.dumps({"attributes": attributes}).encode(), "application/json")
        self._thanks(self._post("/checkout", urlencode({"email": EMAIL}).encode(), "application/x-www-form-urlencoded"))

    def pays_by_link(self) -> None:
        """Follow the link with the key that the script adds."""
        address = stripe_address(self.shop, f"{PAYMENT_LINK}?client_reference_id={quote(self._key or '')}")
        with self._opener.open(urllib.request.Request(address, b"", method="POST"), timeout=PATIENCE_S) as answer:
            thanks = urlsplit(_found(r'url=([^"]+)', answer.read().decode())[0])
        self._thanks(self._get(f"{thanks.path}?{thanks.query}"))

    def _thanks(self, page: str) -> None:
        data, event_id = _found(r'oaiq\("measure", "order_created", (\{.*?\}), \{event_id: (".*?")\}\);', page)
        self._measure("order_created", json.loads(event_id), json.loads(data))

    def _remember(self) -> None:
        self._browser = None if self._openai is None else f"ob_{secrets.token_hex(16)}"
        told = {"oppref": self._click, "obref": self._browser, "url": f"{self.shop.url}/", "consent": "granted"}
        body = json.dumps({name: value for name, value in told.items() if value}).encode()
        headers = {"Origin": self.shop.url, "Content-Type": "text/plain;charset=UTF-8", "User-Agent": self._agent}
        request = urllib.request.Request(self.shop.relay, body, headers)
        with self._opener.open(request, timeout=PATIENCE_S) as answer:
            self._key = json.load(answer)["key"]

    def _measure(self, event_type: str, event_id: str | None, data: dict[str, Any]) -> None:
        if self._openai is None or self._refused:
            return
        now = time.time_ns() // 1_000_000
        event = {"type": event_type, "id": event_id or secrets.token_hex(16), "timestamp_ms": now, "data": data}
        sent = {"events": [{**event, "source_url": self.shop.url}], "obref": self._browser, "oppref": self._click}
        sent["oppref"] = unquote(self._click or "")
        query = urlencode({"pid": self._pixel_id, "st": "oaiq-web", "sv": "0.0.0", "t": now, "ec": 1})
        body = json.dumps({name: value for name, value in sent.items() if value}).encode()
        request = urllib.request.Request(f"{self._openai}/v1/sdk/events?{query}", body, {"Content-Type": "text/plain"})
        self._opener.open(request, timeout=PATIENCE_S).close()

    def _get(self, path: str) -> str:
        with self._opener.open(f"{self.shop.url}{path}", timeout=PATIENCE_S) as answer:
            page: str = answer.read().decode()
            return page

    def _post(self, path: str, body: bytes, kind: str) -> str:
        request = urllib.request.Request(f"{self.shop.url}{path}", body, {"Content-Type": kind})
        with self._opener.open(request, timeout=PATIENCE_S) as answer:
            page: str = answer.read().decode()
            return page


def _found(pattern: str, page: str) -> tuple[str, ...]:
    found = re.search(pattern, page)
    if found is None:
        raise RuntimeError(f"the shop's page has changed: there is no {pattern} in it")
    return found.groups()
