"""The books of a trial with real faults: they balance, and whatever is missing, double or different shows in them."""

from dataclasses import replace
from typing import Any

import pytest

from tools.faults.accounting import Balance, Books, balance
from tools.faults.clients import Course
from tools.faults.plan import Kind, Posting

ORDER, TWIN, CALL = ("order_created", "shopify:7100000000000"), 3, ("lead_created", f"callrail:CAL{1:032}")


def course(number: int, source: str, kind: Kind, status: int | None, outcome: str = "", subject: int = 0) -> Course:
    return Course(Posting(number, source, kind, subject), attempts=1, status=status, outcome=outcome)


def counted(key: tuple[str, str], amount: int | None = None, duplicates: int = 0) -> dict[str, Any]:
    data = {} if amount is None else {"amount": amount}
    return {"pid": "pixel", "name": key[0], "id": key[1], "event": {"data": data}, "duplicates": duplicates}


def arrived(key: tuple[str, str], times: int = 1, forms: int = 1) -> dict[str, Any]:
    return {"pid": "pixel", "name": key[0], "id": key[1], "times": times, "forms": forms}


BOOKS = Books(
    courses=[
        course(0, "shopify", "new", 200, "recorded"),
        course(1, "callrail", "new", 200, "recorded", subject=1),
        course(2, "shopify", "forged", 401, "refused", subject=2),
        course(TWIN, "shopify", "twin", 200, "duplicate"),
        course(4, "shopify", "not_understood", 200, "parked", subject=4),
    ],
    counted=[counted(ORDER, 1_000, duplicates=2), counted(CALL)],
    arrivals=[arrived(ORDER, times=3), arrived(CALL)],
    ledger={"#".join(ORDER): "sent", "#".join(CALL): "sent"},
    parked={"digest of 4"},
    bodies={1: "digest of 1", 4: "digest of 4"},
    queues={"Queue": 0, "DeadLetterQueue": 0},
)


def test_books_that_balance() -> None:
    assert balance(BOOKS) == Balance(
        conversions=2,
        lost=0,
        twice=0,
        collapsed=2,
        resent=1,
        untaken={"counted_all_the_same": 0, "parked": 0, "gone": 0},
        differences=[],
    )


def test_a_lost_conversion() -> None:
    result = balance(replace(BOOKS, counted=BOOKS.counted[1:], arrivals=BOOKS.arrivals[1:]))

    assert result.lost == 1
    assert result.differences[0] == f"1 answered 2xx but not counted by OpenAI: lost: {'#'.join(ORDER)}"


def test_a_conversion_counted_twice_under_another_id() -> None:
    other = ("order_created", "shopify:another-id-of-the-same-order")
    result = balance(replace(BOOKS, counted=[*BOOKS.counted, counted(other, 1_000)]))

    assert (result.lost, result.twice) == (0, 1)
    assert any("twice, or made up: order_created#shopify:another" in each for each in result.differences)


def test_a_conversion_counted_twice_for_another_pixel() -> None:
    again = {**counted(ORDER, 1_000), "pid": "another pixel"}
    assert balance(replace(BOOKS, counted=[*BOOKS.counted, again])).twice == 1


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"counted": [counted(ORDER, 999), counted(CALL)]}, "with another amount"),
        ({"arrivals": [arrived(ORDER, times=2, forms=2)]}, "with other bytes"),
        ({"ledger": {"#".join(ORDER): "recorded", "#".join(CALL): "sent"}}, "not sent by the ledger"),
        ({"ledger": {"#".join(ORDER): "sent"}}, "1 counted, but not sent by the ledger: lead_created#"),
        ({"ledger": {**BOOKS.ledger, "order_created#shopify:1": "sent"}}, "in the ledger, but in no delivery"),
        ({"ledger": {**BOOKS.ledger, "order_created#shopify:1": "rejected"}}, "another end than sent"),
        ({"parked": set()}, "1 said to be parked, but not in the bucket: shopify 4"),
        ({"parked": {"digest of 4", "another"}}, "parked, but never posted: another"),
        ({"queues": {"Queue": 0, "DeadLetterQueue": 3}}, "DeadLetterQueue: 3 messages are left"),
        ({"courses": [*BOOKS.courses, course(5, "shopify", "forged", 200)]}, "forged, and answered 2xx"),
        ({"courses": [*BOOKS.courses, course(5, "shopify", "forged", 500)]}, "not answered for good"),
        ({"courses": [*BOOKS.courses, course(5, "shopify", "new", 401, subject=5)]}, "properly signed, and refused"),
        ({"courses": [*BOOKS.courses, course(5, "stripe", "new", None, subject=5)]}, "not answered for good"),
    ],
)
def test_every_other_difference(change: dict[str, Any], difference: str) -> None:
    assert any(difference in each for each in balance(replace(BOOKS, **change)).differences)


# A call platform never sends again: what it was not told 2xx of may be anywhere, but is counted once at most.


@pytest.mark.parametrize(
    ("changes", "untaken"),
    [
        ({}, "counted_all_the_same"),
        ({"counted": BOOKS.counted[:1], "ledger": {"#".join(ORDER): "sent"}}, "gone"),
        (
            {
                "counted": BOOKS.counted[:1],
                "ledger": {"#".join(ORDER): "sent"},
                "parked": {"digest of 1", "digest of 4"},
            },
            "parked",
        ),
    ],
)
def test_a_call_whose_answer_was_lost_is_no_broken_promise(changes: dict[str, Any], untaken: str) -> None:
    courses = [course(1, "callrail", "new", 500, subject=1), *BOOKS.courses[:1], *BOOKS.courses[2:]]
    result = balance(replace(BOOKS, courses=courses, **changes))

    assert (result.lost, result.twice, result.differences) == (0, 0, [])
    assert [name for name, times in result.untaken.items() if times] == [untaken]


def test_a_call_answered_500_as_parked_has_to_be_in_the_bucket() -> None:
    courses = [course(1, "callrail", "new", 500, "parked", subject=1), *BOOKS.courses[:1], *BOOKS.courses[2:]]
    assert balance(replace(BOOKS, courses=courses)).differences == [
        "1 said to be parked, but not in the bucket: callrail 1"
    ]


def test_many_differences_are_told_in_one_line() -> None:
    more = [course(number, "shopify", "new", 200, subject=number) for number in range(10, 30)]
    (line, *_) = balance(replace(BOOKS, courses=[*BOOKS.courses, *more])).differences

    assert line.startswith("20 answered 2xx but not counted by OpenAI: lost: order_created#shopify:7100000000010, ")
    assert line.endswith(", …")
