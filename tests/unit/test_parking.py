"""The parking bucket: whole deliveries under a key that follows from the request."""

import base64
import json
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from conversion_relay.delivery import Delivery
from conversion_relay.parking import Parking, ParkingUnavailable, delivery_in
from tests.fakes import NOW_MS, FakeBucket

DELIVERY = Delivery(
    "POST",
    "/shopify",
    "a=1&b=%20",
    {"x-shopify-topic": "orders/create", "x-amzn-trace-id": "Root=1-1", "x-forwarded-for": "203.0.113.9"},
    b'{"email": "Jane.Roe@example.com"}\x00\xff',
    "https://hooks.example.com",
)


def park(bucket: FakeBucket, delivery: Delivery = DELIVERY, source: str = "shopify", reason: str = "not_json") -> str:
    return Parking(bucket, "parking").park(source, delivery, reason, NOW_MS)


def test_a_parked_delivery_comes_back_as_it_was() -> None:
    bucket = FakeBucket()

    key = park(bucket)

    kept = bucket.objects[key]
    assert (kept["Bucket"], kept["ContentType"]) == ("parking", "application/json")
    assert delivery_in(kept["Body"]) == DELIVERY
    held = json.loads(kept["Body"])
    assert (held["source"], held["reason"], held["parked_ms"]) == ("shopify", "not_json", NOW_MS)
    assert base64.b64decode(held["body_base64"]) == DELIVERY.body


def test_the_key_says_source_and_day_and_nothing_personal() -> None:
    key = park(FakeBucket())

    assert key.startswith("shopify/2026/11/22/")
    assert key.endswith(".json")
    assert "Jane" not in key
    assert len(key) < 80


def test_a_retry_adds_no_second_copy() -> None:
    bucket = FakeBucket()
    again = replace(DELIVERY, headers={**DELIVERY.headers, "x-amzn-trace-id": "Root=1-2", "x-forwarded-for": "x"})

    assert park(bucket) == park(bucket, again, reason="ledger_unavailable")
    assert len(bucket.objects) == 1


@pytest.mark.parametrize(
    "other",
    [
        replace(DELIVERY, body=b""),
        replace(DELIVERY, query="a=2"),
        replace(DELIVERY, path="/calls/callrail"),
        replace(DELIVERY, method="GET"),
        replace(DELIVERY, headers={"x-shopify-topic": "orders/paid"}),
    ],
    ids=["body", "query", "path", "method", "topic"],
)
def test_different_deliveries_are_both_kept(other: Delivery) -> None:
    bucket = FakeBucket()

    park(bucket)
    park(bucket, other)

    assert [delivery_in(kept["Body"]) for kept in bucket.objects.values()] == [DELIVERY, other]


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "SlowDown", "Message": "Jane"}}, "PutObject"),
        EndpointConnectionError(endpoint_url="https://s3.example"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_s3_down_is_said_without_the_delivery(error: Exception) -> None:
    with pytest.raises(ParkingUnavailable) as unavailable:
        park(FakeBucket(error))

    assert str(unavailable.value) == f"S3 could not keep the delivery ({type(error).__name__})"
