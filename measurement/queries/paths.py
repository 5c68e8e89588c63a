"""Which contacts came before a conversion: conversions joined with the touches of the same person, oldest first.

Who: the person that the conversion names, and those that `links` names for its order; the touches of several are put
together. When: in the longest window before the conversion; one at the conversion's own instant counts, later ones
never. Each conversion has a path of its own: a touch may stand in the paths of two conversions of one person.

What counts as one **contact**: touches of one channel that follow each other within 30 minutes, as one visit of GA4
does. Otherwise a click that the click memory and GA4 both saw would count twice. Its time and campaign are its first
touch's. A click after a view begins a contact of its own. At the same instant a click comes before a visit and that
before a view; of two alike, that of the campaign with more touches comes first.

A window holds touches, and what lies in it makes the contacts. So where the end of a window **cuts** a contact in two,
the later part is a contact of that window, with the time and campaign of its own first touch, and of no other window.
That a touch lies in a window never depends on which other windows are asked for.

**Direct** visits count only where, in the window, there is nothing else (GA4's rule for all its models).
**Views** count only where the scope says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import ibis

from measurement.queries._sets import together
from measurement.tables import UNKNOWN

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAY_MS: Final = 86_400_000
SAME_CONTACT_MS: Final = 30 * 60_000
"""GA4's session timeout, as it is set unless changed."""
MOST_STATES: Final = 1_000
"""So many campaigns are told apart; the smaller ones are put together for each channel, as `(others)`."""
MOST_NODES: Final = 50
"""So many campaigns are states of the Markov chain; the smaller ones are one state for each channel."""
OTHERS: Final = "(others)"
KINDS: Final = ("click", "visit", "view")
"""In the order of what they say: at the same instant, a click beats a visit, and that a view."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which conversions (of one type, on days of the report's time zone, inclusive) and which touches before them."""

    type: str
    first: date
    last: date
    windows: tuple[int, ...] = (7, 14, 30, 90)
    """In days, the shortest first."""
    views: bool = False
    """Whether an ad that was only seen counts as a contact."""

    @property
    def longest_ms(self) -> int:
        """The longest window."""
        return self.windows[-1] * DAY_MS


def sold(t: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """The conversions: ``number`` (0, 1 …), ``at_ms``, ``value`` (0 where unknown), ``bucket``, who and which order."""
    c = t["conversions"]
    return c.filter(c.type == scope.type, c.day >= scope.first, c.day <= scope.last).select(
        number=ibis.row_number().over(order_by=c.conversion).cast("int32"),
        at_ms=c.at_ms,
        value=c.value.fill_null(0),
        bucket=c.bucket.cast("int16"),
        order_id=c.order_id,
        person=c.person,
    )


def buyers(t: Mapping[str, ir.Table], sold: ir.Table) -> ir.Table:
    """Each conversion of `sold` with each person whose it is: ``number``, ``sold_ms``, ``person``."""
    conversions = sold.select("number", "order_id", "person", sold_ms="at_ms")
    own = conversions.filter(conversions.person.notnull()).select("number", "sold_ms", "person")
    linked = conversions.drop("person").join(t["links"], "order_id").select("number", "sold_ms", "person")
    return together(own, linked, distinct=True)


def states(t: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """Every channel and campaign with its number, the most frequent first: ``state``, ``label`` (the campaign, or
    `(others)`), ``node`` (its state in the Markov chain), ``channel_number`` and ``direct``.

    What is put together for a channel has the number `MOST_STATES` (`MOST_NODES`) plus the channel's.
    """
    counted = (
        _usable(t, scope)
        .group_by("channel", "campaign")
        .agg(touches=lambda s: s.count())
        .mutate(
            place=lambda s: ibis.row_number().over(order_by=[s.touches.desc(), s.channel, s.campaign]),
            channel_number=lambda s: ibis.dense_rank().over(order_by=s.channel),
        )
    )
    place, channel_number = counted.place, counted.channel_number
    return counted.select(
        "channel",
        "campaign",
        "touches",
        state=(place < MOST_STATES).ifelse(place, channel_number + MOST_STATES).cast("int16"),
        label=(place < MOST_STATES).ifelse(counted.campaign, OTHERS),
        node=(place < MOST_NODES).ifelse(place, channel_number + MOST_NODES).cast("int16"),
        channel_number=channel_number.cast("int16"),
        direct=counted.channel == "direct",
    )


def contacts(t: Mapping[str, ir.Table], states: ir.Table, buyers: ir.Table, scope: Scope) -> ir.Table:
    """The contacts before each conversion of `buyers`.

    ``number`` is the conversion's, ``age`` milliseconds before it, ``before`` the age and ``before_node`` the node of
    the contact before, if any; ``newest``: there is none after it. Direct and other contacts are two paths of their
    own, of which a window counts one. ``cut`` is 0; or the days of the window that cuts a contact here: such a row
    counts in that window only, as its first contact, and is none of those that the others come after or before.
    """
    found = _numbered(t, states, scope).join(buyers, "person")
    aged = found.select("number", "direct", "state", "node", "kind", "channel_number", age=found.sold_ms - found.at_ms)
    return _contacts(aged.filter(aged.age >= 0, aged.age <= scope.longest_ms), scope)


def lost(t: Mapping[str, ir.Table], states: ir.Table, scope: Scope) -> ir.Table:
    """The same for those who bought nothing: persons with a touch in the period whom no conversion of this type names,
    whenever. Their path ends at their last touch in the period; ``nearest`` is the age of the last that is not direct.
    """
    everyone = t["conversions"].filter(t["conversions"].type == scope.type)
    own = everyone.filter(everyone.person.notnull()).select("person")
    linked = everyone.drop("person").join(t["links"], "order_id").select("person")
    touch = _numbered(t, states, scope)
    people = (
        touch.group_by("person")
        .agg(
            bucket=touch.bucket.min(),
            end=touch.at_ms.max(),
            day=touch.day.max(),
            last_other=touch.at_ms.max(where=~touch.direct),
        )
        .filter(lambda p: p.day >= scope.first)
        .drop("day")
        .anti_join(together(own, linked, distinct=True), "person")
        # Numbers sort faster than identifiers do, and the paths of millions are sorted.
        .mutate(number=lambda p: ibis.row_number().over(order_by=p.person).cast("int32"))
    )
    found = touch.drop("bucket", "day").join(people, "person")
    aged = found.select(
        "number", "bucket", "direct", "state", "node", "kind", "channel_number",
        age=found.end - found.at_ms, nearest=found.end - found.last_other,
    )  # fmt: skip
    return _contacts(aged.filter(aged.age <= scope.longest_ms), scope, ["bucket", "nearest"])


def _usable(t: Mapping[str, ir.Table], scope: Scope) -> ir.Table:
    """The touches of the days that matter, of known channels: what cannot be told is no touch.

    Two days more: a window is so many times 24 hours, a day may have 25.
    """
    touches = t["touches"]
    start = scope.first - timedelta(days=scope.windows[-1] + 2)
    usable = touches.filter(touches.day >= start, touches.day <= scope.last, touches.channel != UNKNOWN)
    return usable if scope.views else usable.filter(usable.kind != "view")


def _numbered(t: Mapping[str, ir.Table], states: ir.Table, scope: Scope) -> ir.Table:
    """The touches with numbers for their words."""
    usable = _usable(t, scope)
    known = states.select("channel", "campaign", "state", "node", "channel_number", "direct")
    kind = (usable.kind == KINDS[0]).ifelse(0, (usable.kind == KINDS[1]).ifelse(1, 2)).cast("int8")
    return (
        usable.mutate(kind=kind, bucket=usable.bucket.cast("int16"))
        .join(known, ["channel", "campaign"])
        .select("person", "at_ms", "day", "bucket", "kind", "state", "node", "channel_number", "direct")
    )


def _contacts(touches: ir.Table, scope: Scope, kept: Sequence[str] = ()) -> ir.Table:
    """Touches become contacts, each with the one before it; ``kept`` are columns that are the same on a whole path."""

    def path(table: ir.Table, *more: str) -> ir.Window:
        order = [table.age.desc(), table.kind, table.state]
        return ibis.window(group_by=["number", "direct", *more], order_by=order)

    view = KINDS.index("view")
    seen = touches.mutate(
        last_channel=touches.channel_number.lag().over(path(touches)),
        last_age=touches.age.lag().over(path(touches)),
        last_kind=touches.kind.lag().over(path(touches)),
    )
    goes_on = (
        (seen.last_channel == seen.channel_number)
        & (seen.last_age - seen.age <= SAME_CONTACT_MS)
        & ((seen.kind == view) | (seen.last_kind != view))
    ).fill_null(False)
    # Touches before the longest window are not here, so that it cuts nothing.
    cuts = [
        (goes_on & (seen.age <= days * DAY_MS) & (seen.last_age > days * DAY_MS), days) for days in scope.windows[:-1]
    ]
    cut = ibis.cases(*cuts, else_=0) if cuts else ibis.literal(0)
    first = seen.mutate(goes_on=goes_on, cut=cut.cast("int16")).filter(lambda each: ~each.goes_on | (each.cut > 0))
    return first.select(
        "number", *kept, "direct", "state", "node", "kind", "age", "cut",
        before=first.age.lag().over(path(first, "cut")),
        before_node=first.node.lag().over(path(first, "cut")),
        newest=first.age.lead().over(path(first, "cut")).isnull(),
    )  # fmt: skip


REPRESENTATIVE: Final = Scope("order_created", date(2026, 10, 1), date(2026, 10, 31), windows=(7, 30))


def _buyers(t: Mapping[str, ir.Table]) -> ir.Table:
    return buyers(t, sold(t, REPRESENTATIVE))


QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    "sold": lambda t: sold(t, REPRESENTATIVE),
    "buyers": _buyers,
    "states": lambda t: states(t, REPRESENTATIVE),
    "contacts": lambda t: contacts(t, states(t, REPRESENTATIVE), _buyers(t), REPRESENTATIVE),
    "lost": lambda t: lost(t, states(t, REPRESENTATIVE), REPRESENTATIVE),
}
