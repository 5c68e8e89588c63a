"""How an event's JSON is kept in few bytes, so that a ledger item stays under 1 KB: DynamoDB bills each KB of a write.

A packed event begins with a byte that says how the rest is to be read::

    0   the text in UTF-8, where nothing makes it smaller
    1   raw deflate (RFC 1951) with `DICTIONARY_1`, of the text without what no deflate makes smaller; that follows it

What deflate makes no smaller is half of an event: digests, which are 32 bytes written as 64, and long references in
base64, where four characters are three bytes. They are put behind the deflated text as the bytes that they stand for,
and a byte that UTF-8 does not have marks each place::

    {"oppref":"gAAAAABo…","user":{"emails_sha256":["66e5…084d"]}}       the text
    {"oppref":"T","user":{"emails_sha256":["D"]}}                       what is deflated; T, D: 0xFE, 0xFF
    2 bytes: how many threes, and these; 32 bytes                       what follows

What is stored has to stay readable, so a form never changes, nor does its dictionary: a better one is a new number
beside these. The relay writes the newest form and reads all.

Packing loses nothing: what comes out is what went in, byte for byte (property P2). It says nothing about the packed
bytes: another build of zlib may choose others for the same text. Nothing may therefore take two packed events for
different because their bytes differ, see `conversion_relay.ledger`.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import Final

AS_IT_IS: Final = 0
DEFLATED_1: Final = 1

LARGEST: Final = 1_048_576
"""Bytes of the longest text that is packed or unpacked: SQS takes no longer message. The relay records at most a fifth
of it (`conversion_relay.receive`).
"""

DICTIONARY_1: Final = (
    # What is common in an event, as `conversion_relay.event` writes it. Deflate refers back to it in two or three
    # bytes; what is nearer to the end costs a bit less, so the most frequent comes last. No value of anybody's.
    b"Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0"
    b" FxiOS/145.0 GSA/396.0 Mobile/15E148 Safari/604.1 OPR/124.0.0.0 SamsungBrowser/29.0 Edg/142.0.0.0 EdgA/142.0.0.0"
    b"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
    b"Mozilla/5.0 (Linux; Android 16; SM-S938B Build/BP2A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0"
    b" Chrome/142.0.0.0 Mobile Safari/537.36"
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
    b"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0"
    b" Safari/605.1.15"
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0"
    b" Mobile/15E148 Safari/604.1"
    b'","opt_out":false,"opt_out":true,"android_advertising_id":"","obref":"","custom_event_name":"'
    b'"action_source":"physical_store","action_source":"mobile_app","action_source":"email","action_source":"other",'
    b'"type":"page_viewed","type":"contents_viewed","type":"items_added","type":"checkout_started",'
    b'"type":"app_installed","type":"app_opened","type":"trial_started","type":"custom","custom_event_name":"'
    b'"type":"appointment_scheduled","type":"registration_completed",'
    b'"data":{"type":"custom","plan_id":"price_1","group_id":"","content_type":"product","variant_dict":{"'
    b'{"id":"whatconverts:","{"id":"hubspot:","{"id":"ctm:","{"id":"callrail:CAL","{"id":"twilio:CA'
    b'","type":"lead_created","timestamp_ms":17,"action_source":"phone_call","user":{"phone_numbers_sha256":["\xff"'
    b'"}]}}"},"data":{"type":"customer_action"}}'
    b'{"id":"stripe:cs_live_","{"id":"stripe:sub_1","type":"subscription_created","timestamp_ms":17'
    b'"},"data":{"type":"plan_enrollment","plan_id":"price_1","amount":'
    b'"currency":"JPY"}"currency":"AUD"}"currency":"CAD"}"currency":"GBP"}"currency":"EUR"}'
    b'"countries":["AU"]"countries":["CA"]"countries":["FR"]"countries":["DE"]"countries":["GB"]'
    b'"action_source":"offline","user":{"'
    b'{"id":"shopify:6","type":"order_created","timestamp_ms":18,"action_source":"web",'
    b'"source_url":"https://www..com/collections/.myshopify.com/products/","oppref":"'
    b'\xfe=","user":{"emails_sha256":["\xff"],"phone_numbers_sha256":["\xff"],"external_ids_sha256":["\xff"]'
    b',"first_names_sha256":["\xff"],"last_names_sha256":["\xff"],"cities":["'
    b'"],"regions":["'
    b'"],"postal_codes":["'
    b'"],"countries":["US"],"ip_address":"'
    b'","user_agent":"Mozilla/5.0 ('
    b'"},"data":{"type":"contents","amount":,"currency":"USD"'
    b',"contents":[{"id":"4","name":"","quantity":1,"amount":00,"currency":"USD"}'
    b',{"id":"4","name":"","quantity":2,"amount":99,"currency":"USD"}]}}'
)
"""Of packed events that begin with `DEFLATED_1`. A change of it would make them unreadable; a test holds its digest."""

# A window of 8 KB holds the dictionary and all but the longest events. The memory is set to zero for each event, which
# takes longer than the work where it is zlib's usual 256 KB.
_LEVEL: Final = 3
_WINDOW: Final = -13
_MEMORY: Final = 6
_ANY_WINDOW: Final = -15

_TOKEN_MARK: Final = b"\xfe"
_DIGEST_MARK: Final = b"\xff"
_MARKS: Final = re.compile(rb"[\xfe\xff]")
_INCOMPRESSIBLE: Final = re.compile(rb'"(?:([0-9a-f]{64})(?=")|((?:[A-Za-z0-9_-]{4}){10,65535}))')
"""A digest; or the beginning of a text whose characters are those of URL-safe base64, as many fours as there are. Four
of them are three bytes whatever they are, so it need not be base64 to come back the same.
"""


class NotPacked(ValueError):
    """Bytes that no version up to this one has packed, or a text that is too long. The text says which."""


def pack(text: str) -> bytes:
    """The text in few bytes; `unpack` gives it back exactly, lone surrogates included.

    Raises:
        NotPacked: it is longer than `LARGEST`.
    """
    plain = text.encode("utf-8", "surrogatepass")
    if len(plain) > LARGEST:
        raise NotPacked(f"the text has {len(plain):,} bytes, more than the {LARGEST:,} that are packed")
    cut: list[bytes] = []

    def mark(found: re.Match[bytes]) -> bytes:
        digest, token = found.groups()
        if digest is not None:
            cut.append(bytes.fromhex(digest.decode()))
            return b'"' + _DIGEST_MARK
        cut.append((len(token) // 4).to_bytes(2) + base64.urlsafe_b64decode(token))
        return b'"' + _TOKEN_MARK

    rest = _INCOMPRESSIBLE.sub(mark, plain)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)
    packed = b"".join((bytes((DEFLATED_1,)), deflate.compress(rest), deflate.flush(), *cut))
    return packed if len(packed) <= len(plain) else bytes((AS_IT_IS,)) + plain


def unpack(packed: bytes) -> str:
    """The text that was packed, by this version or an earlier one.

    Raises:
        NotPacked: it was not. The text names no content.
    """
    match packed[:1]:
        case b"\x00":
            plain = packed[1:]
        case b"\x01":
            plain = _restored(*_inflated(packed[1:]))
        case b"":
            raise NotPacked("it is empty")
        case unknown:
            raise NotPacked(f"it begins with {unknown[0]}, which a later version of the relay may have written")
    if len(plain) > LARGEST:
        raise NotPacked(f"it has over {LARGEST:,} bytes")
    try:
        return plain.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise NotPacked("it is no text") from error


def _inflated(packed: bytes) -> tuple[bytes, bytes]:
    """What was deflated, and what follows it."""
    inflate = zlib.decompressobj(_ANY_WINDOW, DICTIONARY_1)
    try:
        # One byte more than is allowed tells what is too long from what just fits, without inflating all of it.
        rest = inflate.decompress(packed, LARGEST + 1)
    except zlib.error as error:
        raise NotPacked("it is damaged") from error
    if len(rest) <= LARGEST and not inflate.eof:
        raise NotPacked("it is damaged: its end is missing")
    return rest, inflate.unused_data


def _restored(rest: bytes, cut: bytes) -> bytes:
    """The text with what was cut out of it in its places."""
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return cut[at - count : at]

    def restore(mark: re.Match[bytes]) -> bytes:
        if mark[0] == _DIGEST_MARK:
            return take(32).hex().encode()
        return base64.urlsafe_b64encode(take(3 * int.from_bytes(take(2))))

    plain = rest if len(rest) > LARGEST else _MARKS.sub(restore, rest)
    if len(rest) <= LARGEST and at != len(cut):
        raise NotPacked("it is damaged: something is missing behind the text, or too much is there")
    return plain
