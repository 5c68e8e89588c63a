"""A real headless Chromium, and a shop on the loopback address for its pages.

Without Chromium the tests of this folder are left out, which the end of the run says. Where they have to run, set
RELAY_BROWSER=required: then its absence is an error. CHROMIUM names the program, if it is not on the path.
"""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, sync_playwright

from tests.browser.chromium import CHROMIUM, FLAGS, MISSING, REQUIRED
from tests.browser.sites import Clicks, Shop

if CHROMIUM is None:
    if REQUIRED:
        raise pytest.UsageError(f"tests/browser cannot run: {MISSING}")
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def shop_server() -> Iterator[Shop]:
    with Shop() as shop:
        yield shop


@pytest.fixture(scope="session")
def clicks_server(shop_server: Shop) -> Iterator[Clicks]:
    with Clicks(shop_server) as clicks:
        yield clicks


@pytest.fixture
def shop(shop_server: Shop) -> Shop:
    shop_server.reset()
    return shop_server


@pytest.fixture
def clicks(clicks_server: Clicks) -> Clicks:
    clicks_server.reset()
    return clicks_server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of one person who has never been here."""
    with browser.new_context() as context:
        yield context


@pytest.fixture
def console() -> list[str]:
    """What the pages wrote to the console. A test that expects something there takes it out."""
    return []


@pytest.fixture
def new_tab(context: BrowserContext, console: list[str]) -> Iterator[Callable[[], Page]]:
    """Opens a tab. Nothing may go to its console, and no error may reach it."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        console.append(f"{message.type}: {message.text}")

    def fail(error: Error) -> None:
        errors.append(str(error))

    def opened() -> Page:
        page = context.new_page()
        page.set_default_timeout(8_000)
        page.on("console", note)
        page.on("pageerror", fail)
        return page

    yield opened
    assert errors == []
    assert console == []


@pytest.fixture
def page(new_tab: Callable[[], Page]) -> Page:
    return new_tab()
