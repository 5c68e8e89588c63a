"""A page as it was served: its elements in order, each with its place, and whether it stands in the head.

Parsed by tree-sitter, which takes any bytes, never fails, and knows lines and columns.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import tree_sitter_html
from tree_sitter import Language, Node, Parser

LARGEST_PAGE: Final = 5_000_000
"""Bytes of a page that are looked at."""

DEEPEST_PAGE: Final = 4_000
"""Elements within each other that are followed."""

_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,40})")
_UNCLOSED: Final = frozenset(
    (
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
        "p",
        "li",
        "td",
        "th",
        "tr",
        "dt",
        "dd",
        "option",
        "tbody",
        "thead",
        "path",
    )
)
"""Elements that need no end tag."""
_HTML: Final = Language(tree_sitter_html.language())
_IN_HEAD: Final = frozenset(
    (
        "html",
        "head",
        "base",
        "basefont",
        "bgsound",
        "link",
        "meta",
        "title",
        "noscript",
        "noframes",
        "style",
        "script",
        "template",
    )
)
"""HTML standard, "in head": any other start tag ends the head, whatever the source says about it."""
_SCRIPT_TYPES: Final = frozenset(("", "module", "text/javascript", "application/javascript", "text/ecmascript"))
_MARK: Final = re.compile(r"\{\{|\{%|<\?|<%")
_CHARSET: Final = re.compile(rb"""charset\s*=\s*["']?([A-Za-z0-9_:.-]{1,40})""", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Place:
    """Where in the page: both count from 1, the column in characters."""

    line: int
    column: int


@dataclass(frozen=True)
class Element:
    """A start tag. ``text`` is what a script holds, and ``text_place`` where that begins."""

    tag: str
    attributes: Mapping[str, str]
    place: Place
    in_head: bool
    in_noscript: bool = False
    text: str = ""
    text_place: Place = Place(1, 1)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    @property
    def is_code(self) -> bool:
        """A script that the browser runs by itself."""
        return self.tag == "script" and self.get("type").split(";")[0].strip().lower() in _SCRIPT_TYPES

    @property
    def waits_for_consent(self) -> bool:
        """A script that a consent manager runs later: ``type="text/plain"`` is how they all hold one back."""
        return self.tag == "script" and self.get("type").strip().lower() == "text/plain"


@dataclass(frozen=True)
class Page:
    """A page: its address ("" for a file), its text, and the headers that it came with, names in lower case."""

    url: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def readable(self) -> str:
        """The text up to where it nests deeper than any page does, which no parser would get through in time."""
        depth = 0
        for found in _TAG.finditer(self.text):
            depth = max(0, depth - 1) if found.group(1) else depth + (found.group(2).lower() not in _UNCLOSED)
            if depth > DEEPEST_PAGE:
                return self.text[: found.start()]
        return self.text

    @cached_property
    def elements(self) -> list[Element]:
        return list(_elements(self.readable))

    @property
    def scripts(self) -> list[Element]:
        return [each for each in self.elements if each.tag == "script"]

    @property
    def is_html(self) -> bool:
        """Whether there is any element of a page in it."""
        return any(each.tag in _PAGE_TAGS for each in self.elements)


_PAGE_TAGS: Final = frozenset(
    ("html", "head", "body", "title", "meta", "script", "link", "div", "p", "h1", "a", "img", "form", "main", "section")
)


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a page: by the charset of its header, else of its meta tag, else UTF-8. Never fails."""
    body = body[:LARGEST_PAGE]
    found = _CHARSET.search(content_type.encode("ascii", "ignore")) or _CHARSET.search(body[:2048])
    try:
        text = body.decode(found.group(1).decode() if found else "utf-8", "replace")
    except (LookupError, UnicodeError, ValueError):
        text = body.decode("utf-8", "replace")
    # A charset of the standard library need not be one of text, and may leave lone surrogates.
    return text.encode("utf-8", "replace").decode("utf-8").removeprefix("\ufeff")


class Lines:
    """From the offsets of a text in UTF-8 to lines and columns."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._starts = [0, *(found.end() for found in re.finditer(rb"\n", source))]

    def place(self, offset: int, base: Place = Place(1, 1)) -> Place:
        """The place of an offset, in a text that itself begins at ``base``."""
        line = bisect_right(self._starts, offset)
        column = len(self._source[self._starts[line - 1] : offset].decode("utf-8", "replace")) + 1
        if line == 1:
            return Place(base.line, base.column + column - 1)
        return Place(base.line + line - 1, column)


Step = tuple[Node, "Step | None"]
"""A node, and the step to it: the parent's. A node of tree-sitter finds its parent only by a walk from the root."""


def steps_of(root: Node) -> Iterator[Step]:
    """A tree's nodes in the order of the text, without recursion: a page may nest as deep as it likes."""
    waiting: list[Step] = [(root, None)]
    while waiting:
        step = waiting.pop()
        yield step
        waiting.extend((child, step) for child in reversed(step[0].children))


def nodes_of(root: Node) -> Iterator[Node]:
    """The same, for whom the parents do not matter."""
    return (node for node, _ in steps_of(root))


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")


def _elements(text: str) -> Iterator[Element]:
    source = text.encode()
    lines = Lines(source)
    in_head = True
    noscript = 0
    for node, up in steps_of(Parser(_HTML).parse(source).root_node):
        parent = up[0] if up else None
        if node.type == "end_tag":
            name = _tag(node)
            noscript = max(0, noscript - (name == "noscript"))
            in_head = in_head and name not in ("head", "html")
        elif node.type == "text":
            # Text outside of an element of the head ends it, too. A template's own marks are gone when it is served.
            holder = _tag(parent.children[0]) if parent is not None and parent.child_count else ""
            kept = holder in ("title", "style", "script", "template", "noscript") or _MARK.search(_text(node))
            in_head = in_head and (noscript > 0 or bool(kept))
        if node.type not in ("start_tag", "self_closing_tag"):
            continue
        name = _tag(node)
        noscript += name == "noscript" and node.type == "start_tag"
        in_head = in_head and (name in _IN_HEAD or noscript > 0)
        held = (
            next((each for each in parent.children if each.type == "raw_text"), None)
            if (parent is not None and parent.type == "script_element")
            else None
        )
        yield Element(
            name,
            _attributes(node),
            lines.place(node.start_byte),
            in_head,
            noscript > 0 and name != "noscript",
            _text(held),
            lines.place(held.start_byte) if held else Place(1, 1),
        )


def _tag(node: Node) -> str:
    return next((_text(each).lower() for each in node.children if each.type == "tag_name"), "")


def _attributes(node: Node) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in node.children:
        if each.type != "attribute":
            continue
        name = value = ""
        for part in each.children:
            if part.type == "attribute_name":
                name = _text(part).lower()
            elif part.type == "attribute_value":
                value = _text(part)
            elif part.type == "quoted_attribute_value":
                value = _text(part)[1:-1]
        found.setdefault(name, html.unescape(value))
    return found
