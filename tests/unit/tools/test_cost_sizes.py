"""Sizes and units, each worked out by hand from the rules of AWS's documentation."""

import base64
from typing import Any

import pytest

from tools.cost.sizes import billed_ms, chunks, item_bytes, read_units, write_units


def test_an_item_is_its_names_and_values() -> None:
    item: dict[str, Any] = {
        "pk": {"S": "order#é"},  # 2 + 8: é is two bytes
        "sent": {"BOOL": True},  # 4 + 1
        "blob": {"B": base64.b64encode(b"x" * 30).decode()},  # 4 + 30: binary counts raw
        "list": {"L": [{"S": "ab"}, {"NULL": True}]},  # 4 + 3 + (1 + 2) + (1 + 1)
        "map": {"M": {"k": {"S": "v"}}},  # 3 + 3 + (1 + 1 + 1)
    }

    assert item_bytes(item) == 10 + 5 + 34 + 12 + 9


@pytest.mark.parametrize(
    ("number", "size"),
    [("7", 2), ("1795186796123", 8), ("1200", 2), ("0.5", 2), ("-15", 3), ("0", 1)],
    ids=["a digit", "13 digits are 7 bytes", "zeros at the end", "zeros before", "a sign", "nothing left"],
)
def test_a_number_takes_a_byte_for_two_digits_and_one_more(number: str, size: int) -> None:
    assert item_bytes({"n": {"N": number}}) == 1 + size


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (1024, 1), (1025, 2), (2048, 2), (2049, 3)], ids=str)
def test_a_write_costs_a_unit_for_each_kb_begun(size: int, units: int) -> None:
    assert write_units(size) == units
    assert write_units(size, transaction=True) == 2 * units


def test_a_read_costs_a_unit_for_each_4_kb_begun_and_half_if_it_may_be_old() -> None:
    assert [read_units(size, consistent=True) for size in (0, 4096, 4097)] == [1, 1, 2]
    assert [read_units(size, consistent=False) for size in (0, 4096, 4097)] == [0.5, 0.5, 1]


def test_sqs_charges_a_request_for_each_64_kb_begun() -> None:
    assert [chunks(size) for size in (0, 65_536, 65_537, 200_000)] == [1, 1, 2, 4]


def test_lambda_charges_each_millisecond_begun() -> None:
    assert [billed_ms(each) for each in (0.2, 12.0, 12.001)] == [1, 12, 13]
