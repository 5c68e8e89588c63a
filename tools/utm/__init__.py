"""``relay utm``: the addresses of ads. ``build`` makes one, ``lint`` finds what is wrong with many, ``ga4`` prints a
channel group for Google Analytics.

A campaign that is written in two ways is two campaigns in every report. One way: ``utm_source=chatgpt``,
``utm_medium=cpc`` or ``cpm``, a name for the campaign, all in lower case.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tools.utm import ga4
from tools.utm.address import MEDIUMS, BadAddress
from tools.utm.building import build
from tools.utm.rules import Finding, Rules, check
from tools.utm.table import BadTable, opened, rewritten

PROGRESS: Final = 100_000
"""Rows between two words about how far it is."""


class BadInput(ValueError):
    """An option that cannot be used; the text says which and what to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay utm``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    made = actions.add_parser("build", help="the address of a page with its campaign")
    made.add_argument("page", metavar="URL")
    made.add_argument("--campaign", required=True, metavar="NAME")
    made.add_argument("--medium", default="cpc", metavar="cpc|cpm", help="paid by click (default) or by view")
    made.add_argument("--content", metavar="NAME", help="which ad")
    made.add_argument("--term", metavar="NAME", help="which audience or topic")
    made.add_argument("--replace", action="store_true", help="in place of the utm parameters that the page has")

    lint = actions.add_parser("lint", help="what is wrong with these addresses? 1 when something is")
    lint.add_argument("pages", nargs="*", metavar="URL")
    lint.add_argument("--csv", metavar="FILE", help="a whole file instead")
    lint.add_argument(
        "--column", metavar="NAME", help="the column of addresses (default: url, final url, landing page …)"
    )
    lint.add_argument("--delimiter", metavar="CHAR", help="between the columns (default: the commonest of , ; tab |)")
    lint.add_argument("--encoding", default="utf-8", help="of the file (default: utf-8)")
    lint.add_argument("--site", action="append", default=[], metavar="HOST", help="your own: links to it carry no utm")
    lint.add_argument(
        "--medium", default="cpc", choices=MEDIUMS, help="what --fix writes for a wrong medium (default: cpc)"
    )
    lint.add_argument(
        "--fix", metavar="OUT.csv", help="write the file with all put right that can be; 1 when something is left"
    )
    lint.add_argument("--json", action="store_true", help="for machines: one object a finding")

    group = actions.add_parser("ga4", help="ChatGPT Ads as a channel in GA4: steps, and the body for the Admin API")
    group.add_argument(
        "--property", default="PROPERTY_ID", metavar="ID", dest="property_id", help="of your GA4 property"
    )
    group.add_argument("--json", action="store_true", help="the body alone")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay utm`` out; the exit status (1: findings, 2: the input cannot be used)."""
    try:
        match options.action:
            case "build":
                return _build(options)
            case "lint":
                return _lint(options)
        return _ga4(options)
    except (BadAddress, BadInput, BadTable) as problem:
        print(f"relay utm {options.action}: {problem}", file=sys.stderr)
        return 2


def _build(options: argparse.Namespace) -> int:
    names = ("medium", "campaign", "content", "term")
    built = build(options.page, {name: getattr(options, name) for name in names}, replaces=options.replace)
    print(built.text)
    for note in built.notes:
        print(note, file=sys.stderr)
    return 0


def _ga4(options: argparse.Namespace) -> int:
    if not re.fullmatch(r"PROPERTY_ID|[0-9]{1,20}", options.property_id):
        raise BadInput("--property is a number: Admin > Property details shows it (not the G-… of a stream)")
    print(ga4.as_json() if options.json else ga4.steps(options.property_id) + "\n" + ga4.as_json())
    return 0


def _lint(options: argparse.Namespace) -> int:
    rules = Rules(options.medium, frozenset(_host(each) for each in options.site))
    if bool(options.pages) == bool(options.csv):
        raise BadInput("name addresses, or a file with --csv FILE")
    if options.csv:
        return _lint_file(options, rules)
    if options.fix:
        raise BadInput("--fix corrects a file: name one with --csv FILE")
    bad = 0
    for index, page in enumerate(options.pages, start=1):
        checked = check(page, rules)
        bad += bool(checked.findings)
        for finding in checked.findings:
            _tell(options, f"address {index}", "", finding)
        if checked.findings and not options.json and checked.text != page:
            print(f"address {index}: corrected: {checked.text}")
    if not options.json:
        print(f"{_counted(len(options.pages), 'address', 'addresses')}, {bad} with findings.")
    return 1 if bad else 0


def _lint_file(options: argparse.Namespace, rules: Rules) -> int:
    path, out = Path(options.csv), Path(options.fix) if options.fix else None
    if out is not None and out.exists() and path.exists() and out.samefile(path):
        raise BadInput("--fix would overwrite what it reads: name another file")
    if options.delimiter is not None and len(options.delimiter) != 1:
        raise BadInput("--delimiter is one character")
    rows = bad = left = 0
    kinds: Counter[str] = Counter()
    with (
        opened(path, column=options.column, delimiter=options.delimiter, encoding=options.encoding) as table,
        rewritten(out, table) if out else nullcontext(None) as write,
    ):
        for cell in table.cells():
            rows += 1
            if rows % PROGRESS == 0:
                print(f"{rows:,} rows, {bad:,} with findings …", file=sys.stderr)
            if cell.text is None:
                findings: tuple[Finding, ...] = (_SHORT_ROW,)
                text = None
            else:
                findings, text = (checked := check(cell.text, rules)).findings, checked.text
            bad += bool(findings)
            left += any(not each.corrected for each in findings)
            for finding in findings:
                kinds[finding.rule] += 1
                _tell(options, f"{path}:{cell.line}", table.column.strip(), finding)
            if write is not None:
                write(cell, text)
    if not options.json:
        for line in _summary(rows, bad, kinds):
            print(line)
    if out is None:
        return 1 if bad else 0
    print(f"{out}: {bad - left:,} of {bad:,} put right, {left:,} left for you.", file=sys.stderr)
    return 1 if left else 0


_SHORT_ROW: Final = Finding(
    "short_row",
    "the row ends before this column",
    "it has no address",
    "fill the row, or look for a stray quote",
    False,
)


def _tell(options: argparse.Namespace, place: str, column: str, finding: Finding) -> None:
    if options.json:
        print(json.dumps({"place": place, "column": column, **asdict(finding)}, ensure_ascii=False))
    else:
        print(f"{place}: {column}{': ' if column else ''}{finding}")


def _summary(rows: int, bad: int, kinds: Counter[str]) -> Iterator[str]:
    yield f"{_counted(rows, 'row', 'rows')}, {bad:,} with findings."
    if kinds:
        yield "; ".join(f"{rule} {count:,}" for rule, count in kinds.most_common()) + "."


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _host(given: str) -> str:
    try:
        host = urlsplit(given if "//" in given else f"//{given}").hostname
    except ValueError:
        host = None
    if not host or not re.fullmatch(r"[^\s/?#@]+", host):
        raise BadInput(f"--site {given[:60]} is no host: write it as www.example.com")
    return host.lower().removeprefix("www.")
