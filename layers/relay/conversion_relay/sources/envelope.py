"""From what a source has read to a conversion: the event's envelope and the rule for match keys, for every source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from conversion_relay import event, identity
from conversion_relay.click_memory import NOTHING, Recalled
from conversion_relay.delivery import Conversion, Ignored, Memory
from conversion_relay.settings import Settings
from conversion_relay.sources.consent import Consent, State, forbids

NOT_SAID: Final = Consent()


def conversion(
    event_type: str,
    *,
    subject: str,
    timestamp_ms: int,
    action_source: str,
    source_url: str | None,
    user: Mapping[str, Any],
    data: Mapping[str, Any],
    oppref: str | None,
    obref: str | None,
    pixel_id: str | None,
    settings: Settings,
    remember: Memory | None = None,
    match_key_required: bool = False,
    custom_event_name: str | None = None,
    consent: Consent = NOT_SAID,
    recalled: Recalled = NOTHING,
) -> Conversion | Ignored:
    """Build the event and hold it against the settings for match keys; what is None or empty is left out.

    ``subject`` is ``<source>:<object id>`` and the event's id, unless the pixel has an id of its own for it.
    ``recalled`` fills in what is missing, all but the page, which each source looks for in its own order. Consent comes
    first: of who has refused it nothing is built, so nothing can be wrong with it either, and nothing is parked.
    """
    consent = consent._replace(state=consent.state or _granted(recalled))
    country = next(iter(user.get("countries") or ()), None)
    forbidden = forbids(consent, action_source=action_source, country=country, settings=settings)
    if forbidden is not None:
        return forbidden
    oppref, obref = oppref or recalled.oppref, obref or recalled.obref
    user = {**recalled.device(action_source), **user}
    built = event.parse(
        without_none(
            {
                "id": usable_pixel_id(pixel_id) or subject,
                "type": event_type,
                "timestamp_ms": timestamp_ms,
                "action_source": action_source,
                "source_url": source_url if action_source == "web" else None,
                "custom_event_name": custom_event_name,
                "opt_out": consent.opt_out or None,
                "oppref": oppref,
                "user": {**user, "obref": obref} if obref else {**user} or None,
                "data": {"type": event.DATA_TYPE[event_type], **{k: v for k, v in data.items() if v != []}},
            }
        )
    )
    if settings.require_click_reference and oppref is None:
        return Ignored("no_click_ref", "the delivery carries no oppref (RequireClickReference)")
    match_key_required = settings.require_match_key == "all" or (
        match_key_required and settings.require_match_key != "none"
    )
    if match_key_required and not event.has_match_key(built.user, built.oppref):
        return Ignored(
            "no_match_key",
            "neither click reference nor e-mail, phone or customer id: OpenAI could not match the event",
        )
    return Conversion(built, subject, remember)


def _granted(recalled: Recalled) -> State | None:
    return "granted" if recalled.consent == "granted" else None


def usable_pixel_id(value: str | None) -> str | None:
    """The event id that the pixel uses for the same conversion, unless it is long, an e-mail address, or none at all.

    Scripts write "undefined" when they have no id: OpenAI would count one of all the conversions that share it.
    """
    pixel_id = identity.normalized_external_id(value)
    return pixel_id if pixel_id and len(pixel_id) <= event.MAX_ID_LENGTH and "@" not in pixel_id else None


def fresh(timestamp_ms: int | None, now_ms: int) -> int | None:
    """The time (Unix milliseconds), if OpenAI would still take an event of it at ``now_ms``."""
    if timestamp_ms is None or event.age_problem(timestamp_ms, now_ms) is not None:
        return None
    return timestamp_ms


def origin_of(url: str | None) -> str | None:
    """Scheme and host of an address."""
    return "/".join(url.split("/", 3)[:3]) if url else None


def first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value is not None), None)


def without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
