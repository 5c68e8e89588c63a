"""Stripe deliveries for the tests: the payloads of the shared cases, changed and signed anew, and the receiver."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import stripe
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets

CASES = Path(__file__).parents[2] / "cases" / "webhooks" / "stripe"
NOW_S = 1_795_186_800
NOW_MS = NOW_S * 1000
DAY_S = 86_400
SECRET = "whsec_of_the_tests"
OPPREF = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"
PAGE = "https://app.example-saas.test/checkout"


@cache
def _held(number: str) -> str:
    (path,) = (each for each in CASES.glob(f"{number}_*.json") if not each.name.endswith(".headers.json"))
    return path.read_text(encoding="utf-8")


def a_payload(number: str, *, event: dict[str, Any] | None = None, **about: Any) -> dict[str, Any]:
    """The event of a shared case with fields of its object, and of itself, replaced."""
    payload: dict[str, Any] = json.loads(_held(number))
    payload |= event or {}
    payload["data"]["object"] |= deepcopy(about)
    return payload


def a_delivery(payload: Any, secret: str = SECRET, now_s: int = NOW_S) -> Delivery:
    body = payload if isinstance(payload, bytes) else json.dumps(payload, indent=2).encode()
    return Delivery("POST", "/", "", {"stripe-signature": stripe.sign(body, secret, now_s)}, body)


def received(payload: Any, ledger: InMemoryLedger | None = None, now_s: int = NOW_S, **settings: Any) -> Outcome:
    return Receiver(
        stripe.SOURCE,
        KnownSecrets([SECRET]),
        InMemoryLedger() if ledger is None else ledger,
        InMemoryParking(),
        Settings(**settings),
        lambda: now_s * 1000,
    ).receive(a_delivery(payload, now_s=now_s))


# One purchase, told by several deliveries -----------------------------------------------------------------------------

SUBSCRIPTION, CUSTOMER = "sub_1SNStory", "cus_TRk3aBcDeFgH12"
METADATA = {"oppref": OPPREF, "source_url": PAGE}


def session(total: int, *, status: str = "paid", **about: Any) -> dict[str, Any]:
    return a_payload(
        "05", id="cs_live_story", subscription=SUBSCRIPTION, amount_total=total, payment_status=status, **about
    )


def subscription(event_type: str, status: str, *, before: dict[str, Any] | None = None, **about: Any) -> dict[str, Any]:
    began_s = about.get("created", NOW_S - 10)
    payload = a_payload(
        "31", event={"type": f"customer.subscription.{event_type}"},
        **{"id": SUBSCRIPTION, "status": status, "created": began_s, "trial_start": None, "trial_end": None, **about},
    )  # fmt: skip
    payload["data"]["previous_attributes"] = before or {}
    return payload


def trial(event_type: str = "created", status: str = "trialing", days_ago: float = 3, **about: Any) -> dict[str, Any]:
    """A delivery about a trial that began some days ago and ends, or ended, a few seconds before now."""
    began_s = NOW_S - int(days_ago * DAY_S)
    times = {"created": began_s, "trial_start": began_s, "trial_end": NOW_S - 60}
    before = {"status": "trialing"} if event_type == "updated" else {}
    return subscription(event_type, status, before=before, **{**times, **about})


def invoice(
    reason: str,
    paid: int,
    *,
    number: str = "in_1SNStory",
    paid_s: int = NOW_S - 5,
    metadata: dict[str, str] | None = None,
) -> dict[str, Any]:
    payload = a_payload("13", id=number, billing_reason=reason, amount_paid=paid, total=paid)
    about = payload["data"]["object"]
    about["parent"]["subscription_details"] |= {
        "subscription": SUBSCRIPTION,
        "metadata": METADATA if metadata is None else metadata,
    }
    about["status_transitions"]["paid_at"] = paid_s
    return payload
