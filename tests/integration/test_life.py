"""The life of a stack: prod beside dev, a changed parameter, an upgrade, one that fails, its end. No sale is lost."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conversion_relay.delivery import Delivery
from tests.integration.stack import empty, items, queue_depth, statuses, until
from tests.integration.traffic import Posted, Traffic
from tools.local_aws import LocalAws, LocalAwsFailed, Stack
from tools.samples import sample
from tools.stand_in import StandIn
from tools.template import ROOT

SAMPLES = {
    "shopify": "shopify/orders/create",
    "stripe": "stripe/checkout.session.completed",
    "callrail": "callrail/post_call",
    "backend": "backend/order_created",
}
STAGES = ("dev", "prod")
PIXELS = {"dev": "pixel-of-dev", "prod": "pixel-of-prod"}
KEYS = {stage: f"conversions-key-of-{stage}" for stage in STAGES}
SECRETS = {stage: {source: f"{source}_secret:of_{stage}" for source in SAMPLES} for stage in STAGES}
NAMES = {"dev": "conversion-relay-dev", "prod": "conversion-relay"}
"""As in samconfig.toml: one is the beginning of the other."""


@pytest.fixture(scope="module")
def openai() -> Iterator[StandIn]:
    with StandIn(keys=[], pixels=[]) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def aws() -> Iterator[LocalAws]:
    with LocalAws.start(concurrency=12) as local:
        yield local


def parameters(stage: str, openai: StandIn) -> dict[str, str]:
    return {
        "PixelId": PIXELS[stage],
        "OpenAiEndpoint": f"{openai.url}/v1/events",
        "SendEvery": "rate(1 hour)",
        "SiteOrigin": "https://northwind-trail.example",
        "EnableCustom": "yes",
    }


@pytest.fixture(scope="module")
def deployed(aws: LocalAws, openai: StandIn) -> dict[str, Stack]:
    return {
        stage: aws.deploy(NAMES[stage], parameters(stage, openai), {**SECRETS[stage], "openai": KEYS[stage]})
        for stage in STAGES
    }


@pytest.fixture
def stacks(deployed: dict[str, Stack], openai: StandIn) -> dict[str, Stack]:
    """Dev and prod with nothing in them. Each key of the stand-in sees its own pixel only."""
    for stack in deployed.values():
        empty(stack)
    openai.reset()
    openai.switch(keys={KEYS[stage]: {"scope": True, "pixels": [PIXELS[stage]]} for stage in STAGES})
    return deployed


@pytest.fixture
def dev(stacks: dict[str, Stack]) -> Stack:
    return stacks["dev"]


def signed(source: str, stage: str) -> Delivery:
    return sample(SAMPLES[source]).delivery(SECRETS[stage][source], datetime.now(UTC), new=True)


# Two of them ------------------------------------------------------------------------------------------------------


def test_prod_stands_beside_dev_and_shares_nothing(stacks: dict[str, Stack]) -> None:
    dev, prod = stacks["dev"], stacks["prod"]
    assert dev.resources.keys() == prod.resources.keys()
    assert set(dev.resources.values()) & set(prod.resources.values()) == set()
    told = {name for name, value in dev.outputs.items() if value == prod.outputs[name]}
    assert told == set()


@pytest.mark.parametrize("source", SAMPLES)
def test_each_takes_what_is_signed_for_it_only(stacks: dict[str, Stack], source: str) -> None:
    # When a delivery that is signed for either stage is posted to both
    answers = {
        (signed_for, posted_to): stacks[posted_to].send(source, signed(source, signed_for)).status
        for signed_for in STAGES
        for posted_to in STAGES
    }
    # Then it is taken by its own stage alone
    assert {pair: status == 200 for pair, status in answers.items()} == {
        ("dev", "dev"): True, ("dev", "prod"): False, ("prod", "dev"): False, ("prod", "prod"): True,
    }  # fmt: skip
    assert {stage: len(items(stack)) for stage, stack in stacks.items()} == {"dev": 1, "prod": 1}


def test_each_sends_its_own_to_its_own_pixel(stacks: dict[str, Stack], openai: StandIn) -> None:
    # Given an order in each
    keys = {}
    for stage, stack in stacks.items():
        keys[stage] = stack.send("shopify", signed("shopify", stage)).json()["key"]
        assert until(lambda stack=stack: queue_depth(stack) == 1)  # type: ignore[misc]
    # When both senders run, then each sends one, to its pixel, with its key
    assert [stack.invoke("Sender")["sent"] for stack in stacks.values()] == [1, 1]
    assert {each["pid"]: f"order_created#{each['id']}" for each in openai.events()} == {
        PIXELS[stage]: keys[stage] for stage in STAGES
    }
    assert {stage: statuses(stack) for stage, stack in stacks.items()} == {
        stage: {keys[stage]: "sent"} for stage in STAGES
    }


# Changes ----------------------------------------------------------------------------------------------------------


@contextmanager
def conversions_on_their_way(stack: Stack, openai: StandIn) -> Iterator[Traffic]:
    """While the block runs, some are sent, some are queued, and more arrive; after it, each has to be counted once."""
    secrets = {SAMPLES[source]: SECRETS["dev"][source] for source in ("shopify", "stripe")}
    before = {stack.send("shopify", signed("shopify", "dev")).json()["key"] for _ in range(3)}
    assert until(lambda: queue_depth(stack) == 3)
    assert stack.invoke("Sender")["sent"] == 3
    before |= {stack.send("shopify", signed("shopify", "dev")).json()["key"] for _ in range(3)}
    assert until(lambda: queue_depth(stack) == 3)
    with Traffic(stack, secrets, persistent=True) as traffic:
        traffic.go_on(0.2)
        yield traffic
        traffic.go_on(0.2)
    # What was taken is in the ledger, and nothing else
    assert {each.status for each in traffic.posted} == {200}
    taken = before | {each.key for each in traffic.posted}
    assert statuses(stack).keys() == taken
    # And all of it is sent, and counted once, in one form
    assert until(lambda: stack.invoke("Sender") and set(statuses(stack).values()) == {"sent"})
    assert until(lambda: queue_depth(stack, hidden=True) == 0)
    assert len(openai.events()) == len(taken)
    assert {each["forms"] for each in openai.arrivals()} == {1}


def versions(posted: list[Posted]) -> set[str | None]:
    return {each.headers.get("x-version") for each in posted}


def test_a_changed_parameter_loses_nothing(aws: LocalAws, dev: Stack, openai: StandIn) -> None:
    # When a parameter is changed while conversions are on their way
    before = dict(dev.resources)
    with conversions_on_their_way(dev, openai):
        changed = aws.deploy(dev.name, parameters("dev", openai) | {"MinCallSeconds": "60", "FirstTimeOnly": "no"})
    # Then the functions have it, and addresses, table and queue are the same
    held = changed.client("lambda").get_function_configuration(FunctionName=changed.resources["CallsReceiver"])
    assert held["Environment"]["Variables"]["MIN_CALL_SECONDS"] == "60"
    assert changed.outputs == dev.outputs
    assert {name for name, value in changed.resources.items() if before[name] != value} == set()


NEXT_VERSION = """

_answer = answer


def answer(outcome: Outcome) -> dict[str, Any]:
    told = _answer(outcome)
    return told | {"headers": {**told["headers"], "x-version": "next"}}
"""
"""Appended to the code that answers, so that an answer tells by which version it was written."""

BROKEN = """Resources:
  Broken:
    Type: AWS::SQS::Queue
    DependsOn: [ShopifyReceiver, StripeReceiver, Outbox, Sender, Privacy]
    Properties: {VisibilityTimeout: 99999}
"""
"""A resource that cannot be made, after the functions have been updated."""


@pytest.fixture(scope="module")
def next_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with another version of the relay's code."""
    tree = copy_of_sources(tmp_path_factory.mktemp("next"))
    with (tree / "layers" / "relay" / "conversion_relay" / "function_url.py").open("a") as code:
        code.write(NEXT_VERSION)
    return tree


@pytest.fixture(scope="module")
def broken_version(next_version: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with a template that fails when half of it is deployed."""
    tree = tmp_path_factory.mktemp("broken")
    shutil.copytree(next_version, tree, dirs_exist_ok=True)
    template = tree / "template.yaml"
    text = template.read_text()
    assert text.count("\nResources:\n") == 1
    template.write_text(text.replace("\nResources:\n", f"\n{BROKEN}"))
    return tree


def begun(steps: list[tuple[str, str]]) -> int:
    """Where the last update begins among the events of dev."""
    return max(number for number, step in enumerate(steps) if step == (NAMES["dev"], "UPDATE_IN_PROGRESS"))


def copy_of_sources(tree: Path) -> Path:
    for part in ("functions", "layers", "tools"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", tree)
    return tree


def test_an_upgrade_and_the_way_back_lose_nothing(
    aws: LocalAws, dev: Stack, openai: StandIn, next_version: Path
) -> None:
    with conversions_on_their_way(dev, openai) as traffic:
        assert versions(traffic.posted) == {None}
        # When another version is deployed while conversions are on their way, then it takes what comes from then on
        aws.deploy(dev.name, parameters("dev", openai), tree=next_version)
        upgraded = len(traffic.posted)
        traffic.go_on(0.3)
        assert versions(traffic.posted[upgraded + 2 :]) == {"next"}
        # And when the older one is deployed again, that does
        aws.deploy(dev.name, parameters("dev", openai))
        back = len(traffic.posted)
        traffic.go_on(0.3)
        assert versions(traffic.posted[back + 2 :]) == {None}


def test_an_upgrade_that_fails_is_rolled_back_and_loses_nothing(
    aws: LocalAws, dev: Stack, openai: StandIn, broken_version: Path
) -> None:
    before = Stack(aws, dev.name).resources
    with conversions_on_their_way(dev, openai) as traffic:
        # When an upgrade fails after the functions have been updated
        with pytest.raises(LocalAwsFailed, match="Broken"):
            aws.deploy(dev.name, parameters("dev", openai), tree=broken_version)
        # Then the stack is back at the old version
        rolled_back = len(traffic.posted)
        traffic.go_on(0.3)
        assert versions(traffic.posted[rolled_back + 2 :]) == {None}
    assert Stack(aws, dev.name).resources == before
    described = aws.client("cloudformation").describe_stacks(StackName=dev.name)["Stacks"][0]
    assert described["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    # And the receiver had the new version before it was rolled back
    pages = aws.client("cloudformation").get_paginator("describe_stack_events").paginate(StackName=dev.name)
    told = [each for page in pages for each in page["StackEvents"]]
    steps = [(each["LogicalResourceId"], each["ResourceStatus"]) for each in reversed(told)]
    failed = steps.index(("Broken", "UPDATE_FAILED"))
    of_the_receiver = [number for number, step in enumerate(steps) if step == ("ShopifyReceiver", "UPDATE_COMPLETE")]
    assert [number for number in of_the_receiver if begun(steps) < number < failed]
    assert [number for number in of_the_receiver if number > failed]


# The end ----------------------------------------------------------------------------------------------------------


def test_ledger_and_parked_deliveries_outlive_the_stack(aws: LocalAws, openai: StandIn) -> None:
    # Given a stack with a conversion and a parked delivery
    secrets: Mapping[str, str] = {"shopify": "a secret"}
    stack = aws.deploy("short-lived", parameters("dev", openai), secrets)
    order = sample(SAMPLES["shopify"]).delivery("a secret", datetime.now(UTC))
    key = stack.send("shopify", order).json()["key"]
    bucket = stack.resources["ParkingBucket"]
    aws.client("s3").put_object(Bucket=bucket, Key="shopify/parked", Body=b"a parked delivery")
    # When it is deleted
    aws.delete("short-lived")
    # Then both are there still, with what is in them, and all else is gone
    assert key in items(stack)
    assert aws.client("s3").get_object(Bucket=bucket, Key="shopify/parked")["Body"].read() == b"a parked delivery"
    queues = aws.client("sqs").list_queues().get("QueueUrls", [])
    functions = [each["FunctionName"] for each in aws.client("lambda").list_functions()["Functions"]]
    left = {*queues, *functions} & set(stack.resources.values())
    assert left == set()
