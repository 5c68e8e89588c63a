"""The ledger: one DynamoDB item a conversion, written once, which is idempotency check and outbox in one.

Items of the table, told apart by their key ``pk``::

    order_created#shopify:6184203910411   a conversion: event, status, source, times, reason
    memory#cart#shopify:Z2NwLXVz…         a fact for a later delivery, with its version
    privacy#shopify:e1a0788a…             a privacy request that functions/privacy carries out

``status`` of a conversion::

    recorded ──▶ sent | rejected | expired        (``shadow``: recorded in shadow mode, never sent)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from conversion_relay.delivery import Conversion, Memory, PrivacyRequest
    from conversion_relay.settings import Settings

DAY_S: Final = 86_400

Recorded = Literal["recorded", "duplicate"]
Settled = Literal["sent", "rejected", "expired"]


class LedgerUnavailable(Exception):
    """DynamoDB did not take the write or the read. Nothing is decided: answer 5xx, so that the source sends again."""


class Contended(LedgerUnavailable):
    """A twin delivery changed a memory between our read and our write: read again and decide anew."""


class Ledger:
    """Reads and writes the table; decides nothing.

    ``ttl_days`` is how long a conversion is known. It must outlive the 7 days in which the API takes an event: a copy
    that comes after the ledger has forgotten is then too old to be sent (property P2).
    """

    def __init__(self, client: DynamoDBClient, table: str, *, ttl_days: int, shadow: bool = False) -> None:
        self._client = client
        self._table = table
        self._ttl_s = ttl_days * DAY_S
        self._status = "shadow" if shadow else "recorded"

    @classmethod
    def for_settings(cls, client: DynamoDBClient, settings: Settings) -> Ledger:
        """The ledger as a deployment has it."""
        shadow = settings.delivery_mode == "shadow"
        return cls(client, settings.ledger_table, ttl_days=settings.ledger_ttl_days, shadow=shadow)

    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Recorded:
        """Write a conversion if it is new, together with the memory and the further conversions that belong to it.

        ``origin`` says whence it came (source, tenant, delivery), for people who ask later.

        Raises:
            LedgerUnavailable: nothing was written, or nobody knows.
        """
        new = [conversion, *conversion.also]
        while True:
            puts = [self._conversion_put(each, now_ms, origin) for each in new]
            if conversion.remember is not None:
                puts.append(self._memory_put(conversion.remember, now_ms, origin.get("tenant")))
            with _available("record the conversion"):
                try:
                    if len(puts) == 1:
                        self._client.put_item(**puts[0])
                    else:
                        self._client.transact_write_items(TransactItems=[{"Put": put} for put in puts])
                    return "recorded"
                except self._client.exceptions.ConditionalCheckFailedException:
                    return "duplicate"
                except self._client.exceptions.TransactionCanceledException as error:
                    codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                    known = [i for i, code in enumerate(codes[: len(new)]) if code == "ConditionalCheckFailed"]
                    if not known:
                        raise Contended("another delivery changed what is remembered at the same time") from error
            # One of several is there already: the others are written without it.
            new = [each for i, each in enumerate(new) if i not in known]
            if not new:
                return "duplicate"

    def _conversion_put(self, conversion: Conversion, now_ms: int, origin: Mapping[str, str | None]) -> Any:
        # The first delivery of a conversion wins; the write is the check:
        #
        #   orders/create ─▶ item absent  ─▶ written, the stream hands it to the outbox
        #   orders/paid   ─▶ item present ─▶ refused: a duplicate
        #
        # An item past its TTL that DynamoDB has not removed yet still counts as present. Overwriting it would be a
        # MODIFY on the stream, which the outbox does not read, and the event would be lost.
        is_new = "attribute_not_exists(pk)"
        item = {
            "pk": {"S": conversion.key},
            "status": {"S": self._status},
            "event": {"S": conversion.event.to_json()},
            "recorded_ms": {"N": str(now_ms)},
            "expires_at": {"N": str(now_ms // 1000 + self._ttl_s)},
            **{name: {"S": value} for name, value in origin.items() if value},
        }
        return {"TableName": self._table, "Item": item, "ConditionExpression": is_new}

    def remember(self, memory: Memory, now_ms: int, tenant: str | None = None) -> None:
        """Write a memory.

        Raises:
            Contended: it has changed since it was read.
        """
        with _available("remember a fact"):
            try:
                self._client.put_item(**self._memory_put(memory, now_ms, tenant))
            except self._client.exceptions.ConditionalCheckFailedException as error:
                raise Contended("another delivery changed what is remembered at the same time") from error

    def _memory_put(self, memory: Memory, now_ms: int, tenant: str | None) -> Any:
        put: dict[str, Any] = {
            "TableName": self._table,
            "Item": {
                "pk": {"S": f"memory#{memory.key}"},
                "facts": {"S": json.dumps(memory.facts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)},
                "version": {"S": memory.version},
                "expires_at": {"N": str(now_ms // 1000 + memory.ttl_days * DAY_S)},
                **({"tenant": {"S": tenant}} if tenant else {}),
            },
        }
        unchanged = "version = :replaces"
        absent_or_forgotten = "attribute_not_exists(pk) OR expires_at <= :now"
        if memory.replaces is None:
            put["ConditionExpression"] = absent_or_forgotten
            put["ExpressionAttributeValues"] = {":now": {"N": str(now_ms // 1000)}}
        else:
            put["ConditionExpression"] = unchanged
            put["ExpressionAttributeValues"] = {":replaces": {"S": memory.replaces}}
        return put

    def recall(self, key: str, now_ms: int) -> dict[str, Any] | None:
        """The facts of a memory (with its ``version``), or the event of a recorded conversion; None when unknown.

        What is past its TTL is forgotten, even while DynamoDB has not removed it yet (it may take days).
        """
        with _available("recall a fact"):
            item = self._client.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True).get("Item")
        if item is None or int(item["expires_at"]["N"]) <= now_ms // 1000:
            return None
        if "facts" in item:
            return {**json.loads(item["facts"]["S"]), "version": item["version"]["S"]}
        return json.loads(item["event"]["S"]) if "event" in item else None

    def note(self, request: PrivacyRequest, now_ms: int) -> Recorded:
        """Write a privacy request, once; the stream hands it to functions/privacy."""
        with _available("note the privacy request"):
            try:
                self._client.put_item(
                    TableName=self._table,
                    Item={
                        "pk": {"S": f"privacy#{request.request_id}"},
                        "kind": {"S": request.kind},
                        "tenant": {"S": request.tenant},
                        "digests": {"S": json.dumps(list(request.digests))},
                        "subjects": {"S": json.dumps(list(request.subjects))},
                        "recorded_ms": {"N": str(now_ms)},
                        "expires_at": {"N": str(now_ms // 1000 + self._ttl_s)},
                    },
                    ConditionExpression="attribute_not_exists(pk)",
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return "duplicate"
        return "recorded"

    def settle(self, key: str, status: Settled, reason: str, now_ms: int) -> None:
        """Write what became of a conversion. Repeating it is harmless; ``sent`` is never overwritten by another end.

        A conversion that was erased or forgotten meanwhile stays away: nothing is written for it.
        """
        exists_and_unsent = "attribute_exists(pk) AND #status <> :sent"
        with _available("settle the conversion"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": key}},
                    UpdateExpression="SET #status = :status, reason = :reason, settled_ms = :now",
                    ConditionExpression=exists_and_unsent,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":status": {"S": status},
                        ":sent": {"S": "sent"},
                        ":reason": {"S": reason},
                        ":now": {"N": str(now_ms)},
                    },
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return


def conversion_in(image: Mapping[str, Any]) -> tuple[str, str]:
    """Key and event text of a conversion in a stream record's ``NewImage``."""
    return image["pk"]["S"], image["event"]["S"]


@contextmanager
def _available(doing: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        if code == "TransactionConflictException":
            raise Contended("another delivery is being recorded at the same time") from error
        raise LedgerUnavailable(f"DynamoDB could not {doing} ({code})") from error
    except BotoCoreError as error:
        raise LedgerUnavailable(f"DynamoDB could not {doing} ({type(error).__name__})") from error
