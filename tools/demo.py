"""``make demo`` and ``make up``: signed webhooks become events that a stand-in for OpenAI accepts.

Everything runs on this machine and on loopback: the same template.yaml on an emulated AWS, the real Lambda handlers,
real HTTP out. Only OpenAI is a stand-in, which enforces the Conversions API's contract. At the end the report of a
simulated shop is made.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.status import Status
from rich.table import Table

from conversion_relay import money
from conversion_relay.delivery import Delivery
from conversion_relay.ledger import event_in
from conversion_relay.sources import shopify
from measurement.problems import Problem
from tools import report
from tools.demo_browser import (
    PLATFORM,
    VISITS,
    ShopperFailed,
    Visit,
    amiss,
    shoppers,
    show_matches,
    views_expected,
    visit,
)
from tools.demo_script import SCRIPT
from tools.deployment import RUNNING
from tools.local_aws import REGION, FunctionFailed, LocalAws, LocalAwsFailed, Stack
from tools.package import BuildFailed
from tools.samples import ORIGIN, Sample, sample
from tools.shop import Shop
from tools.shopper import a_click
from tools.sources import PLATFORMS
from tools.stand_in import StandIn

PIXEL_ID: Final = "Qm7TzV4kRw2LpX9sNdB3Yh"
OPENAI_KEY: Final = "demo-conversions-key"
SHOP_ORIGIN: Final = "https://northwind-trail.example"
SIGNING: Final = {
    "shopify": "shpss_",
    "stripe": "whsec_",
    "callrail": "",
    "ctm": "",
    "whatconverts": "",
    "twilio": "",
}
"""The sources, and how their signing secrets begin."""
QUEUED_WITHIN_S: Final = 30
WIDTH: Final = 120
"""Columns of the table; a narrower terminal gets it without the samples' names."""


@dataclass(slots=True)
class Line:
    """One delivery of the demo and what became of it."""

    platform: str
    about: str
    sample: str
    status: int
    outcome: str
    reason: str
    key: str | None = None


class DemoFailed(RuntimeError):
    """The demo did not end as it must; the text says what differs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo, or with ``--stay`` keep the stack running; the exit status."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--stay", action="store_true", help="keep the stack running and print its addresses")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = _console()
    started = time.monotonic()
    try:
        with _stack(console) as (stack, stand_in, shop, signing):
            if options.stay:
                _stay(console, stack, stand_in, shop, signing)
            else:
                _demo(console, stack, stand_in, shop, signing)
        if not options.stay:
            # After the relay: it would take the processor from the stack, and the stack's end is not to wait for it.
            console.print()
            report.demo(console, report.DEMO_OUT)
            console.print(f"Done in {time.monotonic() - started:.0f} s. Nothing is left running.")
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
    except (DemoFailed, ShopperFailed, LocalAwsFailed, FunctionFailed, BuildFailed, Problem) as problem:
        console.print(f"[red]The demo failed:[/] {problem}", highlight=False)
        return 1
    return 0


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


@contextmanager
def _stack(console: Console) -> Iterator[tuple[Stack, StandIn, Shop, Mapping[str, str]]]:
    signing = {source: f"{prefix}demo_{secrets.token_hex(16)}" for source, prefix in SIGNING.items()}
    signing |= {platform: f"demo:{secrets.token_hex(16)}" for platform in PLATFORMS}
    with console.status("Starting …") as status:

        def say(text: str) -> None:
            status.update(text)
            if not console.is_terminal:
                console.print(f"  {text}", highlight=False)

        with (
            StandIn(keys=[OPENAI_KEY], pixels=[PIXEL_ID]) as stand_in,
            Shop(pixel_id=PIXEL_ID, openai=stand_in.url) as shop,
            LocalAws.start(say=say) as aws,
        ):
            stack = aws.deploy(
                "relay",
                {
                    "PixelId": PIXEL_ID,
                    "OpenAiEndpoint": f"{stand_in.url}/v1/events",
                    "StorefrontOrigin": SHOP_ORIGIN,
                    "PublicOrigin": ORIGIN,
                    "ClickOrigins": shop.url,
                    "EnableCustom": "yes",
                    "SendEvery": "rate(1 hour)",
                    "Architecture": "x86_64",
                },
                {**{source: [secret] for source, secret in signing.items()}, "openai": OPENAI_KEY},
            )
            shop.relay = stack.url("click")[0]
            status.stop()
            yield stack, stand_in, shop, signing


# The demo ------------------------------------------------------------------------------------------------------------


def _demo(console: Console, stack: Stack, stand_in: StandIn, shop: Shop, signing: Mapping[str, str]) -> None:
    lines: list[Line] = []
    posted: dict[str, Delivery] = {}
    with console.status("Shopping …") as status:
        visited, way, runs = _visit(status, shop, stack, stand_in, signing)
        script = [(platform, *each) for platform, part in SCRIPT.items() for each in part]
        for platform, about, name in script:
            status.update(f"Posting {len(lines) + 1} of {len(script)}: {platform}, {about}")
            lines.append(_post(stack, signing, platform, about, name, posted))
        lines += (line for _, line in visited)
        recorded = sum(line.outcome == "recorded" for line in lines) - sum(run["sent"] for run in runs)
        status.update("Waiting for the outbox …")
        _wait_until_queued(stack, recorded)
        status.update("Sending …")
        runs.append(stack.invoke("Sender"))
    ledger = _ledger(stack)
    _show(console, lines, ledger, stand_in.events())
    _show_matches(console, lines, ledger, stand_in, way)
    _summarize(console, lines, ledger, stand_in, runs)
    counted = {(each["name"], each["id"]): each for each in stand_in.events()}
    if wrong := amiss([(wanted, line.outcome, _counted(line, ledger, counted)) for wanted, line in visited]):
        raise DemoFailed(f"not as the shoppers' visits must end: {'; '.join(wrong)}")


def _visit(
    status: Status, shop: Shop, stack: Stack, stand_in: StandIn, signing: Mapping[str, str]
) -> tuple[list[tuple[Visit, Line]], str, list[dict[str, Any]]]:
    """All shoppers: their visits with the line of each purchase's webhook, how they came, and the sender's runs."""
    visited: list[tuple[Visit, Line]] = []
    runs: list[dict[str, Any]] = []
    with shoppers(shop, stand_in.url, PIXEL_ID) as (make, way):
        for wanted in VISITS:
            status.update(f"Shopping {len(visited) + 1} of {len(VISITS)}: {wanted.about}")

            def deliver(made: Sample, wanted: Visit = wanted) -> None:
                line = _told(stack, made.delivery(signing[made.source], datetime.now(UTC)), made.source)
                line.platform, line.about, line.sample = PLATFORM, wanted.about, made.topic
                visited.append((wanted, line))
                if wanted.webhook_first:
                    _wait_until_queued(stack, 1)
                    runs.append(stack.invoke("Sender"))

            shop.deliver = deliver
            visit(shop, make, wanted, stand_in)
    return visited, way, runs


def _post(
    stack: Stack, signing: Mapping[str, str], platform: str, about: str, name: str, posted: dict[str, Delivery]
) -> Line:
    sample_name, _, change = name.partition(" ")
    chosen = sample(sample_name)
    secret = signing[chosen.source]
    delivery = chosen.delivery(secret, datetime.now(UTC))
    if change == "again":
        delivery = posted[sample_name]  # byte for byte, as a retry is
    elif change == "forged":
        delivery = chosen.delivery("not the right secret", datetime.now(UTC))
    elif change == "broken":
        half = delivery.body[: len(delivery.body) // 2]
        delivery = replace(
            delivery, body=half, headers={**delivery.headers, "x-shopify-hmac-sha256": shopify.sign(half, secret)}
        )
    posted.setdefault(sample_name, delivery)
    line = _told(stack, delivery, chosen.source)
    name = sample_name.removeprefix(f"{chosen.source}/")
    line.platform, line.about, line.sample = platform, about, f"{name} ({change})" if change else name
    return line


def _told(stack: Stack, delivery: Delivery, source: str) -> Line:
    """Send a delivery; what became of it, without what people call it."""
    answer = stack.send(source, delivery)
    told = answer.json()
    return Line("", "", "", answer.status, told["outcome"], told["reason"], told.get("key"))


def _wait_until_queued(stack: Stack, expected: int) -> None:
    """Wait for the stream and the outbox. A conversion that does not arrive shows in the totals as not sent."""
    give_up = time.monotonic() + QUEUED_WITHIN_S
    queue = stack.client("sqs")
    while time.monotonic() < give_up:
        counts = queue.get_queue_attributes(
            QueueUrl=stack.resources["Queue"], AttributeNames=["ApproximateNumberOfMessages"]
        )
        if int(counts["Attributes"]["ApproximateNumberOfMessages"]) >= expected:
            return
        time.sleep(0.1)


def _ledger(stack: Stack) -> dict[str, dict[str, Any]]:
    """The conversions in the ledger by key: their status and event."""
    pages = stack.client("dynamodb").get_paginator("scan").paginate(TableName=stack.resources["Ledger"])
    return {
        item["pk"]["S"]: {"status": item["status"]["S"], "event": json.loads(event)}
        for page in pages
        for item in page["Items"]
        if (event := event_in(item)) is not None
    }


_COLOUR: Final = {
    "recorded": "green",
    "duplicate": "cyan",
    "compliance": "magenta",
    "parked": "yellow",
    "refused": "red",
    "failed": "red",
}


def _show(
    console: Console, lines: Sequence[Line], ledger: dict[str, dict[str, Any]], counted: Sequence[dict[str, Any]]
) -> None:
    by_id = {(each["name"], each["id"]): each for each in counted}
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("delivery", no_wrap=True)
    if console.width >= WIDTH:
        table.add_column("sample", no_wrap=True, max_width=26)
    table.add_column("HTTP")
    table.add_column("outcome", no_wrap=True)
    table.add_column("event, or why there is none", no_wrap=True)
    table.add_column("value", no_wrap=True, justify="right")
    table.add_column("OpenAI", no_wrap=True)
    platform = ""
    for line in lines:
        if line.platform != platform:
            platform = line.platform
            table.add_row(f"[bold]{platform}[/]")
        held = ledger.get(line.key or "") if line.outcome == "recorded" else None
        event = held["event"] if held else None
        there = by_id.get((event["type"], event["id"])) if event else None
        table.add_row(
            line.about,
            *([line.sample] if console.width >= WIDTH else []),
            str(line.status),
            f"[{_COLOUR.get(line.outcome, 'dim')}]{line.outcome}[/]",
            f"{event['type']} · {event['action_source']}" if event else f"[dim]{line.reason}[/]",
            _value(event),
            "[green]counted[/]" if there else "[red]missing[/]" if event else "",
        )
    console.print(table)


def _counted(
    line: Line, ledger: Mapping[str, Mapping[str, Any]], counted: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """What OpenAI has counted of a delivery's conversion, by whatever channel it came first."""
    held = ledger.get(line.key or "") if line.outcome == "recorded" else None
    return counted.get((held["event"]["type"], held["event"]["id"])) if held else None


def _show_matches(
    console: Console, lines: Sequence[Line], ledger: Mapping[str, Mapping[str, Any]], stand_in: StandIn, way: str
) -> None:
    counted = {(each["name"], each["id"]): each for each in stand_in.events()}
    rows = [
        (line.platform, line.about, ledger[key]["event"], _counted(line, ledger, counted))
        for line in lines
        if line.outcome == "recorded" and (key := line.key or "") in ledger
    ]
    show_matches(console, rows, way)


def _value(event: dict[str, Any] | None) -> str:
    if event is None or "amount" not in event["data"]:
        return ""
    currency = event["data"]["currency"]
    exponent = money.EXPONENTS[currency]
    return f"{event['data']['amount'] / 10**exponent:,.{exponent}f} {currency}"


def _summarize(
    console: Console,
    lines: Sequence[Line],
    ledger: dict[str, dict[str, Any]],
    stand_in: StandIn,
    runs: Sequence[Mapping[str, Any]],
) -> None:
    outcomes = Counter(line.outcome for line in lines)
    statuses = Counter(held["status"] for held in ledger.values())
    events = stand_in.events()
    sent = [each for each in events if "server" in (each["channel"], *each["duplicates_from"])]
    both = [each for each in sent if len({each["channel"], *each["duplicates_from"]}) > 1]
    views = len(events) - len(sent)
    console.print()
    console.print(f"{len(lines)} deliveries: {_counts(outcomes)}", highlight=False)
    console.print(f"Ledger: {len(ledger)} conversions, {_counts(statuses)}", highlight=False)
    unused = sum(bool(each["ignored"]) for each in events)
    requests = sum(run["requests"] for run in runs)
    console.print(
        f"OpenAI (stand-in): {len(sent)} conversions counted from {requests} requests, {len(both)} of them told by "
        f"pixel and webhook and counted once,\n{views} page views from pixels alone, {unused} events with a value of "
        "no use",
        highlight=False,
    )
    lost = outcomes["recorded"] - len(sent)
    double = len(events) - len({(each["name"], each["id"]) for each in events})
    again = sum(each["duplicates_from"].get("server", 0) + (each["channel"] == "server") - 1 for each in sent)
    expected = {"recorded": outcomes["recorded"], "ledger": len(ledger), "sent": statuses["sent"]}
    if lost or double or again or set(expected.values()) != {len(sent)}:
        raise DemoFailed(f"{expected} against {len(sent)} counted by the stand-in: none may differ.")
    if views != views_expected():
        raise DemoFailed(f"{views} events from pixels alone: there must be {views_expected()}.")
    console.print("[bold green]Lost: 0. Counted twice: 0.[/]")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.most_common())


# make up -------------------------------------------------------------------------------------------------------------


def _stay(console: Console, stack: Stack, stand_in: StandIn, shop: Shop, signing: Mapping[str, str]) -> None:
    sources = {source: (*stack.url(source), secret) for source, secret in signing.items()}
    held = {
        source: dict(zip(("url", "headers", "secret", "address"), (*each, f"{ORIGIN}/{source}"), strict=True))
        for source, each in sources.items()
    }
    aws = {"endpoint": stack.aws.endpoint, "region": REGION, "stack": stack.name}
    RUNNING.write_text(json.dumps({"sources": held, "aws": aws}))
    url, _, secret = sources["shopify"]

    def deliver(made: Sample) -> None:
        line = _told(stack, made.delivery(signing[made.source], datetime.now(UTC)), made.source)
        console.print(
            f"{datetime.now(UTC):%H:%M:%S}  the shop's {made.topic}: {line.outcome}, {line.reason}", highlight=False
        )

    shop.deliver, shop.webhook_first = deliver, True
    shop.answers_for_stripe()
    try:
        console.print("\n[bold]The relay is running on this machine.[/]", highlight=False)
        console.print("Webhooks of each source, and the secret that signs them:")
        for source, (address, _, signed_with) in sources.items():
            console.print(f"  {source:13} {address}  {signed_with}", highlight=False, soft_wrap=True)
        console.print(f"\nstand-in for OpenAI  {stand_in.url}/_stand_in/events", highlight=False, soft_wrap=True)
        console.print(f"local AWS            {stack.aws.endpoint}", highlight=False, soft_wrap=True)
        console.print("\nIn another terminal, post a freshly signed sample (without a name: the list of samples):")
        for name in ("shopify/orders/create", "stripe/checkout.session.completed", "callrail/post_call"):
            console.print(f"  .venv/bin/relay post {name} --new", highlight=False)
        console.print("or a delivery of your own, here one of Shopify:")
        console.print(
            f"  SIGNATURE=$(openssl dgst -sha256 -hmac '{secret}' -binary body.json | base64)\n"
            f"  curl -i {url} -H 'X-Shopify-Topic: orders/create' -H 'X-Shopify-Shop-Domain: shop.myshopify.com' \\\n"
            '    -H "X-Shopify-Hmac-Sha256: $SIGNATURE" --data-binary @body.json',
            highlight=False,
            soft_wrap=True,
        )
        console.print("\nor buy something in a browser, in a shop whose pages load the pixel and relay-click.js:")
        console.print(f"  {shop.url}/?utm_source=chatgpt&oppref={a_click(60)}", highlight=False, soft_wrap=True)
        console.print("\nThe sender runs every 5 seconds here. Ctrl-C ends everything.\n")
        while True:
            time.sleep(5)
            run = stack.invoke("Sender")
            if run["received"]:
                console.print(f"{datetime.now(UTC):%H:%M:%S}  sent {run['sent']} of {run['received']}; "
                              f"OpenAI has counted {stand_in.summary()['counted']}", highlight=False)  # fmt: skip
    finally:
        RUNNING.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(main())
