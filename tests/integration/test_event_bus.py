"""Shopify and Stripe over EventBridge: the stack with both partner event sources, and an event's way to OpenAI.

The local AWS has no partners: nobody can put an event on their buses there (nor can anybody but the partner on AWS). So
the function is invoked through the Lambda API with the envelope that the bus would hand over; that the deployed rule
wants exactly this envelope is asked of EventBridge itself.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay.parking import delivery_in
from tests.integration.stack import OPENAI_KEY, PIXEL_ID, SECRETS, counted, items, parked, queue_depth, statuses, until
from tools.lambda_event import EVENT_SOURCES, bus_event
from tools.local_aws import FunctionFailed, LocalAws, LocalAwsFailed, Stack
from tools.samples import sample
from tools.stand_in import StandIn

SAMPLES = {"shopify": "shopify/orders/create", "stripe": "stripe/checkout.session.completed"}
PARAMETERS = {
    "PixelId": PIXEL_ID,
    "StorefrontOrigin": "https://northwind-trail.example",
    "SiteOrigin": "https://app.example-saas.test",
    "SendEvery": "rate(1 hour)",
    "ShopifyEventSource": EVENT_SOURCES["shopify"],
    "StripeEventSource": EVENT_SOURCES["stripe"],
}


@pytest.fixture(scope="module")
def bus() -> Iterator[tuple[Stack, StandIn]]:
    """A stack with both buses and without any signing secret, on an AWS that evaluates IAM."""
    with StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as openai, LocalAws.start(auth=True) as aws:
        parameters = {**PARAMETERS, "OpenAiEndpoint": f"{openai.url}/v1/events"}
        yield aws.deploy("bus", parameters, {"openai": OPENAI_KEY}), openai


def envelope(source: str, *, new: bool = False, event_source: str | None = None) -> dict[str, Any]:
    now = datetime.now(UTC)
    delivery = sample(SAMPLES[source]).delivery("-", now, new=new)
    return bus_event(source, delivery, event_source or EVENT_SOURCES[source], now)


def receiver(source: str) -> str:
    return f"{source.capitalize()}Receiver"


@pytest.mark.parametrize("source", SAMPLES)
def test_an_event_of_the_bus_reaches_openai_without_any_signing_secret(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, openai = bus
    before = len(counted(openai))
    # When an event comes twice, as EventBridge may hand it over
    sale = envelope(source)
    answers = [stack.invoke(receiver(source), sale) for _ in range(2)]
    # Then it is recorded once, and sent
    assert [json.loads(each["body"])["outcome"] for each in answers] == ["recorded", "duplicate"]
    assert until(lambda: queue_depth(stack) >= 1), stack.logs("Outbox")
    assert stack.invoke("Sender")["sent"] == 1
    assert len(counted(openai)) == before + 1
    assert set(statuses(stack).values()) == {"sent"}


@pytest.mark.parametrize("source", SAMPLES)
def test_the_same_sale_over_https_is_the_same_conversion(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, _ = bus
    secret = SECRETS[source][0]
    stack.client("ssm").put_parameter(
        Name=f"/bus/signing-secrets/{source}", Type="SecureString", Value=secret, Overwrite=True
    )
    # Given a sale that has come over the bus
    known = set(items(stack)) if stack.invoke(receiver(source), envelope(source)) else set()
    # When its webhook comes over HTTPS too, then it is a duplicate
    answer = stack.send(source, sample(SAMPLES[source]).delivery(secret, datetime.now(UTC)))
    assert (answer.status, answer.json()["outcome"]) == (200, "duplicate")
    assert set(items(stack)) == known


@pytest.mark.parametrize("source", SAMPLES)
def test_an_envelope_posted_to_the_address_is_not_believed(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, _ = bus
    before = items(stack)
    answer = stack.post(source, json.dumps(envelope(source, new=True)).encode(), {"X-Shopify-Topic": "orders/create"})
    assert answer.status in (400, 401, 503)
    assert items(stack) == before


def test_an_event_of_another_source_is_refused_and_logged(bus: tuple[Stack, StandIn]) -> None:
    stack, _ = bus
    before = items(stack)
    forged = envelope("shopify", new=True, event_source="aws.partner/shopify.com/7654321/other")
    assert stack.invoke("ShopifyReceiver", forged)["statusCode"] == 403
    assert items(stack) == before
    assert until(lambda: any("unknown_event_source" in line for line in stack.logs("ShopifyReceiver")))


@pytest.mark.parametrize("source", SAMPLES)
def test_the_rule_wants_exactly_the_partner_s_events(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, _ = bus
    events, name = stack.client("events"), source.capitalize()
    rule = events.describe_rule(
        Name=stack.resources[f"{name}BusRule"].rpartition("|")[2], EventBusName=EVENT_SOURCES[source]
    )
    sent = envelope(source)

    def wanted(event: dict[str, Any]) -> bool:
        answer: bool = events.test_event_pattern(EventPattern=rule["EventPattern"], Event=json.dumps(event))["Result"]
        return answer

    assert wanted(sent)
    assert not wanted({**sent, "source": f"{sent['source']}/other"})
    # whichever account the partner writes into the envelope: the name of the source is exact already
    assert wanted({**sent, "account": "111122223333"})


@pytest.mark.parametrize("source", SAMPLES)
def test_nobody_but_the_partner_can_put_such_an_event(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, _ = bus
    sale = envelope(source, new=True)
    entry = {
        "Source": sale["source"],
        "DetailType": sale["detail-type"],
        "Detail": json.dumps(sale["detail"]),
        "EventBusName": sale["source"],
    }
    (result,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    assert result["ErrorCode"] == "NotAuthorizedForSourceException"


@contextmanager
def out_of_reach(stack: Stack, source: str, **variables: str) -> Iterator[None]:
    """The receiver looks for its table, or its bucket, where none is."""
    functions, name = stack.client("lambda"), stack.resources[receiver(source)]
    as_it_was = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**as_it_was, **variables}})
    try:
        yield
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": as_it_was})


@pytest.mark.parametrize("source", SAMPLES)
def test_what_the_ledger_does_not_take_is_parked_and_can_be_handed_over_again(
    bus: tuple[Stack, StandIn], source: str
) -> None:
    stack, _ = bus
    sale, before = envelope(source, new=True), set(parked(stack))
    # When the ledger is out of reach, the function succeeds all the same: nobody would send the event again
    with out_of_reach(stack, source, LEDGER_TABLE="no-such-table"):
        told = json.loads(stack.invoke(receiver(source), sale)["body"])
        assert (told["outcome"], told["reason"]) == ("parked", "ledger_unavailable")
        # an event that comes twice, as EventBridge may hand it over, is kept once
        stack.invoke(receiver(source), sale)
    # Then it is kept where parked deliveries are, and is recorded when it is handed over again
    (key,) = set(parked(stack)) - before
    assert key.startswith(f"{source}/")
    kept = stack.client("s3").get_object(Bucket=stack.resources["ParkingBucket"], Key=key)["Body"].read()
    delivery = delivery_in(kept)
    body = json.loads(delivery.body)
    detail = {"payload": body, "metadata": dict(delivery.headers)} if source == "shopify" else body
    again = {"detail-type": "parked", "source": delivery.headers["eventbridge-source"], "detail": detail}
    assert json.loads(stack.invoke(receiver(source), again)["body"])["outcome"] == "recorded"


@pytest.mark.parametrize("source", SAMPLES)
def test_what_can_be_neither_recorded_nor_parked_is_raised_and_lambda_runs_it_again(
    bus: tuple[Stack, StandIn], source: str
) -> None:
    stack, _ = bus
    sale, before = envelope(source, new=True), (items(stack), parked(stack))
    with out_of_reach(stack, source, LEDGER_TABLE="no-such-table", PARKING_BUCKET="no-such-bucket"):
        with pytest.raises(FunctionFailed, match="NotTaken: ledger_unavailable"):
            stack.invoke(receiver(source), sale)
        assert (items(stack), parked(stack)) == before
        # When EventBridge starts it, then Lambda runs it three times
        tried = failures(stack, source)
        stack.client("lambda").invoke(
            FunctionName=stack.resources[receiver(source)], InvocationType="Event", Payload=json.dumps(sale).encode()
        )
        assert until(lambda: failures(stack, source) == tried + 3, within_s=60)
    # and the event that its record would hold is taken once ledger and bucket are back
    assert json.loads(stack.invoke(receiver(source), sale)["body"])["outcome"] == "recorded"


def failures(stack: Stack, source: str) -> int:
    return sum('"outcome":"failed"' in line for line in stack.logs(receiver(source)))


@pytest.mark.parametrize("source", ["Shopify", "Stripe"])
def test_lambda_has_the_parking_bucket_for_what_it_gives_up(bus: tuple[Stack, StandIn], source: str) -> None:
    # The local AWS takes a bucket as a destination and then writes nothing, so more than this is not to be seen here.
    stack, _ = bus
    held = stack.client("lambda").get_function_event_invoke_config(
        FunctionName=stack.resources[f"{source}Receiver"], Qualifier="$LATEST"
    )
    assert held["MaximumRetryAttempts"] == 2
    bucket = f"arn:aws:s3:::{stack.resources['ParkingBucket']}"
    assert held["DestinationConfig"]["OnFailure"] == {"Destination": bucket}
    # and the alarm watches the rule by its own name
    (alarm,) = stack.client("cloudwatch").describe_alarms(AlarmNames=[stack.resources[f"{source}BusNotStartedAlarm"]])[
        "MetricAlarms"
    ]
    watched = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
    (rule,) = stack.client("events").list_rules(EventBusName=EVENT_SOURCES[source.lower()])["Rules"]
    assert watched == {"EventBusName": EVENT_SOURCES[source.lower()], "RuleName": rule["Name"]}


@pytest.mark.parametrize("source", ["Shopify", "Stripe"])
def test_an_event_source_without_its_function_is_refused(bus: tuple[Stack, StandIn], source: str) -> None:
    stack, _ = bus
    parameters = {
        "PixelId": PIXEL_ID,
        f"{source}EventSource": PARAMETERS[f"{source}EventSource"],
        f"Enable{source}": "no",
    }
    with pytest.raises(LocalAwsFailed, match=f"Enable{source} must be yes"):
        stack.aws.deploy("refused", parameters)


def test_by_default_there_is_no_bus(stack: Stack) -> None:
    assert [name for name in stack.resources if "Bus" in name] == []
