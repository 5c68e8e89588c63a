"""The browser's side of the stand-in for OpenAI: the pixel's script, its settings, its events, the image tag.

What it answers is documented (contract 6.2, 6.3) but for the settings, which are never read. What a page may send is in
``browser_rules``; the script is ``stand_in_sdk.js``.
"""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote

from tools import browser_rules, wire_rules
from tools.stand_in_server import Answer, Request

EVENTS_PATH: Final = "/v1/sdk/events"
SCRIPT_PATH: Final = "/sdk/oaiq.min.js"
CONFIG_PATH: Final = "/pixel-config/v1/"
SCRIPT: Final = Path(__file__).with_name("stand_in_sdk.js")

Channel = Literal["server", "pixel", "image"]
"""How an event came: from a server, from the pixel's script, or as an image tag."""
Keep = Callable[[str, Iterable[dict[str, Any]], Channel, int], int]
"""Counts events of a pixel that came by a channel at a time in ms; says how many of them are new."""

# The pixel works on every site, without cookies of OpenAI's own.
_ANY_ORIGIN: Final = (("Access-Control-Allow-Origin", "*"),)
_PREFLIGHT: Final = (
    *_ANY_ORIGIN,
    ("Access-Control-Allow-Methods", "GET, POST"),
    ("Access-Control-Allow-Headers", "Content-Type"),
    ("Access-Control-Max-Age", "600"),
)
_GIF: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """A request that a browser makes: `what` is "script", "config", "pixel" or "image".

    `pid`: as it was given, if at all; `names`: the types of the events in it, the script's own messages too;
    `problems`: what was wrong, as ``param: message``.
    """

    what: str
    status: int
    pid: str | None = None
    names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class BrowserSide:
    """Answers a browser's requests. `keep` counts events, `knows` says whether a pixel is known, `now_ms` the time."""

    def __init__(self, keep: Keep, knows: Callable[[str], bool], now_ms: Callable[[], int]) -> None:
        self._keep = keep
        self._knows = knows
        self._now_ms = now_ms
        self._requests: list[BrowserRequest] = []
        self._lock = threading.Lock()

    def requests(self) -> list[BrowserRequest]:
        """Every request so far, in order; preflights are none."""
        with self._lock:
            return list(self._requests)

    def reset(self) -> None:
        """Forget them."""
        with self._lock:
            self._requests = []

    def respond(self, request: Request, pid: str | None) -> Answer | None:
        """Answer a request with `pid` in its query; None if it is none of a browser's."""
        is_config = request.path.startswith(CONFIG_PATH)
        if request.path not in (SCRIPT_PATH, EVENTS_PATH) and not is_config:
            return None
        if request.method == "OPTIONS":
            return Answer(204, b"", headers=_PREFLIGHT)
        read = None
        if request.method == "GET" and request.path == SCRIPT_PATH:
            what, answer = "script", Answer(200, SCRIPT.read_bytes(), "text/javascript; charset=utf-8")
        elif request.method == "GET" and is_config:
            pid = unquote(request.path.removeprefix(CONFIG_PATH).removesuffix(".json"))
            known = request.path.endswith(".json") and self._knows(pid)
            what = "config"
            answer = _json(200, {"pixel_id": pid}) if known else _refused(404, "Not found")
        elif request.method == "POST" and request.path == EVENTS_PATH:
            what, read = "pixel", browser_rules.read_post(request.body)
            answer = self._take(pid, read, "pixel") or _json(202, {})
        elif request.method == "GET":
            referer = request.headers.get("referer", "")
            what, read = "image", browser_rules.read_tag(request.query, referer=referer, now_ms=self._now_ms())
            answer = self._take(pid, read, "image") or Answer(200, _GIF, "image/gif")
        else:
            return _refused(405, "Method not allowed")
        names = (*read.internal, *(str(each.get("type")) for each in read.events)) if read else ()
        problems = tuple(f"{each.param}: {each.message}" for each in read.problems) if read else ()
        with self._lock:
            self._requests.append(BrowserRequest(what, answer.status, pid, names, problems))
        return replace(answer, headers=_ANY_ORIGIN)

    def _take(self, pid: str | None, sent: browser_rules.Sent, channel: Channel) -> Answer | None:
        """Count what a browser sent, or say why not."""
        if pid is None:
            return _refused(400, "pid is required")
        if not self._knows(pid):
            return _refused(403, "403: unknown pid", kind="server_error")
        if sent.problems:
            first = sent.problems[0]
            told = wire_rules.error_body("Invalid event", param=first.param, code=first.code, problems=sent.problems)
            return _json(400, told)
        self._keep(pid, sent.events, channel, self._now_ms())
        return None


def _json(status: int, body: object) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _refused(status: int, message: str, kind: str = "invalid_request_error") -> Answer:
    return _json(status, wire_rules.error_body(message, kind=kind))
