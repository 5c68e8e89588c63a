"""From a verified Shopify delivery to a conversion: the event's envelope, the same for every topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from conversion_relay import click, click_memory, timestamps
from conversion_relay.click_memory import Recalled
from conversion_relay.delivery import Delivery, Memory, Recall, Result
from conversion_relay.payload import string, text
from conversion_relay.settings import Settings
from conversion_relay.sources import envelope
from conversion_relay.sources.consent import CONSENT, OPT_OUT, Consent, opted_out, said
from conversion_relay.sources.shopify.payload import attribute, attributes_of, country_of
from conversion_relay.sources.shopify.signature import header, tenant

NAME: Final = "shopify"
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Received:
    """A verified delivery with all that a topic's function may look at."""

    delivery: Delivery
    body: Mapping[str, Any]
    settings: Settings
    now_ms: int
    recall: Recall

    @property
    def triggered_ms(self) -> int | None:
        """When the merchant's or buyer's action happened (RFC 3339 with nanoseconds, the same on every retry)."""
        return timestamps.from_iso(header(self.delivery, "triggered-at"))

    @property
    def topic(self) -> str:
        """The webhook topic, such as ``orders/paid``."""
        return (header(self.delivery, "topic") or "").strip().lower()

    def retimed(self, original_ms: int | None) -> int | None:
        """The moment of this delivery, for a fact whose own time (Unix milliseconds) is too old to be sent.

        Only while the ledger would still know it: what it has forgotten may have been counted long ago (property P2).
        """
        if original_ms is not None and self.now_ms - original_ms > self.settings.ledger_ttl_days * _DAY_MS:
            return None
        return self.fresh(self.triggered_ms)

    def fresh(self, timestamp_ms: int | None) -> int | None:
        """The time (Unix milliseconds), if OpenAI would still take an event of it."""
        return envelope.fresh(timestamp_ms, self.now_ms)


def conversion(
    received: Received,
    event_type: str,
    *,
    subject: str,
    timestamp_ms: int,
    action_source: str,
    user: Mapping[str, Any],
    data: Mapping[str, Any],
    oppref: str | None = None,
    remember: Memory | None = None,
    match_key_required: bool = False,
    opt_out: bool = False,
) -> Result:
    """Build the event, with the click data of the payload, and hold it against the settings for match keys.

    What the payload does not say of the click, the click memory does, if a cart attribute or the landing page has its
    key. Every delivery about an order has the same attributes, so it does not matter which comes first.
    """
    body, settings = received.body, received.settings
    attributes = attributes_of(body)
    landing = string(body, "landing_site")
    keys = (attributes.get(click_memory.FIELD), click_memory.key_in_url(landing))
    recalled = click_memory.recalled(received.recall, keys)
    oppref = click.reference(attributes.get("__oppref")) or click.oppref_from_url(landing) or oppref
    return envelope.conversion(
        event_type,
        subject=f"{NAME}:{subject}",
        timestamp_ms=timestamp_ms,
        action_source=action_source,
        source_url=_source_url(received, attributes, recalled),
        user=user,
        data=data,
        oppref=oppref,
        obref=click.reference(attributes.get("__obref")),
        pixel_id=attributes.get("__openai_event_id") or attributes.get("openai_event_id"),
        settings=settings,
        remember=remember,
        match_key_required=match_key_required,
        consent=Consent(
            said(attribute(body, CONSENT)), opt_out or opted_out(attribute(body, OPT_OUT)), country_of(body)
        ),
        recalled=recalled,
    )


def _source_url(received: Received, attributes: Mapping[str, str], recalled: Recalled) -> str | None:
    """Where the buyer was, as origin and path: the page's own word, else the landing path, else the page that the click
    memory knows, else the storefront.
    """
    body = received.body
    origin = received.settings.storefront_origin or envelope.first(
        click.source_url(text(body, field), origin=None) for field in ("order_status_url", "abandoned_checkout_url")
    )
    shop = tenant(received.delivery)
    origin = envelope.origin_of(origin) or (f"https://{shop}" if shop else None)
    landing = click.source_url(text(body, "landing_site") or recalled.source_url, origin=origin)
    return click.source_url(attributes.get("__openai_source_url"), origin=landing)
