"""The platforms: some clients at once, each posts a delivery and sends it again later where its platform would.

Retries come after seconds here instead of minutes and hours, and without end: a platform's patience (Shopify 8 retries
over 4 hours, Stripe 3 days) is longer than any fault here, only compressed.
"""

from __future__ import annotations

import heapq
import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Final
from urllib.parse import urlsplit

from conversion_relay.delivery import Delivery
from tools.faults.plan import Posting

TIMEOUT_S: Final[Mapping[str, float]] = {"shopify": 5, "stripe": 10, "callrail": 10}
"""How long a platform waits for the answer. Shopify says 5 s, the others do not say."""
PATIENCE_S: Final = 10.0
"""How long those wait that are not named there."""
NEVER_RETRY: Final = frozenset({"callrail"})
WAVE: Final = 200
"""After so many new deliveries there is a lull, as there is in any shop. The sender gathers for up to 20 s while
anything arrives: without lulls a trial would see few requests to OpenAI, and so few of its faults.
"""
LULL_S: Final = 2.0
STAGGER_S: Final = 0.5
"""Between the starts of two clients: each costs a cold start, which all at once would make one another miss deadlines.
"""
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 4.0


@dataclass(slots=True)
class Course:
    """What became of a posting so far: the last answer, and how often it was sent. ``status`` None: no answer."""

    posting: Posting
    attempts: int = 0
    status: int | None = None
    outcome: str = ""

    @property
    def taken(self) -> bool:
        """Whether the platform was told that all is well: 2xx."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class Clients:
    """Posts all postings. ``post`` sends a delivery to its source's address: status and body, or OSError."""

    postings: Sequence[Posting]
    make: Callable[[Posting, datetime], Delivery]
    post: Callable[[str, Delivery], tuple[int, bytes]]
    seed: int
    wave: int = WAVE
    courses: dict[int, Course] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    defect: Exception | None = None
    _later: list[tuple[float, int]] = field(default_factory=list)
    _under_way: int = 0
    _fresh: Iterator[Posting] = field(default_factory=lambda: iter(()))
    _lull_until: float = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self, parallel: int) -> list[threading.Thread]:
        """Start so many clients; they end when everything is settled, or after ``stop``."""
        self._fresh = iter(self.postings)
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(parallel)]
        for thread in threads:
            thread.start()
        return threads

    def stop(self) -> None:
        """End without waiting for retries."""
        self._stop.set()

    @property
    def progress(self) -> float:
        """The share of the postings that were posted at least once."""
        return len(self.courses) / len(self.postings)

    @property
    def waiting(self) -> int:
        """Postings that wait for a retry."""
        return len(self._later)

    def _work(self, number: int) -> None:
        try:
            self._post_until_settled(number)
        except Exception as error:  # a defect here must end the trial, not hang it
            self.defect = error
            self.stop()

    def _post_until_settled(self, number: int) -> None:
        random = Random(f"{self.seed} client {number}")
        self._stop.wait(number * STAGGER_S)
        while not self._stop.is_set():
            course = self._next()
            if course is None:
                if self._settled():
                    return
                self._stop.wait(0.05)
                continue
            self._attempt(course)
            with self._lock:
                self._under_way -= 1
                if self._again(course):
                    wait = min(_FIRST_WAIT_S * 2 ** (course.attempts - 1), _LONGEST_WAIT_S) * random.uniform(0.7, 1.3)
                    heapq.heappush(self._later, (time.monotonic() + wait, course.posting.number))

    def _next(self) -> Course | None:
        with self._lock:
            now = time.monotonic()
            if self._later and self._later[0][0] <= now:
                course = self.courses[heapq.heappop(self._later)[1]]
            elif now < self._lull_until or (posting := next(self._fresh, None)) is None:
                return None
            else:
                course = self.courses[posting.number] = Course(posting)
                if len(self.courses) % self.wave == 0:
                    self._lull_until = now + LULL_S
            self._under_way += 1
            return course

    def _settled(self) -> bool:
        with self._lock:
            return len(self.courses) == len(self.postings) and not self._later and not self._under_way

    def _attempt(self, course: Course) -> None:
        delivery = self.make(course.posting, datetime.now(UTC))
        course.attempts += 1
        try:
            course.status, body = self.post(course.posting.source, delivery)
            course.outcome = _outcome(body)
        except TimeoutError:
            course.status, course.outcome = None, "no answer in time"
        except (OSError, http.client.HTTPException):
            course.status, course.outcome = None, "connection lost"
        with self._lock:
            self.answers[str(course.status or course.outcome)] += 1

    def _again(self, course: Course) -> bool:
        if course.taken or course.posting.source in NEVER_RETRY:
            return False
        # A platform retries whatever is not 2xx; who forges gives up when he is told so.
        return course.posting.kind != "forged" or course.status is None or course.status >= 500 or course.status == 429


def _outcome(body: bytes) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("outcome", "")) if isinstance(told, dict) else ""


def poster(urls: Mapping[str, str]) -> Callable[[str, Delivery], tuple[int, bytes]]:
    """Posts deliveries to the addresses of their sources, each on a connection of its own, as patient as its platform.

    TimeoutError, another OSError or http.client.HTTPException: there was no answer.
    """
    addresses = {source: urlsplit(url) for source, url in urls.items()}

    def post(source: str, delivery: Delivery) -> tuple[int, bytes]:
        address = addresses[source]
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=TIMEOUT_S.get(source, PATIENCE_S)
        )
        try:
            path = f"{address.path}?{delivery.query}" if delivery.query else address.path
            connection.request(delivery.method, path, delivery.body, dict(delivery.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return post
