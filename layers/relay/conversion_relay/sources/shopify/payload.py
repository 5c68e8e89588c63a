"""Shopify's payloads read into the parts of an event: channel, money, lines, buyer, device, cart attributes.

Prices, names and addresses are the order's originals, never the ``current_*`` fields, which move after edits and
refunds. Amount and currency are only ever taken together, from the same side (shop or presentment).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from conversion_relay import identity, money
from conversion_relay.payload import flag, identifier, integer, objects, text, value_at
from conversion_relay.settings import ActionSource, Settings
from conversion_relay.sources.envelope import first
from conversion_relay.sources.person import user_fields

# App ids of Shopify's own channels, for payloads that were trimmed of their source_name.
_CHANNEL_OF_APP: Final = {"580111": "web", "129785": "pos", "1354745": "shopify_draft_order"}
CHANNELS: Final = ("web", "pos", "iphone", "android", "shopify_draft_order")
"""Values of source_name that only Shopify itself can set."""
_ID: Final = re.compile(r"[1-9][0-9]{0,29}")
_TOKEN: Final = re.compile(r"[^\s@]{1,100}")
_PRICE: Final = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{0,18})?")
_MAX_DIGITS: Final = 18


def channel_of(body: Mapping[str, Any]) -> str:
    """The sales channel: ``source_name``, which for other apps is a name of theirs or their app id."""
    name = identifier(body, "source_name")
    if name is None:
        app = identifier(body, "app_id") or ""
        return _CHANNEL_OF_APP.get(app, app)
    return name


def action_source_of(body: Mapping[str, Any], channel: str, settings: Settings) -> ActionSource:
    match channel:
        case "web":
            return "web"
        case "pos":
            return "physical_store"
        case "iphone" | "android":
            return "physical_store" if identifier(body, "location_id") else settings.mobile_app_action_source
        case "shopify_draft_order":
            return settings.draft_order_action_source
    # A number is the app id of the creating channel; other clients choose a name, and carry their app id beside it.
    by_app = settings.app_action_sources
    return by_app.get(channel) or by_app.get(identifier(body, "app_id") or "") or "other"


def exact_id(node: object, kind: str, *, of: str = "") -> str | None:
    """An object's id as digits: the numeric one, or the GraphQL one where JavaScript may have rounded it (above 2^53).

    ``of`` names the object where it is not the node itself: ``customer`` reads ``customer_id``.
    """
    field = f"{of}_id" if of else "id"
    number, exact = (
        (identifier(node, each) or "").removeprefix(f"gid://shopify/{kind}/")
        for each in (field, f"admin_graphql_api_{field}")
    )
    if not _ID.fullmatch(exact) or (_ID.fullmatch(number) and int(number) <= 2**53):
        exact = number
    return exact if _ID.fullmatch(exact) else None


def token_of(node: object, field: str) -> str | None:
    """The token that names a checkout or cart. No e-mail address and no prose becomes part of a key."""
    token = identifier(node, field)
    return token if token is not None and _TOKEN.fullmatch(token) else None


# Money ---------------------------------------------------------------------------------------------------------------


def money_decimal(node: object, *path: str | int) -> Decimal | None:
    """A price as Decimal: Shopify writes order amounts as text and refund amounts as numbers."""
    value = value_at(node, *path)
    if isinstance(value, str):
        return Decimal(value.strip()) if _PRICE.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        return None
    # No price has more than 18 digits: what has would only make the arithmetic below overflow.
    number = Decimal(value)
    return number if number.is_finite() and number.adjusted() < _MAX_DIGITS else None


def priced(node: object, field: str, side: str, currency: str | None) -> tuple[Decimal | None, str | None]:
    """Amount and currency of one side of a price: they are only ever taken together, from the same side."""
    pair = value_at(node, f"{field}_set", f"{side}_money")
    if side == "shop" and currency is not None:
        amount = money_decimal(node, field)
        if amount is not None:
            return amount, currency
    return money_decimal(pair, "amount"), text(pair, "currency_code")


def amount_of(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """``amount`` and ``currency`` of the event, or neither. 0 (a 100 % discount) is an amount like any other."""
    shop_currency = text(body, "currency")
    for side in dict.fromkeys((settings.shopify_money, "shop")):
        value, currency = _basis(body, settings.value_basis, side, shop_currency)
        wire = wire_money(value, currency)
        if wire:
            return wire
    return {}


def _basis(
    body: Mapping[str, Any], basis: str, side: str, shop_currency: str | None
) -> tuple[Decimal | None, str | None]:
    if basis == "subtotal":
        return priced(body, "subtotal_price", side, shop_currency)
    total, currency = priced(body, "total_price", side, shop_currency)
    if basis == "total_price" or total is None:
        return total, currency
    tax, _ = priced(body, "total_tax", side, shop_currency)
    tip = money_decimal(body, "total_tip_received") or Decimal(0)
    if tip and side == "presentment" and currency != shop_currency:
        return None, None  # The tip is known in the shop's currency only: the caller takes the shop's side whole.
    shipping, shipping_tax = _shipping(body, side, shop_currency)
    if flag(body, "taxes_included"):
        shipping -= shipping_tax  # Already inside total_tax: taken off once.
    return max(total - (tax or Decimal(0)) - shipping - tip, Decimal(0)), currency


def _shipping(body: Mapping[str, Any], side: str, shop_currency: str | None) -> tuple[Decimal, Decimal]:
    """What the buyer paid for shipping after discounts, and the tax on it."""
    lines = [line for line in objects(body, "shipping_lines") if not flag(line, "is_removed")]
    if not lines:
        return priced(body, "total_shipping_price", side, shop_currency)[0] or Decimal(0), Decimal(0)
    paid = tax = Decimal(0)
    for line in lines:
        paid += priced(line, "price", side, shop_currency)[0] or Decimal(0)
        for discount in objects(line, "discount_allocations"):
            paid -= priced(discount, "amount", side, shop_currency)[0] or Decimal(0)
        for tax_line in objects(line, "tax_lines"):
            tax += priced(tax_line, "price", side, shop_currency)[0] or Decimal(0)
    return paid, tax


def wire_money(amount: Decimal | None, currency: str | None) -> dict[str, Any]:
    code = money.currency_code(currency)
    if amount is None or code is None:
        return {}
    minor = money.minor_units(amount, code)
    return {} if minor is None else {"amount": minor, "currency": code}


def contents_of(body: Mapping[str, Any], settings: Settings, currency: str | None) -> list[dict[str, Any]]:
    """The lines as the API's items: ``amount`` is the unit price before discounts."""
    side = settings.shopify_money if currency != money.currency_code(text(body, "currency")) else "shop"
    return [item_of(line, settings, side, text(body, "currency")) for line in objects(body, "line_items")]


def item_of(line: Mapping[str, Any], settings: Settings, side: str, shop_currency: str | None) -> dict[str, Any]:
    quantity = integer(line, "quantity")
    item = {
        # Custom lines have neither variant nor product nor sku: then there is no id, never the text "None".
        "id": identifier(line, settings.content_id),
        "name": text(line, "name") or text(line, "title"),
        "quantity": quantity if quantity is not None and 0 <= quantity < 10**9 else None,
    }
    price, currency = priced(line, "price", side, shop_currency)
    return {key: value for key, value in item.items() if value is not None} | wire_money(price, currency)


# Who and whence ------------------------------------------------------------------------------------------------------


def buyer_of(body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Whose order it is. Shipping details are left out: they may be the receiver's of a gift."""
    customer = value_at(body, "customer")
    billing = value_at(body, "billing_address")
    address = billing if isinstance(billing, dict) and billing else value_at(customer, "default_address")
    return person(
        emails=(value_at(body, "email"), value_at(body, "contact_email"), value_at(customer, "email")),
        phones=(
            (value_at(body, "phone"), None),
            (value_at(customer, "phone"), None),
            (value_at(billing, "phone"), text(billing, "country_code")),
        ),
        customer_id=exact_id(customer, "Customer"),
        names=(customer, billing),
        address=address,
        settings=settings,
    )


def person(
    *,
    emails: Sequence[object],
    phones: Sequence[tuple[object, str | None]],
    customer_id: str | None,
    names: Sequence[object],
    address: object,
    settings: Settings,
) -> dict[str, Any]:
    """The user fields about a person, each from its first usable value; ``phones`` come with their country."""
    return user_fields(
        settings=settings,
        emails=emails,
        phones=phones,
        external_ids=(customer_id,),
        first_names=[value_at(name, "first_name") for name in names],
        last_names=[value_at(name, "last_name") for name in names],
        city=value_at(address, "city"),
        region=value_at(address, "province_code"),
        postal_code=value_at(address, "zip"),
        country=value_at(address, "country_code"),
    )


def device_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """Address and agent of the buyer's device, which only an order with ``client_details`` has (A7)."""
    details = value_at(body, "client_details")
    if not isinstance(details, dict) or not any(details.values()):
        return {}
    found = {
        "ip_address": first(identity.ip_address(value_at(node, "browser_ip")) for node in (details, body)),
        "user_agent": identity.user_agent(value_at(details, "user_agent")),
    }
    return {field: value for field, value in found.items() if value is not None}


def country_of(body: Mapping[str, Any]) -> str | None:
    """The country of the purchase: where the bill goes, else the goods, else where the customer is at home."""
    places = (
        value_at(body, "billing_address"),
        value_at(body, "shipping_address"),
        value_at(body, "customer", "default_address"),
        value_at(body, "default_address"),
    )
    return first(identity.country(value_at(place, "country_code")) for place in places)


def attribute(body: Mapping[str, Any], name: str) -> object:
    """The value of a cart attribute as it is, also where it is no text; of several the first."""
    return next((each.get("value") for each in objects(body, "note_attributes") if each.get("name") == name), None)


def attributes_of(body: Mapping[str, Any]) -> dict[str, str]:
    """The filled cart attributes, byte for byte; of several with one name the first."""
    found: dict[str, str] = {}
    for attribute in objects(body, "note_attributes"):
        name, value = attribute.get("name"), attribute.get("value")
        if isinstance(name, str) and isinstance(value, str) and value.strip():
            found.setdefault(name, value)
    return found
