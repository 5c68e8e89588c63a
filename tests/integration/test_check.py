"""``relay check`` against the deployed stack: all in place, and with each thing out of it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.commands import Relay, deny
from tests.integration.stack import OPENAI_KEY, SECRETS, queue_depth
from tools.deployment import Deployment
from tools.local_aws import Stack
from tools.stand_in import StandIn


@pytest.fixture
def relay(clean: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relay:
    for queue in ("OutboxFailures", "PrivacyFailures"):
        if queue_depth(clean, queue, hidden=True):
            clean.client("sqs").purge_queue(QueueUrl=clean.resources[queue])
    return Relay(clean, tmp_path, monkeypatch, capsys)


def levels(relay: Relay) -> tuple[int, dict[str, str]]:
    """The exit status and the worst level of each check."""
    status, told = relay.json("check")
    worst: dict[str, str] = {}
    for each in told["checks"]:
        worst[each["name"]] = max(
            each["level"], worst.get(each["name"], ""), key=["", "good", "doubtful", "wrong"].index
        )
    assert told["ok"] == (status == 0)
    return status, worst


def wrongs(relay: Relay) -> dict[str, tuple[str, str]]:
    """What is said, and what to do, of each check that is wrong; there is one at least."""
    status, told = relay.json("check")
    assert status == 1
    return {each["name"]: (each["said"], each["do"]) for each in told["checks"] if each["level"] == "wrong"}


@contextlib.contextmanager
def parameter(stack: Stack, name: str, value: str | None, usual: str) -> Iterator[None]:
    """A SecureString with another value, or none, meanwhile."""
    ssm, path = stack.client("ssm"), f"/{stack.name}/{name}"
    if value is None:
        ssm.delete_parameter(Name=path)
    else:
        ssm.put_parameter(Name=path, Type="SecureString", Value=value, Overwrite=True)
    try:
        yield
    finally:
        ssm.put_parameter(Name=path, Type="SecureString", Value=usual, Overwrite=True)


@contextlib.contextmanager
def sender_with(stack: Stack, **variables: str) -> Iterator[None]:
    """The sender with other settings meanwhile."""
    function, client = stack.resources["Sender"], stack.client("lambda")
    usual = client.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
    client.update_function_configuration(FunctionName=function, Environment={"Variables": usual | variables})
    try:
        yield
    finally:
        client.update_function_configuration(FunctionName=function, Environment={"Variables": usual})


def test_all_is_in_place(stand_in: StandIn, relay: Relay) -> None:
    status, found = levels(relay)

    assert status == 0
    # What only AWS has, and what the tests' stack was deployed without
    assert {name for name, level in found.items() if level != "good"} == {"ledger's time to live", "alarms"}
    assert {
        "stack", "delivery mode", "OpenAI key", "Conversions API", "contract", "clock and OpenAI", "clock and AWS",
        "secret of Shopify", "secret of Stripe", "secret of Twilio", "secret of Typeform", "ledger's stream", "outbox",
        "queue", "dead letters", "schedule", "parking bucket",
    } <= found.keys()  # fmt: skip
    # And OpenAI was asked once, and has counted nothing
    (request,) = stand_in.requests()
    assert request["validate_only"]
    assert stand_in.events() == []


def test_what_is_shown_names_no_secret(stand_in: StandIn, relay: Relay) -> None:
    status, told = relay.run("check")

    assert status == 0
    assert "Ready: tests" in told
    for held in SECRETS.values():
        for secret in [held] if isinstance(held, str) else held:
            assert secret not in told


def test_a_wrong_key(clean: Stack, openai: StandIn, relay: Relay) -> None:
    with parameter(clean, "openai-conversions-key", "an advertiser key", OPENAI_KEY):
        (said, do) = wrongs(relay)["Conversions API"]

    assert "HTTP 401" in said
    assert "not the Advertiser key" in do


def test_no_key(clean: Stack, relay: Relay) -> None:
    with parameter(clean, "openai-conversions-key", None, OPENAI_KEY):
        found = wrongs(relay)

    assert found.keys() == {"OpenAI key"}
    assert "OpenAiKeyCommand" in found["OpenAI key"][1]


def test_a_wrong_pixel(clean: Stack, openai: StandIn, relay: Relay) -> None:
    with sender_with(clean, PIXEL_ID="px_of_somebody_else"):
        (said, do) = wrongs(relay)["Conversions API"]

    assert "HTTP 403" in said
    assert "Pixel ID" in do


def test_a_wrong_endpoint(clean: Stack, openai: StandIn, relay: Relay) -> None:
    with sender_with(clean, OPENAI_ENDPOINT=f"{openai.url}/v2/nothing"):
        assert "HTTP 404" in wrongs(relay)["Conversions API"][0]


def test_no_answer(clean: Stack, relay: Relay) -> None:
    with sender_with(clean, OPENAI_ENDPOINT="http://127.0.0.1:9/v1/events"):
        found = wrongs(relay)
        assert "no answer" in found["Conversions API"][0]
        assert levels(relay)[1]["clock and OpenAI"] == "doubtful"


def test_an_answer_of_another_shape(openai: StandIn, relay: Relay) -> None:
    openai.reset()
    openai.fail(accepted_events=7)
    status, found = levels(relay)
    openai.reset()

    assert (status, found["contract"], found["Conversions API"]) == (0, "doubtful", "good")


def test_a_contract_that_has_changed(openai: StandIn, relay: Relay) -> None:
    openai.reset()
    openai.fail(status=400)
    found = wrongs(relay)
    openai.reset()

    assert "HTTP 400" in (found.get("contract") or found["Conversions API"])[0]


def test_a_missing_signing_secret(clean: Stack, relay: Relay) -> None:
    with parameter(clean, "signing-secrets/shopify", None, SECRETS["shopify"][0]):
        (said, do) = wrongs(relay)["secret of Shopify"]

    assert "every delivery is refused" in said
    assert "ShopifySecretCommand" in do


def test_call_platforms_without_a_secret_are_not_in_use(clean: Stack, relay: Relay) -> None:
    with parameter(clean, "signing-secrets/twilio", None, SECRETS["twilio"][0]):
        status, told = relay.run("check")

        assert status == 0
        assert "no secret for Twilio: fine unless you use them" in told


def test_three_secrets_of_one_tenant_are_one_too_many(clean: Stack, relay: Relay) -> None:
    with parameter(clean, "signing-secrets/callrail", "[COM1] a\n[COM1] b\n[COM2] c", SECRETS["callrail"][0]):
        assert "3 secrets for 2 tenants" in relay.run("check")[1]
    with parameter(clean, "signing-secrets/callrail", "a\nb\nc", SECRETS["callrail"][0]):
        assert levels(relay)[1]["secret of CallRail"] == "doubtful"


def test_a_disabled_schedule(clean: Stack, relay: Relay) -> None:
    scheduler, name = clean.client("scheduler"), clean.resources["SenderRun"]
    held = scheduler.get_schedule(Name=name)
    kept = {each: held[each] for each in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, State="DISABLED")
    try:
        assert "nothing is sent" in wrongs(relay)["schedule"][0]
    finally:
        scheduler.update_schedule(**kept, State="ENABLED")


@pytest.mark.parametrize(("mode", "said"), [("shadow", "nothing is sent"), ("validate", "counts none")])
def test_modes_that_do_not_count_are_said(clean: Stack, relay: Relay, mode: str, said: str) -> None:
    with sender_with(clean, DELIVERY_MODE=mode):
        status, told = relay.run("check")

    assert status == 0
    assert f"! delivery mode {mode}" in told
    assert said in told


def test_a_queue_changed_by_hand_and_dead_letters(clean: Stack, relay: Relay) -> None:
    sqs, url = clean.client("sqs"), clean.resources["Queue"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})
    sqs.send_message(QueueUrl=clean.resources["DeadLetterQueue"], MessageBody="{}")
    try:
        found = wrongs(relay)
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "610"})

    assert found.keys() == {"queue", "dead letters"}
    assert "hides messages for 30 s" in found["queue"][0]


def test_what_is_recommended_means_the_same_relay(clean: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a relay on AWS, which is asked about by the name of its stack, and something put aside
    monkeypatch.setattr(Deployment, "command_options", " --stack conversion-relay")
    url = clean.resources["DeadLetterQueue"]
    clean.client("sqs").send_message(QueueUrl=url, MessageBody="hello")

    try:
        assert wrongs(relay)["dead letters"][1] == "'relay status --stack conversion-relay' says what to do with them."
    finally:
        clean.client("sqs").purge_queue(QueueUrl=url)


def test_an_outbox_switched_off(clean: Stack, relay: Relay) -> None:
    client, uuid = clean.client("lambda"), clean.resources["OutboxRecorded"]
    client.update_event_source_mapping(UUID=uuid, Enabled=False)
    try:
        (said, do) = wrongs(relay)["outbox"]
    finally:
        client.update_event_source_mapping(UUID=uuid, Enabled=True)

    assert "Disabled" in said
    assert uuid in do


def test_a_bucket_that_could_be_opened(clean: Stack, relay: Relay) -> None:
    client, bucket = clean.client("s3"), clean.resources["ParkingBucket"]
    usual: Any = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    client.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=usual | {"RestrictPublicBuckets": False}
    )
    try:
        assert "opened to the public" in wrongs(relay)["parking bucket"][0]
    finally:
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=usual)


@pytest.mark.parametrize(
    ("code", "message", "leave"),
    [
        (
            "AccessDeniedException",
            "x is not authorized to perform: ssm:GetParameter on resource: y",
            "ssm:GetParameter",
        ),
        ("AccessDeniedException", "x is not authorized to perform: kms:Decrypt on resource: y", "kms:Decrypt"),
        (
            "AccessDeniedException",
            "The ciphertext refers to a key (Service: AWSKMS) that you may not use",
            "kms:Decrypt",
        ),
        ("AccessDeniedException", "", "ssm:GetParameter"),
    ],
)
def test_a_denied_call_is_a_line_of_its_own(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, code: str, message: str, leave: str
) -> None:
    deny(monkeypatch, "ssm", "GetParameter", code, message)

    found = wrongs(relay)

    assert found.keys() == {"Conversions API", "signing secrets"}
    assert f"your AWS credentials lack the leave {leave}" in found["signing secrets"][0]
    assert f"Have {leave} granted" in found["signing secrets"][1]
    assert levels(relay)[1]["queue"] == "good"


def test_a_stack_that_lacks_a_part_is_said_and_no_more(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import deployment

    whole = deployment.Deployment.resources.func  # type: ignore[attr-defined]
    monkeypatch.setattr(
        deployment.Deployment,
        "resources",
        property(lambda self: {name: each for name, each in whole(self).items() if name != "Outbox"}),
    )

    assert wrongs(relay) == {"stack": ("tests lacks Outbox.", "Deploy the stack again.")}
