"""What the demo posts, source by source: a line for people, and the sample (with what is done to it)."""

from __future__ import annotations

from typing import Final

SCRIPT: Final = {
    "Shopify": (
        ("a web order, paid", "shopify/orders/create"),
        ("the same order, paid", "shopify/orders/paid"),
        ("the same delivery again", "shopify/orders/create again"),
        ("an order at the till", "shopify/orders/create.pos"),
        ("the shop's app, in store", "shopify/orders/create.app_in_store"),
        ("a draft order, unpaid", "shopify/orders/create.draft_pending"),
        ("… and now paid", "shopify/orders/paid.draft"),
        ("an order in yen", "shopify/orders/create.yen"),
        ("two currencies", "shopify/orders/create.multi_currency"),
        ("headless shop, pixel id", "shopify/orders/create.headless"),
        ("100 % discount", "shopify/orders/create.free"),
        ("waits for the bank", "shopify/orders/create.pending"),
        ("a subscription renews", "shopify/orders/create.renewal"),
        ("an order is cancelled", "shopify/orders/cancelled"),
        ("a refund", "shopify/refunds/create"),
        ("a checkout begins", "shopify/checkouts/create"),
        ("… and is updated", "shopify/checkouts/update"),
        ("a cart", "shopify/carts/create"),
        ("a buyer makes an account", "shopify/customers/create"),
        ("a guest's record", "shopify/customers/create.guest"),
        ("a subscription begins", "shopify/subscription_contracts/create"),
        ("a person is to be erased", "shopify/customers/redact"),
        ("a forged signature", "shopify/orders/create forged"),
        ("signed, but not JSON", "shopify/orders/create broken"),
    ),
    "Stripe": (
        ("a payment", "stripe/checkout.session.completed"),
        ("the same delivery again", "stripe/checkout.session.completed again"),
        ("paid by transfer", "stripe/checkout.session.completed.unpaid"),
        ("… which has come", "stripe/checkout.session.async_payment_succeeded"),
        ("the buyer saw euros", "stripe/checkout.session.completed.adaptive_pricing"),
        ("a subscription", "stripe/checkout.session.completed.subscription"),
        ("… and its first invoice", "stripe/invoice.paid"),
        ("a trial: the session", "stripe/checkout.session.completed.trial"),
        ("… it begins", "stripe/customer.subscription.created"),
        ("… it is over", "stripe/customer.subscription.updated"),
        ("… and is paid for", "stripe/invoice.paid.after_trial"),
        ("a renewal", "stripe/invoice.paid.renewal"),
        ("a payment without opt-in", "stripe/payment_intent.succeeded"),
        ("a cancellation", "stripe/customer.subscription.deleted"),
        ("a forged signature", "stripe/checkout.session.completed forged"),
    ),
}
