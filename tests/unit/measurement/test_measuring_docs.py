"""docs/measuring.md and docs/measurement-tables.md say what the code does; and what begins quickly stays quick."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from measurement.inputs import IMPORTERS, crm, ga4, orders, reading, sales, spend, survey_file, touches
from measurement.settings import _REPORT, _TEST, load
from measurement.tables_page import page
from tests.unit.measurement.importing import entry, imported

ROOT = Path(__file__).parents[3]
MEASURING = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
OURS = [kind for module in (crm, ga4, orders, sales, spend, survey_file, touches) for kind in module.IMPORTERS]


def test_the_page_of_tables_is_the_one_that_the_schemas_give() -> None:
    assert (ROOT / "docs" / "measurement-tables.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("kind", OURS)
def test_every_kind_of_input_is_explained(kind: str) -> None:
    assert f"`{kind}`" in MEASURING
    assert kind in IMPORTERS


@pytest.mark.parametrize(
    "name", [*_REPORT, *_TEST, *sorted(reading.OPTIONS - {"kind"}), "options", "stages", "sources", "ids"]
)
def test_every_setting_is_explained(name: str) -> None:
    assert f"[input.{name}]" in MEASURING or re.search(rf"`(?:\[input\.)?{name}\b", MEASURING)


def test_the_settings_on_the_page_load(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(\[report\].*?)```", MEASURING, re.DOTALL)
    (tmp_path / "measurement.toml").write_text(block)
    assert [each.kind for each in load(tmp_path / "measurement.toml").inputs] == ["orders_shopify", "fairing"]
    assert all(tomllib.loads(each) for each in re.findall(r"```toml\n(.*?)```", MEASURING, re.DOTALL))


EXAMPLES = re.findall(r"```text\n(.*?)```", MEASURING, re.DOTALL)
KINDS = ["orders", "ga4_exploration", "spend", "crm", "touches", "sales"]


@pytest.mark.parametrize(("kind", "example"), list(zip(KINDS, EXAMPLES, strict=True)), ids=KINDS)
def test_every_example_on_the_page_can_be_imported(tmp_path: Path, kind: str, example: str) -> None:
    (tmp_path / "a.csv").write_text(example)
    given = entry(kind, file="a.csv", **({"currency": "USD"} if kind == "ga4_exploration" else {}))
    rows, _ = imported(tmp_path, given)
    assert sum(map(len, rows.values())) == len(example.splitlines()) - 1


def test_the_settings_are_read_without_the_libraries_of_tables() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, measurement.settings, measurement.inputs\n"
         "print(sorted({'pandas', 'pyarrow', 'ibis', 'duckdb', 'scipy', 'google'} & set(sys.modules)))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert told.stdout.strip() == "[]"
