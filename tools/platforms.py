"""``relay platform check``: are the files of custom platforms good, and where not?

The same check runs when the function is built (tools/build.mk: ``python -m tools.platforms build FOLDER TARGET``), so a
bad file is refused before anything is deployed, and YAML is never read on Lambda. ``python -m tools.platforms write``
writes what is derived from the format: its JSON Schema and the reference in docs/custom-platforms.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from conversion_relay.payload import value_at
from conversion_relay.sources.custom.format import NAME, PARTS, RESERVED, Platform

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / "functions" / "custom" / "platforms"
SCHEMA: Final = FOLDER.parent / "platform.schema.json"
REFERENCE: Final = ROOT / "docs" / "custom-platforms.md"
_BEGIN, _END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"
_ENDINGS: Final = (".yaml", ".yml", ".json")

Path_ = tuple[str | int, ...]


class BadPlatform(ValueError):
    """A file that cannot be used. Its text has a line ``file:line: reason`` for each mistake."""


@dataclass(slots=True)
class Written:
    """What a file holds, and the line on which each key and value stands."""

    value: Any
    keys: dict[Path_, int] = field(default_factory=dict)
    lines: dict[Path_, int] = field(default_factory=dict)


def platforms(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Every platform of a folder by name, checked, with its defaults filled in.

    Raises:
        BadPlatform: with every mistake in every file.
    """
    found: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    seen: dict[str, Path] = {}
    for path in files(folder):
        if path.stem in seen:
            problems.append(f"{path}:1: there is a platform of this name already, in {seen[path.stem].name}")
            continue
        seen[path.stem] = path
        try:
            found[path.stem] = platform(path)
        except BadPlatform as problem:
            problems.append(str(problem))
    if problems:
        raise BadPlatform("\n".join(problems))
    return found


@cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """The platforms of this repository."""
    return platforms(FOLDER)


def files(folder: Path = FOLDER) -> list[Path]:
    """The platform files of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)


def platform(path: Path) -> dict[str, Any]:
    """One platform out of its file, as JSON.

    Raises:
        BadPlatform: with every mistake in it.
    """
    if not NAME.fullmatch(path.stem) or path.suffix not in _ENDINGS:
        raise BadPlatform(
            f"{path}:1: the file must be called NAME.yaml or NAME.json; a name has 2 to 32 of a-z, 0-9, _ and -, and "
            "begins with a letter"
        )
    if path.stem in RESERVED:
        raise BadPlatform(
            f"{path}:1: {path.stem} is the name of a source with a module of its own: choose another name"
        )
    written = _read(path)
    try:
        checked = Platform.model_validate(written.value)
    except ValidationError as error:
        raise BadPlatform("\n".join(_explained(path, written, error))) from None
    dumped: dict[str, Any] = checked.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


def compiled(found: Mapping[str, Mapping[str, Any]]) -> str:
    """All platforms as the function reads them: the same text for the same files, wherever it is made."""
    return json.dumps({"platforms": found}, ensure_ascii=False, sort_keys=True, indent=1) + "\n"


# Reading --------------------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML in which only true, false, null and whole numbers are not text: ``no``, ``on`` and dates stay as written."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~"),
    ("int", r"-?[0-9]{1,15}", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def _read(path: Path) -> Written:
    try:
        text = path.read_text(encoding="utf-8")
        if any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text, Loader=_Loader)):
            raise BadPlatform(f"{path}:1: anchors and aliases (& and *) are not taken: write it out")
        node = yaml.compose(text, Loader=_Loader)
    except OSError as problem:
        raise BadPlatform(f"{path}:1: cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        raise BadPlatform(f"{path}:1: is not UTF-8 text") from None
    except RecursionError:
        raise BadPlatform(f"{path}:1: is nested too deep") from None
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise BadPlatform(f"{path}:{line}: is no YAML: {problem.problem}") from None
    except yaml.YAMLError as problem:
        raise BadPlatform(f"{path}:1: is no YAML: {str(problem).splitlines()[0]}") from None
    if node is None:
        raise BadPlatform(f"{path}:1: is empty")
    written = Written(None)
    written.value = _value(path, written, node, ())
    return written


def _value(path: Path, written: Written, node: yaml.Node, place: Path_) -> Any:
    line = node.start_mark.line + 1
    written.lines[place] = line
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadPlatform(f"{path}:{key.start_mark.line + 1}: a key must be a word")
            if key.value in found:
                raise BadPlatform(f"{path}:{key.start_mark.line + 1}: {key.value} stands here for the second time")
            written.keys[(*place, key.value)] = key.start_mark.line + 1
            found[key.value] = _value(path, written, value, (*place, key.value))
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, written, each, (*place, index)) for index, each in enumerate(node.value)]
    match node.tag.rpartition(":")[2]:
        case "bool":
            return node.value == "true"
        case "null":
            return None
        case "int":
            return int(node.value)
        case "str":
            return str(node.value)
    raise BadPlatform(f"{path}:{line}: {node.tag} is not taken")


# Explaining -----------------------------------------------------------------------------------------------------------

_SENTENCES: Final = {
    "missing": "is missing",
    "extra_forbidden": "is no key that is known here",
    "string_type": "must be text (put it in quotes)",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a group of keys",
    "model_type": "must be a group of keys",
    "model_attributes_type": "must be a group of keys",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "union_tag_not_found": "must be a group of keys with a kind",
}


def _explained(path: Path, written: Written, error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_input=False):
        place, told = _place(written, each["loc"]), each.get("ctx", {})
        kind = each["type"]
        if kind == "value_error":
            rule = str(told["error"])
            key, separator, rest = rule.partition(": ")
            if separator and re.fullmatch(r"[a-z_.]+", key):
                place, rule = (*place, *key.split(".")), rest
        elif kind in ("literal_error", "union_tag_invalid"):
            expected = told.get("expected") or told["expected_tags"]
            rule = "must be one of " + re.sub(r"'| or\b", "", str(expected).replace(" or ", ", "))
            place = (*place, "kind") if kind == "union_tag_invalid" else place
        elif kind == "string_pattern_mismatch":
            rule = f"must look like {told['pattern']}"
        elif kind in ("greater_than_equal", "less_than_equal"):
            rule = f"must be at {'least' if 'ge' in told else 'most'} {told.get('ge', told.get('le'))}"
        elif kind in ("string_too_long", "too_long"):
            rule = f"must be no longer than {told['max_length']}"
        else:
            rule = _SENTENCES.get(kind, each["msg"])
        yield f"{path}:{_line(written, place)}: {'.'.join(map(str, place)) or 'the file'} {rule}"


def _place(written: Written, loc: Iterable[str | int]) -> Path_:
    """Where a mistake stands in the file; pydantic's words for the form of a value are not in it."""
    place: Path_ = ()
    steps = list(loc)
    kinds = set()
    for index, step in enumerate(steps):
        group = value_at(written.value, *place)
        if isinstance(group, dict) and group.get("kind") == step and place not in kinds:
            kinds.add(place)  # the first step into a group with a kind is that kind
        elif (*place, step) in written.lines or (index == len(steps) - 1 and step not in ("text", "table", "list")):
            place = (*place, step)
    return place


def _line(written: Written, place: Path_) -> int:
    while place and place not in written.keys and place not in written.lines:
        place = place[:-1]
    return written.keys.get(place) or written.lines.get(place, 1)


# What is derived from the format --------------------------------------------------------------------------------------


def schema() -> str:
    """The format as JSON Schema, for editors."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Platform.model_json_schema(by_alias=True)}
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"


def reference() -> str:
    """Every key of the format, as tables."""
    parts = []
    for part in PARTS:
        kinds = part.model_fields.get("kind")
        heading = f"`kind: {kinds.annotation.__args__[0]}`" if kinds and kinds.annotation else f"`{part.__name__}`"
        about = " ".join((part.__doc__ or "").split())
        rows = [
            f"| `{each.alias or name}` | {_needed(each)} | {_default(each)} | {each.description} |"
            for name, each in part.model_fields.items()
            if name != "kind"
        ]
        table = ["", "| key | needed | default | meaning |", "|---|---|---|---|", *rows] if rows else []
        parts.append("\n".join([f"### {heading}", "", about, *table]))
    return "\n\n".join(parts) + "\n"


def _needed(each: FieldInfo) -> str:
    return "yes" if each.is_required() else ""


def _default(each: FieldInfo) -> str:
    value = each.get_default(call_default_factory=True)
    if each.is_required() or value in (None, "", {}, []) or not isinstance(value, str | int | list):
        return ""
    return f"`{json.dumps(value)}`" if not isinstance(value, str) else f"`{value}`"


def documented(page: str) -> str:
    """The page with the present reference in it."""
    before, rest = page.split(_BEGIN)
    return before + _BEGIN + "\n" + reference() + "\n" + _END + rest.split(_END)[1]


# Commands -------------------------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``relay platform``."""
    parser.add_argument("action", choices=["check"], help="hold the files against the format")
    parser.add_argument("files", nargs="*", metavar="FILE", help="default: all in functions/custom/platforms")


def run(options: argparse.Namespace) -> int:
    """Carry ``relay platform check`` out; 1 when a file is bad."""
    chosen = [Path(each) for each in options.files] or [
        path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path for path in files()
    ]
    bad = 0
    seen: dict[str, Path] = {}
    for path in chosen:
        try:
            if path.stem in seen:
                raise BadPlatform(f"{path}:1: there is a platform of this name already, in {seen[path.stem].name}")
            seen[path.stem] = path
            checked = platform(path)
            print(f"{path}: good ({checked['about']})")
        except BadPlatform as problem:
            bad += 1
            print(problem, file=sys.stderr)
    return 1 if bad else 0


def main(arguments: list[str]) -> int:
    """What the build and the maintainers call: ``build FOLDER TARGET``, ``write``."""
    match arguments:
        case ["build", folder, target]:
            try:
                Path(target).write_text(compiled(platforms(Path(folder))), encoding="utf-8")
            except BadPlatform as problem:
                print(problem, file=sys.stderr)
                return 1
        case ["write"]:
            SCHEMA.write_text(schema(), encoding="utf-8")
            REFERENCE.write_text(documented(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
        case _:
            print("python -m tools.platforms build FOLDER TARGET | write", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
