"""Carts: what was put in, told from what was there before. Off by default."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Ignored, Memory, NotUnderstood, Remember, Result
from conversion_relay.payload import identifier, integer, objects, value_at
from conversion_relay.sources.shopify.event import NAME, Received, conversion
from conversion_relay.sources.shopify.payload import item_of, priced, wire_money

CART_MEMORY_DAYS: Final = 30
MAX_QUANTITY: Final = 1_000_000
MAX_STATE_LENGTH: Final = 80
"""A cart's state is part of the event's id, which stays under 200 characters."""


def cart(received: Received) -> Result:
    """``carts/create`` and ``/update``: ``items_added`` for what this delivery has more of than the last one.

    The cart's state is remembered with the same write, so that a lower quantity, an older delivery that comes late, or
    the same state again is never an add.
    """
    body, settings = received.body, received.settings
    if not settings.count_carts:
        return Ignored("carts_off", "CountCarts is off: a cart carries nothing by which it could be matched")
    token = identifier(body, "token") or identifier(body, "id")
    if token is None:
        raise NotUnderstood("id_missing", "the cart has no token")
    updated = timestamps.from_iso(value_at(body, "updated_at")) or received.triggered_ms
    timestamp_ms = received.fresh(updated)
    if timestamp_ms is None:
        return Ignored("stale_event", "the cart is older than the 7 days that the API accepts")

    lines: dict[str, dict[str, Any]] = {}
    in_cart: dict[str, int] = {}
    for line in objects(body, "line_items"):
        variant = identifier(line, "variant_id") or identifier(line, "id")
        if variant is not None:
            lines.setdefault(variant, line)
            in_cart[variant] = in_cart.get(variant, 0) + min(max(integer(line, "quantity") or 0, 0), MAX_QUANTITY)
    memory_key = f"cart#{NAME}:{token}"
    version = f"{timestamp_ms:015d}"
    known = received.recall(f"memory#{memory_key}") or {}
    if known and str(known.get("version", "")) >= version:
        return Ignored("cart_out_of_date", "this state of the cart, or a newer one, is known already")
    before: Mapping[str, int] = known.get("quantities", {})
    added = {variant: count - before.get(variant, 0) for variant, count in in_cart.items()}
    added = {variant: count for variant, count in added.items() if count > 0}
    memory = Memory(
        key=memory_key,
        facts={"quantities": in_cart},
        version=version,
        ttl_days=CART_MEMORY_DAYS,
        replaces=str(known["version"]) if known else None,
    )
    if not added:
        return Remember(memory, "nothing_added", "the cart holds no more than before")

    side = settings.shopify_money
    items: list[dict[str, Any]] = []
    total, currency = Decimal(0), None
    for variant, count in added.items():
        # A cart has no currency of its own: it stands only inside the sets.
        price, currency = priced(lines[variant], "price", side, None)
        total += (price or Decimal(0)) * count
        items.append(item_of(lines[variant], settings, side, None) | {"quantity": count})
    state = "+".join(f"{variant}:{in_cart[variant]}" for variant in sorted(added))
    if len(state) > MAX_STATE_LENGTH:
        state = hashlib.sha256(state.encode()).hexdigest()
    return conversion(
        received,
        "items_added",
        subject=f"{token}:{state}",
        timestamp_ms=timestamp_ms,
        action_source="web",
        user={},
        data={**wire_money(total, currency), "contents": items},
        remember=memory,
        match_key_required=True,
    )
