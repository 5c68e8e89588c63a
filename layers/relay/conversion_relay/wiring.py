"""What the receivers' functions are made of: a receiver for each source, and one request's way through it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from conversion_relay import event_bus, function_url, journal, parameters
from conversion_relay.aws_json import DynamoDb, Patience
from conversion_relay.delivery import Delivery, Outcome, Source
from conversion_relay.ledger import Ledger
from conversion_relay.parking import Parking
from conversion_relay.receive import Receiver
from conversion_relay.secrets import NoSecrets
from conversion_relay.settings import Settings

REQUIRED: Final = ("ledger_table", "parking_bucket", "signing_secrets_path")
"""The settings without which no receiver works."""

PATIENCE: Final = Patience(connect_s=1, read_s=3, attempts=2)
"""How long a receiver waits for AWS. A silent ledger must become an error while there is time to park the delivery:
some platforms never send it again.
"""


class LateS3:
    """boto3's S3 client, made when a delivery is parked for the first time: it costs more than a whole cold start."""

    def __init__(self) -> None:
        self._client: Any = None

    def put_object(self, **request: Any) -> Any:
        """As boto3's."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            config = Config(
                connect_timeout=PATIENCE.connect_s,
                read_timeout=PATIENCE.read_s,
                retries={"mode": "standard", "total_max_attempts": PATIENCE.attempts},
            )
            self._client = boto3.client("s3", config=config)
        return self._client.put_object(**request)


def receivers(sources: Iterable[Source], settings: Settings, *, folder: str = "") -> Mapping[str, Receiver]:
    """A receiver for each source, by its name; its secrets are in the parameter ``<SIGNING_SECRETS_PATH>/<name>``.

    ``folder``: where in the parking bucket all of them are kept, for sources whose names no role can know.
    """
    ledger = Ledger.for_settings(DynamoDb(PATIENCE), settings)
    parking = Parking(LateS3(), settings.parking_bucket, folder)
    return {
        source.name: Receiver(
            source=source,
            secrets=parameters.signing_secrets(f"{settings.signing_secrets_path}/{source.name}"),
            ledger=ledger,
            parking=parking,
            settings=settings,
            clock=lambda: time.time_ns() // 1_000_000,
        )
        for source in sources
    }


def take(event: Mapping[str, Any], receivers: Mapping[str, Receiver], settings: Settings) -> dict[str, Any]:
    """Take one request of a Function URL through the receiver that its path names, and answer it.

    Where a function has one source, every path is that source's. An event of EventBridge goes the same way, without a
    signature: `event_bus` says why.

    Raises:
        event_bus.NotTaken: an event of EventBridge could neither be recorded nor parked; Lambda runs it again.
    """
    if event_bus.is_envelope(event):
        return _take_from_bus(event, receivers, settings)
    delivery = function_url.delivery_in(event, origin=settings.public_origin)
    receiver = addressed(delivery, receivers)
    if receiver is None:
        known = ", ".join(f"/{name}" for name in receivers)
        outcome = Outcome("refused", 404, "unknown_path", f"no source has this path; there are {known}")
        journal.unaddressed(delivery, outcome)
    else:
        outcome = receiver.receive(delivery)
        journal.delivered(receiver.source, delivery, outcome)
    return function_url.answer(outcome)


def _take_from_bus(
    envelope: Mapping[str, Any], receivers: Mapping[str, Receiver], settings: Settings
) -> dict[str, Any]:
    source = event_bus.source_of(envelope, settings)
    receiver = receivers.get(source or "")
    if source is None or receiver is None:
        outcome = Outcome(
            "refused", 403, "unknown_event_source",
            "the event is not of the partner event source that this function's settings name",
        )  # fmt: skip
        journal.unaddressed(Delivery("POST", "/", "", {}, b""), outcome)
        return function_url.answer(outcome)
    delivery = event_bus.delivery_in(envelope, source)
    outcome = trusting_the_bus(receiver).receive(delivery)
    journal.delivered(receiver.source, delivery, outcome)
    if outcome.kind == "failed":
        raise event_bus.NotTaken(f"{outcome.reason}: {outcome.detail}")
    return function_url.answer(outcome)


def trusting_the_bus(receiver: Receiver) -> Receiver:
    """The receiver for what its source's bus hands over: the same path, without a signature (see `event_bus`).

    The platform has done its part once the event is on the bus and never sends it again, so what the ledger does not
    take is parked at once, where replay and privacy requests find it.
    """
    source = replace(receiver.source, verify=lambda *_: None, retries=False)
    return replace(receiver, source=source, secrets=NoSecrets())


def addressed(delivery: Delivery, receivers: Mapping[str, Receiver]) -> Receiver | None:
    """The receiver of the last part of the path that is a source's name: ``/ctm``, ``/webhooks/ctm/end``."""
    if len(receivers) == 1:
        return next(iter(receivers.values()))
    return next((receivers[part] for part in reversed(delivery.path.split("/")) if part in receivers), None)
