"""The address of a page, taken apart so that what is not touched stays as it was written, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote, unquote_plus, urlsplit

NAMES: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")
SOURCE: Final = "chatgpt"
MEDIUMS: Final = ("cpc", "cpm")
LONGEST: Final = 2_048
"""Characters of an address; longer ones are cut by browsers, proxies and ad platforms."""
LONGEST_VALUE: Final = 100
"""Characters of a campaign's name: GA4 cuts event parameters there (Google Analytics: collection limits)."""

_EMAIL: Final = re.compile(r"[^\s@/?&=:;,]+@[^\s@/?&=:;,]+\.[A-Za-z]{2,}")
_RESERVED: Final = re.compile(r"(?:oppref|olref|obref|oai.*)", re.IGNORECASE)
_UNREADABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_KEPT: Final = "-_.~{}"
"""Written as they are: braces for what the ad platform fills in, such as {campaign_id}."""


class BadAddress(ValueError):
    """No address of a page; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One parameter as it stands in the query, undecoded. ``value`` is None where there is no equals sign."""

    name: str
    value: str | None

    @property
    def key(self) -> str:
        """The decoded name."""
        return unquote_plus(self.name)

    @property
    def text(self) -> str:
        """The decoded value."""
        return unquote_plus(self.value or "")

    def __str__(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Address:
    """Everything before the query, the query's parameters in their order, the fragment without its #."""

    page: str
    pairs: tuple[Pair, ...]
    fragment: str | None

    def __str__(self) -> str:
        query = "&".join(map(str, self.pairs))
        return self.page + (f"?{query}" if query else "") + ("" if self.fragment is None else f"#{self.fragment}")

    @property
    def host(self) -> str:
        """The host in lower case without its port; empty for a path."""
        return (urlsplit(self.page).hostname or "").lower()

    def without(self, unwanted: Callable[[Pair], bool]) -> Address:
        """The address without some of its parameters."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if not unwanted(pair)))

    def values(self, name: str) -> Sequence[str]:
        """The decoded values of a parameter, in whatever case its name is written."""
        return [pair.text for pair in self.pairs if pair.key.lower() == name]


def parsed(text: str, *, relative: bool = False) -> Address:
    """An http(s) address taken apart; with ``relative`` also a path.

    Raises:
        BadAddress: it is none.
    """
    if not text:
        raise BadAddress("it is empty")
    if _UNREADABLE.search(text):
        raise BadAddress("it holds control characters")
    head, hash_, fragment = text.partition("#")
    page, _, query = head.partition("?")
    try:
        parts = urlsplit(page)
        _ = parts.port
    except ValueError:
        raise BadAddress("its host or port is malformed") from None
    if not (relative and page.startswith("/") and not page.startswith("//")):
        if parts.scheme.lower() not in ("http", "https"):
            raise BadAddress("it does not begin with https://")
        if not parts.hostname:
            raise BadAddress("it has no host")
        if re.search(r"\s", parts.netloc):
            raise BadAddress("its host holds a blank")
        if "@" in parts.netloc:
            raise BadAddress("it holds a user name before the host")
    pairs = tuple(
        Pair(name, value if equals else None)
        for name, equals, value in (each.partition("=") for each in query.split("&"))
        if name or equals
    )
    return Address(page, pairs, fragment if hash_ else None)


def is_utm(pair: Pair) -> bool:
    """Whether a parameter is one of the five that name a campaign, in whatever case."""
    return pair.key.strip().lower() in NAMES


def is_reserved(pair: Pair) -> bool:
    """Whether OpenAI sets the parameter itself: oppref, olref, obref, and all that begins with oai."""
    return _RESERVED.fullmatch(pair.key.strip()) is not None


def has_email(text: str) -> bool:
    """Whether a text holds an e-mail address, also one that is percent-encoded once or twice."""
    if "@" not in text and "%" not in text:
        return False
    return any(_EMAIL.search(each) for each in (text, unquote(text), unquote(unquote(text))))


def written(value: str) -> str:
    """A value as it goes into the query."""
    return quote(value, safe=_KEPT)
