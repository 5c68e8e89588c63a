"""A shop that does not exist: people, their way to an order, and what each layer sees of it.

::

    a person ─▶ touches over days ─▶ order ─▶ says, if asked and willing, where the shop came to mind
         │            │                │
         │            │                └─ web, till or phone; the ledger records all
         │            └─ GA4 and the click memory see a part: consent, the same device, nothing blocked
         └─ a ChatGPT ad on the way, clicked or only seen; OpenAI attributes some of those

Everything is drawn from one seed. What is drawn for one part does not depend on which other parts are wanted.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from measurement.engine import arrow_schema
from measurement.settings import Settings, Test
from measurement.simulation.truth import Effect, Truth
from measurement.tables import BUCKETS, CHATGPT

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ZONE: Final = ZoneInfo("America/New_York")
HISTORY: Final = date(2026, 1, 5)
"""The first day of the sales by market."""
FIRST: Final = date(2026, 8, 1)
LAST: Final = date(2026, 10, 31)
"""The report's period."""
PARTS: Final = ("touches", "visitors", "ga4", "survey", "crm", "ads", "attributed", "orders", "sales")
"""What can be left out to be quicker. What people would say is known with and without `survey`."""

DIGITAL: Final = MappingProxyType(
    {
        "google_ads": 0.22, "meta_ads": 0.18, "organic_search": 0.22, "organic_social": 0.06, "ai_assistant": 0.05,
        "email": 0.09, "affiliate": 0.03, "referral": 0.05, "direct": 0.10,
    }
)  # fmt: skip
"""Channels of touches other than ChatGPT's ads, and how often each comes."""
AWAY: Final = MappingProxyType({"word_of_mouth": 0.14, "offline": 0.06})
"""First contacts that leave no touch: the person then comes by one of the others."""
CHANNELS: Final = (CHATGPT, *DIGITAL, *AWAY)
CAMPAIGNS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        CHATGPT: {"trial-kit": 0.5, "gift-guide": 0.3, "refill": 0.2},
        "google_ads": {"brand": 0.4, "shopping": 0.4, "generic": 0.2},
        "meta_ads": {"prospecting": 0.6, "retargeting": 0.4},
        "email": {"newsletter": 1.0},
    }
)
"""Campaigns by channel and how often each comes; others have none."""
ANSWERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        CHATGPT: ("An ad in ChatGPT", CHATGPT),
        "google_ads": ("Google", "organic_search"),
        "organic_search": ("Google", "organic_search"),
        "meta_ads": ("Instagram or Facebook", "meta_ads"),
        "organic_social": ("Instagram or Facebook", "meta_ads"),
        "ai_assistant": ("ChatGPT or another assistant recommended it", "ai_assistant"),
        "email": ("An e-mail", "email"),
        "affiliate": ("A blog or another site", "referral"),
        "referral": ("A blog or another site", "referral"),
        "word_of_mouth": ("A friend", "word_of_mouth"),
        "offline": ("A shop or a fair", "offline"),
        "direct": ("I don't remember", "other"),
    }
)
"""What a person says who heard of the shop by a channel: the survey's option, and the channel that it is read as.
Nobody can tell an ad on Google from a hit."""
MARKETS: Final = MappingProxyType(
    {
        "US-CA": 12, "US-TX": 9, "US-NY": 8, "US-FL": 7, "US-IL": 5, "US-PA": 5, "US-OH": 4, "US-GA": 4, "US-NC": 4,
        "US-MI": 4, "US-NJ": 4, "US-WA": 4, "US-VA": 4, "US-AZ": 3, "US-MA": 3, "US-TN": 3, "US-CO": 3, "US-MN": 3,
        "US-OR": 2, "US-WI": 2,
    }
)  # fmt: skip
"""Markets and their weight in sales."""
SOURCES: Final = MappingProxyType({"web": 0.9, "physical_store": 0.06, "phone_call": 0.04})
CLICK_DAYS: Final = 30
"""How long a click is remembered, by the shop and by OpenAI."""
VISITORS: Final = 6
"""People who come and do not buy, for each who does."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of shop. Shares are of persons."""

    about: str
    stress: str = ""
    """Which assumption it violates and which way that errs; empty if none."""
    touches: float = 2.5
    """Mean length of a way to an order."""
    gap: float = 2.0
    """Mean days between two touches."""
    decides: float = 0.8
    """Mean days from the last touch to the order."""
    brought: float = 0.12
    """Buyers with a ChatGPT ad on their way."""
    view_only: float = 0.15
    """Of those: who saw the ad and did not click."""
    consent: float = 0.85
    cross_device: float = 0.15
    """Who clicked on one device and bought on another."""
    blocked: float = 0.12
    """Whose browser blocks GA4."""
    names: float = 0.75
    """Of those brought by a ChatGPT ad: who say so."""
    names_others: float = 0.0
    """Of the others: who name ChatGPT's ads by mistake."""
    answers: float = 0.42
    """Who answers the survey."""
    answers_clicked: float = 1.0
    """Times as likely with a seen click."""
    answers_untraced: float = 1.0
    """Times as likely without any seen touch."""
    answers_brought: float = 1.0
    """Times as likely if brought by ChatGPT, seen or not: the truth itself."""
    names_clicked: float = 1.0
    """Times as likely to name it with a seen click."""
    hurried: float = 0.0
    """People who are hard to see for every layer: they neither consent (a third as often) nor remember (a half)."""
    names_first: float = 1.0
    """Times as likely to name it if it was the first contact and its click is long ago."""


BASE: Final = MappingProxyType(
    {
        "short paths": Kind("people buy soon, after one or two touches", touches=1.3, decides=0.3),
        "long paths": Kind(
            "five touches over weeks; many forget where it began", touches=5.0, gap=3.0, decides=2.0, names=0.6,
            cross_device=0.2,
        ),
        "consent missing": Kind("half of the people refuse cookies: no touches, no click reference", consent=0.5),
        "cross-device": Kind("half of the people click on one device and buy on another", cross_device=0.5),
        "non-response": Kind(
            "who answers depends on what is known: a seen click, any seen touch", answers=0.32, answers_clicked=1.9,
            answers_untraced=0.6,
        ),
    }
)  # fmt: skip
"""Kinds of shop for which the estimators' assumptions hold."""
STRESS: Final = MappingProxyType(
    {
        "answers follow the truth": Kind(
            "buyers whom ChatGPT brought answer half as often again",
            "non-response depends on what is asked: survey share and unseen too high", answers_brought=1.5,
        ),
        "memory follows the click": Kind(
            "whose click is seen names ChatGPT more often", "the layers depend on each other: unseen too low",
            names=0.5, names_clicked=1.6,
        ),
        "hard to see": Kind(
            "a third of the people refuse cookies and forget", "some are hard to see for both: unseen too low",
            hurried=0.35,
        ),
        "old clicks": Kind(
            "the click is forgotten before the order, the first contact is not",
            "who is missed by one layer is seen by the other: unseen too high", touches=5.0, gap=7.0, names=0.5,
            names_first=1.9,
        ),
        "false memories": Kind(
            "three in a hundred name ChatGPT's ads by mistake", "wrong answers: unseen too high", names_others=0.03
        ),
    }
)  # fmt: skip
"""Kinds that violate one assumption each, to see which way the estimates err."""
DEMO: Final = "the demo shop"
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        **BASE,
        **STRESS,
        DEMO: Kind(
            "a bit of all of them", touches=2.6, gap=2.5, brought=0.18, consent=0.72, cross_device=0.22, names=0.7,
            answers=0.38, answers_clicked=1.3, answers_untraced=0.85,
        ),
    }
)  # fmt: skip

ON_OFF: Final = Test(
    "on and off in spring",
    "on_off",
    (
        (date(2026, 3, 9), date(2026, 3, 22)),
        (date(2026, 4, 6), date(2026, 4, 19)),
        (date(2026, 5, 4), date(2026, 5, 17)),
    ),
    ads="on",
)
"""In the first half of the year the ads ran in these weeks only."""
SINCE: Final = date(2026, 7, 20)
"""From here on they run all the time, everywhere but in a holdout. That is later than an on/off test looks."""
GEO: Final = Test(
    "holdout in September",
    "geo",
    ((date(2026, 9, 7), date(2026, 10, 4)),),
    ("US-TX", "US-PA", "US-OH", "US-NC", "US-NJ", "US-AZ", "US-MA", "US-OR"),
    ads="off",
)
"""In these markets the ads were off."""
LIFT: Final = 0.09
"""What the ads add to the sales of a market while they run."""


@dataclass(frozen=True)
class Simulated:
    """A shop: its tables (for `Data.of`), the settings of its report, and what is true."""

    kind: str
    tables: dict[str, pa.Table]
    settings: Settings
    truth: Truth
    people: People
    """The buyers one by one, in the order of the table of conversions."""
    bought: Bought


@dataclass(frozen=True)
class Bought:
    """The orders, as arrays."""

    source: Ints
    """A place in `SOURCES`."""
    value: Ints
    email: Flags
    phone: Flags
    """Whether the order has an e-mail address and a telephone number."""
    clicked: Flags
    market: Ints
    """A place in `MARKETS`."""


@dataclass(frozen=True)
class People:
    """Persons and their touches, as arrays. A touch is one element of the `touch_…` arrays."""

    bought: Floats
    """When, as days since `HISTORY`'s midnight, without the hour that clocks are changed by."""
    brought: Flags
    view_only: Flags
    consent: Flags
    cross_device: Flags
    blocked: Flags
    hurried: Flags
    heard: Ints
    """The first contact, a place in `CHANNELS`."""
    owner: Ints
    """Of each touch: whose it is."""
    age: Floats
    """Of each touch: days before the order."""
    channel: Ints
    campaign: npt.NDArray[np.object_]
    ends: Ints
    """Of each person: the place behind the last touch."""
    ad_age: Floats
    """Of each person: days from the last contact with ChatGPT's ads to the order; infinite without one."""

    @property
    def last(self) -> Ints:
        """The channel of the last touch."""
        found: Ints = self.channel[self.ends - 1]
        return found

    @property
    def first(self) -> Ints:
        """The channel of the first touch."""
        found: Ints = self.channel[np.concatenate(([0], self.ends[:-1]))]
        return found


def simulate(
    kind: str, seed: int, *, buyers: int = 3_000, lift: float = LIFT, parts: Sequence[str] = PARTS
) -> Simulated:
    """A shop of a kind of `KINDS` with about ``buyers`` orders in the period, exactly so many without `sales`.

    Raises:
        KeyError: there is no such kind.
    """
    what = KINDS[kind]

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng([zlib.crc32(f"{kind} {name}".encode()), seed])

    effects: dict[str, Effect] = {}
    tables: dict[str, pa.Table] = {}
    if "sales" in parts:
        day, market, on, effects, counts = _sales(stream("sales"), buyers, lift)
    else:
        day, market = _days(stream("days"), buyers)
        on = np.ones(len(day), dtype=bool)
    number = len(day)
    people = _people(stream("people"), what, day, on)
    rng = stream("orders")
    source = rng.choice(len(SOURCES), number, p=list(SOURCES.values()))
    web = source == 0
    matched = rng.random(number)
    value = np.round(np.exp(rng.normal(8.7, 0.55, number))).astype(np.int64)
    email, phone = rng.random(number) < 0.93, rng.random(number) < 0.45
    followed = people.consent & ~people.cross_device & ~people.view_only & (people.ad_age <= CLICK_DAYS)
    clicked = people.brought & followed & (source != 1)
    order_ids = [str(6184203910411 + 32768 * at) for at in range(number)]
    persons = [f"{'p' if consent else 'c'}{at}" for at, consent in enumerate(people.consent.tolist())]
    seen = _seen(people)
    says = _says(stream("memory"), what, people, clicked)
    bought = Bought(source, value, email, phone, clicked, market)
    tables["conversions"] = _conversions(people, order_ids, persons, bought)
    if "touches" in parts:
        tables["touches"] = _touches(people, seen, persons)
    if "visitors" in parts and "touches" in parts:
        visitors = _visitors(stream("visitors"), what, number)
        names = [f"v{at}" for at in range(len(visitors.brought))]
        kept = _seen(visitors)
        tables["touches"] = pa.concat_tables([tables["touches"], _touches(visitors, kept, names)])
    else:
        visitors, kept = None, None
    if "survey" in parts:
        tables["survey"] = _survey(stream("answers"), what, people, seen, clicked, web, says, order_ids)
    if "ga4" in parts:
        tables |= _ga4(stream("ga4"), people, seen, web, value, order_ids, persons, visitors, kept)
    if "ads" in parts:
        tables["ads"] = _ads(stream("ads"), [people] + ([visitors] if visitors else []))
    if "attributed" in parts:
        tables["attributed"] = _attributed(people, matched, clicked, email, source, value)
    if "crm" in parts:
        tables["crm"] = _crm(stream("crm"), people, seen, source, value, order_ids)
    if "orders" in parts:
        tables |= _orders(stream("shop"), tables["conversions"])
    if "sales" in parts:
        tables["sales"] = _by_market(counts, day, market, value)
    settings = Settings(
        f"a simulated shop: {kind}",
        ZONE,
        "USD",
        FIRST,
        LAST,
        Path(),
        tests=tuple(each for each in (ON_OFF, GEO) if effects),
    )
    return Simulated(kind, tables, settings, _truth(people, bought, says, effects), people, bought)


# Days


@lru_cache(maxsize=1)
def _calendar() -> tuple[Ints, npt.NDArray[np.datetime64]]:
    """For each day since `HISTORY`: its midnight as Unix ms, and the day. A year and a half."""
    days = [HISTORY + timedelta(days=at) for at in range(-120, 420)]
    starts = [int(_midnight(day) * 1000) for day in days]
    return np.array(starts, dtype=np.int64), np.array(days, dtype="datetime64[D]")


def _midnight(day: date) -> float:
    from datetime import datetime

    return datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp()


def _moments(when: Floats) -> tuple[Ints, npt.NDArray[np.datetime64]]:
    """Unix ms and the day, of days since `HISTORY`."""
    starts, days = _calendar()
    at = np.floor(when).astype(np.int64) + 120
    # Clocks change by an hour at night; nobody buys in the last hour of such a day here.
    inside = ((when - np.floor(when)) * 82_800_000).astype(np.int64)
    return starts[at] + inside, days[at]


def _season(day: Ints) -> Floats:
    """How much is sold on a day, around 1: the week and the year."""
    week = np.array([1.0, 0.95, 0.93, 0.98, 1.05, 1.12, 0.97])[day % 7]
    found: Floats = week * (1 + 0.12 * np.cos(2 * np.pi * (day - 340) / 365.25))
    return found


def _days(rng: np.random.Generator, number: int) -> tuple[Ints, Ints]:
    """Day (since `HISTORY`) and market of each order of the period."""
    days = np.arange((FIRST - HISTORY).days, (LAST - HISTORY).days + 1)
    weight = _season(days)
    size = np.array(list(MARKETS.values()), dtype=np.float64)
    day = np.sort(rng.choice(days, number, p=weight / weight.sum()))
    return day, rng.choice(len(size), number, p=size / size.sum())


def schedule() -> Flags:
    """Where and when the ads run: day since `HISTORY` × market."""
    length = (LAST - HISTORY).days + 1
    on = np.zeros((length, len(MARKETS)), dtype=bool)
    for first, last in (*ON_OFF.spans, (SINCE, LAST)):
        on[(first - HISTORY).days : (last - HISTORY).days + 1] = True
    ((first, last),) = GEO.spans
    held = [at for at, market in enumerate(MARKETS) if market in GEO.markets]
    on[(first - HISTORY).days : (last - HISTORY).days + 1, held] = False
    return on


def _sales(rng: np.random.Generator, buyers: int, lift: float) -> tuple[Ints, Ints, Flags, dict[str, Effect], Ints]:
    """The orders of the period (day, market, whether the ads ran), the truth of both tests, and all counts."""
    on = schedule()
    length, markets = on.shape
    size = np.array(list(MARKETS.values()), dtype=np.float64)
    days = np.arange(length)
    period = slice((FIRST - HISTORY).days, length)
    base = np.outer(_season(days), size)
    base *= buyers / (base[period].sum() * (1 + lift))
    base *= np.exp(0.04 * _fading(rng, (length, 1)) + 0.04 * _fading(rng, (length, markets)))
    with_ads = np.where(on, base * (1 + lift), base)
    counts: Ints = rng.poisson(with_ads)
    during = np.zeros(length, dtype=bool)
    for first, last in ON_OFF.spans:
        during[(first - HISTORY).days : (last - HISTORY).days + 1] = True
    added = (with_ads - base)[during].sum()
    effects = {ON_OFF.name: Effect(float(added / base[during].sum()), float(added))}
    ((first, last),) = GEO.spans
    test = slice((first - HISTORY).days, (last - HISTORY).days + 1)
    running = [at for at, market in enumerate(MARKETS) if market not in GEO.markets]
    effects[GEO.name] = Effect(lift, float(base[test, running].sum() * lift))
    sold = counts[period]
    day, market = np.nonzero(sold)
    times = sold[day, market]
    day, market = np.repeat(day, times) + (FIRST - HISTORY).days, np.repeat(market, times)
    return day, market, on[day, market], effects, counts


def _fading(rng: np.random.Generator, shape: tuple[int, int], memory: float = 0.6) -> Floats:
    """Disturbances with variance 1 that fade slowly, one a column."""
    made = rng.normal(0, 1, shape)
    for at in range(1, shape[0]):
        made[at] = memory * made[at - 1] + np.sqrt(1 - memory**2) * made[at]
    return made


# People


def _people(rng: np.random.Generator, kind: Kind, day: Ints, on: Flags) -> People:
    number = len(day)
    # Most buy in the evening; no second order at the same moment.
    bought = day + np.clip(rng.beta(4, 2.6, number), 0.001, 0.999)
    hurried = rng.random(number) < kind.hurried
    consent = rng.random(number) < np.where(hurried, kind.consent / 3, kind.consent)
    cross_device = rng.random(number) < kind.cross_device
    blocked = rng.random(number) < kind.blocked
    brought = (rng.random(number) < kind.brought) & on
    view_only = rng.random(number) < kind.view_only
    mix = np.array([0.0, *DIGITAL.values(), *AWAY.values()])
    heard = rng.choice(len(CHANNELS), number, p=mix / mix.sum())
    length = np.minimum(1 + rng.geometric(1 / kind.touches, number) - 1, 30)
    ends = np.cumsum(length)
    starts = ends - length
    owner = np.repeat(np.arange(number), length)
    digital = np.array(list(DIGITAL.values()))
    channel = 1 + rng.choice(len(DIGITAL), len(owner), p=digital / digital.sum())
    contact = heard <= len(DIGITAL)
    channel[starts[contact]] = heard[contact]
    place = np.where(rng.random(number) < 0.6, 0, (rng.random(number) * length).astype(np.int64))
    channel[(starts + place)[brought]] = 0
    channel[brought[owner] & (rng.random(len(owner)) < 0.1)] = 0
    gaps = rng.exponential(kind.gap, len(owner))
    gaps[ends - 1] = rng.exponential(kind.decides, number) + 0.002
    summed = np.cumsum(gaps)
    age = np.minimum(summed[ends - 1][owner] - summed + gaps, 115.0)
    ad_age = np.full(number, np.inf)
    of_ads = channel == 0
    np.minimum.at(ad_age, owner[of_ads], age[of_ads])
    return People(
        bought, brought, view_only, consent, cross_device, blocked, hurried, heard, owner, age, channel,
        _campaigns(rng, channel), ends, ad_age,
    )  # fmt: skip


def _visitors(rng: np.random.Generator, kind: Kind, buyers: int) -> People:
    """People who come and do not buy; ``bought`` is when they would have."""
    day, _ = _days(rng, VISITORS * buyers)
    on = np.ones(len(day), dtype=bool)
    return _people(rng, kind, day, on)


def _campaigns(rng: np.random.Generator, channel: Ints) -> npt.NDArray[np.object_]:
    names = np.full(len(channel), "(none)", dtype=object)
    drawn = rng.random(len(channel))
    for of, campaigns in CAMPAIGNS.items():
        here = np.flatnonzero(channel == CHANNELS.index(of))
        edges = np.cumsum(list(campaigns.values()))[:-1]
        names[here] = np.array(list(campaigns), dtype=object)[np.searchsorted(edges, drawn[here])]
    return names


def _seen(people: People) -> Flags:
    """Which touches the click memory or GA4 sees: with consent; only clicked ads; GA4 where nothing blocks it."""
    owner, ads = people.owner, people.channel == 0
    seen: Flags = people.consent[owner] & np.where(ads, ~people.view_only[owner], ~people.blocked[owner])
    return seen


def _elsewhere(people: People) -> Flags:
    """Which touches were on another device than the order: of those who change it, ads' and all before the last."""
    last = np.zeros(len(people.owner), dtype=bool)
    last[people.ends - 1] = True
    elsewhere: Flags = people.cross_device[people.owner] & (~last | (people.channel == 0))
    return elsewhere


def _says(rng: np.random.Generator, kind: Kind, people: People, clicked: Flags) -> Ints:
    """What each person says or would say, as a place in `CHANNELS`."""
    number = len(people.bought)
    chance = np.full(number, kind.names)
    chance[clicked] *= kind.names_clicked
    chance[people.hurried] *= 0.5
    chance[(people.ad_age > CLICK_DAYS / 2)] *= kind.names_first
    named = rng.random(number) < np.where(people.brought, np.minimum(chance, 1), kind.names_others)
    says: Ints = np.where(named, 0, people.heard)
    return says


# Tables


def _table(table: str, /, **columns: Any) -> pa.Table:
    """A table by its columns; those not given are empty."""
    schema = arrow_schema(table)
    rows = len(next(iter(columns.values())))
    held = [
        pa.array(columns[each.name], type=each.type) if each.name in columns else pa.nulls(rows, each.type)
        for each in schema
    ]
    return pa.Table.from_arrays(held, schema=schema)


def _conversions(people: People, order_ids: Sequence[str], persons: Sequence[str], bought: Bought) -> pa.Table:
    at_ms, day = _moments(people.bought)
    number = len(order_ids)
    return _table(
        "conversions",
        conversion=[f"order_created#shopify:{each}" for each in order_ids],
        type=["order_created"] * number,
        source=["shopify"] * number,
        action_source=np.array(list(SOURCES))[bought.source],
        order_id=order_ids,
        person=persons,
        at_ms=at_ms,
        day=day,
        value=bought.value,
        status=["sent"] * number,
        clicked=bought.clicked,
        match_keys=_match_keys(bought.clicked, bought.email, bought.phone),
        market=np.array(list(MARKETS))[bought.market],
        bucket=_buckets(persons),
    )


def _buckets(persons: Sequence[str]) -> list[int]:
    return [zlib.crc32(each.encode()) % BUCKETS for each in persons]


def _match_keys(clicked: Flags, email: Flags, phone: Flags) -> list[str]:
    words = {
        (c, e, p): " ".join(word for has, word in ((c, "oppref"), (e, "email"), (p, "phone")) if has)
        for c in (False, True)
        for e in (False, True)
        for p in (False, True)
    }
    return [words[each] for each in zip(clicked.tolist(), email.tolist(), phone.tolist(), strict=True)]


def _touches(people: People, seen: Flags, persons: Sequence[str]) -> pa.Table:
    at = np.flatnonzero(seen)
    at_ms, day = _moments((people.bought[people.owner] - people.age)[at])
    elsewhere = _elsewhere(people)[at]
    names = [
        persons[who] + ("-b" if other else "")
        for who, other in zip(people.owner[at].tolist(), elsewhere.tolist(), strict=True)
    ]
    channel = np.array(CHANNELS, dtype=object)[people.channel[at]]
    paid = np.isin(channel, (CHATGPT, "google_ads", "meta_ads", "affiliate"))
    return _table(
        "touches",
        person=names,
        at_ms=at_ms,
        day=day,
        channel=channel,
        campaign=people.campaign[at],
        kind=np.where(paid, "click", "visit"),
        origin=np.where(people.channel[at] == 0, "click_memory", "ga4"),
        bucket=_buckets(names),
    )


def _survey(
    rng: np.random.Generator,
    kind: Kind,
    people: People,
    seen: Flags,
    clicked: Flags,
    web: Flags,
    says: Ints,
    order_ids: Sequence[str],
) -> pa.Table:
    traced = np.zeros(len(web), dtype=bool)
    # What is known of a buyer are touches on the device of the order, in the thirty days before it.
    traced[people.owner[seen & ~_elsewhere(people) & (people.age < CLICK_DAYS)]] = True
    chance = np.full(len(web), kind.answers)
    chance[clicked] *= kind.answers_clicked
    chance[~traced] *= kind.answers_untraced
    chance[people.brought] *= kind.answers_brought
    answered = np.flatnonzero(web & (rng.random(len(web)) < np.minimum(chance, 1)))
    at_ms, _ = _moments(people.bought[answered])
    at_ms = at_ms + rng.integers(8_000, 90_000, len(answered))
    starts, days = _calendar()
    said = [ANSWERS[CHANNELS[each]] for each in says[answered].tolist()]
    return _table(
        "survey",
        answer_id=[f"a{at}" for at in answered.tolist()],
        order_id=[order_ids[at] for at in answered.tolist()],
        at_ms=at_ms,
        day=days[np.searchsorted(starts, at_ms, side="right") - 1],
        answer=[answer for answer, _ in said],
        channel=[channel for _, channel in said],
    )


def _last_seen(people: People, seen: Flags) -> Ints:
    """Of each person: the place of the last touch that GA4 sees on the device of the order, -1 if none. Direct visits
    count only where there is nothing else, as in GA4."""
    direct = CHANNELS.index("direct")
    usable = np.flatnonzero(seen & ~_elsewhere(people) & ~people.blocked[people.owner])
    last = np.full(len(people.bought), -1)
    np.maximum.at(last, people.owner[usable], usable)
    named = usable[people.channel[usable] != direct]
    other = np.full(len(people.bought), -1)
    np.maximum.at(other, people.owner[named], named)
    found: Ints = np.where(other >= 0, other, last)
    return found


def _ga4(
    rng: np.random.Generator,
    people: People,
    seen: Flags,
    web: Flags,
    value: Ints,
    order_ids: Sequence[str],
    persons: Sequence[str],
    visitors: People | None,
    kept: Flags | None,
) -> dict[str, pa.Table]:
    last = _last_seen(people, seen)
    who = np.flatnonzero(web & people.consent & ~people.blocked)
    place = last[who]
    channel = np.where(place >= 0, people.channel[place], CHANNELS.index("direct"))
    campaign = np.where(place >= 0, people.campaign[place], "(none)")
    at_ms, day = _moments(people.bought[who])
    purchases = _table(
        "purchases",
        order_id=[order_ids[at] for at in who.tolist()],
        at_ms=at_ms,
        day=day,
        channel=np.array(CHANNELS, dtype=object)[channel],
        campaign=campaign,
        person=[persons[at] for at in who.tolist()],
        value=value[who],
    )
    # Visits: each touch that GA4 sees. The one that GA4 credits with the order has all steps.
    crowds = [(people, seen, np.isin(np.arange(len(people.owner)), last[who]))]
    if visitors is not None and kept is not None:
        crowds.append((visitors, kept, np.zeros(len(visitors.owner), dtype=bool)))
    keys, steps, values = [], [], []
    for crowd, visible, bought in crowds:
        at = np.flatnonzero(visible & ~crowd.blocked[crowd.owner])
        _, day = _moments((crowd.bought[crowd.owner] - crowd.age)[at])
        keys.append(list(zip(day.tolist(), crowd.channel[at].tolist(), crowd.campaign[at].tolist(), strict=True)))
        macro = bought[at]
        micro = macro | (rng.random(len(at)) < 0.11)
        engaged = micro | (rng.random(len(at)) < 0.5)
        steps.append(np.column_stack([np.ones(len(at), dtype=np.int64), engaged, micro, macro]))
        values.append(np.where(macro, value[crowd.owner[at]], 0) if crowd is people else np.zeros(len(at), np.int64))
    rows = _summed([key for each in keys for key in each], np.column_stack([np.vstack(steps), np.concatenate(values)]))
    sessions = _table(
        "sessions",
        **_dated(rows),
        **{
            name: [row[at] for row in rows.values()]
            for at, name in enumerate(("sessions", "engaged", "micro", "macro", "value"))
        },
    )
    return {"purchases": purchases, "sessions": sessions}


Key = tuple[date, int, str]


def _summed(keys: Sequence[Key], numbers: Ints) -> dict[Key, Sequence[int]]:
    """Sums by day, channel and campaign, of the period's days, in order."""
    places = {key: at for at, key in enumerate(sorted({key for key in keys if FIRST <= key[0] <= LAST}))}
    at = np.array([places.get(key, -1) for key in keys], dtype=np.int64)
    sums = np.zeros((len(places), numbers.shape[1]), dtype=np.int64)
    np.add.at(sums, at[at >= 0], numbers[at >= 0])
    return dict(zip(places, sums.tolist(), strict=True))


def _dated(rows: Mapping[Key, Any]) -> dict[str, list[Any]]:
    return {
        "day": [day for day, _, _ in rows],
        "channel": [CHANNELS[channel] for _, channel, _ in rows],
        "campaign": [campaign for _, _, campaign in rows],
    }


PRICES: Final = MappingProxyType({CHATGPT: (120, 0.011), "google_ads": (85, 0.04), "meta_ads": (60, 0.013)})
"""What a click costs in cents, and clicks for each ad shown."""


def _ads(rng: np.random.Generator, crowds: Sequence[People]) -> pa.Table:
    keys: list[Key] = []
    for crowd in crowds:
        paid = np.isin(crowd.channel, [CHANNELS.index(each) for each in PRICES])
        # A ChatGPT ad that was only seen is no click; consent and devices do not matter to what is paid.
        paid &= ~((crowd.channel == 0) & crowd.view_only[crowd.owner])
        at = np.flatnonzero(paid)
        _, day = _moments((crowd.bought[crowd.owner] - crowd.age)[at])
        keys += zip(day.tolist(), crowd.channel[at].tolist(), crowd.campaign[at].tolist(), strict=True)
    rows = _summed(keys, np.ones((len(keys), 1), dtype=np.int64))
    clicks = np.array([row[0] for row in rows.values()], dtype=np.float64)
    price, rate = np.array([PRICES[CHANNELS[channel]] for _, channel, _ in rows]).T
    spend = clicks * price * np.exp(rng.normal(0, 0.15, len(clicks)))
    shown = clicks / rate * np.exp(rng.normal(0, 0.1, len(clicks)))
    return _table(
        "ads",
        **_dated(rows),
        impressions=np.round(shown).astype(np.int64),
        clicks=clicks.astype(np.int64),
        spend=np.round(spend).astype(np.int64),
    )


def _attributed(people: People, matched: Floats, clicked: Flags, email: Flags, source: Ints, value: Ints) -> pa.Table:
    """OpenAI's own: within 30 days of a click that it can match, by reference or e-mail; within a day of a view."""
    known = clicked | (email & (matched < 0.6) & (source != 1))
    by_click = people.brought & ~people.view_only & known & (people.ad_age <= CLICK_DAYS)
    by_view = people.brought & people.view_only & known & (people.ad_age <= 1)
    ads = np.flatnonzero(people.channel == 0)
    place = np.full(len(by_click), -1)
    np.maximum.at(place, people.owner[ads], ads)
    held: dict[str, list[Any]] = {}
    for basis in ("ad_event_time", "conversion_time"):
        who = np.flatnonzero(by_click | by_view)
        when = people.bought[who] - (people.ad_age[who] if basis == "ad_event_time" else 0)
        _, day = _moments(when)
        keys = [(d, 0, c) for d, c in zip(day.tolist(), people.campaign[place[who]].tolist(), strict=True)]
        rows = _summed(keys, np.column_stack([by_click[who], by_view[who], value[who]]).astype(np.int64))
        for name, column in _dated(rows).items():
            held.setdefault(name, []).extend(column)
        held.setdefault("basis", []).extend([basis] * len(rows))
        for at, name in enumerate(("click_through", "view_through", "value")):
            held.setdefault(name, []).extend(row[at] for row in rows.values())
    number = len(held["basis"])
    return _table("attributed", **held, type=["order_created"] * number, window_days=[CLICK_DAYS] * number)


def _crm(
    rng: np.random.Generator, people: People, seen: Flags, source: Ints, value: Ints, order_ids: Sequence[str]
) -> pa.Table:
    """Leads: those who order by telephone, some who order on the web, and three times as many who never do."""
    last = _last_seen(people, seen)
    wins = np.flatnonzero((source == 2) | ((source == 0) & (rng.random(len(source)) < 0.05)))
    losses = rng.integers(0, len(source), 3 * len(wins))
    who = np.concatenate([wins, losses])
    won = np.arange(len(who)) < len(wins)
    channel = np.where(last[who] >= 0, people.channel[last[who]], CHANNELS.index("direct"))
    campaign = np.where(last[who] >= 0, people.campaign[last[who]], "(none)")
    reached = np.where(won, 4, rng.choice([0, 1, 2, 3], len(who), p=[0.45, 0.3, 0.15, 0.1]))
    lost = ~won & (rng.random(len(who)) < 0.6)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("lead", "stage", "order_id", "at", "channel", "campaign", "value")
    }
    for at, person in enumerate(who.tolist()):
        stages = ["lead", "mql", "sql", "opportunity", "won"][: reached[at] + 1] + (["lost"] if lost[at] else [])
        for step, stage in enumerate(stages):
            columns["lead"].append(f"L{at + 1:05d}")
            columns["stage"].append(stage)
            columns["order_id"].append(order_ids[person] if won[at] else None)
            # The order is the last stage; those before it lie a quarter of a day apart.
            columns["at"].append(people.bought[person] - 0.25 * (len(stages) - 1 - step))
            columns["channel"].append(CHANNELS[channel[at]])
            columns["campaign"].append(campaign[at])
            columns["value"].append(int(value[person]) if won[at] else None)
    at_ms, day = _moments(np.array(columns.pop("at")))
    return _table("crm", **columns, at_ms=at_ms, day=day)


NOT_COUNTED: Final = MappingProxyType({"cancelled": 0.012, "test order": 0.002, "not paid": 0.008})
"""Orders that the shop has and that should not count, as a share of those that do."""


def _orders(rng: np.random.Generator, conversions: pa.Table) -> dict[str, pa.Table]:
    """The shop's own list, which has more than the ledger: orders that do not count."""
    number = conversions.num_rows
    extra = sum(int(rate * number) for rate in NOT_COUNTED.values())
    picked = np.sort(rng.integers(0, number, extra))
    rows = conversions.select(["order_id", "source", "type", "at_ms", "day", "value"])
    others = rows.take(pa.array(picked))
    reasons = [why for why, rate in NOT_COUNTED.items() for _ in range(int(rate * number))]
    rng.shuffle(reasons)
    last = int(rows["order_id"][number - 1].as_py())
    held = {name: rows[name].to_pylist() + others[name].to_pylist() for name in rows.column_names}
    held["order_id"][number:] = [str(last + 32768 * (1 + at)) for at in range(extra)]
    orders = _table("orders", **held, counts=[True] * number + [False] * extra, why_not=[None] * number + reasons)
    deliveries: dict[tuple[date, str, str | None, str, str | None], int] = {}

    def count(day: date, kind: str | None, outcome: str, reason: str | None) -> None:
        key = (day, "shopify", kind, outcome, reason)
        deliveries[key] = deliveries.get(key, 0) + 1

    for day in conversions["day"].to_pylist():
        count(day, "order_created", "recorded", None)
        count(day, "orders/paid", "duplicate", "duplicate")
    names = {"cancelled": "cancelled", "test order": "test_order", "not paid": "waiting_for_payment"}
    for day, reason in zip(others["day"].to_pylist(), reasons, strict=True):
        count(day, "orders/create", "ignored", names[reason])
    counted = _table(
        "deliveries",
        **{
            name: [key[at] for key in deliveries]
            for at, name in enumerate(("day", "source", "type", "outcome", "reason"))
        },
        deliveries=list(deliveries.values()),
    )
    return {"orders": orders, "deliveries": counted}


def _by_market(counts: Ints, day: Ints, market: Ints, value: Ints) -> pa.Table:
    """Sales by day and market: the counts; their value is that of the orders in the period, else the mean's."""
    worth = counts * int(value.mean())
    start = (FIRST - HISTORY).days
    worth[start:] = 0
    np.add.at(worth, (day, market), value)
    length, markets = counts.shape
    days = np.array([HISTORY + timedelta(days=at) for at in range(length)], dtype="datetime64[D]")
    return _table(
        "sales",
        day=np.repeat(days, markets),
        market=np.tile(np.array(list(MARKETS), dtype=object), length),
        conversions=counts.ravel(),
        value=worth.ravel(),
    )


def _truth(people: People, bought: Bought, says: Ints, effects: Mapping[str, Effect]) -> Truth:
    web = bought.source == 0
    return Truth(
        buyers=len(web),
        asked=int(web.sum()),
        by_channel=_count(np.where(people.brought, 0, people.heard)),
        brought=int((people.brought & web).sum()),
        clicked=int((bought.clicked & web).sum()),
        would_name=_count_said(says[web]),
        last_click=_count(people.last),
        first_touch=_count(people.first),
        effects=effects,
    )


def _count(channels: Ints) -> dict[str, int]:
    counts = np.bincount(channels, minlength=len(CHANNELS)).tolist()
    return {channel: count for channel, count in zip(CHANNELS, counts, strict=True) if count}


def _count_said(says: Ints) -> dict[str, int]:
    read: dict[str, int] = {}
    for channel, count in _count(says).items():
        read[ANSWERS[channel][1]] = read.get(ANSWERS[channel][1], 0) + count
    return read
