"""``relay reconcile`` as a person meets it, on layers that need no AWS: what it prints, offers and exits with."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conversion_relay.money import EXPONENTS
from measurement.inputs import deliveries, ledger, openai, shop
from measurement.inputs.relay import NOTE
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from tools import reconcile
from tools.stand_in_platforms import SHOPIFY_TOKEN, PlatformsStandIn, sample_orders

NOW = datetime.now(UTC)
DAY = (NOW - timedelta(days=1)).date()
AT_MS = int((NOW - timedelta(days=1)).timestamp() * 1000)
SHOP = "example.myshopify.com"


def conversion(order_id: Any, status: str = "sent") -> Any:
    return (
        "conversions",
        {
            "conversion": f"order_created#shopify:{order_id}", "type": "order_created", "source": "shopify",
            "action_source": "web", "order_id": str(order_id), "at_ms": AT_MS, "day": DAY, "status": status,
            "clicked": False, "match_keys": "email", "bucket": 1,
        },
    )  # fmt: skip


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What the ledger, the log and OpenAI say, in place of asking them."""
    held: dict[str, list[Any]] = {"ledger": [], "relay_logs": [], "openai_insights": [], "shop_api": []}
    for module in (ledger, deliveries, openai, shop):
        known = [kind for kind in module.IMPORTERS if kind in held]
        for kind in known:
            monkeypatch.setitem(module.IMPORTERS, kind, lambda *_, kind=kind: iter(held[kind]))
    monkeypatch.delenv("OPENAI_ADS_ADVERTISER_KEY", raising=False)
    monkeypatch.delenv("RELAY_STACK", raising=False)
    return held


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    parser = ArgumentParser()
    reconcile.add_arguments(parser)
    status = reconcile.run(parser.parse_args(arguments))
    printed = capsys.readouterr()
    return status, " ".join(printed.out.split()), printed.err


def truth(order_id: Any) -> Any:
    row = {
        "order_id": str(order_id), "source": "shopify", "type": "order_created", "at_ms": AT_MS, "day": DAY,
        "counts": True,
    }  # fmt: skip
    return "orders", row


def test_what_agrees_exits_with_0(layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    layers["ledger"] = [conversion(1), (NOTE, {"note": "a note of the ledger"})]
    layers["shop_api"] = [truth(1)]

    status, told, _ = ran(capsys, "--shop-api")

    assert status == 0
    assert f"{DAY} shopify order_created 1" in told
    assert "Every difference has a reason, but for 0.0% (threshold: 2.0%)." in told
    assert "Note: a note of the ledger" in told


def test_what_is_missing_exits_with_1_and_is_offered(
    layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    layers["ledger"] = [conversion(1)]
    layers["shop_api"] = [truth(number) for number in range(1, 20)]

    status, told, _ = ran(capsys, "--shop-api", "--shop", SHOP, "--stack", "prod", "--since", "7d")

    assert status == 1
    assert "Missing of shopify: 10, 11, 12" in told
    assert "and 8 more (--json has all)" in told
    assert "✗ truth → recorded shopify order_created +18 not in the ledger" in told
    assert f"'relay backfill shopify --stack prod --shop {SHOP} --days 2'" in told
    assert "94.7% differs without a reason, over the threshold of 2.0%." in told
    assert ran(capsys, "--shop-api", "--threshold", "0.95")[0] == 0


def test_json_holds_all_of_it(layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    layers["ledger"] = [conversion(1), conversion(2, "rejected")]
    layers["shop_api"] = [truth(1), truth(3)]
    parser = ArgumentParser()
    reconcile.add_arguments(parser)

    status = reconcile.run(parser.parse_args(["--shop-api", "--json", "--time-zone", "UTC"]))
    held = json.loads(capsys.readouterr().out)

    assert (status, held["ok"], held["missing"]) == (1, False, {"shopify": ["3"]})
    assert held["unexplained"] == [{"before": "truth", "after": "recorded", "count": 2, "of": 2}]
    (row,) = held["rows"]
    assert (row["truth"], row["recorded"], row["sent"], row["accepted"], row["ga4"]) == (2, 2, 2, 1, None)
    assert len(held["next"]) == 1


def test_of_a_source_without_backfill_the_platform_is_named(
    layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    table, row = truth(7)
    layers["ledger"] = [conversion(1)]
    layers["shop_api"] = [(table, row | {"source": "callrail"})]

    assert "1 order of callrail missing: have the platform send its webhooks again" in ran(capsys, "--shop-api")[1]


def test_nothing_at_all_is_said_to_be_nothing(layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing was counted on these days." in ran(capsys)[1]


def test_openai_is_asked_where_there_is_a_key(
    layers: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_ADS_ADVERTISER_KEY", "k")
    layers["openai_insights"] = [(NOTE, {"note": "asked"})]

    assert "Note: asked" in ran(capsys, "--ads-api", "http://127.0.0.1:1")[1]


@pytest.mark.parametrize("arguments", [["--threshold", "2"], ["--threshold", "x"], ["--since", "soon"]])
def test_options_that_are_none_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ran(capsys, *arguments)


def test_what_cannot_be_read_exits_with_2(
    layers: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(entry: Input, settings: Settings) -> Iterator[Any]:
        raise BadInput("measurement.toml", "it cannot be read", "Do this.")

    monkeypatch.setitem(ledger.IMPORTERS, "ledger", refuse)

    assert ran(capsys) == (2, "", "relay reconcile: measurement.toml: it cannot be read. Do this.\n")
    assert ran(capsys, "--time-zone", "Mars")[0] == 2


def test_starting_the_command_line_loads_no_engine() -> None:
    code = "import sys, tools.cli; print([m for m in ('ibis', 'pandas', 'duckdb', 'pyarrow') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# The shop's own orders ------------------------------------------------------------------------------------------------

SETTINGS = Settings("a shop", ZoneInfo("UTC"), "USD", (NOW - timedelta(days=7)).date(), NOW.date(), Path())


def order(**fields: Any) -> dict[str, Any]:
    base = {
        "id": 6184, "created_at": "2026-11-20T14:00:00Z", "financial_status": "paid", "total_price": "149.00",
        "currency": "USD",
    }  # fmt: skip
    return base | fields


@pytest.mark.parametrize(
    ("fields", "why_not"),
    [
        ({}, None), ({"financial_status": "authorized"}, None), ({"financial_status": "refunded"}, None),
        ({"test": True}, "test_order"), ({"cancelled_at": "2026-11-20T15:00:00Z"}, "cancelled"),
        ({"source_name": "subscription_contract_checkout_one"}, "subscription_renewal"),
        ({"financial_status": "pending"}, "waiting_for_payment"), ({"financial_status": None}, "waiting_for_payment"),
        ({"financial_status": "voided"}, "payment_voided"),
    ],
)  # fmt: skip
def test_which_orders_count_follows_the_relay_s_rules(fields: dict[str, Any], why_not: str | None) -> None:
    row = shop.order(order(**fields), SETTINGS)

    assert row is not None
    assert (row["counts"], row["why_not"]) == (why_not is None, why_not)
    assert (row["order_id"], row["value"], row["day"]) == ("6184", 14900, date(2026, 11, 20))


@pytest.mark.parametrize("fields", [{"id": None}, {"id": "x"}, {"created_at": None}])
def test_an_order_without_id_or_time_is_none(fields: dict[str, Any]) -> None:
    assert shop.order(order(**fields), SETTINGS) is None


@pytest.mark.parametrize("fields", [{"total_price": None}, {"currency": "XXX"}, {"total_price": "-1"}])
def test_an_amount_that_is_none_is_left_out(fields: dict[str, Any]) -> None:
    row = shop.order(order(**fields), SETTINGS)

    assert row is not None
    assert row["value"] is None


def test_the_shop_is_asked_for_its_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = sample_orders(NOW)
    settings = replace(SETTINGS, rates=dict.fromkeys(EXPONENTS, Decimal(1)))
    with PlatformsStandIn(orders) as platforms:
        entry = Input("shop_api", {"shop": SHOP, "api": platforms.url}, 2)
        monkeypatch.delenv("SHOPIFY_ADMIN_TOKEN", raising=False)
        with pytest.raises(BadInput, match="there is no access token"):
            list(shop.shop_api(entry, settings))
        monkeypatch.setenv("SHOPIFY_ADMIN_TOKEN", SHOPIFY_TOKEN)
        rows = [row for name, row in shop.shop_api(entry, settings) if name == "orders"]
        monkeypatch.setenv("SHOPIFY_ADMIN_TOKEN", "another")
        with pytest.raises(BadInput, match="refuses the token"):
            list(shop.shop_api(entry, settings))

    assert {row["order_id"] for row in rows} == {str(each["id"]) for each in orders}
    assert {row["why_not"] for row in rows} >= {None, "test_order", "waiting_for_payment"}


def test_only_shopify_can_be_listed() -> None:
    with pytest.raises(BadInput, match=r"Export Stripe's payments"):
        list(shop.shop_api(Input("shop_api", {"platform": "stripe"}, 2), SETTINGS))


def test_a_long_period_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPIFY_ADMIN_TOKEN", SHOPIFY_TOKEN)
    settings = replace(SETTINGS, first=date(2026, 1, 1))
    with PlatformsStandIn([]) as platforms:
        found = list(shop.shop_api(Input("shop_api", {"shop": SHOP, "api": platforms.url}, 2), settings))

    assert [name for name, _ in found] == [NOTE]


def test_one_system_alone_is_no_agreement(
    layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Given a shop's orders, and neither ledger nor log
    (tmp_path / "orders.csv").write_text(f"order_id,at,value,currency\n1,{DAY}T12:00:00Z,5.00,USD\n")
    (tmp_path / "measurement.toml").write_text(
        f'[report]\nshop = "x"\ntime_zone = "UTC"\ncurrency = "USD"\nfirst = {DAY}\nlast = {DAY}\n'
        '[[input]]\nkind = "orders"\nfile = "orders.csv"\n'
    )

    status, told, problem = ran(capsys, str(tmp_path))
    as_json = json.loads(ran(capsys, str(tmp_path), "--json")[1])

    assert status == 2
    assert "Every difference has a reason" not in told
    assert "no two systems report the same conversions" in problem
    assert (as_json["compared"], as_json["ok"]) == (False, False)


def test_a_quiet_week_is_one_that_agrees(layers: dict[str, list[Any]], capsys: pytest.CaptureFixture[str]) -> None:
    # Given ledger and log of the stack, in which nothing is
    status, told, problem = ran(capsys)

    assert (status, problem) == (0, "")
    assert "Nothing was counted on these days." in told
