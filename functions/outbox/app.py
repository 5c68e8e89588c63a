"""Forwards what is new in the ledger's stream: conversions to the sender's queue, objects to fetch to that of the fetch
function. Raises if any of it is not there.
"""

import os
import time
from typing import Any

import boto3

from conversion_relay import journal
from conversion_relay.ledger import conversions_in, fetches_in
from conversion_relay.queue import Queue
from conversion_relay.settings import Settings

settings = Settings.from_environment(os.environ, "queue_url")
sqs = boto3.client("sqs")
queue = Queue(sqs, settings.queue_url)
fetch_queue = Queue(sqs, settings.fetch_queue_url)


def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda's signature
    images = [record["dynamodb"]["NewImage"] for record in event["Records"]]
    conversions, fetches = conversions_in(images), fetches_in(images)
    now_ms = time.time_ns() // 1_000_000
    queue.forward(conversions, now_ms)
    if settings.fetch_queue_url:  # without one, fetching was switched off meanwhile; the stream must go on
        fetch_queue.forward(fetches, now_ms)
    journal.forwarded(len(conversions), len(fetches))
