"""The stand-in's pixel script in real headless Chromium: it does what is documented of OpenAI's (contract 6.2).

What is tried on it later, the shop's pages and relay-click.js beside it, is worth no more than this.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tools.stand_in import StandIn
from tools.stand_in_server import Answer, LoopbackServer, Request

PIXEL = "Qm7TzV4kRw2LpX9sNdB3Yh"
OTHER = "Zz7TzV4kRw2LpX9sNdB3Yh"
STUB = "window.oaiq = window.oaiq || function () { (oaiq.q = oaiq.q || []).push(arguments); };"
INIT = f'oaiq("init", {{pixelId: "{PIXEL}"}});'
ORDER = 'oaiq("measure", "order_created", {type: "contents", amount: 100, currency: "USD"}, {event_id: "shopify:1"});'
DAY_S = 86_400


@pytest.fixture(scope="module")
def openai() -> Iterator[StandIn]:
    with StandIn(keys=["key"], pixels=[PIXEL, OTHER]) as stand_in:
        yield stand_in


class Site:
    """A page on the loopback whose calls each test sets; `open` visits it in a browser of its own."""

    def __init__(self, openai: StandIn, context: Any) -> None:
        self.openai = openai
        self.context = context
        self.calls = INIT
        self.url = ""

    def respond(self, request: Request) -> Answer:
        script = f'<script async src="{self.openai.url}/sdk/oaiq.min.js"></script>'
        html = f"<!doctype html><script>{STUB}{self.calls}</script>{script}"
        return Answer(200, html.encode(), "text/html") if request.path != "/favicon.ico" else Answer(404, b"")

    def open(self, calls: str = INIT, query: str = "") -> Any:
        """Visit the page; returns once its script has run."""
        self.calls = calls
        page = self.context.new_page()
        page.goto(f"{self.url}/some/page{query}")
        page.wait_for_function("window.oaiq && oaiq.isStandIn")
        return page

    def cookies(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.context.cookies()}

    def posted(self, *expected: str) -> None:
        """Wait until these events have come, and hold that no others did."""
        give_up = time.monotonic() + 5
        while True:
            sent = [
                name for each in self.openai.browser_requests() if each["what"] == "pixel" for name in each["names"]
            ]
            if sorted(sent) == sorted(expected) or time.monotonic() > give_up:
                assert sorted(sent) == sorted(expected)
                assert [each["problems"] for each in self.openai.browser_requests() if each["problems"]] == []
                return
            time.sleep(0.02)


@pytest.fixture
def site(browser: Any, openai: StandIn) -> Iterator[Site]:
    openai.reset()
    context = browser.new_context()
    made = Site(openai, context)
    server = LoopbackServer(made.respond, 0)
    server.start()
    made.url = server.url
    yield made
    context.close()
    server.stop()


def test_calls_made_before_the_script_is_there_are_carried_out(site: Site) -> None:
    site.open(INIT + ORDER, "?oppref=gAAAAABo_x")

    site.posted("openai::sdk_init", "order_created")
    [kept] = site.openai.events()
    event = kept["event"]
    assert (kept["channel"], kept["pid"], kept["id"]) == ("pixel", PIXEL, "shopify:1")
    assert (event["source_url"], event["oppref"]) == (site.url, "gAAAAABo_x")
    assert event["user"] == {"obref": site.cookies()["__obref"]["value"]}


def test_both_cookies_are_set_for_as_long_as_documented(site: Site) -> None:
    site.open(query="?oppref=op1")

    cookies, now = site.cookies(), time.time()
    assert cookies["__oppref"]["value"] == "op1"
    assert cookies["__oppref"]["expires"] - now == pytest.approx(30 * DAY_S, abs=60)
    assert cookies["__obref"]["expires"] - now == pytest.approx(365 * DAY_S, abs=60)
    assert {each["path"] for each in cookies.values()} == {"/"}


def test_a_new_click_takes_the_place_of_the_old_and_the_browser_stays_the_same(site: Site) -> None:
    site.open(query="?oppref=op1")
    browser = site.cookies()["__obref"]["value"]
    site.open(query="?oppref=")
    assert site.cookies()["__oppref"]["value"] == "op1"

    site.open(query="?oppref=op2")

    assert (site.cookies()["__oppref"]["value"], site.cookies()["__obref"]["value"]) == ("op2", browser)


def test_without_consent_nothing_is_sent_or_kept_and_nothing_comes_later(site: Site) -> None:
    page = site.open('oaiq("consent", false);' + INIT + ORDER, "?oppref=op1")
    assert site.cookies() == {}
    site.posted()

    page.evaluate('oaiq("consent", true)')
    page.evaluate('oaiq("measure", "page_viewed", {type: "contents"})')

    site.posted("page_viewed")
    assert site.cookies().keys() == {"__oppref", "__obref"}


def test_a_refusal_deletes_the_cookies(site: Site) -> None:
    page = site.open(query="?oppref=op1")
    assert site.cookies().keys() == {"__oppref", "__obref"}

    page.evaluate('oaiq("consent", false)')
    page.evaluate('oaiq("measure", "page_viewed", {type: "contents"})')

    assert site.cookies() == {}
    site.posted("openai::sdk_init")


def test_measure_tells_every_pixel_and_measure_single_one(site: Site) -> None:
    site.open(
        INIT
        + f'oaiq("init", {{pixelId: "{OTHER}"}});'
        + ORDER
        + f'oaiq("measureSingle", "{OTHER}", "page_viewed", {{type: "contents"}});'
    )

    site.posted("openai::sdk_init", "openai::sdk_init", "order_created", "order_created", "page_viewed")
    counted = {(kept["pid"], kept["name"]) for kept in site.openai.events()}
    assert counted == {(PIXEL, "order_created"), (OTHER, "order_created"), (OTHER, "page_viewed")}


def test_options_of_an_event_reach_openai(site: Site) -> None:
    options = '{custom_event_name: "Quote", opt_out: true, event_id: "q1"}'
    site.open(INIT + f'oaiq("measure", "custom", {{type: "custom", size: "large"}}, {options});')

    site.posted("openai::sdk_init", "custom")
    [kept] = site.openai.events()
    assert (kept["name"], kept["id"], kept["event"]["opt_out"]) == ("quote", "q1", True)
    assert kept["event"]["data"] == {"type": "custom", "size": "large"}


def test_an_event_without_an_id_gets_one_of_its_own(site: Site) -> None:
    measured = 'oaiq("measure", "page_viewed", {type: "contents"});'
    site.open(INIT + measured * 2)

    site.posted("openai::sdk_init", "page_viewed", "page_viewed")
    assert len({kept["id"] for kept in site.openai.events()}) == 2


def test_an_event_outlives_the_page_that_sent_it(site: Site) -> None:
    page = site.open()

    page.evaluate('oaiq("measure", "page_viewed", {type: "contents"}, {event_id: "last"}); location.href = "/next"')

    page.wait_for_url("**/next")
    site.posted("openai::sdk_init", "openai::sdk_init", "page_viewed")


def test_loaded_twice_it_measures_once(site: Site) -> None:
    page = site.open()
    page.add_script_tag(url=f"{site.openai.url}/sdk/oaiq.min.js")

    page.evaluate('oaiq("measure", "page_viewed", {type: "contents"})')

    site.posted("openai::sdk_init", "page_viewed")


def test_the_script_reads_its_settings(site: Site) -> None:
    site.open()
    site.posted("openai::sdk_init")

    configured = [each for each in site.openai.browser_requests() if each["what"] == "config"]
    assert [(each["pid"], each["status"]) for each in configured] == [(PIXEL, 200)]
