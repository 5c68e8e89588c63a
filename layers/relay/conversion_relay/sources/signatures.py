"""What the sources' signature checks have in common: making a signature, comparing it, reading what is not verified."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from conversion_relay.delivery import NotUnderstood
from conversion_relay.payload import parse_object

LARGEST_UNVERIFIED_BYTES: Final = 1_000_000
"""Nothing larger is parsed before it is verified: anybody may post to the address."""


def hmac_base64(secret: str, message: bytes, algorithm: Callable[..., Any]) -> str:
    """The HMAC of a message in base64, as most platforms write it; ``algorithm`` is one of `hashlib`'s."""
    return base64.b64encode(hmac.digest(secret.encode(), message, algorithm)).decode()


def is_one_of(given: str, expected: Iterable[str]) -> bool:
    """Whether a text is one of those expected, compared in constant time.

    All of them are compared, also after a match, so that the time taken tells nothing.
    """
    encoded = given.encode("utf-8", "replace")
    matches = [hmac.compare_digest(each.encode("utf-8", "replace"), encoded) for each in expected]
    return any(matches)


def claims_of(body: bytes) -> Mapping[str, Any]:
    """What a JSON body that is not verified yet says of itself: nothing where it is too large or no object."""
    if len(body) > LARGEST_UNVERIFIED_BYTES:
        return {}
    try:
        return parse_object(body)
    except NotUnderstood:
        return {}
