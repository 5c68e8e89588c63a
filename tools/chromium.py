"""Headless Chromium, where it is installed, for the demo's shopper and the tests in a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Without a sandbox, as containers and CI allow none; it opens pages of this machine only. And nothing of its own goes
# out to the network.
FLAGS: Final = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    """What the variable CHROMIUM names, else Chromium or Chrome as Linux packages call them; None if there is none."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


class NoChromium(RuntimeError):
    """There is no browser, or it does not start; the text says which, and what to do."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser. NoChromium when there is none."""
    from playwright.sync_api import Error, sync_playwright

    path = installed()
    if path is None:
        raise NoChromium("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM.")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error as problem:
            raise NoChromium(f"{path} does not start: {str(problem).splitlines()[0]}") from None
        try:
            yield browser
        finally:
            browser.close()
