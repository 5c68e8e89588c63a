"""The one path of a delivery: every outcome, and what is in the ledger and the parking bucket after it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from conversion_relay import event
from conversion_relay.delivery import (
    Conversion,
    Delivery,
    Handshake,
    Ignored,
    Memory,
    NotUnderstood,
    Outcome,
    PrivacyRequest,
    Recall,
    Refused,
    Remember,
    Result,
    Source,
)
from conversion_relay.payload import parse_object
from conversion_relay.receive import MAX_BODY_BYTES, MAX_EVENT_BYTES, Receiver
from conversion_relay.secrets import Secrets, SecretsUnavailable
from conversion_relay.settings import Settings
from tests.fakes import NOW_MS, BrokenLedger, BrokenParking, ContendedLedger, an_order
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
PERSONAL = "Jane.Roe@example.com +49 171 2345678"

# What the test source makes of a verified delivery.
Normalize = Callable[[Delivery, Settings, int, Recall], Result]


def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
    if delivery.headers.get("signature") not in secrets:
        raise Refused("signature_wrong", "the signature fits none of the configured secrets")


def an_order_of(body: dict[str, Any]) -> Conversion:
    number = body.get("id", 1)
    return Conversion(event.parse(an_order(number) | body.get("event", {})), f"test:{number}")


def always(result: Result) -> Normalize:
    return lambda *_: result


def fails(error: Exception) -> Normalize:
    def normalize(*_: object) -> Result:
        raise error

    return normalize


@dataclass
class World:
    """A receiver with everything around it in memory."""

    normalize: Normalize = lambda delivery, *_: an_order_of(parse_object(delivery.body))
    retries: bool = True
    secrets: Any = field(default_factory=lambda: KnownSecrets([SECRET]))
    ledger: Any = field(default_factory=InMemoryLedger)
    parking: Any = field(default_factory=InMemoryParking)
    now_ms: int = NOW_MS
    about: Any = lambda _: ()

    def receive(self, body: bytes = b"{}", signature: str | None = SECRET) -> Outcome:
        headers = {"delivery": "d-1", "tenant": "shop.example.com"} | ({"signature": signature} if signature else {})
        source = Source(
            "test",
            verify,
            self.normalize,
            lambda delivery: delivery.headers.get("delivery"),
            lambda delivery: delivery.headers.get("tenant"),
            self.retries,
            about=self.about,
            topic=lambda _: "a/topic" if self.about(_) else None,
        )
        receiver = Receiver(source, self.secrets, self.ledger, self.parking, Settings(), lambda: self.now_ms)
        return receiver.receive(Delivery("POST", "/", "", headers, body))

    @property
    def nothing_written(self) -> bool:
        ledger, parking = self.ledger, self.parking
        return not (ledger.conversions or ledger.memories or ledger.requests or parking.parked)


# Conversions.


def test_recorded() -> None:
    world = World()

    outcome = world.receive(b'{"id": 7}')

    assert (outcome.kind, outcome.http, outcome.key) == ("recorded", 200, "order_created#test:7")
    assert outcome.event == event.parse(an_order(7))
    assert world.ledger.conversions == {"order_created#test:7": an_order(7)}
    assert world.parking.parked == {}


def test_a_verified_delivery_is_named() -> None:
    outcome = World(about=lambda _: ["test:7", "#1001"]).receive(b'{"id": 7}')

    assert (outcome.kind, outcome.about, outcome.topic) == ("recorded", ("test:7", "#1001"), "a/topic")


def test_a_refused_delivery_is_not_named() -> None:
    outcome = World(about=lambda _: ["test:7"]).receive(b'{"id": 7}', signature="wrong")

    assert (outcome.kind, outcome.about, outcome.topic) == ("refused", (), None)


def test_a_defect_in_the_naming_costs_no_sale() -> None:
    def defect(delivery: Delivery) -> Any:
        raise KeyError(delivery.path)

    world = World(about=defect)

    assert (world.receive(b'{"id": 7}').kind, len(world.ledger.conversions)) == ("recorded", 1)


def test_duplicate_changes_nothing() -> None:
    # Given a conversion that is recorded, and the same one with another pixel id
    world = World()
    world.receive(b'{"id": 7}')

    # When it comes again
    outcome = world.receive(json.dumps({"id": 7, "event": {"id": "pixel-token"}}).encode())

    # Then it is a duplicate, and the first stays (P2)
    assert outcome == Outcome(
        "duplicate", 200, "duplicate", "this conversion is recorded already", "order_created#test:7"
    )
    assert world.ledger.conversions == {"order_created#test:7": an_order(7)}


def test_origin_is_recorded_with_the_conversion() -> None:
    class Noting(InMemoryLedger):
        def record(self, conversion: Conversion, now_ms: int, **origin: str | None) -> Any:
            self.memories["origin"] = ({**origin, "at": now_ms}, 0)
            return super().record(conversion, now_ms, **origin)

    world = World(ledger=Noting())
    world.receive()

    expected = {"source": "test", "tenant": "shop.example.com", "delivery": "d-1", "at": NOW_MS}
    assert world.ledger.memories["origin"][0] == expected


def lines_of(size: int) -> dict[str, Any]:
    return {"type": "contents", "amount": 5, "currency": "USD", "contents": [{"name": "n" * size}]}


def test_an_event_just_within_the_limit_keeps_its_contents() -> None:
    overhead = len(event.parse(an_order(1, data=lines_of(0))).to_json())
    world = World()

    world.receive(json.dumps({"event": {"data": lines_of(MAX_EVENT_BYTES - overhead)}}).encode())

    assert "contents" in world.ledger.conversions["order_created#test:1"]["data"]


def test_an_event_over_the_limit_loses_its_contents_and_keeps_its_total() -> None:
    overhead = len(event.parse(an_order(1, data=lines_of(0))).to_json())
    world = World()

    outcome = world.receive(json.dumps({"event": {"data": lines_of(MAX_EVENT_BYTES - overhead + 1)}}).encode())

    bare = {"type": "contents", "amount": 5, "currency": "USD"}
    assert outcome.kind == "recorded"
    assert world.ledger.conversions["order_created#test:1"] == an_order(data=bare)
    assert outcome.event == event.parse(an_order(data=bare))


def test_the_limit_is_in_bytes_of_utf_8() -> None:
    world = World()

    world.receive(json.dumps({"event": {"data": lines_of(0) | {"contents": [{"name": "\u00fc" * 150_000}]}}}).encode())

    assert "contents" not in world.ledger.conversions["order_created#test:1"]["data"]


def test_an_event_too_large_even_without_contents_is_parked() -> None:
    world = World()

    outcome = world.receive(json.dumps({"event": {"oppref": "g" * MAX_EVENT_BYTES}}).encode())

    assert (outcome.kind, outcome.http, outcome.reason) == ("parked", 200, "event_too_large")
    assert world.ledger.conversions == {}
    assert len(world.parking.parked) == 1


# What is no conversion.


def test_ignored_writes_nothing() -> None:
    world = World(always(Ignored("refund", "the API knows no refund")))

    assert world.receive() == Outcome("ignored", 200, "refund", "the API knows no refund")
    assert world.nothing_written


def a_memory(version: str = "1", replaces: str | None = None) -> Remember:
    return Remember(
        Memory("cart#test:c1", {"n": version}, version, 30, replaces), "nothing_added", "no more than before"
    )


def test_remembered() -> None:
    world = World(always(a_memory()))

    outcome = world.receive()

    assert outcome == Outcome("remembered", 200, "nothing_added", "no more than before", "memory#cart#test:c1")
    assert world.ledger.recall("memory#cart#test:c1", NOW_MS) == {"n": "1", "version": "1"}


def test_what_is_remembered_can_be_recalled_by_the_next_delivery() -> None:
    def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
        known = recall("memory#cart#test:c1")
        return a_memory() if known is None else Ignored("known", str(known["n"]))

    world = World(normalize)

    assert [world.receive().kind, world.receive().detail] == ["remembered", "1"]


def test_ignored_may_leave_a_memory() -> None:
    memory = Memory("cart#test:c1", {"n": 1}, "1", 30)
    world = World(always(Ignored("renewal", "a renewal, as far as is known", memory)))

    outcome = world.receive()

    assert outcome == Outcome("ignored", 200, "renewal", "a renewal, as far as is known")
    assert world.ledger.recall("memory#cart#test:c1", NOW_MS) == {"n": 1, "version": "1"}


# Several conversions of one delivery.


def two_at_once() -> Conversion:
    memory = Memory("subscription#test:1", {"converted": True}, "1", 30)
    return replace(an_order_of({"id": 1}), also=(an_order_of({"id": 2}),), remember=memory)


def test_a_delivery_may_settle_two_conversions_at_once() -> None:
    world = World(always(two_at_once()))

    outcome = world.receive()

    assert (outcome.kind, outcome.key, outcome.also) == (
        "recorded", "order_created#test:1", ("order_created#test:2",),
    )  # fmt: skip
    assert list(world.ledger.conversions) == ["order_created#test:1", "order_created#test:2"]
    assert list(world.ledger.memories) == ["memory#subscription#test:1"]
    world.normalize = always(replace(two_at_once(), remember=None))
    assert world.receive().kind == "duplicate"


@pytest.mark.parametrize("known", [1, 2])
def test_of_two_conversions_the_new_one_is_recorded(known: int) -> None:
    world = World(always(two_at_once()))
    world.ledger.record(an_order_of({"id": known}), NOW_MS)

    outcome = world.receive()

    assert (outcome.kind, outcome.key, outcome.also) == ("recorded", f"order_created#test:{3 - known}", ())
    assert outcome.event == event.parse(an_order(3 - known))
    assert len(world.ledger.conversions) == 2
    assert world.ledger.recall("memory#subscription#test:1", NOW_MS) == {"converted": True, "version": "1"}


# Held conversions.


def later(number: int, *, amends: bool = True, remember: Memory | None = None) -> Conversion:
    """The same order, told by a delivery that knows the pixel's id."""
    better = event.parse(an_order(number, id="pixel-token"))
    return Conversion(better, f"test:{number}", amends=amends, remember=remember)


def a_world_that_holds(*numbers: int) -> World:
    world = World()
    for number in numbers:
        world.ledger.record(replace(an_order_of({"id": number}), hold_s=600), NOW_MS)
    return world


def test_a_held_conversion_is_amended_and_the_answer_says_so() -> None:
    # Given a conversion that is recorded and held, when a delivery comes that knows more
    world = a_world_that_holds(7)
    world.normalize = always(later(7, remember=Memory("subscription#test:1", {"n": 1}, "1", 30)))
    outcome = world.receive()

    # Then its event takes the place of the other, together with what is remembered
    assert (outcome.kind, outcome.http, outcome.reason, outcome.key, outcome.event) == (
        "duplicate", 200, "amended", "order_created#test:7", None,
    )  # fmt: skip
    assert world.ledger.conversions == {"order_created#test:7": an_order(7, id="pixel-token")}
    assert world.ledger.recall("memory#subscription#test:1", NOW_MS) == {"n": 1, "version": "1"}


@pytest.mark.parametrize(
    ("better", "after_ms"),
    [
        (later(7), 540_000),
        (later(7), 86_400_000),
        (later(7, amends=False), 0),
        (replace(an_order_of({"id": 7}), amends=True), 0),
    ],
    ids=["within the margin", "days later", "by one that knows no more", "by the same event"],
)
def test_a_conversion_is_not_amended(better: Conversion, after_ms: int) -> None:
    world = a_world_that_holds(7)
    world.normalize, world.now_ms = always(better), NOW_MS + after_ms

    assert world.receive().reason == "duplicate"
    assert world.ledger.conversions == {"order_created#test:7": an_order(7)}


def test_one_delivery_may_record_one_conversion_and_amend_another() -> None:
    world = a_world_that_holds(7)
    world.normalize = always(replace(later(7), also=(an_order_of({"id": 8}),)))

    outcome = world.receive()

    assert (outcome.kind, outcome.key, outcome.also) == ("recorded", "order_created#test:8", ())
    assert {each["id"] for each in world.ledger.conversions.values()} == {"pixel-token", "shopify:8"}


def test_what_is_not_understood_may_leave_a_memory() -> None:
    problem = NotUnderstood("source_url_missing", "no page")
    problem.remember = Memory("subscription#test:1", {"n": 1}, "1", 30)
    world = World(fails(problem))

    assert world.receive().kind == "parked"
    assert world.ledger.recall("memory#subscription#test:1", NOW_MS) == {"n": 1, "version": "1"}


def test_compliance() -> None:
    request = PrivacyRequest("erase_person", "test:r1", "shop.example.com", ("digest",), ("test:7",))
    world = World(always(request))

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason, outcome.key) == (
        "compliance", 200, "erase_person", "privacy#test:r1",
    )  # fmt: skip
    assert world.ledger.requests == {"test:r1": request}


@pytest.mark.parametrize(("twins", "kind"), [(0, "remembered"), (1, "remembered"), (7, "remembered"), (8, "failed")])
def test_a_twin_delivery_in_between_is_read_again_up_to_eight_times(twins: int, kind: str) -> None:
    # Given a twin that changes the memory between reading and writing
    reads: list[object] = []

    def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
        reads.append(recall("memory#cart#test:c1"))
        return a_memory()

    world = World(normalize, ledger=ContendedLedger())
    world.ledger.twins = twins

    # When a delivery comes
    outcome = world.receive()

    # Then it is decided anew each time, and after eight the source has to send it again
    assert outcome.kind == kind
    assert len(reads) == min(twins + 1, 8)
    assert outcome.http == (200 if kind == "remembered" else 500)


def test_what_is_parked_but_told_is_read_again_after_a_twin_delivery_too() -> None:
    def normalize(*_: object) -> Result:
        problem = NotUnderstood("page_missing", "no page")
        problem.remember = Memory("subscription#test:1", {"n": 1}, "1", 8)
        raise problem

    world = World(normalize, ledger=ContendedLedger())
    world.ledger.twins = 2

    assert world.receive().kind == "parked"
    assert world.ledger.recall("memory#subscription#test:1", NOW_MS) == {"n": 1, "version": "1"}


# Signatures and secrets (P6).


@pytest.mark.parametrize("signature", [None, "", "wrong", OLD_SECRET])
@pytest.mark.parametrize(
    "body", [b"{}", b"not json", b"x" * (MAX_BODY_BYTES + 1)], ids=["good body", "no JSON", "over 6 MB"]
)
def test_p6_wrong_or_missing_signature_writes_nothing(body: bytes, signature: str | None) -> None:
    world = World()

    outcome = world.receive(body, signature)

    assert (outcome.kind, outcome.http, outcome.reason) == ("refused", 401, "signature_wrong")
    assert world.nothing_written


def test_p6_the_source_says_with_which_status_it_refuses() -> None:
    def too_old(*_: object) -> None:
        raise Refused("timestamp_old", "the signature is older than five minutes", 400)

    source = Source("test", too_old, always(Ignored("x", "y")), lambda _: None, lambda _: None)
    receiver = Receiver(source, KnownSecrets([SECRET]), InMemoryLedger(), InMemoryParking(), Settings(), lambda: NOW_MS)

    assert receiver.receive(Delivery("POST", "/", "", {}, b"")).http == 400


def test_p6_missing_secret_refuses_everything_and_says_what_to_do() -> None:
    world = World(secrets=KnownSecrets([]))

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason) == ("refused", 503, "secret_missing")
    assert "put one into the parameter" in outcome.detail
    assert world.nothing_written


def source_that(
    *, verify: Any = verify, handshake: Any = lambda _: None, normalize: Normalize = lambda *_: Ignored("x", "y")
) -> Source:
    return Source("test", verify, normalize, lambda _: None, lambda _: None, handshake=handshake)


@pytest.mark.parametrize(
    "bug", [KeyError(PERSONAL), ValueError(PERSONAL), RecursionError()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("rotated", [None, ["new"]], ids=["known secrets", "after a rotation"])
def test_p6_a_defect_in_verify_accepts_nothing_and_does_not_crash(bug: Exception, rotated: list[str] | None) -> None:
    # Given a check with a defect, met at once or only with a secret that was fetched afresh
    def verify(delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
        if rotated is not None and list(secrets) != rotated:
            raise Refused("signature_wrong", "fits none")
        raise bug

    store = ParameterStore("new", cached="old")
    world = World()
    receiver = Receiver(
        source_that(verify=verify), Secrets(store.fetch), world.ledger, world.parking, Settings(), lambda: NOW_MS
    )

    # When a delivery comes
    outcome = receiver.receive(Delivery("POST", "/", "", {"signature": SECRET}, PERSONAL.encode()))

    # Then it is a failure that the source sends again, which says where and nothing of the content
    assert (outcome.kind, outcome.http, outcome.reason) == ("failed", 500, "verification_failed")
    assert outcome.detail == f"{type(bug).__name__} in the check of the test source; nothing is accepted"
    assert world.nothing_written


def test_a_defect_in_a_handshake_is_an_outcome_too() -> None:
    world = World()
    broken = source_that(handshake=lambda _: {}["token"])
    receiver = Receiver(broken, world.secrets, world.ledger, world.parking, Settings(), lambda: NOW_MS)

    outcome = receiver.receive(Delivery("GET", "/", "", {}, b""))

    assert (outcome.kind, outcome.http, outcome.reason) == ("failed", 500, "verification_failed")
    assert world.nothing_written


def test_a_handshake_is_answered_before_anything_is_read_or_written() -> None:
    asked = Handshake({"validation-token": "t-1"}, "t-1")
    world = World(secrets=Secrets(ParameterStore("", down=True).fetch))
    receiver = Receiver(
        source_that(handshake=lambda _: asked), world.secrets, world.ledger, world.parking, Settings(), lambda: NOW_MS
    )

    outcome = receiver.receive(Delivery("GET", "/", "", {}, b""))

    assert (outcome.kind, outcome.http, outcome.reason, outcome.handshake) == ("handshake", 200, "handshake", asked)
    assert world.nothing_written


@dataclass
class ParameterStore:
    """A parameter whose cached value may lag behind; ``fetches`` counts the reads past the cache."""

    stored: str
    cached: str | None = None
    down: bool = False
    fetches: int = 0

    def fetch(self, fresh: bool) -> str:
        if self.down:
            raise SecretsUnavailable("the Parameter Store did not give /relay/test")
        if fresh or self.cached is None:
            self.fetches += fresh
            self.cached = self.stored
        return self.cached


def test_secrets_unavailable_fails_so_that_the_source_sends_again() -> None:
    world = World(secrets=Secrets(ParameterStore("", down=True).fetch))

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason) == ("failed", 503, "secrets_unavailable")
    assert world.nothing_written


def test_a_rotation_is_in_use_at_once() -> None:
    # Given a secret that was rotated while the old one is still cached
    store = ParameterStore(SECRET, cached=OLD_SECRET)
    world = World(secrets=Secrets(store.fetch))

    # When a delivery comes that is signed with the new one
    outcome = world.receive()

    # Then the secrets are fetched once, and it is accepted
    assert (outcome.kind, store.fetches) == ("recorded", 1)


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (f"[shop.example.com] {SECRET}", "recorded"),
        (f"[other.example.com] {SECRET}", "refused"),
        (f"[other.example.com] {OLD_SECRET}\n{SECRET}", "recorded"),
        (f"[shop.example.com] {OLD_SECRET}\n{SECRET}", "refused"),
    ],
    ids=["its own", "another's", "that of all others", "that of all others, but it has its own"],
)
def test_a_delivery_is_checked_with_the_secrets_of_its_tenant(parameter: str, kind: str) -> None:
    assert World(secrets=Secrets(ParameterStore(parameter).fetch)).receive().kind == kind


def test_both_secrets_of_a_rotation_are_accepted() -> None:
    world = World(secrets=Secrets(ParameterStore(f"{SECRET}\n{OLD_SECRET}\n").fetch))

    assert [world.receive(b'{"id": 1}').kind, world.receive(b'{"id": 2}', OLD_SECRET).kind] == ["recorded"] * 2


def test_a_flood_of_forged_deliveries_is_no_flood_of_reads() -> None:
    # Given forged deliveries, one every millisecond for a minute
    store = ParameterStore(SECRET, cached=SECRET)
    world = World(secrets=Secrets(store.fetch))

    for now_ms in range(NOW_MS, NOW_MS + 60_000, 10):
        world.now_ms = now_ms
        assert world.receive(signature="forged").kind == "refused"

    # Then the secrets were read again every 30 s only, and nothing was written
    assert store.fetches == 2
    assert world.nothing_written


def test_a_secret_that_was_taken_away_refuses_what_it_no_longer_signs() -> None:
    store = ParameterStore(" \n", cached=OLD_SECRET)
    world = World(secrets=Secrets(store.fetch))

    assert world.receive().reason == "secret_missing"


def test_known_secrets_go_on_serving_while_the_store_is_down() -> None:
    store = ParameterStore(SECRET)
    world = World(secrets=Secrets(store.fetch))
    world.receive()
    store.down = True

    assert world.receive(b'{"id": 2}').kind == "recorded"
    assert world.receive(signature="forged").kind == "refused"


# Verified, but not understood: parked.


def test_body_over_six_megabytes_with_a_good_signature_is_parked_unread() -> None:
    world = World(fails(AssertionError("nothing that large is parsed")))

    outcome = world.receive(b"x" * (MAX_BODY_BYTES + 1))

    assert (outcome.kind, outcome.http, outcome.reason) == ("parked", 200, "too_large")
    assert [len(delivery.body) for delivery in world.parking.parked.values()] == [MAX_BODY_BYTES + 1]
    assert list(world.parking.parked) == [outcome.key]


def test_body_of_six_megabytes_is_read() -> None:
    assert World().receive(b'{"id": 1}'.ljust(MAX_BODY_BYTES)).kind == "recorded"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b"[]", "not_an_object"),
        (b"\xff", "not_utf8"),
        (b'{"id": 1e99999999999999999999}', "not_json"),
        (b"[" * 100_000, "not_json"),
    ],
    ids=["empty", "text", "list", "not UTF-8", "huge exponent", "deep"],
)
def test_what_is_no_json_object_is_parked(body: bytes, reason: str) -> None:
    world = World()

    outcome = world.receive(body)

    assert (outcome.kind, outcome.http, outcome.reason) == ("parked", 200, reason)
    assert [delivery.body for delivery in world.parking.parked.values()] == [body]
    assert world.ledger.conversions == {}


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (NotUnderstood("id_missing", "the order has no id"), "id_missing", "the order has no id; kept for replay"),
        (KeyError(PERSONAL), "normalizer_failed", "KeyError in the test source; kept for replay"),
        (RecursionError(), "normalizer_failed", "RecursionError in the test source; kept for replay"),
        (ValueError(PERSONAL), "normalizer_failed", "ValueError in the test source; kept for replay"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_a_normalizer_cannot_read_is_parked(error: Exception, reason: str, detail: str) -> None:
    world = World(fails(error))

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason, outcome.detail) == ("parked", 200, reason, detail)
    assert list(world.parking.parked) == [outcome.key]


def test_an_event_that_openai_would_refuse_is_parked() -> None:
    world = World()

    outcome = world.receive(json.dumps({"event": {"action_source": PERSONAL}}).encode())

    assert (outcome.kind, outcome.reason) == ("parked", "invalid_event")
    assert outcome.detail.startswith("the event would be refused by OpenAI: action_source must be one of 'web'")
    assert world.ledger.conversions == {}


# AWS is down.

RESULTS = {
    "conversion": lambda: Conversion(event.parse(an_order()), "test:1"),
    "memory": a_memory,
    "privacy request": lambda: PrivacyRequest("give_out", "test:r1", "shop.example.com"),
}


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_ledger_down_and_the_source_sends_again(make: Callable[[], Result]) -> None:
    world = World(always(make()), ledger=BrokenLedger())

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason) == ("failed", 500, "ledger_unavailable")
    assert outcome.detail.endswith("the source sends the delivery again")
    assert world.nothing_written


@pytest.mark.parametrize("make", RESULTS.values(), ids=RESULTS)
def test_ledger_down_and_the_source_does_not_send_again(make: Callable[[], Result]) -> None:
    world = World(always(make()), retries=False, ledger=BrokenLedger())

    outcome = world.receive()

    assert (outcome.kind, outcome.http, outcome.reason) == ("parked", 500, "ledger_unavailable")
    assert list(world.parking.parked) == [outcome.key]


def test_ledger_down_while_recalling_is_no_defect_of_the_normalizer() -> None:
    def normalize(delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
        recall("memory#cart#test:c1")
        return Ignored("x", "y")

    assert World(normalize, ledger=BrokenLedger()).receive().reason == "ledger_unavailable"


@pytest.mark.parametrize(
    ("retries", "advice"),
    [(True, "the source sends the delivery again"), (False, "have the source send the delivery again")],
)
def test_parking_down(retries: bool, advice: str) -> None:
    world = World(retries=retries, parking=BrokenParking())

    outcome = world.receive(b"not json")

    assert (outcome.kind, outcome.http, outcome.reason) == ("failed", 500, "not_json")
    assert outcome.detail.endswith(advice)


def test_everything_down() -> None:
    world = World(retries=False, ledger=BrokenLedger(), parking=BrokenParking())

    assert (world.receive().kind, world.receive().http) == ("failed", 500)


# Nothing personal (P7).


@pytest.mark.parametrize(
    "world",
    [
        World(),
        World(fails(RuntimeError(PERSONAL))),
        World(fails(KeyError(PERSONAL))),
        World(lambda *_: an_order_of({"event": {"user": {"emails_sha256": [PERSONAL]}}})),
        World(lambda *_: an_order_of({"event": {"user": {PERSONAL: PERSONAL}}})),
        World(lambda *_: an_order_of({"event": {PERSONAL: PERSONAL}})),
        World(lambda *_: an_order_of({"event": {"source_url": f"https://a.example/?email={PERSONAL}"}})),
        World(ledger=BrokenLedger()),
        World(parking=BrokenParking()),
    ],
)
@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (json.dumps({"note": PERSONAL, "event": {"oppref": PERSONAL}}).encode(), SECRET),
        (PERSONAL.encode(), SECRET),
        (json.dumps([PERSONAL]).encode(), SECRET),
        (json.dumps({"event": {"id": PERSONAL * 9}}).encode(), SECRET),
        (json.dumps({"note": PERSONAL}).encode(), PERSONAL),
        (PERSONAL.encode() * 200_000, SECRET),
    ],
)
def test_p7_nothing_personal_in_an_outcome(world: World, body: bytes, signature: str) -> None:
    outcome = world.receive(body, signature)

    said = f"{outcome.kind} {outcome.reason} {outcome.detail} {outcome.key}"
    assert not [part for part in ("Jane", "Roe", "171", "2345678") if part in said]
    assert outcome.detail
    assert "\n" not in outcome.detail


def test_p1_every_delivery_has_one_of_the_eight_outcomes() -> None:
    kinds = {
        World().receive().kind,
        World(always(Ignored("x", "y"))).receive().kind,
        World(always(a_memory())).receive().kind,
        World(always(PrivacyRequest("give_out", "test:r1", "shop"))).receive().kind,
        World().receive(b"no json").kind,
        World().receive(signature="forged").kind,
        World(ledger=BrokenLedger()).receive().kind,
    }
    world = World()
    world.receive()
    kinds.add(world.receive().kind)

    assert kinds == {
        "recorded", "duplicate", "ignored", "remembered", "compliance", "parked", "refused", "failed",
    }  # fmt: skip
