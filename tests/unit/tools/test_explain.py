"""The advice at the end of ``relay explain``: commands that mean the same relay."""

from collections import Counter

import pytest

from tools.explain import Explanation, _advice, _show
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


@pytest.mark.parametrize("columns", [80, 110, 200])
def test_the_key_of_what_is_parked_is_never_cut(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "stripe/2026/11/22/ef52152a1b9780fcc45ec3d2acc3d95c.json"
    line = Line(NOW_MS, "stripe", "parked", "mode_unknown", "", key, topic="checkout.session.async_payment_succeeded")
    monkeypatch.setattr("tools.explain.WIDTH", columns)

    _show(Explanation("x", 14, Found(lines=[line]), Sending(NOW_MS), parked={key}), "")

    table = capsys.readouterr().out.partition("None of these")[0]
    assert "…" not in table
    assert key in "".join(each.rstrip().rpartition("  ")[2] for each in table.splitlines())


def test_what_was_refused_is_told_with_the_check_of_the_secret() -> None:
    line = Line(NOW_MS, "shopify", "refused", "signature_wrong", "", delivery="forged")

    (advice,) = _advice(Explanation("forged", 14, Found(lines=[line]), Sending(NOW_MS)), " --stack s")
    assert "'relay check --stack s'" in advice


def test_what_is_there_no_more_needs_nothing() -> None:
    gone = Explanation("x", 14, Found(lines=[Line(NOW_MS, "shopify", "parked", "not_json", "", KEY)]), Sending(NOW_MS))

    assert _advice(gone, "") == []


def test_what_was_not_taken_comes_again() -> None:
    line = Line(NOW_MS, "shopify", "failed", "ledger_unavailable", "")

    (advice,) = _advice(Explanation("x", 14, Found(lines=[line]), Sending(NOW_MS)), "")
    assert "sends it again" in advice


def test_where_the_search_failed_no_advice_pretends_to_know() -> None:
    assert _advice(Explanation("x", 14, Found(), Sending(NOW_MS), unread=["the log"]), "") == []
