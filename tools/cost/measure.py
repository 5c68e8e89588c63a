"""The real code at work, each step of it counted: receivers, outbox, sender, with the mix of traffic.toml.

Nothing here knows prices. What differs from AWS is in the docstrings of `tools.cost.service` and `assumptions.toml`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random
from statistics import mean, median
from typing import Any, Final

from conversion_relay.sources import shopify
from tools import traffic
from tools.cost.choices import STACK, Choices, FunctionChoice
from tools.cost.processes import BUILD, MeasuringFailed, Process, Ran
from tools.cost.service import OPENAI_KEY, PIXEL_ID, Call, CountingService
from tools.cost.sizes import item_bytes
from tools.lambda_event import function_url_event
from tools.sources import secret_name
from tools.template import ROOT
from tools.traffic import Told, Traffic

PARAMETERS: Final = {"PixelId": PIXEL_ID, "StorefrontOrigin": "https://northwind-trail.example"}
"""What every deployment gives; all else is as the template has it."""
SECRET: Final = "a signing secret for counting"
LEAST: Final = 60
"""Conversions that are counted at least, so that each row of the mix is there."""
MOST: Final = 1_000
"""Conversions that one run of the sender is measured with at most: a batch."""
BATCH: Final = 10
"""Conversions that the outbox gets at once where only what it leaves in the queue matters."""
REPEATS: Final = 12
"""Deliveries of each other kind, and empty runs of the sender."""
RECEIVERS: Final = {"shopify": "functions/shopify", "stripe": "functions/stripe"}
_OTHERS: Final = {"callrail": "functions/calls", "ctm": "functions/calls"}
OUTCOMES: Final = {
    "new": "recorded",
    "twin": "duplicate",
    "again": "duplicate",
    "ignored": "ignored",
    "forged": "refused",
    "parked": "parked",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What one invocation of a function takes, or one of several on average. ``log``: bytes of each of its lines.

    ``times``: how many of it there are for each conversion. ``sample``: the delivery that it was measured with.
    """

    function: FunctionChoice
    cpu_ms: float
    calls: Sequence[Call]
    log: Sequence[int]
    answer_bytes: int = 0
    times: float = 1.0
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that was counted.

    Args:
        receive: the first delivery of a conversion, by sample; ``times`` are the shares of the mix.
        further: other deliveries, by kind, each a share of 1.
        outbox: by how many conversions a batch has.
        send: one run of the sender with ``sent`` conversions; ``send_one`` with one, ``idle`` with none.
        init: the start of each function, CPU in ms.
        memory_mb: the most that each function's process has held.
        item: bytes of a ledger item as it is kept, on average; ``plain_item`` if its event were JSON.
        over_1_kb: the share of conversions whose item is larger than a write unit.
        event: bytes of an event as it goes to OpenAI, on average.
        metrics: the custom metrics that were written, as (service, name).
        secrets: parameters that each function reads, by function.
    """

    receive: Sequence[Work]
    further: Mapping[str, Sequence[Work]]
    outbox: Mapping[int, Work]
    send: Work
    sent: int
    send_one: Work
    idle: Work
    init: Mapping[str, float]
    memory_mb: Mapping[str, float]
    item: float
    plain_item: float
    over_1_kb: float
    plain_over_1_kb: float
    event: float
    metrics: frozenset[tuple[str, str]]
    secrets: Mapping[str, int]
    functions: Mapping[str, FunctionChoice]


def measure(choices: Choices, per_run: float, batches: Iterable[int]) -> Measured:
    """Run the functions of a deployment.

    Args:
        choices: the deployment.
        per_run: conversions that wait for one run of the sender, on average.
        batches: how many conversions a batch of the outbox has, each measured.

    Raises:
        MeasuringFailed: a function raised, or a delivery came to another end than it must.
    """
    senders = set(traffic.sources())
    secrets = {f"/{STACK}/signing-secrets/{secret_name(source)}": SECRET for source in senders}
    secrets[f"/{STACK}/openai-conversions-key"] = OPENAI_KEY
    _compile(choices, secrets)
    with CountingService(secrets) as service, ExitStack() as processes:
        return _Measuring(choices, service, processes).everything(per_run, sorted({max(1, each) for each in batches}))


def _compile(choices: Choices, secrets: Mapping[str, str]) -> None:
    """Start every function once and end it: on Lambda, code comes compiled, and compiling is not to be counted."""
    BUILD.mkdir(parents=True, exist_ok=True)
    marker = BUILD / ".compiled"
    code = [path for folder in ("layers/relay", "functions") for path in (ROOT / folder).rglob("*.py")]
    code.append(ROOT / "layers" / "dependencies" / "requirements.txt")
    if marker.exists() and all(path.stat().st_mtime < marker.stat().st_mtime for path in code):
        return
    with CountingService(secrets) as service, ExitStack() as processes:
        for choice in _used(choices).values():
            processes.enter_context(Process(choice, service))
    marker.touch()


def _used(choices: Choices) -> dict[str, FunctionChoice]:
    """The functions that a conversion passes through, by folder."""
    wanted = {_folder_of(source) for source in traffic.sources()} | {"functions/outbox", "functions/sender"}
    return {each.folder: each for each in choices.functions().values() if each.folder in wanted}


def _folder_of(source: str) -> str:
    return RECEIVERS.get(source) or _OTHERS.get(source) or "functions/custom"


class _Measuring:
    def __init__(self, choices: Choices, service: CountingService, processes: ExitStack) -> None:
        self._service = service
        self._started = {
            folder: processes.enter_context(Process(each, service)) for folder, each in _used(choices).items()
        }
        self._traffic = Traffic(dict.fromkeys(traffic.sources(), SECRET), seed=1)
        self._rows = [row for row in traffic.rows() if _folder_of(row.source) in self._started]
        self._memory: dict[str, float] = {}
        self._metrics: set[tuple[str, str]] = set()
        self._secrets: dict[str, int] = {}
        self._warming = False

    def everything(self, per_run: float, batches: Sequence[int]) -> Measured:
        self._warm()
        sent = max(1, min(MOST, round(per_run)))
        first = [row for row in self._rows if row.kind == "new"]
        shares = {row.sample: row.per_mille / sum(each.per_mille for each in first) for row in first}
        many = max(LEAST, sent)
        received: dict[str, list[Work]] = {}
        images: list[dict[str, Any]] = []
        for row, count in _allotted(first, many):
            for _ in range(count):
                received.setdefault(row.sample, []).append(self._receive(self._traffic.make(row, _now())))
                images += self._service.inserted
                self._service.inserted = []
        receive = [replace(_typical(works), times=shares[sample], sample=sample) for sample, works in received.items()]
        Random(1).shuffle(images)  # they came sample by sample
        outbox = {size: self._outbox(images, size) for size in batches}
        events: list[int] = []
        runs: list[Work] = []
        for start in range(0, len(images) - sent + 1, sent):
            self._outbox(images[start : start + sent], BATCH, MOST)
            events += [len(each["MessageBody"].encode()) for each in self._service.queued]
            runs.append(self._send(sent))
        send = _with_mean_writes(runs)
        self._receive(self._traffic.make(first[0], _now()))
        self._outbox(self._service.inserted, 1)
        one = self._send(1)
        texts = self._events()
        kept = [item for item in self._service.table.items.values() if item and item["pk"]["S"] in texts]
        plain = [self._plain_bytes(item, texts) for item in kept]
        return Measured(
            receive=receive,
            further={kind: works for kind in OUTCOMES if kind != "new" and (works := self._further(kind))},
            outbox=outbox,
            send=send,
            sent=sent,
            send_one=one,
            idle=_typical([self._send(0) for _ in range(REPEATS)]),
            init={each.choice.name: each.init.cpu_ms for each in self._started.values()},
            memory_mb=self._memory,
            item=mean(map(item_bytes, kept)),
            plain_item=mean(plain),
            over_1_kb=mean(item_bytes(each) > 1024 for each in kept),
            plain_over_1_kb=mean(each > 1024 for each in plain),
            event=mean(events),
            metrics=frozenset(self._metrics),
            secrets=self._secrets,
            functions={each.choice.name: each.choice for each in self._started.values()},
        )

    def _warm(self) -> None:
        """The first delivery of each source: it makes clients and reads secrets, which later ones find there."""
        self._warming = True
        for source in dict.fromkeys(row.source for row in self._rows):
            row = next(each for each in self._rows if each.source == source and each.kind == "new")
            self._receive(self._traffic.make(row, _now()))
        self._outbox(self._service.inserted, BATCH)
        self._service.inserted = []
        self._send(len(self._service.queued))
        self._warming = False

    def _receive(self, told: Told, outcome: str = "") -> Work:
        ran, calls = self._run(_folder_of(told.source), function_url_event(told.delivery))
        body = json.loads(ran.result["body"])
        expected = outcome or OUTCOMES[told.row.kind]
        if body.get("outcome") != expected:
            raise MeasuringFailed(f"{told.row.sample} ({told.row.kind}) came to {body}, not to {expected}")
        head = sum(len(name) + len(str(each)) + 4 for name, each in ran.result.get("headers", {}).items())
        return self._work(_folder_of(told.source), ran, calls, len(ran.result["body"].encode()) + head)

    def _further(self, kind: str) -> list[Work]:
        """Deliveries that bring no new conversion, with their shares of all of the kind."""
        if kind == "parked":
            row = self._rows[0]
            works = [self._receive(_halved(self._traffic.make(row, _now())), "parked") for _ in range(REPEATS)]
            return [_typical(works)]
        rows = [row for row in self._rows if row.kind == kind]
        total = sum(row.per_mille for row in rows)
        return [
            replace(
                _typical([self._receive(self._traffic.make(row, _now())) for _ in range(REPEATS)]),
                times=row.per_mille / total,
            )
            for row in rows
        ]

    def _outbox(self, images: Sequence[Mapping[str, Any]], size: int, most: int = REPEATS) -> Work:
        """Hand images to the outbox in batches; one batch of this size on average. The queue holds what it sent."""
        self._service.queued.clear()
        works: list[Work] = []
        for start in range(0, min(len(images), size * most), size):
            records = [{"eventName": "INSERT", "dynamodb": {"NewImage": each}} for each in images[start : start + size]]
            ran, calls = self._run("functions/outbox", {"Records": records})
            if len(records) == size or not works:
                works.append(self._work("functions/outbox", ran, calls))
        return _typical(works)

    def _send(self, waiting: int) -> Work:
        if len(self._service.queued) != waiting:
            raise MeasuringFailed(f"{len(self._service.queued)} messages wait for the sender, not {waiting}")
        ran, calls = self._run("functions/sender", {})
        if ran.result["sent"] != waiting or ran.result.get("stopped"):
            raise MeasuringFailed(f"the sender was to send {waiting}, and says {ran.result}")
        return self._work("functions/sender", ran, calls)

    def _run(self, folder: str, event: Mapping[str, Any]) -> tuple[Ran, list[Call]]:
        self._service.taken()
        process = self._started[folder]
        ran = process.invoke(event)
        self._memory[process.choice.name] = ran.memory_mb
        self._metrics.update(metrics_in(ran.log))
        return ran, self._service.taken()

    def _work(self, folder: str, ran: Ran, calls: Sequence[Call], answer_bytes: int = 0) -> Work:
        choice = self._started[folder].choice
        reads = sum(each.requests for each in calls if each.service == "ssm")
        if self._warming and reads and choice.folder != "functions/sender":
            self._secrets[choice.name] = self._secrets.get(choice.name, 0) + reads
        return Work(choice, ran.cpu_ms, tuple(calls), [len(line.encode()) for line in ran.log], answer_bytes)

    def _plain_bytes(self, item: Mapping[str, Any], events: Mapping[str, str]) -> int:
        """The size of an item if it held its event as JSON, as the event goes to OpenAI."""
        rest = {name: value for name, value in item.items() if name != "event" and "B" not in value}
        return item_bytes({**rest, "event": {"S": events[item["pk"]["S"]]}})

    def _events(self) -> Mapping[str, str]:
        """The JSON of each event that was sent, by ledger key: those of the mix have the object's id for theirs."""
        return {
            f"{each['event']['type']}#{each['event']['id']}": json.dumps(
                each["event"], ensure_ascii=False, separators=(",", ":")
            )
            for each in self._service.openai.events()
        }


def metrics_in(log: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The custom metrics in the lines of a log (CloudWatch embedded metric format), by dimensions and name."""
    for line in log:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        for directive in told.get("_aws", {}).get("CloudWatchMetrics", []) if isinstance(told, dict) else ():
            for dimensions in directive["Dimensions"]:
                where = ",".join(str(told[name]) for name in dimensions)
                yield from ((where, each["Name"]) for each in directive["Metrics"])


def _typical(works: Sequence[Work]) -> Work:
    """The median in CPU time, which other programs on the machine disturb least; the calls of the one in the middle."""
    middle = sorted(works, key=lambda each: each.cpu_ms)[len(works) // 2]
    return replace(middle, cpu_ms=median(each.cpu_ms for each in works))


def _with_mean_writes(runs: Sequence[Work]) -> Work:
    """A typical run; each end that it writes costs what such a write costs on average of all runs."""
    writes = mean(each.writes for run in runs for each in run.calls if each.operation == "UpdateItem")
    run = _typical(runs)
    calls = [replace(each, writes=writes) if each.operation == "UpdateItem" else each for each in run.calls]
    return replace(run, calls=calls)


def _allotted(rows: Sequence[traffic.Row], many: int) -> list[tuple[traffic.Row, int]]:
    """So many deliveries over the rows, by their shares; at least one of each."""
    total = sum(row.per_mille for row in rows)
    counts = [max(1, int(many * row.per_mille / total)) for row in rows]
    counts[0] += max(0, many - sum(counts))
    return list(zip(rows, counts, strict=True))


def _halved(told: Told) -> Told:
    """A good signature over half a body: what the relay cannot understand, it parks."""
    body = told.delivery.body[: len(told.delivery.body) // 2]
    headers = {**told.delivery.headers, "x-shopify-hmac-sha256": shopify.sign(body, SECRET)}
    return replace(told, delivery=replace(told.delivery, body=body, headers=headers))


def _now() -> datetime:
    return datetime.now(UTC)
