"""Drains the queue on a schedule and sends the events to OpenAI in batches."""

import os
import time
from typing import Any

import boto3
import requests

from conversion_relay import observability, parameters
from conversion_relay.aws_json import DynamoDb, Patience
from conversion_relay.ledger import Ledger
from conversion_relay.openai import Blocked, OpenAi, current_key
from conversion_relay.queue import DeadLetters, Queue
from conversion_relay.sender import Sender
from conversion_relay.settings import Settings

settings = Settings.from_environment(
    os.environ, "ledger_table", "queue_url", "dead_letter_queue_url", "openai_key_parameter", "pixel_id"
)
sqs = boto3.client("sqs")
ledger = Ledger.for_settings(DynamoDb(Patience(attempts=5)), settings)
openai_key = parameters.signing_secrets(settings.openai_key_parameter)
session = requests.Session()


@observability.logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    key = current_key(openai_key, settings.openai_key_parameter)
    sender = Sender(
        queue=Queue(sqs, settings.queue_url),
        dead_letters=DeadLetters(sqs, settings.dead_letter_queue_url),
        ledger=ledger,
        openai=OpenAi.for_settings(session, "" if isinstance(key, Blocked) else key, settings),
        clock=lambda: time.time_ns() // 1_000_000,
        remaining_ms=context.get_remaining_time_in_millis,
        mode=settings.delivery_mode,
        no_key=key if isinstance(key, Blocked) else None,
    )
    run = sender.drain()
    observability.ran(run)
    return run.summary()
