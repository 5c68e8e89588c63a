"""The samples in ``events/``: a payload for every topic, made fresh and signed as its platform would.

A file is named after its topic, with an optional variant: ``events/shopify/orders/create.pos.json`` is a delivery of
``orders/create``, ``events/stripe/invoice.paid.renewal.json`` one of ``invoice.paid``. Of a custom platform it is the
payload alone, and the platform's file says how it is sent. All times in it are relative to
`WRITTEN_AT`; making a sample fresh moves them to the present. How a platform writes and signs is in a module each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from conversion_relay.delivery import Delivery
from tools.samples import callrail, ctm, custom, shopify, stripe, twilio, whatconverts
from tools.samples.style import Style, Writing

EVENTS: Final = Path(__file__).parents[2] / "events"
WRITTEN_AT: Final = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
"""The present of the samples."""
ORIGIN: Final = "https://hooks.example.com"
"""Scheme and host that a delivery is said to go to when nobody says otherwise."""

STYLES: Final[Mapping[str, Style]] = {
    "shopify": shopify.STYLE,
    "stripe": stripe.STYLE,
    "callrail": callrail.STYLE,
    "ctm": ctm.STYLE,
    "whatconverts": whatconverts.STYLE,
    "twilio": twilio.STYLE,
    **custom.STYLES,
}


class UnknownSample(ValueError):
    """There is no such file; the text names those that there are."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload: ``name`` is its path, such as ``shopify/orders/create.pos``."""

    name: str
    source: str
    topic: str
    payload: Mapping[str, Any]

    def delivery(
        self, secret: str, now: datetime, *, tenant: str | None = None, new: bool = False, address: str | None = None
    ) -> Delivery:
        """A freshly signed delivery of it. ``new`` gives the object another id, so that it is another conversion.

        ``tenant`` is whose delivery it is, where a header says so. ``address`` is where it goes, without a query: some
        platforms sign that too.
        """
        style = STYLES[self.source]
        payload = style.moved(self.payload, now - WRITTEN_AT)
        if new:
            payload = style.renamed(payload)
        return style.written(Writing(self.topic, payload, secret, now, tenant, address or f"{ORIGIN}/{self.source}"))


def samples(source: str = "*") -> Iterator[Sample]:
    """Every sample, by name."""
    for path in sorted(EVENTS.glob(f"{source}/**/*.json")):
        yield _read(path)


def sample(name: str) -> Sample:
    """The sample of that name, with or without ``events/`` and ``.json``.

    Raises:
        UnknownSample: with the names that would do.
    """
    name = name.removeprefix("events/").removesuffix(".json")
    path = EVENTS / f"{name}.json"
    if not path.is_file():
        source = name.partition("/")[0]
        known = ", ".join(each.name for each in samples(source if source in STYLES else "*"))
        raise UnknownSample(f"There is no sample {name}. There are: {known}.")
    return _read(path)


def _read(path: Path) -> Sample:
    name = path.relative_to(EVENTS).as_posix().removesuffix(".json")
    source, _, rest = name.partition("/")
    payload = json.loads(path.read_bytes())
    return Sample(name, source, STYLES[source].topic(rest, payload), payload)
