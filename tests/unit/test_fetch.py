"""Fetching what thin events name: every end, what is written, what comes again."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.fetch import Fetcher, NotRecorded
from conversion_relay.ledger import LedgerUnavailable
from conversion_relay.settings import Settings
from conversion_relay.stripe_api import KeyRefused, NotAnswered, StripeApi
from tests.fakes import BrokenLedger
from tests.stripe_stand_in import KEY, StripeStandIn
from tests.unit.sources.stripe_deliveries import NOW_MS, NOW_S, a_payload
from tools.in_memory import InMemoryLedger, InMemoryParking

PATH = "/v1/checkout/sessions/cs_live_a1"
ORDER = "order_created#stripe:cs_live_a1Qw2Er3Ty4Ui5Op6As7Df8Gh9"
FACTS = {
    "id": "evt_1", "type": "checkout.session.completed", "created": NOW_S, "livemode": True, "path": PATH,
}  # fmt: skip


class SettlingLedger(InMemoryLedger):
    """The ends of what was fetched, too."""

    def settle(self, key: str, status: str, reason: str, now_ms: int) -> None:
        self.ends.append((key, status, reason, now_ms))

    ends: list[tuple[str, str, str, int]]


class UnsettledLedger(InMemoryLedger):
    """DynamoDB goes out of reach after the conversion is recorded."""

    def settle(self, *_: object) -> None:
        raise LedgerUnavailable("DynamoDB could not settle the conversion (ThrottlingException)")


@dataclass
class World:
    """A fetcher with everything but Stripe in memory."""

    api: Any
    ledger: Any = field(default_factory=SettlingLedger)
    parking: InMemoryParking = field(default_factory=InMemoryParking)
    reported: list[tuple[Delivery, Outcome]] = field(default_factory=list)

    def fetch(self, **facts: Any) -> Outcome:
        self.ledger.ends = []
        fetcher = Fetcher(
            self.api, self.ledger, self.parking, Settings(), lambda: NOW_MS, lambda *told: self.reported.append(told)
        )
        return fetcher.fetch(json.dumps(FACTS | facts))


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def stand_in() -> Iterator[StripeStandIn]:
    with StripeStandIn({PATH: a_payload("01")["data"]["object"]}) as stand_in:
        yield stand_in


@pytest.fixture
def world(session: requests.Session, stand_in: StripeStandIn) -> World:
    return World(StripeApi(session, stand_in.url, KEY))


def test_a_fetched_session_is_recorded_and_the_item_says_so(world: World) -> None:
    outcome = world.fetch()

    assert (outcome.kind, outcome.key) == ("recorded", ORDER)
    assert list(world.ledger.conversions) == [ORDER]
    assert world.ledger.ends == [("fetch#stripe:evt_1", "fetched", f"recorded: recorded {ORDER}", NOW_MS)]
    ((delivery, reported),) = world.reported
    assert (delivery.headers, reported) == ({}, outcome)


def test_a_message_that_comes_twice_counts_once(world: World) -> None:
    world.fetch()

    assert world.fetch().kind == "duplicate"
    assert world.ledger.ends[-1][2] == f"duplicate: duplicate {ORDER}"


def test_an_object_of_a_connected_account_is_asked_of_that_account(world: World, stand_in: StripeStandIn) -> None:
    world.fetch(account="acct_1A")

    assert stand_in.requests == [(PATH, "acct_1A")]


def test_an_object_that_the_key_cannot_see_waits_for_a_better_one(world: World, stand_in: StripeStandIn) -> None:
    # Given a key of the other mode, for which Stripe says 404
    seen = dict(stand_in.objects)
    stand_in.objects.clear()
    with pytest.raises(KeyRefused):
        world.fetch()
    assert (world.ledger.ends, world.reported) == ([], [])

    # When the right one is there, nothing is lost
    stand_in.objects |= seen
    assert world.fetch().kind == "recorded"


def test_what_is_not_understood_is_parked_as_the_snapshot_event(world: World, stand_in: StripeStandIn) -> None:
    stand_in.objects[PATH] = {"id": "cs_1", "mode": "payment", "payment_status": "paid"}

    assert (world.fetch().kind, world.ledger.conversions) == ("parked", {})
    (parked,) = world.parking.parked.values()
    assert json.loads(parked.body)["data"]["object"]["id"] == "cs_1"
    assert world.ledger.ends[0][2].startswith("parked: source_url_missing stripe/")


def test_what_was_parked_is_recorded_when_it_is_fetched_again(world: World, stand_in: StripeStandIn) -> None:
    # Given a session that could not be understood, and a ledger that takes the same thin event no second time
    good = stand_in.objects[PATH]
    stand_in.objects[PATH] = {"id": "cs_1", "mode": "later"}
    assert world.fetch().kind == "parked"

    # When the function is given the same note once the cause is mended
    stand_in.objects[PATH] = good
    assert (world.fetch().kind, list(world.ledger.conversions)) == ("recorded", [ORDER])


@pytest.mark.parametrize(
    ("status", "error"), [(401, KeyRefused), (403, KeyRefused), (429, NotAnswered), (503, NotAnswered)]
)
def test_without_an_object_nothing_is_written_and_the_message_comes_again(
    world: World, stand_in: StripeStandIn, status: int, error: type[Exception]
) -> None:
    stand_in.answers = [status]
    with pytest.raises(error):
        world.fetch()
    assert (world.ledger.ends, world.reported) == ([], [])

    assert world.fetch().kind == "recorded"


def test_a_ledger_out_of_reach_lets_the_message_come_again(world: World) -> None:
    world.ledger = BrokenLedger()

    with pytest.raises(NotRecorded, match="EndpointConnectionError"):
        world.fetch()
    assert [outcome.kind for _, outcome in world.reported] == ["failed"]


def test_a_crash_before_the_end_is_written_lets_the_message_come_again(world: World) -> None:
    world.ledger = UnsettledLedger()

    with pytest.raises(LedgerUnavailable):
        world.fetch()
    assert list(world.ledger.conversions) == [ORDER]
