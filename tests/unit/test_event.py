"""The model of the Conversions API: what it accepts, what it refuses and how it says so.

The rows of ``tests/cases/wire/`` are the contract's own examples: 12.2 (accepted) and 12.3 (refused).
"""

import copy
import json
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conversion_relay import event
from conversion_relay.event import InvalidEvent, age_problem, parse
from tests.fakes import DIGEST, an_order
from tools import wire_rules

CASES = Path(__file__).parents[1] / "cases" / "wire"
ACCEPTED = json.loads((CASES / "accepted.json").read_text(encoding="utf-8"))
REFUSED = json.loads((CASES / "refused.json").read_text(encoding="utf-8"))

# Rows of contract 12.3 whose events are good: the request or its credentials are what is wrong.
ABOUT_THE_REQUEST = (47, 51, 52, 53, 55, 56, 57, 58)
ABOUT_TIME = (1, 2, 3)
# Row 22: senders write custom names in lower case and currencies in upper case, so that both sides dedupe alike.
NORMALIZED = {
    22: {"custom_event_name": "quote-requested_2", "data": {"type": "custom", "amount": 50000, "currency": "USD"}}
}
EMPTY_DIGEST = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
PERSONAL = "Jane.Roe@example.com +49 171 2345678"

CUSTOM = an_order(type="custom", custom_event_name="quote", data={"type": "custom"})
APP = an_order(type="app_installed", action_source="mobile_app", data={"type": "customer_action"})
PLAN = an_order(type="subscription_created", data={"type": "plan_enrollment"})


def row_id(case: dict[str, Any]) -> str:
    return f"row{case['row']:02}"


def shown(value: object) -> str:
    return "huge" if isinstance(value, int) and abs(value) > 2**64 else ascii(value)[:60]


def put(base: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The event with a value at a dotted path, making what is missing on the way."""
    changed = copy.deepcopy(base)
    node: Any = changed
    *way, last = path.split(".")
    for key in way:
        node = node[int(key)] if key.isdigit() else node.setdefault(key, {})
    node[last] = value
    return changed


def without(base: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in base.items() if key != field}


def refusal_of(value: object) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as refusal:
        parse(value)
    return refusal.value


# The contract's rows.


@pytest.mark.parametrize("case", ACCEPTED, ids=row_id)
def test_accepted_row(case: dict[str, Any]) -> None:
    for given in case["request"]["body"]["events"]:
        made = parse(given)

        assert made.wire() == given | NORMALIZED.get(case["row"], {})
        assert wire_rules.event_problems(made.wire()) == []
        assert age_problem(made.timestamp_ms, case["now_ms"]) is None


@pytest.mark.parametrize("case", [each for each in REFUSED if each["row"] in ABOUT_THE_REQUEST], ids=row_id)
def test_row_about_the_request_holds_good_events(case: dict[str, Any]) -> None:
    for given in case["request"]["body"]["events"]:
        assert parse(given).wire() == given


@pytest.mark.parametrize("case", [each for each in REFUSED if each["row"] in ABOUT_TIME], ids=row_id)
def test_row_about_time_is_stopped_at_the_moment_of_sending(case: dict[str, Any]) -> None:
    made = parse(case["request"]["body"]["events"][0])

    assert age_problem(made.timestamp_ms, case["now_ms"]) == ("too_far_ahead" if case["row"] == 2 else "too_old")


@pytest.mark.parametrize(
    "case", [each for each in REFUSED if each["row"] not in (*ABOUT_THE_REQUEST, *ABOUT_TIME)], ids=row_id
)
def test_refused_row(case: dict[str, Any]) -> None:
    # Given the bad event of the row and the path under which the API names the field (row 59: which it ignores)
    wanted = case["expected"].get("param") or f"events[0].{case['expected']['ignored'][0]}"
    bad, field = int(wanted[len("events[")]), wanted.partition(".")[2]
    events = case["request"]["body"]["events"]

    # When the model sees it
    refusal = refusal_of(events[bad])

    # Then it names the same field (or the element of it), in one sentence that does not repeat the value
    assert refusal.param == field or refusal.param.startswith((f"{field}[", f"{field}."))
    assert re.fullmatch(r"\S[^\n]*[^.\n]\.", str(refusal))
    assert str(refusal).startswith(refusal.param)
    assert not [value for value in values_at(events[bad], field) if value in str(refusal).replace("true or false", "")]
    # And its neighbours are good
    assert [parse(each).wire() for each in (*events[:bad], *events[bad + 1 :])] == [*events[:bad], *events[bad + 1 :]]


def values_at(node: Any, path: str) -> list[str]:
    """The texts (and numbers as text) at a path, for looking whether a sentence gives them away."""
    for key in re.findall(r"[^.\[\]]+", path):
        node = node[int(key)] if isinstance(node, list) else node.get(key)
    found = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else [node]
    return [str(each) for each in found if each is not None and str(each).strip()]


def test_every_row_is_looked_at() -> None:
    assert [each["row"] for each in ACCEPTED] == list(range(1, 25))
    assert [each["row"] for each in REFUSED] == list(range(1, 61))


# Types and shapes.


@pytest.mark.parametrize("kind", event.DATA_TYPE)
def test_smallest_event_of_each_type(kind: str) -> None:
    smallest = {"id": "x", "type": kind, "timestamp_ms": 0, "data": {"type": event.DATA_TYPE[kind]}}
    smallest |= {"custom_event_name": "quote"} if kind == "custom" else {}
    smallest |= {"action_source": "mobile_app"} if kind.startswith("app_") else {}

    assert parse(smallest).wire() == smallest
    assert parse(smallest).name == smallest.get("custom_event_name", kind)
    assert wire_rules.event_problems(smallest) == []


@pytest.mark.parametrize("shape", ["contents", "customer_action", "plan_enrollment", "custom"])
@pytest.mark.parametrize("kind", event.DATA_TYPE)
def test_data_type_must_fit_the_event_type(kind: str, shape: str) -> None:
    given = an_order(type=kind, data={"type": shape}, action_source="mobile_app")
    given |= {"custom_event_name": "quote"} if kind == "custom" else {}

    if event.DATA_TYPE[kind] == shape:
        assert parse(given)
    else:
        assert refusal_of(given).param == "data.type"
        assert str(refusal_of(given)) == f"data.type must be {event.DATA_TYPE[kind]} for {kind}."


@pytest.mark.parametrize(
    ("base", "allowed"),
    [
        (an_order(data={"type": "contents"}), {"amount", "currency", "contents"}),
        (APP, {"amount", "currency"}),
        (PLAN, {"amount", "currency", "contents", "plan_id"}),
        (CUSTOM, {"amount", "currency", "contents", "plan_id", "anything"}),
    ],
    ids=["contents", "customer_action", "plan_enrollment", "custom"],
)
def test_fields_of_each_shape(base: dict[str, Any], allowed: set[str]) -> None:
    fields = {"amount": 1, "currency": "USD", "contents": [{"id": "a"}], "plan_id": "pro", "anything": None}

    full = put(base, "data", base["data"] | {field: fields[field] for field in allowed})
    assert parse(full).wire() == full
    for field in fields.keys() - allowed:
        assert refusal_of(put(base, f"data.{field}", fields[field])).param == f"data.{field}"


# Every field: what just passes, and what just does not.

GOOD = [
    ("id", "x" * 199), ("id", "\u00e9-\U0001f6d2 order"), ("id", "0"),
    ("timestamp_ms", 0), ("timestamp_ms", 2**53 - 1),
    ("action_source", "email"), ("action_source", "other"), ("action_source", "physical_store"),
    ("source_url", "http://localhost:8080/a/b;c=d"), ("source_url", "https://shop.example.com"),
    ("source_url", "https://[2001:db8::1]:443/"), ("source_url", "https://b\u00fccher.example/caf\u00e9"),
    ("source_url", "https://a.example/" + "p" * (2048 - 18)), ("source_url", "https://a.example/@user/%3Fq"),
    ("oppref", "gAAAA=="), ("oppref", " kept as it is "), ("opt_out", False), ("user", {}),
    ("user.emails_sha256", [DIGEST]), ("user.emails_sha256", [DIGEST] * 9),
    ("user.cities", ["x" * 128]), ("user.regions", ["\u00cele-de-France"]),
    ("user.postal_codes", ["a" * 32]), ("user.postal_codes", ["K1A 0B1", "12345-6789"]),
    ("user.countries", ["DE", "fr"]), ("user.ip_address", "203.0.113.9"), ("user.ip_address", "2001:db8::1"),
    ("user.user_agent", "curl/8"), ("user.obref", " b "),
    ("user.android_advertising_id", "00000000-0000-0000-0000-000000000000"),
    ("data.amount", 0), ("data.amount", 2**53 - 1), ("data.contents", []), ("data.contents", [{}]),
    ("data.contents", [{"id": "", "name": "", "group_id": "", "variant_dict": {}}]),
    ("data.contents", [{"quantity": 0}, {"quantity": 2**53 - 1}]),
    ("data.contents", [{"amount": 5}]), ("data.contents", [{"amount": 5, "currency": "KWD"}]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), GOOD, ids=shown)
def test_value_that_just_passes(path: str, value: object) -> None:
    given = put(an_order(), path, value)

    made = parse(given)

    assert made.wire() == (given if given.get("user", True) else without(given, "user"))
    assert wire_rules.event_problems(made.wire()) == []


BAD = [
    ("", None, ""), ("", [], ""), ("", "order", ""), ("", 7, ""),
    ("id", "", "id"), ("id", " \t", "id"), ("id", "x" * 200, "id"), ("id", 5, "id"), ("id", None, "id"),
    ("id", "\ud83d", "id"), ("id", b"raw", "id"),
    ("timestamp_ms", -1, "timestamp_ms"), ("timestamp_ms", 2**53, "timestamp_ms"),
    ("timestamp_ms", 10**5000, "timestamp_ms"), ("timestamp_ms", True, "timestamp_ms"),
    ("timestamp_ms", 1795327200000.0, "timestamp_ms"), ("timestamp_ms", Decimal(1), "timestamp_ms"),
    ("timestamp_ms", None, "timestamp_ms"),
    ("type", None, "type"), ("type", "Order_Created", "type"), ("type", ["order_created"], "type"),
    ("action_source", "Web", "action_source"), ("action_source", True, "action_source"),
    ("source_url", "", "source_url"), ("source_url", "/path", "source_url"), ("source_url", "https://", "source_url"),
    ("source_url", "ftp://a.example/", "source_url"), ("source_url", "javascript:alert(1)", "source_url"),
    ("source_url", "https://a.example/?email=x", "source_url"), ("source_url", "https://a.example/#x", "source_url"),
    ("source_url", "https://jane:pw@a.example/", "source_url"), ("source_url", "https://a.example:99999", "source_url"),
    ("source_url", "https://a.example/ ", "source_url"), ("source_url", "https://a.example/\x7f", "source_url"),
    ("source_url", "https://a\\b/", "source_url"), ("source_url", "https://[::1]x/", "source_url"),
    ("source_url", "https://a.example/" + "p" * (2049 - 18), "source_url"), ("source_url", "\ud800", "source_url"),
    ("oppref", " ", "oppref"), ("oppref", 1, "oppref"), ("opt_out", 1, "opt_out"), ("opt_out", "no", "opt_out"),
    ("custom_event_name", "quote", "custom_event_name"), ("user", [], "user"), ("user", "jane", "user"),
    ("user.emails_sha256", [], "user.emails_sha256"), ("user.emails_sha256", [None], "user.emails_sha256[0]"),
    ("user.emails_sha256", [DIGEST, DIGEST + "\n"], "user.emails_sha256[1]"),
    ("user.emails_sha256", (DIGEST,), "user.emails_sha256"),
    ("user.phone_numbers_sha256", [EMPTY_DIGEST], "user.phone_numbers_sha256[0]"),
    ("user.cities", ["x" * 129], "user.cities[0]"), ("user.cities", [" "], "user.cities[0]"),
    ("user.postal_codes", ["a" * 33], "user.postal_codes[0]"), ("user.postal_codes", ["-"], "user.postal_codes[0]"),
    ("user.postal_codes", ["\u0661\u0662"], "user.postal_codes[0]"),
    ("user.countries", ["D\u00c9"], "user.countries[0]"), ("user.countries", ["DEU"], "user.countries[0]"),
    ("user.ip_address", "fe80::1%eth0", "user.ip_address"), ("user.ip_address", "203.0.113.9:80", "user.ip_address"),
    ("user.user_agent", "\n", "user.user_agent"), ("user.obref", "", "user.obref"),
    ("user.android_advertising_id", "38400000 8cf0-11bd-b23e-10b96e40000d", "user.android_advertising_id"),
    ("user.android_advertising_id", "38400000-8cf0-11bd-b23e-10b96e40000d\n", "user.android_advertising_id"),
    ("user.phone", "+1", "user.phone"), ("data", None, "data"), ("data", [], "data"), ("data", {}, "data.type"),
    ("data.type", None, "data.type"), ("data.type", "attribution", "data.type"), ("data.type", {}, "data.type"),
    ("data.amount", True, "data.amount"), ("data.amount", 2**53, "data.amount"), ("data.amount", -1, "data.amount"),
    ("data.currency", "", "data.currency"), ("data.currency", "XXX", "data.currency"),
    ("data.currency", "BGN", "data.currency"), ("data.currency", "u\u017fd", "data.currency"),
    ("data.contents", {}, "data.contents"), ("data.contents", [None], "data.contents[0]"),
    ("data.contents", [{}, {"quantity": -1}], "data.contents[1].quantity"),
    ("data.contents", [{"quantity": 2**53}], "data.contents[0].quantity"),
    ("data.contents", [{"quantity": True}], "data.contents[0].quantity"),
    ("data.contents", [{"content_type": ""}], "data.contents[0].content_type"),
    ("data.contents", [{"id": 5}], "data.contents[0].id"),
    ("data.contents", [{"variant_dict": {"size": None}}], "data.contents[0].variant_dict.size"),
    ("data.contents", [{"name": "\ud83d"}], "data.contents[0].name"), ("oppref", "g\udfff", "oppref"),
    ("data.contents", [{"variant_dict": {"size": "\ud83d"}}], "data.contents[0].variant_dict.size"),
    ("data.contents", [{"variant_dict": {"\ud83d": "L"}}], "data.contents[0].variant_dict.(key).(key)"),
    ("user.user_agent", "\ud83d", "user.user_agent"), ("user.cities", ["\ud83d"], "user.cities[0]"),
    ("consent", True, "consent"), ("event_id", "x", "event_id"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "param"), BAD, ids=shown)
def test_value_that_just_does_not_pass(path: str, value: object, param: str) -> None:
    refusal = refusal_of(put(an_order(), path, value) if path else value)

    assert refusal.param == param
    assert str(refusal).startswith(param or "the event")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (an_order(action_source="web"), "source_url"),
        (without(CUSTOM, "custom_event_name"), "custom_event_name"),
        (APP | {"action_source": "other"}, "action_source"),
        (without(APP, "action_source"), "action_source"),
        (an_order(data={"type": "contents", "amount": 1}), "data.currency"),
        (an_order(data={"type": "contents", "amount": 0}), "data.currency"),
        (an_order(data={"type": "contents", "contents": [{}, {"amount": 1}]}), "data.contents[1].currency"),
        (CUSTOM | {"custom_event_name": "Order_Created"}, "custom_event_name"),
        (CUSTOM | {"custom_event_name": "q" * 65}, "custom_event_name"),
        (CUSTOM | {"custom_event_name": "quote\n"}, "custom_event_name"),
        (CUSTOM | {"custom_event_name": ""}, "custom_event_name"),
    ],
)
def test_fields_that_do_not_fit_together(given: dict[str, Any], param: str) -> None:
    assert refusal_of(given).param == param


def test_null_means_absent_except_where_the_contract_knows_null() -> None:
    given = an_order(
        source_url=None, custom_event_name=None, oppref=None, opt_out=None, user={"cities": None},
        data={"type": "contents", "amount": None, "currency": None, "contents": None},
    )  # fmt: skip

    made = parse(given)

    assert made.wire() == without(an_order(data={"type": "contents"}), "user")


# Custom data: any JSON, as every reader understands it.


def test_extras_of_custom_data_go_out_as_they_came_null_included() -> None:
    extras = {
        "owner": None,
        "parts": [None, {"b": None, "a": 1.5}],
        "ok": True,
        "n": -(2**53) + 1,
        "": "\u00e9",
        "model_dump": 3,
    }
    given = CUSTOM | {"data": {"type": "custom", **extras}}

    assert parse(given).wire()["data"] == {"type": "custom", **extras}


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (float("nan"), "must be a finite number"),
        ([float("-inf")], "must be a finite number"),
        (2**53, "must not be beyond 2^53 - 1"),
        ({"a": [-(2**53)]}, "must not be beyond 2^53 - 1"),
        (10**5000, "must not be beyond 2^53 - 1"),
        ("\ud83d", "must be valid Unicode text"),
        (["\ud83d"], "must be valid Unicode text"),
        ({"\ud83d": 1}, "must be JSON"),
        ({1: 1}, "must be JSON"),
        (Decimal("1.5"), "must be JSON"),
        ((1, 2), "must be JSON"),
        ({1, 2}, "must be JSON"),
        (b"raw", "must be JSON"),
    ],
    ids=shown,
)
def test_extras_that_are_no_json(value: object, rule: str) -> None:
    refusal = refusal_of(put(CUSTOM, "data.extra", value))

    assert (refusal.param, str(refusal)) == ("data.extra", f"data.extra {rule}.")


@pytest.mark.parametrize("shell", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["lists", "objects"])
def test_extras_may_be_nested_sixteen_levels_deep(shell: Any) -> None:
    def nested(levels: int) -> object:
        value: object = 1
        for _ in range(levels):
            value = shell(value)
        return value

    assert parse(put(CUSTOM, "data.deep", nested(16)))
    for levels in (17, 100_000):
        assert str(refusal_of(put(CUSTOM, "data.deep", nested(levels)))) == (
            "data.deep is nested more than 16 levels deep."
        )


def test_a_circle_is_refused() -> None:
    circle: list[object] = []
    circle.append(circle)

    assert refusal_of(put(CUSTOM, "data.circle", circle)).param == "data.circle"


def test_hostile_sizes_are_refused_quickly() -> None:
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    hostile = [
        put(an_order(), "data.contents", [{"amount": "1"}] * 20_000),
        put(an_order(), "user.emails_sha256", ["x"] * 100_000),
        put(an_order(), "data", dict.fromkeys(map(str, range(20_000)), 0) | {"type": "contents"}),
        an_order(user=deep),
        an_order(id="x" * 10_000_000),
    ]

    began = time.monotonic()
    for each in hostile:
        refusal_of(each)

    assert time.monotonic() - began < 5


# What a refusal says.


@pytest.mark.parametrize(
    "given",
    [
        PERSONAL,
        an_order(**{PERSONAL: 1}),
        an_order(id=[PERSONAL]),
        an_order(type=PERSONAL),
        an_order(action_source=PERSONAL),
        an_order(source_url=f"https://a.example/?q={PERSONAL}"),
        an_order(opt_out=PERSONAL),
        an_order(user=PERSONAL),
        an_order(user={PERSONAL: PERSONAL}),
        an_order(user={"emails_sha256": [PERSONAL]}),
        an_order(user={"emails_sha256": PERSONAL}),
        an_order(user={"postal_codes": [PERSONAL]}),
        an_order(user={"ip_address": PERSONAL, "countries": [PERSONAL]}),
        an_order(user={"cities": [PERSONAL * 9]}),
        an_order(data=PERSONAL),
        an_order(data={"type": PERSONAL}),
        an_order(data={"type": "contents", "currency": PERSONAL}),
        an_order(data={"type": "contents", "contents": [{"variant_dict": {PERSONAL: 5}}]}),
        an_order(data={"type": "contents", "contents": [{PERSONAL: 5}]}),
        CUSTOM | {"data": {"type": "custom", PERSONAL: float("nan")}},
        CUSTOM | {"data": {"type": "custom", "a: b": float("nan")}},
        CUSTOM | {"data": {"type": "custom", "note": [PERSONAL, "\ud800"]}},
        CUSTOM | {"custom_event_name": PERSONAL},
    ],
    ids=shown,
)
def test_refusal_never_repeats_a_value_nor_a_key_that_may_be_one(given: object) -> None:
    refusal = refusal_of(given)

    assert re.fullmatch(r"[\w.()\[\]]+( [^\n]+)?\.", str(refusal))
    assert not {"Jane", "Roe", "example", "171", "a: b"} & set(re.findall(r"a: b|\w+", f"{refusal} {refusal.param}"))
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (None, "the event must be an object."),
        ({}, "id is required."),
        (put(an_order(), "data.amount", "149.00"), "data.amount must be a whole number (integer)."),
        (
            put(an_order(), "user.emails_sha256", []),
            "user.emails_sha256 must not be an empty list: leave the field out.",
        ),
        (put(an_order(), "id", "x" * 200), "id must be at most 199 characters."),
        (
            put(an_order(), "action_source", "website"),
            "action_source must be one of 'web', 'mobile_app', 'offline', 'physical_store', 'phone_call', 'email' or "
            "'other'.",
        ),
        (an_order(**{"two words": 1}), "(key) is not a field of the contract."),
        (an_order() | {1: 1}, "[1] does not fit the contract."),
    ],
)
def test_sentence(given: object, sentence: str) -> None:
    assert str(refusal_of(given)) == sentence
