"""The ledger and the parking bucket in a dictionary, for answering "what would the relay make of this?" without AWS.

They keep the promises of `conversion_relay.ledger` and `conversion_relay.parking`; a contract test holds both to the
same scenarios.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conversion_relay.ledger import AMEND_MARGIN_MS, DAY_S, Contended, Written
from conversion_relay.secrets import SecretMissing, Tenant

if TYPE_CHECKING:
    from conversion_relay.delivery import Conversion, Delivery, Fetch, Memory, PrivacyRequest
    from conversion_relay.ledger import Recorded


@dataclass(slots=True)
class InMemoryLedger:
    """Conversions, memories and privacy requests by key."""

    conversions: dict[str, dict[str, Any]] = field(default_factory=dict)
    memories: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)
    requests: dict[str, PrivacyRequest] = field(default_factory=dict)
    held_until_ms: dict[str, int] = field(default_factory=dict)
    fetches: dict[str, Fetch] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Written:
        """As `Ledger.record`."""
        told = (conversion, *conversion.also)
        new = [each for each in told if each.key not in self.conversions and each.key not in self.withdrawn]
        better = [each for each in told if each.amends and self._is_amended_by(each, now_ms)]
        if conversion.remember is not None:
            self.remember(conversion.remember, now_ms)
        self.conversions |= {each.key: each.event.wire() for each in (*new, *better)}
        self.held_until_ms |= {each.key: now_ms + each.hold_s * 1000 for each in new if each.hold_s}
        return Written([each.key for each in new], [each.key for each in better])

    def _is_amended_by(self, conversion: Conversion, now_ms: int) -> bool:
        return self._is_held(conversion.key, now_ms) and self.conversions[conversion.key] != conversion.event.wire()

    def _is_held(self, key: str, now_ms: int) -> bool:
        return self.held_until_ms.get(key, 0) > now_ms + AMEND_MARGIN_MS

    def withdraw(self, key: str, reason: str, now_ms: int) -> None:
        """As `Ledger.withdraw`."""
        if key not in self.conversions or self._is_held(key, now_ms):
            self.conversions.pop(key, None)
            self.held_until_ms.pop(key, None)
            self.withdrawn.add(key)

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

    def fetch_later(self, fetch: Fetch, now_ms: int, tenant: str | None = None) -> Recorded:
        """As `Ledger.fetch_later`."""
        if fetch.key in self.fetches:
            return "duplicate"
        self.fetches[fetch.key] = fetch
        return "recorded"

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
