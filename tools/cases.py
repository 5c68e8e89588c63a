"""Files of signed example deliveries with expected results: loading, playing and comparing them.

The format is that of `tests/cases/webhooks/cases.json` (its README explains it). Every case is played into an empty
ledger and memory, after its preconditions, by the same `Receiver` that the Lambda functions use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from conversion_relay.delivery import Delivery, Outcome
from conversion_relay.event import DATA_TYPE, MAX_ID_LENGTH
from conversion_relay.settings import Settings
from tools.in_memory import InMemoryLedger, InMemoryParking, KnownSecrets
from tools.sources import receiver_for

# The format's README, "Settings that some cases need": where a cart's event is expected, carts are on and no match key
# is demanded. Under the defaults nothing becomes of a cart.
_CARTS_ON: Final = {"count_carts": True, "require_match_key": False}

# What the file calls a setting -> the variable that the template sets, and its values where they differ.
_VARIABLES: Final = {
    "require_click_ref": "REQUIRE_CLICK_REFERENCE",
    "carts": "COUNT_CARTS",
    "newsletter": "COUNT_NEWSLETTER",
    "own_subscription_contracts": "COUNT_SUBSCRIPTION_CONTRACTS",
    "subscription_contracts": "COUNT_SUBSCRIPTION_CONTRACTS",
    "draft_orders": "DRAFT_ORDER_ACTION_SOURCE",
    "app_id_map": "APP_ACTION_SOURCES",
    "stripe_connected_accounts": "STRIPE_ACCOUNTS",
}
_VALUES: Final = {
    ("SHOPIFY_MONEY", "shop_money"): "shop",
    ("SHOPIFY_MONEY", "presentment_money"): "presentment",
    ("LATE_PAYMENT", "strict"): "ignore",
    ("REQUIRE_MATCH_KEY", "yes"): "all",
    ("REQUIRE_MATCH_KEY", "no"): "none",
    ("STRIPE_TEST_MODE", "validate_only"): "count",
}

OUTCOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "emit": ("recorded",),
    "ignore": ("ignored", "duplicate"),
    "defer": ("ignored", "remembered"),
    "state": ("remembered",),
    "reject": ("refused",),
    "compliance": ("compliance",),
    "handshake": ("handshake",),
    "fetch_or_ignore": ("ignored", "remembered"),
}
"""What a case file calls an outcome, and what the relay may call it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One delivery with what it should come to."""

    id: str
    platform: str
    delivery: Delivery
    preconditions: tuple[str, ...]
    expected: Mapping[str, Any]
    settings: Settings
    secrets: tuple[str, ...]


class UnusableCases(ValueError):
    """A case file, or a file that it names, that cannot be read; the text says which and what is wrong."""


class CaseFile:
    """A file of cases, its clock, secrets and settings.

    Raises:
        UnusableCases: here, and when a case is asked for.
    """

    def __init__(self, path: Path) -> None:
        try:
            held = json.loads(path.read_bytes())
            self.now_ms = int(held["frozen_now_epoch"]) * 1000
            self._by_id = {case["id"]: case for case in held["cases"]}
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise UnusableCases(f"{path} is no file of cases ({type(problem).__name__}: {problem})") from problem
        self._folder = path.parent
        self._held = held

    def __iter__(self) -> Iterator[Case]:
        return (self._case(held, held) for held in self._held["cases"])

    def play(self, case: Case) -> Outcome | None:
        """Deliver a case after its preconditions; None when its platform is unknown to this relay."""
        ledger, parking = InMemoryLedger(), InMemoryParking()
        outcome = None
        known = [self._by_id[each] for each in case.preconditions if each in self._by_id]
        for each in (*(self._case(held, self._by_id[case.id]) for held in known), case):
            receiver = receiver_for(
                each.platform, KnownSecrets(each.secrets), ledger, parking, each.settings, lambda: self.now_ms
            )
            outcome = receiver.receive(each.delivery) if receiver else None
        return outcome

    def _case(self, held: Mapping[str, Any], settings_of: Mapping[str, Any]) -> Case:
        try:
            return self._read(held, settings_of)
        except (OSError, ValueError, KeyError) as problem:
            raise UnusableCases(f"case {held['id']} cannot be used ({type(problem).__name__}: {problem})") from problem

    def _read(self, held: Mapping[str, Any], settings_of: Mapping[str, Any]) -> Case:
        query = held.get("query") or ""
        return Case(
            id=held["id"],
            platform=held["platform"],
            delivery=Delivery(
                method=held.get("method", "POST"),
                path=held.get("path", "/"),
                query=query.removeprefix("?"),
                headers={name.lower(): str(value) for name, value in self._headers(held).items()},
                body=(self._folder / held["body_file"]).read_bytes() if held.get("body_file") else b"",
                origin=self._held.get("base_url", ""),
            ),
            preconditions=tuple(held.get("preconditions", ())),
            expected=held.get("expected", {}),
            settings=self._settings(settings_of),
            secrets=tuple(str(v) for k, v in self._held.get("secrets", {}).items() if k.startswith(held["platform"])),
        )

    def _headers(self, held: Mapping[str, Any]) -> Mapping[str, Any]:
        if not held.get("headers_file"):
            return held.get("headers") or {}
        headers = json.loads((self._folder / held["headers_file"]).read_bytes())
        if not isinstance(headers, dict):
            raise ValueError("its headers are no JSON object")
        return headers

    def _settings(self, held: Mapping[str, Any]) -> Settings:
        given = {
            "storefront_origin": self._held.get("storefront_origin", ""),
            **self._held.get("defaults_assumed", {}),
            **self._held.get("settings", {}),
            **(_CARTS_ON if "carts_" in held["id"] and held.get("expected", {}).get("outcome") == "emit" else {}),
            **held.get("settings", {}),
        }
        return settings_from(given)


def settings_from(given: Mapping[str, Any]) -> Settings:
    """Settings under the names of a case file or of the template's variables; unknown names change nothing.

    Raises:
        BadSetting: a value is not one that the template would take.
    """
    environment: dict[str, str] = {}
    for name, value in given.items():
        variable = _VARIABLES.get(name, name.upper())
        written = _written(value)
        if variable == "REQUIRE_MATCH_KEY" and written.startswith("true for calls and carts"):
            written = "calls_and_carts"
        environment[variable] = _VALUES.get((variable, written), written)
    return Settings.from_environment(environment)


def _written(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return ",".join(f"{name}={each}" for name, each in value.items())
        case list():
            return ",".join(map(str, value))
        case _:
            return str(value)


def differences(case: Case, outcome: Outcome) -> list[str]:
    """What is not as the case expects, a sentence each; reasons are explanations and are not compared."""
    expected = case.expected
    found: list[str] = []
    if outcome.kind not in OUTCOMES.get(expected["outcome"], ()):
        found.append(f"outcome is {outcome.kind}, expected {expected['outcome']}")
    if outcome.http != expected.get("http", 200):
        found.append(f"HTTP status is {outcome.http}, expected {expected.get('http', 200)}")
    if expected["outcome"] == "emit" and outcome.event is not None:
        found += event_differences(case, expected["event"], outcome.event.wire())
    if expected["outcome"] != "emit" and outcome.event is not None:
        found.append("an event was made where none is expected")
    return found


def event_differences(case: Case, expected: Mapping[str, Any], event: Mapping[str, Any]) -> list[str]:
    """What of an event, as it would go out, is not as the case expects; nothing may be in it that is not expected."""
    compared = {name: value for name, value in event.items() if name not in ("data", "user")}
    compared |= {f"data.{name}": value for name, value in event.get("data", {}).items()}
    wanted = {name: expected.get(name) for name in ("type", "action_source", "timestamp_ms", "oppref", "source_url")}
    wanted |= {f"data.{name}": expected.get(name) for name in ("amount", "currency", "contents")}
    wanted["data.type"] = DATA_TYPE.get(expected["type"])
    if "source_url" not in expected and expected["action_source"] == "web":
        wanted["source_url"] = case.settings.storefront_origin
    if "event_id" in expected:
        wanted["id"] = expected["event_id"]
    else:
        compared["id"], wanted["id"] = 0 < len(event.get("id", "")) <= MAX_ID_LENGTH, True
    if "contents" not in expected:
        compared.pop("data.contents", None)
    found = [
        f"{name} is {compared.get(name)!r}, expected {wanted.get(name)!r}"
        for name in {**wanted, **compared}
        if compared.get(name) != wanted.get(name)
    ]

    user = event.get("user", {})
    required = dict(expected.get("user", {}))
    if required.get("user_agent") == "<client_details.user_agent>":
        required["user_agent"] = json.loads(case.delivery.body)["client_details"]["user_agent"]
    allowed = {**required, **expected.get("user_optional", {})}
    always_allowed = ("first_names_sha256", "last_names_sha256", "regions")
    found += [f"user.{name} is missing" for name in required if name not in user]
    found += [
        f"user.{name} is {user[name]!r}, expected {allowed.get(name)!r}"
        for name in user
        if (name in allowed or name not in always_allowed) and user[name] != allowed.get(name)
    ]
    return found
