"""How AWS measures what it charges for: the size of an item, units, chunks, rounded as its documentation says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from math import ceil
from typing import Any, Final

WRITE_UNIT_BYTES: Final = 1024
READ_UNIT_BYTES: Final = 4096
CHUNK_BYTES: Final = 65_536
ITEM_OVERHEAD_BYTES: Final = 100
"""DynamoDB stores so much more with every item, for its index; it counts for storage, not for units."""
GB: Final = 1024**3
"""AWS's GB."""


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of a DynamoDB item: names and values. The form is that of the wire: numbers as text, binary in base64.

    Source: "DynamoDB item sizes and formats" in its developer guide.
    """
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of one attribute's value, by its type."""
    ((kind, held),) = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            return _number_bytes(held)
        case "B":
            return len(held) if isinstance(held, bytes) else len(base64.b64decode(held))
        case "BOOL" | "NULL":
            return 1
        case "L":
            return 3 + sum(1 + value_bytes(each) for each in held)
        case "M":
            return 3 + sum(1 + len(name.encode()) + value_bytes(each) for name, each in held.items())
        case "SS" | "NS" | "BS":
            return sum(value_bytes({kind[0]: each}) for each in held)
    raise ValueError(f"DynamoDB has no type {kind}")


def _number_bytes(text: str) -> int:
    # A byte for two significant digits, one more, and one more for a sign; zeros on both ends do not count.
    digits = text.lstrip("-").replace(".", "").strip("0")
    return -(-len(digits) // 2) + 1 + text.startswith("-")


def write_units(size: int, *, transaction: bool = False) -> int:
    """Write request units of an item of so many bytes: one for each KB that is begun, two in a transaction."""
    return max(1, ceil(size / WRITE_UNIT_BYTES)) * (2 if transaction else 1)


def read_units(size: int, *, consistent: bool) -> float:
    """Read request units: one for each 4 KB that is begun, half as many where the answer may be a little old."""
    return max(1, ceil(size / READ_UNIT_BYTES)) * (1.0 if consistent else 0.5)


def chunks(size: int) -> int:
    """Requests that SQS charges for one action with so many bytes: one for each 64 KB that is begun."""
    return max(1, ceil(size / CHUNK_BYTES))


def billed_ms(milliseconds: float) -> int:
    """Lambda charges each millisecond that is begun."""
    return ceil(round(milliseconds, 6))
