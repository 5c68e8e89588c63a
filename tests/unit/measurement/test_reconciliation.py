"""Reconciliation on small tables, worked out by hand: every reason for which two stages differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurement.engine import DIALECTS, Data, sql, unbound
from measurement.queries import reconciliation as queries
from measurement.reconciliation import (
    ALL,
    KNOW_NO_SOURCE,
    Answers,
    Difference,
    Reconciliation,
    around,
    conclude,
    paired,
    reconcile,
)
from measurement.settings import Input, Settings
from measurement.tables import TABLES

FIRST = date(2026, 11, 10)
LAST = date(2026, 11, 16)
D = FIRST + timedelta(days=2)
NOW_MS = int(datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp() * 1000)
ARROWS = (
    ("truth", "recorded"), ("received", "recorded"), ("recorded", "sent"), ("sent", "accepted"),
    ("accepted", "attributed"), ("truth", "ga4"), ("truth", "crm"), ("recorded", "ga4"), ("recorded", "crm"),
)  # fmt: skip


def about(**changes: Any) -> Settings:
    base: dict[str, Any] = {
        "shop": "a shop", "time_zone": ZoneInfo("UTC"), "currency": "USD", "first": FIRST, "last": LAST,
        "folder": Path(),
    }  # fmt: skip
    return Settings(**base | changes)


def ms(day: date, hour: int = 12) -> int:
    return int(datetime(day.year, day.month, day.day, hour, tzinfo=UTC).timestamp() * 1000)


def order(order_id: Any, day: date = D, source: str = "shopify", why_not: str | None = None, **more: Any) -> Any:
    return {
        "order_id": str(order_id), "source": source, "type": "order_created", "at_ms": ms(day), "day": day,
        "counts": why_not is None, "why_not": why_not, **more,
    }  # fmt: skip


def conversion(order_id: Any, day: date = D, status: str = "sent", source: str = "shopify", **more: Any) -> Any:
    kind = more.get("type", "order_created")
    return {
        "conversion": f"{kind}#{source}:{order_id}", "type": kind, "source": source, "action_source": "web",
        "order_id": str(order_id), "at_ms": ms(day), "day": day, "status": status, "clicked": False,
        "match_keys": "email", "bucket": 1, **more,
    }  # fmt: skip


def delivered(outcome: str, count: int = 1, reason: str | None = None, day: date = D, **more: Any) -> Any:
    return {
        "day": day, "source": "shopify", "type": "order_created", "outcome": outcome, "reason": reason,
        "deliveries": count, **more,
    }  # fmt: skip


def credited(
    count: int, day: date = D, kind: str = "order_created", basis: str = "conversion_time", **more: Any
) -> Any:
    return {
        "day": day, "channel": "chatgpt", "campaign": "Boots", "type": kind, "basis": basis, "window_days": 30,
        "click_through": count, **more,
    }  # fmt: skip


def bought(order_id: Any, day: date = D) -> Any:
    return {"order_id": str(order_id), "at_ms": ms(day), "day": day, "channel": "direct", "campaign": "(none)"}


def found(tables: dict[str, Any], now_ms: int = NOW_MS, **changes: Any) -> Reconciliation:
    """What the tables come to, with the queries answered by the plain Python below: no engine has to start."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return conclude(answers(tables), about(**changes), FIRST, LAST, now)


# The queries, a second time and without an engine ---------------------------------------------------------------------


def counted(rows: Iterable[Any], *names: str, of: str = "") -> list[dict[str, Any]]:
    totals: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        totals[tuple(row.get(name) for name in names)] += row[of] if of else 1
    return [dict(zip(names, key, strict=True)) | {"count": number} for key, number in totals.items()]


def answers(tables: dict[str, Any]) -> Answers:
    def held(table: str, query: str) -> list[Any]:
        first, last = around(query, FIRST, LAST)
        return [each for each in tables.get(table, ()) if first <= each["day"] <= last]

    def near(query: str, *days: date | None) -> bool:
        first, last = around(query, FIRST, LAST)
        return any(day is not None and first <= day <= last for day in days)

    orders, ledger = list(tables.get("orders", ())), list(tables.get("conversions", ()))
    spans = []
    for layer, table in (("truth", "orders"), ("received", "deliveries"), ("recorded", "conversions")):
        for source in {each["source"] for each in tables.get(table, ())}:
            days = [each["day"] for each in tables[table] if each["source"] == source]
            spans.append({"layer": layer, "source": source, "first": min(days), "last": max(days)})
    for layer, table in (("attributed", "attributed"), ("ga4", "purchases"), ("crm", "crm")):
        if days := [each["day"] for each in tables.get(table, ())]:
            spans.append({"layer": layer, "source": ALL, "first": min(days), "last": max(days)})
    recorded = counted(held("conversions", "recorded"), "day", "source", "type", "status", "reason", "clicked")
    for row in recorded:
        own = [each for each in ledger if all(each.get(name) == row[name] for name in row if name != "count")]
        row["oldest_ms"] = min(each["at_ms"] for each in own)
    by_key = {(each["source"], each["order_id"], each["type"]): each for each in ledger}
    truth_keys = {(each["source"], each["order_id"], each["type"]) for each in orders}
    pairs: list[tuple[Any, Any]] = [
        (each, by_key.get((each["source"], each["order_id"], each["type"]))) for each in orders
    ]
    pairs += [(None, each) for key, each in by_key.items() if key not in truth_keys]
    matches = [
        {
            "source": (told or kept)["source"],
            "order_type": told and told["type"], "order_day": told and told["day"],
            "counts": told and told["counts"], "why_not": told and told["why_not"],
            "ledger_type": kept and kept["type"], "ledger_day": kept and kept["day"],
        }
        for told, kept in pairs
    ]  # fmt: skip
    names = ("source", "order_type", "order_day", "counts", "why_not", "ledger_type", "ledger_day")
    missing = [
        {
            "source": each["source"], "order_id": each["order_id"], "type": each["type"], "day": each["day"],
            "other_type": min(
                (c["type"] for c in ledger if (c["source"], c["order_id"]) == (each["source"], each["order_id"])),
                default=None,
            ),
        }
        for each, kept in pairs
        if each is not None and kept is None and each["counts"] and FIRST <= each["day"] <= LAST
    ]  # fmt: skip
    purchases = {each["order_id"]: each for each in tables.get("purchases", ())}
    counting = [each for each in orders if each["counts"]]
    seen: list[Any] = [
        {
            "source": each["source"], "order_type": each["type"], "order_day": each["day"],
            "ga4_day": purchases[each["order_id"]]["day"] if each["order_id"] in purchases else None,
        }
        for each in counting
    ]  # fmt: skip
    told_ids = {each["order_id"] for each in counting}
    seen += [{"ga4_day": each["day"]} for key, each in purchases.items() if key not in told_ids]
    return Answers(
        spans=spans,
        received=counted(
            held("deliveries", "received"), "day", "source", "type", "outcome", "reason", of="deliveries"
        ),
        recorded=recorded,
        truth=counted(held("orders", "truth"), "day", "source", "type", "counts", "why_not"),
        matches=counted((each for each in matches if near("matches", each["order_day"], each["ledger_day"])), *names),
        missing=missing,
        attributed=counted(held("attributed", "attributed"), "day", "type", "basis", "window_days", of="click_through"),
        ga4=counted(
            (each for each in seen if near("ga4", each.get("order_day"), each["ga4_day"])),
            "source", "order_type", "order_day", "ga4_day",
        ),
        crm=counted(held("crm", "crm"), "day", "stage"),
    )  # fmt: skip


def reasons(made: Reconciliation, before: str, after: str, day: date | None = None) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for each in made.differences:
        if (each.before, each.after) == (before, after) and day in (None, each.day):
            totals[each.reason] += each.count
    return dict(totals)


def flagged(made: Reconciliation) -> list[Difference]:
    return [each for each in made.differences if not each.explained]


def counts(made: Reconciliation, day: date = D, source: str = "shopify", kind: str = "order_created") -> Any:
    (row,) = [each for each in made.rows if (each.day, each.source, each.type) == (day, source, kind)]
    return row.counts


def adds_up(made: Reconciliation) -> None:
    """What two stages of a row differ by is what the differences of that row add up to."""
    told: Counter[tuple[Any, ...]] = Counter()
    for each in made.differences:
        told[each.day, each.source, each.type, each.before, each.after] += each.count
    for row in made.rows:
        for before, after in ARROWS:
            if before == "recorded" and after in KNOW_NO_SOURCE and row.counts["truth"] is not None:
                continue
            if row.source == ALL and after not in KNOW_NO_SOURCE:
                continue
            if row.counts[before] is not None and row.counts[after] is not None:
                by = row.counts[before] - row.counts[after]
                assert told.pop((row.day, row.source, row.type, before, after), 0) == by, (row, before, after)
    assert {key: number for key, number in told.items() if number} == {}


# From the source of truth to the ledger -------------------------------------------------------------------------------


def test_layers_that_agree_have_no_difference() -> None:
    made = found(
        {
            "orders": [order(1), order(2)],
            "conversions": [conversion(1), conversion(2)],
            "deliveries": [delivered("recorded", 2)],
        }
    )

    assert made.differences == ()
    assert made.missing == {}
    assert made.worst() == 0
    assert counts(made) == {
        "truth": 2, "received": 2, "ignored": 0, "recorded": 2, "sent": 2, "accepted": 2, "attributed": None,
        "ga4": None, "crm": None,
    }  # fmt: skip
    assert made.notes[0] == "No data of OpenAI's reports, GA4, the CRM: these stages are empty, which is not zero."


def test_an_order_that_nobody_told_of_is_missing_and_flagged() -> None:
    made = found({"orders": [order(1), order(2), order(3)], "conversions": [conversion(1)]})

    (difference,) = flagged(made)
    assert (difference.before, difference.after, difference.count) == ("truth", "recorded", 2)
    assert "relay backfill" in difference.advice
    assert made.missing == {"shopify": ("2", "3")}
    assert made.unexplained() == {("truth", "recorded"): (2, 3)}
    assert made.worst() == pytest.approx(2 / 3)


def test_days_at_the_end_without_any_conversion_are_missing_too() -> None:
    # Given webhooks that stopped two days ago
    made = found({"orders": [order(1), order(2, LAST)], "conversions": [conversion(1)]})

    assert made.missing == {"shopify": ("2",)}
    assert counts(made, LAST)["recorded"] == 0


def test_before_the_ledger_begins_nothing_is_said() -> None:
    made = found({"orders": [order(1), order(2, FIRST)], "conversions": [conversion(1)]})

    assert counts(made, FIRST)["recorded"] is None
    assert (made.differences, made.missing) == ((), {})
    assert any(note.startswith(f"The ledger begins on {D}") for note in made.notes)


def test_a_ledger_that_was_read_and_is_empty_lacks_everything() -> None:
    ledger = (Input("ledger", {}, 1),)

    assert found({"orders": [order(1)]}, inputs=ledger).missing == {"shopify": ("1",)}
    assert found({"orders": [order(1)]}).missing == {}


@pytest.mark.parametrize(
    ("outcome", "reason", "told"),
    [
        ("ignored", "consent_refused", "ignored: consent_refused"),
        ("ignored", "below_min", "ignored: below_min"),
        ("ignored", "payment_voided", "ignored: payment_voided"),
        ("parked", "id_missing", "parked: id_missing"),
        ("refused", "signature_wrong", "refused: signature_wrong"),
        ("failed", "ledger_unavailable", "failed: ledger_unavailable"),
    ],
)
@pytest.mark.parametrize("later", [0, 1])
def test_the_log_says_why_an_order_is_missing(outcome: str, reason: str, told: str, later: int) -> None:
    made = found(
        {
            "orders": [order(1), order(2)],
            "conversions": [conversion(1)],
            "deliveries": [
                delivered("recorded"),
                delivered(outcome, 1, reason, D + timedelta(days=later), type="orders/create"),
            ],
        }
    )

    assert reasons(made, "truth", "recorded") == {told: 1}
    assert flagged(made) == []
    adds_up(made)


@pytest.mark.parametrize("reason", ["refund", "checkout_completed", "topic_not_handled"])
def test_what_takes_nothing_away_explains_no_loss(reason: str) -> None:
    made = found(
        {
            "orders": [order(1), order(2)],
            "conversions": [conversion(1)],
            "deliveries": [delivered("recorded"), delivered("ignored", 5, reason, type="refunds/create")],
        }
    )

    assert [each.count for each in flagged(made)] == [1]
    assert reasons(made, "received", "recorded") == {f"ignored: {reason}": 5}


def test_a_reason_for_which_the_truth_leaves_orders_out_explains_none_that_it_counts() -> None:
    # Given a test order, which both leave out, and an order that never came
    tables = {
        "orders": [order(1), order(2), order(3, why_not="test_order")],
        "conversions": [conversion(1)],
        "deliveries": [delivered("recorded"), delivered("ignored", 1, "test_order", type="orders/create")],
    }

    assert [each.count for each in flagged(found(tables))] == [1]
    assert flagged(found({**tables, "orders": tables["orders"][:2]})) == []


def test_one_delivery_explains_one_order_and_of_another_type_none() -> None:
    made = found(
        {
            "orders": [order(1), order(2), order(3)],
            "conversions": [conversion(3)],
            "deliveries": [
                delivered("ignored", 1, "below_min", type="orders/create"),
                delivered("ignored", 9, "stale_event", type="checkouts/create"),
            ],
        }
    )

    assert reasons(made, "truth", "recorded") == {
        "ignored: below_min": 1, "not in the ledger, and the log says nothing of it": 1,
    }  # fmt: skip


def test_orders_that_do_not_count_are_no_loss_and_explain_what_the_ledger_has_beyond() -> None:
    made = found(
        {
            "orders": [order(1), order(2, why_not="cancelled"), order(3, why_not="test_order")],
            "conversions": [conversion(1), conversion(2)],
        }
    )

    assert reasons(made, "truth", "recorded") == {"recorded, but the source of truth does not count it: cancelled": -1}
    assert (flagged(made), made.missing) == ([], {})
    adds_up(made)


def test_the_same_order_on_two_days_is_explained_on_both() -> None:
    after = D + timedelta(days=1)
    made = found(
        {
            "orders": [order(1), order(2, after)],
            "conversions": [conversion(0, FIRST), conversion(1, after), conversion(2, after)],
        }
    )

    assert reasons(made, "truth", "recorded", D) == {f"in the ledger it is of {after}": 1}
    assert reasons(made, "truth", "recorded", after) == {f"in the source of truth it is of {D}": -1}
    adds_up(made)


def test_a_conversion_that_the_truth_does_not_know_is_flagged() -> None:
    made = found({"orders": [order(1)], "conversions": [conversion(1), conversion(9)]})

    (difference,) = flagged(made)
    assert (difference.count, difference.reason[:13]) == (-1, "in the ledger")


def test_an_order_of_another_type_is_not_missing() -> None:
    made = found(
        {
            "orders": [order("in_1", source="stripe"), order("in_2", source="stripe", type="subscription_created")],
            "conversions": [
                conversion("in_1", source="stripe", type="subscription_created"),
                conversion("in_2", source="stripe", type="subscription_created"),
            ],
        }
    )

    assert made.missing == {}
    assert reasons(made, "truth", "recorded") == {
        "recorded as subscription_created": 1, "the source of truth knows it as another type": -1,
    }  # fmt: skip
    assert flagged(made) == []
    adds_up(made)


# From the log to the ledger -------------------------------------------------------------------------------------------


def test_deliveries_that_come_again_or_are_kept_are_explained() -> None:
    made = found(
        {
            "conversions": [conversion(1), conversion(2)],
            "deliveries": [
                delivered("recorded", 2), delivered("duplicate", 3), delivered("duplicate", 1, "amended"),
                delivered("ignored", 2, "refund", type="refunds/create"), delivered("handshake", 7),
                delivered("parked", 1, "id_missing"),
            ],
        }
    )  # fmt: skip

    assert (counts(made)["received"], counts(made)["ignored"]) == (9, 2)
    assert reasons(made, "received", "recorded") == {
        "the same conversion again: orders come two to five times": 4, "ignored: refund": 2, "parked: id_missing": 1,
    }  # fmt: skip
    assert flagged(made) == []
    adds_up(made)


def test_answers_to_surveys_are_received_and_never_recorded() -> None:
    made = found(
        {
            "conversions": [conversion(1)],
            "deliveries": [delivered("remembered", 4, "survey_answer", source="knocommerce", type=None)],
        }
    )

    assert counts(made, D, "knocommerce", ALL)["received"] == 4
    assert counts(made, D, "knocommerce", ALL)["recorded"] == 0
    assert reasons(made, "received", "recorded") == {
        "kept for a later delivery, or for the report": 4,
        "recorded without a line of its own: by backfill or replay, or together with another": -1,
    }


def test_what_came_after_midnight_is_explained() -> None:
    after = D + timedelta(days=1)
    made = found(
        {
            "conversions": [conversion(1), conversion(2)],
            "deliveries": [delivered("recorded"), delivered("recorded", day=after)],
        }
    )

    assert reasons(made, "received", "recorded", D) == {"received on another day than it happened": -1}
    assert reasons(made, "received", "recorded", after) == {"received on another day than it happened": 1}
    adds_up(made)


def test_what_the_log_recorded_and_the_ledger_lacks_is_flagged_unless_somebody_was_erased() -> None:
    tables = {"conversions": [conversion(1)], "deliveries": [delivered("recorded", 3)]}
    erased = delivered("compliance", 1, "erase_person", type="customers/redact")

    assert [each.count for each in flagged(found(tables))] == [2]
    made = found({**tables, "deliveries": [*tables["deliveries"], erased]})
    assert [each.count for each in flagged(made)] == [1]
    assert reasons(made, "received", "recorded")["deleted since, by a privacy request"] == 1
    adds_up(made)


def test_a_topic_without_a_type_belongs_to_the_only_type_of_its_source() -> None:
    made = found(
        {
            "conversions": [conversion("c1", source="callrail", type="lead_created")],
            "deliveries": [
                delivered("recorded", source="callrail", type="lead_created"),
                delivered("ignored", 2, "too_short", source="callrail", type="post_call"),
            ],
        }
    )

    assert counts(made, D, "callrail", "lead_created")["received"] == 3


# From the ledger to OpenAI --------------------------------------------------------------------------------------------


def test_every_end_of_a_conversion_has_its_reason() -> None:
    made = found(
        {
            "conversions": [
                conversion(1), conversion(2, status="rejected", reason="user.phone: invalid"),
                conversion(3, status="expired"), conversion(4, status="shadow"), conversion(5, status="rejected"),
            ]
        }
    )  # fmt: skip

    assert (counts(made)["recorded"], counts(made)["sent"], counts(made)["accepted"]) == (5, 3, 1)
    assert reasons(made, "recorded", "sent") == {
        "expired: over 7 days old before it could be sent": 1, "shadow mode: recorded, and not sent": 1,
    }  # fmt: skip
    assert reasons(made, "sent", "accepted") == {
        "rejected: user.phone: invalid": 1, "rejected: no reason is kept": 1,
    }  # fmt: skip
    assert flagged(made) == []
    adds_up(made)


@pytest.mark.parametrize(("hours", "is_flagged"), [(1, False), (23, False), (25, True)])
def test_what_waits_is_flagged_after_a_day(hours: int, is_flagged: bool) -> None:
    made = found({"conversions": [conversion(1, status="recorded")]}, now_ms=ms(D) + hours * 3_600_000)

    assert len(flagged(made)) == is_flagged
    assert sum(reasons(made, "recorded", "sent").values()) == 1


# From OpenAI to its report --------------------------------------------------------------------------------------------


def sent(clicked: int, others: int, day: date = D) -> list[Any]:
    return [conversion(f"{day}-{n}", day, clicked=n < clicked) for n in range(clicked + others)]


def test_who_has_seen_no_ad_is_not_attributed() -> None:
    made = found({"conversions": sent(2, 3), "attributed": [credited(2)]})

    assert counts(made)["attributed"] == 2
    assert reasons(made, "accepted", "attributed") == {"no click reference: not every buyer has seen an ad": 3}
    assert flagged(made) == []


def test_a_click_that_is_not_attributed_is_late_at_first_and_flagged_then() -> None:
    tables = {"conversions": sent(4, 1), "attributed": [credited(1)]}
    at_once, later = found(tables, now_ms=ms(D, 20)), found(tables)

    assert reasons(at_once, "accepted", "attributed") == {
        "not there yet: OpenAI's reports come one to two days late": 3,
        "no click reference: not every buyer has seen an ad": 1,
    }
    assert (flagged(at_once), [each.count for each in flagged(later)]) == ([], [3])
    for each in (at_once, later):
        adds_up(each)


def test_more_attributed_than_clicked_was_matched_otherwise_or_comes_from_the_pixel() -> None:
    matched = found({"conversions": sent(1, 3), "attributed": [credited(3)]})
    beyond = found({"conversions": sent(1, 3), "attributed": [credited(6)]})

    assert reasons(matched, "accepted", "attributed") == {"no click reference: not every buyer has seen an ad": 1}
    assert reasons(beyond, "accepted", "attributed") == {"attributed, and not sent by the relay": -2}
    assert (flagged(matched), len(flagged(beyond))) == ([], 1)
    for each in (matched, beyond):
        adds_up(each)


def test_on_the_day_of_the_ad_conversions_count_before_they_happen() -> None:
    tables = {
        "conversions": [*sent(0, 0), *sent(3, 0)],
        "attributed": [
            credited(3, FIRST, basis="ad_event_time"), credited(0, LAST, basis="ad_event_time"),
        ],
    }  # fmt: skip
    made = found({**tables, "conversions": [conversion("x", FIRST), *tables["conversions"]]})

    assert reasons(made, "accepted", "attributed", D) == {"OpenAI counts it on the day of the ad": 3}
    assert flagged(made) == []
    adds_up(made)


def test_the_conversion_s_day_is_preferred_and_the_longest_window() -> None:
    made = found(
        {
            "conversions": sent(2, 0),
            "attributed": [
                credited(2), credited(1, window_days=7), credited(2, FIRST, basis="ad_event_time"),
            ],
        }
    )  # fmt: skip

    assert counts(made)["attributed"] == 2
    assert made.differences == ()


def test_of_several_sources_the_report_is_compared_with_their_sum() -> None:
    made = found(
        {
            "conversions": [*sent(2, 0), conversion("cs_1", source="stripe", clicked=True)],
            "attributed": [credited(3)],
        }
    )

    assert counts(made, D, ALL)["accepted"] == 3
    assert counts(made, D, ALL)["attributed"] == 3
    assert counts(made)["attributed"] is None
    assert made.differences == ()


def test_a_report_that_tells_no_types_apart_is_compared_with_all() -> None:
    made = found(
        {
            "conversions": [*sent(1, 0), conversion("c1", source="callrail", type="lead_created", clicked=True)],
            "attributed": [credited(1, kind=ALL), credited(1, kind=ALL, campaign="Hats")],
        }
    )

    assert counts(made, D, ALL, ALL)["attributed"] == 2
    assert counts(made, D, ALL, ALL)["accepted"] == 2
    assert counts(made)["attributed"] is None


# GA4 and the CRM ------------------------------------------------------------------------------------------------------


def test_ga4_lacks_orders_for_want_of_consent() -> None:
    made = found(
        {
            "orders": [order(n) for n in range(10)],
            "conversions": [conversion(n) for n in range(10)],
            "purchases": [bought(n) for n in range(7)],
        }
    )

    assert counts(made)["ga4"] == 7
    assert reasons(made, "truth", "ga4") == {"GA4 has not seen it: no consent, a blocker, or no visit": 3}
    assert flagged(made) == []


def test_more_than_consent_explains_is_flagged() -> None:
    made = found({"orders": [order(n) for n in range(10)], "purchases": [bought(n) for n in range(4)]})

    assert [(each.count, each.after) for each in flagged(made)] == [(6, "ga4")]


def test_ga4_at_another_day_s_border_and_with_an_order_of_its_own() -> None:
    after = D + timedelta(days=1)
    made = found(
        {
            "orders": [order(1), order(2), order(3, after)],
            "purchases": [bought(1), bought(2, after), bought("t-1", after)],
        }
    )

    assert reasons(made, "truth", "ga4", D) == {f"in GA4 it is of {after}: another time zone, or a late tag": 1}
    assert reasons(made, "truth", "ga4", after) == {
        f"in the source of truth it is of {D}": -1,
        "GA4 has it, and the source of truth does not count it": -1,
        "GA4 has not seen it: no consent, a blocker, or no visit": 1,
    }
    adds_up(made)


def test_ids_that_have_nothing_in_common_are_told() -> None:
    made = found({"orders": [order(1), order(2)], "purchases": [bought("#1001"), bought("#1002")]})

    assert reasons(made, "truth", "ga4") == {"no order id is both in GA4 and in the source of truth": 0}
    assert {each.count for each in flagged(made)} == {2, -2}


def test_without_a_source_of_truth_ga4_is_compared_with_the_ledger() -> None:
    made = found({"conversions": [conversion(n) for n in range(4)], "purchases": [bought(n) for n in range(3)]})

    assert reasons(made, "recorded", "ga4") == {"GA4 has not seen it: no consent, a blocker, or no visit": 1}
    assert flagged(made) == []


def won(lead: str, day: date = D, stage: str = "won") -> Any:
    return {"lead": lead, "stage": stage, "at_ms": ms(day), "day": day, "channel": "chatgpt", "campaign": "(none)"}


def test_the_crm_wins_orders_later_and_may_lack_some() -> None:
    made = found(
        {
            "orders": [order(1), order(2), order(3)],
            "conversions": [conversion(1), conversion(2), conversion(3)],
            "crm": [won("a"), won("b", LAST), won("c", FIRST, "lead")],
        },
        inputs=(Input("shop_api", {}, 1),),
    )

    assert reasons(made, "truth", "crm", D) == {
        "the CRM counts it on another day": 1, "the CRM keeps no such sale: it has those that began as a lead": 1,
    }  # fmt: skip
    adds_up(made)


def test_a_crm_that_keeps_only_what_began_as_a_lead_lacks_nothing() -> None:
    made = found(
        {
            "orders": [order(number) for number in range(10)],
            "conversions": [conversion(number) for number in range(10)],
            "crm": [won("a"), won("b")],
        },
        inputs=(Input("shop_api", {}, 1),),
    )

    assert reasons(made, "truth", "crm", D) == {"the CRM keeps no such sale: it has those that began as a lead": 8}
    assert flagged(made) == []
    adds_up(made)


def test_a_crm_that_keeps_nearly_all_sales_and_lacks_one_is_flagged() -> None:
    made = found(
        {
            "orders": [order(number) for number in range(10)],
            "conversions": [conversion(number) for number in range(10)],
            "crm": [won(str(number)) for number in range(9)],
        },
        inputs=(Input("shop_api", {}, 1),),
    )

    assert [(each.after, each.reason, each.count) for each in flagged(made)] == [("crm", "not in the CRM", 1)]


def test_leads_of_a_call_platform_are_compared_with_the_crm_s() -> None:
    lead = conversion("c1", source="callrail", type="lead_created")
    made = found({"conversions": [lead], "crm": [won("a", stage="lead"), won("b", stage="lead")]})

    assert counts(made, D, "callrail", "lead_created")["crm"] == 2
    assert reasons(made, "recorded", "crm") == {"the CRM counts more": -1}


# Pairing, and laws ----------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(st.integers(0, 40), st.integers(-5, 5), max_size=12),
    st.integers(0, 10),
)
def test_pairing_moves_what_is_near_and_invents_nothing(held: dict[int, int], reach: int) -> None:
    residual = {FIRST + timedelta(days=day): number for day, number in held.items()}

    shifted = paired(residual, reach)

    assert sum(shifted.values()) == 0
    for day, number in shifted.items():
        assert 0 <= number * (1 if residual[day] > 0 else -1) <= abs(residual[day])
    left = {day: number - shifted.get(day, 0) for day, number in residual.items()}
    assert not any(a > 0 > b and abs((x - y).days) <= reach for x, a in left.items() for y, b in left.items()), (
        "what could be paired was left"
    )


DAYS = st.integers(-2, 8).map(lambda number: FIRST + timedelta(days=number))
IDS = st.integers(1, 12)
SOURCES = st.sampled_from(["shopify", "stripe"])
KINDS = st.sampled_from(["order_created", "lead_created"])


@st.composite
def shops(draw: st.DrawFn) -> dict[str, Any]:
    orders = draw(
        st.lists(
            st.builds(order, IDS, DAYS, SOURCES, st.sampled_from([None, None, None, "test_order"]), type=KINDS),
            max_size=12, unique_by=lambda each: (each["source"], each["type"], each["order_id"]),
        )
    )  # fmt: skip
    conversions = draw(
        st.lists(
            st.builds(
                conversion, IDS, DAYS, st.sampled_from(["sent", "sent", "rejected", "expired", "shadow", "recorded"]),
                SOURCES, type=KINDS, clicked=st.booleans(), reason=st.sampled_from([None, "a reason"]),
            ),
            max_size=12, unique_by=lambda each: each["conversion"],
        )
    )  # fmt: skip
    deliveries = draw(
        st.lists(
            st.builds(
                delivered,
                st.sampled_from(["recorded", "duplicate", "ignored", "parked", "refused", "compliance", "handshake"]),
                st.integers(1, 4), st.sampled_from([None, "below_min", "refund"]), DAYS, source=SOURCES,
                type=st.sampled_from([None, "order_created", "orders/create", "lead_created", "unheard/of"]),
            ),
            max_size=8, unique_by=lambda each: tuple(each[key] for key in TABLES["deliveries"].key),
        )
    )  # fmt: skip
    attributed = draw(
        st.lists(
            st.builds(
                credited, st.integers(0, 5), DAYS, st.sampled_from(["order_created", "lead_created", ALL]),
                st.sampled_from(["conversion_time", "ad_event_time"]), window_days=st.sampled_from([7, 30]),
            ),
            max_size=6, unique_by=lambda each: tuple(each[key] for key in TABLES["attributed"].key),
        )
    )  # fmt: skip
    purchases = draw(st.lists(st.builds(bought, IDS, DAYS), max_size=8, unique_by=lambda each: each["order_id"]))
    crm = draw(
        st.lists(
            st.builds(won, IDS.map(str), DAYS, st.sampled_from(["lead", "won"])),
            max_size=6, unique_by=lambda each: (each["lead"], each["stage"]),
        )
    )  # fmt: skip
    return {
        "orders": orders, "conversions": conversions, "deliveries": deliveries, "attributed": attributed,
        "purchases": purchases, "crm": crm,
    }  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shops())
def test_differences_always_add_up_and_truth_is_what_is_missing_and_what_matched(shop: dict[str, Any]) -> None:
    made = found(shop)

    adds_up(made)
    # The truth is what the ledger lacks and what it has, counted here without a query.
    began = min((each["day"] for each in shop["conversions"]), default=None)
    known = {(each["source"], each["order_id"]) for each in shop["conversions"]}
    due = [each for each in shop["orders"] if each["counts"] and FIRST <= each["day"] <= LAST]
    due = [each for each in due if began is not None and began <= each["day"]]
    lacking = {(each["source"], each["order_id"]) for each in due} - known
    assert {(source, each) for source, ids in made.missing.items() for each in ids} == lacking
    assert made.worst() >= 0
    assert all(FIRST <= each.day <= LAST for each in (*made.rows, *made.differences))


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(shops())
def test_duckdb_answers_as_plain_python_does(shop: dict[str, Any]) -> None:
    def sorted_rows(rows: list[dict[str, Any]]) -> list[Any]:
        return sorted((sorted(row.items()) for row in rows), key=repr)

    asked = Answers.of(Data.of(shop), FIRST, LAST)

    for each in fields(Answers):
        assert sorted_rows(getattr(asked, each.name)) == sorted_rows(getattr(answers(shop), each.name)), each.name


def test_a_reconciliation_asks_the_data() -> None:
    tables = {"orders": [order(1), order(2)], "conversions": [conversion(1)], "deliveries": [delivered("recorded")]}

    made = reconcile(Data.of(tables), about(), now_ms=NOW_MS)

    assert made == found(tables)
    assert made.missing == {"shopify": ("2",)}
    assert reconcile(Data.of(tables), about(), first=LAST, last=LAST).missing == {}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", queries.QUERIES)
def test_every_question_can_be_asked_of_both_engines(name: str, dialect: Any) -> None:
    tables = {table: unbound(table) for table in TABLES}

    assert "SELECT" in sql(queries.QUERIES[name](tables), dialect)


@pytest.mark.parametrize(("first", "quiet"), [(FIRST, True), (date(2020, 1, 1), False), (date(2027, 1, 1), False)])
def test_nothing_is_only_nothing_where_two_layers_were_there(first: date, quiet: bool) -> None:
    # Given ledger and log that begin in October 2026, read in November, with nothing in the period
    early = date(2026, 10, 1)
    data = Data.of({"conversions": [conversion(1, early)], "deliveries": [delivered("recorded", day=early)]})
    both = about(inputs=(Input("dynamodb_export", {}, 0), Input("relay_logs", {}, 0)))

    found = reconcile(data, both, first=first, last=first + timedelta(days=6), now_ms=NOW_MS)

    assert (found.rows, found.quiet, found.compared) == ((), quiet, quiet)
