"""The formulas of the bill, with numbers small enough to work out by hand."""

from dataclasses import replace
from typing import Any

import pytest

from tools.cost.bill import AS_SHIPPED, Billing, Design, batch_size, waiting_ms
from tools.cost.choices import Choices, FunctionChoice
from tools.cost.measure import Measured, Work, metrics_in
from tools.cost.service import Call

MEMORY_MB = 1769
"""One whole vCPU: CPU time on Lambda is then that which was measured."""


def function(folder: str, **changed: Any) -> FunctionChoice:
    made = FunctionChoice(
        name=folder.capitalize(), folder=f"functions/{folder}", memory_mb=MEMORY_MB, architecture="arm64",
        environment={}, log_format="JSON", system_level="WARN", stream_batch=None, stream_window_s=0,
    )  # fmt: skip
    return replace(made, **changed)


SHOPIFY, OUTBOX, SENDER = function("shopify"), function("outbox", stream_batch=100), function("sender")
EMPTY = [Call("sqs", "ReceiveMessage", requests=1, waits_s=1.0)] * 10
MEASURED = Measured(
    receive=[Work(SHOPIFY, 4.0, [Call("dynamodb", "PutItem", writes=2)], [474], answer_bytes=100)],
    further={},
    outbox={1: Work(OUTBOX, 2.0, [Call("sqs", "SendMessageBatch", requests=1)], [])},
    send=Work(
        SENDER, 100.0,
        [
            *[Call("sqs", "ReceiveMessage", requests=1)] * 10, *EMPTY,
            *[Call("dynamodb", "UpdateItem", writes=1)] * 100, *[Call("sqs", "DeleteMessageBatch", requests=1)] * 10,
            Call("openai", "POST", out_bytes=90_000),
        ],
        [974],
    ),
    sent=100,
    send_one=Work(SENDER, 12.0, [Call("dynamodb", "UpdateItem", writes=1)], [974]),
    idle=Work(SENDER, 10.0, EMPTY, [974]),
    init={"Shopify": 500.0, "Outbox": 500.0, "Sender": 500.0},
    memory_mb={"Shopify": 70.0, "Outbox": 70.0, "Sender": 70.0},
    item=900.0,
    plain_item=1100.0,
    over_1_kb=0.0,
    plain_over_1_kb=0.5,
    event=900.0,
    metrics=frozenset({("relay", "Recorded"), ("relay", "Sent")}),
    secrets={"Shopify": 1},
    functions={"Shopify": SHOPIFY, "Outbox": OUTBOX, "Sender": SENDER},
)  # fmt: skip
MILLION = 1_000_000


def billing(design: Design = AS_SHIPPED, measured: Measured = MEASURED, **parameters: str) -> Billing:
    """Without a batching window, whatever the template says: then each conversion is a batch of its own."""
    unbatched = replace(design, window_s=0.0)
    return Billing(Choices({"PixelId": "px_12345678", **parameters}), measured, MILLION, unbatched)


def lines(found: Billing) -> dict[str, float]:
    return {line.what: line.usd for line in found.bill().lines}


def test_requests_units_and_bytes_of_a_million_conversions() -> None:
    usd = lines(billing())

    assert usd["DynamoDB: writes of the receivers"] == pytest.approx(2 * 0.625)
    assert usd["DynamoDB: writes of the sender"] == pytest.approx(0.625)
    assert usd["Lambda: invocations of the receivers"] == pytest.approx(0.20)
    assert usd["Lambda: invocations of the outbox"] == pytest.approx(0.20)
    assert usd["SQS: requests of the outbox"] == pytest.approx(0.40)
    # 10 receives and 10 deletes for 100 conversions; the ten that find nothing are there in any case
    found = [line for line in billing().bill().lines if line.what == "SQS: requests of the sender"]
    assert [line.usd for line in found] == pytest.approx([0.40 * 20 / 100, 0.40 * 87_600 / MILLION])
    assert usd["Logs: lines of the receivers"] == pytest.approx(500 * MILLION / 1024**3 * 0.50)


def test_time_on_lambda_is_cpu_at_a_share_and_the_calls_and_each_ms_begun() -> None:
    # Given 4 ms of CPU and a write of 5 ms
    work = MEASURED.receive[0]

    # When the function has a whole vCPU, or half of one
    whole, half = billing(), billing(Design(memory_mb=MEMORY_MB // 2))

    # Then it lasts 9 ms, or a little over 13, of which 14 are charged
    assert whole.duration_ms(work) == pytest.approx(9.0)
    assert half.duration_ms(work) == pytest.approx(4 * 1769 / 884 + 5)
    gb_s = MEMORY_MB / 1024 * 0.009 * MILLION
    assert lines(whole)["Lambda: time of the receivers"] == pytest.approx(gb_s * 0.0000133334)
    assert lines(half)["Lambda: time of the receivers"] == pytest.approx(884 / 1024 * 0.014 * MILLION * 0.0000133334)


def test_the_sender_waits_for_ten_calls_at_a_time_and_to_the_end_where_there_is_nothing() -> None:
    # 10 receives, 10 that find nothing, 100 updates, 10 deletes, one request: in rounds of ten
    assert waiting_ms(MEASURED.send) == pytest.approx(8 + (8 + 1000) + 10 * 5 + 8 + 300)
    assert waiting_ms(MEASURED.idle) == pytest.approx(1008)


def test_a_run_that_finds_something_costs_what_it_takes_longer_than_one_that_does_not() -> None:
    busy, idle = 100 + 1374, 10 + 1008
    expected = MEMORY_MB / 1024 * (busy - idle) / 1000 * (MILLION / 100) * 0.0000133334

    found = [line for line in billing().bill().lines if line.what == "Lambda: time of the sender"]

    assert [line.part for line in found] == ["variable", "fixed"]
    assert found[0].usd == pytest.approx(expected)
    assert found[1].usd == pytest.approx(MEMORY_MB / 1024 * 1.018 * 8_760 * 0.0000133334)


def test_cold_starts_are_a_share_of_the_invocations() -> None:
    # A receiver and an outbox for each conversion, a sender for a hundred of them, of which two in a thousand are cold
    starts = (1 + 1 + 0.01) * 0.002 * MILLION

    assert lines(billing())["Lambda: cold starts"] == pytest.approx(MEMORY_MB / 1024 * 0.5 * starts * 0.0000133334)


def test_what_is_kept_fills_up_until_the_ttl() -> None:
    gb = MILLION * 90 / 30.4 * (900 + 100) / 1024**3

    assert lines(billing())["DynamoDB: the ledger, full"] == pytest.approx(gb * 0.25)
    assert lines(billing(LedgerTtlDays="45"))["DynamoDB: the ledger, full"] == pytest.approx(gb * 0.25 / 2)
    assert lines(billing())["DynamoDB: recovery to any moment"] == pytest.approx(gb * 0.20)


def test_fixed_items_are_those_that_the_template_makes() -> None:
    with_all, without_calls = billing(), billing(EnableCalls="no")

    assert lines(without_calls)["CloudWatch: alarms"] < lines(with_all)["CloudWatch: alarms"]
    assert lines(billing(SendEvery="rate(10 minutes)"))["EventBridge: schedule of the sender"] == pytest.approx(
        4_380 / MILLION
    )
    assert lines(with_all)["CloudWatch: custom metrics"] >= 2 * 0.30


@pytest.mark.parametrize(
    ("design", "line", "usd"),
    [
        (Design(plain_items=True), "DynamoDB: writes of the receivers", 2.5 * 0.625),
        (Design(architecture="x86_64"), "Lambda: time of the receivers", 1769 / 1024 * 9_000 * 0.0000166667),
        (Design(metrics_times=3), "CloudWatch: custom metrics", None),
        (Design(without_outbox=True), "SQS: requests of the outbox", 0.0),
        (Design(one_by_one=True), "Lambda: invocations of the sender", 0.20),
    ],
    ids=["plain items", "x86_64", "metrics by source", "no outbox", "one by one"],
)
def test_another_design_changes_its_line(design: Design, line: str, usd: float | None) -> None:
    found = {each.what: each.usd for each in reversed(billing(design).bill().lines)}.get(line, 0.0)

    assert found == pytest.approx(3 * lines(billing())[line] if usd is None else usd)


def test_lines_of_lambda_itself_are_counted_where_the_template_lets_it_write_them() -> None:
    work = MEASURED.receive[0]
    as_text = replace(work, function=replace(SHOPIFY, log_format="Text"))
    as_json = replace(work, function=replace(SHOPIFY, system_level="INFO"))

    assert billing().log_bytes(work) == 474 + 26
    assert billing().log_bytes(as_text) == 500 + 74 + 52 + 150 + 3 * 26
    assert billing().log_bytes(as_json) == 500 + 170 + 280 + 2 * 26
    assert billing(Design(system_lines=False)).log_bytes(as_text) == 500


@pytest.mark.parametrize(
    ("per_second", "window_s", "size"),
    [(0.4, 60, 1 + 0.1 * 60), (0.4, 0, 1.0126), (4000, 0, 100), (400, 60, 100), (0, 0, 1)],
    ids=["a window gathers in each of four shards", "without one a look finds one", "full", "full by window", "none"],
)
def test_how_many_conversions_the_outbox_gets_at_once(per_second: float, window_s: float, size: float) -> None:
    assert batch_size(per_second, window_s, 100) == pytest.approx(size, rel=1e-3)


def test_metrics_are_those_in_the_lines_of_the_log() -> None:
    line = (
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["service"]], '
        '"Metrics": [{"Name": "Sent"}, {"Name": "Expired"}]}]}, "service": "relay", "Sent": 1}'
    )

    assert set(metrics_in(["no JSON", "[]", "{}", line, line])) == {("relay", "Sent"), ("relay", "Expired")}


def test_a_sender_that_stops_early_makes_no_round_after_one_that_found_nothing() -> None:
    # Given a run with a round that finds all, one that finds nothing, and one more in vain
    run = replace(MEASURED.send, calls=[*MEASURED.send.calls, *EMPTY])
    measured = replace(MEASURED, send=run)

    # When it stops after the first in vain
    long, short = billing(measured=measured), billing(Design(stops_early=True), measured)

    # Then ten requests and a second of waiting are saved in each run
    requests = [
        next(line for line in each.bill().lines if line.what == "SQS: requests of the sender") for each in (long, short)
    ]
    assert requests[0].quantity - requests[1].quantity == pytest.approx(10 * MILLION / 100)
    assert short.works()[-2][1].calls == MEASURED.send.calls


def test_a_sender_that_asks_first_receives_what_there_is_and_never_waits_for_nothing() -> None:
    usual, asking = billing(), billing(Design(asks_first=True))

    def seconds(found: Billing) -> list[float]:
        lines = [line for line in found.bill().lines if line.what == "Lambda: time of the sender"]
        return [line.quantity for line in lines]

    # Given a run that waited for a second in a round that found nothing: now it asks, in 8 ms
    busy = 100 + 8 + 8 + 10 * 5 + 8 + 300
    idle = 10 + 8
    assert seconds(asking)[0] == pytest.approx(MEMORY_MB / 1024 * (busy - idle) / 1000 * MILLION / 100)
    assert seconds(asking)[1] == pytest.approx(MEMORY_MB / 1024 * idle / 1000 * 8_760)
    assert seconds(asking)[1] < seconds(usual)[1]
