"""The ledger's stream and Lambda's event source mapping on it, as template.yaml configures them for the outbox.

Shards keep the order of their records. A batch that fails is handed over again, in halves, for at most 12 hours and
1,000 times; one that succeeded may be handed over again as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from tools.lambda_event import stream_image

if TYPE_CHECKING:
    import random

    from tests.simulation.timeline import Timeline

Record = tuple[int, Mapping[str, Any]]
"""When it was written, and the item as it was then, as Lambda gets it."""

STATUSES: Final = ("recorded", "to_fetch")
"""What the filter of template.yaml lets through, of new items."""
BATCH: Final = 100
MOST_AGE_MS: Final = 43_200_000
MOST_ATTEMPTS: Final = 1_000


class Stream:
    """``take`` gets a batch of images and says whether it went well; ``give_up`` what it never took."""

    def __init__(
        self,
        timeline: Timeline,
        dice: random.Random,
        take: Callable[[Sequence[Mapping[str, Any]]], bool],
        give_up: Callable[[Sequence[Mapping[str, Any]]], None],
        *,
        shards: int = 1,
        again: float = 0.0,
    ) -> None:
        self.again = again
        """How likely a batch that went well is handed over again."""
        self._timeline = timeline
        self._dice = dice
        self._take = take
        self._give_up = give_up
        self._shards: list[deque[Record]] = [deque() for _ in range(shards)]
        self._polled = [False] * shards

    def change(self, key: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> None:
        """A change of the table. Only new items pass the filter."""
        if before is not None or after is None or after.get("status", {}).get("S") not in STATUSES:
            return
        number = crc32(key.encode()) % len(self._shards) if len(self._shards) > 1 else 0
        self._shards[number].append((self._timeline.now_ms, stream_image(after)))
        if not self._polled[number]:
            self._polled[number] = True
            self._timeline.after(self._dice.randint(50, 1_000), lambda: self._poll(number))

    def _poll(self, number: int) -> None:
        records = self._shards[number]
        while records:
            most = len(records) if self._dice.random() < 0.7 else self._dice.randint(1, len(records))
            batch = [records.popleft() for _ in range(min(most, BATCH))]
            self._hand_over(batch)
            if self.again and self._dice.random() < self.again:
                images = [image for _, image in batch]
                self._timeline.after(self._dice.randint(0, 120_000), partial(self._take, images))
        self._polled[number] = False

    def _hand_over(self, batch: Sequence[Record]) -> None:
        attempts = 0
        while not self._take([image for _, image in batch]):
            attempts += 1
            age_ms = self._timeline.now_ms - batch[0][0]
            if attempts >= MOST_ATTEMPTS or age_ms > MOST_AGE_MS:
                self._give_up([image for _, image in batch])
                return
            self._timeline.pause(min(1_000 << min(attempts, 10), 60_000))
            if len(batch) > 1:
                middle = len(batch) // 2
                self._hand_over(batch[:middle])
                self._hand_over(batch[middle:])
                return
