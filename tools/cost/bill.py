"""A month's bill: what was measured and what the template chooses, times the price list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Any, Final, Literal

from conversion_relay import queue, sender
from tools.cost.choices import Choices, FunctionChoice
from tools.cost.measure import Measured, Work
from tools.cost.prices import after_allowances, assumptions, price_list
from tools.cost.service import Call
from tools.cost.sizes import GB, ITEM_OVERHEAD_BYTES, billed_ms

MILLION: Final = 1_000_000
_NOTHING: Final = 1e-9
"""What is left when a sum of fractions should be none."""
Part = Literal["variable", "kept", "fixed"]
"""``variable``: each conversion causes it, as a request, in time or in bytes; ``kept``: storage, and bytes that leave
AWS; ``fixed``: it is there without any conversion.
"""
PARTS: Final[Sequence[Part]] = ("variable", "kept", "fixed")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bill: so many units a month of what a price is for."""

    part: Part
    what: str
    price: str
    quantity: float

    @property
    def usd(self) -> float:
        """US dollars a month at list price."""
        return price_list()[self.price].of(self.quantity)


@dataclass(frozen=True, slots=True)
class Bill:
    """A month with so many conversions."""

    conversions: float
    lines: Sequence[Line]

    def usd(self, *parts: Part) -> float:
        """US dollars a month at list price, without any allowance."""
        return sum(line.usd for line in self.lines if line.part in parts)

    def usd_per_million(self, *parts: Part) -> float:
        """The same for a million conversions."""
        return self.usd(*parts) * MILLION / self.conversions

    def paid(self) -> Mapping[str, float]:
        """US dollars a month by price, with AWS's allowances for every account taken off."""
        quantities: dict[str, float] = {}
        for line in self.lines:
            quantities[line.price] = quantities.get(line.price, 0.0) + line.quantity
        return after_allowances(quantities)


@dataclass(frozen=True, slots=True)
class Design:
    """How the numbers are read. Each field is something that another deployment would have otherwise; None, and 0 where
    something is added: as template.yaml has it.

    ``memory_mb``: of every function. ``window_s``: batching window of the outbox. ``system_lines``: START, END and
    REPORT in each log. ``stops_early``: the sender asks for no more once a round of receives has found too little.
    ``asks_first``: it asks for the depth of the queue, and makes as many receives as that takes.
    """

    memory_mb: int | None = None
    architecture: str | None = None
    window_s: float | None = None
    system_lines: bool | None = None
    plain_items: bool = False
    metrics_times: int = 1
    added: Callable[[Billing], Iterable[Line]] | None = None
    without_outbox: bool = False
    stops_early: bool = False
    asks_first: bool = False
    one_by_one: bool = False


AS_SHIPPED: Final = Design()


def batch_size(per_second: float, window_s: float, most: int) -> float:
    """Records that a batch of the stream has on average, where they come independently at an even rate.

    A batch begins with a record and gathers for the window; without one, Lambda takes what a look into a shard finds.
    """
    told = assumptions()["stream"]
    rate = per_second / told["shards"]
    if window_s:
        return float(min(most, 1 + rate * window_s))
    found = rate / told["polls_per_s"]
    return float(min(most, found / (1 - exp(-found)))) if found else 1.0


@dataclass(frozen=True, slots=True)
class Billing:
    """Makes the bill of a deployment."""

    choices: Choices
    measured: Measured
    conversions: float
    design: Design = AS_SHIPPED

    @property
    def hours(self) -> float:
        """Of a month."""
        return float(assumptions()["month"]["hours"])

    @property
    def batch(self) -> int:
        """Conversions in a batch of the outbox, as measured: whole ones."""
        return whole_batch(self.choices, self.conversions, self.design.window_s)

    @property
    def runs(self) -> float:
        """Runs of the sender a month."""
        return self.choices.runs_a_month(self.hours)

    def bill(self) -> Bill:
        """The whole bill."""
        return Bill(self.conversions, [*self._variable(), *self._kept(), *self._fixed()])

    # What conversions cause ------------------------------------------------------------------------------------------

    def works(self) -> list[tuple[str, Work]]:
        """The work of one conversion: each piece with how many of it there are, and who does it."""
        measured = self.measured
        found = [("receivers", each) for each in measured.receive]
        if not self.design.without_outbox:
            found.append(("outbox", replace(measured.outbox[self.batch], times=1 / self.batch)))
        if self.design.one_by_one:
            # A function that SQS starts for each event: Lambda receives and deletes for it, nothing waits in vain, and
            # a process keeps its key.
            calls = [each for each in measured.send_one.calls if not each.waits_s and each.service != "ssm"]
            cpu_ms = max(measured.send_one.cpu_ms - measured.idle.cpu_ms, 0)
            found.append(("sender", replace(measured.send_one, calls=calls, cpu_ms=cpu_ms, times=1)))
        else:
            found.append(("sender", replace(self._drained(measured.send), times=1 / measured.sent)))
            # An idle run is there in any case and counted among what is fixed.
            found.append(("sender", replace(self._drained(measured.idle), times=-1 / measured.sent)))
        return found

    def _drained(self, run: Work) -> Work:
        if self.design.asks_first:
            needed = [each for each in run.calls if not each.waits_s]
            return replace(run, calls=[Call("sqs", "GetQueueAttributes", requests=1), *needed])
        if not self.design.stops_early:
            return run
        calls, receives, enough = [], 0, False
        for each in run.calls:
            if each.operation != "ReceiveMessage":
                calls.append(each)
                continue
            if receives % queue.PARALLEL == 0 and enough:
                continue
            receives += 1
            enough = enough or bool(each.waits_s)
            calls.append(each)
        return replace(run, calls=calls)

    def _variable(self) -> Iterator[Line]:
        yield from self.priced("variable", self.works(), self.conversions)
        if self.design.added:
            yield from self.design.added(self)

    def priced(self, part: Part, works: Iterable[tuple[str, Work]], times: float) -> Iterator[Line]:
        """The lines of works, each ``times`` as often as it says; who does them stands in the names."""
        sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        for who, work in works:
            many = work.times * times
            gb = self.memory_mb(work.function) / 1024
            # Of the sender nothing is left here: a run that finds something is one of those that there are in any case.
            sums[f"Lambda: invocations of the {who}", "lambda_requests"] += many
            seconds = billed_ms(self.duration_ms(work)) / 1000
            price = f"lambda_{self.architecture(work.function)}"
            sums[f"Lambda: time of the {who}", price] += gb * seconds * many
            if part == "variable" and work.times > 0:
                cold = self.measured.init[work.function.name] * self._slower(work.function) / 1000
                share = assumptions()["cpu"]["cold_share"]
                sums["Lambda: cold starts", price] += gb * cold * share * many
            for what, price, units in self._charged(work):
                sums[what.format(who), price] += units * many
        yield from (
            Line(part, what, price, quantity) for (what, price), quantity in sums.items() if quantity > _NOTHING
        )

    def _charged(self, work: Work) -> Iterator[tuple[str, str, float]]:
        calls = work.calls
        yield "DynamoDB: writes of the {}", "dynamodb_write", self._writes(work)
        yield "DynamoDB: reads of the {}", "dynamodb_read", sum(each.reads for each in calls)
        yield "SQS: requests of the {}", "sqs_requests", sum(each.requests for each in calls if each.service == "sqs")
        yield "S3: requests of the {}", "s3_put", sum(each.requests for each in calls if each.service == "s3")
        yield "Logs: lines of the {}", "logs_ingested", self.log_bytes(work) / GB

    def _writes(self, work: Work) -> float:
        units = sum(each.writes for each in work.calls)
        if self.design.plain_items and units:
            extra = self.measured.plain_over_1_kb - self.measured.over_1_kb
            return units + extra * sum(
                2 if each.operation == "TransactWriteItems" else 1 for each in work.calls if each.writes
            )
        return units

    def _kept(self) -> Iterator[Line]:
        measured, month = self.measured, assumptions()["month"]
        item = measured.plain_item if self.design.plain_items else measured.item
        days = float(self.choices.parameters["LedgerTtlDays"])
        stored = self.conversions * days / month["days"] * (item + ITEM_OVERHEAD_BYTES) / GB
        yield Line("kept", "DynamoDB: the ledger, full", "dynamodb_storage", stored)
        logged = sum(self.log_bytes(work) * work.times for _, work in self.works()) * self.conversions
        idle = self.log_bytes(measured.idle) * self.runs
        months = float(self.choices.parameters["LogRetentionDays"]) / month["days"]
        share = assumptions()["log"]["stored_share"]
        yield Line("kept", "Logs: kept, compressed", "logs_stored", (logged + idle) * months * share / GB)
        out = sum(
            (sum(each.out_bytes for each in work.calls) + self._answer(work)) * work.times for _, work in self.works()
        )
        yield Line("kept", "Data out: to OpenAI, and answers", "transfer_out", out * self.conversions / GB)

    def _answer(self, work: Work) -> float:
        return work.answer_bytes + assumptions()["transfer"]["answer_head_bytes"] if work.answer_bytes else 0.0

    # What is there without any ---------------------------------------------------------------------------------------

    def _fixed(self) -> Iterator[Line]:
        yield Line("fixed", "CloudWatch: alarms", "alarms", self.alarms())
        yield Line("fixed", "CloudWatch: custom metrics", "metrics", len(self.metrics()) * self.design.metrics_times)
        yield Line(
            "fixed", "CloudWatch: dashboards", "dashboards", len(self.choices.of_type("AWS::CloudWatch::Dashboard"))
        )
        yield Line("fixed", "EventBridge: schedule of the sender", "scheduler", self.runs)
        yield from self.priced("fixed", [("sender", replace(self._drained(self.measured.idle), times=1))], self.runs)
        yield Line("fixed", "KMS: secrets read", "kms_requests", self.secret_reads())
        tables = self.choices.of_type("AWS::DynamoDB::Table").values()
        yield Line("fixed", "KMS: the ledger's key", "kms_requests", sum(map(self._table_key, tables)))
        if any(each.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") for each in tables):
            stored = next(line.quantity for line in self._kept() if line.price == "dynamodb_storage")
            yield Line("fixed", "DynamoDB: recovery to any moment", "dynamodb_pitr", stored)

    def alarms(self) -> int:
        """Metrics that alarms look at: an alarm on an expression is charged for each metric in it."""
        found = self.choices.of_type("AWS::CloudWatch::Alarm").values()
        return sum(max(1, sum("MetricStat" in each for each in alarm.get("Metrics", []))) for alarm in found)

    def metrics(self) -> set[tuple[str, str]]:
        """Custom metrics: those that were written, and those that an alarm looks at, as if each came every hour."""
        found = set(self.measured.metrics)
        for alarm in self.choices.of_type("AWS::CloudWatch::Alarm").values():
            looked_at = [
                alarm,
                *(each["MetricStat"]["Metric"] for each in alarm.get("Metrics", []) if "MetricStat" in each),
            ]
            for each in looked_at:
                if not str(each.get("Namespace", "AWS/")).startswith("AWS/"):
                    found.add((",".join(str(one["Value"]) for one in each.get("Dimensions", [])), each["MetricName"]))
        return found

    def secret_reads(self) -> float:
        """Secrets that are read and decrypted a month: by each process of a receiver as often as its cache ends."""
        told = assumptions()["key"]
        refreshes = self.hours * 3600 / told["parameter_cache_s"] * told["processes"]
        by_runs = sum(each.requests for each in self.measured.idle.calls if each.service == "ssm") * self.runs
        return float(sum(self.measured.secrets.values()) * refreshes + by_runs)

    def _table_key(self, table: Mapping[str, Any]) -> float:
        """With SSEEnabled the table has a key of KMS, which DynamoDB asks for each role now and then; else none."""
        if not table.get("SSESpecification", {}).get("SSEEnabled"):
            return 0
        return float(len(self.measured.functions) * self.hours * 3600 / assumptions()["key"]["table_key_s"])

    # Time and bytes --------------------------------------------------------------------------------------------------

    def memory_mb(self, function: FunctionChoice) -> int:
        """The memory size that counts."""
        return self.design.memory_mb or function.memory_mb

    def architecture(self, function: FunctionChoice) -> str:
        """The processor that counts."""
        return self.design.architecture or function.architecture

    def _slower(self, function: FunctionChoice) -> float:
        return max(1.0, float(assumptions()["cpu"]["vcpu_mb"]) / self.memory_mb(function))

    def duration_ms(self, work: Work) -> float:
        """CPU time at the share of a processor that the memory size gives, and the time of the calls."""
        return work.cpu_ms * self._slower(work.function) + waiting_ms(work)

    def log_bytes(self, work: Work) -> float:
        """Bytes that CloudWatch Logs takes in for one invocation."""
        told = assumptions()["log"]
        system = self._system_lines(work.function)
        return float(sum(work.log) + sum(system) + told["event_overhead_bytes"] * (len(work.log) + len(system)))

    def _system_lines(self, function: FunctionChoice) -> Sequence[int]:
        told = assumptions()["log"]
        as_json = function.log_format == "JSON"
        if self.design.system_lines is False or (
            self.design.system_lines is None and as_json and function.system_level == "WARN"
        ):
            return ()
        if as_json:
            return told["json_start_bytes"], told["json_report_bytes"]
        return told["text_start_bytes"], told["text_end_bytes"], told["text_report_bytes"]


def waiting_ms(work: Work) -> float:
    """Time for which a function waits: one call after the other, but for the sender's, of which ten go at a time.

    A round of receives lasts as long as its longest: one that finds nothing waits to the end.
    """
    latency = assumptions()["latency_ms"]
    at_once = 1
    if work.function.folder.endswith("sender"):
        at_once = min(queue.PARALLEL, sender.SETTLE_PARALLEL)
    waited = 0.0
    for service, operation in dict.fromkeys((each.service, each.operation) for each in work.calls):
        calls: list[Call] = [each for each in work.calls if (each.service, each.operation) == (service, operation)]
        for start in range(0, len(calls), at_once):
            longest = max(each.waits_s for each in calls[start : start + at_once])
            waited += latency[service] + longest * 1000
    return waited


def whole_batch(choices: Choices, conversions: float, window_s: float | None = None) -> int:
    """Conversions in a batch of the outbox, rounded: what is measured has whole ones.

    ``window_s``: another batching window than the template's.
    """
    outbox = next(each for each in choices.functions().values() if each.folder == "functions/outbox")
    per_second = conversions / (assumptions()["month"]["hours"] * 3600)
    window = outbox.stream_window_s if window_s is None else window_s
    return max(1, round(batch_size(per_second, window, outbox.stream_batch or 100)))


def per_run(choices: Choices, conversions: float) -> float:
    """Conversions that wait for a run of the sender, on average."""
    return conversions / choices.runs_a_month(assumptions()["month"]["hours"])
