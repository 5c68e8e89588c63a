"""Events in few bytes: nothing is lost, nothing that was packed before becomes unreadable, nothing bad is unpacked."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
import typing
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from conversion_relay import event, packing
from conversion_relay.packing import LARGEST, NotPacked, pack, unpack
from tests.fakes import an_order

LAYER = Path(__file__).parents[2] / "layers" / "relay"

DICTIONARIES = {
    packing.DEFLATED_1: (
        packing.DICTIONARY_1,
        "ae46dbcaff2372d17c98bba54e0263425fe133ed5c079a69d5a7aff8e8b3d9fb",
    ),
}
"""Each dictionary with its SHA-256. They stay as they are: to change one, add another with a number of its own."""

EVERY_LETTER = "".join(map(chr, range(32, 127)))
DIGEST = f'"{hashlib.sha256(b"somebody").hexdigest()}"'
TOKEN = f'"gAAAAABo{"Zk3vQ-tR9_h2" * 20}x7"'
PACKED_BEFORE = json.loads((Path(__file__).parents[1] / "cases" / "packed.json").read_bytes())
"""What was packed once, in hex, and what it has to come to for ever. Cases are only ever added."""


@pytest.mark.parametrize("number", DICTIONARIES)
def test_a_dictionary_that_was_used_never_changes(number: int) -> None:
    dictionary, digest = DICTIONARIES[number]

    assert hashlib.sha256(dictionary).hexdigest() == digest, "a changed dictionary needs a number of its own"


@pytest.mark.parametrize("case", PACKED_BEFORE, ids=range(len(PACKED_BEFORE)))
def test_what_was_packed_before_can_still_be_read(case: dict[str, str]) -> None:
    assert unpack(bytes.fromhex(case["packed"])) == case["text"]


def test_every_form_is_among_what_was_packed_before() -> None:
    assert {int(case["packed"][:2], 16) for case in PACKED_BEFORE} == {packing.AS_IT_IS, *DICTIONARIES}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        json.dumps(an_order()),
        "é 漢字 👟 \u0000 \ufffe \uffff",
        "lone surrogates \ud800 and \udfff, \udc00\ud800, and a pair of them \ud83d\udc5f beside 👟",
        EVERY_LETTER,
        DIGEST,
        DIGEST[:-2] + '"',
        DIGEST[:-1] + '0"',
        DIGEST.upper(),
        f"[{DIGEST},{DIGEST},{TOKEN},{DIGEST}]",
        TOKEN,
        TOKEN[:-1] + '=="',
        *(f'"{"aZ_-9"[number % 5] * number}"' for number in range(36, 50)),
        f'"{"-" * 300_000}"',
        json.dumps([DIGEST] * 5_000),
        "\n" * 200_000,
        "x" * LARGEST,
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_nothing_is_lost(text: str) -> None:
    assert unpack(pack(text)) == text


def test_digests_and_long_references_take_no_more_than_what_they_stand_for() -> None:
    # Given digests and a reference in which deflate finds nothing
    digests = [hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(100)]
    token = base64.urlsafe_b64encode(b"".join(bytes.fromhex(each) for each in digests)).decode()
    digits = token.translate(str.maketrans("", "", "=")) + "x"

    # Then they take 32 bytes each, and three for four characters
    assert len(pack(json.dumps(digests))) < 32 * 100 + 20
    assert len(pack(json.dumps(digits))) < 3 * len(digits) / 4 + 20
    # (deflate alone needs more)
    assert len(deflated(json.dumps(digests).encode())) > 36 * 100
    assert len(deflated(json.dumps(digits).encode())) > 3 * len(digits) / 4 + 40


def test_a_text_that_would_grow_is_kept_as_it_is() -> None:
    # Given a text of which every character is another
    assert pack(EVERY_LETTER) == b"\x00" + EVERY_LETTER.encode()


def test_a_text_that_is_too_long_is_not_packed() -> None:
    with pytest.raises(NotPacked, match="1,048,577 bytes"):
        pack("é" * (LARGEST // 2) + "x")


def deflated(plain: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, packing.DICTIONARY_1)
    return deflate.compress(plain) + deflate.flush()


def test_what_another_build_of_zlib_has_packed_is_read() -> None:
    # Given a text whose second half repeats the first, which only a wider window sees: other bytes
    text = "".join(json.dumps(an_order(number)) for number in range(100)) * 2
    other = b"\x01" + deflated(text.encode())
    assert other != pack(text)

    assert unpack(other) == text


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (b"", "empty"),
        (b"{}", "begins with 123"),
        (b"\x02abc", "a later version"),
        (b"\x01", "its end is missing"),
        (pack(json.dumps(an_order()))[:-1], "its end is missing"),
        (pack(json.dumps(an_order())) + b"x", "too much is there"),
        (pack(DIGEST)[:-1], "something is missing"),
        (pack(TOKEN)[:-1], "something is missing"),
        (b"\x01" + deflated(b"\xff" * LARGEST), "something is missing"),
        (b"\x01" + deflated(b"\xff" * 20_000) + bytes(32 * 20_000), "over 1,048,576 bytes"),
        (b"\x01\xff\xff\xff", "damaged"),
        (b"\x00\xff", "no text"),
        (b"\x01" + deflated(b"\x80"), "no text"),
        (b"\x00" + b"x" * (LARGEST + 1), "over 1,048,576 bytes"),
        (b"\x01" + deflated(b"x" * (LARGEST + 1)), "over 1,048,576 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_what_was_never_packed_is_said_to_be_none(packed: bytes, why: str) -> None:
    with pytest.raises(NotPacked, match=why):
        unpack(packed)


def test_a_bomb_takes_no_memory() -> None:
    # Given 100 MB of zeros in 100 KB
    bomb = b"\x01" + deflated(bytes(100_000_000))
    assert len(bomb) < 110_000

    tracemalloc.start()
    try:
        with pytest.raises(NotPacked, match="over 1,048,576 bytes"):
            unpack(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert LARGEST < peak < 4 * LARGEST


def test_one_text_is_packed_the_same_by_every_process() -> None:
    # (with one build of zlib; `ledger` says what becomes of it where builds differ)
    text = json.dumps(an_order())
    code = "import sys; from conversion_relay.packing import pack; sys.stdout.buffer.write(pack(sys.stdin.read()))"

    environment = os.environ | {"PYTHONPATH": str(LAYER), "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], input=text.encode(), capture_output=True, check=True, env=environment
    )

    assert done.stdout == pack(text)


def test_a_person_can_read_a_packed_event_on_the_command_line() -> None:
    text = json.dumps(an_order(), ensure_ascii=False)

    done = subprocess.run(
        [sys.executable, "-m", "tools.unpack"],
        input=pack(text),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )

    assert done.stdout.decode() == text + "\n"


def test_what_is_no_packed_event_is_told_on_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.unpack"],
        input=b"AXic",
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"This is no packed event: it begins with 65")


# The dictionary covers the contract ----------------------------------------------------------------------------------


def words_of(annotation: Any) -> Iterator[str]:
    """The field names and the fixed values in an annotation, those of the models in it included."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield f'"{name}":'
            yield from words_of(field.annotation)
    elif typing.get_origin(annotation) is typing.Literal:
        yield from (f'"{value}"' for value in typing.get_args(annotation))
    else:
        for part in typing.get_args(annotation):
            yield from words_of(part)


def test_the_dictionary_has_every_name_and_every_fixed_value_of_the_contract() -> None:
    # A field that is new in the contract is stored all the same, in more bytes: give it a new dictionary then.
    words = set(words_of(event.Event))
    assert {'"id":', '"emails_sha256":', '"variant_dict":', '"plan_id":', '"order_created"', '"phone_call"'} <= words

    newest, _ = DICTIONARIES[max(DICTIONARIES)]
    assert {word for word in words if word.encode() not in newest} == set()
