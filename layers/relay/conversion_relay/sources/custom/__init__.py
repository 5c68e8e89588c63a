"""Any platform by configuration: one file each says who may send, what is read, and what it becomes.

``format`` is what a file may say, ``verification`` who sent it, ``mapping`` what it becomes. The files are checked and
put into one ``platforms.json`` when the function is built; a platform's part is read at its first delivery.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from conversion_relay.delivery import Delivery, Handshake, Recall, Result, Source

if TYPE_CHECKING:
    from conversion_relay.settings import Settings
    from conversion_relay.sources.custom.format import Platform

__all__ = ["FOLDER", "PlatformsMissing", "source", "sources_in"]

FOLDER: Final = "custom"
"""Where secrets and parked deliveries of all these platforms lie, so that a role can name them."""


class PlatformsMissing(Exception):
    """The function was shipped without its platforms: nothing can be accepted."""


def sources_in(path: Path) -> list[Source]:
    """The sources of a ``platforms.json`` that the build has made.

    Raises:
        PlatformsMissing: there is no such file.
    """
    try:
        held: Mapping[str, Mapping[str, Any]] = json.loads(path.read_bytes())["platforms"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise PlatformsMissing(
            f"{path.name} is missing or unreadable: build the function with its makefile, which makes the file out of "
            "functions/custom/platforms/"
        ) from problem
    return [source(name, definition) for name, definition in held.items()]


def source(name: str, definition: Mapping[str, Any]) -> Source:
    """The source of one platform, by what its file says."""
    known = _Known(name, definition)
    return Source(
        name,
        known.verify,
        known.normalize,
        delivery_id=lambda _: None,
        tenant=lambda _: None,
        retries=bool(definition.get("retries", True)),
        handshake=known.handshake,
        about=known.about,
    )


class _Known:
    """A platform whose description is read when it is first needed: most functions see deliveries of one of them."""

    def __init__(self, name: str, definition: Mapping[str, Any]) -> None:
        self._name = name
        self._definition = definition

    @cached_property
    def _platform(self) -> Platform:
        from conversion_relay.sources.custom.format import Platform

        return Platform.model_validate(self._definition)

    def handshake(self, delivery: Delivery) -> Handshake | None:
        if self._definition.get("handshake") is None:
            return None
        from conversion_relay.sources.custom import verification

        return verification.handshake(self._platform, delivery)

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_ms: int) -> None:
        from conversion_relay.sources.custom import verification

        verification.verify(self._platform, delivery, secrets, now_ms)

    def normalize(self, delivery: Delivery, settings: Settings, now_ms: int, recall: Recall) -> Result:
        from conversion_relay.sources.custom import mapping

        return mapping.normalize(self._name, self._platform, delivery, settings, now_ms, recall)

    def about(self, delivery: Delivery) -> Sequence[str]:
        from conversion_relay.sources.custom import mapping

        return mapping.subjects(self._name, self._platform, delivery)
