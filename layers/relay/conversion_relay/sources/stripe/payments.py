"""What is paid once: Checkout Sessions, opted-in payments and customers, and invoices written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conversion_relay.delivery import Conversion, Ignored, Result
from conversion_relay.payload import integer, text, value_at
from conversion_relay.sources.consent import REFUSED
from conversion_relay.sources.stripe.event import (
    HOLD_S,
    Context,
    Received,
    amount_of,
    context_of,
    conversion,
    id_of,
    own_id,
    stale,
)

OPT_IN: Final = (
    "order_created",
    "lead_created",
    "registration_completed",
    "appointment_scheduled",
    "subscription_created",
    "trial_started",
)
"""What metadata ``openai_event`` may say: the other types of the API say nothing about a payment or a customer."""


def session_context(received: Received) -> Context:
    """What a Checkout Session knows of buyer and click; ``customer_email`` is only a prefill."""
    session = received.about
    details = value_at(session, "customer_details")
    return context_of(
        received,
        value_at(session, "metadata"),
        emails=(value_at(details, "email"),),
        phone=value_at(details, "phone"),
        address=value_at(details, "address"),
        shipping=value_at(session, "shipping_details", "address")
        or value_at(session, "collected_information", "shipping_details", "address"),
        reference=value_at(session, "client_reference_id"),
        customer=id_of(session, "customer"),
        pages=tuple(value_at(session, field) for field in ("success_url", "return_url", "cancel_url")),
    )


def is_paid(received: Received) -> bool:
    """Whether the session's payment has come: also days after its completion, which is an event of its own."""
    return received.type.endswith(".async_payment_succeeded") or text(received.about, "payment_status") == "paid"


def payment(received: Received) -> Result:
    """A session in mode payment: one ``order_created`` when it is paid, at once or by a transfer that takes days."""
    session_id = own_id(received)
    if not is_paid(received) and text(received.about, "payment_status") != "no_payment_required":
        return Ignored("waiting_for_payment", "not paid yet: wait for checkout.session.async_payment_succeeded")
    timestamp_ms = received.fresh(received.created_ms)
    if timestamp_ms is None:
        return stale("the payment")
    # Where invoices written by hand count, the invoice of a session does too: both are one conversion then, and the
    # session, which knows buyer and click, takes the place of an invoice that came first.
    invoice = id_of(received.about, "invoice") if received.settings.stripe_manual_invoices else None
    built = conversion(
        received,
        "order_created",
        object_id=invoice or session_id,
        timestamp_ms=timestamp_ms,
        context=session_context(received),
        data=amount_of(received.about, "amount_total"),
    )
    if isinstance(built, Conversion):
        return replace(built, amends=invoice is not None)
    if invoice is not None and built.reason == REFUSED:
        # The invoice, which is no web event, knows nothing of it: whichever comes first, it does not count.
        return replace(built, withdraws=(f"order_created#{received.subject(invoice)}",))
    return built


def payment_intent(received: Received) -> Result:
    """``payment_intent.succeeded``: only with an opt-in, because it may belong to a session or an invoice."""
    metadata = value_at(received.about, "metadata")
    context = context_of(
        received,
        metadata,
        emails=(value_at(received.about, "receipt_email"),),
        customer=id_of(received.about, "customer"),
    )
    return _opted_in(received, context, received.created_ms, amount_of(received.about, "amount_received"))


def customer(received: Received) -> Result:
    """``customer.created``: only with an opt-in, because Checkout creates customers by itself."""
    about = received.about
    context = context_of(
        received,
        value_at(about, "metadata"),
        emails=(value_at(about, "email"),),
        phone=value_at(about, "phone"),
        address=value_at(about, "address"),
        customer=id_of(about, "id"),
    )
    return _opted_in(received, context, received.time("created"), {})


def _opted_in(received: Received, context: Context, timestamp_ms: int | None, data: dict[str, object]) -> Result:
    event_type = text(received.about, "metadata", "openai_event")
    if event_type is None:
        return Ignored(
            "no_opt_in",
            "without openai_event in its metadata it may belong to a session or an invoice, which count by themselves",
        )
    if event_type not in OPT_IN:
        return Ignored("opt_in_unknown", f"metadata openai_event is none of {', '.join(OPT_IN)}")
    timestamp_ms = received.fresh(timestamp_ms)
    if timestamp_ms is None:
        return stale("it")
    return conversion(
        received, event_type, object_id=own_id(received), timestamp_ms=timestamp_ms, context=context, data=data
    )


def invoice_context(received: Received, metadata: object) -> Context:
    """What an invoice knows of buyer and click."""
    invoice = received.about
    return context_of(
        received,
        metadata,
        emails=(value_at(invoice, "customer_email"),),
        phone=value_at(invoice, "customer_phone"),
        address=value_at(invoice, "customer_address"),
        shipping=value_at(invoice, "customer_shipping", "address"),
        customer=id_of(invoice, "customer"),
    )


def paid_at(received: Received) -> int | None:
    """When an invoice was paid, in Unix milliseconds."""
    found = received.time("status_transitions", "paid_at")
    return received.created_ms if found is None else found


def manual_invoice(received: Received) -> Result:
    """An invoice written by hand: an offline ``order_created``, where StripeManualInvoices is on."""
    if not received.settings.stripe_manual_invoices:
        return Ignored("manual_invoice", "an invoice written by hand (StripeManualInvoices is off)")
    if (integer(received.about, "amount_paid") or 0) <= 0:
        return Ignored("nothing_paid", "nothing was paid: a credit balance, or 0")
    timestamp_ms = received.fresh(paid_at(received))
    if timestamp_ms is None:
        return stale("the payment")
    return conversion(
        received,
        "order_created",
        object_id=own_id(received),
        timestamp_ms=timestamp_ms,
        context=invoice_context(received, value_at(received.about, "metadata")),
        data=amount_of(received.about, "amount_paid"),
        action_source="offline",
        hold_s=HOLD_S,
    )
