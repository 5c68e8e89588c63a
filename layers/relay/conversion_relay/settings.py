"""The environment of a function as one frozen object. Every field is a template parameter of the same words.

A value that is not allowed raises at once, with the variable, what it may be, and so does a missing one: the
template refuses both at deploy time, so this only speaks up where somebody edits a function by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

DeliveryMode = Literal["live", "validate", "shadow"]
ActionSource = Literal["web", "mobile_app", "offline", "physical_store", "phone_call", "email", "other"]

OPENAI_ENDPOINT: Final = "https://bzr.openai.com/v1/events"
STRIPE_ENDPOINT: Final = "https://api.stripe.com"


class BadSetting(ValueError):
    """A setting that is missing or not allowed; the text names the variable and what it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this deployment turns deliveries into events, and where its parts are."""

    # where things are
    ledger_table: str = ""
    queue_url: str = ""
    dead_letter_queue_url: str = ""
    parking_bucket: str = ""
    signing_secrets_path: str = ""
    public_origin: str = ""
    openai_key_parameter: str = ""
    openai_endpoint: str = OPENAI_ENDPOINT
    pixel_id: str = ""

    # how events are delivered
    delivery_mode: DeliveryMode = "live"
    ledger_ttl_days: int = 90

    # which deliveries count, and as what
    require_match_key: Literal["calls_and_carts", "all", "none"] = "calls_and_carts"
    require_click_reference: bool = False
    default_phone_region: str = ""

    # consent, and the click memory
    consent_required_in: frozenset[str] = frozenset()
    click_origins: tuple[str, ...] = ()

    # calls
    min_call_seconds: int = 30
    first_time_only: bool = True
    count_voicemail: bool = False
    call_currency: str = "USD"
    ctm_sale_event: Literal["lead", "order"] = "lead"

    # Shopify
    shopify_event_source: str = ""
    storefront_origin: str = ""
    shop_domains: frozenset[str] = frozenset()
    shopify_money: Literal["shop", "presentment"] = "shop"
    value_basis: Literal["total_price", "subtotal", "net_of_tax_shipping_tip"] = "total_price"
    content_id: Literal["variant_id", "product_id", "sku"] = "variant_id"
    count_pending_orders: bool = False
    min_order_amount: Decimal | None = None
    late_payment: Literal["payment_moment", "ignore"] = "payment_moment"
    draft_order_action_source: ActionSource = "offline"
    mobile_app_action_source: ActionSource = "mobile_app"
    app_action_sources: Mapping[str, ActionSource] = field(default_factory=dict)
    count_carts: bool = False
    count_newsletter: bool = False
    count_subscription_contracts: bool = True

    # Stripe
    stripe_event_source: str = ""
    site_origin: str = ""
    stripe_accounts: frozenset[str] = frozenset()
    stripe_test_mode: Literal["ignore", "count"] = "ignore"
    stripe_manual_invoices: bool = False
    convert_on: Literal["invoice", "status"] = "invoice"
    stripe_fetch_thin_events: bool = False
    stripe_api_endpoint: str = STRIPE_ENDPOINT
    stripe_api_key_parameter: str = ""
    fetch_queue_url: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *required: str) -> Settings:
        """Read the settings from variables named like the fields, in capitals. An empty one means the default.

        Raises:
            BadSetting: when one of ``required`` is missing or any value is not allowed.
        """
        hints = get_type_hints(cls)
        given: dict[str, Any] = {
            each.name: _read(each.name.upper(), hints[each.name], environment[each.name.upper()].strip())
            for each in fields(cls)
            if environment.get(each.name.upper(), "").strip()
        }
        for name in required:
            if name not in given:
                raise BadSetting(f"{name.upper()} is missing: the template sets it for this function.")
        return replace(cls(), **given)


def _read(variable: str, kind: Any, value: str) -> object:
    if variable in _RULES and not _RULES[variable][0].fullmatch(value):
        raise BadSetting(f"{variable} must be {_RULES[variable][1]}.")
    if kind is bool:
        if value not in ("yes", "no"):
            raise BadSetting(f"{variable} must be yes or no.")
        return value == "yes"
    if kind is int:
        return int(value)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise BadSetting(f"{variable} must be one of {', '.join(get_args(kind))}.")
        return value
    if variable == "MIN_ORDER_AMOUNT":
        return Decimal(value)
    if variable == "SHOP_DOMAINS":
        return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
    if variable == "APP_ACTION_SOURCES":
        return dict(_app_action_source(part) for part in value.split(",") if part.strip())
    if variable == "CONSENT_REQUIRED_IN":
        return frozenset(value.split(","))
    if variable == "CLICK_ORIGINS":
        return tuple(dict.fromkeys(part.rstrip("/").lower() for part in value.split(",") if part))
    if variable == "STRIPE_ACCOUNTS":
        return frozenset(value.split(","))
    if variable in ("STOREFRONT_ORIGIN", "SITE_ORIGIN", "PUBLIC_ORIGIN"):
        return value.rstrip("/")
    return value


_ORIGIN: Final = (
    re.compile(r"https?://[^/?#\s@]+/?"),
    "an origin such as https://www.example.com, without a path",
)
_RULES: Final = {
    "LEDGER_TTL_DAYS": (
        re.compile(r"[89]|[1-9]\d|[123]\d\d"),
        "a number of days from 8 to 399: the ledger must outlive the 7 days in which OpenAI takes events",
    ),
    "DEFAULT_PHONE_REGION": (re.compile(r"[A-Z]{2}"), "a country code of two capitals, such as US"),
    "STOREFRONT_ORIGIN": _ORIGIN,
    "SITE_ORIGIN": _ORIGIN,
    "PUBLIC_ORIGIN": _ORIGIN,
    "CONSENT_REQUIRED_IN": (
        re.compile(r"all|[A-Z]{2}(,[A-Z]{2})*"),
        "all, or a comma list of country codes of two capitals such as DE,FR, without blanks",
    ),
    "CLICK_ORIGINS": (
        re.compile(r"https?://[^/?#\s@,]+/?(,https?://[^/?#\s@,]+/?)*"),
        "a comma list of origins such as https://www.example.com,https://shop.example.com, without blanks",
    ),
    "MIN_CALL_SECONDS": (re.compile(r"\d{1,4}"), "a number of seconds from 0 to 9999"),
    "CALL_CURRENCY": (re.compile(r"[A-Z]{3}"), "a currency code of three capitals, such as USD"),
    "SHOPIFY_EVENT_SOURCE": (
        re.compile(r"aws\.partner/shopify\.com(/[A-Za-z0-9._-]+)+"),
        "a partner event source such as aws.partner/shopify.com/1234567/relay",
    ),
    "STRIPE_EVENT_SOURCE": (
        re.compile(r"aws\.partner/stripe\.com(/[A-Za-z0-9._-]+)+"),
        "a partner event source such as aws.partner/stripe.com/ed_61PgtRTG5aTCIz98516PLsRG",
    ),
    "STRIPE_ACCOUNTS": (
        re.compile(r"acct_[A-Za-z0-9]+(,acct_[A-Za-z0-9]+)*"),
        "a comma list of account ids such as acct_1Qw2Er3Ty4,acct_5Ui6Op7As8, without blanks",
    ),
    "OPENAI_ENDPOINT": (
        re.compile(r"https://\S+|http://127\.0\.0\.1(:\d+)?/\S*"),
        "an https address, or one on 127.0.0.1",
    ),
    "STRIPE_API_ENDPOINT": (
        re.compile(r"https://[^/?#\s@]+|http://127\.0\.0\.1(:\d+)?"),
        "an https origin without a path, or one on 127.0.0.1",
    ),
    "MIN_ORDER_AMOUNT": (re.compile(r"\d{1,12}(\.\d{1,4})?"), "an amount such as 5 or 5.00"),
}


def _app_action_source(entry: str) -> tuple[str, ActionSource]:
    app, _, action_source = (part.strip() for part in entry.partition("="))
    for known in get_args(ActionSource):
        if app and action_source == known:
            return app, known
    raise BadSetting(
        "APP_ACTION_SOURCES must be a list such as 2653365=web,129785=physical_store; "
        f"action sources are {', '.join(get_args(ActionSource))}."
    )
