"""``relay replay dead-letters``: messages that were put aside go back on their queue; those nobody can read stay.

A message is on the queue again before it is deleted from the dead letters: a crash between the two leaves it in both,
and the sender merges copies. A dry run looks at the messages and gives them back at once.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any, Final

from conversion_relay import event
from conversion_relay.queue import BATCH, Message, Queue, readable
from tools import dry_run, entries, moments
from tools.deployment import Deployment
from tools.dry_run import Listing, amount
from tools.replay.messages import Letter, hidden_now, letters_of

QUEUES: Final = {"DeadLetterQueue": "Queue", "FetchDeadLetterQueue": "FetchQueue"}
"""Dead letters, and the queue that they came from, by logical id."""
HOLD_IS_OVER: Final = 1
"""Marks a message as held without delaying it: the sender takes its event from the ledger, and waits if it must."""


@dataclass(frozen=True, slots=True)
class Read:
    """A dead letter as it was read. ``why_not``: why it stays, empty when it can go back."""

    letter: Letter
    key: str
    timestamp_ms: int
    why_not: str = ""

    @property
    def outgoing(self) -> tuple[str, str, int]:
        """What goes back on the queue: the same body, byte for byte."""
        return self.key, self.letter.body, HOLD_IS_OVER if "held" in self.letter.attributes else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def act(deployment: Deployment, options: argparse.Namespace) -> int:
    """Put them back, or say what would happen; the exit status."""
    listing = Listing("put aside (UTC)", "key", "happened (UTC)", "what becomes of it")
    going = staying = hidden = 0
    try:
        for dead, queue in QUEUES.items():
            if queue == "FetchQueue" and dead not in deployment.resources:
                continue
            with letters_of(deployment, dead) as letters:
                hidden += letters.hidden
                found = _read_all(deployment, letters.held)
                back = [each for each in found if not each.why_not]
                with dry_run.progress("Putting back", len(back)) as step:
                    for batch in dry_run.in_batches(back, BATCH):
                        if options.go:
                            target = Queue(deployment.client("sqs"), deployment.resources[queue])
                            target.forward([each.outgoing for each in batch], moments.now_ms())
                            letters.delete([each.letter for each in batch])
                        for each in batch:
                            listing.add(
                                *_row(each, "back on the queue" if options.go else "would go back on the queue")
                            )
                            step()
                        going += len(batch)
                for each in found:
                    if each.why_not:
                        listing.add(*_row(each, f"stays: {each.why_not}"))
                        staying += 1
    finally:
        listing.show()
    if hidden:
        print(hidden_now(amount(hidden, "dead letter")))
    if not going + staying:
        if not hidden:
            print("There are no dead letters.")
        return 1 if hidden else 0
    went = "went" if options.go else "would go"
    print(
        f"{amount(going + staying, 'dead letter')}: {going} {went} back on the queue, {staying} cannot be read or sent."
    )
    if staying:
        print("SQS deletes what stays 14 days after it was put aside.")
    if not options.go:
        print(dry_run.WRITES_NOTHING)
    return 1 if staying or hidden else 0


def _read_all(deployment: Deployment, letters: list[Letter]) -> list[Read]:
    found = [read(each) for each in letters]
    known = {each.key for each in entries.by_keys(deployment, [each.key for each in found if not each.why_not])}
    return [each if each.why_not or each.key in known else _erased(each) for each in found]


def _erased(found: Read) -> Read:
    # The sender would send it all the same: only of held events does it ask the ledger.
    return Read(found.letter, found.key, found.timestamp_ms, "the ledger has no such conversion (erased, or forgotten)")


def read(letter: Letter) -> Read:
    """What a dead letter says; its event is an event of ours, or what the fetch function is to fetch."""
    key = letter.attributes.get("key", "")
    if key.startswith("fetch#"):
        facts = _object(letter.body)
        if not {"id", "type", "path"} <= facts.keys():
            return Read(letter, key, 0, "it does not say what to fetch")
        return Read(letter, key, int(facts.get("created") or 0) * 1000)
    held = readable(Message(key, letter.body, letter.receipt))
    if held is None:
        return Read(letter, key, 0, letter.attributes.get("reason") or "it is no event of this relay")
    return Read(letter, key, held["timestamp_ms"])


def _object(text: str) -> dict[str, Any]:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return held if isinstance(held, dict) else {}


def _row(found: Read, end: str) -> tuple[str, str, str, str]:
    if not found.why_not and event.age_problem(found.timestamp_ms, moments.now_ms()) == "too_old":
        end += "; over 7 days old, so it ends as expired"
    written = moments.written(found.letter.sent_ms)
    return written, found.key or "none", moments.written(found.timestamp_ms), end
