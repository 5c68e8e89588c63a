"""Carts: what was put in, told from what was there before. Off by default."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Ignored, Memory, NotUnderstood, Remember, Result
from conversion_relay.payload import integer, objects, value_at
from conversion_relay.sources.shopify.event import NAME, Received, conversion
from conversion_relay.sources.shopify.payload import item_of, priced, token_of, wire_money

CART_MEMORY_DAYS: Final = 30
MAX_QUANTITY: Final = 1_000_000
MAX_STATE_LENGTH: Final = 80
"""A cart's state is part of the event's id, which stays under 200 characters."""


def cart(received: Received) -> Result:
    """``carts/create`` and ``/update``: ``items_added`` for what this delivery has more of than the last one.

    All that a new cart holds was added. An update is an add only against a state that is remembered, with the same
    write: a lower quantity, an older delivery that comes late, or the same state again never is.
    """
    body, settings = received.body, received.settings
    if not settings.count_carts:
        return Ignored("carts_off", "CountCarts is off: a cart carries nothing by which it could be matched")
    token = token_of(body, "token") or token_of(body, "id")
    if token is None:
        raise NotUnderstood("id_missing", "the cart has no token")
    created = timestamps.from_iso(value_at(body, "created_at"))
    changed = timestamps.from_iso(value_at(body, "updated_at")) or received.triggered_ms or created
    # A cart may live for weeks: what is added to an old one counts when it is added.
    timestamp_ms = received.fresh(created) or received.fresh(changed)
    if timestamp_ms is None or changed is None:
        return Ignored("stale_event", "the cart lies outside the 7 days that the API accepts")

    lines: dict[str, dict[str, Any]] = {}
    in_cart: dict[str, int] = {}
    for line in objects(body, "line_items"):
        variant = token_of(line, "variant_id") or token_of(line, "id")
        if variant is not None:
            lines.setdefault(variant, line)
            in_cart[variant] = in_cart.get(variant, 0) + min(max(integer(line, "quantity") or 0, 0), MAX_QUANTITY)
    known = received.recall(f"memory#cart#{NAME}:{token}") or {}
    held: Mapping[str, int] = known.get("quantities", {})
    version, known_version = f"{changed:015d}", str(known.get("version", ""))
    is_old = version < known_version or (version == known_version and in_cart == held)
    memory = Memory(
        key=f"cart#{NAME}:{token}",
        facts={"quantities": in_cart},
        version=version,
        ttl_days=CART_MEMORY_DAYS,
        replaces=known_version or None,
    )
    is_new_cart = received.topic == "carts/create"
    added = {variant: count - (0 if is_new_cart else held.get(variant, 0)) for variant, count in in_cart.items()}
    added = {variant: count for variant, count in added.items() if count > 0}
    if is_old and not (is_new_cart and added):
        return Ignored("cart_out_of_date", "this state of the cart, or a newer one, is known already")
    if not known and not is_new_cart:
        return Remember(memory, "cart_state_unknown", "what the cart held before is unknown: nothing counts as added")
    if not added:
        return Remember(memory, "nothing_added", "the cart holds no more than before")

    side = settings.shopify_money
    # A cart has no currency of its own: it stands only inside the sets.
    prices = {variant: priced(lines[variant], "price", side, None) for variant in added}
    items = [item_of(lines[variant], settings, side, None) | {"quantity": count} for variant, count in added.items()]
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
        data={**_total(added, prices), "contents": items},
        remember=None if is_old else memory,
        match_key_required=True,
    )


def _total(added: Mapping[str, int], prices: Mapping[str, tuple[Decimal | None, str | None]]) -> dict[str, Any]:
    """What was added is worth: nothing is said where a price is missing or the currencies differ."""
    currencies = {currency for _, currency in prices.values()}
    amounts = [price * added[variant] for variant, (price, _) in prices.items() if price is not None]
    if len(currencies) != 1 or len(amounts) != len(added):
        return {}
    return wire_money(sum(amounts, Decimal(0)), currencies.pop())
