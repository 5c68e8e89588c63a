"""docs/measurement-tables.md from the schemas: ``python -m measurement.tables_page > docs/measurement-tables.md``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from measurement.tables import CHANNELS, STAGES, TABLES, Column, Type

_MEANING: dict[Type, str] = {
    "text": "text",
    "day": "day",
    "moment": "time, Unix ms (UTC)",
    "count": "whole number",
    "money": "amount, whole minor units",
    "flag": "yes or no",
}


_HEAD = """\
# The tables of a report

Written by `python -m measurement.tables_page`; a test holds it against the code. Every input becomes rows of these
tables, `<workspace>/<table>.parquet`, and everything in a report is computed from them.

Times are Unix milliseconds (UTC). Days are days in the report's time zone. Amounts are whole minor units of the
report's currency: 8900 is USD 89.00 and JPY 8,900. No table holds an e-mail address, a phone number or a name.

**Channels**: {channels}.
`chatgpt` is the ads, `ai_assistant` an answer of an assistant that nobody paid for,
`unknown` a conversion without any touch.

**Stages** of a CRM: {stages}."""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _HEAD.format(channels=_listed(CHANNELS), stages=_listed(STAGES))
    for table in TABLES.values():
        yield ""
        yield f"## {table.name}"
        yield ""
        yield f"{table.about[0].upper()}{table.about[1:]}. Rows are told apart by {_listed(table.key)}."
        yield ""
        yield "| column | what | kind |"
        yield "|---|---|---|"
        for column in table.columns:
            yield f"| `{column.name}` | {column.about} | {_kind(column)} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in names)


def _kind(column: Column) -> str:
    kind = _MEANING[column.type]
    if column.choices and column.choices not in (CHANNELS, STAGES):
        kind = _listed(column.choices)
    elif column.choices:
        kind = "a channel" if column.choices == CHANNELS else "a stage"
    return kind if column.required else f"{kind}; may be empty"


if __name__ == "__main__":
    print(page(), end="")
