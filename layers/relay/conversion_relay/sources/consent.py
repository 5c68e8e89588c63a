"""What a delivery says of its person's consent, and when that forbids to send: one rule for every source.

``relay_consent`` is the shop's own record of what its banner was answered: "granted" or "denied". A refusal is final:
no event is built. What is not said is unknown, and counts, unless ConsentRequiredIn names the country of the purchase,
or names any and that country is not known.

``relay_opt_out`` is another matter: the event is sent, with the API's own flag ``opt_out``, which keeps OpenAI from
using it for anything but measurement (Conversions API: event envelope).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from conversion_relay.delivery import Ignored
from conversion_relay.settings import Settings

CONSENT: Final = "relay_consent"
OPT_OUT: Final = "relay_opt_out"
"""What an attribute, a metadata name or a field is called that says so."""

REFUSED: Final = "consent_refused"
UNKNOWN: Final = "consent_unknown"

State = Literal["granted", "denied"]

_GRANTED: Final = frozenset({"granted", "true", "yes", "y", "1", "on"})
_DENIED: Final = frozenset({"denied", "refused", "false", "no", "n", "0", "off"})
_IN_A_BROWSER: Final = ("web", "mobile_app")
"""Action sources where somebody can have answered a banner. At a till, on the telephone or in a letter nobody has."""


class Consent(NamedTuple):
    """What a delivery says. ``country`` (two capitals) is that of the purchase, where it is not that of the user."""

    state: State | None = None
    opt_out: bool = False
    country: str | None = None


def said(value: object) -> State | None:
    """What a value says of consent; None for nothing, "unknown" and whatever else is neither yes nor no."""
    word = _word(value)
    return "granted" if word in _GRANTED else "denied" if word in _DENIED else None


def opted_out(value: object) -> bool:
    """Whether a value says that the person has opted out."""
    return _word(value) in _GRANTED


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.strip().lower() if isinstance(value, str) else ""


def forbids(consent: Consent, *, action_source: str, country: str | None, settings: Settings) -> Ignored | None:
    """Why no event may be built, or None. ``country`` (two capitals) is that of the event's user."""
    if consent.state == "denied":
        return Ignored(REFUSED, "the person has refused consent: no event is built")
    required = settings.consent_required_in
    if not required or consent.state == "granted" or action_source not in _IN_A_BROWSER:
        return None
    place = consent.country or country
    # Of a purchase that names no country nobody can say that it is of another one; and a later delivery about it may
    # name the country, so what is not known yet must not count.
    if place is None or "all" in required or place in required:
        return Ignored(UNKNOWN, "no consent is recorded where it is required (ConsentRequiredIn)")
    return None


def both(one: State | None, other: State | None) -> State | None:
    """What two parts of one purchase say together: a refusal counts whoever else agrees."""
    states = {one, other}
    return "denied" if "denied" in states else "granted" if "granted" in states else None
