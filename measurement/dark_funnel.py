"""What no click shows: the answers of buyers, how far the layers agree, and an estimate of what none of them sees."""

from __future__ import annotations

from dataclasses import dataclass, field

from measurement.estimate import Estimate


@dataclass(frozen=True, slots=True)
class SurveyShare:
    """The share of buyers who say that they first heard of the shop by a channel."""

    channel: str
    answers: int
    share: Estimate
    """Measured: of those who answered, with its Wilson interval."""
    adjusted: Estimate | None
    """Modelled: of all buyers, non-response weighted by what is known of everyone. None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The survey: how many bought, how many of them answered, and what they said."""

    asked: int
    answered: int
    shares: tuple[SurveyShare, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many orders each pair of layers credits to ChatGPT, and how far they agree.

    ``both[a][b]``: orders that layers a and b can both see and both credit to ChatGPT; ``seen[a][b]``: orders that both
    can see; ``kappa[a][b]``: Cohen's kappa, None where one of them never varies.
    """

    layers: tuple[str, ...]
    both: dict[str, dict[str, int]]
    seen: dict[str, dict[str, int]]
    kappa: dict[str, dict[str, float | None]]
    totals: dict[str, int] = field(default_factory=dict)
    """Layers that give no orders, only totals: OpenAI's, such as ``openai click-through, 30 days by ad_event_time``."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Buyers whom ChatGPT ads brought, estimated by capture-recapture from two layers that each see a part."""

    clicked: int
    surveyed: int
    both: int
    total: Estimate
    unseen: Estimate
    """Of the total, those in neither layer."""
    assumptions: tuple[str, ...]
    """In plain words; each says which way the estimate errs where it does not hold."""
