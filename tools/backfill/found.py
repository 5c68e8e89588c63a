"""What a platform's API had: an object as the delivery that its webhook would have been."""

from __future__ import annotations

from dataclasses import dataclass

from conversion_relay.delivery import Delivery


@dataclass(frozen=True, slots=True)
class Found:
    """``id`` and ``topic`` for people; ``happened_ms`` (Unix ms) and then ``number`` say which came first."""

    id: str
    topic: str
    happened_ms: int
    number: int
    delivery: Delivery
