"""Stripe's thin events through a stack that fetches what they name, on an AWS that evaluates every role."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.replaying import command
from tests.integration.stack import OPENAI_KEY, PIXEL_ID, SECRETS, counted, items, parked, queue_depth, until
from tests.stripe_stand_in import KEY, StripeStandIn
from tools.deployment import Deployment
from tools.local_aws import LocalAws, Stack
from tools.samples import sample
from tools.stand_in import StandIn

THIN = sample("stripe/v1.checkout.session.completed")
PATH = THIN.payload["related_object"]["url"]
FETCH = f"fetch#stripe:{THIN.payload['id']}"
SESSION = sample("stripe/checkout.session.completed").payload["data"]["object"]
ORDER = f"order_created#stripe:{SESSION['id']}"


@pytest.fixture(scope="module")
def openai() -> Iterator[StandIn]:
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn() as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def stack(openai: StandIn, stripe: StripeStandIn) -> Iterator[Stack]:
    parameters = {
        "PixelId": PIXEL_ID,
        "OpenAiEndpoint": f"{openai.url}/v1/events",
        "SendEvery": "rate(1 hour)",
        "StripeFetchThinEvents": "yes",
        "StripeApiEndpoint": stripe.url,
    }
    with LocalAws.start(auth=True) as aws:
        aws.client("ssm").put_parameter(Name="/thin/stripe-api-key", Type="SecureString", Value=KEY, Overwrite=True)
        deployed = aws.deploy("thin", parameters, SECRETS)
        url = deployed.resources["FetchQueue"]
        aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "4"})
        yield deployed


@pytest.fixture
def fresh(stack: Stack, stripe: StripeStandIn, openai: StandIn) -> Stack:
    """The stack with nothing in its ledger, and Stripe with the session that the thin event names."""
    for key in items(stack):
        stack.client("dynamodb").delete_item(TableName=stack.resources["Ledger"], Key={"pk": {"S": key}})
    stripe.objects = {PATH: SESSION}
    stripe.requests.clear()
    openai.reset()
    return stack


def post(stack: Stack, name: str) -> dict[str, Any]:
    delivery = sample(f"stripe/{name}").delivery(SECRETS["stripe"][0], datetime.now(UTC))
    answer = stack.post("stripe", delivery.body, delivery.headers)
    assert answer.status == 200
    outcome: dict[str, Any] = answer.json()
    return outcome


def end(stack: Stack) -> list[str]:
    """What the ledger says became of the thin event."""
    item = items(stack).get(FETCH, {})
    return [item[name]["S"] for name in ("status", "reason") if name in item]


def test_what_a_thin_event_names_is_fetched_recorded_and_sent_once(
    fresh: Stack, stripe: StripeStandIn, openai: StandIn
) -> None:
    # Given Stripe that does not answer at first
    stripe.answers = [503]

    # When the thin event arrives, twice
    assert post(fresh, "v1.checkout.session.completed") == {
        "outcome": "remembered", "reason": "to_be_fetched", "key": FETCH,
    }  # fmt: skip
    assert post(fresh, "v1.checkout.session.completed")["reason"] == "fetch_known"

    # Then the session is fetched, and it is the conversion of the snapshot event
    assert until(lambda: end(fresh) == ["fetched", f"recorded: recorded {ORDER}"]), "\n".join(fresh.logs("Fetch"))
    assert stripe.requests == [(PATH, None)] * 2
    assert post(fresh, "checkout.session.completed")["outcome"] == "duplicate"
    assert until(lambda: queue_depth(fresh) == 1)
    assert fresh.invoke("Sender")["sent"] == 1
    assert counted(openai) == [SESSION["metadata"]["openai_event_id"]]
    assert until(lambda: queue_depth(fresh, "FetchQueue", hidden=True) == 0)
    assert parked(fresh) == []


def test_a_key_of_the_other_mode_loses_nothing(fresh: Stack, stripe: StripeStandIn) -> None:
    seen = dict(stripe.objects)
    stripe.objects.clear()
    post(fresh, "v1.checkout.session.completed")
    assert until(lambda: any("HTTP 404" in line for line in fresh.logs("Fetch")))
    assert end(fresh) == ["to_fetch"]

    stripe.objects |= seen
    assert until(lambda: end(fresh) == ["fetched", f"recorded: recorded {ORDER}"]), "\n".join(fresh.logs("Fetch"))


def test_a_refused_key_says_what_to_do_and_the_message_waits_for_a_better_one(
    fresh: Stack, stripe: StripeStandIn
) -> None:
    stripe.key = "rk_live_another"
    post(fresh, "v1.checkout.session.completed")
    assert until(lambda: any("StripeApiKeyCommand" in line for line in fresh.logs("Fetch")))
    assert end(fresh) == ["to_fetch"]

    stripe.key = KEY
    assert until(lambda: end(fresh) == ["fetched", f"recorded: recorded {ORDER}"]), "\n".join(fresh.logs("Fetch"))
    assert not any(KEY in line for line in fresh.logs("Fetch"))


def test_what_the_outbox_gave_up_and_what_sqs_gave_up_is_fetched_by_replay(
    fresh: Stack,
    stripe: StripeStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    relay = command(fresh, monkeypatch, capsys, tmp_path)
    monkeypatch.setattr(Deployment, "client", lambda _, service: fresh.client(service))  # this AWS is reached over TLS
    # Given a noted thin event that is on no queue, as if the outbox had given it up (a MODIFY starts no outbox)
    stripe.answers = [503] * 2
    post(fresh, "v1.checkout.session.completed")
    facts = items(fresh)[FETCH]["fetch"]["S"]
    assert until(lambda: not stripe.answers)
    sqs, url = fresh.client("sqs"), fresh.resources["FetchQueue"]
    sqs.purge_queue(QueueUrl=url)
    fresh.client("dynamodb").delete_item(TableName=fresh.resources["Ledger"], Key={"pk": {"S": ORDER}})
    as_noted = {
        "pk": {"S": FETCH},
        "status": {"S": "to_fetch"},
        "fetch": {"S": facts},
        "expires_at": {"N": "9999999999"},
    }
    fresh.client("dynamodb").put_item(TableName=fresh.resources["Ledger"], Item=as_noted | {"recorded_ms": {"N": "1"}})

    # When it is replayed, then it is asked for, and the same goes for a dead letter
    ran = relay("replay", "ledger", "--status", "to_fetch", "--go")
    assert (ran.status, ran.err) == (0, "")
    assert "1 conversion: 1 queued again." in ran
    assert until(lambda: end(fresh) == ["fetched", f"recorded: recorded {ORDER}"]), "\n".join(fresh.logs("Fetch"))
    asked = len(stripe.requests)
    key = {"key": {"DataType": "String", "StringValue": FETCH}}
    dead = fresh.resources["FetchDeadLetterQueue"]
    sqs.send_message(QueueUrl=dead, MessageBody=facts, MessageAttributes=key)
    assert "1 would go back on the queue" in relay("replay", "dead-letters")
    assert relay("replay", "dead-letters", "--go").status == 0
    assert until(lambda: len(stripe.requests) == asked + 1)
    assert queue_depth(fresh, "FetchDeadLetterQueue", hidden=True) == 0


def test_the_receiver_s_role_allows_amending_what_is_held(fresh: Stack) -> None:
    assert post(fresh, "invoice.paid")["outcome"] == "recorded"
    assert post(fresh, "checkout.session.completed.subscription")["reason"] == "amended"
