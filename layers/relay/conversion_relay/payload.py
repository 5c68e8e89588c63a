"""Reading JSON that somebody else wrote: nothing is where, or what, it should be.

Every reader takes a path of keys and list indexes and answers None for whatever is missing, null or of another kind,
so that a normalizer states what it wants and never checks how it may be broken.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from conversion_relay.delivery import NotUnderstood

_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")

REMEMBERED_BYTES: Final = 262_144
"""A body up to this size is parsed once, however many ask; a larger one is not kept in memory."""


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; fractions become Decimal, because they may be money.

    Raises:
        NotUnderstood: when the body is not UTF-8, not JSON, not an object, or nested beyond reason.
    """
    value = parse_json(body)
    if not isinstance(value, dict):
        raise NotUnderstood("not_an_object", "the body is JSON, but not an object")
    return value


def parse_json(body: bytes) -> Any:
    """The JSON in a body, whatever it is.

    Raises:
        NotUnderstood: when the body is not UTF-8, not JSON, or nested beyond reason.
    """
    if len(body) > REMEMBERED_BYTES:
        return _read(body)
    # Whose delivery it is, whether it is to be trusted, what it is about and what it says are asked one after the
    # other, each of the same body. Nobody changes what he gets.
    global _last  # noqa: PLW0603 - a cache of one, of which each reader takes or leaves the whole
    known = _last
    if known is None or known[0] is not body:
        _last = known = (body, _read(body))
    return known[1]


_last: tuple[bytes, Any] | None = None


def _read(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.removeprefix(codecs.BOM_UTF8).decode())
    except UnicodeDecodeError:
        raise NotUnderstood("not_utf8", "the body is not UTF-8 text") from None
    except RecursionError:
        raise NotUnderstood("not_json", "the body is nested too deep") from None
    except (ValueError, InvalidOperation):  # a fraction may have an exponent beyond what Decimal can hold
        raise NotUnderstood("not_json", "the body is not JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def value_at(node: object, *path: str | int) -> Any:
    """Whatever stands at the path, or None."""
    for key in path:
        # JSON makes dict and list themselves, never a class of them; this is asked some sixty times for each delivery.
        if type(node) is dict:
            node = node.get(key)
        elif type(node) is list and type(key) is int and -len(node) <= key < len(node):
            node = node[key]
        else:
            return None
    return node


def text(node: object, *path: str | int) -> str | None:
    """A text without blanks around it; None when nothing is left. Broken Unicode becomes question marks."""
    value = value_at(node, *path)
    if not isinstance(value, str):
        return None
    clean = value if value.isascii() else value.encode("utf-8", "replace").decode()
    return clean.strip() or None


def string(node: object, *path: str | int) -> str | None:
    """A text exactly as it stands."""
    value = value_at(node, *path)
    return value if isinstance(value, str) else None


def identifier(node: object, *path: str | int) -> str | None:
    """An object's id as text. Platforms send ids as JSON numbers or as text; the wire wants text."""
    value = value_at(node, *path)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value < 10**30 else None
    return text(node, *path)


def integer(node: object, *path: str | int) -> int | None:
    """A whole number that is one in the JSON."""
    value = value_at(node, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(node: object, *path: str | int) -> Decimal | None:
    """A number, or the text of one: many platforms write "214". None for what is no finite number of usual size."""
    value = value_at(node, *path)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    written = value.strip() if isinstance(value, str) else str(value)
    if not _NUMBER.fullmatch(written):
        return None
    return Decimal(written)


def is_filled(node: object, *path: str | int) -> bool:
    """Whether anything stands there: not null, false, 0, or blank text."""
    value = value_at(node, *path)
    return bool(value.strip() if isinstance(value, str) else value)


def flag(node: object, *path: str | int) -> bool | None:
    """A boolean, or the text of one: some platforms send "true" and "false", and bool("false") is True."""
    value = value_at(node, *path)
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def objects(node: object, *path: str | int) -> Iterator[dict[str, Any]]:
    """The objects of a list; other elements are skipped."""
    value = value_at(node, *path)
    return (each for each in value if isinstance(each, dict)) if isinstance(value, list) else iter(())
