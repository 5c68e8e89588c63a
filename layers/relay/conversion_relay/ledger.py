"""The ledger: one DynamoDB item a conversion, written once, which is idempotency check and outbox in one.

Items of the table, told apart by their key ``pk``::

    order_created#shopify:6184203910411   a conversion: event, status, source, times, reason
    memory#cart#shopify:Z2NwLXVz…         a fact for a later delivery, with its version
    privacy#shopify:e1a0788a…             a privacy request that functions/privacy carries out
    fetch#stripe:evt_65SN…                an object that functions/fetch gets from the platform
    order_created#stripe:in_1Qw…          ``withdrawn``: never to be sent, as consent was refused; no event, no status
    circuit#openai                        why the sender holds back, and since when

``status`` of a conversion::

    recorded ──▶ sent | rejected | expired        (``shadow``: recorded in shadow mode, not sent)
        ▲───────────────┘ reopened by hand, to be sent again

and of an object to fetch::

    to_fetch ──▶ fetched                          (``reason``: the outcome that it came to)

A conversion with ``hold_until_ms`` is not sent before that time, and until shortly before it a delivery that knows more
may put a better event in the place of the stored one (``_amendment``).

``event`` is packed (`conversion_relay.packing`), so that writing and settling a conversion cost one write unit each.
Read it with `event_in`, which knows all the forms that it has.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from conversion_relay import packing
from conversion_relay.circuit import Circuit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from conversion_relay.aws_json import DynamoDb
    from conversion_relay.delivery import Conversion, Fetch, Memory, PrivacyRequest
    from conversion_relay.settings import Settings

DAY_S: Final = 86_400

Recorded = Literal["recorded", "duplicate"]
Settled = Literal["sent", "rejected", "expired", "fetched"]
Reopened = Literal["recorded", "rejected", "expired", "sent", "shadow", "to_fetch"]
TO_FETCH: Final = "to_fetch"
_CIRCUIT_KEY: Final[Any] = {"pk": {"S": "circuit#openai"}}

AMEND_MARGIN_MS: Final = 60_000
"""Amending ends this long before the hold does. It covers how far the clocks of two functions may differ (AWS keeps
them within a second) and the longest that one takes from reading its clock to the write: its time-out, 30 s at most.
"""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the conversions of one delivery, by key: new, amended while they were held, or known already."""

    recorded: Sequence[str] = ()
    amended: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """The event of a conversion as the ledger has it now; before ``hold_until_ms`` it may still be amended."""

    event: str
    hold_until_ms: int


class LedgerUnavailable(Exception):
    """DynamoDB did not take the write or the read, or what it holds cannot be read. Nothing is decided: answer 5xx, so
    that the source sends again.
    """


class Contended(LedgerUnavailable):
    """A twin delivery changed a memory between our read and our write: read again and decide anew."""


class Ledger:
    """Reads and writes the table; decides nothing.

    ``ttl_days`` is how long a conversion is known. It must outlive the 7 days in which the API takes an event: a copy
    that comes after the ledger has forgotten is then too old to be sent (property P2).
    """

    def __init__(self, client: DynamoDBClient | DynamoDb, table: str, *, ttl_days: int, shadow: bool = False) -> None:
        self._client = client
        self._table = table
        self._ttl_s = ttl_days * DAY_S
        self._status = "shadow" if shadow else "recorded"

    @classmethod
    def for_settings(cls, client: DynamoDBClient | DynamoDb, settings: Settings) -> Ledger:
        """The ledger as a deployment has it."""
        shadow = settings.delivery_mode == "shadow"
        return cls(client, settings.ledger_table, ttl_days=settings.ledger_ttl_days, shadow=shadow)

    def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Written:
        """Write a conversion if it is new, together with the memory and the further conversions that belong to it.

        One that is recorded already is amended if it ``amends`` and the recorded one is still held; else it stays as it
        is. All of it is one write. ``origin`` says whence it came (source, tenant, delivery), for people who ask later.

        Raises:
            Contended: what is remembered has changed since it was read; nothing was written.
            LedgerUnavailable: nothing was written, or nobody knows.
        """
        new: list[Conversion] = [conversion, *conversion.also]
        held: list[Conversion] = []
        while True:
            writes = [{"Put": self._conversion_put(each, now_ms, origin)} for each in new]
            writes += [{"Update": self._amendment(each, now_ms)} for each in held]
            if conversion.remember is not None:
                writes.append({"Put": self._memory_put(conversion.remember, now_ms, origin.get("tenant"))})
            refused = self._write(writes)
            if refused is None:
                return Written([each.key for each in new], [each.key for each in held])
            tried = [*new, *held]
            if not [index for index in refused if index < len(tried)]:
                raise Contended("another delivery changed what is remembered at the same time")
            # Those that are there already are amended instead; those that cannot be amended stay as they are.
            held = [each for i, each in enumerate(tried) if (i >= len(new)) != (i in refused) and each.amends]
            new = [each for i, each in enumerate(new) if i not in refused]

    def _write(self, writes: Sequence[Any]) -> list[int] | None:
        """Do all of the writes, or none: which of them were refused by their condition, None when all is written."""
        with _available("record the conversion"):
            try:
                match writes:
                    case []:
                        return None
                    case [{"Put": put}]:
                        self._client.put_item(**put)
                    case [{"Update": update}]:
                        self._client.update_item(**update)
                    case _:
                        self._client.transact_write_items(TransactItems=writes)
            except self._client.exceptions.ConditionalCheckFailedException:
                return [0]
            except self._client.exceptions.TransactionCanceledException as error:
                codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                return [index for index, code in enumerate(codes) if code == "ConditionalCheckFailed"]
        return None

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
            "event": {"B": packing.pack(conversion.event.to_json())},
            "recorded_ms": {"N": str(now_ms)},
            "expires_at": {"N": str(now_ms // 1000 + self._ttl_s)},
            **({"hold_until_ms": {"N": str(now_ms + conversion.hold_s * 1000)}} if conversion.hold_s else {}),
            **{name: {"S": value} for name, value in origin.items() if value},
        }
        return {"TableName": self._table, "Item": item, "ConditionExpression": is_new}

    def _amendment(self, conversion: Conversion, now_ms: int) -> Any:
        # A better event may take the place of the stored one as long as nobody can have sent it:
        #
        #   0 s    invoice.paid    ─▶ recorded, held for 600 s; the outbox queues it, SQS hides it until 600 s
        #   2 s    session         ─▶ amended: the item's event is replaced, the message on the queue is not
        #   540 s                  ─▶ from here on every amendment is refused (the margin of 60 s)
        #   600 s  sender          ─▶ sends the event of the item, not that of the message; so does every resend
        #
        # Both sides read the same hold_until_ms, so no event changes after it may have been sent: what goes out twice
        # goes out with the same bytes (P2), whatever delays the queue.
        #
        # What is compared is the packed event. Events that differ are packed differently; but so may be one and the
        # same, by another build of zlib (while AWS changes the runtime) or by a version that stored plain JSON. It is
        # then written once more, its JSON unchanged, and the delivery is said to have amended it, which harms nothing.
        unsent = "#status = :status"
        still_held = "hold_until_ms > :amendable"
        says_something_new = "event <> :event"
        return {
            "TableName": self._table,
            "Key": {"pk": {"S": conversion.key}},
            "UpdateExpression": "SET event = :event, amended_ms = :now",
            "ConditionExpression": f"{unsent} AND {still_held} AND {says_something_new}",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": {
                ":status": {"S": self._status},
                ":amendable": {"N": str(now_ms + AMEND_MARGIN_MS)},
                ":event": {"B": packing.pack(conversion.event.to_json())},
                ":now": {"N": str(now_ms)},
            },
        }

    def withdraw(self, key: str, reason: str, now_ms: int) -> None:
        """Take a conversion back, for good: the recorded one if it is still held, and whatever comes to be recorded.

        Nothing of it is left but its key and the reason, so no copy of it is new. What may have been sent stays.
        """
        # The same margin as for amendments: until then nobody can have sent it. An item without a status is none of
        # those that are sent, replayed or counted; one without an event has nothing of anybody.
        absent = "attribute_not_exists(pk)"
        still_held = "#status = :status AND hold_until_ms > :amendable"
        with _available("withdraw the conversion"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": key}},
                    UpdateExpression="SET withdrawn = :reason, withdrawn_ms = :now, expires_at = :expires "
                    "REMOVE #status, event, hold_until_ms, amended_ms",
                    ConditionExpression=f"{absent} OR ({still_held})",
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":status": {"S": self._status},
                        ":amendable": {"N": str(now_ms + AMEND_MARGIN_MS)},
                        ":reason": {"S": reason},
                        ":now": {"N": str(now_ms)},
                        ":expires": {"N": str(now_ms // 1000 + self._ttl_s)},
                    },
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return

    def stored(self, key: str) -> Stored | None:
        """The event that a conversion has now, read consistently; None when it was erased or withdrawn."""
        with _available("read the conversion"):
            item = self._client.get_item(TableName=self._table, Key={"pk": {"S": key}}, ConsistentRead=True).get("Item")
        if item is None or "withdrawn" in item:
            return None
        event = event_in(item)
        try:
            hold_until_ms = int(item.get("hold_until_ms", {"N": "0"})["N"])
        except (KeyError, ValueError) as error:
            raise LedgerUnavailable(f"the ledger item {key} is none of a conversion") from error
        if event is None:
            raise LedgerUnavailable(f"the ledger item {key} is none of a conversion")
        return Stored(event, hold_until_ms)

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
                "facts": {"B": packing.pack(_json(memory.facts))},
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
        if (facts := facts_in(item)) is not None:
            return {**json.loads(facts), "version": item["version"]["S"]}
        event = event_in(item)
        return None if event is None else json.loads(event)

    def note(self, request: PrivacyRequest, now_ms: int) -> Recorded:
        """Write a privacy request, once; the stream hands it to functions/privacy."""
        item = {
            "pk": {"S": f"privacy#{request.request_id}"},
            "kind": {"S": request.kind},
            "tenant": {"S": request.tenant},
            "digests": {"S": json.dumps(list(request.digests))},
            "subjects": {"S": json.dumps(list(request.subjects))},
        }
        return self._put_once(item, now_ms, "note the privacy request")

    def fetch_later(self, fetch: Fetch, now_ms: int, tenant: str | None = None) -> Recorded:
        """Write down, once, what has to be fetched; the stream hands it to the outbox as it does a conversion."""
        item = {
            "pk": {"S": f"fetch#{fetch.key}"},
            "status": {"S": TO_FETCH},
            "fetch": {"S": _json(fetch.facts)},
            **({"tenant": {"S": tenant}} if tenant else {}),
        }
        return self._put_once(item, now_ms, "note what to fetch")

    def _put_once(self, item: Mapping[str, Any], now_ms: int, doing: str) -> Recorded:
        times = {"recorded_ms": {"N": str(now_ms)}, "expires_at": {"N": str(now_ms // 1000 + self._ttl_s)}}
        with _available(doing):
            try:
                self._client.put_item(
                    TableName=self._table, Item={**item, **times}, ConditionExpression="attribute_not_exists(pk)"
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return "duplicate"
        return "recorded"

    def settle(self, key: str, status: Settled, reason: str, now_ms: int) -> None:
        """Write what became of a conversion, or of what was to be fetched. Repeating it is harmless: ``sent`` is never
        overwritten by another end, nor a rejection by ``expired``, nor is what was first said of a fetched object.

        A conversion that was erased or forgotten meanwhile stays away: nothing is written for it.
        """
        # A message may come back after its conversion has ended, even when it has grown too old meanwhile:
        #
        #   day 1  rejected, with its reason ─▶ deleting the message fails, it comes back
        #   day 7  the copy is too old       ─▶ refused: what was wrong with the event is worth more than its age
        #
        # A rejected one that passes when it is sent again was sent.
        ended = {":sent": {"S": "sent"}, ":fetched": {"S": "fetched"}}
        if status == "expired":
            ended[":rejected"] = {"S": "rejected"}
        exists_and_is_open = f"attribute_exists(pk) AND NOT #status IN ({', '.join(ended)})"
        with _available("settle the conversion"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": key}},
                    UpdateExpression="SET #status = :status, reason = :reason, settled_ms = :now",
                    ConditionExpression=exists_and_is_open,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":status": {"S": status},
                        **ended,
                        ":reason": {"S": reason},
                        ":now": {"N": str(now_ms)},
                    },
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return

    def reopen(self, key: str, status: Reopened, now_ms: int) -> bool:
        """Set a conversion back to ``recorded``, for somebody who is about to put it on the queue again; False when its
        status is no longer ``status``, or it was erased. An object to fetch stays ``to_fetch``.

        The stored event stays as it is, byte for byte. ``reopened_ms`` says when this was, so that a second attempt can
        tell what is on its way already; ``reopened_from`` what it was before.
        """
        # Two people, or a run that was interrupted and its repetition, cannot undo each other's work:
        #
        #   rejected ─▶ reopened ─▶ recorded ─▶ queued ─▶ sent       here a second reopening of "rejected" is refused
        #                  └ crash: recorded, and not queued; it is found by its status, as what the outbox gave up
        #
        # The stream shows a MODIFY, which the outbox does not read: whoever reopens has to forward.
        unchanged = "#status = :before"
        with _available("set the conversion back"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"pk": {"S": key}},
                    UpdateExpression="SET #status = :open, reopened_from = :before, reopened_ms = :now "
                    "REMOVE reason, settled_ms",
                    ConditionExpression=unchanged,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues={
                        ":before": {"S": status},
                        ":open": {"S": TO_FETCH if status == TO_FETCH else "recorded"},
                        ":now": {"N": str(now_ms)},
                    },
                )
            except self._client.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def circuit(self) -> Circuit | None:
        """The circuit to OpenAI, if it is open."""
        with _available("read the circuit"):
            item = self._client.get_item(TableName=self._table, Key=_CIRCUIT_KEY, ConsistentRead=True).get("Item")
        try:
            if item is None or item["state"]["S"] not in ("blocked", "outage"):
                return None
            return Circuit(
                state="blocked" if item["state"]["S"] == "blocked" else "outage",
                advice=item["advice"]["S"],
                since_ms=int(item["since_ms"]["N"]),
                until_ms=int(item["until_ms"]["N"]),
                oldest_ms=int(item["oldest_ms"]["N"]),
            )
        except (KeyError, ValueError):
            # Not as it is written here, by hand or by another version. A run without it finds out how OpenAI answers
            # and writes it anew; failing would stop every run from now on.
            return None

    def open_circuit(self, circuit: Circuit) -> None:
        """Let later runs of the sender know that OpenAI blocks or is out."""
        self._set_circuit(
            state={"S": circuit.state},
            advice={"S": circuit.advice},
            since_ms={"N": str(circuit.since_ms)},
            until_ms={"N": str(circuit.until_ms)},
            oldest_ms={"N": str(circuit.oldest_ms)},
        )

    def close_circuit(self, now_ms: int) -> None:
        """OpenAI is back. When it had stopped stays there to be read."""
        self._set_circuit(state={"S": "closed"}, closed_ms={"N": str(now_ms)})

    def _set_circuit(self, **attributes: Any) -> None:
        with _available("note how OpenAI answers"):
            self._client.update_item(
                TableName=self._table,
                Key=_CIRCUIT_KEY,
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes),
                ExpressionAttributeNames={f"#{name}": name for name in attributes},
                ExpressionAttributeValues={f":{name}": value for name, value in attributes.items()},
            )


Outgoing = tuple[str, str, int]
"""What goes on a queue: ledger key, text, end of the hold in Unix milliseconds (0: not held)."""


def event_in(item: Mapping[str, Any]) -> str | None:
    """The event's JSON in an item of the table or an image of its stream, exactly as it goes out; None without one.

    Raises:
        LedgerUnavailable: there is one, and this version of the relay cannot read it.
    """
    return _text_in(item, "event")


def facts_in(item: Mapping[str, Any]) -> str | None:
    """The JSON of what a memory holds; None in an item that is none.

    Raises:
        LedgerUnavailable: there is one, and this version of the relay cannot read it.
    """
    return _text_in(item, "facts")


def _text_in(item: Mapping[str, Any], attribute: str) -> str | None:
    key = item.get("pk", {}).get("S")
    try:
        match item.get(attribute):
            case None:
                return None
            case {"B": bytes() as packed}:  # as the client gives it
                return packing.unpack(packed)
            case {"B": str() as written}:  # as Lambda writes it into the JSON of a stream's records
                return packing.unpack(base64.b64decode(written, validate=True))
            case {"S": str() as text}:  # as versions before packing stored it: such items live for ``LedgerTtlDays``
                return text
    except ValueError as error:
        raise LedgerUnavailable(f"the {attribute} of the ledger item {key} cannot be read: {error}") from error
    what = "a conversion" if attribute == "event" else "a memory"
    raise LedgerUnavailable(f"the ledger item {key} is none of {what}")


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def conversions_in(images: Sequence[Mapping[str, Any]]) -> list[Outgoing]:
    """The events of the conversions among a stream's ``NewImage``s."""
    return [
        (image["pk"]["S"], event, int(image.get("hold_until_ms", {"N": "0"})["N"]))
        for image in images
        if (event := event_in(image)) is not None
    ]


def fetches_in(images: Sequence[Mapping[str, Any]]) -> list[Outgoing]:
    """What is to be fetched among a stream's ``NewImage``s."""
    return [(image["pk"]["S"], image["fetch"]["S"], 0) for image in images if "fetch" in image]


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
