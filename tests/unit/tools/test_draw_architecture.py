"""The picture of the template: what of a template becomes which node and which arrow."""

import copy
from typing import Any

import pytest

from tools.draw_architecture import BEGIN, END, drawn, holds, mermaid
from tools.template import read

TEMPLATE = read()


def without(name: str, *path: str) -> dict[str, Any]:
    """The template, less one thing of a resource."""
    template = copy.deepcopy(TEMPLATE)
    place = template["Resources"][name]
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return template


@pytest.mark.parametrize(
    "line",
    [
        'callersStripeReceiver -->|"Function URL, AuthType NONE"| StripeReceiver',
        'Ledger -->|"stream, 100 at a time"| Outbox',
        'SenderRun -->|"starts"| Sender',
        'ShopifyBus -->|"rule"| ShopifyReceiver',
        'Queue -->|"Drain"| Sender',
        'Queue -.->|"after 1,000 receives"| DeadLetterQueue',
        'Outbox -.->|"given up after 12 h or 1,000 retries"| OutboxFailures',
        'CallsReceiver -.->|"Park"| ParkingBucket',
        'Sender -->|"HTTPS"| OpenAiEndpoint',
        'Sender["Sender<br/>reads openai-conversions-key"]:::function',
        'OpenAiEndpoint(["bzr.openai.com<br/>OpenAiEndpoint"])',
    ],
)
def test_a_line_of_the_picture(line: str) -> None:
    assert line in [each.strip() for each in mermaid(TEMPLATE).splitlines()]


@pytest.mark.parametrize(
    ("name", "path", "line"),
    [
        ("Sender", ("Properties", "Events", "Run"), 'SenderRun -->|"starts"| Sender'),
        ("CallsReceiver", ("Properties", "FunctionUrlConfig"), 'AuthType NONE"| CallsReceiver'),
        ("Queue", ("Properties", "RedrivePolicy"), 'Queue -.->|"after 1,000 receives"| DeadLetterQueue'),
        ("Sender", ("Properties", "Environment", "Variables", "OPENAI_ENDPOINT"), "bzr.openai.com"),
    ],
)
def test_what_the_template_loses_the_picture_loses(name: str, path: tuple[str, ...], line: str) -> None:
    assert line in mermaid(TEMPLATE)
    assert line not in mermaid(without(name, *path))


def test_every_arrow_joins_nodes_that_are_drawn() -> None:
    lines = [each.strip() for each in mermaid(TEMPLATE).splitlines()]
    arrows = [each.split() for each in lines if "->|" in each]
    nodes = {each.split("(")[0].split("[")[0].split("{")[0] for each in lines if "->|" not in each}
    assert len(arrows) > 30
    assert {end for each in arrows for end in (each[0], each[-1])} - nodes == set()


def test_what_a_default_deployment_does_not_make_is_dashed() -> None:
    (dashed,) = [each.split()[1].split(",") for each in mermaid(TEMPLATE).splitlines() if each.endswith(" extra")]
    assert {"CustomReceiver", "Fetch", "ShopifyBus"} <= set(dashed)
    assert {"ShopifyReceiver", "Ledger", "Sender"} & set(dashed) == set()


def test_conditions_are_read_with_the_defaults_of_the_parameters() -> None:
    assert holds(TEMPLATE, {"Condition": "HasShopify"})
    assert not holds(TEMPLATE, {"Condition": "HasShopifyBus"})
    with pytest.raises(ValueError, match="Fn::Contains"):
        holds(TEMPLATE, {"Fn::Contains": []})


def test_an_event_of_an_unknown_type_is_said_not_left_out() -> None:
    template = copy.deepcopy(TEMPLATE)
    template["Resources"]["Sender"]["Properties"]["Events"]["Run"]["Type"] = "Kinesis"
    with pytest.raises(ValueError, match="Sender has an event of the type Kinesis"):
        mermaid(template)


def test_the_picture_stands_between_its_marks_and_nothing_else_changes() -> None:
    page = drawn(f"before\n{BEGIN}\nan old one\n{END}\nafter\n", TEMPLATE)
    assert page.startswith(f"before\n{BEGIN}\n```mermaid\nflowchart LR\n")
    assert page.endswith(f"```\n{END}\nafter\n")
    assert drawn(page, TEMPLATE) == page
    with pytest.raises(ValueError, match="the page lacks the lines"):
        drawn("no marks", TEMPLATE)
