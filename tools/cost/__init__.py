"""``relay cost``: what a million conversions cost on AWS, and a month of this deployment.

The code is run here and counted; what it is multiplied with is one dated price list. Needs neither AWS nor a network.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tools.cost import report
from tools.cost.bill import Billing, per_run, whole_batch
from tools.cost.choices import Choices, UnknownParameter
from tools.cost.designs import WINDOWS_S, compared
from tools.cost.measure import PARAMETERS, Measured, measure
from tools.cost.processes import MeasuringFailed

CONVERSIONS: Final = 1_000_000
LEAST: Final = 1_000
"""Below so few a month, what conversions cause is lost in what is fixed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A deployment, what was measured of it, and how many conversions a month it is asked for."""

    choices: Choices
    measured: Measured
    conversions: int

    @property
    def billing(self) -> Billing:
        """Makes its bill."""
        return Billing(self.choices, self.measured, self.conversions)


def cost(conversions: int = CONVERSIONS, parameters: Mapping[str, str] | None = None) -> Cost:
    """Measure a deployment with these parameters; takes some seconds.

    Raises:
        UnknownParameter: the template has none of this name.
        MeasuringFailed: a function did not do what it must.
    """
    choices = Choices({**PARAMETERS, **(parameters or {})})
    batches = {whole_batch(choices, conversions, window) for window in (None, *WINDOWS_S)}
    return Cost(choices, measure(choices, per_run(choices, conversions), batches), conversions)


@dataclass(frozen=True, slots=True)
class Headline:
    """US dollars at list price that a million orders of a shop cause, and a million conversions of the mix; and what is
    fixed, a month, less the allowances of an account with nothing else in it.
    """

    orders: float
    mix: float
    fixed: float


def headline(conversions: int = CONVERSIONS) -> Headline:
    """Measure a deployment as shipped.

    Raises:
        MeasuringFailed: a function did not do what it must.
    """
    billing = cost(conversions).billing
    bill = billing.bill()
    return Headline(
        orders=report.by_kind(billing)[report.TYPICAL],
        mix=bill.usd_per_million("variable"),
        fixed=report.fixed_paid(bill),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay cost``."""
    parser.add_argument(
        "--conversions", type=_whole, default=CONVERSIONS, metavar="N", help=f"a month (default: {CONVERSIONS:,})"
    )
    parser.add_argument(
        "--parameter", action="append", default=[], type=_assigned, metavar="NAME=VALUE",
        help="of template.yaml, such as 'SendEvery=rate(15 minutes)'; may be given more than once",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay cost`` out; the exit status."""
    try:
        found = cost(options.conversions, dict(options.parameter))
    except (UnknownParameter, MeasuringFailed, ValueError) as problem:
        print(f"relay cost: {problem}", file=sys.stderr)
        return 2
    designs = compared(found.choices, found.measured, found.conversions)
    if options.json:
        print(json.dumps(report.as_json(found.billing, designs), indent=2))
    else:
        report.show(found.billing, designs)
    return 0


def _whole(text: str) -> int:
    number = int(text.replace(",", "").replace("_", ""))
    if number < LEAST:
        raise argparse.ArgumentTypeError(f"must be {LEAST:,} or more")
    return number


def _assigned(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
