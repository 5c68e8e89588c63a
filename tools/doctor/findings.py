"""What can be wrong with a page: every finding by its name, why it matters, and what to do.

Source of the rules: the Measurement pixel and Image tag pages of OpenAI's documentation, and the relay's own rule for
the ids of events (docs/decisions.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tools.doctor.page import Place

Severity = Literal["error", "warning"]

SDK: Final = "https://bzrcdn.openai.com/sdk/oaiq.min.js"
"""The one address of the pixel's script."""


class Kind(NamedTuple):
    severity: Severity
    title: str
    why: str
    fix: str


KINDS: Final[dict[str, Kind]] = {
    # The pixel itself
    "pixel_missing": Kind(
        "error",
        "The page has no pixel",
        "A click is only remembered on the page where it lands: without the pixel there, oppref is lost.",
        "Put the base pixel near the top of the head of every page, not only of the thank-you page.",
    ),
    "pixel_in_body": Kind(
        "warning",
        "The pixel is in the body",
        "It loads late there: visitors who leave soon, or are sent on, are never seen.",
        "Move the base pixel into the head, near its top.",
    ),
    "pixel_twice": Kind(
        "error",
        "The pixel's script is loaded twice",
        "Two copies count one visit twice, and one may miss the consent that the other was told.",
        "Keep one, in the head: look into the theme, the tag manager and the platform's own OpenAI app.",
    ),
    "script_address": Kind(
        "error",
        "The pixel comes from another address",
        "Other addresses are old, invented or copies, which do not get OpenAI's updates.",
        f"Load {SDK}, exactly so.",
    ),
    "init_missing": Kind(
        "error",
        "The pixel is loaded, but never set up",
        "Without init the pixel knows no Pixel ID and sends nothing.",
        'Call oaiq("init", {pixelId: "…"}) right after the pixel, in the head.',
    ),
    "init_without_pixel_id": Kind(
        "error",
        "init has no pixelId",
        "Events without a Pixel ID belong to nobody.",
        'Write oaiq("init", {pixelId: "…"}): an object, and this spelling.',
    ),
    "pixel_id_wrong": Kind(
        "error",
        "The Pixel ID is not the right one",
        "Events go to another pixel, and pixel and relay are no longer one conversion.",
        "Use the Pixel ID of Ads Manager > Conversions, the same as the relay's; not a source id (cds_…) or a key.",
    ),
    "init_twice": Kind(
        "error",
        "One pixel is set up twice",
        "What it measures by itself is counted twice.",
        "Keep one init for each pixel. A later one is only for adding `user`.",
    ),
    "init_late": Kind(
        "error",
        "An event is measured before init",
        "The pixel does not know yet for whom, so the event may be lost.",
        "Call init first, in the head; measure after it.",
    ),
    "script_broken": Kind(
        "error",
        "The pixel's script is no valid JavaScript",
        "The browser runs nothing of a script with a syntax error in it.",
        "Correct the syntax at this place; often a quote, comma or bracket is missing.",
    ),
    "pixel_error": Kind(
        "error",
        "The pixel has an error in the browser",
        "What comes after an error does not run: events are lost.",
        "Open the page with the browser's console and correct what it says.",
    ),
    "server_api_in_page": Kind(
        "error",
        "The page calls the server's API",
        "It needs the Conversions key, which every visitor can read then; and the browser is not allowed to call it.",
        "Measure with oaiq in the page, and leave bzr.openai.com/v1/events to the relay. Replace a key that was shown.",
    ),
    # Events
    "event_unknown": Kind(
        "error",
        "There is no such event",
        "OpenAI knows 13 names, all in lower case; any other is refused.",
        "Use the name that is meant, or `custom` with custom_event_name.",
    ),
    "event_id_missing": Kind(
        "error",
        "The event has no event_id",
        "The relay reports the same conversion. Only the same id tells OpenAI that the two are one.",
        'Give it as fourth argument: {event_id: "shopify:<order id>"}, or the id that the relay gets.',
    ),
    "event_id_form": Kind(
        "error",
        "The event_id is not the relay's",
        "With different ids on both sides one conversion is counted twice.",
        "Use shopify:<order id in digits>, stripe:cs_… or stripe:sub_…, or a token that the relay gets as well.",
    ),
    "event_id_changes": Kind(
        "error",
        "The event_id is made anew on each load",
        "Each reload of the page counts once more, and never is it the id that the relay sends.",
        "Use what names the order, subscription or lead for good: shopify:<order id>, stripe:cs_…, stripe:sub_….",
    ),
    "amount_form": Kind(
        "error",
        "The amount is not in minor units",
        "Amounts are integers in the currency's smallest unit: 14900 is 149.00 dollars. Others are refused or wrong.",
        "Write an integer: 14900 for USD 149.00, 14900 for JPY 14,900.",
    ),
    "currency": Kind(
        "error",
        "The amount has no usable currency",
        "An amount without an ISO 4217 currency is refused, and the event with it.",
        'Add the currency beside the amount: currency: "USD".',
    ),
    "data_type": Kind(
        "error",
        "data.type does not fit the event",
        "OpenAI reads the data by its type; without the right one it refuses the event.",
        "Set data.type to the one that this event has.",
    ),
    "data_field": Kind(
        "error",
        "The data has a field that does not exist",
        "Unknown fields are refused; `value` and `order_id` are other platforms' names.",
        "Use amount, currency, contents or plan_id; the order's id belongs into event_id.",
    ),
    "personal_data_in_event": Kind(
        "error",
        "Personal data goes to the pixel as it is",
        "OpenAI takes e-mail, phone, names and ids as SHA-256 only. What is sent raw is a breach.",
        "Send email_sha256, phone_number_sha256 …, made on your server; or leave it out, the relay sends hashes.",
    ),
    # Consent
    "consent_late": Kind(
        "error",
        "Consent is withheld after init",
        "The pixel has begun by then: its cookies are set and its first events are out.",
        'Call oaiq("consent", false) before init, and oaiq("consent", true) when the visitor agrees.',
    ),
    "events_before_consent": Kind(
        "error",
        "The pixel does not wait for the consent manager",
        "The page asks for consent, and the pixel runs without the answer.",
        'Call oaiq("consent", false) before init, and true when the manager says so; or let the manager load it.',
    ),
    # Content-Security-Policy
    "csp_script": Kind(
        "error",
        "The Content-Security-Policy blocks the pixel's script",
        "The browser does not load it.",
        "Add https://bzrcdn.openai.com to script-src.",
    ),
    "csp_inline": Kind(
        "error",
        "The Content-Security-Policy blocks the inline script",
        "The browser does not run the pixel's inline code.",
        "Give the script the policy's nonce, or put its hash into script-src. Not 'unsafe-inline' only for this.",
    ),
    "csp_connect": Kind(
        "error",
        "The Content-Security-Policy blocks the pixel's events",
        "The script loads, but what it measures never leaves the browser.",
        "Add https://bzr.openai.com and https://bzrcdn.openai.com to connect-src.",
    ),
    "csp_config": Kind(
        "warning",
        "The Content-Security-Policy blocks the pixel's settings",
        "The pixel reads its settings from there, such as what it may look for by itself.",
        "Add https://bzrcdn.openai.com to connect-src, beside https://bzr.openai.com.",
    ),
    "csp_image": Kind(
        "error",
        "The Content-Security-Policy blocks the image tag",
        "The browser does not fetch it, so the event is not counted.",
        "Add https://bzr.openai.com to img-src.",
    ),
    "csp_relay_click": Kind(
        "error",
        "The Content-Security-Policy blocks relay-click.js",
        "The click is not remembered for the webhook.",
        "Add the origin of relay-click.js (output ClickUrl of the stack) to script-src and connect-src.",
    ),
    # The click
    "click_cookies": Kind(
        "error",
        "A click leaves no cookies",
        "After a click with oppref the pixel keeps __oppref and __obref. Without them no sale is matched to the click.",
        "Let oppref reach the page: no redirect or script may take it off the address before the pixel has run.",
    ),
    "relay_click_missing": Kind(
        "warning",
        "The page has no relay-click.js",
        "Webhooks carry no cookies: without it the order's event has no click reference, address or agent.",
        "Add the script tag that `relay snippet` prints. If you hand the references over yourself: --no-relay-click.",
    ),
    "relay_click_failed": Kind(
        "error",
        "relay-click.js keeps no key",
        "The click is not remembered, so the order's webhook cannot be matched to it.",
        "See the answer of the click address; the page's origin has to be in the parameter ClickOrigins.",
    ),
    # The image tag
    "image_tag": Kind(
        "error",
        "The image tag is not as documented",
        "It needs pid, event and data[type], each once; with an unknown or repeated parameter it is refused.",
        "Write it as `relay snippet` does.",
    ),
    "order_id_in_image": Kind(
        "error",
        "The image tag carries an order or customer id",
        "OpenAI forbids that: addresses end up in logs and histories.",
        "Use an opaque token as event_id, and hand the same token to the relay (openai_event_id).",
    ),
    # Addresses
    "personal_data_in_url": Kind(
        "error",
        "An address carries personal data",
        "Addresses end up in histories, logs, referrers and with every tag on the page.",
        "Send it by POST, or put an opaque token in its place.",
    ),
    "order_id_in_url": Kind(
        "warning",
        "An address carries an order id",
        "Whoever sees the address, such as other tags, can tell the order, and often open it.",
        "Use an opaque token in the address.",
    ),
    "utm_source": Kind(
        "warning",
        "utm_source spells chatgpt otherwise",
        "Reports split one channel into several. chatgpt.com is what ChatGPT adds to its unpaid links.",
        "Write utm_source=chatgpt in all ads.",
    ),
    "utm_medium": Kind(
        "warning",
        "utm_medium is neither cpc nor cpm",
        "Analytics do not count the visits as paid.",
        "Write utm_medium=cpc (or cpm) beside utm_source=chatgpt.",
    ),
    "reserved_parameter": Kind(
        "warning",
        "A reserved parameter name is used",
        "oppref, olref, obref and names that begin with oai are OpenAI's: a value of your own is taken for a click.",
        "Rename the parameter.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``where``: an element or address without personal data; ``said``: what was found."""

    code: str
    said: str
    where: str = ""
    place: Place | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.code]

    @property
    def severity(self) -> Severity:
        return self.kind.severity

    @property
    def location(self) -> str:
        """Line and column, else the element or address."""
        if self.place is None:
            return self.where
        where = f"line {self.place.line}, column {self.place.column}"
        return f"{where}: {self.where}" if self.where else where
