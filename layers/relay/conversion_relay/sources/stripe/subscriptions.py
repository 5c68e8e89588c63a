"""Subscriptions: trials and first payments, told from renewals in whatever order the deliveries come.

One purchase is announced by several deliveries, none of which knows everything::

    checkout.session.completed       buyer and click; not whether a total of 0 is a trial or a coupon
    customer.subscription.created    that a trial began
    customer.subscription.updated    that the trial is over, not that anything was paid
    invoice.paid                     that something was paid; not whether it is the first payment after a trial

What each has told is remembered under the subscription, and each write holds only if nobody wrote in between. Facts:

``context``    buyer and click of the session (else of the subscription)
``trial``      ``running`` or ``over``: the first payment is a conversion
``waiting``    a payment that is a renewal, unless the beginning of a trial is still to arrive
``converted``  the first payment has counted: whatever is paid from now on is a renewal

Each fact only ever grows, so every order of arrival ends in the same conversions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Conversion, Ignored, Memory, NotUnderstood, Remember, Result
from conversion_relay.payload import integer, text, value_at
from conversion_relay.sources.stripe.event import (
    Context,
    Received,
    amount_of,
    context_of,
    conversion,
    id_of,
    merged,
    own_id,
    stale,
)
from conversion_relay.sources.stripe.payments import invoice_context, is_paid, paid_at, session_context

MEMORY_DAYS: Final = 90
"""Beyond the end of the trial. Stripe tries to collect for up to two months, and resends for up to 30 days. What is
forgotten is safe: without a trial known, every payment of a cycle is a renewal.
"""
WAITING_DAYS: Final = 8
"""A payment older than 7 days cannot be sent any more."""
_DAY_MS: Final = 86_400_000
_LONGEST_TRIAL_DAYS: Final = 800
_AFTER_TRIAL: Final = ("active", "past_due", "unpaid")


@dataclass(frozen=True, slots=True)
class _Subscription:
    """What is remembered of a subscription."""

    received: Received
    id: str
    facts: Mapping[str, Any]
    version: str | None

    @property
    def key(self) -> str:
        return f"{_MEMORY}#{self.received.subject(self.id)}"

    @property
    def converted(self) -> bool:
        return bool(self.facts.get("converted"))

    def knowing(self, **changes: Any) -> _Subscription:
        """With further facts; None takes one away."""
        facts = {name: value for name, value in {**self.facts, **changes}.items() if value is not None}
        return replace(self, facts=facts)

    def memory(self, before: _Subscription) -> Memory | None:
        """What is to be written; None when nothing is new."""
        if self.facts == before.facts:
            return None
        now_ms = self.received.now_ms
        trial_days = -(-(self.facts.get("trial_end_ms", now_ms) - now_ms) // _DAY_MS)
        days = MEMORY_DAYS + min(max(trial_days, 0), _LONGEST_TRIAL_DAYS)
        return Memory(
            key=self.key,
            facts=self.facts,
            version=str(int(before.version or 0) + 1),
            ttl_days=WAITING_DAYS if set(self.facts) == {"waiting"} else days,
            replaces=before.version,
        )

    def paid(self, timestamp_ms: int, data: Mapping[str, Any], context: Context) -> Conversion | Ignored:
        """The first payment: the click and buyer of the session are better than those of an invoice."""
        return conversion(
            self.received,
            "subscription_created",
            object_id=self.id,
            timestamp_ms=timestamp_ms,
            context=merged(self.facts.get("context", {}), context),
            data=data,
        )

    def waiting_payment(self) -> Conversion | Ignored | None:
        """The payment that came before its trial was known, if there is one."""
        waiting = self.facts.get("waiting")
        if waiting is None:
            return None
        timestamp_ms = self.received.fresh(waiting["timestamp_ms"])
        if timestamp_ms is None:
            return stale("the first payment after the trial")
        return self.paid(timestamp_ms, waiting["data"], waiting["context"])


_MEMORY: Final = "subscription"


def _known(received: Received, subscription_id: str | None) -> _Subscription:
    if subscription_id is None:
        raise NotUnderstood("id_missing", "the event names no subscription")
    held = received.recall(f"memory#{_MEMORY}#{received.subject(subscription_id)}") or {}
    facts = {name: value for name, value in held.items() if name != "version"}
    return _Subscription(received, subscription_id, facts, held.get("version"))


def _together(found: Sequence[Conversion | Ignored], memory: Memory | None) -> Result:
    """All conversions of one delivery, written in one transaction with what is to be remembered."""
    conversions = [each for each in found if isinstance(each, Conversion)]
    if conversions:
        return replace(conversions[0], also=tuple(conversions[1:]), remember=memory)
    return replace(found[0], remember=memory)


def session(received: Received) -> Result:
    """A session in mode subscription: the first payment, or buyer and click for a later delivery."""
    before = _known(received, id_of(received.about, "subscription"))
    context = session_context(received)
    known = before.knowing(context=context)
    if not is_paid(received) or (integer(received.about, "amount_total") or 0) <= 0:
        memory = known.memory(before)
        if memory is None:
            return Ignored("session_known", "buyer and click of this subscription are remembered already")
        return Remember(memory, "session_kept", "nothing paid yet: buyer and click are kept for what follows")
    known = known.knowing(converted=True, waiting=None)
    timestamp_ms = received.fresh(received.created_ms)
    if timestamp_ms is None:
        return stale("the payment", known.memory(before))
    paid = known.paid(timestamp_ms, amount_of(received.about, "amount_total"), context)
    return _together([paid], known.memory(before))


def created(received: Received) -> Result:
    """``customer.subscription.created``: a trial that began."""
    status = text(received.about, "status")
    if status == "incomplete":
        return Ignored(
            "waiting_for_payment", "the first payment is open (3D Secure, or declined): wait for invoice.paid"
        )
    if status != "trialing":
        return Ignored("no_trial", "no trial: the session or the first invoice is the conversion")
    return _trial(received, begins=True)


def updated(received: Received) -> Result:
    """``customer.subscription.updated``: a trial that ended. Active is no proof of payment, its invoice is a draft."""
    status, was = text(received.about, "status"), text(received.before, "status")
    if status != "trialing" and (was != "trialing" or status not in _AFTER_TRIAL):
        return Ignored("update_only", "the session, the beginning and the invoices carry the conversions")
    return _trial(received, begins=False)


def _trial(received: Received, *, begins: bool) -> Result:
    about, settings = received.about, received.settings
    before = _known(received, own_id(received))
    started_ms, end_ms = _trial_times(received)
    if _is_later_trial(received, started_ms):
        return Ignored("later_trial", "a free period of a subscription that began without one")
    if not before.facts and end_ms is not None and received.now_ms - end_ms > WAITING_DAYS * _DAY_MS:
        return stale("the end of the trial")

    own = context_of(received, value_at(about, "metadata"), customer=id_of(about, "customer"))
    over = text(about, "status") != "trialing"
    known = before.knowing(
        trial="over" if over or before.facts.get("trial") == "over" else "running",
        trial_end_ms=end_ms if end_ms is not None else before.facts.get("trial_end_ms"),
        context=before.facts.get("context", own),
    )
    found: list[Conversion | Ignored] = []
    if begins:
        found.append(_trial_started(received, known, own, started_ms))
    first_payment = known.waiting_payment()
    if first_payment is not None:
        found.append(first_payment)
        known = known.knowing(converted=True, waiting=None)
    counts_now = settings.convert_on == "status" and text(about, "status") == "active"
    if counts_now and not known.converted:
        active_ms = received.fresh(received.created_ms)
        found.append(stale("the end of the trial") if active_ms is None else known.paid(active_ms, {}, own))
        known = known.knowing(converted=True)
    memory = known.memory(before)
    if found:
        return _together(found, memory)
    if memory is None:
        return Ignored("trial_known", "this state of the trial is remembered already")
    return Remember(memory, "trial_kept", "no proof of payment: the first paid invoice is the conversion")


def _trial_started(
    received: Received, known: _Subscription, own: Context, started_ms: int | None
) -> Conversion | Ignored:
    timestamp_ms = received.fresh(started_ms)
    if timestamp_ms is None:
        return stale("the beginning of the trial")
    context = merged(known.facts["context"], own)
    # Nothing is paid, so there is no amount: the plan's price is not what the buyer gave.
    return conversion(
        received, "trial_started", object_id=known.id, timestamp_ms=timestamp_ms, context=context, data={}
    )


def _trial_times(received: Received) -> tuple[int | None, int | None]:
    """Beginning and end of the trial: of the subscription, or of its first item's trial offer."""
    offer = ("items", "data", 0, "current_trial")
    started_ms, end_ms = received.time("trial_start"), received.time("trial_end")
    if started_ms is None:
        started_ms, end_ms = received.time(*offer, "start_date"), received.time(*offer, "end_date")
    return (received.created_ms if started_ms is None else started_ms), end_ms


def _is_later_trial(received: Received, started_ms: int | None) -> bool:
    began_ms = timestamps.from_unix(value_at(received.about, "created"))
    return started_ms is not None and began_ms is not None and started_ms - began_ms > _DAY_MS


def deleted(received: Received) -> Result:
    """``customer.subscription.deleted``: no conversion; buyer and click are no longer needed, and dropped."""
    detail = "a cancellation: what was counted stays counted"
    subscription_id = id_of(received.about, "id")
    if subscription_id is None:
        return Ignored("cancellation", detail)
    before = _known(received, subscription_id)
    return Ignored("cancellation", detail, before.knowing(context=None).memory(before))


def invoice(received: Received) -> Result:
    """``invoice.paid`` of a subscription: its first payment, also that after a trial; never a renewal."""
    about = received.about
    reason = text(about, "billing_reason")
    if reason not in ("subscription_create", "subscription_cycle"):
        return Ignored("no_first_payment", "a plan change, a threshold or the like of a subscription that exists")
    if (integer(about, "amount_paid") or 0) <= 0:
        return Ignored("nothing_paid", "nothing was paid: a trial, a coupon of 100 % or a credit balance")
    before = _known(received, _subscription_of(about))
    is_cycle = reason == "subscription_cycle"
    renewal = "a renewal: no beginning of a trial is known for this subscription"
    if is_cycle and before.converted:
        return Ignored("renewal", "a renewal: the first payment has counted")
    timestamp_ms = received.fresh(paid_at(received))
    context = invoice_context(received, _metadata_of(about))
    data = amount_of(about, "amount_paid")
    if is_cycle and "trial" not in before.facts:
        # Stripe does not keep the order. If this is the first payment after a trial whose beginning is late, the
        # delivery of that beginning finds the payment here.
        #
        #   invoice.paid (cycle)            ─▶ waiting ─▶ forgotten after 8 days: it was a renewal
        #   customer.subscription.created   ─▶ trial_started, and subscription_created out of what waits
        waits_ms = before.facts.get("waiting", {}).get("timestamp_ms")
        if timestamp_ms is None or (waits_ms is not None and waits_ms <= timestamp_ms):
            return Ignored("renewal", renewal)
        waiting = {"timestamp_ms": timestamp_ms, "data": data, "context": context}
        return Ignored("renewal", renewal, before.knowing(waiting=waiting).memory(before))
    known = before.knowing(converted=True, waiting=None)
    if timestamp_ms is None:
        return stale("the payment", known.memory(before))
    return _together([known.paid(timestamp_ms, data, context)], known.memory(before))


def _subscription_of(about: object) -> str | None:
    """The invoice's subscription; it moved with the API version 2025-03-31."""
    line = ("lines", "data", 0)
    paths: Sequence[tuple[str | int, ...]] = (
        ("parent", "subscription_details", "subscription"),
        ("subscription",),
        (*line, "parent", "subscription_item_details", "subscription"),
        (*line, "subscription"),
    )
    return next((found for path in paths if (found := id_of(about, *path)) is not None), None)


def _metadata_of(about: object) -> object:
    """The subscription's metadata as the invoice copies them, before and since the API version 2025-03-31."""
    return value_at(about, "parent", "subscription_details", "metadata") or value_at(
        about, "subscription_details", "metadata"
    )
