"""One event of a function to its answer: whose it is by its path or its bus, and what is checked on each way."""

import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from conversion_relay import event_bus, wiring
from conversion_relay.delivery import Delivery, Handshake, Refused
from conversion_relay.event_bus import NotTaken
from conversion_relay.receive import Receiver
from conversion_relay.settings import Settings
from tests.fakes import BrokenLedger, BrokenParking, FakeBucket
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.lambda_event import EVENT_SOURCES, bus_event, function_url_event
from tools.samples import sample
from tools.sources import SOURCES, receiver_for

SECRET = "a signing secret"
NOW = datetime.now(UTC)
SETTINGS = Settings(
    storefront_origin="https://northwind-trail.example",
    site_origin="https://app.example-saas.test",
    shopify_event_source=EVENT_SOURCES["shopify"],
    stripe_event_source=EVENT_SOURCES["stripe"],
)
SAMPLES = {"shopify": "shopify/orders/create", "stripe": "stripe/checkout.session.completed"}


def receivers_of(*sources: str, secrets: tuple[str, ...] = (SECRET,), **parts: Any) -> Mapping[str, Receiver]:
    """Receivers over one ledger and one parking bucket, as a function has them."""
    ledger, parking = parts.get("ledger", InMemoryLedger()), parts.get("parking", InMemoryParking())
    made = {
        each: receiver_for(each, KnownSecrets(secrets), ledger, parking, SETTINGS, lambda: int(NOW.timestamp() * 1000))
        for each in sources
    }
    return {name: receiver for name, receiver in made.items() if receiver is not None}


def ledger_of(receivers: Mapping[str, Receiver]) -> InMemoryLedger:
    ledger = next(iter(receivers.values())).ledger
    assert isinstance(ledger, InMemoryLedger)
    return ledger


def nothing_is_written(receivers: Mapping[str, Receiver]) -> bool:
    parking = next(iter(receivers.values())).parking
    return ledger_of(receivers) == InMemoryLedger() and parking == InMemoryParking()


def test_a_receiver_waits_for_ledger_and_bucket_no_longer_than_it_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    waits: dict[str, Any] = {}
    bucket = FakeBucket()

    def client(service: str, *, config: Any) -> FakeBucket:
        assert service not in waits
        waits[service] = (config.connect_timeout, config.read_timeout, config.retries["total_max_attempts"])
        return bucket

    monkeypatch.setattr("boto3.client", client)
    monkeypatch.setattr(wiring, "DynamoDb", lambda patience: waits.setdefault("dynamodb", astuple(patience)))
    (receiver,) = wiring.receivers([SOURCES["shopify"]], SETTINGS).values()

    # The bucket's client is made when something is parked, and once.
    assert waits == {"dynamodb": astuple(wiring.PATIENCE)}
    for reason in ("not_json", "no_id"):
        receiver.parking.park("shopify", sample(SAMPLES["shopify"]).delivery(SECRET, NOW), reason, 0)
    assert waits == {"dynamodb": (1, 3, 2), "s3": (1, 3, 2)}
    assert len(bucket.objects) == 2


def over_https(source: str, secret: str = SECRET) -> dict[str, Any]:
    return function_url_event(sample(SAMPLES[source]).delivery(secret, NOW))


def over_the_bus(source: str, event_source: str | None = None) -> dict[str, Any]:
    delivery = sample(SAMPLES[source]).delivery("-", NOW)
    return bus_event(source, delivery, event_source or EVENT_SOURCES[source], NOW)


def taken(event: Mapping[str, Any], receivers: Mapping[str, Receiver], settings: Settings = SETTINGS) -> Any:
    """Status and told outcome."""
    answer = wiring.take(event, receivers, settings)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_function_s_sources_share_ledger_and_parking_and_have_secrets_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings = Settings(ledger_table="t", parking_bucket="b", signing_secrets_path="/relay/signing-secrets")

    made = wiring.receivers([SOURCES["shopify"], SOURCES["stripe"]], settings)

    assert {name: each.source for name, each in made.items()} == {name: SOURCES[name] for name in ("shopify", "stripe")}
    assert made["shopify"].ledger is made["stripe"].ledger
    assert made["shopify"].parking is made["stripe"].parking
    assert made["shopify"].secrets is not made["stripe"].secrets
    assert abs(made["stripe"].clock() - datetime.now(UTC).timestamp() * 1000) < 60_000


# By the path ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/shopify", "shopify"),
        ("/shopify/", "shopify"),
        ("/stripe", "stripe"),
        ("/webhooks/stripe/end", "stripe"),
        ("/shopify/stripe", "stripe"),
        ("stripe", "stripe"),
        ("/", None),
        ("", None),
        ("/Stripe", None),
        ("/stripes", None),
        ("/hooks?stripe", None),
    ],
)
def test_the_last_source_in_the_path_is_addressed(path: str, source: str | None) -> None:
    receivers = receivers_of("shopify", "stripe")

    found = wiring.addressed(Delivery("POST", path, "", {}, b""), receivers)

    assert (found.source.name if found else None) == source


@pytest.mark.parametrize("path", ["/", "/stripe", "/stripe/anything", "/shopify", ""])
def test_a_single_source_takes_every_path(path: str) -> None:
    receivers = receivers_of("stripe")

    assert wiring.addressed(Delivery("POST", path, "", {}, b""), receivers) is receivers["stripe"]


def test_an_unknown_path_is_answered_404_and_writes_nothing() -> None:
    receivers = receivers_of("shopify", "stripe")

    told = taken({**over_https("stripe"), "rawPath": "/ctm"}, receivers)

    assert told == (404, {"outcome": "refused", "reason": "unknown_path"})
    assert nothing_is_written(receivers)


@pytest.mark.parametrize("source", SAMPLES)
def test_each_source_is_taken_behind_one_address(source: str) -> None:
    status, told = taken(over_https(source), receivers_of("shopify", "stripe"))

    assert (status, told["outcome"]) == (200, "recorded")


def test_a_handshake_is_answered_with_what_the_platform_wants() -> None:
    receivers = receivers_of("shopify")
    source = replace(receivers["shopify"].source, handshake=lambda _: Handshake({"validation-token": "t-1"}, "t-1"))
    receivers = {"shopify": replace(receivers["shopify"], source=source)}

    answer = wiring.take(function_url_event(Delivery("POST", "/", "", {}, b"")), receivers, SETTINGS)

    assert (answer["statusCode"], answer["headers"]["validation-token"], answer["body"]) == (200, "t-1", "t-1")
    assert nothing_is_written(receivers)


# Over the bus ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SAMPLES)
def test_an_event_of_the_bus_is_recorded_without_a_signature_or_a_secret(source: str) -> None:
    status, told = taken(over_the_bus(source), receivers_of(source, secrets=()))

    assert (status, told["outcome"]) == (200, "recorded")


def test_over_the_bus_no_secret_is_known_or_read_even_after_a_refusal() -> None:
    # Given a source that refuses for a reason of its own, after the bus has been trusted
    def refuses(*_: object) -> None:
        raise Refused("not_ours", "not ours", 403)

    receivers = receivers_of("shopify", secrets=())
    trusting = wiring.trusting_the_bus(receivers["shopify"])
    refusing = replace(trusting, source=replace(trusting.source, verify=refuses))

    outcome = refusing.receive(sample(SAMPLES["shopify"]).delivery("-", NOW))

    assert (outcome.kind, outcome.reason) == ("refused", "not_ours")
    assert nothing_is_written(receivers)


@pytest.mark.parametrize("bus_first", [True, False])
@pytest.mark.parametrize("source", SAMPLES)
def test_the_same_sale_both_ways_is_one_conversion(source: str, bus_first: bool) -> None:
    receivers = receivers_of(source)
    events = [over_https(source), over_the_bus(source)]

    outcomes = [taken(each, receivers)[1]["outcome"] for each in (reversed(events) if bus_first else events)]

    assert outcomes == ["recorded", "duplicate"]
    assert len(ledger_of(receivers).conversions) == 1


@pytest.mark.parametrize(
    "event_source",
    [
        "aws.partner/shopify.com/1234567/other",
        "aws.partner/shopify.com/1234567/relay/x",
        "custom",
        EVENT_SOURCES["stripe"],  # configured, but this function has no such receiver
    ],
)
def test_an_event_of_another_source_is_refused(event_source: str) -> None:
    receivers = receivers_of("shopify")

    told = taken(over_the_bus("shopify", event_source), receivers)

    assert told == (403, {"outcome": "refused", "reason": "unknown_event_source"})
    assert nothing_is_written(receivers)


def test_without_a_configured_event_source_every_event_of_a_bus_is_refused() -> None:
    receivers = receivers_of("shopify")

    assert taken(over_the_bus("shopify"), receivers, Settings())[0] == 403
    assert nothing_is_written(receivers)


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
@pytest.mark.parametrize("secrets", [(SECRET,), ()], ids=["a secret", "none"])
@pytest.mark.parametrize("source", SAMPLES)
def test_a_request_whose_body_mimics_the_bus_is_not_trusted(
    source: str, secrets: tuple[str, ...], encoded: bool
) -> None:
    # Given a request over the Function URL with an envelope of the configured source in its body, headers and query
    receivers = receivers_of(source, secrets=secrets)
    envelope = over_the_bus(source)
    headers = {"source": envelope["source"], "detail-type": envelope["detail-type"], "x-shopify-topic": "orders/create"}
    mimicry = Delivery("POST", "/", f"source={envelope['source']}", headers, json.dumps(envelope).encode())

    # When it comes, then its signature is asked for, and nothing is written
    status, told = taken(function_url_event(mimicry, encoded=encoded), receivers)
    assert (status, told["reason"]) in [(401, "signature_missing"), (400, "signature_missing"), (503, "secret_missing")]
    assert nothing_is_written(receivers)


@pytest.mark.parametrize("source", SAMPLES)
def test_an_envelope_with_a_request_around_it_is_a_request(source: str) -> None:
    receivers = receivers_of(source)

    status, _ = taken({**over_the_bus(source), **function_url_event(Delivery("POST", "/", "", {}, b"{}"))}, receivers)

    assert status in (400, 401)
    assert nothing_is_written(receivers)


@pytest.mark.parametrize("source", SAMPLES)
def test_the_receiver_of_requests_still_checks_after_an_event_of_the_bus(source: str) -> None:
    receivers = receivers_of(source)
    taken(over_the_bus(source), receivers)

    assert taken(over_https(source, secret="forged"), receivers)[1]["reason"] == "signature_wrong"


@pytest.mark.parametrize("source", SAMPLES)
def test_what_the_ledger_could_not_take_is_parked_because_nobody_sends_it_again(source: str) -> None:
    parking = InMemoryParking()
    receivers = receivers_of(source, ledger=BrokenLedger(), parking=parking)
    sale = over_the_bus(source)

    _, told = taken(sale, receivers)

    assert (told["outcome"], told["reason"]) == ("parked", "ledger_unavailable")
    assert list(parking.parked.values()) == [event_bus.delivery_in(sale, source)]


def test_what_could_be_neither_recorded_nor_parked_is_raised_so_that_lambda_runs_it_again() -> None:
    receivers = receivers_of("shopify", ledger=BrokenLedger(), parking=BrokenParking())

    with pytest.raises(NotTaken, match="ledger_unavailable") as raised:
        wiring.take(over_the_bus("shopify"), receivers, SETTINGS)

    assert "mara" not in str(raised.value).lower()  # the buyer


def test_what_is_not_understood_and_could_not_be_parked_is_raised() -> None:
    receivers = receivers_of("shopify", parking=BrokenParking())

    with pytest.raises(NotTaken, match="topic_missing"):
        wiring.take({**over_the_bus("shopify"), "detail": {"payload": {}}}, receivers, SETTINGS)


def test_a_request_after_an_event_of_the_bus_is_still_one_that_its_source_sends_again() -> None:
    parking = InMemoryParking()
    receivers = receivers_of("shopify", ledger=BrokenLedger(), parking=parking)
    taken(over_the_bus("shopify"), receivers)

    assert taken(over_https("shopify"), receivers)[1]["outcome"] == "failed"
    assert len(parking.parked) == 1


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ({"payload": {}}, {"outcome": "parked", "reason": "topic_missing"}),
        (
            {"payload": {}, "metadata": {"X-Shopify-Topic": "themes/publish"}},
            {"outcome": "ignored", "reason": "topic_not_handled"},
        ),
    ],
)
def test_what_would_fail_again_is_not_raised(detail: Any, told: Mapping[str, str]) -> None:
    status, answered = taken({**over_the_bus("shopify"), "detail": detail}, receivers_of("shopify"))

    assert status == 200
    assert answered.items() >= told.items()


@pytest.mark.parametrize("source", SAMPLES)
def test_what_was_parked_from_the_bus_can_be_handed_over_again(source: str) -> None:
    # Given a delivery of the bus as the parking bucket keeps it
    kept = event_bus.delivery_in(over_the_bus(source), source)

    # When it is handed over as its bus would
    body = json.loads(kept.body)
    detail = {"payload": body, "metadata": dict(kept.headers)} if source == "shopify" else body
    again = {"detail-type": "parked", "source": kept.headers["eventbridge-source"], "detail": detail}

    # Then it is taken like the first time
    assert event_bus.delivery_in(again, source) == kept
    assert taken(again, receivers_of(source))[1]["outcome"] == "recorded"


def test_a_privacy_request_over_the_bus_is_noted_like_any_other() -> None:
    # Shopify sends these over HTTPS only; should one come, it is an order of the law all the same.
    receivers = receivers_of("shopify")
    delivery = sample("shopify/customers/redact").delivery("-", NOW)

    _, told = taken(bus_event("shopify", delivery, EVENT_SOURCES["shopify"], NOW), receivers)

    assert told["outcome"] == "compliance"
    assert len(ledger_of(receivers).requests) == 1


def test_over_https_nothing_is_raised_because_the_source_sends_again() -> None:
    answer = wiring.take(over_https("shopify"), receivers_of("shopify", ledger=BrokenLedger()), SETTINGS)

    assert answer["statusCode"] == 500
