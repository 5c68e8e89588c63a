"""Real platforms in simulated worlds: what the samples in ``events/`` tell, through the real sources and their checks.

What has to come of a story is worked out beforehand, by its deliveries in their natural order with nothing going wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tests.simulation.timeline import START_MS
from tests.simulation.webhooks import SECRET, Story, Told
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.samples import ORIGIN, STYLES, sample
from tools.samples.style import Writing
from tools.sources import SOURCES

SETTINGS: Final = Settings(
    storefront_origin="https://northwind-trail.example", site_origin="https://app.example-saas.test"
)
HOLD_S: Final = 530
"""What is told within this, is told before the hold of its conversion ends, less the margin for amending."""
KINDS: Final = frozenset({"recorded", "duplicate", "ignored", "remembered"})
_PERSONAL: Final = frozenset({"email", "phone", "contact_email", "receipt_email", "address1", "last_name"})


@dataclass(frozen=True, slots=True)
class Template:
    """A story as samples tell it. ``ids`` in them are made others for each story.

    ``any_order``: in whatever order its deliveries come, the same events go out.
    """

    source: str
    samples: Sequence[str]
    ids: Sequence[str]
    any_order: bool = False


TEMPLATES: Final = (
    Template("shopify", ("orders/create", "orders/paid", "orders/updated"), ("6184203920001",)),
    Template("shopify", ("orders/create.pos",), ("6184203920002",)),
    Template("shopify", ("orders/paid.draft",), ("6184203920003",)),
    Template("shopify", ("orders/create.multi_currency",), ("6184203920005",)),
    Template("shopify", ("checkouts/create", "checkouts/update"), ("0c1d2e3f405162738495a6b7c8d9eaf0",)),
    Template("shopify", ("customers/create", "customers/enable"), ("7412369860001",)),
    Template("shopify", ("refunds/create", "orders/cancelled"), ()),
    Template(
        "stripe",
        (
            "checkout.session.completed.subscription",
            "customer.subscription.created.incomplete",
            "invoice.paid",
            "invoice.payment_succeeded",
        ),
        ("sub_1SNPlan",),
        any_order=True,
    ),
    Template(
        "stripe",
        ("checkout.session.completed.trial", "customer.subscription.created", "invoice.paid.trial_begins"),
        ("sub_1SNTrial", "pix_trial_1"),
        any_order=True,
    ),
    Template(
        "stripe",
        ("checkout.session.completed", "payment_intent.succeeded"),
        ("cs_live_once", "pix_once_1"),
        any_order=True,
    ),
    Template("stripe", ("invoice.paid.renewal", "charge.refunded"), ("sub_1SNPlan",)),
    Template("callrail", ("pre_call", "post_call"), ("CAL0000000000000000000000000000d001",)),
    Template("ctm", ("start", "end"), ("2310070015",)),
    Template("whatconverts", ("phone_call",), ("610028",)),
    Template("twilio", ("ringing", "completed"), ("CA00000000000000000000000000000049",)),
)


@cache
def _text(source: str, name: str) -> str:
    return json.dumps(sample(f"{source}/{name}").payload)


@cache
def _personal(source: str, name: str) -> frozenset[str]:
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update(
                text for key, text in value.items() if key in _PERSONAL and isinstance(text, str) and len(text) > 5
            )
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(json.loads(_text(source, name)))
    return frozenset(found)


def _renamed(text: str, template: Template, number: int) -> str:
    for each in template.ids:
        text = text.replace(each, f"{each[:-4]}{number:04}")
    return text


def _writes(template: Template, name: str, number: int) -> Callable[[int], Delivery]:
    style, topic = STYLES[template.source], sample(f"{template.source}/{name}").topic
    payload: Mapping[str, Any] = json.loads(_renamed(_text(template.source, name), template, number))
    address = f"{ORIGIN}/{template.source}"

    def written(now_ms: int) -> Delivery:
        delivery = style.written(
            Writing(topic, payload, SECRET, datetime.fromtimestamp(now_ms / 1000, UTC), None, address)
        )
        # Their ids of deliveries are drawn at random; a history is the same each time.
        headers = {
            header: f"{name}-{number}" if header.endswith(("webhook-id", "event-id")) else value
            for header, value in delivery.headers.items()
        }
        return replace(delivery, headers=headers)

    return written


@cache
def _expected(template: Template) -> Mapping[str, str]:
    """The events that the deliveries of a story lead to, by ledger key, for the story with the number 0."""
    ledger = InMemoryLedger()
    for number, name in enumerate(template.samples):
        source, delivery = SOURCES[template.source], _writes(template, name, 0)(START_MS + number)
        parking, clock = InMemoryParking(), partial(int, START_MS + number)
        Receiver(source, KnownSecrets([SECRET]), ledger, parking, SETTINGS, clock).receive(delivery)
    return {
        key: json.dumps(event, ensure_ascii=False, separators=(",", ":")) for key, event in ledger.conversions.items()
    }


def expected(template: Template, number: int) -> dict[str, str]:
    """The events that a story leads to, by ledger key."""
    numbered = Template(template.source, (), [f"{each[:-4]}0000" for each in template.ids])
    return {
        _renamed(key, numbered, number): _renamed(event, numbered, number) for key, event in _expected(template).items()
    }


def story(template: Template, number: int) -> Story:
    """One story, as told by its platform. ``number`` is below 10,000 and makes it another than the others."""
    told = [
        Told(
            SOURCES[template.source],
            f"{name} {number}",
            _writes(template, name, number),
            KINDS,
            tuple(sorted(_personal(template.source, name))),
        )
        for name in template.samples
    ]
    events = expected(template, number)

    def keys(heard: Sequence[Told]) -> Collection[str]:
        return tuple(events) if all(each.accepted for each in heard) else ()

    return Story(told, keys, events=events if template.any_order else {}, hold_s=HOLD_S)
