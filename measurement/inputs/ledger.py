"""The relay's ledger: what became of every conversion, and the answers to surveys that it keeps.

``ledger`` reads the table of a deployed stack (or of the relay that ``make up`` runs) by a parallel scan;
``dynamodb_export`` reads an export of it to S3, which costs the table nothing: a folder, a file or an ``s3://`` address
with what ``ExportTableToPointInTime`` has written in the format DYNAMODB_JSON.

What is no longer there cannot be read: a conversion is forgotten after ``LedgerTtlDays``, and deleted by a privacy
request. The notes say so.

Source: DynamoDB developer guide, "DynamoDB table export output format" (manifests, ``{"Item": …}`` a line).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from conversion_relay.event import User, match_keys
from conversion_relay.ledger import LedgerUnavailable, event_in, facts_in
from measurement.inputs.relay import (
    STACK_OPTIONS,
    Rows,
    asking,
    day_of,
    deployment_of,
    know,
    note,
    of_minor,
    option,
    places,
    wrong,
)
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from measurement.tables import CHANNELS, bucket
from tools.wording import count

SURVEY: Final = "memory#survey#"
OTHER_ANSWER: Final = "(other)"
STATUSES: Final = frozenset({"recorded", "sent", "rejected", "expired", "shadow"})
NO_KEY: Final = "none"
"""In place of match keys where there are none: nothing by which OpenAI could match the event."""
DAY_S: Final = 86_400
_SURVEY_OPTIONS: Final = frozenset({"options", "chatgpt"})
_SUMMARY, _FILES = "manifest-summary.json", "manifest-files.json"
_REGION: Final = re.compile(r"[A-Za-z0-9]{1,3}")

ANSWERS: Final = {
    "chatgpt (ad)": "chatgpt", "chatgpt (answer)": "ai_assistant", "google": "organic_search",
    "instagram": "organic_social", "facebook": "organic_social", "tiktok": "organic_social",
    "youtube": "organic_social", "podcast": "offline", "friend or family": "word_of_mouth", "email": "email",
    "billboard": "offline", "other": "other", OTHER_ANSWER: "other",
}  # fmt: skip
"""What the options of the platform files mean that the relay comes with; `[input.options]` says it of others."""


@dataclass
class _Seen:
    """What was met on the way, for the notes."""

    ttl_days: Counter[int] = field(default_factory=Counter)
    oldest: date | None = None
    withdrawn: int = 0
    conversions: int = 0
    pending_requests: int = 0
    unknown_answers: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    bare: int = 0


def ledger(entry: Input, settings: Settings) -> Rows:
    """The table of a stack, scanned. Raises BadInput: it cannot be read, or an amount's currency has no rate."""
    know(entry, STACK_OPTIONS | _SURVEY_OPTIONS)
    from tools import entries

    deployment = deployment_of(entry)
    wanted = {
        "FilterExpression": "attribute_exists(#status) OR attribute_exists(withdrawn) OR begins_with(pk, :survey) "
        "OR begins_with(pk, :privacy)",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":survey": {"S": SURVEY}, ":privacy": {"S": "privacy#"}},
    }
    with asking(entry):
        yield from rows(entries.items(deployment, wanted), entry, settings, f"the ledger of {deployment.stack}")


def dynamodb_export(entry: Input, settings: Settings) -> Rows:
    """An export of the table to S3. Raises BadInput: it is incomplete, or in another format."""
    know(entry, frozenset({"file", "files", "region", "profile"}) | _SURVEY_OPTIONS)
    with ExitStack() as stack:
        name = entry.options.get("file")
        if isinstance(name, str) and name.startswith("s3://"):
            roots = [stack.enter_context(_fetched(name, entry))]
        else:
            roots = places(entry, settings)
        for root in roots:
            export = _Export.at(root, entry)
            if export.note:
                yield note(export.note)
            yield from rows(export.items(), entry, settings, export.name)


# From items to rows ---------------------------------------------------------------------------------------------------


def rows(items: Iterable[Mapping[str, Any]], entry: Input, settings: Settings, where: str) -> Rows:
    """The rows of the table's items; what is neither a conversion nor an answer is passed over."""
    seen = _Seen()
    channel = _channels(entry, seen)
    for item in items:
        try:
            found = _row(item, seen, settings, channel, where)
        except (LedgerUnavailable, KeyError, ValueError, TypeError) as problem:
            told = str(problem) if isinstance(problem, LedgerUnavailable) else f"an item of it lacks {problem}"
            raise BadInput(
                where, told, "A newer version of the relay may have written it: update these tools."
            ) from None
        if found is not None:
            yield found
    yield from map(note, _notes(seen, settings, where))


def _row(
    item: Mapping[str, Any], seen: _Seen, settings: Settings, channel: Callable[[str], tuple[str, str]], where: str
) -> tuple[str, Mapping[str, Any]] | None:
    key = str(item.get("pk", {}).get("S", ""))
    if key.startswith(SURVEY):
        return "survey", _survey(item, key, settings, channel)
    if key.startswith("privacy#"):
        seen.pending_requests += 1
    elif "withdrawn" in item:
        seen.withdrawn += 1
    elif item.get("status", {}).get("S") in STATUSES and not key.startswith("fetch#"):
        row = _conversion(item, key, settings, where)
        seen.conversions += 1
        seen.oldest = min(filter(None, (seen.oldest, row["day"])))
        lifetime_s = _number(item, "expires_at") - _number(item, "recorded_ms") // 1000
        seen.ttl_days[round(lifetime_s / DAY_S)] += 1
        return "conversions", row
    return None


def _conversion(item: Mapping[str, Any], key: str, settings: Settings, where: str) -> dict[str, Any]:
    text = event_in(item)
    event = json.loads(text or "{}")
    if "timestamp_ms" not in event:
        raise LedgerUnavailable(f"the ledger item {key} has a status and no event")
    user = event.get("user") or {}
    name, _, subject = key.partition("#")
    source, _, order_id = subject.partition(":")
    data = event.get("data") or {}
    amount, currency = data.get("amount"), data.get("currency")
    at_ms = int(event["timestamp_ms"])
    person = next(iter(user.get("external_ids_sha256") or ()), None)
    return {
        "conversion": key,
        "type": name,
        "source": source,
        "action_source": event.get("action_source") or "other",
        "order_id": order_id or None,
        "person": person,
        "at_ms": at_ms,
        "day": day_of(at_ms, settings),
        "value": None if amount is None else of_minor(amount, str(currency), settings, where),
        "status": item["status"]["S"],
        "reason": item.get("reason", {}).get("S") or None,
        "clicked": event.get("oppref") is not None,
        "match_keys": " ".join(match_keys(User.model_construct(**user), event.get("oppref"))) or NO_KEY,
        "market": _market(user),
        "bucket": bucket(person or key),
    }


def _market(user: Mapping[str, Any]) -> str | None:
    country = next(iter(user.get("countries") or ()), None)
    if country is None:
        return None
    region = next(iter(user.get("regions") or ()), "")
    # A name in place of a code stays as it is written: two spellings are two markets, which a person then sees.
    region = region.upper() if _REGION.fullmatch(region) else region
    return "-".join(filter(None, (country.upper(), region)))


def _survey(
    item: Mapping[str, Any], key: str, settings: Settings, channel: Callable[[str], tuple[str, str]]
) -> dict[str, Any]:
    facts = json.loads(facts_in(item) or "{}")
    at_ms = int(facts["at_ms"])
    answer, meaning = channel(str(facts["answer"]))
    return {
        "answer_id": key.removeprefix(SURVEY),
        "order_id": facts.get("order_id"),
        "at_ms": at_ms,
        "day": day_of(at_ms, settings),
        "answer": answer,
        "channel": meaning,
    }


def _channels(entry: Input, seen: _Seen) -> Callable[[str], tuple[str, str]]:
    """What an answer means: by `[input.options]`, else as the options that the relay comes with."""
    given = entry.options.get("options", {})
    if not isinstance(given, Mapping) or any(each not in CHANNELS for each in given.values()):
        wrong(entry, "options names a channel that there is not", f"There are: {', '.join(CHANNELS)}.")
    bare = option(entry, "chatgpt", "ai_assistant")
    if bare not in CHANNELS:
        wrong(entry, f"chatgpt names {bare}, which is no channel", "Write chatgpt or ai_assistant.")
    own = {_plain(str(answer)): str(meaning) for answer, meaning in given.items()}

    def channel(answer: str) -> tuple[str, str]:
        seen.answers += 1
        plain = _plain(answer)
        if plain in own:
            return answer, own[plain]
        if plain == "chatgpt":
            seen.bare += 1
            return answer, bare
        if plain not in ANSWERS:
            seen.unknown_answers[answer] += 1
        return answer, ANSWERS.get(plain, "other")

    return channel


def _plain(answer: str) -> str:
    return " ".join(answer.casefold().split())


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item.get(name, {}).get("N", "0"))


def _notes(seen: _Seen, settings: Settings, where: str) -> Iterator[str]:
    lifetimes = [days for days, _ in seen.ttl_days.most_common(1) if days > 0]
    kept = f" after {lifetimes[0]} days" if lifetimes else " after LedgerTtlDays"
    if seen.oldest is not None and seen.oldest > settings.first:
        yield (
            f"{where}: its oldest conversion is of {seen.oldest}, the report begins on {settings.first}. It forgets a "
            f"conversion{kept}; for days before that nothing is said, neither zero nor more."
        )
    if seen.conversions:
        yield f"{where}: conversions that a privacy request has deleted are not in it, and no count of them is left."
    if seen.withdrawn:
        taken = count(seen.withdrawn, "conversion was", "conversions were")
        yield f"{where}: {taken} taken back, as consent was refused; only the keys are left."
    if seen.pending_requests:
        waiting = count(seen.pending_requests, "privacy request is", "privacy requests are")
        yield f"{where}: {waiting} not carried out yet."
    if seen.bare:
        yield (
            f"{where}: {seen.bare:,} answered ChatGPT without saying whether it was the ad. Offer both in the survey, "
            '"ChatGPT (ad)" and "ChatGPT (answer)", or decide with chatgpt = "chatgpt" or "ai_assistant".'
        )
    if seen.unknown_answers:
        named = ", ".join(f"{answer} ({number:,})" for answer, number in seen.unknown_answers.most_common(10))
        yield (
            f"{where}: these answers count as other, as nothing says what they mean: {named}. Name them under "
            "[input.options]."
        )


# Exports --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Export:
    """The data files of one export, each with the MD5 (base64) and the number of items that its manifest names."""

    name: str
    files: tuple[tuple[Path, str | None, int | None], ...]
    note: str = ""

    @classmethod
    def at(cls, root: Path, entry: Input) -> _Export:
        """The export in a folder, the newest if it holds several; or the one file that is named."""
        if root.is_file():
            return cls(root.name, ((root, None, None),))
        manifests = sorted(root.rglob(_FILES))
        if not manifests:
            found = sorted(path for path in root.rglob("*.json*") if path.name.endswith((".json", ".json.gz")))
            if not found:
                wrong(entry, f"{root.name} holds no export", "Name the folder with the manifest files of the export.")
            told = f"{root.name}: there is no {_FILES} in it, so nothing says whether the export is complete."
            return cls(root.name, tuple((path, None, None) for path in found), told)
        times = {path: _summary(path, entry) for path in manifests}
        newest = max(times, key=lambda path: times[path])
        told = (
            f"{root.name}: of {len(manifests)} exports the newest is read, of {times[newest]}."
            if len(manifests) > 1
            else ""
        )
        return cls(root.name, tuple(_named(newest, entry)), told)

    def items(self) -> Iterator[Mapping[str, Any]]:
        """The items of all files. Raises BadInput: a file is damaged, incomplete or of another kind."""
        for path, digest, number in self.files:
            yield from _items(path, digest, number)


def _summary(manifest: Path, entry: Input) -> str:
    """When an export was made, and that it is of a kind that can be read."""
    path = manifest.with_name(_SUMMARY)
    try:
        held = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError:
        raise BadInput(str(path.name), "it is no JSON", "Fetch the export again.") from None
    if held.get("outputFormat", "DYNAMODB_JSON") != "DYNAMODB_JSON":
        wrong(entry, f"the export is in {held['outputFormat']}", "Export the table as DYNAMODB_JSON.")
    if held.get("exportType", "FULL_EXPORT") != "FULL_EXPORT":
        wrong(entry, "it is an incremental export", "Make a full one: an increment lacks what was there before.")
    return str(held.get("exportTime", ""))


def _named(manifest: Path, entry: Input) -> Iterator[tuple[Path, str | None, int | None]]:
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            held = json.loads(line)
            path = manifest.parent / "data" / Path(str(held["dataFileS3Key"])).name
            count = int(held["itemCount"])
        except (ValueError, KeyError, TypeError):
            raise BadInput(manifest.name, "it is no manifest of an export", "Fetch the export again.", number) from None
        if not path.exists():
            wrong(entry, f"the export lacks {path.name}, which its manifest names", "Fetch it too: aws s3 sync.")
        yield path, held.get("md5Checksum"), count


def _items(path: Path, digest: str | None, count: int | None) -> Iterator[Mapping[str, Any]]:
    again = "Fetch it again: aws s3 sync."
    if digest is not None:
        with path.open("rb") as held:
            made = hashlib.file_digest(held, lambda: hashlib.md5(usedforsecurity=False)).digest()
        if base64.b64encode(made).decode() != digest:
            raise BadInput(path.name, "it is not the file that the manifest names: its checksum differs", again)
    number = read = 0
    with path.open("rb") as plain:
        is_packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        lines = gzip.GzipFile(fileobj=plain) if is_packed else plain
        try:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    read += 1
                    yield _item(path, line, number)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise BadInput(path.name, f"it is cut off or damaged after line {number}", again) from None
    if count is not None and read != count:
        raise BadInput(path.name, f"it holds {read:,} items, its manifest says {count:,}", again)


def _item(path: Path, line: bytes, number: int) -> Mapping[str, Any]:
    try:
        held = json.loads(line)
    except ValueError:
        raise BadInput(path.name, "the line is no JSON", "Export the table as DYNAMODB_JSON.", number) from None
    if isinstance(held, Mapping) and ("NewImage" in held or "OldImage" in held):
        raise BadInput(path.name, "it is of an incremental export", "Make a full export.", number)
    item = held.get("Item") if isinstance(held, Mapping) else None
    if not isinstance(item, Mapping) or not isinstance(item.get("pk"), Mapping):
        raise BadInput(
            path.name, "the line is no item of a ledger", "Name an export of the relay's table, Ledger.", number
        )
    return item


@contextmanager
def _fetched(address: str, entry: Input) -> Iterator[Path]:
    """What lies under an ``s3://`` address, in a folder that goes away."""
    import boto3

    bucket_name, _, prefix = address.removeprefix("s3://").partition("/")
    with tempfile.TemporaryDirectory(prefix="ledger-export-") as made, asking(entry):
        folder = Path(made)
        session = boto3.Session(
            profile_name=option(entry, "profile") or None, region_name=option(entry, "region") or None
        )
        client = session.client("s3")
        found = 0
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket_name, Prefix=prefix):
            for each in page.get("Contents", []):
                target = folder / each["Key"]
                if not target.resolve().is_relative_to(folder.resolve()) or each["Key"].endswith("/"):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket_name, each["Key"], str(target))
                found += 1
        if not found:
            wrong(entry, f"there is nothing at {address}", "Name the folder of the export, AWSDynamoDB/NUMBER.")
        yield folder


IMPORTERS: Final = {"ledger": ledger, "dynamodb_export": dynamodb_export}
