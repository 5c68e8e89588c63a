"""The parking bucket in a dictionary."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, ReadTimeoutError

from tests.simulation.faults import REFUSED

if TYPE_CHECKING:
    from tests.simulation.invocation import Invocation

CALL_MS: Final = 30


def s3_error(dice: random.Random, fault: str) -> Exception:
    """What boto3 raises in the end."""
    if fault != REFUSED:
        return ReadTimeoutError(endpoint_url="https://s3.simulated")
    code = dice.choice(("SlowDown", "InternalError", "ServiceUnavailable"))
    return ClientError({"Error": {"Code": code}}, "PutObject")


class S3Client:
    """What the relay uses of boto3's client, in one invocation. ``objects`` are by key."""

    def __init__(self, objects: dict[str, bytes], invocation: Invocation) -> None:
        self._objects = objects
        self._invocation = invocation

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:  # noqa: N803
        """As boto3's."""
        fault = self._invocation.begin("S3", "PutObject", CALL_MS, s3_error)
        self._objects[Key] = Body
        self._invocation.writes += 1
        if fault is not None:
            self._invocation.end(fault, s3_error)
        return {}
