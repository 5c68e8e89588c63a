"""The script for shop pages as it is committed: built from its source, small, and asking nobody but its endpoint."""

import re
from pathlib import Path

import pytest

from tools import page_script
from tools.page_script import LIMIT, SOURCE, TARGET, minified


def without_comments(source: str) -> str:
    return re.sub(r"/\*[\s\S]*?\*/|(?<=\s)//[^\n]*", "", source)


def test_the_committed_file_is_what_the_source_gives() -> None:
    assert TARGET.read_text(encoding="utf-8") == minified(), "make script"


def test_it_is_small() -> None:
    assert len(TARGET.read_bytes()) < LIMIT == 2_500


def test_a_script_that_has_grown_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "relay-click.js", tmp_path / "relay-click.min.js"
    source.write_text(f"window.a = '{'x' * LIMIT}';")
    monkeypatch.setattr(page_script, "SOURCE", source)
    monkeypatch.setattr(page_script, "TARGET", target)
    assert page_script.main() == 1
    assert "it has to stay below 2,500. Make relay-click.js shorter." in capsys.readouterr().err
    assert not target.exists()


def test_references_are_never_decoded_and_no_code_is_made() -> None:
    code = without_comments(SOURCE.read_text(encoding="utf-8"))
    assert "oppref" in code
    forbidden = r"\b(?:decodeURI\w*|unescape|URLSearchParams|searchParams|eval|Function|document\.write|innerHTML)\b"
    for script in (code, TARGET.read_text(encoding="utf-8")):
        assert re.findall(forbidden, script) == []
        assert not re.search(r"\bset(?:Timeout|Interval)\(\s*[\"'`]", script)


def test_it_names_no_host_but_the_one_whose_links_it_completes() -> None:
    for script in (without_comments(SOURCE.read_text(encoding="utf-8")), TARGET.read_text(encoding="utf-8")):
        assert re.findall(r"//[\w.-]+", script) == ["//buy.stripe.com"]


def test_nothing_goes_to_the_console() -> None:
    assert "console" not in TARGET.read_text(encoding="utf-8")
