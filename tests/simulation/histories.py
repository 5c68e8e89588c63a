"""Histories: what is told and what goes wrong in a world, chosen by a seed. The same seed is the same history."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from conversion_relay.settings import Settings
from tests.simulation import platforms
from tests.simulation.faults import FAULTS, Faults, NoFaults, PlannedFaults, RandomFaults
from tests.simulation.openai import Naming, Weather
from tests.simulation.relay import Relay
from tests.simulation.timeline import START_MS
from tests.simulation.webhooks import (
    CALLS,
    HOLD_S,
    OTHERS,
    SHOP,
    Story,
    forgery,
    no_conversion,
    purchase,
    sale,
    trial_and_payment,
)
from tests.simulation.world import DAY_MS, HOUR_MS, MINUTE_MS, SETTINGS, Conditions, World

MakeRelay = Callable[[World, Settings], Relay]

Span = tuple[int, int, int]
"""How long things go wrong and how often the sender runs, in ms; how often this is so."""
SPANS: Final[Sequence[Span]] = (
    (20 * MINUTE_MS, MINUTE_MS, 20),
    (30 * MINUTE_MS, 5 * MINUTE_MS, 50),
    (4 * HOUR_MS, 30 * MINUTE_MS, 24),
    (DAY_MS, HOUR_MS, 5),
    (11 * DAY_MS, HOUR_MS, 1),  # the ledger forgets
)
WEATHERS: Final[Sequence[Weather]] = (
    "down", "flaky", "silent", "unauthorized", "unknown pixel", "too many", "redirected", "request refused",
    "behind a proxy",
)  # fmt: skip
NAMINGS: Final[Sequence[Naming]] = ("first", "first", "all", "none", "beyond", "wrong")
LEDGER_TTL_DAYS: Final = 8
"""The shortest that the relay takes: what a source tells once more after that must be too old to be sent."""
LONGEST_WAIT_S: Final = 3_600


def random_history(
    seed: int,
    relay: MakeRelay = Relay,
    *,
    spans: Sequence[Span] = SPANS,
    templates: Sequence[platforms.Template] = (),
    tracing: bool = False,
) -> World:
    """The world of a seed, at rest again. With templates, real platforms tell stories after them."""
    dice = random.Random(seed)
    span_ms, send_every_ms, _ = dice.choices(spans, [weight for _, _, weight in spans])[0]
    every = dice.choice((50, 150, 400, 1_500))
    faulty = dice.random() < 0.5
    world = World(
        dice.getrandbits(32),
        calm_ms=START_MS + span_ms,
        faults=RandomFaults(dice, every) if dice.random() < 0.9 else NoFaults(),
        conditions=Conditions(
            send_every_ms=send_every_ms,
            shards=dice.choice((1, 1, 2, 4)),
            lost_answers=0.2 if faulty else 0.0,
            repeated_batches=0.2 if faulty else 0.0,
            double_runs=0.3 if faulty else 0.0,
            clocks_differ=dice.random() < 0.5,
            forgets=span_ms > LEDGER_TTL_DAYS * DAY_MS,
            erases=0.2 if dice.random() < 0.05 else 0.0,
            tracing=tracing,
            settings=replace(SETTINGS, ledger_ttl_days=LEDGER_TTL_DAYS),
        ),
        relay=relay,
    )
    _set_the_weather(world, dice, span_ms)
    for number in range(dice.choice((1, 1, 2, 2, 3, 5))):
        story = platforms.story(dice.choice(templates), number) if templates else _story(world, dice, number)
        _tell(world, dice, story, span_ms)
    if world.openai.bad and span_ms < DAY_MS and dice.random() < 0.2:
        world.replay(START_MS + dice.randint(0, span_ms))
    if dice.random() < 0.05:
        world.secrets["shop"] = ()
        world.timeline.after(dice.randint(0, span_ms), world.secrets.clear)
    world.run()
    return world


def at_the_edge(seed: int, relay: MakeRelay = Relay, *, tracing: bool = False) -> World:
    """A purchase whose parts come around the end of its hold, as the sender takes it: the world of a seed, at rest."""
    dice = random.Random(seed)
    world = World(
        dice.getrandbits(32),
        calm_ms=START_MS + HOUR_MS,
        faults=RandomFaults(dice, 300),
        conditions=Conditions(
            send_every_ms=MINUTE_MS, double_runs=0.3, clocks_differ=True, slow_ledger_ms=4_000, tracing=tracing
        ),
        relay=relay,
    )
    if dice.random() < 0.5:
        world.change_weather(dice.choice(("silent", "down", "flaky")))
    # The hold ends just before a run of the sender.
    begins_ms = START_MS + MINUTE_MS - dice.randint(50, 2_500)
    story = purchase(SHOP, 1, begins_ms)
    world.tell(story)
    first, *others = dice.sample(list(story.deliveries), len(story.deliveries))
    world.send(first, begins_ms)
    for told in others:
        for _ in range(dice.randint(1, 4)):
            world.send(told, begins_ms + HOLD_S * 1000 + dice.randint(-12_000, 2_000))
    world.run()
    return world


def of_platforms(seed: int, relay: MakeRelay = Relay, *, tracing: bool = False) -> World:
    """A history that Shopify, Stripe and call platforms tell."""
    return random_history(seed, relay, spans=SPANS[:-1], templates=platforms.TEMPLATES, tracing=tracing)


def of_eleven_days(seed: int, relay: MakeRelay = Relay, *, tracing: bool = False) -> World:
    """A history that outlives what the ledger knows."""
    return random_history(seed, relay, spans=SPANS[-1:], tracing=tracing)


def history(seed: int, relay: MakeRelay = Relay, *, tracing: bool = False) -> World:
    """The history of a seed: mostly one of all kinds, at times one at the edge of a hold, or one of real platforms."""
    match seed % 20:
        case 0:
            return at_the_edge(seed, relay, tracing=tracing)
        case 10:
            return of_platforms(seed, relay, tracing=tracing)
    return random_history(seed, relay, tracing=tracing)


def _set_the_weather(world: World, dice: random.Random, span_ms: int) -> None:
    world.openai.naming = dice.choice(NAMINGS)
    if dice.random() < 0.5:
        return
    for _ in range(dice.choice((1, 1, 2))):
        begins_ms = START_MS + dice.randint(0, span_ms)
        weather = dice.choice(WEATHERS)
        if weather in ("too many", "flaky", "down"):
            world.openai.retry_after = lambda: {"Retry-After": str(dice.choice((1, 5, 60, 300, LONGEST_WAIT_S)))}
            world.longest_wait_ms = LONGEST_WAIT_S * 1000
        world.timeline.at(begins_ms, partial(world.change_weather, weather))
        lasts_ms = dice.randint(MINUTE_MS, span_ms)
        world.timeline.at(begins_ms + lasts_ms, lambda: world.change_weather("well"))


def _story(world: World, dice: random.Random, number: int) -> Story:
    source = SHOP if dice.random() < 0.8 else CALLS
    timestamp_ms = START_MS - dice.choice((0, 0, 0, MINUTE_MS, HOUR_MS)) + dice.randint(-10_000, 10_000)
    chance = dice.random()
    if chance < 0.04:
        timestamp_ms += dice.choice((-6, -7, -8)) * DAY_MS + dice.randint(-HOUR_MS, HOUR_MS)
    elif chance < 0.08:
        timestamp_ms += dice.randint(5 * MINUTE_MS, 40 * MINUTE_MS)
    chance = dice.random()
    if chance < 0.45:
        story = sale(source, number, timestamp_ms, dice)
    elif chance < 0.7:
        story = purchase(source, number, timestamp_ms)
    elif chance < 0.88:
        story = trial_and_payment(source, number, timestamp_ms)
    elif chance < 0.96:
        story = no_conversion(source, number, timestamp_ms, dice.choice(tuple(OTHERS)))
    else:
        story = forgery(source, number, timestamp_ms, dice)
    if dice.random() < 0.15:
        status = dice.choice((400, 422, 413))
        world.openai.bad.update(dict.fromkeys(story.identities, status))
    return story


def _tell(world: World, dice: random.Random, story: Story, span_ms: int) -> None:
    """Send what there is to tell: close together or far apart, each delivery once or more, in any order."""
    world.tell(story)
    begins_ms = START_MS + (dice.randint(0, min(span_ms, HOUR_MS)) if dice.random() < 0.7 else 0)
    apart_ms = dice.choice((20, 5_000, 5_000, 540_000, 700_000, span_ms))
    for told in story.deliveries:
        for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
            world.send(told, begins_ms + dice.randint(0, apart_ms))


Fixed = Callable[[World], None]
"""Tells a world a fixed history."""


def one_sale(world: World) -> None:
    """A sale, told twice."""
    _at_once(world, sale(SHOP, 1, START_MS))


def one_purchase(world: World) -> None:
    """A purchase that is held, and amended twice."""
    _at_once(world, purchase(SHOP, 1, START_MS))


def one_call(world: World) -> None:
    """A call that its platform tells once."""
    _at_once(world, Story(sale(CALLS, 1, START_MS).deliveries[:1]))


def one_bad_sale(world: World) -> None:
    """A sale that OpenAI refuses."""
    story = sale(SHOP, 1, START_MS)
    world.openai.bad = dict.fromkeys(story.identities, 400)
    _at_once(world, story)


def one_old_sale(world: World) -> None:
    """A sale that is too old when it comes."""
    _at_once(world, sale(SHOP, 1, START_MS - 7 * DAY_MS))


def one_riddle(world: World) -> None:
    """A delivery that is parked."""
    _at_once(world, no_conversion(SHOP, 1, START_MS, "riddle"))


def two_sales(world: World) -> None:
    """Two good sales, sent together."""
    _at_once(world, sale(SHOP, 1, START_MS), sale(SHOP, 2, START_MS))


def a_good_and_a_bad_sale(world: World) -> None:
    """Two sales in one batch, one of which OpenAI refuses without naming it."""
    world.openai.naming = "none"
    good, bad = sale(SHOP, 1, START_MS), sale(SHOP, 2, START_MS)
    world.openai.bad = dict.fromkeys(bad.identities, 422)
    _at_once(world, good, bad)


def a_trial_and_its_payment(world: World) -> None:
    """Two conversions, the second written with the first."""
    story = trial_and_payment(SHOP, 1, START_MS)
    _at_once(world, Story(tuple(reversed(story.deliveries)), story.keys, story.identities))


ONE: Final[Sequence[Fixed]] = (one_sale, one_purchase, one_call, one_bad_sale, one_old_sale, one_riddle)
TWO: Final[Sequence[Fixed]] = (two_sales, a_good_and_a_bad_sale, a_trial_and_its_payment)


def _at_once(world: World, *stories: Story) -> None:
    for story in stories:
        world.tell(story)
        for number, told in enumerate(story.deliveries):
            world.send(told, START_MS + 1_000 + number * 300)


def fixed_history(
    history: Fixed, faults: Mapping[int, str], relay: MakeRelay = Relay, *, tracing: bool = False
) -> World:
    """The world of a fixed history, with faults at exactly these calls, at rest again."""
    plan: Faults = PlannedFaults(
        {call: next(each for each in FAULTS if each == fault) for call, fault in faults.items()}
    )
    world = World(1, calm_ms=START_MS + HOUR_MS, faults=plan, conditions=Conditions(tracing=tracing), relay=relay)
    history(world)
    world.run()
    return world
