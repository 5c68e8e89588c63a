"""Bad input gets a clear answer and loses nothing, through the deployed function."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay.delivery import Delivery
from conversion_relay.ledger import Ledger
from conversion_relay.parking import delivery_in
from conversion_relay.sources import shopify
from tests.integration.stack import SECRET, SECRETS, change_receiver, handler_of, items, parked, until
from tools.lambda_event import function_url_event
from tools.local_aws import Stack
from tools.samples import sample


def signed(body: bytes, topic: str = "orders/create", **headers: str) -> Delivery:
    delivery = sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC))
    given = {**delivery.headers, "x-shopify-topic": topic, "x-shopify-hmac-sha256": shopify.sign(body, SECRET)}
    return replace(delivery, body=body, headers={**given, **headers})


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (None, "signature_missing"),
        ("", "signature_missing"),
        ("bm8=", "signature_wrong"),
        ("é\u202e", "signature_wrong"),
    ],
)
def test_wrong_missing_or_empty_signature(clean: Stack, signature: str | None, reason: str) -> None:
    delivery = signed(b'{"id": 1}')
    headers = {name: value for name, value in delivery.headers.items() if name != "x-shopify-hmac-sha256"}
    if signature is not None:
        headers["x-shopify-hmac-sha256"] = signature
    with handler_of(clean, "shopify", secrets=[SECRET]) as app:
        answer = app.handler(function_url_event(replace(delivery, headers=headers), encoded=True), app.context)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (401, reason)
    assert items(clean) == {}
    assert parked(clean) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"[]", "not_an_object"),
        (b"\xff\xfe", "not_utf8"),
        (b'{"a":' * 2000, "not_json"),
        (b'{"id": null}', "id_missing"),
    ],
    ids=["empty", "cut off", "a list", "not UTF-8", "deep", "without an id"],
)
def test_signed_but_not_understood_is_parked_raw(clean: Stack, body: bytes, reason: str) -> None:
    delivery = signed(body)
    with handler_of(clean, "shopify", secrets=[SECRET]) as app:
        answers = [app.handler(function_url_event(delivery, encoded=True), app.context) for _ in range(2)]
    told = [(answer["statusCode"], json.loads(answer["body"])["reason"]) for answer in answers]
    assert told == [(200, reason), (200, reason)]
    # Kept as it came, and once although it was sent twice
    (key,) = parked(clean)
    kept = json.loads(clean.client("s3").get_object(Bucket=clean.resources["ParkingBucket"], Key=key)["Body"].read())
    assert base64.b64decode(kept["body_base64"]) == body
    assert kept["reason"] == reason
    assert items(clean) == {}


def test_a_parked_delivery_is_counted_for_the_alarm_and_its_body_stays_out_of_the_log(clean: Stack) -> None:
    delivery = signed(b'{"secret word": "Mara Lindqvist"')
    assert clean.post("shopify", delivery.body, delivery.headers).json()["outcome"] == "parked"

    def lines() -> list[dict[str, Any]]:
        return [json.loads(line) for line in clean.logs("ShopifyReceiver") if line.startswith("{")]

    assert until(lambda: any(line.get("Parked") == 1 for line in lines()))
    told = [line for line in lines() if line.get("outcome") == "parked"][-1]
    assert (told["reason"], told["level"]) == ("not_json", "ERROR")
    assert "kept for replay" in told["message"]
    assert "Mara" not in json.dumps(lines())


def test_over_six_megabytes_is_parked_unread(clean: Stack) -> None:
    delivery = signed(b"{" + b" " * (6 * 1024 * 1024) + b"}")
    with handler_of(clean, "shopify", secrets=[SECRET]) as app:
        answer = app.handler(function_url_event(delivery, encoded=True), app.context)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (200, "too_large")
    assert len(parked(clean)) == 1


def test_an_unknown_topic_is_ignored_with_a_reason(clean: Stack) -> None:
    delivery = signed(b"not even JSON", topic="themes/publish")
    answer = clean.post("shopify", delivery.body, delivery.headers)
    assert (answer.status, answer.json()) == (200, {"outcome": "ignored", "reason": "topic_not_handled"})
    assert parked(clean) == []


@pytest.mark.parametrize("lines", [[], ["   "]], ids=["no parameter", "an empty one"])
def test_without_a_signing_secret_everything_is_refused(clean: Stack, lines: Sequence[str]) -> None:
    ssm, name = clean.client("ssm"), "/tests/signing-secrets/shopify"
    ssm.delete_parameter(Name=name)
    if lines:
        ssm.put_parameter(Name=name, Type="SecureString", Value="\n".join(lines))
    try:
        with handler_of(clean, "shopify") as app:
            answer = app.handler(function_url_event(signed(b'{"id": 1}'), encoded=True), app.context)
    finally:
        ssm.put_parameter(Name=name, Type="SecureString", Value=SECRET, Overwrite=True)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (503, "secret_missing")
    assert items(clean) == {}


def test_with_the_ledger_away_shopify_is_asked_to_send_again(clean: Stack) -> None:
    with handler_of(clean, "shopify", secrets=[SECRET]) as app:
        away = replace(app.settings, ledger_table="no-such-table")
        ledger = Ledger.for_settings(clean.client("dynamodb"), away)
        change_receiver(app, "shopify", ledger=ledger)
        delivery = sample("shopify/orders/create").delivery(SECRET, datetime.now(UTC))
        answer = app.handler(function_url_event(delivery, encoded=True), app.context)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (500, "ledger_unavailable")


@pytest.mark.parametrize("name", ["callrail/post_call", "ctm/end", "whatconverts/phone_call", "twilio/completed"])
def test_with_the_ledger_away_a_call_is_parked_for_nobody_sends_it_again(clean: Stack, name: str) -> None:
    source = name.partition("/")[0]
    delivery = sample(name).delivery(SECRETS[source][0], datetime.now(UTC))
    with handler_of(clean, source, secrets=SECRETS[source]) as app:
        away = replace(app.settings, ledger_table="no-such-table")
        change_receiver(app, source, ledger=Ledger.for_settings(clean.client("dynamodb"), away))
        answer = app.handler(function_url_event(delivery), app.context)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (500, "ledger_unavailable")
    (key,) = parked(clean)
    assert key.startswith(f"{source}/")
    kept = json.loads(clean.client("s3").get_object(Bucket=clean.resources["ParkingBucket"], Key=key)["Body"].read())
    assert base64.b64decode(kept["body_base64"]) == delivery.body
    # And what is kept is all that a replay needs
    with handler_of(clean, source, secrets=SECRETS[source]) as app:
        again = app.handler(function_url_event(delivery_in(json.dumps(kept).encode())), app.context)
    assert json.loads(again["body"])["outcome"] == "recorded"


def test_a_path_that_no_call_platform_has_is_refused_and_stays_out_of_the_log(
    clean: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = replace(sample("callrail/post_call").delivery(SECRET, datetime.now(UTC)), path="/fax/5125550177")
    with handler_of(clean, "callrail") as app:
        answer = app.handler(function_url_event(elsewhere), app.context)
    assert (answer["statusCode"], json.loads(answer["body"])["reason"]) == (404, "unknown_path")
    told = capsys.readouterr().out
    assert "no source has this path" in told
    assert "5125550177" not in told
    assert items(clean) == {}
