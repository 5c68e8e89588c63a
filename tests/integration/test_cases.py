"""Every case of the sources through the real Lambda handler, with the real ledger and parking bucket, at its clock."""

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.stack import change_receiver, empty, event_of, handler_of, items
from tools.cases import OUTCOMES, Case, CaseFile, event_differences
from tools.lambda_event import function_url_event
from tools.local_aws import Stack
from tools.sources import SOURCES

CASES = CaseFile(Path(__file__).parent.parent / "cases" / "webhooks" / "cases.json")
KNOWN = {case.id: case for case in CASES if case.platform in SOURCES}


def play(app: ModuleType, case: Case) -> None:
    """Set a loaded handler's clock and settings to those of a case, also the address that its senders signed."""
    app.settings = replace(case.settings, public_origin=case.delivery.origin)  # type: ignore[attr-defined]
    change_receiver(app, case.platform, clock=lambda: CASES.now_ms, settings=case.settings)


@pytest.mark.parametrize("encoded", [False, True], ids=["text", "base64"])
@pytest.mark.parametrize("name", list(KNOWN))
def test_case_through_the_real_handler(stack: Stack, name: str, encoded: bool) -> None:
    case = KNOWN[name]
    empty(stack)
    with handler_of(stack, case.platform, secrets=case.secrets) as app:
        play(app, case)
        for each in case.preconditions:
            if each in KNOWN:
                app.handler(function_url_event(KNOWN[each].delivery, encoded=encoded), app.context)
        before = set(items(stack))

        answer = app.handler(function_url_event(case.delivery, encoded=encoded), app.context)

    assert answer["statusCode"] == case.expected.get("http", 200)
    if case.expected["outcome"] == "handshake":
        assert answer["headers"]["Validation-Token"] == case.delivery.headers["validation-token"]
        assert len(str(answer["headers"])) + len(answer["body"]) < 1024
    else:
        assert json.loads(answer["body"])["outcome"] in OUTCOMES[case.expected["outcome"]]
    written = {key: item for key, item in items(stack).items() if key not in before and "event" in item}
    if case.expected["outcome"] != "emit":
        assert written == {}
        return
    (item,) = written.values()
    event = event_of(item)
    assert event_differences(case, case.expected["event"], event) == []


REFUSED_WITH = {"shopify": 401, "stripe": 400, "callrail": 401, "ctm": 401, "twilio": 403, "generic": 401}
"""What each source answers an altered body. Others sign none: they have a token."""


@pytest.mark.parametrize("name", [name for name, case in KNOWN.items() if case.platform in REFUSED_WITH])
def test_altered_body_is_refused_and_writes_nothing(stack: Stack, name: str) -> None:
    case = KNOWN[name]
    empty(stack)
    altered = replace(case.delivery, body=case.delivery.body + b" ")
    with handler_of(stack, case.platform, secrets=case.secrets) as app:
        play(app, case)
        answer = app.handler(function_url_event(altered), app.context)
    assert answer["statusCode"] == REFUSED_WITH[case.platform]
    assert items(stack) == {}


@pytest.mark.parametrize("name", ["aircall/01_call_ended_answered", "invoca/01_call_post", "ringba/01_pixel_get"])
def test_another_token_is_refused_and_writes_nothing(stack: Stack, name: str) -> None:
    case = KNOWN[name]
    empty(stack)
    with handler_of(stack, case.platform, secrets=["not the token that was sent"]) as app:
        play(app, case)
        answer = app.handler(function_url_event(case.delivery), app.context)
    assert answer["statusCode"] == 401
    assert items(stack) == {}
