"""The one path of a delivery, whatever its source: verify, normalize, record, and say what became of it.

::

    the platform tries the address ▶ handshake 200
    no secret ─────────────────────▶ refused 503        verify fails ──▶ refused 401 (400, 403), nothing written
    a defect in verify ────────────▶ failed 500, nothing written
    not understood, or over 6 MB ──▶ parked 200         AWS is down ───▶ failed 500: the source sends again
    Conversion ─▶ recorded | duplicate    Remember ─▶ remembered    PrivacyRequest ─▶ compliance    Ignored ─▶ ignored
    Fetch ─▶ remembered | duplicate
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from conversion_relay.delivery import (
    Conversion,
    Delivery,
    Fetch,
    Ignored,
    NotUnderstood,
    Outcome,
    PrivacyRequest,
    Refused,
    Remember,
    Result,
    Source,
)
from conversion_relay.event import InvalidEvent, without_contents
from conversion_relay.ledger import Contended, LedgerUnavailable
from conversion_relay.parking import ParkingUnavailable
from conversion_relay.secrets import SecretMissing, SecretsUnavailable

if TYPE_CHECKING:
    from conversion_relay.delivery import Memory
    from conversion_relay.event import Event
    from conversion_relay.ledger import Recorded, Written
    from conversion_relay.secrets import Tenant
    from conversion_relay.settings import Settings

MAX_BODY_BYTES: Final = 6 * 1024 * 1024
"""Nothing larger is parsed. Lambda itself takes 6 MB, so this is met only behind another entry point."""
MAX_EVENT_BYTES: Final = 200_000
"""A ledger item holds 400 KB and ten events share a queue batch of 1 MiB. Larger events lose their ``contents``, and
one that is too large even so is parked.
"""
_ATTEMPTS: Final = 8
"""A purchase has five deliveries or more, all at once; in each round one of them gets on."""


class LedgerPort(Protocol):
    """What the receiver needs of the ledger."""

    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Written: ...
    def remember(self, memory: Memory, now_ms: int, tenant: str | None) -> None: ...
    def recall(self, key: str, now_ms: int) -> Mapping[str, Any] | None: ...
    def withdraw(self, key: str, reason: str, now_ms: int) -> None: ...
    def note(self, request: PrivacyRequest, now_ms: int) -> Recorded: ...
    def fetch_later(self, fetch: Fetch, now_ms: int, tenant: str | None) -> Recorded: ...


class ParkingPort(Protocol):
    """What the receiver needs of the parking bucket."""

    def park(self, source: str, delivery: Delivery, reason: str, now_ms: int) -> str: ...


class SecretsPort(Protocol):
    """What the receiver needs of the secrets."""

    def active(self, tenant: Tenant) -> Sequence[str]: ...
    def refreshed(self, now_ms: int, tenant: Tenant) -> Sequence[str] | None: ...


@dataclass(frozen=True, slots=True)
class Receiver:
    """Everything that one source's deliveries need. ``clock`` gives Unix milliseconds, UTC."""

    source: Source
    secrets: SecretsPort
    ledger: LedgerPort
    parking: ParkingPort
    settings: Settings
    clock: Callable[[], int]

    def receive(self, delivery: Delivery) -> Outcome:
        """Take one delivery to its one outcome. Raises nothing: every failure is an outcome too."""
        now_ms = self.clock()
        try:
            handshake = self.source.handshake(delivery)
            if handshake is not None:
                detail = "the platform tried the address, and was answered"
                return Outcome("handshake", 200, "handshake", detail, handshake=handshake)
            self._verify(delivery, now_ms)
        except Refused as refusal:
            return Outcome("refused", refusal.status, refusal.reason, refusal.detail)
        except SecretMissing:
            return Outcome(
                "refused", 503, "secret_missing",
                f"no signing secret is configured for {self.source.name}, so nothing is accepted: "
                "put one into the parameter that the stack's outputs name",
            )  # fmt: skip
        except SecretsUnavailable as error:
            return Outcome("failed", 503, "secrets_unavailable", f"the signing secrets could not be read: {error}")
        except Exception as bug:
            # A defect in a check must neither accept nor crash; once it is mended, the source's next attempt counts.
            detail = f"{type(bug).__name__} in the check of the {self.source.name} source; nothing is accepted"
            return Outcome("failed", 500, "verification_failed", detail)
        outcome = self._recorded_or_failed(delivery, now_ms)
        try:
            return outcome.naming(tuple(self.source.about(delivery)), self.source.topic(delivery))
        except Exception:
            # By now it is written: a defect in its names must not make the platform send it again and again.
            return outcome

    def _recorded_or_failed(self, delivery: Delivery, now_ms: int) -> Outcome:
        try:
            return self._settle(delivery, now_ms)
        except LedgerUnavailable as error:
            if not self.source.retries:
                return self._parked(delivery, now_ms, "ledger_unavailable", str(error), http=500)
            return Outcome("failed", 500, "ledger_unavailable", f"{error}; the source sends the delivery again")

    def _verify(self, delivery: Delivery, now_ms: int) -> None:
        def tenant() -> str | None:
            return self.source.tenant(delivery)

        try:
            self.source.verify(delivery, self.secrets.active(tenant), now_ms)
        except Refused:
            rotated = self.secrets.refreshed(now_ms, tenant)
            if rotated is None:
                raise
            self.source.verify(delivery, rotated, now_ms)

    def _settle(self, delivery: Delivery, now_ms: int) -> Outcome:
        if len(delivery.body) > MAX_BODY_BYTES:
            return self._parked(delivery, now_ms, "too_large", f"the body has {len(delivery.body)} bytes, over 6 MB")
        attempts = 0
        while True:
            try:
                return self._attempted(delivery, now_ms)
            except Contended:
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise

    def _attempted(self, delivery: Delivery, now_ms: int) -> Outcome:
        try:
            result = self._normalized(delivery, now_ms)
            return self._written(result, delivery, now_ms)
        except NotUnderstood as problem:
            if problem.remember is not None:
                self.ledger.remember(problem.remember, now_ms, self.source.tenant(delivery))
            return self._parked(delivery, now_ms, problem.reason, problem.detail)

    def _normalized(self, delivery: Delivery, now_ms: int) -> Result:
        try:
            return self.source.normalize(delivery, self.settings, now_ms, lambda key: self.ledger.recall(key, now_ms))
        except InvalidEvent as problem:
            raise NotUnderstood("invalid_event", f"the event would be refused by OpenAI: {problem}") from problem
        except (NotUnderstood, LedgerUnavailable):
            raise
        except Exception as bug:
            # A defect in a normalizer must not cost a sale: the delivery is kept for replay once the defect is mended.
            raise NotUnderstood("normalizer_failed", f"{type(bug).__name__} in the {self.source.name} source") from bug

    def _written(self, result: Result, delivery: Delivery, now_ms: int) -> Outcome:
        match result:
            case Ignored():
                # Before what is remembered: if that fails, all of it is done again.
                for key in result.withdraws:
                    self.ledger.withdraw(key, result.reason, now_ms)
                if result.remember is not None:
                    self.ledger.remember(result.remember, now_ms, self.source.tenant(delivery))
                return Outcome("ignored", 200, result.reason, result.detail)
            case Conversion():
                result = _fitting(result)
                if result.also:
                    result = replace(result, also=tuple(map(_fitting, result.also)))
                written = self.ledger.record(
                    result,
                    now_ms,
                    source=self.source.name,
                    tenant=self.source.tenant(delivery),
                    delivery=self.source.delivery_id(delivery),
                )
                return _recorded(result, written)
            case Remember():
                self.ledger.remember(result.memory, now_ms, self.source.tenant(delivery))
                return Outcome("remembered", 200, result.reason, result.detail, f"memory#{result.memory.key}")
            case Fetch():
                if self.ledger.fetch_later(result, now_ms, self.source.tenant(delivery)) == "duplicate":
                    detail = "this delivery is noted already, its object is fetched or was"
                    return Outcome("duplicate", 200, "fetch_known", detail, f"fetch#{result.key}")
                detail = f"{self.source.name} is asked for the object after the answer"
                return Outcome("remembered", 200, "to_be_fetched", detail, f"fetch#{result.key}")
            case PrivacyRequest():  # pragma: no branch - there is no other result
                self.ledger.note(result, now_ms)
                return Outcome(
                    "compliance", 200, result.kind, "the privacy request is noted and will be carried out",
                    f"privacy#{result.request_id}",
                )  # fmt: skip

    def _parked(self, delivery: Delivery, now_ms: int, reason: str, detail: str, http: int = 200) -> Outcome:
        try:
            key = self.parking.park(self.source.name, delivery, reason, now_ms)
        except ParkingUnavailable as error:
            next_step = "the source sends" if self.source.retries else "have the source send"
            return Outcome("failed", 500, reason, f"{detail}; {error}; {next_step} the delivery again")
        return Outcome("parked", http, reason, f"{detail}; kept for replay", key)


def _recorded(conversion: Conversion, written: Written) -> Outcome:
    events = {each.key: each.event for each in (conversion, *conversion.also)}
    match (*written.recorded, *written.amended):
        case []:
            return Outcome("duplicate", 200, "duplicate", "this conversion is recorded already", conversion.key)
        case [key, *_] if not written.recorded:
            detail = "this conversion is recorded already; as it was still held, it now says what this delivery knows"
            return Outcome("duplicate", 200, "amended", detail, key)
    key, *also = written.recorded
    detail = "a new conversion, with another that waited for it" if also else "a new conversion"
    return Outcome("recorded", 200, "recorded", detail, key, events[key], tuple(also))


def _fitting(conversion: Conversion) -> Conversion:
    if _size(conversion.event) <= MAX_EVENT_BYTES:
        return conversion
    smaller = replace(conversion, event=without_contents(conversion.event))
    if _size(smaller.event) > MAX_EVENT_BYTES:
        raise NotUnderstood("event_too_large", f"the event has over {MAX_EVENT_BYTES} bytes even without its contents")
    return smaller


def _size(event: Event) -> int:
    return len(event.to_json().encode())
