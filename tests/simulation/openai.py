"""OpenAI's Conversions API as the relay meets it, in good and in bad weather.

A batch is taken whole or not at all; of two events with one (pixel, name, id) the first counts. What the contract
leaves open (how many of the bad events an answer names, whether 400 or 422) differs from world to world.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import requests

from conversion_relay.event import MARGIN_MS, MAX_AHEAD_MS, MAX_EVENTS, MAX_PAST_MS
from tests.simulation.faults import LOST, ODD

if TYPE_CHECKING:
    from tests.simulation.invocation import Invocation

ENDPOINT: Final = "https://openai.simulated/v1/events"
PIXEL_ID: Final = "Qm7TzV4kRw2LpX9sNdB3Yh"
GOOD_KEY: Final = "a conversions key"

Weather = Literal[
    "well", "down", "flaky", "silent", "unauthorized", "unknown pixel", "too many", "redirected", "request refused",
    "behind a proxy",
]  # fmt: skip
"""``down``: 5xx; ``silent``: no answer, half of the batches are taken; ``flaky``: all of this at times; ``behind a
proxy``: something answers in its place.
"""
Naming = Literal["first", "all", "none", "beyond", "wrong"]
"""Which bad events an answer names; ``beyond`` names an index that no event of the batch has, ``wrong`` a good one."""
Identity = tuple[str, str]
"""Name and id: with the pixel, what OpenAI tells events apart by."""

_raw_decode: Final = json.JSONDecoder().raw_decode


class Response:
    """What requests gives back."""

    __slots__ = ("_body", "headers", "status_code")

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status
        self._body = body
        self.headers = headers or {}

    @property
    def content(self) -> Any:
        """Whether there is a body is all that the relay asks."""
        return self._body

    def json(self) -> Any:
        """The body; raises ValueError when it is no JSON."""
        if isinstance(self._body, bytes):
            raise ValueError("no JSON")
        return self._body


def openai_error(dice: random.Random, fault: str) -> Exception:
    """What requests raises."""
    if fault == LOST:
        return dice.choice((requests.ReadTimeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError))()
    return dice.choice((requests.ConnectTimeout, requests.ConnectionError))()


class OpenAiServer:
    """The service. ``bad`` are the events that it refuses, with the status that it then gives.

    ``on_violation`` is told what a sender must never do, as (property, what).
    """

    def __init__(self, dice: random.Random, on_violation: Callable[[str, str], None]) -> None:
        self._dice = dice
        self._on_violation = on_violation
        self.weather: Weather = "well"
        self.key = GOOD_KEY
        self.naming: Naming = "first"
        self.retry_after: Callable[[], Mapping[str, str]] = dict
        self.bad: dict[Identity, int] = {}
        self.mended: set[Identity] = set()
        self.first_bytes: dict[Identity, str] = {}
        self.told_anew: set[Identity] = set()
        """Events of conversions that were erased: told once more, they may read otherwise."""
        self.counted: dict[Identity, int] = {}
        self.requests = 0
        self.events = 0

    def mend(self) -> None:
        """From now on it takes what it has refused so far."""
        self.mended.update(self.bad)
        self.bad = {}

    def answer(self, key: str, pixel_id: str, body: bytes, sender_ms: int, now_ms: int) -> Response:
        """What a request comes to. ``sender_ms`` is the sender's time as it sent, ``now_ms`` that of its arrival."""
        self.requests += 1
        events = self._events(body.decode(), sender_ms)
        weather, dice = self.weather, self._dice
        if weather == "flaky":
            weather = dice.choice(("well", "well", "down", "silent", "too many"))
        if key != self.key or weather == "unauthorized":
            return self._error(401, "Unauthorized")
        if pixel_id != PIXEL_ID or weather == "unknown pixel":
            return self._error(403, "403: unknown pid", kind="server_error")
        if weather == "down":
            return self._error(dice.choice((500, 502, 503, 504, 529)), "down", self._wait_headers(0.2))
        if weather == "too many":
            return self._error(429, "slow down", self._wait_headers(0.7))
        if weather == "redirected":
            return Response(302, b"", {"Location": "https://elsewhere.simulated"})
        if weather == "request refused":
            message = "[{'loc': ['query', 'pid'], 'msg': 'field required'}]"
            return self._error(400, message)
        if weather == "behind a proxy":
            return Response(dice.choice((200, 400, 403, 413, 502)), b"<html>")
        if weather == "silent":
            if dice.random() < 0.5:
                self._take(events, now_ms)
            raise requests.ReadTimeout
        return self._judge(events, now_ms)

    def _events(self, text: str, sender_ms: int) -> list[tuple[Identity, int]]:
        """The events of a body: who they are and their times. Each must have the bytes that it had the first time."""
        start = text.index('"events":[') + len('"events":[')
        found: list[tuple[Identity, int]] = []
        first_bytes = self.first_bytes
        while text[start] != "]":
            event, end = _raw_decode(text, start)
            identity = (event.get("custom_event_name") or event["type"], event["id"])
            raw = text[start:end]
            if first_bytes.setdefault(identity, raw) != raw and identity not in self.told_anew:
                self._on_violation("P2", f"{identity} went out with other bytes than before")
            age_ms = sender_ms - event["timestamp_ms"]
            if not -MAX_AHEAD_MS + MARGIN_MS <= age_ms <= MAX_PAST_MS - MARGIN_MS:
                self._on_violation("P4", f"{identity} left {age_ms} ms old, less than 60 s within the window")
            found.append((identity, event["timestamp_ms"]))
            start = end + (text[end] == ",")
        self.events += len(found)
        if not 1 <= len(found) <= MAX_EVENTS:
            self._on_violation("P3", f"a request with {len(found)} events")
        return found

    def _judge(self, events: Sequence[tuple[Identity, int]], now_ms: int) -> Response:
        bad = [number for number, (identity, _) in enumerate(events) if identity in self.bad]
        if bad:
            return self._refusal(events, bad)
        for identity, timestamp_ms in events:
            if not -MAX_AHEAD_MS <= now_ms - timestamp_ms <= MAX_PAST_MS:
                self._on_violation("P4", f"{identity} arrived outside of the window")
        self._take(events, now_ms)
        return Response(200, {"accepted_events": len(events)})

    def _refusal(self, events: Sequence[tuple[Identity, int]], bad: Sequence[int]) -> Response:
        status = self.bad[events[bad[0]][0]]
        match self.naming:
            case "none":
                return self._error(status, "Invalid request")
            case "beyond":
                return self._error(status, "Invalid request", param=f"events[{len(events) + 7}]", code="invalid_event")
            case "wrong":
                named = [index for index in range(len(events)) if index not in bad][:1] or bad[:1]
            case "first":
                named = bad[:1]
            case "all":
                named = bad
        leaves = [{"message": "no", "param": f"events[{index}].data.type", "code": "bad"} for index in named]
        return self._error(status, "no", param=f"events[{named[0]}]", code="invalid_event", errors=leaves)

    def _error(self, status: int, message: str, headers: Mapping[str, str] | None = None, **about: Any) -> Response:
        kind = about.pop("kind", "invalid_request_error")
        return Response(
            status, {"error": {"message": message, "type": kind, "param": None, "code": None, **about}}, headers
        )

    def _wait_headers(self, chance: float) -> Mapping[str, str]:
        return self.retry_after() if self._dice.random() < chance else {}

    def _take(self, events: Sequence[tuple[Identity, int]], now_ms: int) -> None:
        if any(identity in self.bad for identity, _ in events):
            return
        for identity, _ in events:
            self.counted.setdefault(identity, now_ms)


class Session:
    """What the relay uses of a requests session, in one invocation.

    Odd are the answers of a proxy in between, and counts that do not fit.
    """

    def __init__(self, server: OpenAiServer, invocation: Invocation) -> None:
        self._server = server
        self._invocation = invocation

    def post(
        self, _: str, *, params: Mapping[str, str], data: bytes, headers: Mapping[str, Any], **__: Any
    ) -> Response:
        """As requests'."""
        invocation, server = self._invocation, self._server
        sender_ms, dice = invocation.clock(), invocation.calls.dice
        fault = invocation.begin("OpenAI", "POST", 60, openai_error, weight=16)
        key = headers["Authorization"].decode().removeprefix("Bearer ")
        response = server.answer(key, params["pid"], data, sender_ms, invocation.timeline.now_ms)
        if invocation.calls.say is not None:
            invocation.calls.say(f"{invocation.name}: OpenAI answers {response.status_code}")
        if fault is not None:
            if fault == ODD:
                return _odd(response, dice)
            invocation.end(fault, openai_error)
        invocation.sleep(0.04)
        return response


def _odd(response: Response, dice: random.Random) -> Response:
    """What comes back of an answer: no JSON, another status although it was taken, another count."""
    match dice.randrange(4):
        case 0:
            return Response(response.status_code, b"<html>")
        case 1:
            return Response(502, b"<html>bad gateway</html>")
        case 2:
            return Response(500, {"error": {"message": "after it was taken"}})
    accepted = isinstance(response.content, dict) and "accepted_events" in response.content
    return Response(200, {"accepted_events": dice.choice((0, 7, None, True))}) if accepted else response
