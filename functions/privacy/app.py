"""Carries out privacy requests from the ledger's stream: gives out or deletes what is held about a person or shop."""

import os
import time
from typing import Any

import boto3

from conversion_relay import observability
from conversion_relay.privacy import Privacy, request_in
from conversion_relay.settings import Settings

settings = Settings.from_environment(os.environ, "ledger_table", "parking_bucket")
privacy = Privacy(
    boto3.client("dynamodb"),
    settings.ledger_table,
    boto3.client("s3"),
    settings.parking_bucket,
    clock=lambda: time.time_ns() // 1_000_000,
)


@observability.logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda's signature
    for record in event["Records"]:
        request = request_in(record["dynamodb"]["NewImage"])
        observability.carried_out(request, privacy.carry_out(request))
