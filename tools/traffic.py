"""The mix of deliveries that `make load` sends and `relay cost` prices: traffic.toml, made and signed.

Every conversion has an object id of its own, taken from the payload and not from the relay: who counts afterwards knows
what has to be there.
"""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from conversion_relay.delivery import Delivery
from tools.samples import ORIGIN, STYLES, WRITTEN_AT, sample
from tools.samples.style import Writing

TABLE: Final = Path(__file__).with_name("traffic.toml")
RECENT: Final = 20
"""Twins and repetitions come soon after the first delivery: they are of one of the last so many."""

Kind = Literal["new", "twin", "again", "ignored", "forged"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``type`` and ``id``: of the conversion, the latter as paths into the payload."""

    sample: str
    kind: Kind
    per_mille: int
    why: str
    topic: str = ""
    type: str = ""
    id: str = ""
    without: str = ""

    @property
    def source(self) -> str:
        """Who sends it."""
        return self.sample.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery of the mix. ``conversion``: type and id of what has to be counted once; None if nothing has to be."""

    number: int
    row: Row
    delivery: Delivery
    conversion: tuple[str, str] | None

    @property
    def source(self) -> str:
        """Who sends it."""
        return self.row.source


@cache
def rows() -> Sequence[Row]:
    """The table."""
    return [Row(**each) for each in tomllib.loads(TABLE.read_text(encoding="utf-8"))["delivery"]]


@cache
def sources() -> Sequence[str]:
    """Everybody who sends something in the mix."""
    return list(dict.fromkeys(row.source for row in rows()))


@dataclass(slots=True)
class Traffic:
    """An endless mix. ``secrets``: what each source signs with. The order of kinds is that of the seed."""

    secrets: Mapping[str, str]
    seed: int
    _random: Random = field(init=False)
    _number: int = 0
    _known: dict[str, deque[tuple[Mapping[str, Any], Told]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed} traffic")

    def deliveries(self, count: int, now: datetime) -> Iterator[Told]:
        """So many more of the mix, signed at ``now`` (UTC): signatures of some platforms are good for 5 minutes."""
        for _ in range(count):
            row = self._random.choices(rows(), [each.per_mille for each in rows()])[0]
            if row.kind in ("twin", "again") and not self._known.get(row.sample):
                row = first(row.sample)
            yield self.make(row, now)

    def make(self, row: Row, now: datetime) -> Told:
        """One delivery of a row; a twin or a repetition is of something that was made before."""
        self._number += 1
        if row.kind in ("twin", "again"):
            payload, before = self._random.choice(self._known[row.sample])
            delivery = before.delivery if row.kind == "again" else self._written(row, payload, now)
            return Told(self._number, row, delivery, before.conversion)
        payload = self._payload(row, now)
        conversion = (row.type, f"{row.source}:{_id(payload, row.id)}") if row.kind == "new" else None
        told = Told(self._number, row, self._written(row, payload, now), conversion)
        if row.kind == "new":
            self._known.setdefault(row.sample, deque(maxlen=RECENT)).append((payload, told))
        return told

    def _payload(self, row: Row, now: datetime) -> Mapping[str, Any]:
        style = STYLES[row.source]
        payload: dict[str, Any] = style.renamed(style.moved(sample(row.sample).payload, now - WRITTEN_AT))
        if row.without:
            *folders, name = row.without.split(".")
            _at(payload, ".".join(folders)).pop(name, None)
        return payload

    def _written(self, row: Row, payload: Mapping[str, Any], now: datetime) -> Delivery:
        secret = "another secret" if row.kind == "forged" else self.secrets[row.source]
        topic = row.topic or sample(row.sample).topic
        address = f"{ORIGIN}/{row.source}"
        return STYLES[row.source].written(Writing(topic, payload, secret, now, None, address))


def first(sample_name: str) -> Row:
    """The row that begins what a twin or a repetition goes on with."""
    return next(row for row in rows() if row.sample == sample_name and row.kind == "new")


def _id(payload: Any, paths: str) -> str:
    return ":".join(str(_at(payload, path)) for path in paths.split())


def _at(payload: Any, path: str) -> Any:
    for name in path.split("."):
        payload = payload[name]
    return payload
