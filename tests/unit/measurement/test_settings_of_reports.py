"""measurement.toml: what it means, and a sentence with its line for every mistake."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurement.inputs.rows import BadRows
from measurement.problems import BadInput
from measurement.settings import Settings, load
from measurement.settings import Test as ShopTest

GOOD = """\
[report]
shop = "Northwind Trail"
time_zone = "America/New_York"
currency = "USD"
first = 2026-09-01
last = 2026-09-30

[[input]]
kind = "spend"
file = "a.csv"
"""
PERIOD = "first = 2026-09-01\nlast = 2026-09-30"
TEST = '\n[[test]]\nname = "Spring"\nkind = "geo"\nfirst = 2026-09-01\nlast = 2026-09-14\nmarkets = ["US-OR"]\n'


def loaded(folder: Path, written: str) -> Settings:
    (folder / "measurement.toml").write_text(written, encoding="utf-8")
    return load(folder / "measurement.toml", today=date(2026, 11, 29))


def refused(folder: Path, written: str) -> BadInput:
    with pytest.raises(BadInput) as problem:
        loaded(folder, written)
    return problem.value


def test_the_smallest_settings_say_what_is_assumed(tmp_path: Path) -> None:
    ours = loaded(tmp_path, GOOD)
    assert (ours.shop, ours.time_zone.key, ours.currency) == ("Northwind Trail", "America/New_York", "USD")
    assert (ours.first, ours.last) == (date(2026, 9, 1), date(2026, 9, 30))
    assert (ours.conversion_type, ours.threshold, ours.folder) == ("order_created", 0.02, tmp_path)
    assert [(each.kind, each.options["file"], each.line) for each in ours.inputs] == [("spend", "a.csv", 8)]
    assert ours.rates == {}
    assert ours.tests == ()


def test_everything_can_be_said(tmp_path: Path) -> None:
    ours = loaded(
        tmp_path,
        GOOD.replace(PERIOD, 'days = 90\nthreshold = 0.05\nconversion_type = "lead_created"')
        + '[input.columns]\nday = "Tag"\n[rates]\nEUR = 1.0825\nJPY = 1\n[channels]\n"partner-*" = "affiliate"\n'
        '"Bing / *" = "microsoft_ads"\n' + TEST
        + '[[test]]\nname = "Pause"\nkind = "on_off"\nads = "on"\n'
        "spans = [[2026-08-10, 2026-08-16], [2026-08-01, 2026-08-07]]\n",
    )  # fmt: skip
    assert (ours.first, ours.last) == (date(2026, 8, 31), date(2026, 11, 28))
    assert (ours.threshold, ours.conversion_type) == (0.05, "lead_created")
    assert ours.rates == {"EUR": Decimal("1.0825"), "JPY": Decimal(1)}
    assert ours.inputs[0].options["columns"] == {"day": "Tag"}
    assert ours.channels == (("partner-* / *", "affiliate"), ("Bing / *", "microsoft_ads"))
    assert ours.tests == (
        ShopTest("Spring", "geo", ((date(2026, 9, 1), date(2026, 9, 14)),), ("US-OR",), "off"),
        ShopTest(
            "Pause", "on_off", ((date(2026, 8, 1), date(2026, 8, 7)), (date(2026, 8, 10), date(2026, 8, 16))), (), "on"
        ),
    )


def test_days_count_back_from_yesterday_in_the_report_s_zone(tmp_path: Path) -> None:
    (tmp_path / "measurement.toml").write_text(GOOD.replace("first = 2026-09-01\nlast = 2026-09-30", "days = 1"))
    ours = load(tmp_path / "measurement.toml")
    assert ours.first == ours.last < date.today()  # noqa: DTZ011 - an order that holds in every zone


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("shop = ", "shopp = ", 2, "there is no setting shopp. Did you mean shop?"),
        ('shop = "Northwind Trail"', "", 1, 'shop is missing. Write shop = "My shop".'),
        ('"Northwind Trail"', "3", 2, "shop is no text. Write shop"),
        ('"Northwind Trail"', "Northwind", 2, "is no TOML: Invalid value. Texts stand in quotes"),
        ('time_zone = "America/New_York"', "", 1, 'time_zone is missing. Write that of the shop, time_zone = "America'),
        ("America/New_York", "New York", 3, "time_zone is no time zone. Write it as America/New_York or Eur"),
        ("America/New_York", "../etc/passwd", 3, "time_zone is no time zone."),
        ('currency = "USD"', "", 1, 'currency is missing. Write that of the report, currency = "USD".'),
        ("USD", "BGN", 4, "currency is no ISO 4217 code that is in use."),
        ("first = 2026-09-01\nlast = 2026-09-30", "", 1, "the period is missing. Write first = 2026-09-01"),
        ("first = 2026-09-01", "first = 2026-10-01", 6, "last, 2026-09-30, is before first, 2026-10-01. Exchange"),
        ("first = 2026-09-01", "first = 1926-10-01", 6, "the period is longer than ten years. Correct first or last."),
        ("first = 2026-09-01", 'first = "1.9.2026"', 5, "first is no day. Write it as 2026-09-30."),
        ("first = 2026-09-01", 'first = "2026-09-31"', 5, "first is no day."),
        ("first = 2026-09-01", "days = 9", 5, "days stands beside first or last. Keep one of the two."),
        ("first = 2026-09-01\nlast = 2026-09-30", "days = 0", 5, "days is no number from 1 on. Write days = 90"),
        ("currency", "threshold = 2\ncurrency", 4, "threshold is no share from 0 to below 1. Write 0.02 for 2 %."),
        ("currency", "threshold = true\ncurrency", 4, "threshold is no share from 0 to below 1."),
        ("currency", 'conversion_type = ""\ncurrency', 4, "conversion_type is no text. Write the type of an event."),
        ("[[input]]", "[rates]\nEURO = 1\n[[input]]", 9, "EURO is no ISO 4217 code that is in use. Write it as EUR."),
        ("[[input]]", '[rates]\nEUR = "1"\n[[input]]', 9,
         "the rate of EUR is no number above 0 and up to 1,000,000. Write what 1 EUR"),
        ("[[input]]", "[rates]\nEUR = nan\n[[input]]", 9, "the rate of EUR is no number above 0 and up to"),
        ("[[input]]", "[rates]\nEUR = 1e300\n[[input]]", 9, "the rate of EUR is no number above 0 and up to"),
        (PERIOD, PERIOD + '\nconversion_type = "order_craeted"', 7,
         "order_craeted is no type of an event. Did you mean order_created?"),
        (PERIOD, PERIOD + '\nconversion_type = "sale"', 7, "sale is no type of an event. There are page_viewed,"),
        ("[[input]]", "[rates]\nEUR = inf\n[[input]]", 9, "the rate of EUR is no number above 0 and up to"),
        ("[[input]]", "[rates]\nUSD = 2\n[[input]]", 9, "USD is the report's own currency. Take its rate out."),
        ('[[input]]\nkind = "spend"\nfile = "a.csv"', "", None, "it names no input. Add [[input]] with kind and file"),
        ("[[input]]", "[input]", 8, "[input] may stand there more than once. Write [[input]], with two brackets."),
        ('kind = "spend"', 'kind = "spent"', 9, "there is no kind spent of input. Did you mean spend?"),
        ('kind = "spend"', "", 8, "kind is missing. Kinds are crm, "),
        ("file = ", "flie = ", 10, "there is no option for spend flie. Did you mean file?"),
        ("file = ", 'currency = "GBP"\nfile = ', 10, "GBP has no rate. Say under [rates] what 1 GBP is worth in USD."),
        ("file = ", 'currency = "Pound"\nfile = ', 10, "Pound is no ISO 4217 code that is in use. Write it as EUR."),
        ("file = ", "columns = 1\nfile = ", 10, "columns is no section. Write [input.columns] below the input"),
        ("file = ", 'channel = "chatgtp"\nfile = ', 10, "chatgtp is no channel. Did you mean chatgpt?"),
        ('"spend"', '"survey"\nchatgpt = "ad"', 10, "chatgpt is neither chatgpt nor ai_assistant."),
        ('"spend"\nfile = "a.csv"', '"survey"\nfile = "a.csv"\n[input.options]\nFriends = "friends"', 12,
         "friends is no channel. Channels are chatgpt, google_ads"),
        ("[[input]]", '[channels]\n"x / y" = "unknown"\n[[input]]', 9, "unknown is no channel."),
        ("[report]", "[reports]", 1, "there is no section reports. Did you mean report?"),
        ("[[input]]", "rates = 1\n[[input]]", 8, "there is no setting rates."),
    ],
)  # fmt: skip
def test_a_mistake_says_its_line_and_what_to_do(
    tmp_path: Path, old: str, new: str, line: int | None, sentence: str
) -> None:
    assert old in GOOD
    problem = refused(tmp_path, GOOD.replace(old, new, 1))
    place = f"{tmp_path / 'measurement.toml'}" + (f":{line}" if line else "")
    assert f"{place}: {sentence}" in str(problem)


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ('name = "Spring"\n', "", 12, 'name is missing. Write name = "Holdout in spring".'),
        ('"geo"', '"ab"', 14, "kind is neither geo nor on_off. geo compares markets, on_off compares days."),
        ('markets = ["US-OR"]\n', "", 12, "a geo test names no markets. Write those that were changed"),
        ('["US-OR"]', '"US-OR"', 17, "markets is no list of texts. Write markets = "),
        ('["US-OR"]', '["US-OR", "US-OR"]', 17, "a market stands there twice. Take one out."),
        ('"geo"', '"on_off"', 17, "an on_off test has no markets. Take them out, or write kind"),
        ("markets", 'ads = "maybe"\nmarkets', 17, "ads is neither off nor on. Say what was changed in these markets."),
        ("last = 2026-09-14", "last = 2026-08-14", 12, "a span ends before it begins, 2026-09-01 to 2026-08-14."),
        ("last = 2026-09-14\n", "", 12, "last is no day. Write it as 2026-09-30."),
        ("last = 2026-09-14", "spans = [[2026-09-01, 2026-09-02]]", 16, "spans stands beside first or last."),
        ("first = 2026-09-01\nlast = 2026-09-14", "spans = [2026-09-01]", 15, "spans is no list of first and last"),
        ("first = 2026-09-01\nlast = 2026-09-14", "spans = [[2026-09-01, 2026-09-07], [2026-09-07, 2026-09-09]]", 15,
         "two spans overlap on 2026-09-07. Days are inclusive: let the next begin a day later."),
        ("markets", "weeks = 2\nmarkets", 17, "there is no setting of a test weeks."),
    ],
)  # fmt: skip
def test_a_mistake_in_a_test_says_its_line(tmp_path: Path, old: str, new: str, line: int, sentence: str) -> None:
    assert old in TEST
    problem = refused(tmp_path, GOOD + TEST.replace(old, new, 1))
    assert f"measurement.toml:{line}: {sentence}" in str(problem)


def test_two_tests_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "two tests have the same name. Give each its own." in str(refused(tmp_path, GOOD + TEST + TEST))


def test_several_mistakes_are_said_at_once(tmp_path: Path) -> None:
    written = GOOD.replace("shop", "shopp").replace('"USD"', '"Dollar"').replace("file", "flie")
    problem = refused(tmp_path, written)
    assert isinstance(problem, BadRows)
    assert [each.line for each in problem.problems] == [2, 1, 4, 10]


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"cannot be read .*relay report init FOLDER writes one to begin with"):
        load(tmp_path / "measurement.toml")
    (tmp_path / "measurement.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"is not in UTF-8\. Save it as UTF-8"):
        load(tmp_path / "measurement.toml")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(GOOD)), until=st.integers(0, 12), put=st.text(max_size=8))
def test_whatever_is_changed_it_loads_or_says_why(tmp_path: Path, at: int, until: int, put: str) -> None:
    said = str(tmp_path)
    try:
        ours = loaded(tmp_path, GOOD[:at] + put.encode("utf-8", "replace").decode() + GOOD[at + until :])
        assert ours.first <= ours.last
    except BadInput as problem:
        said = str(problem)
    assert said.startswith(str(tmp_path))
