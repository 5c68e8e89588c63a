"""A CRM's stages: the exports of HubSpot and Salesforce, and a plain CSV. One row for each stage that a lead reached.

An export shows the stage of today and some dates. What is taken from them is on docs/measuring.md; a stage whose day
the export does not tell is not invented, except that the first one is reached when the record was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from measurement.inputs.cells import has_email
from measurement.inputs.channels import channel, named
from measurement.inputs.reading import Field, Row, Sheet, noted, sheets
from measurement.settings import Input, Settings
from measurement.tables import CHANNELS, STAGES, UNKNOWN

_LINKS: Final = (
    Field("order_id", ("order id", "shopify order id", "transaction id"), "order", column=False, filled=False),
    Field("utm_source", ("utm source",), column=False, filled=False),
    Field("utm_medium", ("utm medium",), column=False, filled=False),
    Field("campaign", ("utm campaign", "campaign", "primary campaign source"), "campaign", column=False, filled=False),
)


def _time(name: str, *spellings: str, column: bool = False, filled: bool = False) -> Field:
    return Field(name, spellings, "moment", column=column, filled=filled, day_will_do=True)


PLAIN: Final = (
    Field("lead", ("lead", "lead id", "id", "record id"), "person"),
    Field("stage", ("stage", "status")),
    _time("at", "at", "date", "time", "reached at", column=True, filled=True),
    Field("source", ("source", "channel", "lead source"), column=False, filled=False),
    Field("currency", ("currency",), "currency", column=False, filled=False),
    Field("value", ("value", "amount"), "money", column=False, filled=False),
    *_LINKS,
)
HUBSPOT_DEALS: Final = (
    Field("lead", ("record id", "deal id"), "person"),
    Field("stage", ("deal stage",)),
    _time("created", "create date", column=True, filled=True),
    _time("closed", "close date"),
    _time("entered", "date entered current stage", "last stage change date"),
    Field("source", ("original traffic source", "original source", "original source type", "latest traffic source"),
          column=False, filled=False),
    Field("currency", ("currency", "deal currency code"), "currency", column=False, filled=False),
    Field("value", ("amount", "amount in company currency"), "money", column=False, filled=False),
    *_LINKS,
)  # fmt: skip
"""HubSpot: CRM > Deals > Export."""
HUBSPOT_CONTACTS: Final = (
    Field("lead", ("record id", "contact id"), "person"),
    _time("created", "create date", column=True, filled=True),
    _time("became_lead", "became a lead date"),
    _time("became_mql", "became a marketing qualified lead date"),
    _time("became_sql", "became a sales qualified lead date"),
    _time("became_opportunity", "became an opportunity date"),
    _time("became_customer", "became a customer date"),
    Field("source", ("original traffic source", "original source"), column=False, filled=False),
    *_LINKS,
)
"""HubSpot: CRM > Contacts > Export, all properties."""
SALESFORCE_OPPORTUNITIES: Final = (
    Field("lead", ("opportunity id", "id"), "person"),
    Field("stage", ("stage", "stagename", "stage name")),
    _time("created", "created date", "createddate", "create date", column=True, filled=True),
    _time("closed", "close date", "closedate"),
    _time("entered", "last stage change date", "laststagechangedate"),
    Field("source", ("lead source", "leadsource"), column=False, filled=False),
    Field("currency", ("amount currency", "currency", "currency iso code", "currencyisocode"), "currency",
          column=False, filled=False),
    Field("value", ("amount",), "money", column=False, filled=False),
    *_LINKS,
)  # fmt: skip
"""Salesforce: a report on opportunities > Export > Details only, or Data Export's Opportunity.csv."""
SALESFORCE_LEADS: Final = (
    Field("lead", ("lead id", "id"), "person"),
    Field("stage", ("lead status", "status")),
    _time("created", "create date", "created date", "createddate", column=True, filled=True),
    _time("closed", "converted date", "converteddate"),
    Field("source", ("lead source", "leadsource"), column=False, filled=False),
    *_LINKS,
)

_DEAL_STAGES: Final = {
    "appointment scheduled": "sql", "qualified to buy": "sql", "presentation scheduled": "opportunity",
    "decision maker bought-in": "opportunity", "contract sent": "opportunity", "closed won": "won",
    "closed lost": "lost",
}  # fmt: skip
"""HubSpot's own sales pipeline, as it is delivered."""
_OPPORTUNITY_STAGES: Final = {
    "prospecting": "sql", "qualification": "sql", "needs analysis": "opportunity", "value proposition": "opportunity",
    "id. decision makers": "opportunity", "perception analysis": "opportunity", "proposal/price quote": "opportunity",
    "negotiation/review": "opportunity", "closed won": "won", "closed lost": "lost",
}  # fmt: skip
_LEAD_STAGES: Final = {
    "open - not contacted": "lead", "working - contacted": "mql", "closed - converted": "sql",
    "closed - not converted": "lost", "new": "lead", "contacted": "lead", "nurturing": "lead", "qualified": "sql",
    "unqualified": "lost",
}  # fmt: skip
_SOURCES: Final = {
    "organic search": "organic_search", "organic social": "organic_social", "email marketing": "email",
    "referrals": "referral", "direct traffic": "direct", "offline sources": "offline", "ai referrals": "ai_assistant",
    "other campaigns": "other", "other": "other", "word of mouth": "word_of_mouth",
    "employee referral": "word_of_mouth",
    "external referral": "word_of_mouth", "trade show": "offline", "phone inquiry": "offline", "partner": "referral",
    "partner referral": "referral", "purchased list": "offline",
}  # fmt: skip
"""What a CRM's own words mean. Paid search and paid social are not here: they may be anybody's ads."""
_AMBIGUOUS: Final = frozenset({"paid search", "paid social", "web", "advertisement", "google", "facebook", "chatgpt"})


class Words:
    """The words of one file that mean nothing yet, collected so that one problem lists them all."""

    def __init__(self, meant: Mapping[str, str]) -> None:
        self.meant = meant
        self.unknown: dict[str, list[int]] = {}

    def of(self, word: str, line: int) -> str | None:
        """What a word means; None: it is remembered as unknown."""
        plain = _plain(word)
        found = self.meant.get(plain) or self.meant.get(re.sub(r" ?\([^()]*\)$", "", plain))
        if found is None:
            self.unknown.setdefault(word if len(word) <= 60 and not has_email(word) else "(not shown)", []).append(line)
        return found


def _plain(word: str) -> str:
    return " ".join(word.casefold().split())


def _own(entry: Input, name: str) -> dict[str, str]:
    given = entry.options.get(name, {})
    return {_plain(str(word)): str(meant) for word, meant in given.items()} if isinstance(given, Mapping) else {}


Reached = Callable[[Row, Words], Iterable[tuple[str, int | None]]]


def _reader(fields: tuple[Field, ...], stages: Mapping[str, str], reached: Reached) -> Any:
    def read(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for sheet in sheets(entry, settings, fields):
            stage_words = Words({**stages, **{stage: stage for stage in STAGES}, **_own(entry, "stages")})
            source_words = Words({**_SOURCES, **_own(entry, "sources")})
            yield from _rows(sheet, settings, reached, stage_words, source_words)
            yield from noted(sheet)

    return read


def _rows(
    sheet: Sheet, settings: Settings, reached: Reached, stages: Words, sources: Words
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for row in sheet:
        where = _channel(row, settings, sources)
        for stage, at_ms in reached(row, stages):
            if at_ms is not None:
                yield (
                    "crm",
                    row.made(
                        lead=row["lead"], stage=stage, at_ms=at_ms, channel=where, campaign=row["campaign"],
                        order_id=row["order_id"], value=row["value"],
                    ),
                )  # fmt: skip
    for words, what, option, choices in (
        (stages, "stage", "stages", STAGES),
        (sources, "source", "sources", ("google_ads", "organic_search", "…")),
    ):
        if words.unknown:
            listed = ", ".join(f"»{word}« ({len(on)})" for word, on in list(words.unknown.items())[:20])
            first = min(min(on) for on in words.unknown.values())
            sheet.fail(
                first,
                f"these words of the column of the {what} are not mapped: {listed}",
                f'Say under [input.{option}] what each means, such as "{next(iter(words.unknown))}" = "{choices[0]}" '
                f"({', '.join(choices)})",
            )


def _channel(row: Row, settings: Settings, sources: Words) -> str:
    if row["utm_source"] or row["utm_medium"]:
        return channel(row["utm_source"], row["utm_medium"], settings.channels)
    said = row["source"]
    if not said:
        return UNKNOWN
    if said in CHANNELS:
        return str(said)
    plain = _plain(said)
    if plain not in sources.meant and plain not in _AMBIGUOUS and (name := named(said)) is not None:
        return name
    return sources.of(said, row.line) or UNKNOWN


def _as_told(row: Row, words: Words) -> Iterator[tuple[str, int | None]]:
    stage = words.of(row["stage"], row.line)
    if stage is not None:
        yield stage, row["at"]


def _deal(row: Row, words: Words) -> Iterator[tuple[str, int | None]]:
    """A deal is an opportunity from its making on; its stage of today beside it, where the export says since when."""
    stage = words.of(row["stage"], row.line)
    yield "opportunity", row["created"]
    if stage in ("won", "lost"):
        yield stage, row["closed"] or row["entered"]
    elif stage not in (None, "opportunity"):
        yield stage, row["entered"] or row["created"]


def _lead(row: Row, words: Words) -> Iterator[tuple[str, int | None]]:
    stage = words.of(row["stage"], row.line)
    yield "lead", row["created"]
    if stage not in (None, "lead"):
        yield stage, row["closed"] or row["created"]


def _contact(row: Row, _: Words) -> Iterator[tuple[str, int | None]]:
    yield "lead", row["became_lead"] or row["created"]
    yield "mql", row["became_mql"]
    yield "sql", row["became_sql"]
    yield "opportunity", row["became_opportunity"]
    yield "won", row["became_customer"]


IMPORTERS: Final = {
    "crm": _reader(PLAIN, {}, _as_told),
    "hubspot_deals": _reader(HUBSPOT_DEALS, _DEAL_STAGES, _deal),
    "hubspot_contacts": _reader(HUBSPOT_CONTACTS, {}, _contact),
    "salesforce_opportunities": _reader(SALESFORCE_OPPORTUNITIES, _OPPORTUNITY_STAGES, _deal),
    "salesforce_leads": _reader(SALESFORCE_LEADS, _LEAD_STAGES, _lead),
}
OPTIONS: Final = {kind: frozenset({"stages", "sources"}) for kind in IMPORTERS}
