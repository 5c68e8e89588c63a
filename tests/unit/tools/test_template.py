"""What CloudFormation would make of a template, as the checks of the dashboard need it."""

from typing import Any

import pytest

from tools.template import Resolved

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Enable": {"Default": "yes"}, "Also": {"Default": "no"}, "Days": {"Default": 30}},
    "Conditions": {
        "IsEnabled": {"Fn::Equals": [{"Ref": "Enable"}, "yes"]},
        "IsDisabled": {"Fn::Not": [{"Condition": "IsEnabled"}]},
        "Both": {"Fn::And": [{"Condition": "IsEnabled"}, {"Fn::Equals": [{"Ref": "Also"}, "yes"]}]},
        "Either": {"Fn::Or": [{"Condition": "IsEnabled"}, {"Condition": "Both"}]},
    },
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue"},
        "Table": {"Type": "AWS::DynamoDB::Table", "Condition": "IsEnabled"},
    },
}
NOTHING = {"Ref": "AWS::NoValue"}
DEFAULT = Resolved(TEMPLATE, {})
DISABLED = Resolved(TEMPLATE, {"Enable": "no"})


@pytest.mark.parametrize(
    ("enable", "also", "held"),
    [
        ("yes", "no", {"IsEnabled", "Either"}),
        ("yes", "yes", {"IsEnabled", "Both", "Either"}),
        ("no", "yes", {"IsDisabled"}),
    ],
)
def test_conditions_hold_as_the_parameters_say(enable: str, also: str, held: set[str]) -> None:
    stack = Resolved(TEMPLATE, {"Enable": enable, "Also": also})
    assert {name for name in TEMPLATE["Conditions"] if stack.holds(name)} == held


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ({"Ref": "Enable"}, "yes"),
        ({"Fn::Sub": "${AWS::StackName}, ${Days} days, ${Table}"}, "relay, 30 days, relay-Table-1A2B3C"),
        ({"Fn::Sub": ["${Of}${Days}", {"Of": {"Fn::If": ["Both", "x", ""]}}]}, "30"),
        ({"Fn::GetAtt": ["Queue", "QueueName"]}, "relay-Queue-1A2B3C"),
        ({"Fn::If": ["IsEnabled", {"Ref": "Table"}, {"Ref": "Gone"}]}, "relay-Table-1A2B3C"),
        ({"List": [{"Fn::If": ["Both", "a", NOTHING]}, "b"]}, {"List": ["b"]}),
    ],
)
def test_functions_are_worked_out(written: Any, value: Any) -> None:
    assert DEFAULT.value(written) == value


@pytest.mark.parametrize("written", [{"Ref": "Queue"}, {"Fn::GetAtt": ["Queue", "Arn"]}, {"Fn::Sub": "${Queue.Arn}"}])
def test_the_address_and_the_arn_of_a_queue_are_not_its_name(written: Any) -> None:
    assert DEFAULT.value(written) != DEFAULT.physical("Queue")


def test_what_does_not_exist_cannot_be_named() -> None:
    assert DISABLED.resources("AWS::DynamoDB::Table") == {}
    for written in ({"Ref": "Table"}, {"Fn::Sub": "${Table.Arn}"}, {"Fn::GetAtt": ["Gone", "Arn"]}):
        with pytest.raises(LookupError, match="does not exist"):
            DISABLED.value(written)


def test_a_function_that_is_not_known_is_no_value() -> None:
    with pytest.raises(ValueError, match="Fn::Join"):
        DEFAULT.value({"Fn::Join": ["", ["a"]]})
