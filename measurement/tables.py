"""The tables that everything is computed from, one schema each. Importers write them, queries read them.

Times are Unix milliseconds (UTC), days are days in the report's time zone, money is whole minor units of the report's
currency. No table holds an e-mail address, a phone number or a name: `person` is an identifier of the shop or of GA4,
or a digest.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["text", "day", "moment", "count", "money", "flag"]
IBIS_TYPES: Final[dict[Type, str]] = {
    "text": "string",
    "day": "date",
    "moment": "int64",
    "count": "int64",
    "money": "int64",
    "flag": "boolean",
}
"""What a column's type is in a query and in Parquet. A moment is a number, so that no engine's idea of a time zone
matters."""

BUCKETS: Final = 512
"""Into how many random parts persons are divided; the bootstrap draws parts instead of persons."""
CHATGPT: Final = "chatgpt"
UNKNOWN: Final = "unknown"
"""The channel of a conversion without any touch. It is a channel of its own and never shared out."""
CHANNELS: Final = (
    CHATGPT, "google_ads", "meta_ads", "microsoft_ads", "tiktok_ads", "organic_search", "organic_social",
    "ai_assistant", "email", "affiliate", "referral", "offline", "word_of_mouth", "direct", "other", UNKNOWN,
)  # fmt: skip
"""All channels there are. `chatgpt` is the ads; `ai_assistant` is an answer of an assistant that nobody paid for."""
STAGES: Final = ("lead", "mql", "sql", "opportunity", "won", "lost")
"""A CRM's stages, in order."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. ``required``: it must be there and is never empty. ``choices``: it holds one of these."""

    name: str
    type: Type
    about: str
    required: bool = True
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``key``: the columns that tell its rows apart; a second row with the same ones is a duplicate."""

    name: str
    about: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def column(self, name: str) -> Column:
        """The column of this name."""
        return next(each for each in self.columns if each.name == name)


def bucket(who: str) -> int:
    """The random part, 0 to 511, of a person (or of a conversion that is nobody's). The same on every machine."""
    return zlib.crc32(who.encode()) % BUCKETS


_DAY: Final = Column("day", "day", "in the report's time zone")
_BUCKET: Final = Column("bucket", "count", "`bucket` of the person, or of the conversion where that is not known")
_CHANNEL: Final = Column("channel", "text", "one of the channels", choices=CHANNELS)
_CAMPAIGN: Final = Column("campaign", "text", "the campaign's name; (none) where there is none")
_ORDER: Final = Column("order_id", "text", "the shop's order id, the thing that all layers have in common", False)
_PERSON: Final = Column("person", "text", "who, as touches name them: an id or a digest", False)

TABLES: Final = {
    table.name: table
    for table in (
        Table(
            "conversions",
            "what the relay's ledger holds: one row a conversion",
            (
                Column("conversion", "text", "the ledger key, `order_created#shopify:6184203910411`"),
                Column("type", "text", "the event's type, such as `order_created`"),
                Column("source", "text", "`shopify`, `stripe`, `callrail` …"),
                Column("action_source", "text", "`web`, `physical_store`, `phone_call` …"),
                _ORDER,
                _PERSON,
                Column("at_ms", "moment", "when it happened"),
                _DAY,
                Column("value", "money", "what it is worth", False),
                Column(
                    "status", "text", "what became of it", choices=("recorded", "sent", "rejected", "expired", "shadow")
                ),
                Column("reason", "text", "why it was rejected or has expired", False),
                Column("clicked", "flag", "it carries a ChatGPT click reference (oppref)"),
                Column("match_keys", "text", "by what OpenAI can match it, in words: `oppref email phone`; `none`"),
                Column("market", "text", "country and region, `US-CA`, for geo tests", False),
                _BUCKET,
            ),
            ("conversion",),
        ),
        Table(
            "deliveries",
            "what became of the webhooks, counted from the receivers' log lines",
            (
                _DAY,
                Column("source", "text", "`shopify`, `stripe` …"),
                Column("type", "text", "the event's type where one was recorded, else the topic", False),
                Column("outcome", "text", "`recorded`, `duplicate`, `ignored` …"),
                Column("reason", "text", "why, as the log says it", False),
                Column("deliveries", "count", "how many"),
            ),
            ("day", "source", "type", "outcome", "reason"),
        ),
        Table(
            "orders",
            "the source of truth: what the shop, the payment platform or the CRM itself counts",
            (
                Column("order_id", "text", "the platform's id"),
                Column("source", "text", "`shopify`, `stripe` …"),
                Column("type", "text", "the event's type that it should become"),
                Column("at_ms", "moment", "when it happened"),
                _DAY,
                Column("value", "money", "what it is worth", False),
                Column("counts", "flag", "whether it should count: paid, not a test, not cancelled"),
                Column("why_not", "text", "if not, why", False),
            ),
            ("source", "type", "order_id"),
        ),
        Table(
            "touches",
            "contacts of a person with a channel before the conversion: clicks, visits, seen ads",
            (
                Column("person", "text", "who: an id or a digest"),
                Column("at_ms", "moment", "when"),
                _DAY,
                _CHANNEL,
                _CAMPAIGN,
                Column("kind", "text", "what it was", choices=("click", "visit", "view")),
                Column("origin", "text", "which layer says so: `click_memory`, `ga4`, `file`"),
                _BUCKET,
            ),
            ("person", "at_ms", "channel", "campaign", "kind"),
        ),
        Table(
            "links",
            "which person placed which order, where a layer knows it",
            (Column("order_id", "text", "the shop's order id"), Column("person", "text", "who, as touches name them")),
            ("order_id", "person"),
        ),
        Table(
            "ads",
            "what was paid and delivered, by day, channel and campaign",
            (
                _DAY,
                _CHANNEL,
                _CAMPAIGN,
                Column("impressions", "count", "ads shown", False),
                Column("clicks", "count", "clicks on ads", False),
                Column("spend", "money", "what it cost", False),
            ),
            ("day", "channel", "campaign"),
        ),
        Table(
            "attributed",
            "what the ad platform itself attributes, click-through and view-through apart",
            (
                _DAY,
                _CHANNEL,
                _CAMPAIGN,
                Column("type", "text", "the event's type; (all) where the platform does not tell them apart"),
                Column("basis", "text", "whose day it is", choices=("ad_event_time", "conversion_time")),
                Column("window_days", "count", "click window in days"),
                Column("click_through", "count", "conversions after a click"),
                Column("view_through", "count", "conversions after a view alone", False),
                Column("value", "money", "attributed sales", False),
            ),
            ("day", "channel", "campaign", "type", "basis", "window_days"),
        ),
        Table(
            "sessions",
            "GA4: visits by day, channel and campaign, and how far they came",
            (
                _DAY,
                _CHANNEL,
                _CAMPAIGN,
                Column("sessions", "count", "visits"),
                Column("engaged", "count", "engaged visits: 10 s, a key event or two pages (GA4's rule)"),
                Column("micro", "count", "visits with a small step: a cart, a checkout, a sign-up"),
                Column("macro", "count", "visits with a purchase or lead"),
                Column("value", "money", "GA4's revenue", False),
            ),
            ("day", "channel", "campaign"),
        ),
        Table(
            "purchases",
            "GA4: the orders that it saw",
            (
                Column("order_id", "text", "GA4's transaction_id"),
                Column("at_ms", "moment", "when; the day's noon where GA4 says the day only"),
                _DAY,
                _CHANNEL,
                _CAMPAIGN,
                _PERSON,
                Column("value", "money", "GA4's revenue", False),
            ),
            ("order_id",),
        ),
        Table(
            "crm",
            "a CRM's stages: one row for each stage that a lead reached",
            (
                Column("lead", "text", "the CRM's id"),
                Column("stage", "text", "the stage", choices=STAGES),
                Column("at_ms", "moment", "when it was reached"),
                _DAY,
                Column("channel", "text", "what the CRM says where it came from", choices=CHANNELS),
                _CAMPAIGN,
                _ORDER,
                Column("value", "money", "what it is worth", False),
            ),
            ("lead", "stage"),
        ),
        Table(
            "survey",
            "answers to the question after the purchase",
            (
                Column("answer_id", "text", "the survey tool's id"),
                _ORDER,
                Column("at_ms", "moment", "when"),
                _DAY,
                Column("answer", "text", "the option that was chosen; free text is never kept"),
                Column("channel", "text", "what the option means (settings)", choices=CHANNELS),
            ),
            ("answer_id",),
        ),
        Table(
            "sales",
            "sales by day and market, for geo tests: the history that the ledger no longer holds",
            (
                _DAY,
                Column("market", "text", "country and region, `US-CA`"),
                Column("conversions", "count", "how many"),
                Column("value", "money", "what they are worth", False),
            ),
            ("day", "market"),
        ),
    )
}
"""Every table by name."""
