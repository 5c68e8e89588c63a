"""The click memory's own Function URL: takes what a landing page knows of an ad click, and serves the page's script."""

import os
import secrets
import time
from pathlib import Path
from typing import Any

from conversion_relay import click_endpoint, function_url, journal
from conversion_relay.aws_json import DynamoDb, Patience
from conversion_relay.click_endpoint import ClickEndpoint
from conversion_relay.ledger import Ledger
from conversion_relay.settings import Settings

settings = Settings.from_environment(os.environ, "ledger_table")
endpoint = ClickEndpoint(
    ledger=Ledger.for_settings(DynamoDb(Patience()), settings),
    origins=click_endpoint.origins_of(settings),
    clock=lambda: time.time_ns() // 1_000_000,
    random=secrets.token_bytes,
    script=click_endpoint.script_in(Path(__file__).with_name("relay-click.min.js")),
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    delivery = function_url.delivery_in(event)
    http = (event.get("requestContext") or {}).get("http") or {}
    answer = endpoint.answer(delivery, http.get("sourceIp"), http.get("userAgent"))
    if answer.kind is not None:
        journal.clicked(answer, len(delivery.body))
    return answer.to_lambda()
