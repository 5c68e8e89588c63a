"""The page about the report: its recipes are well-formed, and it names what there is."""

import re
from dataclasses import replace
from typing import Any

import yaml

from measurement.report.contents import sections, sheets
from measurement.report.results import Experiment
from measurement.report.sheets import heading
from tests.unit.measurement.report_samples import GEO, empty, lift
from tools.template import ROOT

PAGE = (ROOT / "docs/report.md").read_text(encoding="utf-8")


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's tags, each as what it is given."""


Template.add_multi_constructor("!", lambda loader, _, node: loader.construct_scalar(node))  # type: ignore[no-untyped-call]


def recipes() -> list[Any]:
    found = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [Template(text).get_single_data() for text in found]


def test_the_workflow_runs_daily_without_keys_and_by_pinned_actions() -> None:
    workflow = recipes()[0]
    job = workflow["jobs"]["report"]
    assert workflow[True]["schedule"] == [{"cron": "40 5 * * *"}]
    assert workflow["permissions"] == {}
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert all(re.search(r"@[0-9a-f]{40}$", step["uses"]) for step in job["steps"] if "uses" in step)
    assert [step["run"] for step in job["steps"] if "${{" in step.get("run", "")] == []
    assert any(step.get("run") == ".venv/bin/relay report shop" for step in job["steps"])
    pinned = (ROOT / ".github/workflows/deploy.yml").read_text(encoding="utf-8")
    assert all(step["uses"] in pinned for step in job["steps"] if "uses" in step)


def test_the_template_starts_what_it_makes() -> None:
    resources = recipes()[1]["Resources"]
    build = yaml.safe_load(resources["Report"]["Properties"]["Source"]["BuildSpec"])
    assert ".venv/bin/relay report shop" in build["phases"]["build"]["commands"]
    assert resources["Daily"]["Properties"]["Target"]["Arn"] == "Report.Arn"
    named = re.findall(r"!GetAtt (\w+)\.Arn", PAGE)
    assert set(named) <= set(resources)


def test_the_columns_that_the_page_names_are_those_of_the_file() -> None:
    tests = (Experiment(GEO, (lift("synthetic control", 0.07, 0.02, 0.01, points=False),)),)
    names = heading(sheets(sections(replace(empty(), tests=tests)))["lift"])
    assert [name for name in names if name.startswith("lift")] == [
        "lift",
        "lift_low",
        "lift_high",
        "lift_kind",
        "lift_level",
    ]
