"""template.yaml as deployed: its schedule, dashboard and logs, a second stack beside it, wrong parameters refused."""

import json
import re

import pytest

from tests.integration.stack import PIXEL_ID, post_order
from tools.local_aws import LocalAwsFailed, Stack


def test_the_schedule_runs_the_sender_as_often_as_chosen(stack: Stack) -> None:
    schedule = stack.client("scheduler").get_schedule(Name=stack.resources["SenderRun"])
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(1 hour)")
    assert schedule["Target"]["Arn"].endswith(f":function:{stack.resources['Sender']}")


def test_the_dashboard_shows_this_stack_s_functions_queues_and_logs(stack: Stack) -> None:
    name = stack.resources["StackDashboard"]
    body = json.loads(stack.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])
    widgets = [each["properties"] for each in body["widgets"]]
    # Every metric is of a resource that the stack has, by the name that AWS gave it
    named = {row[-2] for each in widgets for row in each.get("metrics", [])} - {"."}
    of_resources = {value.rpartition("/")[2] for value in stack.resources.values()}  # a queue's id is its address
    assert named - of_resources == {"tests"}
    # And every table reads a log that is there
    queries = [each["query"] for each in widgets if "query" in each]
    logs = {group for query in queries for group in re.findall(r"SOURCE '([^']+)'", query)}
    there = {each["logGroupName"] for each in stack.client("logs").describe_log_groups()["logGroups"]}
    assert logs <= there
    assert len(logs) == 5  # four receivers and the sender
    assert stack.outputs["DashboardUrl"].endswith(f"#dashboards/dashboard/{name}")


def test_a_function_logs_as_the_template_says(stack: Stack) -> None:
    held = stack.client("lambda").get_function_configuration(FunctionName=stack.resources["Sender"])
    logging = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": stack.resources["SenderLogs"]}
    assert held["LoggingConfig"] == logging
    assert held["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "tests"


def test_two_stacks_stand_side_by_side(stack: Stack) -> None:
    # Given a second stack, without Shopify, with a key of its own
    second = stack.aws.deploy("second", {"PixelId": "another-pixel", "EnableShopify": "no"}, {"openai": "another-key"})
    # Then it has no address, and shares nothing with the first
    assert "ShopifyWebhookUrl" not in second.outputs
    assert set(second.resources.values()) & set(stack.resources.values()) == set()
    assert second.invoke("Sender")["sent"] == 0
    # And it is given Shopify by an update
    updated = stack.aws.deploy("second", {"PixelId": "another-pixel"}, {"shopify": "another secret"})
    assert post_order(updated) == 401  # signed with the first stack's secret
    assert post_order(stack, 77) == 200


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({}, "PixelId"),
        ({"PixelId": "?"}, "must be the id of your pixel"),
        ({"PixelId": PIXEL_ID, "DeliveryMode": "test"}, "DeliveryMode"),
        ({"PixelId": PIXEL_ID, "LedgerTtlDays": "7"}, "must be 8 to 399 days"),
        ({"PixelId": PIXEL_ID, "PixelID": PIXEL_ID}, "no parameter PixelID"),
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_is_made(
    stack: Stack, parameters: dict[str, str], problem: str
) -> None:
    with pytest.raises(LocalAwsFailed, match=problem):
        stack.aws.deploy("refused", parameters)
