"""Where a custom platform's payload stands: body, form, query, lists; and values as platforms write them."""

import hashlib
from typing import Any

import pytest

from conversion_relay.delivery import Conversion, NotUnderstood
from conversion_relay.sources import custom
from conversion_relay.sources.custom.format import Platform
from conversion_relay.sources.custom.mapping import plain_text, truth
from tests.unit.sources.platforms import NOW_MS, PAYLOAD, SETTINGS, definition, posted, reason, result


def digest(text: str) -> list[str]:
    return [hashlib.sha256(text.encode()).hexdigest()]


OPPREF = "op1.Zk3vQ%2BtR9%2Fh2a-_~x==.7d"

# Where the payload is -------------------------------------------------------------------------------------------------


def test_a_form_is_decoded_once_and_the_first_of_a_name_counts() -> None:
    made = result(b"id=a+%2B1&id=b&at=2026-11-20T14%3A00%3A00Z", {"id": "split(id, ' ')[1]"}, body="form")

    assert isinstance(made, Conversion)
    assert made.event.id == "acme:+1"


def test_a_query_is_decoded_once_and_then_kept() -> None:
    source = custom.source(
        "acme",
        definition({"oppref": "op"}, body="query", methods=["GET"], verify={"kind": "url_token", "parameter": "t"}),
    )
    query = "id=a-1&at=2026-11-20T14%3A00%3A00Z&op=op1.Zk3vQ%252BtR9%252Fh2a-_~x%3D%3D.7d"

    made = source.normalize(posted(b"", method="GET", query=query), SETTINGS, NOW_MS, lambda _: None)

    assert isinstance(made, Conversion)
    assert made.event.oppref == OPPREF


@pytest.mark.parametrize(
    ("mapped", "sent"),
    [
        ({"oppref": "op"}, "op=a+b%2Bc%253D"),
        ({"oppref": "query('op')"}, "op=a+b%2Bc%253D"),
        ({"landing_url": "page"}, "page=https%3A%2F%2Fa.example%2F%3Foppref%3Da+b%2Bc%253D"),
    ],
)
@pytest.mark.parametrize("body", ["query", "form"])
def test_a_plus_in_a_reference_is_never_taken_for_a_blank(mapped: dict[str, str], sent: str, body: Any) -> None:
    sent = f"id=a-1&at=2026-11-20T14%3A00%3A00Z&city=New+York&{sent}"
    source = custom.source("acme", definition({**mapped, "user": {"city": "city"}}, body=body))

    made = source.normalize(posted(sent.encode(), query=sent), SETTINGS, NOW_MS, lambda _: None)

    assert isinstance(made, Conversion)
    assert made.event.oppref == "a+b+c%3D"
    assert made.event.wire()["user"] == {"cities": ["New York"]}


@pytest.mark.parametrize(
    ("body", "keys", "said"),
    [
        (b"{", {}, "not_json"),
        (b"\xff", {}, "not_utf8"),
        (b"5", {}, "not_an_object"),
        (b"[[]]", {}, "not_an_object"),
        (b"[" + b"{}," * 100 + b"{}]", {}, "too_many_events"),
        (b"\xff", {"body": "form"}, "not_utf8"),
        (b"id=%FF", {"body": "form"}, "not_a_form"),
        (b"a=1&" * 1001, {"body": "form"}, "not_a_form"),
        (b"[" * 100_000, {}, "not_json"),
    ],
)
def test_a_body_that_nobody_can_read_is_parked(body: bytes, keys: dict[str, Any], said: str) -> None:
    with pytest.raises(NotUnderstood) as problem:
        result(body, **keys)
    assert problem.value.reason == said


def test_a_list_of_events_is_recorded_together_each_once() -> None:
    paid = [{"that": "paid", "reason": "not_paid", "detail": "not paid"}]
    one, two, unpaid = ({**PAYLOAD, "id": each, "paid": each != "c"} for each in "abc")

    made = result([one, unpaid, two, one], filters=paid)

    assert isinstance(made, Conversion)
    assert [made.key, *(each.key for each in made.also)] == ["lead_created#acme:a", "lead_created#acme:b"]


def test_a_list_in_which_nothing_counts_is_ignored() -> None:
    paid = [{"that": "paid", "reason": "not_paid", "detail": "not paid"}]

    assert reason([dict(PAYLOAD)], filters=paid) == "not_paid"
    assert reason([]) == "no_events"


def test_a_list_with_one_bad_event_is_parked_whole() -> None:
    with pytest.raises(NotUnderstood):
        result([dict(PAYLOAD), {}])


# Odd values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("true", True), ("TRUE ", True), ("Yes", True), (1, True), ("1", True), (True, True), ("on", True),
        ("false", False), ("no", False), (0, False), (False, False), ("off", False),
        ("", None), (None, None), ([], None), (2, None), ("maybe", None), (10**400, None),
    ],
)  # fmt: skip
def test_truth_is_read_as_platforms_write_it(value: Any, becomes: bool | None) -> None:
    assert truth(value) is becomes


def test_numbers_as_text_are_exact() -> None:
    parsed = posted(b'{"a": 1.10, "b": 1e400, "c": 12}')
    from conversion_relay.payload import parse_object

    held = parse_object(parsed.body)

    assert [plain_text(held[each]) for each in "abc"] == ["1.10", None, "12"]
    assert plain_text("\ud800") == "?"


def test_a_platform_is_read_at_its_first_delivery_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    validate = Platform.model_validate
    monkeypatch.setattr(Platform, "model_validate", lambda held: read.append(held) or validate(held))
    source = custom.source("acme", definition(retries=False))

    assert (read, source.retries, source.delivery_id(posted({})), source.tenant(posted({}))) == ([], False, None, None)
    for _ in range(2):
        source.normalize(posted(dict(PAYLOAD)), SETTINGS, NOW_MS, lambda _: None)
    assert len(read) == 1
