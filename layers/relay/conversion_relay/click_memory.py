"""The click memory: what a landing page knows of an ad click, kept under a key that a purchase may carry.

A shop's page posts the references of the click; the answer is a key, which the page puts where the platform hands it
on: a cart attribute, a link to Stripe, a hidden field. The webhook of the purchase brings it back, days later, and the
receiver recalls what the key stands for::

    page ─▶ POST {oppref, obref, url, …} ─▶ {"key": "rc1_…"}          memory#click#<SHA-256 of the key>
    purchase, with rc1_… ─▶ webhook ─▶ recall ─▶ what the payload itself does not say is filled in

A key is 128 random bits and says nothing. The table holds only its digest, so that who can read the table holds no key.
A memory is one click: what it says is never changed, only completed, and another click gets another key. So an event
does not depend on which delivery of a purchase came first.

Nothing here calls AWS, reads a clock or draws a random number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from conversion_relay import click, identity
from conversion_relay.delivery import Memory, Refused

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery, Recall

MAX_POST_BYTES: Final = 8_192
"""A reference is at most 4,096 characters (`click.LONGEST_REFERENCE`); nothing larger is parsed."""
MEMORY_DAYS: Final = 30
"""After the click. What is older is forgotten: the pixel's own cookie `__oppref` lives as long (Measurement pixel)."""
RANDOM_BYTES: Final = 16

FIELD: Final = "relay_click"
"""What an attribute, a metadata name or a parameter that carries a key is called."""

_DAY_MS: Final = 86_400_000
_PREFIX: Final = "rc1_"
_KEY: Final = re.compile(r"rc1_[A-Za-z0-9_-]{21}[AQgw]")  # of the last character only two bits are random
_TYPES: Final = ("text/plain", "application/json")
_UNSAFE: Final = re.compile(r"[\s<>\"'`\\]")
_FIELDS: Final = frozenset({"oppref", "obref", "url", "referrer", "consent", "key"})
_CONSENTS: Final = ("granted", "denied", "unknown")
_CLOUDFRONT: Final = "Amazon CloudFront"

DEVICE_SOURCES: Final = ("web", "mobile_app", "phone_call")
"""Action sources of which address and agent of a memory are the person's own: who calls has looked at the page."""


class Recalled(NamedTuple):
    """What a memory says, each None where it does not. ``consent`` is "granted" or None: a refusal is never stored."""

    oppref: str | None = None
    obref: str | None = None
    source_url: str | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    consent: str | None = None

    def device(self, action_source: str) -> dict[str, str]:
        """Address and agent as fields of an event's user, where they are the person's own."""
        if action_source not in DEVICE_SOURCES:
            return {}
        found = {"ip_address": self.ip_address, "user_agent": self.user_agent}
        return {name: value for name, value in found.items() if value is not None}


NOTHING: Final = Recalled()


@dataclass(frozen=True, slots=True)
class Post:
    """What a page has told, checked. ``key`` is one that its browser has already."""

    oppref: str | None = None
    obref: str | None = None
    source_url: str | None = None
    referrer: str | None = None
    consent: str = "unknown"
    key: str | None = None


class Visitor(NamedTuple):
    """Address and agent of the browser, as the connection shows them."""

    ip_address: str | None = None
    user_agent: str | None = None


# Keys -----------------------------------------------------------------------------------------------------------------


def key_of(random: bytes) -> str:
    """The key that 16 random bytes make."""
    return _PREFIX + base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def is_key(value: object) -> bool:
    """Whether a value has the form of a key; says nothing about whether it was ever given out."""
    return isinstance(value, str) and _KEY.fullmatch(value.strip()) is not None


def memory_of(key: str) -> str:
    """The key of a memory in the ledger, without its ``memory#``: a digest, from which no key can be made."""
    return f"click#{hashlib.sha256(key.strip().encode()).hexdigest()}"


def key_in_url(url: object) -> str | None:
    """The key in the query of an address, where a page has put it there."""
    value = click.parameter_from_url(url if isinstance(url, str) else None, FIELD)
    return value if is_key(value) else None


def recalled(recall: Recall, candidates: Iterable[object]) -> Recalled:
    """What is remembered under the first of the candidates that is a key; nothing where none is, or none was given out.

    One read, and only for what has the form of a key.
    """
    key = next((each for each in candidates if isinstance(each, str) and is_key(each)), None)
    facts = recall(f"memory#{memory_of(key)}") if key is not None else None
    return NOTHING if facts is None else Recalled(*(facts.get(name) for name in Recalled._fields))


# What a page posts ----------------------------------------------------------------------------------------------------


def post_in(delivery: Delivery, origins: Sequence[str]) -> Post:
    """What a page of one of the origins has posted, taken whole or refused as a whole.

    Raises:
        Refused: 403 for a page of another origin, 415, 413, 400. The text says nothing of what was posted.
    """
    if delivery.headers.get("origin") not in origins:
        raise Refused("origin_unknown", "the page's origin is none of ClickOrigins", 403)
    kind = delivery.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        raise Refused("type_unknown", "Content-Type must be text/plain or application/json", 415)
    if len(delivery.body) > MAX_POST_BYTES:
        raise Refused("too_large", f"the body has over {MAX_POST_BYTES:,} bytes", 413)
    told = _told(delivery.body)
    post = Post(
        oppref=_reference(told, "oppref"),
        obref=_reference(told, "obref"),
        source_url=_page(told, origins),
        referrer=_origin_of(told.get("referrer")),
        consent=told.get("consent", "unknown"),
        key=told.get("key"),
    )
    if post.consent not in _CONSENTS:
        raise Refused("consent_unknown", "consent must be granted, denied or unknown", 400)
    if post.consent != "denied" and post.oppref is None and post.obref is None:
        raise Refused("no_reference", "there must be an oppref or an obref", 400)
    return post


def _told(body: bytes) -> Mapping[str, str]:
    """The fields of the body; those that are null or empty are as if absent."""
    try:
        held = json.loads(body.decode(), object_pairs_hook=_Fields)
    except (ValueError, RecursionError):
        raise Refused("not_json", "the body must be JSON in UTF-8", 400) from None
    if not isinstance(held, _Fields):
        raise Refused("not_an_object", "the body must be a JSON object", 400)
    names = [name for name, _ in held]
    if not _FIELDS.issuperset(names) or len(set(names)) < len(names):
        raise Refused("field_unknown", f"the fields are {', '.join(sorted(_FIELDS))}, each once", 400)
    told = {name: value for name, value in held if value not in (None, "")}
    if not all(isinstance(value, str) for value in told.values()):
        raise Refused("field_unreadable", "every field must be a text", 400)
    return told


class _Fields(list[tuple[str, Any]]):
    """A JSON object as its pairs, so that a name that is there twice shows."""


def _reference(told: Mapping[str, str], name: str) -> str | None:
    # Stricter than what a signed webhook may hold: anybody can post here, and no reference was ever seen with these.
    value = told.get(name)
    if value is not None and (click.reference(value) is None or _UNSAFE.search(value)):
        raise Refused("reference_unusable", f"{name} is no click reference", 400)
    return value


def _page(told: Mapping[str, str], origins: Sequence[str]) -> str | None:
    if "url" not in told:
        return None
    page = click.source_url(told["url"], origin=None)
    if page is None or _origin_of(page) not in origins:
        raise Refused("url_unusable", "url must be a page of one of ClickOrigins", 400)
    return page


def _origin_of(url: str | None) -> str | None:
    page = click.source_url(url, origin=None)
    return None if page is None else "/".join(page.split("/", 3)[:3])


def visitor_of(delivery: Delivery, ip_address: object, user_agent: object) -> Visitor:
    """The browser at the other end of the connection. Behind a proxy it is the proxy that is there: then nobody."""
    is_direct = not delivery.headers.keys() & {"via", "x-amz-cf-id"} and user_agent != _CLOUDFRONT
    if not is_direct:
        return Visitor()
    return Visitor(identity.ip_address(ip_address), identity.user_agent(user_agent))


# What is remembered of it ---------------------------------------------------------------------------------------------


def known_key(post: Post) -> str | None:
    """The key that the browser says it has, if it has the form of one."""
    return post.key.strip() if post.key is not None and is_key(post.key) else None


def continues(post: Post, facts: Mapping[str, Any], now_ms: int) -> bool:
    """Whether a post is about the click of a memory: it contradicts nothing there, and there is a day left of it."""
    is_same = all(
        told is None or facts.get(name, told) == told for name, told in (("oppref", post.oppref), ("obref", post.obref))
    )
    return is_same and _days_left(facts, now_ms) >= 1


def _days_left(facts: Mapping[str, Any], now_ms: int) -> int:
    clicked_ms: int = facts.get("at_ms", 0)
    return (clicked_ms + MEMORY_DAYS * _DAY_MS - now_ms) // _DAY_MS


def made(post: Post, visitor: Visitor, key: str, now_ms: int) -> Memory:
    """The memory of a click. ``key`` is new."""
    return Memory(memory_of(key), _facts(post, visitor) | {"at_ms": now_ms}, version="1", ttl_days=MEMORY_DAYS)


def completed(post: Post, visitor: Visitor, key: str, known: Mapping[str, Any], now_ms: int) -> Memory | None:
    """The memory under a key, with what the post adds to it; None where that is nothing. What it says stays as it is,
    and so does the day on which it is forgotten.
    """
    facts = _without_version(known)
    return _replaced(key, _facts(post, visitor) | facts, known, now_ms)


def withdrawn(key: str, known: Mapping[str, Any], now_ms: int) -> Memory | None:
    """The memory under a key after its person has refused consent: nothing but the time of the click. None where it
    says nothing else already.
    """
    return _replaced(key, {"at_ms": known.get("at_ms", 0)}, known, now_ms)


def _replaced(key: str, facts: Mapping[str, Any], known: Mapping[str, Any], now_ms: int) -> Memory | None:
    if facts == _without_version(known):
        return None
    version: str = known["version"]
    return Memory(
        memory_of(key), facts, version=str(int(version) + 1), ttl_days=max(_days_left(known, now_ms), 1),
        replaces=version,
    )  # fmt: skip


def _without_version(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name != "version"}


def _facts(post: Post, visitor: Visitor) -> dict[str, Any]:
    told = {
        "oppref": post.oppref,
        "obref": post.obref,
        "source_url": post.source_url,
        "referrer": post.referrer,
        "consent": "granted" if post.consent == "granted" else None,
        **visitor._asdict(),
    }
    return {name: value for name, value in told.items() if value is not None}
