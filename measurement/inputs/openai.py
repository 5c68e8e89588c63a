"""What OpenAI itself reports: delivery and spend, and the conversions that it attributes to campaigns.

``openai_insights`` asks the Advertiser API, ``openai_ads_file`` reads what was saved of its two endpoints (JSON), or an
export of Ads Manager (CSV).

Click-through and view-through are kept apart; the sum of both, ``conversions``, is not read. A null is not available,
which is not zero. Days are whole days of the ad account's time zone, money is in major units.

The key is an Advertiser key, from the environment (`OPENAI_ADS_ADVERTISER_KEY`) or a parameter of SSM that the option
``key_parameter`` names. It stands in no settings, no command line and no message.

Source: OpenAI, "Insights" and "Reporting" (developers.openai.com/ads), as of September 2026.
"""

from __future__ import annotations

import csv
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from conversion_relay.money import currency_code
from measurement.inputs.relay import STACK_OPTIONS, Rows, asking, content, know, note, option, places, worth, wrong
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from measurement.tables import CHATGPT

if TYPE_CHECKING:
    import requests

API: Final = "https://api.ads.openai.com"
KEY_VARIABLE: Final = "OPENAI_ADS_ADVERTISER_KEY"
BASES: Final = ("ad_event_time", "conversion_time")
WINDOWS: Final = (7, 14, 30)
MOST_ROWS: Final = 2_000
"""Summary rows, and event rows, of one answer; above that it is HTTP 413, and there is no paging."""
MOST_DAYS: Final = 365
MOST_CAMPAIGNS: Final = 100
"""Campaigns that one request names: few enough for a range of days of a sensible length."""
ATTEMPTS: Final = 6
LONGEST_WAIT_S: Final = 60.0
TIMEOUT_S: Final = (5.0, 60.0)
ALL: Final = "(all)"
NONE: Final = "(none)"
_FIELDS: Final = ("campaign_id", "campaign_name", "readable_time", "timezone", "impressions", "clicks", "spend")
_ORIGIN: Final = re.compile(r"https://[^/?#\s@]+|http://127\.0\.0\.1(:\d+)?")

ADVICE: Final = {
    401: f"Put the Advertiser key of this ad account into {KEY_VARIABLE} (Ads Manager > Settings > API keys); the "
    "Conversions key is another one.",
    403: "The key may not read this ad account's reports: make one as a user of the account who may.",
    404: "The reports are not enabled for this ad account, or the option api names another address.",
    429: "Too many requests, for minutes: another job may use the same key. Run it again later.",
}
"""What to do about a status."""


class _TooLarge(Exception):
    """HTTP 413: the report has more rows than one answer may."""


class Reporting:
    """Reads the two endpoints, patiently. ``sleep`` waits seconds between attempts."""

    def __init__(
        self, session: requests.Session, origin: str, key: str, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._session = session
        self._origin = origin
        self._key = key
        self._sleep = sleep

    def delivery(self, first: date, last: date) -> Iterator[Mapping[str, Any]]:
        """A row for each campaign and day that has delivery, days inclusive. Raises BadInput."""
        query = [("aggregation_level", "campaign"), ("time_granularity", "daily"), ("limit", str(MOST_ROWS))]
        query += [("fields[]", name) for name in _FIELDS]
        query.append(("time_ranges[]", _range(first, last)))
        after: list[tuple[str, str]] = []
        while True:
            page = self._asked("GET", "/v1/ad_account/insights", params=[*query, *after])
            rows = _data(page, "/v1/ad_account/insights")
            yield from rows
            cursor = page.get("last_id")
            if not page.get("has_more") or not rows or not cursor or after == [("after", str(cursor))]:
                return
            after = [("after", str(cursor))]

    def conversions(
        self, campaigns: Sequence[str], first: date, last: date, basis: str, window_days: int
    ) -> Iterator[Mapping[str, Any]]:
        """Answers that cover the campaigns and days, each as large as one may be. Raises BadInput."""
        for start in range(0, len(campaigns), MOST_CAMPAIGNS):
            some = list(campaigns[start : start + MOST_CAMPAIGNS])
            step = min(MOST_DAYS, max(1, MOST_ROWS // len(some)))
            day = first
            while day <= last:
                until = min(last, day + timedelta(days=step - 1))
                yield from self._halved(some, day, until, basis, window_days)
                day = until + timedelta(days=1)

    def _halved(
        self, campaigns: Sequence[str], first: date, last: date, basis: str, window_days: int
    ) -> Iterator[Mapping[str, Any]]:
        path = "/v1/conversions/insights"
        body = {
            "aggregation_level": "campaign",
            "time_granularity": "daily",
            "time_ranges": [_range(first, last)],
            "entity_ids": list(campaigns),
            "attribution_time_basis": basis,
            "attribution_window_days": window_days,
            "view_through_attribution_window_days": 1,
            "include": ["attributed_events"],
        }
        try:
            answer = self._asked("POST", path, json=body)
        except _TooLarge:
            if first < last:
                middle = first + (last - first) // 2
                yield from self._halved(campaigns, first, middle, basis, window_days)
                yield from self._halved(campaigns, middle + timedelta(days=1), last, basis, window_days)
            elif len(campaigns) > 1:
                half = len(campaigns) // 2
                yield from self._halved(campaigns[:half], first, last, basis, window_days)
                yield from self._halved(campaigns[half:], first, last, basis, window_days)
            else:
                raise BadInput(
                    self._origin,
                    f"one campaign has over {MOST_ROWS:,} kinds of events on {first}",
                    "OpenAI reports no more at once: tell us how that came about.",
                ) from None
            return
        _data(answer, path)
        yield answer

    def _asked(self, method: str, path: str, **parts: Any) -> Mapping[str, Any]:
        import requests

        headers = {"Authorization": f"Bearer {self._key}", "Accept": "application/json"}
        why, advice = "", ""
        for attempt in range(1, ATTEMPTS + 1):
            wait_s = float(2 ** (attempt - 1))
            try:
                answer = self._session.request(
                    method,
                    f"{self._origin}{path}",
                    headers=headers,
                    auth=_no_other_key,
                    timeout=TIMEOUT_S,
                    allow_redirects=False,
                    **parts,
                )
            except requests.RequestException as error:
                why, advice = f"did not answer ({type(error).__name__})", "Look for a proxy, and run it again later."
            else:
                status = answer.status_code
                if status == 200:
                    return _object(answer, self._origin, path)
                if status == 413:
                    raise _TooLarge
                advice = ADVICE.get(status, "OpenAI has trouble. Run it again later.")
                if status != 429 and status < 500:
                    raise BadInput(
                        self._origin,
                        f"OpenAI answered HTTP {status} to {path}",
                        ADVICE.get(status, "The API may have changed: look for a newer version of these tools."),
                    )
                why = f"answered HTTP {status} to {path}"
                wait_s = _seconds(answer.headers.get("Retry-After")) or wait_s
            if attempt < ATTEMPTS:
                self._sleep(min(wait_s, LONGEST_WAIT_S))
        raise BadInput(self._origin, f"OpenAI {why}, {ATTEMPTS} times", advice)


def _no_other_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request  # given as auth, so that no .netrc of this person takes the key's place


def _range(first: date, last: date) -> str:
    """Whole days of the account's time zone, both inclusive, as JSON in a text."""
    return json.dumps({"type": "date_range", "since": first.isoformat(), "until": last.isoformat()})


def _object(answer: requests.Response, origin: str, path: str) -> Mapping[str, Any]:
    try:
        held = answer.json()
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise BadInput(
            origin, f"the answer to {path} is no JSON object", "Compare the option api, and look for a proxy."
        )
    return held


def _data(answer: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    rows = answer.get("data")
    if not isinstance(rows, list) or not all(isinstance(each, Mapping) for each in rows):
        raise BadInput(where, "it holds no list data", "It must be an answer of one of OpenAI's insights endpoints.")
    return rows


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0


# Asked of OpenAI ------------------------------------------------------------------------------------------------------


def openai_insights(entry: Input, settings: Settings) -> Rows:
    """The report's days, as far as OpenAI keeps them. Raises BadInput: it refuses, or does not answer."""
    import requests

    know(entry, frozenset({"api", "bases", "window_days", "currency", "key_parameter"}) | STACK_OPTIONS)
    origin = option(entry, "api", API).rstrip("/")
    if not _ORIGIN.fullmatch(origin):
        wrong(entry, "api is no https origin", f"Leave it out: it is {API}.")
    with requests.Session() as session:
        session.trust_env = not origin.startswith("http://127.0.0.1")  # no proxy on the way to this machine
        yield from read(Reporting(session, origin, _key(entry)), entry, settings, datetime.now(UTC))


def read(reporting: Reporting, entry: Input, settings: Settings, now: datetime) -> Rows:
    """The rows of both endpoints. ``now`` says which days there can be."""
    asked = _Asked.of(entry, settings)
    today = now.date()  # UTC: no account is asked for a day that has not begun anywhere
    first, last = max(settings.first, today - timedelta(days=MOST_DAYS - 1)), min(settings.last, today)
    if first > settings.first:
        yield note(f"OpenAI keeps reports for {MOST_DAYS} days: it is asked from {first} on.")
    if first > last:
        yield note(f"OpenAI is not asked: none of the report's days lies in the last {MOST_DAYS}.")
        return
    # A campaign that has ended may still bring conversions: it is known by its delivery within the click window before.
    earliest = max(first - timedelta(days=asked.window_days), today - timedelta(days=MOST_DAYS - 1))
    found = list(reporting.delivery(earliest, last))
    names = _names(found)
    delivered = [row for row in found if _day(row, "OpenAI's report") >= first]
    yield from _notes_on_zone(found, settings)
    if not names:
        yield note(
            f"OpenAI reports no campaign with delivery from {earliest} to {last}, so nothing is asked of conversions."
        )
        return
    currency = asked.currency
    for basis in asked.bases:
        for answer in reporting.conversions(sorted(names), first, last, basis, asked.window_days):
            currency = currency or currency_code(answer.get("account_currency"))
            yield from _attributed(answer, names, basis, asked, settings, "OpenAI's report")
    yield from _ads(delivered, names, currency, settings, "OpenAI's report")
    yield note(
        "OpenAI's conversions come a day or two late, and recent ones still change: of the last two days of the report "
        "a lower count says little."
    )


@dataclass(frozen=True)
class _Asked:
    """What the options of an input say of the report."""

    bases: tuple[str, ...]
    window_days: int
    currency: str | None

    @classmethod
    def of(cls, entry: Input, settings: Settings) -> _Asked:
        given = entry.options.get("bases", list(BASES))
        bases = (given,) if isinstance(given, str) else tuple(given)
        if not bases or any(each not in BASES for each in bases):
            wrong(
                entry, "bases names what is none", 'Write bases = ["ad_event_time", "conversion_time"], or one of them.'
            )
        window = entry.options.get("window_days", 30)
        if window not in WINDOWS or isinstance(window, bool):
            wrong(entry, "window_days is no click window of OpenAI", "It has 7, 14 and 30 days.")
        currency = None
        if "currency" in entry.options and (currency := currency_code(entry.options["currency"])) is None:
            wrong(entry, "currency is no ISO 4217 code", f'Write currency = "{settings.currency}".')
        return cls(bases, window, currency)


def _key(entry: Input) -> str:
    """The Advertiser key. Raises BadInput: there is none."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    parameter = option(entry, "key_parameter")
    if not key and parameter:
        import boto3

        with asking(entry):
            session = boto3.Session(
                profile_name=option(entry, "profile") or None, region_name=option(entry, "region") or None
            )
            held = session.client("ssm").get_parameter(Name=parameter, WithDecryption=True)
            key = str(held["Parameter"]["Value"]).strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        wrong(
            entry,
            "there is no usable Advertiser key",
            f"Put it into the environment as {KEY_VARIABLE}, or into SSM and name it: key_parameter.",
        )
    return key


# Rows -----------------------------------------------------------------------------------------------------------------


def _metric(row: Mapping[str, Any], name: str) -> Any:
    """A value under any of the names that the API's answers use for it."""
    spellings = (name, f"campaign.{name}", f"campaign_{name}", name.replace("campaign_", "campaign."))
    return next((row[each] for each in spellings if row.get(each) is not None), None)


def _names(delivered: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Campaigns by id: the name, with the id behind it where two have the same, so that they stay two."""
    found: dict[str, str] = {}
    for row in delivered:
        if (campaign := _metric(row, "campaign_id")) is not None:
            found[str(campaign)] = str(_metric(row, "campaign_name") or campaign)
    named = list(found.values())
    return {key: f"{name} ({key})" if named.count(name) > 1 else name for key, name in found.items()}


def _notes_on_zone(delivered: Sequence[Mapping[str, Any]], settings: Settings) -> Rows:
    zone = next((str(row["timezone"]) for row in delivered if row.get("timezone")), None)
    if zone is None:
        yield note(
            "OpenAI's days are days of the ad account's time zone, which its answer does not name. Compare it with the "
            f"report's, {settings.time_zone.key}: where they differ, the days do too."
        )
        return
    try:
        is_same = ZoneInfo(zone).key == settings.time_zone.key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        is_same = False
    if not is_same:
        yield note(
            f"OpenAI's days are days of {zone}, the report's are days of {settings.time_zone.key}: what happens near "
            "midnight counts on another day."
        )


def _day(row: Mapping[str, Any], where: str) -> date:
    for name in ("date", "readable_time"):
        try:
            return date.fromisoformat(str(row[name])[:10])
        except (KeyError, ValueError):
            continue
    raise BadInput(where, "a row has no day", "Ask for time_granularity daily.")


def _whole(value: Any, what: str, where: str) -> int | None:
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal(-1)
    if number < 0 or not number.is_finite() or number != number.to_integral_value():
        raise BadInput(where, f"{what} is no whole number", "It must be an answer of OpenAI's insights endpoints.")
    return int(number)


def _money(value: Any, currency: str | None, settings: Settings, where: str) -> int | None:
    """An amount in major units as minor units of the report's currency."""
    if value is None:
        return None
    if currency is None:
        raise BadInput(where, "nothing says which currency its amounts are in", 'Write currency = "USD" at the input.')
    try:
        amount = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise BadInput(where, "an amount is no number of at least 0", "It must be as OpenAI wrote it.")
    return worth(amount, currency, settings, where)


def _ads(
    delivered: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    currency: str | None,
    settings: Settings,
    where: str,
) -> Rows:
    for row in delivered:
        campaign = _metric(row, "campaign_id")
        yield (
            "ads",
            {
                "day": _day(row, where),
                "channel": CHATGPT,
                "campaign": names.get(str(campaign), NONE),
                "impressions": _whole(_metric(row, "impressions"), "impressions", where),
                "clicks": _whole(_metric(row, "clicks"), "clicks", where),
                "spend": _money(_metric(row, "spend"), currency, settings, where),
            },
        )


def _attributed(
    answer: Mapping[str, Any], names: Mapping[str, str], basis: str, asked: _Asked, settings: Settings, where: str
) -> Rows:
    """A row for each campaign, day and event. Where no event is told apart: one for the campaign's goals, as (all)."""
    account = asked.currency or currency_code(answer.get("account_currency"))
    for row in _data(answer, where):
        entity = str(row.get("entity_id"))
        base = {
            "day": _day(row, where),
            "channel": CHATGPT,
            "campaign": names.get(entity, entity),
            "basis": basis,
            "window_days": asked.window_days,
        }
        by_click = _whole(row.get("click_through_conversions"), "click_through_conversions", where)
        if by_click is None:
            raise BadInput(where, "click_through_conversions is not available", "Ask for it again later.")
        events = [
            each for each in row.get("attributed_events") or () if each.get("click_through_conversions") is not None
        ]
        for each in events:
            paid = currency_code(each.get("attributed_event_value_currency")) or account
            yield (
                "attributed",
                base
                | {
                    "type": str(each["event_name"]),
                    "click_through": _whole(each["click_through_conversions"], "click_through_conversions", where),
                    "view_through": _whole(each.get("view_through_conversions"), "view_through_conversions", where),
                    "value": _money(each.get("attributed_event_value_amount"), paid, settings, where),
                },
            )
        if not events:
            views = _whole(row.get("view_through_conversions"), "view_through_conversions", where)
            is_told_apart = "attributed_events" in row and not by_click and not views
            paid = currency_code(row.get("order_created_attributed_sales_currency")) or account
            yield (
                "attributed",
                base
                | {
                    "type": settings.conversion_type if is_told_apart else ALL,
                    "click_through": by_click,
                    "view_through": views,
                    "value": _money(row.get("order_created_attributed_sales"), paid, settings, where),
                },
            )


# Files ----------------------------------------------------------------------------------------------------------------


def openai_ads_file(entry: Input, settings: Settings) -> Rows:
    """Saved answers of the endpoints (JSON, a list, or line by line), or Ads Manager's CSV. Raises BadInput."""
    know(entry, frozenset({"file", "files", "bases", "window_days", "currency"}))
    asked = _Asked.of(entry, settings)
    answers: list[tuple[Path, Mapping[str, Any]]] = []
    for path in places(entry, settings):
        try:
            text = content(path).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput(path.name, "it is no UTF-8 text", "Export it again as CSV in UTF-8.") from None
        if text.lstrip()[:1] in ("{", "["):
            answers += [(path, each) for each in _answers(path, text)]
        else:
            yield from _csv(path, text, asked, settings)
    delivered = [row for path, each in answers if not _is_conversions(each) for row in _data(each, path.name)]
    names = _names(delivered)
    currency = asked.currency
    for path, each in answers:
        if _is_conversions(each):
            currency = currency or currency_code(each.get("account_currency"))
            basis = str(each.get("attribution_time_basis") or asked.bases[0])
            yield from _attributed(each, names, basis, asked, settings, path.name)
    if delivered:
        yield from _notes_on_zone(delivered, settings)
        yield from _ads(delivered, names, currency, settings, "the saved report")


def _is_conversions(answer: Mapping[str, Any]) -> bool:
    rows = answer.get("data") or [{}]
    return "account_currency" in answer or "click_through_conversions" in rows[0]


def _answers(path: Path, text: str) -> list[Mapping[str, Any]]:
    try:
        held = json.loads(text)
    except ValueError:
        try:
            held = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise BadInput(path.name, "it is no JSON", "Save the endpoint's answer as it came.") from None
    found = held if isinstance(held, list) else [held]
    if not found or not all(isinstance(each, Mapping) and isinstance(each.get("data"), list) for each in found):
        raise BadInput(path.name, "it is no answer of an insights endpoint", "Save the whole answer, with its data.")
    return found


_COLUMNS: Final = {
    "day": ("day", "date", "reporting date"),
    "campaign": ("campaign", "campaign name"),
    "impressions": ("impressions",),
    "clicks": ("clicks",),
    "spend": ("spend", "cost", "amount spent"),
    "conversions": ("click-through conversions", "click through conversions", "conversions"),
    "views": ("view-through conversions", "view through conversions"),
    "sales": ("attributed sales", "order created attributed sales", "purchase value"),
    "currency": ("currency",),
}


def _csv(path: Path, text: str, asked: _Asked, settings: Settings) -> Rows:
    """Ads Manager's export. Its conversions are click-through, by the time basis that is chosen there."""
    reader = csv.reader(text.splitlines(keepends=True), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    heading = next(reader, [])
    plain = [re.sub(r"\s*\([A-Z]{3}\)\s*$", "", each).strip().lower().replace("_", " ") for each in heading]
    at = {
        name: next((plain.index(each) for each in spellings if each in plain), None)
        for name, spellings in _COLUMNS.items()
    }
    if at["day"] is None or at["campaign"] is None:
        lacking = "a column Day" if at["day"] is None else "a column Campaign name"
        raise BadInput(path.name, f"it lacks {lacking}", "Export from Ads Manager by day and campaign.", 1)
    if at["spend"] is None and at["conversions"] is None:
        raise BadInput(path.name, "it has neither spend nor conversions", "Add those columns to the export.", 1)
    in_heading = next((found[1] for each in heading if (found := re.search(r"\(([A-Z]{3})\)\s*$", each))), None)

    def cell(row: list[str], name: str) -> str | None:
        index = at[name]
        value = row[index].strip() if index is not None and index < len(row) else ""
        return None if value.lower() in ("", "-", "--", "null", "n/a") else value

    for row in reader:
        if not any(each.strip() for each in row) or (cell(row, "day") or "").lower() in ("total", "totals"):
            continue
        where = f"{path.name}:{reader.line_num}"
        try:
            day = date.fromisoformat(str(cell(row, "day")))
        except ValueError:
            raise BadInput(
                path.name, "the day is not written as 2026-11-20", "Choose days in the export.", reader.line_num
            ) from None
        currency = currency_code(cell(row, "currency")) or asked.currency or currency_code(in_heading)
        counts = {
            name: (cell(row, name) or "").replace(",", "") or None
            for name in ("impressions", "clicks", "conversions", "views")
        }
        campaign = cell(row, "campaign") or NONE
        base = {"day": day, "channel": CHATGPT, "campaign": campaign}
        if any(at[name] is not None for name in ("impressions", "clicks", "spend")):
            yield (
                "ads",
                base
                | {
                    "impressions": _whole(counts["impressions"], "impressions", where),
                    "clicks": _whole(counts["clicks"], "clicks", where),
                    "spend": _money(cell(row, "spend"), currency, settings, where),
                },
            )
        if counts["conversions"] is not None:
            yield (
                "attributed",
                base
                | {
                    "type": ALL,
                    "basis": asked.bases[0],
                    "window_days": asked.window_days,
                    "click_through": _whole(counts["conversions"], "conversions", where),
                    "view_through": _whole(counts["views"], "view-through conversions", where),
                    "value": _money(cell(row, "sales"), currency, settings, where),
                },
            )


IMPORTERS: Final = {"openai_insights": openai_insights, "openai_ads_file": openai_ads_file}
