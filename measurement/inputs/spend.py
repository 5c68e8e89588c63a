"""What was paid for ads, by day, channel and campaign: a plain CSV, and the exports of Google Ads and Meta Ads.

Such exports are often split finer than the table (by ad group, ad, device, placement). Rows of one file with the same
day, channel and campaign are added up; a line that is there twice word for word counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from measurement.inputs.channels import named
from measurement.inputs.reading import Field, noted, sheets
from measurement.settings import Input, Settings

_CURRENCY: Final = Field(
    "currency", ("currency", "currency code", "account currency"), "currency", column=False, filled=False
)

PLAIN: Final = (
    Field("day", ("day", "date"), "day"),
    Field("channel", ("channel", "platform"), column=False),
    Field("campaign", ("campaign", "campaign name"), "campaign", column=False, filled=False),
    Field("impressions", ("impressions", "impr."), "count", column=False, filled=False),
    Field("clicks", ("clicks",), "count", column=False, filled=False),
    _CURRENCY,
    Field("spend", ("spend", "cost", "amount spent"), "money", filled=False),
)
GOOGLE: Final = (
    Field("day", ("day", "date"), "day"),
    Field("campaign", ("campaign", "campaign name"), "campaign"),
    Field("impressions", ("impr.", "impressions"), "count", column=False, filled=False),
    Field("clicks", ("clicks",), "count", column=False, filled=False),
    _CURRENCY,
    Field("spend", ("cost",), "money", filled=False),
)
"""Google Ads > Campaigns > Segment: Day > Download. Two lines stand before the heading, totals after the rows."""


_WHOLE: Final = ("day", "channel", "campaign")


def _meta(currencies: Iterable[str]) -> tuple[Field, ...]:
    spent = ("amount spent", *(f"amount spent ({each})" for each in currencies))
    return (
        Field("day", ("day", "reporting starts", "date"), "day"),
        Field("until", ("reporting ends",), "day", column=False, filled=False),
        Field("campaign", ("campaign name", "campaign"), "campaign"),
        Field("impressions", ("impressions",), "count", column=False, filled=False),
        Field("clicks", ("link clicks", "clicks (all)", "clicks"), "count", column=False, filled=False),
        _CURRENCY,
        Field("spend", spent, "money", filled=False),
    )


def spend(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """A plain CSV: day, channel, campaign, impressions, clicks, spend, currency."""
    fixed = _fixed(entry)
    for sheet in sheets(entry, settings, PLAIN, totals=_WHOLE, one_of=() if fixed else ("channel",), sums=True):
        for row in sheet:
            channel = fixed or named(row["channel"] or "")
            if channel is None:
                row.bad(
                    "the channel is none that is known",
                    'Write one of docs/measurement-tables.md, or say channel = "google_ads" for the whole file',
                )
                continue
            yield "ads", row.made(channel=channel, **_delivered(row))
        yield from noted(sheet)


def google_ads(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Google Ads' campaign report by day."""
    presets = {"thousands": "" if entry.options.get("decimal") == "," else ","}
    for sheet in sheets(entry, settings, GOOGLE, presets=presets, totals=("day", "campaign"), sums=True):
        for row in sheet:
            yield "ads", row.made(channel=_fixed(entry) or "google_ads", **_delivered(row))
        yield from noted(sheet)


def meta_ads(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Meta Ads Manager's export with the breakdown by day."""
    from conversion_relay.money import EXPONENTS

    presets = {"thousands": "" if entry.options.get("decimal") == "," else ","}
    for sheet in sheets(entry, settings, _meta(EXPONENTS), presets=presets, totals=("day", "campaign"), sums=True):
        for row in sheet:
            if row["until"] is not None and row["until"] != row["day"]:
                row.bad("the row covers more than one day", "Export it with Breakdown > By time > Day")
                continue
            yield "ads", row.made(channel=_fixed(entry) or "meta_ads", **_delivered(row))
        yield from noted(sheet)


def _delivered(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("day", "campaign", "impressions", "clicks", "spend")}


def _fixed(entry: Input) -> str | None:
    given = entry.options.get("channel")
    return named(given) if isinstance(given, str) else None


IMPORTERS: Final = {"spend": spend, "google_ads": google_ads, "meta_ads": meta_ads}
OPTIONS: Final = {kind: frozenset({"channel"}) for kind in IMPORTERS}
