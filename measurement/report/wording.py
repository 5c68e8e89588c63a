"""Numbers and names as people read them: in sentences, tables and charts."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date
from typing import Final

from conversion_relay import money
from measurement.estimate import Estimate

CHANNEL_NAMES: Final = {
    "chatgpt": "ChatGPT ads",
    "google_ads": "Google Ads",
    "meta_ads": "Meta Ads",
    "microsoft_ads": "Microsoft Ads",
    "tiktok_ads": "TikTok Ads",
    "organic_search": "Organic search",
    "organic_social": "Organic social",
    "ai_assistant": "AI assistants, unpaid",
    "email": "E-mail",
    "affiliate": "Affiliates",
    "referral": "Referral",
    "offline": "Offline",
    "word_of_mouth": "Word of mouth",
    "direct": "Direct",
    "other": "Other",
    "unknown": "Unknown (no touch)",
}
MODEL_NAMES: Final = {
    "last_click": "Last click",
    "first_touch_decay": "First touch",
    "time_decay": "Time decay",
    "markov": "Markov",
}
STAGE_NAMES: Final = {
    "truth": "Shop's own count",
    "received": "Received",
    "ignored": "Ignored, with a reason",
    "recorded": "Recorded",
    "sent": "Sent to OpenAI",
    "accepted": "Accepted by OpenAI",
    "attributed": "Attributed by OpenAI",
    "ga4": "GA4",
    "crm": "CRM",
}
STEP_NAMES: Final = {
    "click": "Click",
    "session": "Visit",
    "engaged": "Engaged visit",
    "micro": "Small step",
    "macro": "Conversion",
}
KEY_NAMES: Final = {
    "oppref": "ChatGPT click (oppref)",
    "obref": "Browser reference (obref)",
    "email": "E-mail, hashed",
    "phone": "Phone, hashed",
    "external_id": "Customer id, hashed",
}
LAYER_NAMES: Final = {
    "conversions": "Relay's ledger",
    "deliveries": "Relay's log lines",
    "orders": "Shop's own orders",
    "touches": "Clicks and visits",
    "links": "Order to person",
    "ads": "Spend and delivery",
    "attributed": "OpenAI's attribution",
    "sessions": "GA4 visits",
    "purchases": "GA4 purchases",
    "crm": "CRM stages",
    "survey": "Survey answers",
    "sales": "Sales by market",
}

_NARROW: Final = frozenset("iljtfrI.,:;'|!()[] ")
_WIDE: Final = frozenset("mwMW@%&—…")


def channel_name(channel: str) -> str:
    """What a channel is called. One that is not known is called as it is."""
    return CHANNEL_NAMES.get(channel, channel)


def type_name(conversion_type: str) -> str:
    """What the conversions of an event type are called, in the plural."""
    return {"order_created": "orders", "lead_created": "leads"}.get(conversion_type, "conversions")


def number(value: float) -> str:
    """A count: whole from 10 on (or where it is whole), with one decimal below."""
    if abs(value) >= 10 or float(value).is_integer():
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:,.1f}".replace("-", "−")


def compact(value: float) -> str:
    """A count of five characters at most, for charts."""
    size = abs(value)
    for limit, unit in ((999_500_000, "bn"), (999_500, "m"), (9_999.5, "k")):
        if size >= limit:
            held = value / {"bn": 1e9, "m": 1e6, "k": 1e3}[unit]
            return (f"{held:.0f}" if abs(held) >= 99.95 else f"{held:.1f}".removesuffix(".0")).replace("-", "−") + unit
    return number(value)


def share(value: float) -> str:
    """A share as per cent: whole from 10 % on, with one decimal below."""
    percent = value * 100
    return (f"{percent:.0f}" if abs(percent) >= 9.95 or percent == 0 else f"{percent:.1f}").replace("-", "−") + " %"


def amount(minor: float, currency: str) -> str:
    """An amount in a currency's minor units, as `1,204.50 EUR`; without cents from 1,000 on."""
    exponent = money.EXPONENTS.get(currency, 2)
    major = minor / 10**exponent
    decimals = 0 if abs(major) >= 1_000 else exponent
    return f"{major:,.{decimals}f} {currency}".replace("-", "−")


def times(value: float) -> str:
    """A return on spend, as `3.2×`."""
    return f"{value:.1f}×".replace("-", "−")


def probability(value: float) -> str:
    """A p-value."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def interval(estimate: Estimate, form: str = "number", currency: str = "EUR") -> str:
    """The interval, as `380 to 445`; empty where there is none. ``form`` as `formatted` has it."""
    if estimate.low is None or estimate.high is None:
        return ""
    low, high = (formatted(each, form, currency) for each in (estimate.low, estimate.high))
    unit = {"share": " %", "money": f" {currency}", "times": "×"}.get(form, "")
    return f"{low.removesuffix(unit)} to {high}"


def formatted(value: float, form: str, currency: str = "EUR") -> str:
    """A value in one of the forms `number`, `compact`, `share`, `money`, `times`, `probability`."""
    if form == "money":
        return amount(value, currency)
    forms = {"number": number, "compact": compact, "share": share, "times": times, "probability": probability}
    return forms[form](value)


def day(value: date) -> str:
    """A day, as `3 September 2026`."""
    return f"{value.day} {value:%B} {value.year}"


def short_day(value: date) -> str:
    """A day where the year is clear, as `3 Sep`."""
    return f"{value.day} {value:%b}"


def days(first: date, last: date) -> str:
    """Two days, inclusive."""
    if first == last:
        return day(first)
    if first.year == last.year:
        return f"{first.day} {first:%B} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def listed(words: Iterable[str]) -> str:
    """Words as `a, b and c`."""
    held = list(words)
    return held[0] if len(held) == 1 else f"{', '.join(held[:-1])} and {held[-1]}" if held else ""


def type_of(count: int, conversion_type: str) -> str:
    """A count of conversions of an event type, as `4,312 orders`."""
    things = type_name(conversion_type)
    return plural(count, things.removesuffix("s"), things)


def plural(count: float, singular: str, several: str | None = None) -> str:
    """A count with its noun."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"


def lowered(text: str) -> str:
    """A sentence's reason as part of another sentence: without a full stop, newlines as blanks."""
    return " ".join(text.split()).rstrip(".")


# Room -----------------------------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """A user's text without what cannot be seen: control characters, marks that turn the direction of writing."""
    seen = "".join(" " if unicodedata.category(each)[0] == "C" or each in "\u2028\u2029" else each for each in text)
    return " ".join(seen.split())


def text_width(text: str, size: float) -> float:
    """About how many pixels a text takes in a wide sans-serif face (DejaVu Sans; others take less)."""
    return size * sum(_em(each) for each in text)


def _em(character: str) -> float:
    if character in _NARROW:
        return 0.42
    if character in _WIDE:
        return 1.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.74 if character.isupper() else 0.65


def shortened(text: str, width: float, size: float) -> str:
    """The text, or as much of it as fits into ``width`` pixels, with an ellipsis; without what cannot be seen."""
    text = clean(text)
    if text_width(text, size) <= width:
        return text
    held = text
    while held and text_width(held + "…", size) > width:
        held = held[:-1]
    return held.rstrip() + "…"


def wrapped(text: str, width: float, size: float, lines: int) -> list[str]:
    """The text in at most so many lines of ``width`` pixels, broken between words where it can be."""
    held: list[str] = []
    rest = clean(text)
    while rest and len(held) < lines - 1 and text_width(rest, size) > width:
        end = next(each for each in range(len(rest), 0, -1) if text_width(rest[:each], size) <= width or each == 1)
        blank = rest.rfind(" ", 0, end + 1)
        end = blank if blank > end // 3 else end
        held.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*held, shortened(rest, width, size)] if rest or not held else held
