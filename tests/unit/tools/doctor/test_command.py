"""`relay doctor` as it is run: exit status, outputs, and what it says where there is nothing to look at."""

import json
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.pages import PAGES, served
from tools import cli

GOOD = str(PAGES / "good" / "plain.html")
ERROR = str(PAGES / "broken" / "amount_decimal.html")
WARNING = str(PAGES / "broken" / "utm_medium_social.html")


@pytest.fixture(scope="module")
def origin():
    with served() as origin:
        yield origin


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([GOOD], 0),
        ([GOOD, "--strict"], 0),
        ([WARNING], 0),
        ([WARNING, "--strict"], 1),
        ([ERROR], 1),
        ([GOOD, "--pixel-id", "Zz9TzV4kRw2LpX9sNdB3Yh"], 1),
        ([str(PAGES / "broken" / "relay_click_missing.html"), "--no-relay-click", "--strict"], 0),
    ],
)
def test_exit_status(arguments: list[str], status: int) -> None:
    assert cli.main(["doctor", *arguments, "--static"]) == status


def test_the_report_says_what_where_why_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor", ERROR, "--static"])

    said = capsys.readouterr().out
    for part in ("The amount is not in minor units", "line 19, column 5", "149.50", "why", "fix", "1 error."):
        assert part in said


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["doctor", ERROR, "--static", "--json"])

    held = json.loads(capsys.readouterr().out)
    (finding,) = held["findings"]
    assert (held["errors"], held["warnings"]) == (1, 0)
    assert (finding["code"], finding["severity"], finding["line"], finding["column"]) == ("amount_form", "error", 19, 5)
    assert finding["why"]
    assert finding["fix"]


def test_html_is_one_page_that_fetches_nothing(tmp_path: Path) -> None:
    page = tmp_path / "evil <b>.html"
    page.write_text(
        '<html><head></head><body><a href="/?utm_source=ChatGPT<script>alert(1)</script>">x</a></body></html>'
    )
    report = tmp_path / "report.html"

    cli.main(["doctor", str(page), "--static", "--html", str(report)])

    tags = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            assert not {name for name, _ in attrs} & {"src", "href", "onclick"}

    Tags().feed(report.read_text())
    assert "article" in tags
    assert not {"script", "b", "link", "img"} & set(tags)


def test_what_steers_a_terminal_does_not_reach_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text('<html><head><script>oaiq("measure", "\x1b[2Jpur\u202echase", {})</script></head></html>')

    cli.main(["doctor", str(page), "--static"])

    said = capsys.readouterr().out
    assert "There is no such event" in said
    assert "\x1b[2J" not in said
    assert "\u202e" not in said


def test_personal_data_is_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<html><head><script>oaiq("init", {pixelId: "Qm7TzV4kRw2LpX9sNdB3Yh", user: {email: "mira@example.org"}});'
        'oaiq("measure", "order_created", {type: "contents", a: "mira@example.org"}, {event_id: "mira@example.org"});'
        '</script></head><body><a href="/x?email=mira%40example.org&tel=%2B14155550132">x</a></body></html>'
    )

    assert cli.main(["doctor", str(page), "--static", "--json"]) == 1

    said = capsys.readouterr().out
    assert "personal_data_in_event" in said
    assert "personal_data_in_url" in said
    assert "mira" not in said
    assert "14155550132" not in said


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing", "There is no page"),
        ("/login", "needs a login"),
        ("/members", "asks for a login"),
        ("/broken", "HTTP 500"),
        ("/busy", "too many requests"),
        ("/for-ever", "redirects for ever"),
        ("/data", "is no page but application/json"),
        ("/download", "is no page"),
        ("/text", "holds no HTML"),
        ("/never", "did not finish within 1 s"),
    ],
)
def test_there_is_no_page_to_look_at(path: str, says: str, origin: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", origin + path, "--static", "--timeout", "1"]) == 2

    said = capsys.readouterr()
    assert says in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere.html", "There is no file nowhere.html"),
        ("", "is a folder"),
        (str(PAGES), "is a folder"),
        ("http://", "is no address"),
        ("http://[1", "is no address"),
        ("http://host:99999/", "is no address"),
        ("http://a b/", "is no address"),
        ("x\x00y", "There is no file x y"),
        ("a" * 5000, "cannot be read"),
    ],
)
def test_there_is_no_such_thing(target: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", target, "--static"]) == 2

    assert says in capsys.readouterr().err


def test_nobody_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        assert cli.main(["doctor", f"http://127.0.0.1:{port}/", "--static"]) == 2

    assert "cannot be reached" in capsys.readouterr().err


def test_an_empty_file_and_one_that_is_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content, says in ((b"", "is empty"), (b"\x89PNG\r\n\x1a\n\x00\x00", "holds no HTML")):
        file = tmp_path / "file.html"
        file.write_bytes(content)

        assert cli.main(["doctor", str(file), "--static"]) == 2

        assert says in capsys.readouterr().err


def test_static_and_live_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", GOOD, "--static", "--live"]) == 2

    assert "leave one out" in capsys.readouterr().err


def test_a_report_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", GOOD, "--static", "--html", str(tmp_path / "no" / "report.html")]) == 2

    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "soon", "nan"])
def test_a_time_limit_that_is_none(seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", GOOD, "--timeout", seconds])

    assert ended.value.code == 2
