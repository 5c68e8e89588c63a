"""What became of the webhooks: the receivers' log lines, counted by day, source, type, outcome and reason.

``relay_logs`` reads the logs of a deployed stack, or files: JSON lines, as ``aws logs filter-log-events`` or
``aws logs tail --format short`` give them, or the CSV of CloudWatch Logs Insights, of a query such as::

    fields @timestamp, @message | filter ispresent(outcome) and ispresent(source) | sort @timestamp asc

What is counted are deliveries, and not conversions: an order comes two to five times.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from conversion_relay import timestamps
from measurement.inputs.relay import (
    STACK_OPTIONS,
    Rows,
    asking,
    content,
    day_of,
    deployment_of,
    first_ms,
    know,
    note,
    places,
)
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from tools.readings import Line, line_in

PAGES: Final = "click"
"""The source of lines of the click memory, which are no deliveries."""
MOST_INSIGHTS_ROWS: Final = 10_000
"""Rows that a query of Logs Insights gives at most, unless its limit says less."""
_STAMPED: Final = re.compile(r"^(\d{4}-\d\d-\d\d[T ][\d:.,+Z-]+)\s+(?=\{)")
_TIMES: Final = ("@timestamp", "timestamp", "time")
_MESSAGES: Final = ("@message", "message")

Counts = Counter[tuple[date, str, str | None, str, str | None]]


def relay_logs(entry: Input, settings: Settings) -> Rows:
    """Deliveries of a stack's logs, or of files. Raises BadInput: a log cannot be read, or a file is none."""
    know(entry, STACK_OPTIONS | {"file", "files"})
    if "file" not in entry.options and "files" not in entry.options:
        from tools import readings

        deployment = deployment_of(entry)
        with asking(entry):
            yield from rows(readings.every_line(deployment, first_ms(settings)), settings)
        return
    for path in places(entry, settings):
        found = list(lines(path))
        if len(found) == MOST_INSIGHTS_ROWS:
            yield note(
                f"{path.name}: it has exactly {MOST_INSIGHTS_ROWS:,} rows, where Logs Insights stops. There are "
                "probably more: ask for shorter times, one file each."
            )
        yield from rows(found, settings)


def rows(found: Iterable[Line], settings: Settings) -> Rows:
    """The lines, counted."""
    counts: Counts = Counter()
    for line in found:
        if line.source != PAGES:
            reason = None if line.reason == line.outcome else line.reason
            counts[day_of(line.at_ms, settings), line.source, type_of(line), line.outcome, reason] += 1
    for (day, source, kind, outcome, reason), count in counts.items():
        yield (
            "deliveries",
            {"day": day, "source": source, "type": kind, "outcome": outcome, "reason": reason, "deliveries": count},
        )


def type_of(line: Line) -> str | None:
    """The event's type where the delivery was of a conversion that is recorded, else the platform's topic."""
    key = line.key.partition("#")[0] if line.keys else ""
    return key or line.topic or None


# Files ----------------------------------------------------------------------------------------------------------------


def lines(path: Path) -> Iterator[Line]:
    """The deliveries in a file. Raises BadInput: it is none of the forms, or has none."""
    raw = content(path)
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(path.name, "it is no UTF-8 text", "Export the log again, as JSON or CSV.") from None
    is_json = text.lstrip()[:1] in ("{", "[") or _STAMPED.match(text.lstrip()) is not None
    found = 0
    for message, stamped_ms, number in _json(path, text) if is_json else _csv(path, text):
        if line_in(message, 0) is None:
            continue
        at_ms = _own_time(message) if stamped_ms is None else stamped_ms
        if at_ms is None:
            raise BadInput(
                path.name, "the line has no time", "Export @timestamp beside @message, or whole log events.", number
            )
        line = line_in(message, at_ms)
        assert line is not None  # noqa: S101 -- read once already
        found += 1
        yield line
    if not found:
        raise BadInput(
            path.name,
            "no line of it tells of a delivery",
            "Export the receivers' logs: fields @timestamp, @message | filter ispresent(outcome).",
        )


def _json(path: Path, text: str) -> Iterator[tuple[str, int | None, int]]:
    try:
        whole = json.loads(text)
    except ValueError:
        whole = None
    if isinstance(whole, Mapping) and isinstance(whole.get("events"), list):
        for number, each in enumerate(whole["events"], 1):
            yield str(each.get("message", "")), _milliseconds(each.get("timestamp")), number
        return
    if isinstance(whole, list):
        for number, each in enumerate(whole, 1):
            yield from _one(each, number)
        return
    for number, written in enumerate(text.splitlines(), 1):
        stamp = _STAMPED.match(written)
        body = written[stamp.end() :] if stamp else written
        if not body.strip():
            continue
        try:
            held = json.loads(body)
        except ValueError:
            raise BadInput(path.name, "the line is no JSON", "Export the log as JSON lines or CSV.", number) from None
        if stamp is not None:
            yield body, _milliseconds(stamp[1]), number
        else:
            yield from _one(held, number)


def _one(held: Any, number: int) -> Iterator[tuple[str, int | None, int]]:
    """A log event around a line, or the line itself."""
    if not isinstance(held, Mapping):
        return
    for name in _MESSAGES:
        inner = held.get(name)
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            at_ms = next((_milliseconds(held[each]) for each in _TIMES if each in held), None)
            yield inner, at_ms, number
            return
    at_ms = next((_milliseconds(held[each]) for each in _TIMES if each in held), None)
    yield json.dumps(held), at_ms, number


def _csv(path: Path, text: str) -> Iterator[tuple[str, int | None, int]]:
    reader = csv.DictReader(text.splitlines(keepends=True))
    heading = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    time = next((heading[each] for each in _TIMES if each in heading), None)
    message = next((heading[each] for each in _MESSAGES if each in heading), None)
    has_fields = {"source", "outcome"} <= heading.keys()
    if time is None or (message is None and not has_fields):
        raise BadInput(
            path.name,
            "it lacks the columns @timestamp and @message",
            "Query: fields @timestamp, @message | filter ispresent(outcome) and ispresent(source).",
            1,
        )
    for row in reader:
        at_ms = _milliseconds(row[time])
        if at_ms is None:
            raise BadInput(
                path.name, "@timestamp holds no time", "Export it as Logs Insights writes it.", reader.line_num
            )
        if message is not None:
            yield str(row[message] or ""), at_ms, reader.line_num
        else:
            held = {name: row[column] for name, column in heading.items() if row.get(column)}
            yield json.dumps(held), at_ms, reader.line_num


def _own_time(message: str) -> int | None:
    """The time in a line that is a metric too; others have none of their own."""
    held = json.loads(message).get("_aws")
    return _milliseconds(held.get("Timestamp")) if isinstance(held, Mapping) else None


def _milliseconds(value: Any) -> int | None:
    """Unix ms of a log event, or a text: ISO 8601, or ``2026-11-20 15:00:00.000`` in UTC, as Logs Insights writes."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return value
    text = str(value).strip()
    if text.isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return timestamps.from_iso(text)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


IMPORTERS: Final = {"relay_logs": relay_logs}
