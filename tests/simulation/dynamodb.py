"""The ledger's table with its stream, as the relay's functions reach it: DynamoDB in a dictionary, behind a network."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from tests.simulation.faults import ODD, REFUSED
from tools.in_memory_dynamodb import Exceptions, InMemoryDynamoDB, TransactionCanceledException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulation.invocation import Invocation


def dynamodb_error(dice: random.Random, fault: str) -> Exception:
    """What boto3 raises in the end, its own attempts over."""
    if fault != REFUSED:
        code = dice.choice(("", "InternalServerError"))
        return _error(code) if code else ReadTimeoutError(endpoint_url="https://dynamodb.simulated")
    code = dice.choice(("ProvisionedThroughputExceededException", "ThrottlingException", "InternalServerError", ""))
    return _error(code) if code else ConnectTimeoutError(endpoint_url="https://dynamodb.simulated")


def _error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "simulated"}}, "DynamoDB")


class DynamoDBClient:
    """What the relay uses of boto3's client, in one invocation.

    Odd is what a lost answer leads to when boto3 itself tries again: its second attempt meets its own write, and the
    condition fails. A transaction is spared that by its token; it may meet another one instead.
    """

    exceptions: Final = Exceptions

    def __init__(self, table: InMemoryDynamoDB, invocation: Invocation) -> None:
        self._table = table
        self._invocation = invocation

    def get_item(self, **get: Any) -> dict[str, Any]:
        """As boto3's."""
        fault = self._invocation.begin("DynamoDB", "GetItem", self._invocation.calls.ledger_ms(), dynamodb_error)
        answer = self._table.get_item(**get)
        if fault is not None:
            self._invocation.end(fault, dynamodb_error)
        return answer

    def put_item(self, **put: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._write("PutItem", {"Put": put})

    def update_item(self, **update: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._write("UpdateItem", {"Update": update})

    def delete_item(self, **delete: Any) -> dict[str, Any]:
        """As boto3's."""
        return self._write("DeleteItem", {"Delete": delete})

    def _write(self, operation: str, write: Mapping[str, Any]) -> dict[str, Any]:
        invocation = self._invocation
        fault = invocation.begin("DynamoDB", operation, invocation.calls.ledger_ms(), dynamodb_error)
        ((kind, arguments),) = write.items()
        change = getattr(self._table, f"{kind.lower()}_item")
        change(**arguments)
        invocation.writes += 1
        if fault is not None:
            if fault == ODD:
                change(**arguments)
            invocation.end(fault, dynamodb_error)
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Any]) -> dict[str, Any]:  # noqa: N803
        """As boto3's."""
        invocation = self._invocation
        fault = invocation.begin("DynamoDB", "TransactWriteItems", invocation.calls.ledger_ms(), dynamodb_error)
        if fault == ODD:
            reasons: Any = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in TransactItems[1:])]
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceledException(response, "TransactWriteItems")
        answer = self._table.transact_write_items(TransactItems=TransactItems)
        invocation.writes += 1
        if fault is not None:
            invocation.end(fault, dynamodb_error)
        return answer
