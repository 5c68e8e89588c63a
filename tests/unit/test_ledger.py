"""What the ledger makes of DynamoDB's errors, with botocore's client. What it writes, the integration tests show."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from conversion_relay import event, packing
from conversion_relay.circuit import Circuit
from conversion_relay.delivery import Conversion, Fetch, Memory
from conversion_relay.ledger import (
    Contended,
    Ledger,
    LedgerUnavailable,
    Reopened,
    Stored,
    Written,
    conversions_in,
    event_in,
)
from tests.fakes import NOW_MS, an_order
from tools.in_memory_dynamodb import InMemoryDynamoDB

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


def in_memory() -> tuple[Ledger, InMemoryDynamoDB]:
    client: Any = InMemoryDynamoDB()
    return Ledger(client, "ledger", ttl_days=90), client


OPEN = {name: {"N": "5"} for name in ("since_ms", "until_ms", "oldest_ms")} | {
    "pk": {"S": "circuit#openai"}, "state": {"S": "outage"}, "advice": {"S": "wait"},
}  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        *({name: None} for name in OPEN if name != "pk"),
        {"until_ms": {"N": "1.5"}},
        {"oldest_ms": {"S": "5"}},
        {"state": {"S": "half open"}},
        {"state": {"N": "1"}},
    ],
    ids=str,
)
def test_a_circuit_that_is_not_as_it_is_written_here_stops_no_run(odd: dict[str, Any]) -> None:
    # Given a circuit that somebody, or another version, has left without a field, or with an odd one
    ledger, table = in_memory()
    table.items["circuit#openai"] = {name: value for name, value in (OPEN | odd).items() if value is not None}

    # When it is read, then it counts as closed, and can be written anew
    assert ledger.circuit() is None
    ledger.open_circuit(Circuit("blocked", "put another key", 1, 2, 3))
    assert ledger.circuit() == Circuit("blocked", "put another key", 1, 2, 3)


@pytest.mark.parametrize("odd", [{"event": None}, {"event": {"N": "1"}}, {"hold_until_ms": {"N": "1.5"}}], ids=str)
def test_an_item_that_is_none_of_a_conversion_is_said_to_be_none(odd: dict[str, Any]) -> None:
    ledger, table = in_memory()
    item = {"pk": {"S": "memory#x"}, "event": {"S": "{}"}, **odd}
    table.items["memory#x"] = {name: value for name, value in item.items() if value is not None}

    with pytest.raises(LedgerUnavailable, match="memory#x is none of a conversion"):
        ledger.stored("memory#x")


@pytest.mark.parametrize("status", ["rejected", "expired", "sent"])
def test_what_has_ended_is_open_again_with_the_same_event(status: Reopened) -> None:
    ledger, table = in_memory()
    ledger.record(ORDER, NOW_MS)
    stored = dict(table.items[ORDER.key] or {})
    ledger.settle(ORDER.key, status, "why", NOW_MS + 1)  # type: ignore[arg-type]

    assert ledger.reopen(ORDER.key, status, NOW_MS + 2)

    assert table.items[ORDER.key] == stored | {"reopened_from": {"S": status}, "reopened_ms": {"N": str(NOW_MS + 2)}}


@pytest.mark.parametrize("status", ["rejected", "expired", "sent", "shadow"])
def test_what_has_another_status_by_now_stays_as_it_is(status: Reopened) -> None:
    ledger, table = in_memory()
    ledger.record(ORDER, NOW_MS)
    before = dict(table.items[ORDER.key] or {})

    assert not ledger.reopen(ORDER.key, status, NOW_MS + 1)
    assert not ledger.reopen("order_created#test:404", status, NOW_MS + 1)

    assert table.items[ORDER.key] == before
    assert table.items.get("order_created#test:404") is None


def test_what_was_left_behind_is_marked_as_on_its_way_and_stays_what_it_is() -> None:
    ledger, table = in_memory()
    ledger.record(ORDER, NOW_MS)
    ledger.fetch_later(Fetch("stripe:evt_1", {"id": "evt_1"}), NOW_MS)

    assert ledger.reopen(ORDER.key, "recorded", NOW_MS + 1)
    assert ledger.reopen("fetch#stripe:evt_1", "to_fetch", NOW_MS + 1)

    assert {key: item["status"]["S"] for key, item in table.items.items() if item} == {
        ORDER.key: "recorded",
        "fetch#stripe:evt_1": "to_fetch",
    }


def test_setting_back_fails_when_dynamodb_does() -> None:
    ledger, stubber = failing("update_item", "ThrottlingException")
    with stubber, pytest.raises(LedgerUnavailable, match="set the conversion back"):
        ledger.reopen(ORDER.key, "rejected", NOW_MS)


# Packed events -------------------------------------------------------------------------------------------------------

TEXT = ORDER.event.to_json()
PACKED = packing.pack(TEXT)
FORMS = {
    "as the client gives it": {"B": PACKED},
    "as Lambda writes it into a stream's record": {"B": base64.b64encode(PACKED).decode()},
    "as versions before packing stored it": {"S": TEXT},
}


@pytest.mark.parametrize("form", FORMS)
def test_an_event_is_read_in_every_form_that_it_has(form: str) -> None:
    # Given a conversion's item with the event in that form
    ledger, table = in_memory()
    ledger.record(replace(ORDER, hold_s=600), NOW_MS)
    item = (table.items[ORDER.key] or {}) | {"event": FORMS[form]}
    table.items[ORDER.key] = item

    # Then all who read it get the JSON, byte for byte
    assert event_in(item) == TEXT
    assert conversions_in([item, {"pk": {"S": "memory#x"}, "facts": {"S": "{}"}}]) == [
        (ORDER.key, TEXT, NOW_MS + 600_000)
    ]
    assert ledger.stored(ORDER.key) == Stored(TEXT, NOW_MS + 600_000)
    assert ledger.recall(ORDER.key, NOW_MS) == ORDER.event.wire()


def test_what_is_withdrawn_leaves_nothing_but_its_key_and_why() -> None:
    # Given a conversion that is held
    ledger, table = in_memory()
    ledger.record(replace(ORDER, hold_s=600), NOW_MS)

    # When it is withdrawn, twice
    for _ in range(2):
        ledger.withdraw(ORDER.key, "consent_refused", NOW_MS + 1_000)

    # Then nothing of the person is left, it is neither sent nor read nor recorded anew
    expires_at = {"N": str((NOW_MS + 1_000) // 1000 + 90 * 86_400)}
    item = dict(table.items[ORDER.key] or {})
    assert {name: item[name] for name in ("pk", "withdrawn", "withdrawn_ms", "expires_at")} == {
        "pk": {"S": ORDER.key},
        "withdrawn": {"S": "consent_refused"},
        "withdrawn_ms": {"N": str(NOW_MS + 1_000)},
        "expires_at": expires_at,
    }
    assert not {"event", "status", "hold_until_ms"} & item.keys()
    assert ledger.stored(ORDER.key) is None
    assert ledger.recall(ORDER.key, NOW_MS) is None
    assert ledger.record(replace(ORDER, amends=True), NOW_MS) == Written([], [])
    assert conversions_in([item]) == []


@pytest.mark.parametrize("hold_s", [0, 60])
def test_what_may_have_been_sent_is_not_withdrawn(hold_s: int) -> None:
    ledger, table = in_memory()
    ledger.record(replace(ORDER, hold_s=hold_s), NOW_MS)
    before = dict(table.items[ORDER.key] or {})
    ledger.withdraw(ORDER.key, "consent_refused", NOW_MS)
    assert table.items[ORDER.key] == before


def test_an_outage_while_withdrawing_is_said() -> None:
    ledger, dynamodb = failing("update_item", "InternalServerError")
    with dynamodb, pytest.raises(LedgerUnavailable, match="withdraw"):
        ledger.withdraw(ORDER.key, "consent_refused", NOW_MS)


def test_an_event_is_stored_packed() -> None:
    ledger, table = in_memory()
    ledger.record(replace(ORDER, hold_s=600), NOW_MS)
    assert (table.items[ORDER.key] or {})["event"] == {"B": PACKED}

    better = Conversion(event.parse(an_order(id="pixel-token")), "test:1", amends=True)
    assert ledger.record(better, NOW_MS).amended == [ORDER.key]
    assert (table.items[ORDER.key] or {})["event"] == {"B": packing.pack(better.event.to_json())}


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"B": b"\x09later"}, "begins with 9, which a later version of the relay may have written"),
        ({"B": PACKED[:-1]}, "its end is missing"),
        ({"B": "no base64"}, "cannot be read"),
        ({"N": "1"}, "is none of a conversion"),
    ],
    ids=["of a later version", "cut off", "no base64", "a number"],
)
def test_an_event_that_cannot_be_read_stops_whoever_reads_it_and_is_named_without_its_content(
    form: dict[str, Any], why: str
) -> None:
    ledger, table = in_memory()
    ledger.record(ORDER, NOW_MS)
    item = (table.items[ORDER.key] or {}) | {"event": form}
    table.items[ORDER.key] = item

    for read in (
        lambda: event_in(item),
        lambda: conversions_in([item]),
        lambda: ledger.stored(ORDER.key),
        lambda: ledger.recall(ORDER.key, NOW_MS),
    ):
        with pytest.raises(LedgerUnavailable, match=f"the ledger item {ORDER.key} .*{why}"):
            read()


@pytest.mark.parametrize(
    "stored", [{"S": TEXT}, {"B": b"\x00" + TEXT.encode()}], ids=["not packed", "otherwise packed"]
)
def test_the_same_event_in_another_form_may_be_written_once_more_and_stays_the_same(stored: dict[str, Any]) -> None:
    # Given a held conversion that another version, or another build of zlib, has written
    ledger, table = in_memory()
    ledger.record(replace(ORDER, hold_s=600), NOW_MS)
    table.items[ORDER.key] = (table.items[ORDER.key] or {}) | {"event": stored}

    # When a delivery that amends tells the same, twice
    same = replace(ORDER, amends=True)
    amended = [ledger.record(same, NOW_MS + number).amended for number in range(2)]

    # Then it is written once more, and what goes out has the same bytes as before
    assert amended == [[ORDER.key], []]
    assert ledger.stored(ORDER.key) == Stored(TEXT, NOW_MS + 600_000)
