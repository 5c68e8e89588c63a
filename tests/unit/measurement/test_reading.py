"""A file as checked rows: encodings, headings, cells, and a sentence for everything that is wrong."""

from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay import identity
from measurement.inputs import IMPORTERS
from measurement.inputs.cells import (
    Format,
    Unreadable,
    day,
    flag,
    minor_units,
    moment,
    number,
    order_id,
    person,
    shape,
    text,
    whole,
)
from measurement.inputs.rows import BadRows, completed
from measurement.problems import BadInput
from measurement.tables import TABLES
from tests.unit.measurement import importing
from tests.unit.measurement.importing import entry, imported

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
SPEND = "day,channel,campaign,impressions,clicks,spend,currency\n"
ROW = "2026-09-02,chatgpt,fall,10,2,3.50,USD\n"
AS_READ = {
    "day": date(2026, 9, 2), "channel": "chatgpt", "campaign": "fall", "impressions": 10, "clicks": 2, "spend": 350,
}  # fmt: skip


def refused(folder: Path, content: str | bytes, kind: str = "spend", name: str = "a.csv", **options: Any) -> BadInput:
    """Why a file cannot be used."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as problem:
        imported(folder, entry(kind, file=name, **options))
    assert not list((folder / "workspace").glob("*")), "nothing is written when an input cannot be used"
    return problem.value


def ads(folder: Path, content: str | bytes, name: str = "a.csv", **options: Any) -> list[Any]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(imported(folder, entry("spend", file=name, **options))[0]["ads"])


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        (SPEND + ROW).encode(),
        (SPEND + ROW).encode("utf-8-sig"),
        (SPEND + ROW).encode("utf-16"),
        b"\xfe\xff" + (SPEND + ROW).encode("utf-16-be"),
        (SPEND + ROW).replace(",", ";").encode(),
        (SPEND + ROW).replace(",", "\t").encode("utf-16"),
        (SPEND + ROW).replace("\n", "\r\n").encode(),
        ("# made by hand\n\n" + SPEND + "\n" + ROW).encode(),
        ("Report of ads\n2026\n" + SPEND + ROW).encode(),
        ('"Report, all of it"\n' + SPEND + ROW).encode(),
        (SPEND.upper() + ROW).encode(),
        (SPEND.replace("day", " Date ").replace("spend", "Amount_Spent") + ROW).encode(),
        (SPEND + ROW + "Total,,,10,2,3.50,USD\n").encode(),
        (SPEND + ROW + ROW).encode(),
    ],
)
def test_a_csv_is_read_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    assert ads(tmp_path, content) == [AS_READ]


def test_an_encoding_and_a_delimiter_can_be_said(tmp_path: Path) -> None:
    content = (SPEND + ROW.replace("fall", "Frühling")).replace(",", "|").encode("cp1252")
    assert ads(tmp_path, content, encoding="cp1252", delimiter="|")[0]["campaign"] == "Frühling"


def test_json_lines_are_read(tmp_path: Path) -> None:
    content = (
        '{"day": "2026-09-02", "channel": "chatgpt", "campaign": "fall", "impressions": 10, "clicks": 2, "spend": 3.5'
    )
    content += ', "currency": "USD"}\n\n{"day": "2026-09-03", "channel": "chatgpt", "spend": null}\n'
    rows = ads(tmp_path, content, name="a.jsonl")
    assert rows[0] == AS_READ
    assert rows[1] == {**AS_READ, "day": date(2026, 9, 3), "campaign": "(none)", "impressions": None, "clicks": None,
                       "spend": None}  # fmt: skip


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    held = pa.table(
        {
            "day": [date(2026, 9, 2)], "channel": ["chatgpt"], "campaign": ["fall"], "impressions": [10], "clicks": [2],
            "spend": [Decimal("3.50")], "currency": ["USD"],
        }
    )  # fmt: skip
    pq.write_table(held, tmp_path / "a.parquet")
    rows, _ = imported(tmp_path, entry("spend", file="a.parquet"))
    assert rows["ads"] == [AS_READ]


def test_a_parquet_float_is_the_amount_that_its_shortest_text_says(tmp_path: Path) -> None:
    held = pa.table({"day": ["20260902"], "channel": ["chatgpt"], "campaign": ["fall"], "spend": [0.1 + 0.2]})
    pq.write_table(held, tmp_path / "a.parquet")
    rows, _ = imported(tmp_path, entry("spend", file="a.parquet", currency="USD"))
    assert rows["ads"][0]["spend"] == 30


def test_a_pattern_names_several_files_and_a_list_does_too(tmp_path: Path) -> None:
    (tmp_path / "ads").mkdir()
    (tmp_path / "ads" / "1.csv").write_text(SPEND + ROW)
    (tmp_path / "ads" / "2.csv").write_text(SPEND + ROW.replace("09-02", "09-03"))
    assert len(imported(tmp_path, entry("spend", file="ads/*.csv"))[0]["ads"]) == 2
    assert len(imported(tmp_path, entry("spend", files=["ads/1.csv", "ads/2.csv"]))[0]["ads"]) == 2


def test_a_column_may_be_named_in_the_settings(tmp_path: Path) -> None:
    content = "Tag;Kosten\n02.09.2026;1.003,50\n"
    rows = ads(
        tmp_path, content, columns={"day": "Tag", "spend": "Kosten"}, dates="day first", decimal=",", thousands=".",
        currency="USD", channel="microsoft_ads",
    )  # fmt: skip
    assert rows == [{**AS_READ, "channel": "microsoft_ads", "campaign": "(none)", "impressions": None, "clicks": None,
                     "spend": 100_350}]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "name", "options", "sentence"),
    [
        ("", "a.csv", {}, "a.csv: it is empty. Export it anew for days with data, or take the input out."),
        ("\n\n", "a.csv", {}, "a.csv: it is empty."),
        ("day,channel,spend\n", "a.csv", {}, "a.csv: it has a heading and no rows. Export it anew for days with data"),
        ("Dy,channel,spend\nx,y,1\n", "a.csv", {}, "a.csv:1: there is no column for day (it may be called day, date)"),
        ("dates,channel,spend\n", "a.csv", {"columns": {"day": "dates1"}}, "called dates1), but one called dates."),
        ("dates,channel,cost\n", "a.csv", {"columns": {"dayz": "x"}}, "columns names dayz. It may name day, channel"),
        ("a@b.example,channel\n", "a.csv", {}, "There are: (e-mail address), channel. Export it with those columns"),
        ("+1 555 010 1234,channel\n", "a.csv", {}, "There are: (phone number), channel. Export it with those columns"),
        ("day,day,spend\n2026-09-02,2026-09-02,1\n", "a.csv", {}, "a.csv:1: two columns are called day. Take one"),
        (SPEND.encode() + b"\xff\xfe,\n", "a.csv", {}, "a.csv: it is not in UTF-8 from byte"),
        ((SPEND + ROW).encode("utf-16-le"), "a.csv", {}, 'Say so: encoding = "utf-16-le".'),
        (b"PK\x03\x04\x00\x00", "a.csv", {}, "a.csv: it is no text. Save it as CSV UTF-8 (comma delimited)."),
        ((SPEND + ROW).encode("utf-16")[:-1], "a.csv", {}, "a.csv: it is not in utf-16"),
        (SPEND + ROW, "a.csv", {"encoding": "klingon"}, "measurement.toml:7: [[input]] spend: encoding is none"),
        (SPEND + ROW, "a.csv", {"delimiter": ";;"}, "delimiter is not one character. Write delimiter"),
        (SPEND + ROW, "a.csv", {"dates": "any"}, "dates is neither iso, day first nor month first"),
        (SPEND + ROW, "a.csv", {"decimal": ",", "thousands": ","}, "decimal and thousands do not tell"),
        (SPEND + ROW, "a.csv", {"currency": "Dollar"}, "currency is no ISO 4217 code"),
        (SPEND + ROW, "a.csv", {"time_zone": "Mars/Base"}, "time_zone is no time zone. Write it as Europe/Berlin"),
        (SPEND + '"2026', "a.csv", {}, "a.csv: it is no CSV (unexpected end of data). Look for a quote"),
        (SPEND + ROW.strip() + ",more\n", "a.csv", {}, "a.csv:2: the row has 8 cells, the heading 7. Look for"),
        ("x", "a.xlsx", {}, "a.xlsx: xlsx is not read. Save it as CSV UTF-8 (comma delimited)."),
        ("x", "a.parquet", {}, "a.parquet: it is no Parquet file that can be read (ArrowInvalid). Export it anew."),
        ("{", "a.jsonl", {}, "a.jsonl:1: it is no JSON. Write one object a line."),
        ('{"\\ud800": 1}', "a.jsonl", {}, "a.jsonl:1: there is no column for day"),
        ('{"day": "2026-09-02", "channel": "\\ud800", "spend": 1}', "a.jsonl", {}, "column channel: it holds half a"),
        ("[1]", "a.jsonl", {}, "a.jsonl:1: it is no JSON object. Write one object a line."),
        ("", "a.jsonl", {}, "a.jsonl: it is empty."),
        (b"\xff", "a.jsonl", {}, "a.jsonl: it is not in utf-8. Write JSON in UTF-8."),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, content: str | bytes, name: str, options: dict[str, Any], sentence: str
) -> None:
    assert sentence in str(refused(tmp_path, content, name=name, **options))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "measurement.toml:7: [[input]] spend: names no file. Write file = "),
        ({"file": "b.csv"}, "there is no file b.csv. Correct the name, or take the input out."),
        ({"file": "b*.csv"}, "no file is called b*.csv. Correct the pattern"),
        ({"files": [1]}, "names no file"),
    ],
)
def test_a_file_that_is_not_there_is_said_with_the_line_of_its_input(
    tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadInput) as problem:
        imported(tmp_path, entry("spend", **options))
    assert sentence in str(problem.value)
    assert problem.value.line == 7


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("2026-09-31,chatgpt,fall,1,1,1,USD", "a.csv:2: column day: »9999-99-99« is no day of the calendar."),
        ("1999-09-30,chatgpt,fall,1,1,1,USD", "column day: »9999-99-99« is not between 2000 and 2099"),
        ("9/2/2026,chatgpt,fall,1,1,1,USD", 'Say which: dates = "day first" or dates = "month first".'),
        ("Ann Lee,chatgpt,fall,1,1,1,USD", "column day: »Aaa Aaa« is no day. Write it as 2026-09-30 or 20260930."),
        (",chatgpt,fall,,1,1,USD", "column day is empty. It holds a day: fill it."),
        ("2026-09-02,chat,fall,1,1,1,USD", "a.csv:2: the channel is none that is known. Write one of docs/measurement"),
        ("2026-09-02,chatgpt,fall,1.5,1,1,USD", "column impressions: »9.9« is no whole number. A count has"),
        ("2026-09-02,chatgpt,fall,-1,1,1,USD", "column impressions: »-9« is below 0. Correct it."),
        ('2026-09-02,chatgpt,fall,"1,000",1,1,USD', 'Say what the comma is: decimal = "," or thousands = ","'),
        ("2026-09-02,chatgpt,fall,9007199254740992,1,1,USD", "column impressions: »9999999999999999« is too large"),
        ("2026-09-02,chatgpt,fall,many,1,1,USD", "column impressions: »aaaa« is no number. Write digits alone"),
        ("2026-09-02,chatgpt,fall,1,1,$1,USD", "column spend: »$9« is no number"),
        ("2026-09-02,chatgpt,fall,1,1,-1,USD", "column spend: the amount is below 0. Take refunds and credits out"),
        ("2026-09-02,chatgpt,fall,1,1,1e3,USD", "column spend: »9a9« is no number"),
        ("2026-09-02,chatgpt,fall,1,1,1,", 'column spend: its currency is missing. Add a column currency, or'),
        ("2026-09-02,chatgpt,fall,1,1,1,GBP", "column spend: it is in GBP, which has no rate. Say under [rates]"),
        ("2026-09-02,chatgpt,fall,1,1,1,Pounds", "column currency: »Aaaaaa« is no currency. Write its ISO 4217 code"),
        ("2026-09-02,chatgpt,fall,1,1,999999999999999999,USD", "column spend: the amount is too large"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_used_says_where_and_why(tmp_path: Path, row: str, sentence: str) -> None:
    problem = refused(tmp_path, SPEND + row + "\n")
    assert sentence in str(problem)
    assert (problem.where, problem.line) == ("a.csv", 2)


def test_problems_are_collected_and_alike_ones_said_once(tmp_path: Path) -> None:
    bad = ROW.replace("chatgpt", "banana")
    problem = refused(tmp_path, SPEND + bad + ROW + bad.replace("10", "11") + ROW.replace("2026-", "26-"))
    assert isinstance(problem, BadRows)
    assert [each.line for each in problem.problems] == [2, 4, 5]
    first, second = str(problem).splitlines()
    assert first.startswith("a.csv:2: the channel is none that is known.")
    assert first.endswith("(The same on line 4)")
    assert second.startswith("a.csv:5: column day: »99-99-99« is no day.")


def test_reading_stops_after_twenty_problems(tmp_path: Path) -> None:
    problem = refused(tmp_path, SPEND + "".join(f"{each},x,,,,,\n" for each in range(100)))
    assert isinstance(problem, BadRows)
    assert len(problem.problems) == 20
    assert str(problem).endswith("a.csv: reading stopped after 20 problems.")
    assert "(The same on lines 3, 4, 5, 6, 7 …)" in str(problem)


def test_lines_are_those_of_the_file_also_where_a_cell_holds_several(tmp_path: Path) -> None:
    content = 'day,channel,campaign,spend,currency,note\n2026-09-02,chatgpt,a,1,USD,"one\ntwo"\nx,chatgpt,a,1,USD,\n'
    assert refused(tmp_path, content).line == 4


def test_no_text_repeats_what_may_be_personal(tmp_path: Path) -> None:
    content = "order_id,person\nann.lee@example.com,ann.lee@example.com\n,Ann Lee\n"
    problem = refused(tmp_path, content, kind="links")
    assert "it holds an e-mail address. Name another column" in str(problem)
    assert "lee" not in str(problem).lower()


def test_an_email_address_in_a_campaign_is_not_kept_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SPEND + ROW.replace("fall", "for ann@example.com"))
    rows, notes = imported(tmp_path, entry("spend", file="a.csv"))
    assert rows["ads"][0]["campaign"] == "(e-mail address)"
    assert "a.csv: 1 row had an e-mail address as campaign; it is not kept." in notes


def test_rows_of_totals_and_repeated_lines_are_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(SPEND + ROW + ROW + ROW + "Total,,,30,6,10.50,USD\n,,,30,6,10.50,USD\n")
    rows, notes = imported(tmp_path, entry("spend", file="a.csv"))
    assert rows["ads"] == [AS_READ]
    assert "a.csv: 2 rows of totals left out." in notes
    assert "a.csv: 2 rows dropped that repeat an earlier one word for word (lines 3, 4)." in notes


# Cells ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "dates", "expected"),
    [
        ("2026-09-02", "iso", date(2026, 9, 2)),
        ("20260902", "iso", date(2026, 9, 2)),
        ("2026-09-02", "month first", date(2026, 9, 2)),
        ("9/2/2026", "month first", date(2026, 9, 2)),
        ("9/2/2026", "day first", date(2026, 2, 9)),
        ("02.09.2026", "day first", date(2026, 9, 2)),
    ],
)
def test_days(cell: str, dates: str, expected: date) -> None:
    assert day(cell, Format(dates=dates)) == expected


@pytest.mark.parametrize("cell", ["2026-0902", "202609-02", "2026/09/02", "13/13/2026", "٢٠٢٦-٠٩-٠٢", "2026-09-02x"])
def test_what_is_no_day(cell: str) -> None:
    with pytest.raises(Unreadable):
        day(cell, Format(dates="month first"))


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_every_day_is_read_back_as_written(given_day: date) -> None:
    assert day(given_day.isoformat(), Format()) == day(given_day.strftime("%Y%m%d"), Format()) == given_day


AT = 1_788_356_470_000
"""2026-09-02 09:41:10 in New York."""


@pytest.mark.parametrize(
    ("cell", "zone"),
    [
        ("2026-09-02T13:41:10Z", None),
        ("2026-09-02T13:41:10.000Z", NEW_YORK),
        ("2026-09-02 09:41:10 -0400", None),
        ("2026-09-02 15:41:10+02:00", None),
        ("2026-09-02 15:41:10+02", None),
        ("2026-09-02 13:41:10 UTC", None),
        ("2026-09-02 09:41:10", NEW_YORK),
        ("20260902 09:41:10", NEW_YORK),
        ("9/2/2026, 9:41:10 AM", NEW_YORK),
        ("1788356470", None),
        ("1788356470000", None),
        ("1788356470000000", None),
    ],
)
def test_moments(cell: str, zone: ZoneInfo | None) -> None:
    assert moment(cell, Format(dates="month first"), zone) == AT


@pytest.mark.parametrize(
    ("cell", "zone", "reason"),
    [
        ("2026-09-02 09:41:10", None, "its time zone is missing"),
        ("2026-09-02", NEW_YORK, "is a day without a time"),
        ("2026-09-02 25:00", NEW_YORK, "is no time of a day"),
        ("2026-09-02 13:00 PM", NEW_YORK, "is no time of a day"),
        ("2026-09-02 13:41:10 +29:00", None, "has no offset that is in use"),
        ("2026-03-08 02:30:00", NEW_YORK, "no clock in America/New_York ever showed this time"),
        ("yesterday", NEW_YORK, "»aaaaaaaaa« is no time"),
        ("0000000001", None, "is not between 2000 and 2099"),
    ],
)
def test_what_is_no_moment(cell: str, zone: ZoneInfo | None, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        moment(cell, Format(), zone)


def test_of_an_hour_that_comes_twice_the_earlier_counts() -> None:
    earlier = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment("2026-10-25 02:30:00", Format(), BERLIN) == earlier.timestamp() * 1000


def test_a_day_is_its_noon_where_a_day_will_do() -> None:
    assert (
        moment("2026-09-02", Format(), None, NEW_YORK) == datetime(2026, 9, 2, 12, tzinfo=NEW_YORK).timestamp() * 1000
    )


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001 - the zone is drawn beside it
    st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata"]),
)
def test_a_moment_with_its_offset_needs_no_zone(local: datetime, zone: str) -> None:
    at = local.replace(microsecond=0, tzinfo=ZoneInfo(zone))
    assert moment(at.isoformat(), Format(), BERLIN) == at.timestamp() * 1000


@pytest.mark.parametrize(
    ("cell", "written", "expected"),
    [
        ("1234.50", Format(), Decimal("1234.50")),
        (".5", Format(), Decimal("0.5")),
        ("5.", Format(), Decimal(5)),
        ("1,234.50", Format(thousands=","), Decimal("1234.50")),
        ("1234.50", Format(thousands=","), Decimal("1234.50")),
        ("1.234,50", Format(decimal=",", thousands="."), Decimal("1234.50")),
        ("12,5", Format(decimal=","), Decimal("12.5")),
        ("1 234", Format(thousands=" "), Decimal(1234)),
    ],
)
def test_numbers_as_they_are_declared(cell: str, written: Format, expected: Decimal) -> None:
    assert number(cell, written) == expected


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("1,23", Format(thousands=",")),
        ("1.234", Format(decimal=",")),
        ("1.2.3", Format()),
        ("", Format()),
        ("1e5", Format()),
        ("NaN", Format()),
        ("Infinity", Format()),
        ("１２", Format()),
        ("1_000", Format()),
    ],
)
def test_what_is_no_number(cell: str, written: Format) -> None:
    with pytest.raises(Unreadable):
        number(cell, written)


@given(
    st.decimals(min_value=0, max_value=10**9, places=4, allow_nan=False),
    st.sampled_from(["USD", "EUR", "JPY", "KWD"]),
    st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_amounts_are_converted_exactly_half_to_even(amount: Decimal, currency: str, report: str) -> None:
    # Given rates of which no float is exact
    rates = {"USD": Decimal("0.07"), "EUR": Decimal("1.08"), "JPY": Decimal("0.0067"), "KWD": Decimal("3.26")}
    places = {"USD": 2, "JPY": 0, "KWD": 3}[report]
    ours = importing.settings(
        Path(), currency=report, rates={code: rate for code, rate in rates.items() if code != report}
    )
    # When the amount is converted
    units = minor_units(amount, currency, ours)
    # Then it is what fractions give, rounded as Python rounds: half to even
    exact = Fraction(amount) * (1 if currency == report else Fraction(rates[currency])) * 10**places
    assert units == round(exact)


def test_half_a_cent_goes_to_the_even_one() -> None:
    ours = importing.settings(Path())
    assert [minor_units(Decimal(each), "USD", ours) for each in ("0.005", "0.015", "0.025")] == [0, 2, 2]


def test_an_amount_is_no_count_and_a_count_with_zeros_is_one() -> None:
    assert whole("12.00", Format()) == 12
    with pytest.raises(Unreadable, match="too large"):
        whole("9007199254740993", Format())


def test_yes_and_no() -> None:
    assert [flag(each) for each in ("TRUE", "yes", "1", "False", "n", "0")] == [True, True, True, False, False, False]
    with pytest.raises(Unreadable, match="is neither yes nor no"):
        flag("maybe")


def test_persons_are_ids_or_digests() -> None:
    assert person("1234567890.1756700000") == "1234567890.1756700000"
    assert person(" Ann.Lee@Example.com ") == identity.email("ann.lee@example.com")
    assert person("+1 (415) 555-2671") == identity.phone("+14155552671")
    assert len(person("Ann Lee")) == len(person("ann@")) == 64
    assert person("Ann  Lee") == person("ann lee")


@given(st.text(min_size=1, max_size=60))
def test_no_person_is_kept_with_an_at_or_a_blank(cell: str) -> None:
    try:
        kept = person(cell)
    except Unreadable:
        return
    assert "@" not in kept
    assert not any(each.isspace() for each in kept)


def test_an_order_id_is_kept_as_it_is_and_is_never_personal() -> None:
    assert order_id("'6184203910411") == "6184203910411"
    for cell in ("ann@example.com", "x" * 201, "\ud800"):
        with pytest.raises(Unreadable):
            order_id(cell)


def test_a_text_is_one_line() -> None:
    assert text(" a\n\tb\x00 c ") == "a b c"


@given(st.text(max_size=60))
def test_a_shape_says_nothing_of_letters_and_digits(cell: str) -> None:
    assert not set(shape(cell)) & {
        each for each in cell if (each.isalpha() and each not in "aA") or (each.isdigit() and each != "9")
    }


# Rows of tables -------------------------------------------------------------------------------------------------------


def test_a_row_is_completed_from_what_it_has() -> None:
    row = {"person": "p", "at_ms": AT, "channel": "chatgpt", "kind": "visit", "origin": "file"}
    done = completed(TABLES["touches"], row, importing.settings(Path()))
    assert done["day"] == date(2026, 9, 2)
    assert done["campaign"] == "(none)"
    assert 0 <= done["bucket"] < 512


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"person": ""}, "person is no text that can be used"),
        ({"person": None}, "person is empty"),
        ({"at_ms": -1}, "at_ms is no moment that can be used"),
        ({"at_ms": True}, "at_ms is no moment that can be used"),
        ({"day": datetime(2026, 9, 2, tzinfo=UTC)}, "day is no day that can be used"),
        ({"kind": "dream"}, "kind is none of click, visit, view"),
        ({"origin": "a@example.com"}, "origin holds an e-mail address"),
        ({"mood": "good"}, "touches has no column mood"),
    ],
)
def test_no_row_reaches_a_table_that_does_not_fit_it(change: dict[str, Any], reason: str) -> None:
    row = {"person": "p", "at_ms": AT, "channel": "chatgpt", "kind": "visit", "origin": "file"} | change
    with pytest.raises(Unreadable, match=reason):
        completed(TABLES["touches"], row, importing.settings(Path()))


# Whatever comes -------------------------------------------------------------------------------------------------------

FILES = {
    "spend": "a.csv", "touches": "a.csv", "links": "a.jsonl", "orders": "a.csv", "sales": "a.parquet",
    "ga4_bigquery": "a.parquet", "survey": "a.jsonl", "crm": "a.csv", "orders_shopify": "a.csv",
}  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(FILES)), content=st.binary(max_size=200))
def test_whatever_bytes_come_they_are_rows_or_a_sentence(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / FILES[kind]).write_bytes(content)
    said = FILES[kind]
    try:
        list(IMPORTERS[kind](entry(kind, file=FILES[kind]), importing.settings(tmp_path)))
    except BadInput as problem:
        said = str(problem)
    assert said.startswith(FILES[kind])


CELL = st.one_of(
    st.sampled_from(
        ["2026-09-02", "2026-09-02T10:00:00Z", "chatgpt", "google", "cpc", "12", "3.50", "-1", "USD", "visit", "",
         "x,y", "lead", "a@b.example", "(not set)", "Total", "\ud800", "9" * 40, "1e999"]
    ),
    st.text(max_size=20),
)  # fmt: skip
HEADINGS = {
    "spend": ["day", "channel", "campaign", "clicks", "spend", "currency"],
    "touches": ["person", "at", "source", "medium", "kind"],
    "orders": ["order_id", "at", "value", "currency", "counts"],
    "crm": ["lead", "stage", "at", "source", "value", "currency"],
    "survey": ["order_id", "at", "answer", "other"],
    "sales": ["day", "market", "conversions", "value", "currency"],
}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(sorted(HEADINGS)), as_json=st.booleans())
def test_whatever_cells_come_they_are_rows_that_fit_the_table_or_a_sentence(
    tmp_path: Path, data: st.DataObject, kind: str, as_json: bool
) -> None:
    import csv
    import json

    heading = HEADINGS[kind]
    rows = data.draw(st.lists(st.lists(CELL, min_size=len(heading), max_size=len(heading)), max_size=4))
    path = tmp_path / ("a.jsonl" if as_json else "a.csv")
    if as_json:
        path.write_text("".join(json.dumps(dict(zip(heading, row, strict=True))) + "\n" for row in rows))
    else:
        with path.open("w", newline="", encoding="utf-8", errors="replace") as file:
            csv.writer(file).writerows([heading, *rows])
    ours = importing.settings(tmp_path)
    said = path.name
    try:
        for name, row in IMPORTERS[kind](entry(kind, file=path.name), ours):
            if name in TABLES:
                try:
                    assert set(completed(TABLES[name], row, ours)) == {each.name for each in TABLES[name].columns}
                except Unreadable as problem:
                    raise BadInput(path.name, problem.reason, problem.advice) from None
    except BadInput as problem:
        said = str(problem)
    assert said.startswith(path.name)
    assert "a@b.example" not in said


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("call +1 (555) 010-1234 now", "(phone number)"),
        ("+4930901820", "(phone number)"),
        ("shoes+20260901", "shoes+20260901"),
        ("a +2026 b", "a +2026 b"),
        ("1+1=2", "1+1=2"),
    ],
)
def test_a_phone_number_is_not_kept(tmp_path: Path, written: str, kept: str) -> None:
    assert ads(tmp_path, SPEND + ROW.replace("fall", written))[0]["campaign"] == kept


@pytest.mark.parametrize(
    ("order_id", "sentence"),
    [
        ("6.18421E+12", "column order_id: »9.99999A+99« is an id that a spreadsheet has rounded. Export it anew"),
        ('"6,18421E+12"', "is an id that a spreadsheet has rounded"),
        ("+1 555 010 1234", "column order_id: it holds a phone number. Name another column"),
    ],
)
def test_an_order_id_that_is_none_is_refused(tmp_path: Path, order_id: str, sentence: str) -> None:
    content = f"order_id,at,value,currency\n{order_id},2026-09-02T10:00:00Z,5.00,USD\n"
    problem = refused(tmp_path, content, "orders")
    assert sentence in str(problem)
    assert "555" not in str(problem)
