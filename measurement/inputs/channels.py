"""Which channel a visit is: source, medium and campaign, as GA4 and utm parameters write them, become one of
`tables.CHANNELS`. Pure rules; the first that fits counts.

ChatGPT is told apart as `relay utm ga4` groups it (docs/utm.md): a source that is ChatGPT however spelled, with a paid
medium, is the ads (`chatgpt`); without one it is an answer that nobody paid for (`ai_assistant`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final

from measurement.tables import CHANNELS, CHATGPT

NONE: Final = "(none)"
"""The campaign where there is none, as GA4 writes it."""
_NOTHING: Final = frozenset({"", NONE, "(not set)", "(not provided)", "(direct)", "(data not available)", "(organic)",
                             "(referral)", "not set", "none", "null", "undefined", "n/a", "--"})  # fmt: skip

_CHATGPT: Final = re.compile(r"(?:www\.|chat\.)?(?:chat[\s_+-]*gpt|open[\s_+-]*ai)(?:[\s_.+-]?(?:com|ads?|org))?")
"""As `relay utm lint` knows spellings of utm_source; it holds those of the channel group."""
_PAID: Final = re.compile(r".*cp.*|ppc|retargeting|paid.*")
"""GA4's own condition of paid channels (Analytics help: default channel group), which holds cpc and cpm."""
_DISPLAY: Final = frozenset({"display", "banner", "expandable", "interstitial"})
_ASSISTANTS: Final = re.compile(
    r"(?:www\.|chat\.)?(?:perplexity|claude|gemini|bard|copilot|deepseek|grok|mistral|meta-?ai|poe|phind|you)"
    r"(?:\.(?:ai|google|microsoft|com|openai))*(?:\.com)?"
)
_SEARCH: Final = re.compile(
    r"(?:.*\.)?(?:google|bing|duckduckgo|yahoo|ecosia|baidu|yandex|qwant|startpage|naver|search\.brave)(?:\.[a-z.]+)?"
)
_SOCIAL: Final = re.compile(
    r"(?:.*\.)?(?:facebook|instagram|messenger|threads|tiktok|twitter|x|t\.co|linkedin|lnkd\.in|pinterest|pin\.it|reddit"
    r"|snapchat|youtube|youtu\.be|quora|tumblr|vk|whatsapp|telegram|bsky|bluesky|mastodon|discord|fb|ig)(?:\.[a-z.]+)?"
)
_SOCIAL_MEDIUMS: Final = frozenset({"social", "social-network", "social-media", "sm", "social network", "social media"})
_EMAIL: Final = re.compile(r"e[-_ ]?mail|newsletter|klaviyo|mailchimp")
_OFFLINE: Final = frozenset({"offline", "print", "tv", "radio", "billboard", "flyer", "qr", "store", "event", "phone"})
_PAYING: Final = (
    (re.compile(r"(?:.*\.)?(?:google[\w .-]*|adwords|gads|youtube|dv360)(?:\.[a-z.]+)?"), "google_ads"),
    (re.compile(r"(?:.*\.)?(?:bing[\w -]*|microsoft[\w -]*|msn|msads)(?:\.[a-z.]+)?"), "microsoft_ads"),
    (
        re.compile(r"(?:.*\.)?(?:facebook[\w -]*|instagram[\w -]*|fb|ig|meta[\w -]*|messenger|an)(?:\.[a-z.]+)?"),
        "meta_ads",
    ),
    (re.compile(r"(?:.*\.)?tiktok[\w -]*(?:\.[a-z.]+)?"), "tiktok_ads"),
)

_NAMES: Final = {
    "chatgpt ads": CHATGPT, "chatgpt ad": CHATGPT, "openai ads": CHATGPT, "google": "google_ads",
    "google ads": "google_ads", "adwords": "google_ads", "meta": "meta_ads", "meta ads": "meta_ads",
    "facebook": "meta_ads", "facebook ads": "meta_ads", "instagram ads": "meta_ads", "microsoft": "microsoft_ads",
    "bing": "microsoft_ads", "bing ads": "microsoft_ads", "tiktok": "tiktok_ads", "ai assistants": "ai_assistant",
    "ai referrals": "ai_assistant", "e-mail": "email", "email marketing": "email", "newsletter": "email",
    "affiliates": "affiliate", "referrals": "referral", "direct traffic": "direct", "offline sources": "offline",
    "wom": "word_of_mouth",
}  # fmt: skip


def named(text: str) -> str | None:
    """The channel that somebody has written by its name, `Google Ads` or `google_ads`; None: there is no such one."""
    plain = " ".join(text.replace("_", " ").casefold().split())
    name = plain.replace(" ", "_")
    return name if name in CHANNELS else _NAMES.get(plain)


def campaign(text: str | None) -> str:
    """The campaign's name as tables hold it; `(none)` for all that means none."""
    plain = (text or "").strip()
    return NONE if plain.casefold() in _NOTHING else plain


def channel(source: str | None, medium: str | None, patterns: Iterable[tuple[str, str]] = ()) -> str:
    """The channel of a visit. ``patterns`` are the settings' own, `newsletter* / *` and its channel; they come first.

    A pattern is compared with `source / medium` as a whole, in lower case; `*` stands for anything.
    """
    return _channel(_plain(source), _plain(medium), tuple(patterns))


def _plain(text: str | None) -> str:
    return " ".join((text or "").casefold().split())


@lru_cache(maxsize=4096)
def _channel(source: str, medium: str, patterns: tuple[tuple[str, str], ...]) -> str:
    both = f"{source} / {medium}"
    for pattern, meant in patterns:
        if fnmatchcase(both, pattern.casefold()):
            return meant
    is_paid = _PAID.fullmatch(medium) is not None
    if _CHATGPT.fullmatch(source):
        return CHATGPT if is_paid else "ai_assistant"
    if is_paid or medium in _DISPLAY:
        return next((name for sites, name in _PAYING if sites.fullmatch(source)), "other")
    if source in ("(direct)", "direct", "") and medium in _NOTHING:
        return "direct"
    return _unpaid(source, medium)


def _unpaid(source: str, medium: str) -> str:
    if _EMAIL.fullmatch(medium) or _EMAIL.fullmatch(source):
        return "email"
    if medium in ("affiliate", "affiliates"):
        return "affiliate"
    if medium in _OFFLINE:
        return "offline"
    if medium in ("word_of_mouth", "word of mouth", "wom"):
        return "word_of_mouth"
    if _ASSISTANTS.fullmatch(source) or medium in ("ai-assistant", "ai assistant", "ai_assistant"):
        return "ai_assistant"
    if medium in _SOCIAL_MEDIUMS or _SOCIAL.fullmatch(source):
        return "organic_social"
    if medium == "organic" or (medium == "referral" and _SEARCH.fullmatch(source)):
        return "organic_search"
    return "referral" if medium in ("referral", "app", "link") else "other"
