"""The dashboard of template.yaml, checked as strictly as CloudWatch documents it: nothing here can draw one.

CloudFormation takes any text as ``DashboardBody``; CloudWatch shows what it does not understand as an empty widget, or
as a warning that nobody reads. So the body is put together for every set of receivers that a stack can have, and held
against the "Dashboard body structure and syntax" of the CloudWatch documentation.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tools.template import Resolved, of_type

SWITCHES: Final = (
    "EnableShopify",
    "EnableStripe",
    "StripeFetchThinEvents",
    "EnableCalls",
    "EnableCustom",
    "EnableClick",
)
"""The parameters that decide which functions a stack has."""
METRICS: Final = frozenset(
    {"Recorded", "Ignored", "Parked", "Refused", "DataRequests", "Sent", "Rejected", "Expired", "Blocked"}
    | {"OldestUnsentSeconds"}
)
"""The relay's own metrics: ten of an account are free, each further one is 0.30 USD a month."""
FREE_METRICS: Final = 50
"""A dashboard is one of the three that are free as long as it refers to no more metrics than these."""
COLUMNS: Final = 24

_OWN: Final = "ConversionRelay"
# Namespace -> its one dimension, the type of resource that this names (none: the stack), and metrics of AWS's lists.
_KNOWN: Final[dict[str, tuple[str, str, frozenset[str]]]] = {
    _OWN: ("service", "", METRICS),
    "AWS/Lambda": (
        "FunctionName",
        "AWS::Serverless::Function",
        frozenset({"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"}),
    ),
    "AWS/SQS": (
        "QueueName",
        "AWS::SQS::Queue",
        frozenset(
            {f"ApproximateNumberOfMessages{kind}" for kind in ("Visible", "NotVisible", "Delayed")}
            | {"ApproximateAgeOfOldestMessage"}
        ),
    ),
    "AWS/DynamoDB": ("TableName", "AWS::DynamoDB::Table", frozenset({"ReadThrottleEvents", "WriteThrottleEvents"})),
}
# Type of widget -> the properties that it needs, and those that it may have.
_PROPERTIES: Final[dict[str, tuple[set[str], set[str]]]] = {
    "text": ({"markdown"}, {"background"}),
    "log": ({"query", "region", "title", "view"}, {"stacked", "accountId", "queryLanguage"}),
    "metric": (
        {"metrics", "region", "stat", "title", "view"},
        {"accountId", "annotations", "legend", "liveData", "period", "setPeriodToTimeRange", "sparkline", "stacked"}
        | {"timezone", "yAxis"},
    ),
}
_VIEWS: Final = {"log": {"table", "timeSeries", "bar", "pie"}, "metric": {"timeSeries", "singleValue", "bar", "pie"}}
_STATISTIC: Final = re.compile(r"Average|Maximum|Minimum|SampleCount|Sum|p\d{1,2}(\.\d+)?")
_QUERY: Final = re.compile(r"(SOURCE '(?P<group>[^']+)' \| )+(?P<rest>\S.*)", re.DOTALL)


def faults(template: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the dashboards, one sentence each, whatever sources are enabled."""
    seen: set[str] = set()
    for choice in itertools.product(("yes", "no"), repeat=len(SWITCHES)):
        stack = Resolved(template, dict(zip(SWITCHES, choice, strict=True)))
        for name, each in stack.resources("AWS::CloudWatch::Dashboard").items():
            found = set(_of_body(each["Properties"]["DashboardBody"], stack))
            yield from (f"{name}: {fault}" for fault in sorted(found - seen))
            seen |= found


def metrics_used(template: dict[str, Any]) -> set[str]:
    """The names of the relay's own metrics that alarms and dashboards refer to."""
    watched = {
        str(each["Properties"]["MetricName"])
        for each in of_type(template, "AWS::CloudWatch::Alarm").values()
        if each["Properties"]["Namespace"] == _OWN
    }
    stack = Resolved(template, dict.fromkeys(SWITCHES, "yes"))
    for each in stack.resources("AWS::CloudWatch::Dashboard").values():
        with contextlib.suppress(ValueError, LookupError, TypeError):  # faults() says what is wrong with it
            for widget in json.loads(stack.value(each["Properties"]["DashboardBody"]))["widgets"]:
                rows = whole(widget["properties"].get("metrics", []))
                watched |= {row[1] for row in rows if row[0] == _OWN}
    return watched


def whole(rows: list[list[Any]]) -> list[list[str]]:
    """The metrics of a widget, written out: ``.`` is what stands above, ``...`` all that stands above but the last.

    Raises:
        ValueError: there is nothing above that it could stand for.
    """
    found: list[list[str]] = []
    for row in rows:
        names = [each for each in row if isinstance(each, str)]
        above = found[-1] if found else []
        if names[0] == "...":
            names = above[: max(0, len(above) - len(names) + 1)] + names[1:]
        names = [above[at] if each == "." and at < len(above) else each for at, each in enumerate(names)]
        if "." in names or "..." in names or len(names) < 4:
            raise ValueError(f"the metric {row} is not whole, and nothing above it makes it so")
        found.append(names)
    return found


def _of_body(written: Any, stack: Resolved) -> Iterator[str]:
    try:
        body = json.loads(stack.value(written))
    except ValueError as error:
        yield f"its body is no JSON: {error}"
        return
    except LookupError as error:
        yield str(error)
        return
    if unknown := set(body) - {"start", "end", "periodOverride", "variables", "widgets"}:
        yield f"a dashboard has no {sorted(unknown)}"
    widgets = body.get("widgets", [])
    if not 0 < len(widgets) <= 500:
        yield f"{len(widgets)} widgets; 1 to 500 can be shown"
    taken: dict[tuple[int, int], tuple[int, str]] = {}
    metrics = 0
    for number, widget in enumerate(widgets):
        name = repr(widget.get("properties", {}).get("title") or widget.get("properties", {}).get("markdown", "")[:20])
        try:
            yield from (f"{name}: {fault}" for fault in _of_widget(widget, stack))
            metrics += len(widget["properties"].get("metrics", []))
            for place in itertools.product(
                range(widget["x"], widget["x"] + widget["width"]), range(widget["y"], widget["y"] + widget["height"])
            ):
                below, title = taken.setdefault(place, (number, name))
                if below != number:
                    yield f"{name} lies over {title}"
                    break
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield f"{name} is not written as a widget: {type(error).__name__} {error}"
    if metrics > FREE_METRICS:
        yield f"it refers to {metrics} metrics; a dashboard that is free has {FREE_METRICS}"


def _of_widget(widget: dict[str, Any], stack: Resolved) -> Iterator[str]:
    kind, properties = widget["type"], widget["properties"]
    if set(widget) != {"type", "x", "y", "width", "height", "properties"}:
        yield f"a widget has type, x, y, width, height and properties, this one {sorted(widget)}"
    if kind not in _PROPERTIES:
        yield f"there is no widget of the type {kind}"
        return
    numbers = [widget[each] for each in ("x", "y", "width", "height")]
    if any(type(each) is not int for each in numbers) or min(numbers) < 0 or not widget["width"] * widget["height"]:
        yield "its place is no whole numbers of the grid"
    if widget["x"] + widget["width"] > COLUMNS:
        yield f"it ends beyond the {COLUMNS} columns"
    needed, allowed = _PROPERTIES[kind]
    if missing := needed - set(properties):
        yield f"it lacks {sorted(missing)}"
    if unknown := set(properties) - needed - allowed:
        yield f"a widget of the type {kind} has no {sorted(unknown)}"
    if kind != "text" and properties.get("view") not in _VIEWS[kind]:
        yield f"a widget of the type {kind} has no view {properties.get('view')}"
    if kind == "log":
        yield from _of_query(str(properties.get("query", "")), stack)
    if kind == "metric":
        yield from _of_metrics(properties, stack)


def _of_query(query: str, stack: Resolved) -> Iterator[str]:
    found = _QUERY.fullmatch(query)
    if not found or "${" in query:
        yield "its query has to be SOURCE 'log group' | and what to do with its lines"
        return
    groups = {stack.physical(name) for name in stack.resources("AWS::Logs::LogGroup")}
    for group in re.findall(r"SOURCE '([^']+)'", query):
        if group not in groups:
            yield f"there is no log group {group} in the stack"


def _of_metrics(properties: dict[str, Any], stack: Resolved) -> Iterator[str]:
    if not _STATISTIC.fullmatch(str(properties.get("stat"))):
        yield f"there is no statistic {properties.get('stat')}"
    period = properties.get("period", 60)
    if type(period) is not int or period <= 0 or period % 60:
        yield f"a period of {period} s is no whole number of minutes"
    if "sparkline" in properties and properties.get("view") != "singleValue":
        yield "only a singleValue has a sparkline"
    for each in properties.get("annotations", {}).get("horizontal", []):
        if not isinstance(each.get("value"), int | float) or not set(each) <= {"label", "value", "color", "fill"}:
            yield f"the annotation {each} needs a value, a number"
    rows = whole(properties["metrics"])
    if len({tuple(row) for row in rows}) < len(rows):
        yield "it shows a metric twice"
    for namespace, metric, *dimensions in rows:
        dimension, kind, names = _KNOWN.get(namespace, ("", "", frozenset()))
        if metric not in names:
            yield f"there is no metric {metric} in {namespace}"
        elif dimensions[:1] != [dimension] or len(dimensions) != 2:
            yield f"{metric} has the dimension {dimension}, not {dimensions}"
        elif dimensions[1] not in ({stack.physical(each) for each in stack.resources(kind)} if kind else {stack.STACK}):
            yield f"{metric} is of {dimensions[1]}, which is not in the stack"
    for row in properties["metrics"]:
        for options in row:
            if isinstance(options, dict) and not set(options) <= {"color", "id", "label", "period", "stat", "yAxis"}:
                yield f"a metric has no {sorted(options)}"
