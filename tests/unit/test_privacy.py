"""Which items and parked deliveries a privacy request is about, and what is done with them."""

import io
import json
from collections.abc import Iterable
from typing import Any

import pytest

from conversion_relay import event_bus, identity, packing
from conversion_relay.delivery import Delivery, PrivacyRequest
from conversion_relay.ledger import LedgerUnavailable
from conversion_relay.parking import Parking
from conversion_relay.privacy import SEGMENTS, CarriedOut, Privacy, request_in
from tests.fakes import NOW_MS

SHOP = "shop.example.com"
EMAIL = "Jane.Roe@example.com"
DIGEST = identity.email(EMAIL) or ""


def item(key: str, tenant: str | None = SHOP, **texts: str) -> dict[str, Any]:
    held = {"pk": {"S": key}, **{name: {"S": value} for name, value in texts.items()}}
    return held | ({"tenant": {"S": tenant}} if tenant else {})


JANE_BY_DIGEST = item("order_created#shopify:1", event=f'{{"user":{{"emails_sha256":["{DIGEST}"]}}}}')
JANE_BY_ORDER = item("order_created#shopify:2", event="{}")
JANE_IN_MEMORY = item("memory#cart#shopify:c1", facts=f'{{"email":"{DIGEST}"}}')
SOMEBODY = item("order_created#shopify:3", event="{}")
OTHER_SHOP = item("order_created#shopify:9", "other.example.com", event=f'"{DIGEST}"')
NO_SHOP = item("order_created#shopify:4", None, event=f'"{DIGEST}"')
OTHER_SOURCE = item("order_created#stripe:cs_1", None, event=f'"{DIGEST}"')
A_REQUEST = item("privacy#shopify:r0", digests=json.dumps([DIGEST]), kind="erase_person")
ITEMS = [JANE_BY_DIGEST, JANE_BY_ORDER, JANE_IN_MEMORY, SOMEBODY, OTHER_SHOP, NO_SHOP, OTHER_SOURCE, A_REQUEST]


class Table:
    """A table of which every segment of a scan holds a part, in pages of one item."""

    def __init__(self, items: Iterable[dict[str, Any]]) -> None:
        self.items = list(items)

    def get_paginator(self, _: str) -> "Table":
        return self

    def paginate(self, *, Segment: int, TotalSegments: int, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        return [{"Items": [each]} for each in self.items[Segment::TotalSegments]] or [{"Items": []}]

    def delete_item(self, *, Key: dict[str, Any], **_: Any) -> None:  # noqa: N803
        self.items = [each for each in self.items if each["pk"] != Key["pk"]]


class Bucket:
    """S3 in a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = Body

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"Body": io.BytesIO(self.objects[Key])}

    def delete_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803
        del self.objects[Key]

    def get_paginator(self, _: str) -> "Bucket":
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Contents": [{"Key": key}]} for key in self.objects] or [{}]


def parked(bucket: Bucket, body: bytes, shop: str = SHOP) -> str:
    delivery = Delivery("POST", "/", "", {"x-shopify-shop-domain": shop}, body)
    return Parking(bucket, "parking").park("shopify", delivery, "not_json", NOW_MS)  # type: ignore[arg-type]


def envelope(payload: Any, shop: str = SHOP) -> dict[str, Any]:
    """What Shopify's bus hands over."""
    metadata = {"X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": shop}
    source = "aws.partner/shopify.com/1234567/relay"
    return {
        "detail-type": "shopifyWebhook",
        "source": source,
        "detail": {"payload": payload, "metadata": metadata},
    }


def parked_from_the_bus(bucket: Bucket, payload: Any, shop: str = SHOP) -> str:
    delivery = event_bus.delivery_in(envelope(payload, shop), "shopify")
    return Parking(bucket, "parking").park("shopify", delivery, "ledger_unavailable", NOW_MS)  # type: ignore[arg-type]


def given_up(bucket: Bucket, event: Any) -> str:
    """What Lambda writes into the bucket when the receiver has failed for good."""
    key = f"aws/lambda/async/relay-ShopifyReceiver-1/2026/11/22/2026-11-22T12.00.00-{len(bucket.objects)}"
    bucket.objects[key] = json.dumps({"version": "1.0", "requestPayload": event, "responsePayload": {}}).encode()
    return key


def carry_out(request: PrivacyRequest, table: Table, bucket: Bucket) -> CarriedOut:
    privacy = Privacy(table, "ledger", bucket, "parking", clock=lambda: NOW_MS)  # type: ignore[arg-type]
    return privacy.carry_out(request)


def person(kind: Any = "erase_person") -> PrivacyRequest:
    return PrivacyRequest(kind, "shopify:r1", SHOP, (DIGEST,), ("shopify:2",))


def keys(items: Iterable[dict[str, Any]]) -> set[str]:
    return {each["pk"]["S"] for each in items}


def test_request_in_a_stream_record() -> None:
    image = {
        "pk": {"S": "privacy#shopify:r#1"},
        "kind": {"S": "give_out"},
        "tenant": {"S": SHOP},
        "digests": {"S": '["d1","d2"]'},
        "subjects": {"S": "[]"},
    }

    assert request_in(image) == PrivacyRequest("give_out", "shopify:r#1", SHOP, ("d1", "d2"), ())


def test_erasing_a_person_deletes_what_is_theirs_and_nothing_else() -> None:
    table, bucket = Table(ITEMS), Bucket()

    done = carry_out(person(), table, bucket)

    assert done == CarriedOut(items=4, parked=0)
    assert table.items == [SOMEBODY, OTHER_SHOP, OTHER_SOURCE, A_REQUEST]


def test_erasing_a_shop_deletes_all_of_it() -> None:
    table, bucket = Table(ITEMS), Bucket()
    mine, other = parked(bucket, b"{}"), parked(bucket, b"[]", "other.example.com")

    done = carry_out(PrivacyRequest("erase_tenant", "shopify:r1", SHOP), table, bucket)

    assert (done.items, done.parked) == (4, 1)
    assert table.items == [OTHER_SHOP, NO_SHOP, OTHER_SOURCE, A_REQUEST]
    assert (mine in bucket.objects, other in bucket.objects) == (False, True)


@pytest.mark.parametrize(
    ("body", "concerned"),
    [
        (b'{"email": "JANE.ROE@example.com"}', True),
        (b"to Jane.Roe@example.com;", True),
        (b'{"order": 2}', False),
        (b'{"order_id": 20000}', False),
        (b"\xff\xfe", False),
        (b"", False),
    ],
)
def test_parked_deliveries_of_a_person(body: bytes, concerned: bool) -> None:
    bucket = Bucket()
    parked(bucket, body)

    assert carry_out(person(), Table([]), bucket).parked == int(concerned)
    assert len(bucket.objects) == int(not concerned)


def test_parked_deliveries_by_order_id_customer_id_and_phone() -> None:
    bucket = Bucket()
    for body in (
        b'{"id": 6184203910411}',
        b'{"customer": {"id": 7412369850123}}',
        b'{"phone": "+491712345678"}',
        b"{}",
    ):
        parked(bucket, body)
    digests = [identity.external_id("7412369850123"), identity.phone("+49 171 2345678")]
    request = PrivacyRequest(
        "erase_person", "shopify:r1", SHOP, [each for each in digests if each], ["shopify:6184203910411"]
    )

    assert carry_out(request, Table([]), bucket).parked == 3


@pytest.mark.parametrize("way", ["parked", "given up by Lambda"])
def test_deliveries_of_a_bus_are_found_by_person_and_by_shop(way: str) -> None:
    # Given deliveries that came over EventBridge: of Jane, of her order, of others, and of another shop
    bucket = Bucket()

    def kept(payload: Any, shop: str = SHOP) -> str:
        return (
            parked_from_the_bus(bucket, payload, shop) if way == "parked" else given_up(bucket, envelope(payload, shop))
        )

    janes = {kept({"email": EMAIL.upper(), "total": 1.5}), kept({"id": 70077})}
    others, elsewhere = (
        kept({"email": "john@example.com", "items": [{"id": 70076}]}),
        kept({"email": EMAIL}, "other.example.com"),
    )

    # When she is to be erased, then hers go; when the shop is, then what is left of it
    done = carry_out(
        PrivacyRequest("erase_person", "shopify:r1", SHOP, (DIGEST,), ("shopify:70077",)), Table([]), bucket
    )
    assert (done.parked, set(bucket.objects)) == (2, {others, elsewhere})
    assert janes.isdisjoint(bucket.objects)
    assert carry_out(PrivacyRequest("erase_tenant", "shopify:r2", SHOP), Table([]), bucket).parked == 1
    assert set(bucket.objects) == {elsewhere}


@pytest.mark.parametrize(
    ("email", "payload"),
    [
        ("jürgen@example.com", {"email": "jürgen@example.com"}),
        ("jane.roe@example.com", {"notes": [{"text": "Gift\njane.roe@example.com\tthanks"}]}),
    ],
    ids=["beyond ASCII", "after a line break"],
)
def test_a_person_is_found_behind_json_s_escapes(email: str, payload: Any) -> None:
    bucket = Bucket()
    parked_from_the_bus(bucket, payload)

    request = PrivacyRequest("erase_person", "shopify:r1", SHOP, (identity.email(email) or "",))
    assert carry_out(request, Table([]), bucket).parked == 1


def test_a_body_too_deep_to_parse_is_searched_as_text() -> None:
    bucket = Bucket()
    parked(bucket, b"[" * 200_000 + b" " + EMAIL.encode())

    assert carry_out(person(), Table([]), bucket).parked == 1


@pytest.mark.parametrize("event", [None, {"requestContext": {}, "body": EMAIL}, [EMAIL]])
def test_what_no_bus_handed_over_stays_and_stops_no_request(event: Any) -> None:
    # Whose it is nobody can tell; it expires with the bucket's 30 days.
    bucket = Bucket()
    key = given_up(bucket, event)
    parked(bucket, EMAIL.encode())

    assert carry_out(person(), Table([]), bucket).parked == 1
    assert set(bucket.objects) == {key}


def test_giving_out_deletes_nothing_and_leaves_a_report() -> None:
    table, bucket = Table(ITEMS), Bucket()
    key = parked(bucket, EMAIL.encode())

    done = carry_out(person("give_out"), table, bucket)

    assert done == CarriedOut(items=4, parked=1, report="privacy/shopify-r1.json")
    assert table.items == ITEMS
    report = json.loads(bucket.objects["privacy/shopify-r1.json"])
    assert (report["request"], report["shop"], report["made_ms"]) == ("shopify:r1", SHOP, NOW_MS)
    assert {each["pk"] for each in report["held"]} == keys([JANE_BY_DIGEST, JANE_BY_ORDER, JANE_IN_MEMORY, NO_SHOP])
    assert report["parked_deliveries"] == [key]
    # The report itself is no parked delivery when the request is handed over again
    assert carry_out(person("give_out"), table, bucket) == done


def packed(key: str, text: str) -> dict[str, Any]:
    return item(key) | {"event": {"B": packing.pack(text)}}


def test_a_packed_event_is_searched_and_given_out_as_its_json() -> None:
    # Given packed events of Jane and of somebody, and one of Jane that an earlier version stored as text
    janes = f'{{"user":{{"emails_sha256":["{DIGEST}"]}}}}'
    table = Table([
        packed("order_created#shopify:5", janes),
        packed("order_created#shopify:6", janes.replace(DIGEST, "0" * 64)),
        JANE_BY_DIGEST,
    ])  # fmt: skip
    bucket = Bucket()

    # When what is held about her is given out, then both are there to be read
    assert carry_out(person("give_out"), table, bucket).items == 2
    (report,) = (json.loads(each) for each in bucket.objects.values())
    assert [each["event"] for each in report["held"]] == [janes, janes]
    assert report["held"][0] == {"pk": "order_created#shopify:5", "tenant": SHOP, "event": janes}

    # and when she is erased, both are gone
    assert carry_out(person(), table, bucket).items == 2
    assert keys(table.items) == {"order_created#shopify:6"}


def test_an_event_that_cannot_be_searched_fails_the_request() -> None:
    # It may be the person's: the request is not carried out, and comes again.
    table = Table([item("order_created#shopify:5") | {"event": {"B": b"\x09of a later version"}}, A_REQUEST])

    with pytest.raises(LedgerUnavailable, match="order_created#shopify:5"):
        carry_out(person(), table, Bucket())
    assert len(table.items) == 2


def test_everything_may_run_twice() -> None:
    table, bucket = Table(ITEMS), Bucket()
    parked(bucket, EMAIL.encode())

    carry_out(person(), table, bucket)

    assert carry_out(person(), table, bucket) == CarriedOut(items=0, parked=0)


@pytest.mark.parametrize("kind", ["give_out", "erase_person", "erase_tenant"])
def test_a_request_that_is_carried_out_is_deleted_too(kind: Any) -> None:
    table = Table([item("privacy#shopify:r1", digests=json.dumps([DIGEST])), A_REQUEST])

    carry_out(person(kind), table, Bucket())

    assert table.items == [A_REQUEST]


def test_every_segment_of_the_table_is_read() -> None:
    many = [item(f"order_created#shopify:{n}", event=f'"{DIGEST}"') for n in range(3 * SEGMENTS + 1)]
    table = Table(many)

    assert carry_out(person(), table, Bucket()).items == len(many)
    assert table.items == []
