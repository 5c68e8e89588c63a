"""JMESPath over a payload: what an expression may use, and what it gives.

An expression that cannot be worked out on a payload (a function of text is given a number) gives None, as a path to
nothing does: a delivery is somebody else's text, and an odd value must not stop it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import jmespath  # type: ignore[import-untyped]
from jmespath import exceptions, functions

from conversion_relay import payload
from conversion_relay.sources.custom.request import parameters

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery

_MOST_VALUES: Final = 20
_UNWORKABLE: Final = (exceptions.JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What jmespath raises on values that a function of its cannot take."""


class Functions(functions.Functions):  # type: ignore[misc]  # jmespath has no types
    """JMESPath's own functions, and a few that keep platform files short.

    JSON fractions are Decimals here, which JMESPath does not know: its to_number would cut 149.50 down to 149.
    """

    def __init__(self, delivery: Delivery | None = None, *, keep_plus: bool = False) -> None:
        self._delivery = delivery
        self._keep_plus = keep_plus

    def _get_allowed_pytypes(self, types: Sequence[str]) -> tuple[list[str], list[tuple[str, ...]]]:
        allowed, subtypes = super()._get_allowed_pytypes(types)
        return _with_decimal(allowed), [tuple(_with_decimal(each)) for each in subtypes]

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_number(self, value: object) -> Decimal | None:
        """A number, or that of a text; None for what is none."""
        return payload.number(_without_float(value))

    @functions.signature({"types": []})  # type: ignore[untyped-decorator]
    def _func_to_string(self, value: object) -> Any:
        """A text as it is, anything else as its JSON; a fraction with all the digits that it was sent with."""
        return str(value) if isinstance(value, Decimal) else super()._func_to_string(value)

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
        return parameters(self._delivery.query, keep_plus=self._keep_plus).get(name) if self._delivery else None


def _with_decimal(types: Sequence[str]) -> list[str]:
    return [*types, "Decimal"] if "float" in types else list(types)


def _without_float(value: Any) -> Any:
    """A float is what a number with a point in an expression becomes. Money is never one."""
    return Decimal(str(value)) if isinstance(value, float) else value


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

    def __init__(self, held: object, delivery: Delivery, *, keep_plus: bool = False) -> None:
        self._held = held
        self._options = jmespath.Options(custom_functions=Functions(delivery, keep_plus=keep_plus))

    def value(self, text: str | None) -> Any:
        """What an expression gives, or None."""
        if text is None:
            return None
        try:
            return _without_float(jmespath.compile(text).search(self._held, options=self._options))
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
        other._held, other._options = element, self._options
        return other
