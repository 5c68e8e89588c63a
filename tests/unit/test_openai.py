"""The Conversions API's answers as what the sender does next, and its requests; over real HTTP where that matters."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from conversion_relay.event import parse
from conversion_relay.openai import (
    Accepted,
    Answer,
    Blocked,
    OpenAi,
    Problem,
    Rejected,
    Retry,
    answer,
    current_key,
    request_body,
)
from conversion_relay.secrets import SecretMissing, Secrets, SecretsUnavailable
from conversion_relay.settings import Settings
from tests.fakes import NOW_MS, an_order
from tools.stand_in import StandIn

KEY, PIXEL = "sk-svcacct-conversions", "Qm7TzV4kRw2LpX9sNdB3Yh"
NOT_THE_API = Blocked(200, "OpenAI answers in a way that the contract does not know. Compare OpenAiEndpoint with it.")

# Every status that HTTP knows. One that is missing here fails the test below.
MEANING: dict[range, type] = {
    range(100, 200): Blocked,
    range(200, 203): Accepted,
    range(203, 300): Blocked,
    range(300, 400): Blocked,  # a redirect would take the key to another host
    range(400, 401): Rejected,
    range(401, 408): Blocked,
    range(408, 409): Retry,
    range(409, 413): Blocked,
    range(413, 414): Rejected,
    range(414, 422): Blocked,
    range(422, 423): Rejected,
    range(423, 425): Blocked,
    range(425, 426): Retry,
    range(426, 429): Blocked,
    range(429, 430): Retry,
    range(430, 500): Blocked,
    range(500, 600): Retry,
}


def event_json(number: int = 1, **fields: Any) -> str:
    return parse(an_order(number, **fields)).to_json()


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with StandIn(keys=[KEY], advertiser_keys=["sk-advertiser"], pixels=[PIXEL], clock=lambda: NOW_MS) as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(server: StandIn) -> StandIn:
    server.reset()
    return server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def api(session: requests.Session, url: str, key: str = KEY, pixel: str = PIXEL, **options: Any) -> OpenAi:
    return OpenAi(session, f"{url}/v1/events", pixel, key, **{"validate_only": False, **options})


# Statuses.


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_is_mapped(status: int) -> None:
    expected = [kind for statuses, kind in MEANING.items() if status in statuses]

    assert [type(answer(status, {}, {}, 1))] == expected


@pytest.mark.parametrize("status", [*range(300, 304), *range(305, 309), *range(400, 409), 413, 418, 422, 425, 429, *range(500, 512)])  # fmt: skip # noqa: E501
@pytest.mark.parametrize("body", ["json", "text", "none"])
def test_status_over_http(stand_in: StandIn, session: requests.Session, status: int, body: str) -> None:
    # Given an answer with that status, in any of the forms that a gateway may give it
    stand_in.fail(status=status, body=body)

    # When a batch is sent
    result = api(session, stand_in.url).send([event_json()])

    # Then it means the same as without a network, nothing counted, and the next batch is unharmed
    assert [type(result)] == [kind for statuses, kind in MEANING.items() if status in statuses]
    assert stand_in.events() == []
    assert api(session, stand_in.url).send([event_json()]) == Accepted(1)


@pytest.mark.parametrize(
    ("status", "word"), [(401, "Conversions key"), (403, "PixelId"), (404, "OpenAiEndpoint"), (302, "OpenAiEndpoint")]
)
def test_advice_says_what_to_look_at(status: int, word: str) -> None:
    blocked = answer(status, {}, {}, 1)

    assert isinstance(blocked, Blocked)
    assert word in blocked.advice
    assert blocked.status == status


# The replies of contract 12.1, as they were recorded.


def test_r1_accepted(stand_in: StandIn, session: requests.Session) -> None:
    assert api(session, stand_in.url).send([event_json(1), event_json(2)]) == Accepted(2)
    assert [kept["event"] for kept in stand_in.events()] == [an_order(1), an_order(2)]


def test_r2_validate_only_stores_nothing(stand_in: StandIn, session: requests.Session) -> None:
    assert api(session, stand_in.url, validate_only=True).send([event_json()]) == Accepted(1)
    assert stand_in.events() == []
    assert [request["validate_only"] for request in stand_in.requests()] == [True]


def test_r3_r4_the_bad_event_is_named(stand_in: StandIn, session: requests.Session) -> None:
    bad = json.dumps(an_order(2, data={"amount": 1}))
    stale = event_json(3, timestamp_ms=NOW_MS - 8 * 86_400_000)

    malformed = api(session, stand_in.url).send([event_json(), bad])
    too_old = api(session, stand_in.url).send([event_json(), event_json(2), stale])

    assert malformed == Rejected(400, (Problem(1, "events[1].data.type", "missing_event_data_type"),))
    assert too_old == Rejected(422, (Problem(2, "events[2].timestamp_ms", "event_timestamp_too_old"),))


def test_all_bad_events_are_named_when_the_answer_names_them(stand_in: StandIn, session: requests.Session) -> None:
    stand_in.switch(errors="all")
    events = [
        json.dumps(an_order(number, data={"amount": -1})) if number % 2 else event_json(number) for number in range(6)
    ]

    result = api(session, stand_in.url).send(events)

    assert isinstance(result, Rejected)
    assert [problem.index for problem in result.problems] == [1, 3, 5]


@pytest.mark.parametrize(
    ("key", "pixel", "status"),
    [("sk-wrong", PIXEL, 401), ("sk-advertiser", PIXEL, 401), (KEY, "Zz9UnknownPixel0000001", 403)],
    ids=["R6", "R7", "R8"],
)
def test_r6_r7_r8_key_or_pixel(stand_in: StandIn, session: requests.Session, key: str, pixel: str, status: int) -> None:
    blocked = api(session, stand_in.url, key, pixel).send([event_json()])

    assert isinstance(blocked, Blocked)
    assert blocked.status == status


@pytest.mark.parametrize("key", ["sk-\u200bcopied", "schlüssel", "a\nb"], ids=ascii)
def test_a_key_with_a_stray_character_consumes_nothing(stand_in: StandIn, session: requests.Session, key: str) -> None:
    assert isinstance(api(session, stand_in.url, key).send([event_json()]), Blocked | Retry)
    assert stand_in.events() == []


def test_r9_pid_missing(stand_in: StandIn) -> None:
    class WithoutQuery(requests.Session):
        def post(self, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
            return super().post(url, **{**options, "params": {}})

    with WithoutQuery() as forgetful:
        blocked = api(forgetful, stand_in.url).send([event_json()])

    assert isinstance(blocked, Blocked)
    assert blocked.status == 400


def test_r10_problem_of_the_request_is_none_of_its_events(stand_in: StandIn, session: requests.Session) -> None:
    assert isinstance(api(session, stand_in.url).send([]), Blocked)
    # Where there are too many of them, fewer will do
    assert api(session, stand_in.url).send([event_json(n) for n in range(1_001)]) == Rejected(400, ())


def test_r11_no_json_names_nothing(stand_in: StandIn, session: requests.Session) -> None:
    assert api(session, stand_in.url).send(["{"]) == Rejected(400, ())


def test_r13_lost_reply_is_sent_again_and_counts_once(stand_in: StandIn, session: requests.Session) -> None:
    stand_in.fail(drop="after")

    lost = api(session, stand_in.url).send([event_json()])
    again = api(session, stand_in.url).send([event_json()])

    assert isinstance(lost, Retry)
    assert again == Accepted(1)
    assert [(kept["id"], kept["duplicates"]) for kept in stand_in.events()] == [("shopify:1", 1)]


def test_r13_too_slow_an_answer(stand_in: StandIn) -> None:
    class Impatient(requests.Session):
        def post(self, url: Any, **options: Any) -> requests.Response:  # type: ignore[override]
            assert options["timeout"] == (5.0, 30.0)
            return super().post(url, **{**options, "timeout": 0.05})

    stand_in.fail(delay_seconds=0.3)

    with Impatient() as session:
        assert api(session, stand_in.url).send([event_json()]) == Retry("no answer (ReadTimeout)")


def test_r14_the_count_is_passed_on_as_it_is(stand_in: StandIn, session: requests.Session) -> None:
    stand_in.fail(accepted_events=7)

    assert api(session, stand_in.url).send([event_json()]) == Accepted(7)


def test_nobody_listens(session: requests.Session) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        assert api(session, url).send([event_json()]) == Retry("no answer (ConnectionError)")


@pytest.mark.parametrize(
    ("raw", "result"),
    [
        (b"", Accepted(None)),
        (b"ok", NOT_THE_API),
        (b"[1]", NOT_THE_API),
        (b"null", NOT_THE_API),
        (b"[" * 100_000, NOT_THE_API),
        (b'{"accepted_events": "1"}', Accepted(None)),
        (b'{"accepted_events": true}', Accepted(None)),
        (b'{"accepted_events": 1.0}', Accepted(None)),
        (b'{"accepted_events": ' + b"9" * 5_000 + b"}", NOT_THE_API),
        (b"\xff\xfe", NOT_THE_API),
        (b'{"accepted_events": 0}', Accepted(0)),
        (b'{"error": {"message": "no"}}', NOT_THE_API),
    ],
    ids=lambda each: repr(each)[:30],
)
def test_two_hundred_with_any_body(session: requests.Session, raw: bytes, result: Answer) -> None:
    with answering(200, raw) as url:
        assert api(session, url).send([event_json()]) == result


def test_redirects_are_not_followed(session: requests.Session) -> None:
    # Given an endpoint that points elsewhere on the same server
    asked: list[str] = []

    # When a batch is sent
    with answering(307, b"", asked, Location="/elsewhere") as url:
        result = api(session, url).send([event_json()])

    # Then nobody went there, and the key with it
    assert isinstance(result, Blocked)
    assert asked == [f"/v1/events?pid={PIXEL}"]


@pytest.mark.parametrize("location", ["http://[::1", "http://x:port/", "//", "\xff"])
def test_a_redirect_to_nowhere_consumes_nothing(session: requests.Session, location: str) -> None:
    with answering(302, b"", Location=location) as url:
        assert isinstance(api(session, url).send([event_json()]), Blocked | Retry)


class answering:  # noqa: N801 - reads as a verb
    """A server on the loopback that answers every POST the same and takes down the paths."""

    def __init__(self, status: int, body: bytes, asked: list[str] | None = None, **headers: str) -> None:
        asked = asked if asked is not None else []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked.append(self.path)
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Parameter:
    """A parameter of the Parameter Store; ``None``: there is none; an exception: it cannot be read."""

    def __init__(self, *values: str | SecretsUnavailable | None) -> None:
        self.values = list(values)

    def __call__(self, fresh: bool) -> str:
        assert fresh
        value = self.values.pop(0)
        if isinstance(value, SecretsUnavailable):
            raise value
        if value is None:
            raise SecretMissing("there is no parameter")
        return value


def test_a_new_key_is_in_use_at_once_and_an_old_one_while_the_store_is_out_of_reach() -> None:
    secrets = Secrets(Parameter("old", "new\nold", SecretsUnavailable("out of reach")))

    assert [current_key(secrets, "/tests/key") for _ in range(3)] == ["old", "new", "new"]


@pytest.mark.parametrize("value", [None, "", " \n", "[acct_1] a key of somebody"], ids=repr)
def test_a_key_that_is_missing_blocks_and_says_where_it_belongs(value: str | None) -> None:
    key = current_key(Secrets(Parameter(value)), "/tests/key")

    assert isinstance(key, Blocked)
    assert "/tests/key" in key.advice
    assert "OpenAiKeyCommand" in key.advice


def test_a_key_that_cannot_be_read_blocks_and_says_why() -> None:
    key = current_key(
        Secrets(Parameter(SecretsUnavailable("the Parameter Store did not give /tests/key"))), "/tests/key"
    )

    assert isinstance(key, Blocked)
    assert "did not give /tests/key" in key.advice


# Which event it is.


def leaf(param: object, code: object = "c") -> dict[str, object]:
    return {"param": param, "code": code, "message": "m"}


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (None, []),
        ("text", []),
        ({}, []),
        (leaf(None), []),
        (leaf(5), []),
        (leaf("events[0]", None), [(0, "events[0]", None)]),
        (leaf("events[2].id", 5), [(2, "events[2].id", None)]),
        (leaf("events[3].id"), []),
        (leaf("events[-1].id"), []),
        (leaf("events[x].id"), []),
        (leaf("events[\u0661].id"), []),
        (leaf("events[" + "9" * 5_000 + "]"), []),
        (leaf("my.events[0]"), []),
        (leaf("events[1]") | {"errors": None}, [(1, "events[1]", "c")]),
        (leaf("events[1]") | {"errors": {}}, [(1, "events[1]", "c")]),
        (leaf("events[1]") | {"errors": [None, "x", leaf(None)]}, [(1, "events[1]", "c")]),
        (leaf("events[1]", "top") | {"errors": [leaf("events[1].id")]}, [(1, "events[1].id", "c")]),
        (
            leaf("events[0]", "top") | {"errors": [leaf("events[1].id")]},
            [(0, "events[0]", "top"), (1, "events[1].id", "c")],
        ),
        (
            {"errors": [leaf("events[2].b"), leaf("events[0].a"), leaf("events[2].a")]},
            [(0, "events[0].a", "c"), (2, "events[2].b", "c")],
        ),
        (leaf("events[0]." + "x" * 999, "y" * 999), [(0, ("events[0]." + "x" * 999)[:200], "y" * 100)]),
    ],
    ids=lambda each: repr(each)[:60],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_index_of_the_bad_event(status: int, error: object, named: list[tuple[int, str, str | None]]) -> None:
    result = answer(status, {"error": error}, {}, 3)

    if named:
        assert result == Rejected(status, tuple(Problem(*each) for each in named))
    else:
        assert getattr(result, "problems", ()) == ()


@pytest.mark.parametrize(
    ("error", "about_the_request"),
    [
        (None, False),
        (leaf(None), False),
        (leaf("events[9].id"), False),
        (leaf("events"), False),
        (leaf("data.amount"), False),
        (leaf(""), False),
        (leaf("user"), True),
        (leaf("integration_source"), True),
        ({"message": "[{'type': 'missing', 'loc': ('query', 'pid'), 'msg': 'Field required'}]", "param": None}, True),
        ({"message": "a pid", "param": None}, False),
        ({"message": None}, False),
    ],
    ids=lambda each: repr(each)[:60],
)
def test_refusal_of_the_request_itself_blocks(error: object, about_the_request: bool) -> None:
    assert isinstance(answer(400, {"error": error}, {}, 3), Blocked if about_the_request else Rejected)
    assert isinstance(answer(413, {"error": error}, {}, 3), Rejected)


def test_a_list_of_one_that_is_refused_as_a_list_blocks() -> None:
    assert isinstance(answer(400, {"error": leaf("events")}, {}, 1), Blocked)


# Retry-After.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("999999999", 86_400),
        ("9" * 5_000, 86_400),
        ("-1", None),
        ("1.5", 2),
        ("1.5.1", None),
        (".5", None),
        ("1e3", None),
        ("nan", None),
        ("\u00b2", None),
        ("\u0663", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Sun, 22 Nov 2026 06:05:00 GMT", 300),
        ("Sun, 22 Nov 2026 05:00:00 GMT", 0),
        ("Sun, 22 Nov 2126 06:00:00 GMT", 86_400),
        ("Sun, 22 Nov 99999999999999999999 06:05:00 GMT", None),
        ("Sun, 22 Nov 2026 06:05:00 -0000", None),
        ("Sunday, 22-Nov-26 06:05:00 GMT", 300),
        ("Sun Nov 22 06:05:00 2026", None),
    ],
    ids=lambda each: str(each)[:50],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    headers = {"Date": "Sun, 22 Nov 2026 06:00:00 GMT"} | ({"Retry-After": value} if value is not None else {})

    assert answer(429, {}, headers, 1) == Retry("HTTP 429", seconds, busy=True)


@pytest.mark.parametrize("date", [{}, {"Date": ""}, {"Date": "soon"}], ids=str)
def test_retry_after_a_date_of_a_server_that_does_not_say_its_own(date: dict[str, str]) -> None:
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True)

    waiting = answer(503, {}, {"Retry-After": moment, **date}, 1)

    assert isinstance(waiting, Retry)
    assert waiting.after_s is not None
    assert 290 <= waiting.after_s <= 300


def test_retry_after_over_http(stand_in: StandIn, session: requests.Session) -> None:
    stand_in.fail(status=429, retry_after="7")

    assert api(session, stand_in.url).send([event_json()]) == Retry("HTTP 429", 7, busy=True)


# Requests.


def test_request_body() -> None:
    first, second = event_json(1), event_json(2, id="café")

    assert request_body([first], validate_only=False) == (
        b'{"integration_source":"conversion-relay","events":[' + first.encode() + b"]}"
    )
    body = request_body([first, second], validate_only=True)
    assert json.loads(body) == {
        "integration_source": "conversion-relay",
        "validate_only": True,
        "events": [json.loads(first), json.loads(second)],
    }
    assert body == request_body([first, second], validate_only=True)


@pytest.mark.parametrize(("mode", "validate_only"), [("live", False), ("validate", True), ("shadow", False)])
def test_delivery_mode_of_a_deployment(
    stand_in: StandIn, session: requests.Session, mode: Any, validate_only: bool
) -> None:
    settings = Settings(delivery_mode=mode, openai_endpoint=f"{stand_in.url}/v1/events", pixel_id=PIXEL)

    assert OpenAi.for_settings(session, KEY, settings).send([event_json()]) == Accepted(1)
    assert [request["validate_only"] for request in stand_in.requests()] == [validate_only]
