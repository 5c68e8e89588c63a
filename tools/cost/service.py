"""AWS and OpenAI on the loopback, as the functions reach them over HTTP, with every request counted as AWS charges it.

It speaks the JSON protocols of DynamoDB, SQS and SSM, so what calls it may be boto3 or any other client. DynamoDB is
`tools.in_memory_dynamodb`, OpenAI is the stand-in with its rules; SQS hands out what is there, in order.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from botocore.exceptions import ClientError

from tools.cost.sizes import chunks, item_bytes, read_units, write_units
from tools.in_memory_dynamodb import InMemoryDynamoDB, Item
from tools.stand_in import EVENTS_PATH, StandIn
from tools.stand_in_server import Answer, LoopbackServer, Request

PIXEL_ID: Final = "Qm7TzV4kRw2LpX9sNdB3Yh"
OPENAI_KEY: Final = "conversions-key-for-counting"
STREAMED: Final = ("recorded", "to_fetch")
"""Statuses of new items that the filter of the outbox lets through (template.yaml)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a function. ``units``: what it is charged for, in units of the service: write and read request
    units of DynamoDB, requests of SQS. ``out_bytes``: what leaves AWS. ``waits_s``: how long it was ready to wait, and
    did, for there was nothing.
    """

    service: str
    operation: str
    writes: float = 0
    reads: float = 0.0
    requests: int = 0
    out_bytes: int = 0
    waits_s: float = 0.0


class CountingService:
    """The server; ``calls`` are what was asked of it since `taken` was last called."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self.inserted: list[Item] = []
        """New items of the ledger, as the outbox hears of them, until somebody takes them away."""
        self.table = InMemoryDynamoDB(on_change=self._changed)
        self.queued: deque[dict[str, Any]] = deque()
        self.openai = StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID])
        self._secrets = secrets
        self._calls: list[Call] = []
        self._lock = threading.Lock()
        self._numbers = 0
        self._server = LoopbackServer(self._respond, 0)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Scheme, host and port: for ``AWS_ENDPOINT_URL``, and for OpenAI with ``/v1/events`` behind it."""
        return self._server.url

    def taken(self) -> list[Call]:
        """The calls since the last time."""
        with self._lock:
            calls, self._calls = self._calls, []
        return calls

    def _changed(self, _: str, before: Item | None, after: Item | None) -> None:
        if before is None and after is not None and after.get("status", {}).get("S") in STREAMED:
            self.inserted.append(after)

    def _respond(self, request: Request) -> Answer | None:
        with self._lock:
            if request.path == EVENTS_PATH:
                self._calls.append(Call("openai", "POST", out_bytes=_length(request)))
                return self.openai.respond(request)
            if request.method == "PUT":
                self._calls.append(Call("s3", "PutObject", requests=1))
                return Answer(200, b"")
            prefix, _, operation = request.headers.get("x-amz-target", "").partition(".")
            service, answer = _SERVICES[prefix.partition("_")[0]]
            try:
                told = answer(self, operation, json.loads(request.body))
            except ClientError as error:
                return _refusal(error)
            return Answer(200, json.dumps(told).encode(), f"application/x-amz-json-1.{0 if service != 'ssm' else 1}")

    # DynamoDB --------------------------------------------------------------------------------------------------------

    def _dynamodb(self, operation: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetItem":
            found = self.table.get_item(**told)
            reads = read_units(item_bytes(found.get("Item", {})), consistent=bool(told.get("ConsistentRead")))
            self._calls.append(Call("dynamodb", operation, reads=reads))
            return found
        writes = told["TransactItems"] if operation == "TransactWriteItems" else [{_KINDS[operation]: told}]
        before = self._sizes(writes)
        refused: ClientError | None = None
        try:
            _WRITES[operation](self.table, **told)
        except ClientError as error:
            refused = error
        # What is charged is the larger of the item before and after; of a write that its condition refused, the item
        # that is there.
        after = before if refused else self._sizes(writes)
        transaction = operation == "TransactWriteItems"
        units = sum(write_units(max(pair), transaction=transaction) for pair in zip(before, after, strict=True))
        self._calls.append(Call("dynamodb", operation, writes=units))
        if refused:
            raise refused
        return {}

    def _sizes(self, writes: Sequence[Mapping[str, Any]]) -> list[int]:
        sizes = []
        for write in writes:
            ((_, arguments),) = write.items()
            held = arguments["Item"] if "Item" in arguments else arguments["Key"]
            sizes.append(item_bytes(self.table.items.get(held["pk"]["S"]) or {}))
        return sizes

    # SQS -------------------------------------------------------------------------------------------------------------

    def _sqs(self, operation: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        match operation:
            case "SendMessageBatch":
                return self._sent(operation, told["Entries"])
            case "SendMessage":
                self._sent(operation, [told])
                return {"MessageId": "1", "MD5OfMessageBody": ""}
            case "ReceiveMessage":
                return self._received(told)
            case "DeleteMessageBatch" | "ChangeMessageVisibilityBatch":
                self._calls.append(Call("sqs", operation, requests=1))
                return {"Successful": [{"Id": each["Id"]} for each in told["Entries"]], "Failed": []}
        raise NotImplementedError(f"SQS {operation} is not counted yet: add it to tools/cost/service.py")

    def _sent(self, operation: str, entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        self._calls.append(Call("sqs", operation, requests=chunks(sum(map(message_bytes, entries)))))
        self.queued.extend(dict(each) for each in entries)
        return {
            "Successful": [{"Id": each.get("Id", "0"), "MessageId": "1", "MD5OfMessageBody": ""} for each in entries]
        }

    def _received(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        most = min(told.get("MaxNumberOfMessages", 1), len(self.queued))
        taken = [self.queued.popleft() for _ in range(most)]
        waits_s = 0 if taken else told.get("WaitTimeSeconds", 0)
        requests = chunks(sum(map(message_bytes, taken)))
        self._calls.append(Call("sqs", "ReceiveMessage", requests=requests, waits_s=waits_s))
        messages = []
        for each in taken:
            self._numbers += 1
            messages.append(
                {
                    "MessageId": str(self._numbers),
                    "ReceiptHandle": f"{self._numbers:0150}",
                    "Body": each["MessageBody"],
                    "Attributes": {"ApproximateReceiveCount": "1"},
                    "MessageAttributes": each.get("MessageAttributes", {}),
                }
            )
        return {"Messages": messages} if messages else {}

    # SSM -------------------------------------------------------------------------------------------------------------

    def _ssm(self, operation: str, told: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation not in ("GetParameter", "GetParameters"):
            raise NotImplementedError(f"SSM {operation} is not counted yet: add it to tools/cost/service.py")
        names = [told["Name"]] if operation == "GetParameter" else told["Names"]
        self._calls.append(Call("ssm", operation, requests=len(names)))
        found = [
            {"Name": name, "Type": "SecureString", "Value": self._secrets[name], "Version": 1, "DataType": "text"}
            for name in names
        ]
        return (
            {"Parameter": found[0]} if operation == "GetParameter" else {"Parameters": found, "InvalidParameters": []}
        )


_SERVICES: Final[Mapping[str, tuple[str, Callable[[CountingService, str, Any], Mapping[str, Any]]]]] = {
    "DynamoDB": ("dynamodb", CountingService._dynamodb),
    "AmazonSQS": ("sqs", CountingService._sqs),
    "AmazonSSM": ("ssm", CountingService._ssm),
}
_KINDS: Final = {"PutItem": "Put", "UpdateItem": "Update", "DeleteItem": "Delete"}
_WRITES: Final[Mapping[str, Callable[..., Any]]] = {
    "PutItem": InMemoryDynamoDB.put_item,
    "UpdateItem": InMemoryDynamoDB.update_item,
    "DeleteItem": InMemoryDynamoDB.delete_item,
    "TransactWriteItems": InMemoryDynamoDB.transact_write_items,
}


def message_bytes(message: Mapping[str, Any]) -> int:
    """What SQS counts of a message: its body, and of each attribute its name, type and value."""
    return len(message["MessageBody"].encode()) + sum(
        len(name.encode()) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in message.get("MessageAttributes", {}).items()
    )


def _length(request: Request) -> int:
    """Bytes of a request on the wire, before TLS."""
    line = f"{request.method} {request.path}?{request.query} HTTP/1.1\r\n"
    head = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers.items())
    return len(line) + head + len("\r\n") + len(request.body)


def _refusal(error: ClientError) -> Answer:
    response: Any = error.response
    told = {"__type": f"com.amazonaws.dynamodb.v20120810#{response['Error']['Code']}", "message": "refused"}
    if "CancellationReasons" in response:
        told["CancellationReasons"] = response["CancellationReasons"]
    return Answer(400, json.dumps(told).encode(), "application/x-amz-json-1.0")
