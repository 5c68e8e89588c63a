"""The rules that must always hold (P1 to P8), watched at each change of a world and looked over when it is at rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.event import MARGIN_MS, MAX_AHEAD_MS, MAX_PAST_MS
from conversion_relay.ledger import event_in
from conversion_relay.parking import delivery_in

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Outcome
    from tests.simulation.invocation import Invocation
    from tests.simulation.openai import Identity
    from tests.simulation.sqs import StoredMessage
    from tests.simulation.webhooks import Story, Told
    from tests.simulation.world import World

ENDS: Final = ("sent", "rejected", "expired")
LARGEST_SKEW_MS: Final = 1_000
"""How far the clocks of two functions differ, at most."""
CATCHING_UP_MS: Final = 3 * 3_600_000
"""With nothing wrong any more, every event that waits is sent within this, and what OpenAI asked to wait."""

PROMPT_MS: Final = 30 * 60_000
"""A run that began before, the time for which a message is hidden, and the next runs on the schedule."""

PROPERTIES: Final[Mapping[str, str]] = {
    "P1": "one outcome for each delivery, one end for each conversion",
    "P2": "one conversion is one event, with the same bytes each time",
    "P3": "one bad event never holds back or sinks the others",
    "P4": "nothing leaves with an event outside of 7 days back and 10 minutes ahead, less 60 s",
    "P5": "what is rejected, expired or parked is kept with its reason",
    "P6": "a wrong signature, or a missing secret, writes nothing",
    "P7": "nothing personal is in ledger, queue or texts",
    "P8": "a refused key and outages consume nothing",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A property that did not hold, and what showed it."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name} ({PROPERTIES[self.name]}): {self.text}"


class Properties:
    """Watches one world. ``violations`` are in the order in which they were found."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.violations: list[Violation] = []
        self.identities: dict[str, Identity] = {}
        """What each recorded conversion's event is called, by ledger key."""
        self.gone: set[str] = set()
        """Keys of items that were erased or forgotten."""
        self.forgotten: set[str] = set()
        """Of those, the conversions that went by their TTL."""
        self._former: set[Identity] = set()
        self._queued_ms: dict[str, int] = {}
        """When the message of a conversion could first be had."""
        self.amended_with: dict[str, list[Any]] = {}
        self.personal: set[str] = set()

    def violated(self, name: str, text: str) -> None:
        """Note that a property does not hold."""
        self.violations.append(Violation(name, text))
        if self._world.say is not None:
            self._world.say(f"VIOLATION {self.violations[-1]}")

    # While it happens ---------------------------------------------------------------------------------------------

    def changed(self, key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """An item of the table was written."""
        if after is None:
            self.gone.add(key)
            if key in self.identities:
                self._former.add(self.identities[key])
            return
        if before is None:
            texts = [value.get("S", "") for value in after.values()]
            for text in (*texts, event_in(after) or ""):
                for personal in self.personal:
                    if personal in text:
                        self.violated("P7", f"the ledger item {key} holds something personal")
        event = event_in(after)
        if event is None:
            return
        if before is None or event != event_in(before):
            self._has_event(key, before, event)
        if before is not None and after["status"] != before["status"]:
            self._ended(key, before["status"]["S"], after)

    def _has_event(self, key: str, before: Mapping[str, Any] | None, text: str) -> None:
        event = json.loads(text)
        self.identities[key] = (event.get("custom_event_name") or event["type"], event["id"])
        if before is not None and before["status"]["S"] in ENDS:
            self.violated("P2", f"{key} got another event after its end")

    def _ended(self, key: str, before: str, after: Mapping[str, Any]) -> None:
        world = self._world
        status, reason = after["status"]["S"], after.get("reason", {}).get("S", "")
        identity = self.identities[key]
        if world.say is not None:
            world.say(f"ledger: {key} is {status} ({reason})")
        if before == "sent" or (before in ENDS and status == "expired"):
            self.violated("P1", f"{key} was {before} and became {status}")
        if not reason and status in ENDS:
            self.violated("P5", f"{key} is {status} without a reason")
        match status:
            case "sent":
                if key in self.forgotten:
                    self.violated("P2", f"{key} was sent, but the ledger had forgotten whether it was before")
                # (of one that was erased and told again, a message of its first life may be what was sent)
                if identity not in world.openai.counted and key not in self.gone:
                    self.violated("P1", f"{key} is said to be sent, but OpenAI has not taken it")
            case "rejected":
                if identity not in world.openai.bad and identity not in world.openai.mended:
                    name = "P1" if world.openai.weather == "well" else "P8"
                    self.violated(name, f"{key} is rejected ({reason}), but nothing is wrong with it")
            case "expired":
                timestamp_ms = _event_of(after)["timestamp_ms"]
                if world.now_ms + LARGEST_SKEW_MS - timestamp_ms < MAX_PAST_MS - MARGIN_MS:
                    self.violated("P1", f"{key} is expired, but not 7 days old")
                if timestamp_ms + MAX_PAST_MS - MARGIN_MS > world.calm_ms + CATCHING_UP_MS + world.longest_wait_ms:
                    self.violated("P3", f"{key} expired while it could have been sent")
            case "recorded" if before == "rejected" and "reopened_ms" in after:
                pass  # somebody replays it
            case _:
                self.violated("P1", f"{key} has the unknown status {status}")
        if status in ("sent", "rejected"):
            self._held_back(key, after)

    def _held_back(self, key: str, after: Mapping[str, Any]) -> None:
        """Nothing waits for longer than SQS and the schedule let it, once nothing is wrong any more."""
        world = self._world
        timestamp_ms = _event_of(after)["timestamp_ms"]
        possible_ms = max(
            world.calm_ms + world.longest_wait_ms,
            self._queued_ms.get(key, 0),
            timestamp_ms - MAX_AHEAD_MS + MARGIN_MS,
        )
        waited_ms = world.now_ms - possible_ms
        if waited_ms > PROMPT_MS + 2 * world.conditions.send_every_ms:
            self.violated("P3", f"{key} was held back for {waited_ms // 60_000} min with nothing wrong any more")

    def received(self, told: Told, delivery: Delivery, outcome: Outcome | None, invocation: Invocation) -> None:
        """A receiver has answered, or died (no outcome)."""
        if outcome is None:
            return
        if "refused" in told.kinds and invocation.writes:
            self.violated("P6", f"{told.name} was forged, but something was written")
        if outcome.kind == "failed" or (outcome.kind == "refused" and outcome.http == 503):
            if outcome.http < 500:
                self.violated("P1", f"{told.name} failed, but was answered {outcome.http}")
            if outcome.kind == "refused" and invocation.writes:
                self.violated("P6", f"{told.name} was refused, but something was written")
        elif outcome.kind == "parked":
            self._kept(told, delivery, outcome)
            unreached = outcome.reason == "ledger_unavailable" and not told.source.retries
            if "parked" not in told.kinds and not unreached:
                self.violated("P1", f"{told.name} was parked ({outcome.reason})")
        elif outcome.kind not in told.kinds:
            self.violated("P1" if outcome.http < 400 else "P6", f"{told.name} was {outcome.kind} ({outcome.reason})")
        if outcome.http < 300 and told.accepted_ms is None:
            told.accepted_ms = self._world.now_ms
        text = f"{outcome.reason} {outcome.detail} {outcome.key}"
        if any(personal in text for personal in told.personal):
            self.violated("P7", f"the outcome of {told.name} holds something personal")
        if outcome.kind == "recorded" or outcome.reason == "amended":
            assert outcome.key is not None
            self.amended_with.setdefault(outcome.key, []).append(told)

    def _kept(self, told: Told, delivery: Delivery, outcome: Outcome) -> None:
        held = self._world.objects.get(outcome.key or "")
        if held is None:
            self.violated("P5", f"{told.name} is said to be parked, but nothing is there")
            return
        if delivery_in(held) != delivery:
            self.violated("P5", f"{told.name} is parked, but not as it came")
        if not json.loads(held)["reason"]:
            self.violated("P5", f"{told.name} is parked without a reason")

    def queued(self, message: StoredMessage) -> None:
        """A message was put on the queue."""
        self._queued_ms.setdefault(message.key, message.visible_ms)
        for personal in self.personal:
            if personal in message.body:
                self.violated("P7", f"the message of {message.key} holds something personal")

    def deleted(self, message: StoredMessage) -> None:
        """A message was deleted from the queue: its conversion must have come to its end."""
        item = self._world.table.items.get(message.key)
        if item is None:
            if message.key not in self.gone:
                self.violated("P1", f"a message of {message.key} was deleted, of which the ledger knows nothing")
        elif item["status"]["S"] not in ENDS and "reopened_ms" not in item and message.key not in self.gone:
            # (One that is replayed has another message, or gets it when the replay is repeated; one that was erased and
            # told again has one of its own.)
            name = "P1" if self._world.openai.weather == "well" else "P8"
            self.violated(name, f"a message of {message.key} was deleted before it came to an end")

    def said(self, who: str, texts: Sequence[str]) -> None:
        """Somebody wrote to the log."""
        for text in texts:
            for personal in self.personal:
                if personal in text:
                    self.violated("P7", f"{who} said something personal")

    # At rest ------------------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """Look over a world in which nothing is under way any more."""
        world = self._world
        for key, item in world.table.items.items():
            if item is not None and "event" in item:
                self._came_to_an_end(key, item)
        for story in world.stories:
            for key in story.keys(story.deliveries):
                if key not in self.identities:
                    self.violated("P1", f"{key} was accepted, but is nowhere")
            self._told_in_time(story)
        left = len(world.queue.messages)
        if left:
            self.violated("P1", f"{left} messages are left on the queue, with nothing wrong any more")
        for message in world.dead_letters.messages.values():
            self.violated("P5", f"{message.key} went to the dead letters")
        for key in world.given_up:
            self.violated("P1", f"the outbox gave up {key}")
        known = self._former.union(self.identities.values())
        for identity in world.openai.first_bytes:
            if identity not in known:
                self.violated("P2", f"{identity} was sent, but is the event of no conversion")
        self._told_together()

    def _came_to_an_end(self, key: str, item: Mapping[str, Any]) -> None:
        status, identity, world = item["status"]["S"], self.identities[key], self._world
        if status not in ENDS:
            others_are_bad = identity not in world.openai.bad and bool(world.openai.bad)
            self.violated("P3" if others_are_bad else "P1", f"{key} is still {status}")
        elif key in self.gone:
            return
        elif status == "sent" and identity not in world.openai.counted:
            self.violated("P1", f"{key} is said to be sent, but OpenAI has not counted it")
        elif status == "rejected" and identity in world.openai.counted:
            self.violated("P1", f"{key} is said to be rejected, but OpenAI has counted it")
        elif status == "rejected" and world.replays:
            self.violated("P5", f"{key} was replayed, and OpenAI would take it now, but it was not sent")
        elif status == "sent" and world.openai.first_bytes.get(identity) != event_in(item):
            self.violated("P2", f"{key} was sent with other bytes than the ledger has")

    def _told_in_time(self, story: Story) -> None:
        """Whatever order its deliveries came in, the same events went out."""
        times = [told.accepted_ms for told in story.deliveries if told.accepted_ms is not None]
        if len(times) < len(story.deliveries) or max(times) - min(times) > story.hold_s * 1000:
            return
        for key, event in story.events.items():
            item = self._world.table.items.get(key)
            if item is not None and key not in self.gone and event_in(item) != event:
                self.violated("P2", f"{key} has another event than its deliveries tell in their natural order")

    def _told_together(self) -> None:
        """What was recorded, or amended, is in the event that the ledger has at last."""
        for key, told in self.amended_with.items():
            item = self._world.table.items.get(key)
            parts = [int(each.name.split()[1]) for each in told if each.name.startswith("part ")]
            if item is None or key in self.gone or not parts:
                continue
            amount = _event_of(item)["data"]["amount"]
            for part in parts:
                if not amount // 10**part % 10:
                    self.violated("P2", f"{key} was amended with part {part}, but its event does not say so")


def _event_of(item: Mapping[str, Any]) -> Any:
    return json.loads(event_in(item) or "null")
