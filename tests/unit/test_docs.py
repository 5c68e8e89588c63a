"""The documentation holds together: links lead somewhere, what it names is there, the picture is true."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote

import pytest

from tools.draw_architecture import drawn
from tools.template import ROOT, of_type, read

PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/cases/**/*.md")])
TEMPLATE = read()
ALARMS = of_type(TEMPLATE, "AWS::CloudWatch::Alarm")


def prose(page: Path) -> str:
    """A page without what stands in fences: there # is a comment, and no link is one."""
    return re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"`[^`\n]*`", "`code`", prose(page))
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page, with `code`\n\n```sh\n# no heading\n```\n\n## Twice\n## Twice\n[a](#twice-1) `[b](c)`\n")
    assert anchors(page) == {"a-page-with-code", "twice", "twice-1"}
    assert list(links(page)) == ["#twice-1"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert [page for page in pages if page != "README.md" and f"]({page})" not in index] == []


def test_places_that_the_commands_name_are_there() -> None:
    # Such as "(docs/replaying.md, Parked deliveries)": a text literal may be broken off in the middle of it.
    named = {
        place
        for file in ROOT.glob("tools/**/*.py")
        for place in re.findall(
            r"docs/([\w-]+\.md), ([A-Z][\w ]+)", re.sub(r'"\s*f?"', "", file.read_text(encoding="utf-8"))
        )
    }
    assert len(named) > 1
    for page, heading in named:
        assert heading.lower().replace(" ", "-") in anchors(ROOT / "docs" / page), f"docs/{page} has no {heading}"


# Alarms ---------------------------------------------------------------------------------------------------------------


def rows() -> dict[str, str]:
    """What docs/alarms.md says of each alarm, by its name; … before it: one for each source, or one for all."""
    page = (ROOT / "docs/alarms.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `((?:…)?[A-Za-z]+Alarm)`[^|]*\|[^|]+\|([^\n]+)\|$", page, re.MULTILINE))


def rows_of(alarm: str) -> list[str]:
    """The rows that speak of an alarm: its own, else those of its kind."""
    return [alarm] if alarm in rows() else [row for row in rows() if fnmatchcase(alarm, row.replace("…", "*"))]


@pytest.mark.parametrize("alarm", ALARMS)
def test_the_page_says_of_every_alarm_what_to_do(alarm: str) -> None:
    assert len(rows_of(alarm)) == 1


def test_the_page_names_no_alarm_that_there_is_not() -> None:
    spoken_of = {row for alarm in ALARMS for row in rows_of(alarm)}
    assert set(rows()) - spoken_of == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_alarm_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"`(…?[A-Z][A-Za-z]*Alarm)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not any(fnmatchcase(each, name.replace("…", "*")) for each in ALARMS)] == []


# Tests, the picture ---------------------------------------------------------------------------------------------------


def test_tests_that_a_page_names_are_there() -> None:
    files = [*ROOT.glob("tests/**/*.py")]
    functions = {
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`(test_(?:[a-z0-9]+_){2,}[a-z0-9]+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 10
    assert named - functions == set()


def test_the_picture_of_the_architecture_is_that_of_the_template() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert page == drawn(page, TEMPLATE), "run 'make fix', and look at the picture"
