"""Lints template.yaml: ``build/envs/sam/bin/python -m tools.lint_template`` (part of ``make lint``).

cfn-lint reads a SAM template only in part, so it gets the template as written and as SAM expands it: an unknown
``!Ref`` among the common settings or a time-out out of range shows only there. What it misses in both is in RULES.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tools.template import ROOT, TEMPLATE, code_property, of_type, read

Template = dict[str, Any]

FUNCTION: Final = "AWS::Serverless::Function"
FIXED_NAMES: Final = frozenset(
    f"{kind}Name" for kind in ("Alarm", "Bucket", "Function", "LogGroup", "Policy", "Queue", "Role", "Table")
)
# W1020: SAM writes Fn::Sub where it resolved the names. W3037: actions that only exist as parts of batches.
NOISE_OF_SAM: Final = ("W1020", "W3037")


def handlers_exist(template: Template) -> Iterator[str]:
    """A handler is a function in a file of the folder, or Lambda finds out at the first delivery."""
    handler = template["Globals"]["Function"]["Handler"]
    module, _, function = handler.rpartition(".")
    for name, each in of_type(template, FUNCTION).items():
        file = ROOT / each["Properties"]["CodeUri"] / f"{module}.py"
        if not file.exists():
            yield f"{name}: {file.relative_to(ROOT)} does not exist"
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        if function not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            yield f"{name}: {file.relative_to(ROOT)} has no function {function}"


def makefiles_build_them(template: Template) -> Iterator[str]:
    """`sam build` calls build-<logical id>, so a renamed resource needs a renamed rule."""
    for name, each in template["Resources"].items():
        if place := code_property(each):
            makefile = ROOT / each["Properties"][place] / "Makefile"
            if each.get("Metadata", {}).get("BuildMethod") != "makefile":
                yield f"{name}: without BuildMethod makefile it ships no bytecode"
            elif not makefile.exists() or f"\nbuild-{name}:" not in makefile.read_text(encoding="utf-8"):
                yield f"{name}: {makefile.relative_to(ROOT)} has no rule build-{name}"


def functions_log_into_groups_of_theirs(template: Template) -> Iterator[str]:
    """A group that Lambda makes by itself keeps its logs for ever."""
    groups = of_type(template, "AWS::Logs::LogGroup")
    for name, group in groups.items():
        if "RetentionInDays" not in group["Properties"]:
            yield f"{name}: no RetentionInDays"
    for name, each in of_type(template, FUNCTION).items():
        if each["Properties"].get("LoggingConfig", {}).get("LogGroup", {}).get("Ref") != f"{name}Logs":
            yield f"{name}: LoggingConfig must name the log group {name}Logs"
        elif f"{name}Logs" not in groups:
            yield f"{name}: there is no log group {name}Logs"


def roles_are_written_by_hand(template: Template) -> Iterator[str]:
    """SAM's own roles and policy templates allow more than a function needs."""
    for name, each in of_type(template, FUNCTION).items():
        if each["Properties"].get("Role") != {"Fn::GetAtt": [f"{name}Role", "Arn"]}:
            yield f"{name}: Role must be !GetAtt {name}Role.Arn"
        if "Policies" in each["Properties"]:
            yield f"{name}: Policies belong into {name}Role, statement by statement"
    for name, each in of_type(template, "AWS::IAM::Role").items():
        if "ManagedPolicyArns" in each["Properties"]:
            yield f"{name}: managed policies allow more than it needs"


def statements_name_what_they_are_for(template: Template) -> Iterator[str]:
    """No ``*`` where an ARN can stand: only as the end of a path below one."""
    for name, each in of_type(template, "AWS::IAM::Role").items():
        for policy in each["Properties"]["Policies"]:
            for statement in statements(policy):
                for action in _list(statement["Action"]):
                    if "*" in action:
                        yield f"{name}: action {action} has a wildcard"
                for resource in _list(statement["Resource"]):
                    text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
                    if "*" in text.removesuffix("/*") or text.startswith("*"):
                        yield f"{name}: resource {text} has a wildcard where an ARN can stand"


def statements(policy: Template) -> Iterator[Template]:
    """The statements of a policy, also those that it has under a condition only."""
    for each in policy["PolicyDocument"]["Statement"]:
        yield each["Fn::If"][1] if "Fn::If" in each else each


def nothing_has_a_fixed_name(template: Template) -> Iterator[str]:
    """Two stacks of one account must not clash."""
    for name, each in template["Resources"].items():
        for fixed in FIXED_NAMES & set(each["Properties"]):
            yield f"{name}: {fixed} is fixed, so a second stack in the account could not be made"
    for name, each in of_type(template, FUNCTION).items():
        for event in each["Properties"].get("Events", {}).values():
            if event["Type"] == "ScheduleV2" and not event["Properties"].get("OmitName"):
                yield f"{name}: its schedule needs OmitName, or SAM gives it a fixed name"


def event_sources_fit(template: Template) -> Iterator[str]:
    """What AWS refuses, or takes with a surprise, at deploy time."""
    for name, each in of_type(template, FUNCTION).items():
        for event in each["Properties"].get("Events", {}).values():
            settings = event["Properties"]
            large = settings.get("BatchSize", 10) > 10
            if event["Type"] == "SQS" and large and not settings.get("MaximumBatchingWindowInSeconds"):
                yield f"{name}: over 10 messages in a batch need MaximumBatchingWindowInSeconds"
            if event["Type"] == "DynamoDB" and "OnFailure" not in settings.get("DestinationConfig", {}):
                yield f"{name}: without an OnFailure destination the stream forgets what it gave up"


def parameters_refuse_what_is_not_allowed(template: Template) -> Iterator[str]:
    """Each is explained, limited, shown in a group, and used."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = {name for group in groups for name in group["Parameters"]}
    used = set(_references({key: template[key] for key in ("Globals", "Conditions", "Resources")}))
    for name, each in template["Parameters"].items():
        if not {"AllowedValues", "AllowedPattern", "MinValue"} & set(each):
            yield f"{name}: takes any value"
        if not {"Description", "ConstraintDescription"} <= set(each):
            yield f"{name}: needs Description and ConstraintDescription"
        if name not in shown:
            yield f"{name}: is in no parameter group"
        if name not in used:
            yield f"{name}: nothing uses it"


def alarms_say_what_to_do(template: Template) -> Iterator[str]:
    """Somebody is woken by it: it must say what to do, and reach the topic."""
    for name, each in of_type(template, "AWS::CloudWatch::Alarm").items():
        if len(each["Properties"].get("AlarmDescription", "")) < 80:
            yield f"{name}: AlarmDescription does not say what happened and what to do"
        if "AlarmActions" not in each["Properties"] or "TreatMissingData" not in each["Properties"]:
            yield f"{name}: needs AlarmActions and TreatMissingData"


RULES: Final[tuple[Callable[[Template], Iterator[str]], ...]] = (
    handlers_exist,
    makefiles_build_them,
    functions_log_into_groups_of_theirs,
    roles_are_written_by_hand,
    statements_name_what_they_are_for,
    nothing_has_a_fixed_name,
    event_sources_fit,
    parameters_refuse_what_is_not_allowed,
    alarms_say_what_to_do,
)


def problems(template: Template) -> list[str]:
    """What breaks the project's own rules, one sentence each."""
    return [problem for rule in RULES for problem in rule(template)]


def expanded(template: Template) -> Template:
    """The template after the SAM transform, as CloudFormation would create it. Needs aws-sam-translator."""
    from samtranslator.translator.transform import transform  # type: ignore[import-not-found]

    for each in template["Resources"].values():
        if place := code_property(each):
            each["Properties"][place] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # of no account: for the ARNs that it writes
    plain: Template = transform(template, {}, _NoManagedPolicies())
    return plain


class _NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("Ref"), str):
            yield value["Ref"]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Print every problem; 1 when there is any."""
    found = problems(read())
    for problem in found:
        print(f"{TEMPLATE.name}: {problem}", file=sys.stderr)
    cfn_lint = [str(Path(sys.executable).with_name("cfn-lint"))]
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch, "expanded.json")
        plain.write_text(json.dumps(expanded(read()), indent=1), encoding="utf-8")
        results = [
            subprocess.run([*cfn_lint, str(TEMPLATE)], check=False),
            subprocess.run([*cfn_lint, "--ignore-checks", *NOISE_OF_SAM, "--", str(plain)], check=False),
        ]
    return int(bool(found) or any(result.returncode for result in results))


if __name__ == "__main__":
    sys.exit(main())
