"""Finding everything about one order, event, subscription or call: its ledger items, and its deliveries in the logs.

Whoever asks has whatever id was at hand. So it is taken for each thing that it could be: a ledger key, a subject, the
platform's own id, an order's name, an event id, a delivery's id, the key of a parked object, or an address that ends in
one of them. Ledger items are looked up by the keys that it could have; only where neither they nor the log know it,
the table is scanned, which has no index by event id or delivery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from conversion_relay.event import DATA_TYPE
from tools import entries, readings
from tools.deployment import Deployment
from tools.entries import Entry
from tools.readings import Asked, Line, reading
from tools.sources import PLATFORMS, SOURCES

MOST_CONVERSIONS: Final = 20
"""Of one id. More are cut: nobody asks for them, and each is looked for in the log."""

_GID: Final = re.compile(r"gid://shopify/[A-Za-z]+/")
_EVENT_NAMES: Final = (
    *(each for each in DATA_TYPE if each != "custom"),
    *dict.fromkeys(
        name.lower() for each in PLATFORMS.values() if (name := each.get("conversion", {}).get("custom_event_name"))
    ),
)


@dataclass
class Found:
    """What there is about an id."""

    entries: list[Entry] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    scanned: bool = False
    """Whether the whole ledger was searched."""

    def __bool__(self) -> bool:
        return bool(self.entries or self.lines)


def plain(given: str) -> str:
    """The id in what somebody has pasted: without blanks, and of an address or a GraphQL id its last part."""
    text = _GID.sub("", given.strip())
    return text.split("?")[0].rstrip("/").rpartition("/")[2] if "://" in text else text


def candidates(name: str) -> list[str]:
    """The ledger keys that a conversion of this name could have."""
    if name.startswith("#"):
        return []  # the name of an order, which only the log knows
    if "#" in name:
        return [name]
    if ":" in name:
        return [f"{event}#{name}" for event in _EVENT_NAMES]
    keys = [f"{event}#{source}:{name}" for source in SOURCES for event in _EVENT_NAMES]
    return [*keys, *(f"fetch#{source}:{name}" for source in ("stripe",) if name.startswith("evt_"))]


def term(key: str) -> str:
    """What stands in every line of the log about a conversion: the id of its object, without event name and source."""
    event, _, subject = key.partition("#")
    source, _, rest = subject.partition(":")
    # What a cart held is part of its key, and not of what the line says it is about.
    return rest.partition(":")[0] if event == "items_added" and source == "shopify" else rest


def names(text: str, name: str) -> bool:
    """Whether one of a line's texts (a key, a subject, an order's name, a delivery's id) is of this name."""
    cart = text.startswith("items_added#") and f":{name}:" in text
    return text == name or text.endswith((f":{name}", f"#{name}")) or cart


def is_about(line: Line, name: str) -> bool:
    """Whether a delivery is about what has this name, and does not only hold its letters somewhere."""
    return any(names(text, name) for text in (line.key, *line.also, *line.about, line.delivery) if text)


def find(deployment: Deployment, name: str, since_ms: int, asked: Asked) -> Found:
    """All about an id; the log from a time on (Unix milliseconds). What cannot be read is noted in ``asked``."""
    found = Found()

    def by_keys(keys: Sequence[str]) -> list[Entry]:
        with reading("the ledger", "dynamodb:BatchGetItem"):
            return entries.by_keys(deployment, keys)

    def scanned() -> list[Entry]:
        with reading("the whole ledger", "dynamodb:Scan"):
            return entries.named(deployment, name)

    def logged(text: str) -> list[Line]:
        return [line for line in readings.deliveries(deployment, text, since_ms) if is_about(line, text)]

    found.entries = asked.for_(partial(by_keys, candidates(name)), [])
    found.lines = asked.for_(partial(logged, term(name) if "#" in name[1:] else name), [])
    known = {each.key for each in found.entries}
    others = [key for line in found.lines for key in line.keys if key not in known]
    found.entries += asked.for_(partial(by_keys, others), [])
    if not found.entries:
        found.scanned = True
        found.entries = asked.for_(scanned, [])
    found.entries = sorted(found.entries, key=lambda each: (each.recorded_ms, each.key))[:MOST_CONVERSIONS]
    for other in dict.fromkeys(term(each.key) for each in found.entries):
        if other != name:
            found.lines += asked.for_(partial(logged, other), [])
    found.lines = unique(found.lines)
    return found


def unique(lines: Iterable[Line]) -> list[Line]:
    """Each delivery once, oldest first."""
    return sorted(dict.fromkeys(lines), key=lambda line: line.at_ms)
