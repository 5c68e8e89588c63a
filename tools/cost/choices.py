"""What template.yaml chooses under given parameters: conditions decided, references filled in, Globals merged.

A reference to a resource becomes its logical id, an attribute of one ``Id.Attribute``: enough to know what is there,
and to give a function its environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tools.template import read

ABSENT: Final = object()
"""What ``AWS::NoValue`` takes away."""
STACK: Final = "relay"
_PSEUDO: Final[Mapping[str, Any]] = {
    "AWS::StackName": STACK,
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::NoValue": ABSENT,
    "AWS::URLSuffix": "amazonaws.com",
}
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_MINUTES: Final = {"minute": 1, "hour": 60, "day": 1440}


class UnknownParameter(ValueError):
    """The template has no such parameter; the text names it."""


@cache
def _template() -> Mapping[str, Any]:
    return read()


@dataclass(frozen=True, slots=True)
class FunctionChoice:
    """A Lambda function. ``stream_batch`` and ``stream_window_s``: of its source of stream records, if it has one."""

    name: str
    folder: str
    memory_mb: int
    architecture: str
    environment: Mapping[str, str]
    log_format: str
    system_level: str
    stream_batch: int | None
    stream_window_s: float


class Choices:
    """A deployment with these parameters.

    Raises:
        UnknownParameter: the template has none of this name.
    """

    def __init__(self, parameters: Mapping[str, str] | None = None, template: Mapping[str, Any] | None = None) -> None:
        self._template = _template() if template is None else template
        declared: Mapping[str, Any] = self._template["Parameters"]
        if unknown := set(parameters or {}) - set(declared):
            raise UnknownParameter(f"template.yaml has no parameter {', '.join(sorted(unknown))}.")
        defaults = {name: str(each["Default"]) for name, each in declared.items() if "Default" in each}
        self.parameters: Mapping[str, str] = {**defaults, **(parameters or {})}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template holds."""
        return bool(self.value(self._template["Conditions"][condition]))

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of the resources of a type that are made, by logical id."""
        return {
            name: self.value(each.get("Properties", {}))
            for name, each in self._template["Resources"].items()
            if each["Type"] == kind and ("Condition" not in each or self.holds(each["Condition"]))
        }

    def functions(self) -> dict[str, FunctionChoice]:
        """Every function that is made, by logical id, with what all of them share."""
        shared = self.value(self._template.get("Globals", {}).get("Function", {}))
        return {
            name: _function(name, _merged(shared, own))
            for name, own in self.of_type("AWS::Serverless::Function").items()
        }

    def runs_a_month(self, hours: float) -> float:
        """How often the sender's schedule fires.

        Raises:
            ValueError: the schedule is none that is understood here.
        """
        found = _RATE.fullmatch(self.parameters["SendEvery"])
        if found is None:
            raise ValueError(f"SendEvery {self.parameters['SendEvery']!r} is no rate")
        return hours * 60 / (int(found[1]) * _MINUTES[found[2]])

    def value(self, node: Any) -> Any:
        """A part of the template with its functions carried out; ABSENT where nothing is left."""
        if isinstance(node, list):
            return [each for each in map(self.value, node) if each is not ABSENT]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, told),) = node.items()
            carry_out = getattr(self, _FUNCTIONS.get(name, ""), None)
            if carry_out is not None and (name != "Condition" or isinstance(told, str)):  # not that of a policy
                return carry_out(told)
        values = {name: self.value(each) for name, each in node.items()}
        return {name: each for name, each in values.items() if each is not ABSENT}

    def _ref(self, name: str) -> Any:
        return _PSEUDO.get(name, self.parameters.get(name, name))

    def _if(self, told: Sequence[Any]) -> Any:
        return self.value(told[1] if self.holds(told[0]) else told[2])

    def _equals(self, told: Sequence[Any]) -> bool:
        return str(self.value(told[0])) == str(self.value(told[1]))

    def _not(self, told: Sequence[Any]) -> bool:
        return not self.value(told[0])

    def _and(self, told: Sequence[Any]) -> bool:
        return all(map(self.value, told))

    def _or(self, told: Sequence[Any]) -> bool:
        return any(map(self.value, told))

    def _attribute(self, told: Sequence[str] | str) -> str:
        return told if isinstance(told, str) else ".".join(told)

    def _substituted(self, told: Any) -> str:
        text, own = (told, {}) if isinstance(told, str) else (told[0], self.value(told[1]))
        return re.sub(r"\$\{([^!}]+)\}", lambda found: str(own.get(found[1], self._ref(found[1]))), text)

    def _joined(self, told: Sequence[Any]) -> str:
        return str(told[0]).join(map(str, self.value(told[1])))


_FUNCTIONS: Final = {
    "Ref": "_ref",
    "Condition": "holds",
    "Fn::If": "_if",
    "Fn::Equals": "_equals",
    "Fn::Not": "_not",
    "Fn::And": "_and",
    "Fn::Or": "_or",
    "Fn::GetAtt": "_attribute",
    "Fn::Sub": "_substituted",
    "Fn::Join": "_joined",
}


def _merged(shared: Any, own: Any) -> Any:
    """As SAM merges Globals into a function: maps member by member, lists one after the other, others replaced."""
    if isinstance(shared, dict) and isinstance(own, dict):
        return {**shared, **{name: _merged(shared[name], own[name]) if name in shared else own[name] for name in own}}
    if isinstance(shared, list) and isinstance(own, list):
        return [*shared, *own]
    return own


def _function(name: str, told: Mapping[str, Any]) -> FunctionChoice:
    logging = told.get("LoggingConfig", {})
    streams = [each["Properties"] for each in told.get("Events", {}).values() if each["Type"] == "DynamoDB"]
    return FunctionChoice(
        name=name,
        folder=str(told["CodeUri"]),
        memory_mb=int(told["MemorySize"]),
        architecture=str(told["Architectures"][0]),
        environment={key: str(each) for key, each in told.get("Environment", {}).get("Variables", {}).items()},
        log_format=str(logging.get("LogFormat", "Text")),
        system_level=str(logging.get("SystemLogLevel", "INFO")),
        stream_batch=int(streams[0].get("BatchSize", 100)) if streams else None,
        stream_window_s=float(streams[0].get("MaximumBatchingWindowInSeconds", 0)) if streams else 0.0,
    )
