"""The payload of a request, wherever the platform puts it: a JSON or form body, or the query of the address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import parse_qsl, unquote_plus

from conversion_relay.delivery import NotUnderstood
from conversion_relay.payload import parse_json, string

if TYPE_CHECKING:
    from conversion_relay.delivery import Delivery

MOST_EVENTS: Final = 100
"""In one delivery: as many as one write of the ledger takes."""
_MOST_PARAMETERS: Final = 1000


def payloads(
    delivery: Delivery, body: Literal["json", "form", "query"], *, keep_plus: bool = False
) -> list[dict[str, Any]]:
    """The payload of a delivery, or several: some platforms send a JSON array of events.

    ``keep_plus``: each + in a query or a form is a plus, not a blank.

    Raises:
        NotUnderstood: there is none, or more than one write can hold.
    """
    if body == "query":
        return [_parameters(delivery.query, keep_plus=keep_plus)]
    if body == "form":
        try:
            return [_parameters(delivery.body.decode(), keep_plus=keep_plus)]
        except UnicodeDecodeError:
            raise NotUnderstood("not_utf8", "the body is not UTF-8 text") from None
    value = parse_json(delivery.body)
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise NotUnderstood("not_an_object", "the body is JSON, but neither an object nor a list of objects")
    if len(found) > MOST_EVENTS:
        raise NotUnderstood("too_many_events", f"the body holds {len(found)} events; {MOST_EVENTS} are taken at once")
    return found


def _parameters(text: str, *, keep_plus: bool) -> dict[str, Any]:
    try:
        return dict(parameters(text, keep_plus=keep_plus))
    except ValueError:
        raise NotUnderstood(
            "not_a_form", f"the parameters are not UTF-8, or there are more than {_MOST_PARAMETERS}"
        ) from None


def parameters(text: str, *, keep_plus: bool = False) -> dict[str, str]:
    """The parameters of a query or form, each decoded once; of several of one name the first.

    ``keep_plus``: each + is a plus, as where only %XX is decoded, and not a blank as in a form.

    Raises:
        ValueError: over 1,000 of them, or bytes that are no UTF-8.
    """
    if keep_plus:
        text = text.replace("+", "%2B")
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS, errors="strict")
    return dict(reversed(pairs))


def parameter(query: str, name: str) -> str | None:
    """A query parameter, decoded once; None where there is none. Nothing else in the query matters.

    A token is found beside a value that is no UTF-8: the delivery is then parked, and not lost as a stranger's.
    """
    pairs = (each.partition("=")[::2] for each in query.split("&"))
    return next((unquote_plus(value) for key, value in pairs if unquote_plus(key) == name), None)


def field(delivery: Delivery, body: Literal["json", "form", "query"], path: str, largest: int) -> str | None:
    """A text of a body that is not verified yet: None where there is none, and in any body that is odd or large."""
    if len(delivery.body) > largest:
        return None
    try:
        (payload,) = payloads(delivery, body)
    except (NotUnderstood, ValueError):
        return None
    return string(payload, *path.split("."))


def url(delivery: Delivery) -> str:
    """The address as the sender called it."""
    return f"{delivery.origin}{delivery.path}" + (f"?{delivery.query}" if delivery.query else "")
