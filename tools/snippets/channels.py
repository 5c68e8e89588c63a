"""Which channel reports which event, and why: the pixel, the relay, or both with one id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Channel = Literal["pixel", "both", "relay"]


@dataclass(frozen=True, slots=True)
class Row:
    """One of the 13 events. ``shared_id`` is the id of both channels, where there is one."""

    event: str
    channel: Channel
    shared_id: str
    why: str


TABLE: Final = (
    Row("page_viewed", "pixel", "", "no webhook tells of it; without the pixel on every page oppref is never caught"),
    Row("contents_viewed", "pixel", "", "no webhook tells of it"),
    Row(
        "items_added",
        "pixel",
        "none",
        "the relay's id holds the cart's state, which no page can know: with CountCarts on, leave the pixel's out",
    ),
    Row(
        "checkout_started",
        "both",
        "shopify:<checkout token>",
        "neither knows more than the other at that moment; whichever is not blocked counts",
    ),
    Row(
        "order_created",
        "relay",
        "shopify:<order id>, stripe:<cs_ id>",
        "the webhook has hashed e-mail and phone, the amount as paid, and comes for paid orders only; a thin pixel "
        "event that is there first would take its place",
    ),
    Row(
        "subscription_created",
        "relay",
        "stripe:<sub_ id>",
        "whether something was paid is known to the webhook alone, after a trial weeks later; Shopify's contract id is "
        "on no page",
    ),
    Row("trial_started", "relay", "stripe:<sub_ id>", "as subscription_created"),
    Row(
        "lead_created",
        "both",
        "a token of the page",
        "forms do not always reach the relay. Where they do (a form platform, a CRM), leave it to the relay; calls are "
        "the relay's alone",
    ),
    Row(
        "registration_completed",
        "relay",
        "shopify:<customer id>",
        "the webhook has the hashed contact; elsewhere both, with a token of the page",
    ),
    Row("appointment_scheduled", "both", "a token of the page", "as lead_created; Calendly tells the relay"),
    Row("app_installed", "relay", "", "the pixel cannot send it (Conversions API only, action_source mobile_app)"),
    Row("app_opened", "relay", "", "as app_installed"),
    Row("custom", "both", "a token of the page", "the custom name takes the type's place: the same name on both sides"),
)  # fmt: skip


def markdown() -> Iterator[str]:
    """The table as docs/pairing.md has it, line by line."""
    yield "| event | channel | id that both share | why |"
    yield "|---|---|---|---|"
    for row in TABLE:
        shared = ", ".join(f"`{each}`" if "<" in each else each for each in row.shared_id.split(", ") if each)
        yield f"| `{row.event}` | {row.channel} | {shared} | {row.why} |"
