"""A conversion costs one write unit when it is recorded and one when it is settled: its item stays under 1 KB.

DynamoDB bills a write by the size of the item, in steps of 1,024 bytes: names and values of all attributes. An update
counts by the larger of what was there and what is there then.
"""

import hashlib
import json
import random
import string
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.ledger import Ledger, event_in
from conversion_relay.sender import ACCEPTED
from conversion_relay.settings import Settings
from tools.cases import Case, CaseFile
from tools.in_memory import InMemoryParking, KnownSecrets
from tools.in_memory_dynamodb import InMemoryDynamoDB
from tools.samples import Sample, sample, samples
from tools.sources import receiver_for

WRITE_UNIT = 1024
SECRET = "a dev secret"
NOW = datetime(2027, 3, 1, 8, 30, 0, 250_000, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SETTLED_MS = NOW_MS + 299_873
EVERYTHING = Settings(
    storefront_origin="https://northwind-trail.example", count_carts=True, require_match_key="none",
    count_newsletter=True,
)  # fmt: skip
CASES = CaseFile(Path(__file__).parents[1] / "cases" / "webhooks" / "cases.json")

MOST = 650
"""Bytes that the item of no sample and no case goes beyond: room for longer names and references than theirs."""


def size_of(item: Mapping[str, Any]) -> int:
    """Bytes as DynamoDB counts them. Source: its developer guide, "Item sizes and formats"."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: Mapping[str, Any]) -> int:
    match value:
        case {"S": str(text)}:
            return len(text.encode())
        case {"B": bytes(held)}:
            return len(held)
        case {"N": str(number)}:  # a byte for two significant digits, and one
            return (len(number.strip("-0")) + 1) // 2 + 1
    raise AssertionError(f"the ledger writes no {value}")


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"pk": {"S": "é"}}, 4),
        ({"a": {"B": b"123"}}, 4),
        ({"n": {"N": "1795186800000"}, "m": {"N": "7"}}, 1 + 4 + 1 + 1 + 1 + 1),
        ({"zero": {"N": "0"}}, 5),
    ],
)
def test_sizes_are_counted_as_dynamodb_does(item: dict[str, Any], size: int) -> None:
    assert size_of(item) == size


def settled(told: Callable[[Ledger], object]) -> Iterator[dict[str, Any]]:
    """The items of the conversions that were told, once OpenAI has accepted them."""
    table: Any = InMemoryDynamoDB()
    ledger = Ledger(table, "ledger", ttl_days=90)
    told(ledger)
    for key, item in list(table.items.items()):
        if "event" in item:
            recorded = size_of(item)
            ledger.settle(key, "sent", ACCEPTED["live"], SETTLED_MS)
            assert size_of(table.items[key]) >= recorded
            yield table.items[key]


def receive(ledger: Ledger, source: str, delivery: Delivery, settings: Settings, secrets: list[str], now: int) -> None:
    receiver = receiver_for(source, KnownSecrets(secrets), ledger, InMemoryParking(), settings, lambda: now)
    assert receiver is not None
    receiver.receive(delivery)


def sizes_of_samples() -> Iterator[tuple[str, int]]:
    for each in samples():
        yield from ((each.name, size_of(item)) for item in items_of(each))


def items_of(chosen: Sample, delivery: Delivery | None = None) -> Iterator[dict[str, Any]]:
    sent = delivery or chosen.delivery(SECRET, NOW)
    return settled(lambda ledger: receive(ledger, chosen.source, sent, EVERYTHING, [SECRET], NOW_MS))


def sizes_of_cases() -> Iterator[tuple[str, int]]:
    by_id = {case.id: case for case in CASES}

    def tell(case: Case, ledger: Ledger) -> None:
        for each in (*(by_id[name] for name in case.preconditions if name in by_id), case):
            receive(ledger, each.platform, each.delivery, case.settings, list(each.secrets), CASES.now_ms)

    for case in by_id.values():
        yield from ((case.id, size_of(item)) for item in settled(partial(tell, case)))


@pytest.mark.parametrize(("sizes", "least"), [(sizes_of_samples, 55), (sizes_of_cases, 30)])
def test_the_item_of_every_sample_and_case_takes_one_write_unit_with_room_to_spare(
    sizes: Callable[[], Iterator[tuple[str, int]]], least: int
) -> None:
    found = list(sizes())

    assert len(found) >= least
    assert {name: size for name, size in found if size > MOST} == {}


def noise(length: int, seed: str) -> str:
    """Letters and digits in which no packing finds anything, always the same."""
    return "".join(random.Random(seed).choices(string.ascii_letters + string.digits + "-_", k=length))


def an_order(lines: int, reference: int, user_agent: str = "") -> dict[str, Any]:
    """The item of a web order by a known customer: so many lines, each another product, and so long a reference."""
    chosen = sample("shopify/orders/create")
    payload: Any = deepcopy(chosen.payload)
    (first, *_) = payload["line_items"]
    names = ["Women's Ridgeline Waterproof Hiking Jacket", "Merino Crew Sock 3-Pack", "Insulated Steel Bottle 750 ml"]
    payload["line_items"] = [
        {
            **first,
            "id": 15_700_000_000_000 + 7_919 * number,
            "variant_id": 45_000_000_000_000 + int(hashlib.sha256(f"{number}".encode()).hexdigest()[:11], 16) % 10**13,
            "name": f"{names[number % 3]} - {noise(5, f'colour {number}')} / {'SMLX'[number % 4]}",
            "title": names[number % 3],
            "price": f"{19 + 13 * number}.95",
        }
        for number in range(lines)
    ]
    payload["landing_site"] = f"/products/ridgeline-hiking-jacket?oppref={noise(reference, 'reference')}"
    payload["note_attributes"] = []
    if user_agent:
        payload["client_details"]["user_agent"] = user_agent
    (item,) = items_of(replace(chosen, payload=payload))
    return item


IN_APP = (
    "Mozilla/5.0 (Linux; Android 15; SM-S921U1 Build/AP3A.240905.015.A2; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Version/4.0 Chrome/139.0.7258.143 Mobile Safari/537.36 Instagram 396.0.0.46.242 Android (35/15; 480dpi; "
    "1080x2340; samsung; SM-S921U1; e1q; qcom; en_US; 785863725; IABMV/1)"
)


@pytest.mark.parametrize(
    ("lines", "reference", "user_agent"), [(3, 40, ""), (3, 400, ""), (3, 200, IN_APP), (8, 200, ""), (12, 120, "")]
)
def test_a_web_order_of_several_lines_takes_one_write_unit(lines: int, reference: int, user_agent: str) -> None:
    item = an_order(lines, reference, user_agent)

    told = json.loads(event_in(item) or "")
    assert (len(told["data"]["contents"]), len(told["oppref"])) == (lines, reference)
    assert {"emails_sha256", "phone_numbers_sha256", "external_ids_sha256", "last_names_sha256"} <= told["user"].keys()
    assert size_of(item) < WRITE_UNIT


def test_an_order_of_very_many_lines_takes_more() -> None:
    # So a test that counted wrongly would be seen
    assert size_of(an_order(60, 40)) > WRITE_UNIT
