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

from tools import lint_dashboard
from tools.template import ROOT, TEMPLATE, code_property, of_type, read, statements

Template = dict[str, Any]

FUNCTION: Final = "AWS::Serverless::Function"
FIXED_NAMES: Final = frozenset(
    f"{kind}Name"
    for kind in ("Alarm", "Bucket", "Dashboard", "Function", "LogGroup", "Policy", "Queue", "Role", "Table")
)
ALARM: Final = "AWS::CloudWatch::Alarm"
RUNTIME: Final = "python3.13"
LOGGING: Final = {"LogFormat": "JSON", "SystemLogLevel": "WARN"}
PUBLIC: Final = ("ClickMemory",)
"""Called by browsers, which have no secret to sign with: its code takes nothing on trust (docs/threat-model.md)."""
MOST_METRICS: Final = 10
"""So many of the account's own metrics are free."""
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
        for statement in statements(each):
            for action in _list(statement["Action"]):
                if "*" in action:
                    yield f"{name}: action {action} has a wildcard"
            for resource in _list(statement["Resource"]):
                text = resource.get("Fn::Sub", "") if isinstance(resource, dict) else resource
                if "*" in text.removesuffix("/*") or text.startswith("*"):
                    yield f"{name}: resource {text} has a wildcard where an ARN can stand"


def nothing_has_a_fixed_name(template: Template) -> Iterator[str]:
    """Two stacks of one account must not clash."""
    for name, each in template["Resources"].items():
        if each["Type"] == "AWS::Logs::QueryDefinition" and "${AWS::StackName}" not in str(each["Properties"]["Name"]):
            yield f"{name}: Name is fixed; begin it with the stack's name"
        for fixed in FIXED_NAMES & set(each["Properties"]):
            value = each["Properties"][fixed]
            if isinstance(value, dict) and value.get("Ref") in template["Resources"]:
                continue  # not its own name: that of something else in this stack
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


def outputs_are_explained(template: Template) -> Iterator[str]:
    """Somebody reads them in the console, after the first deployment."""
    for name, each in template["Outputs"].items():
        if len(each.get("Description", "")) < 10:
            yield f"{name}: an output needs a Description"


def alarms_say_what_to_do(template: Template) -> Iterator[str]:
    """Somebody is woken by it: it must say what to do, and reach the topic."""
    for name, each in of_type(template, ALARM).items():
        if not 80 <= len(each["Properties"].get("AlarmDescription", "")) <= 1024:
            yield f"{name}: AlarmDescription does not say what happened and what to do in 80 to 1,024 characters"
        if "AlarmActions" not in each["Properties"] or "TreatMissingData" not in each["Properties"]:
            yield f"{name}: needs AlarmActions and TreatMissingData"


def what_is_given_up_raises_an_alarm(template: Template) -> Iterator[str]:
    """A message in a dead-letter queue, or what a function's failure sends elsewhere, waits for somebody to be told."""
    for queue in sorted(_dead_letters(template)):
        watched = {"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}
        if not _is_watched(template, queue, "ApproximateNumberOfMessagesVisible", watched):
            yield f"{queue}: takes what was given up, and no alarm watches it"
    for name, each in of_type(template, "AWS::Lambda::EventInvokeConfig").items():
        if "OnFailure" in each["Properties"].get("DestinationConfig", {}):
            function = each["Properties"]["FunctionName"]
            for metric in ("AsyncEventsDropped", "DestinationDeliveryFailures"):
                if not _is_watched(template, name, metric, {"Name": "FunctionName", "Value": function}):
                    yield f"{name}: Lambda gives events up, and no alarm watches {metric}"


def nobody_is_let_in_without_a_role(template: Template) -> Iterator[str]:
    """Public are the addresses of the receivers, where a signature is the guard, and of what browsers call."""
    for name, each in template["Resources"].items():
        for statement in _statements_anywhere(each.get("Properties", {})):
            principals = _list(statement.get("Principal", []))
            everybody = [who for who in principals if who == "*" or (isinstance(who, dict) and "*" in _flat(who))]
            if everybody and statement.get("Effect") == "Allow":
                yield f"{name}: a statement lets everybody in"
        if each["Type"] == "AWS::Lambda::Permission" and each["Properties"]["Principal"] == "*":
            yield f"{name}: everybody may start the function"
        if each["Type"] == "AWS::S3::Bucket":
            blocked = each["Properties"].get("PublicAccessBlockConfiguration", {})
            kinds = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
            if any(blocked.get(kind) is not True for kind in kinds):
                yield f"{name}: public access is not blocked"
        address = each["Properties"].get("FunctionUrlConfig") if each["Type"] == FUNCTION else None
        if address and address.get("AuthType") != "AWS_IAM" and not (name.endswith("Receiver") or name in PUBLIC):
            yield f"{name}: only a receiver and {', '.join(PUBLIC)} may have an address that is public"


def what_is_held_is_encrypted(template: Template) -> Iterator[str]:
    """Said outright, so that it does not hang on the defaults of an account."""
    for name, each in template["Resources"].items():
        held = each.get("Properties", {})
        encrypted = {
            "AWS::SQS::Queue": held.get("SqsManagedSseEnabled") is True or "KmsMasterKeyId" in held,
            "AWS::DynamoDB::Table": held.get("SSESpecification", {}).get("SSEEnabled") is True,
            "AWS::S3::Bucket": bool(held.get("BucketEncryption")),
        }
        if not encrypted.get(each["Type"], True):
            yield f"{name}: is not encrypted"


def data_outlives_the_stack(template: Template) -> Iterator[str]:
    """The ledger knows what has been counted: it must not go with a stack, or with a property that replaces it."""
    for name, each in template["Resources"].items():
        if each["Type"] in ("AWS::DynamoDB::Table", "AWS::S3::Bucket"):
            for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
                if not str(each.get(policy)).startswith("Retain"):
                    yield f"{name}: needs a {policy} that retains it"


def functions_run_alike(template: Template) -> Iterator[str]:
    """One runtime, one processor, one form of the log: what differs is found out by one function alone."""
    common = template["Globals"]["Function"]
    for name, each in of_type(template, FUNCTION).items():
        merged = common | each["Properties"]
        logging = common.get("LoggingConfig", {}) | each["Properties"].get("LoggingConfig", {})
        if merged.get("Runtime") != RUNTIME or merged.get("Architectures") != [{"Ref": "Architecture"}]:
            yield f"{name}: must run on {RUNTIME}, on the processor of the parameter Architecture"
        if {key: value for key, value in logging.items() if key != "LogGroup"} != LOGGING:
            yield f"{name}: must log as {LOGGING}"
    for name, each in of_type(template, "AWS::Serverless::LayerVersion").items():
        processors = set(template["Parameters"]["Architecture"]["AllowedValues"])
        fits = set(each["Properties"].get("CompatibleArchitectures", [])) == processors
        if not fits or each["Properties"].get("CompatibleRuntimes") != [RUNTIME]:
            yield f"{name}: must be for {RUNTIME} and every processor of the parameter Architecture"


def metrics_are_the_relay_s(template: Template) -> Iterator[str]:
    """Each further metric of one's own is 0.30 USD a month, and one that nobody writes never raises its alarm."""
    used = lint_dashboard.metrics_used(template)
    if unknown := used - lint_dashboard.METRICS:
        yield f"no function writes the metrics {', '.join(sorted(unknown))}"
    if len(used | lint_dashboard.METRICS) > MOST_METRICS:
        yield f"more than {MOST_METRICS} metrics are used"
    of_the_stack = [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}]
    for name, each in of_type(template, ALARM).items():
        own = each["Properties"]["Namespace"] == "ConversionRelay"
        if own and each["Properties"]["Dimensions"] != of_the_stack:
            yield f"{name}: the relay's metrics have one dimension, service, which is the stack's name"


RULES: Final[tuple[Callable[[Template], Iterator[str]], ...]] = (
    handlers_exist,
    makefiles_build_them,
    functions_log_into_groups_of_theirs,
    roles_are_written_by_hand,
    statements_name_what_they_are_for,
    nothing_has_a_fixed_name,
    event_sources_fit,
    parameters_refuse_what_is_not_allowed,
    outputs_are_explained,
    alarms_say_what_to_do,
    what_is_given_up_raises_an_alarm,
    nobody_is_let_in_without_a_role,
    what_is_held_is_encrypted,
    data_outlives_the_stack,
    functions_run_alike,
    lint_dashboard.faults,
    metrics_are_the_relay_s,
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


def _dead_letters(template: Template) -> set[str]:
    """The queues that take what was given up: by a queue, by a reader of a stream, or by an asynchronous call."""
    found: set[str] = set()
    for each in of_type(template, "AWS::SQS::Queue").values():
        found |= set(_flat(each["Properties"].get("RedrivePolicy", {}).get("deadLetterTargetArn", {})))
    for each in template["Resources"].values():
        for destination in _under(each.get("Properties", {}), "OnFailure"):
            found |= set(_flat(destination))
    return found & set(of_type(template, "AWS::SQS::Queue"))


def _is_watched(template: Template, name: str, metric: str, dimension: dict[str, Any]) -> bool:
    """Whether an alarm for any value over 0 is there whenever the resource is."""
    return any(
        (alarm["Properties"]["MetricName"], alarm["Properties"]["Dimensions"]) == (metric, [dimension])
        and (alarm["Properties"]["Threshold"], alarm["Properties"]["ComparisonOperator"]) == (0, "GreaterThanThreshold")
        and alarm.get("Condition") in (None, template["Resources"][name].get("Condition"))
        for alarm in of_type(template, ALARM).values()
    )


def _statements_anywhere(properties: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for written in _under(properties, "Statement"):
        for each in _list(written):
            yield each["Fn::If"][1] if "Fn::If" in each else each


def _under(value: Any, key: str) -> Iterator[Any]:
    """Whatever stands under a key, however deep."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for each in value.values():
            yield from _under(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _under(each, key)


def _flat(value: Any) -> Iterator[str]:
    """Every text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _flat(each)


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
