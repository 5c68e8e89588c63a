"""The one way to name a campaign in an address: ``utm_source=chatgpt``, then medium, campaign, content and term."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tools.utm.address import (
    LONGEST,
    LONGEST_VALUE,
    MEDIUMS,
    NAMES,
    SOURCE,
    BadAddress,
    Pair,
    has_email,
    is_reserved,
    is_utm,
    parsed,
    written,
)


@dataclass(frozen=True, slots=True)
class Built:
    """The address, and what a person should know about it."""

    text: str
    notes: tuple[str, ...]


def build(page: str, given: Mapping[str, str | None], *, replaces: bool = False) -> Built:
    """The page's address with its campaign; query, fragment and their order stay as they are.

    ``given`` has ``medium`` and ``campaign``, and may have ``content`` and ``term``.

    Raises:
        BadAddress: the page or a name cannot be used; the text says which and what to do.
    """
    try:
        address = parsed(page.strip())
    except BadAddress as problem:
        raise BadAddress(f"the page cannot be used: {problem}") from None
    if re.search(r"\s", page.strip()):
        raise BadAddress("the page holds a blank: write it as %20, or take it out")
    reserved = [pair.name for pair in address.pairs if is_reserved(pair)]
    if reserved:
        raise BadAddress(f"the page has {', '.join(reserved)}, which OpenAI sets itself: take it out")
    if has_email(page):
        raise BadAddress("the page holds an e-mail address: personal data must not stand in an address")
    notes: list[str] = []
    there = [pair.name for pair in address.pairs if is_utm(pair)]
    if there and not replaces:
        raise BadAddress(f"the page has {', '.join(there)} already: take it out, or use --replace")
    if there:
        notes.append(f"replaced: {', '.join(there)}")
    values = {"utm_source": SOURCE, **{f"utm_{name}": value for name, value in given.items() if value is not None}}
    pairs = [Pair(name, written(_value(name, values[name], notes))) for name in NAMES if name in values]
    built = str(replace(address.without(is_utm), pairs=(*address.without(is_utm).pairs, *pairs)))
    if len(built) > LONGEST:
        raise BadAddress(f"the result has {len(built)} characters: more than {LONGEST} are cut on the way")
    return Built(built, tuple(notes))


def _value(name: str, value: str, notes: list[str]) -> str:
    text = value.strip()
    option = "--" + name.removeprefix("utm_")
    if not text:
        raise BadAddress(f"{option} is empty")
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise BadAddress(f"{option} holds a blank: write {re.sub(r'[^!-~]+', '_', text)!r}")
    if has_email(text):
        raise BadAddress(f"{option} holds an e-mail address: personal data must not stand in an address")
    if "%" in text:
        raise BadAddress(f"{option} is percent-encoded: give it as plain text, it is encoded here")
    if len(text) > LONGEST_VALUE:
        raise BadAddress(f"{option} has {len(text)} characters: GA4 cuts after {LONGEST_VALUE}")
    lowered = re.sub(r"\{[^{}]*\}|[^{}]+", lambda part: part[0] if part[0][0] == "{" else part[0].lower(), text)
    if lowered != text:
        notes.append(f"{name}: {text} is written {lowered} (GA4 tells upper from lower case)")
    if name == "utm_medium" and lowered not in MEDIUMS:
        raise BadAddress(f"--medium is {lowered[:40]}: it has to be {' or '.join(MEDIUMS)}")
    return lowered
