"""Google Tag Manager: a container to import, as the export of one is written (exportFormatVersion 2).

Account and container ids are 0: an import puts the entities into the workspace that is chosen there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, Final

from conversion_relay.event import DATA_TYPE
from tools.snippets.filling import filled

ALL_PAGES: Final = "2147479553"
"""The id of the trigger "All Pages", which every container has."""

EVENTS: Final[Mapping[str, str]] = {
    "contents_viewed": "view_item",
    "items_added": "add_to_cart",
    "checkout_started": "begin_checkout",
    "order_created": "purchase",
    "lead_created": "generate_lead",
}
"""The pixel's events, and the names that GA4's data layer has for the same."""
PAIRED: Final = ("order_created", "lead_created")
"""What the relay reports too: never without the id that both share."""
BASE: Final = "relay - base"
_OWN: Final[dict[str, Any]] = {"accountId": "0", "containerId": "0"}


def container(values: Mapping[str, object], on: Set[str]) -> str:
    """The container as JSON, with tags for the events that are on."""
    chosen = [name for name in EVENTS if name in on]
    triggers = {name: str(index) for index, name in enumerate(chosen, start=101)}
    tags = list(_tags(values, on, chosen, triggers))
    made = {
        "exportFormatVersion": 2,
        "exportTime": "2026-11-29 00:00:00",
        "containerVersion": {
            **_OWN,
            "path": "accounts/0/containers/0/versions/0",
            "containerVersionId": "0",
            "container": {
                **_OWN,
                "path": "accounts/0/containers/0",
                "name": "Conversion Relay",
                "publicId": "GTM-0000000",
                "usageContext": ["WEB"],
            },
            "tag": [{**_OWN, "tagId": str(index), **tag} for index, tag in enumerate(tags, start=1)],
            "trigger": [{**_OWN, "triggerId": triggers[name], **_trigger(EVENTS[name])} for name in chosen],
            "variable": [
                {**_OWN, "variableId": str(index), **variable}
                for index, variable in enumerate(
                    (
                        _layer("relay - ecommerce", "ecommerce"),
                        _layer("relay - openai_event_id", "openai_event_id"),
                        {"name": "relay - source", "type": "c", "parameter": [_text("value", str(values["source"]))]},
                    ),
                    start=201,
                )
            ],
        },
    }
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"


def _tags(
    values: Mapping[str, object], on: Set[str], chosen: Sequence[str], triggers: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    # No consent code of its own: Tag Manager holds the tag back until ad_storage is granted.
    yield _tag(BASE, filled("gtm/base.html", values, set()), ALL_PAGES, "ONCE_PER_LOAD")
    if "page_viewed" in on:
        yield _tag("relay - page_viewed", filled("gtm/page-viewed.html", values, on), ALL_PAGES)
    for name in chosen:
        told = {**values, "event": name, "data_type": DATA_TYPE[name], "paired": name in PAIRED}
        yield _tag(f"relay - {name}", filled("gtm/event.html", told, on), triggers[name])


def _tag(name: str, code: str, trigger: str, fires: str = "ONCE_PER_EVENT") -> dict[str, Any]:
    return {
        "name": name,
        "type": "html",
        "parameter": [_text("html", code), {"type": "BOOLEAN", "key": "supportDocumentWrite", "value": "false"}],
        "firingTriggerId": [trigger],
        "tagFiringOption": fires,
        "consentSettings": {
            "consentStatus": "NEEDED",
            "consentType": {"type": "LIST", "list": [{"type": "TEMPLATE", "value": "ad_storage"}]},
        },
        # Whatever fires first, the base is there before it.
        **({} if name == BASE else {"setupTag": [{"tagName": BASE}]}),
    }


def _trigger(event: str) -> dict[str, Any]:
    condition = {"type": "EQUALS", "parameter": [_text("arg0", "{{_event}}"), _text("arg1", event)]}
    return {"name": f"relay - {event}", "type": "CUSTOM_EVENT", "customEventFilter": [condition]}


def _layer(name: str, key: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "v",
        "parameter": [
            {"type": "INTEGER", "key": "dataLayerVersion", "value": "2"},
            {"type": "BOOLEAN", "key": "setDefaultValue", "value": "false"},
            _text("name", key),
        ],
    }


def _text(key: str, value: str) -> dict[str, str]:
    return {"type": "TEMPLATE", "key": key, "value": value}
