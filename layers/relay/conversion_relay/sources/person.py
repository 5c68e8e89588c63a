"""Whom an event is about: the user fields out of raw values, each from its first usable one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conversion_relay import identity
from conversion_relay.click_memory import is_key
from conversion_relay.settings import Settings
from conversion_relay.sources.envelope import first, without_none


def user_fields(
    *,
    settings: Settings,
    emails: Iterable[object] = (),
    phones: Iterable[tuple[object, str | None]] = (),
    external_ids: Iterable[object] = (),
    first_names: Iterable[object] = (),
    last_names: Iterable[object] = (),
    city: object = None,
    region: object = None,
    postal_code: object = None,
    country: object = None,
    ip_address: object = None,
    user_agent: object = None,
) -> dict[str, Any]:
    """Hashed and raw user fields of the Conversions API; ``phones`` come with the country of their address.

    ``ip_address`` and ``user_agent`` are those of the person's own device, never of a server or an agent.
    """
    fallback = settings.default_phone_region or None
    found = {
        "emails_sha256": first(identity.email(value) for value in emails),
        # A national number is read in the country of its own address, or in the configured one; it is never guessed.
        "phone_numbers_sha256": first(identity.phone(number, region=near or fallback) for number, near in phones),
        "external_ids_sha256": first(
            # A key of the click memory is a new one each time and names nobody.
            identity.external_id(value)
            for value in external_ids
            if not is_key(value)
        ),
        "first_names_sha256": first(identity.name(value) for value in first_names),
        "last_names_sha256": first(identity.name(value) for value in last_names),
        "cities": identity.city(city),
        "regions": identity.region(region),
        "postal_codes": identity.postal_code(postal_code),
        "countries": identity.country(country),
    }
    device = {"ip_address": identity.ip_address(ip_address), "user_agent": identity.user_agent(user_agent)}
    return {field: [value] for field, value in found.items() if value is not None} | without_none(device)
