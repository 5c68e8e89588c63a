"""A page without a browser: from a file, or by HTTP. Everything is bounded: bytes, seconds, redirects."""

from __future__ import annotations

import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tools.doctor.page import LARGEST_PAGE, Page, decode

AGENT: Final = "Mozilla/5.0 (compatible; relay-doctor)"
_LOGIN: Final = re.compile(r"/(?:log-?in|sign-?in|password|auth|sso)\b", re.IGNORECASE)


class Unseen(Exception):
    """The page could not be looked at; the text says why and what to do."""


def is_address(target: str) -> bool:
    return target.lower().startswith(("http://", "https://"))


def checked(target: str) -> str:
    """An address that can be asked for, else `Unseen`."""
    try:
        parts = urlsplit(target)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or any(letter.isspace() or not letter.isprintable() for letter in target):
        raise Unseen(f"{target[:200]} is no address of a page, such as https://shop.example/")
    return target


def file_of(target: str) -> Path:
    """The file that is meant; `Unseen` where there is none."""
    path = Path(target.removeprefix("file://"))
    try:
        if path.is_dir():
            raise Unseen(f"{target} is a folder. Name a file in it, such as {path / 'index.html'}.")
        if not path.is_file():
            raise Unseen(f"There is no file {target}. An address begins with http:// or https://.")
        if path.stat().st_size > LARGEST_PAGE:
            raise Unseen(f"{target} is larger than {LARGEST_PAGE:,} bytes, which no page is.")
    except (OSError, ValueError) as problem:
        raise Unseen(f"{target[:200]} cannot be read: {problem}.") from None
    return path


def from_file(target: str) -> Page:
    """The page in a file."""
    path = file_of(target)
    try:
        page = Page("", decode(path.read_bytes()))
    except OSError as problem:
        raise Unseen(f"{target} cannot be read: {problem}.") from None
    return usable(page, target)


def from_address(url: str, timeout_s: float) -> Page:
    """The page at an address, as the server sends it. ``timeout_s`` is for all of it."""
    deadline = time.monotonic() + timeout_s
    request = urllib.request.Request(checked(url), headers={"User-Agent": AGENT, "Accept": "text/html,*/*;q=0.5"})
    body = b""
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            policies = answer.headers.get_all("Content-Security-Policy") or []
            final = answer.geturl()
            while len(body) <= LARGEST_PAGE and (piece := answer.read1(65_536)):
                body += piece
                if time.monotonic() > deadline:
                    raise Unseen(never_finished(url, timeout_s))
    except Unseen:
        raise
    except urllib.error.HTTPError as problem:
        problem.close()
        if 300 <= problem.code < 400:
            raise Unseen(f"{url} redirects for ever. Open it in a browser and correct the redirects.") from None
        raise Unseen(answered(url, problem.code)) from None
    except TimeoutError:
        raise Unseen(never_finished(url, timeout_s)) from None
    except ssl.SSLError as problem:
        raise Unseen(f"{url} has no valid certificate: {problem.reason}.") from None
    except (urllib.error.URLError, OSError, ValueError, EOFError) as problem:
        reason = getattr(problem, "reason", None) or problem
        if isinstance(reason, TimeoutError):
            raise Unseen(never_finished(url, timeout_s)) from None
        raise Unseen(f"{url} cannot be reached: {reason}. Is the address right, and the network there?") from None
    except Exception as problem:  # http.client's own family, which is no OSError
        raise Unseen(f"{url} does not answer in HTTP: {type(problem).__name__}.") from None
    if policies:
        headers["content-security-policy"] = ", ".join(policies)
    check_answer(url, final, headers)
    page = usable(Page(final, decode(body, headers.get("content-type", "")), headers), url)
    check_login(url, page)
    return page


def check_answer(url: str, final: str, headers: Mapping[str, str]) -> None:
    """Raise `Unseen` for what is no page."""
    kind = headers.get("content-type", "text/html").split(";")[0].strip().lower()
    if kind not in ("text/html", "application/xhtml+xml", ""):
        raise Unseen(f"{url} is no page but {kind}. Name the address of a page.")
    if not is_address(final):
        raise Unseen(f"{url} leads to {final[:100]}, which is no page on the web.")


def check_login(url: str, page: Page) -> None:
    """Raise `Unseen` where the server has sent on to a page that asks for a password."""
    asks = any(each.tag == "input" and each.get("type").lower() == "password" for each in page.elements)
    if asks and page.url.rstrip("/") != url.rstrip("/") and _LOGIN.search(urlsplit(page.url).path):
        raise Unseen(f"{url} asks for a login. Look at a page that visitors see, or save the page to a file.")


def usable(page: Page, target: str) -> Page:
    """The page, unless there is no HTML in it."""
    if not page.text.strip():
        raise Unseen(f"{target} is empty.")
    if not page.is_html:
        raise Unseen(f"{target} holds no HTML. Name a page.")
    return page


def answered(url: str, status: int) -> str:
    """What to say of an answer that is no page."""
    match status:
        case 401 | 403 | 407:
            return f"{url} is not open to visitors (HTTP {status}): it needs a login, or refuses programs."
        case 404 | 410:
            return f"There is no page {url} (HTTP {status}). Is the address right?"
        case 429:
            return f"{url} refuses for now: too many requests (HTTP 429). Try again later."
    return f"{url} answers with an error (HTTP {status}). Try again when the site is well."


def never_finished(url: str, timeout_s: float) -> str:
    return f"{url} did not finish within {timeout_s:g} s. Try again, or give it longer with --timeout."
