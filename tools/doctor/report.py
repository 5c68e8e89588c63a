"""The report: for people in a terminal, as a page of its own, and as one object for machines."""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tools.doctor.findings import Finding

_COLOURS: Final = {"error": "red", "warning": "yellow"}
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class Report:
    """What a look at a page gave. ``looked``: by which means; ``url``: where it ended, "" for a file."""

    target: str
    url: str
    looked: str
    findings: list[Finding]
    notes: list[str]

    @property
    def counts(self) -> Counter[str]:
        return Counter(each.severity for each in self.findings)

    @property
    def verdict(self) -> str:
        """One line: how much is wrong."""
        if not self.findings:
            return "Nothing wrong was found."
        parts = [
            f"{number} {name}{'s' if number > 1 else ''}"
            for name in ("error", "warning")
            if (number := self.counts[name])
        ]
        return ", ".join(parts) + "."


def as_object(report: Report) -> dict[str, Any]:
    """The report as ``--json`` prints it."""
    return {
        "target": report.target,
        "url": report.url or None,
        "looked": report.looked,
        "errors": report.counts["error"],
        "warnings": report.counts["warning"],
        "findings": [
            {
                "code": each.code,
                "severity": each.severity,
                "what": each.kind.title,
                "found": clean(each.said),
                "where": clean(each.location),
                "line": each.place.line if each.place else None,
                "column": each.place.column if each.place else None,
                "why": each.kind.why,
                "fix": each.kind.fix,
            }
            for each in report.findings
        ],
        "notes": [clean(each) for each in report.notes],
    }


def show(report: Report, console: Console) -> None:
    """Print the report."""
    console.print(Text.assemble(("relay doctor  ", "bold"), clean(report.target)))
    console.print(Text(f"looked {report.looked}", style="dim"))
    console.print()
    for each in report.findings:
        console.print(_panel(each))
    for note in report.notes:
        console.print(Padding(Text.assemble(("Note: ", "bold"), clean(note)), (0, 0, 0, 1)))
    if report.notes:
        console.print()
    colour = "red" if report.counts["error"] else "yellow" if report.findings else "green"
    console.print(Text(report.verdict, style=f"bold {colour}"))


def _panel(each: Finding) -> RenderableType:
    colour = _COLOURS[each.severity]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1)
    for name, text in (
        ("where", each.location or "the page"),
        ("found", each.said),
        ("why", each.kind.why),
        ("fix", each.kind.fix),
    ):
        table.add_row(name, Text(clean(text), style="bold" if name == "fix" else ""))
    title = Text.assemble(
        (f" {each.severity} ", f"bold white on {colour}" if colour == "red" else "bold black on yellow")
    )
    title.append(f" {each.kind.title} ", style=f"bold {colour}")
    return Panel(
        Group(table), title=title, title_align="left", subtitle=each.code, subtitle_align="right", border_style=colour
    )


def clean(text: str) -> str:
    """Text of a page without what steers a terminal or turns the direction of writing."""
    return _UNPRINTABLE.sub(" ", text)


_STYLE: Final = """
:root { color-scheme: light dark; --error: #b3261e; --warning: #8a5a00; --good: #1b6e3c; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; } .looked { opacity: .7; margin: .2rem 0 1.2rem; }
.verdict { font-size: 1.15rem; font-weight: 600; }
article { border: 1px solid var(--line); border-left: 6px solid var(--colour); border-radius: 6px;
  padding: .8rem 1rem; margin: 1rem 0; }
.error { --colour: var(--error); } .warning { --colour: var(--warning); } .good { --colour: var(--good); }
.verdict, .mark { color: var(--colour); } @media (prefers-color-scheme: dark) {
:root { --error: #ff8a80; --warning: #ffc857; --good: #7bd89a; } }
h2 { font-size: 1.05rem; margin: 0 0 .4rem; }
.mark { text-transform: uppercase; font-size: .75rem; letter-spacing: .05em; }
dl { display: grid; grid-template-columns: 4rem 1fr; gap: .2rem .8rem; margin: 0; } dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; } .fix { font-weight: 600; } code { opacity: .7; font-size: .85rem; }
"""


def as_page(report: Report) -> str:
    """The report as a page that needs nothing else: no script, no font, no address."""
    level = "error" if report.counts["error"] else "warning" if report.findings else "good"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>relay doctor: {_escaped(report.verdict)}</title>",
        f"<style>{_STYLE}</style>",
        f"<h1>{_escaped(report.target)}</h1>",
        f'<p class="looked">relay doctor, looked {_escaped(report.looked)}</p>',
        f'<p class="verdict {level}">{_escaped(report.verdict)}</p>',
    ]
    for each in report.findings:
        rows = (
            ("where", each.location or "the page"),
            ("found", each.said),
            ("why", each.kind.why),
            ("fix", each.kind.fix),
        )
        held = "".join(f'<dt>{name}</dt><dd class="{name}">{_escaped(text)}</dd>' for name, text in rows)
        parts.append(
            f'<article class="{each.severity}"><span class="mark">{each.severity}</span> <code>{each.code}</code>'
            f"<h2>{_escaped(each.kind.title)}</h2><dl>{held}</dl></article>"
        )
    parts += [f"<p>Note: {_escaped(each)}</p>" for each in report.notes]
    return "\n".join(parts) + "\n</html>\n"


def _escaped(text: str) -> str:
    return html.escape(clean(text))
