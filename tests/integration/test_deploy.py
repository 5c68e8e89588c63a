"""template.yaml as deployed: every role and policy evaluated, a second stack beside it, wrong parameters refused."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.integration.stack import (
    FUNCTION_OF,
    LOGICAL_ID,
    OPENAI_KEY,
    PIXEL_ID,
    SECRET,
    SECRETS,
    counted,
    items,
    parked,
    post_order,
    queue_depth,
    until,
)
from tools.local_aws import LocalAws, LocalAwsFailed, Stack
from tools.samples import ORIGIN, sample, samples
from tools.stand_in import StandIn


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Stack, StandIn]]:
    """A stack of its own on an AWS that evaluates IAM and speaks TLS only."""
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as openai, LocalAws.start(auth=True) as aws:
        parameters = {"PixelId": PIXEL_ID, "OpenAiEndpoint": f"{openai.url}/v1/events", "SendEvery": "rate(1 hour)"}
        parameters |= {"PublicOrigin": ORIGIN, "EnableCustom": "yes", "SiteOrigin": "https://northwind-trail.example"}
        yield aws.deploy("guarded", parameters, SECRETS), openai


def test_the_roles_allow_the_whole_way_of_a_conversion(guarded: tuple[Stack, StandIn]) -> None:
    # Given a stack whose roles are evaluated
    stack, openai = guarded
    # When an order is posted, forwarded and sent
    assert post_order(stack) == 200
    assert until(lambda: queue_depth(stack) == 1), stack.logs("Outbox")
    run = stack.invoke("Sender")
    # Then it is counted, its end is in the ledger, and nothing is left on the queue
    assert (run["sent"], run["stopped"], len(counted(openai))) == (1, None, 1)
    assert [item["status"]["S"] for item in items(stack).values()] == ["sent"]
    assert queue_depth(stack, hidden=True) == 0


@pytest.mark.parametrize(
    ("source", "receiver"), [(source, LOGICAL_ID[function]) for source, function in FUNCTION_OF.items()]
)
def test_the_roles_allow_whatever_the_receiver_does_with_a_delivery(
    guarded: tuple[Stack, StandIn], source: str, receiver: str
) -> None:
    # Given every sample: some are recorded together with a memory, some only remembered
    stack, _ = guarded
    answers = {}
    for each in samples(source):
        delivery = each.delivery(SECRETS[source][0], datetime.now(UTC), new=True)
        answers[each.name] = stack.send(source, delivery)
    # Then none of them fails for want of a permission
    assert {name: answer.json() for name, answer in answers.items() if answer.status != 200} == {}
    assert [line for line in stack.logs(receiver) if "AccessDenied" in line] == []


def test_the_roles_allow_parking(guarded: tuple[Stack, StandIn]) -> None:
    stack, _ = guarded
    delivery = sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC))
    headers = dict(delivery.headers) | {"x-shopify-hmac-sha256": _signature_of(b"not JSON")}
    assert stack.post("shopify", b"not JSON", headers).json()["outcome"] == "parked"
    # The report for a person who asked for data may be there by now.
    assert "shopify" in {key.split("/")[0] for key in parked(stack)}


@pytest.mark.parametrize("name", ["callrail/post_call", "ctm/end", "whatconverts/phone_call", "twilio/completed"])
def test_the_roles_allow_parking_of_calls(guarded: tuple[Stack, StandIn], name: str) -> None:
    stack, _ = guarded
    source = name.partition("/")[0]
    senseless = {"callrail": {"resource_id": ""}, "ctm": {"id": ""}, "whatconverts": {"lead_id": ""}}
    chosen = sample(name)
    payload = {**chosen.payload, "id": "", **senseless.get(source, {"CallDuration": "long"})}
    delivery = replace(chosen, payload=payload).delivery(SECRETS[source][0], datetime.now(UTC))
    assert stack.send(source, delivery).json()["outcome"] == "parked"
    assert source in {key.split("/")[0] for key in parked(stack)}


def test_the_roles_allow_parking_of_custom_platforms(guarded: tuple[Stack, StandIn]) -> None:
    stack, _ = guarded
    chosen = sample("backend/order_created")
    timeless = replace(chosen, payload={**chosen.payload, "id": "till-0", "time": "noon"})
    delivery = timeless.delivery(SECRETS["backend"][0], datetime.now(UTC))
    told = stack.send("backend", delivery).json()
    assert (told["outcome"], told["reason"]) == ("parked", "time_missing")
    assert told["key"].startswith("custom/backend/")
    assert told["key"] in parked(stack)


def test_the_roles_allow_erasing_a_shop(guarded: tuple[Stack, StandIn]) -> None:
    # Given conversions and memories of a shop
    stack, _ = guarded
    post_order(stack, 4711)
    # When the shop is to be erased
    of_the_shop = {"shop_id": 1, "shop_domain": "northwind-trail.myshopify.com"}
    delivery = replace(sample("shopify/shop/redact"), payload=of_the_shop).delivery(SECRET, datetime.now(UTC))
    assert stack.post("shopify", delivery.body, delivery.headers).json()["outcome"] == "compliance"
    # Then soon nothing of it is left
    assert until(
        lambda: [key for key in items(stack) if "#shopify:" in key and not key.startswith("privacy#")] == []
    ), stack.logs("Privacy")


def test_what_a_role_is_denied_is_denied(guarded: tuple[Stack, StandIn]) -> None:
    # Given the sender without leave to receive (or the tests above would show nothing)
    stack, _ = guarded
    role, policy = stack.resources["SenderRole"], "NotThat"
    denied = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sqs:ReceiveMessage","Resource":"*"}]}'
    stack.client("iam").put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=denied)
    # When it runs, then it is refused
    try:
        assert "AccessDenied" in stack.invoke("Sender")["stopped"]
    finally:
        stack.client("iam").delete_role_policy(RoleName=role, PolicyName=policy)


def test_the_schedule_runs_the_sender_as_often_as_chosen(guarded: tuple[Stack, StandIn]) -> None:
    stack, _ = guarded
    schedule = stack.client("scheduler").get_schedule(Name=stack.resources["SenderRun"])
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(1 hour)")
    assert schedule["Target"]["Arn"].endswith(f":function:{stack.resources['Sender']}")


def test_the_dashboard_shows_this_stack_s_functions_queues_and_logs(guarded: tuple[Stack, StandIn]) -> None:
    stack, _ = guarded
    name = stack.resources["StackDashboard"]
    body = json.loads(stack.client("cloudwatch").get_dashboard(DashboardName=name)["DashboardBody"])
    widgets = [each["properties"] for each in body["widgets"]]
    # Every metric is of a resource that the stack has, by the name that AWS gave it
    named = {row[-2] for each in widgets for row in each.get("metrics", [])} - {"."}
    of_resources = {value.rpartition("/")[2] for value in stack.resources.values()}  # a queue's id is its address
    assert named - of_resources == {"guarded"}
    # And every table reads a log that is there
    queries = [each["query"] for each in widgets if "query" in each]
    logs = {group for query in queries for group in re.findall(r"SOURCE '([^']+)'", query)}
    there = {each["logGroupName"] for each in stack.client("logs").describe_log_groups()["logGroups"]}
    assert logs <= there
    assert len(logs) == 5  # four receivers and the sender
    assert stack.outputs["DashboardUrl"].endswith(f"#dashboards/dashboard/{name}")


def test_a_function_logs_as_the_template_says(guarded: tuple[Stack, StandIn]) -> None:
    stack, _ = guarded
    held = stack.client("lambda").get_function_configuration(FunctionName=stack.resources["Sender"])
    logging = {"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": stack.resources["SenderLogs"]}
    assert held["LoggingConfig"] == logging
    assert held["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == "guarded"


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


def _signature_of(body: bytes) -> str:
    from conversion_relay.sources import shopify

    return shopify.sign(body, SECRET)
