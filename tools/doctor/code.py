"""The JavaScript of a page: what it asks of the pixel, and the addresses that it holds, each with its place.

Read, not run. A value that is written down is known; of any other only its source is, and how its text begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

from tools.doctor.page import Lines, Page, Place, Step, nodes_of, steps_of

LARGEST_SCRIPT: Final = 1_000_000
"""Characters of a script that are read."""
DEEPEST_VALUE: Final = 12
MOST_NODES: Final = 500
"""Nodes of one expression that are searched for variables."""

_JAVASCRIPT: Final = Language(tree_sitter_javascript.language())
_FUNCTIONS: Final = frozenset(
    ("function_declaration", "function_expression", "arrow_function", "method_definition", "generator_function")
)
_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|<\?.*?\?>|<%.*?%>", re.DOTALL)
"""What a template language fills in later: Liquid, Jinja, Twig, PHP, ERB."""
_FILLED: Final = re.compile(r"\$_\$_+")
"""What stands in its place while a script is read: a name in code, and a sign in text."""


@dataclass(frozen=True)
class Unknown:
    """A value that only the running page knows. ``prefix``: how its text begins, as far as that is written down."""

    source: str
    prefix: str = ""


@dataclass(frozen=True)
class Call:
    """One call of ``oaiq``, read in the page or seen in the browser.

    ``deferred``: in a function that something else runs later (a click, a consent manager). ``number``: its place in
    the order of what was seen, None for what was read.
    """

    arguments: tuple[Any, ...]
    place: Place | None
    deferred: bool = False
    where: str = ""
    number: int | None = None
    consent: dict[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        first = self.arguments[0] if self.arguments else None
        return first if isinstance(first, str) else ""

    @property
    def is_unanswered(self) -> bool:
        """Whether there was a consent manager that had not said yes."""
        return bool(self.consent.get("manager")) and not self.consent.get("allowed")


@dataclass(frozen=True)
class Text:
    """A piece of text in a script, which may be an address."""

    value: str
    place: Place


@dataclass(frozen=True)
class Script:
    """What one script holds. ``broken``: where it is no JavaScript, if it is none and no template either."""

    calls: tuple[Call, ...]
    texts: tuple[Text, ...]
    broken: Place | None


def read(page: Page) -> list[tuple[Script, bool]]:
    """Every script in the page, each with whether it stands in the head."""
    found: list[tuple[Script, bool]] = []
    known = _declared(page)
    for element in page.elements:
        if element.text and (element.is_code or element.waits_for_consent):
            script = read_script(element.text, element.text_place, deferred=not element.is_code, known=known)
            found.append((script, element.in_head))
        for name, value in element.attributes.items():
            if name.startswith("on") and "oaiq" in value:
                found.append((read_script(value, element.place, deferred=True, known=known), element.in_head))
    return found


def read_script(text: str, base: Place, *, deferred: bool, known: dict[str, Any] | None = None) -> Script:
    """One script that begins at ``base`` in its page."""
    source = _filled(text[:LARGEST_SCRIPT])
    lines = Lines(source)
    root = Parser(_JAVASCRIPT).parse(source).root_node
    reader = _Reader(lines, base, known or {})
    calls, texts = [], []
    for step in steps_of(root):
        node = step[0]
        if node.type == "call_expression" and _is_pixel(node.child_by_field_name("function")):
            calls.append(reader.call(node, deferred=deferred or _runs_later(step)))
        elif node.type in ("string", "template_string"):
            texts.append(Text(_unquoted(node), lines.place(node.start_byte, base)))
    broken = None
    if root.has_error and not _TEMPLATE.search(text):
        wrong = next((each for each in nodes_of(root) if each.is_error or each.is_missing), root)
        broken = lines.place(wrong.start_byte, base)
    return Script(tuple(calls), tuple(texts), broken)


def _filled(script: str) -> bytes:
    """A script with each value of a template as a name, and each statement of one as blanks; every place stays."""
    if not _TEMPLATE.search(script):
        return script.encode()

    def fill(found: re.Match[str]) -> str:
        text = found.group()
        value = text.startswith(("{{", "<%=", "<?=")) or "echo" in text[:12]
        length = len(text.encode())
        filled = "$_$_".ljust(length, "_") if value else " " * length
        # Lines have to stay; a name may not be broken, so the lines go behind it.
        lines = text.count("\n")
        return filled[: length - lines] + "\n" * lines

    return _TEMPLATE.sub(fill, script).encode()


def _declared(page: Page) -> dict[str, Any]:
    """Variables of the page's scripts that are given a value once, by name."""
    found: dict[str, Any] = {}
    twice: set[str] = set()
    for element in page.elements:
        if not (element.text and element.is_code):
            continue
        source = _filled(element.text[:LARGEST_SCRIPT])
        reader = _Reader(Lines(source), Place(1, 1), {})
        for node in nodes_of(Parser(_JAVASCRIPT).parse(source).root_node):
            kinds = {"variable_declarator": ("name", "value"), "assignment_expression": ("left", "right")}
            if node.type not in kinds:
                continue
            name, value = (node.child_by_field_name(each) for each in kinds[node.type])
            if name is None or value is None or name.type != "identifier":
                continue
            word = _source(name)
            twice.update({word} & found.keys())
            found[word] = reader.value(value)
    return {name: value for name, value in found.items() if name not in twice}


class _Reader:
    def __init__(self, lines: Lines, base: Place, known: dict[str, Any]) -> None:
        self._lines = lines
        self._base = base
        self._known = known

    def call(self, node: Node, *, deferred: bool) -> Call:
        held = node.child_by_field_name("arguments")
        given = [each for each in held.named_children if each.type != "comment"] if held is not None else []
        return Call(tuple(self.value(each) for each in given), self._lines.place(node.start_byte, self._base), deferred)

    def value(self, node: Node, depth: int = 0) -> Any:
        source = _source(node)
        if depth > DEEPEST_VALUE:
            return Unknown(source[:200])
        match node.type:
            case "string":
                return _templated(_unquoted(node))
            case "template_string":
                text = _unquoted(node)
                return Unknown(source[:200], text.partition("${")[0]) if "${" in text else _templated(text)
            case "number":
                return _number(source)
            case "true" | "false":
                return node.type == "true"
            case "null":
                return None
            case "unary_expression" if source[:1] == "-" and node.named_child_count == 1:
                number = self.value(node.named_children[0], depth + 1)
                return -number if isinstance(number, int | Decimal) else Unknown(source[:200])
            case "unary_expression" if source in ("!0", "!1"):  # how minifiers write it
                return source == "!0"
            case "object":
                return self._object(node, depth)
            case "array":
                return [self.value(each, depth + 1) for each in node.named_children if each.type != "comment"]
            case "parenthesized_expression" if node.named_child_count == 1:
                return self.value(node.named_children[0], depth + 1)
            case "binary_expression":
                left = node.child_by_field_name("left")
                begins = self.value(left, depth + 1) if left is not None and "+" in source else None
                prefix = begins if isinstance(begins, str) else begins.prefix if isinstance(begins, Unknown) else ""
                return Unknown(self._spelled_out(node), prefix)
            case "identifier" if source in self._known:
                return self._known[source]
        return Unknown(self._spelled_out(node))

    def _spelled_out(self, node: Node) -> str:
        """The source of an expression, with what its variables stand for behind it."""
        first = islice(nodes_of(node), MOST_NODES)
        names = {_source(each) for each in first if each.type == "identifier"}
        known = (self._known.get(name) for name in sorted(names))
        behind = " ".join(each.source for each in known if isinstance(each, Unknown))
        return f"{_source(node)[:200]} {behind}".strip()[:1000]

    def _object(self, node: Node, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in node.named_children:
            key, value = each.child_by_field_name("key"), each.child_by_field_name("value")
            if each.type == "shorthand_property_identifier":
                name = _source(each)
                found[name] = self._known.get(name, Unknown(name))
            elif each.type == "pair" and key is not None and value is not None:
                name = _unquoted(key) if key.type == "string" else _source(key)
                found[name] = self.value(value, depth + 1)
            elif each.type == "spread_element":
                found["..."] = Unknown(_source(each)[:200])
        return found


def _is_pixel(node: Node | None) -> bool:
    if node is None:
        return False
    if node.type == "member_expression":
        name = node.child_by_field_name("property")
        return name is not None and _source(name) == "oaiq"
    return node.type == "identifier" and _source(node) == "oaiq"


def _runs_later(step: Step) -> bool:
    """Whether a function around it is run by somebody else, and not right where it is written."""
    around: Step | None = step
    while around is not None:
        if around[0].type in _FUNCTIONS and not _is_called_at_once(around):
            return True
        around = around[1]
    return False


def _is_called_at_once(function: Step) -> bool:
    inner, around = function
    while around is not None and around[0].type in ("parenthesized_expression", "unary_expression"):
        inner, around = around
    if around is None:
        return False
    node, outer = around
    if node.type == "member_expression":  # (function(){}).call(this)
        return outer is not None and outer[0].type == "call_expression"
    return node.type == "call_expression" and node.child_by_field_name("function") == inner


def _source(node: Node) -> str:
    return "" if node.text is None else node.text.decode("utf-8", "replace")


def _unquoted(node: Node) -> str:
    quoted = _source(node)
    if "\\" not in quoted or node.type == "template_string":
        return quoted[1:-1]
    text = _ESCAPE.sub(lambda found: _escaped(found.group(1)), quoted[1:-1])
    return text.encode("utf-8", "replace").decode("utf-8")


_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)


def _escaped(letters: str) -> str:
    if len(letters) > 1:
        return chr(int(letters[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "\n": ""}.get(letters, letters)


def _templated(text: str) -> str | Unknown:
    found = _FILLED.search(text)
    return Unknown(text[:200], text[: found.start()]) if found else text


def _number(source: str) -> int | Decimal | Unknown:
    plain = source.replace("_", "")
    try:
        if re.fullmatch(r"0[xXoObB][0-9a-fA-F]{1,32}", plain):
            return int(plain, 0)
        if re.fullmatch(r"[0-9]{1,32}n?", plain):
            return int(plain.rstrip("n"))
        return Decimal(plain) if len(plain) <= 64 else Unknown(source[:200])
    except (ValueError, InvalidOperation):
        return Unknown(source[:200])


def plain(value: Any) -> Any:
    """A value as JSON knows it, for what is shown."""
    if isinstance(value, Unknown):
        return value.source
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def texts_in(value: Any) -> Iterator[tuple[str, str]]:
    """Every known text in a value, each with the name that it goes by."""
    waiting = [("", value)]
    while waiting:
        name, each = waiting.pop()
        if isinstance(each, str):
            yield name, each
        elif isinstance(each, dict):
            waiting.extend(each.items())
        elif isinstance(each, list | tuple):
            waiting.extend((name, inner) for inner in each)
