"""Secrets are rotated while deliveries arrive, as docs/operations.md says: nothing is refused, nothing is lost."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay import queue
from conversion_relay.sender import TIME_FOR_ONE_BATCH_MS
from tests.integration.stack import (
    FUNCTION_OF,
    LOGICAL_ID,
    OPENAI_KEY,
    PIXEL_ID,
    Context,
    counted,
    empty,
    handler_of,
    queue_depth,
    statuses,
    until,
)
from tests.integration.traffic import Traffic, sending
from tools.local_aws import LocalAws, Stack
from tools.samples import sample
from tools.stand_in import StandIn

NAME = "rotation"
SAMPLES = {"shopify": "shopify/orders/create", "stripe": "stripe/checkout.session.completed",
           "callrail": "callrail/post_call"}  # fmt: skip
OLD = {"shopify": "shpss_old", "stripe": "whsec_old", "callrail": "the old key of the company"}
NEW = {"shopify": "shpss_new", "stripe": "whsec_new", "callrail": "the new key of the company"}
NEW_KEY = "another-conversions-key"
GRANT = {"scope": True, "pixels": [PIXEL_ID]}


@pytest.fixture(scope="module")
def openai() -> Iterator[StandIn]:
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def deployed(openai: StandIn) -> Iterator[Stack]:
    """A stack with room for three receivers, outbox and sender at once."""
    with LocalAws.start(concurrency=12) as aws:
        parameters = {"PixelId": PIXEL_ID, "OpenAiEndpoint": f"{openai.url}/v1/events", "SendEvery": "rate(1 hour)"}
        yield aws.deploy(NAME, parameters | {"SiteOrigin": "https://northwind-trail.example"})


@pytest.fixture
def stack(deployed: Stack, openai: StandIn) -> Stack:
    """The stack with nothing in it, the old secrets stored and known to the receivers, as after weeks of work."""
    empty(deployed)
    openai.reset()
    deployed.aws.put_secrets(NAME, {**OLD, "openai": OPENAI_KEY})
    for source, secret in OLD.items():
        deployed.kill(LOGICAL_ID[FUNCTION_OF[source]])
        assert post(deployed, source, secret) == 200
    return deployed


def post(stack: Stack, source: str, secret: str) -> int:
    return stack.send(source, sample(SAMPLES[source]).delivery(secret, datetime.now(UTC), new=True)).status


def signing(secrets: Mapping[str, str]) -> dict[str, str]:
    return {SAMPLES[source]: secret for source, secret in secrets.items()}


def assert_all_counted_once(stack: Stack, openai: StandIn, traffic: Traffic) -> None:
    """Every delivery was taken at its first attempt, and each conversion has left the relay once."""
    assert {(each.source, each.status, each.told["outcome"]) for each in traffic.posted} == {
        (source, 200, "recorded") for source in SAMPLES
    }
    stack_keys = statuses(stack)
    assert {each.key for each in traffic.posted} <= stack_keys.keys()
    assert until(lambda: stack.invoke("Sender") and set(statuses(stack).values()) == {"sent"})
    assert queue_depth(stack, hidden=True) == 0
    assert len(counted(openai)) == len(stack_keys)
    assert {each["times"] for each in openai.arrivals()} == {1}


def test_signing_secrets_are_rotated_under_traffic(stack: Stack, openai: StandIn) -> None:
    # Given platforms that send all the while, and a sender that runs
    with sending(lambda: stack.invoke("Sender")), Traffic(stack, signing(OLD)) as traffic:
        traffic.go_on(0.5)
        # When the new secrets are stored above the old ones, with which the platforms still sign
        stack.aws.put_secrets(NAME, {source: [NEW[source], OLD[source]] for source in OLD})
        traffic.go_on(0.5)
        # And the platforms, one after the other, sign with the new ones
        for source, secret in NEW.items():
            traffic.sign_with(signing({source: secret}))
            traffic.go_on(0.5)
        # And the old ones are removed
        stack.aws.put_secrets(NAME, NEW)
        traffic.go_on(0.5)
    # Then nothing is refused, and all is counted once
    assert_all_counted_once(stack, openai, traffic)
    # And receivers that begin after that take the new ones only
    for receiver in ("ShopifyReceiver", "StripeReceiver", "CallsReceiver"):
        assert stack.kill(receiver)
    assert {source: post(stack, source, OLD[source]) for source in OLD} == {
        "shopify": 401, "stripe": 400, "callrail": 401,
    }  # fmt: skip
    assert {source: post(stack, source, NEW[source]) for source in NEW} == dict.fromkeys(NEW, 200)


def test_the_openai_key_is_replaced_under_traffic(
    stack: Stack, openai: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given platforms that send all the while, and a sender that runs: for a second each time, in place of four minutes
    monkeypatch.setattr(queue, "DRAIN_S", 0.2)

    def run() -> Mapping[str, Any]:
        summary: Mapping[str, Any] = app.handler({}, Context(TIME_FOR_ONE_BATCH_MS + 1000))
        return summary

    with (
        handler_of(stack, "sender") as app,
        sending(run, every_s=0.1) as runs,
        Traffic(stack, signing(OLD)) as traffic,
    ):
        traffic.go_on(0.5)
        # When a new key is made, stored over the old one, and used by a run that began after that
        openai.switch(keys={OPENAI_KEY: GRANT, NEW_KEY: GRANT})
        stack.aws.put_secrets(NAME, {"openai": NEW_KEY})
        before = len(runs)
        assert until(lambda: [run for run in runs[before + 1 :] if run["sent"]])
        # And the old one is revoked
        openai.switch(keys={NEW_KEY: GRANT})
        traffic.go_on(1)
    # Then no run was refused, and all is counted once
    assert {run["stopped"] for run in runs} == {None}
    assert set(openai.summary()["requests"]) == {"200"}
    assert_all_counted_once(stack, openai, traffic)


def test_a_key_that_is_revoked_first_costs_nothing_but_time(stack: Stack, openai: StandIn) -> None:
    # Given the old key revoked before another one is stored
    openai.switch(keys={NEW_KEY: GRANT})
    for _ in range(3):
        assert post(stack, "shopify", OLD["shopify"]) == 200
    assert until(lambda: queue_depth(stack) == len(OLD) + 3)
    sqs, url = stack.client("sqs"), stack.resources["Queue"]
    hidden = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "2"})  # s, in place of ten minutes
    # When the sender runs, then it says so, and the events stay
    assert "401" in stack.invoke("Sender")["stopped"]
    assert counted(openai) == []
    # And when the new one is stored, then all are sent, once each
    stack.aws.put_secrets(NAME, {"openai": NEW_KEY})
    assert until(lambda: stack.invoke("Sender") and set(statuses(stack).values()) == {"sent"})
    assert len(counted(openai)) == len(OLD) + 3
    sqs.set_queue_attributes(QueueUrl=url, Attributes=hidden)
