"""From a verified Stripe event to a conversion: what the metadata say, who bought, and the event's envelope."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from conversion_relay import click, click_memory, identity, money, timestamps
from conversion_relay.delivery import Conversion, Ignored, NotUnderstood, Recall
from conversion_relay.payload import integer, string, text, value_at
from conversion_relay.settings import Settings
from conversion_relay.sources import consent, envelope
from conversion_relay.sources.envelope import without_none
from conversion_relay.sources.person import user_fields

NAME: Final = "stripe"
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,100}")
_OPPREF_PARTS: Final = 9

HOLD_S: Final = 600
"""How long a conversion waits for the session that belongs to it. Stripe sends all deliveries of a purchase within
seconds; minutes cover its first retry and a queue on its side. SQS hides a message for at most 900 s.
"""

Context = Mapping[str, Any]
"""Who bought and whence: ``user``, ``oppref``, ``obref``, ``event_id`` and ``source_url``, absent where unknown; and
what was said of ``consent``, ``opt_out`` and the ``country`` of the purchase. Holds nothing that an event would not
hold, so it may be remembered.

What the click memory knows is part of it from the delivery on that carries the key: the key is then not needed again,
also where the first payment comes after a trial that is longer than a click is remembered.
"""


@dataclass(frozen=True, slots=True)
class Received:
    """A verified snapshot event with all that a type's function may look at. ``about`` is its ``data.object``."""

    type: str
    about: Mapping[str, Any]
    before: Mapping[str, Any]
    created_ms: int | None
    account: str | None
    settings: Settings
    now_ms: int
    recall: Recall

    def subject(self, object_id: str) -> str:
        """``stripe:<id>``, or ``stripe:<account>:<id>`` for a connected account."""
        return ":".join((NAME, self.account, object_id)) if self.account else f"{NAME}:{object_id}"

    def fresh(self, timestamp_ms: int | None) -> int | None:
        """The time (Unix milliseconds), if OpenAI would still take an event of it."""
        return envelope.fresh(timestamp_ms, self.now_ms)

    def time(self, *path: str | int) -> int | None:
        """A time of the object in Unix milliseconds."""
        return timestamps.from_unix(value_at(self.about, *path))


def id_of(node: object, *path: str | int) -> str | None:
    """An object's id; where the object itself was expanded, its ``id``."""
    value = value_at(node, *path)
    found = string(value, "id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and _ID.fullmatch(found) else None


def own_id(received: Received) -> str:
    """The id of what the event is about.

    Raises:
        NotUnderstood: it has none.
    """
    found = id_of(received.about, "id")
    if found is None:
        raise NotUnderstood("id_missing", "the event's object has no id")
    return found


def amount_of(node: object, field: str) -> dict[str, Any]:
    """``amount`` and ``currency`` of the event, or neither; never those of ``presentment_details``."""
    code, amount = money.currency_code(value_at(node, "currency")), integer(node, field)
    minor = None if code is None or amount is None else money.from_stripe(amount, code)
    return {} if minor is None else {"amount": minor, "currency": code}


def context_of(
    received: Received,
    metadata: object,
    *,
    emails: tuple[object, ...] = (),
    phone: object = None,
    address: object = None,
    shipping: object = None,
    reference: object = None,
    customer: str | None = None,
    pages: tuple[object, ...] = (),
) -> Context:
    """What an object says of buyer and click. ``pages`` are addresses of the shop, of which only the origin is used.

    ``reference`` is the buyer's id at the shop, or a key of the click memory; of the address to ship to, ``shipping``,
    only the country is used, where no other is known.
    """
    settings = received.settings
    recalled = click_memory.recalled(received.recall, (reference, value_at(metadata, click_memory.FIELD)))
    origin = settings.site_origin or envelope.origin_of(
        envelope.first(click.source_url(each, origin=None) for each in pages if isinstance(each, str))
    )
    user = user_fields(
        settings=settings,
        emails=emails,
        phones=((phone, text(address, "country")),),
        external_ids=(reference, value_at(metadata, "external_id"), value_at(metadata, "user_id"), customer),
        city=value_at(address, "city"),
        region=value_at(address, "state"),
        postal_code=value_at(address, "postal_code"),
        country=value_at(address, "country"),
    )
    return without_none(
        {
            "user": {**recalled.device("web"), **user} or None,
            "oppref": _oppref(metadata) or recalled.oppref,
            "obref": click.reference(value_at(metadata, "obref")) or recalled.obref,
            "event_id": envelope.first(
                envelope.usable_pixel_id(string(metadata, key)) for key in ("openai_event_id", "event_id")
            ),
            "source_url": click.source_url(string(metadata, "source_url"), origin=recalled.source_url or origin),
            "consent": consent.said(value_at(metadata, consent.CONSENT)) or recalled.consent,
            "opt_out": consent.opted_out(value_at(metadata, consent.OPT_OUT)) or None,
            "country": identity.country(text(shipping, "country")) if "countries" not in user else None,
        }
    )


def _oppref(metadata: object) -> str | None:
    """The click reference; Stripe cuts values at 500 characters, so a longer one goes on in ``oppref_2``, ``_3`` …"""
    parts = [string(metadata, "oppref")]
    while parts[-1] and len(parts) < _OPPREF_PARTS:
        parts.append(string(metadata, f"oppref_{len(parts) + 1}"))
    return click.reference("".join(part for part in parts if part))


def merged(first: Context, second: Context) -> Context:
    """Two contexts of one purchase: what the first knows wins."""
    user = {**second.get("user", {}), **first.get("user", {})}
    together = {
        "user": user or None,
        "consent": consent.both(first.get("consent"), second.get("consent")),
        "opt_out": first.get("opt_out") or second.get("opt_out"),
    }
    return {**second, **first, **without_none(together)}


def conversion(
    received: Received,
    event_type: str,
    *,
    object_id: str,
    timestamp_ms: int,
    context: Context,
    data: Mapping[str, Any],
    action_source: str = "web",
    hold_s: int = 0,
) -> Conversion | Ignored:
    """Build the conversion; ``hold_s``: how long it waits for a delivery that knows more.

    Raises:
        NotUnderstood: a web event for which no page and no origin is known.
    """
    told = consent.Consent(context.get("consent"), context.get("opt_out", False), context.get("country"))
    user: Mapping[str, Any] = context.get("user", {})
    forbidden = consent.forbids(
        told, action_source=action_source, country=next(iter(user.get("countries", ())), None),
        settings=received.settings,
    )  # fmt: skip
    if forbidden is not None:
        return forbidden
    if action_source not in click_memory.DEVICE_SOURCES:
        user = {name: value for name, value in user.items() if name not in ("ip_address", "user_agent")}
    source_url = context.get("source_url")
    if action_source == "web" and source_url is None:
        raise NotUnderstood(
            "source_url_missing",
            "a web event needs a source_url: set the parameter SiteOrigin to your site, such as "
            "https://www.example.com, or metadata source_url",
        )
    built = envelope.conversion(
        event_type,
        subject=received.subject(object_id),
        timestamp_ms=timestamp_ms,
        action_source=action_source,
        source_url=source_url,
        user=user,
        data=data,
        oppref=context.get("oppref"),
        obref=context.get("obref"),
        pixel_id=context.get("event_id"),
        consent=told,
        settings=received.settings,
    )
    # It must not grow too old while it is held and waits for the next run of the sender.
    is_urgent = received.fresh(timestamp_ms - 2 * hold_s * 1000) is None
    return replace(built, hold_s=0 if is_urgent else hold_s) if isinstance(built, Conversion) else built


def stale(what: str) -> Ignored:
    """What is too old (or too far ahead) to be sent."""
    return Ignored("stale_event", f"{what} lies outside the 7 days that the API accepts")
