"""One webhook request on its way through the relay, and what can become of it.

What a source's ``normalize`` answers::

    Conversion   a business fact to report            -> recorded, or duplicate
    Remember     a fact that a later delivery needs   -> remembered
    Fetch        the platform holds what it is about  -> remembered, fetched after the answer
    PrivacyRequest  somebody's data is to be given out or deleted -> compliance
    Ignored      nothing to report, and why           -> ignored

and what it, or ``verify``, raises::

    Refused        the signature, token or time is wrong or missing -> refused, nothing is written
    NotUnderstood  the signature is good, the content makes no sense -> parked raw for replay
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from conversion_relay.event import Event
    from conversion_relay.settings import Settings


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook request as it came in. ``headers`` have lower-case names; ``query`` is raw, without its ``?``.

    ``origin`` is the scheme and host that the sender called: some platforms sign the whole address.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a platform wants to see, once, before it sends anything: usually what it asked with, sent back."""

    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


class Refused(Exception):
    """The sender has not proved who it is. ``status`` is the HTTP answer that the platform expects."""

    def __init__(self, reason: str, detail: str, status: int = 401) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = status


class NotUnderstood(Exception):
    """A verified delivery that the code cannot make sense of. The text says what is wrong, without the content."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.remember: Memory | None = None
        """What it tells all the same: written before it is parked."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to report. ``reason`` is a stable word for logs and counts, ``detail`` a sentence for people.

    ``remember`` is for what is nothing to report by itself, but may turn out otherwise: a payment that is a renewal
    unless the beginning of a trial arrives late.

    ``withdraws`` are ledger keys of conversions that must not go out, because consent was refused: what another
    delivery has recorded under them is taken back as long as it is held, and what comes later counts as known.
    """

    reason: str
    detail: str
    remember: Memory | None = None
    withdraws: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """A short-lived fact for a later delivery.

    ``replaces`` is the ``version`` that the writer has read (None: there was none); the write holds only if that is
    still so, which makes read-then-write safe against a twin delivery.
    """

    key: str
    facts: Mapping[str, Any]
    version: str
    ttl_days: int
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """A business fact to report once. ``subject`` is ``<source>:<object id>``; with the type it is the ledger key.

    ``also`` are further conversions that this delivery settles: a payment that waited for the trial that this one
    reports. They are written together with it and with what is remembered, or nothing is.

    ``hold_s``: do not send it before so many seconds have passed, because a delivery that is due any moment may tell
    more. ``amends``: if the conversion is recorded already and still held, this event takes the place of the recorded
    one. The source answers for it that the event sent does not depend on the order of the deliveries.
    """

    event: Event
    subject: str
    remember: Memory | None = None
    also: Sequence[Conversion] = ()
    hold_s: int = 0
    amends: bool = False

    @property
    def key(self) -> str:
        """The ledger key, the same for every delivery of this conversion whatever event id it carries."""
        return f"{self.event.name}#{self.subject}"


@dataclass(frozen=True, slots=True)
class Remember:
    """Nothing to report yet, but a fact that a later delivery needs."""

    memory: Memory
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fetch:
    """The delivery names an object that it does not hold. It is fetched once the delivery is answered.

    ``key`` is ``<source>:<delivery id>``; ``facts`` say what to fetch: ids, a type, a time, nothing about a person.
    """

    key: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PrivacyRequest:
    """A duty of the privacy laws, by the platform's order. Holds no raw personal data: digests and ids only.

    ``digests`` are those that an event about the person would carry, ``subjects`` those of its conversions.
    """

    kind: Literal["give_out", "erase_person", "erase_tenant"]
    request_id: str
    tenant: str
    digests: Sequence[str] = ()
    subjects: Sequence[str] = ()


Result = Conversion | Remember | Fetch | PrivacyRequest | Ignored


class Recall(Protocol):
    """Reads what the ledger table remembers under a key: a memory's facts, or a recorded conversion."""

    def __call__(self, key: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A platform that sends webhooks. One module in ``sources/`` makes one.

    ``tenant`` names whose delivery it is (a shop, an account), also before it is verified. ``retries`` says whether the
    platform sends a delivery again after a 5xx; what cannot be recorded of one that does not is parked before the
    answer. ``handshake`` answers a platform that tries the address before it signs anything; it must tell nothing that
    the request did not hold.

    ``about`` names, for the log, the objects that a verified delivery is about, as ledger subjects name them
    (``shopify:6184203910411``), and by what people call them (``#1001``); ``topic`` is the platform's word for what has
    happened. Both say ids and words of the platform only, nothing of a person, and raise for no body whatever.
    """

    name: str
    verify: Callable[[Delivery, Sequence[str], int], None]
    normalize: Callable[[Delivery, Settings, int, Recall], Result]
    delivery_id: Callable[[Delivery], str | None]
    tenant: Callable[[Delivery], str | None]
    retries: bool = True
    handshake: Callable[[Delivery], Handshake | None] = lambda _: None
    about: Callable[[Delivery], Sequence[str]] = lambda _: ()
    topic: Callable[[Delivery], str | None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery: the answer to the sender, and the one line in the log.

    ``also`` are the keys of further conversions that were recorded with the first. ``about`` and ``topic`` are what the
    source names the delivery by, and empty where it is not verified: nobody else may write into the log.
    """

    kind: Literal[
        "recorded", "duplicate", "ignored", "remembered", "compliance", "parked", "refused", "failed", "handshake"
    ]  # fmt: skip
    http: int
    reason: str
    detail: str
    key: str | None = None
    event: Event | None = None
    also: Sequence[str] = ()
    handshake: Handshake | None = None
    about: Sequence[str] = ()
    topic: str | None = None

    def naming(self, about: Sequence[str], topic: str | None) -> Outcome:
        """The same, with what the source names the delivery by. (`dataclasses.replace` takes four times as long.)"""
        return Outcome(
            self.kind,
            self.http,
            self.reason,
            self.detail,
            self.key,
            self.event,
            self.also,
            self.handshake,
            about,
            topic,
        )
