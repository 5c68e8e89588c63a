"""What is wrong with the addresses of ads: each rule says what, why and what to do, and corrects what it can."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from urllib.parse import unquote_plus

from tools.utm.address import (
    LONGEST,
    MEDIUMS,
    NAMES,
    SOURCE,
    Address,
    BadAddress,
    Pair,
    has_email,
    is_reserved,
    is_utm,
    parsed,
    written,
)

_SPELLINGS: Final = re.compile(r"(?:www\.|chat\.)?(?:chat[\s_+-]*gpt|open[\s_+-]*ai)(?:[\s_.+-]?(?:com|ads?|org))?")
_TWICE: Final = re.compile(r"%25[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Finding:
    """``rule`` is its name, ``corrected`` whether the correction puts it right."""

    rule: str
    what: str
    why: str
    fix: str
    corrected: bool

    def __str__(self) -> str:
        return f"{self.what}. Why: {self.why}. Fix: {self.fix}."


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings, and the address with all put right that can be."""

    findings: tuple[Finding, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What depends on whose addresses they are: ``medium`` is written where none of the two stands, ``sites`` are the
    hosts whose own links may carry no campaign."""

    medium: str = "cpc"
    sites: frozenset[str] = frozenset()


_Step = Callable[[Address], Iterator[tuple[Finding, Address]]]


def check(text: str, rules: Rules | None = None) -> Checked:
    """Hold an address against all rules."""
    rules = rules or Rules()
    found: list[Finding] = []
    trimmed = text.strip()
    if trimmed != text:
        found.append(
            Finding("blank", "blanks before or after the address", "they become part of it", "take them out", True)
        )
    try:
        address = parsed(trimmed, relative=bool(rules.sites))
    except BadAddress as problem:
        found.append(
            Finding(
                "no_address",
                f"this is no address of a page: {problem}",
                "an ad needs one",
                "write it as https://host/path",
                False,
            )
        )
        return Checked(tuple(found), text)
    if _is_internal(address, rules):
        if any(map(is_utm, address.pairs)):
            found.append(
                Finding(
                    "internal_link",
                    "a link within the site carries utm parameters",
                    "GA4 would begin the visit anew and forget the ad that brought it",
                    "take them out",
                    True,
                )
            )
        return Checked(tuple(found), str(address.without(is_utm)))
    # In this order: what one corrects the next one sees corrected.
    steps: Sequence[_Step] = (*_FORM, partial(_medium, medium=rules.medium), *_WHOLE)
    for step in steps:
        for finding, corrected in step(address):
            found.append(finding)
            address = corrected
    return Checked(tuple(found), str(address))


def _is_internal(address: Address, rules: Rules) -> bool:
    return bool(rules.sites) and (not address.host or address.host.removeprefix("www.") in rules.sites)


# The form of the query ------------------------------------------------------------------------------------------------


def _query_in_fragment(address: Address) -> Iterator[tuple[Finding, Address]]:
    fragment = address.fragment or ""
    if not re.search(r"(?:^|[?&])utm_[a-z]+=", fragment, re.IGNORECASE):
        return
    before, _, query = fragment.rpartition("?")
    moved = [Pair(name, value if equals else None) for name, equals, value in map(_parted, query.split("&")) if name]
    campaign = tuple(pair for pair in moved if is_utm(pair))
    rest = "&".join(str(pair) for pair in moved if not is_utm(pair))
    left = before + ("?" if before and rest else "") + rest
    yield (
        Finding(
            "behind_hash",
            "utm parameters stand behind the #",
            "no analytics reads them there",
            "put them before it",
            True,
        ),
        replace(address, pairs=(*address.pairs, *campaign), fragment=left or None),
    )


def _second_question_mark(address: Address) -> Iterator[tuple[Finding, Address]]:
    pairs: list[Pair] = []
    for pair in address.pairs:
        value, mark, rest = (pair.value or "").partition("?utm_")
        pairs.append(replace(pair, value=value) if mark else pair)
        if mark:
            name, equals, tail = _parted("utm_" + rest)
            pairs.append(Pair(name, tail if equals else None))
    if len(pairs) > len(address.pairs):
        yield (
            Finding(
                "second_question_mark",
                "a second ? begins the utm parameters",
                "they become part of the value before it",
                "write & there",
                True,
            ),
            replace(address, pairs=tuple(pairs)),
        )


def _parted(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def _page_blank(address: Address) -> Iterator[tuple[Finding, Address]]:
    others = [str(pair) for pair in address.pairs if not is_utm(pair)]
    if re.search(r"\s", address.page + "".join(others) + (address.fragment or "")):
        encoded = replace(
            address,
            page=re.sub(r"\s", "%20", address.page),
            pairs=tuple(pair if is_utm(pair) else _pair_encoded(pair) for pair in address.pairs),
            fragment=address.fragment and re.sub(r"\s", "%20", address.fragment),
        )
        yield Finding("blank", "a blank in the address", "it ends there for many programs", "write %20", True), encoded


def _pair_encoded(pair: Pair) -> Pair:
    return Pair(re.sub(r"\s", "%20", pair.name), pair.value and re.sub(r"\s", "%20", pair.value))


# What must not be there -----------------------------------------------------------------------------------------------


def _reserved(address: Address) -> Iterator[tuple[Finding, Address]]:
    names = list(dict.fromkeys(pair.key.strip() for pair in address.pairs if is_reserved(pair)))
    if names:
        yield (
            Finding(
                "reserved",
                f"{', '.join(names)} is set by OpenAI itself",
                "a fixed value stands in the way of the real click reference",
                "take it out",
                True,
            ),
            address.without(is_reserved),
        )


def _personal_data(address: Address) -> Iterator[tuple[Finding, Address]]:
    def tells(pair: Pair) -> bool:
        return has_email(str(pair))

    why = "it ends up in logs, in analytics and at OpenAI"
    names = list(
        dict.fromkeys("a parameter" if has_email(pair.key) else pair.key for pair in address.pairs if tells(pair))
    )
    if names:
        yield (
            Finding(
                "personal_data", f"an e-mail address stands in {', '.join(names)}", why, "take the parameter out", True
            ),
            address.without(tells),
        )
    if has_email(address.page) or has_email(address.fragment or ""):
        yield (
            Finding(
                "personal_data", "an e-mail address stands in path or fragment", why, "link to another page", False
            ),
            address,
        )


# The campaign ---------------------------------------------------------------------------------------------------------


def _names(address: Address) -> Iterator[tuple[Finding, Address]]:
    wrong = [pair.name for pair in address.pairs if is_utm(pair) and pair.name not in NAMES]
    if wrong:
        pairs = tuple(replace(pair, name=pair.key.strip().lower()) if is_utm(pair) else pair for pair in address.pairs)
        yield (
            Finding(
                "case",
                f"the name {', '.join(wrong)} is not in lower case",
                "GA4 knows the lower-case names only",
                "write it in lower case",
                True,
            ),
            replace(address, pairs=pairs),
        )


def _double_encoding(address: Address) -> Iterator[tuple[Finding, Address]]:
    wrong = [pair for pair in address.pairs if is_utm(pair) and _TWICE.search(pair.value or "")]
    if wrong:
        pairs = tuple(
            replace(pair, value=written(unquote_plus(pair.text))) if pair in wrong else pair for pair in address.pairs
        )
        yield (
            Finding(
                "double_encoding",
                f"{_listed(wrong)} is percent-encoded twice",
                "reports show %20 and the like in its name",
                "encode it once",
                True,
            ),
            replace(address, pairs=pairs),
        )


def _value_blank(address: Address) -> Iterator[tuple[Finding, Address]]:
    wrong = [pair for pair in address.pairs if is_utm(pair) and re.search(r"\s", pair.text) and pair.text.strip()]
    if wrong:
        pairs = tuple(
            replace(pair, value=written(re.sub(r"\s+", "_", pair.text.strip()))) if pair in wrong else pair
            for pair in address.pairs
        )
        yield (
            Finding(
                "blank",
                f"{_listed(wrong)} holds a blank",
                "it is written as +, %20 or %2520 on the way, which are different campaigns",
                "write _",
                True,
            ),
            replace(address, pairs=pairs),
        )


def _case(address: Address) -> Iterator[tuple[Finding, Address]]:
    wrong = [
        pair
        for pair in address.pairs
        if is_utm(pair)
        and _lowered(pair.text) != pair.text
        and not (pair.name == "utm_source" and _is_spelling(pair.text))
    ]
    if wrong:
        pairs = tuple(
            replace(pair, value=written(_lowered(pair.text))) if pair in wrong else pair for pair in address.pairs
        )
        yield (
            Finding(
                "case",
                f"{_listed(wrong)} is not in lower case",
                "GA4 counts Sale and sale as two campaigns",
                "write it in lower case",
                True,
            ),
            replace(address, pairs=pairs),
        )


def _lowered(text: str) -> str:
    return re.sub(r"\{[^{}]*\}|[^{}]+|[{}]", lambda part: part[0] if part[0][0] == "{" else part[0].lower(), text)


def _duplicates(address: Address) -> Iterator[tuple[Finding, Address]]:
    seen: dict[str, str] = {}
    kept: list[Pair] = []
    twice: dict[str, bool] = {}
    for pair in address.pairs:
        if is_utm(pair) and pair.name in seen:
            twice[pair.name] = twice.get(pair.name, False) or seen[pair.name] != pair.text
            continue
        if is_utm(pair):
            seen[pair.name] = pair.text
        kept.append(pair)
    if twice:
        differ = ", ".join(name for name, is_other in twice.items() if is_other)
        what = f"{', '.join(twice)} stands there more than once" + (
            f", {differ} with different values" if differ else ""
        )
        yield (
            Finding("duplicate", what, "which one counts differs from program to program", "keep the first", True),
            replace(address, pairs=tuple(kept)),
        )


def _source(address: Address) -> Iterator[tuple[Finding, Address]]:
    given = (address.values("utm_source") or [""])[0].strip()
    if given == SOURCE:
        return
    if not given:
        finding = Finding(
            "source_missing",
            "utm_source is missing",
            "the visit counts as direct or as a referral",
            f"utm_source={SOURCE}",
            True,
        )
    elif _is_spelling(given):
        finding = Finding(
            "source_spelling",
            f"utm_source is {given[:60]}",
            "it is another source than chatgpt in every report; chatgpt.com is what ChatGPT's own organic links carry",
            f"utm_source={SOURCE}",
            True,
        )
    else:
        finding = Finding(
            "source_other",
            f"utm_source is {given[:60]}, not {SOURCE}",
            "the ad's visits count for somebody else",
            f"utm_source={SOURCE}, if this is the address of a ChatGPT ad",
            False,
        )
    yield finding, _with(address, "utm_source", SOURCE) if finding.corrected else address


def _is_spelling(text: str) -> bool:
    return text != SOURCE and _SPELLINGS.fullmatch(text.strip().lower()) is not None


def _medium(address: Address, medium: str) -> Iterator[tuple[Finding, Address]]:
    given = (address.values("utm_medium") or [""])[0].strip()
    if given in MEDIUMS:
        return
    what = f"utm_medium is {given[:60]}" if given else "utm_medium is missing"
    yield (
        Finding("medium", what, "only cpc and cpm put the visit into a paid channel", f"utm_medium={medium}", True),
        _with(address, "utm_medium", medium),
    )


def _campaign(address: Address) -> Iterator[tuple[Finding, Address]]:
    if not (address.values("utm_campaign") or [""])[0].strip():
        yield (
            Finding(
                "campaign_missing",
                "utm_campaign is missing",
                "what was spent cannot be held against what it brought",
                "utm_campaign=<the campaign's name>",
                False,
            ),
            address,
        )


def _length(address: Address) -> Iterator[tuple[Finding, Address]]:
    if len(str(address)) > LONGEST:
        yield (
            Finding(
                "too_long",
                f"the address has over {LONGEST} characters",
                "longer ones are cut on the way",
                "shorten it",
                False,
            ),
            address,
        )


def _with(address: Address, name: str, value: str) -> Address:
    """With a value in the parameter's place, or where the canonical order has it."""
    if any(pair.name == name for pair in address.pairs):
        return replace(
            address,
            pairs=tuple(replace(pair, value=written(value)) if pair.name == name else pair for pair in address.pairs),
        )
    later = NAMES[NAMES.index(name) + 1 :]
    at = next((index for index, pair in enumerate(address.pairs) if pair.name in later), len(address.pairs))
    return replace(address, pairs=(*address.pairs[:at], Pair(name, written(value)), *address.pairs[at:]))


def _listed(pairs: Sequence[Pair]) -> str:
    return ", ".join(dict.fromkeys(pair.name for pair in pairs))


_FORM: Final[Sequence[_Step]] = (
    _query_in_fragment,
    _second_question_mark,
    _page_blank,
    _reserved,
    _personal_data,
    _names,
    _double_encoding,
    _value_blank,
    _case,
    _duplicates,
    _source,
)
_WHOLE: Final[Sequence[_Step]] = (_campaign, _length)
