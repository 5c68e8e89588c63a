"""What ``relay try --json`` must say for an expected result: the rules of the case format's README, on their own.

Nothing of the relay or of ``tools.cases`` is used here, so that a mistake there shows up as a difference here.
"""

import hashlib
import json
import string
import urllib.parse
from collections.abc import Iterator
from typing import Any

MEANS = {
    "emit": {"recorded"},
    "ignore": {"ignored", "duplicate"},
    "defer": {"ignored", "remembered"},
    "nothing": {"ignored", "remembered"},
    "compliance": {"compliance"},
    "state": {"remembered"},
    "fetch_or_ignore": {"ignored", "remembered"},
    "reject": {"refused"},
    "handshake": {"handshake"},
    "parked": {"parked"},
}
DATA_TYPES = {
    "order_created": "contents",
    "checkout_started": "contents",
    "items_added": "contents",
    "registration_completed": "customer_action",
    "lead_created": "customer_action",
    "appointment_scheduled": "customer_action",
    "subscription_created": "plan_enrollment",
    "trial_started": "plan_enrollment",
}
# Hashed names and regions may be sent wherever the payload has them for the buyer, listed or not.
CALLERS_REGION = {
    "customer_state": "customer_state",
    "FromState": "FromState",
    "is_new_caller": "state",
    "lead_type": "state",
}
"""The field that shows a call platform's payload, and the one of the region in it."""
FREE = ("first_names_sha256", "last_names_sha256", "regions")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def faults(expected: dict[str, Any], line: dict[str, Any], body: bytes, origin: str) -> Iterator[str]:
    """What is wrong with a printed outcome, a sentence each."""
    if line["outcome"] not in MEANS[expected["outcome"]]:
        yield f"outcome {line['outcome']} ({line['reason']}), expected {expected['outcome']}"
    if line["http"] != expected.get("http", 200):
        yield f"HTTP {line['http']}"
    if (line["event"] is not None) != (expected["outcome"] == "emit"):
        yield "there is an event" if line["event"] else "there is no event"
    elif line["event"] is not None:
        yield from event_faults(expected["event"], line["event"], body, origin)


def event_faults(expected: dict[str, Any], event: dict[str, Any], body: bytes, origin: str) -> Iterator[str]:
    """What is wrong with an event: everything but its user and its derived id must be as expected to the letter."""
    wanted = {key: expected[key] for key in ("type", "timestamp_ms", "action_source", "oppref") if key in expected}
    if expected["action_source"] == "web":
        wanted["source_url"] = expected.get("source_url", origin)
    data = {key: expected[key] for key in ("amount", "currency", "contents") if expected.get(key) not in (None, [])}
    wanted["data"] = {"type": DATA_TYPES[expected["type"]], **data}
    wanted["id"] = expected.get("event_id", expected.get("id", event["id"]))
    found = {key: value for key, value in event.items() if key != "user"}
    if found != wanted:
        yield f"event is {json.dumps(found, sort_keys=True)}, expected {json.dumps(wanted, sort_keys=True)}"
    if not 0 < len(event["id"]) < 200 or "@" in event["id"]:
        yield "id is not usable"
    yield from user_faults(expected, event.get("user", {}), body)


def user_faults(expected: dict[str, Any], user: dict[str, Any], body: bytes) -> Iterator[str]:
    """Demand ``user``, allow ``user_optional`` and names and regions of the payload, nothing else."""
    payload = _payload(body)
    demanded = dict(expected["user"])
    if demanded.get("user_agent") == "<client_details.user_agent>":
        demanded["user_agent"] = payload["client_details"]["user_agent"]
    optional = expected.get("user_optional", {})
    for field, value in demanded.items():
        if user.get(field) != value:
            yield f"user.{field} is {user.get(field)}, expected {value}"
    for field, value in user.items():
        listed = field in demanded or field in optional
        if listed and value != demanded.get(field, optional.get(field)):
            yield f"user.{field} is {value}, expected {optional.get(field)}"
        if not listed and (field not in FREE or value not in _held(payload, field)):
            yield f"user.{field} is {value} and may not be there"


def _payload(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return dict(urllib.parse.parse_qsl(body.decode()))


def _held(payload: Any, field: str) -> list[list[str]]:
    """What a name or region may be: that of the customer or of the buyer's own address."""
    if "complete_call_id" in payload and field == "regions":
        return [[payload["region"]]]
    if payload.get("object") == "event":
        return _held_by_stripe(payload["data"]["object"], field)
    for mark, region in CALLERS_REGION.items():
        if mark in payload and field == "regions":
            return [[payload.get(region)]]
    customer = payload.get("customer") if isinstance(payload.get("customer"), dict) else payload
    people = [customer, customer.get("default_address") or {}, payload.get("billing_address") or {}]
    if field == "regions":
        return [[each["province_code"]] for each in people if each.get("province_code")]
    names = [each.get(field.removesuffix("s_sha256")) for each in people]
    return [[digest(_normalized(name))] for name in names if name]


def _held_by_stripe(about: Any, field: str) -> list[list[str]]:
    # Stripe has one field for the whole name, which nobody can take apart.
    details = about.get("customer_details") or {}
    addresses = [details.get("address"), about.get("customer_address"), about.get("address")]
    return [[each["state"]] for each in addresses if each and each.get("state") and field == "regions"]


def _normalized(name: str) -> str:
    return "".join(letter for letter in name.lower() if not letter.isspace() and letter not in string.punctuation)
