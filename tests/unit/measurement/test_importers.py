"""Every kind of export, in its own format, becomes the rows that are expected; and what each refuses."""

import re
import shutil
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from measurement import inputs
from measurement.inputs import IMPORTERS, OPTIONS, starter
from measurement.inputs.survey_file import FREE_TEXT, meant
from measurement.problems import BadInput
from measurement.settings import load
from measurement.tables import CHANNELS
from tests.unit.measurement.importing import entry, imported

CASES = Path(__file__).parents[2] / "cases" / "measurement"
NEW_YORK = ZoneInfo("America/New_York")


def ms(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1000)


def sample(folder: Path, name: str, kind: str, **options: Any) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """The rows of one of the samples, or of a case."""
    source = starter.SAMPLES / name
    shutil.copy(source if source.exists() else CASES / name, folder / name)
    rows, notes = imported(folder, entry(kind, file=name, **options))
    return {table: [dict(row) for row in held] for table, held in rows.items()}, notes


def refused(folder: Path, content: str, kind: str, name: str = "a.csv", **options: Any) -> str:
    (folder / name).write_text(content)
    with pytest.raises(BadInput) as problem:
        imported(folder, entry(kind, file=name, **options))
    return str(problem.value)


def picked(rows: list[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


# Ads ------------------------------------------------------------------------------------------------------------------


def test_google_ads_report_with_its_preamble_thousands_and_totals(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "google_ads.csv", "google_ads")
    assert picked(rows["ads"], "day", "channel", "campaign", "impressions", "clicks", "spend") == [
        (date(2026, 9, 2), "google_ads", "brand", 1514, 345, 110_955),
        (date(2026, 9, 3), "google_ads", "brand", 980, 288, None),
    ]
    assert "google_ads.csv: 2 rows of totals left out." in notes


def test_google_ads_as_its_tools_write_it_for_excel(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "google_ads_utf16.csv", "google_ads", decimal=",", thousands=".")
    assert picked(rows["ads"], "campaign", "impressions", "spend") == [("Marke Größe", 1204, 109_339)]


def test_meta_ads_with_its_summary_row_and_currency_in_the_heading(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "meta_ads.csv", "meta_ads")
    assert picked(rows["ads"], "day", "channel", "campaign", "impressions", "clicks", "spend") == [
        (date(2026, 9, 2), "meta_ads", "prospecting", 10_110, 291, 31_275),
        (date(2026, 9, 3), "meta_ads", "prospecting", 4100, 100, 10_000),
    ]
    assert "meta_ads.csv: 1 row of totals left out." in notes


def test_meta_ads_in_another_currency_are_converted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Campaign name,Day,Amount spent (EUR)\nc,2026-09-02,100\n")
    rows, _ = imported(tmp_path, entry("meta_ads", file="a.csv"))
    assert rows["ads"][0]["spend"] == 10_800


def test_a_meta_row_of_a_whole_month_is_refused(tmp_path: Path) -> None:
    content = "Campaign name,Reporting starts,Reporting ends,Amount spent (USD)\nc,2026-09-01,2026-09-30,100\n"
    assert "a.csv:2: the row covers more than one day. Export it with Breakdown > By time > Day." in refused(
        tmp_path, content, "meta_ads"
    )


def test_spend_by_channel(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "spend.csv", "spend")
    assert picked(rows["ads"], "day", "channel", "campaign", "clicks", "spend") == [
        (date(2026, 9, 2), "affiliate", "(none)", None, 6000),
        (date(2026, 9, 2), "chatgpt", "fall_trail", 214, 35_120),
        (date(2026, 9, 2), "microsoft_ads", "brand", 31, 2210),
        (date(2026, 9, 3), "chatgpt", "fall_trail", 201, 32_205),
    ]


# Orders ---------------------------------------------------------------------------------------------------------------


def test_shopify_orders_count_once_and_by_the_relay_s_rules(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "orders_shopify.csv", "orders_shopify")
    assert picked(rows["orders"], "order_id", "at_ms", "value", "counts", "why_not") == [
        ("6184203910411", ms("2026-09-02T09:41:10-04:00"), 12_990, True, None),
        ("6184203910412", ms("2026-09-02T13:02:40-04:00"), 9900, True, None),
        ("6184203910413", ms("2026-09-03T20:14:57-04:00"), 9720, True, None),
        ("6184203910414", ms("2026-09-04T07:00:00-04:00"), 4500, False, "waiting_for_payment"),
        ("6184203910415", ms("2026-09-05T07:00:00-04:00"), 4500, False, "cancelled"),
        ("6184203910416", ms("2026-09-06T07:00:00-04:00"), 4500, False, "test_order"),
    ]
    assert {row["source"] for row in rows["orders"]} == {"shopify"}
    assert "orders_shopify.csv: 1 line with further items of the order before." in notes


@pytest.mark.parametrize(
    ("status", "paid", "cancelled", "source", "why_not"),
    [
        ("authorized", "", "", "web", None),
        ("partially_paid", "", "", "web", None),
        ("refunded", "2026-09-02 10:00:00 -0400", "", "web", None),
        ("refunded", "", "", "web", "payment_refunded"),
        ("paid", "2026-09-02 10:00:00 -0400", "2026-09-03 10:00:00 -0400", "web", None),
        ("paid", "", "2026-09-03 10:00:00 -0400", "web", "cancelled"),
        ("voided", "", "", "web", "payment_voided"),
        ("expired", "", "", "web", "payment_expired"),
        ("pending", "", "", "pos", "waiting_for_payment"),
        ("", "", "", "web", "waiting_for_payment"),
        ("paid", "2026-09-02 10:00:00 -0400", "", "subscription_contract_checkout_one", "subscription_renewal"),
    ],
)
def test_whether_a_shopify_order_counts(
    tmp_path: Path, status: str, paid: str, cancelled: str, source: str, why_not: str | None
) -> None:
    (tmp_path / "a.csv").write_text(
        "Name,Id,Financial Status,Created at,Paid at,Cancelled at,Currency,Total,Source\n"
        f"#1,61,{status},2026-09-02 09:00:00 -0400,{paid},{cancelled},USD,10.00,{source}\n"
    )
    rows, _ = imported(tmp_path, entry("orders_shopify", file="a.csv"))
    assert picked(rows["orders"], "counts", "why_not") == [(why_not is None, why_not)]


def test_a_status_that_shopify_does_not_have_is_refused(tmp_path: Path) -> None:
    content = "Name,Id,Financial Status,Created at,Paid at,Currency,Total\n#1,61,sold,2026-09-02 09:00 -0400,,USD,1\n"
    assert "a.csv:2: the financial status is none that is known. Shopify's are paid" in refused(
        tmp_path, content, "orders_shopify"
    )


def test_stripe_payments(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "orders_stripe.csv", "orders_stripe")
    assert picked(rows["orders"], "order_id", "at_ms", "value", "counts", "why_not") == [
        ("ch_3SNa0001", ms("2026-09-02T13:41:12+00:00"), 12_990, True, None),
        ("ch_3SNa0002", ms("2026-09-02T17:02:44+00:00"), 9900, True, None),
        ("ch_3SNa0003", ms("2026-09-03T08:00:00+00:00"), 4500, False, "payment_failed"),
        ("ch_3SNa0004", ms("2026-09-03T09:00:00+00:00"), 4500, False, "test_mode"),
    ]
    by_intent, _ = sample(tmp_path, "orders_stripe.csv", "orders_stripe", ids="intent")
    assert by_intent["orders"][0]["order_id"] == "pi_3SNa0001"


def test_a_status_that_stripe_does_not_have_is_refused(tmp_path: Path) -> None:
    content = "id,Created date (UTC),Amount,Currency,Status\nch_1,2026-09-02 10:00,1,usd,Sold\n"
    assert "a.csv:2: the status is none that is known. Stripe's are Paid" in refused(tmp_path, content, "orders_stripe")


def test_orders_of_any_shop(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "orders.csv", "orders")
    assert picked(rows["orders"], "order_id", "source", "type", "value", "counts", "why_not") == [
        ("A-1001", "shop", "order_created", 12_990, True, None),
        ("A-1002", "shop", "order_created", 9900, True, None),
        ("A-1003", "shop", "order_created", 4500, False, "waiting_for_payment"),
    ]


def test_an_order_that_another_export_calls_by_its_name_gets_its_id(tmp_path: Path) -> None:
    shutil.copy(starter.SAMPLES / "orders_shopify.csv", tmp_path)
    (tmp_path / "links.csv").write_text("order_id,person\n#1001,p1\n1002,p2\n6184203910413,p3\n#9,p4\n")
    rows, notes = imported(
        tmp_path, entry("links", file="links.csv"), entry("orders_shopify", file="orders_shopify.csv")
    )
    assert picked(rows["links"], "order_id", "person") == [
        ("#9", "p4"), ("6184203910411", "p1"), ("6184203910412", "p2"), ("6184203910413", "p3"),
    ]  # fmt: skip
    assert "links: 2 rows called the order by its name; it has the order book's id now." in notes


# GA4 ------------------------------------------------------------------------------------------------------------------


def test_a_ga4_exploration(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "ga4_exploration.csv", "ga4_exploration", currency="USD")
    assert picked(rows["sessions"], "day", "channel", "campaign", "sessions", "engaged", "micro", "macro", "value") == [
        (date(2026, 9, 2), "ai_assistant", "(none)", 18, 15, 3, 1, 9900),
        (date(2026, 9, 2), "chatgpt", "fall_trail", 212, 148, 31, 12, 118_800),
        (date(2026, 9, 2), "google_ads", "brand", 301, 201, 30, 18, 153_050),
        (date(2026, 9, 2), "organic_search", "(none)", 331, 202, 22, 12, 96_800),
        (date(2026, 9, 3), "chatgpt", "fall_trail", 198, 131, 24, 10, 94_100),
        (date(2026, 9, 3), "direct", "(none)", 258, 145, 11, 8, 58_100),
    ]


def test_a_ga4_exploration_without_a_source_or_a_step_is_refused(tmp_path: Path) -> None:
    whole = "Date,Session source / medium,Sessions,Engaged sessions,Checkouts,Key events\n20260902,a / b,1,1,1,1\n"
    assert "there is no column for micro (it may be called checkouts, add to carts" in refused(
        tmp_path, whole.replace("Checkouts", "Steps"), "ga4_exploration"
    )
    assert (
        "a.csv:1: there is no column for source_medium (session source / medium, session source/medium) or source"
        in refused(tmp_path, whole.replace("Session source / medium", "Country"), "ga4_exploration")
    )
    assert 'its currency is missing. Add a column currency, or say which it is: currency = "USD".' in refused(
        tmp_path, whole.replace("Key events", "Key events,Total revenue").replace("1\n", "1,5\n"), "ga4_exploration"
    )


def test_an_exploration_that_lacks_rows_of_its_own_total_is_refused(tmp_path: Path) -> None:
    content = (starter.SAMPLES / "ga4_exploration.csv").read_text()
    said = refused(tmp_path, content.replace(",,,1318,", ",,,2000,"), "ga4_exploration", currency="USD")
    assert "a.csv: its rows have 1,318 of the 2,000 sessions of its own total. An export has the rows" in said


def test_steps_are_never_more_than_the_visits_of_their_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "Date,Session source,Session medium,Sessions,Engaged sessions,Checkouts,Key events\n20260902,a,b,3,4,5,6\n"
    )
    rows, _ = imported(tmp_path, entry("ga4_exploration", file="a.csv"))
    assert picked(rows["sessions"], "sessions", "engaged", "micro", "macro") == [(3, 3, 3, 3)]


def test_ga4_transactions(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "ga4_transactions.csv", "ga4_transactions", currency="USD")
    noon = [ms(f"2026-09-0{day}T12:00:00-04:00") for day in (2, 2, 3)]
    assert picked(rows["purchases"], "order_id", "at_ms", "channel", "campaign", "value") == [
        ("#1002", noon[1], "organic_search", "(none)", 9900),
        ("6184203910411", noon[0], "chatgpt", "fall_trail", 12_990),
        ("6184203910413", noon[2], "direct", "(none)", 9900),
    ]
    assert "ga4_transactions.csv: 1 row without a transaction id left out." in notes


def test_ga4_transactions_may_name_who_bought(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Transaction ID,Date,Source / medium,Client ID\n61,20260902,chatgpt / cpc,1.1\n")
    rows, _ = imported(tmp_path, entry("ga4_transactions", file="a.csv"))
    assert picked(rows["purchases"], "person", "campaign", "value") == [("1.1", "(none)", None)]
    assert picked(rows["links"], "order_id", "person") == [("61", "1.1")]


# CRM ------------------------------------------------------------------------------------------------------------------


def test_hubspot_deals(tmp_path: Path) -> None:
    rows, _ = sample(
        tmp_path, "hubspot_deals.csv", "hubspot_deals", time_zone="America/New_York",
        sources={"Paid Search": "google_ads"},
    )  # fmt: skip
    assert picked(rows["crm"], "lead", "stage", "at_ms", "channel", "value") == [
        ("7001", "opportunity", ms("2026-09-02T09:12-04:00"), "ai_assistant", 480_000),
        ("7001", "won", ms("2026-09-21T16:40-04:00"), "ai_assistant", 480_000),
        ("7002", "opportunity", ms("2026-09-05T11:00-04:00"), "organic_search", 210_000),
        ("7003", "lost", ms("2026-09-28T10:00-04:00"), "google_ads", None),
        ("7003", "opportunity", ms("2026-09-08T08:30-04:00"), "google_ads", None),
    ]


def test_hubspot_contacts(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "hubspot_contacts.csv", "hubspot_contacts", time_zone="UTC")
    assert picked(rows["crm"], "lead", "stage", "day", "channel", "campaign") == [
        ("801", "lead", date(2026, 9, 2), "chatgpt", "fall_trail"),
        ("801", "mql", date(2026, 9, 3), "chatgpt", "fall_trail"),
        ("801", "opportunity", date(2026, 9, 8), "chatgpt", "fall_trail"),
        ("801", "sql", date(2026, 9, 5), "chatgpt", "fall_trail"),
        ("802", "lead", date(2026, 9, 3), "direct", "(none)"),
        ("802", "mql", date(2026, 9, 4), "direct", "(none)"),
    ]


def test_salesforce_opportunities(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "salesforce_opportunities.csv", "salesforce_opportunities", dates="month first")
    assert picked(rows["crm"], "lead", "stage", "day", "channel", "campaign", "value") == [
        ("006000000000001", "opportunity", date(2026, 9, 2), "word_of_mouth", "(none)", 480_000),
        ("006000000000001", "won", date(2026, 9, 21), "word_of_mouth", "(none)", 480_000),
        ("006000000000002", "opportunity", date(2026, 9, 5), "offline", "expo_2026", 210_000),
    ]


def test_salesforce_leads(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "salesforce_leads.csv", "salesforce_leads", dates="month first")
    assert picked(rows["crm"], "lead", "stage", "day", "channel") == [
        ("00Q000000000001", "lead", date(2026, 9, 2), "referral"),
        ("00Q000000000001", "sql", date(2026, 9, 6), "referral"),
        ("00Q000000000002", "lead", date(2026, 9, 3), "unknown"),
        ("00Q000000000002", "mql", date(2026, 9, 3), "unknown"),
    ]


def test_a_crm_of_any_kind_and_the_earliest_time_of_a_stage(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "crm.csv", "crm")
    assert picked(rows["crm"], "lead", "stage", "channel", "order_id", "value") == [
        ("L-1", "lead", "chatgpt", None, None),
        ("L-1", "mql", "chatgpt", None, None),
        ("L-1", "won", "chatgpt", "6184203910411", 12_990),
        ("L-2", "lead", "email", None, None),
    ]
    (tmp_path / "b.csv").write_text("lead,stage,at\nL,mql,2026-09-05\nL,mql,2026-09-03\n")
    again, notes = imported(tmp_path, entry("crm", file="b.csv"))
    assert picked(again["crm"], "day") == [(date(2026, 9, 3),)]
    assert (
        "b.csv: 1 row of crm dropped, whose lead, stage stand in another row too (line 2); the earliest counts."
        in notes
    )


def test_words_of_a_crm_that_nobody_has_explained_are_listed(tmp_path: Path) -> None:
    content = "lead,stage,at,source\n1,Demo,2026-09-02,email\n2,Demo,2026-09-02,email\n3,Trial,2026-09-02,email\n"
    said = refused(tmp_path, content, "crm")
    assert "a.csv:2: these words of the column of the stage are not mapped: »Demo« (2), »Trial« (1)." in said
    assert (
        'Say under [input.stages] what each means, such as "Demo" = "lead" (lead, mql, sql, opportunity, won, lost).'
        in said
    )
    rows, _ = imported(tmp_path, entry("crm", file="a.csv", stages={"demo": "sql", "Trial": "opportunity"}))
    assert picked(rows["crm"], "stage") == [("sql",), ("sql",), ("opportunity",)]


def test_a_source_that_may_be_anybody_s_ads_is_asked_for(tmp_path: Path) -> None:
    said = refused(tmp_path, "lead,stage,at,source\n1,lead,2026-09-02,Paid Search\n", "crm")
    assert (
        "these words of the column of the source are not mapped: »Paid Search« (1). Say under [input.sources]" in said
    )


def test_a_crm_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    said = refused(tmp_path, "Record ID,Deal Stage,Create Date\n1,Closed Won,2026-09-02 10:00\n", "hubspot_deals")
    assert 'column Create Date: its time zone is missing. Export it with one, or say which it is: time_zone = "' in said


# Surveys --------------------------------------------------------------------------------------------------------------


def test_fairing(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "fairing.csv", "fairing")
    assert picked(rows["survey"], "answer_id", "order_id", "at_ms", "answer", "channel") == [
        ("r1", "6184203910411", ms("2026-09-02T13:44:01+00:00"), "ChatGPT (ad)", "chatgpt"),
        ("r2", "6184203910412", ms("2026-09-02T17:05:00+00:00"), FREE_TEXT, "other"),
        ("r3", "6184203910413", ms("2026-09-04T00:16:10+00:00"), "ChatGPT", "ai_assistant"),
    ]
    assert "fairing.csv: 1 answer to other questions left out." in notes
    assert any("1 answer ChatGPT that may mean the ad or not; counted as ai_assistant." in each for each in notes)
    assert not any("Elm" in each for each in notes)


def test_what_a_bare_chatgpt_means_can_be_decided(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "fairing.csv", "fairing", chatgpt="chatgpt")
    assert rows["survey"][2]["channel"] == "chatgpt"
    assert not any("may mean the ad" in each for each in notes)


def test_an_answer_of_chatgpt_that_says_so_stays_one_whatever_a_bare_one_means(tmp_path: Path) -> None:
    words = [
        "ChatGPT",
        "ChatGPT (answer)",
        "I asked ChatGPT",
        "ChatGPT recommended you",
        "A sponsored answer in ChatGPT",
    ]
    (tmp_path / "a.csv").write_text(
        "order_id,at,answer\n" + "".join(f"{at},2026-09-02T10:00:00Z,{each}\n" for at, each in enumerate(words))
    )
    rows, _ = imported(tmp_path, entry("survey", file="a.csv", chatgpt="chatgpt"))
    assert picked(rows["survey"], "answer", "channel") == [
        ("ChatGPT", "chatgpt"),
        ("ChatGPT (answer)", "ai_assistant"),
        ("ChatGPT (answer)", "ai_assistant"),
        ("ChatGPT (answer)", "ai_assistant"),
        ("ChatGPT (ad)", "chatgpt"),
    ]


def test_knocommerce(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "knocommerce.csv", "knocommerce")
    assert picked(rows["survey"], "answer_id", "order_id", "answer", "channel") == [
        ("k1", "6184203910411", "ChatGPT (ad)", "chatgpt"),
        ("k2", "6184203910412", "Facebook or Instagram", "organic_social"),
    ]


def test_typeform_has_a_column_a_question(tmp_path: Path) -> None:
    rows, notes = sample(tmp_path, "typeform.csv", "typeform")
    assert picked(rows["survey"], "answer_id", "order_id", "answer", "channel") == [
        ("odwdp4nzj1xg6m9l36", "6184203910411", "ChatGPT (ad)", "chatgpt"),
        ("odwdp4nzj1xg6m9l37", "6184203910412", FREE_TEXT, "other"),
    ]
    assert "typeform.csv: 1 row without an answer left out." in notes


def test_a_typeform_whose_question_is_not_clear_asks_for_it(tmp_path: Path) -> None:
    content = (
        "#,How did you hear about us?,Where did you hear about us?,Submit Date (UTC)\na,TV,Radio,2026-09-02 10:00:00\n"
    )
    said = refused(tmp_path, content, "typeform")
    assert "more than one column could be how people heard of you. Name its heading: question = " in said
    (tmp_path / "a.csv").write_text(content)
    rows, _ = imported(tmp_path, entry("typeform", file="a.csv", question="Where did you hear about us?"))
    assert picked(rows["survey"], "answer", "channel") == [("Offline", "offline")]


def test_a_survey_of_any_tool(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "survey.csv", "survey")
    assert picked(rows["survey"], "answer_id", "answer", "channel") == [
        ("order:6184203910411", "ChatGPT (ad)", "chatgpt"),
        ("order:6184203910412", "Friend or family", "word_of_mouth"),
        ("order:6184203910413", "Search engine", "organic_search"),
    ]


def test_options_of_ones_own_come_first_and_keep_their_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,answer\n2026-09-02T10:00:00Z,the BIG blue bus\n2026-09-02T11:00:00Z,Google\n")
    rows, notes = imported(
        tmp_path, entry("survey", file="a.csv", options={"The big blue bus": "offline", "Google": "google_ads"})
    )
    assert picked(rows["survey"], "answer", "channel") == [("The big blue bus", "offline"), ("Google", "google_ads")]
    assert "a.csv: The big blue bus is offline (1); Google is google_ads (1)." in notes


def test_nobody_s_own_words_are_kept(tmp_path: Path) -> None:
    words = ["my friend Ann Lee told me", "Jo from accounting (jo@example.com)", "x" * 61 + " google", "zzz"]
    (tmp_path / "a.csv").write_text("at,answer\n" + "".join(f"2026-09-02T10:00:00Z,{each}\n" for each in words))
    rows, notes = imported(tmp_path, entry("survey", file="a.csv"))
    assert {row["answer"] for row in rows["survey"]} == {"Friend or family", FREE_TEXT}
    assert any("3 answers fit no option and no pattern; counted as other, text not kept." in each for each in notes)
    assert not any("Ann" in each or "jo@" in each for each in notes)


@pytest.mark.parametrize(
    ("answer", "channel"),
    [
        ("ChatGPT ad", "chatgpt"), ("An ad in ChatGPT", "chatgpt"), ("Sponsored result in Chat GPT", "chatgpt"),
        ("Werbung in ChatGPT", "chatgpt"), ("ChatGPT (answer)", "ai_assistant"), ("AI assistant", "ai_assistant"),
        ("ChatGPT, Gemini or another AI", "ai_assistant"), ("Perplexity", "ai_assistant"),
        ("Google ad", "google_ads"), ("Google", "organic_search"), ("Facebook ad", "meta_ads"),
        ("Instagram", "organic_social"), ("TikTok ad", "tiktok_ads"), ("TikTok", "organic_social"),
        ("YouTube", "organic_social"), ("Bing ads", "microsoft_ads"), ("Friend or family", "word_of_mouth"),
        ("Podcast", "offline"), ("Newsletter", "email"), ("Blog or article", "referral"), ("Other", "other"),
        ("I don't remember", "unknown"), ("I already knew you", "direct"), ("Coupon site", "affiliate"),
    ],
)  # fmt: skip
def test_options_that_surveys_offer(answer: str, channel: str) -> None:
    found = meant(answer)
    assert found is not None
    assert found[1] == channel
    assert channel in CHANNELS


# Touches and sales ----------------------------------------------------------------------------------------------------


def test_touches_and_links(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "touches.csv", "touches")
    assert picked(rows["touches"], "person", "at_ms", "day", "channel", "campaign", "kind", "origin") == [
        ("1234567890.1756700000", ms("2026-09-01T10:00:00+00:00"), date(2026, 9, 1), "chatgpt", "fall_trail", "click",
         "file"),
        ("1234567890.1756700000", ms("2026-09-02T13:20:00+00:00"), date(2026, 9, 2), "direct", "(none)", "visit",
         "file"),
        ("987654321.1756800000", ms("2026-09-02T08:00:00+00:00"), date(2026, 9, 2), "organic_search", "(none)", "visit",
         "file"),
    ]  # fmt: skip
    links, _ = sample(tmp_path, "links.csv", "links")
    assert picked(links["links"], "order_id") == [("6184203910411",), ("6184203910412",)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "person,at\np,2026-09-02T10:00:00Z\n",
            "a.csv:1: there is no column for channel (channel) or source (source, utm source).",
        ),
        ("person,at,channel\np,2026-09-02T10:00:00Z,ads\n", "a.csv:2: the channel is none that is known."),
        (
            "person,at,channel,kind\np,2026-09-02T10:00:00Z,email,hug\n",
            "a.csv:2: the kind is none of click, visit, view.",
        ),
        ("person,at,channel\np,2026-09-02 10:00:00,email\n", "a.csv:2: column at: its time zone is missing."),
    ],
)
def test_touches_that_cannot_be_used(tmp_path: Path, content: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, content, "touches")


def test_sales_by_market(tmp_path: Path) -> None:
    rows, _ = sample(tmp_path, "sales.csv", "sales")
    assert picked(rows["sales"], "day", "market", "conversions", "value")[0] == (date(2026, 9, 1), "US-CA", 42, 401_100)


# The starter ----------------------------------------------------------------------------------------------------------


def test_the_folder_to_begin_with_loads_as_it_is(tmp_path: Path) -> None:
    written = starter.begin(tmp_path / "ours")
    ours = load(tmp_path / "ours" / "measurement.toml")
    done = inputs.run(ours, tmp_path / "workspace")
    assert {path.name for path in written} >= {each.options["file"] for each in ours.inputs}
    assert {name for name, count in done.rows.items() if count} == {
        "orders", "touches", "links", "ads", "sessions", "purchases", "crm", "survey", "sales",
    }  # fmt: skip


def test_the_settings_to_begin_with_name_what_the_first_sentence_needs(tmp_path: Path) -> None:
    starter.begin(tmp_path)
    written = (tmp_path / "measurement.toml").read_text()
    for kind in ("ledger", "dynamodb_export", "relay_logs", "openai_insights"):
        assert f'# kind = "{kind}"' in written


def test_every_kind_of_file_has_a_sample_that_the_settings_name(tmp_path: Path) -> None:
    starter.begin(tmp_path)
    settings = tmp_path / "measurement.toml"
    lines = settings.read_text().splitlines()
    uncommented = "\n".join(
        line[2:] if line.startswith("# ") and ("=" in line or "[[" in line) else line for line in lines
    )
    uncommented = uncommented.replace("days = 90 ", "# days = 90 ")
    settings.write_text(uncommented)
    ours = load(settings)
    assert {each.kind for each in ours.inputs} >= set(OPTIONS)
    assert [each.kind for each in ours.tests] == ["geo"]
    for each in ours.inputs:
        if each.kind not in ("ga4_bigquery", "ga4_api", "ledger", "relay_logs", "dynamodb_export", "openai_insights"):
            assert list(IMPORTERS[each.kind](each, ours)), each.kind


def test_a_folder_that_has_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "spend.csv").write_text("mine")
    with pytest.raises(BadInput, match=r"spend\.csv: is there already\. Name another folder, or move it away"):
        starter.begin(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["spend.csv"]
    with pytest.raises(BadInput, match="cannot be written"):
        starter.begin(tmp_path / "spend.csv" / "below")


@pytest.mark.parametrize("kind", sorted(set(OPTIONS) - {"ga4_api", "ga4_bigquery"}))
def test_nothing_personal_of_a_sample_reaches_a_table_or_a_note(tmp_path: Path, kind: str) -> None:
    # Given the sample of an export with e-mail addresses, names and a free text
    options = {"currency": "USD", "dates": "month first", "time_zone": "UTC", "sources": {"Paid Search": "google_ads"}}
    # When it is imported
    rows, notes = sample(tmp_path, f"{kind}.csv", kind, **options)
    # Then none of it is in a table or in what is said
    kept = "\n".join([*map(repr, rows.values()), *notes])
    assert not re.search(r"@|Example|Ada\b|Bluebay|Harbour|neighbour|sister|door", kept)
