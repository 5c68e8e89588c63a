"""Touches from a file of your own, and which person placed which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from measurement.inputs.channels import channel, named
from measurement.inputs.reading import Field, noted, sheets
from measurement.settings import Input, Settings
from measurement.tables import TABLES

KINDS: Final = TABLES["touches"].column("kind").choices

TOUCHES: Final = (
    Field("person", ("person", "user", "user id", "client id", "user pseudo id", "visitor id"), "person"),
    Field("at", ("at", "time", "timestamp", "date", "datetime"), "moment"),
    Field("channel", ("channel",), column=False, filled=False),
    Field("source", ("source", "utm source"), column=False, filled=False),
    Field("medium", ("medium", "utm medium"), column=False, filled=False),
    Field("campaign", ("campaign", "utm campaign"), "campaign", column=False, filled=False),
    Field("kind", ("kind", "type"), column=False, filled=False),
)
LINKS: Final = (
    Field("order_id", ("order id", "order", "transaction id"), "order"),
    Field("person", ("person", "user", "user id", "client id", "user pseudo id", "visitor id"), "person"),
)


def touches(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A CSV of person, at, channel (or source and medium), campaign, kind (click, visit or view; visit by default)."""
    for sheet in sheets(entry, settings, TOUCHES, one_of=("channel", "source")):
        for row in sheet:
            where = (
                named(row["channel"]) if row["channel"] else channel(row["source"], row["medium"], settings.channels)
            )
            kind = (row["kind"] or "visit").casefold()
            if where is None:
                row.bad(
                    "the channel is none that is known", "Write one of docs/measurement-tables.md, such as google_ads"
                )
            elif kind not in KINDS:
                row.bad(f"the kind is none of {', '.join(KINDS)}", "Correct it, or leave it empty for a visit")
            else:
                yield (
                    "touches",
                    row.made(
                        person=row["person"], at_ms=row["at"], channel=where, campaign=row["campaign"], kind=kind,
                        origin="file",
                    ),
                )  # fmt: skip
        yield from noted(sheet)


def links(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A CSV of order_id, person."""
    for sheet in sheets(entry, settings, LINKS):
        for row in sheet:
            yield "links", row.made(order_id=row["order_id"], person=row["person"])
        yield from noted(sheet)


IMPORTERS: Final = {"touches": touches, "links": links}
OPTIONS: Final = {kind: frozenset[str]() for kind in IMPORTERS}
