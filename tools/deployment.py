"""A deployed relay, as the commands that look into it or act on it see it: on AWS, or the one that ``make up`` runs.

Its resources, outputs and settings are asked of AWS, so that nothing has to be configured a second time. The
credentials are those of the person who runs the command, as the AWS CLI finds them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from conversion_relay.settings import Settings

RUNNING: Final = Path(__file__).parent.parent / "build" / "running.json"
"""Written by ``make up``: where the running relay is, and its dev secrets."""
STACK_VARIABLE: Final = "RELAY_STACK"
RECEIVER_OF: Final = {
    "shopify": "ShopifyReceiver",
    "stripe": "StripeReceiver",
    "callrail": "CallsReceiver",
    "ctm": "CallsReceiver",
    "whatconverts": "CallsReceiver",
    "twilio": "CallsReceiver",
}
"""The logical id of the function that takes a source's webhooks; every other source is the custom receiver's."""
CUSTOM_RECEIVER: Final = "CustomReceiver"

_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=30)
# Beside the local AWS neither the profile nor the AWS files of this person are read.
_NO_PROFILE: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class NoDeployment(Exception):
    """No relay was found; the text says where it was looked for and what to do."""


class _Resources(dict[str, str]):
    """Physical ids by logical id. Asking for one that every relay has, and this stack has not, says just that."""

    def __init__(self, stack: str, found: Mapping[str, str]) -> None:
        super().__init__(found)
        self._stack = stack

    def __missing__(self, name: str) -> str:
        raise NoDeployment(
            f"The stack {self._stack} has no {name}: it is another stack than a relay's, or its deployment did not "
            "succeed. Compare --stack and --region, or deploy it again."
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which relay is meant."""
    parser.add_argument(
        "--stack",
        metavar="NAME",
        default=os.environ.get(STACK_VARIABLE, ""),
        help=f"the deployed stack (default: ${STACK_VARIABLE}, else the relay that make up runs)",
    )
    parser.add_argument("--region", metavar="R", help="its AWS region (default: that of your AWS profile)")
    parser.add_argument("--profile", metavar="P", help="the AWS profile to use (default: as the AWS CLI)")


def chosen(options: argparse.Namespace) -> Deployment:
    """The relay that the options name.

    Raises:
        NoDeployment: there is none.
    """
    if options.stack:
        try:
            session = boto3.Session(profile_name=options.profile, region_name=options.region)
        except BotoCoreError as error:
            raise NoDeployment(f"The AWS credentials cannot be used: {error}") from error
        return Deployment(session, options.stack)
    if not RUNNING.is_file():
        raise NoDeployment(
            f"Name the stack with --stack or in ${STACK_VARIABLE}, or start a relay on this machine with 'make up'."
        )
    local = json.loads(RUNNING.read_text())["aws"]
    return Deployment.local(local["endpoint"], local["region"], local["stack"])


class Deployment:
    """A deployed stack: clients for it, its resources by logical id, its outputs and settings."""

    def __init__(self, session: boto3.Session, stack: str, endpoint: str | None = None) -> None:
        self.stack = stack
        self.endpoint = endpoint
        """Of the local AWS; None on AWS."""
        self._session = session
        self._clients: dict[str, Any] = {}

    @classmethod
    def local(cls, endpoint: str, region: str, stack: str) -> Deployment:
        """A stack on the local AWS; real credentials are never read for it."""
        bare = botocore.session.Session(session_vars=_NO_PROFILE)
        session = boto3.Session("local", "local", region_name=region, botocore_session=bare)
        return cls(session, stack, endpoint)

    @property
    def command_options(self) -> str:
        """What a command that this one recommends needs to mean the same relay, with a blank before it."""
        return "" if self.endpoint else f" --stack {self.stack}"

    def client(self, service: str) -> Any:
        """A boto3 client, made once for each service."""
        if service not in self._clients:
            make: Any = self._session.client  # boto3's stubs know services by literal names only
            config = _CONFIG.merge(Config(s3={"addressing_style": "path"}, proxies={})) if self.endpoint else _CONFIG
            self._clients[service] = make(service, endpoint_url=self.endpoint, config=config)
        return self._clients[service]

    @cached_property
    def resources(self) -> Mapping[str, str]:
        """Physical ids by logical id of the template.

        Raises:
            NoDeployment: there is no such stack, or AWS cannot be asked; later, where the stack is no relay's.
        """
        try:
            pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack)
            found = [each for page in pages for each in page["StackResourceSummaries"]]
        except (ClientError, BotoCoreError) as error:
            # What was ended by force leaves the file that says where it was.
            again = ". If the relay of 'make up' has ended, start it again" if self.endpoint else ""
            raise NoDeployment(f"The stack {self.stack} could not be read: {error}{again}") from error
        ids = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found if "PhysicalResourceId" in each}
        return _Resources(self.stack, ids)

    @cached_property
    def outputs(self) -> Mapping[str, str]:
        """The stack's outputs by name."""
        (described,) = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in described.get("Outputs", [])}

    def environment(self, function: str) -> Mapping[str, str]:
        """The environment variables of a function, by its logical id; none where the stack does not have it."""
        name = self.resources.get(function)
        if name is None:
            return {}
        held = self.client("lambda").get_function_configuration(FunctionName=name)
        return dict(held.get("Environment", {}).get("Variables", {}))

    def settings(self, function: str) -> Settings:
        """The settings that a function runs with."""
        return Settings.from_environment(self.environment(function))
