"""The template under parameters, as the bill reads it."""

from typing import Any

import pytest

from tools.cost.choices import Choices, UnknownParameter

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Wanted": {"Default": "no"}, "SendEvery": {"Default": "rate(5 minutes)"}, "Name": {}},
    "Conditions": {
        "IsWanted": {"Fn::Equals": [{"Ref": "Wanted"}, "yes"]},
        "Both": {"Fn::And": [{"Condition": "IsWanted"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "Name"}, ""]}]}]},
    },
    "Globals": {
        "Function": {
            "MemorySize": 512,
            "Architectures": ["arm64"],
            "LoggingConfig": {"LogFormat": "JSON", "SystemLogLevel": "WARN"},
            "Environment": {"Variables": {"A": "shared", "B": {"Ref": "Table"}}},
        }
    },
    "Resources": {
        "Table": {"Type": "AWS::DynamoDB::Table", "Properties": {}},
        "One": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": "functions/one",
                "LoggingConfig": {"LogGroup": {"Ref": "OneLogs"}},
                "Environment": {
                    "Variables": {
                        "A": {"Fn::Sub": "${AWS::StackName}/${Name}"},
                        "C": {"Fn::If": ["Both", "c", {"Ref": "AWS::NoValue"}]},
                        "D": {"Fn::GetAtt": ["Table", "Arn"]},
                    }
                },
                "Events": {"S": {"Type": "DynamoDB", "Properties": {"BatchSize": 100}}},
            },
        },
        "Two": {
            "Type": "AWS::Serverless::Function",
            "Condition": "IsWanted",
            "Properties": {"CodeUri": "functions/two", "MemorySize": 256},
        },
    },
}


def test_a_function_has_its_own_and_what_all_share() -> None:
    one = Choices({"Name": "n"}, TEMPLATE).functions()["One"]

    assert one.environment == {"A": "relay/n", "B": "Table", "D": "Table.Arn"}
    assert (one.memory_mb, one.architecture, one.log_format, one.system_level) == (512, "arm64", "JSON", "WARN")
    assert (one.stream_batch, one.stream_window_s) == (100, 0)


def test_conditions_decide_what_is_made() -> None:
    assert list(Choices({"Name": "n"}, TEMPLATE).functions()) == ["One"]

    functions = Choices({"Name": "n", "Wanted": "yes"}, TEMPLATE).functions()
    assert functions["Two"].memory_mb == 256
    assert functions["One"].environment["C"] == "c"


def test_a_parameter_that_there_is_not_is_named() -> None:
    with pytest.raises(UnknownParameter, match="no parameter Wantd"):
        Choices({"Wantd": "yes"}, TEMPLATE)


@pytest.mark.parametrize(
    ("every", "runs"), [("rate(5 minutes)", 8_760), ("rate(1 minute)", 43_800), ("rate(1 hour)", 730)]
)
def test_the_schedule_says_how_often_the_sender_runs(every: str, runs: float) -> None:
    assert Choices({"Name": "n", "SendEvery": every}, TEMPLATE).runs_a_month(730) == runs


def test_the_real_template_is_understood() -> None:
    choices = Choices({"PixelId": "px_12345678"})

    functions = choices.functions()
    assert {"ShopifyReceiver", "StripeReceiver", "CallsReceiver", "Outbox", "Sender"} <= set(functions)
    assert "CustomReceiver" not in functions
    assert "CustomReceiver" in Choices({"PixelId": "px_12345678", "EnableCustom": "yes"}).functions()
    assert functions["Sender"].environment["PIXEL_ID"] == "px_12345678"
    assert functions["ShopifyReceiver"].environment["SIGNING_SECRETS_PATH"] == "/relay/signing-secrets"
    assert choices.of_type("AWS::DynamoDB::Table")["Ledger"]["BillingMode"] == "PAY_PER_REQUEST"
