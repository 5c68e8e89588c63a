"""One load trial: a stack of its own, steps of rising rates, a sender that empties the queue, and the books."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from tools.faults.clients import poster
from tools.faults.trial import SENDER_ENDS_WITHIN_S, SenderLoop, depth, ledger
from tools.load.arrivals import Answered, moments, post_all
from tools.load.books import Books, balance
from tools.load.handlers import Throughput, throughput
from tools.local_aws import LocalAws, Say, Stack
from tools.samples import ORIGIN
from tools.stand_in import StandIn
from tools.traffic import Traffic, first, rows, sources

PIXEL_ID: Final = "Qm7TzV4kRw2LpX9sNdB3Yh"
OPENAI_KEY: Final = "conversions-key-for-load"
RATES: Final = (10.0, 20.0, 40.0, 80.0)
SECONDS: Final = 10.0
MOST_DELIVERIES: Final = 5_000
MOST_SECONDS: Final = 120.0
"""Of all steps together: the trial is meant to be over in three minutes."""
CONCURRENCY: Final = 3 * (os.cpu_count() or 1)
"""Functions at work at once that the local AWS allows, each a process; above it, it says 429 as AWS does. More of them
on so many cores only make one another late: each that is added has to start, which takes a second of a core.
"""
DRAINED_WITHIN_S: Final = 90
WARM: Final = 2
"""Deliveries at once of each sample before the first step: processes have to start, which is not what is measured."""
WARMED_WITHIN_S: Final = 30
IN_PROCESS: Final = 1_000
"""Deliveries that the handlers are measured with in this process."""


class TooMuch(ValueError):
    """The steps are more than this tool is for; the text says by how much."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was asked at one rate, deliveries a second, and what came of it."""

    rate: float
    seconds: float
    answers: Sequence[Answered]

    @property
    def achieved(self) -> float:
        """Answers a second, until the last one was there."""
        lasted = max(each.ended_s for each in self.answers) - min(each.due_s for each in self.answers)
        return len(self.answers) / max(lasted, self.seconds)

    @property
    def throttled(self) -> int:
        """Answers that say: too many at once."""
        return sum(each.status == 429 for each in self.answers)

    @property
    def statuses(self) -> Mapping[str, int]:
        """Answers by status, or by why there was none."""
        return Counter(str(each.status or each.outcome) for each in self.answers)

    def latency_s(self, share: float) -> float:
        """The latency that this share of the deliveries did not exceed, in seconds."""
        return percentile([each.latency_s for each in self.answers], share)


@dataclass(frozen=True, slots=True)
class Result:
    """A whole trial."""

    steps: Sequence[Step]
    warming: int
    books: Books
    requests: int
    draining_s: float
    throughput: Throughput


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that so large a share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def check(rates: Sequence[float], seconds: float) -> None:
    """Whether the steps are few enough.

    Raises:
        TooMuch: they are not.
    """
    deliveries, lasting = sum(rates) * seconds, len(rates) * seconds
    if deliveries > MOST_DELIVERIES or lasting > MOST_SECONDS:
        raise TooMuch(
            f"These steps are {deliveries:,.0f} deliveries in {lasting:,.0f} s; at most {MOST_DELIVERIES:,} in "
            f"{MOST_SECONDS:.0f} s are possible. Give fewer or lower --rates, or fewer --seconds."
        )


@contextmanager
def deployed(say: Say, secrets: Mapping[str, str]) -> Iterator[tuple[Stack, StandIn]]:
    """The stack, and the stand-in for OpenAI."""
    with (
        StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in,
        LocalAws.start(say=say, concurrency=CONCURRENCY) as aws,
    ):
        stack = aws.deploy(
            "load",
            {
                "PixelId": PIXEL_ID,
                "OpenAiEndpoint": f"{stand_in.url}/v1/events",
                "StorefrontOrigin": "https://northwind-trail.example",
                "PublicOrigin": ORIGIN,
                "EnableCustom": "yes",
                "SendEvery": "rate(1 hour)",
                "Architecture": "x86_64",
            },
            {**{source: [secret] for source, secret in secrets.items()}, "openai": OPENAI_KEY},
        )
        yield stack, stand_in


def run(
    rates: Sequence[float] = RATES,
    seconds: float = SECONDS,
    *,
    seed: int = 1,
    alone: int = IN_PROCESS,
    warm: int = WARM,
    say: Say = print,
    look: Callable[[Step], None] = lambda _: None,
) -> Result:
    """Run a trial.

    Args:
        rates: deliveries a second, a step each.
        seconds: that a step lasts.
        seed: of the order of deliveries and of when they come.
        alone: deliveries that the handlers are measured with in this process.
        warm: deliveries of each sample before the first step, at once.
        say: is told in a few words what goes on.
        look: is shown each step when it is over.

    Raises:
        TooMuch: more is asked for than this tool is for.
        LocalAwsFailed: the stack could not be made.
    """
    check(rates, seconds)
    secrets = {source: f"secret of {source} for load" for source in sources()}
    with deployed(say, secrets) as (stack, stand_in):
        trial = _Trial(stack, stand_in, secrets, seed)
        say("Starting processes …")
        warming = trial.warm(warm)
        steps = []
        for rate in rates:
            say(f"{rate:g} deliveries a second for {seconds:g} s …")
            steps.append(trial.step(rate, seconds))
            look(steps[-1])
        say("Sending what waits …")
        draining_s = trial.drain()
        answers = [*warming, *(each for step in steps for each in step.answers)]
        books = balance(answers, stand_in.events(), ledger(stack))
        left = depth(stack, "Queue") + depth(stack, "DeadLetterQueue") + depth(stack, "OutboxFailures")
        if left:
            books = Books(
                books.promised, books.counted, books.lost, books.twice, [*books.problems, f"{left} left queued"]
            )
        requests = len(stand_in.requests())
    say("The handlers alone …")
    mix = list(Traffic(secrets, seed).deliveries(alone, datetime.now(UTC)))
    return Result(steps, len(warming), books, requests, draining_s, throughput(mix, secrets))


class _Trial:
    def __init__(self, stack: Stack, stand_in: StandIn, secrets: Mapping[str, str], seed: int) -> None:
        self._stack = stack
        self._stand_in = stand_in
        self._random = Random(f"{seed} arrivals")
        self._traffic = Traffic(secrets, seed)
        self._post = poster({source: stack.url(source)[0] for source in secrets})

    def warm(self, each: int) -> list[Answered]:
        """Post some of each sample, again and again until all of a round are answered 2xx."""
        beginnings = [first(name) for name in dict.fromkeys(row.sample for row in rows() if row.kind == "new")]
        answers: list[Answered] = []
        give_up = time.monotonic() + WARMED_WITHIN_S
        while time.monotonic() < give_up:
            now = datetime.now(UTC)
            told = [(0.0, self._traffic.make(row, now)) for row in beginnings for _ in range(each)]
            answers += (last := post_all(told, self._post, 2 * each))
            if all(answer.taken for answer in last):
                break
        return answers

    def step(self, rate: float, seconds: float) -> Step:
        times = list(moments(rate, seconds, self._random)) or [0.0]
        told = self._traffic.deliveries(len(times), datetime.now(UTC))
        return Step(rate, seconds, post_all(list(zip(times, told, strict=True)), self._post))

    def drain(self) -> float:
        """Run the sender until the ledger knows the end of everything; how long that took, in seconds."""
        began = time.monotonic()
        sender = SenderLoop(self._stack)
        thread = threading.Thread(target=sender.run)
        thread.start()
        try:
            while time.monotonic() - began < DRAINED_WITHIN_S:
                if all(status == "sent" for status in ledger(self._stack).values()) and not depth(self._stack, "Queue"):
                    break
                time.sleep(0.5)
        finally:
            sender.stop()
            thread.join(SENDER_ENDS_WITHIN_S)
        return time.monotonic() - began
