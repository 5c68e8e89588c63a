"""tools/deploy_role.yaml: who may take the roles, and that they suffice for the template and reach no further."""

import re
from typing import Any

import pytest

from tools.template import ROOT, of_type, read, statements

ROLE = read(ROOT / "tools" / "deploy_role.yaml")
TEMPLATE = read()
GITHUB, CLOUDFORMATION = (ROLE["Resources"][name] for name in ("GitHubRole", "CloudFormationRole"))

# What CloudFormation calls to make, change and delete a resource of each type, also of those that SAM makes.
NEEDS = {
    "AWS::CloudWatch::Alarm": {"cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms"},
    "AWS::CloudWatch::Dashboard": {"cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards"},
    "AWS::DynamoDB::Table": {
        "dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
        "dynamodb:UpdateContinuousBackups", "dynamodb:DescribeContinuousBackups",
    },
    "AWS::Events::EventBus": {"events:CreateEventBus", "events:DescribeEventBus", "events:DeleteEventBus"},
    "AWS::Events::Rule": {"events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:DeleteRule"},
    "AWS::IAM::Role": {
        "iam:CreateRole", "iam:GetRole", "iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:DeleteRole", "iam:PassRole",
        "iam:UpdateAssumeRolePolicy",
    },
    "AWS::Lambda::EventInvokeConfig": {
        "lambda:PutFunctionEventInvokeConfig", "lambda:UpdateFunctionEventInvokeConfig",
        "lambda:DeleteFunctionEventInvokeConfig",
    },
    "AWS::Lambda::EventSourceMapping": {
        "lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping",
        "lambda:DeleteEventSourceMapping",
    },
    "AWS::Lambda::Permission": {"lambda:AddPermission", "lambda:RemovePermission", "lambda:GetPolicy"},
    "AWS::Lambda::Url": {
        "lambda:CreateFunctionUrlConfig", "lambda:UpdateFunctionUrlConfig", "lambda:DeleteFunctionUrlConfig",
    },
    "AWS::Logs::LogGroup": {"logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"},
    "AWS::Logs::QueryDefinition": {"logs:PutQueryDefinition", "logs:DeleteQueryDefinition"},
    "AWS::S3::Bucket": {
        "s3:CreateBucket", "s3:PutEncryptionConfiguration", "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketOwnershipControls", "s3:PutLifecycleConfiguration",
    },
    "AWS::S3::BucketPolicy": {"s3:PutBucketPolicy", "s3:GetBucketPolicy", "s3:DeleteBucketPolicy"},
    "AWS::SQS::Queue": {"sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:GetQueueAttributes", "sqs:DeleteQueue"},
    "AWS::SQS::QueuePolicy": {"sqs:SetQueueAttributes"},
    "AWS::Scheduler::Schedule": {
        "scheduler:CreateSchedule", "scheduler:UpdateSchedule", "scheduler:GetSchedule", "scheduler:DeleteSchedule",
    },
    "AWS::Serverless::Function": {
        "lambda:CreateFunction", "lambda:GetFunction", "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration", "lambda:DeleteFunction", "lambda:PutFunctionConcurrency",
    },
    "AWS::Serverless::LayerVersion": {"lambda:PublishLayerVersion", "lambda:DeleteLayerVersion"},
}  # fmt: skip
EVENTS = {"DynamoDB": "AWS::Lambda::EventSourceMapping", "SQS": "AWS::Lambda::EventSourceMapping"}
EVENTS |= {"ScheduleV2": "AWS::Scheduler::Schedule"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(role: dict[str, Any]) -> set[str]:
    return {action for statement in statements(role) for action in listed(statement["Action"])}


def types_made() -> set[str]:
    """Every type of resource, with what SAM makes of a function's events, address and invoke settings."""
    made = {each["Type"] for each in TEMPLATE["Resources"].values()}
    for each in of_type(TEMPLATE, "AWS::Serverless::Function").values():
        properties = each["Properties"]
        made |= {EVENTS[event["Type"]] for event in properties.get("Events", {}).values()}
        made |= {"AWS::Lambda::Url", "AWS::Lambda::Permission"} if "FunctionUrlConfig" in properties else set()
        made |= {"AWS::Lambda::EventInvokeConfig"} if "EventInvokeConfig" in properties else set()
    return made


@pytest.mark.parametrize("kind", sorted(types_made()))
def test_the_role_may_make_whatever_the_template_has(kind: str) -> None:
    assert kind in NEEDS, f"say here and in tools/deploy_role.yaml what CloudFormation needs for {kind}"
    assert NEEDS[kind] - actions(CLOUDFORMATION) == set()


def test_only_one_environment_of_one_repository_may_take_the_role_of_github() -> None:
    (statement,) = GITHUB["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    issuer = "token.actions.githubusercontent.com"
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
        }
    }
    takes = re.compile(ROLE["Parameters"]["Repository"]["AllowedPattern"])
    assert takes.fullmatch("octocat/relay")
    assert takes.fullmatch("octocat@123456/relay@456789")
    assert [text for text in ("octocat/*", "*", "octocat/relay:*", "octocat@/relay") if takes.fullmatch(text)] == []


def test_the_other_role_is_cloudformation_s_alone() -> None:
    (statement,) = CLOUDFORMATION["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudformation.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize("role", [GITHUB, CLOUDFORMATION], ids=["GitHub", "CloudFormation"])
def test_no_role_reads_a_secret_an_item_or_a_raw_delivery_or_deletes_what_outlives_the_stack(
    role: dict[str, Any],
) -> None:
    may = actions(role)
    assert [action for action in may if "*" in action or action.startswith(("ssm:", "kms:", "sts:"))] == []
    assert may & {
        "dynamodb:DeleteTable", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PutItem",
        "s3:DeleteBucket", "s3:DeleteObject", "sqs:ReceiveMessage", "lambda:InvokeFunction", "logs:FilterLogEvents",
        "iam:AttachRolePolicy", "iam:CreateUser", "iam:CreateAccessKey", "iam:PutUserPolicy",
        "cloudformation:DeleteStack",
    } == set()  # fmt: skip
    # Objects only where the SAM CLI puts builds.
    for statement in statements(role):
        if any(action in ("s3:GetObject", "s3:PutObject") for action in listed(statement["Action"])):
            assert "aws-sam-cli-managed-default" in statement["Resource"]["Fn::Sub"]


@pytest.mark.parametrize("role", [GITHUB, CLOUDFORMATION], ids=["GitHub", "CloudFormation"])
def test_a_role_reaches_this_stack_s_names_where_aws_knows_names(role: dict[str, Any]) -> None:
    everywhere = {
        action: "Condition" in statement
        for statement in statements(role)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    assert {action for action, conditional in everywhere.items() if not conditional} <= {
        "cloudformation:GetTemplateSummary", "cloudformation:ValidateTemplate",
        "logs:DescribeLogGroups", "logs:DescribeQueryDefinitions", "logs:PutQueryDefinition",
        "logs:DeleteQueryDefinition", "logs:DescribeIndexPolicies",
    }  # fmt: skip
    for statement in statements(role):
        if "iam:PassRole" in listed(statement["Action"]):
            assert "iam:PassedToService" in statement["Condition"]["StringEquals"]
