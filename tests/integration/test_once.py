"""One conversion counts once, whatever is sent at the relay at the same time."""

import time
from concurrent.futures import ThreadPoolExecutor

from tests.integration.stack import counted, items, parked, post_order, queue_depth, statuses, until
from tools.local_aws import Stack
from tools.samples import sample
from tools.stand_in import StandIn


def test_the_same_order_fifty_times_in_parallel_counts_once(clean: Stack, stand_in: StandIn) -> None:
    # Given one order, when it is posted 50 times at once (what AWS throttles is sent again, as Shopify does)
    def post(_: int) -> int:
        while (status := post_order(clean)) == 429:
            time.sleep(0.5)
        return status

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))

    # Then every answer is 200, there is one ledger item, and OpenAI counts one conversion
    assert answers == [200] * 50
    assert len(items(clean)) == 1
    assert until(lambda: queue_depth(clean) >= 1)
    run = clean.invoke("Sender")
    assert run["sent"] == 1
    assert len(counted(stand_in)) == 1
    assert set(statuses(clean).values()) == {"sent"}


def test_create_and_paid_of_one_order_are_one_conversion(clean: Stack, stand_in: StandIn) -> None:
    assert post_order(clean, name="shopify/orders/paid") == 200
    assert post_order(clean, name="shopify/orders/create") == 200
    assert list(statuses(clean)) == [f"order_created#shopify:{sample('shopify/orders/create').payload['id']}"]


def test_a_forged_delivery_writes_nothing(clean: Stack) -> None:
    from datetime import UTC, datetime

    delivery = sample("shopify/orders/create").delivery("not the shop's secret", datetime.now(UTC))
    answer = clean.post("shopify", delivery.body, delivery.headers)
    assert (answer.status, answer.json()["reason"]) == (401, "signature_wrong")
    assert items(clean) == {}
    assert parked(clean) == []
