"""The simulated world is the deployed one: the same time limits, visibility, receive counts, batches and filter."""

import json

from conversion_relay.ledger import AMEND_MARGIN_MS
from tests.simulation import stream
from tests.simulation.relay import Relay
from tests.simulation.sqs import DAY_MS
from tests.simulation.world import Conditions
from tools.template import read

TEMPLATE = read()
RESOURCES = TEMPLATE["Resources"]


def test_the_queue_is_that_of_the_template() -> None:
    queue, dead = (RESOURCES[name]["Properties"] for name in ("Queue", "DeadLetterQueue"))

    assert queue["VisibilityTimeout"] == Relay.visibility_s
    assert queue["RedrivePolicy"]["maxReceiveCount"] == Relay.most_receives
    assert {queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"]} == {14 * DAY_MS // 1000}


def test_the_functions_last_as_long_as_in_the_template() -> None:
    def lasts_ms(name: str) -> int:
        return int(RESOURCES[name]["Properties"]["Timeout"]) * 1000

    assert lasts_ms("ShopifyReceiver") == Relay.receiver_lasts_ms
    assert lasts_ms("Outbox") == Relay.outbox_lasts_ms
    assert lasts_ms("Sender") == Relay.sender_lasts_ms
    assert Relay.receiver_lasts_ms < AMEND_MARGIN_MS
    assert TEMPLATE["Parameters"]["SendEvery"]["Default"] == f"rate({Conditions().send_every_ms // 60_000} minutes)"


def test_the_stream_hands_over_as_in_the_template() -> None:
    mapping = RESOURCES["Outbox"]["Properties"]["Events"]["Recorded"]["Properties"]
    (pattern,) = (json.loads(each["Pattern"]) for each in mapping["FilterCriteria"]["Filters"])

    assert mapping["BatchSize"] == stream.BATCH
    assert mapping["MaximumRetryAttempts"] == stream.MOST_ATTEMPTS
    assert mapping["MaximumRecordAgeInSeconds"] * 1000 == stream.MOST_AGE_MS
    assert mapping["BisectBatchOnFunctionError"] is True
    assert pattern == {
        "eventName": ["INSERT"], "dynamodb": {"NewImage": {"status": {"S": list(stream.STATUSES)}}},
    }  # fmt: skip
