"""What the security linter says of findings and of exceptions."""

import pytest

from tools.lint_security import EXCEPTIONS, Allowance, CheckFailed, Finding, exceptions_in, findings_in, problems
from tools.template import of_type, read

REASON = "A reason that is long enough to explain something to a reader."
OPEN = Finding("CKV_AWS_27", "Ensure all data stored in the SQS queue is encrypted", "Queue")
OTHER = Finding("CKV_AWS_27", "Ensure all data stored in the SQS queue is encrypted", "DeadLetterQueue")


def written(rule: str = "CKV_AWS_27", resources: str = '["Queue"]', reason: str = REASON) -> str:
    return f'[[exception]]\nrule = "{rule}"\nresources = {resources}\nreason = "{reason}"\n'


def test_a_finding_without_an_exception_is_told_with_its_resource_and_rule() -> None:
    (problem,) = problems([OPEN], [])
    assert problem.startswith("Queue: Ensure all data")
    assert "CKV_AWS_27" in problem


@pytest.mark.parametrize("resources", [["Queue", "DeadLetterQueue"], ["*"]])
def test_what_is_excepted_is_not_told(resources: list[str]) -> None:
    assert problems([OPEN, OTHER], [Allowance("CKV_AWS_27", resources, REASON)]) == []


def test_an_exception_for_one_resource_is_none_for_another() -> None:
    (problem,) = problems([OPEN, OTHER], [Allowance("CKV_AWS_27", ["Queue"], REASON)])
    assert problem.startswith("DeadLetterQueue: ")


@pytest.mark.parametrize(
    ("allowance", "told"),
    [
        (Allowance("CKV_AWS_1", ["*"], REASON), "CKV_AWS_1 for *"),
        (Allowance("CKV_AWS_27", ["Queue", "Gone"], REASON), "CKV_AWS_27 for Gone"),
    ],
)
def test_an_exception_that_nothing_needs_is_told(allowance: Allowance, told: str) -> None:
    found = problems([OPEN], [Allowance("CKV_AWS_27", ["Queue"], REASON), allowance])
    assert [each for each in found if told in each and "nothing needs" in each] == found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (written(reason=""), "needs a reason"),
        (written(reason="It is fine."), "needs a reason"),
        (written(resources="[]"), "names no resources"),
        ('[[exception]]\nrule = "CKV_AWS_27"\n', "needs rule, resources and reason"),
        ("exception = nothing", "needs rule, resources and reason"),
    ],
)
def test_an_exception_without_a_reason_or_a_resource_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CheckFailed, match=problem):
        exceptions_in(text)


def test_what_checkov_could_not_read_does_not_pass() -> None:
    with pytest.raises(CheckFailed, match="could not read"):
        findings_in({"passed": 0, "failed": 0, "parsing_errors": 0})
    with pytest.raises(CheckFailed, match="could not read"):
        findings_in([{"summary": {"passed": 3, "parsing_errors": 1}, "results": {"failed_checks": []}}])


def test_a_finding_is_of_a_resource_of_the_template() -> None:
    failed = {"check_id": "CKV_AWS_27", "check_name": OPEN.name, "resource": "AWS::SQS::Queue.Queue"}
    report = {"summary": {"passed": 3, "parsing_errors": 0}, "results": {"failed_checks": [failed]}}
    assert findings_in(report) == [OPEN]


def test_the_exceptions_of_this_project_have_reasons_and_name_what_is_there() -> None:
    functions = of_type(read(), "AWS::Serverless::Function")
    made_by_sam = {f"{name}Url" for name, each in functions.items() if "FunctionUrlConfig" in each["Properties"]}
    for each in exceptions_in(EXCEPTIONS.read_text(encoding="utf-8")):
        assert set(each.resources) <= set(read()["Resources"]) | made_by_sam | {"*"}
