"""Draws what template.yaml makes, as a Mermaid picture in docs/architecture.md: ``python -m tools.draw_architecture``.

Everything in it is read from the template: Function URLs, event sources, rules and schedules; what each role allows
and under what name (its statements' Sids); where what fails goes; the addresses outside. Log groups, layers, policies
and roles themselves are left out. ``make fix`` draws it anew, and a test holds the page equal to what this makes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tools.template import ROOT, of_type, read, statements

PAGE: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- drawn from template.yaml by `make fix`: begin -->"
END: Final = "<!-- drawn from template.yaml by `make fix`: end -->"

FUNCTION: Final = "AWS::Serverless::Function"
_SHAPES: Final = {
    FUNCTION: ("[", "]", "function"),
    "AWS::DynamoDB::Table": ("[(", ")]", "store"),
    "AWS::S3::Bucket": ("[(", ")]", "store"),
    "AWS::SQS::Queue": ("[[", "]]", "queue"),
    "AWS::Events::EventBus": ("{{", "}}", "bus"),
}
_KINDS: Final = {
    "AWS::DynamoDB::Table": "DynamoDB",
    "AWS::S3::Bucket": "S3",
    "AWS::SQS::Queue": "SQS",
    "AWS::Events::EventBus": "EventBridge",
}
_TAKES: Final = frozenset(
    {"dynamodb:GetItem", "dynamodb:BatchGetItem", "s3:GetObject", "sqs:ReceiveMessage", "sqs:DeleteMessage",
     "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
)  # fmt: skip
"""Actions that only take something out: where a statement has no others, the arrow points to the function."""
_OUT_OF_THE_PICTURE: Final = ("logs:", "ssm:")
_LIST: Final = frozenset({"s3:ListBucket", "dynamodb:ListStreams"})
"""Actions that alone say nothing about where anything goes."""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow of the picture. ``dotted``: not the way of a good delivery, but of one that failed."""

    start: str
    end: str
    label: str
    dotted: bool = False


@dataclass(slots=True)
class Picture:
    """The parts of the picture: the stack's own nodes, those outside, and the arrows."""

    template: dict[str, Any]
    inside: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    extra: set[str] = field(default_factory=set)

    def edge(self, start: str, end: str, label: str, *, dotted: bool = False) -> None:
        """Add an arrow; one that joins the same two the same way takes the label on."""
        for index, each in enumerate(self.edges):
            if (each.start, each.end, each.dotted) == (start, end, dotted):
                labels = dict.fromkeys([*each.label.split(" · "), label])
                self.edges[index] = Edge(start, end, " · ".join(labels), dotted)
                return
        self.edges.append(Edge(start, end, label, dotted))


def mermaid(template: dict[str, Any]) -> str:
    """The picture as Mermaid's text. Resources that the default parameters do not make have a dashed border."""
    picture = Picture(template)
    for draw in (_resources, _addresses, _events, _buses, _given_up, _permissions, _endpoints, _alarms):
        draw(picture)
    lines = ["flowchart LR"]
    lines += [f"    {node}" for node in picture.outside.values()]
    lines += ['    subgraph stack["the stack"]', *(f"        {node}" for node in picture.inside.values()), "    end"]
    lines += [
        f'    {each.start} {"-.->" if each.dotted else "-->"}|"{each.label}"| {each.end}' for each in picture.edges
    ]
    lines.append("    classDef function fill:#fff3e0,stroke:#b35c00,color:#222")
    lines.append("    classDef store fill:#e3f2fd,stroke:#1565c0,color:#222")
    lines.append("    classDef queue fill:#f3e5f5,stroke:#6a1b9a,color:#222")
    lines.append("    classDef bus fill:#e8f5e9,stroke:#2e7d32,color:#222")
    lines.append("    classDef extra stroke-dasharray:5 4")
    if picture.extra:
        lines.append(f"    class {','.join(sorted(picture.extra))} extra")
    return "\n".join(lines) + "\n"


# The nodes ------------------------------------------------------------------------------------------------------------


def _resources(picture: Picture) -> None:
    for name, each in picture.template["Resources"].items():
        if each["Type"] not in _SHAPES:
            continue
        opening, closing, kind = _SHAPES[each["Type"]]
        below = _secrets(picture, name) if each["Type"] == FUNCTION else [_KINDS[each["Type"]]]
        label = "<br/>".join([name, *below])
        picture.inside[name] = f'{name}{opening}"{label}"{closing}:::{kind}'
        _mark_extra(picture, name, each)


def _secrets(picture: Picture, function: str) -> Iterator[str]:
    """The parameters that a function may read, below the stack's name in the Parameter Store."""
    for statement in _statements_of(picture, function):
        if "ssm:GetParameter" in _listed(statement["Action"]):
            paths = [_text(each).partition("${AWS::StackName}/")[2] for each in _listed(statement["Resource"])]
            folder = {path.rpartition("/")[0] for path in paths}
            names = ", ".join(path.rpartition("/")[2] for path in paths)
            yield (
                f"reads {folder.pop()}/: {names}"
                if len(paths) > 1 and len(folder) == 1
                else f"reads {', '.join(paths)}"
            )


def _mark_extra(picture: Picture, node: str, resource: Mapping[str, Any]) -> None:
    if not is_made(picture.template, resource):
        picture.extra.add(node)


def is_made(template: dict[str, Any], resource: Mapping[str, Any]) -> bool:
    """Whether a stack with the parameters' defaults has this resource."""
    return "Condition" not in resource or holds(template, {"Condition": resource["Condition"]})


def holds(template: dict[str, Any], condition: Mapping[str, Any]) -> bool:
    """Whether a condition of the template holds with the parameters' defaults."""
    ((kind, of),) = condition.items()
    match kind:
        case "Condition":
            return holds(template, template["Conditions"][of])
        case "Fn::Not":
            return not holds(template, of[0])
        case "Fn::And":
            return all(holds(template, each) for each in of)
        case "Fn::Or":
            return any(holds(template, each) for each in of)
        case "Fn::Equals":
            left, right = (_default(template, each) for each in of)
            return left == right
    raise ValueError(f"{kind} is a condition that this tool does not know: add it to holds")


def _default(template: dict[str, Any], value: Any) -> str:
    if isinstance(value, dict) and "Ref" in value:
        value = template["Parameters"][value["Ref"]].get("Default", "")
    return str(value)


# The arrows -----------------------------------------------------------------------------------------------------------


def _addresses(picture: Picture) -> None:
    for name, each in of_type(picture.template, FUNCTION).items():
        if url := each["Properties"].get("FunctionUrlConfig"):
            caller = f"callers{name}"
            whose = (
                name.removesuffix("Receiver")
                .replace("Calls", "call platforms")
                .replace("Custom", "other platforms")
                .replace("ClickMemory", "browsers on your pages")
            )
            picture.outside[caller] = f'{caller}(["{whose}"])'
            picture.edge(caller, name, f"Function URL, AuthType {url['AuthType']}")
            _mark_extra(picture, caller, each)


def _events(picture: Picture) -> None:
    for name, each in of_type(picture.template, FUNCTION).items():
        for event_name, event in each["Properties"].get("Events", {}).items():
            properties = event["Properties"]
            if destination := properties.get("DestinationConfig", {}).get("OnFailure"):
                hours = properties["MaximumRecordAgeInSeconds"] // 3600
                said = f"given up after {hours} h or {properties['MaximumRetryAttempts']:,} retries"
                picture.edge(name, _target(destination["Destination"]), said, dotted=True)
            match event["Type"]:
                case "DynamoDB":
                    picture.edge(_target(properties["Stream"]), name, f"stream, {properties['BatchSize']} at a time")
                case "SQS":
                    picture.edge(_target(properties["Queue"]), name, f"{properties['BatchSize']} at a time")
                case "ScheduleV2" | "Schedule":
                    schedule = f"{name}{event_name}"
                    rate = properties.get("ScheduleExpression", properties.get("Schedule"))
                    said = rate["Ref"] if isinstance(rate, dict) else rate
                    picture.inside[schedule] = f'{schedule}(["schedule<br/>{said}"])'
                    picture.edge(schedule, name, "starts")
                case other:
                    raise ValueError(f"{name} has an event of the type {other}: add it to _events")


def _buses(picture: Picture) -> None:
    for name, bus in of_type(picture.template, "AWS::Events::EventBus").items():
        partner = f"partner{name}"
        picture.outside[partner] = f'{partner}(["{name.removesuffix("Bus")}<br/>partner event source"])'
        picture.edge(partner, name, "events")
        _mark_extra(picture, partner, bus)
    for rule in of_type(picture.template, "AWS::Events::Rule").values():
        for target in rule["Properties"]["Targets"]:
            picture.edge(_target(rule["Properties"]["EventBusName"]), _target(target["Arn"]), "rule")


def _permissions(picture: Picture) -> None:
    told = {(each.start, each.end) for each in picture.edges}
    for function in of_type(picture.template, FUNCTION):
        for statement in _statements_of(picture, function):
            actions = set(_listed(statement["Action"])) - _LIST
            if not actions or any(each.startswith(_OUT_OF_THE_PICTURE) for each in actions):
                continue
            takes, gives_up = actions <= _TAKES, statement["Sid"].startswith("GiveUp")
            for target in dict.fromkeys(_target(each) for each in _listed(statement["Resource"])):
                if (target, function) in told and (takes or _reads_stream(actions)):
                    continue  # its event source says so already
                if (function, target) in told and gives_up:
                    continue  # and so does what the service does with what it gives up
                start, end = (target, function) if takes else (function, target)
                failed = gives_up or statement["Sid"].startswith("Park")
                picture.edge(start, end, statement["Sid"], dotted=failed)


def _reads_stream(actions: set[str]) -> bool:
    return all(re.match(r"dynamodb:.*(Stream|Records|ShardIterator)", each) for each in actions)


def _given_up(picture: Picture) -> None:
    for name, queue in of_type(picture.template, "AWS::SQS::Queue").items():
        if policy := queue["Properties"].get("RedrivePolicy"):
            said = f"after {policy['maxReceiveCount']:,} receives"
            picture.edge(name, _target(policy["deadLetterTargetArn"]), said, dotted=True)
    for each in of_type(picture.template, "AWS::Lambda::EventInvokeConfig").values():
        destination = each["Properties"].get("DestinationConfig", {}).get("OnFailure")
        if destination:
            function, attempts = _target(each["Properties"]["FunctionName"]), each["Properties"]["MaximumRetryAttempts"]
            said = f"events of a bus, given up after {attempts + 1} attempts"
            picture.edge(function, _target(destination["Destination"]), said, dotted=True)


def _endpoints(picture: Picture) -> None:
    """Addresses outside, which functions call: every setting that is a parameter named …Endpoint."""
    for name, each in of_type(picture.template, FUNCTION).items():
        for value in each["Properties"].get("Environment", {}).get("Variables", {}).values():
            parameter = value.get("Ref", "") if isinstance(value, dict) else ""
            if parameter.endswith("Endpoint"):
                host = urlsplit(picture.template["Parameters"][parameter]["Default"]).hostname
                picture.outside[parameter] = f'{parameter}(["{host}<br/>{parameter}"])'
                picture.edge(name, parameter, "HTTPS")
                _mark_extra(picture, parameter, each)


def _alarms(picture: Picture) -> None:
    alarms = of_type(picture.template, "AWS::CloudWatch::Alarm")
    if alarms:
        made = [each for each in alarms.values() if is_made(picture.template, each)]
        picture.inside["alarms"] = f'alarms(["CloudWatch alarms<br/>{len(made)} by default, {len(alarms)} in all"])'
        picture.outside["AlarmTopicArn"] = 'AlarmTopicArn(["SNS<br/>AlarmTopicArn"])'
        picture.edge("alarms", "AlarmTopicArn", "if there is a topic")


# Reading the template -------------------------------------------------------------------------------------------------


def _statements_of(picture: Picture, function: str) -> list[dict[str, Any]]:
    return statements(picture.template["Resources"][f"{function}Role"])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value["Fn::Sub"]) if isinstance(value, dict) and "Fn::Sub" in value else str(value)


def _target(value: Any) -> str:
    """The resource that a value is of: ``!Ref X``, ``!GetAtt X.Arn``, ``!Sub ${X.Arn}/…``."""
    if isinstance(value, dict):
        if "Ref" in value:
            return str(value["Ref"])
        if "Fn::GetAtt" in value:
            return str(value["Fn::GetAtt"][0])
        if "Fn::Sub" in value and (found := re.match(r"\$\{(\w+)(\.\w+)?\}", value["Fn::Sub"])):
            return found[1]
    raise ValueError(f"{value} names no resource of the stack")


# The page -------------------------------------------------------------------------------------------------------------


def drawn(page: str, template: dict[str, Any]) -> str:
    """The page with the picture of this template between its two marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page lacks the lines between which the picture stands: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n```mermaid\n{mermaid(template)}```\n{END}{after}"


def main(path: Path = PAGE) -> int:
    """Draw the picture anew; says so if it changed."""
    page = path.read_text(encoding="utf-8")
    new = drawn(page, read())
    if new != page:
        path.write_text(new, encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: the picture of template.yaml is drawn anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
