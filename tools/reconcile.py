"""``relay reconcile``: do the systems agree? What shop, relay, OpenAI, GA4 and CRM count, and why they differ.

With a FOLDER it reads what the folder's measurement.toml names. Without one it reads the ledger and the logs of the
stack, OpenAI's reports where OPENAI_ADS_ADVERTISER_KEY is set, and with ``--shop-api`` the shop's own orders.

Exit status: 0 every difference has a reason, but for less than the threshold; 1 more differs, or orders are missing
beyond it; 2 something could not be read, or no two systems report the same conversions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from tools import deployment, moments
from tools.wording import count

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.reconciliation import Difference, Reconciliation
    from measurement.settings import Settings

SETTINGS: Final = "measurement.toml"
BACKFILLS: Final = ("shopify", "stripe")
MOST_DAYS: Final = 30
WIDTH: Final = 130
"""Columns of the output where it is no terminal's."""
MOST_IDS: Final = 10
NOTHING_COMPARED: Final = (
    "nothing could be compared, because no two systems report the same conversions for these days. Check the period, "
    "and name two of the shop's orders, the relay's ledger and log, GA4 and the CRM as inputs."
)
_HEADINGS: Final = {
    "truth": "truth", "received": "received", "ignored": "ignored", "recorded": "recorded", "sent": "sent",
    "accepted": "accepted", "attributed": "attributed", "ga4": "GA4", "crm": "CRM",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay reconcile``."""
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help=f"where {SETTINGS} is")
    parser.add_argument(
        "--since",
        type=moments.span_ms,
        metavar="SPAN",
        help="how far back, such as 7d (default: the settings', else 7d)",
    )
    parser.add_argument("--json", action="store_true", help="for machines: one object")
    parser.add_argument("--threshold", type=_share, metavar="SHARE", help="what may differ without a reason (0.02)")
    parser.add_argument("--shop-api", action="store_true", help="ask the shop for its orders (SHOPIFY_ADMIN_TOKEN)")
    parser.add_argument("--shop", metavar="DOMAIN", help="whose orders: example.myshopify.com (default: ShopDomains)")
    parser.add_argument("--api", metavar="ORIGIN", help="the shop's API, if not its own")
    parser.add_argument("--ads-api", metavar="ORIGIN", help="OpenAI's Advertiser API, if not its own")
    parser.add_argument("--time-zone", metavar="ZONE", default="UTC", help="whose days, without a FOLDER (UTC)")
    deployment.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Carry ``relay reconcile`` out; the exit status."""
    from measurement.problems import Problem
    from measurement.reconciliation import reconcile

    try:
        settings = _settings(options)
        with TemporaryDirectory(prefix="relay-reconcile-") as workspace:
            data, notes = _read(options, settings, Path(workspace))
            found = reconcile(data, settings)
    except Problem as problem:
        print(f"relay reconcile: {problem}", file=sys.stderr)
        return 2
    threshold = settings.threshold if options.threshold is None else options.threshold
    steps = list(_steps(found, options, settings))
    if options.json:
        print(json.dumps(as_object(found, settings, threshold, steps, notes), ensure_ascii=False, indent=2))
    else:
        _show(found, settings, threshold, steps, notes)
    if not found.compared:
        print(f"relay reconcile: {NOTHING_COMPARED}", file=sys.stderr)
        return 2
    return 1 if found.worst() > threshold else 0


# Reading --------------------------------------------------------------------------------------------------------------


def _settings(options: argparse.Namespace) -> Settings:
    """Those of the folder, or those that a stack needs. Raises BadInput."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from measurement.problems import BadInput
    from measurement.settings import Input, Settings, load

    now = datetime.now(UTC)
    if options.folder is not None:
        settings = load(options.folder / SETTINGS)
        if options.since is not None:
            today = now.astimezone(settings.time_zone).date()
            settings = replace(settings, first=_first(options.since, settings.time_zone), last=today)
        return settings
    try:
        zone = ZoneInfo(options.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadInput("--time-zone", f"{options.time_zone} is no time zone", "Write Europe/Berlin or UTC.") from None
    where = {
        name: value for name in ("stack", "region", "profile") if (value := getattr(options, name, None))
    }  # fmt: skip
    inputs = [Input("ledger", where, 0), Input("relay_logs", where, 0)]
    if os.environ.get("OPENAI_ADS_ADVERTISER_KEY", "").strip():
        inputs.append(Input("openai_insights", {"api": options.ads_api} if options.ads_api else {}, 0))
    if options.shop_api:
        of_shop = {name: value for name in ("shop", "api") if (value := getattr(options, name))}
        inputs.append(Input("shop_api", where | of_shop, 0))
    return Settings(
        shop=options.stack or "the local relay",
        time_zone=zone,
        currency="USD",
        first=_first(options.since or 7 * 86_400_000, zone),
        last=now.astimezone(zone).date(),
        folder=Path(),
        rates=_no_rates(),
        inputs=tuple(inputs),
    )


def _first(since_ms: int, zone: Any) -> date:
    return datetime.fromtimestamp((moments.now_ms() - since_ms) / 1000, UTC).astimezone(zone).date()


def _no_rates() -> Any:
    """Conversions are counted here, not what they are worth: no amount is shown, so any rate will do."""
    from decimal import Decimal

    from conversion_relay.money import EXPONENTS

    return dict.fromkeys(EXPONENTS, Decimal(1))


def _read(options: argparse.Namespace, settings: Settings, workspace: Path) -> tuple[Data, tuple[str, ...]]:
    """The tables of all inputs. Raises BadInput."""
    from measurement import inputs
    from measurement.engine import Data

    if options.folder is not None:
        imported = inputs.run(settings, workspace, progress=_say)
        return Data.in_folder(workspace), tuple(imported.notes)
    from measurement.inputs import deliveries, ledger, openai, relay, shop
    from measurement.tables import TABLES

    importers = {**ledger.IMPORTERS, **deliveries.IMPORTERS, **openai.IMPORTERS, **shop.IMPORTERS}
    rows: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
    notes = []
    for entry in settings.inputs:
        _say(f"reading {entry.kind}")
        for name, row in importers[entry.kind](entry, settings):
            if name == relay.NOTE:
                notes.append(str(row["note"]))
            else:
                rows[name][tuple(row.get(each) for each in TABLES[name].key)] = row
    return Data.of({name: list(held.values()) for name, held in rows.items()}), tuple(notes)


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"relay reconcile: {what}", file=sys.stderr)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no share from 0 to 1, such as 0.02")
    return share


# What to do -----------------------------------------------------------------------------------------------------------


def _steps(found: Reconciliation, options: argparse.Namespace, settings: Settings) -> Iterator[str]:
    """The commands that fetch what is missing."""
    today = datetime.now(UTC).astimezone(settings.time_zone).date()
    # With a folder the stack is the one whose ledger its settings name.
    named = options.stack or next((e.options.get("stack") for e in settings.inputs if e.kind == "ledger"), None)
    stack = f" --stack {named}" if named else ""
    for source, ids in found.missing.items():
        days = [each.day for each in found.differences if each.source == source and _is_missing(each)]
        since = (today - min(days, default=settings.first)).days + 1
        lacking = count(len(ids), "order")
        if source in BACKFILLS:
            shop = f" --shop {options.shop}" if source == "shopify" and options.shop else ""
            api = f" --api {options.api}" if source == "shopify" and options.api else ""
            command = f"relay backfill {source}{stack}{shop}{api} --days {min(since, MOST_DAYS)}"
            yield f"{lacking} of {source} missing: '{command}' shows what it would record, with --go it does."
        else:
            yield (
                f"{lacking} of {source} missing: have the platform send its webhooks again; what is parked comes with "
                f"'relay replay parked{stack}'."
            )


def _is_missing(each: Difference) -> bool:
    return (each.before, each.after) == ("truth", "recorded") and each.count > 0


# For machines ---------------------------------------------------------------------------------------------------------


def as_object(
    found: Reconciliation, settings: Settings, threshold: float, steps: list[str], notes: tuple[str, ...]
) -> dict[str, Any]:
    """The reconciliation as ``--json`` prints it. null: that layer gave no data, which is not zero."""
    return {
        "first": settings.first.isoformat(),
        "last": settings.last.isoformat(),
        "time_zone": settings.time_zone.key,
        "ok": found.compared and found.worst() <= threshold,
        "compared": found.compared,
        "threshold": threshold,
        "unexplained": [
            {"before": before, "after": after, "count": number, "of": out_of}
            for (before, after), (number, out_of) in found.unexplained().items()
            if number
        ],
        "rows": [
            {"day": row.day.isoformat(), "source": row.source, "type": row.type, **row.counts} for row in found.rows
        ],
        "differences": [
            {
                "day": each.day.isoformat(), "source": each.source, "type": each.type, "before": each.before,
                "after": each.after, "count": each.count, "reason": each.reason, "explained": each.explained,
                "advice": each.advice,
            }
            for each in found.differences
        ],
        "missing": {source: list(ids) for source, ids in found.missing.items()},
        "next": steps,
        "notes": [*found.notes, *notes],
    }  # fmt: skip


# For people -----------------------------------------------------------------------------------------------------------


def _show(
    found: Reconciliation, settings: Settings, threshold: float, steps: list[str], notes: tuple[str, ...]
) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    zone = settings.time_zone.key
    console.print(f"[bold]{escape(settings.shop)}[/]  {settings.first} to {settings.last}, days of {zone}\n")
    if not found.rows:
        console.print("Nothing was counted on these days.\n")
    else:
        console.print(_counts(found))
        console.print()
    if found.differences:
        console.print(_reasons(found))
        console.print()
    for source, ids in found.missing.items():
        more = f" and {len(ids) - MOST_IDS} more (--json has all)" if len(ids) > MOST_IDS else ""
        console.print(f"Missing of {escape(source)}: {escape(', '.join(ids[:MOST_IDS]))}{more}")
    for each in (*found.notes, *notes):
        console.print(f"[dim]Note: {escape(each)}[/]")
    worst = found.worst()
    flagged = {arrow: held for arrow, held in found.unexplained().items() if held[0]}
    for (before, after), (number, out_of) in flagged.items():
        console.print(f"[yellow]Without a reason:[/] {number:,} of {out_of:,} between {before} and {after}.")
    for step in steps:
        console.print(f"[bold]To do:[/] {escape(step)}")
    if not found.compared:
        return
    if worst > threshold:
        console.print(f"[bold red]{worst:.1%} differs without a reason, over the threshold of {threshold:.1%}.[/]")
    else:
        console.print(f"[green]Every difference has a reason[/], but for {worst:.1%} (threshold: {threshold:.1%}).")


def _counts(found: Reconciliation) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("day", "source", "type"):
        table.add_column(name, no_wrap=True)
    for heading in _HEADINGS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found.rows:
        numbers = ["[dim]–[/]" if (held := row.counts[stage]) is None else f"{held:,}" for stage in _HEADINGS]
        table.add_row(row.day.isoformat(), escape(row.source), escape(row.type), *numbers)
    return table


def _reasons(found: Reconciliation) -> Any:
    """The reasons, those of all days together; the flagged ones first."""
    from rich.markup import escape
    from rich.table import Table

    totals: dict[Any, int] = {}
    for each in found.differences:
        key = (each.explained, each.before, each.after, each.source, each.type, each.reason, each.advice)
        totals[key] = totals.get(key, 0) + each.count
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("", "between", "source", "type"):
        table.add_column(name, no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("why", ratio=1)
    for key, total in sorted(totals.items(), key=lambda held: (held[0][0], held[0][1:5], -abs(held[1]))):
        explained, before, after, source, kind, reason, advice = key
        why = f"{escape(reason)}. [dim]{escape(advice)}[/]" if advice else escape(reason)
        mark = "[green]✓[/]" if explained else "[bold red]✗[/]"
        table.add_row(mark, f"{before} → {after}", escape(source), escape(kind), f"{total:+,}", why)
    return table
