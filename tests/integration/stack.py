"""What the integration tests do with the deployed stack: empty it, look into it, run a handler in this process."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from conversion_relay.ledger import event_in
from tools.local_aws import BUILD, ENVIRONMENT, Stack
from tools.package import Interpreter, build
from tools.samples import sample
from tools.sources import PLATFORMS
from tools.stand_in import StandIn

FUNCTIONS = Path(__file__).parent.parent.parent / "functions"
PIXEL_ID = "Qm7TzV4kRw2LpX9sNdB3Yh"
OPENAI_KEY = "conversions-key-for-tests"
SECRET = "shpss_for_integration_tests"
SECRETS = {
    "shopify": [SECRET],
    "stripe": ["whsec_for_integration_tests"],
    "callrail": ["callrail key for integration tests"],
    "ctm": ["ctm secret for integration tests"],
    "whatconverts": ["whatconverts-token-for-integration-tests"],
    "twilio": ["twilio token for integration tests"],
    **{platform: [f"{platform}_secret:for_integration_tests"] for platform in PLATFORMS},
    "openai": OPENAI_KEY,
}


class Context:
    """What Powertools and the handlers read of Lambda's context."""

    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "test"

    def __init__(self, remaining_ms: int = 240_000) -> None:
        self._end = time.monotonic() + remaining_ms / 1000

    def get_remaining_time_in_millis(self) -> int:
        return int((self._end - time.monotonic()) * 1000)


def items(stack: Stack) -> dict[str, Any]:
    """Everything in the ledger table, by key."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.resources["Ledger"])
    return {item["pk"]["S"]: item for page in pages for item in page["Items"]}


def statuses(stack: Stack) -> dict[str, str]:
    """Status of each conversion in the ledger, by key."""
    return {key: item["status"]["S"] for key, item in items(stack).items() if "event" in item}


def event_of(item: Mapping[str, Any]) -> Any:
    """The event of a conversion's item."""
    return json.loads(event_in(item) or "null")


def parked(stack: Stack) -> list[str]:
    """Keys in the parking bucket."""
    listed = stack.client("s3").list_objects_v2(Bucket=stack.resources["ParkingBucket"])
    return [each["Key"] for each in listed.get("Contents", [])]


def queue_depth(stack: Stack, queue: str = "Queue", *, hidden: bool = False, delayed: bool = False) -> int:
    """Messages in a queue, by its logical id; ``hidden``: those under way count too; ``delayed``: those held too."""
    wanted = {"": True, "NotVisible": hidden, "Delayed": delayed}
    names = [f"ApproximateNumberOfMessages{kind}" for kind, counts in wanted.items() if counts]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=stack.resources[queue], AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def empty(stack: Stack) -> None:
    """Nothing in the table, the queues and the bucket."""
    for key in items(stack):
        stack.client("dynamodb").delete_item(TableName=stack.resources["Ledger"], Key={"pk": {"S": key}})
    for queue in ("Queue", "DeadLetterQueue"):
        if queue_depth(stack, queue, hidden=True, delayed=True):
            stack.client("sqs").purge_queue(QueueUrl=stack.resources[queue])
    for key in parked(stack):
        stack.client("s3").delete_object(Bucket=stack.resources["ParkingBucket"], Key=key)


@contextlib.contextmanager
def lone_table(stack: Stack) -> Iterator[str]:
    """A table like the ledger's, but with no stream: no function takes away what a test has just written."""
    name = f"alone-{time.monotonic_ns()}"
    key = {"AttributeName": "pk"}
    stack.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{**key, "KeyType": "HASH"}],
        AttributeDefinitions=[{**key, "AttributeType": "S"}],
    )
    yield name
    stack.client("dynamodb").delete_table(TableName=name)


def settle_stream(stack: Stack) -> None:
    """Wait until the outbox has forwarded all that was recorded before: what a test leaves must not reach the next."""
    sentinel = f"sentinel#{time.monotonic_ns()}"
    item = {"pk": {"S": sentinel}, "status": {"S": "recorded"}, "event": {"S": "{}"}, "expires_at": {"N": "0"}}
    stack.client("dynamodb").put_item(TableName=stack.resources["Ledger"], Item=item)
    sqs, url = stack.client("sqs"), stack.resources["Queue"]

    def arrived() -> bool:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["key"])
        keys = [each["MessageAttributes"]["key"]["StringValue"] for each in messages.get("Messages", [])]
        return sentinel in keys

    assert until(arrived), "the outbox did not forward the sentinel"


def until(condition: Any, within_s: float = 30) -> bool:
    """Wait for a condition; whether it came to hold."""
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


def post_order(stack: Stack, number: int | None = None, name: str = "shopify/orders/create") -> int:
    """Post a freshly signed order, with an id of its own if given a number; the HTTP status."""
    chosen = sample(name)
    if number is not None:
        payload = {**chosen.payload, "id": 7_000_000_000_000 + number, "admin_graphql_api_id": None}
        chosen = type(chosen)(chosen.name, chosen.source, chosen.topic, payload)
    delivery = chosen.delivery(SECRET, datetime.now(UTC))
    return stack.post("shopify", delivery.body, delivery.headers).status


def environment(stack: Stack, function: str) -> dict[str, str]:
    """The environment of a deployed function, and where this process finds the local AWS."""
    held = stack.client("lambda").get_function_configuration(FunctionName=stack.resources[function])
    return {
        **held["Environment"]["Variables"],
        "AWS_ENDPOINT_URL": stack.aws.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }


FUNCTION_OF = {
    "shopify": "shopify",
    "stripe": "stripe",
    "callrail": "calls",
    "ctm": "calls",
    "whatconverts": "calls",
    "twilio": "calls",
    **dict.fromkeys(PLATFORMS, "custom"),
}
"""The function that takes a source's webhooks."""
LOGICAL_ID = {
    "shopify": "ShopifyReceiver",
    "stripe": "StripeReceiver",
    "calls": "CallsReceiver",
    "custom": "CustomReceiver",
    "outbox": "Outbox",
    "sender": "Sender",
    "privacy": "Privacy",
}


def folder_of(name: str) -> Path:
    """Where a function is; that of the custom platforms as it is built, with their files in one."""
    if name != "custom":
        return FUNCTIONS / name
    folder = BUILD / "custom-receiver"
    with zipfile.ZipFile(build(Interpreter.at(ENVIRONMENT / "bin" / "python")).zips["CustomReceiver"]) as archive:
        archive.extractall(folder)
    return folder


@contextlib.contextmanager
def handler_of(stack: Stack, name: str, secrets: Sequence[str] = ()) -> Iterator[ModuleType]:
    """``functions/<…>/app.py`` loaded in this process against the deployed stack's table, queues and bucket.

    ``name`` is that of a source, whose ``secrets`` are put in place meanwhile, or of a function that takes no webhooks.
    """
    source, name = name, FUNCTION_OF.get(name, name)
    before = dict(os.environ)
    os.environ.update(environment(stack, LOGICAL_ID[name]))
    try:
        if secrets:
            parameter = f"{os.environ['SIGNING_SECRETS_PATH']}/{source}"
            stack.client("ssm").put_parameter(
                Name=parameter, Type="SecureString", Value="\n".join(secrets), Overwrite=True
            )
        spec = importlib.util.spec_from_file_location(f"app_{name}", folder_of(name) / "app.py")
        assert spec is not None
        assert spec.loader is not None
        app = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = app
        spec.loader.exec_module(app)
        app.context = Context()  # type: ignore[attr-defined]
        yield app
    finally:
        os.environ.clear()
        os.environ.update(before)
        if secrets:
            stack.client("ssm").put_parameter(
                Name=parameter, Type="SecureString", Value=SECRETS[source][0], Overwrite=True
            )


def change_receiver(app: ModuleType, source: str, **parts: Any) -> None:
    """Give the receiver of a source in a loaded handler another clock, ledger or settings."""
    app.receivers = {**app.receivers, source: replace(app.receivers[source], **parts)}  # type: ignore[attr-defined]


def counted(stand_in: StandIn) -> list[str]:
    """The ids that OpenAI's stand-in has counted, in order."""
    return [each["id"] for each in stand_in.events()]
