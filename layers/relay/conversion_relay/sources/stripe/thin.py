"""Thin events: they name an object and do not hold it. Fetched, they become the snapshot event of the same fact.

A thin event writes its time as ISO 8601 and its type with the version before it (Stripe: "Thin events")::

    {"object": "v2.core.event", "type": "v1.invoice.paid", "created": "2026-11-20T14:59:56.512Z",
     "related_object": {"id": "in_1SN…", "type": "invoice", "url": "/v1/invoices/in_1SN…"}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from conversion_relay import timestamps
from conversion_relay.delivery import Delivery, Fetch, NotUnderstood
from conversion_relay.payload import flag, string, value_at
from conversion_relay.sources.envelope import without_none

OBJECT: Final = "v2.core.event"

_EVENT: Final = re.compile(r"evt_[A-Za-z0-9_]{1,100}")
_PATH: Final = re.compile(r"/v[12](/[A-Za-z0-9_-]{1,200}){1,6}")
"""Where an object may lie at Stripe's API. Nothing in it can lead to another host, or out of the API."""


def to_fetch(body: Mapping[str, Any], event_type: str, account: str | None) -> Fetch:
    """What is to be fetched for a verified thin event: ids, the type and the time, nothing about a person.

    Raises:
        NotUnderstood: it names no event or no object of the API.
    """
    event_id, path = string(body, "id") or "", string(body, "related_object", "url") or ""
    if not _EVENT.fullmatch(event_id):
        raise NotUnderstood("id_missing", "the thin event has no id")
    if not _PATH.fullmatch(path):
        raise NotUnderstood("related_object_missing", "the thin event's related_object.url is no path of Stripe's API")
    created_ms = timestamps.from_iso(value_at(body, "created"))
    facts = {
        "id": event_id,
        "type": event_type,
        "created": None if created_ms is None else created_ms // 1000,
        "livemode": flag(body, "livemode"),
        "account": account,
        "path": path,
    }
    return Fetch(f"stripe:{event_id}", without_none(facts))


def snapshot(facts: Mapping[str, Any], about: Mapping[str, Any]) -> Delivery:
    """The snapshot event, of ``facts`` and the fetched object, as a delivery. It has no signature: the thin event had
    one, and the object came from Stripe itself.
    """
    event = {**facts, "object": "event", "data": {"object": about}}
    del event["path"]
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return Delivery("POST", "/", "", {}, body.encode("utf-8", "surrogatepass"))
