"""Forwards newly recorded conversions from the ledger's stream to the queue; raises if any of them is not there."""

import os
import time
from typing import Any

import boto3

from conversion_relay.ledger import conversion_in
from conversion_relay.observability import logger
from conversion_relay.queue import Queue
from conversion_relay.settings import Settings

settings = Settings.from_environment(os.environ, "queue_url")
queue = Queue(boto3.client("sqs"), settings.queue_url)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda's signature
    conversions = [conversion_in(record["dynamodb"]["NewImage"]) for record in event["Records"]]
    queue.forward(conversions, time.time_ns() // 1_000_000)
    logger.info("forwarded to the queue", extra={"conversions": len(conversions)})
