"""The ledger and the parking bucket in a dictionary, for answering "what would the relay make of this?" without AWS.

They keep the promises of `conversion_relay.ledger` and `conversion_relay.parking`; a contract test holds both to the
same scenarios.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conversion_relay.ledger import DAY_S, Contended
from conversion_relay.secrets import SecretMissing, Tenant

if TYPE_CHECKING:
    from conversion_relay.delivery import Conversion, Delivery, Memory, PrivacyRequest
    from conversion_relay.ledger import Recorded


@dataclass(slots=True)
class InMemoryLedger:
    """Conversions, memories and privacy requests by key."""

    conversions: dict[str, dict[str, Any]] = field(default_factory=dict)
    memories: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    requests: dict[str, PrivacyRequest] = field(default_factory=dict)

    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Recorded:
        """As `Ledger.record`."""
        new = [each for each in (conversion, *conversion.also) if each.key not in self.conversions]
        if not new:
            return "duplicate"
        if conversion.remember is not None:
            self.remember(conversion.remember, now_ms)
        self.conversions |= {each.key: each.event.wire() for each in new}
        return "recorded"

    def remember(self, memory: Memory, now_ms: int, tenant: str | None = None) -> None:
        """As `Ledger.remember`."""
        known = self.recall(f"memory#{memory.key}", now_ms)
        if (known["version"] if known else None) != memory.replaces:
            raise Contended("another delivery changed what is remembered at the same time")
        facts = {**memory.facts, "version": memory.version}
        self.memories[f"memory#{memory.key}"] = (facts, now_ms // 1000 + memory.ttl_days * DAY_S)

    def recall(self, key: str, now_ms: int) -> Mapping[str, Any] | None:
        """As `Ledger.recall`."""
        facts, expires_at = self.memories.get(key, (None, 0))
        if facts is not None and expires_at > now_ms // 1000:
            return facts
        return self.conversions.get(key)

    def note(self, request: PrivacyRequest, now_ms: int) -> Recorded:
        """As `Ledger.note`."""
        if request.request_id in self.requests:
            return "duplicate"
        self.requests[request.request_id] = request
        return "recorded"


@dataclass(slots=True)
class InMemoryParking:
    """Parked deliveries by key."""

    parked: dict[str, Delivery] = field(default_factory=dict)

    def park(self, source: str, delivery: Delivery, reason: str, now_ms: int) -> str:
        """As `Parking.park`."""
        key = f"{source}/{reason}/{hashlib.sha256(delivery.body).hexdigest()[:32]}.json"
        self.parked[key] = delivery
        return key


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """Signing secrets that are simply there."""

    secrets: Sequence[str]

    def active(self, tenant: Tenant) -> Sequence[str]:
        """The secrets; `SecretMissing` when there are none."""
        if not self.secrets:
            raise SecretMissing("no secret was given")
        return self.secrets

    def refreshed(self, now_ms: int, tenant: Tenant) -> Sequence[str] | None:
        """Nothing new ever."""
        return None
