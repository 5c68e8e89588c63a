"""GA4: sessions, purchases, touches and links, from three places.

* An exploration's CSV (`ga4_exploration`, `ga4_transactions`), by hand, within GA4's own limits and sampling.
* The BigQuery export as Parquet (`ga4_bigquery`): every event, read by DuckDB. The only one that knows who did what.
* The Data API (`ga4_api`) by Google's own client, an optional extra: `pip install google-analytics-data`.

Sources of the field names: Google, "BigQuery Export schema" and "API dimensions and metrics", looked up 2026-11-29.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from conversion_relay.money import currency_code
from measurement.inputs.cells import (
    NOON,
    REMOVED,
    REMOVED_PHONE,
    Format,
    Unreadable,
    day,
    day_of,
    has_email,
    has_phone,
    is_empty,
    milliseconds,
    minor_units,
    order_id,
)
from measurement.inputs.channels import channel
from measurement.inputs.reading import Field, Row, format_of, noted, paths, settings_file, sheets
from measurement.inputs.rows import NOTE, Located, counted
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from measurement.tables import UNKNOWN

_PLACE: Final = (
    Field("source_medium", ("session source / medium", "session source/medium", "source / medium", "source/medium",
                            "session manual source / medium"), column=False, filled=False),
    Field("source", ("session source", "session manual source", "source"), column=False, filled=False),
    Field("medium", ("session medium", "session manual medium", "medium"), column=False, filled=False),
    Field("campaign", ("session campaign", "session manual campaign name", "session campaign name", "campaign"),
          "campaign", column=False, filled=False),
    Field("currency", ("currency",), "currency", column=False, filled=False),
)  # fmt: skip
_SOURCES: Final = ("source_medium", "source")
_NAMES: Final = ("source_medium", "source", "medium", "campaign")
_REVENUE: Final = ("purchase revenue", "total revenue", "revenue", "event value")

SESSIONS: Final = (
    Field("day", ("date", "day"), "day"),
    *_PLACE,
    Field("sessions", ("sessions",), "count"),
    Field("engaged", ("engaged sessions",), "count"),
    Field("micro", ("checkouts", "add to carts", "add-to-carts"), "count"),
    Field("macro", ("ecommerce purchases", "transactions", "purchases", "key events", "conversions"), "count"),
    Field("value", _REVENUE, "money", column=False, filled=False),
)
TRANSACTIONS: Final = (
    Field("order_id", ("transaction id", "transactionid"), "order", filled=False),
    Field("day", ("date", "day"), "day"),
    *_PLACE,
    Field("person", ("user pseudo id", "effective user id", "client id"), "person", column=False, filled=False),
    Field("value", _REVENUE, "money", column=False, filled=False),
)

LEAST: Final = 0.98
"""Share of an exploration's total that its rows must have; GA4 itself leaves out a little (thresholds)."""
MICRO: Final = ("add_to_cart", "begin_checkout", "add_payment_info", "add_shipping_info", "sign_up")
MACRO: Final = ("purchase", "generate_lead")
"""Events that make a visit's small and large step; `micro` and `macro` of the input say others."""


def _where(row: Row, settings: Settings) -> str:
    both = row["source_medium"]
    source, _, medium = both.partition(" / ") if both else (row["source"] or "", "", row["medium"] or "")
    return channel(source, medium, settings.channels)


def exploration(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A free-form exploration's CSV: date, session source / medium, session campaign; sessions and steps.

    An exploration counts events, not visits with an event, so a step is never more than the visits of its row.
    """
    for sheet in sheets(entry, settings, SESSIONS, totals=("day", *_NAMES), one_of=_SOURCES, sums=True):
        there = 0
        for row in sheet:
            most = row["sessions"]
            there += most
            yield (
                "sessions",
                row.made(
                    day=row["day"], channel=_where(row, settings), campaign=row["campaign"], sessions=most,
                    engaged=min(row["engaged"], most), micro=min(row["micro"], most), macro=min(row["macro"], most),
                    value=row["value"],
                ),
            )  # fmt: skip
        total = sheet.total("sessions")
        if total is not None and there < total * LEAST:
            sheet.fail(
                None,
                f"its rows have {there:,} of the {total:,} sessions of its own total",
                "An export has the rows that the screen shows: set Show rows to 500, or export a shorter period",
            )
        yield from noted(sheet)


def transactions(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The same with the dimension Transaction ID: the orders that GA4 saw. The time is the day's noon."""
    for sheet in sheets(entry, settings, TRANSACTIONS, totals=("order_id", "day", *_NAMES), one_of=_SOURCES):
        without = 0
        for row in sheet:
            if row["order_id"] is None:
                without += 1
                continue
            at_ms = milliseconds(datetime.combine(row["day"], NOON, settings.time_zone))
            yield (
                "purchases",
                row.made(
                    order_id=row["order_id"], at_ms=at_ms, day=row["day"], channel=_where(row, settings),
                    campaign=row["campaign"], person=row["person"], value=row["value"],
                ),
            )  # fmt: skip
            if row["person"]:
                yield "links", row.made(order_id=row["order_id"], person=row["person"])
        if without:
            sheet.notes.append(f"{sheet.label}: {counted(without, 'row')} without a transaction id left out.")
        yield from noted(sheet)


# The BigQuery export --------------------------------------------------------------------------------------------------


def bigquery(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The tables `events_YYYYMMDD` of the BigQuery export, as Parquet files.

    A visit is a `user_pseudo_id` with a `ga_session_id`. Its source is the session's last click
    (`session_traffic_source_last_click`), else what was collected with its first event that knew one
    (`collected_traffic_source`, in old exports the event's parameters). `traffic_source` is not used: it is what first
    brought the user, maybe years ago. Events without `user_pseudo_id`, which GA4 exports where consent was refused,
    make no visit; their purchases count, in the channel `unknown`.
    """
    import duckdb

    files = paths(entry, settings)
    labels = files[0][0] if len(files) == 1 else f"{files[0][0]} … {files[-1][0]}"
    with duckdb.connect() as connection:
        connection.execute("SET memory_limit = '2GB'")
        export = _Export(connection, labels, [path for _, path in files], entry, settings)
        yield from export.visits()
        yield from export.purchases()


class _Export:
    """The events of an export, as far as its schema has them: columns came over the years, and none is relied upon that
    is not checked."""

    def __init__(self, connection: Any, label: str, files: list[Path], entry: Input, settings: Settings) -> None:
        import duckdb

        self.connection = connection
        self.label = label
        self.entry = entry
        self.settings = settings
        self.format = format_of(entry, settings)
        try:
            connection.execute(
                "CREATE TEMP VIEW events AS SELECT * FROM read_parquet([{}], union_by_name = true)".format(
                    ", ".join(_quoted(str(path)) for path in files)
                )
            )
            described = connection.execute("DESCRIBE events").fetchall()
        except duckdb.Error as problem:
            raise BadInput(
                label, f"it is no Parquet file that can be read ({type(problem).__name__})",
                "Export the tables events_* from BigQuery with format PARQUET.",
            ) from None  # fmt: skip
        self.types = {name: str(kind) for name, kind, *_ in described}
        needed = ("event_name", "event_timestamp", "user_pseudo_id", "event_params")
        if missing := [name for name in needed if name not in self.types]:
            raise BadInput(
                label,
                f"there is no column for {', '.join(missing)}. There are: {', '.join(self.types)[:300]}",
                "Export the whole of the tables events_YYYYMMDD of the BigQuery export, not a query's result.",
            )

    def _parameter(self, name: str, *values: str) -> str:
        kind = self.types["event_params"]
        items, inner = ("event_params", "p") if kind.endswith("[]") else ("event_params.list", "p.element")
        texts = [f"CAST({inner}.value.{value} AS VARCHAR)" for value in values if value in kind]
        found = f"list_filter({items}, lambda p: {inner}.key = {_quoted(name)})"
        return f"list_transform({found}, lambda p: COALESCE({', '.join(texts) or 'NULL'}))[1]"

    def _path(self, *steps: str) -> str | None:
        """A nested field, if the export has it."""
        kind = self.types.get(steps[0], "")
        return ".".join(steps) if kind and all(step in kind for step in steps[1:]) else None

    def _first(self, *candidates: str | None) -> str:
        texts = [f"NULLIF(NULLIF(CAST({each} AS VARCHAR), ''), '(not set)')" for each in candidates if each]
        return f"COALESCE({', '.join(texts)})" if texts else "NULL"

    def _place(self) -> dict[str, str]:
        """Source, medium and campaign of an event."""
        last, collected = "session_traffic_source_last_click", "collected_traffic_source"
        clicked = self._path(collected, "gclid")
        google = f"CASE WHEN {clicked} IS NOT NULL THEN " if clicked else None
        return {
            "source": self._first(
                self._path(last, "cross_channel_campaign", "source"),
                self._path(last, "manual_campaign", "source"),
                self._path(collected, "manual_source"),
                f"({google} 'google' END)" if google else None,
                self._parameter("source", "string_value"),
            ),
            "medium": self._first(
                self._path(last, "cross_channel_campaign", "medium"),
                self._path(last, "manual_campaign", "medium"),
                self._path(collected, "manual_medium"),
                f"({google} 'cpc' END)" if google else None,
                self._parameter("medium", "string_value"),
            ),
            "campaign": self._first(
                self._path(last, "cross_channel_campaign", "campaign_name"),
                self._path(last, "manual_campaign", "campaign_name"),
                self._path(last, "google_ads_campaign", "campaign_name"),
                self._path(collected, "manual_campaign_name"),
                self._parameter("campaign", "string_value"),
            ),
        }

    def _steps(self, option: str, default: tuple[str, ...]) -> str:
        given = self.entry.options.get(option, default)
        names = [given] if isinstance(given, str) else list(given)
        return ", ".join(_quoted(str(name)) for name in names) or "''"

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        import duckdb

        try:
            found = self.connection.execute(query)
            while chunk := found.fetchmany(10_000):
                yield from chunk
        except duckdb.Error as problem:
            raise BadInput(
                self.label,
                f"its columns are not those of a BigQuery export ({type(problem).__name__})",
                "Export the tables events_YYYYMMDD as they are, with format PARQUET.",
            ) from None

    def visits(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """A touch for each visit, and the visits of a day together."""
        place = self._place()
        engaged = self._parameter("session_engaged", "string_value", "int_value")
        query = f"""
            WITH known AS (
                SELECT user_pseudo_id AS person,
                       {self._parameter("ga_session_id", "int_value", "string_value")} AS session,
                       event_timestamp AS moment, event_name AS name, {engaged} AS engaged,
                       {place["source"]} AS source, {place["medium"]} AS medium, {place["campaign"]} AS campaign
                FROM events WHERE user_pseudo_id IS NOT NULL)
            SELECT person, MIN(moment) AS first, BOOL_OR(COALESCE(engaged, '0') = '1') AS engaged,
                   BOOL_OR(name IN ({self._steps("micro", MICRO)})) AS micro,
                   BOOL_OR(name IN ({self._steps("macro", MACRO)})) AS macro,
                   ARG_MIN(source, moment) FILTER (WHERE source IS NOT NULL) AS source,
                   ARG_MIN(medium, moment) FILTER (WHERE source IS NOT NULL) AS medium,
                   ARG_MIN(campaign, moment) FILTER (WHERE source IS NOT NULL) AS campaign
            FROM known WHERE session IS NOT NULL GROUP BY person, session ORDER BY first, person
        """
        days: dict[tuple[date, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for person, first, engaged_, micro, macro, source, medium, named in self._rows(query):
            at_ms = int(first) // 1000
            where = channel(source or "(direct)", medium or "(none)", self.settings.channels)
            campaign = _name(named)
            on = day_of(at_ms, self.settings.time_zone)
            yield (
                "touches",
                self._made(
                    person=str(person),
                    at_ms=at_ms,
                    day=on,
                    channel=where,
                    campaign=campaign,
                    kind="visit",
                    origin="ga4",
                ),
            )
            counts = days[on, where, campaign]
            for index, counted_ in enumerate((True, engaged_, micro, macro)):
                counts[index] += bool(counted_)
        for (on, where, campaign), (sessions, engaged_count, micro_count, macro_count) in sorted(days.items()):
            yield "sessions", self._made(
                day=on, channel=where, campaign=campaign, sessions=sessions, engaged=engaged_count, micro=micro_count,
                macro=macro_count, value=None,
            )  # fmt: skip
        ((without,),) = self._rows("SELECT COUNT(*) FROM events WHERE user_pseudo_id IS NULL")
        if without:
            yield (
                NOTE,
                {"note": f"{self.label}: {counted(without, 'event')} without user_pseudo_id: no consent, no visit."},
            )

    def purchases(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The orders that GA4 saw, each at its first purchase event, and who placed them."""
        place = self._place()
        number = self._first(
            self._path("ecommerce", "transaction_id"), self._parameter("transaction_id", "string_value", "int_value")
        )
        value = self._first(
            self._path("ecommerce", "purchase_revenue"),
            self._parameter("value", "double_value", "float_value", "int_value"),
        )
        query = f"""
            WITH bought AS (
                SELECT {number} AS number, event_timestamp AS moment, user_pseudo_id AS person, {value} AS value,
                       {self._parameter("currency", "string_value")} AS currency,
                       {place["source"]} AS source, {place["medium"]} AS medium, {place["campaign"]} AS campaign
                FROM events WHERE event_name = 'purchase')
            SELECT number, MIN(moment), ARG_MIN(person, moment), ARG_MIN(value, moment), ARG_MIN(currency, moment),
                   ARG_MIN(source, moment), ARG_MIN(medium, moment), ARG_MIN(campaign, moment), COUNT(*)
            FROM bought GROUP BY number ORDER BY 2, 1
        """
        without = again = 0
        for name, first, person, worth, currency, source, medium, named, times in self._rows(query):
            if name is None:
                without += times
                continue
            again += times - 1
            at_ms = int(first) // 1000
            where = channel(source, medium, self.settings.channels) if source else ("direct" if person else UNKNOWN)
            try:
                key = order_id(str(name))
                units = None if worth is None else self._money(str(worth), currency)
            except Unreadable as problem:
                raise BadInput(self.label, f"a purchase: {problem.reason}", f"{problem.advice}.") from None
            yield (
                "purchases",
                self._made(order_id=key, at_ms=at_ms, channel=where, campaign=_name(named), person=person, value=units),
            )
            if person is not None:
                yield "links", self._made(order_id=key, person=str(person))
        if without:
            yield NOTE, {"note": f"{self.label}: {counted(without, 'purchase')} without a transaction id left out."}
        if again:
            yield (
                NOTE,
                {
                    "note": f"{self.label}: {counted(again, 'purchase event')} repeat an order that was seen before; "
                    "the first counts."
                },
            )

    def _money(self, worth: str, currency: str | None) -> int:
        amount = Decimal(worth)
        if not amount.is_finite() or amount < 0:
            raise Unreadable("its revenue is no amount", "Correct what the page sends to GA4")
        return minor_units(amount, currency_code(currency) or self.format.currency, self.settings)

    def _made(self, **columns: Any) -> Located:
        return Located(columns, self.label, 0)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(text: str | None) -> str:
    """A campaign's name; `inputs.run` writes (none) for what is none."""
    if text is None or is_empty(text):
        return ""
    if has_phone(text):
        return REMOVED_PHONE
    return REMOVED if has_email(text) else " ".join(text.split())[:500]


# The Data API ---------------------------------------------------------------------------------------------------------

PAGE: Final = 100_000
"""Rows of one answer (Data API: runReport, limit; 250,000 at most)."""
_PLACES: Final = ("sessionSource", "sessionMedium", "sessionCampaignName")
_METRICS: Final = ("sessions", "engagedSessions", "checkouts", "ecommercePurchases", "purchaseRevenue")
INSTALL: Final = "pip install google-analytics-data"


def api(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The Data API, with the credentials that Google's client finds (GOOGLE_APPLICATION_CREDENTIALS)."""
    try:
        from google.analytics.data_v1beta import BetaAnalyticsDataClient
        from google.auth.exceptions import GoogleAuthError
    except ImportError:
        raise BadInput(
            settings_file(settings),
            "[[input]] ga4_api: Google's client for the Data API is not installed",
            f"Install it: {INSTALL}. Or export an exploration as CSV, kind ga4_exploration.",
            entry.line,
        ) from None
    try:
        client = BetaAnalyticsDataClient()
    except GoogleAuthError:
        raise BadInput(
            settings_file(settings),
            "[[input]] ga4_api: there are no credentials for Google",
            "Make a service account, give it Viewer on the GA4 property, and set GOOGLE_APPLICATION_CREDENTIALS to its "
            "key file.",
            entry.line,
        ) from None
    yield from reports(client, entry, settings)


def reports(client: Any, entry: Input, settings: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sessions and transactions of the report's period, by any client with `run_report`."""
    number = str(entry.options.get("property", "")).removeprefix("properties/")
    if not number.isdigit():
        raise BadInput(
            settings_file(settings),
            "[[input]] ga4_api: property is no number",
            'Write property = "463855": Admin > Property details shows it, not the G-… of a stream.',
            entry.line,
        )
    label = f"GA4 property {number}"
    notes: dict[str, None] = {}
    most_sessions = 0
    for dimensions, metrics, currency in _answers(client, number, ("date", *_PLACES), _METRICS, settings, entry, notes):
        sessions, engaged, micro, macro = (int(Decimal(each)) for each in metrics[:4])
        most_sessions += sessions
        try:
            value = minor_units(Decimal(metrics[4]), currency, settings)
            on = day(dimensions[0], Format())
        except (Unreadable, ArithmeticError) as problem:
            raise _unusable(label, problem) from None
        yield "sessions", Located(
            {
                "day": on, "channel": channel(dimensions[1], dimensions[2], settings.channels),
                "campaign": _name(dimensions[3]), "sessions": sessions, "engaged": min(engaged, sessions),
                "micro": min(micro, sessions), "macro": min(macro, sessions), "value": value,
            }, label, 0,
        )  # fmt: skip
    if not most_sessions:
        yield NOTE, {"note": f"{label}: no sessions from {settings.first} to {settings.last}."}
    for dimensions, metrics, currency in _answers(
        client, number, ("transactionId", "date", *_PLACES), ("purchaseRevenue",), settings, entry, notes
    ):
        if is_empty(dimensions[0]):
            continue
        try:
            on = day(dimensions[1], Format())
            key, value = order_id(dimensions[0]), minor_units(Decimal(metrics[0]), currency, settings)
        except (Unreadable, ArithmeticError) as problem:
            raise _unusable(label, problem) from None
        at_ms = milliseconds(datetime.combine(on, NOON, settings.time_zone))
        yield "purchases", Located(
            {
                "order_id": key, "at_ms": at_ms, "day": on, "person": None, "value": value,
                "channel": channel(dimensions[2], dimensions[3], settings.channels), "campaign": _name(dimensions[4]),
            }, label, 0,
        )  # fmt: skip
    for note in notes:
        yield NOTE, {"note": note}


def _unusable(label: str, problem: Exception) -> BadInput:
    if isinstance(problem, Unreadable):
        return BadInput(label, problem.reason, f"{problem.advice}.")
    return BadInput(label, "an answer holds what is no number", "Try again, or export an exploration as CSV.")


def _answers(
    client: Any,
    number: str,
    dimensions: tuple[str, ...],
    metrics: tuple[str, ...],
    settings: Settings,
    entry: Input,
    notes: dict[str, None],
) -> Iterator[tuple[list[str], list[str], str | None]]:
    """The rows of one report, page by page: values of dimensions, of metrics, and the currency. ``notes`` gets what GA4
    itself says about the report."""
    from google.analytics.data_v1beta.types import DateRange, Dimension, Metric, OrderBy, RunReportRequest
    from google.api_core.exceptions import GoogleAPIError

    offset = 0
    while True:
        request = RunReportRequest(
            property=f"properties/{number}",
            dimensions=[Dimension(name=each) for each in dimensions],
            metrics=[Metric(name=each) for each in metrics],
            date_ranges=[DateRange(start_date=settings.first.isoformat(), end_date=settings.last.isoformat())],
            order_bys=[OrderBy(dimension=OrderBy.DimensionOrderBy(dimension_name=each)) for each in dimensions],
            limit=int(entry.options.get("page", PAGE)),
            offset=offset,
        )
        try:
            answer = client.run_report(request)
        except GoogleAPIError as problem:
            raise BadInput(
                f"GA4 property {number}",
                f"the Data API refuses ({type(problem).__name__})",
                "Has the service account the role Viewer on this property? Is the Data API switched on in its project?",
            ) from None
        currency = currency_code(answer.metadata.currency_code)
        for row in answer.rows:
            yield (
                [each.value for each in row.dimension_values],
                [each.value for each in row.metric_values],
                currency,
            )
        notes |= dict.fromkeys(_said(answer.metadata, f"GA4 property {number}", settings))
        offset += len(answer.rows)
        if not answer.rows or offset >= answer.row_count:
            return


def _said(metadata: Any, label: str, settings: Settings) -> Iterator[str]:
    if metadata.data_loss_from_other_row:
        yield f"{label}: GA4 put the smallest rows together as (other); they count in the channel other."
    if metadata.subject_to_thresholding:
        yield f"{label}: GA4 left out rows of few users (thresholding); its counts are too low."
    if metadata.sampling_metadatas:
        yield f"{label}: GA4 answered from a sample of its events."
    if metadata.time_zone and metadata.time_zone != settings.time_zone.key:
        yield f"{label}: its days are those of {metadata.time_zone}, not of {settings.time_zone.key}."


IMPORTERS: Final = {
    "ga4_exploration": exploration,
    "ga4_transactions": transactions,
    "ga4_bigquery": bigquery,
    "ga4_api": api,
}
OPTIONS: Final = {
    "ga4_exploration": frozenset[str](),
    "ga4_transactions": frozenset[str](),
    "ga4_bigquery": frozenset({"micro", "macro"}),
    "ga4_api": frozenset({"property", "page"}),
}
