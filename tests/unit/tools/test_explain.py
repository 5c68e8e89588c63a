"""The advice at the end of ``relay explain``: commands that mean the same relay."""

from collections import Counter

from tools.explain import Explanation, _advice
from tools.readings import Line
from tools.story import Sending
from tools.traces import Found

NOW_MS = 1_795_186_800_000
KEY = "shopify/2026/11/20/a.json"


def test_every_command_names_the_stack_that_was_asked() -> None:
    parked = Explanation(
        "x", 14, Found(lines=[Line(NOW_MS, "shopify", "parked", "not_json", "", KEY)]), Sending(NOW_MS), parked={KEY}
    )
    unknown = Explanation("x", 14, Found(), Sending(NOW_MS), refused=Counter(shopify=2))

    told = " ".join([*_advice(parked, " --stack s"), *_advice(unknown, " --stack s")])

    for command in (
        f"'relay replay parked --stack s --key {KEY}'", "'relay backfill shopify --stack s'",
        "'relay backfill stripe --stack s'", "'relay check --stack s'",
    ):  # fmt: skip
        assert command in told
    assert "2 of Shopify" in told


def test_what_is_there_no_more_needs_nothing() -> None:
    gone = Explanation("x", 14, Found(lines=[Line(NOW_MS, "shopify", "parked", "not_json", "", KEY)]), Sending(NOW_MS))

    assert _advice(gone, "") == []


def test_what_was_not_taken_comes_again() -> None:
    line = Line(NOW_MS, "shopify", "failed", "ledger_unavailable", "")

    (advice,) = _advice(Explanation("x", 14, Found(lines=[line]), Sending(NOW_MS)), "")
    assert "sends it again" in advice


def test_where_the_search_failed_no_advice_pretends_to_know() -> None:
    assert _advice(Explanation("x", 14, Found(), Sending(NOW_MS), unread=["the log"]), "") == []
