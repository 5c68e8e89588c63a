"""Every page of tests/cases/pages, read without a browser: one fault each, or none."""

import html

import pytest

from tests.pages import PAGES, Case, cases, served
from tools.doctor.fetching import from_address, from_file
from tools.doctor.findings import KINDS
from tools.doctor.rules import examine
from tools.template import ROOT

BROKEN = cases("broken")
GOOD = cases("good")


def name_of(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def origin():
    with served() as origin:
        yield origin


@pytest.mark.parametrize("case", [each for each in BROKEN if each.static], ids=name_of)
def test_the_one_fault_is_found_at_its_place(case: Case, origin: str) -> None:
    page = from_address(case.address(origin), 10)

    found = examine(page, pixel_id=case.pixel_id).findings

    assert [each.code for each in found] == [case.finds]
    if found[0].place:
        assert "the fault" in page.text.splitlines()[found[0].place.line - 1]


@pytest.mark.parametrize("case", [each for each in BROKEN if not each.static], ids=name_of)
def test_what_only_a_browser_sees_is_no_false_alarm_here(case: Case, origin: str) -> None:
    assert examine(from_address(case.address(origin), 10)).findings == []


@pytest.mark.parametrize("case", GOOD, ids=name_of)
def test_a_good_page_has_no_finding(case: Case, origin: str) -> None:
    assert examine(from_address(case.address(origin), 10)).findings == []


@pytest.mark.parametrize("case", [each for each in (*BROKEN, *GOOD) if not each.headers], ids=name_of)
def test_a_file_is_read_as_its_address_is(case: Case, origin: str) -> None:
    by_address = examine(from_address(f"{origin}/{case.folder}/{case.name}.html", 10), pixel_id=case.pixel_id)

    assert examine(from_file(str(case.file)), pixel_id=case.pixel_id) == by_address


def test_what_a_tag_manager_brings_is_left_open_and_said() -> None:
    (case,) = (each for each in GOOD if each.name == "tag_manager")

    notes = examine(from_file(str(case.file))).notes

    assert any("only Chromium can see" in each for each in notes)


def test_there_is_a_broken_page_for_every_finding() -> None:
    assert {each.finds for each in BROKEN} == set(KINDS)


def test_every_page_is_a_case() -> None:
    on_disk = {f"{path.parent.name}/{path.stem}" for path in PAGES.glob("*/*.html")}

    assert on_disk == {f"{each.folder}/{each.name}" for each in (*BROKEN, *GOOD)}


def test_every_finding_is_explained_in_the_documentation() -> None:
    text = (ROOT / "docs" / "doctor.md").read_text()

    for code, kind in KINDS.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{code}` | {kind.severity} |")), "")
        assert html.escape(kind.title, quote=False) in row, code
        assert html.escape(kind.fix, quote=False) in row, code
