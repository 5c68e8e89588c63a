"""Results as a report may get them: a shop with everything, and the same one with little, odd or no data."""

import math
import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from measurement.attribution import MODELS, WINDOWS, Attribution, Credit
from measurement.channels import Channel
from measurement.dark_funnel import Agreement, Survey, SurveyShare, Unseen
from measurement.estimate import Estimate, Kind
from measurement.funnel import Funnel
from measurement.incrementality.results import Lift, Point
from measurement.problems import CannotSay
from measurement.reconciliation import STAGES, Difference, Reconciliation, Row
from measurement.report.blocks import Section
from measurement.report.contents import sections
from measurement.report.results import Experiment, Layer, Match, Recorded, Results, Spend
from measurement.settings import Settings, Test

FIRST, LAST = date(2026, 9, 1), date(2026, 11, 28)
DAYS = [FIRST + timedelta(days=each) for each in range((LAST - FIRST).days + 1)]
ZONE = ZoneInfo("Europe/Berlin")
HOSTILE = "<script>alert('spring')</script> & \"co\" \u202eevil"
GEO = Test("Holdout in the north", "geo", ((date(2026, 10, 12), date(2026, 11, 8)),), ("DE-HH", "DE-SH", "DE-NI"))
ON_OFF = Test(
    "Autumn pause", "on_off", ((date(2026, 9, 20), date(2026, 10, 3)), (date(2026, 10, 18), date(2026, 10, 31)))
)


def around(value: float, error: float, kind: Kind = "modelled") -> Estimate:
    """An estimate with an interval."""
    return Estimate(value, max(value - error, 0.0), value + error, kind)


def settings() -> Settings:
    return Settings(
        "Northwind Trail",
        ZONE,
        "EUR",
        FIRST,
        LAST,
        Path("northwind"),
        rates={"USD": Decimal("0.86")},
        tests=(GEO, ON_OFF),
    )


def layers() -> tuple[Layer, ...]:
    return (
        Layer("conversions", 4312, tuple(DAYS)),
        Layer("deliveries", 16_904, tuple(DAYS[20:])),
        Layer("orders", 4405, tuple(DAYS)),
        Layer("touches", 61_208, tuple(DAYS)),
        Layer("links", 3890, dated=False),
        Layer("ads", 712, tuple(day for day in DAYS if day.day not in (14, 15))),
        Layer("attributed", 356, tuple(DAYS[:-3])),
        Layer("sessions", 1804, tuple(DAYS[10:40] + DAYS[52:])),
        Layer("purchases", 2977, tuple(DAYS[10:40] + DAYS[52:])),
        Layer("crm", 0),
        Layer("survey", 1246, tuple(DAYS[14:])),
        Layer("sales", 2848, tuple(DAYS)),
    )


SHARES = {
    "chatgpt": (520, 131),
    "google_ads": (1180, 214),
    "organic_search": (640, 118),
    "meta_ads": (585, 151),
    "direct": (410, 0),
    "email": (265, 42),
    "organic_social": (140, 96),
    "referral": (96, 35),
    "ai_assistant": (61, 88),
    "microsoft_ads": (44, 11),
    "affiliate": (29, 13),
    "unknown": (342, 0),
}
"""Conversions by last click, and answers of the survey."""


def attribution() -> Attribution:
    chance = random.Random(7)
    held = []
    for window in WINDOWS:
        for place, model in enumerate(MODELS):
            kind: Kind = "measured" if model == "last_click" else "modelled"
            for channel, (count, _) in SHARES.items():
                tilt = {"chatgpt": 1 + 0.18 * place, "direct": 1 - 0.2 * place, "google_ads": 1 - 0.03 * place}.get(
                    channel, 1
                )
                value = count * tilt * (1 + math.log(window / 30) / 12)
                estimate = around(value, 2.2 * math.sqrt(value), kind)
                held.append(Credit(model, window, channel, None, estimate, Estimate(value * 8450, kind=kind)))
                if channel in ("chatgpt", "google_ads"):
                    for campaign in (
                        "Autumn boots",
                        "Rain jackets 2026",
                        HOSTILE,
                        "Gifts for people who walk in every weather, DE/AT/CH",
                    ):
                        part = value * chance.uniform(0.15, 0.35)
                        held.append(
                            Credit(
                                model,
                                window,
                                channel,
                                campaign,
                                around(part, 2 * math.sqrt(part), kind),
                                Estimate(part * 8450),
                            )
                        )
    return Attribution("order_created", 4312, 36_436_400, tuple(held))


def survey() -> Survey:
    answers = sum(count for _, count in SHARES.values()) + 300
    shares = [
        SurveyShare(
            channel,
            count,
            around(count / answers, 1.96 * math.sqrt(count * (answers - count) / answers) / answers, "measured"),
            around(count / answers * 0.94, 0.024),
        )
        for channel, (_, count) in {**SHARES, "word_of_mouth": (0, 171), "offline": (0, 74), "other": (0, 55)}.items()
        if count
    ]
    return Survey(
        4312, answers, tuple(shares), ("14 answers name an order that the ledger does not hold; they are left out.",)
    )


def agreement() -> Agreement:
    names = ("ledger", "survey", "ga4", "crm")
    both = {a: {b: 500 - 90 * abs(i - j) - 40 * max(i, j) for j, b in enumerate(names)} for i, a in enumerate(names)}
    seen = {a: {b: 3900 - 800 * max(i, j) for j, b in enumerate(names)} for i, a in enumerate(names)}
    kappa = {
        a: {b: None if {a, b} == {"ga4", "crm"} else 1 - 0.21 * abs(i - j) for j, b in enumerate(names)}
        for i, a in enumerate(names)
    }
    return Agreement(names, both, seen, kappa, {"openai click-through, 30 days by ad_event_time": 533})


def unseen() -> Unseen:
    return Unseen(
        520,
        444,
        262,
        around(881, 74),
        around(179, 61),
        (
            "A click and an answer are independent. If those who click answer more often, the estimate is too low.",
            "Everyone may be seen by each layer. Buyers who block both are not in it: then it is too low.",
            "Orders are matched without error. Lost matches make it too high.",
        ),
    )


def lift(
    method: str, value: float, error: float, p_value: float, *, points: bool = True, iroas: float | None = 2.4
) -> Lift:
    chance = random.Random(method)
    days = []
    for place, day in enumerate(DAYS):
        expected = 48 + 7 * math.sin(place * 2 * math.pi / 7) + place / 12
        inside = date(2026, 10, 12) <= day <= date(2026, 11, 8)
        days.append(
            Point(day, expected * (1 + value * inside) + chance.gauss(0, 2.5), expected, expected - 6, expected + 6)
        )
    return Lift(
        method,
        Estimate(value, value - error, value + error, "modelled"),
        Estimate(value * 1400, (value - error) * 1400, (value + error) * 1400, "modelled"),
        p_value,
        None if iroas is None else Estimate(iroas, iroas - 1.1, iroas + 1.2, "modelled"),
        tuple(days) if points else (),
        (
            "People who live near a border may buy across it: then the true effect is larger.",
            "Before the test the markets moved together (correlation 0.94).",
        ),
    )


def funnels(count: int = 3) -> tuple[Funnel, ...]:
    chance = random.Random(3)
    made = []
    for place in range(count):
        clicks = int(4200 / (place + 1))
        sessions = int(clicks * 0.82)
        engaged = int(sessions * chance.uniform(0.4, 0.6))
        micro = int(engaged * 0.2)
        name = ["Autumn boots", "Rain jackets 2026", HOSTILE][place] if place < 3 else f"Campaign number {place}"
        counts: dict[str, int | None] = {
            "click": clicks,
            "session": sessions,
            "engaged": engaged,
            "micro": micro,
            "macro": int(micro * 0.4),
        }
        made.append(Funnel("chatgpt", name, counts, "engaged" if place == 1 else None))
    return (
        *made,
        Funnel(
            "google_ads", "Brand", {"click": 8100, "session": None, "engaged": None, "micro": None, "macro": 512}, None
        ),
    )


SPEND = {"google_ads": 1_840_000, "chatgpt": 1_212_450, "meta_ads": 1_105_020, "microsoft_ads": 84_000}


def channels() -> tuple[Channel, ...]:
    made = []
    for channel, (conversions, answers) in SHARES.items():
        spend = SPEND.get(channel)
        clicks = conversions * 21 if spend else None
        made.append(
            Channel(
                channel,
                spend,
                clicks and clicks * 60,
                clicks,
                spend / clicks if spend and clicks else None,
                float(conversions),
                around(1 / 21, 0.004, "measured"),
                spend / conversions if spend else None,
                conversions * 8450 / spend if spend else None,
                None,
                None,
                None,
                0.59 if answers > 100 else None,
                around(0.41, 0.07, "measured") if answers > 100 else None,
            )
        )
    return tuple(made)


def reconciliation() -> Reconciliation:
    chance = random.Random(11)
    rows = []
    for place, day in enumerate(DAYS):
        truth = 46 + int(9 * math.sin(place * 2 * math.pi / 7)) + chance.randrange(6)
        recorded = truth - (place % 9 == 0)
        values = (
            truth,
            truth + 2 if place >= 20 else None,
            2 if place >= 20 else None,
            recorded,
            recorded,
            recorded - (place % 11 == 0),
            int(recorded * 0.14) if place < 86 else None,
            int(recorded * 0.69) if 10 <= place < 40 or place >= 52 else None,
            None,
        )
        rows.append(Row(day, "shopify", "order_created", dict(zip(STAGES, values, strict=True))))
    differences = [
        Difference(
            day,
            "shopify",
            "order_created",
            "truth",
            "recorded",
            1,
            "not in the ledger, no log line",
            False,
            "relay backfill shopify --since 30d",
        )
        for day in DAYS[::9]
    ]
    differences += [
        Difference(day, "shopify", "order_created", "received", "recorded", 2, "test orders are ignored", True)
        for day in DAYS[20:]
    ]
    differences += [
        Difference(
            day, "shopify", "order_created", "recorded", "ga4", 14, "no consent: GA4 does not see these visitors", True
        )
        for day in DAYS[52:]
    ]
    return Reconciliation(
        tuple(rows), tuple(differences), {"shopify": tuple(f"61842039{place:05}" for place in range(10))}
    )


def matches() -> tuple[Match, ...]:
    return (
        Match("shopify", 3905, {"oppref": 498, "obref": 210, "email": 3861, "phone": 1204, "external_id": 3650}, 22),
        Match("stripe", 322, {"oppref": 22, "obref": 0, "email": 322, "phone": 12, "external_id": 320}, 0),
        Match("callrail", 85, {"oppref": 0, "obref": 0, "email": 0, "phone": 85, "external_id": 0}, 0),
    )


def full() -> Results:
    """A shop with every layer but a CRM, a geo test and an on/off test."""
    return Results(
        settings(),
        datetime(2026, 11, 29, 6, 4, tzinfo=ZONE),
        layers(),
        Recorded(4312, 36_436_400, 520, tuple((day, 48, 6) for day in DAYS)),
        reconciliation(),
        attribution(),
        survey(),
        agreement(),
        unseen(),
        (
            Experiment(
                GEO,
                (
                    lift("difference in differences", 0.083, 0.036, 0.002),
                    lift("synthetic control", 0.071, 0.041, 0.018, points=False),
                ),
            ),
            Experiment(
                ON_OFF,
                (
                    CannotSay(
                        "The on/off test",
                        "the ads were off for 14 days in all, and the model needs 28",
                        "Leave them off for two more weeks.",
                    ),
                ),
            ),
        ),
        funnels(),
        channels(),
        matches(),
        tuple(Spend(channel, spend, None, None) for channel, spend in SPEND.items()),
        ("ga4.csv: 12 rows were there twice; one of each is kept.",),
    )


def refusal(what: str) -> CannotSay:
    return CannotSay(what, "there is no data for it", "Add an input to measurement.toml.")


def empty() -> Results:
    """No layer has anything."""
    return Results(
        replace(settings(), tests=(), rates={}),
        datetime(2026, 11, 29, 6, 4, tzinfo=ZONE),
        tuple(replace(each, rows=0, days=()) for each in layers()),
        Recorded(0, 0, 0),
        refusal("The comparison of the systems"),
        refusal("Attribution"),
        refusal("The survey"),
        refusal("The agreement of layers"),
        refusal("The estimate of the unseen"),
        (),
        refusal("The funnel"),
        refusal("The channels"),
        (),
        (),
    )


def crowded() -> Results:
    """Sixty campaigns with long names, every channel, many sources."""
    chance = random.Random(5)
    held = []
    for window in WINDOWS:
        for model in MODELS:
            kind: Kind = "measured" if model == "last_click" else "modelled"
            for place in range(60):
                value = 30_000 / (place + 1) * chance.uniform(0.8, 1.2)
                name = f"Brand|EU|{place:02}|" + (
                    "Ein sehr langer Kampagnenname " * 4 if place % 3 else "日本語のキャンペーン名" * 5
                )
                held.append(
                    Credit(model, window, "chatgpt", name, around(value, value / 9, kind), Estimate(value * 9000))
                )
            for channel in SHARES:
                value = 1_234_567 / (1 + chance.random())
                held.append(
                    Credit(model, window, channel, None, around(value, value / 8, kind), Estimate(value * 9000))
                )
    return replace(
        full(),
        attribution=Attribution("order_created", 9_876_543, 10**12, tuple(held)),
        funnels=funnels(60),
        matches=tuple(
            Match(f"custom_platform_with_a_long_name_{place}", 900 - place, {"email": 800 - place}, 100)
            for place in range(14)
        ),
        spend=tuple(Spend(channel, 98_765_432_10 + place, 10**7, 10**9) for place, channel in enumerate(SHARES)),
    )


def lone() -> Results:
    """One channel, one campaign, no spend, no survey, one day."""
    day = date(2026, 11, 28)
    one = Estimate(3.0, 1.0, 5.0)
    return replace(
        empty(),
        settings=replace(settings(), first=day, last=day, tests=()),
        layers=tuple(
            Layer(each.table, 3, (day,)) if each.table in ("conversions", "touches") else replace(each, rows=0, days=())
            for each in layers()
        ),
        recorded=Recorded(3, 25_000, 1, ((day, 3, 1),)),
        reconciliation=Reconciliation((Row(day, "stripe", "order_created", {"recorded": 3, "sent": 3}),), (), {}),
        attribution=Attribution(
            "order_created",
            3,
            25_000,
            tuple(
                Credit(model, 30, "chatgpt", campaign, one, Estimate(25_000))
                for model in MODELS
                for campaign in (None, "=1+1")
            ),
        ),
        channels=(Channel("chatgpt", None, None, None, None, 3.0, None, None, None, None, None, None, None, None),),
        matches=(Match("stripe", 3, {"oppref": 1, "email": 3}, 0),),
    )


@cache
def drawn(name: str) -> tuple[Section, ...]:
    """The sections of a sample: drawn once for all tests, as charts take their time."""
    return sections(SAMPLES[name]())


SAMPLES = {"full": full, "empty": empty, "crowded": crowded, "lone": lone}
