"""The report in a real browser, at four widths: nothing overlaps or is cut off, nothing is asked of the network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from measurement.report.page import render
from tests.unit.measurement.report_samples import SAMPLES, drawn

WIDTHS = (1280, 768, 390, 320)
OVERLAPS = """() => {
    const inside = [];
    for (const svg of document.querySelectorAll('figure > svg')) {
        if (getComputedStyle(svg).display === 'none') continue;
        const boxes = [...svg.querySelectorAll('text')].map(each => [each.textContent, each.getBoundingClientRect()]);
        const whole = svg.getBoundingClientRect();
        boxes.forEach(([text, a], place) => {
            if (a.left < whole.left - 1 || a.right > whole.right + 1
                || a.bottom > whole.bottom + 1 || a.top < whole.top - 1)
                inside.push(`${text} leaves its chart`);
            for (const [other, b] of boxes.slice(place + 1))
                if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 2 && b.top < a.bottom - 2)
                    inside.push(`${text} over ${other}`);
        });
    }
    return inside;
}"""
SMALL = """() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.textContent.trim(), held = walker.currentNode.parentElement;
        if (!text || !held.checkVisibility() || held.closest('.aside, title, desc')) continue;
        const svg = held.closest('svg');
        const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
        const size = parseFloat(getComputedStyle(held).fontSize) * scale;
        if (size < 11) found.push(`${text}: ${size.toFixed(1)} px`);
    }
    return found;
}"""
WIDE_TABLES = """() => [...document.querySelectorAll('table')].filter(each => {
    const around = each.parentElement.getBoundingClientRect();
    return around.right > document.documentElement.clientWidth
        || getComputedStyle(each.parentElement).overflowX !== 'auto';
}).length"""
CONTRASTS = """() => {
    const rgb = text => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = held => {
        for (let each = held; each; each = each.parentElement) {
            const colour = rgb(getComputedStyle(each).backgroundColor);
            if (colour.length === 3 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
    };
    const low = [];
    for (const held of document.querySelectorAll('main *, header *, footer *')) {
        const own = [...held.childNodes].some(each => each.nodeType === 3 && each.textContent.trim());
        if (held.closest('svg') || !own) continue;
        const [a, b] = [light(rgb(getComputedStyle(held).color)), light(ground(held))].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) low.push(`${held.textContent.trim()}: ${contrast.toFixed(2)}`);
    }
    return low;
}"""


@pytest.fixture(scope="module", params=SAMPLES)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    path.write_text(render(SAMPLES[request.param](), drawn(request.param)), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Callable[..., Page]]:
    """Opens the report at a width. Whatever else it asks for, and whatever it writes to the console, is wrong."""
    asked: list[str] = []
    written: list[str] = []
    contexts = []

    def open_at(width: int, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: written.append(message.text))
        page.on("pageerror", lambda error: written.append(str(error)))
        page.goto(report.as_uri())
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert {each for each in asked if not each.startswith("data:")} == {report.as_uri()}
    assert written == []


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_clear_at_every_width(opened: Callable[..., Page], width: int) -> None:
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERLAPS) == []
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SMALL) == []
    assert page.evaluate(WIDE_TABLES) == 0


def test_each_chart_is_shown_once(opened: Callable[..., Page]) -> None:
    for width, kind in ((1280, "wide"), (390, "narrow")):
        page = opened(width)
        figures = page.locator("figure").count()
        assert page.locator(f"figure > svg.{kind}:visible").count() == figures
        assert page.locator("figure > svg:visible").count() == figures


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(opened: Callable[..., Page], scheme: str) -> None:
    assert opened(1280, scheme).evaluate(CONTRASTS) == []


def test_it_prints_with_the_wide_charts_and_without_links(opened: Callable[..., Page], tmp_path: Path) -> None:
    page = opened(390)
    page.emulate_media(media="print")
    assert page.locator("figure > svg.narrow:visible").count() == 0
    assert not page.locator("nav").is_visible()
    page.set_viewport_size({"width": 690, "height": 1000})  # A4 less its margins
    assert page.evaluate("document.documentElement.scrollWidth") <= 690
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
