"""HTTP to the Conversions API: one batch out, one answer back.

Answers, by what the sender does next::

    Accepted   200, 201, 202: the batch is in the pipeline
    Rejected   400, 413, 422: something in the batch is wrong; isolate it
    Blocked    401, 403, other 4xx, 3xx, a page in place of JSON: key, pixel or endpoint; stop, alarm, keep everything
    Retry      408, 425, 429, 5xx, timeouts: stop, keep everything, come again; 429 and 503 first after a short wait

The API documents no answers; they were observed (contract, section 2). Status and ``error.code`` decide, never
``error.type``: the 403 for an unknown pixel says "server_error".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.secrets import SecretMissing, SecretsUnavailable

if TYPE_CHECKING:
    import requests

    from conversion_relay.secrets import Secrets
    from conversion_relay.settings import Settings

MAX_REQUEST_BYTES: Final = 4_000_000
"""The API documents no limit; 4 MB holds 1,000 ordinary events."""
TIMEOUT_S: Final = (5.0, 30.0)
"""To connect, and to wait for each part of the answer."""
INTEGRATION_SOURCE: Final = "conversion-relay"

_REQUEST_FIELDS: Final = frozenset({"integration_source", "pid", "user", "validate_only"})
_INDEX: Final = re.compile(r"events\[([0-9]{1,6})\]")
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")
_LONGEST_WAIT_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Problem:
    """What the API says is wrong with one event of a batch. ``index`` counts from 0."""

    index: int
    param: str
    code: str | None

    @property
    def reason(self) -> str:
        """The field and the code, for the ledger: ``data.amount: invalid_amount``."""
        field_name = self.param.partition(".")[2] or "event"
        return f"{field_name}: {self.code}" if self.code else field_name


@dataclass(frozen=True, slots=True)
class Accepted:
    """The batch is in the pipeline. ``count`` is what the API says it took; None when the answer does not say."""

    count: int | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The whole batch was refused for something in it; ``problems`` name the events, when the answer does.

    ``explained``: the answer has the form of the API's errors. A gateway on the way says 400 and 413 too.
    """

    status: int
    problems: Sequence[Problem] = field(default=())
    explained: bool = True


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing can be sent until a person acts; ``advice`` says how. ``status`` is None where no one answer says it."""

    status: int | None
    advice: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now. ``after_s`` is the wait that the API asked for, in seconds. The batch may have been taken already.

    ``busy``: the API is there and asks for patience (429, 503); asking again soon makes sense.
    """

    reason: str
    after_s: int | None = None
    busy: bool = False


Answer = Accepted | Rejected | Blocked | Retry

_ADVICE: Final = {
    401: "OpenAI refuses the key. Put a Conversions key (Ads Manager > Conversions, with the scope "
    "ads.third_party_events.write; not the Advertiser key) into the parameter of the OpenAI key.",
    403: "OpenAI does not know this Pixel ID for this key. Compare PixelId with Ads Manager > Conversions.",
    404: "OpenAI has no such address. Compare OpenAiEndpoint with the Conversions API documentation.",
}
_ADVICE_ELSE: Final = "OpenAI answers in a way that the contract does not know. Compare OpenAiEndpoint with it."
_ADVICE_REQUEST: Final = "OpenAI refuses the request itself, not an event of it. Compare PixelId and OpenAiEndpoint."


def current_key(secrets: Secrets, parameter: str) -> str | Blocked:
    """The key that is stored now, past the cache, so that one that replaces a revoked key is in use with the next run;
    or why there is none.
    """
    try:
        keys = secrets.latest()
    except SecretMissing:
        keys = ()
    except SecretsUnavailable as error:
        return Blocked(
            None,
            f"The OpenAI key could not be read: {error}. The next run tries again. The sender's role needs "
            "ssm:GetParameter for it, and kms:Decrypt for an encryption key of your own.",
        )
    if not keys:
        return Blocked(
            None,
            "There is no OpenAI key. Put a Conversions key (Ads Manager > Conversions) into the parameter "
            f"{parameter}; the output OpenAiKeyCommand is the command.",
        )
    return keys[0]


class OpenAi:
    """Sends batches for one pixel. Redirects are never followed: they would take the key to another host."""

    def __init__(
        self, session: requests.Session, endpoint: str, pixel_id: str, key: str, *, validate_only: bool
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._pixel_id = pixel_id
        self._key = key
        self._validate_only = validate_only

    @classmethod
    def for_settings(cls, session: requests.Session, key: str, settings: Settings) -> OpenAi:
        """The API as a deployment sends to it."""
        validate_only = settings.delivery_mode == "validate"
        return cls(session, settings.openai_endpoint, settings.pixel_id, key, validate_only=validate_only)

    def send(self, events: Sequence[str]) -> Answer:
        """Send the JSON of 1 to 1,000 events in one request."""
        import requests

        try:
            response = self._session.post(
                self._endpoint,
                params={"pid": self._pixel_id},
                data=request_body(events, validate_only=self._validate_only),
                # As bytes: a key with a stray character is then refused by OpenAI (Blocked) instead of here.
                headers={"Authorization": f"Bearer {self._key}".encode(), "Content-Type": "application/json"},
                timeout=TIMEOUT_S,
                allow_redirects=False,
            )
        except (requests.RequestException, ValueError) as error:  # requests raises the latter for an odd Location
            return Retry(f"no answer ({type(error).__name__})")
        try:
            body = response.json() if response.content else {}
        except (ValueError, RecursionError):
            body = None
        return answer(response.status_code, body if isinstance(body, dict) else None, response.headers, len(events))


def request_body(events: Sequence[str], *, validate_only: bool) -> bytes:
    """The body of a request. The same events give the same bytes."""
    head = f'{{"integration_source":"{INTEGRATION_SOURCE}",'
    if validate_only:
        head += '"validate_only":true,'
    return f'{head}"events":[{",".join(events)}]}}'.encode()


def answer(status: int, body: Mapping[str, Any] | None, headers: Mapping[str, str], sent: int) -> Answer:
    """Status, body and headers of a response as what to do next. ``sent`` is the number of events in the request.

    ``body`` is None when it is not a JSON object; one that is empty is taken as an empty object.
    """
    if status in (200, 201, 202):
        if body is None or "error" in body:  # a login page or the like: nobody has taken the events
            return Blocked(status, _ADVICE_ELSE)
        count = body.get("accepted_events")
        return Accepted(count if isinstance(count, int) and not isinstance(count, bool) else None)
    if status in (400, 413, 422):
        error = (body or {}).get("error")
        if not isinstance(error, dict):
            return Rejected(status, explained=False)
        problems = _problems(error, sent)
        if not problems and status != 413 and _is_about_the_request(error, sent):
            return Blocked(status, _ADVICE_REQUEST)
        return Rejected(status, problems)
    if status in (408, 425, 429) or status >= 500:
        return Retry(f"HTTP {status}", _retry_after_s(headers), busy=status in (429, 503))
    return Blocked(status, _ADVICE.get(status, _ADVICE_ELSE))


def _problems(error: Mapping[str, Any], sent: int) -> tuple[Problem, ...]:
    inner = error.get("errors")
    leaves = [each for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    found: dict[int, Problem] = {}
    # The leaves say more than the summary above them, so they come first.
    for each in (*leaves, error):
        param, code = each.get("param"), each.get("code")
        if not isinstance(param, str):
            continue
        match = _INDEX.match(param)
        if match and (index := int(match[1])) < sent:
            found.setdefault(index, Problem(index, param[:200], code[:100] if isinstance(code, str) else None))
    return tuple(found[index] for index in sorted(found))


def _is_about_the_request(error: Mapping[str, Any], sent: int) -> bool:
    """Whether something outside of the events is at fault. A field that the request does not have is one of an event;
    too many events, or too large ones (413), are cured by sending fewer.
    """
    param, message = error.get("param"), error.get("message")
    if param == "events":
        return sent <= 1
    if isinstance(param, str):
        return param in _REQUEST_FIELDS
    return isinstance(message, str) and "pid" in message and "query" in message


def _retry_after_s(headers: Mapping[str, str]) -> int | None:
    value = (headers.get("Retry-After") or "").strip()
    if _SECONDS.fullmatch(value):
        return math.ceil(min(float(value), _LONGEST_WAIT_S))
    try:
        moment = parsedate_to_datetime(value)
        wait_s = (moment - _sent_at(headers)).total_seconds()
        return math.ceil(max(0, min(wait_s, _LONGEST_WAIT_S)))
    except (ValueError, TypeError, OverflowError):
        return None


def _sent_at(headers: Mapping[str, str]) -> datetime:
    """When the server answered, by its own clock where it says so: the date in Retry-After is of that clock too."""
    try:
        date = parsedate_to_datetime(headers.get("Date") or "")
    except (ValueError, TypeError):
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
