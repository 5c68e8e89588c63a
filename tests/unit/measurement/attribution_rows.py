"""Rows of touches and conversions, and an attribution in plain Python, slow and literal, to hold queries against."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from measurement.attribution import Attribution
from measurement.settings import Settings
from measurement.tables import bucket

SETTINGS: Final = Settings("shop", ZoneInfo("UTC"), "USD", date(2026, 10, 1), date(2026, 10, 31), Path())
DAY: Final = 86_400_000
MINUTE: Final = 60_000
NOON: Final = int(datetime(2026, 10, 20, 12, tzinfo=UTC).timestamp() * 1000)
"""When the examples' conversions happen."""
RANKS: Final = {"click": 0, "visit": 1, "view": 2}


def day_of(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()


def touch(
    person: str, days_before: float, channel: str, campaign: str = "autumn", kind: str = "click", until: int = NOON
) -> dict[str, Any]:
    at_ms = until - round(days_before * DAY)
    return {
        "person": person, "at_ms": at_ms, "day": day_of(at_ms), "channel": channel, "campaign": campaign,
        "kind": kind, "origin": "file", "bucket": bucket(person),
    }  # fmt: skip


def conversion(
    number: int, person: str | None, at_ms: int = NOON, value: int | None = 1000, **more: Any
) -> dict[str, Any]:
    return {
        "conversion": f"order_created#shopify:{number}", "type": "order_created", "source": "shopify",
        "action_source": "web", "order_id": str(number), "person": person, "at_ms": at_ms, "day": day_of(at_ms),
        "value": value, "status": "sent", "clicked": False, "match_keys": "email",
        "bucket": bucket(person or f"order {number}"),
    } | more  # fmt: skip


def link(number: int, person: str) -> dict[str, str]:
    return {"order_id": str(number), "person": person}


def of(found: Attribution, model: str, window: int, *, value: bool = False) -> dict[str, float]:
    """The credit of each channel that gets any."""
    return {
        each.channel: (each.value if value else each.conversions).value
        for each in found.credits
        if each.campaign is None
        and (each.model, each.window_days) == (model, window)
        and (each.value if value else each.conversions).value
    }


def by_campaign(found: Attribution, model: str, window: int, *, value: bool = False) -> dict[tuple[str, str], float]:
    return {
        (each.channel, each.campaign): (each.value if value else each.conversions).value
        for each in found.credits
        if each.campaign is not None and (each.model, each.window_days) == (model, window)
    }


def random_shop(seed: int, *, persons: int = 40, orders: int = 30) -> dict[str, list[dict[str, Any]]]:
    """Few channels, and times on a coarse grid: equal instants, ends of windows and half hours are hit often."""
    rng = random.Random(seed)
    channels = [("chatgpt", "autumn"), ("chatgpt", "brand"), ("google_ads", "autumn"), ("direct", "(none)"),
                ("email", "letter"), ("unknown", "(none)")]  # fmt: skip
    grid = [0, 1, 7 * DAY, 7 * DAY + 1, 14 * DAY, 30 * DAY, 90 * DAY, 90 * DAY + 1]

    def moment() -> int:
        coarse = rng.choice([*grid, rng.randrange(100) * DAY, rng.randrange(4000) * 7 * MINUTE])
        return NOON - coarse + rng.choice([0, 0, 1, -1, 30 * MINUTE, -30 * MINUTE, 31 * MINUTE])

    touches = {}
    for _ in range(persons * 5):
        channel, campaign = rng.choice(channels)
        one = touch(f"p{rng.randrange(persons)}", 0, channel, campaign, rng.choice(list(RANKS)), moment())
        touches[tuple(one[key] for key in ("person", "at_ms", "channel", "campaign", "kind"))] = one
    conversions, links = [], {}
    for number in range(orders):
        person = rng.choice([None, f"p{rng.randrange(persons)}", f"p{rng.randrange(persons // 2)}"])
        at_ms = NOON + rng.choice([0, 0, 1, -3 * DAY, 14 * DAY, 2 * DAY, -DAY * rng.randrange(30)])
        value = rng.choice([None, 0, 1999, 25_000])
        more = {"type": "lead_created"} if rng.random() < 0.1 else {}
        conversions.append(conversion(number, person, at_ms, value, **more))
        for _ in range(rng.choice([0, 0, 1, 2])):
            who = f"p{rng.randrange(persons)}"
            links[number, who] = link(number, who)
    return {"touches": list(touches.values()), "conversions": conversions, "links": list(links.values())}


class Oracle:
    """`attribute` over lists, conversion by conversion. Keys are (channel, campaign)."""

    def __init__(
        self, tables: Mapping[str, Sequence[Mapping[str, Any]]], windows: Iterable[int], *, views: bool = False,
        first_share: float = 0.65, half_life_days: float = 7.0,
    ) -> None:  # fmt: skip
        self.windows, self.views = sorted(windows), views
        self.first_share, self.half_life = first_share, half_life_days
        first, last = SETTINGS.first, SETTINGS.last
        all_of_type = [c for c in tables["conversions"] if c["type"] == "order_created"]
        self.conversions = [c for c in all_of_type if first <= c["day"] <= last]
        self.touches = [
            t for t in tables["touches"]
            if t["channel"] != "unknown" and (views or t["kind"] != "view") and t["day"] <= last
            and (first - t["day"]).days <= self.windows[-1] + 2
        ]  # fmt: skip
        self.frequency = Counter((t["channel"], t["campaign"]) for t in self.touches)
        self.order = sorted(self.frequency, key=lambda key: (-self.frequency[key], key))
        linked = defaultdict(set)
        for each in tables["links"]:
            linked[each["order_id"]].add(each["person"])
        self.persons = {
            c["conversion"]: linked[c["order_id"]] | ({c["person"]} if c["person"] else set()) for c in all_of_type
        }
        by_person = defaultdict(list)
        for each in self.touches:
            by_person[each["person"]].append(each)
        self.found = [
            (c, [t for person in self.persons[c["conversion"]] for t in by_person[person]]) for c in self.conversions
        ]
        bought = set().union(*self.persons.values()) if self.persons else set()
        self.lost = []
        for person, theirs in by_person.items():
            if person not in bought and max(t["day"] for t in theirs) >= first:
                self.lost.append((max(t["at_ms"] for t in theirs), theirs))

    def path(
        self, touches: Sequence[Mapping[str, Any]], end: int, window: int
    ) -> list[tuple[int, str, tuple[str, str]]]:
        """The contacts of a window, oldest first: age, kind, key."""
        paths: dict[bool, list[tuple[int, str, tuple[str, str]]]] = {True: [], False: []}
        last: dict[bool, tuple[int, str, str]] = {}
        inside = [t for t in touches if 0 <= end - t["at_ms"] <= window * DAY]
        inside.sort(key=lambda t: (t["at_ms"], RANKS[t["kind"]], self.order.index((t["channel"], t["campaign"]))))
        for t in inside:
            direct = t["channel"] == "direct"
            goes_on = (
                direct in last
                and last[direct][1] == t["channel"]
                and t["at_ms"] - last[direct][0] <= 30 * MINUTE
                and not (last[direct][2] == "view" and t["kind"] != "view")
            )
            last[direct] = (t["at_ms"], t["channel"], t["kind"])
            if not goes_on:
                paths[direct].append((end - t["at_ms"], t["kind"], (t["channel"], t["campaign"])))
        return paths[False] or paths[True]

    def credit(self, model: str, window: int) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
        """Conversions and value by key."""
        counts: dict[tuple[str, str], float] = defaultdict(float)
        values: dict[tuple[str, str], float] = defaultdict(float)
        chain = self.chain(window) if model == "markov" else {}
        for each, touches in self.found:
            contacts = self.path(touches, each["at_ms"], window)
            for key, share in self.shares(model, contacts, chain).items():
                counts[key] += share
                values[key] += share * (each["value"] or 0)
        return dict(counts), dict(values)

    def shares(
        self, model: str, contacts: list[tuple[int, str, tuple[str, str]]], chain: dict[tuple[str, str], float]
    ) -> dict[tuple[str, str], float]:
        if not contacts:
            return {("unknown", "(none)"): 1.0}
        if model == "markov":
            return chain
        shares: dict[tuple[str, str], float] = defaultdict(float)
        if model == "last_click":
            clicks = [contact for contact in contacts if contact[1] != "view"] or contacts
            best = min(clicks, key=lambda contact: (contact[0], RANKS[contact[1]], self.order.index(contact[2])))
            return {best[2]: 1.0}
        weights = [2 ** (-age / DAY / self.half_life) for age, _, _ in contacts]
        if model == "time_decay":
            for (_, _, key), weight in zip(contacts, weights, strict=True):
                shares[key] += weight / math.fsum(weights)
            return shares
        if len(contacts) == 1:
            return {contacts[0][2]: 1.0}
        shares[contacts[0][2]] += self.first_share
        for (_, _, key), weight in zip(contacts[1:], weights[1:], strict=True):
            shares[key] += (1 - self.first_share) * weight / math.fsum(weights[1:])
        return shares

    def chain(self, window: int) -> dict[tuple[str, str], float]:
        """Each state's part of all removal effects."""
        steps: Counter[tuple[Any, Any]] = Counter()
        ends = [(touches, each["at_ms"], "conversion") for each, touches in self.found]
        ends += [(touches, end, "null") for end, touches in self.lost]
        for touches, end, goal in ends:
            keys = [key for _, _, key in self.path(touches, end, window)]
            if keys:
                steps.update(zip(["start", *keys], [*keys, goal], strict=True))
        effects = removal_effects_by_hand(steps, self.order)
        whole = sum(effects.values())
        return {key: float(effect / whole) for key, effect in effects.items()} if whole else {}


def removal_effects_by_hand(steps: Mapping[tuple[Any, Any], int], states: Sequence[Any]) -> dict[Any, Fraction]:
    """Solve the chain as it is, and again for each state with what leads to it leading to null; in exact fractions."""
    whole = _converting(steps, states)
    if not whole:
        return dict.fromkeys(states, Fraction(0))
    effects = {}
    for state in states:
        without = Counter()
        for (before, after), count in steps.items():
            without[before, "null" if after == state else after] += count
        effects[state] = 1 - _converting(without, [each for each in states if each != state]) / whole
    return effects


def _converting(steps: Mapping[tuple[Any, Any], int], states: Sequence[Any]) -> Fraction:
    """The probability of coming from the start to a conversion: Gauss."""
    places = {state: place for place, state in enumerate(["start", *states])}
    size = len(places)
    rows = [[Fraction(int(row == column)) for column in range(size)] + [Fraction(0)] for row in range(size)]
    totals: Counter[Any] = Counter()
    for (before, _), count in steps.items():
        totals[before] += count
    for (before, after), count in steps.items():
        if before in places:
            if after == "conversion":
                rows[places[before]][size] += Fraction(count, totals[before])
            elif after != "null":
                rows[places[before]][places[after]] -= Fraction(count, totals[before])
    for place in range(size):
        pivot = next((row for row in range(place, size) if rows[row][place]), None)
        if pivot is None:
            continue
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [each / rows[place][place] for each in rows[place]]
        for row in range(size):
            if row != place and rows[row][place]:
                rows[row] = [one - rows[row][place] * other for one, other in zip(rows[row], rows[place], strict=True)]
    return rows[0][size]
