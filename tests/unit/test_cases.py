"""The shared cases through the relay and ``relay try --cases``, and that no wrong event passes for a right one."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conversion_relay import event
from conversion_relay.delivery import Outcome
from conversion_relay.settings import BadSetting, Settings
from tests.unit import case_check
from tools import cli
from tools.cases import OUTCOMES, Case, CaseFile, UnusableCases, differences, settings_from
from tools.sources import SOURCES

PATH = Path(__file__).parents[1] / "cases" / "webhooks" / "cases.json"
FILE = CaseFile(PATH)
ORIGIN = "https://northwind-trail.example"
KNOWN = {case.id: case for case in FILE if case.platform in SOURCES}
EMITTED = [name for name, case in KNOWN.items() if case.expected["outcome"] == "emit"]
ORDER = "shopify/01_orders_create_web_paid"


def played(case: Case) -> Outcome:
    outcome = FILE.play(case)
    assert outcome is not None
    return outcome


# Every case -----------------------------------------------------------------------------------------------------------


def test_bodies_are_the_bytes_that_were_signed() -> None:
    held = {case["id"]: case["bytes"] for case in json.loads(PATH.read_bytes())["cases"]}
    assert {name: len(case.delivery.body) for name, case in KNOWN.items()} == {name: held[name] for name in KNOWN}


@pytest.mark.parametrize("name", list(KNOWN))
def test_case_is_as_expected(name: str) -> None:
    assert differences(KNOWN[name], played(KNOWN[name])) == []


def test_every_case_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["try", "--cases", str(PATH), "--json"])

    lines = {line["id"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    held = json.loads(PATH.read_bytes())["cases"]
    assert status == 0
    assert list(lines) == [case["id"] for case in held]
    assert all(list(line) == ["id", "http", "outcome", "reason", "event"] for line in lines.values())
    for name, case in KNOWN.items():
        expected = dict(case.expected)
        assert list(case_check.faults(expected, lines[name], case.delivery.body, ORIGIN)) == []


def test_events_of_one_dedupe_key_have_one_id_and_others_another() -> None:
    ids: dict[str, set[str]] = {}
    for name in EMITTED:
        made = played(KNOWN[name]).event
        expected = KNOWN[name].expected["event"]
        if made is not None and "event_id" not in expected:
            ids.setdefault(expected["dedupe_key"], set()).add(made.id)

    assert all(len(each) == 1 for each in ids.values())
    assert len(set.union(*ids.values())) == len(ids)


# A wrong event does not pass ------------------------------------------------------------------------------------------


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from leaves(value, (*path, key))


def at(node: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        node = node[key]
    return node


def wrong_events(right: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of an event changed, and removed where an event would still be one."""
    for path in leaves(right):
        name, value = " ".join(map(str, path)), at(right, path)
        changed = deepcopy(right)
        if isinstance(value, int):
            at(changed, path[:-1])[path[-1]] = value + 1
        elif isinstance(value, str):
            at(changed, path[:-1])[path[-1]] = value + "x"
        else:
            at(changed, path[:-1])[path[-1]] = type(value)()
        yield f"{name} changed", changed
        removed = deepcopy(right)
        del at(removed, path[:-1])[path[-1]]
        yield f"{name} removed", removed
        if isinstance(value, list):
            longer = deepcopy(right)
            at(longer, path).append("x")
            yield f"{name} longer", longer


class Made:
    """An event as it would go out, whatever its fields."""

    def __init__(self, wire: dict[str, Any]) -> None:
        self.held = wire

    def wire(self) -> dict[str, Any]:
        return self.held


def unsaid(expected: dict[str, Any]) -> Iterator[str]:
    """What a case leaves open: a derived id, contents, names and regions that it does not list, what is optional."""
    optional = expected.get("user_optional", {})
    if "event_id" not in expected:
        yield "id changed"
    if "contents" not in expected:
        yield "data contents"
    for field in case_check.FREE:
        if field not in {**expected["user"], **optional}:
            yield f"user {field}"
    for field in optional:
        yield f"user {field} removed"
    if not expected["user"]:
        yield "user removed"


@pytest.mark.parametrize("name", EMITTED)
def test_each_wrong_field_of_an_event_is_reported(name: str) -> None:
    case, expected = KNOWN[name], dict(KNOWN[name].expected["event"])
    right = played(case)
    assert right.event is not None

    missed = [
        what
        for what, wrong in wrong_events(right.event.wire())
        if not differences(case, replace(right, event=Made(wrong)))  # type: ignore[arg-type]
    ]

    free = tuple(unsaid(expected))
    assert [what for what in missed if not what.startswith(free)] == []


@pytest.mark.parametrize("name", EMITTED)
def test_each_expected_value_that_is_not_met_is_reported(name: str) -> None:
    case, outcome = KNOWN[name], played(KNOWN[name])
    assert outcome.event is not None
    sent = outcome.event.wire()
    for path in leaves(case.expected["event"]):
        expected = deepcopy(dict(case.expected))
        value = at(expected["event"], path)
        other = value + 1 if isinstance(value, int) else value + "x" if isinstance(value, str) else {"other": 1}
        at(expected["event"], path[:-1])[path[-1]] = other
        # The dedupe key's spelling is free, and what is optional counts only where it was sent.
        is_compared = path[1] in sent["user"] if path[0] == "user_optional" and path[1:] else path[0] != "dedupe_key"
        if is_compared and path != ("user_optional",):
            assert differences(replace(case, expected=expected), outcome), path


@pytest.mark.parametrize("name", list(KNOWN))
def test_each_wrong_outcome_is_reported(name: str) -> None:
    case, outcome = KNOWN[name], played(KNOWN[name])
    for word in [*OUTCOMES, "no such word"]:
        if outcome.kind not in OUTCOMES.get(word, ()):
            assert differences(replace(case, expected={**case.expected, "outcome": word}), outcome)
    assert differences(replace(case, expected={**case.expected, "http": 201}), outcome)


def test_event_where_none_is_expected_is_reported() -> None:
    case = KNOWN["shopify/31_orders_create_pending_bank_deposit"]
    outcome = replace(played(case), event=played(KNOWN[ORDER]).event)

    assert differences(case, outcome) == ["an event was made where none is expected"]


def test_missing_event_is_reported() -> None:
    case = KNOWN[ORDER]

    assert differences(case, replace(played(case), kind="ignored", event=None)) == ["outcome is ignored, expected emit"]


def test_expected_event_may_say_nothing_of_the_user() -> None:
    case = KNOWN["shopify/21_checkouts_create"]
    expected = deepcopy(dict(case.expected))
    del expected["event"]["user"]

    assert differences(replace(case, expected=expected), played(case)) == []


# The file -------------------------------------------------------------------------------------------------------------


def test_absent_precondition_is_optional() -> None:
    case = KNOWN["shopify/07_orders_paid_draft"]
    assert case.preconditions == ("shopify/06_orders_create_draft_pending",)
    assert played(case).kind == "recorded"


def test_cases_are_independent_of_each_other() -> None:
    assert [played(KNOWN[ORDER]).kind for _ in range(2)] == ["recorded", "recorded"]


def test_platform_that_the_relay_does_not_know_has_no_outcome() -> None:
    assert FILE.play(replace(KNOWN[ORDER], platform="fax")) is None


def test_carts_are_on_where_a_carts_event_is_expected_and_off_otherwise() -> None:
    case = KNOWN["shopify/23_carts_create"]
    assert case.settings.count_carts
    held = json.loads(PATH.read_bytes())
    ignored = [
        each | {"expected": {"outcome": "ignore"}} for each in held["cases"] if each["id"] == "shopify/23_carts_create"
    ]

    assert not a_file(held | {"cases": ignored}).settings.count_carts


def a_file(held: dict[str, Any]) -> Case:
    file = CaseFile.__new__(CaseFile)
    file.now_ms, file._folder, file._held = 0, PATH.parent, held
    file._by_id = {case["id"]: case for case in held["cases"]}
    return next(iter(file))


def test_case_may_hold_its_headers_and_have_no_body() -> None:
    held = {"id": "x", "platform": "shopify", "headers": {"X-A": 1}, "query": "?a=b", "method": "GET", "path": "/p"}

    case = a_file({"cases": [held]})

    assert case.delivery.headers == {"x-a": "1"}
    assert (case.delivery.method, case.delivery.path, case.delivery.query) == ("GET", "/p", "a=b")
    assert case.delivery.body == b""
    assert (case.expected, case.secrets, case.settings) == ({}, (), Settings())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frozen_now_epoch": "x", "cases": []}', '{"frozen_now_epoch": 1}'])
def test_file_that_holds_no_cases_is_unusable(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cases.json"
    path.write_text(text)

    with pytest.raises(UnusableCases, match="is no file of cases"):
        CaseFile(path)


@pytest.mark.parametrize(
    "broken",
    [{"body_file": "gone.json"}, {"headers_file": "cases.json"}, {"settings": {"value_basis": "gross"}}],
    ids=["no body", "headers no object", "setting not allowed"],
)
def test_unusable_case_is_named(tmp_path: Path, broken: dict[str, Any]) -> None:
    path = tmp_path / "cases.json"
    case = {"id": "a/1", "platform": "shopify", **broken}
    (tmp_path / "gone.headers.json").write_text("[]")
    if "headers_file" in broken:
        case["headers_file"] = "gone.headers.json"
    path.write_text(json.dumps({"frozen_now_epoch": 1, "cases": [case]}))

    with pytest.raises(UnusableCases, match="case a/1 cannot be used"):
        list(CaseFile(path))


# Its settings ---------------------------------------------------------------------------------------------------------


def test_assumed_defaults_are_the_relays_own() -> None:
    held = json.loads(PATH.read_bytes())
    assert settings_from(held["defaults_assumed"]) == Settings()


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"shopify_money": "presentment_money"}, "shopify_money", "presentment"),
        ({"shopify_money": "presentment"}, "shopify_money", "presentment"),
        ({"require_match_key": True}, "require_match_key", "all"),
        ({"require_match_key": False}, "require_match_key", "none"),
        ({"require_match_key": "calls_and_carts"}, "require_match_key", "calls_and_carts"),
        ({"late_payment": "strict"}, "late_payment", "ignore"),
        ({"require_click_ref": True}, "require_click_reference", True),
        ({"carts": True}, "count_carts", True),
        (
            {"shop_domains": ["a.myshopify.com", "b.myshopify.com"]},
            "shop_domains",
            {"a.myshopify.com", "b.myshopify.com"},
        ),
        ({"app_id_map": {"77": "web"}}, "app_action_sources", {"77": "web"}),
        ({"default_phone_region": None}, "default_phone_region", ""),
        ({"stripe_test_mode": "validate_only"}, "stripe_test_mode", "count"),
        ({"stripe_manual_invoices": True}, "stripe_manual_invoices", True),
        ({"stripe_connected_accounts": ["acct_1A"]}, "stripe_accounts", {"acct_1A"}),
        ({"convert_on": "status"}, "convert_on", "status"),
        ({"no such setting": 5}, "count_carts", False),
    ],
)
def test_settings_have_the_files_names_or_the_templates(given: dict[str, Any], field: str, value: object) -> None:
    assert getattr(settings_from(given), field) == value


def test_setting_that_the_template_would_not_take_is_refused() -> None:
    with pytest.raises(BadSetting, match="VALUE_BASIS"):
        settings_from({"value_basis": "gross"})


def test_events_of_the_cases_are_stable_bytes() -> None:
    for name in EMITTED:
        made = played(KNOWN[name]).event
        assert made is not None
        assert event.parse(json.loads(made.to_json())).to_json() == made.to_json()
