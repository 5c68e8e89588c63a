"""The policy in docs/asking.md, evaluated: somebody who has it and nothing else may ask all three commands."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import boto3
import botocore.session
import pytest

from tests.integration.commands import Relay
from tests.integration.stack import OPENAI_KEY, PIXEL_ID, SECRETS, post_order, queue_depth, until
from tools import deployment
from tools.deployment import Deployment
from tools.local_aws import REGION, LocalAws, Stack
from tools.stand_in import StandIn

ACCOUNT = "000000000000"
PAGE = Path(__file__).parents[2] / "docs" / "asking.md"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Stack]:
    """A stack of its own on an AWS that evaluates IAM."""
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as openai, LocalAws.start(auth=True) as aws:
        parameters = {"PixelId": PIXEL_ID, "OpenAiEndpoint": f"{openai.url}/v1/events", "SendEvery": "rate(1 hour)"}
        yield aws.deploy("asked", parameters | {"StorefrontOrigin": "https://northwind-trail.example"}, SECRETS)


@pytest.fixture
def reader(
    guarded: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Relay:
    """The commands with the credentials of a person who has the page's policy."""
    (written,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    policy = written.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT).replace("STACK", guarded.name)
    # On AWS a log group without a name of its own is called after the stack; the emulator calls it by a path.
    policy = policy.replace(f"log-group:{guarded.name}-", f"log-group:/aws/cloudformation/{guarded.name}/")
    # … and takes the call that gets one event source mapping for the one that lists them.
    policy = policy.replace("lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings")
    iam = guarded.client("iam")
    iam.create_user(UserName=tmp_path.name)
    iam.put_user_policy(UserName=tmp_path.name, PolicyName="Asking", PolicyDocument=policy)
    key = iam.create_access_key(UserName=tmp_path.name)["AccessKey"]
    bare = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION, botocore_session=bare)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(guarded.aws.certificate))
    monkeypatch.setattr(deployment, "chosen", lambda _: Deployment(session, guarded.name, guarded.aws.endpoint))
    return Relay(guarded, tmp_path, monkeypatch, capsys)


def test_the_policy_is_enough_for_all_three(guarded: Stack, reader: Relay) -> None:
    assert post_order(guarded, 1) == 200
    assert until(lambda: queue_depth(guarded) == 1)

    for question in (("explain", "7000000000001"), ("explain", "nobody-knows-this"), ("status",), ("check",)):
        _, told = reader.json(*question)
        lacking = re.findall(r"[^\"]*lack the leave[^\"]*", json.dumps(told))
        assert lacking == [], question

    assert reader.run("status")[0] == 0
    assert reader.run("check")[0] == 0


def test_it_lets_nobody_write_or_read_a_raw_body(guarded: Stack, reader: Relay) -> None:
    # Given somebody with that policy, and something parked
    relay = deployment.chosen(None)  # type: ignore[arg-type]
    bucket, table = guarded.resources["ParkingBucket"], guarded.resources["Ledger"]
    guarded.client("s3").put_object(Bucket=bucket, Key="shopify/2026/11/22/a.json", Body=b"{}")

    # Then neither the object may be read, nor anything be written
    for service, action, arguments in (
        ("s3", "get_object", {"Bucket": bucket, "Key": "shopify/2026/11/22/a.json"}),
        ("s3", "delete_object", {"Bucket": bucket, "Key": "shopify/2026/11/22/a.json"}),
        ("dynamodb", "put_item", {"TableName": table, "Item": {"pk": {"S": "x"}}}),
        ("sqs", "receive_message", {"QueueUrl": guarded.resources["Queue"]}),
        ("ssm", "put_parameter", {"Name": f"/{guarded.name}/x", "Value": "x", "Type": "String"}),
    ):
        client = relay.client(service)
        with pytest.raises(client.exceptions.ClientError, match=r"AccessDenied|not authorized"):
            getattr(client, action)(**arguments)
