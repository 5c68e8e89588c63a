"""Outages of days, a revoked key, a storm of 429, a queue of 100,000 events: what every one of the events comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from conversion_relay import packing
from tests.conftest import Count
from tests.simulation.histories import MakeRelay
from tests.simulation.mutants import HidesForAMinute
from tests.simulation.openai import Weather
from tests.simulation.relay import Relay
from tests.simulation.timeline import START_MS
from tests.simulation.webhooks import SHOP, Story, sale
from tests.simulation.world import DAY_MS, HOUR_MS, MINUTE_MS, Conditions, World

LINE = "simulated outages"


def a_world(
    *, calm_ms: int, weather: Weather = "well", every_ms: int = 5 * MINUTE_MS, relay: MakeRelay = Relay
) -> World:
    """Nothing fails in it but OpenAI, from one minute after its beginning until ``calm_ms``."""
    world = World(1, calm_ms=calm_ms, conditions=Conditions(send_every_ms=every_ms), relay=relay)
    world.timeline.at(START_MS + MINUTE_MS, lambda: world.change_weather(weather))
    return world


def sell(world: World, *, every_ms: int, until_ms: int) -> int:
    """A sale every so often, told once; how many."""
    times = range(START_MS + every_ms // 2, until_ms, every_ms)
    for number, at_ms in enumerate(times):
        story = sale(SHOP, number, at_ms)
        world.tell(Story(story.deliveries[:1], story.keys, story.identities))
        world.send(story.deliveries[0], at_ms + 3_000)
    return len(times)


def ends(world: World) -> Counter[str]:
    """How many conversions came to which end. Every property held."""
    assert world.properties.violations == []
    assert not world.dead_letters.messages
    return Counter(item["status"]["S"] for item in world.table.items.values() if item is not None and "event" in item)


def report(world: World, name: str, count: Count) -> None:
    counts = {"runs": world.counts["sender"], "requests": world.openai.requests}
    count(f"{LINE}, {name}", {"events": world.counts["conversions"], **counts})


def test_three_days_without_openai_lose_nothing(count: Count) -> None:
    # Given a sale every ten minutes, and an OpenAI that answers 5xx for a day and a half, then nothing at all as long
    world = a_world(calm_ms=START_MS + 3 * DAY_MS, weather="down")
    world.timeline.at(START_MS + 3 * DAY_MS // 2, lambda: world.change_weather("silent"))
    sales = sell(world, every_ms=10 * MINUTE_MS, until_ms=START_MS + 3 * DAY_MS)

    # When it comes back
    world.run()

    # Then all of them are sent, none was near the dead letters, and a run of the outage made one request
    assert ends(world) == {"sent": sales}
    assert world.queue.most_handed_out < 500
    assert world.openai.requests <= world.counts["sender"] + 10
    report(world, "three days of 5xx and silence", count)


def test_eight_days_without_openai_expire_what_is_over_seven_days_old_and_nothing_else(count: Count) -> None:
    # Given a sale every hour, and an OpenAI that is out for eight days
    back_ms = START_MS + 8 * DAY_MS
    world = a_world(calm_ms=back_ms, weather="down")
    sales = sell(world, every_ms=HOUR_MS, until_ms=back_ms)

    # When it comes back
    world.run()

    # Then the sales of the first day are expired, the others are sent
    assert ends(world) == {"expired": 24, "sent": sales - 24}
    expired = {key for key, item in world.table.items.items() if item and item.get("status") == {"S": "expired"}}
    assert expired == {f"order_created#shop:{number}" for number in range(24)}
    assert world.queue.most_handed_out < 1_000
    report(world, "eight days of 5xx", count)


def test_a_key_that_was_revoked_for_a_day_loses_nothing(count: Count) -> None:
    # Given a key that is revoked, and replaced after a day
    world = a_world(calm_ms=START_MS + 2 * DAY_MS)
    sales = sell(world, every_ms=10 * MINUTE_MS, until_ms=START_MS + 2 * DAY_MS)

    def revoke() -> None:
        world.openai.key = "the new key"

    def replace() -> None:
        world.openai_key = "the new key"

    seen: list[tuple[int, int]] = []
    revoked_ms = START_MS + HOUR_MS + MINUTE_MS
    world.timeline.at(revoked_ms, revoke)
    world.timeline.at(revoked_ms + DAY_MS, lambda: seen.append(_sent_and_waiting(world)))
    world.timeline.at(revoked_ms + DAY_MS, replace)
    world.timeline.at(revoked_ms + DAY_MS + HOUR_MS, lambda: seen.append(_sent_and_waiting(world)))

    # When the days are over
    world.run()

    # Then nothing was consumed while it was revoked, and within an hour of its replacement everything was sent
    (sent_before, waiting_before), (_, waiting_after) = seen
    assert (sent_before, waiting_before) == (6, 144)
    assert waiting_after <= 1
    assert ends(world) == {"sent": sales}
    report(world, "a day of 401", count)


def _sent_and_waiting(world: World) -> tuple[int, int]:
    return len(world.openai.counted), len(world.queue.messages)


def test_a_storm_of_429_is_waited_out_as_openai_asks(count: Count) -> None:
    # Given six hours of 429, each with a time to wait, some of which outlast a run
    world = a_world(calm_ms=START_MS + 8 * HOUR_MS, weather="too many")
    world.longest_wait_ms = HOUR_MS
    promised: list[int] = []
    early: list[int] = []

    def headers() -> dict[str, str]:
        seconds = world.dice.choice((2, 20, 90, 600, 3_600))
        promised.append(world.now_ms + seconds * 1000)
        return {"Retry-After": str(seconds)}

    world.openai.retry_after = headers
    _watch(world, lambda: early.append(world.now_ms) if promised and world.now_ms < promised[-1] else None)
    sales = sell(world, every_ms=MINUTE_MS, until_ms=START_MS + 7 * HOUR_MS)

    # When it is over
    world.run()

    # Then all is sent, and no request came before the time that OpenAI had named last
    assert ends(world) == {"sent": sales}
    assert len(promised) > 20
    assert early == []
    report(world, "eight hours of 429", count)


def _watch(world: World, look: Callable[[], object]) -> None:
    """Have something done at each request that reaches OpenAI."""
    answer = world.openai.answer

    def answering(*arguments: object) -> object:
        look()
        return answer(*arguments)  # type: ignore[arg-type]

    world.openai.answer = answering  # type: ignore[method-assign, assignment]


def test_a_hundred_thousand_events_are_sent_though_some_of_them_are_bad(count: Count) -> None:
    # Given 100,000 sales that came within a minute, one in a thousand of which OpenAI refuses without naming it
    world = a_world(calm_ms=START_MS + HOUR_MS)
    world.openai.naming = "none"  # also when the rest of the world is well
    world.timeline.at(START_MS + HOUR_MS, lambda: setattr(world.openai, "naming", "none"))
    bad = range(500, 100_000, 1_000)
    world.openai.bad = {("order_created", f"shop:{number}"): 400 for number in bad}
    for number in range(100_000):
        _record(world, number)

    # When the sender has had its time
    world.run()

    # Then the bad ones are rejected, all others are sent, and each bad one cost a few requests
    assert ends(world) == {"sent": 100_000 - len(bad), "rejected": len(bad)}
    assert world.queue.most_handed_out <= 3
    assert world.openai.requests < 100 + 25 * len(bad)
    report(world, "100,000 events at once, 100 of them bad", count)


def _record(world: World, number: int) -> None:
    """A conversion as the receiver writes it."""
    text = (
        f'{{"id":"shop:{number}","type":"order_created","timestamp_ms":{START_MS + number // 2},'
        '"action_source":"offline","data":{"type":"contents","amount":100,"currency":"USD"}}'
    )
    item = {
        "pk": {"S": f"order_created#shop:{number}"},
        "status": {"S": "recorded"},
        "event": {"B": packing.pack(text)},
        "recorded_ms": {"N": str(START_MS)},
        "expires_at": {"N": str((START_MS + 90 * DAY_MS) // 1000)},
    }
    world.table.put_item(Item=item, ConditionExpression="attribute_not_exists(pk)")


def test_three_days_of_a_run_each_minute_stay_far_from_the_dead_letters(count: Count) -> None:
    # Given few events, all of which every run of an outage takes, and a run each minute
    world = a_world(calm_ms=START_MS + 3 * DAY_MS, weather="down", every_ms=MINUTE_MS)
    sales = sell(world, every_ms=MINUTE_MS, until_ms=START_MS + 5 * MINUTE_MS)

    # When the outage is over
    world.run()

    # Then they were handed out every 610 s, which is 425 times and not 4,320, and are sent
    assert ends(world) == {"sent": sales}
    assert 390 < world.queue.most_handed_out < 430
    report(world, "three days of 5xx, a run each minute", count)


def test_a_queue_that_hides_for_a_minute_would_lose_them() -> None:
    # Given the same, but messages that come back after 60 s
    world = a_world(calm_ms=START_MS + 3 * DAY_MS, weather="down", every_ms=MINUTE_MS, relay=HidesForAMinute)
    sales = sell(world, every_ms=MINUTE_MS, until_ms=START_MS + 5 * MINUTE_MS)

    # When the outage is over
    world.run()

    # Then the checker finds good events among the dead letters
    assert "P5" in {each.name for each in world.properties.violations}
    assert len(world.dead_letters.messages) == sales
