"""Twilio's own library accepts exactly what this relay accepts: any address, any fields, any text."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from conversion_relay.delivery import Delivery, Refused
from conversion_relay.sources import twilio

TOKEN = "a token"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FIELDS = st.lists(st.tuples(TEXT, TEXT), max_size=8)
HOSTS = st.sampled_from(["hooks.example.com", "a.b-c.example", "203.0.113.7"])
PORTS = st.sampled_from(["", ":443", ":80", ":8443", ":1"])
PATHS = st.text("abcXYZ019-._~%/:@+,=!$&'()*", max_size=20).map(lambda text: f"/{text.strip('/')}")
QUERIES = st.text("abcXYZ019-._~%/:@+,=&;?*", max_size=30)
ALGORITHMS = st.sampled_from(["HMAC_SHA1", "HMAC_SHA256"])


class Repeated(dict[str, list[str]]):
    """Fields as a web framework hands them to the library: a name may have several values."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def repeated(fields: list[tuple[str, str]]) -> Repeated:
    found = Repeated()
    for name, value in fields:
        found.setdefault(name, []).append(value)
    return found


def form(fields: list[tuple[str, str]]) -> bytes:
    from urllib.parse import urlencode

    return urlencode(fields).encode()


def accepts(origin: str, path: str, query: str, body: bytes, kind: str, signature: str, algorithm: str) -> bool:
    headers = {
        "content-type": kind,
        "x-twilio-signature": signature,
        "x-twilio-webhooks-signature-settings": f"key=k,algorithm={algorithm}",
    }
    try:
        twilio.verify(Delivery("POST", path, query, headers, body, origin), [TOKEN], 0)
    except Refused:
        return False
    return True


def address(origin: str, path: str, query: str) -> str:
    return origin + path + (f"?{query}" if query else "")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["http", "https"]), HOSTS, PORTS, PORTS, PATHS, QUERIES, FIELDS, ALGORITHMS, st.data())
def test_form_that_twilio_signs(
    scheme: str, host: str, port: str, other_port: str, path: str, query: str, fields: Any, algorithm: str, data: Any
) -> None:
    library = RequestValidator(TOKEN)
    called, signed = f"{scheme}://{host}{port}", f"{scheme}://{host}{other_port}"
    signature = library.compute_signature(address(signed, path, query), repeated(fields), algorithm)
    if data.draw(st.booleans()):
        fields = [*fields, data.draw(st.sampled_from([("a", "b"), ("", ""), *fields]))]

    theirs = library.validate(address(called, path, query), repeated(fields), signature, algorithm)
    ours = accepts(called, path, query, form(fields), "application/x-www-form-urlencoded", signature, algorithm)

    assert ours == theirs


@settings(max_examples=200, deadline=None)
@given(HOSTS, PORTS, PATHS, FIELDS, ALGORITHMS)
def test_form_that_is_signed_here(host: str, port: str, path: str, fields: Any, algorithm: str) -> None:
    url = f"https://{host}{port}{path}"

    signature = twilio.sign(url, fields, TOKEN, algorithm)

    assert signature == RequestValidator(TOKEN).compute_signature(url, repeated(fields), algorithm)
    assert RequestValidator(TOKEN).validate(url, repeated(fields), signature, algorithm)


@settings(max_examples=200, deadline=None)
@given(HOSTS, PORTS, st.dictionaries(TEXT, TEXT, max_size=4), st.booleans(), ALGORITHMS)
def test_json_body(host: str, port: str, held: dict[str, str], altered: bool, algorithm: str) -> None:
    library = RequestValidator(TOKEN)
    body = json.dumps(held)
    origin, query = f"https://{host}{port}", f"tenant=a&bodySHA256={library.compute_hash(body)}"
    signature = library.compute_signature(address(origin, "/twilio", query), {}, algorithm)
    body = body.upper() + " " if altered else body

    theirs = library.validate(address(origin, "/twilio", query), body, signature, algorithm)
    ours = accepts(origin, "/twilio", query, body.encode(), "application/json", signature, algorithm)

    assert ours == theirs
    assert ours is not altered


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_algorithm_that_a_header_names(header: str) -> None:
    from twilio.request_validator import get_signature_algorithm

    for text in (header, f"key=k,algorithm={header}", f"algorithm = {header},key=k"):
        assert twilio._algorithm(text) == get_signature_algorithm(text).upper()
