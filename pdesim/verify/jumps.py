"""Finds where coefficients jump along an axis. Does not import TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import sympy

from pdesim.errors import ConfigError
from pdesim.formula import Evaluator
from pdesim.formula import language as lang
from pdesim.formula.nodes import jumps
from pdesim.operators.conditions import INSIDE
from pdesim.operators.problem import Problem

#: number of intervals into which an axis is divided to search it for jumps
INTERVALS = 4096
#: if the ratio of the limits on both sides differs from 1 by less than this, it is not a jump
EQUAL = 1e-9


@dataclass(frozen=True)
class Jump:
    """A jump of the diffusivities of an equation at one position of an axis.

    For each field, ``ratios`` contains D just below the position divided by D just above (1 if D
    does not jump), and ``end_ratios`` contains D at the upper end of the axis divided by D at the
    lower end. ``clearance`` is the distance to the nearest end of the axis, or half the distance to
    the nearest other jump, whichever is smaller.
    """

    axis: int
    position: float
    clearance: float
    ratios: tuple[float, ...]
    end_ratios: tuple[float, ...]


def has_jumps(problem: Problem) -> bool:
    """Whether the formula of a diffusivity contains a discontinuous function."""
    return any(jumps(node.args[0]) for node in _fluxes(problem))


def find_jump(problem: Problem) -> Jump | None:
    """The first jump of a diffusivity inside the domain, or None.

    Raises:
        ConfigError: for jumps without a known solution, that is jumps that are not at a fixed value
            of one coordinate, that depend on time or on a field, or that are not in a flux.
    """
    if not has_jumps(problem):
        return None
    _check_elsewhere(problem)
    result = []
    for axis in range(problem.grid.dimensions):
        positions = sorted(
            {p for node in _fluxes(problem) for p in _positions(problem, node, axis)}
        )
        if positions:
            result.append((axis, positions))
    if not result:
        return None
    if len(result) > 1:
        raise _unknown("coefficients that jump along several axes")
    ((axis, positions),) = result
    return _jump(problem, axis, positions)


def window(problem: Problem, jump: Jump) -> Problem:
    """The problem on a part of its domain that has the jump in its middle."""
    grid = problem.grid
    extent, origin = list(grid.extent), list(grid.origin)
    extent[jump.axis] = min(grid.extent[jump.axis], 2 * jump.clearance)
    origin[jump.axis] = jump.position - extent[jump.axis] / 2
    return replace(problem, grid=replace(grid, extent=tuple(extent), origin=tuple(origin)))


def _unknown(case: str) -> ConfigError:
    return ConfigError(
        f"there is no manufactured solution for {case}",
        "where(x < NUMBER, a, b) or heaviside(x - NUMBER) on one axis, as D in "
        "divergence(D*gradient(u))",
        "pdesim converge, which estimates the error of your own problem",
    )


def _fluxes(problem: Problem) -> list[sympy.Expr]:
    """The nodes ``divergence(D, f)`` of the equation, in a fixed order."""
    result = {
        node
        for formula in problem.equation.formulas
        for node in lang.operators_in(formula)
        if lang.has_flux_form(lang.word_of(node)) and len(node.args) == 2
    }
    return sorted(result, key=str)


def _check_elsewhere(problem: Problem) -> None:
    """Raise ConfigError for operators that cannot be applied to a solution with a kink.

    A field has a kink if it is in a flux with a jump. First derivatives and fluxes of this field
    are allowed, other operators are not.
    """
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
                raise _unknown(f"{node} in addition to a flux with a jump")


def _positions(problem: Problem, node: sympy.Expr, axis: int) -> list[float]:
    """The positions of the jumps of D inside the domain along one axis, to float precision."""
    grid, conditions = problem.grid, problem.conditions
    diffusivity = conditions.with_coordinates(node.args[0])
    switches = _switches(diffusivity)
    own, x = {*problem.parameters}, grid.axes[axis]
    lower, length = grid.origin[axis], grid.extent[axis]
    line = lower + length * np.linspace(0, 1, INTERVALS + 1)
    result = []
    for switch in switches:
        names = {symbol.name for symbol in switch.free_symbols} - own
        if len(names) > 1 or not names <= set(grid.axes):
            raise _unknown(f"a coefficient whose jumps depend on {switch}")
        if x not in names:
            continue

        def value(position: float | np.ndarray, switch: sympy.Expr = switch) -> np.ndarray:
            return np.asarray(Evaluator({**problem.parameters, x: position})(switch), float)

        signs = np.sign(value(line))
        for index in np.flatnonzero(signs[:-1] != signs[1:]):
            position = _bisected(value, line[index], line[index + 1])
            if lower < position < lower + length and not np.isclose(position, lower + length):
                result.append(position)
    return [p for p in result if abs(_ratio(problem, node, axis, p, p) - 1) > EQUAL]


def _switches(diffusivity: sympy.Expr) -> set[sympy.Expr]:
    """The expressions that change their sign where the formula may jump."""
    relations = diffusivity.atoms(sympy.core.relational.Relational)
    result = {relation.lhs - relation.rhs for relation in relations}
    result |= {node.args[0] for node in diffusivity.atoms(sympy.Heaviside, sympy.sign)}
    if jumps(diffusivity) and not result:
        raise _unknown(f"{diffusivity}")
    return result


def _bisected(value: Callable[[float], np.ndarray], lower: float, upper: float) -> float:
    """The position between ``lower`` and ``upper`` at which the sign of ``value`` changes."""
    sign = np.sign(value(lower))
    while True:
        middle = 0.5 * (lower + upper)
        if not lower < middle < upper:
            return upper
        lower, upper = (middle, upper) if np.sign(value(middle)) == sign else (lower, middle)


def _ratio(problem: Problem, node: sympy.Expr, axis: int, below: float, above: float) -> float:
    """D just below one position, divided by D just above another.

    Raises:
        ConfigError: if the ratio is not a number, because it depends on fields or on other
            coordinates, or if it is not positive and finite.
    """
    diffusivity = problem.conditions.with_coordinates(node.args[0])
    x = sympy.Symbol(problem.grid.axes[axis], real=True)
    shift = INSIDE * problem.grid.extent[axis]
    numbers = {s: sympy.Float(problem.parameters[s.name]) for s in diffusivity.free_symbols
               if s.name in problem.parameters}  # fmt: skip
    sides = [
        diffusivity.xreplace({**numbers, x: sympy.Float(position)})
        for position in (below - shift, above + shift)
    ]
    quotient = sides[0] / sides[1]
    if quotient.free_symbols:
        quotient = sympy.nsimplify(sympy.simplify(quotient), tolerance=EQUAL)
    if quotient.free_symbols:
        raise _unknown(f"a coefficient whose jump is not constant, {node.args[0]}")
    ratio = float(quotient)
    if not (np.isfinite(ratio) and ratio > 0):
        raise _unknown(f"a coefficient that is 0 or changes sign at a jump, {node.args[0]}")
    return ratio


def _jump(problem: Problem, axis: int, positions: list[float]) -> Jump:
    position = positions[0]
    lower, length = problem.grid.origin[axis], problem.grid.extent[axis]
    others = [p for p in positions if not np.isclose(p, position, rtol=0, atol=INSIDE * length)]
    clearance = min(
        position - lower,
        lower + length - position,
        *(abs(p - position) / 2 for p in others),
        length,
    )
    ratios, ends = [], []
    for symbol in problem.equation.field_symbols:
        own = [n for n in _fluxes(problem) if symbol in n.args[1].free_symbols]
        values = {float(f"{_ratio(problem, n, axis, position, position):.9g}") for n in own} or {
            1.0
        }
        if len(values) > 1:
            raise _unknown(f"fluxes of {symbol} whose coefficients have different jumps")
        ratios.append(values.pop())
        end = lower + length, lower
        periodic = problem.boundary.is_periodic(axis)
        ends.append(_ratio(problem, own[0], axis, *end) if own and periodic else 1.0)
    return Jump(axis, position, clearance, tuple(ratios), tuple(ends))
