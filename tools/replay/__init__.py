"""``relay replay``: what was parked, put aside, rejected or left behind, once more. Without ``--go`` a dry run.

It may be run twice, and interrupted: what it did the first time is a duplicate, or no longer there, the second time.
"""

from __future__ import annotations

import argparse

from tools import dry_run
from tools.replay import dead_letters, ledger, parked


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to replay; each kind has options of its own."""
    kinds = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, help_text, module in (
        ("parked", "deliveries of the parking bucket, through the receive path of their source", parked),
        ("dead-letters", "messages that the sender put aside, back on the queue", dead_letters),
        ("ledger", "conversions that were rejected, expired, sent, or never queued, on the queue again", ledger),
    ):
        kind = kinds.add_parser(name, help=help_text, description=module.__doc__)
        dry_run.add_arguments(kind)
        module.add_arguments(kind)
        kind.set_defaults(act=module.act)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay replay`` out; the exit status, see `tools.dry_run`."""
    return dry_run.carry_out(f"relay replay {options.what}", options, options.act)
