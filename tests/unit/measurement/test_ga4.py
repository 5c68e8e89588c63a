"""GA4 beyond its CSV: the BigQuery export as Parquet, and the Data API by Google's own client."""

import builtins
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from measurement.inputs import ga4
from measurement.problems import BadInput
from tests.unit.measurement import importing
from tests.unit.measurement.importing import entry, imported

VALUE = pa.struct(
    [
        ("string_value", pa.string()),
        ("int_value", pa.int64()),
        ("float_value", pa.float64()),
        ("double_value", pa.float64()),
    ]
)
CAMPAIGN = [
    ("campaign_id", pa.string()),
    ("campaign_name", pa.string()),
    ("source", pa.string()),
    ("medium", pa.string()),
]
SCHEMA = pa.schema(
    {
        "event_date": pa.string(),
        "event_timestamp": pa.int64(),
        "event_name": pa.string(),
        "event_params": pa.list_(pa.struct([("key", pa.string()), ("value", VALUE)])),
        "user_pseudo_id": pa.string(),
        "privacy_info": pa.struct([("analytics_storage", pa.string()), ("ads_storage", pa.string())]),
        "traffic_source": pa.struct([("name", pa.string()), ("medium", pa.string()), ("source", pa.string())]),
        "collected_traffic_source": pa.struct(
            [
                ("manual_campaign_name", pa.string()),
                ("manual_source", pa.string()),
                ("manual_medium", pa.string()),
                ("gclid", pa.string()),
            ]
        ),
        "session_traffic_source_last_click": pa.struct(
            [
                ("manual_campaign", pa.struct(CAMPAIGN)),
                ("google_ads_campaign", pa.struct([("customer_id", pa.string()), ("campaign_name", pa.string())])),
                ("cross_channel_campaign", pa.struct(CAMPAIGN)),
            ]
        ),
        "ecommerce": pa.struct(
            [
                ("purchase_revenue", pa.float64()),
                ("purchase_revenue_in_usd", pa.float64()),
                ("transaction_id", pa.string()),
            ]
        ),
    }
)
"""The part of the export's schema that is read, beside parts that are not (Google: BigQuery Export schema)."""
FIRST = datetime(2026, 9, 2, 13, 0, tzinfo=UTC)


def event(
    name: str, minute: float, person: str | None = "1.1", session: int | None = 1, **others: Any
) -> dict[str, Any]:
    """An event of a visit, as the export has it."""
    params = {"ga_session_id": session, **others.pop("params", {})}
    return {
        "event_date": "20260902",
        "event_timestamp": int((FIRST.timestamp() + minute * 60) * 1_000_000),
        "event_name": name,
        "event_params": [
            {"key": key, "value": {"int_value" if isinstance(value, int) else "string_value": value}}
            for key, value in params.items()
            if value is not None
        ],
        "user_pseudo_id": person,
        "traffic_source": {"source": "years-ago.example", "medium": "referral"},
        **others,
    }


def last_click(source: str, medium: str, campaign: str | None = None) -> dict[str, Any]:
    held = {"source": source, "medium": medium, "campaign_name": campaign}
    return {"session_traffic_source_last_click": {"manual_campaign": held, "cross_channel_campaign": held}}


def collected(source: str | None, medium: str | None, gclid: str | None = None) -> dict[str, Any]:
    return {"collected_traffic_source": {"manual_source": source, "manual_medium": medium, "gclid": gclid}}


def exported(folder: Path, events: list[dict[str, Any]], schema: pa.Schema = SCHEMA, **options: Any) -> Any:
    kept = [{name: value for name, value in each.items() if name in schema.names} for each in events]
    pq.write_table(pa.Table.from_pylist(kept, schema=schema), folder / "events_20260902.parquet")
    return imported(folder, entry("ga4_bigquery", file="events_*.parquet", **options))


def test_visits_of_the_export_are_touches_and_sessions(tmp_path: Path) -> None:
    # Given four visits: an ad, a search by Google's click id, a direct one, and one of somebody who refused
    ad, search = last_click("chatgpt", "cpc", "fall"), collected(None, None, "Cj0")
    rows, notes = exported(
        tmp_path,
        [
            event("session_start", 0, **ad),
            event("page_view", 1, params={"session_engaged": "1"}, **ad),
            event("begin_checkout", 2, **ad),
            event("purchase", 3, **ad, ecommerce={"transaction_id": "61", "purchase_revenue": 129.9},
                  params={"currency": "USD"}),
            event("session_start", 5, person="2.2", **search),
            event("page_view", 6, person="2.2"),
            event("session_start", 7, person="3.3"),
            event("session_start", 60 * 24, session=2, **last_click("chatgpt.com", "referral")),
            event("page_view", 9, person=None, session=None),
        ],
    )  # fmt: skip
    # Then each is a touch at its first event, and counted by day, channel and campaign
    at = int(FIRST.timestamp() * 1000)
    touches = [
        (row["person"], row["at_ms"] - at, row["channel"], row["campaign"], row["kind"]) for row in rows["touches"]
    ]
    assert sorted(touches) == [
        ("1.1", 0, "chatgpt", "fall", "visit"),
        ("1.1", 86_400_000, "ai_assistant", "(none)", "visit"),
        ("2.2", 300_000, "google_ads", "(none)", "visit"),
        ("3.3", 420_000, "direct", "(none)", "visit"),
    ]
    counts = {(row["day"], row["channel"]): (row["sessions"], row["engaged"], row["micro"], row["macro"])
              for row in rows["sessions"]}  # fmt: skip
    assert counts == {
        (date(2026, 9, 2), "chatgpt"): (1, 1, 1, 1),
        (date(2026, 9, 2), "google_ads"): (1, 0, 0, 0),
        (date(2026, 9, 2), "direct"): (1, 0, 0, 0),
        (date(2026, 9, 3), "ai_assistant"): (1, 0, 0, 0),
    }
    assert "events_20260902.parquet: 1 event without user_pseudo_id: no consent, no visit." in notes


def test_purchases_of_the_export_count_once_and_know_who_bought(tmp_path: Path) -> None:
    ad = last_click("chatgpt", "cpc", "fall")
    rows, notes = exported(
        tmp_path,
        [
            event("purchase", 3, **ad, ecommerce={"transaction_id": "61", "purchase_revenue": 129.9},
                  params={"currency": "USD"}),
            event("purchase", 9, **ad, ecommerce={"transaction_id": "61", "purchase_revenue": 129.9},
                  params={"currency": "USD"}),
            event("purchase", 4, person="2.2", ecommerce={"transaction_id": "62", "purchase_revenue": 100.0},
                  params={"currency": "EUR"}),
            event("purchase", 5, person=None, session=None, ecommerce={"transaction_id": "63"}),
            event("purchase", 6, person="2.2", ecommerce={"transaction_id": "(not set)"}),
        ],
    )  # fmt: skip
    assert [(row["order_id"], row["channel"], row["person"], row["value"]) for row in rows["purchases"]] == [
        ("61", "chatgpt", "1.1", 12_990),
        ("62", "direct", "2.2", 10_800),
        ("63", "unknown", None, None),
    ]
    assert [(row["order_id"], row["person"]) for row in rows["links"]] == [("61", "1.1"), ("62", "2.2")]
    assert "events_20260902.parquet: 1 purchase without a transaction id left out." in notes
    assert any("1 purchase event repeat an order that was seen before" in each for each in notes)


def test_an_old_export_without_the_columns_of_today_is_read_by_its_parameters(tmp_path: Path) -> None:
    old = pa.schema([SCHEMA.field(each) for each in ("event_date", "event_timestamp", "event_name", "event_params",
                                                     "user_pseudo_id")])  # fmt: skip
    rows, _ = exported(
        tmp_path,
        [
            event("session_start", 0),
            event("page_view", 1, params={"source": "chatgpt", "medium": "cpc", "campaign": "fall"}),
            event("purchase", 2, params={"transaction_id": "61", "value": 5, "currency": "USD"}),
        ],
        schema=old,
        micro="page_view",
        macro=["purchase"],
    )
    assert [(row["channel"], row["campaign"]) for row in rows["touches"]] == [("chatgpt", "fall")]
    assert [(row["order_id"], row["value"]) for row in rows["purchases"]] == [("61", 500)]
    assert [(row["micro"], row["macro"]) for row in rows["sessions"]] == [(1, 1)]


def test_lists_that_bigquery_writes_with_a_level_of_their_own_are_read(tmp_path: Path) -> None:
    item = SCHEMA.field("event_params").type.value_type
    listed = pa.struct([("list", pa.list_(pa.struct([("element", item)])))])
    nested = SCHEMA.set(SCHEMA.get_field_index("event_params"), pa.field("event_params", listed))
    one = event("session_start", 0, params={"session_engaged": "1"}, **last_click("chatgpt", "cpc"))
    one["event_params"] = {"list": [{"element": each} for each in one["event_params"]]}
    rows, _ = exported(tmp_path, [one], schema=nested)
    assert [(row["channel"], row["engaged"]) for row in rows["sessions"]] == [("chatgpt", 1)]


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({"ecommerce": {"transaction_id": "61", "purchase_revenue": 1.0}}, {}, "a purchase: its currency is missing."),
        (
            {"ecommerce": {"transaction_id": "61", "purchase_revenue": -1.0}},
            {"currency": "USD"},
            "its revenue is no amount",
        ),
        ({"ecommerce": {"transaction_id": "a@b.example"}}, {}, "a purchase: it holds an e-mail address."),
    ],
)
def test_a_purchase_that_cannot_be_used_is_said(
    tmp_path: Path, change: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput) as problem:
        exported(tmp_path, [event("purchase", 0, **change)], **options)
    assert sentence in str(problem.value)


def test_a_query_s_result_is_no_export(tmp_path: Path) -> None:
    pq.write_table(pa.table({"day": ["20260902"], "sessions": [1]}), tmp_path / "a.parquet")
    with pytest.raises(
        BadInput, match="there is no column for event_name, event_timestamp, user_pseudo_id, event_params"
    ):
        imported(tmp_path, entry("ga4_bigquery", file="a.parquet"))
    wrong = {"event_name": ["x"], "event_timestamp": ["soon"], "user_pseudo_id": ["1"], "event_params": ["none"]}
    pq.write_table(pa.table(wrong), tmp_path / "a.parquet")
    with pytest.raises(BadInput, match="its columns are not those of a BigQuery export"):
        imported(tmp_path, entry("ga4_bigquery", file="a.parquet"))


# The Data API ---------------------------------------------------------------------------------------------------------


def test_without_google_s_client_the_command_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name.startswith("google"):
            raise ImportError(name)
        return real(name, *others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput) as problem:
        list(ga4.api(entry("ga4_api", property="463855"), importing.settings(tmp_path)))
    assert "measurement.toml:7: [[input]] ga4_api: Google's client for the Data API is not installed." in str(
        problem.value
    )
    assert "pip install google-analytics-data" in str(problem.value)


def test_a_property_is_a_number(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="property is no number"):
        list(ga4.reports(None, entry("ga4_api", property="G-ABC"), importing.settings(tmp_path)))


SESSION_ROWS = [
    (("20260902", "chatgpt", "cpc", "fall"), ("212", "148", "31", "12", "1188.5")),
    (("20260902", "google", "organic", "(organic)"), ("290", "180", "20", "11", "889")),
    (("20260903", "chatgpt", "cpc", "fall"), ("1", "2", "3", "4", "0")),
]
ORDER_ROWS = [
    (("6184203910411", "20260902", "chatgpt", "cpc", "fall"), ("129.9",)),
    (("(not set)", "20260902", "(not set)", "(not set)", "(not set)"), ("0",)),
]


@pytest.fixture
def served() -> Iterator[tuple[Any, list[Any]]]:
    """Google's client with a real gRPC connection to a server here, which answers by page; and what it was asked."""
    import grpc
    from google.analytics.data_v1beta import BetaAnalyticsDataClient
    from google.analytics.data_v1beta.services.beta_analytics_data.transports import BetaAnalyticsDataGrpcTransport
    from google.analytics.data_v1beta.types import RunReportRequest, RunReportResponse

    asked: list[Any] = []

    def answer(request: Any, context: Any) -> Any:
        asked.append(request)
        if request.property != "properties/463855":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        rows = SESSION_ROWS if len(request.metrics) > 1 else ORDER_ROWS
        page = rows[request.offset : request.offset + request.limit]
        return RunReportResponse(
            rows=[
                {
                    "dimension_values": [{"value": one} for one in dims],
                    "metric_values": [{"value": one} for one in metrics],
                }
                for dims, metrics in page
            ],
            row_count=len(rows),
            metadata={"currency_code": "EUR", "time_zone": "Europe/Berlin", "subject_to_thresholding": True},
        )

    method = grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=RunReportRequest.deserialize, response_serializer=RunReportResponse.serialize
    )
    server = grpc.server(ThreadPoolExecutor(2))
    name = "google.analytics.data.v1beta.BetaAnalyticsData"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"RunReport": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield BetaAnalyticsDataClient(transport=BetaAnalyticsDataGrpcTransport(channel=channel)), asked
    server.stop(None).wait()


def test_the_data_api_gives_sessions_and_orders_page_by_page(tmp_path: Path, served: tuple[Any, list[Any]]) -> None:
    client, asked = served
    given = list(ga4.reports(client, entry("ga4_api", property="463855", page=2), importing.settings(tmp_path)))
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for name, row in given:
        rows.setdefault(name, []).append(row)
    assert [(row["day"], row["channel"], row["campaign"], row["sessions"], row["engaged"], row["micro"], row["macro"],
             row["value"]) for row in rows["sessions"]] == [
        (date(2026, 9, 2), "chatgpt", "fall", 212, 148, 31, 12, 128_358),
        (date(2026, 9, 2), "organic_search", "(organic)", 290, 180, 20, 11, 96_012),
        (date(2026, 9, 3), "chatgpt", "fall", 1, 1, 1, 1, 0),
    ]  # fmt: skip
    assert [(row["order_id"], row["channel"], row["value"]) for row in rows["purchases"]] == [
        ("6184203910411", "chatgpt", 14_029)
    ]
    assert [(len(each.metrics), each.offset) for each in asked] == [(5, 0), (5, 2), (1, 0)]
    assert (asked[0].date_ranges[0].start_date, asked[0].date_ranges[0].end_date) == ("2026-09-01", "2026-09-30")
    assert [row["note"] for row in rows["(note)"]] == [
        "GA4 property 463855: GA4 left out rows of few users (thresholding); its counts are too low.",
        "GA4 property 463855: its days are those of Europe/Berlin, not of America/New_York.",
    ]


def test_a_property_that_may_not_be_read_is_said(tmp_path: Path, served: tuple[Any, list[Any]]) -> None:
    client, _ = served
    with pytest.raises(BadInput, match=r"GA4 property 1: the Data API refuses \(PermissionDenied\)\. Has the service"):
        list(ga4.reports(client, entry("ga4_api", property="1"), importing.settings(tmp_path)))


def test_without_credentials_the_steps_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(BadInput, match="there are no credentials for Google"):
        list(ga4.api(entry("ga4_api", property="463855"), importing.settings(tmp_path)))
