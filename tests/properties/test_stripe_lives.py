"""Random lives of Stripe subscriptions, over months: deliveries late, twice and in any order, a ledger that forgets.

Whatever comes when, a subscription has at most one trial and one first payment, no renewal counts, what may have been
sent never changes, and nothing is lost that comes within the three days in which Stripe tries. ``SEED`` repeats a run.
"""

import json
import os
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from conversion_relay.ledger import DAY_S
from tests.conftest import Count
from tests.unit.sources.stripe_deliveries import NOW_S, a_payload, received
from tools.in_memory import InMemoryLedger
from tools.wire_rules import event_problems

SEED = int(os.environ.get("SEED", "20261122"))
LIVES = int(os.environ.get("LIVES", "400"))
SUB, CUSTOMER = "sub_1Life", "cus_1Life"
PAGE = "https://app.example-saas.test/checkout"
HOUR_S = 3_600


@dataclass(slots=True)
class ForgettingLedger(InMemoryLedger):
    """As the table: a conversion goes after ``ttl_days``. Every recording of a key is one event that is sent."""

    ttl_days: int = 90
    recorded_ms: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def record(self, conversion: Any, now_ms: int, **origin: str | None) -> Any:
        for key, at_ms in list(self.recorded_ms.items()):
            if now_ms - at_ms > self.ttl_days * DAY_S * 1000:
                self.conversions.pop(key, None)
                self.recorded_ms.pop(key)
        written = InMemoryLedger.record(self, conversion, now_ms, **origin)
        for key in written.recorded:
            self.recorded_ms[key] = now_ms
            self.times[key] = self.times.get(key, 0) + 1
        return written


@dataclass
class Life:
    """What Stripe makes known of one subscription: (second, payload), and what has to count."""

    dice: random.Random
    events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    expected: set[str] = field(default_factory=set)
    described: str = ""

    def tell(self, at_s: int, payload: dict[str, Any]) -> None:
        number = len(self.events)
        self.events.append((at_s, payload | {"id": f"evt_{number}", "created": at_s}))

    def session(self, at_s: int, total: int, status: str, kind: str = "completed", subscription: Any = SUB) -> None:
        metadata = self.dice.choice([{}, None, {"oppref": "of the session", "event_id": "pix_1", "source_url": PAGE}])
        self.tell(
            at_s,
            a_payload(
                "05", event={"type": f"checkout.session.{kind}"}, id="cs_life", created=at_s - 600, customer=CUSTOMER,
                subscription=subscription, amount_total=total, payment_status=status, metadata=metadata,
            ),
        )  # fmt: skip

    def subscription(
        self, at_s: int, kind: str, status: str, before: dict[str, Any] | None = None, **about: Any
    ) -> None:
        payload = a_payload(
            "31", event={"type": f"customer.subscription.{kind}"}, id=SUB, customer=CUSTOMER, status=status,
            **{"trial_start": None, "trial_end": None, **about},
        )  # fmt: skip
        payload["data"]["previous_attributes"] = before or {}
        self.tell(at_s, payload)

    def invoice(self, at_s: int, reason: str, paid: int) -> None:
        payload = a_payload("13", id=f"in_{len(self.events)}", billing_reason=reason, amount_paid=paid, total=paid)
        about = payload["data"]["object"]
        about["customer"] = CUSTOMER
        about["status_transitions"]["paid_at"] = at_s
        if self.dice.random() < 0.5:
            about["parent"]["subscription_details"] |= {"subscription": SUB}
        else:
            about |= {"parent": None, "subscription": SUB, "subscription_details": {"metadata": {}}}
        self.tell(at_s, payload)

    def renewals(self, from_s: int) -> None:
        period = self.dice.choice([1, 7, 30]) * DAY_S
        for number in range(1, self.dice.randint(0, 5) + 1):
            at_s = from_s + number * period + HOUR_S
            self.subscription(at_s - HOUR_S, "updated", "active", {"latest_invoice": "in_before"}, created=from_s)
            self.invoice(at_s, "subscription_cycle", 2900)
        if self.dice.random() < 0.3:
            self.subscription(from_s + 6 * period, "updated", "past_due", {"status": "active"}, created=from_s)
            self.subscription(from_s + 6 * period + DAY_S, "updated", "active", {"status": "past_due"}, created=from_s)
            self.invoice(from_s + 6 * period + DAY_S, "subscription_cycle", 2900)
        if self.dice.random() < 0.3:  # a free month for a customer of old
            start = from_s + 7 * period
            times = {"created": from_s, "trial_start": start, "trial_end": start + 30 * DAY_S}
            self.subscription(start, "updated", "trialing", {"status": "active"}, **times)
            self.subscription(start + 30 * DAY_S, "updated", "active", {"status": "trialing"}, **times)
            self.invoice(start + 30 * DAY_S + HOUR_S, "subscription_cycle", 2900)
        if self.dice.random() < 0.5:
            self.subscription(from_s + 8 * period, "deleted", "canceled", created=from_s)


def paid_at_once(life: Life, t: int) -> None:
    how = life.dice.choice(["session", "transfer", "api"])
    if how == "transfer":
        life.session(t, 2900, "unpaid", subscription=life.dice.choice([SUB, None]))
        life.subscription(t, "created", "incomplete", created=t)
        t += life.dice.randint(1, 5) * DAY_S
        life.session(t, 2900, "paid", "async_payment_succeeded")
    elif how == "session":
        life.session(t, 2900, "paid")
        life.subscription(t, "created", life.dice.choice(["active", "incomplete"]), created=t)
    else:
        life.subscription(t, "created", "active", created=t)
    life.invoice(t, "subscription_create", 2900)
    life.subscription(t, "updated", "active", {"status": "incomplete"}, created=t)
    life.expected = {"subscription_created"}
    life.renewals(t)


def coupon(life: Life, t: int) -> None:
    life.session(t, 0, "no_payment_required")
    life.subscription(t, "created", "active", created=t)
    life.invoice(t, "subscription_create", 0)
    life.renewals(t)


def known_to_nobody(life: Life, t: int) -> None:
    life.invoice(t + HOUR_S, "subscription_cycle", 2900)
    life.renewals(t)
    for _, payload in life.events:
        about = payload["data"]["object"]
        if about["object"] == "subscription":
            about["created"] = t - 400 * DAY_S


def trial(life: Life, t: int) -> None:
    end = t + life.dice.choice([1, 3, 7, 14, 30, 60]) * DAY_S
    times = {"created": t, "trial_start": t, "trial_end": end}
    if life.dice.random() < 0.7:
        life.session(t, 0, "no_payment_required")
    life.subscription(t, "created", "trialing", **times)
    life.invoice(t, "subscription_create", 0)
    life.expected = {"trial_started"}
    if life.dice.random() < 0.3:
        life.subscription(t + DAY_S // 2, "updated", "trialing", {"metadata": {}}, **times)
    outcome = life.dice.choice(["paid", "paid", "paid late", "cancelled", "never paid"])
    life.described += f" {outcome} trial {(end - t) // DAY_S} d"
    if outcome == "cancelled":
        life.subscription((t + end) // 2, "deleted", "canceled", **times)
        return
    if outcome == "paid":
        life.subscription(end, "updated", "active", {"status": "trialing"}, **times)
        life.invoice(end + HOUR_S, "subscription_cycle", 2900)
        life.expected.add("subscription_created")
        life.renewals(end)
        return
    life.subscription(end, "updated", life.dice.choice(["active", "past_due"]), {"status": "trialing"}, **times)
    later = end + life.dice.randint(1, 50) * DAY_S
    if outcome == "paid late":
        life.subscription(end + HOUR_S, "updated", "past_due", {"status": "active"}, **times)
        life.invoice(later, "subscription_cycle", 2900)
        life.subscription(later, "updated", "active", {"status": "past_due"}, **times)
        life.expected.add("subscription_created")
        life.renewals(later)
    else:
        life.subscription(later, "deleted", "canceled", **times)


def deliveries(life: Life) -> list[tuple[int, dict[str, Any]]]:
    """When each comes: mostly at once, some after minutes, hours or days, some again, by Stripe or by hand."""
    dice = life.dice
    arriving = []
    calm = dice.random() < 0.3
    for at_s, payload in life.events:
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            delay = dice.choice(
                [dice.random() * 20, dice.random() * 700, dice.random() * HOUR_S, dice.random() * 3 * DAY_S]
            )
            arriving.append((at_s + int(dice.random() * 20 if calm else delay), payload))
        if dice.random() < 0.1:
            arriving.append((at_s + int(dice.random() * 15 * DAY_S), payload))
    dice.shuffle(arriving)
    return sorted(arriving, key=lambda each: each[0])


@pytest.mark.parametrize("convert_on", ["invoice", "status"])
def test_lives(convert_on: str, count: Count) -> None:
    told = 0
    for number in range(LIVES):
        dice = random.Random(f"{SEED} {convert_on} {number}")
        kind = dice.choice([paid_at_once, coupon, known_to_nobody, trial, trial, trial])
        life = Life(dice, described=f"SEED={SEED} {convert_on} life {number} {kind.__name__}")
        kind(life, NOW_S)
        ledger = ForgettingLedger(ttl_days=dice.choice([8, 30, 90]))
        final: dict[str, Any] = {}
        arriving = deliveries(life)
        log = []
        for now_s, payload in arriving:
            for key, event in ledger.conversions.items():
                if ledger.held_until_ms.get(key, 0) <= now_s * 1000:
                    assert final.setdefault(key, event) == event, life.described
            outcome = received(payload, ledger, now_s, convert_on=convert_on, site_origin="https://www.example.com")
            log.append((now_s - NOW_S, payload["type"], outcome.kind, outcome.reason, outcome.key))
            assert outcome.http == 200, (life.described, outcome)
            assert outcome.kind != "parked", (life.described, outcome)
        told += len(arriving)
        story = "\n".join([life.described, str(ledger.ttl_days), *map(str, log), json.dumps(ledger.times)])

        # Then each conversion was recorded once, and events hold to the contract
        assert set(ledger.times) <= {f"{each}#stripe:{SUB}" for each in ("trial_started", "subscription_created")}
        assert all(times == 1 for times in ledger.times.values()), story
        found = {key.partition("#")[0] for key in ledger.times}
        if convert_on == "status" and "never paid" in life.described:  # its end may have counted
            found.discard("subscription_created")
        assert found == life.expected, story
        for event in ledger.conversions.values():
            assert event_problems(event) == [], story
    count(f"random lives of Stripe subscriptions, ConvertOn={convert_on}", {"lives": LIVES, "deliveries": told})
