"""A real headless Chromium. Without one the tests of this folder are left out."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tools.chromium import chromium, installed

if installed() is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened
