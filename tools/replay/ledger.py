"""``relay replay ledger``: conversions of the ledger go on the queue again, with the very same event (property P2).

For what the outbox gave up (``recorded``, ``to_fetch``), for what OpenAI rejected once the cause is mended, and for
what was only checked or not sent at all (``sent`` in the mode validate, ``shadow``). Each is first set back in the
ledger, if its status is still the one that was found, and then queued. What a crash leaves between the two is
``recorded``, and found by that. OpenAI drops an event whose id it has counted.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, get_args

from conversion_relay.event import age_problem
from conversion_relay.ledger import TO_FETCH, Ledger, Outgoing, Reopened
from conversion_relay.queue import BATCH, Queue
from tools import dry_run, entries, moments
from tools.deployment import Deployment
from tools.dry_run import CannotRun, Listing, amount, counted
from tools.entries import Entry
from tools.replay.messages import Letters, depth, hidden_now, letters_of

OPEN: Final = ("recorded", TO_FETCH)
"""Statuses of what is on its way, or was left behind."""
ON_THEIR_WAY_MS: Final = 15 * 60_000
"""Younger ones are taken to be on the queue: it is three times as long as a run of the sender is away."""

ON_ITS_WAY: Final = "on its way, see --older-than"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which of them."""
    parser.add_argument(
        "--status", action="append", default=[], choices=get_args(Reopened), help="those that ended so (repeatable)"
    )
    parser.add_argument(
        "--id", action="append", default=[], metavar="ID",
        help="this one, whatever its status: ledger key, event id, or the platform's id, such as an order's (…)",
    )  # fmt: skip
    parser.add_argument("--since", type=moments.moment, metavar="T", help="recorded since: 3d, 12h or an ISO time")
    parser.add_argument("--until", type=moments.moment, metavar="T", help="recorded until then")
    parser.add_argument(
        "--older-than", type=moments.span_ms, default=ON_THEIR_WAY_MS, metavar="SPAN",
        help="of those still to be sent, only those that were queued longer ago (default: 15m; 0m: all)",
    )  # fmt: skip
    parser.add_argument(
        "--clear-outbox-failures", action="store_true", help="delete the outbox's notices once all is on the queue"
    )


def act(deployment: Deployment, options: argparse.Namespace) -> int:
    """Queue them again, or say what would happen; the exit status."""
    if not options.status and not options.id:
        raise CannotRun("say which: --status recorded (what the outbox gave up), --status rejected …, or --id ID")
    if deployment.settings("Sender").delivery_mode == "shadow":
        raise CannotRun(
            "the relay is in the mode shadow, where nothing is sent: set DeliveryMode=live (or validate) first"
        )
    everything = [each for each in OPEN if each != TO_FETCH or "FetchQueue" in deployment.resources]
    partly = options.id or options.since or options.until or not set(everything) <= set(options.status)
    if options.clear_outbox_failures and partly:
        raise CannotRun(
            "the notices of the outbox speak of everything that it gave up: --clear-outbox-failures goes with "
            f"{' '.join(f'--status {each}' for each in everything)}, and with no --id, --since or --until"
        )
    notices = depth(deployment, "OutboxFailures")
    if not (options.clear_outbox_failures and options.go):
        status, _ = _replay(deployment, options)
        if notices and set(options.status) & set(OPEN):
            print(
                f"The outbox left {amount(notices, 'notice')} of what it gave up (queue OutboxFailures). Once all is "
                "on the queue again, --clear-outbox-failures deletes them, and the alarm ends."
            )
        return status
    # Only what is there before the replay begins: a notice that comes later speaks of conversions that it missed.
    with letters_of(deployment, "OutboxFailures") as letters:
        status, skipped = _replay(deployment, options)
        if status == 0:
            status = _cleared(letters, skipped)
    return status


def _cleared(letters: Letters, skipped: Sequence[Entry]) -> int:
    """Delete the notices that speak of nothing that was skipped as on its way; the exit status."""
    first_ms = min((each.recorded_ms for each in skipped), default=math.inf)
    over = [each for each in letters.held if each.sent_ms < first_ms]
    letters.delete(over)
    print(f"{amount(len(over), 'notice')} of the outbox deleted.")
    if letters.held:
        print(
            f"{amount(len(letters.held), 'notice')} may speak of what was skipped as on its way. Run the same command "
            "again in 15 minutes, or with --older-than 0m."
        )
    if letters.hidden:
        print(hidden_now(amount(letters.hidden, "notice")))
    return 1 if letters.held or letters.hidden else 0


def _replay(deployment: Deployment, options: argparse.Namespace) -> tuple[int, Sequence[Entry]]:
    """Do it; the exit status, and what was skipped as on its way."""
    now_ms = moments.now_ms()
    found = sorted(_found(deployment, options), key=lambda each: (each.timestamp_ms, each.key))
    ends = [
        (each, why_not(each, now_ms, options.older_than, has_fetch="FetchQueue" in deployment.resources))
        for each in found
    ]
    going = [entry for entry, why in ends if not why]
    done = Counter(why for _, why in ends if why)
    listing = Listing("recorded (UTC)", "happened (UTC)", "key", "value", "status", "what becomes of it")
    changed: list[str] = []
    ledger = Ledger.for_settings(deployment.client("dynamodb"), deployment.settings("Sender"))
    try:
        with dry_run.progress("Queueing", len(going)) as step:
            for batch in dry_run.in_batches(going, BATCH):
                taken = _queued_again(deployment, ledger, batch) if options.go else {each.key for each in batch}
                for entry in batch:
                    end = "queued again" if options.go else "would be queued again"
                    if entry.key not in taken:
                        end = "has another status by now"
                        changed.append(entry.key)
                    done[end] += 1
                    listing.add(*_row(entry), end)
                    step()
        for entry, why in ends:
            if why:
                listing.add(*_row(entry), f"skipped: {why}")
    finally:
        listing.show()
    _summarize(found, done, options)
    missing = [each for each in options.id if not any(is_meant(entry, each) for entry in found)]
    if missing:
        print(f"The ledger has nothing by the id {', '.join(missing)}.")
    return 1 if changed or missing else 0, [entry for entry, why in ends if why == ON_ITS_WAY]


def _summarize(found: Sequence[Entry], done: Counter[str], options: argparse.Namespace) -> None:
    if not found:
        print("The ledger has no such conversions.")
        return
    print(f"{amount(len(found), 'conversion')}: {counted(done)}.")
    if not options.go:
        print(dry_run.WRITES_NOTHING)


def _queued_again(deployment: Deployment, ledger: Ledger, batch: Sequence[Entry]) -> set[str]:
    """Set a batch back and queue it; the keys of those that had the expected status still."""
    now_ms = moments.now_ms()

    def reopened(entry: Entry) -> bool:
        return ledger.reopen(entry.key, _status(entry), now_ms)

    with ThreadPoolExecutor(BATCH) as pool:
        taken = [entry for entry, done in zip(batch, pool.map(reopened, batch), strict=True) if done]
    for queue, wanted in _by_queue(taken).items():
        Queue(deployment.client("sqs"), deployment.resources[queue]).forward(wanted, now_ms)
    return {each.key for each in taken}


def _by_queue(taken: Iterable[Entry]) -> dict[str, list[Outgoing]]:
    queues: dict[str, list[Outgoing]] = {}
    for each in taken:
        queue = "FetchQueue" if each.is_fetch else "Queue"
        queues.setdefault(queue, []).append((each.key, each.text, each.hold_until_ms))
    return queues


def _status(entry: Entry) -> Reopened:
    (status,) = (each for each in get_args(Reopened) if each == entry.status)
    known: Reopened = status
    return known


def _found(deployment: Deployment, options: argparse.Namespace) -> list[Entry]:
    keys = [each for each in options.id if "#" in each]
    others = [each for each in options.id if "#" not in each]
    found = {each.key: each for each in entries.by_keys(deployment, keys)}
    if options.status or others:
        # What an interrupted replay has set back from one of them is "recorded".
        for entry in entries.scan(deployment, () if options.id else sorted({*options.status, "recorded"})):
            if entry.key in keys or (options.id and not any(is_meant(entry, each) for each in others)):
                continue
            found[entry.key] = entry
    return [each for each in found.values() if wanted(each, options)]


def is_meant(entry: Entry, given: str) -> bool:
    """Whether an id names it: its ledger key, its event's id, or the platform's own id of the object."""
    subject = entry.key.partition("#")[2]
    names = {entry.key, subject, subject.partition(":")[2], subject.rpartition(":")[2], entry.event.get("id")}
    return given in names


def wanted(entry: Entry, options: argparse.Namespace) -> bool:
    """Whether the options ask for it. What was set back from a status, and not sent since, belongs to it still."""
    left_behind = entry.status == "recorded" and entry.reopened_from in options.status
    checks: list[Callable[[], Any]] = [
        lambda: not options.status or entry.status in options.status or left_behind,
        lambda: options.since is None or entry.recorded_ms >= options.since,
        lambda: options.until is None or entry.recorded_ms <= options.until,
    ]
    return all(check() for check in checks)


def why_not(entry: Entry, now_ms: int, older_than_ms: int, *, has_fetch: bool = True) -> str:
    """Why it is not queued again; empty when it is."""
    if entry.status not in get_args(Reopened):
        return f"there is nothing to send of what is {entry.status}"
    if entry.is_fetch and not has_fetch:
        return "the stack fetches nothing (StripeFetchThinEvents)"
    happened_ms = int(json.loads(entry.text).get("created", 0)) * 1000 if entry.is_fetch else 0
    if age_problem(happened_ms or entry.timestamp_ms, now_ms) == "too_old":
        return "over 7 days old, too late for OpenAI"
    if entry.status in OPEN and now_ms - max(entry.recorded_ms, entry.reopened_ms) < older_than_ms:
        return ON_ITS_WAY
    return ""


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    status = f"{entry.status}: {entry.reason}" if entry.reason else entry.status
    happened = moments.written(entry.timestamp_ms)
    return moments.written(entry.recorded_ms), happened, entry.key, dry_run.value_of(entry.event), status
