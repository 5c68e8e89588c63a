"""What is written together: conversions, amendments and memories, on the local DynamoDB and in memory alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conversion_relay import event
from conversion_relay.delivery import Conversion, Memory
from conversion_relay.ledger import Contended, Written
from tests.fakes import NOW_MS, an_order

FIRST_AND_SECOND = ("order_created#test:1", "order_created#test:2")
MEMORY = "memory#subscription#test:1"


def a_conversion(number: int, **fields: Any) -> Conversion:
    return Conversion(event.parse(an_order(number)), f"test:{number}", **fields)


def two_at_once(**memory: Any) -> Conversion:
    remember = Memory("subscription#test:1", {"converted": True}, "1", 30, **memory)
    return a_conversion(1, also=(a_conversion(2),), remember=remember)


def recorded(ledger: Any) -> list[bool]:
    return [ledger.recall(key, NOW_MS) is not None for key in (*FIRST_AND_SECOND, MEMORY)]


def test_conversions_and_memory_of_one_delivery_are_written_together(ledger: Any) -> None:
    assert ledger.record(two_at_once(), NOW_MS, source="test", tenant=None) == Written([*FIRST_AND_SECOND], [])
    assert recorded(ledger) == [True, True, True]
    assert ledger.record(replace(two_at_once(), remember=None), NOW_MS) == Written([], [])


@pytest.mark.parametrize("known", [1, 2])
def test_what_is_there_already_does_not_hold_back_the_other(ledger: Any, known: int) -> None:
    ledger.record(a_conversion(known), NOW_MS)

    assert ledger.record(two_at_once(), NOW_MS) == Written([FIRST_AND_SECOND[2 - known]], [])
    assert recorded(ledger) == [True, True, True]


def test_what_a_duplicate_tells_is_remembered_all_the_same(ledger: Any) -> None:
    ledger.record(replace(two_at_once(), remember=None), NOW_MS)

    assert ledger.record(two_at_once(), NOW_MS) == Written([], [])
    assert ledger.recall(MEMORY, NOW_MS) == {"converted": True, "version": "1"}


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


# Held conversions.


def better(number: int = 1, **fields: Any) -> Conversion:
    return replace(a_conversion(number, amends=True, **fields), event=event.parse(an_order(number, id="pixel-token")))


def ids(ledger: Any) -> list[Any]:
    return [(ledger.recall(key, NOW_MS) or {}).get("id") for key in FIRST_AND_SECOND]


def test_a_held_conversion_is_amended_once(ledger: Any) -> None:
    ledger.record(a_conversion(1, hold_s=600), NOW_MS)

    assert ledger.record(better(), NOW_MS + 539_999) == Written([], [FIRST_AND_SECOND[0]])
    assert ledger.record(better(), NOW_MS) == Written([], [])
    assert ids(ledger) == ["pixel-token", None]


@pytest.mark.parametrize(
    ("hold_s", "amends", "after_ms"),
    [(600, True, 540_000), (600, True, 90_000_000), (0, True, 0), (600, False, 0)],
    ids=["within the margin", "long after", "not held", "not amending"],
)
def test_a_conversion_is_not_amended(ledger: Any, hold_s: int, amends: bool, after_ms: int) -> None:
    ledger.record(a_conversion(1, hold_s=hold_s), NOW_MS)

    assert ledger.record(replace(better(), amends=amends), NOW_MS + after_ms) == Written([], [])
    assert ids(ledger) == ["shopify:1", None]


def test_one_is_new_one_is_amended_and_the_memory_is_written_with_them(ledger: Any) -> None:
    ledger.record(a_conversion(1, hold_s=600), NOW_MS)
    remember = Memory("subscription#test:1", {"n": 1}, "1", 30)

    both = better(also=(a_conversion(2, hold_s=600),), remember=remember)
    assert ledger.record(both, NOW_MS) == Written([FIRST_AND_SECOND[1]], [FIRST_AND_SECOND[0]])

    assert recorded(ledger) == [True, True, True]
    assert ids(ledger) == ["pixel-token", "shopify:2"]


def test_two_are_amended_at_once(ledger: Any) -> None:
    ledger.record(a_conversion(1, hold_s=600), NOW_MS)
    ledger.record(a_conversion(2, hold_s=600), NOW_MS)

    assert ledger.record(better(also=(better(2),)), NOW_MS) == Written([], [*FIRST_AND_SECOND])
    assert ids(ledger) == ["pixel-token", "pixel-token"]


def test_the_one_that_is_no_longer_held_stays_as_it_is(ledger: Any) -> None:
    ledger.record(a_conversion(1, hold_s=600), NOW_MS)
    ledger.record(a_conversion(2), NOW_MS)

    assert ledger.record(better(also=(better(2),)), NOW_MS) == Written([], [FIRST_AND_SECOND[0]])
    assert ids(ledger) == ["pixel-token", "shopify:2"]


def test_nothing_is_amended_when_the_memory_has_changed_meanwhile(ledger: Any) -> None:
    ledger.record(a_conversion(1, hold_s=600), NOW_MS)

    with pytest.raises(Contended):
        ledger.record(better(remember=Memory("subscription#test:1", {"n": 1}, "1", 30, replaces="7")), NOW_MS)
    assert ids(ledger) == ["shopify:1", None]
