"""Content-Security-Policy: may the pixel run under it? (CSP Level 3: matching of source lists, as far as needed)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tools.doctor.page import Element, Page

_FALLBACKS: Final = {
    "script-src-elem": ("script-src-elem", "script-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
    "img-src": ("img-src", "default-src"),
}
_HASH: Final = re.compile(r"'(sha256|sha384|sha512)-([A-Za-z0-9+/_=-]+)'", re.IGNORECASE)
_HOST: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?([^/:]+)(?::([0-9]+|\*))?(/.*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Policy:
    """One policy that the browser enforces, and where it stands: a header or a meta tag."""

    directives: dict[str, list[str]]
    where: str
    element: Element | None = None

    def sources(self, directive: str) -> tuple[str, list[str]] | None:
        """The directive that decides, by its name, and its source list; None where the policy says nothing of it."""
        for name in _FALLBACKS[directive]:
            if name in self.directives:
                return name, self.directives[name]
        return None

    def allows(self, directive: str, url: str, page_url: str, element: Element | None = None) -> bool:
        """Whether a fetch of ``url`` may take place; ``element``: the script tag that asks for it."""
        found = self.sources(directive)
        if found is None:
            return True
        sources = found[1]
        nonce = element.get("nonce") if element is not None else ""
        if nonce and f"'nonce-{nonce}'" in sources:
            return True
        if directive == "script-src-elem" and _trusts_what_scripts_load(sources):
            # Hosts do not count then: a script that a trusted script adds is trusted, one in the page needs the nonce.
            return element is None
        return any(_matches(source, url, page_url) for source in sources)

    def allows_inline(self, element: Element) -> bool:
        """Whether an inline script may run: by nonce, by hash, or because all may."""
        found = self.sources("script-src-elem")
        if found is None:
            return True
        sources = found[1]
        nonce = element.get("nonce")
        if nonce and f"'nonce-{nonce}'" in sources:
            return True
        hashes = [each for source in sources for each in _HASH.findall(source)]
        for algorithm, digest in hashes:
            made = base64.b64encode(hashlib.new(algorithm.lower(), element.text.encode()).digest()).decode()
            if made == digest.replace("-", "+").replace("_", "/"):
                return True
        named = hashes or any(source.lower().startswith("'nonce-") for source in sources)
        return not named and not _trusts_what_scripts_load(sources) and "'unsafe-inline'" in _lower(sources)


def policies(page: Page) -> Iterator[Policy]:
    """The policies of the page's header and meta tags. Report-Only is not enforced, so it is not among them."""
    for text in page.headers.get("content-security-policy", "").split(","):
        if text.strip():
            yield Policy(_directives(text), "header Content-Security-Policy")
    for element in page.elements:
        if element.tag == "meta" and element.get("http-equiv").strip().lower() == "content-security-policy":
            yield Policy(_directives(element.get("content")), "<meta> Content-Security-Policy", element)


def _directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in text.split(";"):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), words[1:])  # the first of a name counts
    return found


def _lower(sources: list[str]) -> list[str]:
    return [each.lower() for each in sources]


def _trusts_what_scripts_load(sources: list[str]) -> bool:
    return "'strict-dynamic'" in _lower(sources)


def _matches(source: str, url: str, page_url: str) -> bool:
    wanted = urlsplit(url)
    page = urlsplit(page_url)
    if source == "*":
        return True
    if source.lower() == "'self'":
        return bool(page.netloc) and (wanted.netloc == page.netloc)
    if re.fullmatch(r"[a-z][a-z0-9+.-]*:", source, re.IGNORECASE):
        return wanted.scheme == source[:-1].lower() or (source.lower() == "http:" and wanted.scheme == "https")
    found = None if source.startswith("'") else _HOST.fullmatch(source)
    if found is None:
        return False
    scheme, host, port, path = found.groups()
    if scheme and wanted.scheme != scheme.lower() and (scheme.lower(), wanted.scheme) != ("http", "https"):
        return False
    name = wanted.hostname or ""
    host = host.lower()
    if host.startswith("*.") and not name.endswith(host[1:]):
        return False
    if not host.startswith("*.") and host not in ("*", name):
        return False
    default = {"https": "443", "http": "80"}.get(wanted.scheme, "")
    if port not in (None, "*", str(wanted.port or default)) or (
        port is None and wanted.port is not None and (str(wanted.port) != default)
    ):
        return False
    if not path or path == "/":
        return True
    return wanted.path.startswith(path) if path.endswith("/") else wanted.path == path
