"""Receives Stripe's webhooks at its own Function URL: nothing calls out before the answer."""

import os
import time
from typing import Any

import boto3

from conversion_relay import function_url, observability, parameters
from conversion_relay.ledger import Ledger
from conversion_relay.parking import Parking
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from conversion_relay.sources import stripe

settings = Settings.from_environment(os.environ, "ledger_table", "parking_bucket", "signing_secrets_parameter")
receiver = Receiver(
    source=stripe.SOURCE,
    secrets=parameters.signing_secrets(settings.signing_secrets_parameter),
    ledger=Ledger.for_settings(boto3.client("dynamodb"), settings),
    parking=Parking(boto3.client("s3"), settings.parking_bucket),
    settings=settings,
    clock=lambda: time.time_ns() // 1_000_000,
)


@observability.logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    delivery = function_url.delivery_in(event)
    outcome = receiver.receive(delivery)
    observability.delivered(receiver.source, delivery, outcome)
    return function_url.answer(outcome)
