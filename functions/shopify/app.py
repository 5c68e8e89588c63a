"""Receives Shopify's webhooks at its own Function URL and answers within Shopify's five seconds."""

import os
from typing import Any

from conversion_relay import wiring
from conversion_relay.settings import Settings
from conversion_relay.sources import shopify

settings = Settings.from_environment(os.environ, *wiring.REQUIRED)
receivers = wiring.receivers([shopify.SOURCE], settings)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    return wiring.take(event, receivers, settings)
