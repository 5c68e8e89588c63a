"""What can be set on the stand-in for OpenAI: switches for what is unknown of the real API, and faults to inject."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do. `scope`: it may write events (contract 12.1 R7); `pixels`: the pids that it knows (R8)."""

    scope: bool
    pixels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Settings:
    """The switches.

    `keys`: every known key, never printed;
    `errors`: whether `errors[]` of a refusal lists the problems of the first bad event or of all (contract 12.1);
    `count_duplicates`: whether `accepted_events` counts events that were dropped as duplicates (contract 12.1);
    `now_ms`: a fixed time of receipt in ms, None for the clock's.
    """

    keys: Mapping[str, Grant] = field(repr=False)
    errors: Literal["first", "all"] = "first"
    count_duplicates: bool = True
    now_ms: int | None = None

    def __post_init__(self) -> None:
        _demand(self.errors in ("first", "all"), 'errors must be "first" or "all"')
        _demand(isinstance(self.count_duplicates, bool), "count_duplicates must be true or false")
        _demand(self.now_ms is None or type(self.now_ms) is int, "now_ms must be an integer or null")


@dataclass(frozen=True, slots=True)
class Fault:
    """Trouble for the next requests to the API, whoever sends them (contract 12.1 R12-R14).

    `times`: how many requests it befalls, None for all from then on; the next rule waits until they are over;
    `status`: answer this and store nothing, with a `body` of "json", "text" or "none" and a Retry-After header;
    `drop`: close the connection without an answer, "before" the batch is looked at or "after" it was stored;
    `accepted_events`: the count that a 200 gives instead of the true one;
    `delay_seconds`: wait before the answer or the close, after a good batch was stored. A client that gives up early
    meets a stored batch, as after a lost reply. The default is no trouble at all.
    """

    times: int | None = 1
    status: int | None = None
    retry_after: str | None = None
    body: Literal["json", "text", "none"] = "json"
    delay_seconds: float = 0
    drop: Literal["before", "after"] | None = None
    accepted_events: int | None = None

    def __post_init__(self) -> None:
        _demand(_is_whole(self.times, least=1), "times must be an integer of 1 or more, or null")
        _demand(_is_whole(self.accepted_events, least=0), "accepted_events must be an integer of 0 or more, or null")
        _demand(
            _is_whole(self.status, least=200) and self.status not in (204, 304) and (self.status or 200) < 600,
            "status must be the integer of an HTTP status that may have a body, or null",
        )
        _demand(
            self.retry_after is None or (isinstance(self.retry_after, str) and self.retry_after.isprintable()),
            "retry_after must be the text of the header, or null",
        )
        _demand(self.body in ("json", "text", "none"), 'body must be "json", "text" or "none"')
        _demand(self.drop in (None, "before", "after"), 'drop must be "before", "after" or null')
        _demand(
            type(self.delay_seconds) in (int, float) and 0 <= self.delay_seconds <= 3600,
            "delay_seconds must be a number from 0 to 3600",
        )
        _demand(
            self.status is None or (self.drop is None and self.accepted_events is None),
            "status answers the request: neither drop nor accepted_events goes with it",
        )


def read_fault(rule: Any) -> Fault:
    """A fault from its JSON form. ValueError says what is wrong with it."""
    _demand(isinstance(rule, Mapping), "a fault must be an object")
    _demand_known(rule, Fault)
    return Fault(**rule)


def read_settings(now: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with some changed, given in their JSON form. ValueError says what is wrong, without the keys."""
    _demand_known(changes, Settings)
    if "keys" in changes:
        changes = {**changes, "keys": _read_keys(changes["keys"])}
    return replace(now, **changes)


def _read_keys(keys: Any) -> dict[str, Grant]:
    grants = {}
    _demand(isinstance(keys, Mapping), "keys must be an object")
    for key, grant in keys.items():
        match grant:
            case {"scope": bool(scope), "pixels": [*pixels], **rest} if not rest:
                _demand(all(isinstance(pixel, str) for pixel in pixels), "pixels must be strings")
                grants[key] = Grant(scope, frozenset(pixels))
            case _:
                raise ValueError('each key must have {"scope": boolean, "pixels": [string, ...]}')
    return grants


def _is_whole(number: object, *, least: int) -> bool:
    return number is None or (type(number) is int and number >= least)


def _demand_known(given: Mapping[str, Any], record: type[Fault] | type[Settings]) -> None:
    if unknown := given.keys() - {each.name for each in fields(record)}:
        raise ValueError(f"unknown: {', '.join(sorted(map(str, unknown)))}")


def _demand(met: bool, demand: str) -> None:
    if not met:
        raise ValueError(demand)
