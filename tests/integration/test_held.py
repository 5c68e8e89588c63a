"""What came before its Stripe session is held back, and goes out once, with what the session knows."""

import time
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.stack import SECRETS, event_of, items, queue_depth, statuses, until
from tools.lambda_event import stream_event
from tools.local_aws import Stack
from tools.samples import sample
from tools.stand_in import StandIn

FIRST_OF = {
    "invoice.paid": ("subscription_created#stripe:sub_1SNPlan", "checkout.session.completed.subscription"),
    "customer.subscription.created": ("trial_started#stripe:sub_1SNTrial", "checkout.session.completed.trial"),
}


OF_THE_SESSION = {"oppref": "of.the.session", "openai_event_id": "pix_held"}


def post(stack: Stack, name: str) -> tuple[str, str]:
    """Post a sample, a session with a click and a pixel id of its own; outcome and reason of the answer."""
    chosen = sample(f"stripe/{name}")
    if name.startswith("checkout.session"):
        payload: Any = deepcopy(chosen.payload)
        payload["data"]["object"]["metadata"] |= OF_THE_SESSION
        chosen = replace(chosen, payload=payload)
    delivery = chosen.delivery(SECRETS["stripe"][0], datetime.now(UTC))
    answer = stack.post("stripe", delivery.body, delivery.headers)
    assert answer.status == 200
    return answer.json()["outcome"], answer.json()["reason"]


def let_the_hold_end(stack: Stack, key: str) -> dict[str, Any]:
    """As if ten minutes had passed: the ledger says so, and the stream hands the item's first image over once more."""
    image = items(stack)[key]
    ended = {"N": str(int(time.time() * 1000) - 1)}
    stack.client("dynamodb").update_item(
        TableName=stack.resources["Ledger"],
        Key={"pk": {"S": key}},
        UpdateExpression="SET hold_until_ms = :ended",
        ExpressionAttributeValues={":ended": ended},
    )
    return image | {"hold_until_ms": ended}


@pytest.mark.parametrize("first", FIRST_OF)
def test_what_came_before_its_session_goes_out_with_the_session_s_data(
    clean: Stack, stand_in: StandIn, first: str
) -> None:
    # Given a conversion that was recorded before its session came: SQS hides it
    key, session = FIRST_OF[first]
    assert post(clean, first) == ("recorded", "recorded")
    image = items(clean)[key]
    assert until(lambda: queue_depth(clean, delayed=True) == 1)
    assert (queue_depth(clean), clean.invoke("Sender")["received"]) == (0, 0)

    # When the session comes, and comes again, and then the hold ends
    assert post(clean, session) == ("duplicate", "amended")
    assert post(clean, session)[0] in ("duplicate", "ignored")
    let_the_hold_end(clean, key)
    first_image = image | {"hold_until_ms": {"N": "1"}}
    clean.invoke("Outbox", stream_event([first_image]))
    run = clean.invoke("Sender")

    # Then one event has counted: the message has the first bytes, the ledger and OpenAI those with click and pixel id
    assert (run["sent"], statuses(clean)) == (1, {key: "sent"})
    (counted,) = [each["event"] for each in stand_in.events()]
    assert (counted["id"], counted["oppref"]) == ("pix_held", "of.the.session")
    assert counted == event_of(items(clean)[key])
    assert event_of(image)["id"] == key.partition("#")[2]


def test_a_session_that_comes_after_the_hold_changes_nothing(clean: Stack) -> None:
    key, session = FIRST_OF["invoice.paid"]
    post(clean, "invoice.paid")
    before = let_the_hold_end(clean, key)

    assert post(clean, session) == ("duplicate", "duplicate")
    assert items(clean)[key] == before


def test_a_held_event_that_was_erased_is_not_sent(clean: Stack, stand_in: StandIn) -> None:
    key, _ = FIRST_OF["invoice.paid"]
    post(clean, "invoice.paid")
    image = let_the_hold_end(clean, key)
    clean.client("dynamodb").delete_item(TableName=clean.resources["Ledger"], Key={"pk": {"S": key}})

    clean.invoke("Outbox", stream_event([image]))

    assert clean.invoke("Sender")["erased"] == 1
    assert stand_in.events() == []
