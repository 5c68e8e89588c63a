"""HTTP to a platform's API: patient with its limits, careful with the token."""

from collections.abc import Iterator

import pytest

from tools.backfill.api import ATTEMPTS, Api
from tools.dry_run import CannotRun
from tools.stand_in_server import Answer, LoopbackServer, Request

TOKEN = "a-token-of-the-tests"


class Platform:
    """Gives its answers in turn, the last one for good; ``requests`` and ``waits`` are what came of that."""

    def __init__(self) -> None:
        self.answers: list[Answer | None] = [Answer(200, b'{"orders": []}')]
        self.requests: list[Request] = []
        self.waits: list[float] = []
        self.server = LoopbackServer(self._respond, 0)

    def _respond(self, request: Request) -> Answer | None:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def get(self) -> object:
        with Api("Shopify", self.server.url, {"X-Shopify-Access-Token": TOKEN}, sleep=self.waits.append) as api:
            return api.get("/admin/orders.json", [("status", "any"), ("types[]", "a"), ("types[]", "b")])


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    made.server.start()
    yield made
    made.server.stop()


def test_an_object_comes_with_its_links(platform: Platform) -> None:
    platform.answers = [Answer(200, b'{"orders": [1]}', link='<https://x.example/o.json?page_info=c>; rel="next"')]
    assert platform.get() == ({"orders": [1]}, {"next": {"url": "https://x.example/o.json?page_info=c", "rel": "next"}})
    (request,) = platform.requests
    assert request.headers["x-shopify-access-token"] == TOKEN
    assert request.query == "status=any&types%5B%5D=a&types%5B%5D=b"


def test_a_rate_limit_is_waited_for_as_long_as_it_says(platform: Platform) -> None:
    platform.answers = [Answer(429, b"", retry_after=each) for each in ("2.0", "7", "9999", "soon")]
    platform.answers += [None, Answer(503, b""), Answer(200, b"{}")]
    assert platform.get() == ({}, {})
    assert platform.waits == [2.0, 7.0, 60.0, 8.0, 16.0, 32.0]


def test_an_api_that_does_not_come_back_is_given_up(platform: Platform) -> None:
    platform.answers = [Answer(500, b"")]
    with pytest.raises(CannotRun, match="Shopify answered HTTP 500, 8 times"):
        platform.get()
    assert (len(platform.requests), len(platform.waits)) == (ATTEMPTS, ATTEMPTS - 1)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 422])
def test_a_refusal_or_a_redirect_is_not_tried_again_nor_followed(platform: Platform, status: int) -> None:
    platform.answers = [Answer(status, b"")]
    with pytest.raises(CannotRun, match=f"HTTP {status}"):
        platform.get()
    assert len(platform.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_not_shown(platform: Platform, status: int) -> None:
    platform.answers = [Answer(status, TOKEN.encode())]
    with pytest.raises(CannotRun, match="refuses the token") as refused:
        platform.get()
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null"])
def test_what_is_no_object_is_not_taken(platform: Platform, body: bytes) -> None:
    platform.answers = [Answer(200, body)]
    with pytest.raises(CannotRun, match="something else than a JSON object"):
        platform.get()
