"""Fetches the objects that Stripe's thin events name, and records what they say; raises when one has to come again."""

import functools
import os
import time
from typing import Any

import boto3
import requests

from conversion_relay import journal, observability, parameters
from conversion_relay.fetch import SOURCE, Fetcher
from conversion_relay.ledger import Ledger
from conversion_relay.parking import Parking
from conversion_relay.settings import Settings
from conversion_relay.stripe_api import StripeApi

settings = Settings.from_environment(os.environ, "ledger_table", "parking_bucket", "stripe_api_key_parameter")
key = parameters.signing_secrets(settings.stripe_api_key_parameter)
ledger = Ledger.for_settings(boto3.client("dynamodb"), settings)
parking = Parking(boto3.client("s3"), settings.parking_bucket)
session = requests.Session()


@observability.logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: object) -> None:  # noqa: ARG001 - Lambda's signature
    fetcher = Fetcher(
        api=StripeApi(session, settings.stripe_api_endpoint, key.active()[0]),
        ledger=ledger,
        parking=parking,
        settings=settings,
        clock=lambda: time.time_ns() // 1_000_000,
        report=functools.partial(journal.delivered, SOURCE),
    )
    for record in event["Records"]:
        fetcher.fetch(record["body"])
