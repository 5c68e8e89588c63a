"""``relay backfill shopify``: the orders of the last days, as the shop's Admin API has them.

An order of the REST Admin API has the shape of its webhook. It is taken as the webhook that would have come: as
``orders/paid`` once it is paid, else as ``orders/create``. Only orders: a checkout, a cart or a registration that was
missed is not fetched. The access token comes from SHOPIFY_ADMIN_TOKEN or the keyboard; its scope is ``read_orders``.

Sources: Shopify, "REST Admin API: Order" (status, updated_at_min, limit: at most 250), "Transaction" (what was paid
when), "Paginated requests" (Link header), "API rate limits" (429, Retry-After).
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery
from conversion_relay.event import age_problem
from conversion_relay.settings import Settings
from tools import moments
from tools.backfill.api import Api
from tools.backfill.found import Found
from tools.dry_run import CannotRun

NOUN: Final = "order"
HELP: Final = "orders, from the shop's Admin API"
TOKEN_VARIABLE: Final = "SHOPIFY_ADMIN_TOKEN"
TOKEN_NAME: Final = "Admin API access token"
API_VERSION: Final = "2026-07"
PAGE: Final = 250
_SHOP: Final = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")
_PAID: Final = ("paid", "partially_refunded")
"""Of these ``orders/paid`` has been sent, or would have been."""
_PAYS: Final = ("authorization", "sale", "capture")
"""Kinds of transactions from which on an order counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose orders."""
    parser.add_argument("--shop", metavar="DOMAIN", help="example.myshopify.com (default: the one in ShopDomains)")


def find(
    options: argparse.Namespace, settings: Settings, token: Callable[[], str], step: Callable[[], None]
) -> list[Found]:
    """Every order that was changed in that time; ``step`` is called for each.

    Raises:
        CannotRun: there is no such shop, it refuses the token, or it does not answer.
    """
    shop = _shop(options, settings)
    with Api("Shopify", options.api or f"https://{shop}", {"X-Shopify-Access-Token": token()}) as api:
        since = datetime.fromtimestamp(moments.now_ms() // 1000 - options.days * 86_400, UTC).isoformat()
        found: dict[str, Found] = {}
        for number, order in enumerate(_orders(api, since)):
            one = _found(api, shop, order, number)
            # An order that changes meanwhile may be on two pages: the later one is newer.
            found[one.id if order.get("id") else f"without an id {number}"] = one
            step()
    return list(found.values())


def _shop(options: argparse.Namespace, settings: Settings) -> str:
    shops = [each for each in sorted(settings.shop_domains) if _SHOP.fullmatch(each)]
    shop = (options.shop or "").strip().lower() or (shops[0] if len(shops) == 1 else "")
    if not _SHOP.fullmatch(shop):
        raise CannotRun("name the shop by its own domain: --shop example.myshopify.com")
    if settings.shop_domains and shop not in settings.shop_domains:
        raise CannotRun(f"{shop} is not in ShopDomains: its sales belong to another pixel")
    return shop


def _orders(api: Api, since: str) -> Iterator[dict[str, Any]]:
    asked = [("status", "any"), ("updated_at_min", since), ("order", "updated_at asc")]
    while True:
        page, links = api.get(f"/admin/api/{API_VERSION}/orders.json", [("limit", str(PAGE)), *asked])
        orders = page.get("orders")
        if not isinstance(orders, list) or not all(isinstance(each, dict) for each in orders):
            raise CannotRun("Shopify's answer is no list of orders: compare --shop and --api")
        yield from orders
        cursor = parse_qs(urlsplit(links.get("next", {}).get("url", "")).query).get("page_info")
        if not cursor:
            return
        asked = [("page_info", cursor[0])]  # it stands for the filters too, and Shopify refuses both together


def _found(api: Api, shop: str, order: Mapping[str, Any], number: int) -> Found:
    paid = order.get("financial_status") in _PAID
    topic = "orders/paid" if paid else "orders/create"
    headers = {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": shop,
        "x-shopify-api-version": API_VERSION,
    }
    placed_ms = timestamps.from_iso(order.get("processed_at")) or timestamps.from_iso(order.get("created_at")) or 0
    if paid and age_problem(placed_ms, moments.now_ms()) == "too_old":
        # An order that is paid late counts when it is paid (LatePayment), which its webhook says in this header.
        # Without it, it is too old: that it was changed lately, by shipping it say, makes no sale.
        paid_at = _paid_at(api, order)
        headers |= {"x-shopify-triggered-at": paid_at} if paid_at else {}
    body = json.dumps(order, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    delivery = Delivery("POST", "/shopify", "", headers, body)
    return Found(str(order.get("id")), topic, placed_ms, number, delivery)


def _paid_at(api: Api, order: Mapping[str, Any]) -> str | None:
    """When an order first counted as paid, as Shopify writes it; a later payment, of an edited order, is no sale."""
    if not isinstance(order.get("id"), int):
        return None
    held, _ = api.get(f"/admin/api/{API_VERSION}/orders/{order['id']}/transactions.json", [])
    paid = [
        str(each.get("processed_at"))
        for each in held.get("transactions") or []
        if each.get("kind") in _PAYS and each.get("status") == "success"
    ]
    return min(paid, key=lambda each: timestamps.from_iso(each) or 0, default=None)
