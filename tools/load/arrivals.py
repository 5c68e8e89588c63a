"""Deliveries that come when they come: an open loop.

Each has its time, and its latency counts from that time, also where it had to wait here for a free connection. A client
that waits for each answer before it sends the next one slows down with the server, and so never sees its queue
("coordinated omission").
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from conversion_relay.delivery import Delivery
from tools.traffic import Told

CONNECTIONS: Final = 64
"""Deliveries under way at the same time at most; a later one waits, and the wait counts."""

Post = Callable[[str, Delivery], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a delivery. Times in seconds on one clock; ``status`` None: there was no answer."""

    told: Told
    due_s: float
    ended_s: float
    status: int | None
    outcome: str
    key: str | None

    @property
    def latency_s(self) -> float:
        """From when it was due to its answer."""
        return self.ended_s - self.due_s

    @property
    def taken(self) -> bool:
        """Whether its platform was told that all is well."""
        return self.status is not None and 200 <= self.status < 300


def moments(rate: float, seconds: float, random: Random) -> Iterator[float]:
    """When deliveries come, in seconds from now: independently of each other, so many a second on average."""
    at = random.expovariate(rate)
    while at < seconds:
        yield at
        at += random.expovariate(rate)


def post_all(plan: Sequence[tuple[float, Told]], post: Post, connections: int = CONNECTIONS) -> list[Answered]:
    """Post each delivery at its moment (seconds from now, ascending), and wait for all of the answers."""
    began = time.monotonic()
    waiting = iter(plan)
    answers: list[Answered] = []
    lock = threading.Lock()
    defects: list[Exception] = []

    def work() -> None:
        while not defects:
            with lock:
                due = next(waiting, None)
            if due is None:
                return
            moment, told = due
            time.sleep(max(0.0, began + moment - time.monotonic()))
            try:
                answer = _answered(told, began + moment, post)
            except Exception as defect:  # of the tool itself: it must end the trial, not a thread
                defects.append(defect)
                return
            with lock:
                answers.append(answer)

    threads = [threading.Thread(target=work) for _ in range(min(connections, len(plan)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if defects:
        raise defects[0]
    return answers


def _answered(told: Told, due_s: float, post: Post) -> Answered:
    status: int | None = None
    body = b""
    try:
        status, body = post(told.source, told.delivery)
    except TimeoutError:
        body = b'{"outcome": "no answer in time"}'
    except (OSError, http.client.HTTPException):
        body = b'{"outcome": "connection lost"}'
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    outcome = said.get("outcome", "") if isinstance(said, dict) else ""
    key = said.get("key") if isinstance(said, dict) else None
    return Answered(told, due_s, time.monotonic(), status, outcome, key)
