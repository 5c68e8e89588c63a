"""What no click shows: the answers of buyers, how far the layers agree, and an estimate of what none of them sees.

A buyer is an order of the report's type and period (`measurement.queries.dark_funnel`). Where an interval comes from:

- **Share of the answers.** Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001 recommend it), on the
  effective number of answers ``n (N - 1) / (N - n)``. The truth is the share among the ``N`` buyers of the period, who
  are not without number: ``n`` answers from them leave a variance of ``p (1 - p) / n * (N - n) / (N - 1)`` (Cochran,
  Sampling Techniques, 1977, section 2.6), which is that of so many more answers from a shop without end. If all have
  answered, there is no uncertainty left.
- **Adjusted share.** Post-stratification (Cochran, section 5A.9): buyers are divided by what is known of each of them,
  and each part's answers count for that part. Wilson on the effective number ``p (1 - p) / variance`` (Korn and
  Graubard 1998).
- **Unseen.** Chapman's estimator (Chapman 1951) with answers weighted by the inverse of the response rate, as that of
  buyers with a click differs from that of the others; the interval of Chao (1987), which is log-normal, see `unseen`.

`make study` shows how often they cover the truth of simulated shops (docs/measured-accuracy.md).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from measurement.estimate import Estimate
from measurement.problems import CannotSay
from measurement.queries import dark_funnel as queries
from measurement.tables import CHATGPT

if TYPE_CHECKING:
    from measurement.engine import Data
    from measurement.settings import Settings

FEWEST_ANSWERS: Final = 30
"""A survey with fewer answers is not shown: Wilson's interval of a share of 10 % is then over 20 points wide."""
FEWEST_IN_BOTH: Final = 7
"""Buyers whom both layers must see for an estimate of the unseen: below it the bias of Chapman's estimator is no longer
negligible (Robson and Regier 1964). The same is asked of those whom the survey alone sees."""
FEWEST_IN_PART: Final = 10
"""Answers that a part of the buyers must have to stand for itself; smaller parts are joined."""
LEAST_LINKED: Final = 0.8
"""The share of the answers that must carry an order id for what joins them with clicks."""
LEAST_RATE: Final = 0.01
"""The share of the orders of a kind (web, till, phone) that must have an answer for the kind to count as asked."""
NOTABLE: Final = 0.1
"""By how much, relative to the larger one, response rates may differ without a word on what that does."""
NORMAL_95: Final = 1.959963984540054


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


ASSUMPTIONS: Final = (
    "Whether a buyer's click is seen and whether the buyer names ChatGPT have nothing to do with each other. If those "
    "whose click is seen remember it better, the estimate is too low; if the click is forgotten by the browser for "
    "just those who remember ChatGPT as the first contact, it is too high.",
    "Every buyer whom an ad brought is as likely to be seen by a layer as any other. If some people are hard to see "
    "for both (they refuse cookies and have forgotten the ad), the estimate is too low.",
    "Who answers depends on nothing but what is known of every buyer: whether a click was seen and what the last touch "
    "was. If buyers whom ChatGPT brought answer more readily than others of the same kind, it is too high; if less "
    "readily, too low.",
    "Who names ChatGPT means its ads. If some mean an answer that nobody paid for, or err, the estimate is too high.",
    "Whose click is seen was brought by it. If some would have bought anyway, they are counted all the same: this "
    "counts buyers with an ad on their way, not buyers whom the ads caused. Only a test of incrementality counts "
    "those.",
    "Answers and clicks are linked by the right order. Each wrong link makes the estimate too high.",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Buyers of whom the same is known: how many, and how many of them said what."""

    clicked: bool
    orders: int
    said: Counter[str]

    @property
    def answers(self) -> int:
        """How many of them answered."""
        return self.said.total()


@dataclass(frozen=True, slots=True)
class Buyers:
    """All that survey and clicks say of the period's buyers, counted."""

    parts: tuple[Part, ...]
    """By what is known of each buyer (a click seen, the last touch); only kinds of orders that are asked."""
    bare: Counter[str]
    """Answers without an order id."""
    elsewhere: int
    """Answers to orders that are none of the period's buyers."""
    repeated: int
    """Further answers to an order that has one."""
    not_asked: tuple[tuple[str, int], ...]
    """Kinds of orders (`physical_store` …) that nobody answers for, and how many."""

    @property
    def asked(self) -> int:
        """Buyers of the kinds that are asked."""
        return sum(part.orders for part in self.parts)

    @property
    def linked(self) -> int:
        """Answers that belong to one of them."""
        return sum(part.answers for part in self.parts)


def read(data: Data, settings: Settings) -> Buyers:
    """Counts the buyers of the period and their answers."""
    period = (data.tables, settings.conversion_type, settings.first, settings.last)
    return counted(data.rows(queries.cells(*period)), data.rows(queries.answers(*period)))


def counted(cells: Iterable[Mapping[str, Any]], answers: Iterable[Mapping[str, Any]]) -> Buyers:
    """The same from the rows of the two queries."""
    cells, answers = tuple(cells), tuple(answers)
    orders: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for cell in cells:
        orders[cell["action_source"]] += cell["orders"]
        answered[cell["action_source"]] += cell["orders"] if cell["said"] else 0
    bare = Counter({row["said"]: row["answers"] for row in answers if row["place"] == "bare"})
    asked = {source for source in orders if answered[source] >= max(1, LEAST_RATE * orders[source])}
    if not asked and bare:
        asked = set(orders)
    parts: dict[tuple[bool, str], tuple[list[int], Counter[str]]] = {}
    for cell in cells:
        if cell["action_source"] in asked:
            count, said = parts.setdefault((cell["clicked"], cell["last"]), ([], Counter()))
            count.append(cell["orders"])
            if cell["said"]:
                said[cell["said"]] += cell["orders"]
    return Buyers(
        tuple(Part(clicked, sum(count), said) for (clicked, _), (count, said) in sorted(parts.items())),
        bare,
        sum(row["answers"] for row in answers if row["place"] == "elsewhere"),
        sum(row["answers"] for row in answers if row["place"] == "linked") - answered.total(),
        tuple(sorted((source, orders[source]) for source in orders if source not in asked)),
    )


# The survey


def survey(data: Data, settings: Settings, progress: Callable[[str], None] | None = None) -> Survey:
    """What buyers say, with non-response stated.

    Raises:
        CannotSay: no orders, no or fewer than `FEWEST_ANSWERS` answers, more answers than buyers.
    """
    if progress:
        progress("Survey: counting buyers and answers")
    return survey_of(read(data, settings))


def survey_of(buyers: Buyers) -> Survey:
    """The same from the counts."""
    what = "The survey"
    answered = buyers.linked + buyers.bare.total()
    if not buyers.parts and not buyers.not_asked:
        raise CannotSay(
            what,
            "the ledger has no orders with an order id in the period",
            "Import the ledger for the same period as the answers",
        )
    if not answered:
        why = "there are no answers to orders of the period"
        if buyers.elsewhere:
            named = "1 answer names an order" if buyers.elsewhere == 1 else f"{buyers.elsewhere:,} answers name orders"
            why += f"; {named} that the ledger does not have in it"
        raise CannotSay(what, why, "Import answers that carry the shop's order id, of the same period as the ledger")
    if answered > buyers.asked:
        raise CannotSay(
            what,
            f"there are more answers ({answered:,}) than buyers ({buyers.asked:,})",
            "Import the ledger for the whole time of the survey, or the answers of the same shop and period only",
        )
    if answered < FEWEST_ANSWERS:
        raise CannotSay(
            what,
            f"there {'is 1 answer' if answered == 1 else f'are {answered} answers'}, and fewer than "
            f"{FEWEST_ANSWERS} say next to nothing",
            "Wait for more answers, or choose a longer period",
        )
    said = sum((part.said for part in buyers.parts), buyers.bare.copy())
    joined = joined_parts(buyers.parts)
    adjust = len(joined) > 1 and buyers.linked >= LEAST_LINKED * answered
    shares = tuple(
        SurveyShare(
            channel,
            count,
            wilson(count / answered, answered, buyers.asked),
            adjusted(channel, joined) if adjust else None,
        )
        for channel, count in sorted(said.items(), key=lambda each: (-each[1], each[0]))
    )
    return Survey(buyers.asked, answered, shares, _notes(buyers, answered, is_adjusted=adjust))


def _notes(buyers: Buyers, answered: int, *, is_adjusted: bool) -> tuple[str, ...]:
    notes = [
        f"{answered:,} of {buyers.asked:,} buyers answered ({answered / buyers.asked:.0%}); what the others would have "
        "said is not known."
    ]
    clicked, others = ([part for part in buyers.parts if part.clicked is each] for each in (True, False))
    if clicked and others and buyers.linked:
        rates = [sum(p.answers for p in of) / sum(p.orders for p in of) for of in (clicked, others)]
        note = f"With a click {rates[0]:.0%} answered, without one {rates[1]:.0%}"
        if abs(rates[0] - rates[1]) > NOTABLE * max(rates):
            note += "; the shares of the answers are shifted by that"
            note += ", those of all buyers are corrected for it" if is_adjusted else ""
        notes.append(f"{note}.")
    for source, orders in buyers.not_asked:
        notes.append(f"{orders:,} orders of the kind {source} are not asked: the shares say nothing of them.")
    if buyers.bare:
        notes.append(f"{buyers.bare.total():,} answers carry no order id: they cannot be compared with clicks.")
    if buyers.elsewhere:
        notes.append(
            f"{buyers.elsewhere:,} answers name an order that the ledger does not have in the period: left out."
        )
    if buyers.repeated:
        notes.append(f"{buyers.repeated:,} further answers to an order that already has one: left out.")
    return tuple(notes)


def wilson(share: float, answers: float, population: float | None = None) -> Estimate:
    """A share of ``answers``, which may be an effective number, with its 95 % score interval.

    ``population``: of how many they are drawn; the truth is then the share among those. If all have answered, the
    interval is the share itself.
    """
    from statsmodels.stats.proportion import proportion_confint

    effective = answers
    if population is not None:
        if population <= answers:
            return Estimate(share, share, share)
        effective = answers * (population - 1) / (population - answers)
    low, high = proportion_confint(share * effective, effective, alpha=0.05, method="wilson")
    # The bound at a share of exactly 0 or 1 is that share; floating point leaves it 1e-17 beside.
    return Estimate(share, min(float(low), share), max(float(high), share))


def joined_parts(parts: Iterable[Part], *, least: int = FEWEST_IN_PART) -> tuple[Part, ...]:
    """The parts, with those of fewer than ``least`` answers joined: first among those alike in the click, then all."""
    done: list[Part] = []
    for clicked in (True, False):
        alike = [part for part in parts if part.clicked is clicked]
        large = [part for part in alike if part.answers >= least]
        small = [part for part in alike if part.answers < least]
        if small:
            rest = _together(small)
            if rest.answers < least and large:
                fewest = min(range(len(large)), key=lambda at: large[at].answers)
                rest = _together([rest, large.pop(fewest)])
            large.append(rest)
        done += large
    if any(part.answers < least for part in done) and len(done) > 1:
        return (_together(done),)
    return tuple(done)


def _together(parts: Sequence[Part]) -> Part:
    said = sum((part.said for part in parts), Counter[str]())
    return Part(parts[0].clicked, sum(part.orders for part in parts), said)


def adjusted(channel: str, parts: Sequence[Part]) -> Estimate:
    """The share of all buyers who would name the channel: each part's answers stand for that part's buyers.

    The variance is that of post-stratification with each part's finite-population correction. A part in which nobody
    or everybody names the channel has a variance all the same: its share is drawn towards that of all parts by the
    weight of one answer.
    """
    buyers = sum(part.orders for part in parts)
    share = sum(part.orders / buyers * part.said[channel] / part.answers for part in parts)
    variance = 0.0
    for part in parts:
        if part.orders > part.answers:
            drawn = (part.said[channel] + share) / (part.answers + 1)
            correction = (part.orders - part.answers) / (part.orders - 1)
            variance += (part.orders / buyers) ** 2 * drawn * (1 - drawn) / part.answers * correction
    if variance == 0:
        # All have answered, or nobody names it in any part. Then the size of the sample is all that is known.
        answers, weight = sum(part.answers for part in parts), sum(p.orders**2 / p.answers for p in parts)
        bound = wilson(share, min(answers, buyers**2 / weight), buyers if answers < buyers else answers)
        return Estimate(bound.value, bound.low, bound.high, "modelled")
    bound = wilson(share, share * (1 - share) / variance)
    return Estimate(bound.value, bound.low, bound.high, "modelled")


# The unseen


def unseen(data: Data, settings: Settings, progress: Callable[[str], None] | None = None) -> Unseen:
    """Buyers with a ChatGPT ad on their way, those included whom neither a click nor an answer shows.

    Raises:
        CannotSay: the two layers cannot be linked by order, see too few buyers, or give more than there are.
    """
    if progress:
        progress("Unseen: comparing clicks with answers")
    return unseen_of(read(data, settings))


def unseen_of(buyers: Buyers) -> Unseen:
    """The same from the counts.

    With ``n1`` buyers whose click is seen, of whom ``k`` answer and ``m`` of them name ChatGPT, and ``u`` buyers
    without a click who name it, each of whom stands for ``w = orders / answers`` buyers of his part::

        total = n1 + sum(w u) (k + 1) / (m + 1)

    If all answer, that is Chapman's ``(n1 + 1)(n2 + 1) / (m + 1) - 1`` with ``n2 = m + u``. If the clicked of several
    parts answer at different rates, ``m / k`` is their weighted share and ``k`` Kish's effective number of answers.

    The interval is log-normal on the number of those without a click (Chao 1987 has it on the unseen alone, which
    covers less where nearly all are seen), with the relative variance of that number by the delta method::

        sum(w^2 u (1 - r / w)) / sum(w u)^2  +  (1 - r) / m        r = m / k

    It never excludes those who have been seen.
    """
    what = "The estimate of the buyers whom no layer sees"
    answered = buyers.linked + buyers.bare.total()
    if answered and buyers.linked < LEAST_LINKED * answered:
        raise CannotSay(
            what,
            f"only {buyers.linked:,} of {answered:,} answers carry an order id, so they cannot be compared with clicks",
            "Let the survey tool send the shop's order id with each answer",
        )
    if buyers.linked < FEWEST_ANSWERS:
        raise CannotSay(
            what,
            f"{buyers.linked:,} answers can be linked to orders, and it takes at least {FEWEST_ANSWERS}",
            "Wait for more answers, or choose a longer period",
        )
    clicked = [part for part in buyers.parts if part.clicked]
    others = [part for part in buyers.parts if not part.clicked]
    both = sum(part.said[CHATGPT] for part in clicked)
    alone = sum(part.said[CHATGPT] for part in others)
    if both < FEWEST_IN_BOTH or alone < FEWEST_IN_BOTH:
        found, where = (both, "with a click") if both < FEWEST_IN_BOTH else (alone, "without a click")
        advice = "Wait for more answers, or choose a longer period"
        if sum(part.said["ai_assistant"] for part in clicked) >= FEWEST_IN_BOTH:
            advice = (
                "Buyers with a click name an assistant's answer instead: if the survey has one option for ad and "
                'answer, say that it means the ads, chatgpt = "chatgpt"'
            )
        raise CannotSay(what, f"{found} buyers {where} name ChatGPT, and it takes at least {FEWEST_IN_BOTH}", advice)
    parts = _alike(clicked)
    orders = sum(part.orders for part in parts)
    naming = sum(part.orders * part.said[CHATGPT] / part.answers for part in parts) / orders
    effective = orders**2 / sum(part.orders**2 / part.answers for part in parts)
    factor = (effective + 1) / (effective * naming + 1)
    weighted = variance = 0.0
    for part in _alike(others):
        weight = part.orders / part.answers
        weighted += weight * part.said[CHATGPT]
        variance += weight**2 * part.said[CHATGPT] * (1 - naming / weight)
    hidden = weighted * factor
    relative = variance / weighted**2 + (1 - naming) / (effective * naming)
    spread = math.exp(NORMAL_95 * math.sqrt(math.log1p(relative)))
    low, high = (max(bound, alone) for bound in (hidden / spread, hidden * spread))
    hidden = max(hidden, alone)
    if orders + hidden > buyers.asked:
        raise CannotSay(
            what,
            f"it would be {orders + hidden:,.0f} of {buyers.asked:,} buyers, which cannot be",
            "Check that the answers belong to these orders, and whether people mean the ads when they name ChatGPT",
        )
    high = min(high, buyers.asked - orders)
    return Unseen(
        orders,
        both + alone,
        both,
        Estimate(orders + hidden, orders + low, orders + high, "modelled"),
        Estimate(hidden - alone, low - alone, high - alone, "modelled"),
        ASSUMPTIONS,
    )


def _alike(parts: Sequence[Part]) -> Sequence[Part]:
    """Parts with enough answers each; all of them are alike in the click."""
    joined = joined_parts(parts)
    return joined if all(part.answers for part in joined) else [_together(joined)]


# Agreement

LAYERS: Final = ("ledger", "ga4", "crm", "survey")


def agreement(data: Data, settings: Settings, progress: Callable[[str], None] | None = None) -> Agreement:
    """How far click references, GA4, the CRM and the survey credit the same orders to ChatGPT.

    The orders are those that the ledger has. OpenAI reports totals, not orders, and so stands beside the matrix.

    Raises:
        CannotSay: fewer than two layers see any order of the period.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    if progress:
        progress("Agreement: joining the layers by order")
    period = (data.tables, settings.conversion_type, settings.first, settings.last)
    rows = data.rows(queries.layers(*period))
    layers = tuple(layer for layer in LAYERS if any(row[layer] is not None for row in rows))
    if len(layers) < 2:
        have = f"only {layers[0]} sees" if layers else "no layer sees"
        raise CannotSay(
            "How far the layers agree",
            f"{have} orders of the period",
            "Import a second layer that names orders: GA4 transactions, a CRM export or survey answers with order ids",
        )
    both: dict[str, dict[str, int]] = {}
    seen: dict[str, dict[str, int]] = {}
    kappa: dict[str, dict[str, float | None]] = {}
    for a in layers:
        both[a], seen[a], kappa[a] = {}, {}, {}
        for b in layers:
            table = [[0, 0], [0, 0]]
            for row in rows:
                if row[a] is not None and row[b] is not None:
                    table[row[a]][row[b]] += row["orders"]
            both[a][b] = table[1][1]
            seen[a][b] = sum(map(sum, table))
            varies = all(map(sum, table)) and all(map(sum, zip(*table, strict=True)))
            kappa[a][b] = float(cohens_kappa(table, return_results=False)) if varies else None
    return Agreement(layers, both, seen, kappa, _totals(data, settings))


def _totals(data: Data, settings: Settings) -> dict[str, int]:
    held = data.rows(queries.attributed(data.tables, settings.conversion_type, settings.first, settings.last))
    # A total for all types would count more than orders; it stands in only where the platform tells no types apart.
    exact = [row for row in held if row["type"] == settings.conversion_type] or held
    totals: dict[str, int] = {}
    for row in sorted(exact, key=lambda row: (row["basis"], row["window_days"])):
        name = f"{row['window_days']} days by {row['basis']}"
        totals[f"openai click-through, {name}"] = row["click_through"]
        if row["view_through"] is not None:
            totals[f"openai view-through, {name}"] = row["view_through"]
    return totals
