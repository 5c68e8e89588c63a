"""``relay snippet``: what is printed parses, keeps to the pixel's contract, and nothing can be smuggled in."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import tree_sitter_javascript
import tree_sitter_php
from tree_sitter import Language, Node, Parser

from conversion_relay.delivery import Delivery
from conversion_relay.event import DATA_TYPE
from tools import cli
from tools.cases import settings_from
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.snippets import CONSENTS, PLATFORMS, channels, filling, gtm, recommended
from tools.sources import receiver_for
from tools.template import ROOT

PIXEL = "abcDEF1234567890abcdEF"
CLICK = "https://abc123.lambda-url.eu-west-1.on.aws"
JAVASCRIPT = Parser(Language(tree_sitter_javascript.language()))
PHP = Parser(Language(tree_sitter_php.language_php()))


def snippet(folder: Path, *arguments: str) -> dict[str, str]:
    """The files that the command writes, by name."""
    assert cli.main(["snippet", *arguments, "--pixel-id", PIXEL, "--out", str(folder)]) == 0
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["snippet", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def errors(node: Node) -> list[str]:
    """Where a parsed text is none of its language."""
    here = [f"line {node.start_point[0] + 1}: {node.type}"] if node.is_error or node.is_missing else []
    return here + [each for child in node.children if child.has_error for each in errors(child)]


def scripts(html: str) -> Iterator[str]:
    """The code of the script elements; what Liquid, Tag Manager or printf fills in counts as a number."""
    bare = re.sub(r"\{%.*?%\}", "", re.sub(r"\{\{.*?\}\}|%s", "0", html), flags=re.S)
    for attributes, code in re.findall(r"<script([^>]*)>(.*?)</script>", bare, re.S):
        if "application/json" not in attributes:
            yield code


def problems(name: str, text: str) -> list[str]:
    """What a file's parser says is wrong with it."""
    if name.endswith(".php"):
        return errors(PHP.parse(text.encode()).root_node) + [
            p for each in scripts(text) for p in problems("x.js", each)
        ]
    if name.endswith((".js", ".jsx")):
        return errors(JAVASCRIPT.parse(text.encode()).root_node)
    if name.endswith((".html", ".liquid")):
        assert text.count("<script") == text.count("</script>") > 0
        return [each for code in scripts(text) for each in problems("x.js", code)]
    if name.endswith(".json"):
        tags = json.loads(text)["containerVersion"]["tag"]
        return [
            p
            for tag in tags
            for each in tag["parameter"]
            if each["key"] == "html"
            for p in problems("x.html", each["value"])
        ]
    return []


# What is printed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "consent", "events"), list(product(PLATFORMS, CONSENTS, ("recommended", "all", "page_viewed")))
)
def test_every_file_parses_and_is_filled_in(tmp_path: Path, platform: str, consent: str, events: str) -> None:
    options = ["--consent", consent, "--events", events, "--click-url", CLICK, "--backend-url", f"{CLICK}/backend"]

    files = snippet(tmp_path, platform, *options)

    assert {name: found for name, text in files.items() if (found := problems(name, text))} == {}
    assert [name for name, text in files.items() if "«" in text or "»" in text] == []
    assert [name for name, text in files.items() if re.search(r"[ \t]$", text, re.M) or not text.endswith("\n")] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.js", "function () {"),
        ("a.jsx", "const a = <b>;"),
        ("a.php", "<?php function a( { }"),
        ("a.html", "<script>if (</script>"),
        ("a.php", "<?php function a() { ?><script>var = 1;</script><?php }"),
    ],
)
def test_broken_code_is_found(name: str, text: str) -> None:
    assert problems(name, text)


WITH_PHP = pytest.mark.skipif(shutil.which("php") is None, reason="no PHP here (Debian: apt install php-cli)")


@WITH_PHP
def test_php_itself_takes_the_plugin(tmp_path: Path) -> None:
    snippet(tmp_path, "wordpress", "--events", "all", "--backend-url", f"{CLICK}/backend")

    checked = subprocess.run(["php", "-l", tmp_path / "relay-pixel.php"], capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def plugin(folder: Path, *arguments: str) -> dict[str, Any]:
    """What the plugin does at a checkout, run by PHP over as little of WordPress as it calls."""
    snippet(folder, "wordpress", "--events", "all", "--backend-url", f"{CLICK}/backend")
    stand_in = Path(__file__).with_name("wordpress.php")
    ran = subprocess.run(
        ["php", stand_in, folder / "relay-pixel.php", *arguments], capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


@WITH_PHP
def test_the_plugins_order_is_taken_with_the_id_of_its_page(tmp_path: Path) -> None:
    # Given a paid order whose first report is not taken (503)
    told = plugin(tmp_path)

    # Then it is told again, until it is taken, and not after that
    first, second = told["requests"]
    assert told["later"] == ["relay_pixel_report"]
    assert first["body"] == second["body"]
    assert second["address"] == f"{CLICK}/backend"

    # And the relay takes it, signature and all
    ledger, now_ms = InMemoryLedger(), time.time_ns() // 1_000_000
    receiver = receiver_for(
        "backend", KnownSecrets(["backend_test_5b4a"]), ledger, InMemoryParking(), settings_from({}), lambda: now_ms
    )
    assert receiver is not None
    headers = {name.lower(): value for name, value in second["headers"].items()}
    outcome = receiver.receive(Delivery("POST", "/backend", "", headers, second["body"].encode()))
    assert outcome.event is not None, outcome
    event = outcome.event.wire()
    assert (event["type"], event["id"], event["oppref"]) == (
        "order_created",
        "backend:woo-1234",
        "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d",
    )
    assert (event["user"]["obref"], event["user"]["ip_address"]) == ("ob%201", "203.0.113.24")
    assert (event["data"]["amount"], event["data"]["contents"][0]["amount"]) == (2900, 1450)

    # And the page's code says the same id, and cannot be left by a product's name
    assert told["thanks"].count("</script>") == 1
    assert problems("x.html", told["thanks"]) == []
    assert told["thanks"].rstrip().endswith('"EUR"), "backend:woo-1234");</script>')


@WITH_PHP
def test_the_plugin_says_nothing_of_an_unpaid_order(tmp_path: Path) -> None:
    assert plugin(tmp_path, "unpaid") == {"thanks": "", "requests": [], "later": []}


@pytest.mark.parametrize("platform", ["shopify", "stripe", "nextjs", "wordpress"])
def test_the_base_is_as_the_contract_has_it(tmp_path: Path, platform: str) -> None:
    files = snippet(tmp_path, platform, "--events", "all")

    (base,) = [text for name, text in files.items() if "oaiq.min.js" in text and name != "custom-pixel.js"]

    assert '"https://bzrcdn.openai.com/sdk/oaiq.min.js"' in base
    assert f"w.oaiq('init', {{ pixelId: \"{PIXEL}\" }});" in base
    # The queue is there before the script is asked for, consent before init, and that before anything is measured
    order = ["w.oaiq = queue", "script.src = address", "w.oaiq('consent', false)", "w.oaiq('init'", "relayPixel = {"]
    assert sorted(order, key=base.index) == order


def test_shopify_has_two_places_and_no_order_unless_asked(tmp_path: Path) -> None:
    files = snippet(tmp_path, "shopify", "--click-url", CLICK)

    assert set(files) == {"theme-head.liquid", "custom-pixel.js", "content-security-policy.txt"}
    assert "checkout_completed" not in files["custom-pixel.js"]
    assert (
        f'<script src="{CLICK}/relay-click.js" data-endpoint="{CLICK}" data-consent="shopify" defer>'
        in files["theme-head.liquid"]
    )
    # Nothing for the sandbox: no file for it
    assert "custom-pixel.js" not in snippet(tmp_path / "b", "shopify", "--events", "page_viewed")


def test_the_policy_names_what_the_pixel_talks_to(tmp_path: Path) -> None:
    policy = snippet(tmp_path, "stripe", "--click-url", CLICK)["content-security-policy.txt"]

    lines = dict(line.split(maxsplit=1) for line in policy.splitlines() if not line.startswith("#"))
    assert lines == {
        "script-src": f"https://bzrcdn.openai.com {CLICK}",
        "connect-src": f"https://bzr.openai.com https://bzrcdn.openai.com {CLICK}",
        "img-src": "https://bzr.openai.com",
    }
    assert "/relay-click.js" not in snippet(tmp_path / "b", "stripe")["head.html"]


def test_it_is_printed_with_places_and_says_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["snippet", "shopify", "--pixel-id", PIXEL]) == 0

    told = capsys.readouterr()
    assert re.findall(r"^===== (\S+): .+ =====$", told.out, re.M) == [
        "theme-head.liquid",
        "custom-pixel.js",
        "content-security-policy.txt",
    ]
    assert "Left to the relay: order_created (why: relay snippet --table)" in told.err
    assert "Without --click-url" in told.err


def test_wordpress_tells_the_relay_only_when_it_knows_where(tmp_path: Path) -> None:
    without = snippet(tmp_path / "a", "wordpress", "--events", "all")["relay-pixel.php"]
    told = snippet(tmp_path / "b", "wordpress", "--events", "all", "--backend-url", f"{CLICK}/backend")[
        "relay-pixel.php"
    ]

    assert "wp_remote_post" not in without
    assert f"wp_remote_post('{CLICK}/backend'" in told
    # The pixel's id is source and id of what is told: as the relay makes it of a backend's delivery
    assert "return 'backend:woo-' . $order->get_id();" in told
    assert "'id' => 'woo-' . $order->get_id()," in told


# Files ----------------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten_unless_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "head.html"
    mine.write_text("mine")

    said = refused(capsys, "stripe", "--pixel-id", PIXEL, "--out", str(tmp_path))

    assert "has head.html already: choose another folder, or overwrite with --force" in said
    assert [path.name for path in tmp_path.iterdir()] == ["head.html"]
    assert mine.read_text() == "mine"
    assert "oaiq" in snippet(tmp_path, "stripe", "--force")["head.html"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    assert "cannot be written" in refused(capsys, "stripe", "--pixel-id", PIXEL, "--out", str(tmp_path / "file" / "x"))


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stripe"], "--pixel-id is missing"),
        (["stripe", "--pixel-id", "short"], "--pixel-id is none"),
        (["stripe", "--pixel-id", 'abc"});alert(1);//x'], "--pixel-id is none"),
        (["stripe", "--pixel-id", "</script><script>x"], "--pixel-id is none"),
        (["stripe", "--pixel-id", PIXEL + "\n"], "--pixel-id is none"),
        (["stripe", "--pixel-id", "cds_1234567890"], "is a source's id (cds_…)"),
        (["--pixel-id", PIXEL], "name the kind of site, one of shopify, stripe, nextjs, wordpress, gtm"),
        (["stripe", "--click-url", "http://shop.example"], "--click-url cannot be used"),
        (["stripe", "--click-url", 'https://a.example" onload="x'], "--click-url cannot be used"),
        (["stripe", "--click-url", "https://a.example/?x=1"], "--click-url cannot be used"),
        (["stripe", "--click-url", "https://a.example/path"], "write it as https://host, without"),
        (["stripe", "--click-url", "https://[::1"], "--click-url is no address"),
        (["stripe", "--click-url", "https://user@a.example"], "--click-url cannot be used"),
        (["stripe", "--site", "javascript:alert(1)"], "--site cannot be used"),
        (["stripe", "--account", "acct_1';x"], "--account is no Stripe account"),
        (["wordpress", "--backend-url", "https://a.example/x' . y . '"], "--backend-url cannot be used"),
        (["stripe", "--events", "purchase"], "no code for purchase (there is no such event)"),
        (
            ["shopify", "--events", "subscription_created"],
            "no code for subscription_created (whether something was paid",
        ),
        (["gtm", "--events", "app_opened"], "no code for app_opened"),
        (["stripe", "--events", ","], "--events names none"),
    ],
)
def test_what_cannot_be_used_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    named = [] if "--pixel-id" in arguments or said.startswith("--pixel-id is missing") else ["--pixel-id", PIXEL]

    assert said in refused(capsys, *arguments, *named)


@pytest.mark.parametrize("value", ['"', "'", "</script>", "<!--", "\\", "\n", "\u2028", "&", "${x}"])
def test_a_value_cannot_leave_its_place(value: str) -> None:
    code = filling.javascript(value)
    assert json.loads(code) == value
    assert not set("<>&\n\u2028") & set(code)
    assert '"' not in filling.attribute(value)
    assert "<" not in filling.attribute(value)
    assert problems("x.php", f"<?php $a = {filling.php(value)};") == []


@pytest.mark.parametrize("text", ["«end»", "«if x»", "«if x»\n«if y»\n«end»"])
def test_a_template_with_an_open_end_is_refused(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text(text)
    monkeypatch.setattr(filling, "TEMPLATES", tmp_path)

    with pytest.raises(ValueError, match="without"):
        filling.filled("a", {}, {"x", "y"})


# Tag Manager ----------------------------------------------------------------------------------------------------------


def test_the_container_holds_together(tmp_path: Path) -> None:
    held = json.loads(snippet(tmp_path, "gtm", "--events", "all", "--source", "stripe")["relay-gtm-container.json"])

    assert held["exportFormatVersion"] == 2
    version = held["containerVersion"]
    names = {each["name"] for each in version["tag"]}
    triggers = {each["triggerId"] for each in version["trigger"]} | {gtm.ALL_PAGES}
    variables = {each["name"] for each in version["variable"]} | {"_event"}
    for tag in version["tag"]:
        assert set(tag["firingTriggerId"]) <= triggers
        assert {each["tagName"] for each in tag.get("setupTag", [])} <= names
        assert tag["consentSettings"]["consentType"]["list"] == [{"type": "TEMPLATE", "value": "ad_storage"}]
    assert set(re.findall(r"\{\{([^{}]+)\}\}", json.dumps(version))) <= variables
    ids = [
        each[key]
        for key, kind in (("tagId", "tag"), ("triggerId", "trigger"), ("variableId", "variable"))
        for each in version[kind]
    ]
    assert len(ids) == len(set(ids)) == 7 + 5 + 3
    assert {each["accountId"] for kind in ("tag", "trigger", "variable") for each in version[kind]} == {"0"}
    assert {"type": "TEMPLATE", "key": "value", "value": "stripe"} in version["variable"][2]["parameter"]


def test_a_container_has_triggers_for_its_tags_only(tmp_path: Path) -> None:
    held = json.loads(snippet(tmp_path, "gtm", "--events", "order_created")["relay-gtm-container.json"])[
        "containerVersion"
    ]

    assert [each["name"] for each in held["tag"]] == ["relay - base", "relay - order_created"]
    assert [each["name"] for each in held["trigger"]] == ["relay - purchase"]


# The table ------------------------------------------------------------------------------------------------------------


def test_the_table_has_every_event_once() -> None:
    assert sorted(row.event for row in channels.TABLE) == sorted(DATA_TYPE)
    assert len(DATA_TYPE) == 13


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_printed_by_default_is_what_the_table_recommends(platform: str) -> None:
    by_event = {row.event: row.channel for row in channels.TABLE}

    assert "page_viewed" in recommended(platform)
    assert {by_event[each] for each in recommended(platform)} <= {"pixel", "both"}
    assert {by_event[each] for each in set(PLATFORMS[platform].events) - set(recommended(platform))} == {"relay"}


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["snippet", "--table"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[:2] for line in shown.splitlines() if line[:1].isalpha()][1:] == [
        [row.event, row.channel] for row in channels.TABLE
    ]


def test_the_page_has_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["snippet", "--table", "--markdown"]) == 0

    assert capsys.readouterr().out in (ROOT / "docs/pairing.md").read_text(encoding="utf-8")
