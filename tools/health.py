"""How a deployed relay fares: what is in its ledger, queues and bucket, what keeps it from sending, what to do next.

Counting and judging are pure functions; `look` asks AWS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from conversion_relay.circuit import Circuit
from conversion_relay.ledger import TO_FETCH
from conversion_relay.settings import DeliveryMode
from tools import entries, readings, story
from tools.deployment import Deployment
from tools.entries import Entry
from tools.readings import DAY_MS, REPORT, Asked, Depth, Parked, Schedule, reading
from tools.wording import count, moment, span

STATUSES: Final = {
    "recorded": "waiting",
    "sent": "sent",
    "rejected": "rejected",
    "expired": "expired",
    "shadow": "shadow",
    TO_FETCH: "to fetch",
    "fetched": "fetched",
}
"""The ledger's statuses, and what they are called here."""
WINDOWS: Final = {"24 h": DAY_MS, "7 days": 7 * DAY_MS, "all": None}
"""Of the time of the record; ``all`` is what the ledger still holds."""
QUEUES: Final = {
    "Queue": "to be sent",
    "FetchQueue": "to be fetched",
    "DeadLetterQueue": "dead letters",
    "OutboxFailures": "given up by the outbox",
    "FetchDeadLetterQueue": "given up by fetching",
    "PrivacyFailures": "privacy requests not carried out",
}
"""The queues by logical id; what lies in any but the first two needs a person."""
TOO_OLD: Final = "over 7 days old before it could be sent"
_ALARMS_AT_ONCE: Final = 100
_UNKNOWN: Final = "reason no longer in the log"


@dataclass
class Tally:
    """The ledger, counted. ``counts`` is by window, source and status; ``reasons`` by status and reason."""

    counts: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: {each: Counter() for each in WINDOWS})
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    held: int = 0
    oldest: Entry | None = None
    """The unsent conversion that happened first."""
    rejected_fresh: int = 0
    """Rejected ones that OpenAI would still take."""

    @property
    def sources(self) -> Sequence[str]:
        """All that have something in the ledger, by name."""
        return sorted({source for source, _ in self.counts["all"]})

    def of(self, window: str, *, source: str | None = None, status: str | None = None) -> int:
        """How many there are, of a source, a status, or any."""
        return sum(
            number
            for (whose, what), number in self.counts[window].items()
            if source in (None, whose) and status in (None, what)
        )


def tally(found: Iterable[Entry], now_ms: int) -> Tally:
    """Count the ledger's entries."""
    counted = Tally()
    for entry in found:
        for window, length_ms in WINDOWS.items():
            if length_ms is None or entry.recorded_ms > now_ms - length_ms:
                counted.counts[window][entry.source, entry.status] += 1
        if entry.status in ("rejected", "expired"):
            counted.reasons[entry.status, TOO_OLD if entry.status == "expired" else entry.reason] += 1
            is_fresh = story.freshness_left_ms(entry.timestamp_ms, now_ms) > 0
            counted.rejected_fresh += entry.status == "rejected" and is_fresh
        if entry.status == "recorded":
            counted.held += entry.hold_until_ms > now_ms
            if counted.oldest is None or entry.timestamp_ms < counted.oldest.timestamp_ms:
                counted.oldest = entry
    return counted


@dataclass(frozen=True)
class Alarm:
    """An alarm that is going off: its name in the template, since when (Unix milliseconds) and what it says to do."""

    name: str
    since_ms: int
    description: str


@dataclass
class Health:
    """Everything that ``relay status`` shows. None: it could not be read; ``unread`` says why."""

    now_ms: int
    stack: str
    mode: DeliveryMode | None = None
    schedule: Schedule | None = None
    circuit: Circuit | None = None
    """None also where nothing keeps the sender from sending: see ``circuit_read``."""
    circuit_read: bool = True
    ledger: Tally | None = None
    queues: Mapping[str, Depth] = field(default_factory=dict)
    queues_unread: Sequence[str] = ()
    parked: Sequence[Parked] | None = None
    parked_reasons: Mapping[str, str] = field(default_factory=dict)
    """Why each was parked, by key, as far as the log still says it."""
    alarms: Sequence[Alarm] | None = None
    unread: Sequence[str] = ()

    @property
    def deliveries(self) -> Sequence[Parked]:
        """What is parked but for the reports of privacy requests."""
        return [each for each in self.parked or () if each.source != REPORT]

    @property
    def parked_by(self) -> Mapping[tuple[str, str], Sequence[Parked]]:
        """Parked deliveries by source and reason, most first."""
        found: dict[tuple[str, str], list[Parked]] = {}
        for each in self.deliveries:
            found.setdefault((each.source, self.parked_reasons.get(each.key, _UNKNOWN)), []).append(each)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))

    @property
    def oldest_left_ms(self) -> int | None:
        """The freshness budget: for how long OpenAI still takes the oldest unsent conversion; None where none waits."""
        oldest = self.ledger.oldest if self.ledger else None
        return None if oldest is None else story.freshness_left_ms(oldest.timestamp_ms, self.now_ms)

    def waiting_in(self, queue: str) -> int:
        """Messages in a queue; 0 where there is no such queue."""
        return self.queues[queue].total if queue in self.queues else 0


@dataclass(frozen=True)
class Step:
    """What to do next. ``urgent``: it needs a person."""

    sentence: str
    urgent: bool = True


def look(relay: Deployment, now_ms: int) -> Health:
    """Ask AWS for all of it. What it does not answer is noted in ``unread``.

    Raises:
        NoDeployment: there is no such stack.
    """
    asked = Asked()
    health = Health(now_ms, relay.stack)
    health.mode = asked.for_(partial(readings.mode, relay), None)
    health.schedule = asked.for_(partial(readings.schedule, relay, now_ms), None)
    unread: tuple[bool, Circuit | None] = (False, None)
    health.circuit_read, health.circuit = asked.for_(lambda: (True, readings.circuit(relay)), unread)
    health.ledger = asked.for_(partial(_tally, relay, now_ms), None)
    depths = {queue: asked.for_(partial(readings.depth, relay, queue), None) for queue in QUEUES}
    health.queues = {queue: depth for queue, depth in depths.items() if depth is not None}
    health.queues_unread = [queue for queue in QUEUES if queue in relay.resources and queue not in health.queues]
    health.parked = asked.for_(partial(readings.parked, relay), None)
    if health.deliveries:
        since_ms = health.deliveries[0].since_ms - 60_000  # it is logged right after it is written
        nothing: dict[str, str] = {}
        health.parked_reasons = asked.for_(partial(_parked_reasons, relay, since_ms), nothing)
    health.alarms = asked.for_(partial(alarms, relay), None)
    health.unread = asked.unread
    return health


def _tally(relay: Deployment, now_ms: int) -> Tally:
    with reading("the ledger", "dynamodb:Scan"):
        return tally(entries.scan(relay), now_ms)


def _parked_reasons(relay: Deployment, since_ms: int) -> dict[str, str]:
    found = readings.deliveries(relay, "parked", since_ms)
    return {line.key: line.reason for line in found if line.outcome == "parked"}


def alarms(relay: Deployment) -> list[Alarm]:
    """The stack's alarms that are going off.

    Raises:
        Unreadable: CloudWatch did not say.
    """
    logical = {physical: name for name, physical in relay.resources.items() if name.endswith("Alarm")}
    names = list(logical)
    found: list[Alarm] = []
    for start in range(0, len(names), _ALARMS_AT_ONCE):
        with reading("the alarms", "cloudwatch:DescribeAlarms"):
            answer = relay.client("cloudwatch").describe_alarms(
                AlarmNames=names[start : start + _ALARMS_AT_ONCE],
                StateValue="ALARM",
                AlarmTypes=["MetricAlarm"],
                MaxRecords=_ALARMS_AT_ONCE,
            )
        found += [
            Alarm(
                logical[each["AlarmName"]],
                int(each["StateUpdatedTimestamp"].timestamp() * 1000),
                each.get("AlarmDescription", ""),
            )
            for each in answer["MetricAlarms"]
            if each["StateValue"] == "ALARM" and each["AlarmName"] in logical
        ]
    return sorted(found, key=lambda each: each.since_ms)


# What to do next ------------------------------------------------------------------------------------------------------


def steps(health: Health, command_options: str) -> list[Step]:
    """What a person should do, the most pressing first; none where all is well."""
    return [
        *_about_sending(health, command_options),
        *_about_queues(health, command_options),
        *_about_parked(health, command_options),
        *_about_rejected(health, command_options),
        *(
            Step(f"Alarm {each.name}, since {moment(each.since_ms)}: {each.description}")
            for each in health.alarms or ()
        ),
        *(Step(story.whole(problem)) for problem in health.unread),
    ]


def _about_sending(health: Health, options: str) -> Iterable[Step]:
    circuit, schedule, left_ms = health.circuit, health.schedule, health.oldest_left_ms
    is_urgent = left_ms is not None and left_ms < story.URGENT_MS
    if circuit is not None and circuit.state == "blocked":
        yield Step(
            f"{story.whole(circuit.advice)} The events wait, and the next runs send them once that is right; "
            f"'relay check{options}' tries it out."
        )
    elif circuit is not None:
        yield Step(
            f"{story.whole(circuit.advice)} Nothing to do: the events wait, and the next runs send them once OpenAI "
            "takes them.",
            urgent=is_urgent,
        )
    if schedule is not None and not schedule.enabled:
        yield Step("Enable the sender's schedule (EventBridge Scheduler): nothing is sent while it is disabled.")
    if health.mode == "shadow":
        yield Step("DeliveryMode is shadow: conversions are recorded and nothing is sent.", urgent=False)
    if left_ms is not None and left_ms <= 0:
        yield Step("The oldest unsent conversion is over 7 days old: the next run of the sender ends it as expired.")
    elif is_urgent:
        yield Step(
            f"OpenAI takes the oldest unsent conversion for only {span(left_ms or 0)} more: see to it that the sender "
            "can send before that."
        )
    if circuit is None and _is_stuck(health):
        yield Step(
            "The oldest unsent conversion should have gone long ago: read the sender's and the outbox's log, then put "
            f"what was given up on the queue again with 'relay replay ledger{options} --status recorded "
            "--older-than 15m'."
        )


def _is_stuck(health: Health) -> bool:
    oldest, schedule = health.ledger.oldest if health.ledger else None, health.schedule
    if oldest is None or schedule is None or not schedule.enabled or health.mode == "shadow":
        return False
    return (schedule.last_ms or 0) > story.sendable_ms(oldest) + story.LATE_MS


def _about_queues(health: Health, options: str) -> Iterable[Step]:
    dead, outbox = health.waiting_in("DeadLetterQueue"), health.waiting_in("OutboxFailures")
    fetch, privacy = health.waiting_in("FetchDeadLetterQueue"), health.waiting_in("PrivacyFailures")
    if dead:
        yield Step(
            f"{count(dead, 'dead letter')}: correct what the sender's log says, then run 'relay replay "
            f"dead-letters{options}' within 7 days of the conversions."
        )
    if outbox:
        yield Step(
            f"The outbox gave up {count(outbox, 'batch', 'batches')} of the ledger's stream: correct what its log "
            f"says, then run 'relay replay ledger{options} --status recorded --older-than 15m'."
        )
    if fetch:
        yield Step(
            f"{count(fetch, 'object')} of Stripe could not be fetched for 7 days: their conversions are too old to be "
            "sent. The fetch function's log says why."
        )
    if privacy:
        yield Step(
            f"{count(privacy, 'privacy request')} could not be carried out, for which the law gives 30 days: see "
            "docs/operations.md, Privacy requests."
        )


def _about_parked(health: Health, options: str) -> Iterable[Step]:
    held = health.deliveries
    if held:
        yield Step(
            f"{count(len(held), 'delivery is', 'deliveries are')} parked: correct the cause (docs/replaying.md, "
            f"Parked deliveries), then run 'relay replay parked{options}'. OpenAI takes what is under 7 days old; the "
            f"oldest is deleted in {span(held[0].left_ms(health.now_ms))}."
        )
    reports = len(health.parked or ()) - len(held)
    if reports:
        yield Step(
            f"{count(reports, 'report')} of what is held of a person: hand it to the merchant within 30 days "
            "(docs/operations.md, Privacy requests).",
            urgent=False,
        )


def _about_rejected(health: Health, options: str) -> Iterable[Step]:
    fresh = health.ledger.rejected_fresh if health.ledger else 0
    if fresh:
        yield Step(
            f"OpenAI has rejected {count(fresh, 'conversion')} that it would still take: correct what the reasons "
            f"name, then run 'relay replay ledger{options} --status rejected'."
        )
