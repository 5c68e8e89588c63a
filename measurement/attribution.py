"""Which channel and campaign gets the credit for a conversion, by four models side by side.

Conversions are those of one type in the report's period; a touch counts if it lies within the window before the
conversion. A conversion without any touch is `unknown`. In every model and window the credit of all channels, `unknown`
included, sums to the number of conversions.

What a contact is, whose it is, and when direct visits and views count, is said once for all models in
`measurement.queries.paths`; the formulas with an example stand in docs/attribution.md.

====================  ================================================================================================
last_click            all to the last click or visit that is not direct
first_touch_decay     65 % to the first contact, the rest to the others by time decay; all to an only one
time_decay            by 2^(-days before the conversion / 7)
markov                by removal effect: by how much fewer conversions a chain without the campaign would bring
====================  ================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from measurement.estimate import Estimate, Kind
from measurement.problems import CannotSay
from measurement.tables import BUCKETS, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from measurement.engine import Data
    from measurement.settings import Settings

    Array = NDArray[Any]

Model = Literal["last_click", "first_touch_decay", "time_decay", "markov"]
MODELS: Final[tuple[Model, ...]] = ("last_click", "first_touch_decay", "time_decay", "markov")
WINDOWS: Final = (7, 14, 30, 90)
"""Days before the conversion in which a touch counts."""
NO_CAMPAIGN: Final = "(none)"
LEVEL: Final = 0.95
FIRST_SHARES: Final = (0.60, 0.70)
"""The least and the most that the first touch may get in `first_touch_decay`."""


@dataclass(frozen=True, slots=True)
class Credit:
    """What a channel (``campaign`` None) or one of its campaigns gets, of the conversions and of their value."""

    model: Model
    window_days: int
    channel: str
    campaign: str | None
    conversions: Estimate
    value: Estimate
    """In minor units."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """All credits. In each model and window those of the channels (``campaign`` None) sum to ``conversions`` and
    ``value``, and those of the campaigns do."""

    type: str
    conversions: int
    value: int
    credits: tuple[Credit, ...]


def attribute(
    data: Data,
    settings: Settings,
    *,
    windows: Sequence[int] = WINDOWS,
    replicates: int = 200,
    seed: int = 0,
    first_share: float = 0.65,
    half_life_days: float = 7.0,
    views: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Attribution:
    """Credit by all models, for each window.

    Intervals are percentiles of ``replicates`` bootstrap samples of persons, drawn in their random parts (`bucket`), so
    that a sample costs the same whatever the number of persons; 0: no intervals. ``seed`` makes them repeatable.
    ``views``: an ad that was only seen is a contact too.

    Raises CannotSay: there is no conversion in the period, there are no touches, or of no conversion is it known whose
    it is. ValueError: an argument is out of its range.
    """
    from measurement.queries import attribution as queries
    from measurement.queries import paths

    if not windows or min(windows) < 1:
        raise ValueError(f"windows are whole days, at least one: {list(windows)}")
    if not FIRST_SHARES[0] <= first_share <= FIRST_SHARES[1]:
        raise ValueError(f"the first touch gets 0.60 to 0.70, not {first_share}")
    if half_life_days < 1:
        raise ValueError(f"the half-life is a day or more, not {half_life_days}")
    tell = progress or (lambda _: None)
    scope = paths.Scope(settings.conversion_type, settings.first, settings.last, tuple(sorted(set(windows))), views)
    with ExitStack() as kept:

        def keep(query: Any) -> Any:
            table = data.keep(query)
            kept.callback(data.forget, table)
            return table

        tell("Attribution: conversions and campaigns")
        sold, known = keep(paths.sold(data, scope)), keep(paths.states(data, scope))
        buyers = keep(paths.buyers(data, sold))
        everything, states = _columns(data, queries.everything(sold, buyers)), data.rows(known)
        _refuse_what_says_nothing(settings, everything, states)
        tell("Attribution: the contacts before each conversion")
        contacts = keep(paths.contacts(data, known, buyers, scope))
        outlines = keep(queries.outlines(sold, contacts, scope, half_life_days=half_life_days))
        tell("Attribution: last click, first touch, time decay")
        last = _columns(data, queries.last_clicks(outlines, scope))
        rules = {"first_share": first_share, "half_life_days": half_life_days}
        shares = _columns(data, queries.shares(contacts, outlines, scope, **rules))
        tell("Attribution: the paths that end in a conversion, and those that do not")
        to_conversion = _columns(data, queries.steps_to_conversion(contacts, outlines, scope))
        to_nothing = _columns(data, queries.steps(keep(paths.lost(data, known, scope)), scope))
    tell(f"Attribution: {replicates:,} samples of persons")
    drawn = _weights(replicates, seed)
    credit = _Credit(states, drawn, everything)
    found: list[Credit] = []
    for days in scope.windows:
        credit.begin(days, last)
        found += credit.rows("last_click", *credit.by_last)
        found += credit.rows("first_touch_decay", *credit.of_shares(shares, "first"))
        found += credit.rows("time_decay", *credit.of_shares(shares, "time"))
        found += credit.rows("markov", *credit.of_chain(to_conversion, to_nothing))
    order = {model: place for place, model in enumerate(MODELS)}
    found.sort(key=lambda each: (order[each.model], each.window_days))
    return Attribution(settings.conversion_type, credit.total, credit.total_value, tuple(_without_nothing(found)))


def last_click(data: Data, settings: Settings, *, window_days: int = 30) -> dict[str, tuple[float, float]]:
    """Conversions and value (minor units) of each channel by last click, without intervals: `attribute` for those who
    need nothing else. Raises CannotSay as it does."""
    from measurement.queries import attribution as queries
    from measurement.queries import paths

    scope = paths.Scope(settings.conversion_type, settings.first, settings.last, (window_days,))
    sold, known = paths.sold(data, scope), paths.states(data, scope)
    buyers = paths.buyers(data, sold)
    everything, states = _columns(data, queries.everything(sold, buyers)), data.rows(known)
    _refuse_what_says_nothing(settings, everything, states)
    outlines = queries.outlines(sold, paths.contacts(data, known, buyers, scope), scope)
    credit = _Credit(states, _weights(0, 0), everything)
    credit.begin(window_days, _columns(data, queries.last_clicks(outlines, scope)))
    return {
        each.channel: (each.conversions.value, each.value.value)
        for each in credit.rows("last_click", *credit.by_last)
        if each.campaign is None
    }


def removal_effects(counts: Array) -> Array:
    """By which share conversions fall when a state is taken out of a Markov chain of order 1, for many chains at once.

    ``counts`` is (chains, states + 1, states + 2): how often a state is followed by another; the last row is the start,
    the last columns are conversion and null. What led to a state that is taken out leads to null.

    Taken out, the chain brings the conversions of those paths that never come to the state. So the loss is the
    probability of ever coming to it, times the probability of converting from there; both are in the inverse of I - Q,
    Q being the steps between states. No chain has to be solved again for each state.
    """
    import numpy as np

    number = counts.shape[1] - 1
    # A state that follows itself is left later, but for the same next ones.
    between = counts.copy()
    own = np.arange(number)
    between[:, own, own] = 0
    totals = between.sum(axis=2, keepdims=True)
    steps = between / np.where(totals == 0, 1, totals)
    inverse = np.linalg.inv(np.eye(number) - steps[:, :number, :number])
    converting = (inverse @ steps[:, :number, number, None])[:, :, 0]
    start = steps[:, number, :number]
    ever = (start[:, None, :] @ inverse)[:, 0, :] / inverse[:, own, own]
    whole = (start * converting).sum(axis=1, keepdims=True)
    effects: Array = ever * converting / np.where(whole == 0, 1, whole)
    return effects


class _Credit:
    """Sums the parts of the persons, for the data itself and for each sample, and makes rows of it.

    Arrays are (1 + samples, states); row 0 is the data itself.
    """

    def __init__(self, states: Sequence[dict[str, Any]], weights: Array, everything: dict[str, Array]) -> None:
        import numpy as np

        self.weights = weights
        named = {each["state"]: (each["channel"], each["label"]) for each in states}
        self.numbers = np.array(sorted(named))
        self.labels = [named[number] for number in sorted(named)]
        """Channel and campaign of each state."""
        self.nodes = np.array(sorted({each["node"] for each in states}))
        touches = np.zeros((len(self.numbers), len(self.nodes)))
        for each in states:
            touches[self._places(each["state"]), np.searchsorted(self.nodes, each["node"])] += each["touches"]
        self.within = touches / touches.sum(axis=0)
        """Which part of a node's credit is whose: by their numbers of touches."""
        self.all = self._by_bucket(everything, "conversions")
        self.all_value = self._by_bucket(everything, "value")
        self.total, self.total_value = int(self.all[0]), int(self.all_value[0])

    def begin(self, days: int, last: dict[str, Array]) -> None:
        """Begin a window: its last contacts, which say how many conversions have any."""
        self.days = days
        here = {name: column[last["window"] == days] for name, column in last.items()}
        self.by_last = self._by_state(here, "conversions"), self._by_state(here, "value")
        self.touched, self.touched_value = self.by_last[0].sum(axis=1), self.by_last[1].sum(axis=1)

    def of_shares(self, shares: dict[str, Array], model: str) -> tuple[Array, Array]:
        """Conversions and value of a model that the query has computed."""
        by_count = self._by_state(shares, f"{model}_{self.days}")
        by_value = self._by_state(shares, f"{model}_value_{self.days}")
        return by_count, by_value

    def of_chain(self, to_conversion: dict[str, Array], to_nothing: dict[str, Array]) -> tuple[Array, Array]:
        """Conversions and value by removal effect."""
        import numpy as np
        from scipy import sparse

        number = len(self.nodes)
        width = number + 2
        buckets, cells, counts = [], [], []
        for steps, end in ((to_conversion, number), (to_nothing, number + 1)):
            to: Any = np.searchsorted(self.nodes, steps["node"])
            before: Any = np.searchsorted(self.nodes, np.maximum(steps["before_node"], 0))
            cell = {"pairs": before * width + to, "starts": number * width + to, "ends": to * width + end}
            for kind, cell_of in cell.items():
                count = steps[f"{kind}_{self.days}"]
                there = np.flatnonzero(count)
                buckets.append(steps["bucket"][there])
                cells.append(cell_of[there])
                counts.append(count[there])
        table = sparse.csr_array(
            (np.concatenate(counts), (np.concatenate(buckets), np.concatenate(cells))),
            shape=(BUCKETS, (number + 1) * width),
        )
        drawn = np.asarray((table.T @ self.weights.T).T)
        effects = removal_effects(drawn.reshape(len(self.weights), number + 1, width))
        whole = effects.sum(axis=1, keepdims=True)
        share = (effects / np.where(whole == 0, 1, whole)) @ self.within.T
        return share * self.touched[:, None], share * self.touched_value[:, None]

    def rows(self, model: Model, conversions: Array, value: Array) -> Iterator[Credit]:
        """The channels, their campaigns, and what is unknown."""
        import numpy as np

        of_channel: dict[str, list[int]] = {}
        for place, (channel, _) in enumerate(self.labels):
            of_channel.setdefault(channel, []).append(place)
        labels: list[tuple[str, str | None]] = []
        members: list[list[int]] = []
        for channel, places in sorted(of_channel.items()):
            labels.append((channel, None))
            members.append(places)
            for place in places:
                labels.append(self.labels[place])
                members.append([place])
        sums = np.zeros((len(self.labels), len(members)))
        for column, places in enumerate(members):
            sums[places, column] = 1
        for (channel, campaign), count, worth in zip(
            labels, _estimates(conversions @ sums, "modelled"), _estimates(value @ sums, "modelled"), strict=True
        ):
            yield Credit(model, self.days, channel, campaign, count, worth)
        (count,) = _estimates((self.all - self.touched)[:, None], "measured")
        (worth,) = _estimates((self.all_value - self.touched_value)[:, None], "measured")
        for campaign in (None, NO_CAMPAIGN):
            yield Credit(model, self.days, UNKNOWN, campaign, count, worth)

    def _places(self, numbers: Any) -> Any:
        import numpy as np

        return np.searchsorted(self.numbers, numbers)

    def _by_bucket(self, columns: dict[str, Array], name: str) -> Array:
        import numpy as np

        drawn: Array = self.weights @ np.bincount(columns["bucket"], columns[name], BUCKETS)
        return drawn

    def _by_state(self, columns: dict[str, Array], name: str) -> Array:
        import numpy as np

        cells = columns["bucket"] * len(self.numbers) + self._places(columns["state"])
        held = np.bincount(cells, columns[name], BUCKETS * len(self.numbers))
        drawn: Array = self.weights @ held.reshape(BUCKETS, -1)
        return drawn


def _weights(replicates: int, seed: int) -> Array:
    """How often each part of the persons is in each sample; the first row is the data itself."""
    import numpy as np

    drawn = np.random.default_rng(seed).multinomial(BUCKETS, np.full(BUCKETS, 1 / BUCKETS), size=replicates)
    return np.vstack([np.ones(BUCKETS), drawn])


def _columns(data: Data, query: Any) -> dict[str, Array]:
    """An answer's columns of numbers, wide enough to compute with; empty ones are 0."""
    import numpy as np
    import pyarrow as pa

    answer = data.arrow(query)
    columns = {}
    for name, column in zip(answer.column_names, answer.columns, strict=True):
        wide = pa.float64() if pa.types.is_floating(column.type) else pa.int64()
        columns[name] = np.asarray(column.cast(wide).fill_null(0).to_numpy())
    return columns


def _estimates(drawn: Array, kind: Kind) -> list[Estimate]:
    """Each column's value with the percentiles of its samples. An interval is never drawn beside its value."""
    import numpy as np

    values = [float(value) for value in drawn[0]]
    if len(drawn) == 1:
        return [Estimate(value, kind=kind) for value in values]
    low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [
        Estimate(value, min(float(least), value), max(float(most), value), kind, LEVEL)
        for value, least, most in zip(values, low, high, strict=True)
    ]


def _without_nothing(credits_: Sequence[Credit]) -> Iterator[Credit]:
    """Without campaigns that no model in any window gives anything."""
    named = {
        (each.channel, each.campaign) for each in credits_ if each.conversions.value > 0 or each.channel == UNKNOWN
    }
    return (each for each in credits_ if (each.channel, each.campaign) in named)


def _refuse_what_says_nothing(
    settings: Settings, everything: dict[str, Array], states: Sequence[dict[str, Any]]
) -> None:
    period = f"{settings.first} to {settings.last}"
    if not everything["conversions"].sum():
        raise CannotSay(
            "Attribution", f"there is no {settings.conversion_type} from {period}",
            "Choose a period or a type of which the ledger holds conversions.",
        )  # fmt: skip
    if not states:
        raise CannotSay(
            "Attribution", f"there are no touches from {period} or the days before",
            "Import the click memory, GA4's sessions or a file of touches.",
        )  # fmt: skip
    if not everything["known"].sum():
        raise CannotSay(
            "Attribution", "of no conversion is it known which person of the touches made it",
            "Import what links orders to persons: the click memory, or GA4's purchases with their user ids.",
        )  # fmt: skip
