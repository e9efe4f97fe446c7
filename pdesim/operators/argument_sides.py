"""The conditions that determine the ghost cells of the arguments of operators.

This module does not import TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from pdesim.formula import language as lang
from pdesim.model.boundary_conditions import (
    CONSTANT,
    HELD,
    JOINED,
    POINTWISE,
    BoundaryCondition,
)
from pdesim.operators.fluxes import merge_fluxes
from pdesim.operators.problem import Problem

#: for each axis x, y, z, the conditions of the lower and the upper side
Sides = Sequence[tuple[BoundaryCondition, BoundaryCondition]]


def conditions(problem: Problem, inner: sympy.Expr) -> Sides:
    """Return the conditions of an expression on all sides.

    A side is ``POINTWISE`` if the expression is to be evaluated in the ghost cells, from the ghost
    cells of its atoms.
    """
    known = problem.conditions

    def side(axis: int, number: int) -> BoundaryCondition:
        if known.is_linear(inner) and not known.boundary.is_periodic(axis):
            return POINTWISE
        wall = known.condition(inner, axis, number)
        if wall.kind == "continued":
            return POINTWISE
        single = lang.is_operator(inner) or known.is_coefficient(inner)
        return wall if wall.kind in (*JOINED, "dirichlet") or single else POINTWISE

    return [(side(axis, 0), side(axis, 1)) for axis in range(problem.grid.dimensions)]


def transported(problem: Problem, inner: sympy.Expr) -> Sides:
    """Return the conditions of an expression in ``advect`` on all sides.

    At an outflow side, an expression of fields that all flow out has the value of the cell there.
    """
    boundary = problem.boundary
    fields = [n for n, s in enumerate(problem.equation.field_symbols) if s in inner.free_symbols]

    def side(axis: int, number: int, wall: BoundaryCondition) -> BoundaryCondition:
        out = fields and all(boundary.walls[field][axis][number].outflow for field in fields)
        return CONSTANT if out else wall

    return [
        (side(axis, 0, lower), side(axis, 1, upper))
        for axis, (lower, upper) in enumerate(conditions(problem, inner))
    ]


def diffusivity(problem: Problem, diffusivity: sympy.Expr, f: sympy.Expr) -> Sides:
    """Return the conditions of D in div(D grad f) on all sides.

    A diffusivity D that depends on fields may be 0 on the face although the flux is not, as in a
    porous medium with u = 0 on the face. If f and D are given on the face, the flux is therefore
    computed with the mean of D over half a cell, ``(D(face) + D(cell)) / 2``.
    """
    known, sides = problem.conditions, conditions(problem, diffusivity)
    if known.is_coefficient(diffusivity) or problem.discretisation.order != 2:
        return sides

    def side(axis: int, number: int, wall: BoundaryCondition) -> BoundaryCondition:
        results = [known.condition(part, axis, number) for part in (diffusivity, f)]
        held = all(condition.kind == "dirichlet" for condition in results)
        return replace(results[0], kind=HELD) if held else wall

    return [
        (side(axis, 0, lower), side(axis, 1, upper)) for axis, (lower, upper) in enumerate(sides)
    ]


def is_pointwise(problem: Problem, inner: sympy.Expr, sides: Sides) -> bool:
    """Whether the ghost cells of an expression follow from those of its fields alone.

    The expression is then evaluated in all cells and ghost cells at once.
    """
    periodic = all(problem.boundary.periodic_axes)
    if lang.operators_in(inner) or not (periodic or not problem.conditions.has_position(inner)):
        return False
    kinds = {wall.kind for pair in sides for wall in pair}
    return kinds <= {"periodic", "pointwise"} and not _has_given_values(problem, inner, sides)


def _has_given_values(problem: Problem, inner: sympy.Expr, sides: Sides) -> bool:
    """Whether a field in a nonlinear expression has a given value on a ``POINTWISE`` side.

    The expression must then be evaluated from its atoms.
    """
    if problem.conditions.is_linear(inner):
        return False
    symbols = problem.equation.field_symbols
    return any(
        wall.kind == "pointwise" and problem.boundary.walls[index][axis][side].b == 0
        for index, symbol in enumerate(symbols)
        if symbol in inner.free_symbols
        for axis, pair in enumerate(sides)
        for side, wall in enumerate(pair)
    )


def all_are_pointwise(problem: Problem) -> bool:
    """Whether the ghost cells of all arguments of operators follow from those of the fields.

    Coefficients of fluxes that depend on position only are also accepted.
    """
    formulas = [merge_fluxes(problem, formula) for formula in problem.equation.formulas]
    nodes = [node for formula in formulas for node in lang.operators_in(formula)]
    for *coefficients, inner in (node.args for node in nodes):
        if not is_pointwise(problem, inner, conditions(problem, inner)):
            return False
        for coefficient in coefficients:
            sides = diffusivity(problem, coefficient, inner)
            if not _is_constant(problem, coefficient) and not is_pointwise(
                problem, coefficient, sides
            ):
                return False
    return True


def _is_constant(problem: Problem, expression: sympy.Expr) -> bool:
    """Whether an expression depends neither on fields nor on position and time together."""
    known = problem.conditions
    if not known.is_coefficient(expression):
        return False
    return not known.has_position(expression) or lang.TIME not in expression.free_symbols
