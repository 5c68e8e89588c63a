"""``make delete``: what it says before, and that what stays is there and named with the command that deletes it."""

import sys
from pathlib import Path

import pytest

from tests.integration.stack import OPENAI_KEY, PIXEL_ID, SECRET
from tools import removal
from tools.deployment import Deployment
from tools.local_aws import REGION, Stack


@pytest.fixture
def leaving(stack: Stack) -> Stack:
    """A second stack, with secrets, that is to be deleted."""
    return stack.aws.deploy("leaving", {"PixelId": PIXEL_ID}, {"openai": OPENAI_KEY, "shopify": SECRET})


def delete(stack: Stack, folder: Path, *, agree: bool) -> int:
    """`make delete` with a stand-in for the SAM CLI that asks nobody, and does its one call to CloudFormation."""
    program = folder / "sam"
    options = f"endpoint_url={stack.aws.endpoint!r}, region_name={REGION!r}"
    program.write_text(
        f"""#!{sys.executable}
import boto3, sys
assert sys.argv[1:] == ["delete", "--stack-name", "leaving", "--region", {REGION!r}], sys.argv
cloudformation = boto3.client("cloudformation", {options}, aws_access_key_id="local", aws_secret_access_key="local")
if {agree}:
    cloudformation.delete_stack(StackName="leaving")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="leaving", WaiterConfig={{"Delay": 1}})
""",
        encoding="utf-8",
    )
    program.chmod(0o700)
    return removal.main(["dev", "--sam", str(program)], Deployment.local(stack.aws.endpoint, REGION, "leaving"))


def test_what_a_deleted_stack_leaves_is_said_with_the_commands_that_delete_it(
    leaving: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, bucket, queue = (leaving.resources[name] for name in ("Ledger", "ParkingBucket", "Queue"))
    leaving.client("sqs").send_message(QueueUrl=queue, MessageBody="{}")
    # When somebody asks to delete it and thinks better of it, then it is still there
    assert delete(leaving, tmp_path, agree=False) == 1
    told = capsys.readouterr().out
    assert "On its queue: 1 event, lost with it." in told
    assert table in told
    assert bucket in told
    assert "The stack leaving is still there." in told
    # When they agree, then it is gone, but not the ledger, the bucket and the secrets
    assert delete(leaving, tmp_path, agree=True) == 0
    last = capsys.readouterr().out.partition("is gone. To delete what is left of it for good:")[2]
    commands = [line.strip() for line in last.splitlines() if line.strip()]
    assert commands == [
        f"aws dynamodb delete-table --table-name {table} --region {REGION}",
        f"aws s3 rm s3://{bucket} --recursive --region {REGION}",
        f"aws s3 rb s3://{bucket} --region {REGION}",
        "aws ssm delete-parameters --names /leaving/openai-conversions-key /leaving/signing-secrets/shopify "
        f"--region {REGION}",
    ]
    assert leaving.client("dynamodb").describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE"
    leaving.client("s3").head_bucket(Bucket=bucket)
    # And asked once more, it says that there is nothing
    assert delete(leaving, tmp_path, agree=True) == 2


def test_an_environment_that_samconfig_does_not_have_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert removal.main(["production", "--sam", "sam"]) == 2
    assert "ENV is one of dev, prod" in capsys.readouterr().err
