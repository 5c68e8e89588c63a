"""The events of a batch as they stand in its bytes, and how often they came to the stand-in."""

import json

import pytest

from tests.unit.tools.stand_in_calls import PID, a_batch, an_event, send
from tools.stand_in import StandIn
from tools.wire_bytes import events_as_sent

ODD = ' {"x" : [ {"events":[0]} ] , "events" :\n[ {"a":1.0} ,{ "b": "},]" }\t] , "y": 1 }'


def test_events_come_with_their_own_spaces_and_order() -> None:
    assert events_as_sent(ODD.encode()) == ['{"a":1.0}', '{ "b": "},]" }']


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", '{"events":7}', '{"events":[{}', '{"events":[{} {}]}', '{"x":1}', '{"events"']
)
def test_what_is_no_batch_has_none(body: str) -> None:
    assert events_as_sent(body.encode()) == []


def test_bytes_that_are_no_text_have_none() -> None:
    assert events_as_sent(b'{"events":["\xff"]}') == []


# What the stand-in makes of it.


def test_a_copy_with_other_bytes_is_another_form(stand_in: StandIn) -> None:
    event = an_event("a")
    send(stand_in, {"events": [event]})
    send(stand_in, {"events": [event, an_event("b")]})

    assert [(each["id"], each["times"], each["forms"]) for each in stand_in.arrivals()] == [("a", 2, 1), ("b", 1, 1)]

    # When the same event comes with its fields in another order, which parses to an equal one
    send(stand_in, {"events": [dict(reversed(event.items()))]})

    assert stand_in.arrivals()[0] == {"pid": PID, "name": "order_created", "id": "a", "times": 3, "forms": 2}


def test_what_is_refused_or_dropped_has_arrived_too(stand_in: StandIn) -> None:
    stand_in.fail(status=503)
    send(stand_in, a_batch("a"))
    send(stand_in, a_batch("a"), key="wrong")
    send(stand_in, {"events": [an_event("a"), {"type": "nothing else"}, 7]})

    assert [(each["id"], each["times"]) for each in stand_in.arrivals()] == [("a", 3)]
    assert stand_in.events() == []


def test_reset_forgets_arrivals(stand_in: StandIn) -> None:
    send(stand_in, json.dumps(a_batch("a")).encode())
    stand_in.reset()
    assert stand_in.arrivals() == []
