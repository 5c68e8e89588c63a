"""Every rule of the project for its template finds what breaks it."""

import copy
from typing import Any

import pytest

from tools.lint_template import problems
from tools.template import read

TEMPLATE = read()
EVERYBODY = {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": "s3:GetObject", "Resource": "*"}
BUCKET = ("Resources", "ParkingBucket", "Properties")
FUNCTION = ("Globals", "Function")


def test_the_template_keeps_them_all() -> None:
    assert problems(read()) == []


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("Globals", "Function", "Handler"), "app.handle", "has no function handle"),
        (("Globals", "Function", "Handler"), "main.handler", "functions/sender/main.py does not exist"),
        (("Resources", "Sender", "Metadata"), {}, "ships no bytecode"),
        (("Resources", "Sender", "Properties", "LoggingConfig"), {}, "must name the log group SenderLogs"),
        (("Resources", "Sender", "Properties", "Role"), "arn", "Role must be !GetAtt SenderRole.Arn"),
        (("Resources", "Sender", "Properties", "Policies"), [], "statement by statement"),
        (("Resources", "SenderLogs", "Properties"), {}, "no RetentionInDays"),
        (("Resources", "SenderRole", "Properties", "ManagedPolicyArns"), [], "managed policies"),
        (("Resources", "Queue", "Properties", "QueueName"), "events", "QueueName is fixed"),
        (("Resources", "ShopifyBusPermission", "Properties", "FunctionName"), "relay", "FunctionName is fixed"),
        (("Resources", "Sender", "Properties", "Events", "Run", "Properties", "OmitName"), False, "fixed name"),
        (
            ("Resources", "Outbox", "Properties", "Events", "Recorded", "Properties", "DestinationConfig"),
            {},
            "OnFailure",
        ),
        (("Resources", "BlockedAlarm", "Properties", "AlarmDescription"), "Blocked!", "what to do"),
        (("Resources", "BlockedAlarm", "Properties", "AlarmDescription"), "Do this. " * 120, "what to do"),
        (("Resources", "BlockedAlarm", "Properties", "TreatMissingData"), None, "needs AlarmActions"),
        (
            ("Resources", "BlockedAlarm", "Properties", "MetricName"),
            "Stopped",
            "no function writes the metrics Stopped",
        ),
        (("Resources", "BlockedAlarm", "Properties", "MetricName"), "Stopped", "more than 10 metrics"),
        (("Resources", "BlockedAlarm", "Properties", "Dimensions"), [], "one dimension, service"),
        (("Resources", "DeadLetterAlarm"), None, "DeadLetterQueue: takes what was given up, and no alarm"),
        (("Resources", "DeadLetterAlarm", "Condition"), "HasShopify", "DeadLetterQueue: takes what was given up"),
        (("Resources", "FetchDeadLetterAlarm"), None, "FetchDeadLetterQueue: takes what was given up"),
        (("Resources", "OutboxFailuresAlarm", "Properties", "Threshold"), 5, "OutboxFailures: takes what was given up"),
        (("Resources", "PrivacyFailuresAlarm"), None, "PrivacyFailures: takes what was given up"),
        (("Resources", "ShopifyBusGivenUpAlarm"), None, "no alarm watches AsyncEventsDropped"),
        (("Resources", "StripeBusLostAlarm"), None, "no alarm watches DestinationDeliveryFailures"),
        (
            ("Resources", "ParkingBucketPolicy", "Properties", "PolicyDocument", "Statement"),
            [EVERYBODY],
            "lets everybody in",
        ),
        (
            ("Resources", "QueuePolicy", "Properties", "PolicyDocument", "Statement", 0, "Effect"),
            "Allow",
            "lets everybody in",
        ),
        (("Resources", "ShopifyBusPermission", "Properties", "Principal"), "*", "everybody may start"),
        ((*BUCKET, "PublicAccessBlockConfiguration", "BlockPublicPolicy"), False, "public access is not blocked"),
        ((*BUCKET, "PublicAccessBlockConfiguration"), None, "public access is not blocked"),
        (("Resources", "Sender", "Properties", "FunctionUrlConfig"), {"AuthType": "NONE"}, "an address that is public"),
        (("Resources", "Queue", "Properties", "SqsManagedSseEnabled"), None, "Queue: is not encrypted"),
        (("Resources", "Ledger", "Properties", "SSESpecification"), None, "Ledger: is not encrypted"),
        ((*BUCKET, "BucketEncryption"), None, "ParkingBucket: is not encrypted"),
        (("Resources", "Ledger", "DeletionPolicy"), None, "Ledger: needs a DeletionPolicy"),
        (("Resources", "Ledger", "UpdateReplacePolicy"), "Delete", "Ledger: needs a UpdateReplacePolicy"),
        (("Resources", "ParkingBucket", "DeletionPolicy"), "Delete", "ParkingBucket: needs a DeletionPolicy"),
        ((*FUNCTION, "Runtime"), "python3.12", "must run on python3.13"),
        (("Resources", "Sender", "Properties", "Runtime"), "python3.14", "Sender: must run on python3.13"),
        (("Resources", "Sender", "Properties", "Architectures"), ["arm64"], "Sender: must run on"),
        (("Resources", "RelayLayer", "Properties", "CompatibleRuntimes"), ["python3.12"], "RelayLayer: must be for"),
        (("Resources", "RelayLayer", "Properties", "CompatibleArchitectures"), ["arm64"], "RelayLayer: must be for"),
        ((*FUNCTION, "LoggingConfig", "LogFormat"), "Text", "must log as"),
        ((*FUNCTION, "LoggingConfig", "ApplicationLogLevel"), "ERROR", "must log as"),
        (("Resources", "Sender", "Properties", "LoggingConfig", "SystemLogLevel"), "INFO", "Sender: must log as"),
        (("Outputs", "QueueUrl", "Description"), None, "QueueUrl: an output needs a Description"),
        (("Parameters", "PixelId", "Description"), None, "needs Description"),
        (("Parameters", "PixelId", "ConstraintDescription"), None, "needs Description and ConstraintDescription"),
        (("Parameters", "Unused"), {"MinValue": 1}, "is in no parameter group"),
        (("Resources", "StackDashboard", "Properties", "DashboardName"), "relay", "DashboardName is fixed"),
        (("Resources", "StackDashboard", "Properties", "DashboardBody"), "{", "StackDashboard: its body is no JSON"),
        (("Resources", "SaleQuery", "Properties", "Name"), "What became of a sale", "begin it with the stack's name"),
        (("Parameters", "PixelId", "AllowedPattern"), None, "takes any value"),
        (("Parameters", "Unused"), {"MinValue": 1}, "nothing uses it"),
    ],
)
def test_a_fault_in_the_template_is_found(path: tuple[str | int, ...], value: Any, problem: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    place: Any = template
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    assert any(problem in found for found in problems(template))


@pytest.mark.parametrize(("part", "value"), [("Action", "dynamodb:*"), ("Resource", "*")])
def test_a_wildcard_in_a_role_is_found(part: str, value: str) -> None:
    template = copy.deepcopy(TEMPLATE)
    template["Resources"]["SenderRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0][part] = value
    assert any("wildcard" in found for found in problems(template))


def test_an_sqs_batch_over_ten_without_a_window_is_found() -> None:
    template = copy.deepcopy(TEMPLATE)
    event = {"Type": "SQS", "Properties": {"BatchSize": 100}}
    template["Resources"]["Sender"]["Properties"]["Events"]["Queue"] = event
    assert any("MaximumBatchingWindowInSeconds" in found for found in problems(template))
