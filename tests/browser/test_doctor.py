"""The doctor in a real browser, on pages of this machine: the faults that are in them, and nothing else.

Of every kind of fault that a browser judges one page is opened, all that only a browser can judge, and all good pages.
ALL_PAGES=1 opens the rest as well (three minutes).
"""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pages import Case, cases, served
from tools import cli
from tools.doctor import browser
from tools.doctor.fetching import Unseen
from tools.doctor.page import Page
from tools.doctor.rules import Examination, Visit, examine

CHROMIUM = browser.find(os.environ.get("CHROMIUM", ""))
if CHROMIUM is None:
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)

BROWSERS = 2
"""At once: a page's time is mostly spent waiting. Each in a thread of its own, as Playwright wants it."""
FROM_SOURCE = frozenset(
    ("utm_source", "utm_medium", "reserved_parameter", "order_id_in_url", "personal_data_in_url", "image_tag")
) | {"order_id_in_image", "data_type", "data_field", "currency", "pixel_id_wrong", "csp_config", "pixel_in_body"}
"""Kinds that are judged by the page's source in both looks: tests/unit has them."""


def _chosen(broken: list[Case]) -> list[Case]:
    first = {each.finds: each for each in reversed(broken) if each.static and each.finds not in FROM_SOURCE}.values()
    return [each for each in broken if os.environ.get("ALL_PAGES") or not each.static or each in first]


BROKEN = _chosen(cases("broken"))
GOOD = cases("good")
Seen = dict[str, tuple[Page, Examination]]


def name_of(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with served() as origin:
        yield origin


@pytest.fixture(scope="module")
def seen(origin: str) -> Seen:
    """All pages, looked at by two browsers side by side."""
    chosen = [*BROKEN, *GOOD]

    def look_at(share: list[Case]) -> Seen:
        with browser.started(CHROMIUM) as opened:
            found = {}
            for case in share:
                page, visit = browser.look(opened, case.address(origin), timeout_s=20)
                found[case.name] = (page, examine(page, visit, pixel_id=case.pixel_id))
            return found

    with ThreadPoolExecutor(BROWSERS) as pool:
        shares: list[Future[Seen]] = [pool.submit(look_at, chosen[at::BROWSERS]) for at in range(BROWSERS)]
        return {name: found for share in shares for name, found in share.result().items()}


@pytest.mark.parametrize("case", BROKEN, ids=name_of)
def test_the_one_fault_is_found(case: Case, seen: Seen) -> None:
    page, found = seen[case.name]

    assert [each.code for each in found.findings] == [case.finds]
    place = found.findings[0].place
    if place:
        assert "the fault" in page.text.splitlines()[place.line - 1]


@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_a_good_page_has_no_finding(case: Case, seen: Seen) -> None:
    _, found = seen[case.name]

    assert found.findings == []


Look = Callable[[str, float], tuple[Page, Visit]]


@pytest.fixture(scope="module")
def look() -> Iterator[Look]:
    """Looks at a page with a browser that stays."""
    with ThreadPoolExecutor(1) as thread:
        starting = browser.started(CHROMIUM)
        opened = thread.submit(starting.__enter__).result()
        yield lambda target, timeout_s: thread.submit(browser.look, opened, target, timeout_s=timeout_s).result()
        thread.submit(starting.__exit__, None, None, None).result()


def elsewhere(work: Callable[[], int]) -> int:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/missing", "There is no page"),
        ("/login", "needs a login"),
        ("/members", "asks for a login"),
        ("/broken", "HTTP 500"),
        ("/for-ever", "redirects for ever"),
        ("/data", "is no page but application/json"),
        ("/download", "is no page"),
        ("/text", "holds no HTML"),
        ("/never", "did not finish within 1 s"),
    ],
)
def test_there_is_no_page_to_look_at(path: str, says: str, origin: str, look: Look) -> None:
    with pytest.raises(Unseen, match=says):
        look(origin + path, 1)


def test_nobody_answers(look: Look) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        with pytest.raises(Unseen, match=r"cannot be opened: .*ERR_CONNECTION_REFUSED"):
            look(f"http://127.0.0.1:{port}/", 5)


def test_a_file_sees_what_lies_beside_it_and_nothing_else(tmp_path: Path, look: Look) -> None:
    # Given a page with a script beside it, and a secret one folder up
    (tmp_path / "secret.js").write_text("secret = 1")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "beside.js").write_text('oaiq("measure", "Purchase", {})')
    (folder / "index.html").write_text(
        "<html><head><script>oaiq = function () { oaiq.q.push(arguments) }; oaiq.q = []</script>"
        '<script src="beside.js"></script><script src="..%2fsecret.js"></script><script src="/../secret.js"></script>'
        '<script>oaiq("secret", typeof secret)</script></head></html>'
    )

    _, visit = look(str(folder / "index.html"), 10)

    assert ("measure", "Purchase", {}) in [each.arguments for each in visit.calls]
    assert ("secret", "undefined") in [each.arguments for each in visit.calls]


@contextmanager
def counted() -> Iterator[tuple[int, list[int]]]:
    """Something that listens in OpenAI's place and counts who connects: its port, and the count."""
    count = [0]
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            count[0] += 1
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], count
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@pytest.mark.parametrize(("live", "reaches"), [(False, False), (True, True)])
def test_openai_is_reached_only_where_that_is_asked_for(live: bool, reaches: bool, origin: str) -> None:
    (case,) = (each for each in GOOD if each.name == "order_with_token")
    with counted() as (port, count):
        rules = f"--host-resolver-rules=MAP *.openai.com 127.0.0.1:{port}"

        def work() -> int:
            with browser.started(CHROMIUM, [rules]) as opened:
                _, visit = browser.look(opened, case.address(origin), timeout_s=10, live=live)
            return sum("bzrcdn.openai.com" in each for each in visit.requests)

        assert elsewhere(work) > 0
        assert (count[0] > 0) == reaches


def test_the_command(origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.html"

    arguments = ["doctor", f"{origin}/broken/event_id_made_by_bundle.html", "--json", "--html", str(report)]
    status = elsewhere(lambda: cli.main(arguments))

    held = json.loads(capsys.readouterr().out)
    assert status == 1
    assert [each["code"] for each in held["findings"]] == ["event_id_changes"]
    assert "random_id.js" in held["findings"][0]["where"]
    assert held["looked"] == "in Chromium; nothing was sent to OpenAI"
    assert "event_id_changes" in report.read_text()


def test_a_browser_that_does_not_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert elsewhere(lambda: cli.main(["doctor", "http://127.0.0.1/", "--chromium", "/bin/false"])) == 2
    assert "does not start" in capsys.readouterr().err

    assert cli.main(["doctor", "http://127.0.0.1/", "--chromium", "/nowhere/chromium"]) == 2
    assert "There is no Chromium /nowhere/chromium" in capsys.readouterr().err


def test_visits_do_not_share_cookies(origin: str, look: Look) -> None:
    (case,) = (each for each in cases("good") if each.name == "plain")
    look(case.address(origin), 10)

    _, visit = look(f"{origin}/broken/pixel_missing.html", 10)

    assert visit.cookies == set()
