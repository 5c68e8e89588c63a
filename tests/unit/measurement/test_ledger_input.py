"""The ledger's items as rows, from an export of the table to S3 in DynamoDB's own format."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from conversion_relay import packing
from measurement.inputs import ledger, relay
from measurement.problems import BadInput
from measurement.settings import Input, Settings

AT_MS = 1_795_186_800_000
"""2026-11-20T15:00:00Z"""
DIGEST = "a" * 64


def settings(folder: Path, **changes: Any) -> Settings:
    base: dict[str, Any] = {
        "shop": "a shop", "time_zone": ZoneInfo("UTC"), "currency": "USD", "first": date(2026, 11, 1),
        "last": date(2026, 11, 30), "folder": folder, "rates": {"EUR": Decimal("1.10"), "JPY": Decimal("0.0065")},
    }  # fmt: skip
    return Settings(**base | changes)


def item(key: str = "order_created#shopify:6184", status: str = "sent", **parts: Any) -> dict[str, Any]:
    """A conversion's item as DynamoDB writes it into an export: bytes in base64."""
    event = {
        "id": key.partition("#")[2], "type": key.partition("#")[0], "timestamp_ms": AT_MS, "action_source": "web",
        "data": {"type": "contents", "amount": 14900, "currency": "USD"},
        **parts.pop("event", {}),
    }  # fmt: skip
    packed = base64.b64encode(packing.pack(json.dumps(event))).decode()
    held = {
        "pk": {"S": key}, "status": {"S": status}, "event": {"B": packed}, "recorded_ms": {"N": str(AT_MS)},
        "expires_at": {"N": str(AT_MS // 1000 + 90 * 86_400)}, "source": {"S": "shopify"},
    }  # fmt: skip
    return held | parts


def survey(answer: str, key: str = "knocommerce:a-1") -> dict[str, Any]:
    facts = json.dumps({"answer": answer, "at_ms": AT_MS, "order_id": "6184"})
    return {
        "pk": {"S": f"memory#survey#{key}"}, "facts": {"B": base64.b64encode(packing.pack(facts)).decode()},
        "version": {"S": "1"}, "expires_at": {"N": "1"},
    }  # fmt: skip


OTHERS: list[dict[str, Any]] = [
    {"pk": {"S": "memory#cart#shopify:Z2Nw"}, "facts": {"S": "{}"}, "version": {"S": "1"}},
    {"pk": {"S": "memory#click#0f"}, "facts": {"S": "{}"}, "version": {"S": "1"}},
    {"pk": {"S": "fetch#stripe:evt_1"}, "status": {"S": "to_fetch"}, "fetch": {"S": "{}"}},
    {"pk": {"S": "fetch#stripe:evt_2"}, "status": {"S": "fetched"}, "fetch": {"S": "{}"}},
    {"pk": {"S": "circuit#openai"}, "state": {"S": "closed"}},
]
"""What else lies in the table, and is passed over."""


def lines(items: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps({"Item": each}) + "\n" for each in items).encode()


def exported(
    folder: Path, *parts: list[dict[str, Any]], name: str = "0179", made: str = "2026-11-28T00:00:00Z"
) -> Path:
    """An export as DynamoDB lays it out: manifests, and packed data files with their checksums."""
    root = folder / "export" / "AWSDynamoDB" / name
    (root / "data").mkdir(parents=True)
    manifest = []
    for number, part in enumerate(parts):
        packed = gzip.compress(lines(part))
        (root / "data" / f"part{number}.json.gz").write_bytes(packed)
        digest = base64.b64encode(hashlib.md5(packed, usedforsecurity=False).digest()).decode()
        manifest.append(
            {
                "itemCount": len(part), "md5Checksum": digest, "etag": "x",
                "dataFileS3Key": f"AWSDynamoDB/{name}/data/part{number}.json.gz",
            }
        )  # fmt: skip
    (root / "manifest-files.json").write_text("".join(json.dumps(each) + "\n" for each in manifest))
    summary = {"outputFormat": "DYNAMODB_JSON", "exportType": "FULL_EXPORT", "exportTime": made}
    (root / "manifest-summary.json").write_text(json.dumps(summary))
    return root


def read(folder: Path, name: str = "export", options: dict[str, Any] | None = None, **changes: Any) -> list[Any]:
    entry = Input("dynamodb_export", {"file": name, **(options or {})}, 7)
    return list(ledger.dynamodb_export(entry, settings(folder, **changes)))


def of(found: list[Any], table: str) -> list[Any]:
    return [row for name, row in found if name == table]


def notes(found: list[Any]) -> str:
    return "\n".join(row["note"] for row in of(found, relay.NOTE))


def test_a_conversion_becomes_a_row(tmp_path: Path) -> None:
    event = {
        "oppref": "op1.a",
        "user": {
            "emails_sha256": [DIGEST], "external_ids_sha256": [DIGEST], "countries": ["us"], "regions": ["ca"],
        },
    }  # fmt: skip
    exported(tmp_path, [item(event=event, reason={"S": ""})])

    (row,) = of(read(tmp_path), "conversions")

    assert row == {
        "conversion": "order_created#shopify:6184", "type": "order_created", "source": "shopify",
        "action_source": "web", "order_id": "6184", "person": DIGEST, "at_ms": AT_MS, "day": date(2026, 11, 20),
        "value": 14900, "status": "sent", "reason": None, "clicked": True, "match_keys": "oppref email external_id",
        "market": "US-CA", "bucket": row["bucket"],
    }  # fmt: skip
    assert 0 <= row["bucket"] < 512


def test_what_is_neither_a_conversion_nor_an_answer_is_passed_over(tmp_path: Path) -> None:
    exported(tmp_path, [item(), *OTHERS], [survey("ChatGPT (ad)")])

    found = read(tmp_path)

    assert [name for name, _ in found if name != relay.NOTE] == ["conversions", "survey"]


@pytest.mark.parametrize("status", ["recorded", "sent", "rejected", "expired", "shadow"])
def test_every_status_of_a_conversion_is_kept_with_its_reason(tmp_path: Path, status: str) -> None:
    exported(tmp_path, [item(status=status, reason={"S": "user.phone: invalid"})])

    (row,) = of(read(tmp_path), "conversions")
    assert (row["status"], row["reason"]) == (status, "user.phone: invalid")


@pytest.mark.parametrize(
    ("amount", "currency", "value"),
    [(14900, "USD", 14900), (10000, "EUR", 11000), (9999, "EUR", 10999), (8900, "JPY", 5785)],
)
def test_amounts_are_in_the_report_s_currency(tmp_path: Path, amount: int, currency: str, value: int) -> None:
    data = {"type": "contents", "amount": amount, "currency": currency}
    exported(tmp_path, [item(event={"data": data})])

    assert of(read(tmp_path), "conversions")[0]["value"] == value


def test_an_amount_without_a_rate_is_no_amount_of_another_currency(tmp_path: Path) -> None:
    exported(tmp_path, [item(event={"data": {"type": "contents", "amount": 1, "currency": "GBP"}})])

    with pytest.raises(BadInput, match=r"in GBP, which has no rate\. Say under \[rates\] what 1 GBP is worth in USD"):
        read(tmp_path)


def test_without_amount_keys_or_place_there_is_nothing_instead(tmp_path: Path) -> None:
    exported(tmp_path, [item("lead_created#callrail:CAL1", event={"data": {"type": "customer_action"}, "user": None})])

    (row,) = of(read(tmp_path), "conversions")
    assert (row["value"], row["market"], row["person"], row["clicked"]) == (None, None, None, False)
    assert (row["match_keys"], row["type"], row["source"], row["order_id"]) == (
        "none",
        "lead_created",
        "callrail",
        "CAL1",
    )


@pytest.mark.parametrize(
    ("user", "market"),
    [
        ({"countries": ["DE"]}, "DE"), ({"countries": ["us"], "regions": ["ny"]}, "US-NY"),
        ({"countries": ["GB"], "regions": ["Greater London"]}, "GB-Greater London"), ({"regions": ["CA"]}, None),
    ],
)  # fmt: skip
def test_market(tmp_path: Path, user: dict[str, Any], market: str | None) -> None:
    exported(tmp_path, [item(event={"user": user})])

    assert of(read(tmp_path), "conversions")[0]["market"] == market


def test_the_day_is_that_of_the_report_s_time_zone(tmp_path: Path) -> None:
    late = 1_795_219_200_000  # 2026-11-21T00:00:00Z
    exported(tmp_path, [item(event={"timestamp_ms": late})])

    assert of(read(tmp_path), "conversions")[0]["day"] == date(2026, 11, 21)
    assert of(read(tmp_path, time_zone=ZoneInfo("America/New_York")), "conversions")[0]["day"] == date(2026, 11, 20)


def test_items_of_versions_before_packing_are_read(tmp_path: Path) -> None:
    event = {"id": "1", "type": "order_created", "timestamp_ms": AT_MS, "data": {"type": "contents"}}
    exported(tmp_path, [item() | {"event": {"S": json.dumps(event)}}])

    (row,) = of(read(tmp_path), "conversions")
    assert (row["action_source"], row["value"]) == ("other", None)


def test_the_notes_say_what_is_no_longer_there(tmp_path: Path) -> None:
    withdrawn = {"pk": {"S": "order_created#stripe:in_1"}, "withdrawn": {"S": "consent_refused"}}
    waiting = {"pk": {"S": "privacy#shopify:e1"}, "kind": {"S": "erase_person"}}
    exported(tmp_path, [item(), withdrawn, waiting])

    told = notes(read(tmp_path))

    assert (
        "oldest conversion is of 2026-11-20, the report begins on 2026-11-01. It forgets a conversion after 90 days"
        in told
    )
    assert "conversions that a privacy request has deleted are not in it" in told
    assert "1 conversion was taken back, as consent was refused" in told
    assert "1 privacy request is not carried out yet" in told
    assert "forgets" not in notes(read(tmp_path, first=date(2026, 11, 20)))


@pytest.mark.parametrize(
    ("answer", "options", "channel"),
    [
        ("ChatGPT (ad)", {}, "chatgpt"), ("ChatGPT (answer)", {}, "ai_assistant"), ("ChatGPT", {}, "ai_assistant"),
        ("ChatGPT", {"chatgpt": "chatgpt"}, "chatgpt"), ("Google", {}, "organic_search"), ("(other)", {}, "other"),
        ("On a train", {}, "other"), ("On a train", {"options": {"on a  train": "offline"}}, "offline"),
        ("Google", {"options": {"Google": "google_ads"}}, "google_ads"),
    ],
)  # fmt: skip
def test_an_answer_means_a_channel(tmp_path: Path, answer: str, options: dict[str, Any], channel: str) -> None:
    exported(tmp_path, [survey(answer)])

    found = read(tmp_path, options=options)

    assert of(found, "survey") == [
        {
            "answer_id": "knocommerce:a-1", "order_id": "6184", "at_ms": AT_MS, "day": date(2026, 11, 20),
            "answer": answer, "channel": channel,
        }
    ]  # fmt: skip
    assert ("On a train (1)" in notes(found)) == (answer == "On a train" and not options)
    assert ("without saying whether it was the ad" in notes(found)) == (answer == "ChatGPT")


def test_of_several_exports_the_newest_is_read(tmp_path: Path) -> None:
    exported(tmp_path, [item(status="recorded")], name="0178", made="2026-11-21T00:00:00Z")
    exported(tmp_path, [item(status="sent")], name="0179", made="2026-11-28T00:00:00Z")

    found = read(tmp_path)

    assert [row["status"] for row in of(found, "conversions")] == ["sent"]
    assert "of 2 exports the newest is read, of 2026-11-28T00:00:00Z" in notes(found)


@pytest.mark.parametrize("packed", [True, False])
def test_one_file_will_do_and_a_folder_of_files_without_manifests_is_not_sure(tmp_path: Path, packed: bool) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    name = "a.json.gz" if packed else "a.json"
    (folder / name).write_bytes(gzip.compress(lines([item()])) if packed else lines([item()]) + b"\n")

    assert len(of(read(tmp_path, f"files/{name}"), "conversions")) == 1
    found = read(tmp_path, "files")
    assert len(of(found, "conversions")) == 1
    assert "nothing says whether the export is complete" in notes(found)


def damaged(root: Path, how: str) -> None:
    part = root / "data" / "part0.json.gz"
    files, summary = root / "manifest-files.json", root / "manifest-summary.json"
    match how:
        case "lost":
            part.unlink()
        case "changed":
            part.write_bytes(gzip.compress(lines([item(status="expired")])))
        case "cut":
            held = json.loads(files.read_text())
            part.write_bytes(part.read_bytes()[:-12])
            files.write_text(json.dumps(held | {"md5Checksum": None}))
        case "fewer":
            held = json.loads(files.read_text())
            files.write_text(json.dumps(held | {"itemCount": 5}))
        case "ion":
            summary.write_text(json.dumps({"outputFormat": "ION"}))
        case "increment":
            summary.write_text(json.dumps({"outputFormat": "DYNAMODB_JSON", "exportType": "INCREMENTAL_EXPORT"}))
        case "manifest":
            files.write_text("{}\n")
        case "summary":
            summary.write_text("no JSON")
        case "other table":
            part.write_bytes(gzip.compress(b'{"Item": {"id": {"S": "1"}}}\n'))
            files.unlink()
        case "changes":
            part.write_bytes(gzip.compress(b'{"Keys": {}, "NewImage": {}}\n'))
            files.unlink()
        case "text":
            part.write_bytes(gzip.compress(b"pk,status\n"))
            files.unlink()
        case "newer":
            part.write_bytes(gzip.compress(lines([item() | {"event": {"B": "/w=="}}])))
            files.unlink()
        case "no event":
            part.write_bytes(gzip.compress(lines([{"pk": {"S": "order_created#a:1"}, "status": {"S": "sent"}}])))
            files.unlink()
        case "empty":
            part.unlink()
            files.unlink()
            summary.unlink()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("lost", "the export lacks part0.json.gz"), ("changed", "its checksum differs"),
        ("cut", "cut off or damaged"), ("fewer", "holds 1 items, its manifest says 5"), ("ion", "in ION"),
        ("increment", "incremental export"), ("manifest", "manifest-files.json:1: it is no manifest"),
        ("summary", "manifest-summary.json: it is no JSON"), ("other table", "part0.json.gz:1: the line is no item"),
        ("changes", "part0.json.gz:1: it is of an incremental export"),
        ("text", "part0.json.gz:1: the line is no JSON"),
        ("newer", "order_created#shopify:6184 cannot be read"), ("no event", "has a status and no event"),
        ("empty", "holds no export"),
    ],
)  # fmt: skip
def test_an_export_that_cannot_be_used_says_why(tmp_path: Path, how: str, said: str) -> None:
    damaged(exported(tmp_path, [item()]), how)

    with pytest.raises(BadInput, match=said):
        read(tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"file": "nowhere"}, "there is no nowhere"), ({}, "names no file"), ({"file": 5}, "names no file"),
        ({"file": "export", "colour": "red"}, "colour is no option"),
        ({"file": "export", "options": {"TV": "tv"}}, "a channel that there is not"),
        ({"file": "export", "chatgpt": "ad"}, "chatgpt names ad"), ({"file": "export", "chatgpt": 1}, "is no text"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_say_why(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    exported(tmp_path, [item()])

    with pytest.raises(BadInput, match=said) as problem:
        list(ledger.dynamodb_export(Input("dynamodb_export", options, 7), settings(tmp_path)))
    assert problem.value.line == 7
