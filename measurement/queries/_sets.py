"""Rows of two queries in one. No question of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir


def together(one: ir.Table, other: ir.Table, *, distinct: bool = False) -> ir.Table:
    """The rows of both. The types are made equal first: what may be empty in one need not be so in the other."""
    kinds = {name: kind.copy(nullable=True) for name, kind in one.schema().items()}
    return one.cast(kinds).union(other.cast(kinds), distinct=distinct)
