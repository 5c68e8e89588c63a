"""Templates of snippets: what is filled in, included and left out.

``«js:name»``, ``«html:name»``, ``«php:name»`` and ``«raw:name»`` are values, written for the place in which they stand:
a JavaScript literal, an attribute's value, a PHP string, plain text. ``«include:file»`` is another template, at the
same indentation. A line with ``«if a|b»`` begins what is printed only when a or b is on, up to a line with ``«end»``.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "templates"
_VALUE: Final = re.compile(r"«(js|html|php|raw):([a-z_]+)»")
_INCLUDE: Final = re.compile(r"( *)«include:([a-z./-]+)»")
_IF: Final = re.compile(r"«if ([a-z_|=]+)»")
_END: Final = "«end»"


def javascript(value: object) -> str:
    """A JavaScript literal that may also stand inside a script element."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def attribute(value: object) -> str:
    """The value of an HTML attribute in double quotes."""
    return html.escape(str(value), quote=True)


def php(value: object) -> str:
    """A PHP string in single quotes."""
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


_WRITTEN: Final[Mapping[str, Callable[[object], str]]] = {
    "js": javascript,
    "html": attribute,
    "php": php,
    "raw": str,
}


def filled(template: str, values: Mapping[str, object], on: Set[str], includes: Mapping[str, str] | None = None) -> str:
    """The text of a template. ``includes`` names files for names that stand for different ones.

    Raises:
        KeyError: the template wants a value that is not there.
        ValueError: an «if» without an «end», or the other way round.
    """
    lines = _chosen(_lines(template, includes or {}), on, template)
    text = _VALUE.sub(lambda found: _WRITTEN[found[1]](values[found[2]]), "\n".join(lines))
    text = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _lines(template: str, includes: Mapping[str, str]) -> Iterator[str]:
    for line in (TEMPLATES / template).read_text(encoding="utf-8").splitlines():
        included = _INCLUDE.fullmatch(line)
        if included is None:
            yield line
            continue
        indent, name = included.groups()
        for inner in _lines(includes.get(name, name), includes):
            yield indent + inner if inner else ""


def _chosen(lines: Iterator[str], on: Set[str], template: str) -> Iterator[str]:
    shown: list[bool] = []
    for line in lines:
        begins = _IF.search(line)
        if begins:
            shown.append(not on.isdisjoint(begins[1].split("|")))
        elif _END in line:
            if not shown:
                raise ValueError(f"{template}: «end» without «if»")
            shown.pop()
        elif all(shown):
            yield line
    if shown:
        raise ValueError(f"{template}: «if» without «end»")
