"""The books of a trial: what platforms were promised, against what OpenAI, ledger, queues and parking bucket hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.faults.clients import NEVER_RETRY, Course

SHOWN: Final = 5
"""Examples of each difference."""

Key = tuple[str, str]
"""Type and id of a conversion."""


@dataclass(frozen=True, slots=True)
class Books:
    """What is there when the trial is over.

    Args:
        courses: what became of each posting.
        counted: what the stand-in counted, the fields of its CountedEvent.
        arrivals: every event that came to it, the fields of its Arrival.
        ledger: status of each conversion, by ledger key.
        parked: SHA-256 of each body in the parking bucket, hexadecimal.
        bodies: SHA-256 of the body of each posting that may have been parked, by its number.
        queues: messages in each queue, by logical id: none may be left.
    """

    courses: Sequence[Course]
    counted: Sequence[Mapping[str, Any]]
    arrivals: Sequence[Mapping[str, Any]]
    ledger: Mapping[str, str]
    parked: Collection[str]
    bodies: Mapping[int, str]
    queues: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Balance:
    """The result. ``differences``: sentences that say what does not match; none, or the trial has failed."""

    conversions: int
    lost: int
    twice: int
    collapsed: int
    resent: int
    untaken: Mapping[str, int]
    differences: Sequence[str]


def balance(books: Books) -> Balance:
    """Compare.

    A delivery that was answered 2xx is a promise: its conversion has to be counted, once. One that was not may or may
    not have been recorded before the answer was lost; if it was, it too counts once. Each conversion has one type and
    id, known from the plan and not from the relay: whatever else was counted was counted twice or made up.
    """
    genuine = [course for course in books.courses if course.posting.genuine]
    known = {course.posting.key: course for course in genuine}
    promised = {course.posting.key for course in genuine if course.taken}
    counted = {(each["name"], each["id"]): each for each in books.counted}

    lost = sorted(promised - counted.keys())
    twice = [(each["name"], each["id"]) for each in books.counted if (each["name"], each["id"]) not in known]
    twice += list((Counter((each["name"], each["id"]) for each in books.counted) - Counter(counted.keys())).elements())
    worth = [key for key in counted.keys() & known.keys() if _amount(counted[key]) != known[key].posting.amount]
    changed = [(each["name"], each["id"]) for each in books.arrivals if each["forms"] > 1]

    differences = [
        *_named("answered 2xx but not counted by OpenAI: lost", lost),
        *_named("counted under an id that no delivery has: twice, or made up", twice),
        *_named("counted with another amount than the delivery said", worth),
        *_named("sent again with other bytes than the first time", changed),
        *_ledger(books, counted.keys(), known.keys()),
        *_deliveries(books.courses),
        *_parked(books),
        *(f"{name}: {depth} messages are left" for name, depth in books.queues.items() if depth),
    ]
    return Balance(
        conversions=len(counted),
        lost=len(lost),
        twice=len(twice),
        collapsed=sum(each["duplicates"] for each in books.counted),
        resent=sum(each["times"] > 1 for each in books.arrivals),
        untaken=_untaken(books, counted.keys()),
        differences=differences,
    )


def _amount(counted: Mapping[str, Any]) -> int | None:
    amount: int | None = counted["event"]["data"].get("amount")
    return amount


def _ledger(books: Books, counted: Collection[Key], known: Collection[Key]) -> Iterable[str]:
    statuses = {key: books.ledger.get(f"{key[0]}#{key[1]}") for key in counted}
    yield from _named("counted, but not sent by the ledger", [key for key in statuses if statuses[key] != "sent"])
    expected = {f"{type_}#{id_}" for type_, id_ in known}
    yield from _named("in the ledger, but in no delivery", books.ledger.keys() - expected)
    unsent = [f"{key} ({status})" for key, status in books.ledger.items() if status != "sent"]
    yield from _named("in the ledger with another end than sent", unsent)
    missing = {f"{type_}#{id_}" for type_, id_ in counted} ^ {key for key, end in books.ledger.items() if end == "sent"}
    yield from _named("sent by the ledger or counted by OpenAI, but not both", missing)


def _deliveries(courses: Iterable[Course]) -> Iterable[str]:
    waiting: list[str] = []
    forged: list[str] = []
    refused: list[str] = []
    for course in courses:
        name = f"{course.posting.source} {course.posting.number} ({course.status or course.outcome})"
        refusal = course.status is not None and 400 <= course.status < 500 and course.status != 429
        if course.posting.kind == "forged":
            if course.taken:
                forged.append(name)
            elif not refusal and course.posting.source not in NEVER_RETRY:
                waiting.append(name)
        elif refusal:
            refused.append(name)
        elif not course.taken and course.posting.source not in NEVER_RETRY:
            waiting.append(name)
    yield from _named("forged, and answered 2xx", forged)
    yield from _named("properly signed, and refused", refused)
    yield from _named("not answered for good at the end", waiting)


def _parked(books: Books) -> Iterable[str]:
    missing = [
        f"{course.posting.source} {course.posting.number}"
        for course in books.courses
        if (course.outcome == "parked" or (course.posting.kind == "not_understood" and course.taken))
        and books.bodies.get(course.posting.number) not in books.parked
    ]
    yield from _named("said to be parked, but not in the bucket", missing)
    yield from _named("parked, but never posted", set(books.parked) - set(books.bodies.values()))


def _untaken(books: Books, counted: Collection[Key]) -> Mapping[str, int]:
    """Deliveries of platforms that never send again which were not answered 2xx, by what became of them."""
    found = Counter(counted_all_the_same=0, parked=0, gone=0)
    for course in books.courses:
        if course.posting.genuine and course.posting.source in NEVER_RETRY and not course.taken:
            is_parked = books.bodies.get(course.posting.number) in books.parked
            found["counted_all_the_same" if course.posting.key in counted else "parked" if is_parked else "gone"] += 1
    return found


def _named(what: str, keys: Iterable[Any]) -> Iterable[str]:
    names = sorted("#".join(key) if isinstance(key, tuple) else str(key) for key in keys)
    if names:
        more = ", …" if len(names) > SHOWN else ""
        yield f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}"
