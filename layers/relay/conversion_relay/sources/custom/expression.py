"""JMESPath over a payload: what an expression may use, and what it gives.

An expression that cannot be worked out on a payload (a function of text is given a number) gives None, as a path to
nothing does: a delivery is somebody else's text, and an odd value must not stop it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import jmespath  # type: ignore[import-untyped]
from jmespath import exceptions, functions

from conversion_relay.sources.custom.request import parameters

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery

_MOST_VALUES: Final = 20
_UNWORKABLE: Final = (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What jmespath raises on values that a function of its cannot take."""


class Functions(functions.Functions):  # type: ignore[misc]  # jmespath has no types
    """JMESPath's own functions, and a few that keep platform files short."""

    def __init__(self, delivery: Delivery | None = None) -> None:
        self._delivery = delivery

    @functions.signature({"types": []}, {"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_split(self, value: object, separator: str) -> list[str] | None:
        """The parts of a text; None for what is none."""
        return value.split(separator) if isinstance(value, str) and separator else None

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_lower(self, value: object) -> str | None:
        """A text in lower case; None for what is none."""
        return value.lower() if isinstance(value, str) else None

    @functions.signature({"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_header(self, name: str) -> str | None:
        """A header of the request, such as one that names the topic. Hardly any signature covers headers."""
        return self._delivery.headers.get(name.lower()) if self._delivery else None

    @functions.signature({"types": ["string"]})  # type: ignore[untyped-decorator]
    def _func_query(self, name: str) -> str | None:
        """A query parameter of the request, decoded once."""
        return parameters(self._delivery.query).get(name) if self._delivery else None


def check(text: str) -> None:
    """Compile an expression.

    Raises:
        ValueError: what is wrong with it, in one line.
    """
    try:
        parsed = jmespath.compile(text).parsed
    except exceptions.JMESPathError as problem:
        said = str(problem).strip().splitlines()[0].rstrip(":")
        raise ValueError(f"is no JMESPath expression ({said})") from None
    for name, count in _calls(parsed):
        known = Functions.FUNCTION_TABLE.get(name)
        if known is None:
            raise ValueError(f"calls {name}(), which is no function of JMESPath or of the relay")
        signature = known["signature"]
        variadic = bool(signature) and bool(signature[-1].get("variadic"))
        if count < len(signature) or (count > len(signature) and not variadic):
            raise ValueError(f"calls {name}() with {count} arguments; it takes {len(signature)}")


def _calls(node: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    if node["type"] == "function_expression":
        yield node["value"], len(node["children"])
    for child in node["children"]:
        if isinstance(child, dict):  # the numbers of a slice are none
            yield from _calls(child)


class Reader:
    """Works expressions out on one payload of one delivery."""

    def __init__(self, payload: object, delivery: Delivery) -> None:
        self._payload = payload
        self._options = jmespath.Options(custom_functions=Functions(delivery))

    def value(self, text: str | None) -> Any:
        """What an expression gives, or None."""
        if text is None:
            return None
        try:
            return jmespath.compile(text).search(self._payload, options=self._options)
        except _UNWORKABLE:
            return None

    def values(self, texts: str | Sequence[str] | None) -> list[Any]:
        """What several expressions give, in order; lists count by their first elements, numbers as their digits."""
        found: list[Any] = []
        for text in [texts] if isinstance(texts, str) else texts or ():
            value = self.value(text)
            found += value[:_MOST_VALUES] if isinstance(value, list) else [value]
        return [str(each) if isinstance(each, int) and not isinstance(each, bool) else each for each in found]

    def inside(self, element: object) -> Reader:
        """A reader of a part of the payload."""
        other = Reader.__new__(Reader)
        other._payload, other._options = element, self._options
        return other
