"""The samples in ``events/``: one for every topic, each with its outcome through the real receiver, made fresh."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from conversion_relay.delivery import Outcome
from conversion_relay.event import DATA_TYPE
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import shopify, stripe, twilio, whatconverts
from tools import samples, wire_rules
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.samples import Sample, UnknownSample, sample
from tools.sources import PLATFORMS, SOURCES

SECRET = "a dev secret"
NOW = datetime(2027, 3, 1, 8, 30, 0, 250_000, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
ALL = {each.name: each for each in samples.samples()}
SETTINGS = Settings(storefront_origin="https://northwind-trail.example", count_newsletter=True)
EVERYTHING = Settings(
    storefront_origin="https://northwind-trail.example",
    count_carts=True,
    require_match_key="none",
    count_newsletter=True,
)

OUTCOMES = {
    "aircall/call.answered": "other_event",
    "aircall/call.ended": "lead_created",
    "aircall/call.ended.missed": "not_answered",
    "backend/lead_created.crm": "lead_created",
    "backend/order_created": "order_created",
    "backend/subscription_created": "subscription_created",
    "calendly/invitee.canceled": "other_event",
    "calendly/invitee.created": "appointment_scheduled",
    "calendly/invitee.rescheduled": "rescheduled",
    "fairing/response": "survey_answer",
    "fairing/response.other_question": "other_question",
    "generic/call": "lead_created",
    "hubspot/deal.lost": "type_not_mapped",
    "hubspot/deal.qualified": "lead_created",
    "hubspot/deal.subscription": "ids_only",
    "hubspot/deal.won": "order_created",
    "invoca/call": "lead_created",
    "invoca/call.repeat": "repeat_caller",
    "knocommerce/response.create": "survey_answer",
    "knocommerce/response.create.other_question": "no_answer",
    "knocommerce/response.create.typed": "survey_answer",
    "knocommerce/survey.update": "other_event",
    "retreaver/call": "lead_created",
    "ringba/call": "lead_created",
    "ringba/call.duplicate": "duplicate_call",
    "ringcentral/session": "no_duration",
    "shopify/carts/create": "carts_off",
    "shopify/carts/update": "carts_off",
    "shopify/checkouts/create": "checkout_started",
    "shopify/checkouts/update": "checkout_started",
    "shopify/checkouts/update.completed": "checkout_completed",
    "shopify/customers/create": "registration_completed",
    "shopify/customers/create.guest": "no_account",
    "shopify/customers/data_request": "give_out",
    "shopify/customers/enable": "registration_completed",
    "shopify/customers/redact": "erase_person",
    "shopify/customers_email_marketing_consent/update": "lead_created",
    "shopify/customers_marketing_consent/update": "lead_created",
    "shopify/orders/cancelled": "cancelled",
    "shopify/orders/create": "order_created",
    "shopify/orders/create.accents": "order_created",
    "shopify/orders/create.app_in_store": "order_created",
    "shopify/orders/create.draft_pending": "waiting_for_payment",
    "shopify/orders/create.free": "order_created",
    "shopify/orders/create.headless": "order_created",
    "shopify/orders/create.multi_currency": "order_created",
    "shopify/orders/create.pending": "waiting_for_payment",
    "shopify/orders/create.pos": "order_created",
    "shopify/orders/create.renewal": "subscription_renewal",
    "shopify/orders/create.test": "test_order",
    "shopify/orders/create.yen": "order_created",
    "shopify/orders/paid": "order_created",
    "shopify/orders/paid.draft": "order_created",
    "shopify/orders/updated": "update_only",
    "shopify/products/update": "topic_not_handled",
    "shopify/refunds/create": "refund",
    "shopify/shop/redact": "erase_tenant",
    "shopify/subscription_contracts/create": "subscription_created",
    "stripe/charge.refunded": "refund",
    "stripe/checkout.session.async_payment_failed": "payment_failed",
    "stripe/checkout.session.async_payment_succeeded": "order_created",
    "stripe/checkout.session.completed": "order_created",
    "stripe/checkout.session.completed.adaptive_pricing": "order_created",
    "stripe/checkout.session.completed.connected": "unknown_connected_account",
    "stripe/checkout.session.completed.setup": "setup_mode",
    "stripe/checkout.session.completed.subscription": "subscription_created",
    "stripe/checkout.session.completed.test_mode": "test_mode",
    "stripe/checkout.session.completed.trial": "session_kept",
    "stripe/checkout.session.completed.unpaid": "waiting_for_payment",
    "stripe/checkout.session.expired": "abandoned",
    "stripe/customer.created": "no_opt_in",
    "stripe/customer.created.opted_in": "registration_completed",
    "stripe/customer.deleted": "customer_deleted",
    "stripe/customer.subscription.created": "trial_started",
    "stripe/customer.subscription.created.incomplete": "waiting_for_payment",
    "stripe/customer.subscription.deleted": "cancellation",
    "stripe/customer.subscription.trial_will_end": "trial_will_end",
    "stripe/customer.subscription.updated": "trial_kept",
    "stripe/invoice.paid": "subscription_created",
    "stripe/invoice.paid.after_trial": "renewal",
    "stripe/invoice.paid.manual": "manual_invoice",
    "stripe/invoice.paid.renewal": "renewal",
    "stripe/invoice.paid.trial_begins": "nothing_paid",
    "stripe/invoice.paid.upgrade": "no_first_payment",
    "stripe/invoice.payment_succeeded": "twin_of_invoice_paid",
    "stripe/payment_intent.succeeded": "no_opt_in",
    "stripe/payment_intent.succeeded.opted_in": "order_created",
    "stripe/payout.paid": "type_not_handled",
    "stripe/v1.checkout.session.completed": "thin_event_without_api_key",
    "callrail/call_modified": "lead_created",
    "callrail/call_modified.not_a_lead": "not_a_lead",
    "callrail/call_routing_complete": "call_not_over",
    "callrail/convert_assist": "kind_not_handled",
    "callrail/form_submission": "lead_created",
    "callrail/form_submission.repeat": "repeat_form",
    "callrail/outbound_call_modified": "outbound",
    "callrail/outbound_post_call": "outbound",
    "callrail/post_call": "lead_created",
    "callrail/post_call.missed": "not_answered",
    "callrail/post_call.no_click": "lead_created",
    "callrail/post_call.repeat": "repeat_caller",
    "callrail/post_call.short": "too_short",
    "callrail/post_call.spam": "spam",
    "callrail/post_call.voicemail": "voicemail",
    "callrail/post_call.withheld": "lead_created",
    "callrail/pre_call": "call_not_over",
    "callrail/text_message_received": "text_message",
    "callrail/text_message_sent": "text_message",
    "ctm/chat": "kind_not_handled",
    "ctm/end": "lead_created",
    "ctm/end.outbound": "outbound",
    "ctm/end.rang": "not_answered",
    "ctm/end.repeat": "repeat_caller",
    "ctm/end.short": "too_short",
    "ctm/end.spam": "spam",
    "ctm/end.voicemail": "voicemail",
    "ctm/end.withheld": "no_match_key",
    "ctm/form": "lead_created",
    "ctm/modified.sale": "lead_created",
    "ctm/start": "call_not_over",
    "ctm/text": "text_message",
    "twilio/busy": "busy",
    "twilio/canceled": "canceled",
    "twilio/completed.child_leg": "child_leg",
    "twilio/completed": "lead_created",
    "twilio/completed.no_click": "lead_created",
    "twilio/completed.outbound": "outbound",
    "twilio/completed.short": "too_short",
    "twilio/completed.sip": "lead_created",
    "twilio/completed.withheld": "no_match_key",
    "twilio/failed": "failed",
    "twilio/in-progress": "call_not_over",
    "twilio/initiated": "call_not_over",
    "twilio/no-answer": "no_answer",
    "twilio/queued": "call_not_over",
    "twilio/recording": "not_a_call_status",
    "twilio/ringing": "call_not_over",
    "whatconverts/appointment": "appointment_scheduled",
    "whatconverts/chat.in_progress": "call_not_over",
    "whatconverts/chat": "lead_created",
    "whatconverts/email": "lead_created",
    "whatconverts/event": "custom_event",
    "whatconverts/job_application": "lead_type_not_handled",
    "whatconverts/phone_call.in_progress": "call_not_over",
    "whatconverts/phone_call": "lead_created",
    "whatconverts/phone_call.missed": "not_answered",
    "whatconverts/phone_call.not_quotable": "not_a_lead",
    "whatconverts/phone_call.repeat": "repeat_caller",
    "whatconverts/phone_call.short": "too_short",
    "whatconverts/phone_call.spam": "spam",
    "whatconverts/phone_call.update": "lead_created",
    "whatconverts/text_message": "text_message",
    "whatconverts/transaction": "transaction",
    "whatconverts/web_form": "lead_created",
    "typeform/form_response": "lead_created",
    "typeform_survey/form_response": "survey_answer",
    "typeform_survey/form_response.typed": "survey_answer",
    "typeform_survey/form_response_partial": "other_event",
}


def received(each: Sample, settings: Settings = SETTINGS, ledger: InMemoryLedger | None = None, **how: Any) -> Outcome:
    receiver = Receiver(
        SOURCES[each.source],
        KnownSecrets([SECRET]),
        ledger or InMemoryLedger(),
        InMemoryParking(),
        settings,
        lambda: NOW_MS,
    )
    return receiver.receive(each.delivery(SECRET, NOW, **how))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)
    elif isinstance(value, str):
        yield value


def test_every_sample_has_its_outcome() -> None:
    assert {name: _word(received(each)) for name, each in ALL.items()} == OUTCOMES


def _word(outcome: Outcome) -> str:
    return outcome.event.type if outcome.event else outcome.reason


def test_every_topic_has_a_sample() -> None:
    topics = {source: {each.topic for each in ALL.values() if each.source == source} for source in SOURCES}

    assert topics["shopify"] == {*shopify.TOPICS, "products/update"}
    thin_only = {f"customer.subscription.{state}" for state in ("trialing", "active", "paused")}
    snapshots = {*stripe.TYPES, *stripe.NO_CONVERSION} - thin_only
    assert topics["stripe"] == {*snapshots, "payout.paid", "v1.checkout.session.completed"}
    assert topics["twilio"] == {*twilio.STATUSES, "recording"}
    assert topics["whatconverts"] == {
        *(each.replace("-", "_") for each in whatconverts.LEAD_TYPES if each != "custom-event"), "job_application",
    }  # fmt: skip
    assert topics["callrail"] == {
        "pre_call", "call_routing_complete", "post_call", "call_modified", "outbound_post_call",
        "outbound_call_modified", "text_message_received", "text_message_sent", "form_submission", "convert_assist",
    }  # fmt: skip
    assert topics["ctm"] == {"start", "end", "modified", "form", "text", "chat"}


@pytest.mark.parametrize("name", list(ALL))
def test_events_of_samples_are_accepted(name: str) -> None:
    outcome = received(ALL[name], EVERYTHING)

    if outcome.event is not None:
        wire = outcome.event.wire()
        assert wire_rules.refusal({"events": [wire]}, NOW_MS, report_all=True) is None
        assert wire_rules.ignored_values(wire) == []


def test_carts_are_adds_where_they_are_on() -> None:
    ledger = InMemoryLedger()

    outcomes = [received(ALL[f"shopify/carts/{each}"], EVERYTHING, ledger) for each in ("create", "update", "update")]

    assert [outcome.kind for outcome in outcomes] == ["recorded", "recorded", "ignored"]


@pytest.mark.parametrize("name", list(ALL))
def test_sample_is_signed_as_its_platform_signs(name: str) -> None:
    delivery = ALL[name].delivery(SECRET, NOW)

    SOURCES[ALL[name].source].verify(delivery, [SECRET], NOW_MS)
    assert all(header == header.lower() for header in delivery.headers)


def test_every_platform_has_a_sample_that_counts() -> None:
    counting = {name.partition("/")[0] for name, word in OUTCOMES.items() if word in DATA_TYPE}

    # RingCentral's events hold nothing that a lead could be told from; answers to surveys are never sent.
    surveys = {name for name, definition in PLATFORMS.items() if "survey" in definition}
    assert set(PLATFORMS) - counting == {"ringcentral"} | surveys
    assert surveys == {name.partition("/")[0] for name, word in OUTCOMES.items() if word == "survey_answer"}


def numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, int) and value > 1_000_000_000:
        yield value


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("stripe/")])
def test_stripe_s_times_are_moved_with_the_sample(name: str) -> None:
    written, moved = ALL[name].payload, json.loads(ALL[name].delivery(SECRET, NOW).body)
    by_s = int((NOW - samples.WRITTEN_AT).total_seconds())

    assert list(numbers(moved)) == [each + by_s for each in numbers(written)]
    assert ALL[name].topic == written["type"]


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("shopify/")])
def test_times_of_a_sample_are_of_today(name: str) -> None:
    delivery = ALL[name].delivery(SECRET, NOW)
    times = [text for text in texts(json.loads(delivery.body)) if re.match(r"\d{4}-\d\d-\d\dT", text)]
    times.append(delivery.headers["x-shopify-triggered-at"])

    for text in times:
        assert abs(NOW - datetime.fromisoformat(text)) < timedelta(hours=2), text
    assert {len(each) for each in times[:-1]} <= {len("2026-11-20T15:00:00Z"), 24, 25}


def test_body_is_written_as_shopify_writes() -> None:
    body = samples.shopify.as_json({"a": "1 & <b> é 👟"})

    assert body == '{"a":"1 \\u0026 \\u003cb\\u003e é 👟"}'.encode()


def test_body_is_written_as_stripe_writes() -> None:
    assert samples.stripe.as_json({"a": {"b": "é & 👟"}}) == '{\n  "a": {\n    "b": "é & 👟"\n  }\n}'.encode()


def test_body_is_written_as_callrail_writes() -> None:
    assert samples.callrail.as_json({"a": "1 & é 🦷"}) == '{"a":"1 \\u0026 é 🦷"}'.encode()


CALLS = [name for name in ALL if name.partition("/")[0] in ("callrail", "ctm", "whatconverts", "twilio")]


@pytest.mark.parametrize("name", CALLS)
def test_calls_of_today_have_their_own_ids_and_the_same_shape(name: str) -> None:
    written, delivery = ALL[name].payload, ALL[name].delivery(SECRET, NOW)

    if ALL[name].source == "twilio":
        form = dict(parse_qsl(delivery.body.decode(), keep_blank_values=True))
        assert form | {"?": delivery.query, "Timestamp": ""} == {**written, "?": written["?"], "Timestamp": ""}
        told = [parsedate_to_datetime(form["Timestamp"])] if "Timestamp" in form else []
    else:
        moved = json.loads(delivery.body)
        assert list(moved) == list(written)
        assert [moved.get(each) for each in ("id", "resource_id")] == [
            written.get(each) for each in ("id", "resource_id")
        ]
        told = [datetime.fromisoformat(text) for text in texts(moved) if re.match(r"\d{4}-\d\d-\d\dT", text)]
        told += [datetime.fromtimestamp(moved["unix_time"], UTC)] if "unix_time" in moved else []

    assert all(abs(NOW - each) < timedelta(hours=1) for each in told)
    assert told or ALL[name].topic == "recording"


def test_twilio_signs_the_address_that_is_said() -> None:
    delivery = ALL["twilio/completed"].delivery(SECRET, NOW, address="https://calls.example.net/in/twilio")

    assert (delivery.origin, delivery.path) == ("https://calls.example.net", "/in/twilio")
    SOURCES["twilio"].verify(delivery, [SECRET], NOW_MS)


def test_delivery_ids_are_never_the_same() -> None:
    ids = {ALL["shopify/orders/create"].delivery(SECRET, NOW).headers["x-shopify-webhook-id"] for _ in range(20)}

    assert len(ids) == 20
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", each) for each in ids)


@pytest.mark.parametrize("name", [name for name, word in OUTCOMES.items() if word not in ("carts_off",)])
def test_new_one_is_another_conversion_and_an_old_one_the_same(name: str) -> None:
    ledger = InMemoryLedger()
    first = received(ALL[name], EVERYTHING, ledger)
    again = received(ALL[name], EVERYTHING, ledger)
    new = received(ALL[name], EVERYTHING, ledger, new=True)

    if first.kind == "recorded":
        assert (again.kind, new.kind) == ("duplicate", "recorded")
        assert new.key != first.key
    else:
        assert again.kind in (first.kind, "ignored")
        assert new.kind == first.kind


def test_shop_of_a_delivery() -> None:
    def shop(name: str, **how: Any) -> str:
        return ALL[name].delivery(SECRET, NOW, **how).headers["x-shopify-shop-domain"]

    assert shop("shopify/orders/create") == "northwind-trail.myshopify.com"
    assert shop("shopify/shop/redact") == "closed-shop.myshopify.com"
    assert shop("shopify/orders/create", tenant="b.myshopify.com") == "b.myshopify.com"


@pytest.mark.parametrize("name", ["shopify/orders/create.pos", "events/shopify/orders/create.pos.json"])
def test_sample_by_name(name: str) -> None:
    found = sample(name)

    assert (found.name, found.source, found.topic) == ("shopify/orders/create.pos", "shopify", "orders/create")


def test_unknown_sample_names_those_that_there_are() -> None:
    with pytest.raises(UnknownSample, match=r"no sample shopify/orders/lost\. There are: shopify/carts/create, "):
        sample("shopify/orders/lost")


def test_files_are_all_read() -> None:
    assert len(ALL) == len(list(Path(samples.EVENTS).rglob("*.json")))
