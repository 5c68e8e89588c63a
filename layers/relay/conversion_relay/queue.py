"""The SQS queue between the ledger and the sender.

A message's body is the event's JSON exactly as it will go to OpenAI; the attribute ``key`` names its ledger item. Where
the attribute ``held`` is there, the event may have been amended since: the ledger item has the one that will go.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BATCH: Final = 10
"""Messages that SQS takes or gives at once."""
BATCH_BYTES: Final = 1_000_000
"""Below the 1 MiB that SQS takes in one batch, with room for attributes."""
MAX_DELAY_S: Final = 900
"""SQS hides a message for no longer."""
DRAIN_S: Final = 20
PARALLEL: Final = 10
"""Receives, and deletes, under way at the same time."""


class NotQueued(Exception):
    """Some conversions are not on the queue. The stream hands the whole batch over again; duplicates are harmless."""


class QueueUnavailable(Exception):
    """SQS did not answer."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way. ``receipt`` is SQS's handle for deleting it."""

    key: str
    event: str
    receipt: str
    receives: int = 1
    held: bool = False


class Queue:
    """Forwards, drains and deletes; decides nothing. ``pool`` makes the executor of parallel calls."""

    def __init__(self, client: SQSClient, url: str, pool: Callable[[int], Executor] = ThreadPoolExecutor) -> None:
        self._client = client
        self._url = url
        self._pool = pool

    def forward(self, conversions: Sequence[tuple[str, str, int]], now_ms: int) -> None:
        """Put conversions (ledger key, event JSON, end of the hold in Unix ms or 0) on the queue, ten at a time.

        Raises:
            NotQueued: at least one is not there for certain; every batch was tried all the same.
        """
        missing = 0
        causes: set[str] = set()
        for batch in _batches(conversions):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": event,
                    "MessageAttributes": {
                        "key": {"DataType": "String", "StringValue": key},
                        **({"held": {"DataType": "String", "StringValue": "yes"}} if hold_until_ms else {}),
                    },
                    "DelaySeconds": delay_s(hold_until_ms, now_ms),
                }
                for number, (key, event, hold_until_ms) in enumerate(batch)
            ]
            try:
                answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError) as error:
                missing += len(batch)
                causes.add(_cause(error))
                continue
            failed = answer.get("Failed", [])
            missing += len(failed)
            causes.update(each["Code"] for each in failed)
        if missing:
            raise NotQueued(
                f"{missing} of {len(conversions)} conversions were not queued ({', '.join(sorted(causes))})"
            )

    def drain(self, most: int) -> list[Message]:
        """Receive up to ``most`` messages with parallel receives; fewer when the queue seems empty after them.

        When most receives of a round have waited and come back with nothing, there is no more: to wait for that once
        again, in vain, would be most of what a run costs. It also ends after 20 s with what there is: a trickle of new
        messages must not keep it from sending.

        Raises:
            QueueUnavailable: no receive was answered.
        """
        receives = max(1, min(PARALLEL, -(-most // BATCH)))
        messages: list[Message] = []
        with self._pool(receives) as pool:
            give_up = time.monotonic() + DRAIN_S
            while len(messages) < most and time.monotonic() < give_up:
                missing = min(most - len(messages), receives * BATCH)
                rounds = [pool.submit(self._receive, min(BATCH, missing - asked)) for asked in range(0, missing, BATCH)]
                arrived, is_empty, error = _gathered(rounds)
                if error is not None and not arrived:
                    if messages:
                        break
                    raise QueueUnavailable(f"SQS could not hand out messages ({_cause(error)})") from error
                messages += arrived
                if is_empty:
                    break
        return messages

    def _receive(self, most: int) -> list[Message]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=1,
            MessageAttributeNames=["key", "held"],
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [
            Message(
                key=_key_in(message),
                event=message["Body"],
                receipt=message["ReceiptHandle"],
                receives=int(message.get("Attributes", {}).get("ApproximateReceiveCount", "1")),
                held="held" in message.get("MessageAttributes", {}),
            )
            for message in answer.get("Messages", [])
        ]

    def delete(self, messages: Sequence[Message]) -> int:
        """Delete messages whose end is in the ledger; how many are gone.

        One that stays is handed out again, sent again with the same bytes and settled again, which is harmless.
        """
        batches = [messages[start : start + BATCH] for start in range(0, len(messages), BATCH)]
        if not batches:
            return 0
        with self._pool(min(PARALLEL, len(batches))) as pool:
            return sum(pool.map(self._delete, batches))

    def _delete(self, batch: Sequence[Message]) -> int:
        try:
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(batch)],
            )
        except (ClientError, BotoCoreError):
            return 0
        return len(answer.get("Successful", []))

    def release(self, messages: Sequence[Message], seconds: int) -> None:
        """Let messages be handed out again after ``seconds``; one that this misses comes back by itself, only later."""
        for start in range(0, len(messages), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                for number, each in enumerate(messages[start : start + BATCH])
            ]
            try:
                self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)  # type: ignore[arg-type]
            except (ClientError, BotoCoreError):
                return


class DeadLetters:
    """The queue for messages that nobody can send: kept 14 days, alarmed on."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def keep(self, message: Message, reason: str) -> None:
        """Put a message aside with its reason.

        Raises:
            QueueUnavailable: it was not taken; leave it where it is.
        """
        try:
            self._client.send_message(
                QueueUrl=self._url,
                MessageBody=message.event,
                MessageAttributes={
                    "key": {"DataType": "String", "StringValue": message.key or "unknown"},
                    "reason": {"DataType": "String", "StringValue": reason},
                },
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS could not keep a dead letter ({_cause(error)})") from error


def delay_s(hold_until_ms: int, now_ms: int) -> int:
    """What is left of a hold, in whole seconds that SQS takes."""
    return min(max(-(-(hold_until_ms - now_ms) // 1000), 0), MAX_DELAY_S)


def _batches(conversions: Sequence[tuple[str, str, int]]) -> Iterator[list[tuple[str, str, int]]]:
    batch: list[tuple[str, str, int]] = []
    size = 0
    for key, event, hold_until_ms in conversions:
        added = len(event.encode()) + len(key.encode()) + 64
        if batch and (len(batch) == BATCH or size + added > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((key, event, hold_until_ms))
        size += added
    if batch:
        yield batch


def _gathered(rounds: Iterable[Any]) -> tuple[list[Message], bool, Exception | None]:
    """The messages of parallel receives, whether most of them found none, and an error if there was one."""
    messages: list[Message] = []
    found, in_vain = 0, 0
    failure: Exception | None = None
    for each in rounds:
        try:
            received = each.result()
        except (ClientError, BotoCoreError) as error:
            failure = error
        else:
            messages += received
            found, in_vain = found + bool(received), in_vain + (not received)
    return messages, in_vain > found, failure


def _key_in(message: Any) -> str:
    key = message.get("MessageAttributes", {}).get("key", {}).get("StringValue", "")
    return str(key)


def _cause(error: Exception) -> str:
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "unknown")
    return type(error).__name__


_AS_WE_WRITE = re.compile(r'\{"id":"[^"\\]+","type":"[a-z_]+","timestamp_ms":([0-9]{1,16}),.*\}', re.DOTALL)


def timestamp_in(message: Message) -> int | None:
    """The time of the event in a message, Unix milliseconds; None when the message is none of ours.

    An event as the relay writes it begins with it. To parse all of each event for that alone would be a third of the
    sender's work; what begins in another way is parsed.
    """
    if message.key and (written := _AS_WE_WRITE.fullmatch(message.event)):
        return int(written[1])
    event = readable(message)
    return None if event is None else event["timestamp_ms"]


def readable(message: Message) -> dict[str, Any] | None:
    """The event in a message, or None when the message is none of ours."""
    try:
        event = json.loads(message.event)
    except (ValueError, RecursionError):
        return None
    fields = isinstance(event, dict) and isinstance(event.get("id"), str) and isinstance(event.get("type"), str)
    return event if fields and isinstance(event.get("timestamp_ms"), int) and message.key else None
