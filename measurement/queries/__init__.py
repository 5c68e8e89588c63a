"""Every question that is asked of the tables, as an Ibis expression: one definition for DuckDB and Athena.

A module each for what is asked about. ``QUERIES`` of a module maps a name to a function that takes the tables
(``measurement.engine.Data`` or unbound ones) and gives an expression; a test compiles each for both engines.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    import ibis.expr.types as ir

Query = Callable[[Mapping[str, "ir.Table"]], "ir.Table"]


def modules() -> dict[str, ModuleType]:
    """Every module of queries by its name, such as ``attribution``."""
    return {
        found.name: import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if not found.name.startswith("_")
    }


def every() -> dict[str, Query]:
    """The queries of all modules, by module and name: ``attribution.credits``."""
    return {f"{name}.{query}": made for name, module in modules().items() for query, made in module.QUERIES.items()}
