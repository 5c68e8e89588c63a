"""Do the systems agree? Each stage's count of the same conversions, and why each differs from the one before.

::

    truth ──▶ recorded ──▶ sent ──▶ accepted ──▶ attributed       the way of a conversion
    received ──▶ recorded                                         deliveries: an order comes two to five times
    truth ──▶ ga4, truth ──▶ crm                                  what else has counted it (recorded, without a truth)

For each arrow, day, source and type the differences add up to what the counts differ by:
``counts[before] − counts[after] == sum(count of the differences)``. A count is above zero for what is lost on the way,
below zero for what comes in.

OpenAI, GA4 and the CRM know no sources. Where several have conversions of a type, what they count stands in a row of
the source ``(all)``, beside the sums of the others' counts; why those differ stands in the rows of the sources.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from conversion_relay.event import DATA_TYPE

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings

STAGES: Final = (
    "truth", "received", "ignored", "recorded", "sent", "accepted", "attributed", "ga4", "crm",
)  # fmt: skip
"""In the order of a conversion's way. `truth`: what the platform counts; `accepted`: what OpenAI took."""
ALL: Final = "(all)"
"""The source of what cannot be told by source, where several have conversions of a type; and the type likewise."""

KNOW_NO_SOURCE: Final = ("attributed", "ga4", "crm")

LATE: Final = 7
"""Days that a conversion may come late: OpenAI takes no older one."""
LAG: Final = timedelta(days=2)
"""Within which OpenAI's attributed conversions are not complete (Reporting: data freshness; seen: 24 to 48 hours)."""
LONGEST_WINDOW: Final = 30
"""Days after a click in which OpenAI attributes."""
WAITING: Final = timedelta(days=1)
"""A conversion that waits longer is not on its way: the sender runs every few minutes."""
CONSENT: Final = 0.5
"""Up to this share of orders GA4 may lack for want of consent, by blockers, or as there was no visit. What lacks beyond
is flagged: the tag is probably not on the page."""
WHOLE_CRM: Final = 0.8
"""The share of the sales from which on a CRM counts as one that keeps all of them: what it then lacks is flagged."""

LOSING: Final = frozenset(
    {"consent_refused", "consent_unknown", "no_click_ref", "no_match_key", "below_min", "stale_event", "unknown_shop",
     "unknown_connected_account", "subscription_renewal", "renewal", "waiting_for_payment", "test_order", "test_mode",
     "cancelled", "no_opt_in", "opt_in_unknown", "manual_invoice", "no_first_payment", "nothing_paid", "refused"}
)  # fmt: skip
"""Reasons of ignored deliveries for which an order that the source of truth counts is not in the ledger. The others, as
`refund` or `checkout_completed`, take nothing away."""

_ABOUT: Final = (
    ("orders/", "order_created"), ("refunds/", "order_created"), ("checkouts/", "checkout_started"),
    ("carts/", "items_added"), ("customers/", "registration_completed"), ("customers_", "lead_created"),
    ("subscription_contracts/", "subscription_created"), ("checkout.session.", "order_created"),
    ("charge.", "order_created"), ("payment_intent.", "order_created"), ("invoice.", "subscription_created"),
    ("customer.subscription.", "subscription_created"), ("customer.", "registration_completed"),
)  # fmt: skip
"""The event type that topics of Shopify and Stripe are about, by how they begin."""

_LAYERS: Final = {
    "ledger": "recorded", "dynamodb_export": "recorded", "relay_logs": "received", "shop_api": "truth",
}  # fmt: skip
"""Inputs that cover the period also where they have no row: of them nothing means none. The shop's API is Shopify's."""

_NAMED: Final = {
    "duplicate": "the same conversion again: orders come two to five times",
    "remembered": "kept for a later delivery, or for the report",
    "compliance": "a privacy request",
    "ignored": "ignored",
    "parked": "parked",
    "refused": "refused",
    "failed": "failed",
}
_WHAT_TO_DO: Final = {
    "parked": "Correct the cause, then run 'relay replay parked'.",
    "refused": "If these were your platform's, compare its signing secret with the relay's.",
    "failed": "The platform sends it again; if it stays so, see 'relay status'.",
}

Place = tuple[date, str, str]
"""A day, source and type."""
Arrow = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One day, source and type: the count of each stage. None: this layer gave no data, which is not zero."""

    day: date
    source: str
    type: str
    counts: dict[str, int | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Why two stages differ: how many conversions, for which reason, and what to do. ``explained`` False is flagged.

    ``count`` is above zero for what ``after`` lacks, below zero for what it has beyond ``before``.
    """

    day: date
    source: str
    type: str
    before: str
    after: str
    count: int
    reason: str
    explained: bool
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All rows and differences. ``missing`` are order ids that the truth has and the ledger lacks, by source."""

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    missing: dict[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    quiet: bool = False
    """Two layers that know all of the period say that there was nothing: no row, and nothing amiss."""

    @property
    def compared(self) -> bool:
        """Whether two systems said anything of the same. Otherwise that nothing differs means nothing."""
        return self.quiet or any(
            sum(number is not None for stage, number in row.counts.items() if stage != "ignored") > 1
            for row in self.rows
        )

    @property
    def listed(self) -> bool:
        """Whether the source of truth stands beside the ledger, so that ``missing`` says something."""
        return any(row.counts.get("truth") is not None and row.counts.get("recorded") is not None for row in self.rows)

    def unexplained(self) -> dict[Arrow, tuple[int, int]]:
        """For each two stages: how many conversions differ without a reason, and out of how many."""
        flagged: Counter[Arrow] = Counter()
        for each in self.differences:
            flagged[each.before, each.after] += 0 if each.explained else abs(each.count)
        return {arrow: (number, self._out_of(*arrow)) for arrow, number in flagged.items()}

    def _out_of(self, before: str, after: str) -> int:
        """What both stages count, the larger of each row."""
        total = 0
        for row in self.rows:
            counts = (row.counts[before], row.counts[after])
            if None not in counts and (row.source != ALL or after in KNOW_NO_SOURCE):
                total += max(each or 0 for each in counts)
        return total

    def worst(self) -> float:
        """The largest share that differs without a reason, over all two stages; compare it with the threshold."""
        return max((number / max(out_of, 1) for number, out_of in self.unexplained().values()), default=0.0)


def reconcile(
    data: Data, settings: Settings, *, first: date | None = None, last: date | None = None, now_ms: int | None = None
) -> Reconciliation:
    """Hold the layers against one another, from ``first`` to ``last`` (default: the report's days).

    ``now_ms`` is the present: what is younger may still be on its way.
    """
    first, last = first or settings.first, last or settings.last
    now = datetime.fromtimestamp((now_ms if now_ms is not None else time.time_ns() // 1_000_000) / 1000, UTC)
    return conclude(Answers.of(data, first, last), settings, first, last, now)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the queries (`measurement.queries.reconciliation`) say: the rows of each, by its name."""

    spans: list[dict[str, Any]]
    received: list[dict[str, Any]]
    recorded: list[dict[str, Any]]
    truth: list[dict[str, Any]]
    matches: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    attributed: list[dict[str, Any]]
    ga4: list[dict[str, Any]]
    crm: list[dict[str, Any]]

    @classmethod
    def of(cls, data: Data, first: date, last: date) -> Self:
        """Asked of the data, for a period and what lies around it."""
        from measurement.queries import reconciliation as queries

        answers = {}
        for each in fields(cls):
            query = getattr(queries, each.name)
            days = around(each.name, first, last)
            answers[each.name] = data.rows(query(data.tables, *days))
        return cls(**answers)


def around(query: str, first: date, last: date) -> tuple[date, ...]:
    """The days that a query is asked for.

    What is late counts on one side of the period's border in one layer, and on the other side in another; and by the
    day of the ad a conversion may count long before it happens.
    """
    late = timedelta(days=LATE)
    if query == "spans":
        return ()
    if query == "missing":
        return first, last
    return (first - timedelta(days=LONGEST_WINDOW), last) if query == "attributed" else (first - late, last + late)


def conclude(answers: Answers, settings: Settings, first: date, last: date, now: datetime) -> Reconciliation:
    """What the answers mean."""
    return _Found(answers, settings, first, last, now).reconciliation()


def paired(residual: Mapping[date, int], most_days: int) -> dict[date, int]:
    """How much of each day's residual another day near by makes up for: a conversion that counts on two days' books.

    Its values sum to zero, have the sign of the residual and are no larger. The oldest are paired first.
    """
    left = dict(residual)
    shifted: dict[date, int] = defaultdict(int)
    shortages = sorted(day for day, number in left.items() if number < 0)
    for day in sorted(day for day, number in left.items() if number > 0):
        for other in shortages:
            if left[day] and left[other] < 0 and abs((other - day).days) <= most_days:
                number = min(left[day], -left[other])
                left[day] -= number
                left[other] += number
                shifted[day] += number
                shifted[other] -= number
    return dict(shifted)


class _Found:
    """What the queries have found, and what it means."""

    def __init__(self, answers: Answers, settings: Settings, first: date, last: date, now: datetime) -> None:
        self._settings, self._first, self._last, self._now = settings, first, last, now
        self._spans, self._received, self._recorded = answers.spans, answers.received, answers.recorded
        self._truth, self._matches, self._missing = answers.truth, answers.matches, answers.missing
        self._attributed, self._ga4, self._crm = self._chosen(answers.attributed), answers.ga4, answers.crm
        self._expected = {_LAYERS[each.kind] for each in settings.inputs if each.kind in _LAYERS}
        self._own_types = {each["type"] for each in (*self._recorded, *self._truth)} | set(DATA_TYPE)
        self._types: dict[str, set[str]] = defaultdict(set)
        for each in (*self._recorded, *self._truth):
            self._types[each["source"]].add(each["type"])
        self._counts: dict[str, Counter[Place]] = {stage: Counter() for stage in STAGES}
        self._clicked: Counter[Place] = Counter()
        self._differences: list[Difference] = []
        self._truth_types: dict[str, set[str]] = defaultdict(set)
        self._reported: dict[str, set[Place]] = {stage: set() for stage in KNOW_NO_SOURCE}

    def reconciliation(self) -> Reconciliation:
        self._count()
        self._from_truth_to_ledger()
        self._from_log_to_ledger()
        self._from_ledger_to_openai()
        together = self._together()
        for place, others in together:
            self._sum(place, others)
        self._from_openai_to_report(together)
        self._to_ga4(together)
        self._to_crm(together)
        places = {place for stage in STAGES for place, number in self._counts[stage].items() if number}
        places |= {(each.day, each.source, each.type) for each in self._differences}
        rows = [
            Row(*place, {stage: self._counts[stage][place] if self._covers(stage, place) else None for stage in STAGES})
            for place in sorted(places)
            if self._first <= place[0] <= self._last
        ]
        rank = {stage: index for index, stage in enumerate(STAGES)}
        differences = sorted(
            (each for each in self._differences if each.count),
            key=lambda each: (
                each.day, each.source, each.type, rank[each.before], rank[each.after], -abs(each.count), each.reason,
            ),
        )  # fmt: skip
        quiet = not rows and sum(map(self._knows, ("truth", "received", "recorded"))) > 1
        return Reconciliation(tuple(rows), tuple(differences), self._lacking(), tuple(self._notes()), quiet)

    # What each layer covers -------------------------------------------------------------------------------------------

    def _covers(self, stage: str, place: Place) -> bool:
        day, source, kind = place
        if source == ALL and stage in ("truth", "received", "ignored", "recorded", "sent", "accepted"):
            return any(
                self._covers(stage, (day, each, kind)) for each, types in self._types.items() if kind in types
            ) or (kind == ALL and any(self._covers(stage, (day, each, ALL)) for each in self._types))
        if stage == "truth":
            is_listed = "truth" in self._expected and source == "shopify"
            types = self._truth_types[source] | ({"order_created"} if is_listed else set())
            if not types or (kind != ALL and kind not in types):
                return False
            if is_listed:
                return True
            return any(
                each["layer"] == "truth" and each["source"] == source and each["first"] <= day <= each["last"]
                for each in self._spans
            )
        if stage in ("received", "ignored"):
            return self._began("received", day)
        if stage in ("recorded", "sent", "accepted"):
            return self._began("recorded", day)
        return place in self._reported[stage]

    def _began(self, layer: str, day: date) -> bool:
        """Ledger and log are read to the present: what they do not have after their first day has not been."""
        days = [each["first"] for each in self._spans if each["layer"] == layer]
        return min(days) <= day if days else layer in self._expected

    def _knows(self, layer: str) -> bool:
        """Whether a period in which it has nothing was one without anything: it is read to the present, from before."""
        return layer in self._expected and self._first <= self._now.date() and self._began(layer, self._first)

    def _is_near(self, layer: str, day: date) -> bool:
        return any(each["layer"] == layer and each["first"] <= day <= each["last"] for each in self._spans)

    # Counting ---------------------------------------------------------------------------------------------------------

    def _type_of(self, source: str, told: str | None) -> str:
        """The event type that a delivery is about: its own, else by its topic, else the only one of the source."""
        if told in self._own_types:
            return str(told)
        if told is not None:
            about = next((kind for start, kind in _ABOUT if told.startswith(start)), None)
            if about is not None:
                return about
        types = self._types[source]
        return next(iter(types)) if len(types) == 1 else ALL

    def _count(self) -> None:
        for each in self._truth:
            self._truth_types[each["source"]].add(each["type"])
            if each["counts"]:
                self._counts["truth"][each["day"], each["source"], each["type"]] += each["count"]
        for each in self._received:
            if each["outcome"] == "handshake":
                continue
            place = (each["day"], each["source"], self._type_of(each["source"], each["type"]))
            self._counts["received"][place] += each["count"]
            if each["outcome"] == "ignored":
                self._counts["ignored"][place] += each["count"]
        for each in self._recorded:
            place = (each["day"], each["source"], each["type"])
            self._counts["recorded"][place] += each["count"]
            if each["status"] in ("sent", "rejected"):
                self._counts["sent"][place] += each["count"]
            if each["status"] == "sent":
                self._counts["accepted"][place] += each["count"]
                self._clicked[place] += each["count"] if each["clicked"] else 0

    def _add(
        self, place: Place, arrow: Arrow, count: int, reason: str, *, explained: bool = True, advice: str = ""
    ) -> None:
        if count and self._first <= place[0] <= self._last:
            self._differences.append(Difference(*place, *arrow, count, reason, explained, advice))

    def _days(self) -> Iterator[date]:
        for number in range((self._last - self._first).days + 1):
            yield self._first + timedelta(days=number)

    # truth -> recorded ------------------------------------------------------------------------------------------------

    def _from_truth_to_ledger(self) -> None:
        arrow = ("truth", "recorded")

        def compared(place: Place) -> bool:
            return self._covers("truth", place) and self._covers("recorded", place)

        known_as = Counter[tuple[Place, str]]()
        for each in self._missing:
            if each["other_type"] is not None:
                known_as[(each["day"], each["source"], each["type"]), each["other_type"]] += 1
        other_names: Counter[tuple[str, str]] = Counter()
        for (place, other), number in known_as.items():
            other_names[place[1], other] += number
        lacking: Counter[Place] = Counter()
        for each in self._matches:
            source, count = each["source"], each["count"]
            told: Place = (each["order_day"], source, each["order_type"])
            held: Place = (each["ledger_day"], source, each["ledger_type"])
            if each["ledger_day"] is None:
                if each["counts"] and compared(told):
                    lacking[told] += count
            elif each["order_day"] is None:
                if compared(held):
                    known = min(count, other_names[source, each["ledger_type"]])
                    other_names[source, each["ledger_type"]] -= known
                    count -= known
                    self._add(held, arrow, -known, "the source of truth knows it as another type")
                    self._add(
                        held, arrow, -count, "in the ledger, and not among the orders of the source of truth",
                        explained=False,
                        advice="Compare which orders the list leaves out: another shop, a status, a time zone.",
                    )  # fmt: skip
            elif not each["counts"]:
                if compared(held):
                    why = each["why_not"] or "not counted"
                    self._add(held, arrow, -count, f"recorded, but the source of truth does not count it: {why}")
            elif told != held:
                if compared(told):
                    self._add(told, arrow, count, f"in the ledger it is of {held[0]}")
                if compared(held):
                    self._add(held, arrow, -count, f"in the source of truth it is of {told[0]}")
        for place, other in list(known_as):
            number = min(known_as[place, other], lacking[place])
            lacking[place] -= number
            self._add(place, arrow, number, f"recorded as {other}")
        self._explain_lacking(arrow, lacking)

    def _explain_lacking(self, arrow: Arrow, lacking: Counter[Place]) -> None:
        """Why orders are not in the ledger, by what the log says of deliveries of that day and the next.

        A reason for which the source of truth itself leaves orders out explains none that it counts.
        """
        applied = {(each["source"], each["why_not"]) for each in self._truth if not each["counts"]}
        losses: dict[tuple[date, str], Counter[tuple[str, str, str]]] = defaultdict(Counter)
        for each in self._received:
            outcome, reason = each["outcome"], each["reason"] or each["outcome"]
            is_loss = outcome in ("parked", "refused", "failed") or (
                outcome == "ignored" and (reason in LOSING or reason.startswith("payment_"))
            )
            if is_loss and (each["source"], reason) not in applied:
                kind = self._type_of(each["source"], each["type"])
                losses[each["day"], each["source"]][kind, outcome, reason] += each["count"]
        for place in sorted(place for place, number in lacking.items() if number):
            day, source, kind = place
            left = lacking[place]
            for near in (day, day + timedelta(days=1)):
                told = losses.get((near, source), Counter())
                for cause, deliveries in sorted(told.items(), key=lambda each: (-each[1], each[0])):
                    about, outcome, reason = cause
                    number = min(left, deliveries) if about in (kind, ALL) else 0
                    if number:
                        left -= number
                        told[cause] -= number
                        advice = _WHAT_TO_DO.get(outcome, "")
                        self._add(place, arrow, number, f"{outcome}: {reason}", advice=advice)
            self._add(
                place, arrow, left, "not in the ledger, and the log says nothing of it",
                explained=False, advice="Fetch what is missing: 'relay backfill'.",
            )  # fmt: skip

    def _lacking(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = defaultdict(list)
        for each in self._missing:
            if each["other_type"] is None and self._began("recorded", each["day"]):
                found[each["source"]].append(each["order_id"])
        return {source: tuple(sorted(set(ids))) for source, ids in sorted(found.items())}

    # received -> recorded ---------------------------------------------------------------------------------------------

    def _from_log_to_ledger(self) -> None:
        arrow = ("received", "recorded")
        logged: Counter[Place] = Counter()
        erasures = sum(each["count"] for each in self._received if each["outcome"] == "compliance")
        for each in self._received:
            outcome, reason = each["outcome"], each["reason"]
            place = (each["day"], each["source"], self._type_of(each["source"], each["type"]))
            if outcome == "recorded":
                logged[place] += each["count"]
            elif outcome != "handshake" and self._covers("recorded", place):
                plain = _NAMED.get(outcome, outcome)
                told = f"{plain}: {reason}" if reason and outcome not in ("duplicate", "remembered") else plain
                self._add(place, arrow, each["count"], told, advice=_WHAT_TO_DO.get(outcome, ""))
        held = self._counts["recorded"]
        for source, kind in sorted({place[1:] for place in (*logged, *held)}):
            days = {place[0] for place in (*logged, *held) if place[1:] == (source, kind)}
            # Of the time before the log begins only the day before it: what happened then may have come the day after.
            residual = {
                day: logged[day, source, kind] - held[day, source, kind]
                for day in days
                if self._covers("recorded", (day, source, kind)) and self._began("received", day + timedelta(days=1))
            }
            shifted = paired(residual, LATE)
            for day, number in residual.items():
                place = (day, source, kind)
                if not self._covers("received", place):
                    continue
                moved = shifted.get(day, 0)
                self._add(place, arrow, moved, "received on another day than it happened")
                rest = number - moved
                if rest < 0:
                    self._add(
                        place, arrow, rest,
                        "recorded without a line of its own: by backfill or replay, or together with another",
                    )  # fmt: skip
                else:
                    gone = min(rest, erasures)
                    erasures -= gone
                    self._add(place, arrow, gone, "deleted since, by a privacy request")
                    self._add(
                        place, arrow, rest - gone, "recorded by the log, and no longer in the ledger", explained=False,
                        advice="A privacy request before these logs begin, or somebody by hand: 'relay explain ORDER'.",
                    )  # fmt: skip

    # recorded -> sent -> accepted -------------------------------------------------------------------------------------

    def _from_ledger_to_openai(self) -> None:
        for each in self._recorded:
            place, count, reason = (each["day"], each["source"], each["type"]), each["count"], each["reason"]
            match each["status"]:
                case "rejected":
                    self._add(
                        place, ("sent", "accepted"), count, f"rejected: {reason or 'no reason is kept'}",
                        advice="Correct what the reason names, then run 'relay replay ledger --status rejected'.",
                    )  # fmt: skip
                case "expired":
                    self._add(
                        place, ("recorded", "sent"), count, "expired: over 7 days old before it could be sent",
                        advice="See 'relay status' for what kept the sender from sending.",
                    )  # fmt: skip
                case "shadow":
                    self._add(place, ("recorded", "sent"), count, "shadow mode: recorded, and not sent")
                case "recorded":
                    age = self._now - datetime.fromtimestamp(each["oldest_ms"] / 1000, UTC)
                    is_due = age > WAITING
                    self._add(
                        place, ("recorded", "sent"), count,
                        "waiting for over a day" if is_due else "waiting: held, or for the next run of the sender",
                        explained=not is_due, advice="See 'relay status'." if is_due else "",
                    )  # fmt: skip

    # What knows no source ---------------------------------------------------------------------------------------------

    def _together(self) -> list[tuple[tuple[str, str], list[str]]]:
        """For each type its place among the rows: its source, or (all) where several have it."""
        kinds = sorted({kind for types in self._types.values() for kind in types} | {ALL})
        found = []
        for kind in kinds:
            sources = sorted(source for source, types in self._types.items() if kind in types or kind == ALL)
            if sources and (kind != ALL or len(kinds) > 1):
                one = len(sources) == 1 and kind != ALL
                found.append(((sources[0] if one else ALL, kind), sources))
        return found

    def _sum(self, place: tuple[str, str], sources: list[str]) -> None:
        source, kind = place
        if source != ALL:
            return
        for stage in ("truth", "received", "ignored", "recorded", "sent", "accepted"):
            counts = self._counts[stage]
            for day in self._days():
                own = [key for key in counts if key[0] == day and key[1] in sources and kind in (key[2], ALL)]
                total = sum(counts[key] for key in own if key[1] != ALL)
                if total and self._needs_all(kind):
                    counts[day, ALL, kind] = total
        for day in self._days():
            self._clicked[day, ALL, kind] = sum(
                number
                for key, number in self._clicked.items()
                if key[0] == day and key[1] in sources and kind in (key[2], ALL)
            )

    def _is_attributed(self, kind: str) -> bool:
        """Whether OpenAI's report tells of a type: of all where it tells types apart, as it names no idle one."""
        told = {each["type"] for each in self._attributed}
        return kind in told or (bool(told) and ALL not in told and kind != ALL)

    def _needs_all(self, kind: str) -> bool:
        """Whether a layer that knows no source has counts of a type (so that there is something to compare)."""
        of_orders = kind == self._settings.conversion_type
        return (
            self._is_attributed(kind)
            or (of_orders and self._is_reported("ga4"))
            or ((of_orders or kind == "lead_created") and bool(self._crm))
        )

    def _is_reported(self, layer: str) -> bool:
        return any(each["layer"] == layer for each in self._spans)

    # accepted -> attributed -------------------------------------------------------------------------------------------

    @staticmethod
    def _chosen(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """By the day of the conversion if OpenAI was asked for it, and by its longest window."""
        bases = {each["basis"] for each in rows}
        basis = "conversion_time" if "conversion_time" in bases else "ad_event_time"
        longest = max((each["window_days"] for each in rows if each["basis"] == basis), default=0)
        return [each for each in rows if each["basis"] == basis and each["window_days"] == longest]

    def _from_openai_to_report(self, together: Iterable[tuple[tuple[str, str], list[str]]]) -> None:
        arrow = ("accepted", "attributed")
        by_ad = any(each["basis"] == "ad_event_time" for each in self._attributed)
        reach = max((each["window_days"] for each in self._attributed), default=0) if by_ad else 1
        for (source, kind), _ in together:
            if not self._is_attributed(kind):
                continue
            counts = {each["day"]: int(each["count"]) for each in self._attributed if each["type"] == kind}
            residual = {day: -number for day, number in counts.items() if day < self._first} if by_ad else {}
            for day in self._days():
                place = (day, source, kind)
                if not self._is_near("attributed", day):
                    continue
                self._reported["attributed"].add(place)
                self._counts["attributed"][place] = counts.get(day, 0)
                if self._covers("accepted", place):
                    residual[day] = self._clicked[place] - counts.get(day, 0)
            shifted = paired(residual, reach)
            for day in [day for day in residual if day >= self._first]:
                number = residual[day]
                self._explain_attributed((day, source, kind), arrow, number, shifted.get(day, 0), by_ad=by_ad)

    def _explain_attributed(self, place: Place, arrow: Arrow, number: int, moved: int, *, by_ad: bool) -> None:
        """``number``: with a click reference, less attributed; ``moved``: what of it another day makes up for."""
        without_click = self._counts["accepted"][place] - self._clicked[place]
        where = "OpenAI counts it on the day of the ad" if by_ad else "another day: OpenAI's days are the ad account's"
        self._add(place, arrow, moved, where)
        rest = number - moved
        if rest < 0:  # more attributed than carry a reference: by e-mail or phone, of those that carry none
            matched = min(-rest, without_click)
            without_click -= matched
            self._add(
                place, arrow, rest + matched, "attributed, and not sent by the relay", explained=False,
                advice="The pixel counts conversions that the relay does not send, or another window is meant.",
            )  # fmt: skip
        elif self._now.date() - place[0] <= LAG:
            self._add(place, arrow, rest, "not there yet: OpenAI's reports come one to two days late")
        else:
            self._add(
                place, arrow, rest, "carries a click reference, and is not attributed", explained=False,
                advice="Is the event attached to the campaign? It counts from then on. Was the click in the window?",
            )  # fmt: skip
        self._add(place, arrow, without_click, "no click reference: not every buyer has seen an ad")

    # -> ga4, -> crm ---------------------------------------------------------------------------------------------------

    def _before(self, place: Place) -> str:
        return "truth" if self._covers("truth", place) else "recorded"

    def _to_ga4(self, together: Iterable[tuple[tuple[str, str], list[str]]]) -> None:
        wanted = self._settings.conversion_type
        own = [place for place, _ in together if place[1] == wanted]
        if not own or not self._is_reported("ga4"):
            return
        source, kind = own[0]
        both, only_ga4, only_truth = Counter[tuple[date, date]](), Counter[date](), Counter[date]()
        for each in self._ga4:
            if each["ga4_day"] is None:
                only_truth[each["order_day"]] += each["count"] if each["order_type"] == wanted else 0
            elif each["order_type"] == wanted:
                both[each["order_day"], each["ga4_day"]] += each["count"]
            else:
                only_ga4[each["ga4_day"]] += each["count"]
        in_ga4 = only_ga4.copy()
        for (_, day), number in both.items():
            in_ga4[day] += number
        residual = {}
        for day in self._days():
            if not self._is_near("ga4", day):
                continue
            place = (day, source, kind)
            self._reported["ga4"].add(place)
            self._counts["ga4"][place] = in_ga4[day]
            if self._before(place) == "recorded" and self._covers("recorded", place):
                residual[day] = self._counts["recorded"][place] - in_ga4[day]
        self._explain_by_orders((source, kind), both, only_ga4, only_truth)
        self._explain_by_counts((source, kind), "ga4", residual, 1)

    def _explain_by_orders(
        self, of: tuple[str, str], both: Counter[tuple[date, date]], only_ga4: Counter[date], only_truth: Counter[date]
    ) -> None:
        arrow = ("truth", "ga4")

        def compared(day: date) -> bool:
            return (day, *of) in self._reported["ga4"] and self._covers("truth", (day, *of))

        days = [day for day in self._days() if compared(day)]
        lacking, had = sum(only_truth[day] for day in days), sum(self._counts["truth"][day, *of] for day in days)
        is_usual = lacking <= CONSENT * had
        no_common_id = not both and lacking and sum(only_ga4[day] for day in days)
        for day in days:
            place = (day, *of)
            for (told, seen), number in both.items():
                if told != seen and told == day:
                    self._add(place, arrow, number, f"in GA4 it is of {seen}: another time zone, or a late tag")
                if told != seen and seen == day:
                    self._add(place, arrow, -number, f"in the source of truth it is of {told}")
            if no_common_id:
                for number in (only_truth[day], -only_ga4[day]):
                    self._add(
                        place, arrow, number, "no order id is both in GA4 and in the source of truth", explained=False,
                        advice="Give GA4 the shop's order id as transaction_id.",
                    )  # fmt: skip
                continue
            self._add(
                place, arrow, only_truth[day],
                "GA4 has not seen it: no consent, a blocker, or no visit" if is_usual
                else f"GA4 lacks over {CONSENT:.0%} of the orders, more than consent and blockers explain",
                explained=is_usual,
                advice="" if is_usual else "Look for the purchase tag: 'relay doctor' opens the page.",
            )  # fmt: skip
            self._add(
                place, arrow, -only_ga4[day], "GA4 has it, and the source of truth does not count it", explained=False,
                advice="A test, a cancelled order, or a tag that fires without an order.",
            )  # fmt: skip

    def _to_crm(self, together: Iterable[tuple[tuple[str, str], list[str]]]) -> None:
        if not self._is_reported("crm"):
            return
        for (source, kind), _ in together:
            stage = {self._settings.conversion_type: "won", "lead_created": "lead"}.get(kind)
            if stage is None:
                continue
            counts = {each["day"]: int(each["count"]) for each in self._crm if each["stage"] == stage}
            residuals: dict[str, dict[date, int]] = {"truth": {}, "recorded": {}}
            for day in self._days():
                place = (day, source, kind)
                if not self._is_near("crm", day):
                    continue
                self._reported["crm"].add(place)
                self._counts["crm"][place] = counts.get(day, 0)
                before = self._before(place)
                if self._covers(before, place):
                    residuals[before][day] = self._counts[before][place] - counts.get(day, 0)
            for before, residual in residuals.items():
                self._explain_by_counts((source, kind), "crm", residual, 30, before=before)

    def _explain_by_counts(
        self, of: tuple[str, str], after: str, residual: Mapping[date, int], reach: int, before: str = "recorded"
    ) -> None:
        """Of layers without common ids only the counts can be compared: what another day makes up for, and the rest."""
        shifted = paired(residual, reach)
        # A shop's CRM knows the few sales that a person has made. One that has most of them should have the others too.
        total = sum(self._counts[before][day, *of] or 0 for day in residual)
        keeps_a_part = sum(residual.values()) > (1 - WHOLE_CRM) * total
        name = {"ga4": "GA4", "crm": "the CRM"}[after]
        for day, number in residual.items():
            place, moved = (day, *of), shifted.get(day, 0)
            self._add(place, (before, after), moved, f"{name} counts it on another day")
            rest = number - moved
            if after == "ga4":
                is_usual = 0 < rest <= CONSENT * (self._counts[before][place] or 1)
                lacks = "GA4 has not seen it: no consent, a blocker, or no visit"
            else:
                is_usual = rest > 0 and keeps_a_part
                lacks = (
                    "the CRM keeps no such sale: it has those that began as a lead" if is_usual else "not in the CRM"
                )
            self._add(
                place, (before, after), rest, lacks if rest > 0 else f"{name} counts more", explained=is_usual,
                advice="" if is_usual else "Import the orders of the source of truth, to compare order by order.",
            )  # fmt: skip

    def _notes(self) -> Iterator[str]:
        names = {
            "truth": "the source of truth", "received": "the receivers' log", "recorded": "the ledger",
            "attributed": "OpenAI's reports", "ga4": "GA4", "crm": "the CRM",
        }  # fmt: skip
        lacking = [
            name for layer, name in names.items() if not self._is_reported(layer) and layer not in self._expected
        ]
        if lacking:
            yield f"No data of {', '.join(lacking)}: these stages are empty, which is not zero."
        for layer in ("received", "recorded"):
            days = [each["first"] for each in self._spans if each["layer"] == layer]
            if days and min(days) > self._first:
                yield f"{names[layer].capitalize()} begins on {min(days)}: nothing is said of the days before."
