"""Runs checkov over the template: ``build/envs/sam/bin/python -m tools.lint_security`` (part of ``make lint``).

checkov holds a template against rules on how AWS should be used, most of them of security. It gets the template as
written and as SAM expands it, the latter without conditions: it leaves out what the defaults leave out. What it finds
and is right here all the same stands in ``tools/security_exceptions.toml``, rule by rule, with the reason; an exception
without a reason, or that nothing needs any longer, is an error too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.lint_template import expanded
from tools.template import ROOT, TEMPLATE, read

CHECKOV: Final = ROOT / "build/envs/security/bin/checkov"
EXCEPTIONS: Final = Path(__file__).with_name("security_exceptions.toml")
LEAST_REASON: Final = 40
"""Characters of a reason: fewer explain nothing."""
EVERY: Final = "*"


class CheckFailed(Exception):
    """checkov, or the file of exceptions, could not be used; the text says why."""


@dataclass(frozen=True)
class Finding:
    """A rule that a resource breaks. ``rule`` is checkov's id, ``resource`` the logical id in the template."""

    rule: str
    name: str
    resource: str


@dataclass(frozen=True)
class Allowance:
    """A rule that does not hold here, for the resources named (``*``: for all), and why."""

    rule: str
    resources: Sequence[str]
    reason: str

    def covers(self, finding: Finding) -> bool:
        """Whether it is about this finding."""
        return self.rule == finding.rule and (EVERY in self.resources or finding.resource in self.resources)


def exceptions_in(text: str) -> list[Allowance]:
    """The exceptions of the file.

    Raises:
        CheckFailed: one has no reason, or the file is not written as it should be.
    """
    try:
        written = tomllib.loads(text)["exception"]
        found = [Allowance(str(each["rule"]), list(each["resources"]), str(each["reason"])) for each in written]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise CheckFailed(
            f"{EXCEPTIONS.name}: each [[exception]] needs rule, resources and reason: {error!r}"
        ) from error
    for each in found:
        if len(each.reason.strip()) < LEAST_REASON:
            raise CheckFailed(f"{EXCEPTIONS.name}: {each.rule} needs a reason that explains it")
        if not each.resources:
            raise CheckFailed(f'{EXCEPTIONS.name}: {each.rule} names no resources (["*"] is all)')
    return found


def problems(findings: Iterable[Finding], exceptions: Sequence[Allowance]) -> list[str]:
    """What breaks a rule without an exception, and the exceptions, or parts of them, that nothing needs."""
    findings = list(dict.fromkeys(findings))
    told = [
        f"{each.resource}: {each.name} ({each.rule}). Correct it, or add it to tools/{EXCEPTIONS.name} with the reason"
        for each in findings
        if not any(exception.covers(each) for exception in exceptions)
    ]
    broken = {(each.rule, each.resource) for each in findings}
    rules = {each.rule for each in findings}
    for exception in exceptions:
        for resource in exception.resources:
            if (exception.rule, resource) not in broken and not (resource == EVERY and exception.rule in rules):
                told.append(f"{EXCEPTIONS.name}: nothing needs the exception from {exception.rule} for {resource}")
    return told


def findings_in(report: Any) -> list[Finding]:
    """What checkov found, by its JSON.

    Raises:
        CheckFailed: it has read no resource, or could not read a file.
    """
    reports = report if isinstance(report, list) else [report]
    checked = sum(each.get("summary", {}).get("passed", 0) for each in reports)
    if not checked or any(each["summary"].get("parsing_errors") for each in reports):
        raise CheckFailed("checkov could not read the template, so nothing was checked")
    return [
        Finding(found["check_id"], found["check_name"], found["resource"].rpartition(".")[2])
        for each in reports
        for found in each["results"]["failed_checks"]
    ]


def _checked(files: Iterable[Path]) -> list[Finding]:
    """What checkov finds in the files, in one run: most of its time is its start."""
    command = [str(CHECKOV), *(word for file in files for word in ("-f", str(file)))]
    command += ["--framework", "cloudformation", "--compact", "--quiet", "--skip-download", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(), cwd=ROOT)
    try:
        return findings_in(json.loads(done.stdout))
    except (ValueError, KeyError) as error:
        raise CheckFailed(f"checkov answered with no report ({error!r}): {done.stderr[-2000:]}") from error


def _with_everything(template: dict[str, Any]) -> dict[str, Any]:
    """The template with every resource made, whatever its condition."""
    for each in template["Resources"].values():
        each.pop("Condition", None)
    return template


def _environment() -> Mapping[str, str]:
    return {**os.environ, "LOG_LEVEL": "ERROR", "PYTHONWARNINGS": "ignore"}


def main() -> int:
    """Print every problem; 1 when there is any."""
    try:
        exceptions = exceptions_in(EXCEPTIONS.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory() as scratch:
            plain = Path(scratch, "expanded.json")
            plain.write_text(json.dumps(_with_everything(expanded(read())), indent=1), encoding="utf-8")
            found = problems(_checked([TEMPLATE, plain]), exceptions)
    except CheckFailed as problem:
        found = [str(problem)]
    for each in found:
        print(f"security: {each}", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
