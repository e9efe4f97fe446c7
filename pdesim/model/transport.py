"""Equations with ``advect``: which can be computed, and the form in which they are computed."""

from __future__ import annotations

from dataclasses import replace

from pdesim.errors import ConfigError
from pdesim.formula.advection import has_advection, with_signs
from pdesim.formula.language import TIME
from pdesim.formula.metric import Metric
from pdesim.model.equation import Equation


def with_transport(equation: Equation, metric: Metric | None = None) -> Equation:
    """Return an equation whose terms with ``advect`` have the form ``-advect(v, u)``.

    Args:
        metric: the coordinates (``Grid.metric``).

    Raises:
        ConfigError: if the equation has no time derivative where ``advect`` occurs, and for terms
            that :func:`pdesim.formula.advection.with_signs` does not support.
    """
    if not has_advection(*equation.all_formulas):
        return equation
    elsewhere = has_advection(*equation.constraints.values())
    if elsewhere or equation.steady or equation.iterated is not None:
        raise ConfigError(
            f"{equation.name} has advect(v, u) in a formula without a time derivative",
            "advect in right-hand sides (equation.rhs)",
            "divergence([a*u, b*u]) is the same flux with central differences",
        )
    reduced = (reduction.symbol for reduction in equation.reductions)
    uniform = {*equation.constants, *reduced, TIME}
    fields = equation.field_symbols
    return replace(
        equation, formulas=tuple(with_signs(f, fields, uniform, metric) for f in equation.formulas)
    )
