"""Every rule of the Shopify source in its variants: deliveries with expected results, played through the receiver."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.unit.case_check import faults
from tests.unit.sources import variants
from tools.cases import Case, CaseFile
from tools.trial import as_object

IDS = [variant["id"] for variant in variants.VARIANTS]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseFile, dict[str, Case]]:
    file = CaseFile(variants.write(tmp_path_factory.mktemp("variants")))
    return file, {case.id: case for case in file}


def played(cases: tuple[CaseFile, dict[str, Case]], name: str) -> tuple[Case, dict[str, Any]]:
    file, by_id = cases
    case = by_id[f"variant/{name}"]
    line: dict[str, Any] = json.loads(json.dumps(as_object(case.id, file.play(case))))
    return case, line


def test_no_variant_is_there_twice() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("name", IDS)
def test_variant(cases: tuple[CaseFile, dict[str, Case]], name: str) -> None:
    case, line = played(cases, name)

    assert list(faults(dict(case.expected), line, case.delivery.body, "https://northwind-trail.example")) == []
    assert line["reason"] == case.expected.get("reason", "recorded")


def test_events_have_one_id_exactly_where_they_are_one_conversion(
    cases: tuple[CaseFile, dict[str, Case]],
) -> None:
    ids = defaultdict(set)
    for name in IDS:
        case, line = played(cases, name)
        if case.expected["outcome"] == "emit" and "event_id" not in case.expected["event"]:
            key = case.expected["event"]["dedupe_key"].rpartition(".myshopify.com:")[2]
            ids[line["event"]["type"], key].add(line["event"]["id"])

    assert {key: found for key, found in ids.items() if len(found) != 1} == {}
    assert len({(event_type, *found) for (event_type, _), found in ids.items()}) == len(ids)


def test_variants_are_written_below_the_given_folder_only(tmp_path: Path) -> None:
    before = sorted(variants.CASES.rglob("*"))

    path = variants.write(tmp_path)

    assert path.parent == tmp_path
    assert sorted(variants.CASES.rglob("*")) == before
