"""Privacy requests carried out: find, give out or delete what is held about a person or a shop.

Personal data is held in the ledger table (digests, places, click references inside events) and, raw, in parked
deliveries. A request is rare, so a parallel scan of the table is cheaper than an index that every sale would pay for.
Everything here may run twice: the stream hands a request over at least once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from conversion_relay import event_bus, identity
from conversion_relay.delivery import PrivacyRequest
from conversion_relay.ledger import event_in, facts_in
from conversion_relay.parking import delivery_in

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

SEGMENTS: Final = 8
REPORTS: Final = "privacy/"
"""Where reports for data requests are put, beside the parked deliveries, under the same 30-day lifecycle."""

_EMAIL_LIKE: Final = re.compile(r"[^\s\"'<>,;:\\]{1,64}@[^\s\"'<>,;:\\]{1,255}")
_DIGITS: Final = re.compile(r"\d{5,30}")


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What a request came to: conversions and memories, and parked deliveries, that were found (or deleted)."""

    items: int
    parked: int
    report: str | None = None


class Privacy:
    """Looks through the table and the bucket. ``clock`` gives Unix milliseconds, UTC."""

    def __init__(
        self, dynamodb: DynamoDBClient, table: str, s3: S3Client, bucket: str, *, clock: Callable[[], int]
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._s3 = s3
        self._bucket = bucket
        self._clock = clock

    def carry_out(self, request: PrivacyRequest) -> CarriedOut:
        """Do what the request demands; any failure raises, so that the stream hands the request over again."""
        with ThreadPoolExecutor(SEGMENTS) as pool:
            found = [
                item for part in pool.map(lambda n: list(self._items(request, n)), range(SEGMENTS)) for item in part
            ]
        parked = [key for key in self._parked_keys() if self._parked_concerns(key, request)]
        report = None
        if request.kind == "give_out":
            report = self._report(request, found, parked)
        else:
            for item in found:
                self._dynamodb.delete_item(TableName=self._table, Key={"pk": item["pk"]})
            for key in parked:
                self._s3.delete_object(Bucket=self._bucket, Key=key)
        # The request itself holds digests of the person: once it is done, it goes too, and may come again.
        self._dynamodb.delete_item(TableName=self._table, Key={"pk": {"S": f"privacy#{request.request_id}"}})
        return CarriedOut(len(found), len(parked), report)

    def _items(self, request: PrivacyRequest, segment: int) -> Iterator[Mapping[str, Any]]:
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table, Segment=segment, TotalSegments=SEGMENTS, ConsistentRead=True
        )
        for page in pages:
            yield from (item for item in page["Items"] if _concerns(item, request))

    def _parked_keys(self) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
            yield from (each["Key"] for each in page.get("Contents", []))

    def _parked_concerns(self, key: str, request: PrivacyRequest) -> bool:
        if key.startswith(REPORTS):
            return False
        kept = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        delivery = event_bus.delivery_given_up(kept) if key.startswith(event_bus.GIVEN_UP) else delivery_in(kept)
        if request.tenant not in {value.strip().lower() for value in delivery.headers.values()}:
            return False
        if request.kind == "erase_tenant":
            return True
        words = _words(delivery.body)
        digests: set[str | None] = {identity.email(word) for word in _EMAIL_LIKE.findall(words)}
        numbers = set(_DIGITS.findall(words))
        digests |= {identity.external_id(number) for number in numbers} | {identity.phone(f"+{n}") for n in numbers}
        ids = {subject.partition(":")[2] for subject in request.subjects}
        return bool(digests & set(request.digests) or numbers & ids)

    def _report(self, request: PrivacyRequest, found: Sequence[Mapping[str, Any]], parked: Sequence[str]) -> str:
        key = f"{REPORTS}{request.request_id.replace(':', '-')}.json"
        report = {
            "request": request.request_id,
            "shop": request.tenant,
            "made_ms": self._clock(),
            "held": [_given_out(item) for item in found],
            "parked_deliveries": list(parked),
        }
        self._s3.put_object(
            Bucket=self._bucket, Key=key, Body=json.dumps(report, indent=2).encode(), ContentType="application/json"
        )
        return key


def _words(body: bytes) -> str:
    """All that a body says, also what JSON writes with escapes: a bus's body writes every letter beyond ASCII so."""
    text = body.decode("utf-8", "replace")
    words = [text]
    try:
        within = [json.loads(text)]
    except (ValueError, RecursionError):
        return text
    while within:
        match within.pop():
            case dict() as members:
                within += members.values()
            case list() as members:
                within += members
            case str() as word:
                words.append(word)
    return "\n".join(words)


def _concerns(item: Mapping[str, Any], request: PrivacyRequest) -> bool:
    key: str = item["pk"]["S"]
    subject = key.rpartition("#")[2]
    # A platform's order reaches what that platform has sent, not what another knows of the same person.
    source = request.request_id.partition(":")[0]
    if key.startswith("privacy#") or not subject.startswith(f"{source}:"):
        return False
    tenant: str | None = item.get("tenant", {}).get("S")
    if tenant not in (None, request.tenant):
        return False
    if request.kind == "erase_tenant":
        return tenant == request.tenant
    if subject in request.subjects:
        return True
    held: str = (event_in(item) or "") + (facts_in(item) or "")
    return any(digest in held for digest in request.digests)


def _given_out(item: Mapping[str, Any]) -> dict[str, Any]:
    """What an item holds, for people to read."""
    held = {name: next(iter(value.values())) for name, value in item.items() if name != "event"}
    event = event_in(item)
    return held if event is None else held | {"event": event}


def request_in(image: Mapping[str, Any]) -> PrivacyRequest:
    """A privacy request out of a stream record's ``NewImage``."""
    return PrivacyRequest(
        kind=image["kind"]["S"],
        request_id=image["pk"]["S"].partition("#")[2],
        tenant=image["tenant"]["S"],
        digests=tuple(json.loads(image["digests"]["S"])),
        subjects=tuple(json.loads(image["subjects"]["S"])),
    )
