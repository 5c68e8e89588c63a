"""The bill, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tools.cost.bill import PARTS, Bill, Billing, Part
from tools.cost.designs import Compared
from tools.cost.prices import assumptions, dated, price_list

WIDTH: Final = 120
TYPICAL: Final = "shopify/orders/create"
"""The delivery that most conversions begin with."""
_TITLES: Final[dict[Part, str]] = {
    "variable": "What each conversion causes",
    "kept": "What is kept (ledger full), what leaves AWS",
    "fixed": "What is there without any conversion",
}


def show(billing: Billing, designs: Sequence[Compared]) -> None:
    """The tables of ``relay cost``."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    bill = billing.bill()
    date, region = dated()
    console.print(
        f"[bold]{bill.conversions:,.0f} conversions a month[/], list prices of {region} as of {date}, US dollars",
        highlight=False,
    )
    for part in PARTS:
        console.print()
        _lines(console, bill, part)
    console.print()
    _totals(console, billing, bill)
    console.print()
    _by_kind(console, billing)
    console.print()
    _further(console, billing)
    console.print()
    _compared(console, bill, designs)
    console.print()
    _measured(console, billing)


def _lines(console: Console, bill: Bill, part: Part) -> None:
    fixed = part == "fixed"
    table = _table()
    table.add_column(_TITLES[part], no_wrap=True, width=46)
    table.add_column("a month" if fixed else "each", justify="right", width=14)
    table.add_column("unit", no_wrap=True, width=20)
    table.add_column("a month" if fixed else "a million", justify="right", width=12)
    table.add_column("free for ever", justify="right", no_wrap=True)
    for line in sorted((each for each in bill.lines if each.part == part), key=lambda each: -each.usd):
        price = price_list()[line.price]
        usd = line.usd if fixed else line.usd * 1_000_000 / bill.conversions
        quantity = line.quantity if fixed else line.quantity / bill.conversions
        table.add_row(
            line.what, _number(quantity), price.unit, f"{usd:.3f}", f"{price.free:,.0f} a month" if price.free else ""
        )
    total = bill.usd(part) if fixed else bill.usd_per_million(part)
    table.add_row("[bold]together, at list price[/]", "", "", f"[bold]{total:.3f}[/]", "")
    console.print(table)


def _totals(console: Console, billing: Billing, bill: Bill) -> None:
    table = _table(show_header=False)
    table.add_column(no_wrap=True, width=88)
    table.add_column(justify="right", width=12)
    table.add_row(
        "[bold]A million conversions of the mix: all that each causes, at list price, with no allowance[/]",
        f"[bold]{bill.usd_per_million('variable'):.2f}[/]",
    )
    table.add_row("[bold]A million orders of a shop, likewise[/]", f"[bold]{by_kind(billing)[TYPICAL]:.2f}[/]")
    table.add_row("The mix with what is kept and what leaves AWS", f"{bill.usd_per_million('variable', 'kept'):.2f}")
    table.add_row("Fixed, a month, with no allowance", f"{bill.usd('fixed'):.2f}")
    table.add_row(
        "Fixed, a month, less what AWS gives for ever to an account with nothing else in it", f"{fixed_paid(bill):.2f}"
    )
    table.add_row("A month in all, with no allowance whatever", f"{bill.usd(*PARTS):.2f}")
    table.add_row("A month in all, in an account with nothing else in it", f"{sum(bill.paid().values()):.2f}")
    console.print(table)


def fixed_paid(bill: Bill) -> float:
    """US dollars a month for what is fixed, if nothing else used the allowances."""
    return sum(Bill(bill.conversions, [line for line in bill.lines if line.part == "fixed"]).paid().values())


def _by_kind(console: Console, billing: Billing) -> None:
    table = _table()
    table.add_column("A million conversions of one kind alone", no_wrap=True, width=68)
    table.add_column("of the mix", justify="right", width=18)
    table.add_column("a million", justify="right", width=12)
    shares = {work.sample: work.times for work in billing.measured.receive}
    for sample, usd in by_kind(billing).items():
        table.add_row(_NAMES.get(sample, sample), f"{shares[sample]:.0%}", f"{usd:.2f}")
    console.print(table)


_NAMES: Final = {
    TYPICAL: "a shop's orders",
    "stripe/checkout.session.completed": "payments (Stripe)",
    "stripe/checkout.session.completed.subscription": "subscriptions (Stripe): a transaction, which counts double",
    "callrail/post_call": "calls (CallRail)",
    "ctm/end": "calls (CallTrackingMetrics)",
}


def by_kind(billing: Billing) -> dict[str, float]:
    """US dollars that a million conversions of one kind cause, by the sample that they were measured with."""
    found = {}
    for work in billing.measured.receive:
        alone = replace(billing.measured, receive=[replace(work, times=1.0)])
        found[work.sample] = replace(billing, measured=alone).bill().usd_per_million("variable")
    return found


def _further(console: Console, billing: Billing) -> None:
    table = _table()
    table.add_column("A further delivery, which brings no new conversion", no_wrap=True, width=88)
    table.add_column("a million", justify="right", width=12)
    for kind, usd in further(billing).items():
        table.add_row(_KINDS[kind], f"{usd:.2f}")
    console.print(table)


_KINDS: Final = {
    "twin": "of a conversion that is known, by another topic (Shopify's orders/paid)",
    "again": "the same delivery again",
    "ignored": "no conversion (a refund, a renewal, a call too short)",
    "forged": "forged",
    "parked": "not understood, and parked",
}


def further(billing: Billing) -> dict[str, float]:
    """US dollars for a million deliveries of each other kind."""
    found = {}
    for kind, works in billing.measured.further.items():
        lines = billing.priced("variable", [("receivers", work) for work in works], 1_000_000)
        found[kind] = sum(line.usd for line in lines)
    return found


def _compared(console: Console, bill: Bill, designs: Sequence[Compared]) -> None:
    table = _table()
    table.add_column("One thing changed", no_wrap=True, width=62)
    table.add_column("a million", justify="right", width=12)
    table.add_column("against", justify="right", width=10)
    table.add_column("fixed a month", justify="right", width=14)
    base = bill.usd_per_million("variable")
    table.add_row("as template.yaml has it", f"{base:.2f}", "", f"{bill.usd('fixed'):.2f}")
    for each in designs:
        usd = each.bill.usd_per_million("variable")
        table.add_row(each.name, f"{usd:.2f}", f"{usd - base:+.2f}", f"{each.bill.usd('fixed'):.2f}")
    console.print(table)


def _measured(console: Console, billing: Billing) -> None:
    measured = billing.measured
    table = _table()
    table.add_column("Measured", no_wrap=True, width=34)
    table.add_column("CPU here", justify="right", width=10)
    table.add_column("on Lambda", justify="right", width=11)
    table.add_column("log lines", justify="right", width=16)
    table.add_column("start, CPU", justify="right", width=11)
    table.add_column("memory", justify="right", width=18)
    for name, work in [
        *((f"{each.function.name} {each.times:.0%}", each) for each in measured.receive),
        (f"Outbox, a batch of {billing.batch}", measured.outbox[billing.batch]),
        (f"Sender, {measured.sent} waiting", measured.send),
        ("Sender, none waiting", measured.idle),
    ]:
        function = work.function
        table.add_row(
            name,
            f"{work.cpu_ms:.1f} ms",
            f"{billing.duration_ms(work):,.0f} ms",
            f"{len(work.log)}, {billing.log_bytes(work):,.0f} B",
            f"{measured.init[function.name]:.0f} ms",
            f"{measured.memory_mb[function.name]:.0f} of {function.memory_mb} MB",
        )
    console.print(table)
    console.print(
        f"A ledger item is {measured.item:,.0f} bytes on average, {measured.over_1_kb:.0%} of them over 1 KB; with its "
        f"event as JSON {measured.plain_item:,.0f} bytes, {measured.plain_over_1_kb:.0%}. An event is "
        f"{measured.event:,.0f} bytes. CPU time is that of this machine.",
        highlight=False,
    )
    console.print("AWS itself was not used. What is assumed: tools/cost/assumptions.toml.", highlight=False)


def as_json(billing: Billing, designs: Sequence[Compared]) -> dict[str, Any]:
    """All of it."""
    bill, measured = billing.bill(), billing.measured
    date, region = dated()
    return {
        "date": date,
        "region": region,
        "conversions_a_month": bill.conversions,
        "usd_per_million": {
            "variable": bill.usd_per_million("variable"),
            "with_kept": bill.usd_per_million("variable", "kept"),
            "all_with_no_allowance": bill.usd_per_million(*PARTS),
        },
        "usd_a_month": {
            "fixed": bill.usd("fixed"),
            "fixed_less_allowances": fixed_paid(bill),
            "all_with_no_allowance": bill.usd(*PARTS),
            "all_less_allowances": sum(bill.paid().values()),
        },
        "lines": [
            {
                "part": line.part,
                "what": line.what,
                "price": line.price,
                "quantity_a_month": line.quantity,
                "quantity_per_conversion": line.quantity / bill.conversions,
                "usd_a_month": line.usd,
                "usd_per_million": line.usd * 1_000_000 / bill.conversions,
            }
            for line in bill.lines
        ],
        "further_deliveries_usd_per_million": further(billing),
        "designs": [
            {
                "name": each.name,
                "usd_per_million": each.bill.usd_per_million("variable"),
                "fixed_usd_a_month": each.bill.usd("fixed"),
            }
            for each in designs
        ],
        "measured": {
            "ledger_item_bytes": measured.item,
            "ledger_items_over_1_kb": measured.over_1_kb,
            "ledger_item_bytes_as_json": measured.plain_item,
            "event_bytes": measured.event,
            "outbox_batch": billing.batch,
            "sender_run": measured.sent,
            "start_cpu_ms": dict(measured.init),
            "memory_mb": dict(measured.memory_mb),
            "alarms": billing.alarms(),
            "metrics": sorted(map("/".join, billing.metrics())),
            "functions": [
                {
                    "function": work.function.name,
                    "times": work.times,
                    "cpu_ms": work.cpu_ms,
                    "lambda_ms": billing.duration_ms(work),
                    "log_bytes": billing.log_bytes(work),
                    "calls": [f"{each.service} {each.operation}" for each in work.calls[:40]],
                }
                for work in (*measured.receive, measured.outbox[billing.batch], measured.send, measured.idle)
            ],
        },
        "assumptions": assumptions(),
    }


def _table(**options: Any) -> Table:
    return Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), **options)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"
