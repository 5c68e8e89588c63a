"""``relay replay parked``: deliveries of the parking bucket through the receive path of their source, once more.

The signature was verified when they were parked, and is not checked again. What is understood now leaves the bucket
after the ledger has it: a crash between the two makes it a duplicate the next time. What is not stays where it is.
Reports of data requests (``privacy/``) are never touched.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from conversion_relay import event_bus, parking
from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.privacy import REPORTS
from conversion_relay.sources import custom
from tools import dry_run, moments
from tools.deployment import RECEIVER_OF, Deployment
from tools.dry_run import Listing, amount, counted
from tools.taking import ABOUT, SETTLED, TOO_OLD, NoReceiver, Taker, about, words

READ_AT_ONCE: Final = 16
GIVEN_UP: Final = "given_up_by_lambda"
"""The reason of what Lambda itself wrote into the bucket."""


class Unreadable(Exception):
    """An object that the relay did not write, or that somebody changed. The text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked delivery: where it lies, whose it is, when it was parked (Unix ms) and why, and how it had come."""

    key: str
    source: str
    parked_ms: int
    reason: str
    delivery: Delivery

    @property
    def way(self) -> str:
        """``webhook``, ``bus`` or, of an object that the fetch function got from the platform's API, ``fetched``."""
        if event_bus.SOURCE_HEADER in self.delivery.headers:
            return "bus"
        return "webhook" if self.delivery.headers or self.source != "stripe" else "fetched"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which of them."""
    parser.add_argument("--source", action="append", default=[], metavar="S", help="only of this source (repeatable)")
    parser.add_argument("--reason", action="append", default=[], metavar="R", help="only parked for this reason (…)")
    parser.add_argument("--key", action="append", default=[], metavar="K", help="only this object of the bucket (…)")
    parser.add_argument("--since", type=moments.moment, metavar="T", help="parked since: 3d, 12h or an ISO time")
    parser.add_argument("--until", type=moments.moment, metavar="T", help="parked until then")
    parser.add_argument("--keep", action="store_true", help="leave the objects in the bucket, whatever becomes of them")


def act(deployment: Deployment, options: argparse.Namespace) -> int:
    """Replay them, or say what would happen; the exit status."""
    replay = _Replay(deployment, options)
    return replay.run()


class _Replay:
    def __init__(self, deployment: Deployment, options: argparse.Namespace) -> None:
        self._s3 = deployment.client("s3")
        self._bucket = deployment.resources["ParkingBucket"]
        self._taker = Taker(deployment, go=options.go)
        self._options = options
        self._listing = Listing("parked (UTC)", "source", "parked because", "now" if options.go else "would be", *ABOUT)
        self._outcomes: Counter[str] = Counter()
        self._left: list[str] = []
        self._gone = self._too_old = 0

    def run(self) -> int:
        keys = self._keys()
        try:
            with dry_run.progress("Replaying", len(keys)) as step:
                for key, content, modified_ms in self._contents(keys):
                    self._replay(key, content, modified_ms)
                    step()
        finally:
            self._listing.show()
            self._summarize()
        return 1 if self._left else 0

    def _keys(self) -> list[tuple[str, int]]:
        """Keys with the time of each object, oldest first: what came first is taken first."""
        found = []
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
            for each in page.get("Contents", []):
                wanted = not self._options.key or each["Key"] in self._options.key
                if wanted and not each["Key"].startswith(REPORTS):
                    found.append((each["Key"], int(each["LastModified"].timestamp() * 1000)))
        return sorted(found, key=lambda each: (each[1], each[0]))

    def _contents(self, keys: Sequence[tuple[str, int]]) -> Iterator[tuple[str, bytes, int]]:
        """The objects that are still there."""

        def read(key: str) -> bytes | None:
            try:
                content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                    return None  # a privacy request, or somebody else's replay, was here
                raise
            return content

        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            for batch in dry_run.in_batches(keys, READ_AT_ONCE):
                contents = list(pool.map(read, [key for key, _ in batch]))
                for (key, modified_ms), content in zip(batch, contents, strict=True):
                    if content is not None:
                        yield key, content, modified_ms

    def _replay(self, key: str, content: bytes, modified_ms: int) -> None:
        try:
            parked = parked_in(key, content, modified_ms)
        except Unreadable as problem:
            if not (self._options.source or self._options.reason):
                self._stays(key, (moments.written(modified_ms), key.partition("/")[0], ""), "unreadable", str(problem))
            return
        if not wanted(parked, self._options):
            return
        source = parked.source if parked.way == "webhook" else f"{parked.source} ({parked.way})"
        row = (moments.written(parked.parked_ms), source, parked.reason)
        try:
            outcome = self._taken(parked)
        except NoReceiver as problem:
            self._stays(key, row, "nobody's", str(problem))
            return
        if outcome.kind not in SETTLED:
            self._stays(key, row, words(outcome), outcome.detail.partition("; kept")[0])
            return
        self._outcomes[outcome.kind] += 1
        self._too_old += outcome.reason == TOO_OLD
        self._listing.add(*row, words(outcome), *about(outcome))
        if self._options.go and not self._options.keep:
            self._s3.delete_object(Bucket=self._bucket, Key=key)
            self._gone += 1

    def _taken(self, parked: Parked) -> Outcome:
        if parked.reason == GIVEN_UP and not self._is_of_the_bus(parked):
            raise NoReceiver("it is not of the partner event source that the function's settings name")
        return self._taker.take(parked.source, parked.delivery)

    def _is_of_the_bus(self, parked: Parked) -> bool:
        # The function checks this before anything else; Lambda may have given the event up before the function ran.
        envelope = {"source": parked.delivery.headers[event_bus.SOURCE_HEADER]}
        return event_bus.source_of(envelope, self._taker.settings(parked.source)) == parked.source

    def _stays(self, key: str, row: Sequence[str], end: str, why: str) -> None:
        self._left.append(f"{key}: {why}")
        self._outcomes["not understood"] += 1
        self._listing.add(*row, end)

    def _summarize(self) -> None:
        options, total = self._options, sum(self._outcomes.values())
        if not total:
            print("Nothing is parked." if not _filtered(options) else "Nothing that is parked fits.")
            return
        as_if = "" if options.go else ", if taken now"
        print(f"{amount(total, 'parked delivery', 'parked deliveries')}{as_if}: {counted(self._outcomes)}.")
        if self._too_old:
            print(f"{self._too_old} over 7 days old: OpenAI takes such a conversion no longer.")
        if self._left:
            print("What is not understood stays in the bucket, for 30 days in all:")
            print("\n".join(f"  {each}" for each in self._left))
        if not options.go:
            print(dry_run.WRITES_NOTHING)
        elif options.keep:
            print("All stay in the bucket (--keep), raw, until their 30 days are over.")
        else:
            print(f"{amount(self._gone, 'object')} left the bucket.")


def parked_in(key: str, content: bytes, modified_ms: int) -> Parked:
    """The delivery in an object of the bucket, whoever wrote it there: the receiver, the fetch function, or Lambda.

    Raises:
        Unreadable: it is none of these.
    """
    if key.startswith(event_bus.GIVEN_UP):
        delivery = event_bus.delivery_given_up(content)
        partner = delivery.headers.get(event_bus.SOURCE_HEADER, "")
        source = next((name for name in RECEIVER_OF if partner.startswith(f"aws.partner/{name}.com/")), None)
        if source is None:
            raise Unreadable("Lambda's record holds no event of a partner event source")
        return Parked(key, source, modified_ms, GIVEN_UP, delivery)
    parts = key.split("/")
    source = parts[1] if parts[0] == custom.FOLDER and len(parts) > 1 else parts[0]
    try:
        held: Any = json.loads(content)
        delivery = parking.delivery_in(content)
        reason, parked_ms = str(held["reason"]), int(held["parked_ms"])
        if not all(isinstance(each, str) for pair in delivery.headers.items() for each in pair):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise Unreadable("it is no parked delivery") from problem
    return Parked(key, source, parked_ms, reason, delivery)


def wanted(parked: Parked, options: argparse.Namespace) -> bool:
    """Whether the options ask for it."""
    checks: list[Callable[[], bool]] = [
        lambda: not options.source or parked.source in options.source,
        lambda: not options.reason or parked.reason in options.reason,
        lambda: options.since is None or parked.parked_ms >= options.since,
        lambda: options.until is None or parked.parked_ms <= options.until,
    ]
    return all(check() for check in checks)


def _filtered(options: argparse.Namespace) -> bool:
    return bool(options.source or options.reason or options.key or options.since or options.until)
