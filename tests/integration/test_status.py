"""``relay status`` against the deployed stack: with nothing in it, and with something wrong in each part."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.circuit import Circuit
from conversion_relay.ledger import Ledger
from tests.integration.commands import Relay, deny
from tests.integration.stack import post_order, queue_depth, until
from tests.integration.test_check import sender_with
from tests.integration.test_explain import post_body, put
from tools.local_aws import Stack
from tools.stand_in import StandIn

DAY_MS = 86_400_000
QUEUES = ("OutboxFailures", "PrivacyFailures", "DeadLetterQueue")
ALARM = "RejectedAlarm"


@pytest.fixture
def relay(
    clean: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Relay]:
    """The command, on a stack where nothing is put aside and no alarm goes off, before and after."""
    _tidy(clean)
    yield Relay(clean, tmp_path, monkeypatch, capsys)
    _tidy(clean)


def _tidy(stack: Stack) -> None:
    for queue in QUEUES:
        if queue_depth(stack, queue, hidden=True):
            stack.client("sqs").purge_queue(QueueUrl=stack.resources[queue])
    for name, physical in stack.resources.items():
        if name.endswith("Alarm"):
            stack.client("cloudwatch").set_alarm_state(AlarmName=physical, StateValue="OK", StateReason="a test")


def open_circuit(stack: Stack, state: Any, advice: str) -> None:
    now_ms = int(time.time() * 1000)
    ledger = Ledger(stack.client("dynamodb"), stack.resources["Ledger"], ttl_days=90)
    ledger.open_circuit(Circuit(state, advice, now_ms - 7_200_000, 0, now_ms))


def test_with_nothing_there_is_nothing_to_do(clean: Stack, relay: Relay) -> None:
    status, told = relay.run("status")

    assert status == 0
    for sentence in (
        "Ledger empty: nothing has been recorded", "Mode live: events are sent and counted", "Sender runs every hour",
        "OpenAI nothing keeps events from being sent", "Oldest unsent nothing waits", "Queue 0 to be sent, 0 under way",
        "Put aside nothing", "Parked nothing", "Alarms none",
    ):  # fmt: skip
        assert sentence in told
    assert told.endswith("Nothing to do.")


def test_what_was_sent_and_what_waits_is_counted(clean: Stack, stand_in: StandIn, relay: Relay) -> None:
    post_order(clean, 1)
    assert until(lambda: queue_depth(clean) == 1)
    clean.invoke("Sender")
    post_order(clean, 2)
    assert until(lambda: queue_depth(clean) == 1)

    status, told = relay.run("status")

    assert status == 0
    assert "in the ledger waiting sent total of 7 days of 24 h Shopify 1 1 2 2 2 all 1 1 2" in told
    assert "Oldest unsent order_created#shopify:7000000000002" in told
    assert "6 days 23 h of OpenAI's 7 days left" in told
    assert "Queue 1 to be sent" in told
    assert told.endswith("Nothing to do.")
    ledger = relay.json("status")[1]["ledger"]
    assert ledger["counts"]["24 h"] == {"shopify": {"recorded": 1, "sent": 1}}


def test_every_part_that_needs_a_person_is_told_with_its_command(clean: Stack, openai: StandIn, relay: Relay) -> None:
    # Given a rejected and an expired event, a parked delivery, dead letters, what outbox and privacy function gave up,
    # an event that has few days left, a blocking OpenAI, and an alarm
    openai.reset()
    put(clean, 11, action_source="website")
    put(clean, 12, age_ms=8 * DAY_MS)
    assert until(lambda: queue_depth(clean) == 2)
    clean.invoke("Sender")
    put(clean, 13, age_ms=6 * DAY_MS)
    post_body(clean, b'{"id": null}', "orders/create", "parked-for-status")
    for queue in QUEUES:
        clean.client("sqs").send_message(QueueUrl=clean.resources[queue], MessageBody="{}")
    open_circuit(clean, "blocked", "OpenAI refuses the key. Put another one.")
    cloudwatch, alarm = clean.client("cloudwatch"), clean.resources[ALARM]
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")

    status, told = relay.run("status")

    assert status == 1
    for sentence in (
        "in the ledger waiting sent rejected expired total", "OpenAI blocked since", "2 h", "Put another one.",
        "order_created#shopify:7000000000013, 6 days old", "23 h 58 min of OpenAI's 7 days left",
        "dead letters: 1, given up by the outbox: 1, privacy requests not carried out: 1", "1 Shopify (id_missing)",
        "deleted in 29 days", "Rejected 1 × action_source", "Expired 1 × over 7 days old before it could be sent",
        f"Alarms {ALARM}", f"Alarm {ALARM}, since",
        "relay replay parked", "relay replay dead-letters", "relay replay ledger --status recorded --older-than 15m",
        "relay replay ledger --status rejected", "the law gives 30 days", "takes the oldest unsent conversion for only",
    ):  # fmt: skip
        assert sentence in told, sentence
    assert "Nothing to do" not in told

    status, held = relay.json("status")
    assert (status, held["ok"]) == (1, False)
    assert held["circuit"]["state"] == "blocked"
    assert [(each["source"], each["reason"]) for each in held["parked"]] == [("shopify", "id_missing")]
    assert held["queues"]["DeadLetterQueue"] == {"visible": 1, "in_flight": 0, "delayed": 0}
    assert [each["name"] for each in held["alarms"]] == [ALARM]
    assert held["ledger"]["oldest_unsent"]["key"] == "order_created#shopify:7000000000013"
    assert {(each["status"], each["count"]) for each in held["ledger"]["reasons"]} == {("rejected", 1), ("expired", 1)}


def test_an_outage_needs_nobody_as_long_as_time_is_left(clean: Stack, relay: Relay) -> None:
    put(clean, 21)
    open_circuit(clean, "outage", "OpenAI could not take events (HTTP 503)")

    status, told = relay.run("status")

    assert status == 0
    assert "OpenAI out since" in told
    assert "Note: OpenAI could not take events (HTTP 503). Nothing to do: the events wait" in told


def test_held_events_are_held_back_in_the_queue(clean: Stack, relay: Relay) -> None:
    sqs, url = clean.client("sqs"), clean.resources["Queue"]
    sqs.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=600)

    assert "Queue 0 to be sent, 0 under way, 1 held back" in relay.run("status")[1]


def test_reports_of_privacy_requests_are_no_parked_deliveries(clean: Stack, relay: Relay) -> None:
    bucket = clean.resources["ParkingBucket"]
    clean.client("s3").put_object(Bucket=bucket, Key="privacy/shopify-r1.json", Body=b"{}")
    clean.client("s3").put_object(Bucket=bucket, Key="custom/typeform/2026/11/22/a.json", Body=b"{}")
    clean.client("s3").put_object(Bucket=bucket, Key="aws/lambda/async/2026/b.json", Body=b"{}")

    status, told = relay.run("status")

    assert status == 1
    assert "1 Typeform (reason no longer in the log)" in told
    assert "1 given up by Lambda (reason no longer in the log)" in told
    assert "2 deliveries are parked" in told
    assert "Note: 1 report of what is held of a person" in told


def test_what_may_not_be_read_is_told_and_the_rest_is_shown(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    deny(
        monkeypatch,
        "scheduler",
        "GetSchedule",
        "AccessDeniedException",
        "x is not authorized to perform: scheduler:GetSchedule on y",
    )
    deny(monkeypatch, "s3", "ListObjectsV2", "AccessDenied", "Access Denied")

    status, told = relay.run("status")

    assert status == 1
    assert "Sender could not be read" in told
    assert "Parked could not be read" in told
    assert "Alarms none" in told
    assert (
        "To do: The sender's schedule could not be read: your AWS credentials lack the leave scheduler:GetSchedule."
        in told
    )
    assert "To do: The parking bucket could not be read: your AWS credentials lack the leave s3:ListBucket." in told


def test_what_could_not_be_read_is_not_said_to_be_well(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given somebody who may read neither the circuit nor the queues
    deny(monkeypatch, "dynamodb", "GetItem", "AccessDeniedException", "no leave")
    deny(monkeypatch, "sqs", "GetQueueAttributes", "AccessDenied", "no leave")

    status, told = relay.run("status")
    _, held = relay.json("status")

    assert status == 1
    assert "OpenAI could not be read" in told
    assert "nothing keeps events from being sent" not in told
    assert "Queue could not be read" in told
    assert "Put aside could not be read: dead letters, given up by the outbox" in told
    assert "Put aside nothing" not in told
    assert held["circuit"] is None
    assert (held["queues"]["Queue"], held["queues"]["DeadLetterQueue"]) == (None, None)


def test_a_setting_that_is_not_allowed_is_told_and_the_rest_is_shown(clean: Stack, relay: Relay) -> None:
    with sender_with(clean, DELIVERY_MODE="sometimes"):
        status, told = relay.run("status")

    assert status == 1
    assert "Mode could not be read" in told
    assert "The sender's settings could not be read: DELIVERY_MODE must be" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",), ("explain", "6184203920001"), ("replay", "parked"), ("replay", "dead-letters"),
        ("replay", "ledger", "--status", "rejected"),
    ],
)  # fmt: skip
def test_another_stack_is_said_to_be_no_relay(clean: Stack, relay: Relay, arguments: tuple[str, ...]) -> None:
    # Given a stack of something else, whose name was given by mistake
    cloud = clean.client("cloudformation")
    template = json.dumps({"Resources": {"Other": {"Type": "AWS::SQS::Queue"}}})
    cloud.create_stack(StackName="something-else", TemplateBody=template)
    cloud.get_waiter("stack_create_complete").wait(StackName="something-else", WaiterConfig={"Delay": 1})
    held = json.loads(relay.running.read_text())
    held["aws"]["stack"] = "something-else"
    relay.running.write_text(json.dumps(held))

    try:
        assert relay.run(*arguments) == (2, "")
    finally:
        cloud.delete_stack(StackName="something-else")
    assert "The stack something-else has no " in relay.err
    assert "Compare --stack" in relay.err


def test_a_stack_that_is_not_there(relay: Relay) -> None:
    held = json.loads(relay.running.read_text())
    held["aws"]["stack"] = "no-such-stack"
    relay.running.write_text(json.dumps(held))

    assert relay.run("status") == (2, "")
    assert "no-such-stack" in relay.err
