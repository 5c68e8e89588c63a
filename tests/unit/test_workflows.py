"""The GitHub workflows: what they may do, what they run, and that nobody can put another action in the place of one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.template import ROOT

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yml"))
}
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]


def steps() -> list[dict[str, Any]]:
    return [step for name, job in JOBS for step in WORKFLOWS[name]["jobs"][job].get("steps", [])]


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yml")), ids=lambda file: file.name)
def test_an_action_is_named_by_its_commit_with_the_release_beside_it(file: Path) -> None:
    uses = re.findall(r"uses: (.+)", file.read_text(encoding="utf-8"))
    pinned = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")
    assert [each for each in uses if not each.startswith("./") and not pinned.fullmatch(each)] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_the_repository_at_most(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] in ({}, {"contents": "read"})


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_only_the_deployment_may_ask_for_a_token_and_only_in_an_environment(name: str, job: str) -> None:
    written = WORKFLOWS[name]["jobs"][job]
    may_write = {right for right, level in written.get("permissions", {}).items() if level == "write"}
    assert may_write == ({"id-token"} if (name, job) == ("deploy", "deploy") else set())
    assert ("environment" in written) == bool(may_write)


def test_no_workflow_holds_or_reads_a_secret() -> None:
    for file in FOLDER.glob("*.yml"):
        assert not re.search(r"\$\{\{\s*secrets\.|aws-(access|secret)", file.read_text(encoding="utf-8"))


def test_no_text_of_a_stranger_becomes_part_of_a_command() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_the_checkout_leaves_no_token_behind() -> None:
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(checkouts) != []


def test_every_push_and_pull_request_runs_the_whole_gate() -> None:
    # YAML 1.1 reads the key "on" as true.
    assert {"push", "pull_request", "workflow_call"} <= set(WORKFLOWS["test"][True])
    assert WORKFLOWS["test"][True]["push"] is None
    assert "bash .ci/run" in [step.get("run") for step in WORKFLOWS["test"]["jobs"]["test"]["steps"]]


def test_a_deployment_comes_after_the_tests_and_builds_without_credentials() -> None:
    job = WORKFLOWS["deploy"]["jobs"]["deploy"]
    named = [step.get("uses", step.get("run", "")).partition("@")[0] for step in job["steps"]]
    assert job["needs"] == "test"
    assert named.index("make setup build") < named.index("aws-actions/configure-aws-credentials")
    assert WORKFLOWS["deploy"]["concurrency"]["cancel-in-progress"] is False


def test_what_a_workflow_makes_is_a_target_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    run = " ".join(step.get("run", "") for step in steps())
    made = {
        word for line in re.findall(r"make ([^&|;]+)", run) for word in re.findall(r"(?<![\w$])[a-z]+\b(?!=)", line)
    }
    assert {"setup", "build", "deploy", "probe"} <= made
    assert made & targets >= {"setup", "build", "deploy", "probe"}


def test_the_environments_to_choose_from_are_those_of_samconfig() -> None:
    from tools.samconfig import environment

    choices = WORKFLOWS["deploy"][True]["workflow_dispatch"]["inputs"]["environment"]["options"]
    assert [environment(each).stack for each in choices] == ["conversion-relay-dev", "conversion-relay"]
