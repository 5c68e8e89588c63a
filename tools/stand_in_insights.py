"""The reporting side of the stand-in for OpenAI: what it attributes to campaigns, of the events that it has counted.

Two endpoints of the Advertiser API, as its reference describes them (developers.openai.com/ads, Insights)::

    GET  /v1/ad_account/insights     delivery and spend, by campaign and day
    POST /v1/conversions/insights    attributed conversions, click-through and view-through apart

A test says which campaigns there are, what they delivered, and who clicked or saw which of them::

    boots = Campaign("cmpn_1", "Boots", clicks={"op1.a": at_ms}, delivery={day: Delivered(100, 4, "12.50")})
    stand_in.insights.campaigns = [boots]

An event belongs to the last click before it within the window whose reference it carries, else, within a day, to a view
by somebody whose hashed e-mail it carries. The key is one that is known and has no scope for events. Days are those of
the account's time zone.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from conversion_relay.money import EXPONENTS
from tools.stand_in_server import Answer, Request

DELIVERY_PATH: Final = "/v1/ad_account/insights"
CONVERSIONS_PATH: Final = "/v1/conversions/insights"
MOST_ROWS: Final = 2_000
MOST_DAYS: Final = 365
_DAY_MS: Final = 86_400_000
_FIELDS: Final = ("campaign_id", "campaign_name", "readable_time", "timezone", "impressions", "clicks", "spend")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A campaign's day. None: not available, which is not zero. ``spend`` in major units, as text."""

    impressions: int | None
    clicks: int | None
    spend: str | None


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: ``clicks`` are the references that it gave out, ``views`` the hashed e-mails of those who saw it.

    Each has its moment in Unix ms.
    """

    id: str
    name: str
    clicks: Mapping[str, int] = field(default_factory=dict)
    views: Mapping[str, int] = field(default_factory=dict)
    delivery: Mapping[date, Delivered] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Credit:
    campaign: str
    by_click: bool
    ad_ms: int
    event: Mapping[str, Any]
    name: str


class InsightsSide:
    """What the stand-in answers to the two endpoints. ``counted`` gives its events (fields of CountedEvent)."""

    def __init__(
        self,
        counted: Callable[[], Sequence[Mapping[str, Any]]],
        is_advertiser: Callable[[str], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._counted = counted
        self._is_advertiser = is_advertiser
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """No campaign, UTC, US dollars, no lag and no trouble."""
        self.campaigns: list[Campaign] = []
        self.time_zone = "UTC"
        self.currency = "USD"
        self.lag_ms = 0
        """How long after its receipt an event is in the reports; OpenAI's takes a day or two."""
        self.most_rows = MOST_ROWS
        self.page = MOST_ROWS
        self.trouble: list[Answer | None] = []
        """Answers in place of the next ones; None closes the connection."""
        self.requests: list[dict[str, Any]] = []

    def respond(self, request: Request) -> Answer | bool | None:
        """The answer, None to close the connection; False: the request is for somebody else."""
        if request.path not in (DELIVERY_PATH, CONVERSIONS_PATH):
            return False
        asked = json.loads(request.body or b"{}") if request.method == "POST" else parse_qs(request.query)
        with self._lock:
            self.requests.append({"path": request.path, "asked": asked})
            if self.trouble:
                return self.trouble.pop(0)
        scheme, _, key = request.authorization.partition(" ")
        if scheme != "Bearer" or not self._is_advertiser(key):
            return _refused(401, "Invalid API key")
        expected = "GET" if request.path == DELIVERY_PATH else "POST"
        if request.method != expected:
            return _refused(405, "Method not allowed")
        try:
            return self._delivery(asked) if expected == "GET" else self._conversions(asked)
        except (KeyError, ValueError, TypeError, IndexError) as problem:
            return _refused(400, f"{type(problem).__name__}: {problem}")

    # Delivery ---------------------------------------------------------------------------------------------------------

    def _delivery(self, asked: Mapping[str, list[str]]) -> Answer:
        _demand(asked.get("aggregation_level") == ["campaign"], "aggregation_level: only campaign is known here")
        _demand(asked.get("time_granularity", ["daily"]) == ["daily"], "time_granularity: only daily is known here")
        days = self._days(asked["time_ranges[]"])
        _demand(days[-1] <= self._today(), "time_ranges: must not be in the future")
        fields = asked.get("fields[]", ["impressions"])
        _demand(set(fields) <= set(_FIELDS), "fields: unknown")
        rows = [
            {"id": f"{campaign.id}:{day}"} | {name: value for name, value in row.items() if name in fields}
            for day in days
            for campaign in self.campaigns
            if (row := self._delivered(campaign, day)) is not None
        ]
        after = asked.get("after", [""])[0]
        if after:
            rows = rows[[row["id"] for row in rows].index(after) + 1 :]
        size = min(self.page, int(asked.get("limit", ["20"])[0]))
        page = rows[:size]
        return _json(
            {
                "object": "list",
                "data": page,
                "has_more": len(rows) > size,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            }
        )

    def _delivered(self, campaign: Campaign, day: date) -> dict[str, Any] | None:
        held = campaign.delivery.get(day)
        if held is None:
            return None
        return {
            "campaign_id": campaign.id,
            "campaign_name": campaign.name,
            "readable_time": day.isoformat(),
            "timezone": self.time_zone,
            "impressions": held.impressions,
            "clicks": held.clicks,
            "spend": None if held.spend is None else float(held.spend),
        }

    # Conversions ------------------------------------------------------------------------------------------------------

    def _conversions(self, asked: Mapping[str, Any]) -> Answer:
        _demand(asked["aggregation_level"] == "campaign", "aggregation_level: only campaign is known here")
        _demand(len(asked["time_ranges"]) == 1, "time_ranges: exactly one")
        _demand(asked.get("group_by_entity", True) is True, "group_by_entity: only true is known here")
        entities = asked.get("entity_ids")
        if not entities:
            return _refused(400, "entity_ids must be provided when group_by_entity is true")
        days = self._days(asked["time_ranges"])
        _demand(len(days) <= MOST_DAYS, "time_ranges: at most 365 days")
        window, view = asked.get("attribution_window_days") or 30, asked.get("view_through_attribution_window_days", 1)
        _demand(window in (7, 14, 30) and view in (0, 1), "unsupported reporting window")
        basis = asked.get("attribution_time_basis", "ad_event_time")
        _demand(basis in ("ad_event_time", "conversion_time"), "attribution_time_basis")
        credited = [
            each
            for each in self._credits(window, view)
            if each.campaign in entities
        ]  # fmt: skip
        is_expanded = asked.get("include") == ["attributed_events"]
        daily = asked.get("time_granularity", "none") == "daily"
        rows = []
        for entity in entities:
            for span in [[day] for day in days] if daily else [days]:
                own = [each for each in credited if each.campaign == entity and self._day(each, basis) in span]
                row = self._row(entity, own, is_expanded) | ({"date": span[0].isoformat()} if daily else {})
                rows.append(row)
        if len(rows) > self.most_rows or sum(len(row.get("attributed_events", ())) for row in rows) > self.most_rows:
            return _refused(413, "The report has too many rows")
        return _json({"object": "list", "account_currency": self.currency, "data": rows, "count": len(rows)})

    def _credits(self, window_days: int, view_days: int) -> Iterable[_Credit]:
        ready_ms = self._now_ms() - self.lag_ms
        for held in self._counted():
            event, at_ms = held["event"], int(held["event"]["timestamp_ms"])
            if held["received_ms"] > ready_ms or event.get("opt_out"):
                continue
            clicks = [
                (click_ms, campaign.id)
                for campaign in self.campaigns
                if (click_ms := campaign.clicks.get(event.get("oppref") or "")) is not None
                and 0 <= at_ms - click_ms <= window_days * _DAY_MS
            ]
            digests = (event.get("user") or {}).get("emails_sha256") or ()
            views = [
                (seen_ms, campaign.id)
                for campaign in self.campaigns
                for digest in digests
                if (seen_ms := campaign.views.get(digest)) is not None and 0 <= at_ms - seen_ms <= view_days * _DAY_MS
            ]
            if clicks or views:
                ad_ms, campaign_id = max(clicks or views)
                yield _Credit(campaign_id, bool(clicks), ad_ms, event, held["name"])

    def _row(self, entity: str, credited: Sequence[_Credit], is_expanded: bool) -> dict[str, Any]:
        by_click = sum(each.by_click for each in credited)
        orders = [each for each in credited if each.name == "order_created"]
        row: dict[str, Any] = {
            "entity_id": entity,
            "conversions": len(credited),
            "click_through_conversions": by_click,
            "view_through_conversions": len(credited) - by_click,
            "order_created_attributed_sales": str(self._value(orders) or 0),
            "order_created_attributed_sales_currency": self.currency,
        }
        if is_expanded:
            names = Counter(each.name for each in credited)
            row["attributed_events"] = [self._event(entity, name, credited) for name in names]
        return row

    def _event(self, entity: str, name: str, credited: Sequence[_Credit]) -> dict[str, Any]:
        own = [each for each in credited if each.name == name]
        value = self._value(own)
        return {
            "entity_id": entity,
            "event_name": name,
            "event_kind": "custom" if own[0].event["type"] == "custom" else "standard",
            "attributed_event_count": len(own),
            "click_through_conversions": sum(each.by_click for each in own),
            "view_through_conversions": sum(not each.by_click for each in own),
            "attributed_event_value_amount": None if value is None else float(value),
            "attributed_event_value_count": len(own),
            "attributed_event_value_currency": None if value is None else self.currency,
            "conversion_event_setting_breakdowns": [],
        }

    def _value(self, credited: Iterable[_Credit]) -> Decimal | None:
        """The sum of what is in the account's currency; None where nothing is."""
        amounts = [
            Decimal(data["amount"]).scaleb(-EXPONENTS[self.currency])
            for each in credited
            if (data := each.event.get("data") or {}).get("currency") == self.currency and "amount" in data
        ]
        return sum(amounts, Decimal()) if amounts else None

    # Days -------------------------------------------------------------------------------------------------------------

    def _day(self, credit: _Credit, basis: str) -> date:
        at_ms = credit.ad_ms if basis == "ad_event_time" else int(credit.event["timestamp_ms"])
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(self.time_zone)).date()

    def _today(self) -> date:
        return datetime.fromtimestamp(self._now_ms() / 1000, UTC).astimezone(ZoneInfo(self.time_zone)).date()

    def _days(self, ranges: Sequence[str]) -> list[date]:
        asked = json.loads(ranges[0])
        zone = ZoneInfo(self.time_zone)
        if asked["type"] == "date_range":
            _demand(asked.get("timezone", self.time_zone) == self.time_zone, "time_ranges: another time zone")
            first, end = date.fromisoformat(asked["since"]), date.fromisoformat(asked["until"]) + timedelta(days=1)
        else:
            _demand(asked["type"] == "unix_range", "time_ranges: type")
            bounds = [datetime.fromtimestamp(int(asked[each]), zone) for each in ("start", "end")]
            _demand(all(each.hour == each.minute == 0 for each in bounds), "time_ranges: full days only")
            first, end = bounds[0].date(), bounds[1].date()
        _demand(first < end, "time_ranges: the end is not after the start")
        return [first + timedelta(days=number) for number in range((end - first).days)]


def _demand(met: bool, demand: str) -> None:
    if not met:
        raise ValueError(demand)


def _json(body: object) -> Answer:
    return Answer(200, json.dumps(body).encode())


def _refused(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode())
