"""What the ledger makes of DynamoDB's errors, with botocore's client. What it writes, the integration tests show."""

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from conversion_relay import event
from conversion_relay.delivery import Conversion, Memory
from conversion_relay.ledger import Contended, Ledger, LedgerUnavailable
from tests.fakes import NOW_MS, an_order

MEMORY = Memory("cart#test:c1", {"n": 1}, "1", 30)
ORDER = Conversion(event.parse(an_order()), "test:1")
WITH_MEMORY = Conversion(event.parse(an_order()), "test:1", MEMORY)

Act = Callable[[Ledger], Any]


def failing(operation: str, code: str, **response: Any) -> tuple[Ledger, Stubber]:
    """A ledger whose next operation DynamoDB refuses with this code."""
    client = boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    stubber = Stubber(client)
    stubber.add_client_error(operation, code, modeled_fields=response)
    return Ledger(client, "ledger", ttl_days=90), stubber


@pytest.mark.parametrize(
    ("operation", "act"),
    [
        ("put_item", lambda ledger: ledger.record(ORDER, NOW_MS)),
        ("put_item", lambda ledger: ledger.remember(MEMORY, NOW_MS)),
        ("transact_write_items", lambda ledger: ledger.record(WITH_MEMORY, NOW_MS)),
    ],
    ids=["a conversion", "a memory", "both"],
)
def test_an_item_in_another_delivery_s_transaction_is_contended(operation: str, act: Act) -> None:
    # Given an item that another delivery's transaction holds at this moment
    ledger, dynamodb = failing(operation, "TransactionConflictException")

    # When it is written, then the receiver is told to decide anew, and not that DynamoDB is down
    with dynamodb, pytest.raises(Contended):
        act(ledger)


def test_a_transaction_that_another_one_cancelled_is_contended() -> None:
    reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
    ledger, dynamodb = failing("transact_write_items", "TransactionCanceledException", CancellationReasons=reasons)

    with dynamodb, pytest.raises(Contended):
        ledger.record(WITH_MEMORY, NOW_MS)


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalServerError", "AccessDenied"])
def test_anything_else_is_an_outage_of_the_ledger(code: str) -> None:
    ledger, dynamodb = failing("put_item", code)

    with dynamodb, pytest.raises(LedgerUnavailable, match=code) as raised:
        ledger.record(ORDER, NOW_MS)

    assert not isinstance(raised.value, Contended)
