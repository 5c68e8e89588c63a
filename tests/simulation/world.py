"""A world: platforms that send webhooks, the relay, AWS and OpenAI around it, and everything that goes wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from conversion_relay.ledger import LedgerUnavailable
from conversion_relay.queue import NotQueued
from conversion_relay.settings import Settings
from tests.simulation import platforms
from tests.simulation.faults import Crash, Faults, NoFaults
from tests.simulation.invocation import Calls, Invocation, Say
from tests.simulation.openai import GOOD_KEY, OpenAiServer, Weather
from tests.simulation.properties import CATCHING_UP_MS, LARGEST_SKEW_MS, Properties
from tests.simulation.relay import DEAD_LETTERS, QUEUE, Relay
from tests.simulation.sqs import StoredQueue
from tests.simulation.stream import Stream
from tests.simulation.timeline import START_MS, Timeline
from tests.simulation.webhooks import Story, Told
from tools.in_memory_dynamodb import InMemoryDynamoDB

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

RETRIES_MS: Final = (10_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 3_600_000, 3_600_000)
"""Shopify: up to 8 attempts more within 4 hours."""
T = TypeVar("T")
SETTINGS: Final = replace(
    platforms.SETTINGS, ledger_table="ledger", queue_url=QUEUE, dead_letter_queue_url=DEAD_LETTERS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What kind of world it is. Likelihoods are between 0 and 1, and hold until it calms down."""

    send_every_ms: int = 5 * MINUTE_MS
    shards: int = 1
    lost_answers: float = 0.0
    """The platform does not hear an answer."""
    repeated_batches: float = 0.0
    """The stream hands over again what went well."""
    double_runs: float = 0.0
    """The schedule starts the sender twice."""
    clocks_differ: bool = False
    slow_ledger_ms: int = 0
    """Each call to the ledger takes up to so long."""
    forgets: bool = False
    """DynamoDB removes items some time after their TTL."""
    erases: float = 0.0
    """Somebody has a conversion erased, which takes the item away."""
    tracing: bool = False
    settings: Settings = SETTINGS


class World:
    """One world. ``calm_ms`` is when everything stops going wrong; `run` goes on until nothing is under way."""

    def __init__(
        self,
        seed: int,
        *,
        calm_ms: int = START_MS,
        faults: Faults | None = None,
        conditions: Conditions = Conditions(),
        relay: Callable[[World, Settings], Relay] = Relay,
    ) -> None:
        self.dice = random.Random(seed)
        self.timeline = Timeline()
        self.trace: list[str] | None = [] if conditions.tracing else None
        self.say: Say | None = self._say if conditions.tracing else None
        self.calls = Calls(self.timeline, self.dice, faults or NoFaults(), self.say)
        self.calls.slow_ledger_ms = conditions.slow_ledger_ms
        self.conditions = conditions
        self.calm_ms = calm_ms
        self.longest_wait_ms = 0
        self.counts: Counter[str] = Counter()
        self.stories: list[Story] = []
        self.given_up: list[str] = []
        self.replays = False
        """Whether somebody replays what was rejected, its cause being mended."""
        self.secrets: dict[str, Sequence[str]] = {}
        """By source, where it is not the one that all have."""

        self.properties = Properties(self)
        self.openai = OpenAiServer(self.dice, self.properties.violated)
        self.openai_key = GOOD_KEY
        self.relay = relay(self, conditions.settings)
        self.dead_letters = StoredQueue()
        self.queue = StoredQueue(
            visibility_s=self.relay.visibility_s,
            most_receives=self.relay.most_receives,
            dead=self.dead_letters,
            on_send=self._queued,
            on_delete=self.properties.deleted,
        )
        self.queues = {QUEUE: self.queue, DEAD_LETTERS: self.dead_letters}
        self.objects: dict[str, bytes] = {}
        self.stream = Stream(
            self.timeline,
            self.dice,
            self._forward,
            lambda images: self.given_up.extend(image["pk"]["S"] for image in images),
            shards=conditions.shards,
            again=conditions.repeated_batches,
        )
        self.table = InMemoryDynamoDB(on_change=self._changed)
        self._next_run_ms: int | None = None
        self.timeline.at(calm_ms, self.calm)

    @property
    def now_ms(self) -> int:
        """The time, in Unix milliseconds, UTC."""
        return self.timeline.now_ms

    def _say(self, text: str) -> None:
        assert self.trace is not None
        time = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        self.trace.append(f"{time:%d %H:%M:%S}.{self.now_ms % 1000:03}  {text}")

    # What happens -------------------------------------------------------------------------------------------------

    def tell(self, story: Story) -> None:
        """A platform has something to tell; `send` says when its deliveries go out."""
        self.stories.append(story)
        for told in story.deliveries:
            self.properties.personal.update(told.personal)

    def send(self, told: Told, at_ms: int) -> None:
        """A delivery goes out at a time, and again when it is not answered."""
        self.timeline.at(at_ms, lambda: self._deliver(told, 0))

    def change_weather(self, weather: Weather) -> None:
        """From now on OpenAI behaves differently."""
        if self.say is not None:
            self.say(f"OpenAI is {weather}")
        self.openai.weather = weather

    def replay(self, at_ms: int) -> None:
        """OpenAI takes what it has refused, and somebody replays that, again and again until it is done."""

        def replayed(invocation: Invocation) -> int | None:
            try:
                return self.relay.replay(invocation)
            except (LedgerUnavailable, NotQueued):
                return None

        def act() -> None:
            self.openai.mend()
            invocation, done = self._invoke("replay", HOUR_MS, replayed)
            if self.say is not None:
                self.say(f"{invocation.name}: {'failed' if done is None else f'{done} queued again'}")
            # What a run of the sender has had refused before may be written down a little later.
            if done != 0 or self.now_ms < self.calm_ms + HOUR_MS:
                self.timeline.after(20 * MINUTE_MS, act)

        self.replays = True
        self.timeline.at(at_ms, act)

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        if self.say is not None:
            self.say("from now on all is well")
        self.calls.calm()
        self.conditions = Conditions(send_every_ms=self.conditions.send_every_ms, settings=self.conditions.settings)
        self.stream.again = 0.0
        self.openai.weather = "well"
        # Where none of a batch passes and none is named, the relay waits: so it is told in the end.
        self.openai.naming = "first"
        self.openai.key = self.openai_key = GOOD_KEY
        self.secrets = {}

    def run(self) -> Properties:
        """Let everything happen, until nothing is under way, and look whether the properties held."""
        self.timeline.run(self.calm_ms + CATCHING_UP_MS + self.longest_wait_ms + RETRIES_MS[-1] * 5)
        self.properties.at_rest()
        self.counts["requests"] += self.openai.requests
        for item in self.table.items.values():
            if item is not None and "event" in item:
                self.counts["conversions"] += 1
                self.counts[item["status"]["S"]] += 1
        return self.properties

    def _invoke(self, name: str, lasts_ms: int, work: Callable[[Invocation], T]) -> tuple[Invocation, T | None]:
        self.counts[name] += 1
        skew_ms = self.dice.randint(-LARGEST_SKEW_MS, LARGEST_SKEW_MS) // 2 if self.conditions.clocks_differ else 0
        invocation = Invocation(self.calls, f"{name} {self.counts[name]}", lasts_ms, skew_ms)
        try:
            return invocation, work(invocation)
        except Crash:
            self.counts["crashes"] += 1
            if self.say is not None:
                self.say(f"{invocation.name}: is dead")
            return invocation, None

    # Platforms ----------------------------------------------------------------------------------------------------

    def _deliver(self, told: Told, attempt: int) -> None:
        delivery = told.write(self.now_ms)
        self.counts["deliveries"] += 1
        invocation, outcome = self._invoke(
            "receiver",
            self.relay.receiver_lasts_ms,
            lambda invocation: self.relay.receive(invocation, told.source, delivery),
        )
        self.properties.received(told, delivery, outcome, invocation)
        heard = outcome is not None and not (
            self.conditions.lost_answers and self.dice.random() < self.conditions.lost_answers
        )
        if self.say is not None:
            what = f"{outcome.kind} ({outcome.reason}), {outcome.http}" if outcome else "no answer"
            self.say(f"{invocation.name}: {told.name} of {told.source.name}: {what}{'' if heard else ', not heard'}")
        if heard and outcome is not None and outcome.http < 500:
            return
        if told.source.retries and attempt < len(RETRIES_MS):
            self.timeline.after(RETRIES_MS[attempt], lambda: self._deliver(told, attempt + 1))

    # The relay's other functions ----------------------------------------------------------------------------------

    def _changed(self, key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        self.properties.changed(key, before, after)
        self.stream.change(key, before, after)
        if before is None and after is not None:
            if self.conditions.forgets and "expires_at" in after:
                late_ms = self.dice.randint(0, 2 * DAY_MS)
                self.timeline.at(int(after["expires_at"]["N"]) * 1000 + late_ms, lambda: self._forget(key))
            if self.conditions.erases and "event" in after and self.dice.random() < self.conditions.erases:
                self.timeline.after(self.dice.randint(0, 20 * MINUTE_MS), lambda: self._remove(key))

    def _forget(self, key: str) -> None:
        if self.table.items.get(key) is not None:
            self.properties.forgotten.add(key)
            self._remove(key)

    def _remove(self, key: str) -> None:
        if self.say is not None:
            self.say(f"ledger: {key} is removed")
        if key not in self.properties.forgotten and key in self.properties.identities:
            # Told once more, an erased conversion is a new one. OpenAI drops it by its id, if it has had it.
            self.openai.told_anew.add(self.properties.identities[key])
        self.table.delete_item(Key={"pk": {"S": key}})

    def _forward(self, images: Sequence[Mapping[str, Any]]) -> bool:
        def forwarded(invocation: Invocation) -> bool:
            try:
                self.relay.forward(invocation, images)
            except NotQueued as error:
                self.properties.said("the outbox", [str(error)])
                return False
            return True

        invocation, done = self._invoke("outbox", self.relay.outbox_lasts_ms, forwarded)
        if self.say is not None:
            self.say(f"{invocation.name}: {', '.join(image['pk']['S'] for image in images)}: {done or 'failed'}")
        return bool(done)

    def _queued(self, message: Any) -> None:
        self.properties.queued(message)
        self._plan_run()

    def _plan_run(self) -> None:
        """The next run on the schedule that finds anything: of those that find an empty queue, most are left out."""
        visible_ms = self.queue.next_visible_ms()
        if visible_ms is None:
            return
        every_ms = self.conditions.send_every_ms
        run_ms = -(-max(visible_ms, self.now_ms + 1) // every_ms) * every_ms
        if self._next_run_ms is None or run_ms < self._next_run_ms:
            self._next_run_ms = run_ms
            self.timeline.at(run_ms, lambda: self._scheduled(run_ms))

    def _scheduled(self, run_ms: int) -> None:
        if run_ms != self._next_run_ms:
            return
        self._next_run_ms = None
        # The next one is planned just before its time: what this one leaves is known then, or it is still at it.
        self.timeline.at(run_ms + self.conditions.send_every_ms - 1, self._plan_run)
        visible_ms = self.queue.next_visible_ms()
        if (visible_ms is None or visible_ms > self.now_ms) and self.dice.random() < 0.9:
            return
        if self.conditions.double_runs and self.dice.random() < self.conditions.double_runs:
            self.timeline.after(self.dice.randint(0, MINUTE_MS), self._run_sender)
        self._run_sender()

    def _run_sender(self) -> None:
        invocation, run = self._invoke("sender", self.relay.sender_lasts_ms, self.relay.send)
        if run is None:
            return
        self.properties.said(invocation.name, [*run.notes, run.blocked or "", run.retry or ""])
        if run.dead:
            self.properties.violated("P1", f"{invocation.name} took {run.dead} messages for unreadable")
        if self.say is not None:
            summary = ", ".join(f"{value} {name}" for name, value in run.summary().items() if value)
            self.say(f"{invocation.name}: {summary or 'found nothing'}")
