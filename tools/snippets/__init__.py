"""``relay snippet``: the pixel's code for a shop or site, with the same event ids that the relay uses.

OpenAI drops the second of two events with the same pixel, type and id. So what page and webhook both report has to
carry one id, and whichever arrives first counts: ``relay snippet --table`` says which side should own what.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from conversion_relay import money
from conversion_relay.event import MAX_ID_LENGTH
from tools.snippets import channels, gtm
from tools.snippets.filling import filled

SCRIPT: Final = "https://bzrcdn.openai.com/sdk/oaiq.min.js"
"""OpenAI's script (Measurement pixel page)."""
CONSENTS: Final = ("shopify", "tcf", "google", "manual", "none")
POLICY: Final = "content-security-policy.txt"
WIDTH: Final = 120
_PIXEL_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_ACCOUNT: Final = re.compile(r"acct_[A-Za-z0-9]{1,60}")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_PATH: Final = re.compile(r"[A-Za-z0-9/_.~-]*")
_LOCAL: Final = ("localhost", "127.0.0.1")


class BadInput(ValueError):
    """An option that cannot be used; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a snippet: what it is called, what it is made of, and where it goes."""

    name: str
    template: str
    where: str
    needs: tuple[str, ...] = ()
    """It is left out unless one of these is on."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What is printed for a kind of site."""

    files: Sequence[File]
    events: Sequence[str]
    consent: str = "manual"


PLATFORMS: Final[Mapping[str, Platform]] = {
    "shopify": Platform(
        (
            File("theme-head.liquid", "shopify/theme-head.liquid", "layout/theme.liquid, right after <head>"),
            File(
                "custom-pixel.js",
                "shopify/custom-pixel.js",
                "Settings > Customer events > Add custom pixel",
                ("checkout_started", "order_created"),
            ),
        ),
        ("page_viewed", "contents_viewed", "items_added", "checkout_started", "order_created"),
        "shopify",
    ),
    "stripe": Platform(
        (
            File("head.html", "stripe/head.html", "first thing in the <head> of every page"),
            File("checkout.js", "stripe/checkout.js", "your server, where a Checkout Session is made"),
            File(
                "success.html",
                "stripe/success.html",
                "the page of success_url, below the head's code",
                ("order_created", "subscription_created", "trial_started"),
            ),
        ),
        ("page_viewed", "order_created", "subscription_created", "trial_started"),
    ),
    "nextjs": Platform(
        (
            File("layout.jsx", "nextjs/layout.jsx", "app/layout.jsx: take over the marked elements"),
            File("relay-pixel.js", "nextjs/relay-pixel.js", "public/relay-pixel.js"),
            File("relay-page-views.jsx", "nextjs/relay-page-views.jsx", "app/relay-page-views.jsx"),
            File("relay-events.js", "nextjs/relay-events.js", "app/relay-events.js"),
        ),
        tuple(row.event for row in channels.TABLE if not row.event.startswith("app_")),
    ),
    "wordpress": Platform(
        (File("relay-pixel.php", "wordpress/relay-pixel.php", "wp-content/plugins/relay-pixel/relay-pixel.php"),),
        ("page_viewed", "contents_viewed", "order_created", "lead_created"),
    ),
    "gtm": Platform(
        (
            File("relay-gtm-container.json", "", "Tag Manager: Admin > Import Container"),
            File("steps.txt", "gtm/steps.txt", "read this first"),
        ),
        ("page_viewed", *gtm.EVENTS),
        "google",
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay snippet``."""
    parser.add_argument("platform", nargs="?", choices=PLATFORMS, help="the kind of site")
    parser.add_argument("--pixel-id", metavar="ID", help="the id of your pixel: ChatGPT Ads Manager, Conversions")
    parser.add_argument("--click-url", metavar="URL", help="the relay's ClickUrl: adds relay-click.js")
    parser.add_argument(
        "--events",
        default="recommended",
        metavar="LIST",
        help="recommended (default: what the table gives to the pixel or to both), all, or names with commas between",
    )
    parser.add_argument(
        "--consent",
        choices=CONSENTS,
        help="who decides about consent (default: shopify for shopify, google for gtm, else manual)",
    )
    parser.add_argument("--site", default="https://www.example.com", metavar="URL", help="stripe: your site's origin")
    parser.add_argument("--account", default="", metavar="acct_…", help="stripe: the connected account, if it is one")
    parser.add_argument(
        "--backend-url",
        metavar="URL",
        help="wordpress: the relay's CustomUrl with /backend; orders are told from there",
    )
    parser.add_argument(
        "--source",
        choices=("shopify", "stripe", "backend"),
        default="backend",
        help="gtm: which source of the relay has the orders (default: backend)",
    )
    parser.add_argument("--out", metavar="DIR", help="write files there instead of printing them")
    parser.add_argument("--force", action="store_true", help="with --out: overwrite what is there")
    parser.add_argument("--table", action="store_true", help="which channel for which event, and why")
    parser.add_argument("--markdown", action="store_true", help="with --table: as Markdown")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay snippet`` out; the exit status (2: an option cannot be used)."""
    try:
        if options.table:
            _show_table(as_markdown=options.markdown)
            return 0
        made = snippets(options)
        if options.out:
            _write(Path(options.out), made, force=options.force)
        else:
            _print(made)
    except BadInput as problem:
        print(f"relay snippet: {problem}", file=sys.stderr)
        return 2
    _say_what_is_left_out(options)
    return 0


def snippets(options: argparse.Namespace) -> list[tuple[File, str]]:
    """Every file of the chosen platform with its text.

    Raises:
        BadInput: an option cannot be used.
    """
    if options.platform is None:
        raise BadInput(f"name the kind of site, one of {', '.join(PLATFORMS)}; or ask for --table")
    platform = PLATFORMS[options.platform]
    consent = options.consent or platform.consent
    values: dict[str, object] = {
        "pixel_id": _pixel_id(options.pixel_id),
        "script": SCRIPT,
        "click_url": _address("--click-url", options.click_url, path=False) if options.click_url else "",
        "site": _address("--site", options.site, path=False),
        "backend_url": _address("--backend-url", options.backend_url, path=True) if options.backend_url else "",
        "account": _account(options.account),
        "source": options.source,
        "consent": consent,
        "codes": _codes(),
        "max_id_length": MAX_ID_LENGTH,
    }
    on = {*_events(options.platform, options.events), f"consent={consent}"}
    on |= {name for name, is_on in (("click", values["click_url"]), ("backend", values["backend_url"])) if is_on}
    includes = {"consent": f"consent/{consent}.js"}
    made = []
    for file in (*platform.files, File(POLICY, POLICY, "your Content-Security-Policy, if you have one")):
        if file.needs and on.isdisjoint(file.needs):
            continue
        text = filled(file.template, values, on, includes) if file.template else gtm.container(values, on)
        made.append((file, text))
    return made


def recommended(platform: str) -> list[str]:
    """The events of a platform that the table gives to the pixel, or to both."""
    pixel = {row.event for row in channels.TABLE if row.channel != "relay"}
    return [each for each in PLATFORMS[platform].events if each in pixel]


def _codes() -> dict[str, str]:
    places = sorted(set(money.EXPONENTS.values()))
    return {str(n): " ".join(code for code, each in money.EXPONENTS.items() if each == n) for n in places}


# Options --------------------------------------------------------------------------------------------------------------


def _pixel_id(given: str | None) -> str:
    if not given:
        raise BadInput("--pixel-id is missing: ChatGPT Ads Manager > Conversions shows it")
    if re.match(r"(?:cds|clidsrc)_", given):
        raise BadInput(
            "--pixel-id is a source's id (cds_…): the pixel's id stands beside it, about 22 letters and digits"
        )
    if not _PIXEL_ID.fullmatch(given):
        raise BadInput("--pixel-id is none: it has 8 to 64 letters, digits, _ or -")
    return given


def _address(option: str, given: str, *, path: bool) -> str:
    """An https address without query: nothing in it could end a string or an attribute."""
    expected = "https://host/path" if path else "https://host"
    try:
        parts = urlsplit(given)
        _ = parts.port
    except ValueError:
        raise BadInput(f"{option} is no address: write it as {expected}") from None
    local = parts.scheme == "http" and parts.hostname in _LOCAL
    bare = parts.path.rstrip("/")
    if (
        not (parts.scheme == "https" or local)
        or not _HOST.fullmatch(parts.netloc)
        or parts.query
        or parts.fragment
        or not _PATH.fullmatch(parts.path)
        or (bare and not path)
    ):
        raise BadInput(f"{option} cannot be used: write it as {expected}, without a query")
    return f"{parts.scheme}://{parts.netloc}{bare}"


def _account(given: str) -> str:
    if given and not _ACCOUNT.fullmatch(given):
        raise BadInput("--account is no Stripe account: its id begins with acct_")
    return given


def _events(platform: str, given: str) -> list[str]:
    known = PLATFORMS[platform].events
    if given == "recommended":
        return recommended(platform)
    if given == "all":
        return list(known)
    chosen = [each.strip() for each in given.split(",") if each.strip()]
    for each in chosen:
        if each not in known:
            row = next((row for row in channels.TABLE if row.event == each), None)
            why = f"{row.why}" if row else "there is no such event"
            raise BadInput(f"--events: {platform} has no code for {each[:40]} ({why}). It has: {', '.join(known)}")
    if not chosen:
        raise BadInput("--events names none: leave it out for the recommended ones")
    return chosen


# Output ---------------------------------------------------------------------------------------------------------------


def _print(made: Sequence[tuple[File, str]]) -> None:
    for file, text in made:
        print(f"===== {file.name}: {file.where} =====\n\n{text}")


def _write(folder: Path, made: Sequence[tuple[File, str]], *, force: bool) -> None:
    there = [file.name for file, _ in made if (folder / file.name).exists()]
    if there and not force:
        raise BadInput(f"{folder} has {', '.join(there)} already: choose another folder, or overwrite with --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in made:
            (folder / file.name).write_text(text, encoding="utf-8")
            print(f"{folder / file.name}: {file.where}")
    except OSError as problem:
        raise BadInput(f"{folder} cannot be written ({problem.strerror}): choose another folder") from None


def _say_what_is_left_out(options: argparse.Namespace) -> None:
    left = [
        each for each in PLATFORMS[options.platform].events if each not in _events(options.platform, options.events)
    ]
    if options.events == "recommended" and left:
        print(
            f"Left to the relay: {', '.join(left)} (why: relay snippet --table). --events all prints them too, "
            "with the relay's ids.",
            file=sys.stderr,
        )
    if not options.click_url:
        print(
            "Without --click-url no click reference is handed to the relay's webhooks by relay-click.js.",
            file=sys.stderr,
        )


def _show_table(*, as_markdown: bool) -> None:
    if as_markdown:
        print("\n".join(channels.markdown()))
        return
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("event", "channel", "id that both share"):
        table.add_column(heading, no_wrap=heading != "id that both share", min_width=22 if "id" in heading else None)
    table.add_column("why", ratio=1)
    for row in channels.TABLE:
        table.add_row(row.event, row.channel, row.shared_id, row.why)
    console.print(table)
