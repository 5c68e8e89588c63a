"""``relay reconcile`` on the deployed stack: shop, log, ledger and OpenAI's report held against one another."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from measurement.inputs import ledger, openai
from measurement.inputs.relay import NOTE
from measurement.problems import BadInput
from measurement.reconciliation import STAGES
from measurement.settings import Input, Settings
from tests.integration.commands import Relay, deny
from tests.integration.replaying import delivery, fresh
from tests.integration.stack import SECRETS, items, post_order, queue_depth, until
from tools.local_aws import Stack
from tools.readings import RECEIVERS
from tools.samples import sample
from tools.stand_in import StandIn
from tools.stand_in_insights import Campaign, Delivered
from tools.stand_in_platforms import SHOPIFY_TOKEN, PlatformsStandIn

ADVERTISER = "advertiser-key-for-tests"
SHOP = "northwind-trail.myshopify.com"


@pytest.fixture
def relay(clean: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Relay:
    monkeypatch.delenv("OPENAI_ADS_ADVERTISER_KEY", raising=False)
    forget_lines(clean)
    return Relay(clean, tmp_path, monkeypatch, capsys)


def forget_lines(stack: Stack) -> None:
    """Other tests' deliveries stand in the logs, and their conversions are no longer in the table."""
    logs = stack.client("logs")
    for receiver in RECEIVERS:
        if (group := stack.resources.get(f"{receiver}Logs")) is not None:
            # Fifty at a time: a stack that has played many tests has more.
            while streams := logs.describe_log_streams(logGroupName=group)["logStreams"]:
                for stream in streams:
                    logs.delete_log_stream(logGroupName=group, logStreamName=stream["logStreamName"])


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformsStandIn]:
    monkeypatch.setenv("SHOPIFY_ADMIN_TOKEN", SHOPIFY_TOKEN)
    with PlatformsStandIn() as platforms:
        yield platforms


def order(number: int, **fields: Any) -> dict[str, Any]:
    placed = datetime.now(UTC) - timedelta(minutes=1)
    return fresh("shopify/orders/create", placed, id=7_300_000_000_000 + number, admin_graphql_api_id=None, **fields)


def post(stack: Stack, payload: dict[str, Any]) -> None:
    assert stack.send("shopify", delivery("shopify", "orders/create", payload)).status == 200


def test_what_came_in_is_reconciled_and_what_did_not_is_offered(
    clean: Stack, stand_in: StandIn, relay: Relay, shop: PlatformsStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a shop with five orders, of which three came (one of them twice) and one is a test
    orders = [order(1), order(2), order(3), order(4), order(5, test=True)]
    shop.orders = orders
    for each in (orders[0], orders[1], orders[1], orders[2], orders[4]):
        post(clean, each)
    answer = sample("knocommerce/response.create").delivery(SECRETS["knocommerce"][0], datetime.now(UTC))
    assert clean.send("knocommerce", answer).status == 200
    assert until(lambda: queue_depth(clean) == 3)
    clean.invoke("Sender")

    # ... and a campaign whose click brought all three
    events = [each["event"] for each in stand_in.events()]
    assert len(events) == 3
    now = datetime.now(UTC)
    clicks = {event["oppref"]: event["timestamp_ms"] - 60_000 for event in events}
    stand_in.switch(keys={ADVERTISER: {"scope": False, "pixels": []}, **keys_of(stand_in)})
    stand_in.insights.campaigns = [
        Campaign("cmpn_1", "Boots", clicks=clicks, delivery={now.date(): Delivered(900, 12, "31.50")})
    ]
    monkeypatch.setenv("OPENAI_ADS_ADVERTISER_KEY", ADVERTISER)
    asked = ("--shop-api", "--shop", SHOP, "--api", shop.url, "--ads-api", stand_in.url)

    # When it is reconciled
    status, held = relay.json("reconcile", "--since", "2d", *asked)

    # Then each stage is counted, the order that never came is missing, and the command that fetches it is offered
    rows = [row for row in held["rows"] if (row["source"], row["type"]) == ("shopify", "order_created")]
    totals = {stage: sum(row[stage] or 0 for row in rows) for stage in STAGES}
    assert status == 1
    assert held["missing"] == {"shopify": [str(orders[3]["id"])]}
    assert totals == {
        "truth": 4, "received": 5, "ignored": 1, "recorded": 3, "sent": 3, "accepted": 3, "attributed": 3,
        "ga4": 0, "crm": 0,
    }  # fmt: skip
    assert {row["ga4"] for row in rows} == {None}
    reasons = {(each["after"], each["reason"]) for each in held["differences"]}
    assert ("recorded", "ignored: test_order") in reasons
    assert ("recorded", "the same conversion again: orders come two to five times") in reasons
    assert [each["count"] for each in held["differences"] if not each["explained"]] == [1]
    assert held["next"][0].startswith(f"1 order of shopify missing: 'relay backfill shopify --shop {SHOP}")

    # And a person sees it, and what is missing once fetched is there
    status, told = relay.run("reconcile", "--since", "2d", *asked)
    assert status == 1
    for words in (f"Missing of shopify: {orders[3]['id']}", "Without a reason: 1 of 4 between truth and recorded",
                  "To do: 1 order of shopify missing", "over the threshold of 2.0%"):  # fmt: skip
        assert words in told, words
    assert relay.run("reconcile", "--since", "2d", *asked, "--threshold", "0.5")[0] == 0
    assert relay.run("backfill", "shopify", "--shop", SHOP, "--api", shop.url, "--days", "2", "--go")[0] == 0
    status, held = relay.json("reconcile", "--since", "2d", *asked)
    assert (status, held["missing"], held["ok"]) == (0, {}, True)


def keys_of(stand_in: StandIn) -> dict[str, Any]:
    grants = stand_in._settings.keys
    return {key: {"scope": grant.scope, "pixels": list(grant.pixels)} for key, grant in grants.items()}


def test_a_stack_without_anything_has_no_difference(clean: Stack, relay: Relay) -> None:
    status, told = relay.run("reconcile", "--since", "1s")

    assert status == 0
    assert "No data of the source of truth" in told


def test_the_ledger_s_rows_are_its_conversions_and_answers(clean: Stack, relay: Relay) -> None:
    # Given orders, an answer to a survey, and what else lies in the table
    for number in range(1, 6):
        post_order(clean, number)
    answer = sample("fairing/response").delivery(SECRETS["fairing"][0], datetime.now(UTC))
    for _ in range(2):
        assert clean.send("fairing", answer).status == 200
    today = datetime.now(UTC).date()
    settings = Settings("a shop", ZoneInfo("UTC"), "USD", today, today, Path())

    rows = list(ledger.ledger(Input("ledger", {}, 1), settings))

    assert sorted(row["order_id"] for name, row in rows if name == "conversions") == [
        str(7_000_000_000_000 + number) for number in range(1, 6)
    ]
    ((kept),) = [row for name, row in rows if name == "survey"]
    assert (kept["answer"], kept["channel"], kept["order_id"]) == ("ChatGPT", "ai_assistant", "6184203910411")
    assert any("privacy request" in row["note"] for name, row in rows if name == NOTE)


@pytest.fixture
def aws(clean: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """AWS as a person's own configuration names it: here the local one."""
    for name, value in {
        "AWS_ENDPOINT_URL": clean.aws.endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return clean


def test_an_export_is_fetched_from_s3(aws: Stack, tmp_path: Path) -> None:
    # Given an export of the table, as DynamoDB writes one, under an address of S3
    s3, bucket = aws.client("s3"), f"exports-{time.monotonic_ns()}"
    s3.create_bucket(Bucket=bucket)
    held = [{"Item": json.loads(json.dumps(each, default=written))} for each in items_of(aws, 3)]
    packed = gzip.compress("".join(json.dumps(each) + "\n" for each in held).encode())
    s3.put_object(Bucket=bucket, Key="ours/AWSDynamoDB/0179/data/a.json.gz", Body=packed)
    line = {"itemCount": 3, "dataFileS3Key": "ours/AWSDynamoDB/0179/data/a.json.gz"}
    s3.put_object(Bucket=bucket, Key="ours/AWSDynamoDB/0179/manifest-files.json", Body=json.dumps(line).encode())
    today = datetime.now(UTC).date()
    settings = Settings("a shop", ZoneInfo("UTC"), "USD", today, today, tmp_path)

    rows = list(ledger.dynamodb_export(Input("dynamodb_export", {"file": f"s3://{bucket}/ours/"}, 1), settings))

    assert len([row for name, row in rows if name == "conversions"]) == 3
    with pytest.raises(BadInput, match=f"there is nothing at s3://{bucket}/other"):
        list(ledger.dynamodb_export(Input("dynamodb_export", {"file": f"s3://{bucket}/other"}, 1), settings))
    with pytest.raises(BadInput, match="AWS refused ListObjectsV2: NoSuchBucket"):
        list(ledger.dynamodb_export(Input("dynamodb_export", {"file": "s3://no-such-bucket-here/a"}, 1), settings))


def items_of(stack: Stack, orders: int) -> list[Any]:
    for number in range(1, orders + 1):
        post_order(stack, number)
    return list(items(stack).values())


def written(value: bytes) -> str:
    """Bytes as an export has them."""
    return base64.b64encode(value).decode()


def test_openai_s_key_may_lie_in_ssm(aws: Stack, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_ADS_ADVERTISER_KEY", raising=False)
    stand_in.switch(keys={ADVERTISER: {"scope": False, "pixels": []}, **keys_of(stand_in)})
    name = f"/tests/advertiser-{time.monotonic_ns()}"
    aws.client("ssm").put_parameter(Name=name, Type="SecureString", Value=ADVERTISER)
    today = datetime.now(UTC).date()
    settings = Settings("a shop", ZoneInfo("UTC"), "USD", today, today, Path())

    def asked(parameter: str) -> list[Any]:
        options = {"key_parameter": parameter, "api": stand_in.url}
        return list(openai.openai_insights(Input("openai_insights", options, 1), settings))

    assert any("no campaign with delivery" in row["note"] for _, row in asked(name))
    with pytest.raises(BadInput, match="AWS refused GetParameter: ParameterNotFound"):
        asked("/tests/nowhere")


def test_what_may_not_be_read_is_told(clean: Stack, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    deny(monkeypatch, "logs", "FilterLogEvents", "AccessDeniedException", "no leave")

    status, told = relay.run("reconcile", "--since", "1d")

    assert (status, told) == (2, "")
    assert "your AWS credentials lack the leave logs:FilterLogEvents" in relay.err
    assert "Traceback" not in relay.err


def test_without_a_stack_it_says_so(relay: Relay) -> None:
    relay.running.write_text(
        json.dumps({"aws": {"endpoint": "http://127.0.0.1:9", "region": "us-east-1", "stack": "x"}})
    )

    assert relay.run("reconcile")[0] == 2
    assert "[[input]] ledger: The stack x could not be read" in relay.err
