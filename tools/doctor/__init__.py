"""``relay doctor``: what is wrong with the pixel on this page? Sends nothing to OpenAI."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tools.doctor.report import Report

WIDTH: Final = 110
"""Columns of the output where it is no terminal's."""
TIMEOUT_S: Final = 20.0
"""Seconds that a page gets to load."""
NO_CHROMIUM: Final = (
    "No Chromium was found, so scripts were read and not run: cookies after a click, ids that change on a reload, "
    "what a tag manager loads and errors in the browser were not looked at."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay doctor``."""
    parser.add_argument("target", metavar="URL|FILE", help="the page: an address, or a file")
    parser.add_argument("--static", action="store_true", help="read the page, do not open it in Chromium")
    parser.add_argument("--live", action="store_true", help="let the pixel's requests through to OpenAI (it counts!)")
    parser.add_argument("--pixel-id", default="", metavar="ID", help="the Pixel ID that the page should have")
    parser.add_argument("--no-relay-click", action="store_true", help="the page needs no relay-click.js")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    parser.add_argument("--timeout", type=_seconds, default=TIMEOUT_S, metavar="S", help="seconds to load (default 20)")
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM", ""), metavar="PATH", help="the browser to use")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page")
    parser.add_argument("--json", action="store_true", help="for machines: one object")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay doctor`` out; the exit status (1: something is wrong, 2: the page could not be looked at)."""
    from rich.console import Console

    from tools.doctor import report
    from tools.doctor.fetching import Unseen

    if options.static and options.live:
        print("relay doctor: --static runs nothing that --live could let through; leave one out.", file=sys.stderr)
        return 2
    try:
        found = diagnose(
            options.target,
            static=options.static,
            live=options.live,
            pixel_id=options.pixel_id,
            relay_click=not options.no_relay_click,
            timeout_s=options.timeout,
            chromium=options.chromium,
        )
        if options.html:
            _write(options.html, report.as_page(found))
    except Unseen as problem:
        print(f"relay doctor: {report.clean(str(problem))}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.as_object(found), ensure_ascii=False, indent=2))
    else:
        console = Console(highlight=False)
        report.show(found, console if console.is_terminal else Console(width=WIDTH, highlight=False))
    return 1 if found.counts["error"] or (options.strict and found.findings) else 0


def diagnose(
    target: str,
    *,
    static: bool = False,
    live: bool = False,
    pixel_id: str = "",
    relay_click: bool = True,
    timeout_s: float = TIMEOUT_S,
    chromium: str = "",
) -> Report:
    """Look at a page and say what is wrong. Raises `Unseen` where it could not be looked at."""
    from tools.doctor import browser, fetching, rules
    from tools.doctor.report import Report

    executable = None if static else browser.find(chromium)
    visit = None
    if executable:
        with browser.started(executable) as opened:
            page, visit = browser.look(opened, target, timeout_s=timeout_s, live=live)
        looked = "in Chromium; OpenAI was reached" if live else "in Chromium; nothing was sent to OpenAI"
    else:
        page = fetching.from_address(target, timeout_s) if fetching.is_address(target) else fetching.from_file(target)
        looked = "at the source, without a browser"
    seen = rules.examine(page, visit, pixel_id=pixel_id, relay_click=relay_click)
    notes = seen.notes if static or executable else [NO_CHROMIUM, *seen.notes]
    return Report(target, page.url, looked, seen.findings, notes)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 1 to 600")
    return seconds


def _write(name: str, text: str) -> None:
    from tools.doctor.fetching import Unseen

    try:
        Path(name).write_text(text)
    except OSError as problem:
        raise Unseen(f"the report cannot be written to {name}: {problem.strerror}.") from None
