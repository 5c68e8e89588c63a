"""The ledger's items as the commands read them. There is no index: asking about all of them scans the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from conversion_relay.ledger import event_in
from tools.deployment import Deployment

SEGMENTS: Final = 4
"""Parts of the table that are scanned at the same time."""
BATCH: Final = 100
"""Items that DynamoDB reads at once by their keys."""


@dataclass(frozen=True)
class Entry:
    """A conversion, or an object to fetch, as its item says. Times are Unix milliseconds, 0 where there is none."""

    key: str
    status: str
    reason: str
    text: str
    """The event's JSON exactly as it goes to OpenAI; of an object to fetch, what to fetch."""
    recorded_ms: int
    settled_ms: int
    amended_ms: int
    hold_until_ms: int
    source: str
    tenant: str
    delivery: str
    reopened_ms: int = 0
    """When somebody last put it on its way again, and from which status."""
    reopened_from: str = ""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Entry | None:
        """The entry in an item; None for a memory, a privacy request or the circuit."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> int:
            return int(item.get(name, {}).get("N", "0"))

        if "status" not in item:
            return None
        return cls(
            key=text("pk"),
            status=text("status"),
            reason=text("reason"),
            text=event_in(item) or text("fetch"),
            recorded_ms=number("recorded_ms"),
            settled_ms=number("settled_ms"),
            amended_ms=number("amended_ms"),
            hold_until_ms=number("hold_until_ms"),
            source=text("source") or text("pk").partition("#")[2].partition(":")[0],
            tenant=text("tenant"),
            delivery=text("delivery"),
            reopened_ms=number("reopened_ms"),
            reopened_from=text("reopened_from"),
        )

    @property
    def is_fetch(self) -> bool:
        """Whether it is an object to fetch, and no conversion."""
        return self.key.startswith("fetch#")

    @cached_property
    def event(self) -> Mapping[str, Any]:
        """The event; empty for an object to fetch."""
        return {} if self.is_fetch else json.loads(self.text)

    @property
    def timestamp_ms(self) -> int:
        """When the conversion happened; for an object to fetch, when it was noted."""
        return int(self.event.get("timestamp_ms", self.recorded_ms))


def scan(deployment: Deployment, statuses: Sequence[str] = ()) -> Iterator[Entry]:
    """Every conversion and object to fetch, or those of some statuses, in no order."""
    condition: dict[str, Any] = {
        "FilterExpression": "attribute_exists(#status)",
        "ExpressionAttributeNames": {"#status": "status"},
    }
    if statuses:
        values = {f":s{number}": {"S": status} for number, status in enumerate(statuses)}
        condition |= {"FilterExpression": f"#status IN ({', '.join(values)})", "ExpressionAttributeValues": values}
    yield from _scan(deployment, condition, lambda _: True)


def named(deployment: Deployment, name: str) -> list[Entry]:
    """The conversions whose event id (the pixel's, where it has one), delivery or object is of this name, by a scan.

    DynamoDB does not see into a packed event, so all of them come here to be looked at. The scan is billed the same.
    """
    condition = {"FilterExpression": "attribute_exists(#status)", "ExpressionAttributeNames": {"#status": "status"}}
    return list(_scan(deployment, condition, lambda entry: _is_named(entry, name)))


def _is_named(entry: Entry, name: str) -> bool:
    ids = (entry.event.get("id"), entry.delivery, entry.key, entry.key.partition("#")[2])
    return name in ids or entry.key.endswith(f":{name}") or f":{name}:" in entry.key.partition("#")[2]


def _scan(deployment: Deployment, condition: Mapping[str, Any], wanted: Callable[[Entry], bool]) -> Iterator[Entry]:
    with closing(items(deployment, condition)) as found:
        for item in found:
            entry = Entry.of(item)
            if entry is not None and wanted(entry):
                yield entry


def items(deployment: Deployment, condition: Mapping[str, Any]) -> Generator[Mapping[str, Any], None, None]:
    """The table's items that meet a filter, in no order, from parts that are scanned at the same time.

    No more pages are held than there are parts, however large the table is. ``condition`` are the arguments of Scan.
    """
    client, table = deployment.client("dynamodb"), deployment.resources["Ledger"]
    paginator = client.get_paginator("scan")
    segments: list[Iterator[Any]] = [
        iter(
            paginator.paginate(
                TableName=table, Segment=number, TotalSegments=SEGMENTS, ConsistentRead=True, **condition
            )
        )
        for number in range(SEGMENTS)
    ]
    with ThreadPoolExecutor(SEGMENTS) as pool:
        reading = {pool.submit(next, segment, None): segment for segment in segments}
        while reading:
            done, _ = wait(reading, return_when=FIRST_COMPLETED)
            for each in done:
                segment, page = reading.pop(each), each.result()
                if page is not None:
                    reading[pool.submit(next, segment, None)] = segment  # the next one comes while this one is used
                    yield from page["Items"]


def by_keys(deployment: Deployment, keys: Iterable[str]) -> list[Entry]:
    """The entries that there are of these ledger keys."""
    client, table = deployment.client("dynamodb"), deployment.resources["Ledger"]
    wanted = [{"pk": {"S": key}} for key in dict.fromkeys(keys)]
    found: list[Entry] = []
    while wanted:
        asked, wanted = wanted[:BATCH], wanted[BATCH:]
        answer = client.batch_get_item(RequestItems={table: {"Keys": asked, "ConsistentRead": True}})
        found += [entry for entry in map(Entry.of, answer["Responses"].get(table, [])) if entry is not None]
        wanted += answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    return found
