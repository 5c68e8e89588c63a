"""The doctor never fails on a page, whatever is in it, and its outputs are always well-formed."""

import io
import json
import random

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from tests.pages import cases
from tools.doctor import report
from tools.doctor.page import Page, decode
from tools.doctor.rules import examine

PAGES = [each.file.read_bytes() for folder in ("broken", "good") for each in cases(folder)]
PIECES = [
    b"<script>", b"</script>", b"<!--", b"-->", b"<![CDATA[", b"<head", b"</head>", b"<noscript>", b"&#x110000;",
    b'oaiq("init", {', b'oaiq("measure", ', b'"Purchase", {amount: 1e999, ', b"...x", b"[[[[", b"`${", b"\\u{110000}",
    b"\\ud800", b"{{", b"0x", b"-" * 50, b"\x00", b"\xff\xfe", b"https://[::1", b"https://bzr.openai.com/v1/sdk/events?",
    b"data[type]=", b"<a href='http://h:99999999/?utm_source=chatgpt.com'>", b"&amp",
    b"<meta http-equiv=content-security-policy ",
    b"content=\"script-src 'sha256-x' http://*.[\">", b"event_id: 1n", b"'", b'"', b"</", b"<", b">", b"\xe2\x80",
]  # fmt: skip


def look(body: bytes, headers: dict[str, str]) -> None:
    page = Page("https://shop.example/?email=a", decode(body, headers.get("content-type", "")), headers)
    seen = examine(page, pixel_id="Qm7TzV4kRw2LpX9sNdB3Yh")
    made = report.Report("x", page.url, "", seen.findings, seen.notes)
    json.dumps(report.as_object(made)).encode()
    report.as_page(made).encode()
    report.show(made, Console(file=io.StringIO(), width=80))


HEADERS = st.fixed_dictionaries(
    {}, optional={"content-security-policy": st.text(max_size=60), "content-type": st.text(max_size=40)}
)


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=300), HEADERS)
@example(b"<script>" + b"(" * 20_000, {})
@example(b"<div>" * 20_000, {})
@example(b"<script>oaiq(" + b"{a:" * 5_000, {})
@example(b"<script>oaiq('measure','custom'," + b"[" * 5_000 + b"]" * 5_000 + b")</script>", {})
@example(b"<script>x=" + b"1+" * 20_000 + b"1</script>", {})
@example(b"<script>oaiq('init'," + b"1+" * 5_000 + b"'')</script>", {})
def test_arbitrary_bytes(body: bytes, headers: dict[str, str]) -> None:
    look(body, headers)


@settings(max_examples=120, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30), HEADERS)
def test_pieces_of_pages(pieces: list[bytes], headers: dict[str, str]) -> None:
    look(b"".join(pieces), headers)


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(PAGES), st.integers(0, 2**32))
def test_broken_copies_of_pages(body: bytes, seed: int) -> None:
    chance = random.Random(seed)
    copy = bytearray(body)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(copy) + 1)
        copy[at : at + chance.choice((0, 1, 5, 80))] = chance.choice(PIECES)

    look(bytes(copy), {})
