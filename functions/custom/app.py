"""Receives webhooks of any platform that a file in platforms/ describes, each under the path of its name."""

import os
from pathlib import Path
from typing import Any

from conversion_relay import wiring
from conversion_relay.settings import Settings
from conversion_relay.sources import custom

settings = Settings.from_environment(os.environ, *wiring.REQUIRED)
sources = custom.sources_in(Path(__file__).with_name("platforms.json"))
receivers = wiring.receivers(sources, settings, folder=custom.FOLDER)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    return wiring.take(event, receivers, settings)
