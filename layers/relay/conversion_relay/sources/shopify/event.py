"""From a verified Shopify delivery to a conversion: the event's envelope, the same for every topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from conversion_relay import click, event, identity, timestamps
from conversion_relay.delivery import Conversion, Delivery, Ignored, Memory, Recall, Result
from conversion_relay.payload import text, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources.shopify.payload import attributes_of, first
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
        if timestamp_ms is None or event.age_problem(timestamp_ms, self.now_ms) is not None:
            return None
        return timestamp_ms


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
) -> Result:
    """Build the event, with the click data of the payload, and hold it against the settings for match keys."""
    body, settings = received.body, received.settings
    attributes = attributes_of(body)
    oppref = (
        click.reference(attributes.get("__oppref")) or click.oppref_from_url(string(body, "landing_site")) or oppref
    )
    obref = click.reference(attributes.get("__obref"))
    subject = f"{NAME}:{subject}"
    built = event.parse(
        without_none(
            {
                "id": _pixel_id(attributes) or subject,
                "type": event_type,
                "timestamp_ms": timestamp_ms,
                "action_source": action_source,
                "source_url": _source_url(received, attributes) if action_source == "web" else None,
                "oppref": oppref,
                "user": {**user, "obref": obref} if obref else {**user} or None,
                "data": {"type": event.DATA_TYPE[event_type], **{k: v for k, v in data.items() if v != []}},
            }
        )
    )
    if settings.require_click_reference and oppref is None:
        return Ignored("no_click_ref", "the delivery carries no oppref (RequireClickReference)")
    match_key_required = settings.require_match_key == "all" or (
        match_key_required and settings.require_match_key != "none"
    )
    if match_key_required and not event.has_match_key(built.user, built.oppref):
        return Ignored(
            "no_match_key",
            "neither click reference nor e-mail, phone or customer id: OpenAI could not match the event",
        )
    return Conversion(built, subject, remember)


def _pixel_id(attributes: Mapping[str, str]) -> str | None:
    """The event id that the pixel uses for the same conversion, unless it is long, an e-mail address, or none at all.

    Scripts write "undefined" when they have no id: OpenAI would count one of all the orders that share it.
    """
    given = attributes.get("__openai_event_id") or attributes.get("openai_event_id")
    pixel_id = identity.normalized_external_id(given)
    return pixel_id if pixel_id and len(pixel_id) <= event.MAX_ID_LENGTH and "@" not in pixel_id else None


def _source_url(received: Received, attributes: Mapping[str, str]) -> str | None:
    """Where the buyer was, as origin and path: the page's own word, else the landing path, else the storefront."""
    body = received.body
    origin = received.settings.storefront_origin or first(
        click.source_url(text(body, field), origin=None) for field in ("order_status_url", "abandoned_checkout_url")
    )
    shop = tenant(received.delivery)
    origin = _origin(origin) or (f"https://{shop}" if shop else None)
    landing = click.source_url(text(body, "landing_site"), origin=origin)
    return click.source_url(attributes.get("__openai_source_url"), origin=landing)


def _origin(url: str | None) -> str | None:
    return "/".join(url.split("/", 3)[:3]) if url else None


def string(node: object, *path: str | int) -> str | None:
    value = value_at(node, *path)
    return value if isinstance(value, str) else None


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
