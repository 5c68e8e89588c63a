"""The browser's side of the stand-in, over HTTP: the script, what it posts, the image tag, and one count for all.

What the script does in a browser is tried in a real one, in ``tests/browser/test_stand_in_script.py``.
"""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.unit.tools.stand_in_calls import DIGEST, NOW_MS, PID, Reply, a_batch, an_event, call, control, send
from tools.stand_in import StandIn

PAGE = "https://shop.example"
TAG = {"pid": PID, "event": "order_created", "event_id": "9b1f", "data[type]": "contents"}


def a_pixel_event(id_: str = "shopify:1", **fields: Any) -> dict[str, Any]:
    event = {"id": id_, "type": "order_created", "timestamp_ms": NOW_MS, "source_url": PAGE}
    return {**event, "data": {"type": "contents", "amount": 14900, "currency": "USD"}, **fields}


def post(stand_in: StandIn, *events: Any, pid: str | None = PID, **root: Any) -> Reply:
    query = urlencode({**({"pid": pid} if pid else {}), "st": "oaiq-web", "sv": "0.1.41", "t": NOW_MS, "ec": 1})
    body = json.dumps({"events": list(events), **root}).encode()
    return call(stand_in, "POST", f"/v1/sdk/events?{query}", body, Origin=PAGE, Content_Type="text/plain;charset=UTF-8")


def tag(stand_in: StandIn, parameters: dict[str, str] | str, **headers: str) -> Reply:
    query = parameters if isinstance(parameters, str) else urlencode(parameters)
    return call(stand_in, "GET", f"/v1/sdk/events?{query}", **headers)


# The script and its settings.


def test_the_script_is_served_as_one(stand_in: StandIn) -> None:
    reply = call(stand_in, "GET", "/sdk/oaiq.min.js")

    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "measureSingle" in reply.text


@pytest.mark.parametrize(("name", "status"), [(f"{PID}.json", 200), ("another.json", 404), (PID, 404)])
def test_settings_are_there_for_known_pixels(stand_in: StandIn, name: str, status: int) -> None:
    assert call(stand_in, "GET", f"/pixel-config/v1/{name}").status == status


def test_a_preflight_lets_every_origin_post(stand_in: StandIn) -> None:
    reply = call(stand_in, "OPTIONS", "/v1/sdk/events", Origin=PAGE, Access_Control_Request_Method="POST")

    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (204, "*")
    assert "POST" in reply.headers["Access-Control-Allow-Methods"]
    assert stand_in.browser_requests() == []


# What the script posts.


def test_a_post_counts_with_what_the_browser_has(stand_in: StandIn) -> None:
    reply = post(stand_in, a_pixel_event(), oppref="op1", obref="ob1", user={"emails_sha256": [DIGEST]})

    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (202, "*")
    [kept] = stand_in.events()
    assert (kept["pid"], kept["name"], kept["id"], kept["channel"]) == (PID, "order_created", "shopify:1", "pixel")
    assert kept["event"] == {
        **a_pixel_event(),
        "action_source": "web",
        "oppref": "op1",
        "user": {"emails_sha256": [DIGEST], "obref": "ob1"},
    }


def test_messages_of_the_script_itself_are_no_events(stand_in: StandIn) -> None:
    assert post(stand_in, {"type": "openai::sdk_init"}).status == 202

    assert stand_in.events() == []
    assert stand_in.browser_requests() == [
        {"what": "pixel", "status": 202, "pid": PID, "names": ("openai::sdk_init",), "problems": ()}
    ]


@pytest.mark.parametrize(
    ("event", "param"),
    [
        (a_pixel_event(type="purchase"), "type"),
        (a_pixel_event(id_=""), "id"),
        (a_pixel_event(source_url=f"{PAGE}/thanks?order=1"), "source_url"),
        (a_pixel_event(data={"type": "contents", "amount": 149.0, "currency": "USD"}), "data.amount"),
        (a_pixel_event(data={"type": "contents", "contents": [{"group_id": "g"}]}), "data.contents[0].group_id"),
        (a_pixel_event(user={"obref": "ob1"}), "user"),
        (a_pixel_event(type="app_opened", data={"type": "customer_action"}), "type"),
        ("no event", ""),
    ],
    ids=["type", "empty id", "path in the address", "float", "server's field", "user inside", "app event", "text"],
)
def test_a_post_that_is_not_as_documented_is_refused_as_a_whole(stand_in: StandIn, event: Any, param: str) -> None:
    reply = post(stand_in, a_pixel_event("good"), event)

    assert reply.status == 400
    assert f"events[1].{param}".rstrip(".") in [each["param"] for each in reply.error["errors"]]
    assert stand_in.events() == []


@pytest.mark.parametrize(("pid", "status"), [(None, 400), ("unknown", 403)])
def test_a_post_for_no_known_pixel_counts_nothing(stand_in: StandIn, pid: str | None, status: int) -> None:
    assert post(stand_in, a_pixel_event(), pid=pid).status == status

    assert stand_in.events() == []


@pytest.mark.parametrize("field", ["ip_address", "user_agent"])
def test_a_browser_does_not_say_its_address_or_agent(stand_in: StandIn, field: str) -> None:
    assert post(stand_in, a_pixel_event(), user={field: "203.0.113.24"}).status == 400


def test_an_unknown_field_beside_the_events_is_refused(stand_in: StandIn) -> None:
    assert post(stand_in, a_pixel_event(), ip_address="203.0.113.24").status == 400


# The image tag (contract 6.3).


def test_a_tag_counts_and_is_answered_with_an_image(stand_in: StandIn) -> None:
    items = [{"id": "sku-1", "quantity": 2}]
    fields = {"data[amount]": "14900", "data[currency]": "USD", "data[contents]": json.dumps(items), "oppref": "op1"}

    reply = tag(stand_in, {**TAG, **fields}, Referer=f"{PAGE}/thanks")

    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/gif")
    [kept] = stand_in.events()
    assert kept["channel"] == "image"
    assert kept["event"] == {
        "id": "9b1f",
        "type": "order_created",
        "timestamp_ms": NOW_MS,
        "action_source": "web",
        "source_url": PAGE,
        "oppref": "op1",
        "data": {"type": "contents", "amount": 14900, "currency": "USD", "contents": items},
    }


def test_a_custom_tag_may_carry_fields_of_its_own(stand_in: StandIn) -> None:
    parameters = {**TAG, "event": "custom", "custom_event_name": "Quote", "data[type]": "custom", "data[size]": "large"}

    assert tag(stand_in, parameters).status == 200
    [kept] = stand_in.events()
    assert (kept["name"], kept["event"]["data"]) == ("quote", {"type": "custom", "size": "large"})


def test_tags_without_an_id_are_events_of_their_own(stand_in: StandIn) -> None:
    parameters = {name: value for name, value in TAG.items() if name != "event_id"}

    tag(stand_in, parameters)
    tag(stand_in, parameters)

    assert stand_in.summary()["counted"] == 2


@pytest.mark.parametrize("missing", ["pid", "event", "data[type]"])
def test_a_tag_needs_three_parameters(stand_in: StandIn, missing: str) -> None:
    reply = tag(stand_in, {name: value for name, value in TAG.items() if name != missing})

    assert (reply.status, stand_in.events()) == (400, [])


@pytest.mark.parametrize(
    ("added", "param"),
    [
        ({"user[obref]": "ob1"}, "user[obref]"),
        ({"opt_out": "true"}, "opt_out"),
        ({"order": "1"}, "order"),
        ({"data[value]": "149"}, "data.value"),
        ({"data[amount]": "149.00", "data[currency]": "USD"}, "data.amount"),
        ({"data[amount]": "14900"}, "data.currency"),
        ({"data[contents]": "[{"}, "data[contents]"),
        ({"data[contents]": '[{"sku": "1"}]'}, "data.contents[0].sku"),
        ({"event": "app_opened", "data[type]": "customer_action"}, "event"),
        ({"event": "purchase"}, "event"),
        ({"event_id": ""}, "event_id"),
        ({"data[type]": "customer_action"}, "data.type"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_tag_that_is_not_as_documented_is_refused(stand_in: StandIn, added: dict[str, str], param: str) -> None:
    reply = tag(stand_in, {**TAG, **added})

    assert reply.status == 400
    assert param in [each["param"] for each in reply.error["errors"]]
    assert stand_in.events() == []


def test_each_parameter_of_a_tag_stands_once(stand_in: StandIn) -> None:
    reply = tag(stand_in, urlencode(TAG) + "&event_id=9b1f")

    assert (reply.status, reply.error["param"]) == (400, "event_id")


def test_a_tag_of_an_unknown_pixel_counts_nothing(stand_in: StandIn) -> None:
    assert tag(stand_in, {**TAG, "pid": "unknown"}).status == 403

    assert stand_in.events() == []


# One conversion, whatever the channel (contract 6.1).


def test_first_received_wins_across_channels(stand_in: StandIn) -> None:
    post(stand_in, a_pixel_event("first-pixel"), oppref="of the pixel")
    send(stand_in, a_batch("first-pixel", "first-server"))
    post(stand_in, a_pixel_event("first-server"))
    tag(stand_in, {**TAG, "event_id": "first-server"})
    tag(stand_in, {**TAG, "event_id": "first-server"})

    by_id = {kept["id"]: kept for kept in stand_in.events()}
    assert (by_id["first-pixel"]["channel"], by_id["first-pixel"]["event"]["oppref"]) == ("pixel", "of the pixel")
    assert by_id["first-pixel"]["duplicates_from"] == {"server": 1}
    assert by_id["first-pixel"]["dropped"] == {"server": an_event("first-pixel")}
    assert (by_id["first-server"]["channel"], by_id["first-server"]["event"]) == ("server", an_event("first-server"))
    assert by_id["first-server"]["duplicates_from"] == {"pixel": 1, "image": 2}
    assert by_id["first-server"]["duplicates"] == 3
    assert stand_in.summary() == {
        "counted": 2,
        "duplicates": 4,
        "requests": {"200": 1},
        "types": {"order_created": 2},
        "first_by": {"pixel": 1, "server": 1},
    }


def test_another_pixel_or_name_is_another_conversion(stand_in: StandIn) -> None:
    stand_in.switch(keys={"sk-svcacct-conversions": {"scope": True, "pixels": [PID, "other"]}})
    send(stand_in, a_batch("1"))

    post(stand_in, a_pixel_event("1"), pid="other")
    post(stand_in, a_pixel_event("1", type="checkout_started"))

    assert [(kept["pid"], kept["name"], kept["duplicates"]) for kept in stand_in.events()] == [
        (PID, "order_created", 0),
        ("other", "order_created", 0),
        (PID, "checkout_started", 0),
    ]


def test_what_browsers_sent_is_shown_and_forgotten(stand_in: StandIn) -> None:
    tag(stand_in, {**TAG, "opt_out": "true"})

    assert control(stand_in, "GET", "browser").json == [
        {
            "what": "image",
            "status": 400,
            "pid": PID,
            "names": [],
            "problems": ["opt_out: is not a parameter of the image tag"],
        }
    ]
    control(stand_in, "POST", "reset")
    assert stand_in.browser_requests() == []
