"""``relay post``: sign a sample freshly and post it to the relay that ``make up`` keeps running, or to another URL."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime

from conversion_relay.delivery import Delivery
from tools import deployment
from tools.samples import UnknownSample, sample, samples


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay post``."""
    parser.add_argument("sample", nargs="?", metavar="SOURCE/SAMPLE", help="such as shopify/orders/create; none: list")
    parser.add_argument("--url", help="where to (default: the relay of make up)")
    parser.add_argument("--secret", help="what to sign with (default: the dev secret of make up)")
    parser.add_argument("--new", action="store_true", help="with another id, so that it is another conversion")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay post`` out; the exit status."""
    if not options.sample:
        print("\n".join(each.name for each in samples()))
        return 0
    try:
        chosen = sample(options.sample)
    except UnknownSample as problem:
        print(f"relay post: {problem}", file=sys.stderr)
        return 2
    url, headers, secret, address = options.url, {}, options.secret, options.url
    if not url or not secret:
        if not deployment.RUNNING.is_file():
            print(
                "relay post: no relay is running here. Start one with 'make up', or give --url and --secret.",
                file=sys.stderr,
            )
            return 2
        held = json.loads(deployment.RUNNING.read_text())["sources"][chosen.source]
        url, headers, secret = url or held["url"], held["headers"], secret or held["secret"]
        address = address or held["address"]
    delivery = chosen.delivery(secret, datetime.now(UTC), new=options.new, address=address)
    try:
        status, text = post(delivery, url, headers)
    except (OSError, ValueError) as problem:
        print(f"relay post: {url} cannot be reached ({problem}).", file=sys.stderr)
        return 2
    print(f"{status} {text}")
    return 0 if status < 500 else 1


def post(delivery: Delivery, url: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Send a delivery to an address over HTTP, with its method and query; status and body of the answer."""
    request = urllib.request.Request(
        f"{url}?{delivery.query}" if delivery.query else url,
        delivery.body or None,
        {**delivery.headers, **(headers or {})},
        method=delivery.method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()
