"""The rules of the OpenAI Ads Conversions API as the stand-in enforces them: plain checks, written from the contract.

An independent oracle: it shares no code with the relay, so that a mistake in the relay's own model shows up as a
refusal here. "contract 12.3 row 26" names a section and row of the project's contract of that API, whose rows are the
cases in ``tests/cases/wire/``. Money is in integer minor units, times in ms since the epoch (UTC).

A batch is judged in two passes (the contract knows no batch with both kinds of problem): any malformed event makes the
reply a 400, and only a batch without one is looked at for stale timestamps, which make it a 422.

Where the contract is silent, the oracle takes the strict side: unknown fields, null for an optional field, the digest
of the empty text and an amount with no currency anywhere are refused.
"""

import json
import re
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

from tools.wire_fields import (
    ACTION_SOURCES,
    APP_TYPES,
    DATA_CHECKS,
    EVENT_CHECKS,
    EVENT_REQUIRED,
    ITEM_CHECKS,
    ROOT_CHECKS,
    SHAPE_OF_TYPE,
    USER_CHECKS,
    Check,
    custom_name,
)

MAX_EVENTS: Final = 1_000
MAX_AGE_MS: Final = 7 * 24 * 60 * 60 * 1_000
MAX_AHEAD_MS: Final = 10 * 60 * 1_000

# The three codes that were ever recorded (contract 12.1), and ours: the prefix keeps clients from depending on them.
INVALID_EVENT: Final = "invalid_event"
MISSING_DATA_TYPE: Final = "missing_event_data_type"
TOO_OLD: Final = "event_timestamp_too_old"
TOO_FAR_AHEAD: Final = "x_test_event_timestamp_in_future"
MISSING: Final = "x_test_missing_field"
UNKNOWN: Final = "x_test_unknown_field"
INVALID: Final = "x_test_invalid_value"

# Contract 5: what the API uses of the lists in `user`; it trims and lower-cases places first.
_PLACE_RULES = {
    "cities": re.compile(r"(?s:.{1,128})"),
    "regions": re.compile(r"(?s:.{1,128})"),
    "postal_codes": re.compile(r"[a-z0-9 -]{1,32}"),
    "countries": re.compile(r"[a-z]{2}"),
}
_USED_LIST_VALUES = 3
_ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class Problem(NamedTuple):
    """One thing wrong with a request. `param`: where, as a path such as ``events[1].data.type`` (empty: the event)."""

    param: str
    code: str
    message: str


class Refusal(NamedTuple):
    """A reply other than 200: its status and its JSON body."""

    status: int
    body: dict[str, Any]


def _field_problems(
    fields: Mapping[str, Any], checks: Mapping[str, Check], path: str = "", *, extras: bool = False
) -> Iterator[Problem]:
    """Judge each field on its own, in the order of the document. `extras`: fields without a check are welcome."""
    for field, value in fields.items():
        check = checks.get(field)
        if check is None:
            if not extras:
                yield Problem(path + field, UNKNOWN, "is not a documented field here")
        elif fault := check(value):
            yield Problem(path + field, INVALID, fault)


def _envelope_problems(event: Mapping[str, Any]) -> Iterator[Problem]:
    for field in EVENT_REQUIRED:
        if field not in event:
            yield Problem(field, MISSING, "is required")
    yield from _field_problems(event, EVENT_CHECKS)

    # Rules across fields, for documented values only: any other was named just above.
    event_type = _documented(event.get("type"), SHAPE_OF_TYPE)
    source = _documented(event.get("action_source"), ACTION_SOURCES)
    if source == "web" and "source_url" not in event:
        yield Problem("source_url", MISSING, "is required with action_source web")
    if event_type in APP_TYPES and source != "mobile_app" and (source or "action_source" not in event):
        yield Problem("action_source", INVALID, "must be mobile_app for app events")
    if event_type == "custom":
        if "custom_event_name" not in event:
            yield Problem("custom_event_name", MISSING, "is required for custom events")
        elif fault := custom_name(event["custom_event_name"]):
            yield Problem("custom_event_name", INVALID, fault)
    elif event_type and "custom_event_name" in event:
        yield Problem("custom_event_name", INVALID, "is not supported on standard events")


def _documented(value: Any, values: Container[str]) -> str | None:
    return value if isinstance(value, str) and value in values else None


def _data_problems(event_type: Any, data: Mapping[str, Any]) -> Iterator[Problem]:
    if "type" not in data:
        yield Problem("data.type", MISSING_DATA_TYPE, "is required")
        return
    if _documented(event_type, SHAPE_OF_TYPE) is None:
        return  # without a known event type there is no shape to hold the data against
    shape = SHAPE_OF_TYPE[event_type]
    if data["type"] != shape:
        yield Problem("data.type", INVALID, f"must be {shape} for this event type")
        return
    checks = DATA_CHECKS[shape]
    yield from _field_problems(data, checks, "data.", extras=shape == "custom")
    if "amount" in data and "currency" not in data:
        yield Problem("data.currency", MISSING, "is required with amount")
    contents = data.get("contents")
    if "contents" not in checks or not isinstance(contents, list):
        return
    for position, item in enumerate(contents):
        path = f"data.contents[{position}]"
        if not isinstance(item, dict):
            yield Problem(path, INVALID, "must be an object")
            continue
        yield from _field_problems(item, ITEM_CHECKS, path + ".")
        if "amount" in item and "currency" not in item and "currency" not in data:
            yield Problem(path + ".currency", MISSING, "is required with amount when the event names none")


def event_problems(event: Any) -> list[Problem]:
    """Everything malformed about one event (contract 3-5), except its age. Params are relative to the event."""
    if not isinstance(event, dict):
        return [Problem("", INVALID, "must be an object")]
    problems = list(_envelope_problems(event))
    if isinstance(user := event.get("user"), dict):
        problems += _field_problems(user, USER_CHECKS, "user.")
    if isinstance(data := event.get("data"), dict):
        problems += _data_problems(event.get("type"), data)
    return problems


def timestamp_problem(event: Mapping[str, Any], now_ms: int) -> Problem | None:
    """The age of a well-formed event at the moment of receipt (contract 12.1 R4, R5); both limits are still inside."""
    age_ms = now_ms - event["timestamp_ms"]
    if age_ms > MAX_AGE_MS:
        return Problem("timestamp_ms", TOO_OLD, "event_timestamp_ms is more than 7 days old")
    if age_ms < -MAX_AHEAD_MS:
        return Problem("timestamp_ms", TOO_FAR_AHEAD, "event_timestamp_ms is more than 10 minutes ahead")
    return None


def root_problems(body: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the request apart from its events (contract 12.1 R10)."""
    if "events" not in body:
        return [Problem("events", MISSING, "is required"), *_field_problems(body, ROOT_CHECKS)]
    problems = list(_field_problems(body, ROOT_CHECKS))
    if isinstance(events := body["events"], list) and not 1 <= len(events) <= MAX_EVENTS:
        problems.append(Problem("events", INVALID, f"must hold 1 to {MAX_EVENTS} events"))
    return problems


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def parse(raw: bytes) -> dict[str, Any] | None:
    """The JSON object in a request body, or None if there is none (contract 12.1 R11). NaN is not JSON."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def error_body(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    problems: list[Problem] | None = None,
) -> dict[str, Any]:
    """The body of a refusal: shape 1 or 2 of contract 12.1 with `problems`, else shape 3, which has no `errors`."""
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    if problems is not None:
        error["errors"] = [
            {"message": f"{problem.param}: {problem.message}", "param": problem.param, "code": problem.code}
            for problem in problems
        ]
    return {"error": error}


def refusal(body: Mapping[str, Any], now_ms: int, *, report_all: bool) -> Refusal | None:
    """Judge a request body at `now_ms`; None means that every event is good.

    `report_all`: whether `errors` lists the problems of all bad events or of the first one only. Which of the two the
    real API does is unknown (contract 12.1).
    """
    if problems := root_problems(body):
        return _refusal(400, "Invalid request", problems, param=problems[0].param, code=problems[0].code)

    events = body["events"]
    malformed: list[Problem] = []
    first_bad = 0
    for position, event in enumerate(events):
        if found := event_problems(event):
            if not malformed:
                first_bad = position
            malformed += [_at(position, problem) for problem in found]
            if not report_all:
                break
    if malformed:
        return _refusal(400, "Invalid event", malformed, param=f"events[{first_bad}]", code=INVALID_EVENT)

    stale = [_at(position, late) for position, event in enumerate(events) if (late := timestamp_problem(event, now_ms))]
    if stale:
        first = stale[0]
        return _refusal(422, first.message, stale if report_all else [first], param=first.param, code=first.code)
    return None


def _refusal(status: int, message: str, problems: list[Problem], *, param: str, code: str) -> Refusal:
    return Refusal(status, error_body(message, param=param, code=code, problems=problems))


def _at(position: int, problem: Problem) -> Problem:
    path = f"events[{position}].{problem.param}" if problem.param else f"events[{position}]"
    return problem._replace(param=path)


def dedupe_name(event: Mapping[str, Any]) -> str:
    """The event name in the dedupe key: the type, or the lower-cased custom name in its place (contract 6.1)."""
    name: str = event["custom_event_name"].lower() if event["type"] == "custom" else event["type"]
    return name


def ignored_values(event: Mapping[str, Any]) -> list[str]:
    """Paths of the `user` values of a good event that the API accepts without using them, e.g. ``user.countries[0]``.

    Those are unusable places (contract 12.3 row 59), repeated values, list values after the first three usable ones and
    the all-zero advertising id (contract 5; 12.2 row 21).
    """
    user = event.get("user", {})
    ignored = []
    for field, values in user.items():
        if isinstance(values, list):
            rule = _PLACE_RULES.get(field)
            used: set[str] = set()
            for position, value in enumerate(values):
                text = value.strip().lower() if rule else value  # the API trims and lower-cases places
                if (rule and not rule.fullmatch(text)) or text in used or len(used) == _USED_LIST_VALUES:
                    ignored.append(f"user.{field}[{position}]")
                else:
                    used.add(text)
    if user.get("android_advertising_id") == _ZERO_UUID:
        ignored.append("user.android_advertising_id")
    return ignored
