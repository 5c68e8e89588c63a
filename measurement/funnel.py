"""From the click to the conversion, by channel and campaign, and the step that loses most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STEPS: Final = ("click", "session", "engaged", "micro", "macro")


@dataclass(frozen=True, slots=True)
class Funnel:
    """One campaign's steps. A step that no layer counts is None. ``leak``: the step before which most are lost, against
    what the other campaigns keep there; None where there is too little data to say."""

    channel: str
    campaign: str
    counts: dict[str, int | None]
    leak: str | None
