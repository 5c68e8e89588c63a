"""An event of an EventBridge partner event source as a delivery: the same webhook, handed over by AWS.

::

    shopify   detail-type shopifyWebhook   detail.payload = the body, detail.metadata = the X-Shopify-… headers
    stripe    detail-type = the event's    detail = the whole event; there are no headers

There is no signature to check: the JSON has been written anew on the way. The trust is in the bus instead. Only the
partner can put events of its source on the partner's bus (AWS refuses every ``aws.…`` source in PutEvents), only the
stack's rule may start the function by it, and only for exactly the source that the settings name.

Sources: Shopify, "Amazon EventBridge webhook delivery"; Stripe, "Send events to Amazon EventBridge"; Amazon
EventBridge, "Receiving events from a SaaS partner".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.delivery import Delivery

if TYPE_CHECKING:
    from conversion_relay.settings import Settings

SOURCE_HEADER: Final = "eventbridge-source"
"""A header that the delivery gets, so that a parked one tells which way it came: its signature would fit no more."""


GIVEN_UP: Final = "aws/lambda/async/"
"""Where in the parking bucket Lambda itself writes what it has given up; AWS chose the name."""


class NotTaken(Exception):
    """Neither ledger nor parking bucket took the event. Raised out of the function so that Lambda runs it again."""


def is_envelope(event: Mapping[str, Any]) -> bool:
    """Whether EventBridge wrote this event, and not a Function URL.

    The top level of a Function URL's event is Lambda's alone and always has a ``requestContext``; whatever has one is
    a request, and its signature is checked. A caller can write into the body only, and that stays a text.
    """
    return "requestContext" not in event and "detail-type" in event and "source" in event


def source_of(envelope: Mapping[str, Any], settings: Settings) -> str | None:
    """The name of the source whose partner event source this is of, by the settings; None for every other."""
    for name, expected in {"shopify": settings.shopify_event_source, "stripe": settings.stripe_event_source}.items():
        if expected and envelope["source"] == expected:
            return name
    return None


def delivery_in(envelope: Mapping[str, Any], source: str) -> Delivery:
    """The webhook in an envelope. An envelope of unknown shape becomes a delivery that nobody understands: parked."""
    headers, payload = _OPENED[source](envelope.get("detail"))
    return Delivery(
        method="POST",
        path=f"/{source}",
        query="",
        headers={**headers, SOURCE_HEADER: str(envelope["source"])},
        body=json.dumps(payload).encode(),
    )


def delivery_given_up(record: bytes) -> Delivery:
    """The webhook in Lambda's record of an event that it gave up; of a record that holds none, the record itself.

    Whoever may invoke the function can leave a record of any shape, and that must not stop a reader of the bucket.
    """
    try:
        held = json.loads(record)
    except ValueError:
        held = None
    envelope = held.get("requestPayload") if isinstance(held, dict) else None
    if isinstance(envelope, dict) and is_envelope(envelope):
        for source, partner in _PARTNERS.items():
            if str(envelope["source"]).startswith(partner):
                return delivery_in(envelope, source)
    return Delivery("POST", "/", "", {}, record)


def _shopify(detail: Any) -> tuple[Mapping[str, str], Any]:
    if not isinstance(detail, dict) or not isinstance(metadata := detail.get("metadata"), dict):
        return {}, detail
    # Spelled otherwise than over HTTPS (X-Shopify-Hmac-SHA256); header names are in lower case everywhere in here.
    headers = {name.lower(): str(value) for name, value in metadata.items() if value is not None}
    return headers, detail.get("payload")


def _stripe(detail: Any) -> tuple[Mapping[str, str], Any]:
    return {}, detail


_PARTNERS: Final = {"shopify": "aws.partner/shopify.com/", "stripe": "aws.partner/stripe.com/"}
_OPENED: Final[Mapping[str, Callable[[Any], tuple[Mapping[str, str], Any]]]] = {"shopify": _shopify, "stripe": _stripe}
