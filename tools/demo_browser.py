"""The browser half of ``make demo``: shoppers with a click of an ad, and how each event is matched.

They come in headless Chromium where there is one. Else the same requests are made over HTTP, which shows the relay's
side but not the scripts; the demo says which.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tools.chromium import NoChromium, chromium
from tools.shop import Shop
from tools.shopper import ChromiumShopper, ScriptedShopper, a_click
from tools.stand_in import StandIn

PLATFORM: Final = "Shoppers"
ARRIVES_WITHIN_S: Final = 10


@dataclass(frozen=True, slots=True)
class Visit:
    """A shopper, and what must come of it: the delivery's `outcome`; the channel that OpenAI counts, ``first``; and the
    copies from other channels that it drops. `views`: events that only the pixel sends.
    """

    about: str
    path: str = "/"
    webhook_first: bool = False
    blocks_pixel: bool = False
    refuses: bool = False
    outcome: str = "recorded"
    first: str | None = "pixel"
    copies: tuple[str, ...] = ("server",)
    views: int = 2


VISITS: Final = (
    Visit("webhook before pixel", webhook_first=True, first="server", copies=("pixel",)),
    Visit("pixel before webhook"),
    Visit("OpenAI's script blocked", blocks_pixel=True, first="server", copies=(), views=0),
    Visit("consent is refused", refuses=True, outcome="ignored", first=None, copies=(), views=0),
    Visit("a Stripe Payment Link", path="/plans", views=0),
)
"""The first is over before any other begins: its webhook is sent at once."""

Shopper = ChromiumShopper | ScriptedShopper
Make = Callable[[Visit], Shopper]


class ShopperFailed(RuntimeError):
    """A shopper could not buy; the text says which, and what did not happen."""


@contextmanager
def shoppers(shop: Shop, openai: str, pixel_id: str) -> Iterator[tuple[Make, str]]:
    """What makes a shopper for a visit, and in which way that one comes, in words."""
    try:
        with chromium() as browser:
            version = f"headless Chromium {browser.version.partition('.')[0]}"
            yield lambda visit: ChromiumShopper(browser, shop, openai=openai, blocks_pixel=visit.blocks_pixel), version
    except NoChromium as problem:
        way = f"requests as the scripts would make them ({str(problem).rstrip('.')})"
        yield (
            lambda visit: ScriptedShopper(shop, openai=openai, pixel_id=pixel_id, blocks_pixel=visit.blocks_pixel),
            way,
        )


def visit(shop: Shop, make: Make, wanted: Visit, stand_in: StandIn) -> None:
    """One shopper lands, answers if asked, and buys; then the purchase's webhook arrives, unless it has already.

    Raises:
        ShopperFailed: when a page does not do what it must.
    """
    from playwright.sync_api import Error

    try:
        _shop(shop, make, wanted, stand_in)
    except (Error, OSError) as problem:  # OSError: a TimeoutError of our own is one
        raise ShopperFailed(f"{wanted.about}: {str(problem).splitlines()[0]}") from problem
    shop.deliver_waiting()


def _shop(shop: Shop, make: Make, wanted: Visit, stand_in: StandIn) -> None:
    shop.asks, shop.webhook_first = wanted.refuses, wanted.webhook_first
    expected = len(_told_by_pixels(stand_in)) + wanted.views + ("pixel" in (wanted.first, *wanted.copies))
    with closing(make(wanted)) as shopper:
        shopper.lands(a_click(), wanted.path, remembered=not wanted.refuses)
        if wanted.refuses:
            shopper.answers("no")
        if wanted.path == "/plans":
            shopper.pays_by_link()
        else:
            shopper.buys()
        give_up = time.monotonic() + ARRIVES_WITHIN_S
        while len(_told_by_pixels(stand_in)) < expected and time.monotonic() < give_up:
            time.sleep(0.02)  # what is under way when a browser is closed may be lost


def _told_by_pixels(stand_in: StandIn) -> list[str]:
    """The names of all events that pixels have sent, without the messages of the script itself."""
    return [name for each in stand_in.browser_requests() for name in each["names"] if "::" not in name]


def views_expected() -> int:
    """How many events only the pixels send."""
    return sum(each.views for each in VISITS)


def amiss(visits: Sequence[tuple[Visit, str, Mapping[str, Any] | None]]) -> list[str]:
    """What is not as the visits say: each with its delivery's outcome, and what OpenAI has counted of it."""
    found = []
    for wanted, outcome, counted in visits:
        first = counted["channel"] if counted else None
        copies = counted["duplicates_from"] if counted else {}
        if (outcome, first, copies) != (wanted.outcome, wanted.first, dict.fromkeys(wanted.copies, 1)):
            found.append(f"{wanted.about}: {outcome}, first by {first}, copies {copies or 'none'}")
    return found


def show_matches(
    console: Console, rows: Sequence[tuple[str, str, Mapping[str, Any], Mapping[str, Any] | None]], way: str
) -> None:
    """Print the table. A row: platform, delivery, the relay's event, and what OpenAI has counted of it."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("event", no_wrap=True)
    for name in MATCHED_BY:
        table.add_column(name, justify="center")
    table.add_column("came first by", no_wrap=True)
    table.add_column("dropped as its copy", no_wrap=True)
    platform = ""
    for group, about, event, counted in rows:
        if group != platform:
            platform = group
            table.add_row(f"[bold]{platform}[/]")
        keys = match_keys(event)
        first = str(counted["channel"]) if counted else "[red]missing[/]"
        copies = ", ".join(counted["duplicates_from"]) if counted else ""
        table.add_row(about, *("✓" if name in keys else "" for name in MATCHED_BY), CHANNELS.get(first, first), copies)
    console.print("\n[bold]How each event is matched[/]", highlight=False)
    console.print(f"The shoppers came in {way}.", highlight=False)
    console.print(table)


MATCHED_BY: Final = {
    "oppref": ("oppref",),
    "obref": ("obref",),
    "device": ("ip_address", "user_agent"),
    "e-mail": ("emails_sha256",),
    "phone": ("phone_numbers_sha256",),
    "customer": ("external_ids_sha256",),
}
"""What OpenAI can match an event by, and the fields of the event that say it: any of them."""
CHANNELS: Final = {"server": "webhook"}


def match_keys(event: Mapping[str, Any]) -> list[str]:
    """The names out of `MATCHED_BY` that an event has."""
    has = event.keys() | event.get("user", {}).keys()
    return [name for name, fields in MATCHED_BY.items() if any(each in has for each in fields)]
