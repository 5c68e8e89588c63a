"""The pages of the shop in ``tools/shop.py``: plain HTML, with the pixel and relay-click.js in the head of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from string import Template
from typing import Any, Final

PAYMENT_LINK: Final = "https://buy.stripe.com/test_northwind"

# The stub and the order of what follows are as the pixel's documentation has them: consent before init.
_HEAD: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<script nonce="$nonce">
window.Shopify = {shop: "northwind-trail.myshopify.com"};
window.oaiq = window.oaiq || function () { (window.oaiq.q = window.oaiq.q || []).push(arguments); };
const choice = localStorage.getItem("cookie-choice");
if ($asks && choice !== "yes") oaiq("consent", false);
oaiq("init", {pixelId: $pixel});
</script>
<script nonce="$nonce" async src="$openai/sdk/oaiq.min.js"></script>
<script nonce="$nonce" src="$relay/relay-click.js" data-endpoint="$relay/" data-consent="$mode"></script>
</head>
<body>
<h1>$title</h1>
""")
_BANNER: Final = Template("""\
<p id="banner" hidden>May we measure what our ads bring? <button id="yes">Yes</button> <button id="no">No</button></p>
<script nonce="$nonce">
const banner = document.getElementById("banner");
function tell(answer) {
  localStorage.setItem("cookie-choice", answer);
  banner.hidden = true;
  oaiq("consent", answer === "yes");
  window.relayClick && relayClick.consent(answer === "yes");
}
for (const answer of ["yes", "no"]) document.getElementById(answer).onclick = () => tell(answer);
if (choice) tell(choice); else banner.hidden = false;
</script>
""")


@dataclass(frozen=True, slots=True)
class Head:
    """What every page loads: the pixel from `openai` and relay-click.js from `relay`, addresses without a last slash.

    `asks`: whether nothing may be measured before the shopper has said yes.
    """

    pixel_id: str
    openai: str
    relay: str
    asks: bool
    nonce: str

    @property
    def policy(self) -> str:
        """The Content-Security-Policy that the shop needs, and no more."""
        relay = "/".join(self.relay.split("/")[:3])
        return (
            f"default-src 'self'; script-src 'nonce-{self.nonce}'; connect-src 'self' {self.openai} {relay}; "
            f"img-src 'self' {self.openai}"
        )


def page(head: Head, title: str, body: str, script: str = "") -> bytes:
    """A page of the shop, with a script of its own at the end."""
    values = {
        "title": escape(title),
        "nonce": head.nonce,
        "pixel": json.dumps(head.pixel_id),
        "openai": head.openai,
        "relay": head.relay,
        "asks": json.dumps(head.asks),
        "mode": "manual" if head.asks else "none",
    }
    banner = _BANNER.substitute(values) if head.asks else ""
    end = f'<script nonce="{head.nonce}">{script}</script>' if script else ""
    return f"{_HEAD.substitute(values)}{body}\n{banner}{end}\n</body>\n</html>\n".encode()


def landing(head: Head) -> bytes:
    """Where an ad leads: links to the product, some by a redirect, and to the plans."""
    return page(
        head,
        "Northwind Trail",
        '<a id="shoe" href="/go?to=/products/trail-shoe">Trail Shoe 42</a> <a id="plans" href="/plans">Club</a>',
        'oaiq("measure", "page_viewed", {type: "contents"});',
    )


def product(head: Head) -> bytes:
    """The product, and a button that puts it into the cart."""
    return page(
        head,
        "Trail Shoe 42",
        '<button id="add">Add to cart</button>',
        """
oaiq("measure", "contents_viewed", {type: "contents", contents: [{id: "46110022331", name: "Trail Shoe 42"}]});
document.getElementById("add").onclick = async () => {
  await fetch("/cart/add.js", {method: "POST", body: JSON.stringify({id: 46110022331, quantity: 1})});
  location.href = "/cart";
};
""",
    )


def cart(head: Head, quantity: int) -> bytes:
    """The cart, and the way to the checkout."""
    return page(head, "Cart", f'<p>Pairs: {quantity}</p><a id="checkout" href="/checkout">Check out</a>')


def checkout(head: Head) -> bytes:
    """The checkout: one field and a button."""
    return page(
        head,
        "Checkout",
        '<form method="post" action="/checkout"><input name="email" type="email" required>'
        '<button id="pay">Pay now</button></form>',
    )


def bought(head: Head, title: str, event_id: str, data: Mapping[str, Any]) -> bytes:
    """Order status, or thanks after a payment: the pixel counts the order under the id that the relay will use."""
    measured = f'oaiq("measure", "order_created", {json.dumps(data)}, {{event_id: {json.dumps(event_id)}}});'
    return page(head, title, '<p id="thanks">Thank you.</p>', measured.replace("</", "<\\/"))


def plans(head: Head, link: str) -> bytes:
    """A Stripe Payment Link. One of a domain of its own is decorated by the page."""
    decorated = """
const join = document.getElementById("join");
relayClick.ready(() => { join.href = relayClick.decorate(join.href); });
"""
    is_stripes = link.startswith(PAYMENT_LINK)
    return page(head, "Club", f'<a id="join" href="{escape(link)}">Join the club</a>', "" if is_stripes else decorated)


def payment(link: str, query: str) -> bytes:
    """What stands in for Stripe's page: its form keeps the link's query."""
    return (
        '<!doctype html><title>Stripe</title><form method="post" '
        f'action="{escape(link)}?{escape(query)}"><button id="pay">Pay</button></form>'
    ).encode()


def leads_to(url: str) -> bytes:
    """A page that leads on by itself."""
    return f'<!doctype html><title>Stripe</title><meta http-equiv="refresh" content="0;url={escape(url)}">'.encode()
