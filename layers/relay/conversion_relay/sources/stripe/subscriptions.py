"""Subscriptions: trials and first payments, told from renewals in whatever order the deliveries come.

One purchase is announced by several deliveries, none of which knows everything::

    checkout.session.completed       buyer and click; not whether a total of 0 is a trial or a coupon
    customer.subscription.created    that a trial began
    customer.subscription.updated    that the trial is over, not that anything was paid
    invoice.paid                     that something was paid; not whether it is the first payment after a trial

What each has told is remembered under the subscription, and each write holds only if nobody wrote in between. Facts:

``session``    buyer and click of the session
``began``      the beginning of the trial, with buyer and click of the subscription then
``own``        buyer and click of the subscription, for want of a session
``trial``      ``running`` or ``over``: the first payment is a conversion
``payment``    the best payment known; one of a cycle is a renewal unless a trial is known

Of two deliveries that tell of the same fact the better one stays, whichever came first (``_better``). So the facts, and
the events that are built out of nothing else, do not depend on the order of arrival. What was recorded before all was
known is held back for ``HOLD_S`` and amended meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from conversion_relay import timestamps
from conversion_relay.delivery import Conversion, Ignored, Memory, NotUnderstood, Remember, Result
from conversion_relay.payload import integer, text, value_at
from conversion_relay.sources import consent
from conversion_relay.sources.consent import REFUSED
from conversion_relay.sources.envelope import without_none
from conversion_relay.sources.stripe.event import (
    HOLD_S,
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
_MEMORY: Final = "subscription"

_PAYMENTS: Final = ("session", "create", "cycle", "status")
"""What may tell of the first payment, the best first: the session, which has buyer and click; the first invoice; the
first one after a trial; the end of the trial (ConvertOn=status), which says nothing of money. Of the last two, the
earlier where they are a day apart.
"""

_Told = Literal["trial", "payment"]


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

    def knowing(self, **facts: Any) -> _Subscription:
        """With further facts; of what is known already the better one stays."""
        learned = {name: _better(name, self.facts.get(name), fact) for name, fact in facts.items() if fact is not None}
        return replace(self, facts={**self.facts, **learned})

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
            ttl_days=WAITING_DAYS if self._is_soon_useless else days,
            replaces=before.version,
        )

    @property
    def _is_soon_useless(self) -> bool:
        """A renewal waits for its trial in vain; a cancelled subscription owes at most the payment after its trial."""
        owes = self.facts.get("trial") == "over" and "payment" not in self.facts
        return set(self.facts) == {"payment"} or ("cancelled" in self.facts and not owes)

    def trial_started(self) -> Conversion | Ignored | None:
        """The trial, as far as it is known: held back until the session is."""
        began, session = self.facts.get("began"), self.facts.get("session")
        if began is None:
            return None
        timestamp_ms = self.received.fresh(began["timestamp_ms"])
        if timestamp_ms is None:
            return stale("the beginning of the trial")
        # Nothing is paid, so there is no amount: the plan's price is not what the buyer gave.
        return conversion(
            self.received,
            "trial_started",
            object_id=self.id,
            timestamp_ms=timestamp_ms,
            context=self._with_consent(merged(session["context"] if session else {}, began["context"])),
            data={},
            hold_s=0 if session else HOLD_S,
        )

    def first_payment(self) -> Conversion | Ignored | None:
        """The first payment, as far as it is known: held back unless nothing better can come.

        A paid session counts as it stands, because it is not held: what comes after it could change nothing. To any
        other payment the click and buyer of the session are better than its own.
        """
        payment = self.facts.get("payment")
        if payment is None or (payment["kind"] == "cycle" and "trial" not in self.facts):
            return None
        timestamp_ms = self.received.fresh(payment["timestamp_ms"])
        if timestamp_ms is None:
            return stale("the payment")
        is_session = payment["kind"] == "session"
        known: Mapping[str, Any] = {} if is_session else self.facts.get("session") or self.facts.get("own") or {}
        return conversion(
            self.received,
            "subscription_created",
            object_id=self.id,
            timestamp_ms=timestamp_ms,
            context=self._with_consent(merged(known.get("context", {}), payment["context"])),
            data=payment["data"],
            hold_s=0 if is_session or self._is_first_of_cycle(payment) else HOLD_S,
        )

    def _with_consent(self, context: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what any delivery of the subscription has said of consent: whoever refuses does so for all of them."""
        state, opt_out = context.get("consent"), context.get("opt_out")
        for name in ("session", "began", "own", "payment"):
            told = self.facts.get(name, {}).get("context", {})
            state, opt_out = consent.both(state, told.get("consent")), opt_out or told.get("opt_out")
        return {**context, **without_none({"consent": state, "opt_out": opt_out})}

    def _is_first_of_cycle(self, payment: Mapping[str, Any]) -> bool:
        """Whether a payment is the first after the trial for certain, with the session known: no plan is shorter than a
        day, so what was paid within a day of the trial's end is no renewal.
        """
        end_ms = self.facts.get("trial_end_ms", 0)
        return payment["kind"] == "cycle" and "session" in self.facts and payment["timestamp_ms"] - end_ms < _DAY_MS


def _better(name: str, known: Any, told: Any) -> Any:
    """Of two things told of one fact, the one to keep; the same whichever was told first."""
    if known is None:
        return told
    match name:
        case "trial":
            return "over" if "over" in (known, told) else "running"
        case "trial_end_ms":
            return max(known, told)
        case "cancelled":
            return True
        case "payment" if {known["kind"], told["kind"]} == {"cycle", "status"} and _days_apart(known, told) >= 1:
            # Paid long after the end of the trial, which counted by itself (ConvertOn=status). The ledger may have
            # forgotten that by now (LedgerTtlDays), so a payment that took its place would be a second conversion.
            return min(known, told, key=lambda each: each["timestamp_ms"])
    return min(known, told, key=_rank)


def _days_apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    return abs(float(one["timestamp_ms"] - other["timestamp_ms"])) / _DAY_MS


def _rank(fact: Mapping[str, Any]) -> tuple[int, int, str]:
    """The better kind, then the earlier time; where both are the same, any rule will do as long as it is one."""
    kind = _PAYMENTS.index(fact["kind"]) if "kind" in fact else 0
    return kind, fact["timestamp_ms"], json.dumps(fact, sort_keys=True)


_TYPE: Final[Mapping[_Told, str]] = {"trial": "trial_started", "payment": "subscription_created"}
_BUILD: Final[Mapping[_Told, Callable[[_Subscription], Conversion | Ignored | None]]] = {
    "trial": _Subscription.trial_started,
    "payment": _Subscription.first_payment,
}


def _known(received: Received, subscription_id: str | None) -> _Subscription:
    if subscription_id is None:
        raise NotUnderstood("id_missing", "the event names no subscription")
    held = received.recall(f"memory#{_MEMORY}#{received.subject(subscription_id)}") or {}
    facts = {name: value for name, value in held.items() if name != "version"}
    return _Subscription(received, subscription_id, facts, held.get("version"))


def _result(
    before: _Subscription, known: _Subscription, told: tuple[_Told, ...], otherwise: Callable[[Memory | None], Result]
) -> Result:
    """What a delivery tells of (``told``), and what it changes in what was recorded before, written with the facts.

    An event may take the place of the recorded one only together with facts that are new: so the stored event is always
    the one of the stored facts, whatever twin delivery is under way.
    """
    memory = known.memory(before)
    try:
        found = {name: build(known) for name, build in _BUILD.items()}
    except NotUnderstood as problem:
        # A page is missing. The session, which names one, may still come; it then finds what this delivery has told.
        problem.remember = memory
        raise
    refused = {name: each for name, each in found.items() if isinstance(each, Ignored) and each.reason == REFUSED}
    if refused:
        # What another delivery, which knew nothing of it, has recorded meanwhile is taken back while it is still held.
        keys = tuple(f"{_TYPE[name]}#{known.received.subject(known.id)}" for name in refused)
        return replace(next(iter(refused.values())), remember=memory, withdraws=keys)
    changed = [
        each
        for name, each in found.items()
        if each is not None and (name in told or _event_of(each) != _event_of(_built(before, name)))
    ]
    conversions = [replace(each, amends=memory is not None) for each in changed if isinstance(each, Conversion)]
    if conversions:
        return replace(conversions[0], also=tuple(conversions[1:]), remember=memory)
    ignored = [each for name, each in found.items() if name in told and isinstance(each, Ignored)]
    return replace(ignored[0], remember=memory) if ignored else otherwise(memory)


def _built(before: _Subscription, name: _Told) -> Conversion | Ignored | None:
    try:
        return _BUILD[name](before)
    except NotUnderstood:
        return None


def _event_of(result: Conversion | Ignored | None) -> object:
    return result.event if isinstance(result, Conversion) else None


def session(received: Received) -> Result:
    """A session in mode subscription: the first payment, or buyer and click for a later delivery."""
    subscription_id = id_of(received.about, "subscription")
    if subscription_id is None and not is_paid(received) and text(received.about, "payment_status") == "unpaid":
        # Since the API version 2025-03-31 Checkout makes the subscription only after the payment.
        return Ignored("waiting_for_payment", "not paid yet: wait for checkout.session.async_payment_succeeded")
    before = _known(received, subscription_id)
    told = {"timestamp_ms": received.created_ms or 0, "context": session_context(received)}
    paid = is_paid(received) and (integer(received.about, "amount_total") or 0) > 0
    payment = {**told, "kind": "session", "data": amount_of(received.about, "amount_total")} if paid else None

    def nothing_to_report(memory: Memory | None) -> Result:
        if memory is None:
            return Ignored("session_known", "buyer and click of this subscription are remembered already")
        return Remember(memory, "session_kept", "nothing paid yet: buyer and click are kept for what follows")

    known = before.knowing(session=told, payment=payment)
    return _result(before, known, ("payment",) if paid else (), nothing_to_report)


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


def activated(received: Received) -> Result:
    """``customer.subscription.active``: it exists as a thin event only, which does not say what the status was before.
    The trial ended when the subscription says, so a second such event, years later, is no second end.
    """
    _, end_ms = _trial_times(received)
    if text(received.about, "status") not in _AFTER_TRIAL or end_ms is None or end_ms > received.now_ms:
        return Ignored("update_only", "no trial has ended: the session and the invoices carry the conversions")
    return _trial(received, begins=False, ended_ms=end_ms)


def _trial(received: Received, *, begins: bool, ended_ms: int | None = None) -> Result:
    about = received.about
    before = _known(received, own_id(received))
    started_ms, end_ms = _trial_times(received)
    if _is_later_trial(received, started_ms):
        return Ignored("later_trial", "a free period of a subscription that began without one")
    knows_nothing = set(before.facts) <= {"payment"}
    if knows_nothing and end_ms is not None and received.now_ms - end_ms > WAITING_DAYS * _DAY_MS:
        return stale("the end of the trial")

    status = text(about, "status")
    own = context_of(received, value_at(about, "metadata"), customer=id_of(about, "customer"))
    told = {"timestamp_ms": received.created_ms or 0, "context": own}
    payment = None
    if received.settings.convert_on == "status" and status == "active":
        payment = {**told, "timestamp_ms": ended_ms or told["timestamp_ms"], "kind": "status", "data": {}}
    known = before.knowing(
        trial="running" if status == "trialing" else "over",
        trial_end_ms=end_ms,
        own=told,
        began={"timestamp_ms": started_ms or 0, "context": own} if begins else None,
        payment=payment,
    )

    def nothing_to_report(memory: Memory | None) -> Result:
        if memory is None:
            return Ignored("trial_known", "this state of the trial is remembered already")
        return Remember(memory, "trial_kept", "no proof of payment: the first paid invoice is the conversion")

    counts = payment is not None and known.facts["payment"] == payment
    reports: dict[_Told, bool] = {"trial": begins, "payment": counts}
    return _result(before, known, tuple(name for name, is_told in reports.items() if is_told), nothing_to_report)


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
    """``customer.subscription.deleted``: no conversion; buyer and click are forgotten once nothing can follow."""
    detail = "a cancellation: what was counted stays counted"
    subscription_id = id_of(received.about, "id")
    if subscription_id is None:
        return Ignored("cancellation", detail)
    before = _known(received, subscription_id)
    known = before.knowing(cancelled=True) if before.facts else before
    return Ignored("cancellation", detail, known.memory(before))


def invoice(received: Received) -> Result:
    """``invoice.paid`` of a subscription: its first payment, also that after a trial; never a renewal."""
    about = received.about
    reason = text(about, "billing_reason")
    if reason not in ("subscription_create", "subscription_cycle"):
        return Ignored("no_first_payment", "a plan change, a threshold or the like of a subscription that exists")
    if (integer(about, "amount_paid") or 0) <= 0:
        return Ignored("nothing_paid", "nothing was paid: a trial, a coupon of 100 % or a credit balance")
    before = _known(received, _subscription_of(about))
    paid_ms = paid_at(received) or 0
    is_cycle = reason == "subscription_cycle"
    payment = {
        "kind": "cycle" if is_cycle else "create",
        "timestamp_ms": paid_ms,
        "data": amount_of(about, "amount_paid"),
        "context": invoice_context(received, _metadata_of(about)),
    }
    known = before.knowing(payment=payment)
    if is_cycle and known.facts["payment"] != payment:
        return Ignored("renewal", "a renewal: the first payment has counted")

    def waits(memory: Memory | None) -> Result:
        # Stripe does not keep the order. If this is the first payment after a trial whose beginning is late, the
        # delivery of that beginning finds the payment here.
        #
        #   invoice.paid (cycle)            ─▶ waiting ─▶ forgotten after 8 days: it was a renewal
        #   customer.subscription.created   ─▶ trial_started, and subscription_created out of what waits
        detail = "a renewal: no beginning of a trial is known for this subscription"
        return Ignored("renewal", detail, memory if received.fresh(paid_ms) else None)

    return _result(before, known, ("payment",), waits)


def _subscription_of(about: object) -> str | None:
    """The invoice's subscription; it moved with the API version 2025-03-31."""
    line = ("lines", "data", 0)
    paths: tuple[tuple[str | int, ...], ...] = (
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
