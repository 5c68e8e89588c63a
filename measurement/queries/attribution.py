"""Credit by channel and campaign, window and random part of the persons (bucket): what `measurement.attribution` sums,
resamples and solves.

All windows are computed at once: those of a conversion are nested, so that a contact's age says in which it counts.
Columns of a window carry its days: ``time_30``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Final

import ibis

from measurement.queries import paths
from measurement.queries._sets import together
from measurement.queries.paths import DAY_MS, REPRESENTATIVE, Scope

if TYPE_CHECKING:
    import ibis.expr.types as ir

_STATES_IN_KEY: Final = 1 << 16
_KEY: Final = 4 * _STATES_IN_KEY


def everything(sold: ir.Table, buyers: ir.Table) -> ir.Table:
    """What there is to credit, by ``bucket``: ``conversions``, ``value``; ``known``: of how many a person is known."""
    who = buyers.select("number").distinct().mutate(is_known=True)
    found = sold.left_join(who, "number")
    return found.group_by("bucket").agg(
        conversions=found.count(), value=found.value.sum(), known=found.count(where=found.is_known)
    )


def outlines(sold: ir.Table, contacts: ir.Table, scope: Scope, *, half_life_days: float = 7.0) -> ir.Table:
    """One row for each conversion with a contact, twice where it has direct ones and others: what its contacts come to.

    For each window: ``contacts_7``, ``weight_7`` (the sum of their decay) and ``first_weight_7`` (that of the first),
    ``cut_7`` (the window cuts a contact), and ``last_7``: the last click or visit, if there is none the last view, as
    one number of age, kind and state. ``nearest``: the age of the last contact that is not direct, as direct ones
    count in shorter windows only.
    """
    c = contacts.mutate(decay=_decay(contacts.age, half_life_days))
    is_view = c.kind == paths.KINDS.index("view")
    key = c.age * _KEY + c.kind * _STATES_IN_KEY + c.state
    columns = {"closest": c.age.min()}
    for days in scope.windows:
        inside = _inside(c, days)
        last = key.min(where=inside & ~is_view)
        columns |= {
            f"contacts_{days}": c.count(where=inside),
            f"weight_{days}": c.decay.sum(where=inside),
            f"first_weight_{days}": c.decay.min(where=inside),
            f"cut_{days}": c.count(where=c.cut == days) > 0,
            f"last_{days}": ibis.coalesce(last, key.min(where=inside)) if scope.views else last,
        }
    each = c.group_by("number", "direct").agg(**columns)
    others = each.filter(~each.direct).select("number", nearest="closest")
    about = sold.select("number", "bucket", "value")
    return each.drop("closest").join(about, "number").left_join(others, "number").drop("number_right")


def last_clicks(outlines: ir.Table, scope: Scope) -> ir.Table:
    """The last click or visit of each conversion, by ``window``, ``bucket`` and ``state``: ``conversions``, ``value``.

    A view is the last contact only where there is no click or visit. Every conversion with a contact in the window is
    in it exactly once.
    """
    o = outlines
    parts = []
    for days in scope.windows:
        state = (o[f"last_{days}"] % _STATES_IN_KEY).cast("int16")
        parts.append(
            o.filter(o[f"contacts_{days}"] > 0, _counts(o, days)).select(
                "bucket", "value", window=ibis.literal(days, "int16"), state=state
            )
        )
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    return every.group_by("window", "bucket", "state").agg(conversions=every.count(), value=every.value.sum())


def shares(
    contacts: ir.Table, outlines: ir.Table, scope: Scope, *, first_share: float = 0.65, half_life_days: float = 7.0
) -> ir.Table:
    """Credit by time decay and by first touch with decay, by ``bucket`` and ``state``; for each window ``time_7``,
    ``time_value_7``, ``first_7``, ``first_value_7``."""
    found = contacts.drop("before_node", "newest").join(outlines, ["number", "direct"])
    decay = _decay(found.age, half_life_days)
    columns: dict[str, ir.Value] = {}
    for days in scope.windows:
        inside = _inside(found, days) & _counts(found, days)
        is_first = (found.cut == days) | (_begins(found, days) & ~found[f"cut_{days}"])
        weight = found[f"weight_{days}"]
        by_time = decay / weight
        # Divided only where there are others.
        rest = decay / (weight - found[f"first_weight_{days}"]).nullif(0.0)
        by_first = (found[f"contacts_{days}"] == 1).ifelse(
            _number(1.0), is_first.ifelse(_number(first_share), rest * _number(1.0 - first_share))
        )
        columns |= {
            f"time_{days}": by_time.sum(where=inside),
            f"time_value_{days}": (by_time * found.value).sum(where=inside),
            f"first_{days}": by_first.sum(where=inside),
            f"first_value_{days}": (by_first * found.value).sum(where=inside),
        }
    return found.group_by("bucket", "state").agg(**columns)


def steps(paths_of: ir.Table, scope: Scope) -> ir.Table:
    """How often one state follows another on the paths, by ``bucket``, ``before_node`` (-1: no contact before) and
    ``node``; for each window ``pairs_7`` (both contacts in it), ``starts_7`` (this one is the first in it) and
    ``ends_7`` (this one is the last)."""
    names = [f"{kind}_{days}" for days in scope.windows for kind in ("pairs", "starts", "ends")]
    places = ["bucket", "before_node", "node"]

    def counted(rows: ir.Table, columns: Mapping[str, ir.Value]) -> ir.Table:
        nothing = ibis.literal(0, "int64")
        found = rows.group_by(places)
        return found.agg(**{name: columns[name].cast("int64") if name in columns else nothing for name in names})

    paths_of = paths_of.mutate(before_node=paths_of.before_node.fill_null(-1).cast("int16"))
    whole = paths_of.filter(paths_of.cut == 0)
    columns: dict[str, ir.Value] = {}
    for days in scope.windows:
        inside = _inside(whole, days) & _counts(whole, days)
        begins = _begins(whole, days)
        columns |= {
            f"pairs_{days}": whole.count(where=inside & ~begins),
            f"starts_{days}": whole.count(where=inside & begins),
            f"ends_{days}": whole.count(where=inside & whole.newest),
        }
    parts = [counted(whole, columns)]
    if len(scope.windows) > 1:
        # What a window cuts begins its path, before the contact that would begin it otherwise, if there is one.
        cuts = paths_of.filter(paths_of.cut > 0)
        by_path = cuts.select("number", "direct", cut_by="cut", cut_node="node")
        after = whole.drop("cut").join(by_path, ["number", "direct"])
        limit = after.cut_by.cast("int64") * DAY_MS
        after = after.filter(after.age <= limit, after.before.isnull() | (after.before > limit))
        followed = after.select(after_number="number", after_direct="direct", after_cut="cut_by")
        ending = cuts.anti_join(
            followed,
            [
                cuts.number == followed.after_number,
                cuts.direct == followed.after_direct,
                cuts.cut == followed.after_cut,
            ],
        )
        pairs = after.drop("before_node").rename(before_node="cut_node")
        for rows, kind, sign, cut in (
            (cuts, "starts", 1, "cut"), (ending, "ends", 1, "cut"), (after, "starts", -1, "cut_by"),
            (pairs, "pairs", 1, "cut_by"),
        ):  # fmt: skip
            parts.append(
                counted(
                    rows,
                    {
                        f"{kind}_{days}": rows.count(where=(rows[cut] == days) & _counts(rows, days)) * sign
                        for days in scope.windows
                    },
                )
            )
    every = reduce(together, parts)
    return every.group_by(places).agg(**{name: every[name].sum() for name in names})


def steps_to_conversion(contacts: ir.Table, outlines: ir.Table, scope: Scope) -> ir.Table:
    """`steps` of the paths that end in a conversion."""
    known = outlines.select("number", "direct", "bucket", "nearest")
    return steps(contacts.join(known, ["number", "direct"]), scope)


def _inside(p: ir.Table, days: int) -> ir.BooleanValue:
    """Whether a contact lies in a window: one that a window cuts off lies in that one only."""
    return (p.age <= days * DAY_MS) & ((p.cut == 0) | (p.cut == days))


def _begins(p: ir.Table, days: int) -> ir.BooleanValue:
    """Whether the contact before lies outside of the window, or there is none."""
    return p.before.isnull() | (p.before > days * DAY_MS)


def _counts(p: ir.Table, days: int) -> ir.BooleanValue:
    """Whether a contact's path counts in a window: direct ones only if there is no other contact in it."""
    return ~p.direct | p.nearest.isnull() | (p.nearest > days * DAY_MS)


def _decay(age: ir.Column, half_life_days: float) -> ir.FloatingColumn:
    return (age.cast("float64") * _number(-math.log(2) / (half_life_days * DAY_MS))).exp()


def _number(value: float) -> ir.FloatingScalar:
    return ibis.literal(value, "float64")


def _outlines(t: Mapping[str, ir.Table]) -> tuple[ir.Table, ir.Table]:
    contacts = paths.QUERIES["contacts"](t)
    return contacts, outlines(paths.QUERIES["sold"](t), contacts, REPRESENTATIVE)


QUERIES: Final[dict[str, Callable[[Mapping[str, ir.Table]], ir.Table]]] = {
    "everything": lambda t: everything(paths.QUERIES["sold"](t), paths.QUERIES["buyers"](t)),
    "outlines": lambda t: _outlines(t)[1],
    "last_clicks": lambda t: last_clicks(_outlines(t)[1], REPRESENTATIVE),
    "shares": lambda t: shares(*_outlines(t), REPRESENTATIVE),
    "steps": lambda t: steps(paths.QUERIES["lost"](t), REPRESENTATIVE),
    "steps_to_conversion": lambda t: steps_to_conversion(*_outlines(t), REPRESENTATIVE),
}
