"""``relay event``: a sample, freshly signed, as the event that the receiver's Lambda function gets, on standard output.

relay event shopify/orders/create --secret "$SECRET" | sam local invoke ShopifyReceiver -e -
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from conversion_relay.delivery import Delivery
from tools import deployment
from tools.samples import UnknownSample, sample, samples

EVENT_SOURCES: Final[Mapping[str, str]] = {
    "shopify": "aws.partner/shopify.com/1234567/relay",
    "stripe": "aws.partner/stripe.com/ed_61PgtRTG5aTCIz98516PLsRG",
}
"""Partner event sources as Shopify and Stripe name theirs, for a deployment that says no other."""
ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
_NOT_SIGNED: Final = "EventBridge hands on no signature that could be checked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay event``."""
    parser.add_argument("sample", nargs="?", metavar="SOURCE/SAMPLE", help="such as shopify/orders/create; none: list")
    parser.add_argument("--secret", help="what to sign with (default: the dev secret of make up)")
    parser.add_argument("--new", action="store_true", help="with another id, so that it is another conversion")
    parser.add_argument("--base64", action="store_true", help="with the body in base64, as Lambda may hand it on")
    parser.add_argument(
        "--bus", action="store_true", help=f"as it comes over EventBridge, not signed ({', '.join(EVENT_SOURCES)})"
    )
    parser.add_argument(
        "--event-source",
        metavar="NAME",
        help="with --bus: the partner event source, as in ShopifyEventSource or StripeEventSource "
        f"(default: {' or '.join(EVENT_SOURCES.values())})",
    )


def run(options: argparse.Namespace) -> int:
    """Carry ``relay event`` out; the exit status."""
    if not options.sample:
        print("\n".join(each.name for each in samples()))
        return 0
    try:
        chosen = sample(options.sample)
    except UnknownSample as problem:
        return _refused(str(problem))
    now = datetime.now(UTC)
    if options.bus:
        if chosen.source not in EVENT_SOURCES:
            return _refused(f"{chosen.source} does not send over EventBridge; {' and '.join(EVENT_SOURCES)} do.")
        delivery = chosen.delivery(_NOT_SIGNED, now, new=options.new)
        event_source = options.event_source or EVENT_SOURCES[chosen.source]
        print(json.dumps(bus_event(chosen.source, delivery, event_source, now), indent=2))
        return 0
    secret = options.secret or _dev_secret(chosen.source)
    if not secret:
        return _refused("no relay is running here whose dev secret could sign. Give --secret.")
    delivery = chosen.delivery(secret, now, new=options.new)
    print(json.dumps(function_url_event(delivery, encoded=options.base64), indent=2))
    return 0


def stream_event(items: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What Lambda gets of DynamoDB's stream when these items, as boto3 gives them, have been written."""
    return {"Records": [{"eventName": "INSERT", "dynamodb": {"NewImage": stream_image(each)}} for each in items]}


def stream_image(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it is in the JSON of a stream's record, where bytes are written in base64."""
    return {name: _as_json(value) for name, value in item.items()}


def _as_json(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value


def _refused(problem: str) -> int:
    print(f"relay event: {problem}", file=sys.stderr)
    return 2


def _dev_secret(source: str) -> str | None:
    if not deployment.RUNNING.is_file():
        return None
    secret: str | None = json.loads(deployment.RUNNING.read_text())["sources"].get(source, {}).get("secret")
    return secret


def function_url_event(delivery: Delivery, *, encoded: bool = False) -> dict[str, Any]:
    """The event that Lambda makes of a request to a Function URL (payload format 2.0).

    ``encoded``: the body in base64; one that is no text is always. The address is the delivery's ``origin``.
    """
    host = urlsplit(delivery.origin).netloc or "hooks.example.com"
    query = parse_qsl(delivery.query, keep_blank_values=True)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": delivery.path,
        "rawQueryString": delivery.query,
        "headers": {"host": host, "x-forwarded-proto": "https", "x-forwarded-port": "443", **delivery.headers},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": host.partition(".")[0],
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": delivery.method,
                "path": delivery.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": delivery.headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": False,
    }
    if query:
        # As AWS does: values of one name in one text.
        names = dict.fromkeys(name for name, _ in query)
        event["queryStringParameters"] = {name: ",".join(v for n, v in query if n == name) for name in names}
    if delivery.body:
        text = None if encoded else _text(delivery.body)
        event["body"] = base64.b64encode(delivery.body).decode() if text is None else text
        event["isBase64Encoded"] = text is None
    return event


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def bus_event(source: str, delivery: Delivery, event_source: str, now: datetime) -> dict[str, Any]:
    """The event that EventBridge makes of a delivery of Shopify or Stripe."""
    payload = json.loads(delivery.body)
    if source == "shopify":
        kind, detail = "shopifyWebhook", {"payload": payload, "metadata": _metadata(delivery)}
    else:
        kind, detail = payload["type"], payload
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": event_source,
        "account": ACCOUNT,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def _metadata(delivery: Delivery) -> dict[str, str]:
    """Shopify's headers as they are spelled on the bus."""
    spelled = {"x-shopify-hmac-sha256": "X-Shopify-Hmac-SHA256", "x-shopify-api-version": "X-Shopify-API-Version"}
    sent = {name: value for name, value in delivery.headers.items() if name.startswith("x-shopify-")}
    return {"Content-Type": "application/json", **{spelled.get(name, name.title()): sent[name] for name in sent}}
