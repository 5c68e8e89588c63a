"""``relay backfill stripe``: the events of the last days, as Stripe's API keeps them for 30.

An event from ``GET /v1/events`` is exactly what its webhook would have been, so all that is asked for goes the way of
a webhook: in the order in which it happened, with what is remembered between them. The key comes from STRIPE_API_KEY or
the keyboard; a restricted key that may read Events is enough.

Sources: Stripe, "List all events" (types: at most 20; limit: at most 100; newest first), "Rate limits".
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any, Final

from conversion_relay.delivery import Delivery
from conversion_relay.settings import Settings
from conversion_relay.sources import stripe
from tools import moments
from tools.backfill.api import Api
from tools.backfill.found import Found
from tools.dry_run import CannotRun

NOUN: Final = "event"
HELP: Final = "events, as Stripe's API keeps them for 30 days"
TOKEN_VARIABLE: Final = "STRIPE_API_KEY"
TOKEN_NAME: Final = "key of Stripe's API"
API: Final = "https://api.stripe.com"
PAGE: Final = 100
THIN_ONLY: Final = frozenset({"customer.subscription.trialing", "customer.subscription.active"})
"""Types that exist as thin events only: the API of snapshot events does not know them."""
TYPES: Final = tuple(each for each in stripe.TYPES if each not in THIN_ONLY)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose events."""
    parser.add_argument(
        "--account", metavar="ACCT", help="a connected account, acct_…; it must be in StripeAccounts to count"
    )


def find(
    options: argparse.Namespace, settings: Settings, token: Callable[[], str], step: Callable[[], None]
) -> list[Found]:
    """Every event of the types that the relay reads; ``step`` is called for each.

    Raises:
        CannotRun: Stripe refuses the key, or does not answer.
    """
    if options.account and options.account not in settings.stripe_accounts:
        raise CannotRun(f"{options.account} is not in StripeAccounts: its sales belong to another pixel")
    headers = {"Authorization": f"Bearer {token()}", **({"Stripe-Account": options.account} if options.account else {})}
    since_s = moments.now_ms() // 1000 - options.days * 86_400
    asked = [("limit", str(PAGE)), ("created[gte]", str(since_s)), *(("types[]", each) for each in TYPES)]
    events: list[dict[str, Any]] = []
    with Api("Stripe", options.api or API, headers) as api:
        cursor: list[tuple[str, str]] = []
        while True:
            page, _ = api.get("/v1/events", [*asked, *cursor])
            held = page.get("data")
            if not isinstance(held, list) or not all(map(_is_event, held)):
                raise CannotRun("Stripe's answer is no list of events: compare --api")
            for each in held:
                events.append(each)
                step()
            if not held or not page.get("has_more"):
                break
            cursor = [("starting_after", str(held[-1]["id"]))]
    return [_found(event, -number, options.account) for number, event in enumerate(events)]


def _is_event(held: Any) -> bool:
    return isinstance(held, dict) and isinstance(held.get("id"), str) and isinstance(held.get("created"), int)


def _found(event: dict[str, Any], number: int, account: str | None) -> Found:
    # Asked for as the account itself, an event need not say whose it is; sent to a platform's endpoint it does.
    owned = {**event, "account": account} if account and not event.get("account") else event
    body = json.dumps(owned, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    delivery = Delivery("POST", "/stripe", "", {"content-type": "application/json"}, body)
    return Found(str(event.get("id")), str(event.get("type")), int(event.get("created") or 0) * 1000, number, delivery)
