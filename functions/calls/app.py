"""Receives the webhooks of call platforms at one Function URL; the path says whose a delivery is."""

import os
from typing import Any

from conversion_relay import wiring
from conversion_relay.settings import Settings
from conversion_relay.sources import callrail, calltrackingmetrics, twilio, whatconverts

settings = Settings.from_environment(os.environ, *wiring.REQUIRED)
receivers = wiring.receivers(
    [callrail.SOURCE, calltrackingmetrics.SOURCE, whatconverts.SOURCE, twilio.SOURCE], settings
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    return wiring.take(event, receivers, settings)
