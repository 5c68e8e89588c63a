"""Makes the deliveries of ``tests/cases/shopify_variants.json`` and signs them: a case file like the shared one."""

import base64
import hashlib
import hmac
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.unit.case_check import digest

CASES = Path(__file__).parents[2] / "cases"
SHARED = json.loads((CASES / "webhooks" / "cases.json").read_bytes())
VARIANTS = json.loads((CASES / "shopify_variants.json").read_bytes())["variants"]
ABSENT = "<absent>"

_SHOPIFY = {case["id"].split("/")[1][:2]: case for case in SHARED["cases"] if case["platform"] == "shopify"}


def write(folder: Path) -> Path:
    """Write all variants, and the shared Shopify cases, as a case file into the folder; the file's path."""
    shared = [
        case | {name: str(CASES / "webhooks" / case[name]) for name in ("body_file", "headers_file")}
        for case in _SHOPIFY.values()
    ]
    held = {**SHARED, "cases": [*shared, *(_case(variant, folder) for variant in VARIANTS)]}
    path = folder / "cases.json"
    path.write_text(json.dumps(held))
    return path


def _case(variant: dict[str, Any], folder: Path) -> dict[str, Any]:
    body = _body(variant)
    stem = variant["id"].replace("/", "-")
    (folder / f"{stem}.json").write_bytes(body + b" " if variant.get("tampered") else body)
    (folder / f"{stem}.headers.json").write_text(json.dumps(_headers(variant, body)))
    expected = {key: variant[key] for key in ("outcome", "http", "reason") if key in variant}
    if variant["outcome"] == "emit":
        expected["event"] = _event(variant)
    return {
        "id": f"variant/{variant['id']}",
        "platform": "shopify",
        "body_file": f"{stem}.json",
        "headers_file": f"{stem}.headers.json",
        "settings": variant.get("settings", {}),
        "preconditions": [_SHOPIFY[each]["id"] if each in _SHOPIFY else f"variant/{each}" for each in _before(variant)],
        "expected": expected,
    }


def _before(variant: dict[str, Any]) -> list[str]:
    before: list[str] = variant.get("before", [])
    return before


def _body(variant: dict[str, Any]) -> bytes:
    if "body_is" in variant:
        payload = variant["body_is"]
    else:
        payload = json.loads((CASES / "webhooks" / _SHOPIFY[variant["base"]]["body_file"]).read_bytes())
        for path, value in variant.get("body", {}).items():
            change(payload, path, value)
    text = json.dumps(payload, separators=(",", ":")).replace("&", "\\u0026")
    return re.sub(r'"<json:([^>"]*)>"', r"\1", text).encode()


def _headers(variant: dict[str, Any], body: bytes) -> dict[str, str]:
    base = _SHOPIFY[variant.get("base", "01")]
    headers = {
        name.lower(): value
        for name, value in json.loads((CASES / "webhooks" / base["headers_file"]).read_bytes()).items()
    }
    headers["x-shopify-topic"] = variant.get("topic", headers["x-shopify-topic"])
    headers["x-shopify-webhook-id"] = variant["id"]
    signature = _signature(variant.get("sign", "current"), body)
    headers |= {"x-shopify-hmac-sha256": signature} | variant.get("headers", {})
    headers = {name: value for name, value in headers.items() if value is not None}
    if variant.get("new_headers"):
        headers = {name.removeprefix("x-"): value for name, value in headers.items()}
    return headers


def _signature(how: str, body: bytes) -> str | None:
    secrets = {"previous": SHARED["secrets"]["shopify_client_secret_previous"], "wrong": "somebody else's"}
    secret = secrets.get(how, SHARED["secrets"]["shopify_client_secret"])
    made = hmac.new(secret.encode(), body, hashlib.sha256)
    return {"hex": made.hexdigest(), "empty": "", "none": None}.get(how, base64.b64encode(made.digest()).decode())


def _event(variant: dict[str, Any]) -> dict[str, Any]:
    base = variant.get("event_of", variant.get("base"))
    event = deepcopy(variant.get("event_is") or _SHOPIFY[base]["expected"]["event"])
    for path, value in variant.get("event", {}).items():
        change(event, path, value)
    expanded: dict[str, Any] = _with_digests(event)
    return expanded


def change(node: Any, path: str, value: Any) -> None:
    """Put a value at a dotted path, or remove what is there; a list takes one element behind its end."""
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parents:
        node = node[part]
    if value == ABSENT:
        node.pop(last, None)
    elif isinstance(node, list) and last == len(node):
        node.append(value)
    else:
        node[last] = value


def _with_digests(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_digests(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_digests(each) for each in value]
    if isinstance(value, str) and value.startswith("sha256:"):
        return digest(value.removeprefix("sha256:"))
    return value
