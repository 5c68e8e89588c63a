"""The ledger on the local DynamoDB and the one in memory keep the same promises."""

from collections.abc import Callable
from typing import Any

import pytest

from conversion_relay import event
from conversion_relay.delivery import Conversion, Memory
from conversion_relay.ledger import Contended, Ledger
from tests.fakes import NOW_MS, an_order
from tools.in_memory import InMemoryLedger
from tools.local_aws import Stack

FIRST_AND_SECOND = ("order_created#test:1", "order_created#test:2")
MEMORY = "memory#subscription#test:1"


@pytest.fixture(params=["dynamodb", "in memory"])
def ledger(request: pytest.FixtureRequest, clean: Stack) -> Any:
    if request.param == "in memory":
        return InMemoryLedger()
    return Ledger(clean.client("dynamodb"), clean.resources["Ledger"], ttl_days=90)


def a_conversion(number: int, **fields: Any) -> Conversion:
    return Conversion(event.parse(an_order(number)), f"test:{number}", **fields)


def two_at_once(**memory: Any) -> Conversion:
    remember = Memory("subscription#test:1", {"converted": True}, "1", 30, **memory)
    return a_conversion(1, also=(a_conversion(2),), remember=remember)


def recorded(ledger: Any) -> list[bool]:
    return [ledger.recall(key, NOW_MS) is not None for key in (*FIRST_AND_SECOND, MEMORY)]


def test_conversions_and_memory_of_one_delivery_are_written_together(ledger: Any) -> None:
    assert ledger.record(two_at_once(), NOW_MS, source="test", tenant=None) == "recorded"
    assert recorded(ledger) == [True, True, True]
    assert ledger.record(two_at_once(), NOW_MS) == "duplicate"


@pytest.mark.parametrize("known", [1, 2])
def test_what_is_there_already_does_not_hold_back_the_other(ledger: Any, known: int) -> None:
    ledger.record(a_conversion(known), NOW_MS)

    assert ledger.record(two_at_once(), NOW_MS) == "recorded"
    assert recorded(ledger) == [True, True, True]


def test_nothing_is_written_when_the_memory_has_changed_meanwhile(ledger: Any) -> None:
    with pytest.raises(Contended):
        ledger.record(two_at_once(replaces="7"), NOW_MS)
    assert recorded(ledger) == [False, False, False]


@pytest.mark.parametrize("write", [lambda memory: a_conversion(1, remember=memory), lambda memory: memory])
def test_a_memory_is_replaced_only_as_it_was_read(ledger: Any, write: Callable[[Memory], Any]) -> None:
    ledger.remember(Memory("subscription#test:1", {"n": 1}, "1", 30), NOW_MS)

    def put(memory: Memory) -> None:
        made = write(memory)
        if isinstance(made, Memory):
            ledger.remember(made, NOW_MS)
        else:
            ledger.record(made, NOW_MS)

    for stale in (None, "0", "2"):
        with pytest.raises(Contended):
            put(Memory("subscription#test:1", {"n": 2}, "2", 30, stale))
    put(Memory("subscription#test:1", {"n": 2}, "2", 30, "1"))
    assert ledger.recall(MEMORY, NOW_MS) == {"n": 2, "version": "2"}
