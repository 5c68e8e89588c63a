"""The deployment as template.yaml writes it: what may do what, what is kept, what is refused."""

import importlib.metadata
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conversion_relay.click_memory import key_of, memory_of
from conversion_relay.ledger import AMEND_MARGIN_MS
from conversion_relay.queue import MAX_DELAY_S
from conversion_relay.settings import Settings
from conversion_relay.sources.stripe.event import HOLD_S
from conversion_relay.stripe_api import TIMEOUT_S
from conversion_relay.wiring import PATIENCE
from tools.sources import SOURCES
from tools.template import ROOT, of_type, read, statements

TEMPLATE = read()
RESOURCES = TEMPLATE["Resources"]
FUNCTIONS = of_type(TEMPLATE, "AWS::Serverless::Function")
ALARMS = of_type(TEMPLATE, "AWS::CloudWatch::Alarm")
FORTNIGHT_S = 14 * 24 * 3600

LEDGER = "Ledger.Arn"
STREAM = "Ledger.StreamArn"
STREAMS = "${Ledger.Arn}/stream/*"
READ_STREAM = {
    ("dynamodb:DescribeStream", STREAM),
    ("dynamodb:GetRecords", STREAM),
    ("dynamodb:GetShardIterator", STREAM),
    ("dynamodb:ListStreams", STREAMS),
}
CALL_PLATFORMS = ("callrail", "ctm", "whatconverts", "twilio")
RECEIVES = {"ShopifyReceiver": ("shopify",), "StripeReceiver": ("stripe",), "CallsReceiver": CALL_PLATFORMS}
"""The sources of each receiver."""
PARAMETER = "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/${AWS::StackName}"


def logs_of(function: str) -> set[tuple[str, str]]:
    return {("logs:CreateLogStream", f"{function}Logs.Arn"), ("logs:PutLogEvents", f"{function}Logs.Arn")}


def receiver(function: str, *sources: str, bus: bool = False) -> set[tuple[str, str]]:
    """What a receiver may do: record, remember, park under its sources' names, and read their signing secrets."""
    own = {("s3:PutObject", f"${{ParkingBucket.Arn}}/{source}/*") for source in sources}
    own |= {("ssm:GetParameter", f"{PARAMETER}/signing-secrets/{source}") for source in sources}
    # Lambda writes what it gives up with the receiver's role, and insists on more than it uses.
    given_up = {("s3:PutObject", "${ParkingBucket.Arn}/*"), ("s3:ListBucket", "ParkingBucket.Arn")} if bus else set()
    return {("dynamodb:GetItem", LEDGER), ("dynamodb:PutItem", LEDGER), *own, *given_up, *logs_of(function)}


# A row for each role: whoever adds a function adds the row of its role, and nothing else here.
MAY = {
    "ShopifyReceiverRole": receiver("ShopifyReceiver", "shopify", bus=True),
    "StripeReceiverRole": receiver("StripeReceiver", "stripe", bus=True) | {("dynamodb:UpdateItem", LEDGER)},
    "FetchRole": {
        ("sqs:DeleteMessage", "FetchQueue.Arn"),
        ("sqs:GetQueueAttributes", "FetchQueue.Arn"),
        ("sqs:ReceiveMessage", "FetchQueue.Arn"),
        ("dynamodb:GetItem", LEDGER),
        ("dynamodb:PutItem", LEDGER),
        ("dynamodb:UpdateItem", LEDGER),
        ("s3:PutObject", "${ParkingBucket.Arn}/stripe/*"),
        ("ssm:GetParameter", f"{PARAMETER}/stripe-api-key"),
        *logs_of("Fetch"),
    },
    "CallsReceiverRole": {
        ("dynamodb:GetItem", LEDGER),
        ("dynamodb:PutItem", LEDGER),
        *(("s3:PutObject", f"${{ParkingBucket.Arn}}/{source}/*") for source in CALL_PLATFORMS),
        *(("ssm:GetParameter", f"{PARAMETER}/signing-secrets/{source}") for source in CALL_PLATFORMS),
        *logs_of("CallsReceiver"),
    },
    "CustomReceiverRole": {
        ("dynamodb:GetItem", LEDGER),
        ("dynamodb:PutItem", LEDGER),
        ("s3:PutObject", "${ParkingBucket.Arn}/custom/*"),
        ("ssm:GetParameter", f"{PARAMETER}/signing-secrets/custom/*"),
        *logs_of("CustomReceiver"),
    },
    "ClickMemoryRole": {("dynamodb:GetItem", LEDGER), ("dynamodb:PutItem", LEDGER), *logs_of("ClickMemory")},
    "OutboxRole": {
        *READ_STREAM,
        ("sqs:SendMessage", "Queue.Arn"),
        ("sqs:SendMessage", "FetchQueue.Arn"),
        ("sqs:SendMessage", "OutboxFailures.Arn"),
        *logs_of("Outbox"),
    },
    "SenderRole": {
        ("sqs:ChangeMessageVisibility", "Queue.Arn"),
        ("sqs:DeleteMessage", "Queue.Arn"),
        ("sqs:ReceiveMessage", "Queue.Arn"),
        ("sqs:SendMessage", "DeadLetterQueue.Arn"),
        ("dynamodb:GetItem", LEDGER),
        ("dynamodb:UpdateItem", LEDGER),
        ("ssm:GetParameter", f"{PARAMETER}/openai-conversions-key"),
        *logs_of("Sender"),
    },
    "PrivacyRole": {
        *READ_STREAM,
        ("dynamodb:DeleteItem", LEDGER),
        ("dynamodb:Scan", LEDGER),
        ("s3:ListBucket", "ParkingBucket.Arn"),
        ("s3:DeleteObject", "${ParkingBucket.Arn}/*"),
        ("s3:GetObject", "${ParkingBucket.Arn}/*"),
        ("s3:PutObject", "${ParkingBucket.Arn}/privacy/*"),
        ("sqs:SendMessage", "PrivacyFailures.Arn"),
        *logs_of("Privacy"),
    },
    "SenderScheduleRole": {("lambda:InvokeFunction", "Sender.Arn")},
}


def allowed_by(role: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every action and the resource that it is for. A statement of another form than Allow, Action, Resource fails."""
    for statement in statements(role):
        assert (statement["Effect"], {*statement} - {"Sid", "Condition"}) == ("Allow", {"Effect", "Action", "Resource"})
        resources, actions = (
            each if isinstance(each, list) else [each] for each in (statement["Resource"], statement["Action"])
        )
        for resource in resources:
            arn = ".".join(resource["Fn::GetAtt"]) if "Fn::GetAtt" in resource else resource["Fn::Sub"]
            yield from ((action, arn) for action in actions)


def environment_of(function: str) -> dict[str, Any]:
    common = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    return common | FUNCTIONS[function]["Properties"]["Environment"]["Variables"]


def takes(parameter: str, value: str) -> bool:
    rules = TEMPLATE["Parameters"][parameter]
    if "AllowedValues" in rules:
        return value in [str(each) for each in rules["AllowedValues"]]
    if "AllowedPattern" in rules:
        return re.fullmatch(rules["AllowedPattern"], value) is not None
    return value.isdigit() and rules["MinValue"] <= int(value) <= rules["MaxValue"]


# Who may do what -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", sorted({f"{name}Role" for name in FUNCTIONS} | {*of_type(TEMPLATE, "AWS::IAM::Role")}))
def test_every_role_may_do_exactly_what_its_row_says_and_reads_no_other_s_secret(role: str) -> None:
    may = set(allowed_by(RESOURCES[role]))
    assert may == MAY.get(role), f"{role} does not do what its row in MAY says, or has none"
    # No row allows more than one thing: actions by name, and a path below a resource of this stack at most.
    assert [action for action, _ in may if "*" in action] == []
    assert [arn for _, arn in may if "*" in arn.removesuffix("/*") or not arn.removesuffix("/*")] == []
    # Secrets one by one, by the stack's own names, and no secret that another role reads too. Only the custom
    # platforms, which are files, have a folder: nobody else's secret lies in it.
    secrets = {(action, arn) for action, arn in may if action.startswith(("ssm:", "secretsmanager:", "kms:"))}
    assert {(action, arn.rpartition("/")[0]) for action, arn in secrets} <= {
        ("ssm:GetParameter", f"{PARAMETER}/signing-secrets"), ("ssm:GetParameter", PARAMETER),
        ("ssm:GetParameter", f"{PARAMETER}/signing-secrets/custom"),
    }  # fmt: skip
    folder = f"{PARAMETER}/signing-secrets/custom/*"
    assert {arn for _, arn in secrets if "*" in arn} <= ({folder} if role == "CustomReceiverRole" else set())
    assert secrets & {each for name, row in MAY.items() if name != role for each in row} == set()


def test_there_are_no_permissions_beside_the_roles() -> None:
    beside = [name for name, each in RESOURCES.items() if each["Type"].startswith("AWS::IAM::")]
    assert sorted(beside) == sorted(MAY)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_role_is_assumed_by_lambda_alone(function: str) -> None:
    (statement,) = RESOURCES[f"{function}Role"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_nobody_but_this_account_s_scheduler_starts_the_sender() -> None:
    (statement,) = RESOURCES["SenderScheduleRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_click_memory_may_touch_memories_of_clicks_alone() -> None:
    # Whoever finds a flaw in what anybody may call can neither read nor write a conversion, nor another memory.
    of_the_ledger = [each for each in statements(RESOURCES["ClickMemoryRole"]) if each["Sid"] == "Remember"]
    assert [each["Condition"] for each in of_the_ledger] == [
        {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["memory#click#*"]}}
    ]
    # And what they hold reaches neither the queue nor the privacy function over the stream.
    assert memory_of(key_of(bytes(16))).startswith("click#")


def test_the_click_memory_has_a_limit_of_its_own() -> None:
    limit = FUNCTIONS["ClickMemory"]["Properties"]["ReservedConcurrentExecutions"]["Fn::If"]
    assert limit == ["HasClickConcurrency", {"Ref": "ClickConcurrency"}, {"Ref": "AWS::NoValue"}]
    # The code answers for cross-origin access: two answers to one question would contradict each other some day.
    assert FUNCTIONS["ClickMemory"]["Properties"]["FunctionUrlConfig"] == {"AuthType": "NONE"}


def test_pages_get_a_line_to_paste() -> None:
    tag = TEMPLATE["Outputs"]["ClickScriptTag"]
    assert (tag["Condition"], tag["Value"]["Fn::Sub"]) == (
        "HasClick",
        '<script async src="${ClickMemoryUrl.FunctionUrl}relay-click.js"></script>',
    )


def test_only_a_receiver_and_the_click_memory_have_an_address() -> None:
    addressed = [name for name, each in FUNCTIONS.items() if "FunctionUrlConfig" in each["Properties"]]
    assert addressed == [*RECEIVES, "CustomReceiver", "ClickMemory"]


SECRETS_OF = {name: {f"signing-secrets/{source}" for source in sources} for name, sources in RECEIVES.items()}
SECRETS_OF |= {"CustomReceiver": {"signing-secrets/custom/*"}, "Sender": {"openai-conversions-key"}}
SECRETS_OF |= {"Fetch": {"stripe-api-key"}}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_may_read_its_own_secrets_alone(function: str) -> None:
    allowed = set(allowed_by(RESOURCES[f"{function}Role"]))
    of_the_store = {(action, arn) for action, arn in allowed if action.startswith("ssm:") or ":ssm:" in arn}
    own = {("ssm:GetParameter", f"{PARAMETER}/{name}") for name in SECRETS_OF.get(function, ())}
    assert of_the_store == own


@pytest.mark.parametrize("receiver", RECEIVES)
def test_a_receiver_finds_its_secrets_where_its_role_may_read(receiver: str) -> None:
    path = environment_of(receiver)["SIGNING_SECRETS_PATH"]
    assert path == {"Fn::Sub": "/${AWS::StackName}/signing-secrets"}


@pytest.mark.parametrize(("receiver", "source"), [(name, each) for name in RECEIVES for each in RECEIVES[name]])
def test_a_source_parks_where_its_receiver_may_write_and_has_a_command_for_its_secret(
    receiver: str, source: str
) -> None:
    assert source in SOURCES
    assert ("s3:PutObject", f"${{ParkingBucket.Arn}}/{source}/*") in set(allowed_by(RESOURCES[f"{receiver}Role"]))
    command = TEMPLATE["Outputs"][f"{source.capitalize()}SecretCommand"]["Value"]["Fn::Sub"]
    assert f"--name /${{AWS::StackName}}/signing-secrets/{source} " in command
    assert f"{source.capitalize()}WebhookUrl" in TEMPLATE["Outputs"]


def test_the_custom_receiver_finds_the_secrets_of_its_platforms_in_a_folder_of_their_own() -> None:
    path = environment_of("CustomReceiver")["SIGNING_SECRETS_PATH"]
    assert path == {"Fn::Sub": "/${AWS::StackName}/signing-secrets/custom"}


def test_the_key_is_never_in_the_template_only_its_name() -> None:
    variables = environment_of("Sender")
    assert variables["OPENAI_KEY_PARAMETER"] == {"Fn::Sub": "/${AWS::StackName}/openai-conversions-key"}


# What is kept, and how -----------------------------------------------------------------------------------------------


def test_the_ledger_survives_the_stack_and_remembers() -> None:
    ledger = RESOURCES["Ledger"]
    assert (ledger["DeletionPolicy"], ledger["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    settings = ledger["Properties"]
    assert settings["BillingMode"] == "PAY_PER_REQUEST"
    assert settings["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert settings["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert settings["StreamSpecification"] == {"StreamViewType": "NEW_IMAGE"}
    assert settings["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert settings["SSESpecification"] == {"SSEEnabled": True}


def test_the_parking_bucket_is_private_and_forgets_after_30_days() -> None:
    bucket = RESOURCES["ParkingBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    settings = bucket["Properties"]
    assert set(settings["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(settings["PublicAccessBlockConfiguration"]) == 4
    assert settings["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert [rule["ExpirationInDays"] for rule in settings["LifecycleConfiguration"]["Rules"]] == [30]
    (encryption,) = settings["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert "VersioningConfiguration" not in settings  # what is erased for a person's sake must be gone


@pytest.mark.parametrize("queue", of_type(TEMPLATE, "AWS::SQS::Queue"))
def test_a_queue_is_encrypted_and_keeps_messages_as_long_as_there_is(queue: str) -> None:
    settings = RESOURCES[queue]["Properties"]
    assert settings["SqsManagedSseEnabled"] is True
    assert settings["MessageRetentionPeriod"] == FORTNIGHT_S


def test_a_message_stays_hidden_for_longer_than_a_run_of_the_sender() -> None:
    queue = RESOURCES["Queue"]["Properties"]
    assert queue["VisibilityTimeout"] > FUNCTIONS["Sender"]["Properties"]["Timeout"]


@pytest.mark.parametrize("name", ["Queue", "FetchQueue"])
def test_an_outage_makes_no_message_dead_before_its_event_expires(name: str) -> None:
    queue = RESOURCES[name]["Properties"]
    dead = {"Queue": "DeadLetterQueue", "FetchQueue": "FetchDeadLetterQueue"}[name]
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": [dead, "Arn"]}
    assert queue["RedrivePolicy"]["maxReceiveCount"] * queue["VisibilityTimeout"] > 7 * 24 * 3600


@pytest.mark.parametrize("store", [*of_type(TEMPLATE, "AWS::SQS::Queue"), "ParkingBucket"])
def test_queues_and_bucket_refuse_whatever_is_not_tls(store: str) -> None:
    statement, *others = RESOURCES[f"{store}Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Action"] in ("sqs:*", "s3:*")
    assert others == []  # nobody may anything without a role


@pytest.mark.parametrize("function", FUNCTIONS)
def test_logs_end_after_the_days_that_were_chosen(function: str) -> None:
    assert RESOURCES[f"{function}Logs"]["Properties"] == {"RetentionInDays": {"Ref": "LogRetentionDays"}}


# The stream ----------------------------------------------------------------------------------------------------------


def test_the_outbox_gets_new_conversions_and_nothing_else() -> None:
    source = FUNCTIONS["Outbox"]["Properties"]["Events"]["Recorded"]["Properties"]
    assert [each["Pattern"] for each in source["FilterCriteria"]["Filters"]] == [
        '{"eventName": ["INSERT"], "dynamodb": {"NewImage": {"status": {"S": ["recorded", "to_fetch"]}}}}'
    ]
    assert source["BisectBatchOnFunctionError"] is True


def test_the_outbox_waits_for_company_no_longer_than_the_sender_does_by_default() -> None:
    window = FUNCTIONS["Outbox"]["Properties"]["Events"]["Recorded"]["Properties"]["MaximumBatchingWindowInSeconds"]
    assert window == {"Ref": "GatherSeconds"}
    assert TEMPLATE["Parameters"]["GatherSeconds"]["Default"] == 300
    assert TEMPLATE["Parameters"]["SendEvery"]["Default"] == "rate(5 minutes)"


@pytest.mark.parametrize(("function", "event"), [("Outbox", "Recorded"), ("Privacy", "Requested")])
def test_what_a_reader_of_the_stream_gives_up_is_kept_while_the_stream_still_holds_it(
    function: str, event: str
) -> None:
    source = FUNCTIONS[function]["Properties"]["Events"][event]["Properties"]
    assert source["StartingPosition"] == "TRIM_HORIZON"
    assert source["MaximumRecordAgeInSeconds"] < 24 * 3600
    failures = source["DestinationConfig"]["OnFailure"]
    assert failures == {"Type": "SQS", "Destination": {"Fn::GetAtt": [f"{function}Failures", "Arn"]}}


def test_the_stream_has_no_more_than_the_two_readers_that_it_serves() -> None:
    readers = [
        e for f in FUNCTIONS.values() for e in f["Properties"].get("Events", {}).values() if e["Type"] == "DynamoDB"
    ]
    assert len(readers) == 2


# The partner event buses ---------------------------------------------------------------------------------------------

BUSES = [("Shopify", "ShopifyReceiver"), ("Stripe", "StripeReceiver")]


@pytest.mark.parametrize(("source", "receiver"), BUSES)
def test_a_bus_takes_one_partner_event_source_and_its_rule_nothing_else(source: str, receiver: str) -> None:
    event_source = {"Ref": f"{source}EventSource"}
    bus = RESOURCES[f"{source}Bus"]["Properties"]
    assert bus == {"Name": event_source, "EventSourceName": event_source}
    rule = RESOURCES[f"{source}BusRule"]["Properties"]
    assert rule["EventBusName"] == {"Ref": f"{source}Bus"}
    assert rule["EventPattern"] == {"source": [event_source]}
    assert environment_of(receiver)[f"{source.upper()}_EVENT_SOURCE"] == event_source


@pytest.mark.parametrize(("source", "receiver"), BUSES)
def test_what_lambda_gives_up_of_a_bus_is_kept_where_raw_bodies_may_be(source: str, receiver: str) -> None:
    (target,) = RESOURCES[f"{source}BusRule"]["Properties"]["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": [receiver, "Arn"]}
    assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 24 * 3600, "MaximumRetryAttempts": 185}
    assert "DeadLetterConfig" not in target  # that would be a queue, and no queue may hold a raw body
    retries = RESOURCES[f"{source}BusRetries"]["Properties"]
    assert (retries["FunctionName"], retries["Qualifier"]) == ({"Ref": receiver}, "$LATEST")
    assert (retries["MaximumRetryAttempts"], retries["MaximumEventAgeInSeconds"]) == (2, 6 * 3600)
    assert retries["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["ParkingBucket", "Arn"]}}}


@pytest.mark.parametrize(("source", "receiver"), BUSES)
@pytest.mark.parametrize("given_up_by", ["AsyncEventsDropped", "DestinationDeliveryFailures", "FailedInvocations"])
def test_what_is_given_up_of_a_bus_raises_an_alarm(source: str, receiver: str, given_up_by: str) -> None:
    of_the_function = [{"Name": "FunctionName", "Value": {"Ref": receiver}}]
    of_the_rule = [
        {"Name": "EventBusName", "Value": {"Ref": f"{source}Bus"}},
        {"Name": "RuleName", "Value": RESOURCES[f"{source}BusRule"]["Properties"]["Name"]},
    ]
    watched = ("AWS/Events", of_the_rule) if given_up_by == "FailedInvocations" else ("AWS/Lambda", of_the_function)
    (alarm,) = [
        each["Properties"]
        for name, each in ALARMS.items()
        if name.startswith(f"{source}Bus") and each["Properties"]["MetricName"] == given_up_by
    ]
    assert (alarm["Namespace"], alarm["Dimensions"]) == watched
    assert (alarm["Statistic"], alarm["Threshold"], alarm["ComparisonOperator"]) == ("Sum", 0, "GreaterThanThreshold")


@pytest.mark.parametrize(("source", "receiver"), BUSES)
def test_only_the_rule_may_start_the_receiver(source: str, receiver: str) -> None:
    rule = {"Fn::GetAtt": [f"{source}BusRule", "Arn"]}
    permissions = [
        each["Properties"]
        for each in of_type(TEMPLATE, "AWS::Lambda::Permission").values()
        if each["Properties"]["FunctionName"] == {"Ref": receiver}
    ]
    assert permissions == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": receiver},
            "Principal": "events.amazonaws.com",
            "SourceArn": rule,
        }
    ]


@pytest.mark.parametrize("source", [source for source, _ in BUSES])
def test_without_a_partner_event_source_nothing_of_the_bus_is_made(source: str) -> None:
    of_the_bus = {name: each for name, each in RESOURCES.items() if name.startswith(f"{source}Bus")}
    assert {each.get("Condition") for each in of_the_bus.values()} == {f"Has{source}Bus"}
    assert len(of_the_bus) == 7
    assert TEMPLATE["Parameters"][f"{source}EventSource"]["Default"] == ""
    # And it is refused without the function that takes its events.
    (assertion,) = TEMPLATE["Rules"][f"{source}EventSourceNeeds{source}"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Equals": [{"Ref": f"Enable{source}"}, "yes"]}


@pytest.mark.parametrize("receiver", ["CallsReceiver", "CustomReceiver"])
def test_where_the_platform_never_sends_again_parking_fits_in_after_a_ledger_that_does_not_answer(
    receiver: str,
) -> None:
    attempts = PATIENCE.attempts
    longest_backoff_s = attempts - 1
    one_call_s = attempts * (PATIENCE.connect_s + PATIENCE.read_s) + longest_backoff_s
    assert FUNCTIONS[receiver]["Properties"]["Timeout"] > 2 * one_call_s


def test_an_amendment_ends_before_the_sender_may_read_the_event() -> None:
    longest_ms = max(FUNCTIONS[each]["Properties"]["Timeout"] for each in ("StripeReceiver", "Fetch")) * 1000
    assert longest_ms < AMEND_MARGIN_MS < HOLD_S * 1000 <= MAX_DELAY_S * 1000


# Fetching what thin events name ---------------------------------------------------------------------------------------


def test_nothing_of_fetching_is_made_unless_it_is_wanted() -> None:
    made = {name for name, each in RESOURCES.items() if name.startswith("Fetch")}
    assert len(made) == 9
    assert {RESOURCES[name]["Condition"] for name in made} == {"FetchesThinEvents"}
    assert TEMPLATE["Conditions"]["FetchesThinEvents"] == {
        "Fn::And": [{"Condition": "HasStripe"}, {"Fn::Equals": [{"Ref": "StripeFetchThinEvents"}, "yes"]}]
    }
    url = environment_of("Outbox")["FETCH_QUEUE_URL"]
    assert url == {"Fn::If": ["FetchesThinEvents", {"Ref": "FetchQueue"}, ""]}


def test_fetching_reads_objects_as_the_receiver_does() -> None:
    own = {"SIGNING_SECRETS_PATH", "STRIPE_EVENT_SOURCE", "STRIPE_FETCH_THIN_EVENTS"}
    receiver, fetch = environment_of("StripeReceiver"), environment_of("Fetch")
    assert {name: fetch.get(name) for name in receiver if name not in own} == {
        name: value for name, value in receiver.items() if name not in own
    }


def test_a_message_to_fetch_is_hidden_for_six_times_what_the_function_may_take() -> None:
    fetch = FUNCTIONS["Fetch"]["Properties"]
    assert RESOURCES["FetchQueue"]["Properties"]["VisibilityTimeout"] >= 6 * fetch["Timeout"]
    assert fetch["Timeout"] > sum(TIMEOUT_S)
    assert fetch["Events"]["Named"]["Properties"]["BatchSize"] == 1


# Settings ------------------------------------------------------------------------------------------------------------


def test_every_setting_of_the_code_comes_from_the_template() -> None:
    given = set().union(*(environment_of(function) for function in FUNCTIONS))
    assert {field.name.upper() for field in fields(Settings)} <= given


def test_the_template_s_defaults_are_the_code_s_defaults() -> None:
    own = {
        "LEDGER_TABLE",
        "QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
        "PARKING_BUCKET",
        "PIXEL_ID",
        "POWERTOOLS_SERVICE_NAME",
    }
    every = (*RECEIVES, "CustomReceiver", "Fetch", "Sender")
    variables = {name: value for each in every for name, value in environment_of(each).items()}
    defaults = {
        variable: str(TEMPLATE["Parameters"][value["Ref"]]["Default"])
        for variable, value in variables.items()
        if variable not in own and isinstance(value, dict) and "Ref" in value
    }
    assert len(defaults) > 20
    assert Settings.from_environment(defaults) == Settings()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [(name, str(value)) for name, each in TEMPLATE["Parameters"].items() for value in each.get("AllowedValues", [])],
)
def test_the_code_takes_every_value_that_the_template_takes(parameter: str, value: str) -> None:
    variable = re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).upper()
    Settings.from_environment({variable: value})


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("PixelId", "Qm7TzV4kRw2LpX9sNdB3Yh"),
        ("OpenAiEndpoint", "http://127.0.0.1:9911/v1/events"),
        ("SendEvery", "rate(1 minute)"),
        ("SendEvery", "rate(60 minutes)"),
        ("SendEvery", "rate(1 hour)"),
        ("DefaultPhoneRegion", "DE"),
        ("ShopDomains", "a.myshopify.com,b-2.myshopify.com"),
        ("ShopifyEventSource", "aws.partner/shopify.com/313809895425/my-app_1"),
        ("StripeEventSource", "aws.partner/stripe.com/ed_test_61PgtRTG5aTCIz98516PLsRGLISQK0Otk6FWKjBrcDia"),
        ("StorefrontOrigin", "https://www.example.com"),
        ("SiteOrigin", "https://www.example.com"),
        ("StripeAccounts", "acct_1Qw2Er3Ty4,acct_5Ui6Op7As8"),
        ("StripeApiEndpoint", "http://127.0.0.1:9911"),
        ("MinOrderAmount", "0.50"),
        ("MinCallSeconds", "0"),
        ("MinCallSeconds", "9999"),
        ("CallCurrency", "EUR"),
        ("PublicOrigin", "https://hooks.example.com:8443"),
        ("AppActionSources", "2653365=web,129785=physical_store"),
        ("AlarmTopicArn", "arn:aws:sns:eu-central-1:123456789012:alarms"),
        ("LedgerTtlDays", "8"),
        ("ReservedConcurrency", "0"),
    ],
)
def test_a_good_value_is_taken(parameter: str, value: str) -> None:
    assert takes(parameter, value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("PixelId", ""),
        ("PixelId", "?"),
        ("PixelId", "with a blank in it"),
        ("OpenAiEndpoint", "http://bzr.openai.com/v1/events"),
        ("OpenAiEndpoint", "https://bzr.openai.com/v1/events?pid=1"),
        ("DeliveryMode", "test"),
        ("SendEvery", "rate(1 minutes)"),
        ("SendEvery", "rate(0 minutes)"),
        ("SendEvery", "rate(1 day)"),
        ("RequireMatchKey", "yes"),
        ("RequireClickReference", "true"),
        ("DefaultPhoneRegion", "de"),
        ("DefaultPhoneRegion", "DEU"),
        ("ShopDomains", "www.example.com"),
        ("ShopDomains", "a.myshopify.com, b.myshopify.com"),
        ("ShopifyEventSource", "aws.partner/stripe.com/ed_61Pg"),
        ("ShopifyEventSource", "arn:aws:events:us-east-1::event-source/aws.partner/shopify.com/1234567/relay"),
        ("ShopifyEventSource", "aws.partner/shopify.com/1234567/a,b"),
        ("ShopifyEventSource", "awsxpartner/shopify.com/1234567/relay"),
        ("StripeEventSource", "aws.partner/stripe.com/"),
        ("StripeEventSource", "aws.partner/stripe.com/*"),
        ("StorefrontOrigin", "https://www.example.com/"),
        ("StorefrontOrigin", "http://www.example.com"),
        ("SiteOrigin", "www.example.com"),
        ("SiteOrigin", "https://www.example.com/pricing"),
        ("StripeAccounts", "cus_1Qw2Er3Ty4"),
        ("StripeAccounts", "acct_1Qw2Er3Ty4, acct_5Ui6Op7As8"),
        ("StripeTestMode", "yes"),
        ("StripeApiEndpoint", "http://api.stripe.com"),
        ("StripeApiEndpoint", "https://api.stripe.com/v1"),
        ("StripeFetchThinEvents", "true"),
        ("ConvertOn", "payment"),
        ("MinOrderAmount", "5,00"),
        ("MinCallSeconds", "10000"),
        ("MinCallSeconds", "-1"),
        ("FirstTimeOnly", "true"),
        ("CallCurrency", "usd"),
        ("CallCurrency", ""),
        ("CtmSaleEvent", "sale"),
        ("PublicOrigin", "https://hooks.example.com/twilio"),
        ("PublicOrigin", "http://hooks.example.com"),
        ("MinOrderAmount", "-1"),
        ("AppActionSources", "2653365=website"),
        ("AlarmTopicArn", "alarms"),
        ("LedgerTtlDays", "7"),
        ("LedgerTtlDays", "400"),
        ("LogRetentionDays", "2"),
        ("Dashboard", "true"),
        ("Architecture", "x86"),
        ("ReservedConcurrency", "-1"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_made(parameter: str, value: str) -> None:
    assert not takes(parameter, value)


def test_the_console_shows_every_parameter_once() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(TEMPLATE["Parameters"])


def test_the_repository_of_aws_is_told_the_version_that_the_project_has() -> None:
    told = TEMPLATE["Metadata"]["AWS::ServerlessRepo::Application"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (told["SemanticVersion"], told["SpdxLicenseId"]) == (project["version"], project["license"])
    assert (ROOT / told["LicenseUrl"]).is_file()
    assert told["ReadmeUrl"] == project["readme"]
    # What the repository takes: https://docs.aws.amazon.com/serverlessrepo, CreateApplication.
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", told["Name"])
    assert re.fullmatch(r"[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?", told["Author"])
    assert len(told["Description"]) <= 256
    assert len(told["Labels"]) <= 10
    assert [label for label in told["Labels"] if not re.fullmatch(r"[a-zA-Z0-9+\-_:/@]{1,127}", label)] == []


def test_only_the_pixel_has_to_be_given() -> None:
    assert [name for name, each in TEMPLATE["Parameters"].items() if "Default" not in each] == ["PixelId"]


def test_aws_shows_every_text_as_it_is_written() -> None:
    # CloudFormation replaces what is not ASCII by question marks.
    assert json.dumps(TEMPLATE, ensure_ascii=False).isascii()


# What is shipped -----------------------------------------------------------------------------------------------------


def test_requirements_of_the_layer_are_pinned_whole() -> None:
    lines = Path(ROOT, "layers/dependencies/requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pins}
    for name in versions:
        for needed in map(Requirement, importlib.metadata.requires(name) or []):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert versions[canonicalize_name(needed.name)] in needed.specifier, f"{name} needs {needed}"


def test_boto3_comes_from_the_runtime() -> None:
    pinned = Path(ROOT, "layers/dependencies/requirements.txt").read_text(encoding="utf-8")
    assert "boto" not in re.sub("#.*", "", pinned)
