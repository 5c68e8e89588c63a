"""What is left of the click: the opaque references, the page's address, the campaign's names.

`oppref` (the ad click) and `obref` (the browser) are passed on byte for byte: never decoded, parsed, made up or logged
(Conversions API: click reference). That is why no query is parsed with the standard library here.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

DECODE_REFERENCES_IN_URLS = False
"""Whether a reference cut out of a URL is percent-decoded once. "Unchanged" is all that is documented, and a browser's
SDK would hold the decoded value; a test with a real click can settle it, and then this is the one place to change."""

LONGEST_REFERENCE: Final = 4_096
"""Characters. The length is not documented; a cookie holds no more."""
LONGEST_URL: Final = 2_048
"""Characters of a `source_url`."""
LONGEST_UTM: Final = 256
"""Characters of a campaign name in our own reports; the rest is cut off."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNUSABLE_IN_URL: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\\]")
_LABEL: Final = r"[^\s.:/?#@\[\]\\<>^`{|}%\"]+"
_AUTHORITY: Final = re.compile(rf"(?:\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*\.?)(?::[0-9]{{1,5}})?")
_UTM: Final = ("utm_source", "utm_medium", "utm_campaign", "utm_content", "utm_term")


class Click(NamedTuple):
    """The references that a browser carried, each None when there is none."""

    oppref: str | None = None
    obref: str | None = None


def reference(value: object) -> str | None:
    """A reference that was handed over as a value (cookie, cart attribute, metadata, field), unchanged.

    None for what is no text, blank, longer than `LONGEST_REFERENCE`, or holds control characters or lone surrogates.
    """
    if not isinstance(value, str) or len(value) > LONGEST_REFERENCE or not value.strip():
        return None
    return None if _CONTROL.search(value) or not _has_utf8(value) else value


def oppref_from_url(url: str | None) -> str | None:
    """The first filled `oppref` in the query of a URL, a path with query, or a "?query", as it stands in the text.

    The name is exact. The fragment does not count, nor does a URL inside another parameter.
    """
    return _reference_from_url(url, "oppref")


def obref_from_url(url: str | None) -> str | None:
    """The first filled `obref` in the query; see `oppref_from_url`."""
    return _reference_from_url(url, "obref")


def parameter_from_url(url: str | None, name: str) -> str | None:
    """The first filled parameter of this name in the query, as it stands in the text; see `oppref_from_url`."""
    return next((value for each, value in _query(url) if each == name), None)


def from_cookie_header(header: str | None) -> Click:
    """The pixel's cookies `__oppref` and `__obref` out of a Cookie header, values unchanged (Measurement pixel)."""
    found: dict[str, str] = {}
    for pair in header.split(";") if isinstance(header, str) else ():
        name, _, value = pair.strip(" \t").partition("=")
        if value:
            found.setdefault(name, value)
    return Click(reference(found.get("__oppref")), reference(found.get("__obref")))


def source_url(url: str | None, *, origin: str | None) -> str | None:
    """The page as http(s) origin and path: no query, fragment or user name (Conversions API: event envelope).

    A path ("/products/shoe?…") is put behind the scheme and host of `origin`, the configured storefront. Everything
    that is no usable address (another scheme, no host, blanks, backslashes, "//host/…", a result longer than
    `LONGEST_URL`) gives `origin` as configured, or None when there is none. Host, port and path stay as written.
    """
    fallback = _address(origin)
    text = _without_query(url)
    if text.startswith("/") and not text.startswith("//") and fallback is not None:
        scheme, authority, _ = fallback
        candidate = _address(f"{scheme}://{authority}{text}")
    else:
        candidate = _address(text)
    for address in (candidate, fallback):
        if address is not None and len(result := "{}://{}{}".format(*address)) <= LONGEST_URL:
            return result
    return None


def utm(url: str | None) -> dict[str, str]:
    """The campaign's names in the query, form-decoded once: for our own reports, never for the API.

    Keys are `utm_source`, `utm_medium`, `utm_campaign`, `utm_content` and `utm_term`, each only where it is filled.
    """
    found: dict[str, str] = {}
    for name, raw in _query(url):
        value = unquote_plus(raw).strip()[:LONGEST_UTM] if name in _UTM else ""
        if value and not _CONTROL.search(value) and _has_utf8(value):
            found.setdefault(name, value)
    return found


def _reference_from_url(url: str | None, wanted: str) -> str | None:
    raw = parameter_from_url(url, wanted)
    if raw is not None and DECODE_REFERENCES_IN_URLS:
        raw = unquote(raw)  # never unquote_plus: a plus is a plus
    return reference(raw)


def _query(url: str | None) -> Iterator[tuple[str, str]]:
    """The filled parameters of the query, raw and in order."""
    text = url.strip() if isinstance(url, str) else ""
    _, _, query = text.partition("#")[0].partition("?")
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value:
            yield name, value


def _without_query(url: str | None) -> str:
    text = url.strip() if isinstance(url, str) else ""
    return text.partition("#")[0].partition("?")[0]


def _address(url: str | None) -> tuple[str, str, str] | None:
    """Scheme, host with port, and path; None for what is no http(s) address with a host."""
    return _address_in(_without_query(url))


@lru_cache(maxsize=16)
def _address_in(text: str) -> tuple[str, str, str] | None:
    # Remembered: the same few are asked again for each event, the configured origin and the page, when it is built and
    # when it is held against the contract.
    if _UNUSABLE_IN_URL.search(text) or not _has_utf8(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises above 65535
    except ValueError:
        return None
    authority = parts.netloc.rpartition("@")[2]
    if parts.scheme not in ("http", "https") or not _AUTHORITY.fullmatch(authority):
        return None
    return parts.scheme, authority, parts.path


def _has_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
