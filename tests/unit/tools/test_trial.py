"""``relay try``: one delivery in plain words or as JSON, and whole case files."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.sources import shopify
from tests.unit.case_check import digest
from tools import cli
from tools.sources import SOURCES

CASES = Path(__file__).parents[2] / "cases" / "webhooks"
BODY = CASES / "shopify" / "01_orders_create_web_paid.json"
HEADERS = CASES / "shopify" / "01_orders_create_web_paid.headers.json"
SECRET = "shpss_test_0f1e2d3c4b5a69788796a5b4c3d2e1f0"
NOW = ["--now", "2026-11-20T15:00:00Z"]
ORIGIN = ["--set", "storefront_origin=https://northwind-trail.example"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def tried(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = cli.main(["try", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    status, out, _ = tried(capsys, *arguments, "--json")
    assert status == 0
    line: dict[str, Any] = json.loads(out)
    return line


def headers(path: Path, topic: str, body: bytes = b"", **given: str) -> Path:
    path.write_text(
        json.dumps({"X-Shopify-Topic": topic, "X-Shopify-Hmac-Sha256": shopify.sign(body, SECRET), **given})
    )
    return path


# One delivery ---------------------------------------------------------------------------------------------------------


def test_order_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = tried(capsys, "shopify", "--body", BODY, "--headers", HEADERS, "--secret", SECRET, *NOW, *ORIGIN)

    assert status == 0
    assert "recorded  HTTP 200" in out
    assert "It becomes one conversion event." in out
    assert "Ledger key: order_created#shopify:6184203910411" in out
    assert "Happened: 2026-11-20 14:59:52 UTC. OpenAI can match it: yes." in out
    assert '"amount": 20063' in out
    assert "not checked" not in out


def test_order_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    line = as_json(capsys, "shopify", "--body", BODY, "--headers", HEADERS, *NOW, *ORIGIN)

    assert {key: line[key] for key in ("id", "http", "outcome", "reason")} == {
        "id": str(BODY), "http": 200, "outcome": "recorded", "reason": "recorded",
    }  # fmt: skip
    assert line["event"]["source_url"] == "https://northwind-trail.example/products/trail-shoe"
    assert line["event"]["user"]["emails_sha256"] == [digest("mara.lindqvist@example.com")]


def test_signature_that_was_not_checked_is_said_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = tried(capsys, "shopify", "--body", BODY, "--headers", HEADERS, *NOW)

    assert "The signature was not checked: no --secret was given." in out


def test_wrong_secret_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = tried(capsys, "shopify", "--body", BODY, "--headers", HEADERS, "--secret", "other", *NOW)

    assert status == 0
    assert "refused  HTTP 401  (signature_wrong)" in out
    assert "Refused: nothing is written." in out


def test_second_secret_verifies_too(capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ["--secret", "new", "--secret", SECRET]

    assert as_json(capsys, "shopify", "--body", BODY, "--headers", HEADERS, *secrets, *NOW)["outcome"] == "recorded"


def test_now_is_the_real_time_unless_given(capsys: pytest.CaptureFixture[str]) -> None:
    # The order is of November 2026 and the clock is not: it is late or in the future, and takes no old timestamp along.
    line = as_json(capsys, "shopify", "--body", BODY, "--headers", HEADERS)

    assert line["outcome"] in ("recorded", "ignored")


def test_body_from_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BODY.read_bytes())))

    line = as_json(capsys, "shopify", "--body", "-", "--headers", HEADERS, "--secret", SECRET, *NOW)

    assert (line["id"], line["outcome"]) == ("stdin", "recorded")


def test_headers_as_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lines = tmp_path / "headers.txt"
    lines.write_text("X-Shopify-Topic:  orders/create \nnot a header\nX-Shopify-Shop-Domain: a.myshopify.com\n")

    line = as_json(capsys, "shopify", "--body", BODY, "--headers", lines, *NOW)

    assert line["event"]["source_url"].startswith("https://northwind-trail.example/")


def test_without_headers_there_is_no_topic(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = tried(capsys, "shopify", "--body", BODY)

    assert "parked  HTTP 200  (topic_missing)" in out


@pytest.mark.parametrize(
    ("topic", "body", "settings", "sentence"),
    [
        ("products/update", "{}", [], "Verified, and nothing is sent."),
        ("orders/create", "no json", [], "Verified, but not understood"),
        ("shop/redact", '{"shop_domain": "a.myshopify.com"}', [], "A privacy request"),
        (
            "carts/update",
            '{"token": "t", "updated_at": "2026-11-20T14:00:00Z", "line_items": []}',
            ["--set", "count_carts=yes"],
            "Nothing is sent yet; a later delivery needs this.",
        ),
    ],
    ids=["ignored", "parked", "compliance", "remembered"],
)
def test_outcome_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, topic: str, body: str, settings: list[str], sentence: str
) -> None:
    path = tmp_path / "body.json"
    path.write_text(body)

    status, out, _ = tried(
        capsys, "shopify", "--body", path, "--headers", headers(tmp_path / "h.json", topic), *NOW, *settings
    )

    assert status == 0
    assert sentence in out


def test_setting_may_be_given_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    minimum = ["--set", "min_order_amount=500"]

    line = as_json(capsys, "shopify", "--body", BODY, "--headers", HEADERS, *NOW, *minimum)

    assert (line["outcome"], line["reason"], line["event"]) == ("ignored", "below_min", None)


def test_event_that_nobody_could_match_is_said_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"id": 1, "financial_status": "paid", "source_name": "pos"}')
    sent = headers(tmp_path / "h.json", "orders/create", **{"X-Shopify-Triggered-At": "2026-11-20T14:59:58Z"})

    _, out, _ = tried(capsys, "shopify", "--body", body, "--headers", sent, *NOW)

    assert "OpenAI can match it: no: neither click reference nor hashed contact." in out


def test_unknown_source_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = tried(capsys, "fax", "--body", BODY)

    assert status == 2
    assert out == f"There is no source fax yet. Known: {', '.join(SOURCES)}.\n"


def test_unknown_source_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = tried(capsys, "fax", "--body", BODY, "--json")

    assert status == 2
    assert json.loads(out)["outcome"] == "unknown_source"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name the source and its body"),
        (["shopify"], "name the source and its body"),
        (["shopify", "--body", "gone.json"], "there is no body file gone.json"),
        (["shopify", "--body", BODY, "--headers", "gone.json"], "there is no headers file gone.json"),
        (["shopify", "--body", BODY, "--headers", CASES / ".." / "no_headers.txt"], "there is no headers file"),
        (["shopify", "--body", BODY, "--now", "noon"], "--now noon is not a time such as"),
        (["shopify", "--body", BODY, "--set", "value_basis=gross"], "VALUE_BASIS must be one of"),
        (["--cases", "gone.json"], "there is no cases file gone.json"),
        (["--cases", BODY], "is no file of cases"),
    ],
)
def test_what_cannot_be_tried_is_said(capsys: pytest.CaptureFixture[str], arguments: list[Any], told: str) -> None:
    status, out, err = tried(capsys, *arguments)

    assert (status, out) == (2, "")
    assert err.startswith("relay try: ")
    assert told in err


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{}"])
def test_file_without_headers_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str) -> None:
    path = tmp_path / "headers"
    path.write_text(text)

    status, _, err = tried(capsys, "shopify", "--body", BODY, "--headers", path)

    assert status == 2
    assert "holds neither a JSON object nor lines" in err


# Case files -----------------------------------------------------------------------------------------------------------


def a_file(tmp_path: Path, *cases: dict[str, Any]) -> Path:
    held = json.loads((CASES / "cases.json").read_bytes())
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({**held, "cases": list(cases)}))
    return path


def a_case(**fields: Any) -> dict[str, Any]:
    held = {"id": "a/1", "platform": "shopify", "body_file": str(BODY), "headers_file": str(HEADERS)}
    return {**held, "expected": {"outcome": "ignore"}, **fields}


def test_case_file_in_plain_words(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = tried(capsys, "--cases", CASES / "cases.json")

    assert status == 0
    assert "shopify/01_orders_create_web_paid" in out
    held = json.loads((CASES / "cases.json").read_bytes())["cases"]
    known = sum(case["platform"] in SOURCES for case in held)
    assert f"{known} as expected, 0 not, {len(held) - known} of sources that do not exist yet" in out


def test_case_that_differs_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = tried(capsys, "--cases", a_file(tmp_path, a_case(), a_case(id="a/2", expected={})))

    assert status == 1
    assert "outcome is recorded, expected ignore" in out
    assert "1 as expected, 1 not, 0 of sources that do not exist yet" in out


def test_case_file_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = a_file(tmp_path, a_case(), a_case(id="fax/1", platform="fax"), a_case(id="a/3", preconditions=["a/1", "no"]))

    status, out, _ = tried(capsys, "--cases", path, "--json")

    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [(line["id"], line["http"], line["outcome"]) for line in lines] == [
        ("a/1", 200, "recorded"),
        ("fax/1", None, "unknown_source"),
        ("a/3", 200, "duplicate"),
    ]
    assert [bool(line["event"]) for line in lines] == [True, False, False]


def test_case_that_cannot_be_used_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, err = tried(capsys, "--cases", a_file(tmp_path, a_case(body_file="gone.json")), "--json")

    assert status == 2
    assert "case a/1 cannot be used" in err
