"""template.yaml as deployed: its schedule, a second stack beside it, wrong parameters refused."""

import pytest

from tests.integration.stack import PIXEL_ID, post_order
from tools.local_aws import LocalAwsFailed, Stack


def test_the_schedule_runs_the_sender_as_often_as_chosen(stack: Stack) -> None:
    schedule = stack.client("scheduler").get_schedule(Name=stack.resources["SenderRun"])
    assert (schedule["State"], schedule["ScheduleExpression"]) == ("ENABLED", "rate(1 hour)")
    assert schedule["Target"]["Arn"].endswith(f":function:{stack.resources['Sender']}")


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
