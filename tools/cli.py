"""The ``relay`` command: what a person runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from tools import (
    backfill,
    check,
    cost,
    doctor,
    explain,
    lambda_event,
    plan,
    platforms,
    posting,
    reconcile,
    replay,
    report,
    snippets,
    status,
    trial,
    utm,
)  # fmt: skip

BROKEN_PIPE: Final = 141
"""The exit status where whoever read the output has gone, as shells have it."""
INTERRUPTED: Final = 130
"""The exit status after Ctrl-C, as shells have it; of commands that write, see `tools.dry_run`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="relay", description="Conversion Relay's tools.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text, module in (
        ("try", "what would the relay make of this delivery? Writes nothing", trial),
        ("event", "print a sample, freshly signed, as the event that Lambda gets (for sam local invoke)", lambda_event),
        ("post", "sign a sample freshly and post it to a running relay (see make up)", posting),
        ("explain", "what became of this order, event, subscription or call?", explain),
        ("status", "is all well? What waits, what was sent, what needs a person", status),
        ("check", "is everything in place for conversions to be counted? Counts nothing itself", check),
        ("doctor", "what is wrong with the pixel on this page? Opens it in Chromium, sends nothing to OpenAI", doctor),
        ("cost", "what does a million conversions cost on AWS? Computed here, without AWS", cost),
        ("replay", "what was parked, put aside, rejected or left behind, once more", replay),
        ("backfill", "fetch the last days from Shopify or Stripe, and record what the ledger lacks", backfill),
        ("reconcile", "do shop, relay, OpenAI, GA4 and CRM agree? What is missing, and why", reconcile),
        ("snippet", "the pixel's code for your site, with the event ids that the relay uses", snippets),
        ("utm", "build and check the addresses of your ads; the channel group for GA4", utm),
        ("plan", "which test of the ads' effect could you run, and how small an effect would it find?", plan),
        ("report", "what did ChatGPT ads really do? Ledger, GA4, CRM, survey and spend, as one HTML file", report),
        ("platform", "are the files of custom platforms good, and where not?", platforms),
    ):
        command = commands.add_parser(name, help=help_text, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    try:
        exit_status: int = options.run(options)
    except KeyboardInterrupt:
        print(f"relay {options.command}: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does. What is left in the buffer must not fail when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return exit_status


if __name__ == "__main__":
    raise SystemExit(main())
