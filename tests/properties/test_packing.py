"""Whatever is packed comes out as it went in, and nothing that comes in makes unpacking fail in an unknown way."""

import contextlib
import string
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conversion_relay import event
from conversion_relay.packing import DICTIONARY_1, LARGEST, NotPacked, pack, unpack
from tests.properties.test_event import valid_events

quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])

any_text = st.text(st.characters(exclude_categories=()))
digests = st.binary(min_size=31, max_size=33).map(bytes.hex)
tokens = st.text(string.ascii_letters + string.digits + "-_=", min_size=30, max_size=60)
parts_of_events = st.lists(
    st.sampled_from(DICTIONARY_1.decode("latin-1").split('"')) | any_text | digests | tokens
).map('"'.join)


@quick
@given(any_text | parts_of_events)
@example("\ud800")
@example("\udbff\udfff")
def test_every_text_comes_out_as_it_went_in(text: str) -> None:
    packed = pack(text)

    assert unpack(packed) == text
    assert len(packed) <= len(text.encode("utf-8", "surrogatepass")) + 1
    assert pack(text) == packed


@quick
@given(valid_events())
def test_every_event_comes_out_with_the_same_bytes(given_event: dict[str, Any]) -> None:
    text = event.parse(given_event).to_json()

    assert unpack(pack(text)).encode() == text.encode()


@quick
@given(st.binary() | st.binary().map(b"\x00".__add__) | st.binary().map(b"\x01".__add__))
def test_any_bytes_are_unpacked_or_said_to_be_none(packed: bytes) -> None:
    with contextlib.suppress(NotPacked):
        assert len(unpack(packed).encode("utf-8", "surrogatepass")) <= LARGEST


@quick
@given(st.text(min_size=20), st.data())
def test_a_damaged_event_is_said_to_be_none_or_is_some_other_text(text: str, data: st.DataObject) -> None:
    packed = bytearray(pack(text))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(NotPacked):
        unpack(bytes(packed))
