"""The demo shop as its owner would have it: exports of each system and a `measurement.toml`, in a folder.

The shop is `shop.simulate(DEMO, seed)`; its ledger, GA4, survey and the others are written in the formats in which
these systems export, so that `relay report --demo` reads them like anybody's. A few things happened to this shop that a
reconciliation should find: on one afternoon nothing of Shopify reached the relay, some orders were ignored for a
reason, some conversions were rejected or too old. The orders that the ledger lacks are beside the simulated ones and
change nothing of what is true.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from conversion_relay import identity
from conversion_relay.delivery import Conversion
from conversion_relay.event import parse
from conversion_relay.ledger import Ledger
from measurement.simulation.shop import ANSWERS, CAMPAIGNS, DEMO, FIRST, LAST, ZONE, Simulated, simulate
from measurement.simulation.truth import Truth
from measurement.tables import CHATGPT

SEED: Final = 1
BUYERS: Final = 6_000
LIFT: Final = 0.12
NAME: Final = "Northwind Trail"
ADDRESS: Final = "https://northwind-trail.example"
TENANT: Final = "northwind-trail.myshopify.com"
EXPORTED: Final = datetime(2026, 11, 10, 6, 0, tzinfo=UTC)
"""When the exports were made."""
TTL_DAYS: Final = 180
GAP: Final = date(2026, 10, 14)
"""The day on which an afternoon's webhooks never arrived."""
GAP_ORDERS: Final = 14
IGNORED: Final[Mapping[str, int]] = MappingProxyType({"consent_refused": 31, "no_match_key": 9})
"""Paid orders that the relay ignored, by the reason in its log."""
ENDED: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {"rejected": (6, "source_url: refused by OpenAI"), "expired": (4, "too_old")}
)
"""Conversions that OpenAI did not take: how many, and why."""

UTM: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        CHATGPT: ("chatgpt", "cpc"),
        "google_ads": ("google", "cpc"),
        "meta_ads": ("facebook", "paid_social"),
        "organic_search": ("google", "organic"),
        "organic_social": ("instagram.com", "referral"),
        "ai_assistant": ("perplexity.ai", "referral"),
        "email": ("klaviyo", "email"),
        "affiliate": ("shareasale", "affiliate"),
        "referral": ("gear-reviews.example", "referral"),
        "direct": ("(direct)", "(none)"),
    }
)
"""Source and medium of a visit by each channel."""
CAMPAIGN_IDS: Final = {name: f"cmpn_{6_840_000 + at}" for at, name in enumerate(CAMPAIGNS[CHATGPT])}
FILES: Final = (
    "measurement.toml", "ga4-sessions.csv", "ga4-orders.csv", "hubspot-contacts.csv", "knocommerce.csv",
    "google-ads.csv", "meta-ads.csv", "shopify-orders.csv", "ledger-export", "relay-log.json", "openai-delivery.json",
    "openai-conversions-by-ad.json", "openai-conversions-by-conversion.json", "touches.csv", "sales-by-market.csv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Lost:
    """An order that the shop has and the ledger lacks; without ``reason`` its webhooks never arrived."""

    order_id: str
    at_ms: int
    value: int
    reason: str | None


def write(folder: Path, *, seed: int = SEED, buyers: int = BUYERS, lift: float = LIFT) -> Truth:
    """Write the shop's files into a folder, over those of an earlier demo; what is true of it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = simulate(DEMO, seed, buyers=buyers, lift=lift)
    rng = np.random.default_rng([seed, 77])
    rows = {name: table.to_pylist() for name, table in made.tables.items()}
    lost = _lost(rng, rows["conversions"], rows["orders"])
    _sessions(folder, rows["sessions"])
    _transactions(folder, rows["purchases"])
    _contacts(folder, rows["crm"])
    _answers(folder, rows["survey"])
    _google(folder, [row for row in rows["ads"] if row["channel"] == "google_ads"])
    _meta(folder, [row for row in rows["ads"] if row["channel"] == "meta_ads"])
    _orders(folder, rows["orders"], rows["conversions"], lost)
    _ledger(folder / "ledger-export", made, _ended(rng, rows["conversions"]))
    _log(folder, rows["conversions"], rows["orders"], lost)
    _openai(folder, rows["ads"], rows["attributed"])
    _touches(folder, rows["touches"])
    _sales(folder, rows["sales"])
    (folder / "measurement.toml").write_text(_settings(made), encoding="utf-8")
    return made.truth


# What happened to the shop


def _lost(
    rng: np.random.Generator, conversions: Sequence[Mapping[str, Any]], orders: Sequence[Mapping[str, Any]]
) -> list[_Lost]:
    number = max(int(order["order_id"]) for order in orders)
    afternoon = [row for row in conversions if row["day"] == GAP]
    begin = datetime(GAP.year, GAP.month, GAP.day, 14, tzinfo=ZONE).timestamp() * 1000
    lost = []
    for at in range(GAP_ORDERS):
        like = afternoon[at % len(afternoon)]
        moment_ms = int(begin + rng.integers(0, 3 * 3_600_000))
        lost.append(_Lost(str(number + 32768 * (at + 1)), moment_ms, like["value"], None))
    for reason, count in IGNORED.items():
        for pick in rng.integers(0, len(conversions), count).tolist():
            like = conversions[pick]
            order_id = str(number + 32768 * (len(lost) + 1))
            lost.append(_Lost(order_id, like["at_ms"] + 61_000, like["value"], reason))
    return lost


def _ended(rng: np.random.Generator, conversions: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Order ids that OpenAI did not take, with status and reason."""
    picks = iter(rng.permutation(len(conversions)).tolist())
    return {
        conversions[next(picks)]["order_id"]: (status, reason)
        for status, (count, reason) in ENDED.items()
        for _ in range(count)
    }


# Files of the others


def _csv(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]], before: Sequence[str] = ()) -> None:
    with path.open("w", encoding="utf-8", newline="") as held:
        held.writelines(f"{line}\n" for line in before)
        writer = csv.writer(held, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows(rows)


def _major(cents: int | None) -> str:
    return "" if cents is None else f"{cents // 100}.{cents % 100:02d}"


def _local(at_ms: int, form: str = "%Y-%m-%d %H:%M:%S %z") -> str:
    return datetime.fromtimestamp(at_ms // 1000, ZONE).strftime(form)


def _utc(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def _place(row: Mapping[str, Any]) -> str:
    return " / ".join(UTM[row["channel"]])


def _campaign(row: Mapping[str, Any]) -> str:
    return "(not set)" if row["campaign"] == "(none)" else str(row["campaign"])


def _title(what: str) -> list[str]:
    line = "# ----------------------------------------"
    return [line, f"# {NAME} - {what}", f"# {FIRST:%Y%m%d}-{LAST:%Y%m%d}", line, ""]


def _sessions(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "ga4-sessions.csv",
        ("Date", "Session source / medium", "Session campaign", "Sessions", "Engaged sessions", "Checkouts",
         "Ecommerce purchases", "Purchase revenue"),
        (
            (row["day"].strftime("%Y%m%d"), _place(row), _campaign(row), row["sessions"], row["engaged"], row["micro"],
             row["macro"], _major(row["value"]))
            for row in rows
        ),
        _title("Sessions by source"),
    )  # fmt: skip


def _transactions(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "ga4-orders.csv",
        ("Transaction ID", "Date", "Session source / medium", "Session campaign", "Purchase revenue"),
        (
            (row["order_id"], row["day"].strftime("%Y%m%d"), _place(row), _campaign(row), _major(row["value"]))
            for row in rows
        ),
        _title("Orders"),
    )


_REACHED: Final = ("lead", "mql", "sql", "opportunity", "won")
_LIFECYCLE: Final = ("Lead", "Marketing Qualified Lead", "Sales Qualified Lead", "Opportunity", "Customer")


def _contacts(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    leads: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        leads.setdefault(row["lead"], {})[row["stage"]] = row
    _csv(
        folder / "hubspot-contacts.csv",
        ("Record ID", "Lifecycle Stage", "Create Date", "Became a Lead Date", "Became a Marketing Qualified Lead Date",
         "Became a Sales Qualified Lead Date", "Became an Opportunity Date", "Became a Customer Date",
         "Original Traffic Source", "UTM Source", "UTM Medium", "UTM Campaign", "Order ID"),
        (_contact(lead, stages) for lead, stages in leads.items()),
    )  # fmt: skip


def _contact(lead: str, stages: Mapping[str, Mapping[str, Any]]) -> Sequence[Any]:
    first = stages["lead"]
    dates = [_local(stages[stage]["at_ms"], "%Y-%m-%d %H:%M") if stage in stages else "" for stage in _REACHED]
    reached = [stage for stage in _REACHED if stage in stages]
    is_direct = first["channel"] == "direct"
    source, medium = ("", "") if is_direct else UTM[first["channel"]]
    return (
        lead.removeprefix("L"), _LIFECYCLE[len(reached) - 1], dates[0], *dates,
        "Direct Traffic" if is_direct else "Other Campaigns", source, medium,
        "" if first["campaign"] == "(none)" else first["campaign"], first["order_id"] or "",
    )  # fmt: skip


def _answers(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "knocommerce.csv",
        ("Response ID", "Completed At", "Order ID", "Survey", "Question", "Response"),
        (
            (row["answer_id"], _utc(row["at_ms"]), row["order_id"], "Post-purchase",
             "How did you first hear about us?", row["answer"])
            for row in rows
        ),
    )  # fmt: skip


def _google(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    total = [sum(row[name] for row in rows) for name in ("impressions", "clicks", "spend")]
    lines: list[Sequence[Any]] = [
        (row["day"], "Enabled", row["campaign"], "USD", f"{row['impressions']:,}", f"{row['clicks']:,}",
         _thousands(row["spend"]))
        for row in rows
    ]  # fmt: skip
    lines.append(("Total: Campaigns", "", "", "USD", f"{total[0]:,}", f"{total[1]:,}", _thousands(total[2])))
    _csv(
        folder / "google-ads.csv",
        ("Day", "Campaign status", "Campaign", "Currency code", "Impr.", "Clicks", "Cost"),
        lines,
        ["Campaign report", f'"{FIRST:%B} {FIRST.day}, {FIRST.year} - {LAST:%B} {LAST.day}, {LAST.year}"'],
    )


def _thousands(cents: int) -> str:
    return f"{cents // 100:,}.{cents % 100:02d}"


def _meta(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "meta-ads.csv",
        ("Campaign name", "Day", "Impressions", "Link clicks", "Amount spent (USD)", "Reporting starts",
         "Reporting ends"),
        (
            (row["campaign"], day := row["day"], row["impressions"], row["clicks"], _major(row["spend"]), day, day)
            for row in rows
        ),
    )  # fmt: skip


def _touches(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "touches.csv",
        ("person", "at", "source", "medium", "campaign", "kind"),
        (
            (_visitor(row["person"]), _utc(row["at_ms"]), *UTM[row["channel"]], row["campaign"], row["kind"])
            for row in rows
        ),
    )


def _person(who: str) -> str:
    """The digest by which the ledger has the customer's id."""
    return identity.external_id(who) or ""


def _visitor(who: str) -> str:
    """A customer on the device of the order is known by the digest; on another device, or without an order, by an id
    of the browser."""
    return _person(who) if who.startswith("p") and not who.endswith("-b") else who


def _sales(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _csv(
        folder / "sales-by-market.csv",
        ("day", "market", "conversions", "value", "currency"),
        ((row["day"], row["market"], row["conversions"], _major(row["value"]), "USD") for row in rows),
    )


# Shopify

_STATUS: Final = {"cancelled": "voided", "test order": "paid", "not paid": "pending"}
_SOLD_BY: Final = {"web": "web", "physical_store": "pos", "phone_call": "shopify_draft_order"}


def _orders(
    folder: Path, orders: Sequence[Mapping[str, Any]], conversions: Sequence[Mapping[str, Any]], lost: Sequence[_Lost]
) -> None:
    sources = {row["order_id"]: _SOLD_BY[row["action_source"]] for row in conversions}
    held = [(row["at_ms"], row["order_id"], row["value"], row["why_not"]) for row in orders]
    held += [(each.at_ms, each.order_id, each.value, None) for each in lost]
    lines: list[Sequence[Any]] = []
    for number, (at_ms, order_id, value, why_not) in enumerate(sorted(held, key=lambda each: each[0]), 1001):
        created = _local(at_ms)
        paid = created if why_not in (None, "test order") else ""
        cancelled = created if why_not == "cancelled" else ""
        gateway = "(for testing) Bogus Gateway" if why_not == "test order" else "Shopify Payments"
        status, sold_by = _STATUS.get(why_not or "", "paid"), sources.get(order_id, "web")
        lines.append(
            (f"#{number}", status, paid, "USD", _major(value), created, 1, cancelled, gateway, order_id, sold_by)
        )
        if number % 5 == 0:
            # A second line item: Shopify repeats the name and leaves the order's own columns empty.
            lines.append((f"#{number}", "", "", "", "", created, 2, "", "", "", ""))
    _csv(
        folder / "shopify-orders.csv",
        ("Name", "Financial Status", "Paid at", "Currency", "Total", "Created at", "Lineitem quantity", "Cancelled at",
         "Payment Method", "Id", "Source"),
        lines,
    )  # fmt: skip


# The relay


class _Items:
    """Takes the place of DynamoDB: keeps what the ledger writes."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []

    def put_item(self, **call: Any) -> None:
        self.items.append(call["Item"])


def _ledger(folder: Path, made: Simulated, ended: Mapping[str, tuple[str, str]]) -> None:
    """An export to S3 of the table: manifests and one data file, as DynamoDB writes them."""
    items = _Items()
    ledger = Ledger(items, "relay-Ledger", ttl_days=TTL_DAYS)  # type: ignore[arg-type]
    rows = made.tables["conversions"].to_pylist()
    for at, row in enumerate(rows):
        conversion = Conversion(parse(_event(row, at, made)), f"shopify:{row['order_id']}")
        recorded_ms = row["at_ms"] + 2_400
        ledger.record(conversion, recorded_ms, source="shopify", tenant=TENANT, delivery=_delivery_id(row["order_id"]))
        status, reason = ended.get(row["order_id"], ("sent", ""))
        settled = {"status": {"S": status}, "settled_ms": {"N": str(recorded_ms + 95_000)}}
        items.items[-1] |= settled | ({"reason": {"S": reason}} if reason else {})
    root = folder / "AWSDynamoDB" / "01793900000000-5f0c2d1e"
    (root / "data").mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({"Item": _written(item)}, separators=(",", ":")) + "\n" for item in items.items)
    # No time of making in the file, so that the same seed gives the same bytes.
    packed = gzip.compress(lines.encode(), mtime=0)
    (root / "data" / "q7mkd2ag6y4jxbx3.json.gz").write_bytes(packed)
    checksum = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
    named = {
        "itemCount": len(items.items),
        "md5Checksum": checksum,
        "etag": hashlib.md5(packed, usedforsecurity=False).hexdigest(),
        "dataFileS3Key": f"{root.relative_to(folder)}/data/q7mkd2ag6y4jxbx3.json.gz",
    }
    (root / "manifest-files.json").write_text(json.dumps(named) + "\n", encoding="utf-8")
    summary = {
        "version": "2020-06-30",
        "exportArn": "arn:aws:dynamodb:us-east-1:123456789012:table/relay-Ledger/export/01793900000000-5f0c2d1e",
        "startTime": f"{EXPORTED:%Y-%m-%dT%H:%M:%S.000Z}",
        "endTime": f"{EXPORTED + timedelta(minutes=6):%Y-%m-%dT%H:%M:%S.000Z}",
        "tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/relay-Ledger",
        "exportTime": f"{EXPORTED:%Y-%m-%dT%H:%M:%S.000Z}",
        "s3Bucket": "northwind-exports",
        "s3SseAlgorithm": "AES256",
        "manifestFilesS3Key": f"{root.relative_to(folder)}/manifest-files.json",
        "billedSizeBytes": sum(len(json.dumps(_written(item))) for item in items.items),
        "itemCount": len(items.items),
        "outputFormat": "DYNAMODB_JSON",
        "exportType": "FULL_EXPORT",
    }
    (root / "manifest-summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _written(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item as an export has it: binary in base64."""
    return {
        name: {kind: base64.b64encode(value).decode() if kind == "B" else value for kind, value in held.items()}
        for name, held in item.items()
    }


def _event(row: Mapping[str, Any], at: int, made: Simulated) -> dict[str, Any]:
    keys = row["match_keys"].split()
    country, _, region = row["market"].partition("-")
    user = {
        "emails_sha256": [identity.email(f"buyer{at}@mail.example")] if "email" in keys else None,
        "phone_numbers_sha256": [hashlib.sha256(f"+1202555{at % 10_000:04d}".encode()).hexdigest()]
        if "phone" in keys
        else None,
        "external_ids_sha256": [_person(row["person"])],
        "regions": [region],
        "countries": [country],
    }
    event = {
        "id": f"shopify:{row['order_id']}",
        "type": "order_created",
        "timestamp_ms": row["at_ms"],
        "action_source": row["action_source"],
        "source_url": f"{ADDRESS}/" if row["action_source"] == "web" else None,
        "oppref": _reference(made.kind, at) if row["clicked"] else None,
        "user": {name: value for name, value in user.items() if value},
        "data": {"type": "contents", "amount": row["value"], "currency": "USD"},
    }
    return {name: value for name, value in event.items() if value is not None}


def _reference(kind: str, at: int) -> str:
    """A click reference as long as real ones."""
    drawn = hashlib.sha512(f"{kind} {at}".encode()).digest()
    return "gAAAAAB" + base64.urlsafe_b64encode(drawn + drawn[:32]).decode().rstrip("=")


def _delivery_id(order_id: str, nth: int = 0) -> str:
    drawn = hashlib.sha256(f"{order_id} {nth}".encode()).hexdigest()
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-8{drawn[17:20]}-{drawn[20:32]}"


_LOGGED: Final = {"cancelled": "cancelled", "test order": "test_order", "not paid": "waiting_for_payment"}


def _log(
    folder: Path, conversions: Sequence[Mapping[str, Any]], orders: Sequence[Mapping[str, Any]], lost: Sequence[_Lost]
) -> None:
    """The receivers' lines, as `aws logs filter-log-events` gives their events, one a line."""
    lines = sorted(_lines(conversions, orders, lost), key=lambda each: each[0])
    with (folder / "relay-log.json").open("w", encoding="utf-8") as held:
        for at_ms, line in lines:
            message = json.dumps(line, separators=(",", ":"))
            held.write(json.dumps({"timestamp": at_ms, "message": message}, separators=(",", ":")) + "\n")


def _lines(
    conversions: Sequence[Mapping[str, Any]], orders: Sequence[Mapping[str, Any]], lost: Sequence[_Lost]
) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in conversions:
        key, order_id = row["conversion"], row["order_id"]
        plain = {"source": "shopify", "delivery": _delivery_id(order_id), "topic": "orders/create"}
        yield (
            row["at_ms"] + 2_400,
            {**plain, "outcome": "recorded", "key": key, "match": f"{row['match_keys']}".strip()},
        )
        again = {"source": "shopify", "delivery": _delivery_id(order_id, 1), "topic": "orders/paid"}
        yield row["at_ms"] + 3_100, {**again, "outcome": "duplicate", "key": key}
    ignored = [(row["order_id"], row["at_ms"], _LOGGED[row["why_not"]]) for row in orders if not row["counts"]]
    ignored += [(each.order_id, each.at_ms, each.reason) for each in lost if each.reason]
    for order_id, at_ms, reason in ignored:
        yield (
            at_ms + 2_400,
            {
                "message": reason.replace("_", " "),
                "source": "shopify",
                "delivery": _delivery_id(order_id),
                "tenant": TENANT,
                "topic": "orders/create",
                "outcome": "ignored",
                "reason": reason,
                "about": [f"shopify:{order_id}"],
                "bytes": 6_200,
            },
        )


# OpenAI


def _openai(folder: Path, ads: Sequence[Mapping[str, Any]], attributed: Sequence[Mapping[str, Any]]) -> None:
    """The answers of both endpoints: delivery by day, and attributed conversions by either day."""
    delivered = [
        {
            "id": f"{CAMPAIGN_IDS[row['campaign']]}:{row['day']}",
            "campaign_id": CAMPAIGN_IDS[row["campaign"]],
            "campaign_name": row["campaign"],
            "readable_time": row["day"].isoformat(),
            "timezone": ZONE.key,
            "impressions": row["impressions"],
            "clicks": row["clicks"],
            "spend": row["spend"] / 100,
        }
        for row in ads
        if row["channel"] == CHATGPT
    ]
    page = {"object": "list", "data": delivered, "has_more": False}
    page |= {"first_id": delivered[0]["id"], "last_id": delivered[-1]["id"]}
    (folder / "openai-delivery.json").write_text(json.dumps(page), encoding="utf-8")
    for basis, name in (("ad_event_time", "ad"), ("conversion_time", "conversion")):
        rows = [_credited(row) for row in attributed if row["basis"] == basis]
        answer = {
            "object": "list",
            "account_currency": "USD",
            "attribution_time_basis": basis,
            "data": rows,
            "count": len(rows),
        }
        (folder / f"openai-conversions-by-{name}.json").write_text(json.dumps(answer), encoding="utf-8")


def _credited(row: Mapping[str, Any]) -> dict[str, Any]:
    campaign, both = CAMPAIGN_IDS[row["campaign"]], row["click_through"] + row["view_through"]
    return {
        "entity_id": campaign,
        "date": row["day"].isoformat(),
        "conversions": both,
        "click_through_conversions": row["click_through"],
        "view_through_conversions": row["view_through"],
        "order_created_attributed_sales": _major(row["value"]),
        "order_created_attributed_sales_currency": "USD",
        "attributed_events": [
            {
                "entity_id": campaign,
                "event_name": "order_created",
                "event_kind": "standard",
                "attributed_event_count": both,
                "click_through_conversions": row["click_through"],
                "view_through_conversions": row["view_through"],
                "attributed_event_value_amount": row["value"] / 100,
                "attributed_event_value_count": both,
                "attributed_event_value_currency": "USD",
                "conversion_event_setting_breakdowns": [],
            }
        ],
    }


# Settings


def _settings(made: Simulated) -> str:
    tests = "\n\n".join(
        "\n".join(
            [
                "[[test]]",
                f"name = {json.dumps(test.name)}",
                f'kind = "{test.kind}"',
                f"spans = [{', '.join(f'[{first}, {last}]' for first, last in test.spans)}]",
                *([f"markets = {json.dumps(list(test.markets))}"] if test.markets else []),
                f'ads = "{test.ads}"',
            ]
        )
        for test in made.settings.tests
    )
    options = "\n".join(
        f"{json.dumps(text)} = {json.dumps(channel)}" for text, channel in sorted(set(ANSWERS.values()))
    )
    return f"""\
# A simulated shop: nobody bought any of this. What is true of it is known, so the report can be held against it.

[report]
shop = "{NAME} (simulated)"
time_zone = "{ZONE.key}"
currency = "USD"
first = {FIRST}
last = {LAST}

# The relay: its ledger, as DynamoDB exports it to S3, and its log.
[[input]]
kind = "dynamodb_export"
file = "ledger-export"

[[input]]
kind = "relay_logs"
file = "relay-log.json"

# The shop's own books.
[[input]]
kind = "orders_shopify"
file = "shopify-orders.csv"

[[input]]
kind = "sales"
file = "sales-by-market.csv"

# OpenAI: the answers of its two reporting endpoints.
[[input]]
kind = "openai_ads_file"
files = ["openai-delivery.json", "openai-conversions-by-ad.json", "openai-conversions-by-conversion.json"]
currency = "USD"

# GA4: two free-form explorations.
[[input]]
kind = "ga4_exploration"
file = "ga4-sessions.csv"
currency = "USD"

[[input]]
kind = "ga4_transactions"
file = "ga4-orders.csv"
currency = "USD"

[[input]]
kind = "touches"
file = "touches.csv"

# What the other ads cost.
[[input]]
kind = "google_ads"
file = "google-ads.csv"

[[input]]
kind = "meta_ads"
file = "meta-ads.csv"
currency = "USD"

[[input]]
kind = "hubspot_contacts"
file = "hubspot-contacts.csv"
time_zone = "{ZONE.key}"

# "How did you first hear about us?"
[[input]]
kind = "knocommerce"
file = "knocommerce.csv"

[input.options]
{options}

{tests}
"""
