"""The demo shop's files: they are what their systems export, and say what the simulation says."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.ledger import event_in
from measurement.simulation import demo
from measurement.simulation.shop import ANSWERS, DEMO, GEO, ON_OFF, ZONE, Simulated, simulate
from measurement.simulation.truth import Truth

BUYERS = 400


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth, Simulated]:
    folder = tmp_path_factory.mktemp("demo")
    truth = demo.write(folder, seed=3, buyers=BUYERS)
    return folder, truth, simulate(DEMO, 3, buyers=BUYERS, lift=demo.LIFT)


def rows(path: Path, skip: int = 0) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()[skip:]))


def test_all_files_are_there_and_the_same_seed_writes_the_same_bytes(
    written: tuple[Path, Truth, Simulated], tmp_path: Path
) -> None:
    folder, truth, made = written

    again = demo.write(tmp_path, seed=3, buyers=BUYERS)

    assert again == truth == made.truth
    assert sorted(path.name for path in folder.iterdir()) == sorted(demo.FILES)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert all(path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes() for path in files)


def test_the_ledger_export_is_whole_and_holds_every_conversion(written: tuple[Path, Truth, Simulated]) -> None:
    folder, _, made = written
    (manifest,) = folder.rglob("manifest-files.json")
    named = json.loads(manifest.read_text(encoding="utf-8"))
    packed = (manifest.parent / "data" / Path(named["dataFileS3Key"]).name).read_bytes()
    assert base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode() == named["md5Checksum"]

    items = [json.loads(line)["Item"] for line in gzip.decompress(packed).splitlines()]

    conversions = made.tables["conversions"].to_pylist()
    assert len(items) == len(conversions) == named["itemCount"]
    for item, row in zip(items, conversions, strict=True):
        assert item["pk"]["S"] == row["conversion"]
        event = json.loads(event_in({**item, "event": {"B": base64.b64decode(item["event"]["B"])}}) or "")
        assert (event["timestamp_ms"], event["data"]["amount"]) == (row["at_ms"], row["value"])
        assert ("oppref" in event) is row["clicked"]
        assert f"{event['user']['countries'][0]}-{event['user']['regions'][0]}" == row["market"]
    statuses = [item["status"]["S"] for item in items]
    assert {name: statuses.count(name) for name in demo.ENDED} == {name: n for name, (n, _) in demo.ENDED.items()}


def test_the_shop_has_orders_that_the_ledger_lacks(written: tuple[Path, Truth, Simulated]) -> None:
    folder, _, made = written
    orders = {row["Id"]: row for row in rows(folder / "shopify-orders.csv") if row["Id"]}
    recorded = set(made.tables["conversions"]["order_id"].to_pylist())
    not_counted = {row["order_id"] for row in made.tables["orders"].to_pylist() if not row["counts"]}

    missing = set(orders) - recorded - not_counted

    assert recorded | not_counted < set(orders)
    log = (folder / "relay-log.json").read_text(encoding="utf-8").splitlines()
    logged = [json.loads(json.loads(line)["message"]) for line in log]
    ignored = {each["about"][0].removeprefix("shopify:"): each["reason"] for each in logged if "about" in each}
    silent = [order_id for order_id in missing if order_id not in ignored]
    assert len(silent) == demo.GAP_ORDERS
    assert {orders[each]["Created at"][:10] for each in silent} == {demo.GAP.isoformat()}
    assert len(missing) == demo.GAP_ORDERS + sum(demo.IGNORED.values())
    assert {ignored[each] for each in missing if each in ignored} == set(demo.IGNORED)
    first = [each for each in logged if each["outcome"] == "recorded"]
    assert {each["key"] for each in first} == set(made.tables["conversions"]["conversion"].to_pylist())


def test_times_and_money_of_the_order_export_are_those_of_the_shop(written: tuple[Path, Truth, Simulated]) -> None:
    folder, _, made = written
    orders = {row["Id"]: row for row in rows(folder / "shopify-orders.csv") if row["Id"]}

    for row in made.tables["conversions"].to_pylist():
        order = orders[row["order_id"]]
        at = datetime.strptime(order["Created at"], "%Y-%m-%d %H:%M:%S %z")
        assert at.timestamp() == row["at_ms"] // 1000
        assert at.astimezone(ZONE).date() == row["day"]
        assert round(float(order["Total"]) * 100) == row["value"]


def test_exports_of_the_others_add_up_to_their_tables(written: tuple[Path, Truth, Simulated]) -> None:
    folder, _, made = written

    def total(name: str, column: str, **where: Any) -> int:
        held = made.tables[name].to_pylist()
        return sum(row[column] for row in held if all(row[key] == value for key, value in where.items()))

    sessions = rows(folder / "ga4-sessions.csv", skip=5)
    assert sum(int(row["Sessions"]) for row in sessions) == total("sessions", "sessions")
    google = rows(folder / "google-ads.csv", skip=2)
    assert int(google[-1]["Clicks"].replace(",", "")) == total("ads", "clicks", channel="google_ads")
    assert google[-1]["Day"] == "Total: Campaigns"
    meta = rows(folder / "meta-ads.csv")
    spent = sum(round(float(row["Amount spent (USD)"]) * 100) for row in meta)
    assert spent == total("ads", "spend", channel="meta_ads")
    delivery = json.loads((folder / "openai-delivery.json").read_text(encoding="utf-8"))["data"]
    assert sum(row["clicks"] for row in delivery) == total("ads", "clicks", channel="chatgpt")
    by_day = json.loads((folder / "openai-conversions-by-conversion.json").read_text(encoding="utf-8"))
    clicks = sum(row["click_through_conversions"] for row in by_day["data"])
    assert clicks == total("attributed", "click_through", basis="conversion_time")
    sales = rows(folder / "sales-by-market.csv")
    assert sum(int(row["conversions"]) for row in sales) == total("sales", "conversions")
    answers = rows(folder / "knocommerce.csv")
    assert {row["Order ID"] for row in answers} == set(made.tables["survey"]["order_id"].to_pylist())


def test_the_settings_name_every_file_every_answer_and_both_tests(written: tuple[Path, Truth, Simulated]) -> None:
    folder, truth, _ = written

    held = tomllib.loads((folder / "measurement.toml").read_text(encoding="utf-8"))

    named = [name for each in held["input"] for name in (each.get("files") or [each["file"]])]
    assert sorted([*named, "measurement.toml"]) == sorted(demo.FILES)
    (survey,) = [each for each in held["input"] if each["kind"] == "knocommerce"]
    assert survey["options"] == dict(ANSWERS.values())
    assert [each["name"] for each in held["test"]] == [ON_OFF.name, GEO.name] == list(truth.effects)
    assert held["test"][1]["markets"] == list(GEO.markets)


def test_the_importers_read_back_what_the_simulation_made(
    written: tuple[Path, Truth, Simulated], tmp_path: Path
) -> None:
    for part in ("ledger", "openai", "ga4"):
        pytest.importorskip(f"measurement.inputs.{part}")
    from measurement import inputs, settings
    from measurement.engine import Data

    folder, _, made = written
    chosen = settings.load(folder / "measurement.toml")

    inputs.run(chosen, tmp_path)

    data = Data.in_folder(tmp_path)
    for name, columns in {
        "conversions": ("conversion", "action_source", "at_ms", "day", "value", "clicked", "market"),
        "touches": ("at_ms", "day", "channel", "campaign", "kind"),
        "survey": ("answer_id", "order_id", "at_ms", "day", "answer", "channel"),
        "purchases": ("order_id", "day", "channel", "campaign", "value"),
        "sessions": ("day", "channel", "campaign", "sessions", "engaged", "micro", "macro", "value"),
        "ads": ("day", "channel", "campaign", "impressions", "clicks", "spend"),
        "attributed": ("day", "channel", "campaign", "type", "basis", "window_days", "click_through", "view_through",
                       "value"),
        "sales": ("day", "market", "conversions", "value"),
    }.items():  # fmt: skip
        found = sorted(tuple(map(str, row.values())) for row in data.rows(data[name].select(*columns)))
        assert found == sorted(tuple(map(str, row.values())) for row in made.tables[name].select(columns).to_pylist())
    crm = {(row["lead"], row["stage"], row["channel"]) for row in data.rows(data["crm"])}
    held = made.tables["crm"].to_pylist()
    # HubSpot's contacts know no day on which one was lost.
    assert crm == {(row["lead"][1:], row["stage"], row["channel"]) for row in held if row["stage"] != "lost"}
    assert chosen.tests == made.settings.tests
