"""Messages of a queue that people look into: all of them at once, and back they go unless they are deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from conversion_relay.queue import BATCH, QueueUnavailable
from tools.deployment import Deployment
from tools.dry_run import in_batches

LOOK_S: Final = 600
"""How long a message is hidden from others while it is looked at; given back, it is there again at once."""
MOST: Final = 10_000
"""Messages that are looked at in one run."""
_EMPTY_RECEIVES: Final = 2
"""SQS asks all of its servers only when it is given time, and may even so answer with less than there is."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it lies in a queue. ``sent_ms``: when it was put there, Unix ms. ``attributes``: texts by name."""

    body: str
    attributes: dict[str, str]
    sent_ms: int
    receipt: str


class Letters:
    """A queue's messages, hidden from others meanwhile."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url
        self.held: list[Letter] = []
        self.hidden = 0
        """About how many were not to be had: somebody looks at them, or a run that was ended by force did."""

    def take(self) -> None:
        """Receive all that there are, up to 10,000."""
        lying = _lying(self._client, self._url)
        empty = 0
        while empty < _EMPTY_RECEIVES and len(self.held) < MOST:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=BATCH,
                VisibilityTimeout=LOOK_S,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            found = [_letter(each) for each in answer.get("Messages", [])]
            self.held += found
            empty = 0 if found else empty + 1
        self.hidden = max(lying - len(self.held), 0)

    def delete(self, letters: Sequence[Letter]) -> None:
        """Remove them.

        Raises:
            QueueUnavailable: some are still there. What came of them is done already, and harmless to do again.
        """
        for batch in in_batches(letters, BATCH):
            entries = [{"Id": str(number), "ReceiptHandle": each.receipt} for number, each in enumerate(batch)]
            failed = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", [])
            refused = {int(each["Id"]) for each in failed}
            gone = {each.receipt for number, each in enumerate(batch) if number not in refused}
            self.held = [each for each in self.held if each.receipt not in gone]
            if refused:
                raise QueueUnavailable(f"SQS did not delete {len(refused)} messages ({failed[0].get('Code')})")

    def give_back(self) -> None:
        """Let everybody see what is left of them, at once."""
        for batch in in_batches(self.held, BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": 0}
                for number, each in enumerate(batch)
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        self.held = []


@contextmanager
def letters_of(deployment: Deployment, queue: str) -> Iterator[Letters]:
    """What lies in a queue, by its logical id; what was not deleted goes back at the end, whatever happens."""
    letters = Letters(deployment.client("sqs"), deployment.resources[queue])
    try:
        letters.take()
        yield letters
    finally:
        letters.give_back()


def hidden_now(what: str) -> str:
    """That there is more than could be looked at, such as ``3 dead letters``, and when it can be."""
    return (
        f"{what} could not be looked at: another run does, or one that broke off did. Run the same command again in "
        f"{LOOK_S // 60} minutes."
    )


def depth(deployment: Deployment, queue: str) -> int:
    """About how many messages lie in a queue, those that are hidden for a while counted too."""
    return _lying(deployment.client("sqs"), deployment.resources[queue])


def _lying(client: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    held = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(held[name]) for name in names)


def _letter(message: Any) -> Letter:
    attributes = {name: str(each.get("StringValue", "")) for name, each in message.get("MessageAttributes", {}).items()}
    sent_ms = int(message.get("Attributes", {}).get("SentTimestamp", "0"))
    return Letter(message["Body"], attributes, sent_ms, message["ReceiptHandle"])
