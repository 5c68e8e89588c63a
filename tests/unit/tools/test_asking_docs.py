"""docs/asking.md: the policy for those who ask names every leave that the commands take, and none that writes."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "asking.md").read_text(encoding="utf-8")
COMMANDS = ("checks", "explain", "health", "readings", "status", "traces")
OF_THE_DEPLOYMENT = {"cloudformation:ListStackResources", "kms:Decrypt"}
"""Taken by ``tools.deployment``, and by the Parameter Store for the reader."""


def test_the_policy_allows_what_the_commands_ask_for_and_no_more() -> None:
    (policy,) = (json.loads(each) for each in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
    actions = [each["Action"] for each in policy["Statement"]]
    allowed = {action for each in actions for action in ([each] if isinstance(each, str) else each)}
    sources = [(ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8") for name in COMMANDS]
    taken = {action for text in sources for action in re.findall(r"reading\([^)]*\"([a-z0-9]+:[A-Za-z]+)\"\)", text)}

    assert len(taken) > 10
    assert allowed == taken | OF_THE_DEPLOYMENT
    verbs = {re.match(r"[A-Z][a-z]+", each.partition(":")[2])[0] for each in allowed}  # type: ignore[index]
    assert verbs == {"Batch", "Describe", "Decrypt", "Filter", "Get", "List", "Scan"}


def test_every_call_to_aws_is_made_under_a_name() -> None:
    # A call outside of "with reading(…)" would end the command with a traceback where AWS denies it.
    for name in COMMANDS:
        lines = (ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\.client\(\"\w+\"\)\s*\.\w+\(|\bclient\.(get|describe|list)_", line):
                before = [each for each in lines[max(number - 4, 0) : number] if "with reading(" in each]
                assert before, f"{name}.py:{number + 1}: {line.strip()}"
