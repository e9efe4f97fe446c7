"""The names in the formulas of parameters that have one number for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from pdesim.formula import Scope
from pdesim.formula.language import TIME, operators_in
from pdesim.formula.values import Value, parts_of


def scope_of_array(
    symbols: Mapping[str, Value],
    axes: tuple[str, ...],
    fields: Sequence[str],
    arrays: Mapping[str, sympy.Expr],
) -> Scope:
    """Return the names and functions in the formula of an array.

    It may contain parameters that depend on position only.
    """
    known = {name: arrays.get(name, expression) for name, expression in symbols.items()}
    changing = {*(sympy.Symbol(name, real=True) for name in fields), TIME}
    varying = [
        name
        for name, value in known.items()
        if any(e.free_symbols & changing or operators_in(e) for e in parts_of(value))
    ]
    forbidden = dict.fromkeys(
        varying, "a parameter with random numbers, or from a file, depends on position only"
    )
    return Scope(
        {name: e for name, e in known.items() if name not in varying},
        axes, generators=True, forbidden=forbidden, extensible=True,
    )  # fmt: skip
