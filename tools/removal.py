"""Deletes a stack and says what is left: ``make delete ENV=dev``.

`sam delete` asks before it does anything. The template keeps the ledger table and the parking bucket (DeletionPolicy
RetainExceptOnCreate), and the secrets were never part of the stack: without a word about it they would cost and hold
personal data for ever. So this names them first, has the stack deleted, looks whether they are still there, and prints
the commands that delete them for good.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deployment import Deployment, NoDeployment
from tools.samconfig import UnknownEnvironment, environment
from tools.template import read
from tools.wording import count

RETAINED: Final = ("Retain", "RetainExceptOnCreate")


class Left:
    """What a stack leaves behind when it is deleted."""

    def __init__(self, relay: Deployment) -> None:
        self._relay = relay
        kept = {
            name: each["Type"] for name, each in read()["Resources"].items() if each.get("DeletionPolicy") in RETAINED
        }
        named = {name: relay.resources[name] for name in kept if name in relay.resources}
        self.tables = [named[name] for name, kind in kept.items() if kind == "AWS::DynamoDB::Table" and name in named]
        self.buckets = [named[name] for name, kind in kept.items() if kind == "AWS::S3::Bucket" and name in named]

    def waiting(self) -> int:
        """Events on the queue: with the stack they are gone, unsent."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        held = self._relay.client("sqs").get_queue_attributes(
            QueueUrl=self._relay.resources["Queue"], AttributeNames=names
        )
        return sum(int(held["Attributes"][name]) for name in names)

    def secrets(self) -> list[str]:
        """The names of the secrets below the stack's name in the Parameter Store, which a person made."""
        pages = (
            self._relay.client("ssm")
            .get_paginator("describe_parameters")
            .paginate(ParameterFilters=[{"Key": "Path", "Option": "Recursive", "Values": [f"/{self._relay.stack}"]}])
        )
        return sorted(each["Name"] for page in pages for each in page["Parameters"])

    def still_there(self) -> Left:
        """The same, without what has gone meanwhile."""
        dynamodb, s3 = self._relay.client("dynamodb"), self._relay.client("s3")
        self.tables = [name for name in self.tables if _exists(dynamodb.describe_table, TableName=name)]
        self.buckets = [name for name in self.buckets if _exists(s3.head_bucket, Bucket=name)]
        return self

    def commands(self, secrets: Sequence[str]) -> list[str]:
        """What deletes it all for good, one command a line."""
        lines = [f"aws dynamodb delete-table --table-name {name}" for name in self.tables]
        for name in self.buckets:
            lines += [f"aws s3 rm s3://{name} --recursive", f"aws s3 rb s3://{name}"]
        # The Parameter Store takes ten names in one request.
        lines += [
            f"aws ssm delete-parameters --names {' '.join(secrets[start : start + 10])}"
            for start in range(0, len(secrets), 10)
        ]
        return lines


def _exists(ask: Any, **what: str) -> bool:
    try:
        ask(**what)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NoSuchBucket", "404"):
            return False
        raise
    return True


def _is_deployed(relay: Deployment) -> bool:
    try:
        (stack,) = relay.client("cloudformation").describe_stacks(StackName=relay.stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return False
        raise
    return bool(stack["StackStatus"] != "DELETE_COMPLETE")


def announce(left: Left, relay: Deployment) -> None:
    """Say, before anything is asked, what will go and what will stay."""
    waiting = left.waiting()
    print(f"The stack {relay.stack} goes with its addresses, functions, queues, alarms and logs.")
    if waiting:
        print(
            f"On its queue: {count(waiting, 'event')}, lost with it. To send first what can be sent: invoke the sender."
        )
    print("What stays, with all that is in it:")
    for name in left.tables:
        print(f"  DynamoDB table  {name}   knows what has been counted")
    for name in left.buckets:
        print(f"  S3 bucket       {name}   deletes what is in it after 30 days")
    print(
        "A stack that is made again does not take these up: it begins with an empty ledger, and gets other addresses."
    )


def main(arguments: Sequence[str] | None = None, relay: Deployment | None = None) -> int:
    """Delete the stack of an environment; the exit status.

    ``relay``: for tests, the deployment in place of the one that samconfig.toml names.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.removal", description=__doc__)
    parser.add_argument("env", help="a section of samconfig.toml: dev or prod")
    parser.add_argument("--sam", required=True, help="the SAM CLI's program")
    options = parser.parse_args(arguments)
    try:
        chosen = environment(options.env)
        if relay is None:
            relay = Deployment(boto3.Session(profile_name=chosen.profile, region_name=chosen.region), chosen.stack)
        left, secrets = Left(relay), Left(relay).secrets()
        announce(left, relay)
        sys.stdout.flush()  # before the words of another program
        places = _places(relay, chosen.profile)
        subprocess.run([options.sam, "delete", "--stack-name", relay.stack, *places], check=False)
        if _is_deployed(relay):
            print(f"\nThe stack {relay.stack} is still there.")
            return 1
        commands = left.still_there().commands(secrets)
    except (UnknownEnvironment, NoDeployment, ClientError, BotoCoreError) as problem:
        print(f"The stack of ENV={options.env} could not be deleted: {problem}", file=sys.stderr)
        return 2
    print(f"\nThe stack {relay.stack} is gone. To delete what is left of it for good:\n")
    print("\n".join(f"  {' '.join([line, *places])}" for line in commands))
    return 0


def _places(relay: Deployment, profile: str | None) -> list[str]:
    region: Mapping[str, str] = {"--region": relay.client("cloudformation").meta.region_name}
    named = {**region, **({"--profile": profile} if profile else {})}
    return [part for pair in named.items() for part in pair]


if __name__ == "__main__":
    sys.exit(main())
