"""SQS as it is: at least once, in no certain order, a message hidden for a while each time it is handed out.

A contract test plays the same operations on the local AWS.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from tests.simulation.faults import ODD, REFUSED

if TYPE_CHECKING:
    from tests.simulation.invocation import Invocation

DAY_MS: Final = 86_400_000
MOST_ENTRIES: Final = 10
MOST_BYTES: Final = 1_048_576
LONGEST_DELAY_S: Final = 900
CALL_MS: Final = 6


def _error(code: str, operation: str = "SQS") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "simulated"}}, operation)


class StoredMessage:
    """One message. It is hidden until ``visible_ms``; each time it is handed out counts in ``receives``."""

    __slots__ = ("attributes", "body", "gone", "number", "receives", "sent_ms", "visible_ms")

    def __init__(self, number: int, body: str, attributes: Mapping[str, Any], sent_ms: int, visible_ms: int) -> None:
        self.number = number
        self.body = body
        self.attributes = attributes
        self.sent_ms = sent_ms
        self.visible_ms = visible_ms
        self.receives = 0
        self.gone = False

    @property
    def key(self) -> str:
        """The ledger key that the relay puts into the attribute ``key``."""
        return str(self.attributes["key"]["StringValue"])


class StoredQueue:
    """One queue of the service.

    ``dead`` is where a message goes that was handed out ``most_receives`` times. ``on_delete`` is told what is deleted.
    """

    def __init__(
        self,
        *,
        visibility_s: int = 30,
        most_receives: int | None = None,
        dead: StoredQueue | None = None,
        retention_ms: int = 14 * DAY_MS,
        on_send: Callable[[StoredMessage], None] = lambda _: None,
        on_delete: Callable[[StoredMessage], None] = lambda _: None,
    ) -> None:
        self.visibility_ms = visibility_s * 1000
        self.most_receives = most_receives
        self.dead = dead
        self.retention_ms = retention_ms
        self.on_send = on_send
        self.on_delete = on_delete
        self.messages: dict[int, StoredMessage] = {}
        self.sent = 0
        self.handed_out = 0
        self.most_handed_out = 0
        self._visible: deque[StoredMessage] = deque()
        self._hidden: list[tuple[int, int, StoredMessage]] = []

    def send(self, body: str, attributes: Mapping[str, Any], delay_s: int, now_ms: int) -> StoredMessage:
        """Store a message."""
        self.sent += 1
        message = StoredMessage(self.sent, body, attributes, now_ms, now_ms + delay_s * 1000)
        self._put(message)
        self.on_send(message)
        return message

    def _put(self, message: StoredMessage) -> None:
        self.messages[message.number] = message
        self._hide(message)

    def _hide(self, message: StoredMessage) -> None:
        heappush(self._hidden, (message.visible_ms, message.number, message))

    def next_visible_ms(self) -> int | None:
        """When a message can be had next; None when the queue is empty."""
        while self._visible and self._visible[0].gone:
            self._visible.popleft()
        if self._visible:
            return 0
        hidden = self._hidden
        while hidden and (hidden[0][2].gone or hidden[0][2].visible_ms != hidden[0][0]):
            heappop(hidden)
        return hidden[0][0] if hidden else None

    def receive(self, most: int, now_ms: int, dice: random.Random | None = None, *, twice: bool = False) -> list[Any]:
        """Hand out up to ``most`` messages. With dice: in any order, at times fewer than there are.

        ``twice``: the first one stays visible, as where SQS keeps a copy that it has lost sight of.
        """
        hidden, visible = self._hidden, self._visible
        while hidden and hidden[0][0] <= now_ms:
            when_ms, _, message = heappop(hidden)
            if not message.gone and message.visible_ms == when_ms:
                visible.append(message)
        if not visible:
            return []
        if dice is not None:
            chance = dice.random()
            if chance < 0.3:
                visible.rotate(dice.randrange(MOST_ENTRIES))
            elif chance < 0.4:
                most = dice.randint(0, most)
        taken: list[Any] = []
        while visible and len(taken) < most:
            message = visible.popleft()
            if message.gone or self._too_old(message, now_ms) or self._is_dead(message):
                continue
            message.receives += 1
            self.handed_out += 1
            self.most_handed_out = max(self.most_handed_out, message.receives)
            if twice:
                visible.append(message)
                message.visible_ms = 0
                twice = False
            else:
                message.visible_ms = now_ms + self.visibility_ms
                self._hide(message)
            taken.append(message)
        return taken

    def _too_old(self, message: StoredMessage, now_ms: int) -> bool:
        if now_ms - message.sent_ms < self.retention_ms:
            return False
        message.gone = True
        del self.messages[message.number]
        return True

    def _is_dead(self, message: StoredMessage) -> bool:
        if self.most_receives is None or message.receives < self.most_receives:
            return False
        message.gone = True
        del self.messages[message.number]
        if self.dead is not None:
            self.dead.send(message.body, message.attributes, 0, message.sent_ms)
        return True

    def delete(self, receipt: str, dice: random.Random | None = None) -> bool:
        """Delete a message by what it was handed out with; False when no such receipt was ever given.

        An older receipt than the last is taken without complaint; whether the message goes then is up to SQS.
        """
        number, _, receives = receipt.partition("/")
        if not receives.isdigit() or not number.isdigit() or int(number) > self.sent:
            return False
        message = self.messages.get(int(number))
        if message is None:
            return True
        if int(receives) < message.receives and (dice is None or dice.random() < 0.5):
            return True
        message.gone = True
        del self.messages[message.number]
        self.on_delete(message)
        return True

    def undelete(self, receipt: str, now_ms: int, later_ms: int) -> None:
        """A deleted message is handed out once more: a server of SQS missed the deletion."""
        message = self.messages.get(int(receipt.partition("/")[0]))
        if message is not None:
            copy = StoredMessage(self.sent + 1, message.body, message.attributes, message.sent_ms, now_ms + later_ms)
            copy.receives = message.receives
            self.sent += 1
            self._put(copy)
            self.on_send(copy)

    def change_visibility(self, receipt: str, seconds: int, now_ms: int) -> bool:
        """Hide a message for so many seconds from now; False when it is not in flight by that receipt."""
        number, _, receives = receipt.partition("/")
        message = self.messages.get(int(number))
        if message is None or message.receives != int(receives) or message.visible_ms <= now_ms:
            return False
        message.visible_ms = now_ms + seconds * 1000
        self._hide(message)
        return True


def sqs_error(dice: random.Random, fault: str) -> Exception:
    """What boto3 raises in the end, its own attempts over."""
    if fault != REFUSED:
        return ReadTimeoutError(endpoint_url="https://sqs.simulated")
    code = dice.choice(("RequestThrottled", "ServiceUnavailable", "InternalError", "OverLimit", ""))
    if not code:
        return EndpointConnectionError(endpoint_url="https://sqs.simulated")
    return _error(code)


class SqsClient:
    """What the relay uses of boto3's client, in one invocation. ``queues`` are by URL."""

    def __init__(self, queues: Mapping[str, StoredQueue], invocation: Invocation) -> None:
        self._queues = queues
        self._invocation = invocation

    def _begin(self, operation: str, weight: int = 8) -> Any:
        return self._invocation.begin("SQS", operation, CALL_MS, sqs_error, weight)

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """At times some of the entries fail, and of those some were taken all the same."""
        fault = self._begin("SendMessageBatch")
        _check_entries(Entries)
        queue, now_ms, dice = self._queues[QueueUrl], self._invocation.timeline.now_ms, self._invocation.calls.dice
        failed = []
        for entry in Entries:
            fails = fault == ODD and dice.random() < 0.5
            if fails:
                failed.append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
            if not fails or dice.random() < 0.3:
                queue.send(
                    entry["MessageBody"], entry.get("MessageAttributes", {}), entry.get("DelaySeconds", 0), now_ms
                )
        self._invocation.writes += 1
        if fault is not None:
            self._invocation.end(fault, sqs_error)
        names = {each["Id"] for each in failed}
        answer: dict[str, Any] = {"Successful": [{"Id": each["Id"]} for each in Entries if each["Id"] not in names]}
        return answer | {"Failed": failed} if failed else answer

    def send_message(self, *, QueueUrl: str, MessageBody: str, **options: Any) -> dict[str, Any]:  # noqa: N803
        """One message."""
        fault = self._begin("SendMessage")
        now_ms = self._invocation.timeline.now_ms
        self._queues[QueueUrl].send(
            MessageBody, options.get("MessageAttributes", {}), options.get("DelaySeconds", 0), now_ms
        )
        self._invocation.writes += 1
        if fault is not None:
            self._invocation.end(fault, sqs_error)
        return {}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1, **wanted: Any) -> dict[str, Any]:  # noqa: N803
        """Up to ten messages. Where there is none, it waits a part of the time that it may."""
        fault = self._begin("ReceiveMessage", weight=1)
        if not 1 <= MaxNumberOfMessages <= MOST_ENTRIES:
            raise _error("InvalidParameterValue", "ReceiveMessage")
        calls = self._invocation.calls
        taken = self._queues[QueueUrl].receive(
            MaxNumberOfMessages, self._invocation.timeline.now_ms, calls.dice, twice=fault == ODD
        )
        if fault is not None:
            self._invocation.end(fault, sqs_error)
        if not taken:
            return {}
        names = wanted.get("MessageAttributeNames", ())
        return {"Messages": list(_told(taken, names))}

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """At times some of the entries fail; at others SQS forgets that it deleted one."""
        fault = self._begin("DeleteMessageBatch")
        _check_entries(Entries)
        queue, dice = self._queues[QueueUrl], self._invocation.calls.dice
        successful, failed = [], []
        forgets = fault == ODD and dice.random() < 0.5
        for entry in Entries:
            if forgets and dice.random() < 0.5:
                queue.undelete(entry["ReceiptHandle"], self._invocation.timeline.now_ms, dice.randint(0, 3 * 3_600_000))
            if fault == ODD and not forgets and dice.random() < 0.5:
                failed.append({"Id": entry["Id"], "Code": "InternalError", "SenderFault": False})
            elif queue.delete(entry["ReceiptHandle"], dice):
                successful.append({"Id": entry["Id"]})
            else:
                failed.append({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": True})
        self._invocation.writes += 1
        if fault is not None:
            self._invocation.end(fault, sqs_error)
        return {"Successful": successful, "Failed": failed}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """At times some of the entries fail."""
        fault = self._begin("ChangeMessageVisibilityBatch")
        _check_entries(Entries)
        queue, dice = self._queues[QueueUrl], self._invocation.calls.dice
        successful, failed = [], []
        for entry in Entries:
            misses = fault == ODD and dice.random() < 0.5
            now_ms = self._invocation.timeline.now_ms
            if not misses and queue.change_visibility(entry["ReceiptHandle"], entry["VisibilityTimeout"], now_ms):
                successful.append({"Id": entry["Id"]})
            else:
                failed.append({"Id": entry["Id"], "Code": "MessageNotInflight", "SenderFault": True})
        if fault is not None:
            self._invocation.end(fault, sqs_error)
        return {"Successful": successful, "Failed": failed}


def _check_entries(entries: Sequence[Any]) -> None:
    if not entries:
        raise _error("AWS.SimpleQueueService.EmptyBatchRequest")
    if len(entries) > MOST_ENTRIES:
        raise _error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
    if len({each["Id"] for each in entries}) < len(entries):
        raise _error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
    if "MessageBody" in entries[0] and sum(map(_size, entries)) > MOST_BYTES:
        raise _error("AWS.SimpleQueueService.BatchRequestTooLong")
    for each in entries:
        if not 0 <= each.get("DelaySeconds", 0) <= LONGEST_DELAY_S:
            raise _error("InvalidParameterValue")


def _size(entry: Any) -> int:
    return len(entry["MessageBody"].encode()) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode())
        for name, value in entry.get("MessageAttributes", {}).items()
    )


def _told(messages: Sequence[StoredMessage], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for message in messages:
        attributes = message.attributes
        if "All" not in names:
            attributes = {name: value for name, value in attributes.items() if name in names}
        yield {
            "MessageId": str(message.number),
            "Body": message.body,
            "ReceiptHandle": f"{message.number}/{message.receives}",
            "Attributes": {"ApproximateReceiveCount": str(message.receives)},
            **({"MessageAttributes": attributes} if attributes else {}),
        }
