"""The environment of a function as settings: every variable, its default, and what is refused."""

from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from conversion_relay.settings import BadSetting, Settings


def test_an_empty_environment_means_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"PATH": "/bin", "ledger_table": "x"}) == Settings()


def test_defaults_of_the_policy() -> None:
    settings = Settings()

    assert (settings.delivery_mode, settings.ledger_ttl_days) == ("live", 90)
    assert settings.openai_endpoint == "https://bzr.openai.com/v1/events"
    assert (settings.require_match_key, settings.default_phone_region) == ("calls_and_carts", "")
    assert (settings.shopify_money, settings.value_basis) == ("shop", "total_price")
    assert (settings.draft_order_action_source, settings.late_payment) == ("offline", "payment_moment")
    assert (settings.count_pending_orders, settings.count_carts, settings.count_newsletter) == (False, False, False)
    assert settings.count_subscription_contracts
    assert (settings.min_call_seconds, settings.first_time_only, settings.count_voicemail) == (30, True, False)
    assert (settings.call_currency, settings.ctm_sale_event) == ("USD", "lead")


@pytest.mark.parametrize("each", fields(Settings), ids=lambda each: each.name)
def test_an_empty_or_blank_variable_means_the_default(each: Any) -> None:
    for value in ("", " ", "\n"):
        assert Settings.from_environment({each.name.upper(): value}) == Settings()


READ = [
    ("LEDGER_TABLE", " relay-ledger ", "relay-ledger"),
    ("QUEUE_URL", "https://sqs/q", "https://sqs/q"),
    ("PIXEL_ID", "Qm7TzV4kRw2LpX9sNdB3Yh", "Qm7TzV4kRw2LpX9sNdB3Yh"),
    ("DELIVERY_MODE", "live", "live"),
    ("DELIVERY_MODE", "validate", "validate"),
    ("DELIVERY_MODE", "shadow", "shadow"),
    ("LEDGER_TTL_DAYS", "8", 8),
    ("LEDGER_TTL_DAYS", "90", 90),
    ("LEDGER_TTL_DAYS", "399", 399),
    ("OPENAI_ENDPOINT", "https://bzr.openai.com/v1/events", "https://bzr.openai.com/v1/events"),
    ("OPENAI_ENDPOINT", "http://127.0.0.1:8080/v1/events", "http://127.0.0.1:8080/v1/events"),
    ("REQUIRE_MATCH_KEY", "none", "none"),
    ("REQUIRE_CLICK_REFERENCE", "yes", True),
    ("COUNT_SUBSCRIPTION_CONTRACTS", "no", False),
    ("DEFAULT_PHONE_REGION", "US", "US"),
    ("STOREFRONT_ORIGIN", "https://www.example.com/", "https://www.example.com"),
    ("STOREFRONT_ORIGIN", "http://localhost:3000", "http://localhost:3000"),
    ("SHOP_DOMAINS", " A.myshopify.com, ,b.myshopify.com,", frozenset({"a.myshopify.com", "b.myshopify.com"})),
    ("SHOP_DOMAINS", ",", frozenset()),
    ("SITE_ORIGIN", "https://www.example.com/", "https://www.example.com"),
    ("CONSENT_REQUIRED_IN", "DE,FR", frozenset({"DE", "FR"})),
    ("CONSENT_REQUIRED_IN", "all", frozenset({"all"})),
    (
        "CLICK_ORIGINS",
        "https://A.example/,https://b.example,https://a.example",
        ("https://a.example", "https://b.example"),
    ),
    ("STRIPE_ACCOUNTS", "acct_1A,acct_2B", frozenset({"acct_1A", "acct_2B"})),
    ("STRIPE_TEST_MODE", "count", "count"),
    ("SHOPIFY_EVENT_SOURCE", "aws.partner/shopify.com/1234567/relay", "aws.partner/shopify.com/1234567/relay"),
    ("STRIPE_EVENT_SOURCE", "aws.partner/stripe.com/ed_61Pg", "aws.partner/stripe.com/ed_61Pg"),
    ("PUBLIC_ORIGIN", "https://hooks.example.com/", "https://hooks.example.com"),
    ("MIN_CALL_SECONDS", "0", 0),
    ("MIN_CALL_SECONDS", "9999", 9999),
    ("FIRST_TIME_ONLY", "no", False),
    ("COUNT_VOICEMAIL", "yes", True),
    ("CALL_CURRENCY", "EUR", "EUR"),
    ("STRIPE_MANUAL_INVOICES", "yes", True),
    ("CONVERT_ON", "status", "status"),
    ("CTM_SALE_EVENT", "order", "order"),
    ("CONTENT_ID", "sku", "sku"),
    ("MIN_ORDER_AMOUNT", "0", Decimal(0)),
    ("MIN_ORDER_AMOUNT", "5.00", Decimal("5.00")),
    ("APP_ACTION_SOURCES", "2653365=web, 129785 = physical_store,", {"2653365": "web", "129785": "physical_store"}),
    ("APP_ACTION_SOURCES", "my-app=phone_call", {"my-app": "phone_call"}),
    ("DRAFT_ORDER_ACTION_SOURCE", "phone_call", "phone_call"),
]


@pytest.mark.parametrize(("variable", "value", "expected"), READ)
def test_read(variable: str, value: str, expected: object) -> None:
    settings = Settings.from_environment({variable: value})

    assert getattr(settings, variable.lower()) == expected
    assert type(getattr(settings, variable.lower())) is type(expected)


REFUSED = [
    ("DELIVERY_MODE", "Live", "live, validate, shadow"),
    ("LEDGER_TTL_DAYS", "7", "from 8 to 399"),
    ("LEDGER_TTL_DAYS", "400", "from 8 to 399"),
    ("LEDGER_TTL_DAYS", "090", "from 8 to 399"),
    ("LEDGER_TTL_DAYS", "-9", "from 8 to 399"),
    ("LEDGER_TTL_DAYS", "9.5", "from 8 to 399"),
    ("LEDGER_TTL_DAYS", "ninety", "from 8 to 399"),
    ("OPENAI_ENDPOINT", "http://bzr.openai.com/v1/events", "https"),
    ("OPENAI_ENDPOINT", "http://127.0.0.1.example.com/v1/events", "https"),
    ("OPENAI_ENDPOINT", "bzr.openai.com", "https"),
    ("REQUIRE_MATCH_KEY", "calls", "calls_and_carts, all, none"),
    ("REQUIRE_CLICK_REFERENCE", "true", "yes or no"),
    ("COUNT_CARTS", "YES", "yes or no"),
    ("DEFAULT_PHONE_REGION", "us", "two capitals"),
    ("DEFAULT_PHONE_REGION", "USA", "two capitals"),
    ("STOREFRONT_ORIGIN", "https://www.example.com/shop", "without a path"),
    ("STOREFRONT_ORIGIN", "www.example.com", "without a path"),
    ("STOREFRONT_ORIGIN", "https://user@www.example.com", "without a path"),
    ("SITE_ORIGIN", "https://www.example.com/shop", "without a path"),
    ("STRIPE_ACCOUNTS", "acct_1A, acct_2B", "without blanks"),
    ("STRIPE_ACCOUNTS", "cus_1A", "account ids such as"),
    ("STRIPE_TEST_MODE", "yes", "ignore, count"),
    ("CONVERT_ON", "payment", "invoice, status"),
    ("SHOPIFY_EVENT_SOURCE", "aws.partner/stripe.com/ed_61Pg", "aws.partner/shopify.com/1234567/relay"),
    ("SHOPIFY_EVENT_SOURCE", "awsxpartner/shopify.com/1234567/relay", "a partner event source"),
    ("SHOPIFY_EVENT_SOURCE", "aws.partner/shopify.com/", "a partner event source"),
    ("STRIPE_EVENT_SOURCE", "aws.partner/shopify.com/1/relay", "aws.partner/stripe.com/ed_"),
    ("PUBLIC_ORIGIN", "https://hooks.example.com/relay", "without a path"),
    ("MIN_CALL_SECONDS", "10000", "from 0 to 9999"),
    ("MIN_CALL_SECONDS", "-1", "from 0 to 9999"),
    ("MIN_CALL_SECONDS", "1.5", "from 0 to 9999"),
    ("FIRST_TIME_ONLY", "true", "yes or no"),
    ("COUNT_VOICEMAIL", "1", "yes or no"),
    ("CALL_CURRENCY", "usd", "three capitals"),
    ("CALL_CURRENCY", "US", "three capitals"),
    ("CTM_SALE_EVENT", "sale", "lead, order"),
    ("MIN_ORDER_AMOUNT", "-5", "such as 5"),
    ("MIN_ORDER_AMOUNT", "5,00", "such as 5"),
    ("MIN_ORDER_AMOUNT", "1e9", "such as 5"),
    ("MIN_ORDER_AMOUNT", "NaN", "such as 5"),
    ("APP_ACTION_SOURCES", "2653365", "2653365=web"),
    ("APP_ACTION_SOURCES", "2653365=website", "2653365=web"),
    ("APP_ACTION_SOURCES", "=web", "2653365=web"),
    ("APP_ACTION_SOURCES", "a=b=web", "2653365=web"),
    ("SHOPIFY_MONEY", "buyer", "shop, presentment"),
    ("MOBILE_APP_ACTION_SOURCE", "app", "mobile_app"),
]


@pytest.mark.parametrize(("variable", "value", "says"), REFUSED)
def test_refused_with_the_variable_and_what_it_may_be(variable: str, value: str, says: str) -> None:
    with pytest.raises(BadSetting) as refusal:
        Settings.from_environment({variable: value})

    assert str(refusal.value).startswith(f"{variable} must be ")
    assert says in str(refusal.value)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("environment", [{}, {"QUEUE_URL": ""}, {"QUEUE_URL": "  "}])
def test_a_missing_variable_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(BadSetting, match=r"^QUEUE_URL is missing: the template sets it for this function.$"):
        Settings.from_environment({"LEDGER_TABLE": "t", **environment}, "ledger_table", "queue_url")


def test_what_is_required_and_there_is_read() -> None:
    environment = {"LEDGER_TABLE": "t", "QUEUE_URL": "q"}

    assert Settings.from_environment(environment, "ledger_table", "queue_url") == Settings(
        ledger_table="t", queue_url="q"
    )


def test_the_ledger_outlives_the_seven_days_of_the_api_in_every_allowed_setting() -> None:
    allowed = []
    for days in range(450):
        try:
            allowed.append(Settings.from_environment({"LEDGER_TTL_DAYS": str(days)}).ledger_ttl_days)
        except BadSetting:
            continue

    assert allowed == list(range(8, 400))
