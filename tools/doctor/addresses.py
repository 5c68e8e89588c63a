"""What addresses give away, and what campaigns are called in them. Shown addresses never repeat a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import SplitResult, unquote, unquote_plus, urljoin, urlsplit

from conversion_relay.click import LONGEST_URL

PAGE: Final = "https://page.invalid/"
"""What stands for the address of a file. The name is reserved (RFC 2606), so it is nobody's."""

EMAIL: Final = re.compile(
    r"[^\s@/?&=:;,<>\"']{1,64}@[^\s@/?&=:;,<>\"']{1,190}\.(?!(?:png|jpe?g|gif|webp|svg|avif|css|js|pdf)\b)[A-Za-z]{2,24}"
)
"""An e-mail address; logo@2x.png is none."""
_EMAIL_NAMES: Final = frozenset(("email", "e_mail", "mail", "customer_email", "user_email"))
_PHONE_NAMES: Final = frozenset(("phone", "tel", "telephone", "mobile", "phone_number", "customer_phone"))
_ORDER_NAMES: Final = frozenset(
    ("order", "order_id", "orderid", "order_number", "order_no", "order_name", "transaction_id", "customer_id")
)
_PLACEHOLDER: Final = re.compile(r"\{\{|\{%|<\?|<%|\$\{")
_FOR_MESSAGES: Final = frozenset(("wa.me", "api.whatsapp.com", "web.whatsapp.com", "t.me", "mail.google.com"))
"""Hosts whose links carry the shop's own number or address."""
_CHATGPT: Final = frozenset(
    ("chatgpt", "chatgptcom", "chatgptads", "openai", "openaicom", "openaiads", "chatopenaicom", "chatgtp", "gpt")
)


def split(url: str) -> SplitResult:
    """A URL's parts; an empty one's where it is none."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port, parts.hostname
    except ValueError:
        return urlsplit("")
    return parts


def absolute(url: str, page_url: str) -> str:
    """An address in a page as the browser asks for it; "" where it is none."""
    try:
        return urljoin(page_url or PAGE, url.strip())
    except ValueError:
        return ""


def origin(url: str) -> str:
    parts = split(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def parameters(url: str) -> Iterator[tuple[str, str]]:
    """The parameters of the query, form-decoded once, in order."""
    for pair in split(url).query[: 8 * LONGEST_URL].replace("&amp;", "&").split("&"):
        name, _, value = pair.partition("=")
        if name:
            yield unquote_plus(name), unquote_plus(value)


def shown(url: str) -> str:
    """An address for people: the names of its parameters stay, their values and any e-mail address do not."""
    parts = split(url)
    names = [name for name, _ in parameters(url)]
    path = EMAIL.sub("…", unquote(parts.path))[:200]
    base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}" if parts.netloc else path
    return base + ("?" + "&".join(f"{name[:40]}=…" for name in names[:12]) if names else "")


def personal_data_in(url: str) -> str | None:
    """What kind of personal data an address carries, and in which parameter; None for none."""
    parts = split(url)
    if parts.scheme not in ("", "http", "https") or (parts.hostname or "") in _FOR_MESSAGES:
        return None
    for name, value in parameters(url):
        plain = name.lower().replace("-", "_").removesuffix("]").rpartition("[")[2]
        if EMAIL.search(unquote(value)) or (plain in _EMAIL_NAMES and _PLACEHOLDER.search(value)):
            return f"an e-mail address in the parameter {name[:40]}"
        digits = sum(letter.isdigit() for letter in value)
        if plain in _PHONE_NAMES and (digits >= 7 or _PLACEHOLDER.search(value)):
            return f"a phone number in the parameter {name[:40]}"
        if re.fullmatch(r"\+[0-9][0-9 ().-]{7,20}", value.strip()):
            return f"a phone number in the parameter {name[:40]}"
    if EMAIL.search(unquote(parts.path)) or EMAIL.search(unquote(parts.fragment)):
        return "an e-mail address"
    return None


def order_id_in(url: str) -> str | None:
    """The parameter that carries the id of an order or customer."""
    if split(url).scheme not in ("", "http", "https"):
        return None
    for name, value in parameters(url):
        plain = name.lower().replace("-", "_")
        if plain in _ORDER_NAMES and (re.fullmatch(r"#?[A-Za-z-]{0,6}[0-9]{3,}", value) or _PLACEHOLDER.search(value)):
            return name
    return None


def reserved_in(url: str, *, landing: bool) -> str | None:
    """A parameter whose name is OpenAI's; on a landing page a click's own ones do not count."""
    for name, _ in parameters(url):
        if name.startswith("oai") or name == "olref" or (not landing and name in ("oppref", "obref")):
            return name
    return None


def utm_faults(url: str) -> Iterator[tuple[str, str]]:
    """What is inconsistent in the campaign's names: the finding's code, and what was found."""
    named = {name: value.strip() for name, value in parameters(url) if name.startswith("utm_")}
    source = named.get("utm_source", "")
    if re.sub(r"[^a-z]", "", source.lower()) not in _CHATGPT:
        return
    if source != "chatgpt":
        yield "utm_source", f"utm_source={source[:40]}"
        if source == "chatgpt.com" and "utm_medium" not in named:
            return  # an unpaid link has no medium
    medium = named.get("utm_medium", "")
    if medium not in ("cpc", "cpm"):
        yield "utm_medium", f"utm_medium={medium[:40]}" if medium else "there is no utm_medium"
