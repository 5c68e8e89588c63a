"""One trial: a stack behind the fault proxy, clients, faults, a sender that runs over and over, and the books."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from conversion_relay.delivery import Delivery
from tools.faults import plan
from tools.faults.accounting import Balance, Books, balance
from tools.faults.clients import NEVER_RETRY, WAVE, Clients, Course, poster
from tools.faults.injection import Injection
from tools.faults.proxy import FaultProxy
from tools.local_aws import LocalAws, Say, Stack
from tools.samples import ORIGIN
from tools.stand_in import StandIn

PIXEL_ID: Final = "Qm7TzV4kRw2LpX9sNdB3Yh"
OPENAI_KEY: Final = "conversions-key-for-trials"
KEYS: Final = {OPENAI_KEY: {"scope": True, "pixels": [PIXEL_ID]}}
SECRETS: Final = {
    "shopify": "shpss_for_trials",
    "stripe": "whsec_for_trials",
    "callrail": "callrail key for trials",
}
VISIBILITY_S: Final = 25
"""What a dead sender held comes back after this; deployed it is ten minutes. The sender gathers for up to 20 s."""
SMALL_TRIAL: Final = 1_000
SMALL_VISIBILITY_S: Final = 5
"""The same for a trial of fewer deliveries than that, over which nobody wants to wait for half a minute."""
DRAINED_WITHIN_S: Final = 240
SENDER_ENDS_WITHIN_S: Final = 10
CLIENTS: Final = 8
LEAST_REQUESTS: Final = 2
"""OpenAI's faults go on until so many requests have met them: a small trial may have posted all before the first."""
REQUESTED_WITHIN_S: Final = 30
QUEUES: Final = ("Queue", "DeadLetterQueue", "OutboxFailures")
_SENDER_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """A look at a trial under way."""

    posted: int
    waiting: int
    counted: int
    killed: int
    seconds: float
    draining: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial did and found. ``answers`` counts attempts by status, ``broken`` the calls to AWS by what befell
    them, ``killed`` the processes by function; ``seconds`` are those of posting and of sending the rest.
    """

    seed: int
    deliveries: Sequence[Course]
    answers: Mapping[str, int]
    broken: Mapping[str, int]
    openai_faults: Mapping[str, int]
    requests: Mapping[str, int]
    events_sent: int
    killed: Mapping[str, int]
    strikes: int
    runs: Mapping[str, int]
    parked: int
    balance: Balance
    posting_s: float
    draining_s: float


@dataclass(slots=True)
class SenderLoop:
    """Invokes the sender again and again, as its schedule would; after a run that dies or is throttled, the next."""

    stack: Stack
    runs: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until ``stop``."""
        client, name = self.stack.client("lambda"), self.stack.resources["Sender"]
        while not self._stop.wait(_SENDER_PAUSE_S):
            try:
                answer = client.invoke(FunctionName=name, Payload=b"{}")
                answer["Payload"].read()
                self.runs["crashed" if "FunctionError" in answer else "ended"] += 1
            except (ClientError, BotoCoreError):
                self.runs["not started"] += 1

    def stop(self) -> None:
        """End after the run under way."""
        self._stop.set()


@contextmanager
def deployed(say: Say, seed: int) -> Iterator[tuple[Stack, FaultProxy, StandIn]]:
    """The stack with the fault proxy between its functions and AWS, and the stand-in for OpenAI."""
    with (
        StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in,
        LocalAws.start(say=say, concurrency=CLIENTS + 4) as aws,
        FaultProxy(aws.endpoint, seed, say) as proxy,
    ):
        stack = aws.deploy(
            "faults",
            {
                "PixelId": PIXEL_ID,
                "OpenAiEndpoint": f"{stand_in.url}/v1/events",
                "StorefrontOrigin": "https://northwind-trail.example",
                "PublicOrigin": ORIGIN,
                "SendEvery": "rate(1 hour)",
                "Architecture": "x86_64",
            },
            {**{source: [secret] for source, secret in SECRETS.items()}, "openai": OPENAI_KEY},
        )
        for function in plan.FUNCTIONS:
            stack.redirect(function, proxy.endpoint)
        yield stack, proxy, stand_in


def run(
    deliveries: int,
    seed: int,
    *,
    parallel: int = CLIENTS,
    say: Say = print,
    look: Callable[[Progress], None] = lambda _: None,
) -> Report:
    """Run a trial.

    Args:
        deliveries: how many to post, retries not counted.
        seed: of the plan.
        parallel: clients that post at the same time.
        say: is told in a few words what goes on.
        look: is shown the progress now and then.

    Raises:
        LocalAwsFailed: the local AWS, the stack or the proxy could not be made.
    """
    with deployed(say, seed) as (stack, proxy, stand_in):
        return Trial(deliveries, seed, stack, proxy, stand_in, look).run(parallel)


class Trial:
    """One trial on a stack that is deployed for it alone."""

    def __init__(
        self,
        deliveries: int,
        seed: int,
        stack: Stack,
        proxy: FaultProxy,
        stand_in: StandIn,
        look: Callable[[Progress], None],
    ) -> None:
        began = datetime.now(UTC).replace(microsecond=0)

        def make(posting: plan.Posting, now: datetime) -> Delivery:
            return plan.delivery(posting, SECRETS, began, now)

        self._make = make
        self._seed, self._stack, self._proxy, self._stand_in, self._look = seed, stack, proxy, stand_in, look
        self._clients = Clients(
            plan.postings(seed, deliveries),
            self._make,
            poster({source: stack.url(source)[0] for source in SECRETS}),
            seed,
            wave=min(WAVE, max(20, deliveries // 3)),
        )
        self._injection = Injection(
            plan.faults(seed, deliveries, OPENAI_KEY), lambda: self._clients.progress, stack, proxy, stand_in, KEYS
        )
        self._sender = SenderLoop(stack)
        self._started = time.monotonic()

    def run(self, parallel: int) -> Report:
        """Post with faults, then without, until everything is sent; then balance the books."""
        visibility_s = SMALL_VISIBILITY_S if len(self._clients.postings) < SMALL_TRIAL else VISIBILITY_S
        self._stack.client("sqs").set_queue_attributes(
            QueueUrl=self._stack.resources["Queue"], Attributes={"VisibilityTimeout": str(visibility_s)}
        )
        self._warm_up()
        self._started = time.monotonic()
        sending = threading.Thread(target=self._sender.run, daemon=True)
        sending.start()
        clients = self._clients.start(parallel)
        self._injection.start()
        try:
            self._watch(lambda: self._clients.progress < 1, draining=False)
            self._injection.wait()
            self._watch(
                lambda: len(self._stand_in.requests()) < LEAST_REQUESTS, draining=False, within_s=REQUESTED_WITHIN_S
            )
            self._injection.end()
            posted = time.monotonic()
            self._watch(lambda: not self._drained(clients), draining=True, within_s=DRAINED_WITHIN_S)
            drained = time.monotonic()
        finally:
            self._clients.stop()
            self._sender.stop()
            self._injection.end()
            for client in clients:
                client.join()
            sending.join(SENDER_ENDS_WITHIN_S)  # when the trial is broken off, a run may take minutes
        return self._report(self._books(), posted - self._started, drained - posted)

    def _warm_up(self) -> None:
        """One request without a signature to each receiver, which writes nothing.

        Cold starts for all clients at once are slow on a small machine: each client would lose patience, and its retry
        start one more process.
        """
        for source in SECRETS:
            self._stack.post(source, b"{}")

    def _watch(self, going_on: Callable[[], bool], *, draining: bool, within_s: float = float("inf")) -> None:
        give_up = time.monotonic() + within_s
        while going_on() and time.monotonic() < give_up:
            if self._clients.defect is not None:
                raise self._clients.defect
            self._look(
                Progress(
                    posted=len(self._clients.courses),
                    waiting=self._clients.waiting,
                    counted=self._stand_in.summary()["counted"],
                    killed=self._injection.killed.total(),
                    seconds=time.monotonic() - self._started,
                    draining=draining,
                )
            )
            time.sleep(0.5)

    def _drained(self, clients: Sequence[threading.Thread]) -> bool:
        """Whether every delivery is answered, the queue is empty, and the ledger knows the end of every conversion."""
        if any(client.is_alive() for client in clients) or depth(self._stack, "Queue"):
            return False
        return all(status == "sent" for status in ledger(self._stack).values())

    def _books(self) -> Books:
        courses = [self._clients.courses[number] for number in sorted(self._clients.courses)]
        may_be_parked = [
            course.posting
            for course in courses
            if course.posting.kind == "not_understood" or course.posting.source in NEVER_RETRY
        ]
        now = datetime.now(UTC)
        return Books(
            courses=courses,
            counted=self._stand_in.events(),
            arrivals=self._stand_in.arrivals(),
            ledger=ledger(self._stack),
            parked=parked(self._stack),
            bodies={each.number: _sha256(self._make(each, now).body) for each in may_be_parked},
            queues={name: depth(self._stack, name) for name in QUEUES},
        )

    def _report(self, books: Books, posting_s: float, draining_s: float) -> Report:
        requests = self._stand_in.requests()
        return Report(
            seed=self._seed,
            deliveries=books.courses,
            answers=self._clients.answers,
            broken=self._proxy.fired(),
            openai_faults=self._injection.openai(),
            requests=Counter(str(each["status"] or "connection dropped") for each in requests),
            events_sent=sum(each["events"] for each in requests),
            killed=self._injection.killed,
            strikes=self._injection.strikes,
            runs=self._sender.runs,
            parked=len(books.parked),
            balance=balance(books),
            posting_s=posting_s,
            draining_s=draining_s,
        )


def ledger(stack: Stack) -> dict[str, str]:
    """Status of each conversion in the ledger, by key."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(
        TableName=stack.resources["Ledger"],
        ProjectionExpression="pk, #status",
        FilterExpression="attribute_exists(event)",
        ExpressionAttributeNames={"#status": "status"},
    )  # fmt: skip
    return {item["pk"]["S"]: item["status"]["S"] for page in pages for item in page["Items"]}


def parked(stack: Stack) -> frozenset[str]:
    """SHA-256 of each body in the parking bucket, hexadecimal."""
    s3, bucket = stack.client("s3"), stack.resources["ParkingBucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = set()
    for key in [each["Key"] for page in pages for each in page.get("Contents", [])]:
        with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
            found.add(_sha256(base64.b64decode(json.loads(body.read())["body_base64"])))
    return frozenset(found)


def depth(stack: Stack, queue: str) -> int:
    """Messages in a queue, those under way and those held back too."""
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    answer: Any = stack.client("sqs").get_queue_attributes(QueueUrl=stack.resources[queue], AttributeNames=names)
    return sum(int(each) for each in answer["Attributes"].values())


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
