"""``relay backfill``: fetch the last days from the platform's own API, and record what the ledger lacks.

For an outage that outlasted the platform's retries, webhooks that were not subscribed, or a bus that lost events. Each
object goes the way of its webhook; what the ledger knows already is a duplicate. Without ``--go`` a dry run.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tools import dry_run
from tools.backfill import shopify, stripe
from tools.backfill.found import Found
from tools.deployment import Deployment
from tools.dry_run import CannotRun, Listing, amount, counted
from tools.taking import ABOUT, SETTLED, TOO_OLD, NoReceiver, Taker, about

PLATFORMS: Final = {"shopify": shopify, "stripe": stripe}
MOST_DAYS: Final = 30
"""Stripe keeps events for so long; and no conversion is sent that is older than 7 days."""
_ORIGIN: Final = re.compile(r"https://[^/?#\s@]+|http://127\.0\.0\.1(:\d+)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The platform; each has options of its own."""
    kinds = parser.add_subparsers(dest="platform", required=True, metavar="PLATFORM")
    for name, module in PLATFORMS.items():
        kind = kinds.add_parser(name, help=module.HELP, description=module.__doc__)
        dry_run.add_arguments(kind)
        kind.add_argument("--days", type=_days, default=3, metavar="N", help="how far back, 1 to 30 (default: 3)")
        kind.add_argument("--api", type=_origin, metavar="ORIGIN", help="the API, if not the platform's own")
        module.add_arguments(kind)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay backfill`` out; the exit status, see `tools.dry_run`."""
    return dry_run.carry_out(f"relay backfill {options.platform}", options, _act)


def token(variable: str, what: str) -> str:
    """The API's token, from the environment or the keyboard; never from the command line, which others can read.

    Raises:
        CannotRun: there is none.
    """
    given = os.environ.get(variable, "").strip()
    if not given and sys.stdin.isatty():
        given = getpass.getpass(f"{what} (it is not shown): ").strip()
    if not given or not given.isascii() or not given.isprintable():
        raise CannotRun(f"there is no usable {what}: put it into the environment as {variable}")
    return given


def _act(deployment: Deployment, options: argparse.Namespace) -> int:
    platform = PLATFORMS[options.platform]
    taker = Taker(deployment, go=options.go)
    try:
        settings = taker.settings(options.platform)
    except NoReceiver as problem:
        raise CannotRun(f"{problem}: nothing would take what {options.platform} has") from problem
    with dry_run.progress("Fetching", None) as step:
        found = platform.find(options, settings, lambda: token(platform.TOKEN_VARIABLE, platform.TOKEN_NAME), step)
    return _take_all(taker, found, options)


def _take_all(taker: Taker, found: Sequence[Found], options: argparse.Namespace) -> int:
    listing = Listing("object", "topic", "now" if options.go else "would be", *ABOUT)
    counts: Counter[str] = Counter()
    ignored: Counter[str] = Counter()
    try:
        with dry_run.progress("Recording", len(found)) as step:
            # Oldest first: what an object tells may belong to a later one, as a session's click to its invoice.
            for each in sorted(found, key=lambda one: (one.happened_ms, one.number)):
                outcome = taker.take(options.platform, each.delivery)
                if outcome.kind not in SETTLED:
                    counts["not understood"] += 1
                    listing.add(
                        each.id, each.topic, f"not understood: {outcome.reason}", outcome.detail.partition(";")[0]
                    )
                elif outcome.kind == "ignored":
                    counts["too old" if outcome.reason == TOO_OLD else "ignored"] += 1
                    ignored[outcome.reason] += outcome.reason != TOO_OLD
                else:
                    counts[_NAMES.get(outcome.kind, outcome.kind)] += 1
                    if outcome.kind == "recorded":
                        listing.add(each.id, each.topic, outcome.kind, *about(outcome))
                step()
    finally:
        listing.show()
    fetched = amount(len(found), PLATFORMS[options.platform].NOUN)
    as_if = "" if options.go else ", if taken now"
    print(f"{fetched} of the last {amount(options.days, 'day')}{as_if}: {counted(counts)}.")
    if +ignored:
        print(f"Ignored: {counted(+ignored)}.")
    if counts["too old"]:
        print(f"{counts['too old']} over 7 days old: OpenAI takes such a conversion no longer.")
    if not options.go:
        print(dry_run.WRITES_NOTHING)
    elif counts["recorded"]:
        print("What was recorded is sent with the next run of the sender.")
    return 1 if counts["not understood"] else 0


_NAMES: Final = {"duplicate": "known already"}


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is no number of days from 1 to {MOST_DAYS}")
    return int(text)


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text} is no https origin, such as https://api.example.com, nor http://127.0.0.1"
        )
    return text
