"""The address of the click memory: what a browser asks, and what it is answered.

::

    POST /                 201 {"key": "rc1_…"} │ 204 consent refused, nothing stored │ 400 403 413 415 │ 503
    OPTIONS /              204 for a page of ClickOrigins, else 403
    GET /relay-click.js    the page's script
    anything else          404, 405

No answer and no line of the log holds anything of what was posted. Cross-origin access is answered here and not by the
settings of the Function URL: which origins may post is a list of this stack's parameters, and a refusal has a reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from conversion_relay import click_memory
from conversion_relay.click_memory import Post, Visitor
from conversion_relay.delivery import Refused
from conversion_relay.ledger import Contended, LedgerUnavailable

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Memory
    from conversion_relay.settings import Settings

SCRIPT: Final = "/relay-click.js"
SCRIPT_CACHED_S: Final = 3_600
PREFLIGHT_CACHED_S: Final = 7_200
"""The most that Chrome takes."""
_ATTEMPTS: Final = 4
"""Two pages of one browser may complete a memory at the same time; in each round one of them gets on."""

Kind = Literal["stored", "completed", "refused", "consent_denied", "failed"]


class LedgerPort(Protocol):
    """What the click memory needs of the ledger."""

    def remember(self, memory: Memory, now_ms: int, tenant: str | None = None) -> None: ...
    def recall(self, key: str, now_ms: int) -> Mapping[str, Any] | None: ...


def origins_of(settings: Settings) -> tuple[str, ...]:
    """The origins whose pages may post: ClickOrigins, else those of the storefront and the site. Browsers write them in
    lower case.
    """
    own = (settings.storefront_origin, settings.site_origin)
    return settings.click_origins or tuple(dict.fromkeys(each.lower() for each in own if each))


def script_in(file: Path) -> Callable[[], str | None]:
    """The text of a file, read when it is first asked for; None where there is no such file."""
    return cache(lambda: file.read_text(encoding="utf-8") if file.is_file() else None)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request. ``kind`` is what became of a post, None for any other request."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Kind | None = None
    reason: str | None = None
    detail: str | None = None

    def to_lambda(self) -> dict[str, Any]:
        """As a Function URL wants it (payload format 2.0)."""
        return {"statusCode": self.status, "headers": dict(self.headers), "body": self.body}


@dataclass(frozen=True, slots=True)
class ClickEndpoint:
    """Everything that a request needs. ``clock`` gives Unix milliseconds, UTC; ``random`` so many random bytes;
    ``script`` the text of the page's script, None where it was not shipped.
    """

    ledger: LedgerPort
    origins: tuple[str, ...]
    clock: Callable[[], int]
    random: Callable[[int], bytes]
    script: Callable[[], str | None]

    def answer(self, delivery: Delivery, ip_address: object = None, user_agent: object = None) -> Answer:
        """Answer one request. Raises nothing for whatever is in it."""
        match delivery.method, delivery.path:
            case "GET", "/relay-click.js":
                return self._script()
            case "OPTIONS", "/":
                return self._preflight(delivery)
            case "POST", "/":
                return self._post(delivery, click_memory.visitor_of(delivery, ip_address, user_agent))
            case _, "/" | "/relay-click.js":
                return _told(405, "this method has no meaning here")
        return _told(404, "there is nothing here")

    def _script(self) -> Answer:
        script = self.script()
        if script is None:
            return _told(404, "the script was not shipped with this function")
        headers = {
            "content-type": "text/javascript; charset=utf-8",
            "cache-control": f"public, max-age={SCRIPT_CACHED_S}",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        }
        return Answer(200, script, headers)

    def _preflight(self, delivery: Delivery) -> Answer:
        allowed = self._cors(delivery)
        if "access-control-allow-origin" not in allowed:
            return _told(403, "the page's origin is none of ClickOrigins", allowed)
        granted = {
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "content-type",
            "access-control-max-age": str(PREFLIGHT_CACHED_S),
        }
        return Answer(204, "", {**allowed, **granted})

    def _cors(self, delivery: Delivery) -> dict[str, str]:
        """The origin allowed is the configured one, which is the page's to the letter; no wildcard, no credentials."""
        given = delivery.headers.get("origin")
        allowed = next((each for each in self.origins if each == given), None)
        return {"vary": "Origin"} | ({"access-control-allow-origin": allowed} if allowed else {})

    def _post(self, delivery: Delivery, visitor: Visitor) -> Answer:
        cors = self._cors(delivery)
        try:
            post = click_memory.post_in(delivery, self.origins)
        except Refused as refused:
            told = _told(refused.status, refused.detail, cors)
            return Answer(told.status, told.body, told.headers, "refused", refused.reason, refused.detail)
        try:
            kind, key = self._remembered(post, visitor)
        except LedgerUnavailable as error:
            told = _told(503, "nothing could be stored now; try again later", cors)
            return Answer(told.status, told.body, told.headers, "failed", "ledger_unavailable", str(error))
        if key is None:
            return Answer(204, "", {**cors, **_HEADERS}, kind)
        return Answer(201, json.dumps({"key": key}), {**cors, **_HEADERS}, kind)

    def _remembered(self, post: Post, visitor: Visitor) -> tuple[Kind, str | None]:
        attempts = 0
        while True:
            try:
                return self._attempted(post, visitor)
            except Contended:
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise

    def _attempted(self, post: Post, visitor: Visitor) -> tuple[Kind, str | None]:
        now_ms = self.clock()
        key = click_memory.known_key(post)
        known = self.ledger.recall(f"memory#{click_memory.memory_of(key)}", now_ms) if key is not None else None
        if post.consent == "denied":
            if key is not None and known is not None:
                self._write(click_memory.withdrawn(key, known, now_ms), now_ms)
            return "consent_denied", None
        if key is not None and known is not None and click_memory.continues(post, known, now_ms):
            self._write(click_memory.completed(post, visitor, key, known, now_ms), now_ms)
            return "completed", key
        key = click_memory.key_of(self.random(click_memory.RANDOM_BYTES))
        self._write(click_memory.made(post, visitor, key, now_ms), now_ms)
        return "stored", key

    def _write(self, memory: Memory | None, now_ms: int) -> None:
        if memory is not None:
            self.ledger.remember(memory, now_ms)


_HEADERS: Final = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


def _told(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps({"error": sentence}), {**(headers or {}), **_HEADERS})
