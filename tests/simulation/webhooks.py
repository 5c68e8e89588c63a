"""A platform that sends webhooks, simulated: what it tells, in how many deliveries, and what has to come of it.

It meets the relay where Shopify and Stripe do, at `conversion_relay.delivery.Source`, and does in few lines what their
normalizers do: conversions told by several topics, held and amended ones, conversions that wait for another, facts to
remember, and everything that is no conversion.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from conversion_relay import event
from conversion_relay.delivery import (
    Conversion,
    Delivery,
    Ignored,
    Memory,
    NotUnderstood,
    Recall,
    Refused,
    Remember,
    Result,
    Source,
)
from conversion_relay.settings import Settings
from tests.simulation.openai import Identity

SECRET: Final = "the simulated platform's secret"
PERSONAL: Final = ("zq.personal", "5550199", "Zqpersonal")
"""What every delivery of the platform holds of a person, and nothing but the parking bucket may: mail, phone, name."""
HOLD_S: Final = 600
MEMORY_DAYS: Final = 30
PARTS: Final = 3

Normalize = Callable[[Mapping[str, Any], Recall], Result]


def _verify(delivery: Delivery, secrets: Sequence[str], _: int) -> None:
    if delivery.headers.get("signature") not in secrets:
        raise Refused("signature_mismatch", "the signature fits none of the secrets")


def _normalize(delivery: Delivery, _: Settings, __: int, recall: Recall) -> Result:
    told = json.loads(delivery.body)
    return TOPICS[delivery.headers["topic"]](told, recall)


def _event(told: Mapping[str, Any], kind: str, *, amount: int = 100) -> event.Event:
    # Parsing is what the contract's own tests are for; here a thousand deliveries tell of the same few conversions.
    return _parsed(kind, told["n"], told["ts"], told.get("pixel") or f"{told['source']}:{told['n']}", amount)


@lru_cache(maxsize=4096)
def _parsed(kind: str, number: int, timestamp_ms: int, event_id: str, amount: int) -> event.Event:
    digest = hashlib.sha256(f"{PERSONAL[0]}.{number}@example.com".encode()).hexdigest()
    return event.parse(
        {
            "id": event_id,
            "type": kind,
            "timestamp_ms": timestamp_ms,
            "action_source": "offline",
            "user": {"emails_sha256": [digest]},
            "data": {"type": event.DATA_TYPE[kind], "amount": amount, "currency": "USD"},
        }
    )


def _sale(told: Mapping[str, Any], _: Recall) -> Result:
    return Conversion(_event(told, "order_created"), _subject(told))


def _part(told: Mapping[str, Any], recall: Recall) -> Result:
    """One of the deliveries that tell a purchase together: the event says what is known by now, and waits for more."""
    key = f"parts#{_subject(told)}"
    known = recall(f"memory#{key}")
    parts = sorted({told["part"], *(known["parts"] if known else ())})
    version = "".join(map(str, parts))
    # As Stripe's session: the last part alone knows the pixel's id, and whatever came before it is sent under that.
    named = {**told, "pixel": f"pixel-{told['n']}" if PARTS - 1 in parts else None}
    return Conversion(
        _event(named, "subscription_created", amount=sum(10**part for part in parts)),
        _subject(told),
        Memory(key, {"parts": parts}, version, MEMORY_DAYS, known["version"] if known else None),
        hold_s=0 if len(parts) == PARTS else HOLD_S,
        amends=True,
    )


def _trial(told: Mapping[str, Any], recall: Recall) -> Result:
    """A trial, and with it the payment that came before it and waited."""
    key = f"trial#{_subject(told)}"
    known = recall(f"memory#{key}")
    trial = _event(told, "trial_started")
    if known is None:
        return Conversion(trial, _subject(told), Memory(key, {}, "trial", MEMORY_DAYS))
    if known["version"] == "payment":
        payment = Conversion(_event(told, "subscription_created"), _subject(told))
        remember = Memory(key, {}, "trial", MEMORY_DAYS, "payment")
        return Conversion(trial, _subject(told), remember, also=(payment,))
    return Conversion(trial, _subject(told))


def _payment(told: Mapping[str, Any], recall: Recall) -> Result:
    """The first payment after a trial; while nobody knows of the trial it is taken for a renewal."""
    key = f"trial#{_subject(told)}"
    known = recall(f"memory#{key}")
    if known is None:
        return Ignored("renewal", "a renewal, it seems", Memory(key, {}, "payment", MEMORY_DAYS))
    if known["version"] == "payment":
        return Ignored("renewal", "a renewal, it seems")
    return Conversion(_event(told, "subscription_created"), _subject(told))


def _fact(told: Mapping[str, Any], recall: Recall) -> Result:
    key = f"fact#{_subject(told)}"
    known = recall(f"memory#{key}")
    memory = Memory(key, {"told": told["told"]}, f"{told['told']}", MEMORY_DAYS, known["version"] if known else None)
    return Remember(memory, "noted", "a fact for later")


def _nothing(_: Mapping[str, Any], __: Recall) -> Result:
    return Ignored("nothing_to_report", "no conversion")


def _riddle(_: Mapping[str, Any], __: Recall) -> Result:
    raise NotUnderstood("riddle", "the content makes no sense")


def _defect(told: Mapping[str, Any], _: Recall) -> Result:
    raise KeyError(told["email"])


def _unsendable(told: Mapping[str, Any], _: Recall) -> Result:
    return Conversion(event.parse({"id": told["email"], "type": "order_created"}), _subject(told))


TOPICS: Final[Mapping[str, Normalize]] = {
    "sale": _sale,
    "part": _part,
    "trial": _trial,
    "payment": _payment,
    "fact": _fact,
    "nothing": _nothing,
    "riddle": _riddle,
    "defect": _defect,
    "unsendable": _unsendable,
}


def _subject(told: Mapping[str, Any]) -> str:
    return f"{told['source']}:{told['n']}"


def _source(name: str, *, retries: bool) -> Source:
    return Source(
        name=name,
        verify=_verify,
        normalize=_normalize,
        delivery_id=lambda delivery: delivery.headers["delivery"],
        tenant=lambda delivery: delivery.headers.get("tenant"),
        retries=retries,
    )


SHOP: Final = _source("shop", retries=True)
CALLS: Final = _source("calls", retries=False)
"""As CallRail: what it is not answered 2xx for is never sent again."""


@dataclass(slots=True)
class Told:
    """One delivery of a history, sent again as its platform does.

    ``kinds`` are the outcomes that it may have when nothing fails. ``personal`` are texts in it that only the parking
    bucket may hold.
    """

    source: Source
    name: str
    write: Callable[[int], Delivery]
    kinds: Collection[str]
    personal: Sequence[str] = PERSONAL
    accepted_ms: int | None = None
    """When the relay first answered 2xx, whether or not the platform heard it."""

    @property
    def accepted(self) -> bool:
        """Whether the relay has taken it."""
        return self.accepted_ms is not None


@dataclass(slots=True)
class Story:
    """What a platform tells of one thing. ``keys`` says which conversions there must be, by what was accepted.

    ``events`` are what the ledger must have by key, if everything was accepted within ``hold_s``.
    """

    deliveries: Sequence[Told]
    keys: Callable[[Sequence[Told]], Collection[str]] = lambda _: ()
    identities: Sequence[Identity] = field(default=())
    """What its events may be called at OpenAI."""
    events: Mapping[str, str] = field(default_factory=dict)
    hold_s: int = 0


def deliver(source: Source, topic: str, number: int, timestamp_ms: int, **about: Any) -> Callable[[int], Delivery]:
    """A delivery of the simulated platform, as it writes it whenever it tries."""
    body = {"source": source.name, "n": number, "ts": timestamp_ms, "told": 0, **about}
    body |= {"email": f"{PERSONAL[0]}.{number}@example.com", "phone": f"+1{PERSONAL[1]}", "name": PERSONAL[2]}
    headers = {"signature": SECRET, "topic": topic, "delivery": f"{topic}-{number}-{about.get('part', '')}"}
    delivery = Delivery("POST", f"/{source.name}", "", headers, json.dumps(body).encode(), "https://relay.simulated")
    return lambda _: delivery


def forged(write: Callable[[int], Delivery], dice: random.Random) -> Callable[[int], Delivery]:
    """The same delivery from somebody who does not know the secret."""
    signature = dice.choice(("", "guessed", SECRET[:-1]))

    def written(now_ms: int) -> Delivery:
        true = write(now_ms)
        headers = {**true.headers, "signature": signature}
        return Delivery(true.method, true.path, true.query, headers, true.body, true.origin)

    return written


CONVERSION: Final = frozenset({"recorded", "duplicate"})


def sale(source: Source, number: int, timestamp_ms: int, dice: random.Random | None = None) -> Story:
    """A sale that two topics tell of; of the two, only one may know the pixel's id for it."""
    pixels: Sequence[str | None] = (None, None)
    if dice is not None and dice.random() < 0.3:
        pixels = (f"pixel-{number}", dice.choice((None, f"pixel-{number}")))
    told = [
        Told(source, f"sale {number}", deliver(source, "sale", number, timestamp_ms, pixel=pixel), CONVERSION)
        for pixel in pixels
    ]
    names = {pixel or f"{source.name}:{number}" for pixel in pixels}
    return _conversion(
        told, f"order_created#{source.name}:{number}", [("order_created", each) for each in sorted(names)]
    )


def _conversion(told: Sequence[Told], key: str, identities: Sequence[Identity]) -> Story:
    return Story(told, lambda heard: (key,) if any(each.accepted for each in heard) else (), identities)


def purchase(source: Source, number: int, timestamp_ms: int) -> Story:
    """A purchase that three deliveries tell together."""
    told = [
        Told(
            source,
            f"part {part} of purchase {number}",
            deliver(source, "part", number, timestamp_ms, part=part),
            CONVERSION,
        )
        for part in range(PARTS)
    ]
    name = f"{source.name}:{number}"
    identities = [("subscription_created", each) for each in (name, f"pixel-{number}")]
    return _conversion(told, f"subscription_created#{name}", identities)


def trial_and_payment(source: Source, number: int, timestamp_ms: int) -> Story:
    """A trial and the payment after it: two conversions, the second known as one only beside the first."""
    name = f"{source.name}:{number}"
    trial = Told(source, f"trial {number}", deliver(source, "trial", number, timestamp_ms), CONVERSION)
    payment = Told(
        source, f"payment {number}", deliver(source, "payment", number, timestamp_ms), CONVERSION | {"ignored"}
    )

    def keys(_: Sequence[Told]) -> Collection[str]:
        trials = (f"trial_started#{name}",) if trial.accepted else ()
        return (*trials, f"subscription_created#{name}") if trial.accepted and payment.accepted else trials

    return Story((trial, payment), keys, [("trial_started", name), ("subscription_created", name)])


OTHERS: Final[Mapping[str, frozenset[str]]] = {
    "fact": frozenset({"remembered"}),
    "nothing": frozenset({"ignored"}),
    "riddle": frozenset({"parked"}),
    "defect": frozenset({"parked"}),
    "unsendable": frozenset({"parked"}),
}


def no_conversion(source: Source, number: int, timestamp_ms: int, topic: str) -> Story:
    """A delivery that is to be remembered, ignored or parked."""
    told = Told(source, f"{topic} {number}", deliver(source, topic, number, timestamp_ms), OTHERS[topic])
    return Story([told])


def forgery(source: Source, number: int, timestamp_ms: int, dice: random.Random) -> Story:
    """A sale that never was."""
    write = forged(deliver(source, "sale", number, timestamp_ms), dice)
    return Story([Told(source, f"forged sale {number}", write, frozenset({"refused"}))])
