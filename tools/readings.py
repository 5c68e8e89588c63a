"""What the commands that look into a deployment read of it, beside the ledger's conversions: the receivers' log lines,
queues, the parking bucket, the sender's schedule and runs, the circuit to OpenAI. Nothing here writes anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from conversion_relay import event_bus
from conversion_relay.circuit import Circuit
from conversion_relay.journal import PLAIN
from conversion_relay.ledger import Ledger, LedgerUnavailable
from conversion_relay.settings import BadSetting, DeliveryMode
from tools.deployment import Deployment

RECEIVERS: Final = ("ShopifyReceiver", "StripeReceiver", "CallsReceiver", "CustomReceiver", "Fetch")
"""The functions that write a line for each delivery; a stack has those that it enables."""
LEAST_TTL_DAYS: Final = 8
"""For a ledger that is only read, which forgets nothing by it."""
PARKED_DAYS: Final = 30
"""For how long the parking bucket keeps an object (template.yaml)."""
MS: Final = 1000
DAY_MS: Final = 86_400_000

T = TypeVar("T")

_DENIED: Final = ("AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403")
_ACTION: Final = re.compile(r"perform:? ([a-z0-9-]+:[A-Za-z]+)")
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


class Unreadable(Exception):
    """AWS did not answer a question; the text says which, why, and what to do. ``action`` is the leave that lacks."""

    def __init__(self, what: str, cause: str, action: str | None = None) -> None:
        advice = f"your AWS credentials lack the leave {action}" if action else cause
        super().__init__(f"{what} could not be read: {advice}")
        self.action = action


@dataclass
class Asked:
    """What AWS did not answer of all that was asked: silence must not pass for nothing."""

    unread: list[str] = field(default_factory=list)

    def for_(self, read: Callable[[], T], otherwise: T) -> T:
        """What is read, or something else where it cannot be, which is noted."""
        try:
            return read()
        except Unreadable as problem:
            if str(problem) not in self.unread:
                self.unread.append(str(problem))
            return otherwise


@contextmanager
def reading(what: str, action: str) -> Iterator[None]:
    """Name what is asked of AWS meanwhile, and the leave that it takes, such as ``logs:FilterLogEvents``.

    Raises:
        Unreadable: AWS refused, or gave no answer, or this version cannot read an event that is there.
    """
    try:
        yield
    except ClientError as error:
        held = error.response.get("Error", {})
        code, message = held.get("Code", "unknown"), held.get("Message", "")
        raise Unreadable(what, f"{code} of {error.operation_name}", lacking(action, code, message)) from error
    except BotoCoreError as error:
        raise Unreadable(what, f"{type(error).__name__}: {error}") from error
    except LedgerUnavailable as error:
        raise Unreadable(what, str(error)) from error


def lacking(action: str, code: str, message: str) -> str | None:
    """The leave that the reader lacks; None where something else is wrong.

    AWS names it where it is another one than that of the call: to decrypt a parameter takes ``kms:Decrypt`` too.
    """
    if code not in _DENIED:
        return None
    named = _ACTION.search(message)
    if named is None and "KMS" in message:
        return "kms:Decrypt"
    return named[1] if named else action


# The log --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A delivery, as the receiver's log tells it. ``at_ms`` is Unix milliseconds."""

    at_ms: int
    source: str
    outcome: str
    reason: str
    detail: str
    key: str = ""
    also: Sequence[str] = ()
    about: Sequence[str] = ()
    topic: str = ""
    delivery: str = ""
    tenant: str = ""

    @property
    def keys(self) -> Sequence[str]:
        """The ledger keys of the conversions that it recorded or repeated."""
        is_conversion = self.outcome in ("recorded", "duplicate")
        return tuple(each for each in (self.key, *self.also) if each) if is_conversion else ()


def line_in(message: str, at_ms: int) -> Line | None:
    """The delivery that a line of the log tells of, or None: a metric, or a word of Lambda's own."""
    try:
        held = json.loads(message)
    except ValueError:
        return None
    if not isinstance(held, dict) or not isinstance(held.get("outcome"), str) or "source" not in held:
        return None

    def text(name: str) -> str:
        return str(held.get(name) or "")

    def texts(name: str) -> tuple[str, ...]:
        found = held.get(name)
        return tuple(map(str, found)) if isinstance(found, list) else ()

    return Line(
        at_ms=at_ms,
        source=text("source"),
        outcome=text("outcome"),
        reason=text("reason") or text("outcome"),
        detail=text("message") or PLAIN.get(text("outcome"), ""),
        key=text("key"),
        also=texts("also"),
        about=texts("about"),
        topic=text("topic"),
        delivery=text("delivery"),
        tenant=text("tenant"),
    )


def deliveries(deployment: Deployment, term: str, since_ms: int) -> list[Line]:
    """The deliveries in whose line a text stands, oldest first, out of the logs of all receivers.

    Raises:
        Unreadable: a log could not be searched.
    """
    groups = [deployment.resources[name] for each in RECEIVERS if (name := f"{each}Logs") in deployment.resources]
    if not groups:
        return []
    with ThreadPoolExecutor(len(groups)) as pool:
        found = pool.map(lambda group: list(_log(deployment, group, quoted(term), since_ms)), groups)
    lines = [line for held in found for message, at_ms in held if (line := line_in(message, at_ms)) is not None]
    return sorted(lines, key=lambda line: line.at_ms)


def every_line(deployment: Deployment, since_ms: int) -> Iterator[Line]:
    """Every delivery that the receivers' logs tell of, log by log; they are kept for ``LogRetentionDays``.

    Raises:
        Unreadable: a log could not be searched.
    """
    for each in RECEIVERS:
        if (group := deployment.resources.get(f"{each}Logs")) is not None:
            for message, at_ms in _log(deployment, group, quoted("outcome"), since_ms):
                if (line := line_in(message, at_ms)) is not None:
                    yield line


def quoted(term: str) -> str:
    """A text as a filter pattern of CloudWatch Logs that looks for exactly it, whatever signs it holds."""
    return '"' + term.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _log(deployment: Deployment, group: str, pattern: str, since_ms: int) -> Iterator[tuple[str, int]]:
    with reading(f"the log {group}", "logs:FilterLogEvents"):
        pages = deployment.client("logs").get_paginator("filter_log_events")
        for page in pages.paginate(logGroupName=group, filterPattern=pattern, startTime=max(since_ms, 0)):
            for each in page["events"]:
                yield each["message"], int(each["timestamp"])


def last_run_ms(deployment: Deployment, now_ms: int, every: timedelta) -> int | None:
    """When the sender last ran, by its log of the last three turns; None where it is silent.

    Raises:
        Unreadable: its log could not be searched.
    """
    since_ms = now_ms - 3 * int(every.total_seconds() * MS)
    runs = [
        at_ms
        for message, at_ms in _log(deployment, deployment.resources["SenderLogs"], quoted("received"), since_ms)
        if _is_run(message)
    ]
    return max(runs, default=None)


def _is_run(message: str) -> bool:
    try:
        held = json.loads(message)
    except ValueError:
        return False
    return isinstance(held, dict) and "received" in held and "requests" in held


# The sender -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """How often the sender runs. ``last_ms``: when it last did, None where its log does not say."""

    expression: str
    enabled: bool
    last_ms: int | None = None

    @property
    def every(self) -> timedelta:
        """The time between two runs; an hour, which is the most that the template allows, for what is no rate."""
        found = _RATE.fullmatch(self.expression)
        return timedelta(**{f"{found[2]}s": int(found[1])}) if found else timedelta(hours=1)

    @property
    def words(self) -> str:
        """Such as ``every 5 minutes``."""
        found = _RATE.fullmatch(self.expression)
        if not found:
            return self.expression
        return f"every {found[2]}" if found[1] == "1" else f"every {found[1]} {found[2]}s"


def mode(deployment: Deployment) -> DeliveryMode:
    """Whether the sender sends, lets OpenAI only check, or does nothing.

    Raises:
        Unreadable: its settings could not be read.
    """
    with reading("the sender's settings", "lambda:GetFunctionConfiguration"):
        try:
            return deployment.settings("Sender").delivery_mode
        except BadSetting as problem:
            raise Unreadable("the sender's settings", str(problem)) from problem


def schedule(deployment: Deployment, now_ms: int) -> Schedule:
    """The sender's schedule, with its last run.

    Raises:
        Unreadable: AWS did not say.
    """
    with reading("the sender's schedule", "scheduler:GetSchedule"):
        held = deployment.client("scheduler").get_schedule(Name=deployment.resources["SenderRun"])
    found = Schedule(held["ScheduleExpression"], held.get("State", "ENABLED") == "ENABLED")
    return Schedule(found.expression, found.enabled, last_run_ms(deployment, now_ms, found.every))


def circuit(deployment: Deployment) -> Circuit | None:
    """What keeps the sender from sending; None while all is well.

    Raises:
        Unreadable: the ledger could not be read.
    """
    ledger = Ledger(deployment.client("dynamodb"), deployment.resources["Ledger"], ttl_days=LEAST_TTL_DAYS)
    with reading("the circuit to OpenAI in the ledger", "dynamodb:GetItem"):
        try:
            return ledger.circuit()
        except LedgerUnavailable as error:
            raise error.__cause__ or error from error


# Queues and bucket ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Depth:
    """Messages in a queue: to be had, under way, and held back."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed


def depth(deployment: Deployment, queue: str) -> Depth | None:
    """How many messages a queue holds, by its logical id; None where the stack has none of that name.

    Raises:
        Unreadable: SQS did not say.
    """
    url = deployment.resources.get(queue)
    if url is None:
        return None
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    with reading(f"the queue {queue}", "sqs:GetQueueAttributes"):
        held = deployment.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return Depth(*(int(held[name]) for name in names))


@dataclass(frozen=True)
class Parked:
    """An object in the parking bucket: whose delivery it is, and when it was put there (Unix milliseconds)."""

    key: str
    source: str
    since_ms: int

    def left_ms(self, now_ms: int) -> int:
        """How long it will still be kept."""
        return self.since_ms + PARKED_DAYS * DAY_MS - now_ms


REPORT: Final = "privacy"
"""The ``source`` of an object that is no delivery but a report of what is held of a person."""
GIVEN_UP: Final = "given up by Lambda"
"""The ``source`` of an event of a bus that Lambda itself wrote, whose key does not name the platform."""


def parked(deployment: Deployment) -> list[Parked]:
    """All that the parking bucket holds, oldest first; no body is read.

    Raises:
        Unreadable: S3 did not list them.
    """
    bucket = deployment.resources["ParkingBucket"]
    with reading("the parking bucket", "s3:ListBucket"):
        pages = deployment.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        found = [each for page in pages for each in page.get("Contents", [])]
    held = [
        Parked(each["Key"], parked_source(each["Key"]), int(each["LastModified"].timestamp() * MS)) for each in found
    ]
    return sorted(held, key=lambda each: (each.since_ms, each.key))


def parked_source(key: str) -> str:
    """Whose delivery an object is, by its key: ``shopify/2026/…``, ``custom/typeform/2026/…`` and so on."""
    if key.startswith(event_bus.GIVEN_UP):
        return GIVEN_UP
    first, _, rest = key.partition("/")
    return rest.partition("/")[0] if first == "custom" else first


def is_parked(deployment: Deployment, key: str) -> bool:
    """Whether the parking bucket still holds an object.

    Raises:
        Unreadable: S3 did not say.
    """
    with reading("the parking bucket", "s3:ListBucket"):
        answer = deployment.client("s3").list_objects_v2(
            Bucket=deployment.resources["ParkingBucket"], Prefix=key, MaxKeys=1
        )
    return any(each["Key"] == key for each in answer.get("Contents", []))
