"""Sending: events a second and requests of the sender, beside serialising the same events and posting them.

The real sender, with its freshness check, batches, isolation and settling, and the real HTTP client, against a server
on loopback that reads each request and says that all is accepted. Queue and ledger are in memory, for what AWS takes is
not the sender's doing. The floor is ``json.dumps`` of the same 1,000 events and one POST of them, again and again.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any, Final

import requests

from conversion_relay.openai import OpenAi
from conversion_relay.queue import Message
from conversion_relay.sender import Sender
from conversion_relay.settings import Settings

NUMBERS: Final = (1, 10, 100, 1_000, 10_000, 100_000)
BATCH: Final = 1000
ROUNDS: Final = 7
LEAST_RATE: Final = 0.5
MOST_MB: Final = 256
_NOW_MS: Final = 1_795_000_000_000

_SERVER: Final = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"accepted_events": body.count(b'"timestamp_ms"')}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_):
        pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@contextmanager
def server() -> Iterator[str]:
    """The address of a server in a process of its own that accepts everything."""
    process = subprocess.Popen([sys.executable, "-c", _SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - asked for above
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/events"
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def event(number: int) -> dict[str, Any]:
    """A typical order with two lines, as the relay writes it."""
    digest = f"{number:064x}"
    return {
        "id": f"shopify:{6_184_203_910_411 + number}",
        "type": "order_created",
        "timestamp_ms": _NOW_MS - number,
        "action_source": "web",
        "source_url": "https://northwind-trail.example/products/trail-shoe",
        "oppref": f"op1.Zk3vQ%2BtR9%2Fh2a-_~x==.{number}",
        "user": {
            "emails_sha256": [digest],
            "phone_numbers_sha256": [digest],
            "external_ids_sha256": [digest],
            "first_names_sha256": [digest],
            "last_names_sha256": [digest],
            "cities": ["Austin"],
            "regions": ["TX"],
            "postal_codes": ["78701"],
            "countries": ["US"],
            "ip_address": "203.0.113.24",
            "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15",
        },
        "data": {
            "type": "contents",
            "amount": 20063,
            "currency": "USD",
            "contents": [
                {"id": f"43{line}", "name": "Trail shoe", "quantity": 1, "amount": 9900, "currency": "USD"}
                for line in range(2)
            ],
        },
    }


class InMemoryQueue:
    """Hands out messages made as they are asked for, so that only those under way take memory."""

    def __init__(self, number: int) -> None:
        self._left = iter(range(number))
        self.deleted = 0

    def drain(self, most: int) -> list[Message]:
        """As the queue's."""
        return [
            Message(
                f"order_created#shopify:{number}",
                json.dumps(event(number), separators=(",", ":")),
                str(number),
            )
            for number in islice(self._left, most)
        ]

    def delete(self, messages: Sequence[Message]) -> int:
        """As the queue's."""
        self.deleted += len(messages)
        return len(messages)

    def release(self, messages: Sequence[Message], seconds: int) -> None:
        """As the queue's."""
        raise AssertionError("no event of the benchmark has to wait")


class InMemoryEnds:
    """A ledger that counts the ends it is told, and a dead-letter queue that gets none."""

    def __init__(self) -> None:
        self.sent = 0

    def settle(self, key: str, status: str, reason: str, now_ms: int) -> None:
        """As the ledger's."""
        self.sent += status == "sent"

    def stored(self, key: str) -> None:
        """As the ledger's."""

    def circuit(self) -> None:
        """As the ledger's."""

    def open_circuit(self, circuit: object) -> None:
        """As the ledger's."""

    def close_circuit(self, now_ms: int) -> None:
        """As the ledger's."""

    def keep(self, message: Message, reason: str) -> None:
        """As the dead-letter queue's."""
        raise AssertionError("an event of the benchmark was buried")


@dataclass(frozen=True)
class Drained:
    """One run over so many events: seconds beside those that it took to make the messages, and requests."""

    seconds: float
    requests: int


def drained(number: int, url: str, session: requests.Session) -> Drained:
    """One run of the sender."""
    queue, ends = InMemoryQueue(number), InMemoryEnds()
    making = [0.0]
    drain = queue.drain

    def timed(most: int) -> list[Message]:
        began = time.perf_counter()
        messages = drain(most)
        making[0] += time.perf_counter() - began
        return messages

    queue.drain = timed  # type: ignore[method-assign]
    sender = Sender(
        queue=queue,
        dead_letters=ends,
        ledger=ends,
        openai=OpenAi.for_settings(session, "key", Settings(openai_endpoint=url, pixel_id="px_bench_0001")),
        clock=lambda: _NOW_MS,
        remaining_ms=lambda: 240_000,
    )
    began = time.perf_counter()
    run = sender.drain()
    seconds = time.perf_counter() - began - making[0]
    if run.sent != number or ends.sent != number or queue.deleted != number:
        raise AssertionError(f"{run.sent} of {number} events were sent: {run.summary()}")
    return Drained(seconds, run.requests)


def posted(number: int, url: str, session: requests.Session) -> float:
    """Seconds of the floor for so many events, 1,000 a request."""
    seconds = 0.0
    for start in range(0, number, BATCH):
        events = [event(each) for each in range(start, min(start + BATCH, number))]
        began = time.perf_counter()
        body = json.dumps({"events": events}).encode()
        session.post(url, body, headers={"Content-Type": "application/json"}, timeout=30).raise_for_status()
        seconds += time.perf_counter() - began
    return seconds


def peak_mb(work: Callable[[], object]) -> float:
    """The most memory that it allocates at one time, in MB of 1,000,000 bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@dataclass(frozen=True)
class Sending:
    """By the number of events: events a second of sender and floor, and requests; the peak of memory at the most."""

    sender: dict[int, float]
    floor: dict[int, float]
    requests: dict[int, int]
    peak_mb: float

    @property
    def rate_ratio(self) -> float:
        """Of the sender's rate to the floor's, at 10,000 events."""
        return self.sender[10_000] / self.floor[10_000]


def measured(numbers: Sequence[int] = NUMBERS, rounds: int = ROUNDS) -> Sending:
    """Medians of rounds in turns; fewer rounds for the largest numbers."""
    senders: dict[int, float] = {}
    floors: dict[int, float] = {}
    requested: dict[int, int] = {}
    with server() as url, requests.Session() as session:
        drained(BATCH, url, session)
        for number in numbers:
            times = [
                (drained(number, url, session), posted(number, url, session))
                for _ in range(rounds if number < numbers[-1] else 2)
            ]
            senders[number] = number / median(each.seconds for each, _ in times)
            floors[number] = number / median(each for _, each in times)
            requested[number] = max(each.requests for each, _ in times)
        peak = peak_mb(lambda: drained(numbers[-1], url, session))
    return Sending(senders, floors, requested, peak)
