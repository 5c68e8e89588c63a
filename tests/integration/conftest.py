"""One local AWS with one deployed stack and one stand-in for OpenAI, for all integration tests of a run."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conversion_relay.aws_json import DynamoDb, Patience
from conversion_relay.ledger import Ledger
from conversion_relay.receive import LedgerPort
from tests.integration.replaying import Relay, command
from tests.integration.stack import OPENAI_KEY, PIXEL_ID, SECRETS, empty, lone_table, settle_stream
from tools.in_memory import InMemoryLedger
from tools.local_aws import REGION, LocalAws, Stack
from tools.samples import ORIGIN
from tools.stand_in import StandIn


@pytest.fixture(scope="session")
def openai() -> Iterator[StandIn]:
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def stack(openai: StandIn) -> Iterator[Stack]:
    with LocalAws.start(concurrency=4) as aws:
        yield aws.deploy(
            "tests",
            {
                "PixelId": PIXEL_ID,
                "OpenAiEndpoint": f"{openai.url}/v1/events",
                "StorefrontOrigin": "https://northwind-trail.example",
                "PublicOrigin": ORIGIN,
                "EnableCustom": "yes",
                "SendEvery": "rate(1 hour)",
                "Architecture": "x86_64",
            },
            SECRETS,
        )


@pytest.fixture
def stand_in(openai: StandIn) -> Iterator[StandIn]:
    """The stand-in as at its start. Nothing that OpenAI would refuse or ignore may leave the relay in any test."""
    openai.reset()
    yield openai
    assert set(openai.summary()["requests"]) <= {"200"}
    assert [each["ignored"] for each in openai.events() if each["ignored"]] == []


@pytest.fixture
def clean(stack: Stack) -> Stack:
    """The stack with nothing in its table, queues and bucket."""
    settle_stream(stack)
    empty(stack)
    return stack


@pytest.fixture(params=["dynamodb", "dynamodb by aws_json", "in memory"])
def ledger(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerPort]:
    """The ledger on the local DynamoDB, by boto3's client and by the receivers', and the one in memory: all keep the
    same promises.
    """
    if request.param == "in memory":
        yield InMemoryLedger()
        return
    stack = request.getfixturevalue("stack")
    with lone_table(stack) as table:
        if request.param == "dynamodb":
            yield Ledger(stack.client("dynamodb"), table, ttl_days=90)
            return
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_REGION", REGION)
        monkeypatch.setenv("AWS_ENDPOINT_URL", stack.aws.endpoint)
        with closing(DynamoDb(Patience(read_s=30))) as client:
            yield Ledger(client, table, ttl_days=90)


@pytest.fixture
def relay(clean: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Relay:
    """The ``relay`` command on the clean stack."""
    return command(clean, monkeypatch, capsys, tmp_path)
