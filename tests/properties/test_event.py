"""The model of the Conversions API against the stand-in's independent rules: what it lets out, the API takes.

The strategies make valid events and then spoil them a little, because that is where two readings of a contract differ.
"""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversion_relay import event, money
from conversion_relay.event import Event, InvalidEvent, parse, without_contents
from tools import wire_rules

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Valid events --------------------------------------------------------------------------------------------------------

wild = st.characters(exclude_categories=())
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
visible = words.filter(str.strip)
digests = st.integers(0, 2**256 - 1).map("{:064x}".format)
amounts = st.integers(0, 2**53 - 1)
currencies = st.sampled_from(sorted(money.EXPONENTS))
urls = st.from_regex(r"https?://[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?(\.[a-z]{2,5})?(:[1-9][0-9]{1,3})?(/[a-z%_@;.-]{0,9})?", fullmatch=True)  # fmt: skip # noqa: E501
names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,62}[A-Za-z0-9])?", fullmatch=True).filter(
    lambda name: name.lower() not in event.DATA_TYPE
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | words
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    # At most three, and different when trimmed and lower-cased: the API uses no more (contract 5).
    return st.lists(values, min_size=1, max_size=3, unique_by=lambda value: value.strip().lower())


places = visible.filter(lambda place: len(place.lower()) <= 128)
users = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((field for field in wire_rules.USER_CHECKS if field.endswith("sha256")), lists(digests)),
        "cities": lists(places),
        "regions": lists(places),
        "postal_codes": lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 -]{0,31}", fullmatch=True)),
        "countries": lists(st.from_regex(r"[A-Za-z]{2}", fullmatch=True)),
        "ip_address": st.ip_addresses().map(str),
        "user_agent": visible,
        "obref": visible,
        "android_advertising_id": st.uuids(version=4).map(str),
    },
)
items = st.fixed_dictionaries(
    {},
    optional={
        "id": words,
        "group_id": words,
        "name": words,
        "content_type": visible,
        "quantity": amounts,
        "amount": amounts,
        "currency": currencies,
        "variant_dict": st.dictionaries(words, words, max_size=3),
    },
)


@st.composite
def valid_events(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(event.DATA_TYPE)))
    shape = event.DATA_TYPE[kind]
    data = {"type": shape}
    if draw(st.booleans()):
        data |= {"amount": draw(amounts), "currency": draw(currencies)}
    if shape != "customer_action" and draw(st.booleans()):
        lines = draw(st.lists(items, max_size=3))
        data["contents"] = [line if "currency" in data else {**line, "currency": "EUR"} for line in lines]
    if shape in ("plan_enrollment", "custom") and draw(st.booleans()):
        data["plan_id"] = draw(words)
    if shape == "custom":
        data = draw(st.dictionaries(words, json_values, max_size=3)) | data
    made = {"id": draw(visible), "type": kind, "timestamp_ms": draw(amounts), "data": data}
    made |= {"custom_event_name": draw(names)} if kind == "custom" else {}
    source = draw(st.sampled_from([None, *sorted(wire_rules.ACTION_SOURCES)]))
    source = "mobile_app" if kind in wire_rules.APP_TYPES else source
    made |= {"action_source": source} if source else {}
    made |= {"source_url": draw(urls)} if source == "web" or draw(st.booleans()) else {}
    optional = {"oppref": visible, "user": users, "opt_out": st.booleans()}
    return made | draw(st.fixed_dictionaries({}, optional=optional))


# Events that are nearly valid -----------------------------------------------------------------------------------------

SPOILERS: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 1.0, 2**53, 10**30, 10**400, float("nan"), float("inf"), "", " ", "\n", "x",
    "\u00a0", "\u200b", "\x00", "\x7f", "\ud800", "usd", "u\u017fd", "EURO", "XXX", "BGN", "XAU", "web", "website",
    "order_created", "custom", "contents", "attribution", "https://a.example/?q=1", "https://a\\b/", "//a", "a:b",
    "1.2.3.4", "::1%e", "Ireland", "D\u00c9", "\u0661", [], {}, [None],
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    [""], ["x"], {"x": 1}, {"type": "custom"}, [[]], b"raw", (1,),
]  # fmt: skip
KEYS = ["value", "order_id", "email", "currency", "amount", "contents", "plan_id", "type", "sku", "user", "source_url",
        "custom_event_name", "opt_out", "oppref", "\ud800", "", "a: b", "__class__", "model_config"]  # fmt: skip


def places_in(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in [(node, key), *places_in(node[key])]]


@st.composite
def nearly_valid_events(draw: st.DrawFn) -> Any:
    spoiled = copy.deepcopy(draw(valid_events()))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        node, key = draw(st.sampled_from(places_in(spoiled) or [(spoiled, "id")]))
        value = node[key] if isinstance(node, list) else node.get(key)
        match draw(st.sampled_from(["drop", "replace", "add", "text", "number", "double"])):
            case "drop":
                del node[key]
            case "add" if isinstance(node, dict):
                node[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(st.sampled_from(SPOILERS)))
            case "text" if isinstance(value, str):
                extra = draw(wild | st.sampled_from([" ", "\n", "\x7f", "?", "#", "\ud800"]))
                at = draw(st.integers(0, len(value)))
                node[key] = draw(
                    st.sampled_from([value[:at] + extra + value[at:], value.upper(), value[at:], value * 40])
                )
            case "number" if isinstance(value, int) and abs(value) < 2**1000:  # a float holds no more
                node[key] = draw(
                    st.sampled_from([-value, value + 0.5, float(value), str(value), value + 2**53, [value]])
                )
            case "double" if isinstance(node, list):
                node.append(copy.deepcopy(value))
            case _:
                node[key] = copy.deepcopy(draw(st.sampled_from(SPOILERS)))
    return spoiled


def verdict(value: Any) -> Event | InvalidEvent:
    try:
        return parse(value)
    except InvalidEvent as refusal:
        return refusal


def ignored_though_used(wire: dict[str, Any]) -> list[str]:
    """What the API would ignore of an event, but for what it says it ignores: the fourth value of a list, a value
    again, the all-zero advertising id (contract 5).
    """
    short = copy.deepcopy(wire)
    for field, values in short.get("user", {}).items():
        if isinstance(values, list):
            short["user"][field] = list({value.strip().lower(): value for value in values}.values())[:3]
    found = wire_rules.ignored_values(short)
    return [path for path in found if path != "user.android_advertising_id"]


# What holds -----------------------------------------------------------------------------------------------------------


@quick
@given(valid_events())
def test_valid_events_are_accepted_by_both(value: dict[str, Any]) -> None:
    wire = parse(value).wire()

    assert wire_rules.event_problems(value) == []
    assert wire_rules.event_problems(wire) == []
    assert wire_rules.ignored_values(wire) == []


@settings(quick, max_examples=500)
@given(nearly_valid_events())
def test_what_the_model_accepts_the_api_accepts_and_uses(value: Any) -> None:
    made = verdict(value)
    if isinstance(made, InvalidEvent):
        return

    sent = json.loads(made.to_json().encode(), parse_constant=pytest.fail)

    assert wire_rules.event_problems(sent) == []
    assert ignored_though_used(sent) == []
    assert wire_rules.dedupe_name(sent) == made.name
    assert parse(sent).to_json() == made.to_json()


# Where the model is stricter than the API's own words, and why: see the fields in event.py.
STRICTER = (
    "must be at most ", "must not be blank",  # ids; places, which the API would ignore
    "must not be negative", "must not be above 2^53 - 1", "must not be beyond 2^53 - 1",  # readers differ
    "must be an http or https URL",  # more than origin and path
    "must not be an empty list", "must be a two-letter", "must hold letters",  # values that the API would ignore
    "must be an active ISO 4217",  # codes without a minor unit
    "must be valid Unicode", "must be a finite number", "must be JSON", "is nested more than 16",  # no JSON to everyone
)  # fmt: skip


@quick
@given(nearly_valid_events())
def test_the_model_is_stricter_only_where_it_says_so(value: Any) -> None:
    made = verdict(value)
    if not isinstance(made, InvalidEvent):
        return
    try:
        sent = json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return

    if sent == value and not wire_rules.event_problems(sent):
        assert str(made).removeprefix(f"{made.param} ").startswith(STRICTER)


@quick
@given(nearly_valid_events())
def test_a_refusal_is_one_sentence_about_one_field(value: Any) -> None:
    refusal = verdict(value)
    if isinstance(refusal, Event):
        return

    sentence = str(refusal)
    sentence.encode()
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert sentence.startswith(refusal.param or "the event")
    assert len(sentence) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(wild) | st.sampled_from(SPOILERS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(wild) | st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=20,
)


@quick
@given(anything | st.dictionaries(st.sampled_from(list(wire_rules.EVENT_CHECKS)), anything))
def test_any_value_is_an_event_or_an_invalid_event(value: Any) -> None:
    made = verdict(value)

    if isinstance(made, Event):
        assert wire_rules.event_problems(made.wire()) == []


@quick
@given(valid_events(), st.randoms(use_true_random=False))
def test_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    def shuffled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: shuffled(node[key]) for key in random.sample(list(node), len(node))}
        return [shuffled(each) for each in node] if isinstance(node, list) else node

    assert parse(shuffled(value)).to_json() == parse(value).to_json()


@quick
@given(valid_events())
def test_an_event_without_contents_is_still_a_good_event(value: dict[str, Any]) -> None:
    bare = without_contents(parse(value))

    assert wire_rules.event_problems(bare.wire()) == []
    assert "contents" not in bare.wire()["data"]
    assert (bare.id, bare.name, bare.timestamp_ms) == (value["id"], parse(value).name, value["timestamp_ms"])


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.integers(0, 60_000))
def test_what_may_leave_now_may_still_arrive_a_minute_later(timestamp_ms: int, now_ms: int, travel_ms: int) -> None:
    if event.age_problem(timestamp_ms, now_ms) is None:
        assert wire_rules.timestamp_problem({"timestamp_ms": timestamp_ms}, now_ms + travel_ms) is None
