"""DynamoDB in a dictionary: the part of the client that the relay uses, with its conditions evaluated as AWS does.

The simulator runs the real `conversion_relay.ledger` over it, and a dry run lays it over a real table: what it lacks is
read from ``beneath``, what is written stays here. A contract test plays the same operations on the local AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from botocore.exceptions import ClientError

Item = dict[str, Any]
Test = Callable[[Mapping[str, Any], Mapping[str, str], Mapping[str, Any]], bool]
OnChange = Callable[[str, Item | None, Item | None], None]
"""Told of each change: the key, the item before and the item after."""


class ConditionalCheckFailedException(ClientError):
    """As boto3 raises it."""


class TransactionCanceledException(ClientError):
    """As boto3 raises it; ``response`` has a reason for each write."""


class Exceptions:
    """What boto3's client holds under ``exceptions``."""

    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException


class InMemoryDynamoDB:
    """One table, whatever name it is called by, with the key attribute ``pk``."""

    exceptions: Final = Exceptions

    def __init__(
        self, beneath: Callable[[str], Item | None] = lambda _: None, on_change: OnChange = lambda *_: None
    ) -> None:
        self.items: dict[str, Item | None] = {}
        self._beneath = beneath
        self._on_change = on_change

    def get_item(self, *, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """The item under ``Item``, which is absent when there is none."""
        item = self._item(Key["pk"]["S"])
        return {} if item is None else {"Item": dict(item)}

    def put_item(self, **put: Any) -> dict[str, Any]:
        """Raises ConditionalCheckFailedException when the condition does not hold."""
        self._all_or_none([{"Put": put}])
        return {}

    def update_item(self, **update: Any) -> dict[str, Any]:
        """Knows ``SET name = :value, …`` and ``REMOVE name, …``."""
        self._all_or_none([{"Update": update}])
        return {}

    def delete_item(self, **delete: Any) -> dict[str, Any]:
        """Deletes what is there; nothing there is no error."""
        self._all_or_none([{"Delete": delete}])
        return {}

    def transact_write_items(self, *, TransactItems: Sequence[Any], **_: Any) -> dict[str, Any]:  # noqa: N803
        """All or none. Raises TransactionCanceledException with a reason for each write."""
        refused = self._refused(TransactItems)
        if any(refused):
            reasons = [{"Code": "ConditionalCheckFailed" if each else "None"} for each in refused]
            response: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise TransactionCanceledException(response, "TransactWriteItems")
        self._write(TransactItems)
        return {}

    def scan(self, **_: Any) -> dict[str, Any]:
        """Every item that is here, unfiltered."""
        return {"Items": [dict(item) for item in self.items.values() if item is not None]}

    def _item(self, key: str) -> Item | None:
        if key not in self.items:
            found = self._beneath(key)
            if found is None:
                return None
            self.items[key] = found
        return self.items[key]

    def _all_or_none(self, writes: Sequence[Any]) -> None:
        if any(self._refused(writes)):
            code: Any = {"Error": {"Code": "ConditionalCheckFailedException"}}
            raise ConditionalCheckFailedException(code, "Write")
        self._write(writes)

    def _refused(self, writes: Sequence[Any]) -> list[bool]:
        return [not self._holds(arguments) for write in writes for arguments in write.values()]

    def _holds(self, arguments: Mapping[str, Any]) -> bool:
        text = arguments.get("ConditionExpression")
        if text is None:
            return True
        names, values = arguments.get("ExpressionAttributeNames", {}), arguments.get("ExpressionAttributeValues", {})
        return _condition(text)(self._item(_key_of(arguments)) or {}, names, values)

    def _write(self, writes: Sequence[Any]) -> None:
        for write in writes:
            for kind, arguments in write.items():
                key = _key_of(arguments)
                before = self._item(key)
                after = _AFTER[kind](before, arguments)
                self.items[key] = after
                self._on_change(key, before, after)


def _key_of(arguments: Mapping[str, Any]) -> str:
    held = arguments["Item"] if "Item" in arguments else arguments["Key"]
    return str(held["pk"]["S"])


def _put(_: Item | None, arguments: Mapping[str, Any]) -> Item | None:
    return dict(arguments["Item"])


def _updated(before: Item | None, arguments: Mapping[str, Any]) -> Item | None:
    names, values = arguments.get("ExpressionAttributeNames", {}), arguments.get("ExpressionAttributeValues", {})
    item = {**(before or arguments["Key"])}
    for clause, changes in _changes(arguments["UpdateExpression"]):
        for name, value in changes:
            attribute = names.get(name, name)
            if clause == "SET":
                item[attribute] = values[value]
            else:
                item.pop(attribute, None)
    return item


def _deleted(_: Item | None, __: Mapping[str, Any]) -> Item | None:
    return None


_AFTER: Final = {"Put": _put, "Update": _updated, "Delete": _deleted}


@lru_cache
def _changes(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    parts = re.split(r"\b(SET|REMOVE)\b", text)[1:]
    return [
        (
            clause,
            [(name.strip(), value.strip()) for name, _, value in (each.partition("=") for each in body.split(","))],
        )
        for clause, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def _plain(value: Mapping[str, Any]) -> Any:
    """A comparable form that keeps types apart: a number never equals a text."""
    ((kind, held),) = value.items()
    return (kind, float(held) if kind == "N" else held)


# Conditions: OR binds least, then AND, then NOT; comparisons with an absent attribute do not hold. ------------------

_TOKEN: Final = re.compile(r"\s*(<>|<=|>=|[=<>(),]|[:#\w]+)")
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: bool(a == b),
    "<>": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a[0] == b[0] and a < b),
    "<=": lambda a, b: bool(a[0] == b[0] and a <= b),
    ">": lambda a, b: bool(a[0] == b[0] and a > b),
    ">=": lambda a, b: bool(a[0] == b[0] and a >= b),
}


@lru_cache
def _condition(text: str) -> Test:
    tokens = iter([*_TOKEN.findall(text), ""])
    reader = _Reader(tokens)
    test = reader.alternatives()
    if reader.now:
        raise ValueError(f"the condition {text!r} has {reader.now!r} where it should end")
    return test


class _Reader:
    def __init__(self, tokens: Iterator[str]) -> None:
        self._tokens = tokens
        self.now = next(tokens)

    def _take(self) -> str:
        taken, self.now = self.now, next(self._tokens, "")
        return taken

    def alternatives(self) -> Test:
        tests = [self._conjunction()]
        while self.now == "OR":
            self._take()
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda *given: any(test(*given) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._negation()]
        while self.now == "AND":
            self._take()
            tests.append(self._negation())
        return tests[0] if len(tests) == 1 else lambda *given: all(test(*given) for test in tests)

    def _negation(self) -> Test:
        if self.now == "NOT":
            self._take()
            test = self._negation()
            return lambda *given: not test(*given)
        return self._single()

    def _single(self) -> Test:
        first = self._take()
        if first == "(":
            test = self.alternatives()
            self._take()
            return test
        if first in ("attribute_exists", "attribute_not_exists"):
            _, name, _ = self._take(), self._take(), self._take()
            wanted = first == "attribute_exists"
            return lambda item, names, _: (names.get(name, name) in item) == wanted
        operator = self._take()
        if operator == "IN":
            among = self._list()
            return lambda item, names, values: any(
                _COMPARE["="](_value(first, item, names, values), _value(each, item, names, values)) for each in among
            )
        second, compare = self._take(), _COMPARE[operator]

        def compared(item: Mapping[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> bool:
            a, b = _value(first, item, names, values), _value(second, item, names, values)
            # "<>" holds for an attribute that is absent, every other comparison does not.
            return operator == "<>" if a is None or b is None else compare(a, b)

        return compared

    def _list(self) -> list[str]:
        members = []
        while self._take() != ")":  # the bracket that opens, then commas
            members.append(self._take())
        return members


def _value(token: str, item: Mapping[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    value = values[token] if token.startswith(":") else item.get(names.get(token, token))
    return None if value is None else _plain(value)
