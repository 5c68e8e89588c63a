"""The real ledger on DynamoDB and the in-memory one of ``relay try`` keep the same promises."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from conversion_relay import event
from conversion_relay.delivery import Conversion, Fetch, Memory, PrivacyRequest
from conversion_relay.ledger import Contended, Ledger, LedgerUnavailable, Stored, Written, fetches_in
from conversion_relay.receive import LedgerPort
from tests.integration.stack import items, queue_depth, statuses, until
from tools.local_aws import Stack

NOW_MS = 1_795_186_800_000
DAY_MS = 86_400_000
KEY = "order_created#shopify:1"


def conversion(number: int = 1, *, event_id: str = "", remember: Memory | None = None) -> Conversion:
    subject = f"shopify:{number}"
    built = event.parse(
        {
            "id": event_id or subject,
            "type": "order_created",
            "timestamp_ms": NOW_MS,
            "action_source": "physical_store",
            "data": {"type": "contents", "amount": 100 * number, "currency": "USD"},
        }
    )
    return Conversion(built, subject, remember)


def memory(version: str, replaces: str | None = None, **facts: int) -> Memory:
    return Memory(key="cart#shopify:c1", facts=facts, version=version, ttl_days=30, replaces=replaces)


def real(stack: Stack) -> Ledger:
    return Ledger(stack.client("dynamodb"), stack.resources["Ledger"], ttl_days=90)


def test_first_delivery_is_recorded_and_later_ones_are_duplicates(ledger: LedgerPort) -> None:
    assert ledger.record(conversion(), NOW_MS, source="shopify") == Written([KEY], [])
    assert ledger.record(conversion(), NOW_MS + 1) == Written([], [])
    assert ledger.record(conversion(event_id="a pixel's id that came later"), NOW_MS + 2) == Written([], [])
    assert ledger.record(conversion(2), NOW_MS) == Written(["order_created#shopify:2"], [])


def test_a_recorded_conversion_is_recalled_as_its_event(ledger: LedgerPort) -> None:
    ledger.record(conversion(7), NOW_MS)
    assert ledger.recall("order_created#shopify:7", NOW_MS) == conversion(7).event.wire()
    assert ledger.recall("order_created#shopify:8", NOW_MS) is None


def test_a_memory_is_recalled_with_its_version_until_it_is_forgotten(ledger: LedgerPort) -> None:
    ledger.remember(memory("001", a=1), NOW_MS, "example.myshopify.com")
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS) == {"a": 1, "version": "001"}
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS + 31 * DAY_MS) is None


def test_a_memory_is_replaced_only_by_who_has_read_it(ledger: LedgerPort) -> None:
    ledger.remember(memory("001", a=1), NOW_MS, None)
    with pytest.raises(Contended):
        ledger.remember(memory("002", a=2), NOW_MS, None)
    with pytest.raises(Contended):
        ledger.remember(memory("002", replaces="000", a=2), NOW_MS, None)
    ledger.remember(memory("002", replaces="001", a=2), NOW_MS, None)
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS) == {"a": 2, "version": "002"}


def test_a_forgotten_memory_may_be_written_anew(ledger: LedgerPort) -> None:
    ledger.remember(memory("001", a=1), NOW_MS, None)
    ledger.remember(memory("009", a=9), NOW_MS + 31 * DAY_MS, None)
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS + 31 * DAY_MS) == {"a": 9, "version": "009"}


def test_a_conversion_and_its_memory_are_written_together_or_not_at_all(ledger: LedgerPort) -> None:
    ledger.remember(memory("001", a=1), NOW_MS, None)
    # The memory has changed since it was read: neither is written
    with pytest.raises(Contended):
        ledger.record(conversion(remember=memory("002", replaces="000", a=2)), NOW_MS)
    assert ledger.recall("order_created#shopify:1", NOW_MS) is None
    # It has not: both are
    assert ledger.record(conversion(remember=memory("002", replaces="001", a=2)), NOW_MS) == Written([KEY], [])
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS) == {"a": 2, "version": "002"}
    # What a duplicate knows is remembered all the same
    assert ledger.record(conversion(remember=memory("003", replaces="002", a=3)), NOW_MS) == Written([], [])
    assert ledger.recall("memory#cart#shopify:c1", NOW_MS) == {"a": 3, "version": "003"}


def test_a_privacy_request_is_noted_once(ledger: LedgerPort) -> None:
    request = PrivacyRequest("erase_person", "shopify:r1", "example.myshopify.com", ("0" * 64,), ("shopify:1",))
    assert ledger.note(request, NOW_MS) == "recorded"
    assert ledger.note(request, NOW_MS) == "duplicate"


def test_fifty_writers_at_once_record_once(clean: Stack) -> None:
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda _: real(clean).record(conversion(), NOW_MS), range(50)))
    assert sorted(len(each.recorded) for each in results) == [0] * 49 + [1]


def test_a_refusal_takes_back_what_is_held_and_what_is_still_to_come(ledger: LedgerPort) -> None:
    held, sent, later = (replace(conversion(n), hold_s=hold_s) for n, hold_s in ((1, 600), (2, 0), (3, 0)))
    for each in (held, sent):
        ledger.record(each, NOW_MS)
    for each in (held, sent, later):
        ledger.withdraw(each.key, "consent_refused", NOW_MS + 1_000)
    assert [ledger.recall(each.key, NOW_MS) is None for each in (held, sent, later)] == [True, False, True]
    for each in (held, sent, later):
        assert ledger.record(replace(each, amends=True), NOW_MS + 2_000) == Written([], [])


def test_fifty_amendments_at_once_amend_once(clean: Stack) -> None:
    real(clean).record(replace(conversion(), hold_s=600), NOW_MS)
    better = replace(conversion(event_id="pixel-token"), amends=True)
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda _: real(clean).record(better, NOW_MS), range(50)))
    assert sorted(len(each.amended) for each in results) == [0] * 49 + [1]


def test_what_is_settled_is_not_amended(clean: Stack) -> None:
    real(clean).record(replace(conversion(), hold_s=600), NOW_MS)
    real(clean).settle(KEY, "sent", "accepted by OpenAI", NOW_MS)
    better = replace(conversion(event_id="pixel-token"), amends=True)
    assert real(clean).record(better, NOW_MS) == Written([], [])


def test_the_stored_event_is_read_with_the_end_of_its_hold(clean: Stack) -> None:
    ledger = real(clean)
    ledger.record(replace(conversion(1), hold_s=600), NOW_MS)
    ledger.record(conversion(2), NOW_MS)
    assert ledger.stored(KEY) == Stored(conversion(1).event.to_json(), NOW_MS + 600_000)
    assert ledger.stored("order_created#shopify:2") == Stored(conversion(2).event.to_json(), 0)
    assert ledger.stored("order_created#shopify:404") is None


def test_settling_ends_a_conversion_once_and_never_unsends_it(clean: Stack) -> None:
    ledger = real(clean)
    ledger.record(conversion(), NOW_MS)
    ledger.settle("order_created#shopify:1", "rejected", "amount: x", NOW_MS)
    ledger.settle("order_created#shopify:1", "sent", "accepted by OpenAI", NOW_MS + 1)
    ledger.settle("order_created#shopify:1", "expired", "200 h old", NOW_MS + 2)
    assert statuses(clean) == {"order_created#shopify:1": "sent"}


def test_a_rejection_keeps_its_reason_when_a_copy_of_its_message_grows_too_old(clean: Stack) -> None:
    ledger = real(clean)
    ledger.record(conversion(), NOW_MS)
    ledger.settle(KEY, "rejected", "amount: x", NOW_MS)
    ledger.settle(KEY, "expired", "7 d 0 h old", NOW_MS + 7 * DAY_MS)
    item = items(clean)[KEY]
    assert (item["status"]["S"], item["reason"]["S"]) == ("rejected", "amount: x")


def test_an_ended_conversion_is_set_back_once_and_never_after_another_end(clean: Stack) -> None:
    # Given a rejected conversion
    ledger = real(clean)
    ledger.record(conversion(), NOW_MS)
    ledger.settle(KEY, "rejected", "amount: x", NOW_MS)
    event = items(clean)[KEY]["event"]

    # When five people set it back at once, then one of them does, and the event is the same
    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(lambda _: ledger.reopen(KEY, "rejected", NOW_MS + 1), range(5))) == [False] * 4 + [True]
    item = items(clean)[KEY]
    assert (item["status"], item["event"]) == ({"S": "recorded"}, event)
    assert (item["reopened_from"], item["reopened_ms"]) == ({"S": "rejected"}, {"N": str(NOW_MS + 1)})
    assert not {"reason", "settled_ms"} & item.keys()

    # and it can end again, after which what was seen before does not set it back
    ledger.settle(KEY, "sent", "accepted by OpenAI", NOW_MS + 2)
    assert not ledger.reopen(KEY, "rejected", NOW_MS + 3)
    assert statuses(clean) == {KEY: "sent"}


def test_an_erased_conversion_does_not_come_back_by_being_set_back(clean: Stack) -> None:
    assert not real(clean).reopen(KEY, "rejected", NOW_MS)
    assert items(clean) == {}


def test_what_is_to_be_fetched_is_noted_once_and_keeps_its_first_end(clean: Stack) -> None:
    ledger, fetch = real(clean), Fetch("stripe:evt_1", {"id": "evt_1", "path": "/v1/invoices/in_1"})
    assert ledger.fetch_later(fetch, NOW_MS, "acct_1A") == "recorded"
    assert ledger.fetch_later(fetch, NOW_MS) == "duplicate"
    assert fetches_in([items(clean)["fetch#stripe:evt_1"]]) == [
        ("fetch#stripe:evt_1", '{"id":"evt_1","path":"/v1/invoices/in_1"}', 0)
    ]
    ledger.settle("fetch#stripe:evt_1", "fetched", "recorded: recorded", NOW_MS)
    ledger.settle("fetch#stripe:evt_1", "fetched", "duplicate: duplicate", NOW_MS)
    item = items(clean)["fetch#stripe:evt_1"]
    assert (item["status"]["S"], item["reason"]["S"]) == ("fetched", "recorded: recorded")
    assert ledger.recall("fetch#stripe:evt_1", NOW_MS) is None


def test_settling_what_was_erased_meanwhile_writes_nothing(clean: Stack) -> None:
    real(clean).settle("order_created#shopify:404", "sent", "accepted by OpenAI", NOW_MS)
    assert items(clean) == {}


def test_shadow_mode_records_and_queues_nothing(clean: Stack) -> None:
    shadow = Ledger(clean.client("dynamodb"), clean.resources["Ledger"], ttl_days=90, shadow=True)
    shadow.record(conversion(1), NOW_MS)
    real(clean).record(conversion(2), NOW_MS)  # follows the other on the stream: once it is queued, that one was passed
    assert until(lambda: queue_depth(clean) == 1)
    assert statuses(clean) == {"order_created#shopify:1": "shadow", "order_created#shopify:2": "recorded"}


@pytest.mark.parametrize(
    "call",
    [
        lambda ledger: ledger.record(conversion(), NOW_MS),
        lambda ledger: ledger.record(conversion(remember=memory("001")), NOW_MS),
        lambda ledger: ledger.remember(memory("001"), NOW_MS),
        lambda ledger: ledger.recall("order_created#shopify:1", NOW_MS),
        lambda ledger: ledger.note(PrivacyRequest("erase_tenant", "r", "t"), NOW_MS),
        lambda ledger: ledger.settle("order_created#shopify:1", "sent", "", NOW_MS),
        lambda ledger: ledger.stored("order_created#shopify:1"),
    ],
    ids=["record", "record with memory", "remember", "recall", "note", "settle", "stored"],
)
def test_a_table_out_of_reach_is_said_so(stack: Stack, call: Callable[[Ledger], object]) -> None:
    missing = Ledger(stack.client("dynamodb"), "no-such-table", ttl_days=90)
    with pytest.raises(LedgerUnavailable, match=r"DynamoDB could not .* \(ResourceNotFoundException\)"):
        call(missing)
