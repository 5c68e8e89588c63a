"""A stand-in for bzr.openai.com: a strict fake of the OpenAI Ads Conversions API, for the demo and the tests.

``POST /v1/events?pid=<Pixel ID>`` answers as section 12 of the project's contract of that API demands, in the order
that it suggests: pid (R9), key (R6), scope (R7), pixel (R8), body (R11), root fields (R10), events (R3-R5). What the
events must look like is in ``wire_rules``. It keeps the events that would count, each once per (pid, name, id).

The browser's side is there too (contract 6.2 and 6.3, rules in ``browser_rules``), and counts with the server's: same
pixel, name and id is one conversion, whichever way it came first::

    GET  /sdk/oaiq.min.js            a script of our own that does what OpenAI's is documented to do
    GET  /pixel-config/v1/<pid>.json its settings
    POST /v1/sdk/events?pid=…        what the script sends: 202
    GET  /v1/sdk/events?pid=…        an image tag: 200 image/gif

So are the reports of what it attributes, for tests that set campaigns up: ``stand_in_insights``.

Tests use it in their own process, on a free port of the loopback interface::

    with StandIn(keys=["key"], pixels=["pixel"], clock=lambda: 1795327200000) as openai:
        openai.fail(status=429, retry_after="2")
        ...  # send to openai.url
        openai.events()

Others start it with ``python -m tools.stand_in --port P --key K --pixel PID`` and steer it over HTTP, in JSON::

    GET  /_stand_in/events       what counted, in order: a list of CountedEvent
    GET  /_stand_in/requests     every request to the API, in order: a list of LoggedRequest
    GET  /_stand_in/browser      every request from a browser, in order: a list of BrowserRequest
    GET  /_stand_in/arrivals     every event that a server sent, whatever became of it: a list of Arrival
    GET  /_stand_in/summary      {counted, duplicates, requests: {status: n}, types: {type: n}, first_by: {channel: n}}
    POST /_stand_in/faults       a list of Fault, which replaces the one before
    POST /_stand_in/settings     any of {errors, count_duplicates, now_ms, keys: {key: {scope, pixels}}}, see Settings
    POST /_stand_in/reset        back to the state at the start

It prints neither keys nor bodies. Times are ms since the epoch, UTC.
"""

import argparse
import contextlib
import hashlib
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self
from urllib.parse import parse_qs

from tools import wire_rules
from tools.stand_in_browser import BrowserRequest, BrowserSide, Channel
from tools.stand_in_insights import InsightsSide
from tools.stand_in_server import HOST, Answer, LoopbackServer, Request
from tools.stand_in_switches import Fault, Grant, Settings, read_fault, read_settings
from tools.wire_bytes import events_as_sent

EVENTS_PATH: Final = "/v1/events"
CONTROL_PATH: Final = "/_stand_in/"


@dataclass(slots=True)
class CountedEvent:
    """An event that the real API would count, as it came.

    `name`: its type, or the lower-cased custom name; `duplicates`: how many later copies were dropped; `ignored`: paths
    of values the API would not use (contract 12.3 row 59), no error there, but in the sender most often one; `channel`:
    how it came first; `duplicates_from`: the later copies by channel; `dropped`: the first copy of each such channel,
    which says what the event would have carried had it come first.
    """

    pid: str
    name: str
    id: str
    received_ms: int
    event: dict[str, Any]
    ignored: list[str]
    duplicates: int = 0
    channel: Channel = "server"
    duplicates_from: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, dict[str, Any]] = field(default_factory=dict)

    def drop(self, copy: "CountedEvent") -> None:
        """Note a copy that came later."""
        self.duplicates += 1
        self.duplicates_from[copy.channel] = self.duplicates_from.get(copy.channel, 0) + 1
        self.dropped.setdefault(copy.channel, copy.event)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request to the API. `status` None: the connection was closed instead of answering. `events`: how many it held,
    whatever became of them.
    """

    status: int | None
    events: int
    validate_only: bool
    received_ms: int


@dataclass(slots=True)
class Arrival:
    """How often an event came, whatever became of it, and in how many forms: byte for byte it should be one.

    Known by what the API dedupes on: `pid`, `name` and `id`. Refused, dropped and validated copies count too.
    """

    pid: str
    name: str
    id: str
    times: int
    forms: int


class StandIn:
    """The stand-in as an object: what it knows and, from `start` to `stop` or in a `with`, the server on the loopback.

    `keys`: Conversions keys, good for all `pixels`; `advertiser_keys`: known keys without the scope; `clock`: the time
    of receipt in ms; `port` 0: a free one. All methods may be called from any thread.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str],
        pixels: Iterable[str],
        advertiser_keys: Iterable[str] = (),
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        port: int = 0,
    ) -> None:
        known = frozenset(pixels)
        grants = dict.fromkeys(keys, Grant(scope=True, pixels=known))
        grants |= dict.fromkeys(advertiser_keys, Grant(scope=False, pixels=known))
        self._first_settings = Settings(keys=grants)
        self._settings = self._first_settings
        self._faults: list[Fault] = []
        self._counted: dict[tuple[str, str, str], CountedEvent] = {}
        self._requests: list[LoggedRequest] = []
        self._browser = BrowserSide(self._keep, self._knows, self._now_ms)
        self.insights = InsightsSide(self.events, self._is_advertiser, self._now_ms)
        """The reporting endpoints; a test puts its campaigns in here."""
        self._arrived: dict[tuple[str, str, str], Counter[bytes]] = {}
        self._clock = clock
        self._port = port
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._server: LoopbackServer | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Bind and serve in the background. OSError if the port is taken."""
        self._stopping.clear()
        self._server = LoopbackServer(self.respond, self._port)
        self._server.start()
        return self

    def stop(self) -> None:
        """End every connection, even in the middle of a delay, and free the port."""
        if self._server is not None:
            self._stopping.set()
            self._server.stop()
            self._server = None

    @property
    def url(self) -> str:
        """Scheme, host and port, without a path: what takes the place of ``https://bzr.openai.com``."""
        if self._server is None:
            raise RuntimeError("the stand-in is not running: start it or use it in a with statement")
        return self._server.url

    def events(self) -> list[dict[str, Any]]:
        """The events that counted, in order of arrival: the fields of CountedEvent."""
        with self._lock:
            return [_as_dict(counted) for counted in self._counted.values()]

    def requests(self) -> list[dict[str, Any]]:
        """Every request to the API, in order: the fields of LoggedRequest."""
        with self._lock:
            return [_as_dict(request) for request in self._requests]

    def browser_requests(self) -> list[dict[str, Any]]:
        """Every request from a browser, in order: the fields of BrowserRequest."""
        return [_as_dict(request) for request in self._browser.requests()]

    def arrivals(self) -> list[dict[str, Any]]:
        """Every event that a server sent, whatever became of it, by its first arrival: the fields of Arrival."""
        with self._lock:
            return [
                _as_dict(Arrival(*key, times=forms.total(), forms=len(forms))) for key, forms in self._arrived.items()
            ]

    def summary(self) -> dict[str, Any]:
        """Events counted, copies dropped, the server's requests by status (``dropped``: never answered), counted events
        by type and by the channel that they came by first.
        """
        with self._lock:
            counted = list(self._counted.values())
            statuses = Counter("dropped" if sent.status is None else str(sent.status) for sent in self._requests)
            return {
                "counted": len(counted),
                "duplicates": sum(each.duplicates for each in counted),
                "requests": dict(statuses),
                "types": dict(Counter(each.event["type"] for each in counted)),
                "first_by": dict(Counter(each.channel for each in counted)),
            }

    def fail(self, **rule: Any) -> None:
        """Add a fault behind those that wait. Takes the fields of Fault; ValueError if they make none."""
        fault = read_fault(rule)
        with self._lock:
            self._faults.append(fault)

    def replace_faults(self, rules: Iterable[Mapping[str, Any]]) -> None:
        """Put these faults in place of all. ValueError, and no change, if one of them is none."""
        faults = [read_fault(rule) for rule in rules]
        with self._lock:
            self._faults = faults

    def switch(self, **changes: Any) -> None:
        """Change some of errors, count_duplicates, now_ms and keys. ValueError, and no change, if one is unfit."""
        with self._lock:
            self._settings = read_settings(self._settings, changes)

    def reset(self) -> None:
        """Forget events, requests and faults, and take back every switch."""
        with self._lock:
            self._settings = self._first_settings
            self._faults = []
            self._counted = {}
            self._requests = []
            self._arrived = {}
        self._browser.reset()
        self.insights.reset()

    def respond(self, request: Request) -> Answer | None:
        """Answer any request; None says to close the connection instead."""
        if request.path.startswith(CONTROL_PATH):
            return self._control(request.method, request.path.removeprefix(CONTROL_PATH), request.body)
        if (answer := self._browser.respond(request, _pid(request))) is not None:
            return answer
        reported = self.insights.respond(request)
        if not isinstance(reported, bool):
            return reported
        if request.path != EVENTS_PATH:
            return _refused(404, "Not found")
        if request.method != "POST":
            return _refused(405, "Method not allowed")
        return self._receive(request)

    def _receive(self, request: Request) -> Answer | None:
        with self._lock:
            settings = self._settings
            fault = self._take_fault()
        received_ms = self._clock() if settings.now_ms is None else settings.now_ms
        # Without the one documented header (contract 1) the body counts as no JSON (R11).
        media_type = request.content_type.partition(";")[0].strip().lower()
        body = wire_rules.parse(request.body) if media_type == "application/json" else None

        self._note_arrivals(_pid(request) or "", request.body)

        answer: Answer | None = None
        if fault.status is not None:
            answer = _injected(fault.status, fault)
        elif fault.drop != "before":
            answer = _refuse(settings, request, body, received_ms)
            if answer is None and body is not None:
                count = self._accept(settings, request, body, received_ms)
                if fault.accepted_events is not None:
                    count = fault.accepted_events
                answer = _json(200, {"accepted_events": count})
        if fault.drop:
            answer = None

        self._log(answer, body or {}, received_ms)  # before it leaves: whoever has the answer finds it in the log
        stopped = self._stopping.wait(fault.delay_seconds) if fault.delay_seconds else False
        return None if stopped else answer

    def _take_fault(self) -> Fault:
        if not self._faults:
            return Fault()
        fault = self._faults[0]
        if fault.times is not None:
            self._faults[:1] = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
        return fault

    def _accept(self, settings: Settings, request: Request, body: Mapping[str, Any], received_ms: int) -> int:
        """Keep the events that are new (first received wins, contract 6.1) and say how many were accepted."""
        events = body["events"]
        if body.get("validate_only"):
            return len(events)
        new = self._keep(_pid(request) or "", events, "server", received_ms)
        return len(events) if settings.count_duplicates else new

    def _keep(self, pid: str, events: Iterable[dict[str, Any]], channel: Channel, received_ms: int) -> int:
        """Keep those that are new, and say how many that were: first received wins, whatever the channel."""
        arrived = [
            CountedEvent(
                pid=pid,
                name=wire_rules.dedupe_name(event),
                id=event["id"],
                received_ms=received_ms,
                event=event,
                ignored=wire_rules.ignored_values(event),
                channel=channel,
            )
            for event in events
        ]
        with self._lock:
            before = len(self._counted)
            for each in arrived:
                first = self._counted.setdefault((each.pid, each.name, each.id), each)
                if first is not each:
                    first.drop(each)
            return len(self._counted) - before

    def _now_ms(self) -> int:
        with self._lock:
            fixed = self._settings.now_ms
        return self._clock() if fixed is None else fixed

    def _knows(self, pid: str) -> bool:
        with self._lock:
            return any(pid in grant.pixels for grant in self._settings.keys.values())

    def _is_advertiser(self, key: str) -> bool:
        with self._lock:
            grant = self._settings.keys.get(key)
        return grant is not None and not grant.scope

    def _note_arrivals(self, pid: str, raw: bytes) -> None:
        arrived = []
        for text in events_as_sent(raw):
            event = json.loads(text)
            with contextlib.suppress(KeyError, TypeError, AttributeError):  # not even a name and an id
                name, id_ = wire_rules.dedupe_name(event), event["id"]
                if isinstance(name, str) and isinstance(id_, str):
                    arrived.append(((pid, name, id_), hashlib.sha256(text.encode()).digest()))
        with self._lock:
            for key, form in arrived:
                self._arrived.setdefault(key, Counter())[form] += 1

    def _log(self, answer: Answer | None, body: Mapping[str, Any], received_ms: int) -> None:
        events = body.get("events")
        request = LoggedRequest(
            status=answer.status if answer else None,
            events=len(events) if isinstance(events, list) else 0,
            validate_only=body.get("validate_only") is True,
            received_ms=received_ms,
        )
        with self._lock:
            self._requests.append(request)

    def _control(self, method: str, name: str, raw: bytes) -> Answer:
        readers: dict[str, Callable[[], object]] = {
            "events": self.events,
            "requests": self.requests,
            "browser": self.browser_requests,
            "arrivals": self.arrivals,
            "summary": self.summary,
        }
        if method == "GET" and name in readers:
            return _json(200, readers[name]())
        try:
            match method, name, json.loads(raw or b"null"):
                case "POST", "faults", [*rules]:
                    self.replace_faults(rules)
                case "POST", "settings", dict() as changes:
                    self.switch(**changes)
                case "POST", "reset", _:
                    self.reset()
                case "POST", "faults" | "settings", _:
                    raise ValueError("faults are an array, settings an object")
                case _:
                    return _refused(404, "Not found")
        except ValueError as error:
            return _refused(400, str(error))
        return _json(200, {})


def _refuse(settings: Settings, request: Request, body: Mapping[str, Any] | None, received_ms: int) -> Answer | None:
    """The first objection in the order of contract 12.1; None if the batch is good."""
    pid = _pid(request)
    if pid is None:
        return _refused(400, "[{'type': 'missing', 'loc': ('query', 'pid'), 'msg': 'Field required'}]")
    scheme, _, key = request.authorization.partition(" ")
    grant = settings.keys.get(key) if scheme == "Bearer" else None
    if grant is None:
        return _refused(401, "Unauthorized")
    if not grant.scope:
        return _refused(401, "Missing scopes: ads.third_party_events.write")
    if pid not in grant.pixels:
        return _refused(403, "403: unknown pid", kind="server_error")
    if body is None:
        return _refused(400, "The body must be a JSON object")
    refusal = wire_rules.refusal(body, received_ms, report_all=settings.errors == "all")
    return _json(refusal.status, refusal.body) if refusal else None


def _pid(request: Request) -> str | None:
    return parse_qs(request.query, keep_blank_values=True).get("pid", [None])[-1]


def _json(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _refused(status: int, message: str, kind: str = "invalid_request_error") -> Answer:
    return _json(status, wire_rules.error_body(message, kind=kind))


def _injected(status: int, fault: Fault) -> Answer:
    # The real 429 and 5xx were never recorded (contract 12.1 R12, R13), so every form that a gateway might send.
    answer = _refused(status, "Injected fault", kind="server_error" if status >= 500 else "invalid_request_error")
    if fault.body == "text":
        answer = Answer(status, b"injected fault", "text/plain")
    elif fault.body == "none":
        answer = Answer(status, b"")
    return replace(answer, retry_after=fault.retry_after)


def _as_dict(record: CountedEvent | LoggedRequest | BrowserRequest | Arrival) -> dict[str, Any]:
    # Not dataclasses.asdict: its deep copy takes a second for ten thousand events.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the line on stdout ends with the URL. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.stand_in", description="A stand-in for bzr.openai.com.")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1 (default: a free one)")
    parser.add_argument("--key", action="append", required=True, help="a Conversions key; may be repeated")
    parser.add_argument("--pixel", action="append", required=True, help="a known Pixel ID; may be repeated")
    parser.add_argument("--advertiser-key", action="append", default=[], help="a known key without the scope")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stand_in = StandIn(
        keys=options.key, pixels=options.pixel, advertiser_keys=options.advertiser_key, port=options.port
    )
    try:
        stand_in.start()
    except OSError as error:
        print(f"stand-in: cannot listen on {HOST}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"Stand-in for bzr.openai.com: {stand_in.url}", flush=True)
    stop.wait()
    stand_in.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
