"""The books of a load trial: what platforms were promised, against what OpenAI counted and the ledger says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tools.load.arrivals import Answered

SHOWN: Final = 5
Conversion = tuple[str, str]
"""Type and id."""


@dataclass(frozen=True, slots=True)
class Books:
    """What it comes to. ``problems`` are sentences; none, or the trial has failed."""

    promised: int
    counted: int
    lost: Sequence[Conversion]
    twice: Sequence[Conversion]
    problems: Sequence[str]


def balance(answers: Sequence[Answered], counted: Sequence[Mapping[str, Any]], ledger: Mapping[str, str]) -> Books:
    """Compare.

    A delivery of a conversion that was answered 2xx is a promise: it has to be counted, once, under the type and id of
    the payload. One that was not answered so may have been recorded all the same, and then counts once too.

    Args:
        answers: of every delivery.
        counted: what the stand-in for OpenAI counted, the fields of its CountedEvent.
        ledger: the status of each conversion, by ledger key.
    """
    told = {each.told.conversion for each in answers if each.told.conversion}
    promised = {each.told.conversion for each in answers if each.told.conversion and each.taken}
    times = Counter((each["name"], each["id"]) for each in counted)
    lost = sorted(promised - times.keys())
    twice = sorted(each for each, many in times.items() if many > 1 or each not in told)
    unsent = [f"{key} ({status})" for key, status in ledger.items() if status != "sent"]
    apart = sorted({f"{type_}#{id_}" for type_, id_ in times} ^ {key for key in ledger if ledger[key] == "sent"})
    forged = [str(each.told.number) for each in answers if each.told.row.kind == "forged" and each.taken]
    problems = [
        *_named("answered 2xx and not counted: lost", ["#".join(each) for each in lost]),
        *_named("counted twice, or under an id that no delivery has", ["#".join(each) for each in twice]),
        *_named("in the ledger with another end than sent", unsent),
        *_named("sent by the ledger or counted by OpenAI, but not both", apart),
        *_named("forged, and answered 2xx", forged),
    ]
    return Books(len(promised), len(times), lost, twice, problems)


def _named(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [f"{len(names)} {what}: {', '.join(names[:SHOWN])}{', …' if len(names) > SHOWN else ''}"]
