"""``relay event``: what it prints is what Lambda gets, and the relay takes it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conversion_relay import event_bus, function_url
from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.settings import Settings
from conversion_relay.wiring import trusting_the_bus
from tools import cli, deployment
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.lambda_event import EVENT_SOURCES, function_url_event, stream_event
from tools.samples import samples
from tools.sources import receiver_for

SECRET = "a dev secret"
SETTINGS = Settings(
    storefront_origin="https://northwind-trail.example",
    site_origin="https://app.example-saas.test",
    shopify_event_source=EVENT_SOURCES["shopify"],
    stripe_event_source=EVENT_SOURCES["stripe"],
)


@pytest.fixture(autouse=True)
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "running.json"
    monkeypatch.setattr(deployment, "RUNNING", path)
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["event", *arguments]) == 0
    event: dict[str, Any] = json.loads(capsys.readouterr().out)
    return event


def received(source: str, delivery: Delivery, *, from_bus: bool = False) -> Outcome:
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    receiver = receiver_for(
        source, KnownSecrets([SECRET]), InMemoryLedger(), InMemoryParking(), SETTINGS, lambda: now_ms
    )
    assert receiver is not None
    return (trusting_the_bus(receiver) if from_bus else receiver).receive(delivery)


@pytest.mark.parametrize("options", [[], ["--base64"]], ids=["text", "base64"])
@pytest.mark.parametrize("sample", ["shopify/orders/create", "stripe/checkout.session.completed"])
def test_a_printed_sample_is_recorded(sample: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    event = printed(capsys, sample, "--secret", SECRET, *options)

    assert event["isBase64Encoded"] is bool(options)
    assert received(sample.partition("/")[0], function_url.delivery_in(event)).kind == "recorded"


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
@pytest.mark.parametrize("each", list(samples()), ids=lambda each: each.name)
def test_every_sample_comes_out_as_it_went_in(each: Any, encoded: bool) -> None:
    delivery = each.delivery(SECRET, datetime.now(UTC))

    again = function_url.delivery_in(function_url_event(delivery, encoded=encoded))

    assert delivery.headers.items() <= again.headers.items()
    assert replace(again, headers=delivery.headers) == delivery


@pytest.mark.parametrize(
    ("query", "parameters"),
    [("", None), ("a=1&b=%20&a=2&c=", {"a": "1,2", "b": " ", "c": ""}), ("flag", {"flag": ""})],
)
def test_a_get_has_its_query_raw_and_no_body(query: str, parameters: dict[str, str] | None) -> None:
    delivery = Delivery("GET", "/ringba", query, {"user-agent": "Ringba"}, b"", "https://calls.example.com")

    event = function_url_event(delivery)

    assert "body" not in event
    assert event.get("queryStringParameters") == parameters
    again = function_url.delivery_in(event)
    assert (again.method, again.path, again.query, again.body) == ("GET", "/ringba", query, b"")
    assert again.origin == "https://calls.example.com"


def test_a_body_that_is_no_text_is_always_in_base64() -> None:
    event = function_url_event(Delivery("POST", "/", "", {}, b"\xff\x00"))

    assert event["isBase64Encoded"] is True
    assert function_url.delivery_in(event).body == b"\xff\x00"


@pytest.mark.parametrize("sample", ["shopify/orders/create", "stripe/checkout.session.completed"])
def test_a_sample_printed_for_the_bus_is_recorded_without_a_secret(
    sample: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = printed(capsys, sample, "--bus")

    source = event_bus.source_of(event, SETTINGS)
    assert (event_bus.is_envelope(event), source) == (True, sample.partition("/")[0])
    assert received(str(source), event_bus.delivery_in(event, str(source)), from_bus=True).kind == "recorded"


def test_shopify_s_headers_are_spelled_as_on_the_bus(capsys: pytest.CaptureFixture[str]) -> None:
    event = printed(capsys, "shopify/orders/create", "--bus")

    assert event["detail-type"] == "shopifyWebhook"
    assert set(event["detail"]["metadata"]) == {
        "Content-Type", "X-Shopify-Topic", "X-Shopify-Hmac-SHA256", "X-Shopify-Shop-Domain", "X-Shopify-API-Version",
        "X-Shopify-Webhook-Id", "X-Shopify-Event-Id", "X-Shopify-Triggered-At",
    }  # fmt: skip


def test_the_partner_event_source_may_be_given(capsys: pytest.CaptureFixture[str]) -> None:
    event = printed(capsys, "stripe/invoice.paid", "--bus", "--event-source", "aws.partner/stripe.com/ed_test_1")

    assert (event["source"], event["detail-type"]) == ("aws.partner/stripe.com/ed_test_1", "invoice.paid")


def test_a_new_one_has_another_id(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [
        json.loads(printed(capsys, "shopify/orders/create", "--secret", SECRET, *option)["body"])["id"]
        for option in ([], [], ["--new"])
    ]

    assert ids[0] == ids[1] != ids[2]


def test_the_running_relay_s_secret_signs_when_none_is_given(running: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running.write_text(json.dumps({"sources": {"shopify": {"secret": SECRET}}}))

    event = printed(capsys, "shopify/orders/create")

    assert received("shopify", function_url.delivery_in(event)).kind == "recorded"


def test_without_a_sample_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["event"]) == 0
    assert "shopify/orders/create.pos\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["shopify/orders/lost", "--secret", "s"], "There is no sample shopify/orders/lost"),
        (["shopify/orders/create"], "Give --secret"),
    ],
)
def test_what_cannot_be_printed_is_said(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["event", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, told in captured.err) == ("", True)


def test_a_running_relay_without_that_source_has_no_secret_for_it(
    running: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running.write_text(json.dumps({"sources": {"stripe": {"secret": SECRET}}}))

    assert cli.main(["event", "shopify/orders/create"]) == 2
    assert "Give --secret" in capsys.readouterr().err


def test_an_item_of_the_table_is_in_a_stream_s_record_with_its_bytes_in_base64() -> None:
    item = {"pk": {"S": "k"}, "recorded_ms": {"N": "5"}, "event": {"B": b"\x01\xff\x00"}}

    event = json.loads(json.dumps(stream_event([item])))

    assert event == {
        "Records": [
            {
                "eventName": "INSERT",
                "dynamodb": {"NewImage": {"pk": {"S": "k"}, "recorded_ms": {"N": "5"}, "event": {"B": "Af8A"}}},
            }
        ]
    }
