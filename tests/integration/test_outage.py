"""A refused key, an outage, a busy API against the deployed sender: nothing is consumed, and all is sent after it."""

from collections.abc import Iterator

import pytest

from tests.integration.stack import OPENAI_KEY, PIXEL_ID, counted, items, post_order, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.stand_in import StandIn

CIRCUIT = "circuit#openai"


@pytest.fixture
def troubled(openai: StandIn) -> Iterator[StandIn]:
    """The stand-in as at its start, for tests in which it refuses."""
    openai.reset()
    yield openai
    openai.reset()


@pytest.fixture
def waiting(clean: Stack) -> Iterator[Stack]:
    """Twelve recorded orders on the queue, whose messages come back soon after a run has let them lie."""
    sqs, url = clean.client("sqs"), clean.resources["Queue"]
    held = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "6"})
    for number in range(12):
        assert post_order(clean, number) == 200
    assert until(lambda: queue_depth(clean) == 12)
    yield clean
    sqs.set_queue_attributes(QueueUrl=url, Attributes=held)
    clean.client("dynamodb").delete_item(TableName=clean.resources["Ledger"], Key={"pk": {"S": CIRCUIT}})


def requests_of(stack: Stack, stand_in: StandIn) -> list[tuple[int | None, int]]:
    """Status and number of events of each request that one run makes, once everything is visible again."""
    assert until(lambda: queue_depth(stack) == queue_depth(stack, hidden=True))
    before = len(stand_in.requests())
    stack.invoke("Sender")
    return [(each["status"], each["events"]) for each in stand_in.requests()[before:]]


def test_a_revoked_key_stops_every_run_after_one_request_until_it_is_good_again(
    waiting: Stack, troubled: StandIn
) -> None:
    # Given a key that OpenAI knows no more
    troubled.switch(keys={})

    # When the sender runs, it asks once; and after that with ten events at most
    assert requests_of(waiting, troubled) == [(401, 12)]
    circuit = items(waiting)[CIRCUIT]
    assert (circuit["state"]["S"], "Conversions key" in circuit["advice"]["S"]) == ("blocked", True)
    assert requests_of(waiting, troubled) == [(401, 10)]
    assert set(statuses(waiting).values()) == {"recorded"}
    assert items(waiting)[CIRCUIT]["since_ms"] == circuit["since_ms"]

    # And once the key is good, the same run sends all that waits
    troubled.switch(keys={OPENAI_KEY: {"scope": True, "pixels": [PIXEL_ID]}})
    assert requests_of(waiting, troubled) == [(200, 10), (200, 2)]
    assert set(statuses(waiting).values()) == {"sent"}
    assert len(counted(troubled)) == 12
    assert items(waiting)[CIRCUIT]["state"]["S"] == "closed"


def test_an_outage_that_names_a_time_is_left_alone_until_then(waiting: Stack, troubled: StandIn) -> None:
    troubled.fail(status=500, retry_after="120", times=None)

    assert requests_of(waiting, troubled) == [(500, 12)]
    assert requests_of(waiting, troubled) == []
    assert queue_depth(waiting) == 12


def test_a_busy_api_is_asked_again_in_the_same_run(waiting: Stack, troubled: StandIn) -> None:
    troubled.fail(status=429, retry_after="1")
    troubled.fail(status=503, body="none")

    assert requests_of(waiting, troubled) == [(429, 12), (503, 12), (200, 12)]
    assert set(statuses(waiting).values()) == {"sent"}


def test_a_batch_that_was_taken_and_not_answered_is_sent_again_and_counts_once(
    waiting: Stack, troubled: StandIn
) -> None:
    troubled.fail(drop="after")

    assert requests_of(waiting, troubled) == [(None, 12)]
    assert requests_of(waiting, troubled) == [(200, 10), (200, 2)]
    assert sorted(set(counted(troubled))) == sorted(counted(troubled))
    assert set(statuses(waiting).values()) == {"sent"}
    assert troubled.summary()["duplicates"] == 12


@pytest.fixture
def key_parameter(clean: Stack) -> Iterator[str]:
    """The name of the parameter of the OpenAI key, which is there again afterwards."""
    name = f"/{clean.name}/openai-conversions-key"
    yield name
    clean.client("ssm").put_parameter(Name=name, Type="SecureString", Value=OPENAI_KEY, Overwrite=True)


def test_a_missing_key_consumes_nothing_and_a_new_one_is_in_use_at_once(
    waiting: Stack, troubled: StandIn, key_parameter: str
) -> None:
    # Given a sender that has worked, and a key that is gone
    waiting.invoke("Sender", {"warm": "up"})
    before = len(troubled.requests())
    assert post_order(waiting, 100) == 200
    assert until(lambda: queue_depth(waiting) == 1)
    waiting.client("ssm").delete_parameter(Name=key_parameter)

    # When it runs, then it says what is missing, and takes nothing
    run = waiting.invoke("Sender")
    assert (run["received"], "OpenAiKeyCommand" in run["stopped"]) == (0, True)
    assert queue_depth(waiting) == 1

    # And with a key that is refused, and at once after it with the good one, the event waits and is sent
    waiting.client("ssm").put_parameter(Name=key_parameter, Type="SecureString", Value="sk-old", Overwrite=True)
    assert requests_of(waiting, troubled) == [(401, 1)]
    waiting.client("ssm").put_parameter(Name=key_parameter, Type="SecureString", Value=OPENAI_KEY, Overwrite=True)
    assert requests_of(waiting, troubled) == [(200, 1)]
    assert len(troubled.requests()) == before + 2
