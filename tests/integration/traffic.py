"""Platforms that go on sending while something is done to the stack: signed clients, each in a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from urllib.error import URLError

from tools.local_aws import Stack
from tools.samples import sample


@dataclass(frozen=True)
class Posted:
    """A delivery as its last answer left it; ``refusals``: the HTTP statuses before that, 0 for no answer."""

    source: str
    status: int
    told: Mapping[str, Any]
    headers: Mapping[str, str]
    refusals: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """The ledger key that the relay named."""
        return str(self.told["key"])


@dataclass
class Traffic:
    """New conversions of some sources at a steady rate, from ``with`` on until its end.

    ``secrets``: what each sample's client signs with, by the sample's name. ``per_second``: deliveries of all clients
    together. ``persistent``: what is not answered with 200 is sent again, as Shopify and Stripe do.
    """

    stack: Stack
    secrets: Mapping[str, str]
    per_second: float = 10
    persistent: bool = False
    posted: list[Posted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._secrets = dict(self.secrets)
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._guarded, args=(name,)) for name in self.secrets]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()
        if self._failures:
            raise self._failures[0]

    def sign_with(self, secrets: Mapping[str, str]) -> None:
        """From the next delivery on the clients sign with these."""
        self._secrets.update(secrets)

    def go_on(self, seconds: float) -> None:
        """Let it flow: for so long, and until each client has had three answers meanwhile."""
        before = len(self.posted)
        time.sleep(seconds)
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            sources = [each.source for each in self.posted[before:]]
            if all(sources.count(name.partition("/")[0]) >= 3 for name in self.secrets):
                return
            time.sleep(0.02)
        raise AssertionError(f"the clients got only {len(self.posted) - before} answers")

    def _guarded(self, name: str) -> None:
        try:
            self._send_on_and_on(name)
        except BaseException as failure:
            self._failures.append(failure)

    def _send_on_and_on(self, name: str) -> None:
        between_s = len(self.secrets) / self.per_second
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + between_s, time.monotonic())
            self.posted.append(self._post(name))

    def _post(self, name: str) -> Posted:
        chosen = sample(name)
        delivery = chosen.delivery(self._secrets[name], datetime.now(UTC), new=True)
        refusals: list[int] = []
        give_up = time.monotonic() + 60
        while True:
            with contextlib.suppress(URLError, ConnectionError, TimeoutError):
                answer = self.stack.send(chosen.source, delivery)
                if answer.status == 200 or not self.persistent or time.monotonic() > give_up:
                    told = answer.json() if answer.body else {}
                    return Posted(chosen.source, answer.status, told, answer.headers, tuple(refusals))
                refusals.append(answer.status)
                time.sleep(0.3)
                continue
            if not self.persistent or time.monotonic() > give_up:
                return Posted(chosen.source, 0, {}, {}, tuple(refusals))
            refusals.append(0)
            time.sleep(0.3)


@contextlib.contextmanager
def sending(sender: Callable[[], Mapping[str, Any]], every_s: float = 0.5) -> Iterator[list[Mapping[str, Any]]]:
    """The sender at work again and again, as on a schedule: what its runs came to. None may raise."""
    runs: list[Mapping[str, Any]] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(every_s):
            try:
                runs.append(sender())
            except Exception as failure:
                failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield runs
    finally:
        stop.set()
        thread.join()
    assert failures == []
