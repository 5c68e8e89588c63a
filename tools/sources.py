"""The sources by name, for the tools: how to sign a sample, and the receiver that the Lambda function would be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from conversion_relay.delivery import Source
from conversion_relay.receive import LedgerPort, ParkingPort, Receiver, SecretsPort
from conversion_relay.settings import Settings
from conversion_relay.sources import callrail, calltrackingmetrics, custom, shopify, stripe, twilio, whatconverts
from tools import platforms

PLATFORMS: Final = platforms.shipped()
"""The custom platforms by name: what their files say."""

SOURCES: Final[Mapping[str, Source]] = {
    **{
        source.name: source
        for source in (
            shopify.SOURCE,
            stripe.SOURCE,
            callrail.SOURCE,
            calltrackingmetrics.SOURCE,
            whatconverts.SOURCE,
            twilio.SOURCE,
        )
    },
    **{name: custom.source(name, definition) for name, definition in PLATFORMS.items()},
}


def secret_name(source: str) -> str:
    """What a source's parameter is called below ``signing-secrets/``."""
    return f"{custom.FOLDER}/{source}" if source in PLATFORMS else source


def receiver_for(
    name: str,
    secrets: SecretsPort,
    ledger: LedgerPort,
    parking: ParkingPort,
    settings: Settings,
    clock: Callable[[], int],
) -> Receiver | None:
    """The receiver of a source as its Lambda function makes it, over the given ports; None for an unknown name."""
    source = SOURCES.get(name)
    return None if source is None else Receiver(source, secrets, ledger, parking, settings, clock)
