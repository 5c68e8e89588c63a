"""The strict stand-in for OpenAI behind real HTTP, around a run of the sender."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import requests

from conversion_relay.openai import OpenAi
from conversion_relay.queue import Message
from tests.fakes import NOW_MS, FakeQueue
from tests.unit.sending import KEY, PIXEL, World
from tools.stand_in import StandIn


@pytest.fixture(scope="module")
def openai_server() -> Iterator[StandIn]:
    with StandIn(keys=[KEY], pixels=[PIXEL], clock=lambda: NOW_MS) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(openai_server: StandIn) -> StandIn:
    openai_server.reset()
    return openai_server


@pytest.fixture
def over_http(stand_in: StandIn) -> Iterator[Callable[..., World]]:
    """A world with the strict stand-in for OpenAI behind real HTTP."""
    with requests.Session() as session:

        def make(messages: Sequence[Message], key: str = KEY, pixel: str = PIXEL) -> World:
            api = OpenAi(session, f"{stand_in.url}/v1/events", pixel, key, validate_only=False)
            return World(FakeQueue(messages), api)

        yield make
