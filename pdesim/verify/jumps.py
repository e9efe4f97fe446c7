"""Coefficients that jump at one value of a coordinate, and where they do. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.nodes import jumps
from pdesim.operators.conditions import INSIDE
from pdesim.operators.problem import Problem

#: intervals in which a line is searched for jumps
INTERVALS = 4096
#: a ratio of one-sided limits that is closer to 1 is no jump
EQUAL = 1e-9


@dataclass(frozen=True)
class Jump:
    """Where the diffusivities of an equation jump: ``coordinate = place`` on one axis.

    ``ratios`` holds, per field, D below the place over D above it (1 where it does not jump);
    ``end_ratios`` D at the upper end of the axis over D at the lower one. ``room`` is the distance
    to the nearest other jump or end of the axis.
    """

    axis: int
    place: float
    room: float
    ratios: tuple[float, ...]
    end_ratios: tuple[float, ...]


def has_jumps(problem: Problem) -> bool:
    """Whether a diffusivity of an equation is discontinuous by its text."""
    return any(jumps(node.args[0]) for node in _fluxes(problem))


def find_jump(problem: Problem) -> Jump | None:
    """The first jump of a diffusivity inside the domain; None where there is none.

    Raises:
        ConfigError: for jumps that are not at one value of a coordinate, that change in time or
            with a field, or that stand elsewhere than in a flux: no solution is known here.
    """
    if not has_jumps(problem):
        return None
    _check_elsewhere(problem)
    found = []
    for axis in range(problem.grid.dimensions):
        places = sorted({p for node in _fluxes(problem) for p in _places(problem, node, axis)})
        if places:
            found.append((axis, places))
    if not found:
        return None
    if len(found) > 1:
        raise _unknown("coefficients that jump along several axes")
    ((axis, places),) = found
    return _jump(problem, axis, places)


def window(problem: Problem, jump: Jump) -> Problem:
    """The problem on a part of its domain in the middle of which the jump lies."""
    grid = problem.grid
    extent, origin = list(grid.extent), list(grid.origin)
    extent[jump.axis] = min(grid.extent[jump.axis], 2 * jump.room)
    origin[jump.axis] = jump.place - extent[jump.axis] / 2
    return replace(problem, grid=replace(grid, extent=tuple(extent), origin=tuple(origin)))


def _unknown(what: str) -> ConfigError:
    return ConfigError(
        f"there is no manufactured solution for {what}",
        "where(x < NUMBER, a, b) or heaviside(x - NUMBER) on one axis, as D in "
        "divergence(D*gradient(u))",
        "pdesim converge, which estimates the error of your own problem",
    )


def _fluxes(problem: Problem) -> list[sympy.Expr]:
    """The nodes ``divergence(D, f)``."""
    found = {
        node
        for formula in problem.equation.formulas
        for node in lang.operators_in(formula)
        if lang.has_flux_form(lang.word_of(node)) and len(node.args) == 2
    }
    return sorted(found, key=str)


def _check_elsewhere(problem: Problem) -> None:
    """A kink is a solution of fluxes only: no other second derivative may see it."""
    kinked = set()
    for node in _fluxes(problem):
        if jumps(node.args[0]):
            kinked |= node.args[1].free_symbols & set(problem.equation.field_symbols)
    for formula in problem.equation.formulas:
        for node in lang.operators_in(formula):
            flux = node in _fluxes(problem)
            inner = node.args[1] if flux else node.args[0]
            first = sum(lang.DERIVATIVES.get(lang.word_of(node), ())) == 1
            if jumps(inner) or lang.operators_in(inner):
                raise _unknown(f"{node}")
            if not flux and not first and inner.free_symbols & kinked:
                raise _unknown(f"{node} beside a flux that jumps")


def _places(problem: Problem, node: sympy.Expr, axis: int) -> list[float]:
    """Where D jumps inside the domain along one axis, to the last digit of a float."""
    grid, conditions = problem.grid, problem.conditions
    diffusivity = conditions.with_places(node.args[0])
    switches = _switches(diffusivity)
    own, x = {*problem.parameters}, grid.axes[axis]
    lower, length = grid.origin[axis], grid.extent[axis]
    line = lower + length * np.linspace(0, 1, INTERVALS + 1)
    found = []
    for switch in switches:
        names = {symbol.name for symbol in switch.free_symbols} - own
        if len(names) > 1 or not names <= set(grid.axes):
            raise _unknown(f"a coefficient that jumps with {switch}")
        if x not in names:
            continue

        def value(place, switch=switch):
            return np.asarray(Evaluator({**problem.parameters, x: place})(switch), float)

        signs = np.sign(value(line))
        for index in np.flatnonzero(signs[:-1] != signs[1:]):
            place = _bisected(value, line[index], line[index + 1])
            if lower < place < lower + length and not np.isclose(place, lower + length):
                found.append(place)
    return [p for p in found if abs(_ratio(problem, node, axis, p, p) - 1) > EQUAL]


def _switches(diffusivity: sympy.Expr) -> set[sympy.Expr]:
    """The expressions at whose sign changes a formula jumps."""
    relations = diffusivity.atoms(sympy.core.relational.Relational)
    found = {relation.lhs - relation.rhs for relation in relations}
    found |= {node.args[0] for node in diffusivity.atoms(sympy.Heaviside, sympy.sign)}
    if jumps(diffusivity) and not found:
        raise _unknown(f"{diffusivity}")
    return found


def _bisected(value, lower: float, upper: float) -> float:
    sign = np.sign(value(lower))
    while True:
        middle = 0.5 * (lower + upper)
        if not lower < middle < upper:
            return upper
        lower, upper = (middle, upper) if np.sign(value(middle)) == sign else (lower, middle)


def _ratio(problem: Problem, node: sympy.Expr, axis: int, below: float, above: float) -> float:
    """D just below one place over D just above another: the rest of D has to cancel."""
    diffusivity = problem.conditions.with_places(node.args[0])
    x = sympy.Symbol(problem.grid.axes[axis], real=True)
    shift = INSIDE * problem.grid.extent[axis]
    numbers = {s: sympy.Float(problem.parameters[s.name]) for s in diffusivity.free_symbols
               if s.name in problem.parameters}  # fmt: skip
    sides = [
        diffusivity.xreplace({**numbers, x: sympy.Float(place)})
        for place in (below - shift, above + shift)
    ]
    quotient = sides[0] / sides[1]
    if quotient.free_symbols:
        quotient = sympy.nsimplify(sympy.simplify(quotient), tolerance=EQUAL)
    if quotient.free_symbols:
        raise _unknown(f"a coefficient whose jump varies, {node.args[0]}")
    ratio = float(quotient)
    if not (np.isfinite(ratio) and ratio > 0):
        raise _unknown(f"a coefficient that is 0 or changes its sign at a jump, {node.args[0]}")
    return ratio


def _jump(problem: Problem, axis: int, places: list[float]) -> Jump:
    place = places[0]
    lower, length = problem.grid.origin[axis], problem.grid.extent[axis]
    others = [p for p in places if not np.isclose(p, place, rtol=0, atol=INSIDE * length)]
    room = min(place - lower, lower + length - place, *(abs(p - place) / 2 for p in others), length)
    ratios, ends = [], []
    for symbol in problem.equation.field_symbols:
        own = [n for n in _fluxes(problem) if symbol in n.args[1].free_symbols]
        values = {float(f"{_ratio(problem, n, axis, place, place):.9g}") for n in own} or {1.0}
        if len(values) > 1:
            raise _unknown(f"fluxes of {symbol} that jump differently")
        ratios.append(values.pop())
        end = lower + length, lower
        periodic = problem.boundary.is_periodic(axis)
        ends.append(_ratio(problem, own[0], axis, *end) if own and periodic else 1.0)
    return Jump(axis, place, room, tuple(ratios), tuple(ends))
