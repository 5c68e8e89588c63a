"""template.yaml as plain data, for the tools that package, lint and test it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
TEMPLATE: Final = ROOT / "template.yaml"


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms (``!Ref X``) read as their long ones (``{"Ref": "X"}``)."""


def _intrinsic(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise yaml.constructor.ConstructorError(
            None, None, f"!{name} of neither text, list nor mapping", node.start_mark
        )
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_Loader.add_multi_constructor("!", _intrinsic)


def read(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template as CloudFormation would see it in JSON."""
    template: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 -- a SafeLoader
    return template


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The resources of one type, such as ``AWS::SQS::Queue``, by logical id."""
    return {name: each for name, each in template["Resources"].items() if each["Type"] == kind}


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    """Every statement of a role, also those that a condition adds (``!If [Condition, statement, NoValue]``)."""
    written = [each for policy in role["Properties"]["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    return [each["Fn::If"][1] if "Fn::If" in each else each for each in written]


def code_property(resource: dict[str, Any]) -> str | None:
    """The property that says where a built resource's code is: ``CodeUri``, ``ContentUri``, or None."""
    return {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}.get(resource["Type"])


class Resolved:
    """What CloudFormation would make of the template with certain parameters; the rest keep their defaults.

    Physical names are made up, and unlike the logical ones; the stack is called ``relay``. What does not exist under
    the parameters, because its condition does not hold, cannot be named: that is a ``LookupError``, as it would be a
    failed deployment.
    """

    STACK: Final = "relay"
    _PSEUDO: Final = {
        "AWS::StackName": STACK,
        "AWS::Region": "eu-central-1",
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
    }

    def __init__(self, template: dict[str, Any], parameters: Mapping[str, str]) -> None:
        self._template = template
        defaults = {name: str(each.get("Default", "")) for name, each in template["Parameters"].items()}
        self._values: dict[str, str] = self._PSEUDO | defaults | dict(parameters)
        self._truths: dict[str, bool] = {}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template holds."""
        if condition not in self._truths:
            self._truths[condition] = self._is_true(self._template["Conditions"][condition])
        return self._truths[condition]

    def exists(self, name: str) -> bool:
        """Whether a resource is made."""
        condition = self._template["Resources"][name].get("Condition")
        return condition is None or self.holds(condition)

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """The resources of a type that are made, by logical id."""
        return {name: each for name, each in of_type(self._template, kind).items() if self.exists(name)}

    @staticmethod
    def physical(name: str) -> str:
        """The physical name of a resource."""
        return f"relay-{name}-1A2B3C"

    def value(self, written: Any) -> Any:
        """A value without its intrinsic functions; list items that are not there (``AWS::NoValue``) are left out.

        Raises:
            LookupError: it names what does not exist.
            ValueError: it has a function that is not known here.
        """
        if isinstance(written, list):
            return [self.value(each) for each in written if not self._is_nothing(each)]
        if not isinstance(written, dict):
            return written
        match [*written.items()]:
            case [("Ref", name)]:
                return self._named(name)
            case [("Fn::GetAtt", [name, attribute])]:
                return self._named(f"{name}.{attribute}")
            case [("Fn::If", [condition, then, otherwise])]:
                return self.value(then if self.holds(condition) else otherwise)
            case [("Fn::Sub", [text, variables])]:
                return self._filled(text, {name: self.value(each) for name, each in variables.items()})
            case [("Fn::Sub", text)]:
                return self._filled(text, {})
            case [(function, _)] if function.startswith("Fn::"):
                raise ValueError(f"{function} is not known to tools/template.py")
        return {key: self.value(each) for key, each in written.items()}

    def _filled(self, text: str, variables: Mapping[str, str]) -> str:
        def filled(found: re.Match[str]) -> str:
            return variables[found[1]] if found[1] in variables else self._named(found[1])

        return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", filled, text)

    def _named(self, name: str) -> str:
        if name in self._values:
            return self._values[name]
        resource, _, attribute = name.partition(".")
        if resource not in self._template["Resources"] or not self.exists(resource):
            raise LookupError(f"{name} does not exist where it is named")
        is_queue = self._template["Resources"][resource]["Type"] == "AWS::SQS::Queue"
        if attribute == "QueueName" or not (attribute or is_queue):
            return self.physical(resource)
        return f"{attribute or 'https://sqs'}/{self.physical(resource)}"  # an ARN or an address, and no name

    def _is_nothing(self, written: Any) -> bool:
        if isinstance(written, dict) and "Fn::If" in written:
            condition, then, otherwise = written["Fn::If"]
            return self._is_nothing(then if self.holds(condition) else otherwise)
        return bool(written == {"Ref": "AWS::NoValue"})

    def _is_true(self, condition: dict[str, Any]) -> bool:
        ((function, operands),) = condition.items()
        if function == "Condition":
            return self.holds(operands)
        if function == "Fn::Equals":
            left, right = (str(self.value(each)) for each in operands)
            return left == right
        truths = [self._is_true(each) for each in operands]
        return {"Fn::Not": not all(truths), "Fn::And": all(truths), "Fn::Or": any(truths)}[function]
