"""What a browser may send to OpenAI, as the stand-in enforces it: posts of the pixel's script, and image tags.

Both become events in the form of the server API, so that one set of rules judges them and one key counts them. Of the
image tag the rules are documented (contract 6.3). Of the script's post only the address and the 202 are known (6.2):
its body here is what ``stand_in_sdk.js`` writes, ``{"events": [...], "oppref", "obref", "user"}``.
"""

import json
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tools.wire_fields import APP_TYPES, DATA_CHECKS, SHAPE_OF_TYPE, Check
from tools.wire_rules import INVALID, MISSING, UNKNOWN, Problem, event_problems, parse

INTERNAL: Final = "openai::"
"""How the script's own messages begin, such as ``openai::sdk_init``: they are no events."""

_ROOT: Final = frozenset({"events", "oppref", "obref", "user"})
_EVENT: Final = frozenset({"type", "id", "custom_event_name", "opt_out", "timestamp_ms", "source_url", "data"})
_SERVER_ONLY_ITEM_FIELDS: Final = ("group_id", "variant_dict")  # contract 4
_SERVER_ONLY_USER_FIELDS: Final = ("ip_address", "user_agent", "android_advertising_id")  # the connection says it
_TAG: Final = frozenset({"pid", "event", "event_id", "oppref", "custom_event_name"})
_TAG_DATA: Final = re.compile(r"data\[([A-Za-z0-9_]+)\]")
_TAG_NAMES: Final = {"id": "event_id", "type": "event"}
_WHOLE: Final = re.compile(r"[0-9]{1,15}")


class Sent(NamedTuple):
    """What came from a browser: events in the form of the server API, names of internal messages, and objections."""

    events: list[dict[str, Any]]
    internal: list[str]
    problems: list[Problem]


def read_post(raw: bytes) -> Sent:
    """The body of a post of the pixel's script."""
    body = parse(raw)
    if body is None or not isinstance(body.get("events"), list) or not body["events"]:
        return Sent([], [], [Problem("events", MISSING, "the body must be a JSON object with events")])
    problems = [Problem(field, UNKNOWN, "is not a field here") for field in body if field not in _ROOT]
    events, internal = [], []
    for position, sent in enumerate(body["events"]):
        path = f"events[{position}]"
        if not isinstance(sent, dict):
            problems.append(Problem(path, INVALID, "must be an object"))
            continue
        if str(sent.get("type", "")).startswith(INTERNAL):
            internal.append(sent["type"])
            continue
        event = _as_server_event(sent, body)
        problems += [
            Problem(f"{path}.{field}", UNKNOWN, "is not a field here") for field in sent if field not in _EVENT
        ]
        problems += [each._replace(param=f"{path}.{each.param}") for each in _problems(event)]
        events.append(event)
    return Sent(events, internal, problems)


def _as_server_event(sent: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    user = {**(body.get("user") or {}), **({"obref": body["obref"]} if "obref" in body else {})}
    return {
        **{field: value for field, value in sent.items() if field in _EVENT},
        "action_source": "web",
        **({"oppref": body["oppref"]} if "oppref" in body else {}),
        **({"user": user} if user else {}),
    }


def _problems(event: Mapping[str, Any]) -> list[Problem]:
    """What the server API's rules say, and what only a server may send."""
    problems = event_problems(event)
    if event.get("type") in APP_TYPES:
        problems.append(Problem("type", INVALID, "app events come from servers only"))
    url = event.get("source_url")
    if isinstance(url, str) and (urlsplit(url).path.strip("/") or urlsplit(url).query):
        problems.append(Problem("source_url", INVALID, "the script sends the page's origin"))
    for field in _SERVER_ONLY_USER_FIELDS:
        if field in event.get("user", {}):
            problems.append(Problem(f"user.{field}", UNKNOWN, "is for servers only"))
    data = event.get("data")
    contents = data.get("contents") if isinstance(data, dict) else None
    for position, item in enumerate(contents if isinstance(contents, list) else ()):
        problems += [
            Problem(f"data.contents[{position}].{field}", UNKNOWN, "is for servers only")
            for field in _SERVER_ONLY_ITEM_FIELDS
            if isinstance(item, dict) and field in item
        ]
    return problems


def read_tag(query: str, *, referer: str, now_ms: int) -> Sent:
    """The query of an image tag. An event without an ``event_id`` gets one of its own: nothing can pair with it."""
    pairs = parse_qsl(query, keep_blank_values=True)
    counts = Counter(name for name, _ in pairs)
    problems = [Problem(name, INVALID, "may stand once only") for name, count in counts.items() if count > 1]
    given = dict(pairs)
    problems += [
        Problem(name, MISSING, "is required") for name in ("pid", "event", "data[type]") if not given.get(name)
    ]
    problems += [
        Problem(name, UNKNOWN, "is not a parameter of the image tag")
        for name in counts
        if name not in _TAG and not _TAG_DATA.fullmatch(name)
    ]
    if problems:
        return Sent([], [], problems)
    data, problems = _data_of(given)
    page = urlsplit(referer)
    event: dict[str, Any] = {
        "id": given.get("event_id", secrets.token_hex(16)),
        "type": given["event"],
        "timestamp_ms": now_ms,
        "action_source": "web",
        "data": data,
        **{field: given[field] for field in ("oppref", "custom_event_name") if field in given},
        **({"source_url": f"{page.scheme}://{page.netloc}"} if page.scheme and page.netloc else {}),
    }
    # Whether a tag on a page without a Referer counts is not documented; nothing in it could carry the address.
    problems += [
        each._replace(param=_TAG_NAMES.get(each.param, each.param))
        for each in _problems(event)
        if each.param != "source_url"
    ]
    return Sent([event], [], problems)


def _data_of(given: Mapping[str, str]) -> tuple[dict[str, Any], list[Problem]]:
    """The fields ``data[…]``: all are text in a query; ``contents`` is JSON, ``amount`` an integer."""
    data: dict[str, Any] = {}
    problems = []
    shape = SHAPE_OF_TYPE.get(given["event"])
    documented: Mapping[str, Check] = DATA_CHECKS[shape] if shape else {}
    for name, text in given.items():
        if not (found := _TAG_DATA.fullmatch(name)):
            continue
        field = found[1]
        if field == "contents" and field in documented:
            try:
                data[field] = json.loads(text)
            except ValueError:
                problems.append(Problem(name, INVALID, "must be JSON"))
        elif field == "amount" and _WHOLE.fullmatch(text):
            data[field] = int(text)
        else:
            data[field] = text
    return data, problems
