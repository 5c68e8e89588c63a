"""``relay utm``: addresses are built in one way, everything else is found, and what can be put right is."""

import csv
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from tools import cli, utm
from tools.utm import ga4
from tools.utm.rules import check

GOOD = "https://shop.example/p?color=red&utm_source=chatgpt&utm_medium=cpc&utm_campaign=fall_trail"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["utm", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def built(capsys: pytest.CaptureFixture[str], page: str, *options: str) -> str:
    status, out, err = told(capsys, "build", page, "--campaign", "fall", *options)
    assert status == 0, err
    return out.strip()


def findings(capsys: pytest.CaptureFixture[str], page: str, *options: str) -> list[dict[str, Any]]:
    status, out, _ = told(capsys, "lint", page, "--json", *options)
    found = [json.loads(line) for line in out.splitlines()]
    assert status == (1 if found else 0)
    return found


# build ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("https://shop.example", "https://shop.example?{}"),
        ("https://shop.example/p", "https://shop.example/p?{}"),
        ("https://shop.example/p?", "https://shop.example/p?{}"),
        ("https://shop.example/p?b=2&a=1#top", "https://shop.example/p?b=2&a=1&{}#top"),
        ("https://shop.example/p?a=%2F+x%20&a=&b&=c", "https://shop.example/p?a=%2F+x%20&a=&b&=c&{}"),
        ("https://shop.example/p#", "https://shop.example/p?{}#"),
        ("http://SHOP.example:8080/P%C3%A9?Q=É", "http://SHOP.example:8080/P%C3%A9?Q=É&{}"),
    ],
)
def test_what_is_there_stays_as_it_is(capsys: pytest.CaptureFixture[str], page: str, expected: str) -> None:
    assert built(capsys, page) == expected.format("utm_source=chatgpt&utm_medium=cpc&utm_campaign=fall")


def test_all_names_stand_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    made = built(capsys, "https://a.example/", "--term", "t", "--content", "c&d", "--medium", "cpm")

    assert made == "https://a.example/?utm_source=chatgpt&utm_medium=cpm&utm_campaign=fall&utm_content=c%26d&utm_term=t"


def test_what_the_ad_platform_fills_in_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert built(capsys, "https://a.example/", "--content", "Ad_{Ad_ID}").endswith("&utm_content=ad_{Ad_ID}")


def test_upper_case_is_lowered_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = told(capsys, "build", "https://a.example/P", "--campaign", "Fall_Trail", "--medium", "CPC")

    assert (status, out) == (0, "https://a.example/P?utm_source=chatgpt&utm_medium=cpc&utm_campaign=fall_trail\n")
    assert "utm_campaign: Fall_Trail is written fall_trail" in err


def test_old_names_are_replaced_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    made = built(capsys, "https://a.example/?utm_source=x&a=1&UTM_term=y", "--replace")

    assert made == "https://a.example/?a=1&utm_source=chatgpt&utm_medium=cpc&utm_campaign=fall"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["shop.example/p", "--campaign", "a"], "does not begin with https://"),
        (["ftp://a.example", "--campaign", "a"], "does not begin with https://"),
        (["https:///p", "--campaign", "a"], "has no host"),
        (["https://a.example:99999/", "--campaign", "a"], "host or port is malformed"),
        (["https://me@a.example/", "--campaign", "a"], "a user name before the host"),
        (["https://a.example/\x00", "--campaign", "a"], "control characters"),
        (["", "--campaign", "a"], "it is empty"),
        (["https://a.example/a b", "--campaign", "a"], "holds a blank"),
        (["https://a.example/?oppref=1", "--campaign", "a"], "has oppref, which OpenAI sets itself"),
        (["https://a.example/?OBREF=1&oai_x=2&olref=3", "--campaign", "a"], "has OBREF, oai_x, olref"),
        (["https://a.example/?u=me@b.example", "--campaign", "a"], "an e-mail address"),
        (["https://a.example/?u=me%2540b.example", "--campaign", "a"], "an e-mail address"),
        (["https://a.example/?utm_source=x", "--campaign", "a"], "has utm_source already"),
        (["https://a.example/", "--campaign", " "], "--campaign is empty"),
        (["https://a.example/", "--campaign", "fall trail"], "--campaign holds a blank: write 'fall_trail'"),
        (["https://a.example/", "--campaign", "me@b.example"], "--campaign holds an e-mail address"),
        (["https://a.example/", "--campaign", "a%20b"], "--campaign is percent-encoded"),
        (["https://a.example/", "--campaign", "a" * 101], "--campaign has 101 characters"),
        (["https://a.example/", "--campaign", "a", "--medium", "paid"], "--medium is paid: it has to be cpc or cpm"),
        (["https://a.example/" + "a" * 2048, "--campaign", "a"], "more than 2048 are cut"),
    ],
)
def test_what_cannot_be_built_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    status, out, err = told(capsys, "build", *arguments)

    assert (status, out) == (2, "")
    assert said in err
    assert "me@b" not in err


# lint -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        GOOD,
        GOOD.replace("cpc", "cpm") + "&utm_content={ad_id}&utm_term=x#top",
        "http://a.example/?" + GOOD.split("?")[1],
    ],
)
def test_a_good_address_has_no_findings(capsys: pytest.CaptureFixture[str], page: str) -> None:
    assert told(capsys, "lint", page)[:2] == (0, "1 address, 0 with findings.\n")


def test_what_is_built_has_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys, built(capsys, "https://a.example/?x=%2520&y=A#b", "--content", "A&b")) == []


BASE = "https://a.example/p?"
PAID = "utm_source=chatgpt&utm_medium=cpc"
FINE = f"{PAID}&utm_campaign=x"


@pytest.mark.parametrize(
    ("query", "rule", "corrected"),
    [
        *(
            (f"utm_source={spelled}&utm_medium=cpc&utm_campaign=x", "source_spelling", f"{FINE}")
            for spelled in (
                "ChatGPT",
                "CHATGPT",
                "chat-gpt",
                "chat_gpt",
                "chatgpt.com",
                "chat.openai.com",
                "openai",
                "OpenAI",
                "chatgpt-ads",
                "openai.com",
            )
        ),
        (
            "utm_source=google&utm_medium=cpc&utm_campaign=x",
            "source_other",
            "utm_source=google&utm_medium=cpc&utm_campaign=x",
        ),
        ("utm_medium=cpc&utm_campaign=x", "source_missing", f"{FINE}"),
        ("utm_source=&utm_medium=cpc&utm_campaign=x", "source_missing", f"{FINE}"),
        ("utm_source=chatgpt&utm_medium=paid&utm_campaign=x", "medium", f"{FINE}"),
        ("utm_source=chatgpt&utm_campaign=x", "medium", f"{FINE}"),
        (f"{PAID}", "campaign_missing", f"{PAID}"),
        (f"{PAID}&utm_campaign=", "campaign_missing", f"{PAID}&utm_campaign="),
        ("utm_source=chatgpt&utm_medium=CPC&utm_campaign=x", "case", f"{FINE}"),
        (f"{PAID}&utm_campaign=Fall_{{Id}}", "case", f"{PAID}&utm_campaign=fall_{{Id}}"),
        ("Utm_Source=chatgpt&utm_medium=cpc&utm_campaign=x", "case", f"{FINE}"),
        (f"{FINE}&utm_campaign=y", "duplicate", f"{FINE}"),
        (f"{PAID}&utm_campaign=a+b", "blank", f"{PAID}&utm_campaign=a_b"),
        (f"{PAID}&utm_campaign=a%20b", "blank", f"{PAID}&utm_campaign=a_b"),
        (f"{PAID}&utm_campaign=a b", "blank", f"{PAID}&utm_campaign=a_b"),
        (f"q=a b&{FINE}", "blank", f"q=a%20b&{FINE}"),
        (f"{FINE} ", "blank", f"{FINE}"),
        (f"{PAID}&utm_campaign=a%2526b", "double_encoding", f"{PAID}&utm_campaign=a%26b"),
        (f"oppref=1&{FINE}", "reserved", f"{FINE}"),
        (f"{FINE}&oai_id=7&OBREF=2", "reserved", f"{FINE}"),
        (f"mail=me%40b.example&{FINE}", "personal_data", f"{FINE}"),
        (f"{FINE}#me@b.example", "personal_data", f"{FINE}#me@b.example"),
        (f"#top?{FINE}", "behind_hash", f"{FINE}#top"),
        (f"a=1?{FINE}", "second_question_mark", f"a=1&{FINE}"),
        (f"{'a' * 2048}&{FINE}", "too_long", f"{'a' * 2048}&{FINE}"),
    ],
)
def test_each_fault_is_found_alone_and_corrected(
    capsys: pytest.CaptureFixture[str], query: str, rule: str, corrected: str
) -> None:
    found = findings(capsys, BASE + query)

    assert [each["rule"] for each in found] == [rule]
    assert all(each[part] for each in found for part in ("what", "why", "fix"))
    checked = check(BASE + query)
    assert checked.text == BASE + corrected
    # What was put right stays right, what was not is still found
    again = check(checked.text).findings
    assert [each.rule for each in again] == ([] if found[0]["corrected"] else [rule])


@pytest.mark.parametrize("page", ["not an address", "shop.example/p", "https://", "", "https://a.example:x/"])
def test_what_is_no_address_is_found(capsys: pytest.CaptureFixture[str], page: str) -> None:
    assert [each["rule"] for each in findings(capsys, page)] == ["no_address"]


def test_several_faults_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capsys, "lint", GOOD, BASE + "utm_source=ChatGPT&utm_medium=Social")

    assert status == 1
    assert "address 2: utm_source is ChatGPT. Why: it is another source than chatgpt" in out
    assert "Fix: utm_source=chatgpt." in out
    assert "address 2: corrected: https://a.example/p?utm_source=chatgpt&utm_medium=cpc\n" in out
    assert out.endswith("2 addresses, 1 with findings.\n")
    assert "address 1" not in out


@pytest.mark.parametrize(
    "page",
    ["/cart?a=1&utm_source=chatgpt", "https://www.shop.example/?utm_source=x&a=1", "https://SHOP.example/?utm_term=x"],
)
def test_a_link_within_the_site_carries_no_campaign(capsys: pytest.CaptureFixture[str], page: str) -> None:
    assert [each["rule"] for each in findings(capsys, page, "--site", "shop.example")] == ["internal_link"]
    assert findings(capsys, page.partition("?")[0], "--site", "https://www.shop.example/") == []
    assert findings(capsys, GOOD.replace("shop.example", "other.example"), "--site", "shop.example") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name addresses, or a file with --csv FILE"),
        (["https://a.example", "--csv", "x.csv"], "name addresses, or a file with --csv FILE"),
        (["https://a.example", "--fix", "x.csv"], "--fix corrects a file"),
        (["https://a.example", "--site", "a b"], "--site a b is no host"),
        (["--csv", "none.csv"], "none.csv cannot be read (No such file or directory)"),
    ],
)
def test_lint_says_what_it_needs(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    status, out, err = told(capsys, "lint", *arguments)

    assert (status, out) == (2, "")
    assert said in err


# Files ----------------------------------------------------------------------------------------------------------------


def table(path: Path, text: str, encoding: str = "utf-8") -> str:
    path.write_bytes(text.encode(encoding))
    return str(path)


ROWS = f"""\
ad,Final URL,note
1,{GOOD},fine
2,{BASE}utm_source=ChatGPT&utm_medium=cpc&utm_campaign=x,"two
lines, one cell"
3,{BASE}utm_source=chatgpt&utm_medium=cpc,

4
5,{GOOD},"ü"
"""


def test_a_file_is_reported_by_line_and_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(tmp_path / "ads.csv", ROWS)

    status, out, _ = told(capsys, "lint", "--csv", name)

    assert status == 1
    assert [line.removeprefix(name).split(". Why")[0] for line in out.splitlines()] == [
        ":4: Final URL: utm_source is ChatGPT",
        ":5: Final URL: utm_campaign is missing",
        ":7: Final URL: the row ends before this column",
        "5 rows, 3 with findings.",
        "source_spelling 1; campaign_missing 1; short_row 1.",
    ]


def test_a_corrected_file_differs_only_where_it_was_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, out_file = table(tmp_path / "ads.csv", ROWS), tmp_path / "good.csv"

    status, _, err = told(capsys, "lint", "--csv", name, "--fix", str(out_file))

    assert (status, err) == (1, f"{out_file}: 1 of 3 put right, 2 left for you.\n")
    with out_file.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["1", GOOD, "fine"]
    assert rows[2] == ["2", f"{BASE}utm_source=chatgpt&utm_medium=cpc&utm_campaign=x", "two\nlines, one cell"]
    assert rows[4:] == [["4"], ["5", GOOD, "ü"]]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_file_that_could_be_put_right_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(tmp_path / "a.csv", f"url\n{BASE}utm_source=openai&utm_campaign=X\n")

    assert told(capsys, "lint", "--csv", name, "--fix", str(tmp_path / "b.csv"), "--medium", "cpm")[0] == 0
    assert (tmp_path / "b.csv").read_text() == f"url\n{BASE}utm_source=chatgpt&utm_medium=cpm&utm_campaign=x\n"
    assert told(capsys, "lint", "--csv", str(tmp_path / "b.csv"))[0] == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_and_mark_are_recognized(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], encoding: str, delimiter: str
) -> None:
    name = table(tmp_path / "a.csv", f"url{delimiter}ad\r\n{GOOD}{delimiter}1\r\n", encoding)

    assert told(capsys, "lint", "--csv", name)[:2] == (0, "1 row, 0 with findings.\n")


def test_another_encoding_and_column_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(tmp_path / "a.csv", f"Größe;Ziel\n1;{GOOD}\n", "cp1252")

    assert told(capsys, "lint", "--csv", name, "--encoding", "cp1252", "--column", "ziel")[0] == 0


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", [], "a.csv:1: has no heading"),
        (b"\n", [], "a.csv:1: has no heading"),
        (b"a,b\n1,2\n", [], "which column has the addresses? Name it with --column. There are: a, b"),
        (b"a,b\n1,2\n", ["--column", "c"], "a.csv:1: has no column c. It has: a, b"),
        (b"url,link\n1,2\n", [], "more than one column could be meant"),
        (b"url,url\n1,2\n", ["--column", "url"], "more than one column could be meant"),
        (b"url\n" + "ü".encode("cp1252") * 9, [], "is in another encoding"),
        (b"url\nx\n" * 20_000 + b"\xff", [], "is in another encoding"),
        ("url\nx\n".encode("utf-16"), [], "is in another encoding"),
        (b"url\nx\n", ["--encoding", "klingon"], "--encoding klingon is none that is known"),
        (b"url\nx\n", ["--delimiter", ",,"], "--delimiter is one character"),
        (b'url,b\n"a"b,c\n', [], "a.csv:2: is no CSV"),
        (b'url,b\n"never closed,c\n', [], "is no CSV: unexpected end of data"),
        (b"url\n" + b"x" * 1_000_001, [], "is no CSV: field larger than field limit"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, options: list[str], said: str
) -> None:
    (tmp_path / "a.csv").write_bytes(content)

    status, _, err = told(capsys, "lint", "--csv", str(tmp_path / "a.csv"), "--fix", str(tmp_path / "b.csv"), *options)

    assert status == 2
    assert said in err
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]  # no half of a corrected file


def test_the_file_itself_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = table(tmp_path / "a.csv", "url\nx\n")

    assert "would overwrite what it reads" in told(capsys, "lint", "--csv", name, "--fix", f"{tmp_path}/./a.csv")[2]
    assert "cannot be written" in told(capsys, "lint", "--csv", name, "--fix", f"{tmp_path}/no/b.csv")[2]
    assert (tmp_path / "a.csv").read_text() == "url\nx\n"


def test_a_long_file_tells_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(utm, "PROGRESS", 1_000)
    name = table(tmp_path / "a.csv", "url\n" + f"{GOOD}\n" * 2_500 + "x\n")

    _, out, err = told(capsys, "lint", "--csv", name)

    assert err.splitlines() == ["1,000 rows, 0 with findings …", "2,000 rows, 0 with findings …"]
    assert f"{name}:2502: url: this is no address" in out


def test_a_hostile_address_takes_no_time() -> None:
    for page in ("https://a.example/?" + "utm_source=" * 20_000, "https://a.example/?" + "a@" * 20_000, "%25" * 50_000):
        began = time.perf_counter()
        check(page)
        assert time.perf_counter() - began < 5


# GA4 ------------------------------------------------------------------------------------------------------------------

FIELDS = ("eachScopeSource", "eachScopeMedium", "eachScopeDefaultChannelGroup")
MATCHES = ("EXACT", "BEGINS_WITH", "ENDS_WITH", "CONTAINS", "FULL_REGEXP", "PARTIAL_REGEXP")


def assert_is_a_channel_group(body: dict[str, Any]) -> None:
    """The reference of ``properties.channelGroups`` (Admin API v1alpha, as read on 2026-11-29) in rules.

    ChannelGroup: displayName up to 80 characters, description up to 256, up to 50 rules. Of an expression the top
    level is an andGroup, which holds orGroups only, which hold filters or notExpressions only. A filter has a fieldName
    and either a stringFilter or an inListFilter.
    """
    assert set(body) <= {"displayName", "description", "groupingRule", "primary"}
    assert 0 < len(body["displayName"]) <= 80
    assert len(body.get("description", "")) <= 256
    assert 0 < len(body["groupingRule"]) <= 50
    for rule in body["groupingRule"]:
        assert set(rule) == {"displayName", "expression"}
        assert rule["displayName"]
        assert set(rule["expression"]) == {"andGroup"}
        for group in rule["expression"]["andGroup"]["filterExpressions"]:
            assert set(group) == {"orGroup"}
            for each in group["orGroup"]["filterExpressions"]:
                assert set(each) == {"filter"}
                assert set(each["filter"]) == {"fieldName", "stringFilter"}
                assert each["filter"]["fieldName"] in FIELDS
                assert set(each["filter"]["stringFilter"]) == {"matchType", "value"}
                assert each["filter"]["stringFilter"]["matchType"] in MATCHES
                assert each["filter"]["stringFilter"]["value"]


def test_the_channel_group_is_one_by_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capsys, "ga4", "--json")

    assert status == 0
    body = json.loads(out)
    assert_is_a_channel_group(body)
    names = [rule["displayName"] for rule in body["groupingRule"]]
    assert len(names) == len(set(names))


def channel(source: str, medium: str, default: str) -> str:
    """What GA4 does with the group: the first rule whose every orGroup has a filter that fits, in any case."""
    values = dict(zip(FIELDS, (source, medium, default), strict=True))
    for rule in ga4.body()["groupingRule"]:
        fits = []
        for group in rule["expression"]["andGroup"]["filterExpressions"]:
            told = [each["filter"] for each in group["orGroup"]["filterExpressions"]]
            fits.append(
                any(
                    re.fullmatch(
                        f["stringFilter"]["value"]
                        if f["stringFilter"]["matchType"] == "FULL_REGEXP"
                        else re.escape(f["stringFilter"]["value"]),
                        values[f["fieldName"]],
                        re.IGNORECASE,
                    )
                    for f in told
                )
            )
        if all(fits):
            return str(rule["displayName"])
    return "Unassigned"


@pytest.mark.parametrize(
    ("source", "medium", "default", "expected"),
    [
        ("chatgpt", "cpc", "Paid Other", "ChatGPT Ads"),
        ("chatgpt", "cpm", "Display", "ChatGPT Ads"),
        ("ChatGPT", "CPC", "Paid Other", "ChatGPT Ads"),
        ("chatgpt.com", "cpc", "Paid Other", "ChatGPT Ads, misspelled"),
        ("chat-gpt", "paid", "Paid Other", "ChatGPT Ads, misspelled"),
        ("chatgpt.com", "(not set)", "Referral", "ChatGPT, not paid"),
        ("chatgpt.com", "referral", "Referral", "ChatGPT, not paid"),
        ("google", "cpc", "Paid Search", "Paid Search"),
        ("notchatgpt.example", "referral", "Referral", "Referral"),
        ("(direct)", "(none)", "Direct", "Direct"),
    ],
)
def test_a_visit_falls_into_its_channel(source: str, medium: str, default: str, expected: str) -> None:
    assert channel(source, medium, default) == expected


def test_the_steps_name_call_and_property(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capsys, "ga4", "--property", "463855")

    assert status == 0
    assert "POST https://analyticsadmin.googleapis.com/v1alpha/properties/463855/channelGroups" in out
    assert json.loads(out[out.index("\n{") :]) == ga4.body()


def test_a_streams_id_is_no_property(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--property is a number" in told(capsys, "ga4", "--property", "G-ABC123")[2]
